/**
 * The decoders of the dialects in which files, directories and text come.
 *
 * @module
 */

import { Chat } from "../../src/transfer/dialects/peerconnect_chat.ts";
import { DirectoryReceiver } from "../../src/transfer/dialects/peerconnect_directory_receiver.ts";
import { FileReceiver } from "../../src/transfer/dialects/peerconnect_file_receiver.ts";
import { FileSender } from "../../src/transfer/dialects/peerconnect_file_sender.ts";
import { parseHandshake } from "../../src/transfer/dialects/peerconnect_handshake.ts";
import { withLength } from "../../src/transfer/dialects/peerconnect_records.ts";
import { bytesOf, loadVectors } from "../testdata/vectors.ts";
import { drain } from "../transfer/dialects/peerconnect_fixture.ts";
import type { FuzzTarget } from "./decoders.ts";
import { concat } from "./generate.ts";

/** A sender that went on is asked to do so at any point. */
const SENT = [{ name: "a", size: 3 }, { name: "b", size: 70_000 }];

const handshakes = loadVectors("peerconnect.transfer_handshake").map(bytesOf);

/** What a PeerConnect node sends over a connection. */
export const TRANSFER_DIALECT_TARGETS: readonly FuzzTarget[] = [
  {
    name: "PeerConnect's handshake",
    corpus: handshakes,
    decode: parseHandshake,
  },
  {
    name: "files of a PeerConnect node",
    corpus: transcripts((name) => !name.startsWith("directory")),
    decode: (input) => {
      const receiver = new FileReceiver();
      receiver.connected();
      return take(receiver, input);
    },
  },
  {
    name: "files of a PeerConnect node, gone on with",
    corpus: transcripts((name) => name.startsWith("resumed")),
    decode: (input) => {
      const receiver = new FileReceiver({ partial: { name: "t1.txt", size: 11, got: 6 } });
      receiver.connected();
      return take(receiver, input);
    },
  },
  {
    name: "directory of a PeerConnect node",
    corpus: transcripts((name) => name.startsWith("directory")),
    decode: (input) => take(new DirectoryReceiver(), input),
  },
  {
    name: "answers to a sender of files",
    corpus: ["01", "00", "0000000000000002", "0000000000010000"].map((hex) =>
      Uint8Array.fromHex(hex)
    ),
    decode: (input) => {
      const sender = new FileSender(SENT);
      sender.connected();
      sender.push(Uint8Array.of(1));
      for (const _ of drain(sender));
      sender.connected();
      return take(sender, input);
    },
  },
  {
    name: "chat of a PeerConnect node",
    corpus: [concat(...handshakes.slice(-2).map((message) => withLength(message)))],
    decode: (input) => take(new Chat({ self: "1" }), input),
  },
];

/** Everything that comes of it. */
function take(
  machine: { push(bytes: Uint8Array): void; next(): unknown; ended(): void },
  input: Uint8Array,
): unknown[] {
  machine.push(input);
  const items = [...drain(machine)];
  machine.ended();
  return items;
}

function transcripts(isMeant: (name: string) => boolean): Uint8Array[] {
  return loadVectors("peerconnect.file_transcript").filter(({ name }) => isMeant(name)).map(
    (one) => {
      const { sends = [] } = one as unknown as { sends?: readonly string[] };
      return Uint8Array.fromHex(sends.filter((hex) => !hex.startsWith("read")).join(""));
    },
  );
}
