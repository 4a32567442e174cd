import { assert, assertEquals } from "@std/assert";
import { sleep } from "../../src/clock.ts";
import { HandshakeError, PeerError, RemoteError, TransportError } from "../../src/errors.ts";
import { ServerFinder, type ServerFinderOptions } from "../../src/rpc/mesh_finder.ts";
import { type Address, formatAddress } from "../../src/transport/mod.ts";
import { CountingClock, Journal } from "../endpoint/fixture.ts";
import { addressOf, Directory, idOf } from "./mesh_fixture.ts";

type Answer = (address: Address) => string | Error | undefined;

/** A finder whose attempts to join are answered by the test. */
class Search implements AsyncDisposable {
  readonly clock = new CountingClock();
  readonly log = new Journal();
  readonly directory = new Directory();
  readonly members = new Set<string>();
  /** Every attempt, in order. */
  readonly asked: string[] = [];
  /** Attempts that are not over, and the most there were at one time. */
  readonly open = { now: 0, most: 0 };
  /** What an attempt ends with; without it, it ends with its signal. */
  answer: Answer;
  readonly #finder: ServerFinder;

  constructor(answer: Answer = () => undefined, options: Partial<ServerFinderOptions> = {}) {
    this.answer = answer;
    const { clock, log, directory } = this;
    this.#finder = new ServerFinder({
      clock,
      log,
      directory,
      addresses: [],
      everyMs: 10_000,
      self: idOf("self"),
      isMember: (peerId) => this.members.has(peerId),
      join: (address, { signal }) => this.#join(address, signal),
      ...options,
    });
  }

  async #join(address: Address, signal: AbortSignal): Promise<{ peerId: string }> {
    this.asked.push(formatAddress(address));
    this.open.most = Math.max(this.open.most, ++this.open.now);
    try {
      const answer = this.answer(address) ?? await ended(signal);
      if (answer instanceof Error) throw answer;
      this.members.add(answer);
      return { peerId: answer };
    } finally {
      this.open.now--;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closing = this.#finder.close();
    await this.clock.advance(10_000);
    await closing;
    await this.#finder.close();
    assertEquals(this.clock.timers, 0);
    assertEquals(this.directory.searches.open, 0);
  }
}

function ended(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}

const everybody: Answer = ({ hostname }) => idOf(hostname);
const nobody = () => new TransportError("Cannot connect: refused");

Deno.test("ServerFinder joins whom the directory names, but neither itself nor who has joined", async () => {
  await using search = new Search(everybody);
  search.members.add(idOf("old"));
  for (const name of ["a", "self", "old", "b"]) search.directory.add(name);
  await search.clock.advance(0);
  assertEquals(search.asked, ["a:1", "b:1"]);
  await search.clock.advance(100_000);
  assertEquals(search.asked.length, 2);
  search.members.delete(idOf("a"));
  await search.clock.advance(10_000);
  assertEquals(search.asked, ["a:1", "b:1", "a:1"]);
});

Deno.test("ServerFinder tries a server's addresses in turn, once in a round, and others as they are found", async () => {
  await using search = new Search(nobody);
  search.directory.add("a", [addressOf("one"), addressOf("two")]);
  search.directory.add("again", [addressOf("two")]);
  await search.clock.advance(100);
  assertEquals(search.asked, ["one:1", "two:1"]);
  search.answer = ({ hostname }) => hostname === "three" ? idOf("a") : nobody();
  search.directory.add("a", [addressOf("one"), addressOf("three"), addressOf("four")]);
  await search.clock.advance(100);
  assertEquals(search.asked, ["one:1", "two:1", "three:1"]);
});

Deno.test("ServerFinder leaves who refuses alone for a minute, under every name it knows", async () => {
  const a = formatAddress(addressOf("a"));
  const details = { peerId: idOf("a") };
  const refusal = new HandshakeError("incompatible", "Cannot join", { details });
  await using search = new Search(() => refusal, { addresses: [addressOf("a")] });
  await search.clock.advance(0);
  search.directory.add("a", [addressOf("other")]);
  await search.clock.advance(59_000);
  assertEquals(search.asked, [a]);
  await search.clock.advance(2_000);
  assertEquals(search.asked, [a, a]);
});

Deno.test("ServerFinder lets nobody else say who is to be left alone", async () => {
  await using search = new Search(() => {
    return new RemoteError("limit", "Go away", { details: { peerId: idOf("victim") } });
  });
  search.directory.add("evil");
  await search.clock.advance(0);
  search.directory.add("victim");
  await search.clock.advance(0);
  assertEquals(search.asked, ["evil:1", "victim:1"]);
});

