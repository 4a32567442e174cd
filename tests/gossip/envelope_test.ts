import { assert, assertEquals, assertThrows } from "@std/assert";
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { IntegrityError, InvalidPacketError } from "../../src/errors.ts";
import {
  type AuthorKey,
  type Draft,
  type Envelope,
  EnvelopeReader,
  MAX_BATCH,
  MAX_ENVELOPE_OVERHEAD,
  MAX_TOPIC_CHARS,
  peekEnvelope,
  signEnvelopes,
  signMessages,
  TOPIC_KEY_BYTES,
  topicKeyOf,
} from "../../src/gossip/envelope.ts";
import { pathIn, rootIn, treeOver } from "../../src/gossip/merkle.ts";
import { Identity, peerIdOf, verify } from "../../src/secure/identity.ts";
import { decode, encode } from "../../src/wire/msgpack.ts";
import { Generator } from "../fuzz/generate.ts";

const ann = Identity.fromSeed(new Uint8Array(32).fill(1));
const bob = Identity.fromSeed(new Uint8Array(32).fill(2));
const NEWS = topicKeyOf("news");
const SPORT = topicKeyOf("sport");
const FIRST = 3_600_000_000_000_123;
const CREATED = 1_760_000_000_000;
const MAX_BYTES = 1024;
const text = (said: string) => new TextEncoder().encode(said);

function draft(at: number, data: Uint8Array = text(`message ${at}`)): Draft {
  return { seq: FIRST + at, createdMs: CREATED + at, data };
}

function drafts(count: number): Draft[] {
  return Array.from({ length: count }, (_, at) => draft(at));
}

function signed(count: number, key: AuthorKey = ann, topic = NEWS): Uint8Array[] {
  return signEnvelopes(key, topic, drafts(count));
}

function one(data = text("hello"), key: AuthorKey = ann): Uint8Array {
  return at(signEnvelopes(key, NEWS, [draft(0, data)]), 0);
}

function at<T>(items: readonly T[], index: number): T {
  const item = items[index];
  assert(item !== undefined);
  return item;
}

/** A reader that counts the signatures that it looks at. */
function counting(
  limits: { maxBytes?: number } = {},
): { reader: EnvelopeReader; checks: number[] } {
  const checks: number[] = [];
  const reader = new EnvelopeReader({
    verify: (key, bytes, signature) => {
      checks.push(bytes.length);
      return verify(key, bytes, signature);
    },
    idOf: peerIdOf,
    maxBytes: limits.maxBytes ?? MAX_BYTES,
  });
  return { reader, checks };
}

/** One that takes every signature: for what is refused before it comes to that. */
function trusting(maxBytes = MAX_BYTES): EnvelopeReader {
  return new EnvelopeReader({ verify: () => true, idOf: peerIdOf, maxBytes });
}

function flipped(bytes: Uint8Array, bit: number): Uint8Array {
  return bytes.with(bit >> 3, (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7)));
}

function assertRefused(bytes: Uint8Array, message: string, code = "bad-message"): void {
  const error = assertThrows(() => trusting().read(bytes, NEWS), InvalidPacketError, message);
  assertEquals(error.code, code);
}

function assertForged(reader: EnvelopeReader, bytes: Uint8Array, topic = NEWS): void {
  const error = assertThrows(() => reader.read(bytes, topic), IntegrityError);
  assertEquals(error.code, "bad-signature");
}

/** An envelope's elements, some of which are replaced. */
function elements(bytes: Uint8Array, changes: Record<number, unknown> = {}): unknown[] {
  const fields = decode(bytes);
  assert(Array.isArray(fields));
  return fields.map((field, at) => at in changes ? changes[at] : field);
}

function hex(...parts: string[]): Uint8Array {
  return Uint8Array.fromHex(parts.join("").replaceAll(/\s/g, ""));
}

function u64(value: number): string {
  return value.toString(16).padStart(16, "0");
}

function sha256(...parts: string[]): string {
  return createHash("sha256").update(hex(...parts)).digest("hex");
}

/** The leaf as it is documented. */
function leaf(topic: Uint8Array, key: Identity, { seq, createdMs, data }: Draft): string {
  const numbers = u64(seq) + u64(createdMs);
  return sha256("00", topic.toHex(), key.publicKey.toHex(), numbers, data.toHex());
}

function signatureOver(root: string): string {
  return ann.sign(hex(text("kith gossip\n").toHex(), root)).toHex();
}

