import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { InvalidPacketError } from "../../src/errors.ts";
import type { Sender, WebSocketMessage } from "../../src/sync/message_types.ts";
import {
  CAPABILITIES,
  commonCapabilities,
  commonVersion,
  decodeMessage,
  encodeMessage,
  isKnown,
  MAX_MESSAGE_ITEMS,
  readMessage,
} from "../../src/sync/protocol.ts";
import { MAX_JSON_BYTES } from "../../src/wire/json.ts";
import corpus from "../testdata/hostile_names.json" with { type: "json" };
import { feedGarbage, loadVectors } from "../testdata/vectors.ts";

const WHEN = "2026-01-02T03:04:05.678901";
const ID = "desk_1767323045";
const REPLICA = "r0123456789abcdef";

const ENTRY = {
  path: "docs/a.txt",
  kind: "file",
  size: 3,
  mode: 0o644,
  mtime_ms: 1_767_323_045_000,
  sha256: "ab".repeat(32),
  version: { [REPLICA]: 1 },
};

function message(type: string, data: unknown, more: Record<string, unknown> = {}): unknown {
  return { type, data, client_id: ID, timestamp: WHEN, ...more };
}

function faultsOf(value: unknown, from: Sender = "client"): Record<string, string> {
  const error = assertThrows(() => readMessage(value, from), InvalidPacketError);
  assertEquals(error.code, "bad-message");
  const fields = error.details.fields as { field: string; problem: string }[];
  for (const { field } of fields) assertStringIncludes(error.message, field);
  return Object.fromEntries(fields.map(({ field, problem }) => [field, problem]));
}

Deno.test("decodeMessage reads every golden message as it is, and encodeMessage writes it again", () => {
  const vectors = loadVectors("livesync.messages");
  assert(vectors.length >= 14);
  for (const { name, json = "", value, ...rest } of vectors) {
    const { direction } = rest as { direction?: string };
    const from = direction?.startsWith("client") ? "client" : "server";
    const decoded = decodeMessage(json, { from });
    assertEquals(decoded as unknown, value, name);
    assertEquals(encodeMessage(decoded, { style: "python" }), json, name);
    assertEquals(decodeMessage(encodeMessage(decoded), { from }), decoded, name);
    assert(isKnown(decoded, from), name);
  }
});

Deno.test("readMessage demands of a client what a server may leave out", () => {
  assertEquals(faultsOf({ type: "heartbeat", data: {} }), {
    "client_id": "is missing",
    "timestamp": "is missing",
    "data.client_id": "is missing",
    "data.timestamp": "is missing",
  });
  assertEquals(faultsOf({ type: "heartbeat", data: {} }, "server"), {
    "data.timestamp": "is missing",
  });
  readMessage({ type: "heartbeat", data: { timestamp: "noon" } }, "server");
});

Deno.test("readMessage names every field that is wrong", () => {
  assertEquals(faultsOf({ type: 1, data: [], client_id: "a b", timestamp: "yesterday" }), {
    type: "is not text",
    data: "is not an object",
    client_id: "is not 1..128 of A-Z a-z 0-9 _ . -",
    timestamp: "is not a time of ISO 8601",
  });
  const request = { client_id: ID, client_name: "x".repeat(65), sync_root: 5, versions: [2, 1] };
  assertEquals(faultsOf(message("client_connect", { ...request, resume: { received: -1 } })), {
    "data.client_name": "is longer than 64 characters",
    "data.sync_root": "is not text",
    "data.versions": "is not [least, greatest], both integers above 0",
    "data.resume.session": "is missing",
    "data.resume.received": `is not an integer of 0..${Number.MAX_SAFE_INTEGER}`,
  });
  const change = { operation: "chmod", file_path: "../x", old_path: "/etc/passwd", index_seq: "1" };
  assertEquals(Object.keys(faultsOf(message("file_changed", change))), [
    "data.operation",
    "data.file_path",
    "data.old_path",
    "data.index_seq",
  ]);
  const entry = { path: "a", kind: "link", size: -1, mode: "x", sha256: "AB", version: { x: 1 } };
  assertEquals(Object.keys(faultsOf(message("sync_request", { entries: [ENTRY, entry, 7] }))), [
    "data.entries[1].kind",
    "data.entries[1].size",
    "data.entries[1].mode",
    "data.entries[1].sha256",
    "data.entries[1].version",
    "data.entries[2]",
  ]);
  assertEquals(Object.keys(faultsOf(message("error", { error_code: 7, details: 7 }))), [
    "data.error_code",
    "data.message",
    "data.details",
  ]);
});

Deno.test("readMessage says of what belongs together that it does not", () => {
  const rename = { operation: "rename", file_path: "b" };
  assertEquals(faultsOf(message("file_changed", rename)), { "data.old_path": "is missing" });
  const update = { operation: "update", file_path: "b", entry: ENTRY, old_entry: ENTRY };
  assertEquals(faultsOf(message("file_changed", update)), {
    "data.old_entry": "belongs to no rename",
    "data.entry.path": "is not that of file_path",
    "data.old_entry.path": "is not that of old_path",
  });
  const { size: _size, sha256: _sha256, ...bare } = ENTRY;
  assertEquals(faultsOf(message("sync_request", { entries: [bare] })), {
    "data.entries[0].size": "is missing",
    "data.entries[0].sha256": "is missing",
  });
  readMessage(message("sync_request", { entries: [{ ...bare, deleted: true }] }), "client");
  const instructions = [{ action: "receive", file_path: "a" }, { action: "send", file_path: "a" }];
  assertEquals(faultsOf(message("sync_response", { instructions })), {
    "data.instructions[0].entry": "is missing",
  });
});

