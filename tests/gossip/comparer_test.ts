import { assert, assertEquals } from "@std/assert";
import type { MessageId } from "../../src/gossip/id_list.ts";
import { idsOf } from "../../src/gossip/range_list.ts";
import { GossipSwarm } from "../../src/testing/gossip_swarm.ts";
import { Simulation } from "../../src/testing/mod.ts";
import { CompareGlass, FIRST, idOf, message } from "./fixture.ts";

/** So many messages, each `step` after the one before. */
function messages(count: number, first = 0, step = 1): MessageId[] {
  return Array.from({ length: count }, (_, nth) => message(first + nth * step));
}

function numbersOf(ids: Iterable<MessageId>): number[] {
  return Array.from(ids, ({ seq }) => seq - FIRST).toSorted((a, b) => a - b);
}

/** Two who compare. */
class Pair {
  readonly a = new CompareGlass();
  readonly b = new CompareGlass();

  /** Time goes by for both. */
  async pass(ms: number): Promise<void> {
    for (const { time, comparer } of [this.a, this.b]) {
      await time.advance(ms);
      comparer.tick();
    }
  }

  /** Carries everything from one to the other, and gives what is wanted, until nothing is left. @returns what was sent. */
  settle(): string[] {
    const sent: string[] = [];
    for (let isQuiet = false; !isQuiet;) {
      isQuiet = true;
      for (const [name, from, to] of [["a", this.a, this.b], ["b", this.b, this.a]] as const) {
        for (const packet of from.mail.all.splice(0)) {
          isQuiet = false;
          sent.push(`${name}: ${packet.kind}`);
          if (packet.kind !== "want") to.from(name, packet);
          else {from.came(
              packet.to,
              packet.ids.filter(({ author, seq }) => to.history.has(author, seq)),
            );}
        }
      }
    }
    return sent;
  }
}

Deno.test("Comparer finds nothing where both keep the same, and says so", async () => {
  const pair = new Pair();
  for (const side of [pair.a, pair.b]) side.keep(messages(10));
  await pair.pass(1_000);
  pair.a.comparer.compare("b");
  assertEquals(pair.settle(), ["a: compare", "b: offer"]);
  assertEquals([pair.a.compared, pair.b.compared], [["b true"], []]);
});

Deno.test("Comparer gets what it lacks and tells what the other lacks, in one comparison", async () => {
  const { a, b, ...pair } = new Pair();
  a.keep([...messages(10), ...messages(5, 100)]);
  b.keep([...messages(10), ...messages(7, 200)]);
  for (const { time } of [a, b]) await time.advance(1_000);
  a.comparer.compare("b");
  const { digest } = a.mail.one("compare", "b");
  b.from("a", { kind: "compare", digest });
  const answer = b.mail.one("offer", "a");
  assertEquals(numbersOf(idsOf(answer.ranges)), numbersOf([...messages(10), ...messages(7, 200)]));
  assertEquals([answer.buckets, answer.isAll], [digest.map(([bucket]) => bucket), true]);
  b.mail.clear();
  a.from("b", answer);
  assertEquals(numbersOf(a.mail.one("want", "b").ids), numbersOf(messages(7, 200)));
  const offer = a.mail.one("offer", "b");
  assertEquals(numbersOf(idsOf(offer.ranges)), numbersOf(messages(5, 100)));
  assertEquals([offer.buckets, a.comparer.wanted], [undefined, 7]);
  b.from("a", offer);
  assertEquals(b.mail.all.map(({ kind }) => kind), ["want"]);
  assertEquals(numbersOf(b.mail.one("want", "a").ids), numbersOf(messages(5, 100)));
  assertEquals([a.compared, b.compared, pair], [[], [], {}], "not before it has come");
  a.came("b", messages(7, 200));
  assertEquals([a.compared, b.compared], [["b true"], []]);
});

Deno.test("Comparer leaves out what has just come: it is on its way elsewhere", async () => {
  const glass = new CompareGlass();
  const told = () => {
    glass.mail.clear();
    glass.comparer.compare("b");
    glass.from("b", { kind: "compare", digest: [] });
    const { digest } = glass.mail.one("compare");
    return [digest.length, glass.mail.one("offer").ranges.length];
  };
  glass.keep(messages(1));
  await glass.time.advance(400);
  assertEquals(told(), [0, 0]);
  await glass.time.advance(200);
  assertEquals(told(), [1, 1]);
});