Deno.test("topicKeyOf is the first 16 bytes of a hash of the name", () => {
  assertEquals(NEWS.toHex(), sha256(text("kith topic\nnews").toHex()).slice(0, 32));
  assertEquals(NEWS.toHex(), "312b3ae7064e16a7cd477db15b97c328");
  assertEquals(NEWS.length, TOPIC_KEY_BYTES);
  assertEquals(NEWS.buffer.byteLength, TOPIC_KEY_BYTES, "no view of something larger");
  assert(topicKeyOf("é").toHex() !== topicKeyOf("e\u0301").toHex());
});

Deno.test("topicKeyOf refuses names that are empty, too long, or no text", () => {
  topicKeyOf("x".repeat(MAX_TOPIC_CHARS));
  assertThrows(() => topicKeyOf("x".repeat(MAX_TOPIC_CHARS + 1)), RangeError, "128");
  for (const name of ["", "a\nb", "\u0000", "a\u007f", "a\u0085", "\ud800", "a\udc00b"]) {
    assertThrows(() => topicKeyOf(name), TypeError, "name", JSON.stringify(name));
  }
});

Deno.test("signEnvelopes lays out a message alone as documented", () => {
  const said = draft(0, text("hello"));
  const root = leaf(NEWS, ann, said);
  const expected = hex(
    `95 c420 ${ann.publicKey.toHex()} cf ${u64(said.seq)} cf ${u64(said.createdMs)}`,
    `c405 68656c6c6f c440 ${signatureOver(root)}`,
  );
  assertEquals(one().toHex(), expected.toHex());
  assertEquals(
    sha256(one().toHex()),
    "57c670082b6cc75b94844391fc4fee32800f1056a9fe61300dea87c7ee4e4681",
  );
  const read = counting().reader.read(one(), NEWS);
  const { seq, createdMs, data } = said;
  const { publicKey, peerId: author } = ann;
  const mark = Number.parseInt(root.slice(0, 12), 16);
  assertEquals(read, { author, publicKey, seq, createdMs, data, bytes: expected, mark });
});

Deno.test("signEnvelopes lays out messages of a batch as documented", () => {
  const all = drafts(3);
  const [a, b, c] = [0, 1, 2].map((at) => leaf(NEWS, ann, draft(at)));
  const none = "00".repeat(32);
  const [ab, cd] = [sha256(`01 ${a} ${b}`), sha256(`01 ${c} ${none}`)];
  const signature = signatureOver(sha256(`01 ${ab} ${cd}`));
  const paths = [[b, cd], [a, cd], [none, ab]];
  const expected = all.map(({ seq, createdMs, data }, at) =>
    hex(
      `97 c420 ${ann.publicKey.toHex()} cf ${u64(seq)} cf ${u64(createdMs)}`,
      `c409 ${data.toHex()} c440 ${signature}`,
      `0${at} 92 ${paths[at]?.map((node) => `c420 ${node}`).join("")}`,
    ).toHex()
  );
  assertEquals(signEnvelopes(ann, NEWS, all).map((bytes) => bytes.toHex()), expected);
  assertEquals(
    sha256(...signed(64).map((bytes) => bytes.toHex())),
    "15238aab90687ea78ff828cbb20da6acabe789c337738ea3bd1144e8586ecdd4",
  );
});

Deno.test("EnvelopeReader checks one signature for a batch of 1..64, in any order", () => {
  const generator = new Generator(4);
  for (let count = 1; count <= MAX_BATCH; count++) {
    const { reader, checks } = counting();
    const order = signed(count).map((bytes, index) => ({ bytes, index, key: generator.below(1e9) }))
      .sort((one, other) => one.key - other.key);
    for (const { bytes, index } of order) {
      const { author, seq, createdMs, data } = reader.read(bytes, NEWS);
      assertEquals({ seq, createdMs, data }, draft(index));
      assertEquals(author, ann.peerId);
      assertEquals(peekEnvelope(bytes, peerIdOf), { author, seq, createdMs });
    }
    assertEquals(checks.length, 1, `${count}`);
  }
});

Deno.test("signMessages gives what a reader reads", () => {
  for (const count of [1, 2, 3, 33, 64]) {
    for (const length of [0, 1, 255, 256, 1000]) {
      const said = drafts(count).map((draft) => ({ ...draft, data: new Uint8Array(length) }));
      const messages = signMessages(ann, NEWS, said);
      const { reader } = counting();
      assertEquals(messages, messages.map(({ bytes }) => reader.read(bytes, NEWS)));
      assertEquals(messages.map(({ data }) => data.length), said.map(() => length));
    }
  }
});

