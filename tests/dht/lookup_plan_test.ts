import { assert, assertEquals, assertThrows } from "@std/assert";
import { seededRandom } from "../../src/clock.ts";
import { type Contact, contactOf } from "../../src/dht/contact.ts";
import { publicNetworkOf } from "../../src/dht/diversity.ts";
import { LookupPlan, type LookupPlanOptions, type LookupStep } from "../../src/dht/lookup_plan.ts";
import { compareDistance, randomIdIn } from "../../src/dht/node_id.ts";
import { idOf, nearest, nodeAt, randomId, Swarm, ZERO } from "./lookup_fixture.ts";

function planOf(options: LookupPlanOptions): LookupPlan {
  return new LookupPlan(ZERO, options);
}

function keysOf(contacts: readonly Contact[]): string[] {
  return contacts.map(({ key }) => key);
}

/** Everybody who may be asked now. */
function askAll(plan: LookupPlan): LookupStep[] {
  const steps: LookupStep[] = [];
  for (let step = plan.next(); step !== undefined; step = plan.next()) steps.push(step);
  return steps;
}

/** Goes on to the end; everybody answers in the order of asking. */
function finish(plan: LookupPlan, answer: (contact: Contact) => readonly Contact[]): LookupStep[] {
  const asked: LookupStep[] = [];
  const open: LookupStep[] = [];
  for (;;) {
    const steps = askAll(plan);
    asked.push(...steps);
    open.push(...steps);
    assert(asked.length < 10_000, "it never ends");
    if (plan.isOver) return asked;
    const step = open.shift();
    assert(step !== undefined, "it is not over, but waits for nobody");
    plan.answered(step, answer(step.contact));
  }
}

const NEAR = [1, 2, 4, 8, 16, 32, 64, 128].map((first) => nodeAt(first));

Deno.test("LookupPlan has alpha questions open, and the next as soon as one is answered", () => {
  const plan = planOf({ seeds: NEAR.toReversed() });
  const [first, second, third, ...more] = askAll(plan);
  assert(first && second && third);
  assertEquals(keysOf([first.contact, second.contact, third.contact]), keysOf(NEAR.slice(0, 3)));
  assertEquals(more, []);
  plan.answered(third, []);
  assertEquals(askAll(plan).map(({ contact }) => contact.key), keysOf(NEAR.slice(3, 4)));
  plan.failed(second);
  assertEquals(askAll(plan).map(({ contact }) => contact.key), keysOf(NEAR.slice(4, 5)));
});

Deno.test("LookupPlan asks those around the nearest node at once when that has answered", () => {
  const plan = planOf({ seeds: NEAR, maxAlpha: 5 });
  const [first] = askAll(plan);
  assert(first);
  plan.answered(first, []);
  assertEquals(askAll(plan).length, 3, "five are open now");
});

Deno.test("LookupPlan asks somebody else where one takes long, up to maxAlpha", () => {
  const plan = planOf({ seeds: NEAR, maxAlpha: 5 });
  const [first, ...others] = askAll(plan);
  assert(first);
  plan.stalled(first);
  const [fourth, ...more] = askAll(plan);
  assertEquals([fourth?.contact.key, more.length], [NEAR[3]?.key, 0]);
  for (const step of others) plan.stalled(step);
  assertEquals(askAll(plan).length, 1, "five are open");
  plan.answered(first, []); // late, but it counts
  assertEquals(plan.result().closest.length, NEAR.length);
  assertEquals(plan.result().hops, 1);
});

Deno.test("LookupPlan shares alpha among its paths, each of which has one question at the least", () => {
  const seeds = Array.from({ length: 40 }, (_, at) => nodeAt(at + 1));
  for (
    const [alpha, paths, expected] of [[3, 2, [2, 1]], [3, 5, [1, 1, 1, 1, 1]], [7, 3, [
      3,
      2,
      2,
    ]]] as const
  ) {
    const steps = askAll(planOf({ seeds, alpha, paths }));
    const counts = expected.map((_, at) => steps.filter(({ path }) => path === at).length);
    assertEquals([counts, steps.length], [[...expected], Math.max(alpha, paths)]);
  }
});

