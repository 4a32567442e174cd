import { assert, assertEquals } from "@std/assert";
import { entryToMessage } from "../../src/sync/entry.ts";
import { syncRequestMessage } from "../../src/sync/messages.ts";
import { pagesOf } from "../../src/sync/pages.ts";
import { decodeMessage, encodeMessage, MAX_MESSAGE_ITEMS } from "../../src/sync/protocol.ts";
import { fileEntry } from "./index_contract.ts";

Deno.test("pagesOf cuts an index into pages that are read, and loses nothing", () => {
  const long = "ü".repeat(120);
  const entries = Array.from({ length: 5_000 }, (_, n) => {
    return entryToMessage(fileEntry(`${long}/${long}/${n}`));
  });
  const read = [...pagesOf(entries)].flatMap(({ items, more }) => {
    const message = syncRequestMessage({ clientId: "ann", wallMs: 0 }, { entries: items, more });
    const { data } = decodeMessage(encodeMessage(message), { from: "client" });
    return data.entries as unknown[];
  });
  assertEquals(read, entries);
});

Deno.test("pagesOf says of all pages but the last that more follow", () => {
  const mores = (count: number, maxBytes?: number) =>
    [...pagesOf(Array.from({ length: count }, (_, n) => n), maxBytes)].map(({ more }) => more);
  assertEquals(mores(0), [false]);
  assertEquals(mores(3), [false]);
  assertEquals(mores(3, 4), [true, false]);
  assertEquals(mores(2, 1), [true, false]);
  assertEquals(mores(MAX_MESSAGE_ITEMS + 1).length, 2);
  assert([...pagesOf([])].every(({ items }) => items.length === 0));
});