Deno.test("signEnvelopes signs once, and refuses what nobody would read", () => {
  let signatures = 0;
  const sign = (bytes: Uint8Array) => (signatures++, ann.sign(bytes));
  signed(64, { publicKey: ann.publicKey, sign });
  assertEquals(signatures, 1);
  assertThrows(() => signed(0), RangeError, "1..64");
  assertThrows(() => signed(65), RangeError, "1..64");
  assertThrows(() => signed(1, ann, new Uint8Array(15)), RangeError, "16 bytes");
  assertThrows(() => signed(1, { publicKey: new Uint8Array(31), sign }), RangeError, "32 bytes");
  for (const wrong of [-1, 0.5, NaN, Infinity, 2 ** 53]) {
    for (const field of ["seq", "createdMs"]) {
      const drafts = [draft(0), { ...draft(1), [field]: wrong }];
      assertThrows(() => signEnvelopes(ann, NEWS, drafts), RangeError, field);
    }
  }
});

Deno.test("EnvelopeReader takes integers and data at every width, written at their shortest", () => {
  const reader = trusting(70_000);
  for (
    const value of [0, 0x7f, 0x80, 0xff, 0x100, 0xffff, 2 ** 16, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1]
  ) {
    const said = { seq: value, createdMs: value, data: text("x") };
    const bytes = at(signEnvelopes(ann, NEWS, [said]), 0);
    const { seq, createdMs } = counting().reader.read(bytes, NEWS);
    assertEquals([seq, createdMs], [value, value]);
    assertEquals(peekEnvelope(bytes, peerIdOf).seq, value);
  }
  for (const size of [0, 255, 256, 65_535, 65_536]) {
    const bytes = one(new Uint8Array(size).fill(5));
    assertEquals(reader.read(bytes, NEWS).data.length, size);
  }
});

const LONE = one(text("hi"));
const OF_THREE = at(signed(3), 1);
const OF_64 = at(signed(64), 41);

for (const [name, bytes] of [["alone", LONE], ["of a batch", OF_THREE]] as const) {
  Deno.test(`no bit of a message ${name} can be flipped, also where its batch is known`, () => {
    for (const isKnown of [false, true]) {
      const { reader } = counting();
      for (let bit = 0; bit < 8 * bytes.length; bit++) {
        if (isKnown) reader.read(bytes, NEWS);
        const error = assertThrows(() => reader.read(flipped(bytes, bit), NEWS));
        const isNamed = error instanceof InvalidPacketError || error instanceof IntegrityError;
        assert(isNamed, `bit ${bit}: ${error}`);
      }
      reader.read(bytes, NEWS);
    }
  });
}

Deno.test("no bit of the longest path can be flipped where every node is known", () => {
  const { reader, checks } = counting();
  for (const bytes of signed(64)) reader.read(bytes, NEWS);
  assertEquals(checks.length, 1);
  const pathAt = OF_64.length - (2 + 6 * 34);
  for (let byte = pathAt; byte < OF_64.length; byte++) {
    const wrong = flipped(OF_64, 8 * byte + byte % 8);
    const error = assertThrows(() => reader.read(wrong, NEWS));
    assert(error instanceof InvalidPacketError || error instanceof IntegrityError, `${error}`);
  }
});

/** Where the data begins in the samples: behind the key (35 bytes), the number and the time (9 each). */
const DATA_AT = 53;

Deno.test("EnvelopeReader and peekEnvelope refuse an envelope cut off at every byte", () => {
  for (const bytes of [LONE, OF_THREE, OF_64]) {
    for (let length = 0; length < bytes.length; length++) {
      const cut = bytes.subarray(0, length);
      assertRefused(cut, "is cut off");
      if (length < DATA_AT) {
        assertThrows(() => peekEnvelope(cut, peerIdOf), InvalidPacketError, "cut off");
      } else assertEquals(peekEnvelope(cut, peerIdOf).author, ann.peerId);
    }
    assertRefused(hex(bytes.toHex(), "00"), "array has 1 bytes behind it");
  }
});

