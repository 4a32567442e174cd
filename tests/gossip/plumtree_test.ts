import { assert, assertEquals } from "@std/assert";
import { keyOf, type MessageId } from "../../src/gossip/id_list.ts";
import { GossipSwarm } from "../../src/testing/gossip_swarm.ts";
import { Simulation } from "../../src/testing/mod.ts";
import { idOf, message, passing, TreeGlass } from "./fixture.ts";

/** Nobody can know yet how late messages come: after so long it is asked for what did not come. */
const PATIENCE_MS = 400;

/** Ids without hops, as they are compared. */
function idsOf(packets: readonly { readonly ids: readonly MessageId[] }[]): string[] {
  return packets.flatMap(({ ids }) => ids.map(({ author, seq }) => `${author} ${seq}`));
}

function textOf({ author, seq }: MessageId): string {
  return `${author} ${seq}`;
}

/** A tree in use: a message came from `a`, and `lazy` ones have said that they need no more. */
function settled(eager: readonly string[], lazy: readonly string[]): TreeGlass {
  const glass = new TreeGlass();
  glass.up(...eager, ...lazy);
  for (const peerId of lazy) glass.tree.receive({ kind: "prune" }, peerId);
  glass.pass(passing(0, 1), eager[0]);
  glass.mail.clear();
  return glass;
}

Deno.test("Plumtree sends a message to all neighbours at first, but not back, and one hop farther", () => {
  const glass = new TreeGlass();
  glass.up("a", "b", "c");
  glass.mail.clear();
  glass.pass(passing(1, 3), "a");
  const pushes = glass.mail.of("push");
  assertEquals(pushes.map(({ to, hops, lane }) => [to, hops, lane]), [
    ["b", 4, "body"],
    ["c", 4, "body"],
  ]);
  glass.mail.clear();
  glass.pass(passing(2));
  assertEquals(glass.mail.of("push").map(({ to, hops }) => [to, hops]), [
    ["a", 1],
    ["b", 1],
    ["c", 1],
  ]);
  glass.tree.stop();
});

Deno.test("Plumtree asks the first neighbour to send, and each next one that it has no other", () => {
  const glass = new TreeGlass();
  glass.up("a", "b");
  assertEquals(glass.mail.take(), ["graft a"]);
  glass.up("a");
  assertEquals(glass.mail.all, [], "it is one already");
  glass.tree.down("a");
  glass.tree.receive({ kind: "prune" }, "b");
  glass.up("c");
  assertEquals([glass.mail.take(), glass.tree.eager], [["graft c"], ["c"]]);
});

Deno.test("Plumtree only tells ids to new neighbours once messages have found their ways", () => {
  const glass = settled(["a"], []);
  glass.up("new");
  assertEquals([glass.tree.eager, glass.tree.isEager("new"), glass.mail.all], [["a"], false, []]);
  const fresh = new TreeGlass();
  fresh.up("a");
  fresh.pass(passing(1)); // its own: shows no way
  fresh.up("b");
  assertEquals(fresh.tree.eager, ["a", "b"]);
  glass.tree.stop();
  fresh.tree.stop();
});

Deno.test("Plumtree tells lazy neighbours ids, together and a little later, with their hops", async () => {
  const glass = settled(["a"], ["b"]);
  glass.pass(passing(1, 4), "a");
  await glass.time.advance(20);
  glass.pass(passing(2, 6), "a");
  assertEquals([glass.mail.all, glass.tree.untold], [[], 3]);
  await glass.time.advance(30);
  const { ids, to, lane } = glass.mail.one("have");
  assertEquals([to, lane, glass.tree.untold], ["b", "control", 0]);
  assertEquals(ids.map(({ seq, hops }) => [seq, hops]), [
    [message(0).seq, 2],
    [message(1).seq, 5],
    [message(2).seq, 7],
  ]);
});