Deno.test("Comparer asks for 1,024 at a time, and compares again at once when these have come", async () => {
  const pair = new Pair();
  pair.b.keep(messages(2_500));
  await pair.pass(1_000);
  pair.a.comparer.compare("b");
  const sent = pair.settle().filter((packet) => packet.startsWith("a: "));
  const round = ["a: compare", "a: want"];
  assertEquals(sent, [...round, ...round, ...round]);
  assertEquals([pair.a.history.size, pair.a.comparer.wanted], [2_500, 0]);
});

Deno.test("Comparer goes on only when the last of a page is there, wherever each came from", () => {
  const glass = new CompareGlass();
  glass.offer("b", 0, 1_999);
  const { ids } = glass.mail.one("want", "b");
  assertEquals([ids.length, glass.comparer.wanted], [1_024, 1_024]);
  glass.mail.clear();
  assertEquals(glass.came("c", ids.slice(0, 24)), 0, "c was not asked");
  assertEquals(glass.came("b", ids.slice(24, 1_023)), 999);
  assertEquals([glass.mail.all, glass.comparer.wanted], [[], 1]);
  assertEquals(glass.came("b", ids.slice(1_023)), 1);
  assertEquals(glass.mail.take(), ["compare b"]);
  assertEquals(glass.came("b", [message(1_999)]), 0, "that was not asked for");
});

Deno.test("Comparer says that something is missing as long as it is, whoever was asked for it", () => {
  const glass = new CompareGlass();
  glass.offer("b", 0, 9);
  glass.offer("c", 0, 9);
  assertEquals(glass.mail.of("want"), [], "it was asked for already");
  glass.came("b", messages(10));
  glass.offer("d", 0, 9);
  glass.offer("e", 0, 9, false);
  assertEquals(glass.compared, ["c false", "b true", "d true", "e false"]);
});

Deno.test("Comparer asks somebody else for what somebody else has besides", () => {
  const glass = new CompareGlass();
  glass.keep(messages(2));
  glass.offer("b", 0, 9);
  assertEquals(numbersOf(glass.mail.one("want", "b").ids), numbersOf(messages(8, 2)));
  glass.offer("c", 0, 10);
  assertEquals(numbersOf(glass.mail.one("want", "c").ids), [10]);
});

Deno.test("Comparer blames who does not give what it offered, and asks others at once", async () => {
  const glass = new CompareGlass({ compareMs: 60_000 });
  glass.neighbors = ["c"];
  glass.offer("b", 0, 9);
  await glass.time.advance(2_900);
  glass.comparer.tick();
  assertEquals([glass.blamed, glass.comparer.wanted], [[], 10]);
  await glass.time.advance(2_100);
  glass.mail.clear();
  glass.comparer.tick();
  glass.comparer.tick();
  assertEquals([glass.blamed, glass.comparer.wanted, glass.mail.take()], [["b"], 0, ["compare c"]]);
  glass.offer("b", 0, 9);
  assertEquals(glass.mail.of("want"), [], "who did not give is not listened to");
  glass.offer("c", 0, 9);
  assertEquals(glass.mail.of("want", "c").length, 1);
  glass.came("c", messages(10));
  await glass.time.advance(30_000);
  glass.comparer.tick();
  glass.offer("b", 0, 10);
  assertEquals([glass.mail.of("want", "b").length, glass.blamed], [1, ["b"]], "for a while");
});

Deno.test("Comparer waits for a page as long as something of it comes, and asks for the rest again", async () => {
  const glass = new CompareGlass({ compareMs: 60_000 });
  glass.offer("b", 0, 9);
  glass.mail.clear();
  for (const id of messages(5)) {
    await glass.time.advance(2_500);
    glass.comparer.tick();
    assertEquals(glass.came("b", [id]), 1);
  }
  assertEquals([glass.comparer.wanted, glass.mail.all], [5, []]);
  await glass.time.advance(5_000);
  glass.comparer.tick();
  assertEquals([glass.blamed, glass.comparer.wanted, glass.mail.take()], [[], 0, ["compare b"]]);
  glass.offer("b", 0, 9);
  assertEquals(numbersOf(glass.mail.one("want", "b").ids), numbersOf(messages(5, 5)));
});

