import { assertEquals, assertThrows } from "@std/assert";
import { InvalidPacketError } from "../../src/errors.ts";
import {
  channelOf,
  MAX_PAGE_MESSAGE_BYTES,
  msgIdIn,
  type PageMessage,
  readChoice,
  readPageMessage,
  readPeerId,
  writePageMessage,
  writePeerId,
} from "../../src/page/page_message.ts";
import { feedGarbage, fromNotation, loadVectors } from "../testdata/vectors.ts";

const VECTORS = loadVectors("peerconnect.dataweaver");
const ID = "522b276a356bdf39013dfabea2cd43e141ecc9e8";
const DECIMAL = "469099608771183077085495238363724627294301243880";

Deno.test("writePageMessage writes the original's bytes, wherever that writes what a page is sent", () => {
  const written = new Set<string>();
  for (const { name, value, json } of VECTORS) {
    const { header, content, peerId, msgId, type } = fromNotation(value) as {
      header: string | null;
      content: unknown;
      peerId: unknown;
      msgId: string | number | null;
      type: number;
    };
    // Without a header nothing is sent; ids are of peers, and the type is always 1.
    if (header === null || peerId === "" || type !== 1) continue;
    const id = peerId === null ? undefined : readPeerId(peerId, "peerconnect");
    const message: PageMessage = { header, content, peerId: id, msgId };
    const text = writePageMessage(message, "peerconnect");
    // The original's own test writes a peer's id as a number.
    const expected = json?.replace('"peerId": 1,', '"peerId": "1",');
    assertEquals(text, expected, name);
    written.add(name);
  }
  assertEquals(written.size, VECTORS.length - 3);
});

Deno.test("readPageMessage reads what the original writes, and names what is missing as its check should", () => {
  for (const { name, json } of VECTORS) {
    assertEquals(JSON.parse(json ?? "").header, readPageMessage(json ?? "").header, name);
  }
  for (const { name, value, result } of loadVectors("peerconnect.dataweaver.check")) {
    const read = () => readPageMessage(String(value));
    if (result === "ok") read();
    else assertThrows(read, InvalidPacketError, "missing", name);
  }
});

Deno.test("writePageMessage writes kith's words, and the channel as the type", () => {
  const message = { header: "0x", content: ["é"], peerId: ID, msgId: "7" };
  assertEquals(
    writePageMessage(message, "kith"),
    `{"header":"0x","content":["é"],"peerId":"${ID}","msgId":"7","type":"data"}`,
  );
  assertEquals(
    writePageMessage({ header: "1x", content: null }, "kith"),
    '{"header":"1x","content":null,"peerId":null,"msgId":null,"type":"signal"}',
  );
  for (const header of ["", "x", "2x"]) {
    assertThrows(() => writePageMessage({ header, content: null }, "kith"), TypeError, "0 or 1");
  }
});

Deno.test("readPeerId reads both forms in both styles", () => {
  for (const style of ["kith", "peerconnect"] as const) {
    assertEquals([readPeerId(ID, style), readPeerId(DECIMAL, style)], [ID, ID]);
    assertEquals(readPeerId(5, style), "5".padStart(40, "0"));
    for (const id of ["", "bob", "-1", "1".repeat(50), ID + "0", null, {}, 1.5, -3]) {
      assertThrows(() => readPeerId(id, style), InvalidPacketError);
    }
  }
  assertEquals([writePeerId(ID, "kith"), writePeerId(ID, "peerconnect")], [ID, DECIMAL]);
  const both = "1234567890".repeat(4);
  assertEquals(readPeerId(both, "kith"), both);
  assertEquals(writePeerId(readPeerId(both, "peerconnect"), "peerconnect"), both);
});

Deno.test("readChoice goes by the first character of the header alone", () => {
  assertEquals(readChoice('{"header":"0"}'), "data");
  assertEquals(readChoice('{"header":"1 anything","x":[]}'), "signal");
  for (
    const text of [
      "",
      "{}",
      "[]",
      "1",
      '{"header":1}',
      '{"header":""}',
      '{"header":"2x"}',
      '{"header":null}',
    ]
  ) {
    assertThrows(() => readChoice(text), InvalidPacketError);
  }
  assertEquals([null, "", "x", "constructor"].map(channelOf), Array(4).fill(undefined));
});

Deno.test("readPageMessage refuses bytes, what is too long, and ids that are", () => {
  const base = { header: "0x", content: "", peerId: null, msgId: "1" };
  const long = JSON.stringify({ ...base, content: "a".repeat(MAX_PAGE_MESSAGE_BYTES) });
  assertEquals(assertThrows(() => readPageMessage(long), InvalidPacketError).code, "too-large");
  const id = JSON.stringify({ ...base, msgId: "a".repeat(129) });
  assertThrows(() => readPageMessage(id), InvalidPacketError, "msgId is longer than 128");
  assertThrows(() => readPageMessage(new Uint8Array(4)), InvalidPacketError, "not text");
  assertEquals([long, id, "{", "[]", '{"msgId":{}}', '{"msgId":7}', '{"msgId":"a"}'].map(msgIdIn), [
    ...Array(5).fill(null),
    7,
    "a",
  ]);
});

Deno.test("readPageMessage and readChoice meet garbage with a value or a PeerError", () => {
  const utf8 = new TextEncoder();
  const texts = VECTORS.map(({ json }) => utf8.encode(json));
  for (const read of [readPageMessage, readChoice, msgIdIn]) {
    const asText = (bytes: Uint8Array) => read(new TextDecoder().decode(bytes));
    assertEquals(feedGarbage(asText, texts, { seed: 26, cases: 1_000 }).decoded > 0, true);
  }
});