Deno.test("Plumtree tells of at most 1,024 ids in a packet", async () => {
  const glass = settled(["a"], ["b"]);
  for (let nth = 1; nth < 2_500; nth++) glass.pass(passing(nth), "a");
  await glass.time.advance(50);
  const packets = glass.mail.of("have", "b");
  assertEquals(packets.map(({ ids }) => ids.length), [1_024, 1_024, 452]);
  assertEquals(new Set(idsOf(packets)).size, 2_500);
});

Deno.test("Plumtree has a bounded number of ids wait for a neighbour", async () => {
  const glass = new TreeGlass({ lazyMs: 1e6 });
  glass.up("a");
  glass.tree.receive({ kind: "prune" }, "a");
  for (let nth = 0; nth < 20_000; nth++) glass.tree.pass(passing(nth));
  assertEquals(glass.tree.untold, 16_384);
  await glass.time.advance(1e6);
  assertEquals([glass.tree.untold, glass.mail.of("have").length], [0, 16]);
});

Deno.test("Plumtree neither sends nor tells a neighbour what it has, as it says", async () => {
  const glass = settled(["a", "b"], ["c", "d"]);
  glass.tree.receive({ kind: "dont", ids: [message(1)] }, "b");
  glass.have("c", message(1));
  glass.pass(passing(1), "a");
  glass.have("d", message(1)); // before it was told
  await glass.time.advance(60);
  const told = idsOf(glass.mail.of("have"));
  assertEquals([glass.mail.of("push"), told.includes(textOf(message(1)))], [[], false]);
  glass.pass(passing(2), "a");
  await glass.time.advance(60);
  assertEquals(glass.mail.of("push").map(({ to }) => to), ["b"]);
  glass.tree.stop();
});

Deno.test("Plumtree remembers of some thousand messages that a neighbour has them, the latest", () => {
  const glass = settled(["a", "b"], []);
  for (let nth = 1; nth <= 5_000; nth++) {
    glass.tree.receive({ kind: "dont", ids: [message(nth)] }, "b");
  }
  for (const nth of [1, 5_000 - 1_000, 5_000]) glass.pass(passing(nth), "a");
  assertEquals(glass.mail.of("push").length, 1);
  glass.tree.stop();
});

Deno.test("Plumtree stops sending to who had a message already, and tells it so", () => {
  const glass = settled(["a", "b"], []);
  glass.tree.duplicate(message(0), "b");
  assertEquals([glass.mail.take(), glass.tree.eager], [["prune b"], ["a"]]);
  glass.tree.duplicate(message(0), "stranger");
  assertEquals(glass.mail.all, []);
  glass.tree.stop();
});

Deno.test("Plumtree stops sending to who asks it to, and sends to who asks for it", () => {
  const glass = settled(["a", "b"], ["c"]);
  glass.tree.receive({ kind: "prune" }, "b");
  assertEquals(glass.tree.eager, ["a"]);
  glass.pass(passing(1, 2), "a");
  assertEquals(glass.mail.of("push"), []);
  glass.tree.receive({ kind: "graft" }, "b");
  glass.pass(passing(2, 2), "a");
  assertEquals(glass.mail.of("push").map(({ to, hops }) => [to, hops]), [["b", 3]]);
  assertEquals(glass.tree.eager, ["a", "b"]);
  glass.tree.stop();
});

Deno.test("Plumtree sends to who brings something new", () => {
  const glass = settled(["a"], ["b"]);
  glass.pass(passing(1), "b");
  assertEquals(glass.tree.eager, ["a", "b"]);
  glass.tree.stop();
});

Deno.test("Plumtree listens to neighbours alone", async () => {
  const glass = settled(["a"], []);
  const ids = [message(0)];
  for (const kind of ["have", "dont"] as const) {
    assert(glass.tree.receive({ kind, ids }, "stranger"));
  }
  for (const kind of ["graft", "prune"] as const) assert(glass.tree.receive({ kind }, "stranger"));
  glass.have("stranger", message(5));
  await glass.time.advance(2_000);
  assertEquals([glass.mail.all, glass.tree.missing], [[], 0]);
  assert(!glass.tree.receive({ kind: "leave", isGone: true }, "a"), "that is for somebody else");
});