Deno.test("LookupPlan leaves each path its share of maxAlpha, and one question where others have all", () => {
  const seeds = Array.from({ length: 40 }, (_, at) => nodeAt(at + 1));
  const plan = planOf({ seeds, paths: 2, maxAlpha: 6 });
  const open: LookupStep[] = askAll(plan);
  for (const step of open) {
    if (step.path !== 0) continue;
    plan.stalled(step);
    open.push(...askAll(plan));
  }
  assertEquals([0, 1].map((at) => open.filter(({ path }) => path === at).length), [3, 1]);
  assertEquals(askAll(planOf({ seeds, alpha: 1, maxAlpha: 2, paths: 4 })).length, 4);
});

Deno.test("LookupPlan deals the seeds to its paths in turn, and has no more paths than seeds", () => {
  const [a, b, c] = NEAR;
  assert(a && b && c);
  const steps = askAll(planOf({ seeds: [c, b, a], paths: 2 }));
  assertEquals(steps.map(({ contact, path }) => [contact.key, path]), [
    [a.key, 0],
    [b.key, 1],
    [c.key, 0],
  ]);
  const plan = planOf({ seeds: [nodeAt(200)], paths: 4, settle: 8 });
  assertEquals(finish(plan, () => NEAR).length, 9, "the only path settles all 8");
});

Deno.test("LookupPlan says how deep a node is, who named it, and how many of those named are nearer", () => {
  const [a, b, c, d] = NEAR;
  assert(a && b && c && d);
  const plan = planOf({ seeds: [c] });
  const [first] = askAll(plan);
  assert(first);
  assertEquals([first.depth, first.by], [1, undefined]);
  assertEquals(plan.answered(first, [d, b, a, c, a]), 2);
  const steps = askAll(plan);
  assertEquals(steps.map(({ contact, depth, by }) => [contact.key, depth, by]), [
    [a.key, 2, c],
    [b.key, 2, c],
    [d.key, 2, c],
  ]);
  assertEquals(plan.result().hops, 1, "of those that answered");
  for (const step of steps) assertEquals(plan.answered(step, [b, c, d]), 0, "they were known");
  assertEquals([plan.isOver, plan.result().hops], [true, 2]);
});

Deno.test("LookupPlan looks at k nodes of an answer, each of them once", () => {
  const plan = planOf({ seeds: [nodeAt(255)], k: 4 });
  const [first] = askAll(plan);
  assert(first);
  const at = (port: number) => nodeAt(9, "10.0.0.9", port);
  const many = Array.from({ length: 10_000 }, (_, at) => nodeAt([at >> 8, at & 255, 1]));
  assertEquals(plan.answered(first, [at(1), at(2), at(3), nodeAt(8), ...many]), 2);
  const steps = askAll(plan);
  assertEquals(steps.map(({ contact }) => contact.key), keysOf([nodeAt(8), nodeAt(9)]));
  for (const step of steps) plan.failed(step);
  assert(plan.isOver, "the other addresses of the same answer are not tried");
});

Deno.test("LookupPlan tries a node where another answer says that it is, also on another path", () => {
  for (const paths of [1, 2]) {
    const plan = planOf({ seeds: [nodeAt(254), nodeAt(255)], paths });
    const [first, second] = askAll(plan);
    assert(first && second);
    const at = (port: number) => nodeAt(9, "10.0.0.9", port);
    plan.answered(first, [at(1)]);
    const [wrong] = askAll(plan);
    plan.answered(second, [at(2)]);
    assert(wrong && plan.next() === undefined);
    plan.failed(wrong);
    const [right] = askAll(plan);
    assertEquals(right?.contact.address.port, 2);
    assertEquals([right?.path, right?.by], [wrong.path, second.contact]);
  }
});

