import { assert, assertEquals, assertThrows } from "@std/assert";
import { InvalidPacketError } from "../../../src/errors.ts";
import {
  encodeHandshake,
  MAX_HANDSHAKE_BYTES,
  MAX_TRANSFER_ID_CHARS,
  parseHandshake,
  type PeerConnectHandshake,
} from "../../../src/transfer/dialects/peerconnect_handshake.ts";
import { FrameReader } from "../../../src/wire/frame.ts";
import {
  decodeWireData,
  encodeWireData,
  type WireData,
  wireData,
} from "../../../src/wire/message.ts";
import { idFromDecimal } from "../../../src/wire/remote_peer.ts";
import { bytesOf, feedGarbage, loadVector, loadVectors } from "../../testdata/vectors.ts";

const dialect = "peerconnect";
const ALICE = "469099608771183077085495238363724627294301243880";
const BOB = "411584888107528619028472592356892422539712238090";

const HANDSHAKES: Record<string, PeerConnectHandshake> = {
  "file": { type: "files", peerId: ALICE, transferId: "0" },
  "file 2": { type: "files", peerId: BOB, transferId: "17" },
  "directory": { type: "directory", peerId: ALICE, transferId: "1", name: "photos" },
  "chat connection": { type: "chat", peerId: ALICE },
};

function parse(message: WireData): PeerConnectHandshake | undefined {
  return parseHandshake(encodeWireData(message, { dialect }));
}

/** The message of a handshake, changed. */
function changed(name: string, changes: Partial<WireData>): WireData {
  const vector = loadVector("peerconnect.transfer_handshake", name);
  const message = decodeWireData(bytesOf(vector), { dialect });
  return { ...message, ...changes, body: { ...message.body, ...changes.body } };
}

Deno.test("encodeHandshake and parseHandshake agree with the originals, byte for byte", () => {
  for (const [name, handshake] of Object.entries(HANDSHAKES)) {
    const vector = loadVector("peerconnect.transfer_handshake", name);
    assertEquals(parseHandshake(bytesOf(vector)), handshake, name);
    const reader = new FrameReader({ maxFrameBytes: MAX_HANDSHAKE_BYTES });
    reader.push(encodeHandshake(handshake));
    assertEquals(reader.next()?.toHex(), vector.hex, name);
    reader.end();
  }
});

Deno.test("the link of a palm tree has a str header, and is handed on as it came", () => {
  const vectors = loadVectors("peerconnect.palm.control").filter(({ name }) =>
    name.startsWith("stream link")
  );
  assert(vectors.length >= 2);
  for (const vector of vectors) {
    const link = { type: "link", payload: bytesOf(vector) } as const;
    assertEquals(parseHandshake(bytesOf(vector)), link);
    assertEquals(encodeHandshake(link).subarray(4).toHex(), vector.hex);
  }
  assertEquals(parse(wireData("otm_add_stream_link", {}, { dialect }))?.type, "link");
});

Deno.test("parseHandshake leaves alone what is no handshake, and headers of the other type", () => {
  const utf8 = new TextEncoder();
  for (
    const header of [
      "basic connection",
      "connection for file transfer",
      utf8.encode("otm_add_stream_link"),
      utf8.encode("cmd to recv dir"), // without the blank
      utf8.encode("this is message "),
      new Uint8Array(0),
      null,
      7,
    ]
  ) {
    assertEquals(parse({ ...wireData("", {}, { dialect }), header }), undefined);
  }
});

Deno.test("parseHandshake takes an id as bin, from either element, and integers for texts", () => {
  const peerId = idFromDecimal(ALICE);
  assertEquals(parse(changed("file", { peerId })), HANDSHAKES.file);
  assertEquals(parse(changed("file", { peerId: null, msgId: ALICE })), HANDSHAKES.file);
  assertEquals(parse(changed("file", { msgId: BOB })), HANDSHAKES.file);
  assertEquals(parse(changed("file", { body: { file_id: 0 } })), HANDSHAKES.file);
});

Deno.test("parseHandshake names the field that is wrong, and refuses a hostile directory", () => {
  const long = "1".repeat(MAX_TRANSFER_ID_CHARS + 1);
  const cases: [string, Partial<WireData>, string][] = [
    ["file", { peerId: null }, "id: it is neither bin nor text"],
    ["file", { peerId: "bob" }, "not a decimal number"],
    ["file", { peerId: new Uint8Array(21) }, "PEER_ID_BYTES"],
    ["file", { body: { file_id: "" } }, "file_id: it is not text of 1..128"],
    ["file", { body: { file_id: long } }, "file_id: it is not text"],
    ["file", { body: { file_id: null } }, "file_id: it is not text"],
    ["directory", { body: { transfer_id: undefined } }, "transfer_id: it is not text"],
    ["directory", { body: { dir_name: 1 } }, "name: it is not text"],
    ["directory", { body: { dir_name: "../x" } }, 'Cannot accept path "../x": dot segment'],
    ["directory", { body: { dir_name: ".." } }, "dot segment"],
    ["directory", { body: { dir_name: "" } }, "empty path"],
    ["directory", { body: { dir_name: "a/b" } }, "it leads into a folder"],
    ["directory", { body: { dir_name: ".kith-partial" } }, "reserved folder"],
  ];
  for (const [name, changes, text] of cases) {
    assertThrows(() => parse(changed(name, changes)), InvalidPacketError, text);
  }
});

Deno.test("parseHandshake meets garbage with errors of ours", () => {
  const samples = loadVectors("peerconnect.transfer_handshake").map(bytesOf);
  const { decoded, refused } = feedGarbage(parseHandshake, samples, { seed: 32, cases: 3000 });
  assert(decoded > 100 && refused > 100, `${decoded} ${refused}`);
});
