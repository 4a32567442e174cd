import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  type Answer,
  encodeAnswer,
  encodeQuestion,
  parseAnswer,
  parseQuestion,
  type Question,
  QUESTION_BYTES,
  QUESTION_METHODS,
  type Reply,
} from "../../src/discovery/packets.ts";
import { IntegrityError, InvalidPacketError, PeerError } from "../../src/errors.ts";
import { Identity, verify } from "../../src/secure/identity.ts";
import { encodeDatagram, SERVICE_CODE } from "../../src/wire/datagram.ts";
import {
  decodeWireData,
  encodeWireData,
  type MessageBody,
  wireData,
} from "../../src/wire/message.ts";
import { encode } from "../../src/wire/msgpack.ts";
import { feedGarbage } from "../testdata/vectors.ts";

const ID = 0x010203040506;
const QUESTION: Question = {
  id: ID,
  from: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8),
  via: "multicast4",
};
const REPLY: Reply = {
  id: ID,
  instance: Uint8Array.fromHex("a1a2a3a4a5a6a7a8"),
  seq: 7,
  validMs: 120_000,
  name: "bob",
  tcpPort: 3485,
  via: "broadcast",
};
const BOB = Identity.fromSeed(Uint8Array.from({ length: 32 }, (_, n) => n));
const ANSWER: Answer = { ...REPLY, instance: REPLY.instance.toHex(), peerId: BOB.peerId };

// The public key of the seed 00 01 .. 1f, which many test vectors use.
const KEY = "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8";

// Service code 10, length, WireData [header, id, 1, body, nil]; written out by hand from the MessagePack specification.
const QUESTION_START = "10 0000018c 95 a5 3a66696e64 cf 0000010203040506 01 83" +
  "a4 66726f6d c4 08 0102030405060708" +
  "a3 766961 aa 6d756c746963617374 34" +
  "a3 706164 c5 0154";
const FIELDS = [
  ["a3 6b6579", `c4 20 ${KEY}`],
  ["a4 696e7374", "c4 08 a1a2a3a4a5a6a7a8"],
  ["a3 736571", "07"],
  ["a3 657870", "78"],
  ["a4 6e616d65", "a3 626f62"],
  ["a3 746370", "cd 0d9d"],
  ["a3 766961", "a9 62726f616463617374"],
] as const;
const SIGNED = "99 b3 6b69746820616e6e6f756e63656d656e742031 cf 0000010203040506" +
  FIELDS.map(([, value]) => value).join("");
const ANSWER_START = "10 000000b6 95 a5 3a68657265 cf 0000010203040506 01 88" +
  FIELDS.flat().join("") + "a3 736967 c4 40";

Deno.test("encodeQuestion and encodeAnswer write these bytes", () => {
  const question = encodeQuestion(QUESTION);
  assert(question.toHex().startsWith(bare(QUESTION_START)), question.toHex());
  assertEquals(question.at(-1), 0xc0);
  const answer = encodeAnswer(REPLY, BOB);
  const signature = answer.slice(-65, -1);
  assertEquals(answer.toHex(), bare(ANSWER_START) + signature.toHex() + "c0");
  assert(verify(BOB.publicKey, Uint8Array.fromHex(bare(SIGNED)), signature));
});

Deno.test("parseQuestion and parseAnswer read what was written", () => {
  for (const via of QUESTION_METHODS) {
    for (const id of [0, 1, 2 ** 48 - 1, Number.MAX_SAFE_INTEGER]) {
      const question = { ...QUESTION, via, id };
      assertEquals(parseQuestion(encodeQuestion(question)), question);
      const changes = { via, id, tcpPort: 65_535, seq: Number.MAX_SAFE_INTEGER, name: "" };
      const packet = encodeAnswer({ ...REPLY, ...changes }, BOB);
      assertEquals(parseAnswer(packet, id), { ...ANSWER, ...changes });
    }
  }
  const hasty = parseAnswer(encodeAnswer({ ...REPLY, validMs: 1 }, BOB), ID);
  assertEquals(hasty?.validMs, 1_000);
});

Deno.test("parseQuestion copies what it keeps", () => {
  const packet = encodeQuestion(QUESTION);
  const parsed = parseQuestion(packet);
  packet.fill(0);
  assertEquals(parsed, QUESTION);
});

