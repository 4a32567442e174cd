import { assert, assertEquals, assertThrows } from "@std/assert";
import { createHash } from "node:crypto";
import { ManualClock } from "../../src/clock.ts";
import { IntegrityError, InvalidPacketError, PeerError } from "../../src/errors.ts";
import { signEnvelopes, topicKeyOf } from "../../src/gossip/envelope.ts";
import {
  encodeRumor,
  encodeRumorPacket,
  MAX_RUMOR_BYTES,
  readRumor,
  RumorEnvelopes,
  type RumorKind,
} from "../../src/gossip/rumor_packets.ts";
import { Identity, peerIdOf, verify } from "../../src/secure/identity.ts";
import { decodeDatagram, SERVICE_CODE } from "../../src/wire/datagram.ts";
import { decodeWireData, wireData } from "../../src/wire/message.ts";
import { feedGarbage } from "../testdata/vectors.ts";

const alice = Identity.fromSeed(new Uint8Array(32).fill(1));
const bob = Identity.fromSeed(new Uint8Array(32).fill(2));

function envelopesOf(key: Identity): RumorEnvelopes {
  const { peerId } = key;
  return new RumorEnvelopes({ key, peerId, clock: new ManualClock(), verify, idOf: peerIdOf });
}

const peerOf = ({ id }: Identity, username = "bob") => ({
  ...{ id, username, ip: "192.0.2.7", tcpPort: 3485, udpPort: 3486, status: 1 } as const,
});

Deno.test("encodeRumorPacket writes a message of code 12, the same bytes for ever", () => {
  const payload = encodeRumor({ kind: ":rumor", ttl: 6, envelope: Uint8Array.of(1, 2, 3) });
  const packet = encodeRumorPacket(payload);
  const golden = "12" + "00000018" + "95" + "a63a72756d6f72" + "00" + "01" +
    "82" + "a374746c" + "06" + "a165" + "c403010203" + "c0";
  assertEquals(packet.toHex(), golden);
  const found = encodeRumor({ kind: ":found", ttl: 0, envelope: Uint8Array.of(1) });
  assertEquals(found.toHex(), "95a63a666f756e64000181a165c40101c0");
  const { code } = decodeDatagram(packet, { code: true, exact: true });
  assertEquals(code, SERVICE_CODE.gossip);
  // Ed25519 has one signature for a key and a text, so the whole envelope is the same each time.
  const digest = createHash("sha256").update(envelopesOf(alice).write(":rumor", "hello").bytes);
  assertEquals(digest.digest("hex").slice(0, 16), "1c38c3a5f37702df");
});

Deno.test("RumorEnvelopes reads what another wrote, and who", () => {
  const [ours, theirs] = [envelopesOf(alice), envelopesOf(bob)];
  for (const kind of [":rumor", ":search"] as const) {
    for (const text of ["", "hello", "hé ☃ \u{1f600}\u0000", "x".repeat(MAX_RUMOR_BYTES)]) {
      const written = ours.write(kind, text);
      const payload = encodeRumor({ kind, ttl: 3, envelope: written.bytes });
      const packet = readRumor(decodeWireData(payload));
      assertEquals([packet.kind, packet.ttl], [kind, 3]);
      assertEquals(theirs.read(kind, packet.envelope), written);
      assertEquals(written.author, alice.peerId);
    }
  }
});

Deno.test("RumorEnvelopes numbers what it writes, from one that its birth decides", () => {
  const ours = envelopesOf(alice);
  const numbers = [1, 2, 3].map(() => ours.write(":rumor", "x").seq);
  const [first = 0] = numbers;
  assertEquals(numbers, [first, first + 1, first + 2]);
  const bornMs = new ManualClock().wallMs();
  assert(first >= bornMs * 2_048 && first < (bornMs + 1) * 2_048);
});

Deno.test("RumorEnvelopes reads the answer to a question, whose author proves who it is", () => {
  const [ours, theirs] = [envelopesOf(alice), envelopesOf(bob)];
  const question = ours.write(":search", "b");
  const answer = theirs.writeAnswer(question, peerOf(bob));
  assertEquals(ours.peekAnswer(answer), question.seq);
  assertEquals(ours.readAnswer(answer), {
    asker: alice.peerId,
    seq: question.seq,
    peer: peerOf(bob),
  });
  const lie = theirs.writeAnswer(question, peerOf(alice));
  assertThrows(() => ours.readAnswer(lie), InvalidPacketError, "it is not its author");
});

