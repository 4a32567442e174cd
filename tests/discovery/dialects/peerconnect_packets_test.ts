import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  encodeFind,
  encodeFindReply,
  encodeProbe,
  encodeSignOfLife,
  MAX_PROBE_ID_CHARS,
  parsePeerConnect,
  type PeerConnectMessage,
} from "../../../src/discovery/dialects/peerconnect_packets.ts";
import { InvalidPacketError } from "../../../src/errors.ts";
import { decodeDatagram, SERVICE_CODE } from "../../../src/wire/datagram.ts";
import { decodeWireData, type MessageBody, wireData } from "../../../src/wire/message.ts";
import { bytesOf, feedGarbage, loadVector, loadVectors } from "../../testdata/vectors.ts";
import { findOf, ORIGINAL_ID, probeOf, readContact, replyOf } from "./peerconnect_fixture.ts";

const FAMILY = "peerconnect.requests_datagram";
const CODE = SERVICE_CODE.peerconnectDiscovery;
const ADDRESS = { hostname: "192.0.2.10", port: 3486 };

type Case = [header: Uint8Array, id: unknown, body: MessageBody, field: string];

/** What a packet says; one without a code begins with 0 and is cut accordingly. */
function parse(packet: Uint8Array, code = true): PeerConnectMessage | undefined {
  const { payload } = decodeDatagram(packet, { code, exact: true });
  return parsePeerConnect(decodeWireData(payload, { dialect: "peerconnect" }));
}

Deno.test("encodeFind and encodeFindReply write the bytes of the original, and they are read", () => {
  let finds = 0;
  for (const vector of loadVectors(FAMILY)) {
    if (!vector.name.startsWith("discovery ")) continue;
    const { msg_id: id, reply_addr, connect_uri } = vector.value as Record<string, unknown>;
    const [hostname, port] = (reply_addr ?? connect_uri) as [string, number];
    const [address, peerId] = [{ hostname, port }, String(id)];
    const type = reply_addr === undefined ? "reply" : "find";
    const packet = type === "find" ? encodeFind(peerId, address) : encodeFindReply(peerId, address);
    assertEquals(packet, bytesOf(vector), vector.name);
    assertEquals(parse(packet), { type, peerId, address });
    finds++;
  }
  assertEquals(finds, 5);
});

Deno.test("encodeProbe writes the bytes of the original, and they are read with and without a code", () => {
  const name =
    "liveness ping as dev emits it: NO service code (the receiver misreads it and drops it)";
  const id = "7d7e0a31-0000-4000-8000-000000000002";
  assertEquals(encodeProbe(id), bytesOf(loadVector(FAMILY, name)));
  assertEquals(parse(encodeProbe(id), false), { type: "probe", id });
  for (const code of [0, 1, 2]) {
    assertEquals(encodeProbe(id, code)[0], code);
    assertEquals(parse(encodeProbe(id, code)), { type: "probe", id });
  }
});

Deno.test("the peer that tests are written against speaks as the original does", () => {
  const find = loadVector(FAMILY, "discovery find");
  assertEquals(findOf(ORIGINAL_ID, "192.0.2.10", 3486), bytesOf(find));
  const reply = loadVector(FAMILY, "discovery find reply");
  assertEquals(replyOf(ORIGINAL_ID, "192.0.2.10", 3486), bytesOf(reply));
  assertEquals(readContact(bytesOf(reply)), {
    header: 1,
    id: ORIGINAL_ID,
    key: "connect_uri",
    ip: "192.0.2.10",
    port: 3486,
  });
  assertEquals(probeOf("x", 2), encodeProbe("x", 2));
  assertEquals(probeOf("x"), encodeProbe("x"));
});

