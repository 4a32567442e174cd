import { assertEquals, assertThrows } from "@std/assert";
import { InvalidPacketError } from "../../src/errors.ts";
import { contactOf } from "../../src/dht/contact.ts";
import {
  answerBody,
  type AnswerTerms,
  fitsPacket,
  MAX_NODES,
  MAX_RECORDS,
  questionBody,
  readAnswer,
  readQuestion,
} from "../../src/dht/node_packets.ts";
import type { Question } from "../../src/dht/questions.ts";
import { plainRecord } from "../../src/dht/record.ts";
import { encodeRecord } from "../../src/dht/record_codec.ts";
import type { MessageBody } from "../../src/wire/message.ts";
import { decode, encode } from "../../src/wire/msgpack.ts";
import { feedGarbage } from "../testdata/vectors.ts";

const ID = new Uint8Array(20).fill(7);
const CLAIM = { id: ID, tcpPort: 3485 };
const NONCE = new Uint8Array(16).fill(9);
const AT = { hostname: "192.0.2.7", port: 3486 };
const RECORD = plainRecord(ID, encode("tea"));
const NODE = contactOf(ID, AT, { tcpPort: 3485 });

const NOTHING: AnswerTerms = {
  ...{ nodes: [], records: [], isMore: false, claim: undefined, proof: undefined, seenAt: "" },
};

/** As it comes out of a packet. */
function sent(body: MessageBody): MessageBody {
  return decode(encode(body)) as MessageBody;
}

Deno.test("questionBody writes what readQuestion reads, of every kind", () => {
  const questions: Question[] = [
    { type: "ping" },
    { type: "find-node", target: ID },
    { type: "find-value", target: ID },
    { type: "store", record: RECORD, ttlS: 60, cas: 3 },
    { type: "store", record: RECORD, ttlS: 604_800 },
  ];
  for (const question of questions) {
    const body = questionBody(question, { claim: CLAIM, nonce: NONCE, at: AT, isPacket: true });
    const { question: read, ...asked } = readQuestion(question.type, sent(body));
    assertEquals(asked, { claim: CLAIM, nonce: NONCE, at: "192.0.2.7:3486" });
    if (question.type !== "store") assertEquals(read, question);
    else {
      const { ttlS, cas } = question;
      assertEquals(read, { type: "store", record: encodeRecord(RECORD), ttlS, cas });
    }
    const bare = questionBody(question, { isPacket: false });
    assertEquals(readQuestion(question.type, sent(bare)), {
      ...{ question: read, claim: undefined, nonce: undefined, at: "" },
    });
  }
});

Deno.test("questionBody asks for nodes with at least a third of what twenty nodes take", () => {
  const question = { type: "find-node", target: ID } as const;
  const asked = encode(questionBody(question, { claim: CLAIM, isPacket: true })).length;
  const nodes = Array<typeof NODE>(MAX_NODES).fill(
    contactOf(ID, { hostname: "192.168.255.255", port: 65_535 }, { tcpPort: 65_535 }),
  );
  const answered = encode(answerBody({ ...NOTHING, nodes })).length;
  assertEquals(answered < 3 * asked, true, `${asked} ask for ${answered}`);
});

Deno.test("answerBody writes what readAnswer reads", () => {
  const answers: AnswerTerms[] = [
    NOTHING,
    {
      ...NOTHING,
      nodes: [NODE, contactOf(new Uint8Array(20), { hostname: "2001:db8::1", port: 1 })],
    },
    { ...NOTHING, records: [encodeRecord(RECORD), Uint8Array.of(1)] },
    { ...NOTHING, isMore: true },
    {
      ...NOTHING,
      claim: CLAIM,
      proof: { publicKey: new Uint8Array(32).fill(1), signature: new Uint8Array(64).fill(2) },
      seenAt: "192.0.2.9:1",
    },
  ];
  for (const answer of answers) assertEquals(readAnswer(sent(answerBody(answer))), answer);
});

Deno.test("readAnswer leaves out nodes at addresses that nobody should be sent to", () => {
  const hosts = ["224.0.0.1", "255.255.255.255", "0.0.0.0", "::", "ff02::1", "localhost", "a b"];
  const nodes = hosts.map((hostname) => contactOf(ID, { hostname, port: 1 }));
  const body = answerBody({ ...NOTHING, nodes: [...nodes, NODE] });
  assertEquals(readAnswer(sent(body)).nodes, [NODE]);
});

