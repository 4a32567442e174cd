/**
 * Bytes and values: frames, MessagePack, messages, peer records, datagrams, JSON envelopes and lines, text headers.
 *
 * Nothing here does I/O or reads a clock; importing it needs no permission.
 *
 * ```
 * bytes -> FrameReader -> readMessage -> value        value -> writeMessage -> FrameWriter -> bytes
 * ```
 *
 * @example A message through a frame
 * ```ts
 * import { decodeWireData, encodeWireData, FrameReader, FrameWriter, wireData } from "@kith/kith/wire";
 * import { assertEquals } from "@std/assert";
 *
 * const writer = new FrameWriter();
 * writer.frame(encodeWireData(wireData("greet", { name: "bob" }, { msgId: 1 })));
 *
 * const reader = new FrameReader();
 * for (const piece of writer.take()) reader.push(piece);
 * const frame = reader.next();
 * assertEquals(frame && decodeWireData(frame).header, "greet");
 * ```
 *
 * @module
 */

export {
  decodeDatagram,
  type DecodeDatagramOptions,
  type DecodedDatagram,
  encodeDatagram,
  type EncodeDatagramOptions,
  MAX_DATAGRAM_IN_BYTES,
  MAX_DATAGRAM_OUT_BYTES,
  SERVICE_CODE,
  type ServiceCode,
  SOFT_DATAGRAM_BYTES,
} from "./datagram.ts";
export {
  Decoder,
  type DecoderOptions,
  MAX_ELEMENTS,
  MAX_MIXED_KEYS,
  MAX_STRING_BYTES,
} from "./decoder.ts";
export { Encoder, type EncoderOptions, MAX_DEPTH, type Splice } from "./encoder.ts";
export {
  FRAME_HEADER_BYTES,
  FrameReader,
  type FrameReaderOptions,
  FrameWriter,
  type FrameWriterOptions,
  MAX_FRAME_BYTES,
  SPLICE_FROM_BYTES,
} from "./frame.ts";
export {
  decodeJson,
  type DecodeJsonOptions,
  encodeJson,
  type EncodeJsonOptions,
  type JsonStyle,
  MAX_JSON_BYTES,
  MAX_JSON_DEPTH,
  pythonJson,
} from "./json.ts";
export { encodeLine, LineReader, type LineReaderOptions } from "./line.ts";
export {
  decodeWireData,
  encodeWireData,
  type MessageBody,
  type MessageDialect,
  type MessageHead,
  type MessageOptions,
  type NativeMessage,
  peekHeader,
  PEER_ID_BYTES,
  PEERCONNECT_RESERVED_KEYS,
  PEERCONNECT_VERSION,
  readMessage,
  WIRE_VERSION,
  type WireData,
  wireData,
  writeMessage,
} from "./message.ts";
export { decode, type DecodeOptions, encode, type EncodeOptions } from "./msgpack.ts";
export { Extension, Float64, LateBytes, TIMESTAMP_EXTENSION } from "./msgpack_types.ts";
export {
  idFromDecimal,
  idFromHex,
  idToDecimal,
  idToHex,
  MAX_IP_CHARS,
  MAX_USERNAME_CHARS,
  parsePeerId,
  parseRemotePeer,
  type ParseRemotePeerOptions,
  PEER_STATUS,
  type PeerStatus,
  type RemotePeer,
  remotePeerToRecord,
} from "./remote_peer.ts";
export {
  dataHeader,
  decodeTextHeader,
  type DecodeTextHeaderOptions,
  encodeTextHeader,
  helloHeader,
  parseData,
  parseHello,
  parsePing,
  parsePong,
  pingHeader,
  pongHeader,
  TEXT_DATA_TYPES,
  TEXT_HEADER_BYTES,
  TEXT_HEADER_TYPES,
  type TextData,
  type TextDataType,
  type TextHeader,
  type TextHeaderType,
  type TextHello,
} from "./text_header.ts";
export {
  type DataWeaver,
  type DataWeaverId,
  type DataWeaverType,
  decodeWeaver,
  type DecodeWeaverOptions,
  encodeWeaver,
  type EncodeWeaverOptions,
} from "./weaver.ts";
export {
  decodeWitchAnnouncement,
  encodeWitchAnnouncement,
  MAX_WITCH_ANNOUNCEMENT_BYTES,
  MAX_WITCH_PRESENCE_BYTES,
  type WitchAnnouncement,
  type WitchDiscovery,
  type WitchLedger,
  type WitchLedgerNode,
  type WitchLedgerSync,
  type WitchNode,
  type WitchPresence,
} from "./witch_announcement.ts";
export { xxh3 } from "./xxh3.ts";