Deno.test("Plumtree tells the id of what there is no room for, and its receiver may ask for it", async () => {
  const glass = settled(["a", "b"], []);
  glass.full.add("b");
  glass.pass(passing(1), "a");
  assertEquals(glass.mail.of("push"), []);
  await glass.time.advance(60);
  assert(idsOf(glass.mail.of("have", "b")).includes(textOf(message(1))));
  assert(glass.tree.isEager("b"));
});

Deno.test("Plumtree asks for what it only heard of, if it does not come: not before long, and once", async () => {
  const glass = settled(["a"], ["b"]);
  glass.have("b", message(1), message(2));
  assertEquals(glass.tree.missing, 2);
  await glass.time.advance(190);
  assertEquals(glass.mail.of("want"), []);
  glass.pass(passing(2), "a");
  await glass.time.advance(PATIENCE_MS);
  const { to, ids, lane } = glass.mail.one("want");
  assertEquals([to, idsOf([{ ids }]), lane], ["b", [textOf(message(1))], "control"]);
  glass.pass(passing(1), "b");
  await glass.time.advance(5_000);
  assertEquals([glass.mail.of("want").length, glass.tree.missing], [1, 0]);
});

Deno.test("Plumtree asks one after the other for what does not come, and gives up after the last", async () => {
  const glass = settled(["a"], ["b", "c", "d"]);
  for (const peerId of ["b", "c", "d", "b"]) glass.have(peerId, message(1));
  glass.tree.down("c");
  const asked: [string, number][] = [];
  for (let ms = 0; ms < 3_000; ms += 10) {
    await glass.time.advance(10);
    for (const { to } of glass.mail.of("want")) asked.push([to, glass.time.now()]);
    glass.mail.clear();
  }
  assertEquals([asked.map(([to]) => to), glass.tree.missing], [["b", "d"], 0]);
  const [first = 0, second = 0] = asked.map(([, ms]) => ms);
  assertEquals([first, second - first], [PATIENCE_MS, 200]);
});

Deno.test("Plumtree asks the next after 200 ms, whatever it heard of meanwhile", async () => {
  const glass = settled(["a"], ["b", "c"]);
  for (const peerId of ["b", "c"]) glass.have(peerId, message(1, 0, idOf("x")));
  await glass.time.advance(PATIENCE_MS - 10);
  glass.have("b", message(1, 0, idOf("y")));
  await glass.time.advance(10 + 200);
  assertEquals(glass.mail.of("want").map(({ to }) => to), ["b", "c"]);
  glass.tree.stop();
});

Deno.test("Plumtree remembers five who have the same message", async () => {
  const glass = settled(["a"], ["b", "c", "d", "e", "f", "g"]);
  for (const peerId of ["b", "c", "d", "e", "f", "g"]) glass.have(peerId, message(1));
  await glass.time.advance(5_000);
  assertEquals(glass.mail.of("want").map(({ to }) => to), ["b", "c", "d", "e", "f"]);
});

Deno.test("Plumtree asks for as much as fits one packet at a time", async () => {
  const glass = settled(["a"], ["b"]);
  for (let nth = 1; nth <= 1_500; nth++) glass.have("b", message(nth));
  await glass.time.advance(PATIENCE_MS);
  const wants = glass.mail.of("want", "b");
  assertEquals(wants.map(({ ids }) => ids.length), [1_024, 476]);
  assertEquals(new Set(idsOf(wants)).size, 1_500);
  glass.tree.stop();
});