Deno.test("encodeAnswer never writes more than the shortest question has, whatever the name", () => {
  const characters = ["", "a", "é", "日", "🦕", "👨‍👩‍👧", "\u0000", "\ud800", "\\", "न्"];
  let longest = 0;
  for (const character of characters) {
    for (const count of [0, 1, 31, 32, 47, 48, 63, 64, 65, 191, 192, 193, 255, 256, 10_000]) {
      for (const via of QUESTION_METHODS) {
        const id = Number.MAX_SAFE_INTEGER;
        const name = character.repeat(count);
        const largest = { seq: id, validMs: 3_600_000, tcpPort: 65_535 };
        const packet = encodeAnswer({ ...REPLY, ...largest, via, id, name }, BOB);
        longest = Math.max(longest, packet.length);
        const read = parseAnswer(packet, id)?.name;
        assert(read === name.toWellFormed() || read === "", `${read}`);
      }
    }
  }
  assert(longest <= QUESTION_BYTES && longest > QUESTION_BYTES - 20, `${longest} bytes`);
  for (const via of QUESTION_METHODS) {
    const { length } = encodeQuestion({ ...QUESTION, via, id: 0 });
    assert(length >= QUESTION_BYTES, `${length} bytes`);
  }
  const kept = encodeAnswer({ ...REPLY, name: "日".repeat(64) }, BOB);
  assertEquals(parseAnswer(kept, ID)?.name, "日".repeat(64));
});

Deno.test("parseQuestion refuses questions that an answer may be larger than", () => {
  const { from, via } = QUESTION;
  const overhead = packetOf(":find", { from, via, pad: new Uint8Array(300) }).length - 300;
  const pad = new Uint8Array(QUESTION_BYTES - overhead);
  assertEquals(parseQuestion(packetOf(":find", { from, via, pad })).id, ID);
  const shorter = packetOf(":find", { from, via, pad: pad.subarray(1) });
  const error = assertThrows(() => parseQuestion(shorter), InvalidPacketError, "399 bytes");
  assertEquals([error.code, error.details], ["bad-frame", { got: 399, expected: 400 }]);
});

Deno.test("parseAnswer leaves answers to other questions alone, however they are signed", () => {
  const packet = encodeAnswer(REPLY, BOB);
  assertEquals(parseAnswer(packet, ID + 1), undefined);
  packet.fill(0, packet.length - 65, packet.length - 1);
  assertEquals(parseAnswer(packet, ID + 1), undefined);
  assertThrows(() => parseAnswer(packet, ID), IntegrityError);
});

Deno.test("parseAnswer believes no answer in which a single bit is another", () => {
  const packet = encodeAnswer(REPLY, BOB);
  let wrongSignatures = 0;
  for (let bit = 0; bit < 8 * packet.length; bit++) {
    const damaged = packet.slice();
    damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    try {
      // Another question's id, which it may have become, is no question of ours.
      assertEquals(parseAnswer(damaged, ID), undefined);
    } catch (error) {
      assert(error instanceof PeerError, `bit ${bit}: ${error}`);
      wrongSignatures += Number(error.code === "bad-signature");
    }
  }
  assert(wrongSignatures > 8 * (64 + 32 + 8), `${wrongSignatures}`);
});

Deno.test("parseAnswer believes nobody who signs another answer, with another key, or something else", () => {
  const mallory = Identity.generate();
  const { key, inst, seq, exp, name, tcp, via } = said();
  const values = [key, inst, seq, exp, name, tcp, via];
  const signatures = [
    mallory.sign(encode(["kith announcement 1", ID, ...values])),
    BOB.sign(encode(["kith announcement 1", ID + 1, ...values])), // recorded earlier
    BOB.sign(encode(["kith announcement 2", ID, ...values])),
    BOB.sign(encode([ID, ...values])),
    new Uint8Array(64),
  ];
  for (const sig of signatures) {
    const error = assertThrows(() => parseAnswer(answer({ sig }), ID), IntegrityError);
    assertEquals(error.code, "bad-signature");
  }
  const right = BOB.sign(encode(["kith announcement 1", ID, ...values]));
  assertEquals(parseAnswer(answer({ sig: right }), ID), ANSWER);
  // With a key of small order this signature would fit everything.
  const weak = new Uint8Array(32);
  weak[0] = 1;
  const sig = new Uint8Array(64);
  sig[0] = 1;
  assertThrows(() => parseAnswer(answer({ key: weak, sig }), ID), IntegrityError);
});