Deno.test("readMessage refuses another's id in a client's message, and keeps it in a server's", () => {
  const change = { operation: "update", file_path: "a", client_id: "other" };
  assertEquals(faultsOf(message("file_changed", change)), {
    "data.client_id": "is not client_id",
  });
  readMessage(message("file_changed", change, { client_id: "server" }), "server");
});

Deno.test("readMessage refuses every hostile path, wherever it stands", () => {
  for (const name of Object.values(corpus.hostile).flat()) {
    const data = {
      instructions: [
        { action: "send", file_path: name },
        { action: "delete", file_path: name, entry: { ...ENTRY, path: name } },
        { action: "conflict", file_path: "a", entry: { ...ENTRY, path: "a" }, copy_path: name },
      ],
    };
    assertEquals(Object.keys(faultsOf(message("sync_response", data))), [
      "data.instructions[0].file_path",
      "data.instructions[1].file_path",
      "data.instructions[1].entry.path",
      "data.instructions[2].copy_path",
    ]);
  }
});

Deno.test("decodeMessage keeps unknown fields, and unknown types without looking into them", () => {
  const connect = {
    client_id: ID,
    client_name: "desk",
    sync_root: "docs",
    colour: { deep: [1, null] },
  };
  for (const type of ["client_connect", "future_thing", "__proto__", "constructor", "toString"]) {
    const text = JSON.stringify(message(type, connect, { priority: 1 }));
    const decoded = decodeMessage(text, { from: "client" });
    assertEquals(encodeMessage(decoded), text);
    assertEquals(isKnown(decoded, "client"), type === "client_connect");
  }
  const joined = decodeMessage(
    JSON.stringify(message("client_joined", { client_id: ID, name: "x" })),
    { from: "client" },
  );
  assert(!isKnown(joined, "client"), "only servers say so");
});

Deno.test("readMessage takes null for no value at all", () => {
  const change = { operation: "update", file_path: "a", old_path: null, entry: null };
  assertEquals(Object.keys(faultsOf(message("file_changed", change))), [
    "data.old_path",
    "data.entry",
  ]);
});

Deno.test("decodeMessage tells JSON that is none, wrong shapes and limits apart", () => {
  const refusal = (input: string | Uint8Array) =>
    assertThrows(() => decodeMessage(input, { from: "client" }), InvalidPacketError);
  assertEquals(refusal("{").details.errorCode, "INVALID_JSON");
  assertEquals(refusal(new Uint8Array([0x22, 0xff, 0x22])).details.errorCode, "INVALID_JSON");
  for (const text of ["[]", "null", '"x"', "7"]) assertEquals(refusal(text).details.fields, []);
  const large = refusal(" ".repeat(MAX_JSON_BYTES + 1));
  assertEquals([large.code, large.details.limit], ["too-large", "maxBytes"]);
  assertEquals(refusal("[".repeat(100_000)).code, "too-large");
  const entries = Array.from({ length: MAX_MESSAGE_ITEMS + 1 }, () => 0);
  assertEquals(faultsOf(message("sync_request", { entries })), {
    "data.entries": `has more than ${MAX_MESSAGE_ITEMS} items`,
  });
});

Deno.test("readMessage names a bounded number of faults, and bounds what it repeats", () => {
  const entries = Array.from({ length: 5_000 }, () => ({ path: "\u001b[2J".repeat(1_000) }));
  const error = assertThrows(
    () => readMessage(message("sync_request", { entries }), "client"),
    InvalidPacketError,
    "and 14936 more",
  );
  assert(error.message.length < 5_000 && !error.message.includes("\u001b"));
  assertEquals((error.details.fields as unknown[]).length, 64);
});

Deno.test("decodeMessage meets any damage with a message or an error of ours", () => {
  const utf8 = new TextEncoder();
  const samples = loadVectors("livesync.messages").map(({ json = "" }) => utf8.encode(json));
  samples.push(utf8.encode(JSON.stringify(message("sync_request", { entries: [ENTRY] }))));
  for (const from of ["client", "server"] as const) {
    const decode = (bytes: Uint8Array) => decodeMessage(bytes, { from });
    const { decoded, refused } = feedGarbage(decode, samples, { seed: 9, cases: 3_000 });
    assert(decoded > 50 && refused > 500, `${decoded} ${refused}`);
  }
});

Deno.test("commonVersion and commonCapabilities are what both have", () => {
  assertEquals(commonVersion([1, 3]), 1);
  assertEquals(commonVersion([2, 5], [1, 3]), 3);
  assertEquals(commonVersion([2, 5]), undefined);
  assertEquals(commonCapabilities(CAPABILITIES, ["deflate", "teleport", "index"]), [
    "index",
    "deflate",
  ]);
  assertEquals(commonCapabilities(CAPABILITIES), []);
});

Deno.test("a known message is told apart by its type", () => {
  const sent: WebSocketMessage = { type: "client_left", data: { client_id: ID } };
  const decoded = readMessage(sent, "server");
  assert(isKnown(decoded, "server") && decoded.type === "client_left");
  assertEquals(decoded.data.client_id, ID);
});
