/**
 * Rumors of kith's own: service code 12, a message of the native wire, in it what somebody signed.
 *
 * ```
 * :rumor    { ttl, e }   a text that is told                           e = envelope of the text
 * :search   { ttl, e }   who has a name with this text in it?          e = envelope of the text
 * :found    { e }        I have, to the asker alone                    e = envelope of [asker bin 20, peer record]
 * ```
 *
 * An envelope is that of topics (`envelope.ts`), under a key of its own for each header, so that none passes for another
 * or for a topic's message; `ttl` stands outside of it, because it changes at every hop. The number of an answer is that
 * of its question. Over a connection the same messages travel without the packet around them.
 *
 * @module
 */

import { createHash } from "node:crypto";
import type { Clock } from "../clock.ts";
import { InvalidPacketError } from "../errors.ts";
import { encodeDatagram, SERVICE_CODE } from "../wire/datagram.ts";
import { encodeWireData, type WireData, wireData } from "../wire/message.ts";
import { decode, encode } from "../wire/msgpack.ts";
import {
  idToHex,
  parsePeerId,
  parseRemotePeer,
  type RemotePeer,
  remotePeerToRecord,
} from "../wire/remote_peer.ts";
import {
  type AuthorKey,
  type Envelope,
  EnvelopeReader,
  type EnvelopeReaderOptions,
  peekEnvelope,
  signEnvelopes,
  TOPIC_KEY_BYTES,
} from "./envelope.ts";

/** Longest text of a rumor in bytes of UTF-8: what is larger belongs into a topic. */
export const MAX_RUMOR_BYTES: number = 16 * 1024;

/** How many numbers an author may use in each millisecond that it lives, so that no two lives use the same. */
const NUMBERS_A_MS = 2_048;

const KINDS = [":rumor", ":search", ":found"] as const;

/** What a packet is. */
export type RumorKind = typeof KINDS[number];

/** A packet as it came, its envelope unread. */
export interface RumorPacket {
  /** What it is. */
  readonly kind: RumorKind;
  /** Hops that are left; 0 for an answer. */
  readonly ttl: number;
  /** What somebody signed. */
  readonly envelope: Uint8Array;
}

/** A text that its author signed. */
export interface SignedText {
  /** Whether it is told or searched for. */
  readonly kind: ":rumor" | ":search";
  /** Who wrote it, 40 hexadecimal digits. */
  readonly author: string;
  /** Its number among the author's. */
  readonly seq: number;
  /** When its author says it was made, in milliseconds since 1970. */
  readonly createdMs: number;
  /** What it says. */
  readonly text: string;
  /** The envelope, to be passed on. */
  readonly bytes: Uint8Array;
}

/** An answer to a search. */
export interface SignedAnswer {
  /** Who asked, 40 hexadecimal digits. */
  readonly asker: string;
  /** The number of its question. */
  readonly seq: number;
  /** Who answers, proven, and what it says of itself. */
  readonly peer: RemotePeer;
}

/** A native message, as it travels over a connection; {@linkcode encodeRumorPacket} puts it into a packet. */
export function encodeRumor({ kind, ttl, envelope }: RumorPacket): Uint8Array<ArrayBuffer> {
  return encodeWireData(wireData(kind, kind === ":found" ? { e: envelope } : { ttl, e: envelope }));
}

/** A packet's bytes, service code and length included. */
export function encodeRumorPacket(payload: Uint8Array): Uint8Array<ArrayBuffer> {
  return encodeDatagram(SERVICE_CODE.gossip, payload);
}

/** Reads the message of a packet. @throws {InvalidPacketError} `bad-message` naming the field that is wrong. */
export function readRumor({ header, body }: Pick<WireData, "header" | "body">): RumorPacket {
  const kind = KINDS.find((known) => known === header);
  if (kind === undefined) throw bad("header", "it is none of a rumor's");
  const { ttl = 0, e: envelope } = body;
  if (typeof ttl !== "number" || !Number.isInteger(ttl)) throw bad("ttl", "it is not an integer");
  if (!(envelope instanceof Uint8Array)) throw bad("e", "it is not bin");
  return { kind, ttl, envelope };
}

/** What a {@linkcode RumorEnvelopes} needs. */
export interface RumorEnvelopesOptions extends Omit<EnvelopeReaderOptions, "maxBytes"> {
  /** Signs what we write. */
  readonly key: AuthorKey;
  /** Our peer id. */
  readonly peerId: string;
  /** Where times and the first number come from. */
  readonly clock: Pick<Clock, "wallMs" | "random">;
}

