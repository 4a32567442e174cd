import { assertEquals } from "@std/assert";
import { Output } from "../../src/cli/output.ts";
import { SyncReport } from "../../src/cli/sync_report.ts";
import type { SyncEvent } from "../../src/sync/folder_events.ts";

class KeptOutput extends Output {
  readonly lines: string[] = [];

  override result(_facts: Record<string, unknown>, text: string): void {
    this.lines.push(text);
  }
}

/** What people see of events. */
async function shown(...happened: readonly SyncEvent[]): Promise<string[]> {
  const output = new KeptOutput({ json: false, level: "error" });
  const events = async function* (): AsyncGenerator<SyncEvent, void, void> {
    yield* happened;
  };
  await new SyncReport({ events }, output).finish([]);
  return output.lines.slice(0, -1);
}

Deno.test("SyncReport calls alike what is, and says what is not given or taken", async () => {
  const base = { type: "synced", peer: "server", taken: 1, told: 0 } as const;
  const many = { files: 7, paths: ["a", "b\n"] };
  const id = "ann_1795331132_5d046225b3282d94";
  assertEquals(
    await shown(
      base,
      { ...base, notGiven: { files: 1, paths: ["dog.jpg"] } },
      { ...base, notTaken: many },
      { ...base, peer: id, readsOnly: true },
    ),
    [
      "alike with the hub (1 change in, 0 out)",
      "has all that it may have from the hub (1 change in, 0 out); " +
      "1 file here is not given: read-only (dog.jpg)",
      "has all that it may have from the hub (1 change in, 0 out); " +
      "7 files there are not taken: read-only (a, b\\u{a} and 5 more)",
      "ann (5d046225) has all that it may have (1 change in, 0 out)",
    ],
  );
});

Deno.test("SyncReport says in words why somebody has gone", async () => {
  const closed = "WebSocket to 127.0.0.1:1 was closed by the other side:";
  const gone = { type: "disconnected", peer: "server" } as const;
  assertEquals(
    await shown(
      { ...gone, reason: `${closed} 4503 SHUTTING_DOWN` },
      { ...gone, reason: `${closed} 4999 toString` },
    ),
    [
      "the hub has gone: it was ended; it is tried again",
      `the hub has gone: ${closed} 4999 toString; it is tried again`,
    ],
  );
});
