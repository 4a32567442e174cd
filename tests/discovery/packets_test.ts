import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  type Answer,
  DISCOVERY_METHODS,
  encodeAnswer,
  encodeQuestion,
  networkHash,
  parseAnswer,
  parseQuestion,
  type Question,
} from "../../src/discovery/packets.ts";
import { InvalidPacketError } from "../../src/errors.ts";
import { encodeDatagram, SERVICE_CODE } from "../../src/wire/datagram.ts";
import { encodeWireData, type MessageBody, wireData } from "../../src/wire/message.ts";
import { feedGarbage } from "../testdata/vectors.ts";

const NETWORK = networkHash("");
const QUESTION: Question = {
  id: 0x010203040506,
  from: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8),
  via: "multicast4",
};
const ANSWER: Answer = {
  id: 0x010203040506,
  peerId: "00112233445566778899aabbccddeeff01234567",
  instance: "a1a2a3a4a5a6a7a8",
  name: "bob",
  tcpPort: 3485,
  via: "broadcast",
};

// Service code 10, length, WireData [header, id, 1, body, nil]; written out by hand from the MessagePack specification.
const QUESTION_START = "10 0000017c 95 a5 3a66696e64 cf 0000010203040506 01 84" +
  "a3 6e6574 c4 08 30fe8143fdeec086" +
  "a4 66726f6d c4 08 0102030405060708" +
  "a3 766961 aa 6d756c746963617374 34" +
  "a3 706164 c5 0136";
const ANSWER_WHOLE = "10 00000069 95 a5 3a68657265 cf 0000010203040506 01 86" +
  "a3 6e6574 c4 08 30fe8143fdeec086" +
  "a4 70656572 c4 14 00112233445566778899aabbccddeeff01234567" +
  "a4 696e7374 c4 08 a1a2a3a4a5a6a7a8" +
  "a4 6e616d65 a3 626f62" +
  "a3 746370 cd 0d9d" +
  "a3 766961 a9 62726f616463617374 c0";

Deno.test("encodeQuestion and encodeAnswer write these bytes", () => {
  const question = encodeQuestion(QUESTION, NETWORK);
  assert(question.toHex().startsWith(QUESTION_START.replaceAll(" ", "")), question.toHex());
  assertEquals(question.at(-1), 0xc0);
  assertEquals(encodeAnswer(ANSWER, NETWORK).toHex(), ANSWER_WHOLE.replaceAll(" ", ""));
});

Deno.test("parseQuestion and parseAnswer read what was written", () => {
  for (const via of DISCOVERY_METHODS) {
    for (const id of [0, 1, 2 ** 48 - 1, Number.MAX_SAFE_INTEGER]) {
      const question = { ...QUESTION, via, id };
      assertEquals(parseQuestion(encodeQuestion(question, NETWORK), NETWORK), question);
      const answer = { ...ANSWER, via, id, tcpPort: 65_535 };
      assertEquals(parseAnswer(encodeAnswer(answer, NETWORK), NETWORK), answer);
    }
  }
});

Deno.test("parseQuestion copies what it keeps", () => {
  const packet = encodeQuestion(QUESTION, NETWORK);
  const parsed = parseQuestion(packet, NETWORK);
  packet.fill(0);
  assertEquals(parsed, QUESTION);
});

Deno.test("encodeAnswer never writes more than a question has, whatever the name", () => {
  const characters = ["", "a", "é", "日", "🦕", "👨‍👩‍👧", "\u0000", "\ud800", "\\", "न्"];
  for (const character of characters) {
    for (const count of [0, 1, 31, 32, 47, 48, 63, 64, 65, 191, 192, 193, 255, 256, 10_000]) {
      for (const via of DISCOVERY_METHODS) {
        const id = Number.MAX_SAFE_INTEGER;
        const question = encodeQuestion({ ...QUESTION, via, id: 0 }, NETWORK);
        const name = character.repeat(count);
        const packet = encodeAnswer({ ...ANSWER, via, id, name, tcpPort: 65_535 }, NETWORK);
        assert(packet.length <= question.length, `${JSON.stringify(character)} x ${count}`);
        const read = parseAnswer(packet, NETWORK)?.name;
        assert(read === name.toWellFormed() || read === "", `${read}`);
      }
    }
  }
  const kept = encodeAnswer({ ...ANSWER, name: "日".repeat(64) }, NETWORK);
  assertEquals(parseAnswer(kept, NETWORK)?.name, "日".repeat(64));
});

