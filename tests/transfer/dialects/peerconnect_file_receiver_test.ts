import { assert, assertEquals, assertThrows } from "@std/assert";
import { ClosedError, InvalidPacketError, LimitError } from "../../../src/errors.ts";
import { FileReceiver } from "../../../src/transfer/dialects/peerconnect_file_receiver.ts";
import { concat } from "../../fuzz/generate.ts";
import { connected, NO, record, type Sent, transcript } from "./peerconnect_files_fixture.ts";
import { bytewise, drain, feed, HOSTILE_NAMES, Store } from "./peerconnect_fixture.ts";

Deno.test("FileReceiver reads what the originals write, however it is cut", () => {
  for (const name of ["one file", "two files"]) {
    const { files, sends } = transcript(name);
    const bytes = Uint8Array.fromHex(sends.join(""));
    for (const pieces of [[bytes], bytewise(bytes), sends.map((hex) => Uint8Array.fromHex(hex))]) {
      const receiver = connected();
      const store = new Store();
      for (const event of feed(receiver, pieces)) store.take(event);
      assertEquals(store.files, files.map(({ name, content }) => [name, content]));
      assert(store.done && receiver.over);
      receiver.ended();
    }
  }
});

Deno.test("FileReceiver takes empty files, also after a broken connection", () => {
  const receiver = connected();
  const store = new Store();
  for (const event of feed(receiver, [record("empty", 0)])) store.take(event);
  assertEquals(store.files, [["empty", new Uint8Array(0)]]);
  assertEquals(receiver.connected(), new Uint8Array(8));
  // Its end was told: it is not told again.
  for (const event of feed(receiver, [concat(record("empty", 0), NO)])) store.take(event);
  assertEquals(store.files.length, 1);
  assert(store.done);
});

Deno.test("FileReceiver refuses hostile names before any content, and says which", () => {
  for (const [name] of HOSTILE_NAMES) {
    const receiver = connected();
    receiver.push(concat(record("good", 1), Uint8Array.of(9), record(name, 4), new Uint8Array(4)));
    const store = new Store();
    const error = assertThrows(() => {
      for (const event of drain(receiver)) store.take(event);
    }, InvalidPacketError);
    assert(error.details.path !== undefined, JSON.stringify(name));
    assertEquals(store.files, [["good", Uint8Array.of(9)]]); // what came before is there
    assertThrows(() => receiver.next(), InvalidPacketError);
  }
});

Deno.test("FileReceiver refuses what breaks the format", () => {
  const cases: [Uint8Array, string][] = [
    [Uint8Array.of(2), "mark: 2 is neither"],
    [Uint8Array.of(1, 0xff, 0xff, 0xff, 0xff), "4294967295 bytes exceeds maxRecordBytes"],
    [Uint8Array.of(1, 0, 0, 0, 0), "Cannot decode"],
    [Uint8Array.of(1, 0, 0, 0, 1, 0xc1), "Cannot decode"],
    [Uint8Array.of(1, 0, 0, 0, 1, 0xc0), "record: it is not an array of 3"],
    [record("a", 5, 3), "seeked: 3, but nothing of the file is here"],
    [Uint8Array.of(0, 1), "1 bytes after the end"],
  ];
  for (const [bytes, text] of cases) {
    const receiver = connected();
    const error = assertThrows(() => [...feed(receiver, [bytes])], InvalidPacketError, text);
    assertEquals(assertThrows(() => receiver.next()), error); // and stays so
  }
});

Deno.test("FileReceiver goes on with no other file, but asks again", () => {
  const receiver = connected();
  const store = new Store();
  const begin = concat(record("a", 5), Uint8Array.of(7, 7));
  for (const event of feed(receiver, [begin])) store.take(event);
  for (const other of [record("b", 5, 2), record("a", 6, 2), record("a", 5, 1), record("a", 5)]) {
    assertEquals(receiver.connected(), Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 2));
    const text = 'Cannot resume "a" at 2 of 5 bytes: the sender goes on with';
    assertThrows(() => [...feed(receiver, [other])], InvalidPacketError, text);
  }
  receiver.connected();
  const rest = concat(record("a", 5, 2), Uint8Array.of(8, 8, 8), NO);
  for (const event of feed(receiver, [rest])) store.take(event);
  assertEquals(store.files, [["a", Uint8Array.of(7, 7, 8, 8, 8)]]);
});

Deno.test("FileReceiver stops at its limits, and counts a file that goes on once", () => {
  const limited = connected({ maxTotalBytes: 10 });
  assertThrows(() => [...feed(limited, [record("a", 11)])], LimitError, "maxTotalBytes 10");
  const few = connected({ maxEntries: 1 });
  const two = concat(record("a", 0), record("b", 0));
  assertThrows(() => [...feed(few, [two])], LimitError, "maxEntries 1");
  const partial = { name: "a", size: 10, got: 4 };
  const again = new FileReceiver({ partial, maxTotalBytes: 10, maxEntries: 1 });
  again.connected();
  assertEquals([...feed(again, [record("a", 10, 4)])].length, 1);
  assertThrows(() => new FileReceiver({ partial, maxTotalBytes: 9 }), LimitError);
});

Deno.test("FileReceiver.ended tells where a connection ended, at every byte", () => {
  const { files, sends } = transcript("two files");
  const bytes = Uint8Array.fromHex(sends.join(""));
  const [first] = files as [Sent];
  for (let length = 0; length < bytes.length; length++) {
    const receiver = connected();
    for (const _ of feed(receiver, [bytes.subarray(0, length)]));
    const error = assertThrows(() => receiver.ended(), ClosedError);
    assertEquals(error.message.includes("between"), receiver.partial === undefined);
    assert(!receiver.over);
    if (receiver.partial?.name === first.name) assert(receiver.partial.got < first.size);
  }
});
