import { assert, assertEquals } from "@std/assert";
import type { Clock } from "../../src/clock.ts";
import { countOf, NEWS, readAll, Reading, statusOf, Village } from "../gossip/gossip_fixture.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** A clock whose wall is off. */
function skewed(clock: Clock, byMs: number): Clock {
  return {
    now: () => clock.now(),
    wallMs: () => clock.wallMs() + byMs,
    random: () => clock.random(),
    after: (delayMs, callback) => clock.after(delayMs, callback),
  };
}

Deno.test("T6 a message of a topic that is sent again at once is given once, and not after a restart to who keeps its cursor", async () => {
  await using village = new Village();
  const [ann, bob] = await village.openMany(2);
  assert(ann && bob);
  const [, ofBob] = readAll([ann, bob]);
  const eve = await village.stranger(ann);
  await eve.join(village);
  await village.meet([bob]);
  for (const n of [1, 2, 3]) await ann.gossip.publish(NEWS, n);
  await village.until("them", () => ofBob?.data.length === 3);
  await village.clock.advance(1_000);
  const recorded = eve.of("push").map(({ envelope }) => envelope);
  assert(recorded.length >= 3);

  const atBob = await village.stranger(bob);
  await atBob.join(village);
  atBob.push(...recorded, ...recorded);
  await village.until("duplicates", () => countOf(bob, "duplicates") >= 2 * recorded.length);
  assertEquals(ofBob?.data, [1, 2, 3]);

  const cursor = ofBob?.subscription.cursor;
  assert(cursor);
  await village.settled(bob.close());
  await village.clock.advance(5_000); // who has just begun may want what was written a moment before
  const again = await village.open({ identity: bob.identity });
  const later = new Reading(again.gossip.subscribe(NEWS, { since: cursor }));
  const fresh = new Reading(again.gossip.subscribe(NEWS));
  const replaying = await village.stranger(again);
  await replaying.join(village);
  await village.clock.advance(10_000);
  replaying.push(...recorded);
  await village.until("ann", () => statusOf(again)?.neighbors.includes(ann.peerId) === true);
  await ann.gossip.publish(NEWS, 4);
  await village.until("the next", () => later.data.length > 0 && fresh.data.length > 0);
  assertEquals([later.data, fresh.data], [[4], [4]]);
});

Deno.test("T6 a message of an hour ago is refused by everybody: who ran all the time, who began anew, and whose clock is a day off", async () => {
  await using village = new Village();
  const [ann, bob] = await village.openMany(2);
  assert(ann && bob);
  const readings = readAll([ann, bob]);
  const eve = await village.stranger(ann);
  await eve.join(village);
  const own = eve.write("my own", village.clock.wallMs());
  eve.push(own);
  await bob.gossip.publish(NEWS, "old");
  await village.until("it", () => readings[0]?.data.length === 2);
  await village.clock.advance(1_000);
  const recorded = [own, ...eve.of("push").map(({ envelope }) => envelope)];
  assert(recorded.length >= 2);
  await eve.link.close();
  await village.settled(bob.close()); // an hour of pings would take long to play
  await village.clock.advance(HOUR_MS);

  const again = await village.open({ identity: bob.identity });
  const behind = await village.open({ clock: skewed(village.clock, -DAY_MS) });
  const ahead = await village.open({ clock: skewed(village.clock, DAY_MS) });
  const late = await village.open();
  const targets = [ann, again, behind, ahead, late];
  const all = targets.map((peer) => new Reading(peer.gossip.subscribe(NEWS, { since: "all" })));
  await village.meet(targets, NEWS, 3); // enough of them to tell the time
  await village.clock.advance(5_000);
  for (const peer of targets) {
    const attacker = await village.stranger(peer);
    const stale = countOf(peer, "stale");
    attacker.push(...recorded);
    await village.until("refusal", () => countOf(peer, "stale") >= stale + recorded.length);
  }
  await ann.gossip.publish(NEWS, "new");
  await village.until("what is new", () => all.slice(1).every(({ data }) => data.includes("new")));
  const [ofAnn, ...others] = all;
  assertEquals(ofAnn?.data, []);
  for (const { data } of others) assertEquals(data, ["new"]);
});

Deno.test("T6 a message that says it is of the future does not outlive its age, and one neighbour's clock moves nobody's", async () => {
  await using village = new Village();
  const peers = await village.openMany(3);
  const [ann] = peers;
  assert(ann);
  const readings = readAll(peers);
  await village.meet(peers, NEWS, 2);
  const eve = await village.stranger(ann);
  const wallMs = village.clock.wallMs() + DAY_MS;
  eve.say({ kind: "neighbor", priority: "join", contact: eve.contact, wallMs });
  await village.until("a welcome", () => eve.of("welcome").length > 0);
  eve.push(eve.write("of tomorrow", village.clock.wallMs() + DAY_MS));
  eve.push(eve.write("in two minutes", village.clock.wallMs() + 120_000));
  await village.until("refusal", () => countOf(ann, "ahead") === 2);
  eve.push(eve.write("in ten seconds", village.clock.wallMs() + 10_000));
  await village.until("it", () => readings.every(({ data }) => data.length === 1));
  assertEquals(readings.map(({ data }) => data[0]), peers.map(() => "in ten seconds"));
});
