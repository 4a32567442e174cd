import { assert, assertEquals, assertThrows } from "@std/assert";
import { InvalidPacketError } from "../../src/errors.ts";
import {
  encodeInform,
  encodeInformResponse,
  INFORM_HEADER,
  parseInform,
  parseInformResponse,
} from "../../src/palmtree/session.ts";
import { concat } from "../../src/wire/concat.ts";
import { encodeWireData, wireData } from "../../src/wire/message.ts";
import { encode } from "../../src/wire/msgpack.ts";
import { idFromDecimal } from "../../src/wire/remote_peer.ts";
import { bytesOf, feedGarbage, loadVectors } from "../testdata/vectors.ts";

const INFORMS = loadVectors("peerconnect.palm.inform");
const RESPONSES = loadVectors("peerconnect.palm.inform_response");
const ORIGINATE_ID = "469099608771183077085495238363724627294301243880";

/** An inform with other fields, or another id. */
function inform(change: Record<string, unknown>, msgId: unknown = "7"): Uint8Array {
  const dialect = "peerconnect";
  const body = {
    session_id: "s",
    key: "k",
    fanout: 5,
    link_wait_timeout: 3,
    adjacent_peers: ["1"],
    chunk_size: 1_024,
    ...change,
  };
  return encodeWireData(wireData(INFORM_HEADER, body, { msgId, dialect }), { dialect });
}

Deno.test("parseInform reads every inform of the originals, and encodeInform writes it byte for byte", () => {
  for (const vector of INFORMS) {
    const value = vector.value as Record<string, unknown>;
    const session = parseInform(bytesOf(vector));
    assert(session !== undefined);
    assertEquals(session.originateId, ORIGINATE_ID);
    assertEquals(session.sessionId, value.session_id);
    assertEquals(session.key, value.key);
    assertEquals(session.fanout, value.fanout);
    assertEquals(session.linkWaitMs, 1_000 * Number(value.link_wait_timeout));
    assertEquals(session.adjacentPeers, value.adjacent_peers);
    assertEquals([session.fileCount, session.chunkSize], [value.file_count, value.chunk_size]);
    assertEquals(encodeInform(session).toHex(), vector.hex);
  }
  assertEquals(INFORMS.length, 10);
});

Deno.test("parseInform takes what the seed says: an integer for a session, bin for ids, no files", () => {
  const bin = idFromDecimal(ORIGINATE_ID);
  for (const sessionId of [7, 2n ** 63n, "text"]) {
    const payload = inform({ session_id: sessionId, adjacent_peers: [bin, "007"] }, bin);
    const session = parseInform(payload);
    assert(session !== undefined);
    assertEquals([session.originateId, session.adjacentPeers], [
      ORIGINATE_ID,
      [ORIGINATE_ID, "7"],
    ]);
    assertEquals([session.sessionId, session.fileCount], [sessionId, undefined]);
    assertEquals(parseInform(encodeInform(session)), session);
  }
});

Deno.test("parseInform leaves other messages to others", () => {
  const dialect = "peerconnect";
  for (const header of ["gossip_tree_check", new TextEncoder().encode(INFORM_HEADER)]) {
    assertEquals(
      parseInform(encodeWireData(wireData(header, {}, { dialect }), { dialect })),
      undefined,
    );
  }
});

Deno.test("parseInform refuses what is malformed, naming the field", () => {
  const cases: [string, Uint8Array][] = [
    ["id", inform({}, null)],
    ["id", inform({}, "x")],
    ["id", inform({}, "9".repeat(50))],
    ["id", inform({}, new Uint8Array(21))],
    ["session_id", inform({ session_id: "" })],
    ["session_id", inform({ session_id: 1.5 })],
    ["session_id", inform({ session_id: "x".repeat(129) })],
    ["key", inform({ key: 7 })],
    ["fanout", inform({ fanout: 0 })],
    ["fanout", inform({ fanout: 70_000 })],
    ["link_wait_timeout", inform({ link_wait_timeout: -1 })],
    ["link_wait_timeout", inform({ link_wait_timeout: 1e9 })],
    ["adjacent_peers", inform({ adjacent_peers: "1" })],
    ["adjacent_peers", inform({ adjacent_peers: [1] })],
    ["adjacent_peers", inform({ adjacent_peers: new Array(4_097).fill("1") })],
    ["chunk_size", inform({ chunk_size: 0 })],
    ["chunk_size", inform({ chunk_size: 2 ** 24 })],
    ["file_count", inform({ file_count: -1 })],
  ];
  for (const [field, payload] of cases) {
    const error = assertThrows(() => parseInform(payload), InvalidPacketError);
    assertEquals(error.details.field, field, error.message);
  }
});

Deno.test("parseInformResponse reads every answer of the originals, and encodeInformResponse writes it", () => {
  for (const vector of RESPONSES) {
    const value = vector.value as Record<string, unknown>;
    const response = parseInformResponse(bytesOf(vector));
    const { passive, active } = response;
    assertEquals([passive.hostname, passive.port], value.passive_addr);
    assertEquals([active.hostname, active.port], value.active_addr);
    assertEquals(response.sessionKey, value.session_key);
    if (typeof value.peer_id === "string") {
      assertEquals(response.peerId, value.peer_id);
      assertEquals(encodeInformResponse(response).toHex(), vector.hex);
    } else assertEquals(response.peerId, ORIGINATE_ID, "the same id as bin");
  }
  assertEquals(RESPONSES.length, 11);
});

Deno.test("parseInformResponse refuses what is malformed, naming the field", () => {
  const pair = ["192.0.2.1", 1];
  const cases: [string, unknown][] = [
    ["answer", "x"],
    ["answer", ["1", pair, pair]],
    ["peer_id", [1, pair, pair, "k"]],
    ["passive_addr", ["1", ["192.0.2.1"], pair, "k"]],
    ["passive_addr", ["1", ["192.0.2.1", -1], pair, "k"]],
    ["active_addr", ["1", pair, ["x".repeat(254), 1], "k"]],
    ["active_addr", ["1", pair, ["192.0.2.1", 65_536], "k"]],
    ["session_key", ["1", pair, pair, null]],
  ];
  for (const [field, value] of cases) {
    const error = assertThrows(() => parseInformResponse(encode(value)), InvalidPacketError);
    assertEquals(error.details.field, field, error.message);
  }
});

Deno.test("informs and answers are read with what follows them, and refused when they are cut", () => {
  const [inform, response] = [INFORMS[3], RESPONSES[0]].map((vector) => vector && bytesOf(vector));
  assert(inform !== undefined && response !== undefined);
  assertEquals(parseInform(concat(inform, inform)), parseInform(inform));
  assertEquals(parseInformResponse(concat(response, inform)), parseInformResponse(response));
  for (let length = 0; length < inform.length; length++) {
    assertThrows(() => parseInform(inform.subarray(0, length)), InvalidPacketError);
  }
  for (let length = 0; length < response.length; length++) {
    assertThrows(() => parseInformResponse(response.subarray(0, length)), InvalidPacketError);
  }
});

Deno.test("parseInform and parseInformResponse meet any bytes with a value or an error of ours", () => {
  const informs = feedGarbage(parseInform, INFORMS.map(bytesOf), { seed: 71, cases: 2_000 });
  assert(informs.decoded > 100 && informs.refused > 500, JSON.stringify(informs));
  const responses = feedGarbage(parseInformResponse, RESPONSES.map(bytesOf), {
    seed: 72,
    cases: 2_000,
  });
  assert(responses.decoded > 100 && responses.refused > 500, JSON.stringify(responses));
});