Deno.test("Plumtree waits longer while what its author wrote before is still arriving, but not for ever", async () => {
  const glass = settled(["a"], ["b"]);
  glass.have("b", message(1_000), message(1, 0, idOf("bob")));
  const askedMs = new Map<string, number>();
  for (let nth = 1; nth <= 700; nth++) {
    await glass.time.advance(10);
    glass.pass(passing(nth), "a");
    for (const id of idsOf(glass.mail.of("want"))) askedMs.set(id, glass.time.now());
    glass.mail.clear();
  }
  assertEquals(askedMs.get(textOf(message(1, 0, idOf("bob")))), PATIENCE_MS);
  const lateMs = askedMs.get(textOf(message(1_000))) ?? 0;
  assert(lateMs >= 5_000 && lateMs <= 5_500, `${lateMs} ms`);
  glass.tree.stop();
});

/** How long a new message is waited for, where others came by themselves so late. */
async function patienceMs(latenesses: readonly number[], silent?: string): Promise<number> {
  const glass = settled(["a"], ["b"]);
  for (const [nth, lateMs] of latenesses.entries()) {
    const author = idOf(`author ${nth}`);
    glass.have("b", message(nth, 0, author));
    await glass.time.advance(lateMs);
    glass.pass({ ...passing(nth), author }, "a");
  }
  await glass.time.advance(1_000);
  if (silent !== undefined) glass.silent.add(silent);
  glass.tree.tick();
  glass.mail.clear();
  glass.have("b", message(0, 0, idOf("bob")));
  const begunMs = glass.time.now();
  while (glass.mail.of("want").length === 0) await glass.time.advance(10);
  glass.tree.stop();
  return glass.time.now() - begunMs;
}

Deno.test("Plumtree waits as long as messages lately took to come by themselves, within bounds", async () => {
  const always = (lateMs: number, count = 100) => Array<number>(count).fill(lateMs);
  assertEquals(await patienceMs([]), 400);
  assertEquals(await patienceMs(always(20)), 200);
  assertEquals(await patienceMs(always(240)), 300);
  assertEquals(await patienceMs(always(390, 3)), 400);
  const once = await patienceMs([...always(20), 300, ...always(20, 3)]);
  assert(once > 300 && once < 375, `${once} ms: a late one is not forgotten at once`);
});

Deno.test("Plumtree waits no longer than needed where who sends to it may be dead", async () => {
  assertEquals([await patienceMs([], "a"), await patienceMs([], "b")], [200, 400]);
});

Deno.test("Plumtree sends messages to all while who should pass them on may be dead", () => {
  const glass = settled(["a"], ["b"]);
  const sentTo = (nth: number) => {
    glass.mail.clear();
    glass.pass(passing(nth));
    return glass.mail.of("push").map(({ to }) => to);
  };
  assertEquals(sentTo(1), ["a"]);
  glass.silent.add("a");
  glass.tree.tick();
  assertEquals(sentTo(2), ["a", "b"]);
  glass.silent.clear();
  glass.tree.tick();
  assertEquals(sentTo(3), ["a"]);
  glass.tree.stop();
});

/** A message was asked for at a lazy neighbour, which gave it. */
async function repaired(): Promise<TreeGlass> {
  const glass = settled(["a"], ["b"]);
  glass.have("b", message(1));
  await glass.time.advance(PATIENCE_MS);
  glass.pass(passing(1), "b");
  assertEquals([glass.mail.take().includes("want b"), glass.tree.eager], [true, ["a"]]);
  return glass;
}

Deno.test("Plumtree lets who gave what did not come at all send from then on", async () => {
  const glass = await repaired();
  await glass.time.advance(900);
  glass.tree.tick();
  assertEquals([glass.mail.of("graft"), glass.tree.eager], [[], ["a"]]);
  await glass.time.advance(100);
  for (let round = 0; round < 3; round++) glass.tree.tick();
  assertEquals([glass.mail.one("graft").to, glass.tree.eager], ["b", ["a", "b"]]);
  glass.tree.stop();
});

Deno.test("Plumtree leaves the ways as they are where a message was only late", async () => {
  const glass = await repaired();
  glass.tree.duplicate(message(1), "a");
  await glass.time.advance(2_000);
  glass.tree.tick();
  assertEquals([glass.mail.of("graft"), glass.mail.of("prune"), glass.tree.eager], [[], [], ["a"]]);
  glass.tree.stop();
});

