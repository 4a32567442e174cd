import { assertEquals, assertRejects } from "@std/assert";
import { ClosedError, LimitError } from "../../src/errors.ts";
import {
  type FoundPeer,
  MAX_ANSWERS,
  MAX_SEARCHES,
  RumorSearches,
  SEARCH_MS,
  SearchAnswers,
} from "../../src/gossip/rumor_search.ts";
import { CountingClock, settle } from "../endpoint/fixture.ts";

/** Somebody who answers. */
function found(n: number): FoundPeer {
  const id = new Uint8Array(20).fill(n);
  const peer = { id, username: `bob ${n}`, ip: "192.0.2.7", tcpPort: 1, udpPort: 2 } as const;
  return { peerId: id.toHex(), peer: { ...peer, status: 1 }, from: undefined };
}

/** A search that has begun, and the names that it gives. */
function begin(searches: RumorSearches, id: string, options: object = {}) {
  const asked = Promise.withResolvers<void>();
  const names = (async () => {
    const given: (string | null)[] = [];
    for await (const { peer } of searches.search({ id, ask: asked.resolve, ...options })) {
      given.push(peer.username);
    }
    return given;
  })();
  return { asked: asked.promise, names };
}

Deno.test("RumorSearches takes answers for 3 s, one of a peer, to what was asked only", async () => {
  const clock = new CountingClock();
  const searches = new RumorSearches(clock);
  const { asked, names } = begin(searches, "a");
  await asked;
  assertEquals([searches.has("a"), searches.has("b")], [true, false]);
  assertEquals(searches.take("a", "x", found(1)), true);
  assertEquals(searches.take("a", "y", found(1)), false);
  assertEquals(searches.take("b", "x", found(2)), false);
  await clock.advance(SEARCH_MS - 1);
  assertEquals(searches.take("a", "x", found(3)), true);
  await clock.advance(1);
  assertEquals(await names, ["bob 1", "bob 3"]);
  assertEquals([searches.take("a", "x", found(4)), searches.has("a"), clock.timers], [
    false,
    false,
    0,
  ]);
});

Deno.test("RumorSearches takes one answer of each who was asked, where it is known who was", async () => {
  const clock = new CountingClock();
  const searches = new RumorSearches(clock);
  const { asked, names } = begin(searches, "a", { asked: new Set(["x", "y"]) });
  await asked;
  const taken = [["z", 1], ["x", 2], ["x", 3], ["y", 4]] as const;
  assertEquals(taken.map(([source, n]) => searches.take("a", source, found(n))), [
    false,
    true,
    false,
    true,
  ]);
  await clock.advance(SEARCH_MS);
  assertEquals(await names, ["bob 2", "bob 4"]);
});

Deno.test("RumorSearches ends with 64 answers, however many come", async () => {
  const clock = new CountingClock();
  const searches = new RumorSearches(clock);
  const { asked, names } = begin(searches, "a");
  await asked;
  const taken = Array.from({ length: 200 }, (_, n) => searches.take("a", "x", found(n)));
  assertEquals(taken.filter((isTaken) => isTaken).length, MAX_ANSWERS);
  assertEquals((await names).length, MAX_ANSWERS);
  assertEquals(clock.timers, 0);
});

Deno.test("RumorSearches ends in every way, and leaves nothing", async () => {
  const clock = new CountingClock();
  const searches = new RumorSearches(clock);
  const stop = new AbortController();
  const aborted = begin(searches, "a", { signal: stop.signal });
  await aborted.asked;
  stop.abort();
  assertEquals(await aborted.names, []);
  let asks = 0;
  const late = { id: "b", ask: () => void asks++, signal: AbortSignal.abort() };
  assertEquals([await Array.fromAsync(searches.search(late)), asks], [[], 0]);
  const failing = { id: "c", ask: raise };
  await assertRejects(() => searches.search(failing).next(), TypeError, "no way");
  const short = begin(searches, "d", { timeoutMs: 10 });
  await clock.advance(10);
  assertEquals(await short.names, []);
  const closed = begin(searches, "e");
  await closed.asked;
  searches.close();
  searches.close();
  assertEquals(await closed.names, []);
  await assertRejects(() => begin(searches, "f").names, ClosedError, "is closed");
  assertEquals([clock.timers, ["a", "b", "c", "d", "e"].some((id) => searches.has(id))], [
    0,
    false,
  ]);
});

function raise(): never {
  throw new TypeError("no way");
}

Deno.test("RumorSearches begins no more than 32 searches at a time", async () => {
  const clock = new CountingClock();
  const searches = new RumorSearches(clock);
  const under = Array.from({ length: MAX_SEARCHES }, (_, n) => begin(searches, `${n}`).names);
  await settle();
  const error = await assertRejects(() => begin(searches, "more").names, LimitError);
  assertEquals(error.details, { limit: "MAX_SEARCHES", max: MAX_SEARCHES });
  await clock.advance(SEARCH_MS);
  assertEquals((await Promise.all(under)).flat(), []);
});

Deno.test("SearchAnswers answers a question once, and an asker no more often than its rate", async () => {
  const clock = new CountingClock();
  const answers = new SearchAnswers(clock);
  assertEquals(answers.take("a", "alice"), true);
  for (const asker of ["alice", "bob"]) assertEquals(answers.take("a", asker), false);
  const given = Array.from({ length: 40 }, (_, n) => answers.take(`alice ${n}`, "alice"));
  assertEquals(given.filter((isGiven) => isGiven).length, 15);
  assertEquals(answers.take("b", "bob"), true);
  await clock.advance(1_000);
  const later = Array.from({ length: 40 }, (_, n) => answers.take(`later ${n}`, "alice"));
  assertEquals(later.filter((isGiven) => isGiven).length, 4);
});

Deno.test("SearchAnswers gives invented askers together no more than its rate", () => {
  const answers = new SearchAnswers(new CountingClock());
  let given = 0;
  for (let n = 0; n < 10_000; n++) given += Number(answers.take(`${n}`, `invented ${n}`));
  assertEquals(given, 200);
});