Deno.test("readQuestion names the field that is wrong", () => {
  const cases: [Question["type"], MessageBody, string][] = [
    ["find-node", {}, "t"],
    ["find-node", { t: new Uint8Array(19) }, "t"],
    ["find-value", { t: "text" }, "t"],
    ["ping", { f: [ID] }, "f"],
    ["ping", { f: [new Uint8Array(21), 1] }, "f"],
    ["ping", { f: [ID, 65_536] }, "f"],
    ["ping", { f: [ID, -1] }, "f"],
    ["ping", { f: [ID, 1.5] }, "f"],
    ["ping", { q: new Uint8Array(15) }, "q"],
    ["ping", { q: NONCE, a: "x".repeat(271) }, "a"],
    ["ping", { a: 1 }, "a"],
    ["store", { l: 1 }, "r"],
    ["store", { r: "text", l: 1 }, "r"],
    ["store", { r: ID }, "l"],
    ["store", { r: ID, l: 0 }, "l"],
    ["store", { r: ID, l: 604_801 }, "l"],
    ["store", { r: ID, l: 1, c: -1 }, "c"],
    ["store", { r: ID, l: 1, c: 2 ** 53 }, "c"],
  ];
  for (const [type, body, field] of cases) {
    const error = assertThrows(() => readQuestion(type, body), InvalidPacketError, `${field}:`);
    assertEquals([error.code, error.details.field], ["bad-message", field]);
  }
});

Deno.test("readAnswer names the field that is wrong, and the limit", () => {
  const node = [ID, "192.0.2.7", 1, 0];
  const cases: [unknown, string][] = [
    [null, "result"],
    [[], "result"],
    ["x", "result"],
    [{ n: {} }, "n"],
    [{ n: [node.slice(1)] }, "n"],
    [{ n: [[ID, 7, 1, 0]] }, "n"],
    [{ n: [[ID, "192.0.2.7", 0, 0]] }, "n"],
    [{ n: [[ID, "192.0.2.7", 1, 65_536]] }, "n"],
    [{ n: [[ID.slice(1), "192.0.2.7", 1, 1]] }, "n"],
    [{ r: [1] }, "r"],
    [{ f: 7 }, "f"],
    [{ i: [new Uint8Array(31), new Uint8Array(64)] }, "i"],
    [{ i: [new Uint8Array(32)] }, "i"],
    [{ y: 7 }, "y"],
  ];
  for (const [body, field] of cases) {
    const error = assertThrows(() => readAnswer(body), InvalidPacketError, `${field}:`);
    assertEquals([error.code, error.details.field], ["bad-message", field]);
  }
  for (const [field, max, one] of [["n", MAX_NODES, node], ["r", MAX_RECORDS, ID]] as const) {
    const body = { [field]: Array(max + 1).fill(one) };
    const error = assertThrows(() => readAnswer(body), InvalidPacketError, `more than ${max}`);
    assertEquals([error.code, error.details.got], ["too-large", max + 1]);
  }
});

Deno.test("readQuestion and readAnswer refuse garbage with an error of their own", () => {
  const asking = { claim: CLAIM, nonce: NONCE, at: AT, isPacket: true };
  const record = { type: "store", record: RECORD, ttlS: 60, cas: 3 } as const;
  for (const question of [{ type: "find-node", target: ID } as const, record]) {
    const read = (bytes: Uint8Array) => readQuestion(question.type, Object(decode(bytes)));
    const samples = [encode(questionBody(question, asking))];
    const { decoded, refused } = feedGarbage(read, samples, { seed: 3, cases: 1_000 });
    assertEquals(decoded > 0 && refused > 0, true);
  }
  const samples = [encode(answerBody({ ...NOTHING, nodes: [NODE, NODE], claim: CLAIM }))];
  const read = (bytes: Uint8Array) => readAnswer(decode(bytes));
  const { decoded, refused } = feedGarbage(read, samples, { seed: 4, cases: 2_000 });
  assertEquals(decoded > 0 && refused > 0, true);
});

Deno.test("fitsPacket is for values of up to 1,024 bytes", () => {
  assertEquals(fitsPacket(plainRecord(ID, new Uint8Array(1_024))), true);
  assertEquals(fitsPacket(plainRecord(ID, new Uint8Array(1_025))), false);
});