Deno.test("parseQuestion and parseAnswer leave packets of another network alone", () => {
  const other = networkHash("other");
  assertEquals(parseQuestion(encodeQuestion(QUESTION, other), NETWORK), undefined);
  assertEquals(parseAnswer(encodeAnswer(ANSWER, other), NETWORK), undefined);
  for (const net of [undefined, null, "", NETWORK.subarray(0, 7), new Uint8Array(9)]) {
    assertEquals(parseQuestion(question({ net }), NETWORK), undefined);
    assertEquals(parseAnswer(answer({ net }), NETWORK), undefined);
  }
});

Deno.test("parseQuestion and parseAnswer name the field that is wrong", () => {
  const wrongQuestions: MessageBody[] = [
    { from: new Uint8Array(7) },
    { from: "12345678" },
    { via: "carrier pigeon" },
    { via: 7 },
  ];
  for (const fields of wrongQuestions) {
    const [field = ""] = Object.keys(fields);
    assertNames(field, () => parseQuestion(question(fields), NETWORK));
  }
  const wrongAnswers: MessageBody[] = [
    { peer: new Uint8Array(19) },
    { peer: ANSWER.peerId },
    { inst: new Uint8Array(9) },
    { name: 7 },
    { name: "x".repeat(193) },
    { tcp: 0 },
    { tcp: 65_536 },
    { tcp: 3485.5 },
    { tcp: "3485" },
    { tcp: NaN },
    { via: "toString" },
    { via: null },
  ];
  for (const fields of wrongAnswers) {
    const [field = ""] = Object.keys(fields);
    assertNames(field, () => parseAnswer(answer(fields), NETWORK));
  }
  assertNames("header", () => parseQuestion(encodeAnswer(ANSWER, NETWORK), NETWORK));
  assertNames("header", () => parseAnswer(encodeQuestion(QUESTION, NETWORK), NETWORK));
  const gossip = encodeQuestion(QUESTION, NETWORK);
  gossip[0] = SERVICE_CODE.gossip;
  assertNames("service code", () => parseQuestion(gossip, NETWORK));
});

Deno.test("parseQuestion and parseAnswer refuse packets that are cut or longer than they say", () => {
  const packet = encodeAnswer(ANSWER, NETWORK);
  for (let length = 0; length < packet.length; length++) {
    assertThrows(() => parseAnswer(packet.subarray(0, length), NETWORK), InvalidPacketError);
  }
  const longer = new Uint8Array(packet.length + 1);
  longer.set(packet);
  assertThrows(() => parseAnswer(longer, NETWORK), InvalidPacketError, "length");
});

Deno.test("parseQuestion and parseAnswer meet damaged packets with InvalidPacketError alone", () => {
  const samples = [encodeQuestion(QUESTION, NETWORK), encodeAnswer(ANSWER, NETWORK)];
  for (const [seed, parse] of [parseQuestion, parseAnswer].entries()) {
    let other: unknown;
    const result = feedGarbage(
      (packet) => {
        try {
          parse(packet, NETWORK);
        } catch (error) {
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

function question(fields: MessageBody): Uint8Array {
  const { from, via } = QUESTION;
  return packetOf(":find", { net: NETWORK, from, via, pad: new Uint8Array(300), ...fields });
}

function answer(fields: MessageBody): Uint8Array {
  const [peer, inst] = [new Uint8Array(20), new Uint8Array(8)];
  const body = { net: NETWORK, peer, inst, name: "bob", tcp: 1, via: "broadcast", ...fields };
  return packetOf(":here", body);
}

function packetOf(header: string, body: MessageBody): Uint8Array {
  const message = encodeWireData(wireData(header, body, { msgId: 1 }));
  return encodeDatagram(SERVICE_CODE.discovery, message);
}

function assertNames(field: string, parse: () => unknown): void {
  const error = assertThrows(parse, InvalidPacketError, `bad ${field}`);
  assertEquals([error.code, error.details.field], ["bad-message", field]);
}