Deno.test("LookupPlan asks neither ourselves, nor at no port, nor whom the caller does not want", () => {
  const self = idOf(1);
  const unfit = [
    nodeAt(1),
    nodeAt(2, "10.0.0.2", 0),
    nodeAt(3, "10.0.0.2", -1),
    nodeAt(4, "10.0.0.2", 65_536),
    nodeAt(5, "10.0.0.66"),
  ];
  const isWanted = ({ address }: Contact) => address.hostname !== "10.0.0.66";
  const seeds = [...unfit, nodeAt(255)];
  const plan = planOf({ seeds, self, isWanted, paths: 3 });
  const asked = finish(plan, () => [...unfit, nodeAt(6)]);
  assertEquals(asked.map(({ contact }) => contact.key), keysOf([nodeAt(255), nodeAt(6)]));
  assertEquals(keysOf(plan.result().closest), keysOf([nodeAt(6), nodeAt(255)]));
});

Deno.test("LookupPlan takes two nodes of a network from an answer, and has two in its result", () => {
  const crowd = (first: number, hosts: string) =>
    Array.from({ length: 10 }, (_, at) => nodeAt([first, at + 1], `${hosts}${at + 1}`));
  for (
    const [hosts, expected] of [["192.0.2.", 2], ["2001:db8:1:2::", 2], ["10.1.1.", 10]] as const
  ) {
    const plan = planOf({ seeds: [nodeAt(255), nodeAt(254)] });
    const [first, second] = askAll(plan);
    assert(first && second);
    assertEquals(plan.answered(first, crowd(2, hosts)), expected);
    assertEquals(plan.answered(second, crowd(1, hosts)), expected);
    const asked = finish(plan, () => []);
    assertEquals(asked.length, hosts.startsWith("10.") ? 20 : 2, "20 in all settle it");
    const closest = plan.result().closest.filter(({ address }) =>
      address.hostname.startsWith(hosts)
    );
    assertEquals(closest.length, hosts.startsWith("10.") ? 20 : 2);
    assertEquals(closest[0]?.key, nodeAt([1, 1]).key, "the nearest count");
  }
});

Deno.test("LookupPlan ends in a loop of nodes that name each other and themselves", () => {
  const ring = Array.from({ length: 30 }, (_, at) => nodeAt([1, at + 1]));
  const plan = planOf({ seeds: ring.slice(0, 1) });
  assertEquals(finish(plan, () => ring).length, 20);
});

Deno.test("LookupPlan asks once at an address that many nodes are said to have, and never where nobody answers", () => {
  const at = (first: number) => nodeAt(first, "10.0.0.9", 53);
  const plan = planOf({ seeds: [nodeAt(200), nodeAt(201), nodeAt(202)] });
  const [first, second, third] = [plan.next(), plan.next(), plan.next()];
  assert(first !== undefined && second !== undefined && third !== undefined);
  plan.answered(first, [at(1), at(2), at(3)]);
  const victim = plan.next();
  assertEquals(victim?.contact, at(1));
  assert(victim !== undefined);
  plan.failed(victim, { isSilent: true });
  plan.answered(second, [at(4)]);
  assertEquals(plan.next(), undefined);
  plan.failed(third); // refuses, but is there
  plan.answered(second, [nodeAt(5, third.contact.address.hostname, third.contact.address.port)]);
  assertEquals(plan.next()?.contact.address, third.contact.address);
});

Deno.test("LookupPlan ends though each answer names ever nearer nodes that nobody has heard of", () => {
  const random = seededRandom(3);
  let bits = 0;
  const plan = planOf({ seeds: [nodeAt(255)], k: 4, paths: 1 });
  const asked = finish(plan, () => {
    bits = Math.min(159, bits + 1);
    return Array.from(
      { length: 4 },
      (_, at) => contactOf(randomIdIn(ZERO, bits, random), { hostname: "10.0.0.1", port: 1 + at }),
    );
  });
  assert(asked.length <= 8 * 4, `${asked.length} were asked, more than a path knows`);
});

