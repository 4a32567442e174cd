import { assert, assertEquals, assertThrows } from "@std/assert";
import { InvalidPacketError } from "../../src/errors.ts";
import { MessageType, type Sender } from "../../src/sync/message_types.ts";
import { decodeMessage, encodeMessage, isKnown, readMessage } from "../../src/sync/protocol.ts";
import { syncMessages } from "../../src/testing/sync_messages.ts";

const SENDERS: readonly Sender[] = ["client", "server"];

Deno.test("syncMessages makes a valid message of every type, whatever the seed", () => {
  for (let seed = 0; seed < 100; seed++) {
    const make = syncMessages(seed);
    for (const from of SENDERS) {
      const messages = make.all(from);
      const types = new Set(messages.map(({ type }) => type));
      for (const type of Object.values(MessageType)) assert(types.has(type), type);
      for (const message of messages) {
        assertEquals(decodeMessage(encodeMessage(message), { from }), message);
        assert(isKnown(message, from));
      }
    }
  }
});

Deno.test("syncMessages makes the same messages for the same seed, and others for another", () => {
  const text = (seed: number) => JSON.stringify(syncMessages(seed).all("client"));
  assertEquals(text(1), text(1));
  assert(text(1) !== text(2));
});

Deno.test("SyncMessages lets what is given decide what depends on it", () => {
  const make = syncMessages(1);
  for (const operation of ["create", "update", "delete", "rename"] as const) {
    const { data } = make.client("file_changed", { operation, file_path: "a" });
    assertEquals([data.entry?.path, data.entry?.deleted ?? false], [
      "a",
      operation === "delete",
    ]);
    assertEquals(data.old_entry?.path, data.old_path);
    assertEquals(data.old_path !== undefined, operation === "rename");
  }
  assertEquals(make.client("client_connect", { room: "docs" }).data.room, "docs");
  assertEquals(make.server("client_connect", { success: false }).data.success, false);
});

// Whoever adds a field without a rule, or loses a rule, fails here.
Deno.test("readMessage names the field of every message that SyncMessages breaks", () => {
  for (const from of SENDERS) {
    const broken = syncMessages(3).broken(from);
    assert(broken.length > 60, `${broken.length}`);
    for (const { message, field, how } of broken) {
      const text = JSON.stringify(message);
      const error = assertThrows(() => readMessage(message, from), InvalidPacketError, field, text);
      const { fields } = error.details as { fields: { field: string; problem: string }[] };
      const found = fields.find((fault) => fault.field === field);
      assertEquals(found?.problem === "is missing", how === "missing", `${field} ${text}`);
    }
  }
});