Deno.test("RumorEnvelopes takes no envelope for one of another kind, or of a topic", () => {
  const [ours, theirs] = [envelopesOf(alice), envelopesOf(bob)];
  const rumor = ours.write(":rumor", "x").bytes;
  const question = ours.write(":search", "x");
  const answer = theirs.writeAnswer(question, peerOf(bob));
  assertThrows(() => theirs.read(":search", rumor), IntegrityError);
  assertThrows(() => theirs.read(":rumor", question.bytes), IntegrityError);
  assertThrows(() => theirs.read(":rumor", answer), IntegrityError);
  assertThrows(() => theirs.readAnswer(rumor), IntegrityError);
  for (const name of ["kith rumor", ":rumor"]) {
    const draft = { seq: 1, createdMs: 1, data: Uint8Array.of(0x78) };
    const [topic = new Uint8Array()] = signEnvelopes(alice, topicKeyOf(name), [draft]);
    assertThrows(() => theirs.read(":rumor", topic), IntegrityError);
  }
});

Deno.test("RumorEnvelopes refuses every envelope with a bit flipped, and every one that is cut", () => {
  const [ours, theirs] = [envelopesOf(alice), envelopesOf(bob)];
  const question = ours.write(":search", "bob");
  const cases: [Uint8Array, (bytes: Uint8Array) => unknown][] = [
    [question.bytes, (bytes) => theirs.read(":search", bytes)],
    [theirs.writeAnswer(question, peerOf(bob)), (bytes) => ours.readAnswer(bytes)],
  ];
  for (const [bytes, read] of cases) {
    read(bytes);
    for (let bit = 0; bit < 8 * bytes.length; bit++) {
      const flipped = bytes.slice();
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      assertThrows(() => read(flipped), PeerError);
    }
    for (let length = 0; length < bytes.length; length++) {
      assertThrows(() => read(bytes.subarray(0, length)), InvalidPacketError);
    }
  }
});

Deno.test("RumorEnvelopes refuses what is signed and is malformed all the same", () => {
  const [ours, theirs] = [envelopesOf(alice), envelopesOf(bob)];
  const question = ours.write(":search", "bob");
  const short = theirs.writeAnswer({ ...question, author: "00" }, peerOf(bob));
  assertEquals(ours.readAnswer(short).asker, "00".repeat(20));
  const long = theirs.writeAnswer({ ...question, author: "00".repeat(21) }, peerOf(bob));
  assertThrows(() => ours.readAnswer(long), InvalidPacketError);
  const name = theirs.writeAnswer(question, peerOf(bob, "b".repeat(257)));
  assertThrows(() => ours.readAnswer(name), InvalidPacketError, "maxUsernameChars");
  const error = assertThrows(
    () => ours.write(":rumor", "x".repeat(MAX_RUMOR_BYTES + 1)),
    InvalidPacketError,
    "MAX_RUMOR_BYTES 16384",
  );
  assertEquals(error.code, "too-large");
});

Deno.test("readRumor refuses what is malformed, naming the field", () => {
  const e = Uint8Array.of(1);
  const cases: [field: string, header: string, body: Record<string, unknown>][] = [
    ["header", ":other", { e }],
    ["header", "", { e }],
    ["ttl", ":rumor", { e, ttl: 1.5 }],
    ["ttl", ":search", { e, ttl: "6" }],
    ["ttl", ":rumor", { e, ttl: null }],
    ["e", ":rumor", { ttl: 6 }],
    ["e", ":found", { e: "text" }],
  ];
  for (const [field, header, body] of cases) {
    const error = assertThrows(() => readRumor(wireData(header, body)), InvalidPacketError);
    assertEquals(error.details.field, field, error.message);
  }
  assertEquals(readRumor(wireData(":rumor", { e })).ttl, 0);
});

Deno.test("Rumors meet any bytes with a message or an error of ours", () => {
  const [ours, theirs] = [envelopesOf(alice), envelopesOf(bob)];
  const question = ours.write(":search", "bob");
  const answer = theirs.writeAnswer(question, peerOf(bob));
  const sample = (kind: RumorKind, envelope: Uint8Array) => encodeRumor({ kind, ttl: 3, envelope });
  const samples = [
    sample(":rumor", ours.write(":rumor", "hello").bytes),
    sample(":search", question.bytes),
    sample(":found", answer),
  ];
  const read = (bytes: Uint8Array) => {
    const { kind, envelope } = readRumor(decodeWireData(bytes));
    if (kind === ":found") ours.readAnswer(envelope);
    else theirs.read(kind, envelope);
  };
  const { refused } = feedGarbage(read, samples, { seed: 12, cases: 1_000 });
  assert(refused > 500, `${refused} refused`);
});
