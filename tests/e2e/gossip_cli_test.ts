import { assertEquals, assertStringIncludes } from "@std/assert";
import { VERBS } from "../../src/cli/verbs.ts";
import { Kith, run } from "./process.ts";
import { Scratch } from "./scratch.ts";
import { Up } from "./up.ts";

function dataOf(events: readonly Readonly<Record<string, unknown>>[]): unknown[] {
  return events.filter(({ event }) => event === "message").map(({ data }) => data);
}

Deno.test("pub reaches who is up in a topic and who reads it; sub --since reads on after an interrupt", async () => {
  await using scratch = await Scratch.make();
  await using bob = await Up.start(["--topic", "news", "--topic", "news"]);
  const dir = scratch.path("home");
  await Deno.mkdir(dir, { mode: 0o700 });
  // The least that its help names.
  const permissions = VERBS.sub?.permissions.replaceAll("=HOME", `=${dir}`).split(" ") ?? [];
  const sub = ["sub", "news", "--since", "--json", "--port", "0", "--home", dir, ...bob.network];
  const pub = (...line: string[]) => bob.run(["pub", "news", "--json", ...line]);

  await using carol = Kith.start(sub, { permissions, env: { KITH_HOME: dir } });
  const [first, ready] = await Promise.all([pub("one"), carol.event("ready")]);
  assertEquals([first.code, first.stderr], [0, ""]);
  const { from, seq, confirmedBy } = first.events[0] ?? {};
  const shown = await bob.kith.event("topic-message");
  assertEquals([shown.topic, shown.from, shown.seq, shown.data], ["news", from, seq, "one"]);
  const others = [bob.peerId, ready.peerId];
  assertEquals((confirmedBy as unknown[]).every((peerId) => others.includes(peerId)), true);
  await carol.event("message", ({ data }) => data === "one");
  const ended = await carol.interrupt();
  assertEquals([ended.code, dataOf(ended.events), ended.stderr], [130, ["one"], ""]);
  assertEquals([ended.events[0]?.event, ended.events.at(-1)?.event], ["ready", "closed"]);

  const input = '{"n": [2, {"$bytes": "00ff"}]}\n';
  const second = await bob.run(["pub", "news", "-", "--as", "json"], { input });
  assertEquals([second.code, second.stderr], [0, ""]);
  assertStringIncludes(second.stdout, `${bob.peerId.slice(0, 8)} has it`);
  const again = await run([...sub, "--count", "1"]);
  assertEquals([again.code, dataOf(again.events)], [0, [{ n: [2, { $bytes: "00ff" }] }]]);

  const { code, events } = await bob.kith.interrupt();
  assertEquals(code, 130);
  const topics = events.filter(({ event }) => event === "topic-message");
  assertEquals(topics.length, 2);
});

Deno.test("pub, sub and up tell what they need, and pub what it tried in vain", async () => {
  const line = ["--host", "127.0.0.1", "--discovery-port", "19"];
  const [alone, large, ...helps] = await Promise.all([
    run(["pub", "news", "x", "--timeout", "0.3", "--ephemeral", "--json", ...line]),
    run(["pub", "news", "-", "--ephemeral", "--json", ...line], {
      input: new Uint8Array(2_000_000).fill(0x61),
    }),
    run(["pub", "--help"]),
    run(["sub", "--help"]),
  ]);
  assertEquals([alone?.code, alone?.events[0]?.code], [5, "no-peer"]);
  assertStringIncludes(JSON.stringify(alone?.events[0]?.details), '"tried":["');
  const { code, details } = large?.events[0] ?? {};
  assertEquals([large?.code, code, details], [
    1,
    "too-large",
    { limit: "maxBytes", max: 1_048_576 },
  ]);
  assertEquals(helps.map(({ code }) => code), [0, 0]);
  assertStringIncludes(helps[1]?.stdout ?? "", "--since [=WHEN]");
  assertStringIncludes(helps[1]?.stdout ?? "", "then the oldest goes");
});