Deno.test("EnvelopeReader refuses data beyond maxBytes, and says so before it looks for them", () => {
  assertEquals(trusting().read(one(new Uint8Array(MAX_BYTES)), NEWS).data.length, MAX_BYTES);
  assertRefused(
    one(new Uint8Array(MAX_BYTES + 1)),
    "1025 bytes exceeds maxBytes 1024",
    "too-large",
  );
  const until = one().subarray(0, 53).toHex();
  assertRefused(hex(until, "c6ffffffff"), "4294967295 bytes exceeds maxBytes", "too-large");
  assertRefused(hex(until, "c50400"), "data is cut off");
  const [largest = new Uint8Array(0)] = signEnvelopes(
    ann,
    NEWS,
    Array.from({ length: 64 }, (_, at) => draft(at, new Uint8Array(65_536))),
  );
  assertEquals(largest.length, 65_536 + MAX_ENVELOPE_OVERHEAD);
  for (const maxBytes of [-1, 0.5, NaN]) assertThrows(() => trusting(maxBytes), RangeError);
});

Deno.test("EnvelopeReader refuses declared lengths of 4 GiB in every place, at once", () => {
  const [key, numbers] = [ann.publicKey.toHex(), "01 01"];
  const signature = `c440 ${"00".repeat(64)}`;
  const huge = "c6 ffffffff";
  const refused = "4294967295 bytes instead of";
  assertRefused(hex(`95 ${huge}`), `publicKey has ${refused} 32`);
  assertRefused(hex(`95 c420 ${key} ${numbers} c400 ${huge}`), `signature has ${refused} 64`);
  assertRefused(
    hex(`97 c420 ${key} ${numbers} c400 ${signature} 00 91 ${huge}`),
    `path has ${refused}`,
  );
  assertRefused(hex(`97 c420 ${key} ${numbers} c400 ${signature} 00 ddffffffff`), "array of 1..6");
  assertRefused(hex("ddffffffff"), "array is none of 5 or 7 elements");
});

Deno.test("EnvelopeReader refuses elements of other types, lengths and numbers, by name", () => {
  const cases: readonly [number, unknown, string][] = [
    [0, new Uint8Array(31), "publicKey has 31 bytes instead of 32"],
    [0, "x".repeat(32), "publicKey is not bin"],
    [1, -1, "seq is not an integer"],
    [1, 1.5, "seq is not an integer"],
    [1, 2n ** 53n, "seq exceeds 9007199254740991"],
    [1, 2n ** 64n - 1n, "seq exceeds"],
    [1, null, "seq is not an integer"],
    [2, -40, "created is not an integer"],
    [2, 2n ** 53n, "created exceeds"],
    [3, "text", "data is not bin"],
    [3, null, "data is not bin"],
    [4, new Uint8Array(65), "signature has 65 bytes instead of 64"],
    [5, 4, "index exceeds 3"],
    [5, 2n ** 63n, "index exceeds"],
    [5, new Uint8Array(1), "index is not an integer"],
    [6, [], "path is no array of 1..6 hashes"],
    [6, Array(7).fill(new Uint8Array(32)), "path is no array of 1..6 hashes"],
    [6, new Uint8Array(32), "path is no array of 1..6 hashes"],
    [6, [new Uint8Array(32), new Uint8Array(33)], "path has 33 bytes instead of 32"],
    [6, [new Uint8Array(32), 0], "path is not bin"],
  ];
  for (const [place, value, message] of cases) {
    assertRefused(encode(elements(OF_THREE, { [place]: value })), message);
  }
  const fields = elements(OF_THREE);
  for (const count of [0, 1, 4, 6]) {
    assertRefused(encode(fields.slice(0, count)), "array is none of 5 or 7 elements");
  }
  assertRefused(encode([...fields, 0]), "array is none of 5 or 7 elements");
  assertRefused(encode({ 0: fields }), "array is none of 5 or 7 elements");
  assertRefused(new Uint8Array(0), "array is cut off");
});

