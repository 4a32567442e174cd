import { assert, assertEquals, assertThrows } from "@std/assert";
import { InvalidPacketError } from "../../src/errors.ts";
import {
  encodePacket,
  type MemberPacket,
  PACKET_BYTES,
  proofOf,
  readPacket,
} from "../../src/membership/packets.ts";
import { decodeDatagram, encodeDatagram, SERVICE_CODE } from "../../src/wire/datagram.ts";
import { decodeWireData, encodeWireData, type MessageBody } from "../../src/wire/message.ts";
import { wireData } from "../../src/wire/message.ts";
import { Generator } from "../fuzz/generate.ts";
import { PROJECT } from "./fixture.ts";

const FROM = "f0".repeat(20);
const TO = "70".repeat(20);
const CLAIMS = [new Uint8Array(100).fill(1), new Uint8Array(512).fill(2)];
const common = { nonce: 2 ** 40, from: FROM, claims: CLAIMS };

const PACKETS: readonly MemberPacket[] = [
  { ...common, kind: ":ping", project: PROJECT, to: TO },
  { ...common, kind: ":relay", project: PROJECT, to: TO },
  { ...common, kind: ":news", project: PROJECT, to: "", nonce: 0 },
  { ...common, kind: ":ack", project: "", to: "" },
  { ...common, kind: ":nack", project: "", to: "" },
  { ...common, kind: ":ping", project: PROJECT, to: TO, relayed: 2 ** 48 },
  { ...common, kind: ":ack", project: "", to: "", proof: new Uint8Array(64).fill(3) },
];

function read(bytes: Uint8Array): MemberPacket {
  return readPacket(decodeWireData(decodeDatagram(bytes, { code: true, exact: true }).payload));
}

Deno.test("encodePacket lays out a packet as documented", () => {
  const bytes = encodePacket({
    kind: ":ping",
    nonce: 7,
    project: PROJECT,
    from: FROM,
    to: TO,
    claims: [Uint8Array.of(9, 8)],
  });
  const message = `95 a5 3a70696e67 07 01
    84 a4 66726f6d c414 ${FROM} a1 63 91 c402 0908 a1 70 c408 ${PROJECT} a2 746f c414 ${TO} c0`;
  const hex = message.replaceAll(/\s/g, "");
  assertEquals(bytes.toHex(), `11000000${(hex.length / 2).toString(16)}${hex}`);
});

Deno.test("encodePacket lays out what is asked for another member, and its proof, as documented", () => {
  const common = { nonce: 7, from: FROM, claims: [], project: "", to: "" };
  const relayed = encodePacket({ ...common, kind: ":ping", project: PROJECT, to: TO, relayed: 9 });
  const ping = `95 a5 3a70696e67 07 01
    85 a4 66726f6d c414 ${FROM} a1 63 90 a1 70 c408 ${PROJECT} a2 746f c414 ${TO} a1 72 09 c0`;
  assertEquals(relayed.subarray(5).toHex(), ping.replaceAll(/\s/g, ""));
  const proof = new Uint8Array(64).fill(5);
  const ack = `95 a4 3a61636b 07 01
    83 a4 66726f6d c414 ${FROM} a1 63 90 a1 73 c440 ${proof.toHex()} c0`;
  const bytes = encodePacket({ ...common, kind: ":ack", proof });
  assertEquals(bytes.subarray(5).toHex(), ack.replaceAll(/\s/g, ""));
});

Deno.test("proofOf is of one project and one nonce, and nothing that is signed as a claim", () => {
  const text = "6b697468206d656d62657220697320746865726520";
  assertEquals(
    proofOf(PROJECT, 7).toHex(),
    `93b6${text}31b0${new TextEncoder().encode(PROJECT).toHex()}07`,
  );
});

Deno.test("readPacket reads every kind that encodePacket writes", () => {
  const absent = { relayed: 0, proof: undefined };
  for (const packet of PACKETS) assertEquals(read(encodePacket(packet)), { ...absent, ...packet });
});

