import { assert, assertEquals, assertThrows } from "@std/assert";
import { InvalidPacketError } from "../../../src/errors.ts";
import {
  encodeGossip,
  encodeSearch,
  encodeSearchReply,
  MAX_GOSSIP_ID_CHARS,
  parseGossip,
} from "../../../src/gossip/dialects/peerconnect_gossip_packets.ts";
import { decodeDatagram, SERVICE_CODE } from "../../../src/wire/datagram.ts";
import { decodeWireData, encodeWireData, wireData } from "../../../src/wire/message.ts";
import { encode } from "../../../src/wire/msgpack.ts";
import { idToHex } from "../../../src/wire/remote_peer.ts";
import { bytesOf, feedGarbage, fromNotation, loadVectors } from "../../testdata/vectors.ts";

const FAMILY = "peerconnect.gossip";
const dialect = "peerconnect";

/** What a vector says, and its id. */
interface Said {
  readonly header: string;
  readonly msg_id: string;
  readonly message: string | Uint8Array;
  readonly ttl?: number;
  readonly created: number;
  readonly id?: string;
}

const VECTORS = loadVectors(FAMILY).map((vector) => {
  return { name: vector.name, bytes: bytesOf(vector), said: fromNotation(vector.value) as Said };
});

function read(payload: Uint8Array) {
  return parseGossip(decodeWireData(payload, { dialect }));
}

function payloadOf(packet: Uint8Array): string {
  const { code, payload } = decodeDatagram(packet, { code: true, exact: true });
  assertEquals(code, SERVICE_CODE.peerconnectGossip);
  return payload.toHex();
}

/** The bytes of a message without `id` in its body, with it. */
function withId(bytes: Uint8Array, id: string): string {
  const key = "a26964d924" + new TextEncoder().encode(id).toHex();
  return bytes.toHex().replace("83a76d657373616765", "84a76d657373616765").replace(
    /c0$/,
    key + "c0",
  );
}

Deno.test("parseGossip reads every packet of the originals", () => {
  const types: string[] = [];
  for (const { name, bytes, said } of VECTORS) {
    const packet = read(bytes);
    assert(packet !== undefined, name);
    types.push(packet.type);
    const { msg_id: id, message, ttl = 0, created } = said;
    if (packet.type === "message") {
      assertEquals(packet.message, { id, message, ttl, created }, name);
    }
    if (packet.type === "search") assertEquals([packet.id, packet.text], [id, message], name);
    if (packet.type === "reply") assertEquals(packet.id, id, name);
  }
  assertEquals(types.filter((type) => type === "message").length, 8);
  assertEquals(types.filter((type) => type === "search").length, 2);
  assertEquals(types.filter((type) => type === "reply").length, 2);
});

Deno.test("encodeGossip writes what the originals pass on, byte for byte", () => {
  let written = 0;
  for (const { name, bytes, said } of VECTORS) {
    const { msg_id: id, message, ttl, created } = said;
    if (typeof message !== "string" || ttl === undefined) continue;
    const payload = payloadOf(encodeGossip({ id, message, ttl, created }));
    // A whole time is a float all the same: an integer is only ever read.
    const isInteger = name === "message integer created";
    if (isInteger) {
      const back = read(Uint8Array.fromHex(payload));
      assertEquals(back, { type: "message", message: { id, message, ttl, created } });
    } else assertEquals(payload, said.id === undefined ? withId(bytes, id) : bytes.toHex(), name);
    written++;
  }
  assertEquals(written, 7);
});

Deno.test("encodeSearch and encodeSearchReply write what the originals do, byte for byte", () => {
  let written = 0;
  for (const { name, bytes, said: { msg_id: id, message, created } } of VECTORS) {
    const packet = read(bytes);
    if (packet?.type === "search") {
      assertEquals(payloadOf(encodeSearch(id, String(message), created)), bytes.toHex(), name);
      written++;
    }
    if (packet?.type === "reply") {
      const { peer } = packet;
      assertEquals(payloadOf(encodeSearchReply(id, peer, created)), bytes.toHex(), name);
      assert(["alice", "bob"].includes(peer.username ?? ""));
      assertEquals(idToHex(peer.id).length, 40);
      written++;
    }
  }
  assertEquals(written, 4);
});