Deno.test("EnvelopeReader refuses every longer spelling of what it would take", () => {
  const key = ann.publicKey.toHex();
  const short = `c420 ${key} 05 06 c401 ff c440 ${"00".repeat(64)}`;
  const path = `c420 ${"00".repeat(32)}`;
  trusting().read(hex("95", short), NEWS);
  trusting().read(hex("97", short, "01 91", path), NEWS);
  const shortest = "shortest form";
  for (const five of ["cc05", "cd0005", "ce00000005", "cf0000000000000005"]) {
    assertRefused(hex("95", short.replace(" 05 ", five)), `seq is not written in its ${shortest}`);
    assertThrows(() => peekEnvelope(hex("95", short.replace(" 05 ", five)), peerIdOf), shortest);
    const six = five.slice(0, -1) + "6";
    assertRefused(
      hex("95", short.replace(" 06 ", six)),
      `created is not written in its ${shortest}`,
    );
    const index = five.slice(0, -1) + "1";
    assertRefused(hex("97", short, index, "91", path), `index is not written in its ${shortest}`);
  }
  for (const longer of ["cd00ff", "ce0000ffff", "cf00000000ffffffff"]) {
    assertRefused(hex("95", short.replace(" 05 ", longer)), shortest);
  }
  for (const signed of ["d005", "d10005", "d200000005", "d30000000000000005"]) {
    assertRefused(hex("95", short.replace(" 05 ", signed)), "seq is not an integer");
  }
  for (const one of ["c50001", "c600000001"]) {
    assertRefused(hex("95", short.replace("c401", one)), `data is not written in its ${shortest}`);
  }
  assertRefused(hex("95", short.replace("c420", "c50020")), "publicKey is not written");
  assertRefused(hex("95", short.replace("c440", "c600000040")), "signature is not written");
  assertRefused(hex("97", short, "01 91", path.replace("c420", "c50020")), "path is not written");
  assertRefused(hex("dc0005", short), "array is none of");
  assertRefused(hex("97", short, "01 dc0001", path), "path is no array");
});

Deno.test("EnvelopeReader refuses a message of one topic in another, also of a known batch", () => {
  const { reader, checks } = counting();
  for (const bytes of [LONE, OF_THREE]) {
    reader.read(bytes, NEWS);
    assertForged(reader, bytes, SPORT);
    reader.read(bytes, NEWS);
  }
  assertEquals(checks.length, 4);
  assertThrows(() => reader.read(LONE, new Uint8Array(17)), RangeError, "16 bytes");
});

Deno.test("EnvelopeReader refuses a message that was moved, or has another's path or number", () => {
  const batch = signed(5);
  for (const isKnown of [false, true]) {
    const { reader } = counting();
    if (isKnown) batch.forEach((bytes) => reader.read(bytes, NEWS));
    const [second, third] = [at(batch, 1), at(batch, 2)];
    const [, seq, created, data, , index, path] = elements(third);
    assert(Array.isArray(path));
    for (let place = 0; place < 8; place++) {
      if (place !== 1) assertForged(reader, encode(elements(second, { 5: place })));
    }
    assertForged(reader, encode(elements(second, { 5: index, 6: path })));
    assertForged(reader, encode(elements(second, { 1: seq })));
    assertForged(reader, encode(elements(second, { 2: created })));
    assertForged(reader, encode(elements(second, { 3: data })));
    assertForged(reader, encode(elements(third, { 6: path.slice(0, -1) })));
    assertForged(reader, encode(elements(third, { 6: path.slice(1), 5: 1 })));
    assertForged(reader, encode(elements(third, { 6: [...path, new Uint8Array(32)] })));
    assertForged(reader, encode(elements(third).slice(0, 5)));
    reader.read(second, NEWS);
  }
});

Deno.test("EnvelopeReader takes no key's word for another's, and never a signature that was wrong", () => {
  const { reader, checks } = counting();
  reader.read(OF_THREE, NEWS);
  const stolen = encode(elements(OF_THREE, { 0: bob.publicKey }));
  const forged = encode(elements(OF_THREE, { 4: new Uint8Array(64) }));
  for (let times = 0; times < 3; times++) {
    assertForged(reader, stolen);
    assertForged(reader, forged);
  }
  assertEquals(checks.length, 7, "each is looked at each time");
  for (const weak of [new Uint8Array(32), new Uint8Array(32).fill(0xff)]) {
    assertForged(reader, encode(elements(LONE, { 0: weak, 4: new Uint8Array(64) })));
  }
});

Deno.test("EnvelopeReader does not believe an author who signs a tree with another's leaf in it", () => {
  const [own, foreign] = [draft(0), draft(1)];
  const tree = treeOver([leaf(NEWS, ann, own), leaf(NEWS, bob, foreign)]);
  const signature = Uint8Array.fromHex(signatureOver(rootIn(tree)));
  const [anns = LONE, bobs = LONE] = [{ key: ann, said: own }, { key: bob, said: foreign }].map(
    ({ key: { publicKey }, said: { seq, createdMs, data } }, index) => {
      const path = pathIn(tree, index).map((node) => Uint8Array.fromHex(node));
      return encode([publicKey, seq, createdMs, data, signature, index, path]);
    },
  );
  const { reader, checks } = counting();
  for (let times = 0; times < 2; times++) {
    assertEquals(reader.read(anns, NEWS).author, ann.peerId);
    assertForged(reader, bobs);
  }
  assertEquals(checks.length, 3);
});