Deno.test("encodeSignOfLife repeats the id, is no probe, and is shorter than one", () => {
  for (const id of ["", "x", "x".repeat(MAX_PROBE_ID_CHARS), "\u65e5".repeat(MAX_PROBE_ID_CHARS)]) {
    const sign = encodeSignOfLife(id);
    const { payload } = decodeDatagram(sign, { code: true, exact: true });
    assertEquals(decodeWireData(payload, { dialect: "peerconnect" }).msgId, id);
    assertEquals(parse(sign), undefined);
    assert(sign.length < encodeProbe(id).length);
  }
});

Deno.test("encodeFind leaves the zone of an address out", () => {
  const packet = encodeFind("7", { hostname: "fe80::1%eth0", port: 9 });
  const address = { hostname: "fe80::1", port: 9 };
  assertEquals(parse(packet), { type: "find", peerId: "7", address });
});

Deno.test("parsePeerConnect has one form for an id, however it was written", () => {
  const message = wireData(Uint8Array.of(0), { reply_addr: ["a", 1] }, { msgId: "0007" });
  const address = { hostname: "a", port: 1 };
  assertEquals(parsePeerConnect(message), { type: "find", peerId: "7", address });
});

Deno.test("parsePeerConnect names the field that is wrong", () => {
  const [find, reply, probe] = [Uint8Array.of(0), Uint8Array.of(1), encodeProbe("x").slice(7, 31)];
  const right = ["192.0.2.10", 3486];
  const cases: Case[] = [
    [find, null, { reply_addr: right }, "id"],
    [find, 7, { reply_addr: right }, "id"],
    [find, "seven", { reply_addr: right }, "id"],
    [find, "-7", { reply_addr: right }, "id"],
    [find, (2n ** 160n).toString(), { reply_addr: right }, "id"],
    [find, "7", {}, "reply_addr"],
    [find, "7", { connect_uri: right }, "reply_addr"],
    [find, "7", { reply_addr: "192.0.2.10:3486" }, "reply_addr"],
    [find, "7", { reply_addr: ["192.0.2.10"] }, "reply_addr"],
    [find, "7", { reply_addr: [...right, 1] }, "reply_addr"],
    [find, "7", { reply_addr: [7, 3486] }, "reply_addr"],
    [find, "7", { reply_addr: ["x".repeat(254), 3486] }, "reply_addr"],
    ...[0, -1, 65_536, 1.5, "3486", null].map((port): Case => {
      return [reply, "7", { connect_uri: ["192.0.2.10", port] }, "connect_uri"];
    }),
    [probe, null, {}, "id"],
    [probe, Uint8Array.of(7), {}, "id"],
    [probe, "x".repeat(MAX_PROBE_ID_CHARS + 1), {}, "id"],
  ];
  for (const [header, msgId, body, field] of cases) {
    const message = wireData(header, body, { msgId });
    const error = assertThrows(() => parsePeerConnect(message), InvalidPacketError);
    assertEquals([error.code, error.details.field], ["bad-message", field], JSON.stringify(body));
  }
});

Deno.test("parsePeerConnect leaves alone what is about something else", () => {
  const other = [
    "\0",
    "\x01",
    "pinging peer for removal",
    null,
    7,
    new Uint8Array(0),
    new Uint8Array(2),
  ];
  for (const header of other) {
    const message = { ...wireData(""), header, body: { reply_addr: 7 } };
    assertEquals(parsePeerConnect(message), undefined);
  }
});

Deno.test("parsePeerConnect meets cut packets and random garbage with errors of ours", () => {
  const samples = [encodeFind("7", ADDRESS), encodeFindReply("7", ADDRESS), encodeProbe("x", CODE)];
  for (const packet of samples) {
    for (let length = 0; length < packet.length; length++) {
      assertThrows(() => parse(packet.subarray(0, length)), InvalidPacketError);
    }
  }
  const { decoded, refused } = feedGarbage(parse, samples, { seed: 5, cases: 3_000 });
  assert(decoded > 30 && refused > 1_000, `${decoded} decoded, ${refused} refused`);
});
