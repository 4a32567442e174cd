import { assertEquals } from "@std/assert";
import { changedEntries, changeOf, type SyncEntry, tombstoneOf } from "../../src/sync/entry.ts";
import { MemoryIndex } from "../../src/sync/memory_index.ts";
import type { FileChanged } from "../../src/sync/message_types.ts";
import { changeMessage, syncResponseMessage } from "../../src/sync/messages.ts";
import { planSync } from "../../src/sync/plan.ts";
import { readMessage } from "../../src/sync/protocol.ts";
import type { VersionVector } from "../../src/sync/version_vector.ts";
import { fileEntry, folderEntry } from "./index_contract.ts";

const [ours, theirs] = ["r000000000000000a", "r000000000000000b"];
const [one, other] = ["11".repeat(32), "22".repeat(32)];

function v(a: number, b: number): VersionVector {
  return new Map([[ours, a], [theirs, b]].filter(([, n]) => n !== 0) as [string, number][]);
}

function planned(index: MemoryIndex, since: number, ...entries: SyncEntry[]) {
  const plan = planSync(index, { source: theirs, entries, since });
  const response = { instructions: plan.instructions, index_seq: plan.indexSeq };
  readMessage(syncResponseMessage({ wallMs: 0 }, response), "server");
  const rows = plan.instructions.map(({ action, file_path, winner = "", copy_path = "" }) => {
    return [action, file_path, winner, copy_path].join(" ").trim();
  });
  return { rows, takes: plan.takes.map(({ path }) => path), seq: plan.indexSeq };
}

Deno.test("planSync says what to send, receive and delete, and where a conflict is", () => {
  const index = new MemoryIndex(ours);
  const put = (entry: SyncEntry) => index.put([{ entry }]);
  put(fileEntry("known", { version: v(1, 0) }));
  put(fileEntry("lost.txt", { version: v(4, 0), sha256: one }));
  put(fileEntry("won.txt", { version: v(1, 0), sha256: one }));
  put(tombstoneOf(fileEntry("gone"), v(2, 1)));
  put(fileEntry("fresh", { version: v(1, 0) }));
  const plan = planned(
    index,
    1,
    fileEntry("sent", { version: v(0, 1) }),
    folderEntry("folder", { version: v(0, 1) }),
    fileEntry("lost.txt", { version: v(0, 1), sha256: other }),
    fileEntry("won.txt", { version: v(0, 4), sha256: other }),
    fileEntry("gone", { version: v(0, 1) }),
  );
  assertEquals(plan.rows, [
    "send sent",
    "conflict lost.txt server lost (conflict 22222222).txt",
    "conflict won.txt client won (conflict 11111111).txt",
    "delete gone",
    "receive fresh",
  ]);
  assertEquals(plan.takes, ["sent", "folder", "won.txt"]);
  assertEquals(plan.seq, 5);
  assertEquals(planned(index, 5).rows, []);
});

Deno.test("planSync does not tell a replica what came from it as it is", () => {
  const index = new MemoryIndex(ours);
  index.put([{ entry: fileEntry("a"), source: theirs }, { entry: fileEntry("b"), source: "x" }]);
  assertEquals(planned(index, 0).rows, ["receive b"]);
});

Deno.test("planSync has nothing to say of ten thousand files that are alike", () => {
  const index = new MemoryIndex(ours);
  const entries = Array.from({ length: 10_000 }, (_, n) => fileEntry(`f${n}`));
  index.put(entries.map((entry) => ({ entry })));
  const beforeMs = performance.now();
  const plan = planSync(index, { source: theirs, entries, since: 0 });
  assertEquals([plan.instructions, plan.takes], [[], []]);
  assertEquals(performance.now() - beforeMs < 1_000, true);
});

Deno.test("changeOf and changedEntries carry an entry through a file_changed", () => {
  const [before, after] = [fileEntry("a"), fileEntry("b", { version: v(1, 2) })];
  const old = tombstoneOf(before, v(1, 1));
  const changes: [FileChanged, SyncEntry[]][] = [
    [changeOf(after, "ann"), [after]],
    [changeOf(after, "ann", { before: tombstoneOf(after, v(1, 0)) }), [after]],
    [changeOf(after, "ann", { before }), [after]],
    [changeOf(old, "ann", { before }), [old]],
    [changeOf(after, "ann", { from: old }), [old, after]],
  ];
  const operations = ["create", "create", "update", "delete", "rename"];
  assertEquals(changes.map(([change]) => change.operation as string), operations);
  for (const [change, entries] of changes) {
    readMessage(changeMessage({ clientId: "ann", wallMs: 0 }, change), "client");
    assertEquals(changedEntries(JSON.parse(JSON.stringify(change))), entries);
  }
  assertEquals(changedEntries({ operation: "update", file_path: "a" }), []);
});