Deno.test("LookupPlan is not captured by those who name only each other, where it has several paths", () => {
  const swarm = new Swarm({ count: 300, seed: 6 });
  const [one = 0, four = 0] = [1, 4].map((paths) => {
    let found = 0;
    for (let round = 0; round < 30; round++) {
      const target = randomId(swarm.random);
      const honest = nearest(target, swarm.contacts, 20);
      // 20 of them, so near that honest nodes are not among the nearest.
      const gang = Array.from(
        { length: 20 },
        (_, at) =>
          contactOf(randomIdIn(target, 60, swarm.random), { hostname: "10.6.6.6", port: 600 + at }),
      );
      const members = new Set(keysOf(gang));
      const seeds = swarm.some(8);
      members.add(nearest(target, seeds, 1)[0]?.key ?? ""); // the first that is asked
      const plan = new LookupPlan(target, { seeds, paths });
      const asked = finish(
        plan,
        (contact) => members.has(contact.key) ? gang : swarm.answer(contact, target).nodes,
      );
      const keys = new Set(keysOf(honest));
      if (asked.some(({ contact }) => keys.has(contact.key))) found++;
    }
    return found;
  });
  assertEquals([one < 15, four], [true, 30], `found by one path ${one} times`);
});

Deno.test("LookupPlan ends whatever happens in whichever order, and keeps to its bounds", () => {
  for (let seed = 1; seed <= 60; seed++) {
    const random = seededRandom(seed);
    const count = (most: number) => 1 + Math.floor(random() * most);
    const ids = Array.from({ length: count(300) }, () => randomId(random));
    const anybody = () =>
      contactOf(ids[Math.floor(random() * ids.length)] ?? ZERO, {
        hostname: random() < 0.5 ? "10.0.0.1" : `8.8.${Math.floor(random() * 20)}.1`,
        port: Math.floor(random() * 4),
      });
    const someone = (most: number) => Array.from({ length: count(most) }, anybody);
    const [k, alpha, maxAlpha, paths] = [count(20), count(5), count(12), count(5)];
    const settle = count(k);
    const plan = planOf({ seeds: someone(30), k, alpha, maxAlpha, paths, settle });
    const open = new Map<LookupStep, "asked" | "stalled">();
    const times = new Map<string, { count: number; readonly path: number }>();
    const answered = new Set<string>();
    for (let steps = 0;; steps++) {
      assert(steps < 20_000, `it never ends (${seed})`);
      for (const step of askAll(plan)) {
        const { contact: { key, address }, path } = step;
        const before = times.get(key) ?? { count: 0, path };
        assertEquals(before.path, path, "two paths asked a node");
        assert(!answered.has(key) && address.port > 0);
        before.count++;
        assert(before.count <= 3, "it was asked more than three times");
        times.set(key, before);
        open.set(step, "asked");
      }
      assert(open.size <= Math.max(alpha, maxAlpha, paths), `${open.size} are open (${seed})`);
      if (plan.isOver) break;
      const all = [...open.keys()];
      const step = all[Math.floor(random() * all.length)];
      assert(step, "it is not over, but waits for nobody");
      const what = random();
      if (what < 0.3 && open.get(step) === "asked") {
        plan.stalled(step);
        open.set(step, "stalled");
        continue;
      }
      open.delete(step);
      if (what < 0.5) plan.failed(step);
      else {
        plan.answered(step, someone(40));
        answered.add(step.contact.key);
      }
    }
    const { closest } = plan.result();
    const order = closest.toSorted((a, b) => compareDistance(ZERO, a.id, b.id));
    assertEquals(keysOf(closest), keysOf(order));
    assertEquals(new Set(keysOf(closest)).size, closest.length);
    assert(closest.length <= k);
    const perNetwork = Map.groupBy(closest, ({ address }) => publicNetworkOf(address.hostname));
    const stalled = [...open.values()].filter((state) => state === "stalled").length;
    for (const [network, { length }] of perNetwork) {
      assert(network === undefined || length <= 2 + stalled, `${length} of ${network} (${seed})`);
    }
    if (paths > 1) continue;
    for (const { key } of closest.slice(0, settle)) assert(answered.has(key), `unasked (${seed})`);
  }
});

Deno.test("LookupPlan refuses counts that make no sense", () => {
  for (const name of ["k", "alpha", "maxAlpha", "paths", "settle", "perNetwork"]) {
    for (const value of [0, -1, 1.5, NaN]) {
      const options = { seeds: [], [name]: value };
      assertThrows(() => planOf(options), RangeError, `${name} must be a whole number`);
    }
  }
  assert(planOf({ seeds: [], paths: Infinity, perNetwork: Infinity }).isOver, "nobody to ask");
});
