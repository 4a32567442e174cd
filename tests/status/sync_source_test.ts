import { assertEquals } from "@std/assert";
import { Channel } from "../../src/channel.ts";
import { ManualClock } from "../../src/clock.ts";
import type { SyncEvent } from "../../src/sync/folder_events.ts";
import type { HubStatus } from "../../src/sync/hub_options.ts";
import { SyncSource } from "../../src/status/sync_source.ts";
import { encodeJson } from "../../src/wire/json.ts";
import { settle } from "../endpoint/fixture.ts";

const RATES = { received: 1, sent: 2, errors: 0 };

Deno.test("SyncSource shows folders with their last changes, conflicts, and what is coming", () => {
  const source = new SyncSource({ clock: new ManualClock() });
  assertEquals(source.snapshot(), { hub: null, folders: [] });
  const folder = source.add({ label: "photos", hub: undefined, hubs: [{ connected: true }] });
  folder.note({ type: "changed", path: "a", operation: "create", by: "here" });
  folder.note({ type: "conflict", path: "b", keptAs: "b (conflict)" });
  folder.note({ type: "failed", reason: "full" });
  folder.note({ type: "progress", peer: "hub", files: 1, ofFiles: 2, bytes: 3, ofBytes: 4 });
  const shown = () => (source.snapshot() as { folders: Record<string, unknown>[] }).folders[0];
  const last = shown()?.last as { type: string; path: string; what: string }[];
  assertEquals(last.map(({ type, path, what }) => [type, path, what]), [
    ["failed", "", "full"],
    ["conflict", "b", "kept as b (conflict)"],
    ["changed", "a", "create, here"],
  ]);
  const { label, role, state, conflicts, changes, syncedMs, coming } = shown() ?? {};
  assertEquals([label, role, state, conflicts, changes, syncedMs], [
    "photos",
    "join",
    "1 of 1 hubs connected",
    1,
    1,
    null,
  ]);
  assertEquals(coming, [{ peer: "hub", files: 1, ofFiles: 2, bytes: 3, ofBytes: 4 }]);
  folder.note({ type: "synced", peer: "hub", taken: 1, told: 0 });
  assertEquals([shown()?.coming, typeof shown()?.syncedMs], [[], "number"]);
  folder[Symbol.dispose]();
  // No folder is left, and what was counted stays.
  assertEquals(source.figures().map(({ value }) => value).slice(1), [0, 1]);
});

Deno.test("SyncSource shows no more than it may, whatever clients and folders are called", () => {
  const evil = `\u001b[2J${"x".repeat(5_000)}`;
  const client = (n: number): HubStatus["clients"][number] => ({
    ...{ clientId: `${n}${evil}`, name: evil, room: evil, scope: undefined },
    ...{ connected: n % 2 === 0, silentMs: 0.5, queuedChars: 0 },
  });
  const clients = Array.from({ length: 500 }, (_, n) => client(n));
  const hub = { status: { clients, rooms: 1, strangers: 0, rates: RATES } };
  const source = new SyncSource({ clock: new ManualClock() });
  const folder = source.add({ label: evil, hub, hubs: [] });
  for (let n = 0; n < 500; n++) {
    folder.note({ type: "skipped", path: `${n}${evil}`, reason: evil });
    folder.note({
      type: "progress",
      peer: `${n}${evil}`,
      files: 0,
      ofFiles: 0,
      bytes: 0,
      ofBytes: 0,
    });
  }
  const text = encodeJson(source.snapshot());
  // deno-lint-ignore no-control-regex -- that there are none is what is tested
  assertEquals([text.length < 40_000, /[\u0000-\u001f]|\\u001b/.test(text)], [true, false]);
  assertEquals(source.figures()[0]?.value, {
    label: "state",
    values: { connected: 250, away: 250 },
  });
});

Deno.test("SyncSource.follow takes note of what happens, until it is ended", async () => {
  const source = new SyncSource({ clock: new ManualClock() });
  const events = new Channel<SyncEvent>(8);
  const ended = Promise.withResolvers<void>();
  const folder = {
    ...{ label: "photos", hub: undefined, hubs: [] },
    async *events({ signal }: { signal: AbortSignal }) {
      signal.addEventListener("abort", () => events.close());
      yield* events;
      ended.resolve();
    },
  };
  const following = source.follow(folder);
  await events.push({ type: "connected", peer: "hub" });
  await events.push({ type: "changed", path: "a", operation: "delete", by: "there" });
  await settle();
  const [{ last }] = (source.snapshot() as { folders: [{ last: { what: string }[] }] }).folders;
  assertEquals(last.map(({ what }) => what), ["delete, there", "hub"]);
  following[Symbol.dispose]();
  await ended.promise;
  assertEquals(source.snapshot(), { hub: null, folders: [] });
});