/** Writes and reads what is in the envelopes of rumors. */
export class RumorEnvelopes {
  readonly #key: AuthorKey;
  readonly #peerId: string;
  readonly #clock: Pick<Clock, "wallMs">;
  readonly #reader: EnvelopeReader;
  #seq: number;

  /** Has written nothing. */
  constructor({ key, peerId, clock, ...reader }: RumorEnvelopesOptions) {
    this.#key = key;
    this.#peerId = peerId;
    this.#clock = clock;
    this.#reader = new EnvelopeReader({ ...reader, maxBytes: MAX_RUMOR_BYTES });
    const first = Math.floor(clock.random() * NUMBERS_A_MS);
    this.#seq = Math.floor(clock.wallMs()) * NUMBERS_A_MS + first;
  }

  /** A text of ours, signed. @throws {InvalidPacketError} `too-large` for more than 16 KiB. */
  write(kind: SignedText["kind"], text: string): SignedText {
    const data = new TextEncoder().encode(text);
    if (data.length > MAX_RUMOR_BYTES) throw tooLarge(data.length);
    const createdMs = Math.floor(this.#clock.wallMs());
    const seq = this.#seq++;
    const bytes = this.#sign(kind, { seq, createdMs, data });
    return { kind, author: this.#peerId, seq, createdMs, text, bytes };
  }

  /** The answer to a question, signed: who we are. */
  writeAnswer({ author, seq }: SignedText, self: RemotePeer): Uint8Array {
    const data = encode([Uint8Array.fromHex(author), remotePeerToRecord(self)]);
    return this.#sign(":found", { seq, createdMs: Math.floor(this.#clock.wallMs()), data });
  }

  /**
   * Reads a text, and checks who wrote it.
   *
   * @throws {InvalidPacketError} naming what is wrong. @throws {IntegrityError} when its author did not sign it as this.
   */
  read(kind: SignedText["kind"], bytes: Uint8Array): SignedText {
    const envelope = this.#reader.read(bytes, KEYS[kind]);
    const { author, seq, createdMs } = envelope;
    return { kind, author, seq, createdMs, text: textOf(envelope), bytes: envelope.bytes };
  }

  /** The number of the question that an answer claims to be to, nothing being checked. @throws {InvalidPacketError} */
  peekAnswer(bytes: Uint8Array): number {
    return peekEnvelope(bytes, () => "").seq;
  }

  /** Reads an answer. @throws as {@linkcode RumorEnvelopes.read}. */
  readAnswer(bytes: Uint8Array): SignedAnswer {
    const { author, seq, data } = this.#reader.read(bytes, KEYS[":found"]);
    const fields = decode(data);
    if (!Array.isArray(fields) || fields.length !== 2) throw bad("e", "it is not [asker, peer]");
    const [asker, record]: unknown[] = fields;
    const peer = parseRemotePeer(record);
    if (idToHex(peer.id) !== author) throw bad("peer", "it is not its author");
    return { asker: idToHex(parsePeerId(asker)), seq, peer };
  }

  #sign(kind: RumorKind, draft: Pick<Envelope, "seq" | "createdMs" | "data">): Uint8Array {
    const [bytes] = signEnvelopes(this.#key, KEYS[kind], [draft]);
    return bytes as Uint8Array; // one for each draft
  }
}

/** What the envelopes of each kind are signed for. */
const KEYS: Readonly<Record<RumorKind, Uint8Array>> = {
  ":rumor": keyOf(":rumor"),
  ":search": keyOf(":search"),
  ":found": keyOf(":found"),
};

/** Of no topic: their keys are of another text. */
function keyOf(kind: RumorKind): Uint8Array {
  const digest = createHash("sha256").update(`kith rumor\n${kind}`).digest();
  return new Uint8Array(digest.subarray(0, TOPIC_KEY_BYTES));
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function textOf({ data }: Envelope): string {
  try {
    return utf8.decode(data);
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause;
    throw bad("text", "it is not UTF-8");
  }
}

function bad(field: string, why: string): InvalidPacketError {
  return new InvalidPacketError("bad-message", `Cannot read rumor: ${field}: ${why}`, {
    details: { field },
  });
}

function tooLarge(got: number): InvalidPacketError {
  return new InvalidPacketError(
    "too-large",
    `Cannot tell a rumor: ${got} bytes exceed MAX_RUMOR_BYTES ${MAX_RUMOR_BYTES}`,
    { details: { limit: "MAX_RUMOR_BYTES", max: MAX_RUMOR_BYTES, got } },
  );
}