Deno.test("Comparer listens to the offers of those it compared with, once for each and soon", async () => {
  const glass = new CompareGlass();
  const offer = (peerId: string, nth: number) => {
    const ranges = [[message(0).author, [FIRST + nth, FIRST + nth]]] as const;
    glass.from(peerId, { kind: "offer", ranges, buckets: undefined, isAll: true });
  };
  offer("stranger", 1);
  glass.comparer.compare("b");
  offer("b", 2);
  offer("b", 3);
  glass.from("c", { kind: "compare", digest: [] });
  offer("c", 4);
  offer("c", 5);
  glass.comparer.compare("slow");
  await glass.time.advance(5_000);
  offer("slow", 6);
  assertEquals(numbersOf(glass.mail.of("want").flatMap(({ ids }) => ids)), [2, 4]);
  glass.came("b", messages(1, 2));
  glass.came("c", messages(1, 4));
  assertEquals(glass.compared, ["b true"], "of those that it began");
});

Deno.test("Comparer waits for a bounded number of messages, whatever it is offered", () => {
  const glass = new CompareGlass();
  for (let nth = 0; nth < 20; nth++) {
    glass.offer(`b${nth}`, nth * 10_000, nth * 10_000 + 5_000);
    glass.offer(`b${nth}`, nth * 10_000 + 5_000, nth * 10_000 + 9_000);
  }
  assertEquals(glass.comparer.wanted, 8 * 1_024);
  const crowd = new CompareGlass();
  for (let nth = 0; nth < 20; nth++) {
    crowd.strangers.add(`s${nth}`);
    crowd.offer(`s${nth}`, nth * 10_000, nth * 10_000 + 5_000);
  }
  assertEquals(crowd.comparer.wanted, 4 * 1_024, "neighbours have room left");
  const endless = new CompareGlass();
  endless.offer("eve", -FIRST, Number.MAX_SAFE_INTEGER - FIRST);
  assertEquals(endless.comparer.wanted, 1_024);
});

Deno.test("Comparer answers one peer sixteen times at once and twice a second, others besides", async () => {
  const glass = new CompareGlass();
  const answers = (peerId: string) => {
    glass.mail.clear();
    for (let nth = 0; nth < 100; nth++) glass.from(peerId, { kind: "compare", digest: [] });
    return glass.mail.of("offer", peerId).length;
  };
  assertEquals([answers("eve"), answers("bob"), answers("eve")], [16, 16, 0]);
  await glass.time.advance(2_000);
  assertEquals(answers("eve"), 4);
});

/** What comparisons there were within a time: with whom, and how long after the one before. */
async function comparisons(
  glass: CompareGlass,
  ms: number,
): Promise<{ readonly to: string; readonly gapMs: number }[]> {
  const found: { to: string; gapMs: number }[] = [];
  let lastMs = glass.time.now();
  glass.mail.clear();
  for (const endMs = lastMs + ms; glass.time.now() < endMs;) {
    await glass.time.advance(250);
    glass.comparer.tick();
    for (const { to } of glass.mail.of("compare")) {
      found.push({ to, gapMs: glass.time.now() - lastMs });
      lastMs = glass.time.now();
    }
    glass.mail.clear();
  }
  return found;
}

Deno.test("Comparer compares ever less often while nothing happens, at the least every 45 seconds", async () => {
  const glass = new CompareGlass();
  glass.neighbors = ["b"];
  const [first = 0, second = 0, third = 0, ...later] = (await comparisons(glass, 300_000))
    .map(({ gapMs }) => gapMs);
  assert(first >= 2_500 && first <= 7_750, `${first} ms`);
  assert(second >= 5_000 && second <= 15_250, `${second} ms`);
  assert(third >= 10_000 && third <= 30_250, `${third} ms`);
  assert(later.length > 4 && later.every((ms) => ms >= 15_000 && ms <= 45_250), `${later} ms`);
});

Deno.test("Comparer compares every few seconds while something happens", async () => {
  const glass = new CompareGlass();
  glass.neighbors = ["b"];
  await comparisons(glass, 100_000);
  const gapsMs: number[] = [];
  for (let second = 0; second < 100; second++) {
    glass.comparer.changed();
    gapsMs.push(...(await comparisons(glass, 1_000)).map(() => second));
  }
  const [, ...seconds] = gapsMs;
  assert(seconds.length >= 8, `${seconds}`);
  assert(seconds.slice(1).every((second, nth) => second - (seconds[nth] ?? 0) <= 9), `${seconds}`);
});