Deno.test("PACKET_BYTES is room enough for everything but the claims, which take 3 bytes more", () => {
  for (const packet of PACKETS) {
    const claims = Array.from({ length: 32 }, () => new Uint8Array(300));
    const bytes = encodePacket({ ...packet, nonce: 2 ** 48, claims });
    const proofBytes = packet.proof === undefined ? 0 : 64 + 4;
    const spare = PACKET_BYTES + proofBytes + 32 * 303 - bytes.length;
    assert(spare >= 0, `${packet.kind}: ${spare}`);
  }
});

Deno.test("readPacket refuses a packet that is cut anywhere", () => {
  const bytes = encodePacket(PACKETS[0] as MemberPacket);
  for (let length = 0; length < bytes.length; length++) {
    assertThrows(() => read(bytes.subarray(0, length)), InvalidPacketError);
    const message = bytes.subarray(5, 5 + length);
    if (length < bytes.length - 5) {
      assertThrows(
        () => read(encodeDatagram(SERVICE_CODE.membership, message)),
        InvalidPacketError,
      );
    }
  }
});

Deno.test("readPacket names what is wrong", () => {
  const whole = { from: new Uint8Array(20), to: new Uint8Array(20), p: new Uint8Array(8), c: [] };
  const claim = (bytes: number) => new Uint8Array(bytes);
  const cases: readonly [field: string, changes: MessageBody][] = [
    ["from", { from: new Uint8Array(19) }],
    ["from", { from: "f".repeat(20) }],
    ["from", { from: null }],
    ["to", { to: new Uint8Array(21) }],
    ["to", { to: 1 }],
    ["p", { p: new Uint8Array(7) }],
    ["p", { p: new Uint8Array(9) }],
    ["claims", { c: null }],
    ["claims", { c: new Uint8Array(3) }],
    ["claims", { c: { 0: claim(1) } }],
    ["claims", { c: ["x"] }],
    ["claims", { c: [claim(513)] }],
    ["claims", { c: Array.from({ length: 33 }, () => claim(1)) }],
    ["r", { r: -1 }],
    ["r", { r: 0.5 }],
    ["r", { r: 2 ** 53 }],
    ["r", { r: "1" }],
    ["r", { r: null }],
    ["s", { s: new Uint8Array(63) }],
    ["s", { s: new Uint8Array(65) }],
    ["s", { s: "x".repeat(64) }],
    ["s", { s: null }],
  ];
  const message = (body: MessageBody) => wireData(":ping", { ...whole, ...body }, { msgId: 1 });
  readPacket(message({ c: Array.from({ length: 32 }, () => claim(512)) }));
  for (const [field, changes] of cases) {
    const error = assertThrows(() => readPacket(message(changes)), InvalidPacketError);
    assertEquals([error.code, error.details], ["bad-message", { field }]);
  }
  for (const header of [":pong", "ping", "", "constructor"]) {
    const wrong = wireData(header, whole, { msgId: 1 });
    assertThrows(() => readPacket(wrong), InvalidPacketError, "header");
  }
  assertThrows(() => readPacket({ ...message({}), msgId: "1" }), InvalidPacketError, "header");
});

Deno.test("readPacket: hostile bytes give a packet or InvalidPacketError", () => {
  const generator = new Generator(11);
  const corpus = PACKETS.map((packet) => encodePacket({ ...packet, claims: CLAIMS.slice(0, 1) }));
  let taken = 0;
  for (let round = 0; round < 4_000; round++) {
    const bytes = generator.mutate(generator.pick(corpus)).subarray(5);
    try {
      readPacket(decodeWireData(bytes));
      taken++;
    } catch (error) {
      assert(error instanceof InvalidPacketError, `${bytes.toHex()}: ${error}`);
    }
  }
  assert(taken > 100, `${taken} taken`);
});

Deno.test("readPacket: values of every type in every field give InvalidPacketError or a packet", () => {
  const generator = new Generator(12);
  const fields = ["from", "to", "p", "c", "r", "s"];
  for (let round = 0; round < 1_200; round++) {
    const body: MessageBody = {
      from: new Uint8Array(20),
      to: new Uint8Array(20),
      p: new Uint8Array(8),
      c: [],
    };
    body[generator.pick(fields)] = generator.value();
    const bytes = encodeWireData(wireData(":relay", body, { msgId: 1 }));
    try {
      readPacket(decodeWireData(bytes));
    } catch (error) {
      assert(error instanceof InvalidPacketError, `${bytes.toHex()}: ${error}`);
    }
  }
});