Deno.test("Plumtree sends no prune to who gives what it was asked for", async () => {
  const glass = settled(["a", "b"], []);
  glass.have("b", message(1));
  await glass.time.advance(PATIENCE_MS);
  glass.pass(passing(1), "a");
  glass.have("b", message(2));
  await glass.time.advance(PATIENCE_MS);
  glass.mail.clear();
  glass.pass(passing(2), "b");
  assertEquals(glass.mail.of("prune"), []);
  assertEquals(glass.tree.eager, ["a", "b"]);
  glass.tree.stop();
});

Deno.test("Plumtree blames who sends the same message again and again", () => {
  const glass = settled(["a", "b"], []);
  for (let nth = 0; nth < 2; nth++) glass.tree.duplicate(message(0), "b");
  assertEquals(glass.blamed, [], "by itself, and because it was asked");
  for (let nth = 0; nth < 2; nth++) glass.tree.duplicate(message(0), "b");
  assertEquals(glass.blamed, ["b flooding", "b flooding"]);
  glass.tree.stop();
});

Deno.test("Plumtree blames who promised a message and does not give it, once, after five seconds", async () => {
  const glass = settled(["a"], ["b", "c"]);
  glass.have("b", message(1), message(2));
  glass.have("c", message(3));
  await glass.time.advance(PATIENCE_MS);
  assertEquals(glass.mail.of("want").map(({ to }) => to).toSorted(), ["b", "c"]);
  glass.pass(passing(1), "b");
  glass.tree.drop(message(2)); // it came and is of no use
  await glass.time.advance(4_900);
  glass.tree.tick();
  assertEquals(glass.blamed, []);
  await glass.time.advance(100);
  for (let round = 0; round < 3; round++) glass.tree.tick();
  assertEquals(glass.blamed, ["c broken"]);
});

Deno.test("Plumtree blames nobody who was not asked, or has gone, or was not as quick", async () => {
  const glass = settled(["a"], ["b", "c", "d"]);
  glass.have("b", message(1));
  glass.have("c", message(2), message(4));
  await glass.time.advance(PATIENCE_MS);
  glass.have("d", message(3));
  glass.tree.down("b");
  glass.pass(passing(2), "a");
  glass.seen.add(keyOf(message(4).author, message(4).seq)); // however it came
  glass.pass(passing(3), "a");
  await glass.time.advance(10_000);
  glass.tree.tick();
  assertEquals(glass.blamed, []);
});

Deno.test("Plumtree reads of a neighbour so many ids in ten seconds, and no more", async () => {
  const glass = new TreeGlass({ idsPerTenSeconds: 100, graftMs: 1e6, graftMaxMs: 1e6 });
  glass.up("a", "b");
  const ids = (first: number) => Array.from({ length: 60 }, (_, nth) => message(first + nth));
  const missing = [["a", 0], ["a", 100], ["a", 200], ["b", 300]].map(([peerId, first]) => {
    glass.have(`${peerId}`, ...ids(Number(first)));
    return glass.tree.missing;
  });
  assertEquals(missing, [60, 100, 100, 160]);
  await glass.time.advance(10_000);
  glass.have("a", ...ids(400));
  assertEquals([glass.tree.missing, glass.blamed], [220, []]);
  glass.tree.stop();
});

Deno.test("Plumtree waits for a bounded number of messages that one neighbour tells of", () => {
  const glass = settled(["a"], ["b", "c"]);
  for (let nth = 1; nth <= 6_000; nth++) glass.have("b", message(nth));
  assertEquals(glass.tree.missing, 4_096);
  glass.have("c", message(9_000), message(9_001));
  assertEquals(glass.tree.missing, 4_098, "others are heard all the same");
  glass.pass(passing(1), "a");
  glass.tree.drop(message(2));
  glass.have("b", ...[7_001, 7_002, 7_003].map((nth) => message(nth)));
  assertEquals(glass.tree.missing, 4_098);
  glass.tree.stop();
});