Deno.test("EnvelopeReader remembers nothing of a key whose signature it has not seen", () => {
  const seen: string[] = [];
  const reader = new EnvelopeReader({
    verify: (key) => (seen.push(key.toHex()), true),
    idOf: peerIdOf,
    maxBytes: MAX_BYTES,
  });
  const asBob = encode(elements(OF_THREE, { 0: bob.publicKey }));
  for (const bytes of [OF_THREE, OF_THREE, asBob, asBob]) reader.read(bytes, NEWS);
  assertEquals(seen, [ann, bob].map(({ publicKey }) => publicKey.toHex()));
});

Deno.test("EnvelopeReader remembers the last 256 signatures and no more", () => {
  const checks: number[] = [];
  const reader = new EnvelopeReader({
    verify: () => checks.push(1) > 0,
    idOf: peerIdOf,
    maxBytes: MAX_BYTES,
  });
  const many = Array.from({ length: 257 }, (_, seq) => {
    const signature = hex(u64(seq), "00".repeat(56));
    const key = { publicKey: ann.publicKey, sign: () => signature };
    return at(signEnvelopes(key, NEWS, [{ ...draft(0), seq }]), 0);
  });
  const readAll = (from: readonly Uint8Array[]) => {
    checks.length = 0;
    for (const bytes of from) reader.read(bytes, NEWS);
    return checks.length;
  };
  assertEquals(readAll(many.slice(0, 256)), 256);
  assertEquals(readAll(many.slice(0, 256)), 0);
  assertEquals(readAll(many.slice(256)), 1);
  assertEquals(readAll(many.slice(1)), 0, "the oldest made room");
  assertEquals(readAll(many.slice(0, 1)), 1);
});

Deno.test("EnvelopeReader.idOf asks once for each of the last 1,024 keys", () => {
  let asked = 0;
  const idOf = (key: Uint8Array) => (asked++, peerIdOf(key));
  const reader = new EnvelopeReader({ verify: () => true, idOf, maxBytes: MAX_BYTES });
  const key = (number: number) => hex(u64(number), "00".repeat(24));
  for (let number = 0; number < 1024; number++) reader.idOf(key(number));
  for (let number = 0; number < 1024; number++) reader.idOf(key(number));
  assertEquals(asked, 1024);
  reader.idOf(key(1024));
  reader.idOf(key(1));
  assertEquals(asked, 1025);
  assertEquals(reader.idOf(key(0)), peerIdOf(key(0)));
  assertEquals(asked, 1026);
});

Deno.test("EnvelopeReader hands out copies, of a Buffer as well", () => {
  const input = Buffer.from(OF_THREE);
  const envelope: Envelope = counting().reader.read(input, NEWS);
  const data = new Uint8Array(envelope.data);
  input.fill(0);
  assertEquals(envelope.bytes, OF_THREE);
  assertEquals(envelope.publicKey, ann.publicKey);
  assertEquals(envelope.data, data);
  assertEquals(envelope.data.constructor, Uint8Array);
  counting().reader.read(envelope.bytes, NEWS);
});

Deno.test("Envelope.mark tells messages with one number apart", () => {
  const reader = counting().reader;
  const marks = ["a", "b", "a"].map((said) => reader.read(one(text(said)), NEWS).mark);
  assertEquals(marks[0], marks[2]);
  assert(marks[0] !== marks[1]);
  assert(marks.every((mark) => Number.isSafeInteger(mark) && mark < 2 ** 48));
});

Deno.test("EnvelopeReader refuses random garbage with an error of the tree", () => {
  const generator = new Generator(9);
  for (let times = 0; times < 3000; times++) {
    const bytes = times % 2 === 0
      ? generator.bytes(generator.below(400))
      : generator.mutate(generator.pick([LONE, OF_THREE, OF_64]));
    try {
      const read = trusting().read(bytes, NEWS);
      assertEquals(encode(decode(bytes)), bytes, "what is read has one spelling");
      const { author, seq, createdMs } = read;
      assertEquals(peekEnvelope(bytes, peerIdOf), { author, seq, createdMs });
    } catch (error) {
      assert(error instanceof InvalidPacketError, `${error}`);
    }
  }
});
