import { assertEquals, assertStringIncludes } from "@std/assert";
import { Home } from "../../src/state/home.ts";
import { type Ran, runVerb } from "./verb_fixture.ts";
import { Keeper } from "./topic_fixture.ts";

async function inHome<T>(work: (home: string) => Promise<T>): Promise<T> {
  const home = await Deno.makeTempDir();
  try {
    return await work(home);
  } finally {
    await Deno.remove(home, { recursive: true });
  }
}

const ALONE = ["--host", "127.0.0.1", "--discovery-port", "19"];

Deno.test("pub publishes text, JSON and bytes, and says who has it", () =>
  inHome(async (home) => {
    await using keeper = await Keeper.open("news");
    const cases: readonly (readonly [line: readonly string[], data: unknown])[] = [
      [["the", "kettle", "is on"], "the kettle is on"],
      [["5"], "5"],
      [['{"on": [1, {"$bytes": "00ff"}]}', "--as", "json"], { on: [1, Uint8Array.of(0, 255)] }],
      [["null", "--as", "json"], null],
      [["h\u00e9", "--as", "bytes"], Uint8Array.of(0x68, 0xc3, 0xa9)],
    ];
    const reading = keeper.news[Symbol.asyncIterator]();
    for (const [line, data] of cases) {
      const { code, facts: [fact], lines, notes } = await runVerb(
        "pub",
        home,
        ...["news", ...line, ...keeper.at],
      );
      assertEquals([code, notes], [0, []], line.join(" "));
      const { value } = await reading.next();
      assertEquals(value?.data, data);
      const { topic, from, seq, confirmedBy, ...more } = fact ?? {};
      assertEquals([topic, from, seq], ["news", value?.from, value?.seq]);
      assertEquals([confirmedBy, more], [[keeper.peer.peerId], {}]);
      const [us, them] = [String(from).slice(0, 8), keeper.peer.peerId.slice(0, 8)];
      assertEquals(lines, [`published to news as ${us}; ${them} has it`]);
    }
  }));

Deno.test("pub ends with what was tried where nobody takes part in time", () =>
  inHome(async (home) => {
    await using keeper = await Keeper.open("other");
    const { code, lines, notes: [why = ""] } = await runVerb(
      "pub",
      home,
      ...["news", "x", "--timeout", "0.2", ...keeper.at],
    );
    assertEquals([code, lines], [5, []]);
    const { port } = keeper.peer.address ?? {};
    assertStringIncludes(why, `Nobody who takes part in "news" was found: tried 127.0.0.1:${port}`);
    assertEquals(/--home|--access/.test(why), false, why);
  }));

Deno.test("pub says so where a kith runs with its home, and where it lets nobody in itself", () =>
  inHome(async (home) => {
    using lock = Deno.openSync(Home.open(home).path("up.lock"), { create: true, write: true });
    assertEquals(lock.tryLockSync(true), true);
    const line = ["news", "x", "--timeout", "0", "--access", "invited", ...ALONE];
    const { code, notes: [why = ""] } = await runVerb("pub", home, ...line);
    assertEquals(code, 5);
    assertStringIncludes(why, "a kith that runs with this home is the same peer");
    assertStringIncludes(why, "--access invited only those are welcome");
  }));

Deno.test("pub is refused by those who let in the invited alone, until it shows an invite", () =>
  inHome(async (home) => {
    await using keeper = await Keeper.open("news", { access: "invited" });
    const publish = (...more: string[]) =>
      runVerb("pub", home, ...["news", "hello", "--timeout", "0.4", ...more, ...keeper.at]);
    const refused = await publish();
    assertEquals([refused.code, refused.lines], [4, []]);
    assertStringIncludes(refused.notes[0] ?? "", "kith invite --scope 'topic:news'");
    const withInvite = async (scope: `topic:${string}`): Promise<Ran> => {
      const { token } = keeper.peer.access.createInvite({ scopes: [scope], expiresMs: 60_000 });
      Deno.writeTextFileSync(`${home}/invite`, token, { mode: 0o600 });
      return await publish("--invite-file", `${home}/invite`);
    };
    assertEquals((await withInvite("topic:other")).code, 4);
    assertEquals((await withInvite("topic:news")).code, 0);
    assertEquals(await keeper.next(), "hello");
  }));

Deno.test("pub names the limit of what is too large", () =>
  inHome(async (home) => {
    const { code, notes } = await runVerb("pub", home, "news", "x".repeat(1_048_572), ...ALONE);
    const why = 'Cannot publish to "news": 1048577 bytes exceed maxBytes 1048576 of the topic';
    assertEquals([code, notes], [1, [why]]);
  }));

Deno.test("pub refuses a bad command line before it asks anybody", () =>
  inHome(async (home) => {
    const cases: readonly (readonly [line: readonly string[], why: string])[] = [
      [[], "TOPIC and TEXT are wanted"],
      [["news"], "TOPIC and TEXT are wanted"],
      [["", "x"], "TOPIC and TEXT are wanted"],
      [["a\nb", "x"], "without control characters"],
      [["n".repeat(129), "x"], "at most 128 characters"],
      [["news", "{x", "--as", "json"], "Cannot decode data as JSON"],
      [["news", "x", "--as", "xml"], "one of text, json, bytes: it is xml"],
      [["news", "x", "--access", "friends"], "one of public, private, invited"],
      [["news", "x", "--timeout", "soon"], "must be seconds"],
      [["news", "x", "--peer", "bob"], "must be HOST:PORT"],
      [["news", "x", "--port", "1"], "Unknown option --port"],
    ];
    for (const [line, why] of cases) {
      const { code, lines, notes } = await runVerb("pub", home, ...line, ...ALONE);
      assertEquals([code, lines, notes.length], [2, [], 1], line.join(" "));
      assertStringIncludes(notes[0] ?? "", why);
    }
  }));
