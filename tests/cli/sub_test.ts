import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Keeper } from "./topic_fixture.ts";
import { type Ran, runVerb } from "./verb_fixture.ts";

const ALONE = ["--host", "127.0.0.1", "--discovery-port", "19", "--port", "0"];

async function inHome<T>(work: (home: string) => Promise<T>): Promise<T> {
  const home = await Deno.makeTempDir();
  try {
    return await work(home);
  } finally {
    await Deno.remove(home, { recursive: true });
  }
}

/** Reads the keeper's topic to the end of so many messages. */
async function read(keeper: Keeper, home: string, ...line: string[]): Promise<Ran> {
  return await runVerb("sub", home, "news", "--port", "0", ...line, ...keeper.at);
}

function dataOf({ facts }: Ran): unknown[] {
  return facts.filter(({ event }) => event === "message").map(({ data }) => data);
}

Deno.test("sub --since gives what was missed, in order and once, of each home", () =>
  inHome(async (home) => {
    await using keeper = await Keeper.open("news");
    const publish = async (...data: unknown[]) => {
      for (const one of data) await keeper.peer.gossip.publish("news", one);
    };
    await publish("a", "b");
    const first = await read(keeper, home, "--since", "--count", "1");
    assertEquals([first.code, dataOf(first)], [0, ["a"]]);
    await publish("c", "d");
    assertEquals(dataOf(await read(keeper, home, "--since", "--count", "2")), ["b", "c"]);
    await publish("e");
    assertEquals(dataOf(await read(keeper, home, "--since=last", "--count", "2")), ["d", "e"]);
    assertEquals(dataOf(await read(keeper, home, "--since=all", "--count", "5")), [..."abcde"]);
    const kept = [...Deno.readDirSync(home)].filter(({ name }) => name.endsWith(".cursor"));
    assertEquals(kept.length, 1);
    assertEquals(dataOf(await read(keeper, home, "--since=1h", "--ephemeral", "--count", "5")), [
      ..."abcde",
    ]);
  }));

Deno.test("sub prints ready, then messages with nothing in them that a terminal obeys", () =>
  inHome(async (home) => {
    await using keeper = await Keeper.open("news");
    const { gossip, peerId } = keeper.peer;
    const sent = [{ b: Uint8Array.of(1), n: 2n ** 63n }, "\u001b[2J\nfake: x", "x".repeat(3_000)];
    for (const data of sent) await gossip.publish("news", data);
    const { code, facts, lines, notes } = await read(
      keeper,
      home,
      ...["--since", "--count", "3", "--name", "\u202ebob"],
    );
    assertEquals(code, 0);
    const [ready, ...messages] = facts;
    const { event, peerId: own, name, tcp, udp, ...where } = ready ?? {};
    assertEquals([event, name, typeof own, typeof tcp, typeof udp], [
      "ready",
      "\u202ebob",
      "string",
      "number",
      "number",
    ]);
    assertEquals(where, { topic: "news", neighbors: [peerId] });
    assertEquals(
      messages.map(({ event, topic, from, hops, data }) => ({ event, topic, from, hops, data })),
      [{ b: { $bytes: "01" }, n: { $int: `${2n ** 63n}` } }, ...sent.slice(1)].map((data) => {
        return { event: "message", topic: "news", from: peerId, hops: 1, data };
      }),
    );
    const who = peerId.slice(0, 8);
    assertEquals(lines.slice(1), [
      `${who}: {"b":{"$bytes":"01"},"n":{"$int":"9223372036854775808"}}`,
      `${who}: \\u{1b}[2J\\u{a}fake: x`,
      `${who}: ${"x".repeat(2_000)}\u2026`,
    ]);
    assert(lines[0]?.startsWith("\\u{202e}bob reads news (with "), lines[0]);
    assertEquals(notes, []);
  }));

Deno.test("sub says when another peer runs with its home", () =>
  inHome(async (home) => {
    await using keeper = await Keeper.open("news");
    await keeper.peer.gossip.publish("news", "a");
    using lock = Deno.openSync(`${home}/up.lock`, { create: true, write: true });
    assertEquals(lock.tryLockSync(true), true);
    const { code, notes: [note = ""] } = await read(keeper, home, "--since", "--count", "1");
    assertEquals(code, 0);
    assertStringIncludes(note, "Another kith runs with this home, as the same peer");
  }));

Deno.test("sub refuses a bad command line before it listens", () =>
  inHome(async (home) => {
    const when = "must be last, all, a length of time such as 10m, or a time that has passed";
    const cases: readonly (readonly [line: readonly string[], why: string])[] = [
      [[], "One TOPIC is wanted"],
      [["news", "old"], "One TOPIC is wanted"],
      [["--since", "10m", "news"], "what belongs to --since follows a ="],
      [["news", "--since=soon"], `${when} such as 2026-01-02T03:04Z: it is soon`],
      [["news", "--since=-5m"], when],
      [["news", "--since=2026-13-01"], when],
      [["news", "--since=9999-01-01"], when],
      [["news", "--count", "0"], "a whole number from 1"],
      [["news", "--max-waiting", "x"], "a whole number from 1"],
      [["news", "--access", "friends"], "one of public, private, invited"],
      [["a\u001bb"], "without control characters"],
      [["n".repeat(129)], "at most 128 characters"],
    ];
    for (const [line, why] of cases) {
      const { code, lines, notes } = await runVerb("sub", home, ...line, ...ALONE);
      assertEquals([code, lines, notes.length], [2, [], 1], line.join(" "));
      assertStringIncludes(notes[0] ?? "", why);
    }
  }));
