import { assert, assertEquals, assertThrows } from "@std/assert";
import { InvalidPacketError, LimitError } from "../../../src/errors.ts";
import { Allowance } from "../../../src/transfer/dialects/allowance.ts";
import {
  chunkBytesOf,
  encodeAnswer,
  encodeDirectoryItem,
  encodeFileRecord,
  encodeSize,
  type FileRecord,
  MAX_RECORD_BYTES,
  parseDirectoryItem,
  parseFileRecord,
  parseLength,
  parseSize,
  withLength,
} from "../../../src/transfer/dialects/peerconnect_records.ts";
import { encode } from "../../../src/wire/msgpack.ts";
import { concat } from "../../fuzz/generate.ts";
import corpus from "../../testdata/hostile_names.json" with { type: "json" };
import { bytesOf, feedGarbage, loadVectors } from "../../testdata/vectors.ts";
import { HOSTILE_NAMES } from "./peerconnect_fixture.ts";

Deno.test("encodeFileRecord and parseFileRecord agree with the originals, byte for byte", () => {
  const vectors = loadVectors("peerconnect.fileitem");
  for (const vector of vectors) {
    const record = vector.value as FileRecord;
    assertEquals(parseFileRecord(bytesOf(vector)), record, vector.name);
    assertEquals(encodeFileRecord(record).toHex(), vector.hex, vector.name);
  }
  assertEquals(vectors.length, 10);
});

Deno.test("chunkBytesOf gives the originals' chunks", () => {
  const vectors = loadVectors("peerconnect.chunk_size");
  for (const { name, value } of vectors) {
    const { size, chunk } = value as { size: number; chunk: number };
    assertEquals(chunkBytesOf(size), chunk, name);
  }
  assertEquals(vectors.length, 14);
});

Deno.test("parseFileRecord ignores what follows, and takes sizes up to 2^53 - 1", () => {
  const size = Number.MAX_SAFE_INTEGER;
  const record = { name: "a", size, seeked: size };
  assertEquals(parseFileRecord(concat(encodeFileRecord(record), Uint8Array.of(0xc1))), record);
});

Deno.test("parseFileRecord names the field that is wrong", () => {
  const cases: [unknown, string][] = [
    [["a", 1], "record: it is not an array of 3"],
    [["a", 1, 0, 0], "record: it is not an array of 3"],
    [{ name: "a" }, "record: it is not an array of 3"],
    [[new Uint8Array(1), 1, 0], "name: it is not text"],
    [["a", "1", 0], "size: it is not an integer"],
    [["a", -1, 0], "size: it is not an integer"],
    [["a", 1.5, 0], "size: it is not an integer"],
    [["a", true, 0], "size: it is not an integer"],
    [["a", 2n ** 53n, 0], "size 9007199254740992 exceeds 9007199254740991"],
    [["a", 1, null], "seeked: it is not an integer"],
    [["a", 1, -1n * 2n ** 60n], "seeked: it is not an integer"],
    [["a", 1, 2], "seeked: 2 is beyond the size 1"],
  ];
  for (const [value, text] of cases) {
    assertThrows(() => parseFileRecord(encode(value)), InvalidPacketError, text);
  }
});

Deno.test("parseFileRecord refuses every hostile name and says why", () => {
  for (const [name, reason] of HOSTILE_NAMES) {
    const bytes = encodeFileRecord({ name, size: 1, seeked: 0 });
    const error = assertThrows(() => parseFileRecord(bytes), InvalidPacketError, "", name);
    assertEquals(error.details.reason, reason, JSON.stringify(name));
  }
  const broken = Uint8Array.fromHex("93a2ff410100"); // no UTF-8
  assertThrows(() => parseFileRecord(broken), InvalidPacketError, "Cannot decode");
  const inside = encodeFileRecord({ name: "a/b", size: 1, seeked: 0 });
  assertThrows(() => parseFileRecord(inside), InvalidPacketError, "it leads into a folder");
});

Deno.test("parseDirectoryItem refuses every hostile name and every hostile parent", () => {
  for (const [name] of HOSTILE_NAMES) {
    assertThrows(() => parseDirectoryItem(encode([".", name])), InvalidPacketError, "", name);
    if (name === ".") continue; // the top
    assertThrows(() => parseDirectoryItem(encode([name, "x"])), InvalidPacketError, "", name);
  }
  for (const parent of ["..", "./a", "a/..", "a/", "", null, 1]) {
    assertThrows(() => parseDirectoryItem(encode([parent, "x"])), InvalidPacketError);
  }
  assertThrows(() => parseDirectoryItem(encode([".", "a/b"])), InvalidPacketError, "folder");
  assertThrows(() => parseDirectoryItem(encode(["."])), InvalidPacketError, "array of 2");
});

Deno.test("names of many scripts come through files and directories in normal form C", () => {
  for (const path of corpus.good) {
    const normal = path.normalize("NFC");
    assertEquals(parseDirectoryItem(encodeDirectoryItem(path)), normal);
    const name = path.slice(path.lastIndexOf("/") + 1);
    const record = parseFileRecord(encodeFileRecord({ name, size: 0, seeked: 0 }));
    assertEquals(record.name, name.normalize("NFC"));
  }
});

Deno.test("lengths and sizes are big-endian, and bounded before anything is waited for", () => {
  assertEquals(withLength(Uint8Array.of(7, 8)).toHex(), "000000020708");
  assertEquals(parseLength(withLength(new Uint8Array(MAX_RECORD_BYTES))), MAX_RECORD_BYTES);
  for (const hex of ["00004001", "ffffffff"]) {
    const error = assertThrows(() => parseLength(Uint8Array.fromHex(hex)), InvalidPacketError);
    assertEquals(error.code, "too-large");
    assertEquals(error.details.limit, "maxRecordBytes");
  }
  for (const size of [0, 6, 2 ** 32, Number.MAX_SAFE_INTEGER]) {
    assertEquals(parseSize(encodeSize(size)), size);
  }
  assertEquals(encodeSize(6).toHex(), "0000000000000006");
  for (const hex of ["0020000000000000", "ffffffffffffffff"]) {
    const error = assertThrows(() => parseSize(Uint8Array.fromHex(hex)), InvalidPacketError);
    assertEquals(error.code, "too-large");
  }
  assertEquals([...encodeAnswer(true), ...encodeAnswer(false)], [1, 0]);
});

Deno.test("parseFileRecord and parseDirectoryItem meet garbage with errors of ours", () => {
  const records = loadVectors("peerconnect.fileitem").map(bytesOf);
  const items = ["a", "b/c", "b/c/d.txt"].map(encodeDirectoryItem);
  for (
    const [parse, samples] of [[parseFileRecord, records], [parseDirectoryItem, items]] as const
  ) {
    const { decoded, refused } = feedGarbage(parse, samples, { seed: 31, cases: 2000 });
    assert(decoded > 100 && refused > 100, `${decoded} ${refused}`);
  }
});

Deno.test("Allowance counts entries and bytes, and what it refuses not", () => {
  const allowance = new Allowance({ maxEntries: 2, maxTotalBytes: 10 });
  allowance.admit(6);
  const error = assertThrows(() => allowance.admit(5), LimitError, "maxTotalBytes 10");
  assertEquals(error.details, { limit: "maxTotalBytes", max: 10 });
  allowance.admit(4);
  assertThrows(() => allowance.admit(), LimitError, "maxEntries 2");
});