Deno.test("parseQuestion and parseAnswer name the field that is wrong", () => {
  const wrongQuestions: MessageBody[] = [
    { from: new Uint8Array(7) },
    { from: "12345678" },
    { via: "carrier pigeon" },
    { via: 7 },
  ];
  for (const fields of wrongQuestions) {
    const { from, via } = QUESTION;
    const pad = new Uint8Array(400);
    const [field = ""] = Object.keys(fields);
    assertNames(field, () => parseQuestion(packetOf(":find", { from, via, pad, ...fields })));
  }
  const wrongAnswers: MessageBody[] = [
    { key: new Uint8Array(31) },
    { key: KEY },
    { inst: new Uint8Array(9) },
    { seq: -1 },
    { seq: 1.5 },
    { seq: 2 ** 53 },
    { seq: "7" },
    { exp: 0 },
    { exp: 3_601 },
    { exp: null },
    { name: 7 },
    { name: "x".repeat(193) },
    { tcp: 0 },
    { tcp: 65_536 },
    { tcp: 3485.5 },
    { tcp: "3485" },
    { tcp: NaN },
    { via: "toString" },
    { via: null },
    { sig: new Uint8Array(63) },
    { sig: undefined },
  ];
  for (const fields of wrongAnswers) {
    const [field = ""] = Object.keys(fields);
    assertNames(field, () => parseAnswer(answer(fields), ID));
  }
  const large = encodeAnswer({ ...REPLY, name: "x".repeat(192), seq: 2 ** 52 }, BOB);
  const padded = packetOf(":here", { ...decodeWireData(large.subarray(5)).body, pad: large });
  assertNames("header", () => parseQuestion(padded));
  assertNames("header", () => parseAnswer(encodeQuestion(QUESTION), ID));
  const gossip = encodeQuestion(QUESTION);
  gossip[0] = SERVICE_CODE.gossip;
  assertNames("service code", () => parseQuestion(gossip));
});

Deno.test("parseQuestion and parseAnswer refuse packets that are cut or longer than they say", () => {
  const [question, answer] = [encodeQuestion(QUESTION), encodeAnswer(REPLY, BOB)];
  for (let length = 0; length < answer.length; length++) {
    assertThrows(() => parseAnswer(answer.subarray(0, length), ID), InvalidPacketError);
  }
  for (let length = 0; length < question.length; length++) {
    assertThrows(() => parseQuestion(question.subarray(0, length)), InvalidPacketError);
  }
  const longer = new Uint8Array(answer.length + 1);
  longer.set(answer);
  assertThrows(() => parseAnswer(longer, ID), InvalidPacketError, "length");
});

Deno.test("parseQuestion and parseAnswer meet damaged packets with errors of the tree alone", () => {
  const samples = [encodeQuestion(QUESTION), encodeAnswer(REPLY, BOB)];
  const parsers = [parseQuestion, (packet: Uint8Array) => parseAnswer(packet, ID)];
  for (const [seed, parse] of parsers.entries()) {
    let other: unknown;
    const result = feedGarbage(
      (packet) => {
        try {
          parse(packet);
        } catch (error) {
          if (error instanceof IntegrityError) return;
          if (!(error instanceof InvalidPacketError)) other ??= error;
          throw error;
        }
      },
      samples,
      { seed, cases: 5_000 },
    );
    assertEquals(other, undefined);
    assert(result.decoded > 100 && result.refused > 1_000, JSON.stringify(result));
  }
});

function said() {
  const { instance: inst, seq, name, tcpPort: tcp, via } = REPLY;
  return { key: BOB.publicKey, inst, seq, exp: 120, name, tcp, via };
}

function answer(fields: MessageBody): Uint8Array {
  return packetOf(":here", { ...said(), sig: new Uint8Array(64), ...fields });
}

function packetOf(header: string, body: MessageBody): Uint8Array {
  const message = encodeWireData(wireData(header, body, { msgId: ID }));
  return encodeDatagram(SERVICE_CODE.discovery, message);
}

function bare(hex: string): string {
  return hex.replaceAll(" ", "");
}

function assertNames(field: string, parse: () => unknown): void {
  const error = assertThrows(parse, InvalidPacketError, `bad ${field}`);
  assertEquals([error.code, error.details.field], ["bad-message", field]);
}