Deno.test("encodeGossip keeps a time to the last bit", () => {
  for (const created of [1_700_000_000.123456, 0.1 + 0.2, 1e300, -1]) {
    const packet = encodeGossip({ id: "x", message: "", ttl: 1, created });
    const back = read(Uint8Array.fromHex(payloadOf(packet)));
    assert(back?.type === "message");
    assertEquals(back.message.created, created);
  }
});

/** A message of the dialect with another header, id or body. */
function message(
  change: { header?: string | Uint8Array; msgId?: unknown; body?: Record<string, unknown> } = {},
): Uint8Array {
  const { header = "\u0000", msgId = "x", body = {} } = change;
  const whole = { message: "hello", ttl: 3, created: 1.5, ...body };
  return encodeWireData(wireData(header, whole, { msgId, dialect }), { dialect });
}

Deno.test("parseGossip leaves what has another header to others", () => {
  for (
    const header of [Uint8Array.of(0), Uint8Array.of(1), Uint8Array.of(2), "\u0003", "", "hello"]
  ) {
    assertEquals(read(message({ header })), undefined);
  }
  assert(read(message()) !== undefined);
});

Deno.test("parseGossip takes a missing ttl for the end of the way, and any integer", () => {
  for (const [ttl, expected] of [[undefined, 0], [null, 0], [-1, -1], [0, 0], [2 ** 40, 2 ** 40]]) {
    const packet = read(message({ body: { ttl } }));
    assert(packet?.type === "message");
    assertEquals(packet.message.ttl, expected);
  }
});

Deno.test("parseGossip refuses what is malformed, naming the field", () => {
  const reply = (record: unknown) => ({ header: "\u0002", body: { message: encode(record) } });
  const cases: [string, Uint8Array][] = [
    ["id", message({ msgId: null })],
    ["id", message({ msgId: 7 })],
    ["id", message({ msgId: "" })],
    ["id", message({ msgId: "y".repeat(MAX_GOSSIP_ID_CHARS + 1) })],
    ["id", message({ body: { id: "another" } })],
    ["id", message({ body: { id: 7 } })],
    ["message", message({ body: { message: Uint8Array.of(1) } })],
    ["message", message({ body: { message: null } })],
    ["message", message({ header: "\u0001", body: { message: ["ali"] } })],
    ["message", message({ header: "\u0002" })],
    ["ttl", message({ body: { ttl: 1.5 } })],
    ["ttl", message({ body: { ttl: "3" } })],
    ["ttl", message({ body: { ttl: 2n ** 60n } })],
    ["created", message({ body: { created: NaN } })],
    ["created", message({ body: { created: Infinity } })],
    ["created", message({ body: { created: "now" } })],
    ["created", message({ body: { created: undefined } })],
    ["record", message(reply("alice"))],
    ["record", message(reply([new Uint8Array(20), "alice", "192.0.2.1", 1, 2]))],
    ["id", message(reply([new Uint8Array(21), "alice", "192.0.2.1", 1, 2, 1]))],
    ["udpPort", message(reply([new Uint8Array(20), "alice", "192.0.2.1", 1, 65_536, 1]))],
  ];
  for (const [field, bytes] of cases) {
    const error = assertThrows(() => read(bytes), InvalidPacketError);
    assertEquals(error.details.field, field, error.message);
  }
});

Deno.test("parseGossip meets any bytes with a packet or an error of ours", () => {
  const samples = VECTORS.filter(({ name }) => name !== "long message").map(({ bytes }) => bytes);
  const { decoded, refused } = feedGarbage(read, samples, { seed: 62, cases: 3_000 });
  assert(decoded > 300 && refused > 1_000, `${decoded} decoded, ${refused} refused`);
});

Deno.test("parseGossip refuses every packet that is cut", () => {
  for (const { bytes } of VECTORS.slice(0, 9)) {
    for (let length = 0; length < bytes.length; length++) {
      assertThrows(() => read(bytes.subarray(0, length)), InvalidPacketError);
    }
  }
});