Deno.test("Plumtree tries a way that is shorter by far, and none that is a little shorter", () => {
  for (const [hops, isTried] of [[3, true], [4, false]] as const) {
    const glass = settled(["a"], ["b"]);
    glass.have("b", message(1, hops));
    glass.pass(passing(1, 15), "a");
    assertEquals(glass.mail.of("graft").map(({ to }) => to), isTried ? ["b"] : []);
    assertEquals(glass.tree.eager, isTried ? ["a", "b"] : ["a"]);
    glass.tree.stop();
  }
});

Deno.test("Plumtree tells others that they need not send a large message, where some come twice", async () => {
  const [small, large] = [1_023, 1_024].map((bytes) => new Uint8Array(bytes));
  const glass = settled(["a", "b"], ["c"]);
  await glass.time.advance(3_000);
  glass.pass(passing(9, 1, large), "a");
  assertEquals(glass.mail.of("dont"), [], "nothing has come twice for a while");
  glass.tree.duplicate(message(9), "c");
  glass.mail.clear();
  glass.pass(passing(1, 1, small), "a");
  assertEquals(glass.mail.take(), ["push b"]);
  glass.pass(passing(2, 1, large), "a");
  const { ids, lane } = glass.mail.one("dont");
  assertEquals([idsOf([{ ids }]), lane], [[textOf(message(2))], "control"]);
  assertEquals(glass.mail.take(), ["dont b", "push b"]);
  glass.pass(passing(3, 0, large)); // its own: nobody has it
  assertEquals(glass.mail.take(), ["push a", "push b"]);
  glass.tree.stop();
});

Deno.test("Plumtree only tells of what a comparison brought, and waits for it no more", async () => {
  const glass = settled(["a", "b"], ["c"]);
  glass.have("c", message(1));
  glass.seen.add(keyOf(message(1).author, message(1).seq));
  glass.tree.announce(passing(1, 3), "a");
  assertEquals([glass.mail.all, glass.tree.missing], [[], 0]);
  await glass.time.advance(2_000);
  const told = glass.mail.of("have").filter((packet) =>
    idsOf([packet]).includes(textOf(message(1)))
  );
  assertEquals(told.map(({ to }) => to), ["b"], "not to whom it came from, nor to who has it");
  assertEquals(glass.mail.of("want"), []);
});

Deno.test("Plumtree stops all its timers", async () => {
  const glass = settled(["a"], ["b"]);
  glass.pass(passing(1), "a");
  glass.have("b", message(2), message(3));
  assert(glass.clock.waiting > 0);
  glass.tree.stop();
  assertEquals([glass.clock.waiting, glass.tree.missing, glass.tree.eager], [0, 0, []]);
  await glass.time.advance(10_000);
  assertEquals(glass.mail.all, []);
});

Deno.test("Plumtree brings a message to everybody nearly once when the trees have settled, and mends them", () => {
  for (const seed of [1, 2]) {
    const simulation = new Simulation({ seed, link: { delayMs: [5, 20] } });
    const swarm = new GossipSwarm(simulation, { nodes: 15 });
    simulation.run(5_000);
    const publish = (count: number, pauseMs: number) => {
      return Array.from({ length: count }, () => {
        const spread = swarm.publish("n0");
        simulation.run(pauseMs);
        return spread;
      });
    };
    publish(20, 200);
    const before = swarm.counted("duplicates");
    const spreads = publish(20, 200);
    assert(spreads.every((spread) => swarm.missed(spread).length === 0), `seed ${seed}`);
    const repeated = (swarm.counted("duplicates") - before) / (20 * 14);
    assert(repeated <= 0.1, `${repeated} duplicates a delivery, seed ${seed}`);
    for (const name of ["n3", "n7", "n11"]) simulation.kill(name);
    const mended = publish(5, 200);
    simulation.run(3_000);
    assertEquals(mended.map((spread) => swarm.missed(spread)), [[], [], [], [], []]);
    simulation.close();
  }
});