Deno.test("ServerFinder asks again in every round where an error may pass", async () => {
  for (const error of [nobody(), new PeerError("timeout", "Too late"), new Error("A bug")]) {
    await using search = new Search(() => error, { addresses: [addressOf("a")] });
    await search.clock.advance(30_000);
    assertEquals(search.asked.length, 4);
    const whys = search.log.lines.map(({ level, fields }) => [level, fields.why]);
    assertEquals(whys, Array(4).fill(["debug", String(error)]));
  }
});

Deno.test("ServerFinder remembers who answers at an address, and dials it no more while that is a member", async () => {
  await using search = new Search(() => idOf("a"), { addresses: [addressOf("alias")] });
  await search.clock.advance(100_000);
  assertEquals(search.asked.length, 1);
  search.members.clear();
  await search.clock.advance(10_000);
  assertEquals(search.asked.length, 2);
});

Deno.test("ServerFinder gives an address up after ten seconds, and never tries one twice at a time", async () => {
  await using search = new Search(undefined, { everyMs: 1_000, addresses: [addressOf("a")] });
  search.directory.add("b", [addressOf("b"), addressOf("c")]);
  await search.clock.advance(9_900);
  assertEquals(search.asked, ["a:1", "b:1"]);
  await search.clock.advance(200);
  assertEquals(search.asked, ["a:1", "b:1", "c:1", "a:1"]);
  assertEquals(search.log.lines.map(({ fields }) => fields.why), [
    "TimeoutError: Cannot join a:1: no answer within 10000 ms",
    "TimeoutError: Cannot join b:1: no answer within 10000 ms",
  ]);
  await search.clock.advance(200_000);
  assertEquals(search.open.most, 2);
  assert(search.clock.timers <= 5, `${search.clock.timers} timers`);
});

Deno.test("ServerFinder tries 64 servers at a time, however many are announced", async () => {
  await using search = new Search();
  for (let i = 0; i < 500; i++) search.directory.add(`fake${i}`);
  await search.clock.advance(5_000);
  assertEquals([search.asked.length, search.open.now], [64, 64]);
  await search.clock.advance(200_000);
  assertEquals(search.open.most, 64);
  assert(search.asked.length >= 500);
});

Deno.test("ServerFinder searches during the first half of a round, and one round at a time", async () => {
  await using search = new Search();
  assertEquals(search.directory.searches, { begun: 1, open: 1 });
  await search.clock.advance(4_999);
  assertEquals(search.directory.searches, { begun: 1, open: 1 });
  await search.clock.advance(2);
  assertEquals(search.directory.searches, { begun: 1, open: 0 });
  await search.clock.advance(5_000);
  assertEquals(search.directory.searches, { begun: 2, open: 1 });
  await search.clock.advance(1_000_000);
  assertEquals(search.directory.searches, { begun: 102, open: 1 });
});

Deno.test("ServerFinder with an endless round searches once, until it is closed", async () => {
  await using search = new Search(everybody, { everyMs: Infinity });
  await search.clock.advance(1_000_000);
  search.directory.add("late");
  await search.clock.advance(0);
  assertEquals([search.directory.searches, search.asked], [{ begun: 1, open: 1 }, ["late:1"]]);
});

Deno.test("ServerFinder says that a directory fails, and asks it again", async () => {
  let failures = 0;
  const directory = {
    find: () => {
      throw new Error(`No network ${++failures}`);
    },
  };
  await using search = new Search(nobody, { directory, addresses: [addressOf("a")] });
  await search.clock.advance(10_000);
  const warnings = search.log.lines.filter(({ level }) => level === "warn");
  assertEquals(warnings.map(({ fields }) => fields.why), [
    "Error: No network 1",
    "Error: No network 2",
  ]);
  assertEquals(search.asked.length, 2);
});

Deno.test("ServerFinder ends a search that does not end by itself with what it finds next", async () => {
  let ended = 0;
  const clock = new CountingClock();
  const directory = {
    async *find() {
      try {
        for (;;) {
          await sleep(clock, 1_000);
          yield { peerId: idOf("a"), addresses: [addressOf("a")] };
        }
      } finally {
        ended++;
      }
    },
  };
  await using search = new Search(everybody, { clock, directory });
  for (const [seconds, expected] of [[4.5, 0], [1, 1], [9, 1], [1, 2]] as const) {
    await clock.advance(seconds * 1_000);
    assertEquals(ended, expected);
  }
  assertEquals(search.asked, ["a:1"]);
  const closing = search[Symbol.asyncDispose]();
  await clock.advance(10_000);
  await closing;
  assertEquals(clock.timers, 0);
});