Deno.test("Comparer compares soon again where something was missing", async () => {
  const glass = new CompareGlass();
  glass.neighbors = ["b"];
  await comparisons(glass, 100_000);
  while ((await comparisons(glass, 250)).length === 0); // the next is far
  glass.offer("c", 0, 0);
  glass.came("c", messages(1));
  assertEquals((await comparisons(glass, 7_750)).length, 1);
});

Deno.test("Comparer compares with somebody who is no neighbour, one time in four", async () => {
  const glass = new CompareGlass({ compareMs: 1 });
  glass.neighbors = ["neighbor"];
  glass.others = ["other"];
  let others = 0;
  for (let nth = 0; nth < 1_000; nth++) {
    glass.comparer.changed();
    await glass.time.advance(2);
    glass.comparer.tick();
    others += glass.mail.of("compare", "other").length;
    glass.mail.clear();
  }
  assert(others > 200 && others < 300, `${others}`);
});

Deno.test("Comparer compares with whom there is, and with nobody where there is nobody", async () => {
  const glass = new CompareGlass({ compareMs: 1_000 });
  const partners = async () => {
    const found = await comparisons(glass, 300_000);
    return [found.length > 0, [...new Set(found.map(({ to }) => to))]];
  };
  assertEquals(await partners(), [false, []]);
  glass.others = ["other"];
  assertEquals(await partners(), [true, ["other"]]);
  [glass.neighbors, glass.others] = [["neighbor"], []];
  assertEquals(await partners(), [true, ["neighbor"]]);
});

Deno.test("Comparer leaves packets of others alone", () => {
  const glass = new CompareGlass();
  assert(!glass.comparer.receive({ kind: "prune" }, "b"));
});

Deno.test("Comparer tells more than one packet takes bit by bit, and never that this is all", async () => {
  const pair = new Pair();
  for (let nth = 0; nth < 20; nth++) { // no two follow each other
    const author = idOf(`author ${nth}`);
    pair.b.keep(messages(300, 0, 2).map(({ seq }) => ({ author, seq })));
  }
  await pair.pass(1_000);
  for (let round = 0; round < 20; round++) {
    const before = pair.a.history.size;
    pair.a.comparer.compare("b");
    pair.settle();
    const isAll = pair.a.compared.splice(0).includes("b true");
    assert(!isAll || before === 6_000, `${before}`);
    await pair.pass(600);
  }
  assert(pair.a.history.size > 5_000, `${pair.a.history.size}`);
});

Deno.test("Comparer brings everything to everybody in the end, though most packets get lost", () => {
  for (const seed of [1, 2]) {
    const simulation = new Simulation({ seed, link: { delayMs: [1, 20] } });
    const swarm = new GossipSwarm(simulation, { nodes: 8, tuning: { compareMs: 500 } });
    simulation.run(3_000);
    simulation.setLink({ loss: 0.5 });
    const spreads = Array.from({ length: 20 }, (_, nth) => {
      const spread = swarm.publish(`n${nth % 8}`);
      simulation.run(50);
      return spread;
    });
    simulation.setLink({ loss: 0.1 });
    const arrived = () => spreads.every((spread) => swarm.missed(spread).length === 0);
    assert(simulation.runUntil(arrived, 60_000), `seed ${seed}`);
    assertEquals(spreads.reduce((sum, { repeated }) => sum + repeated, 0), 0);
    simulation.close();
  }
});

Deno.test("Comparer asks somebody who is no neighbour where neighbours do not answer, and tells who had more", async () => {
  const glass = new CompareGlass();
  [glass.neighbors, glass.others] = [["mute"], ["honest"]];
  glass.strangers.add("honest");
  for (let ms = 0; ms < 60_000; ms += 250) {
    await glass.time.advance(250);
    glass.comparer.tick();
  }
  const asked = glass.mail.of("compare").map(({ to }) => to);
  const first = asked.indexOf("mute");
  assertEquals([first >= 0, asked[first + 1]], [true, "honest"], `${asked}`);
  glass.offer("honest", 0, 9);
  assertEquals(glass.better, ["honest"]);
});
