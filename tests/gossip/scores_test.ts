import { assert, assertEquals, assertThrows } from "@std/assert";
import { seededRandom } from "../../src/clock.ts";
import {
  type Deed,
  MAX_PER_NETWORK,
  MAX_SCORED,
  publicNetworkOf,
  Scores,
} from "../../src/gossip/scores.ts";

const MINUTE_MS = 60_000;

/** Notes so many of a deed within the minute that ends now, evenly; usefulness at its best before, if wanted. */
function judged(what: Deed, times: number, { useful = false } = {}) {
  const scores = new Scores();
  for (let i = 0; i < times; i++) {
    const nowMs = i * MINUTE_MS / times;
    if (useful) scores.note("bob", "useful", nowMs, 1_000);
    scores.note("bob", what, nowMs);
  }
  if (useful) scores.note("bob", "useful", MINUTE_MS, 1_000);
  return verdict(scores, "bob", MINUTE_MS);
}

function verdict(scores: Scores, peerId: string, nowMs: number) {
  if (scores.isGraylisted(peerId, nowMs)) return "graylisted";
  return scores.isWelcome(peerId, nowMs) ? "welcome" : "unwelcome";
}

function assertAlmostEquals(actual: number, expected: number): void {
  assert(Math.abs(actual - expected) < 1e-9, `${actual} instead of ${expected}`);
}

Deno.test("Scores gives a newcomer 0, below one that proved useful, which has a maximum", () => {
  const scores = new Scores();
  assertEquals([scores.score("new", 0), verdict(scores, "new", 0), scores.size], [0, "welcome", 0]);
  scores.note("old", "useful", 0);
  assertAlmostEquals(scores.score("old", 0), 0.04);
  scores.note("old", "useful", 0, 1e9);
  assertEquals(scores.score("old", 0), 4);
  assertEquals(scores.worst(["old", "new"], 0), "new");
});

Deno.test("Scores makes one wrong signature unwelcome, and graylists three in a minute", () => {
  for (const useful of [0, 1_000]) {
    for (const deed of ["invalid", "authored"] as const) {
      const scores = new Scores();
      const verdicts = [0, 20_000, 40_000].map((nowMs) => {
        scores.note("bob", "useful", nowMs, useful);
        scores.note("bob", deed, nowMs);
        return verdict(scores, "bob", nowMs);
      });
      assertEquals(verdicts, ["unwelcome", "unwelcome", "graylisted"], `${deed}, ${useful} useful`);
    }
  }
});

Deno.test("Scores bears some broken promises, refused messages and floods, but no habit", () => {
  const table: [Deed, number, string][] = [
    ["broken", 1, "welcome"],
    ["broken", 5, "welcome"],
    ["broken", 20, "unwelcome"],
    ["rejected", 1, "welcome"],
    ["rejected", 3, "welcome"],
    ["rejected", 10, "unwelcome"],
    ["flooding", 1, "welcome"],
    ["flooding", 20, "unwelcome"],
    ["flooding", 65, "graylisted"],
  ];
  for (const [deed, times, expected] of table) {
    assertEquals(judged(deed, times), expected, `${times} ${deed}`);
    assertEquals(judged(deed, times, { useful: true }), expected, `${times} ${deed}, useful`);
  }
  const scores = new Scores();
  scores.note("bob", "broken", 0);
  assertAlmostEquals(scores.score("bob", 0), -0.05);
});

Deno.test("Scores never graylists for what may have happened to an innocent peer", () => {
  for (const graylist of [-100, -6]) {
    const scores = new Scores({ graylist });
    for (let i = 0; i < 20; i++) scores.joined(`neighbour ${i}`, "192.0.2.1");
    scores.joined("bob", "192.0.2.7");
    scores.note("bob", "rejected", 0, 1e6);
    scores.note("bob", "broken", 0, 1e6);
    assertEquals(verdict(scores, "bob", 0), "unwelcome");
    scores.note("bob", "invalid", 0);
    assertEquals(verdict(scores, "bob", 0), "graylisted", "it does not protect the guilty");
  }
});

Deno.test("Scores halves what was noted with each half-life, and so lets everybody recover", () => {
  const scores = new Scores({ halfLifeMs: 1_000 });
  scores.note("bob", "invalid", 5_000, 3);
  const before = scores.score("bob", 5_000);
  assertEquals(before, -216);
  assertAlmostEquals(scores.score("bob", 6_000), before / 4);
  assertAlmostEquals(scores.score("bob", 7_000), before / 16);
  assertEquals(scores.score("bob", 4_000), before, "time that runs back changes nothing");
  scores.note("bob", "useful", 6_000, 0);
  assertAlmostEquals(scores.score("bob", 7_000), before / 16); // however often one looks
  scores.note("worst", "invalid", 0, Infinity);
  scores.note("worst", "flooding", 0, Infinity);
  assertEquals(verdict(scores, "worst", 3_000), "graylisted");
  assertEquals(verdict(scores, "worst", 10_000), "welcome");
});

Deno.test("Scores remembers who left, and forgets those first who are nearest to a newcomer", () => {
  const scores = new Scores();
  scores.joined("bad", "192.0.2.1");
  scores.note("bad", "invalid", 0, 3);
  scores.left("bad");
  scores.note("good", "useful", 0, 100);
  for (let i = 0; i < MAX_SCORED + 100; i++) scores.note(`sybil ${i}`, "broken", 0, 1 + i % 2);
  assertEquals(scores.size, MAX_SCORED);
  assertEquals([scores.score("bad", 0), scores.score("good", 0)], [-216, 4]);
  assertEquals(scores.score("sybil 0", 0), 0, "forgotten");
  for (let i = 0; i < MAX_SCORED + 100; i++) scores.note(`liar ${i}`, "invalid", 0);
  assertEquals([scores.size, scores.score("bad", 0)], [MAX_SCORED, -216]);
});

Deno.test("Scores.worst names the lowest score, of equals the first, and nobody among none", () => {
  const scores = new Scores();
  scores.note("broken", "broken", 0, 3);
  scores.note("invalid", "invalid", 0);
  scores.note("useful", "useful", 0);
  assertEquals(scores.worst(["useful", "broken", "invalid", "new"], 0), "invalid");
  assertEquals(scores.worst(["useful", "broken", "new"], 0), "broken");
  assertEquals(scores.worst(new Set(["useful", "new", "newer"]), 0), "new");
  assertEquals(scores.worst([], 0), undefined);
});

Deno.test("Scores makes those pay who come to a crowded public network, not those who are there", () => {
  const scores = new Scores();
  const peers = ["a", "b", "c", "d", "e"];
  for (const peer of peers) scores.joined(peer, `192.0.2.${peers.indexOf(peer) + 1}`);
  scores.joined("d", "192.0.2.4"); // again, perhaps in another topic
  assertEquals(MAX_PER_NETWORK, 3);
  assertEquals(peers.map((peer) => scores.score(peer, 0)), [0, 0, 0, -2.5, -10]);
  scores.note("e", "useful", 0, 1_000);
  assertEquals(peers.map((peer) => verdict(scores, peer, 0)).lastIndexOf("welcome"), 3);
  scores.left("a");
  scores.left("a"); // harmless
  assertEquals(peers.map((peer) => scores.score(peer, 0)), [0, 0, 0, 0, 4 - 2.5]);
  scores.joined("d", "198.51.100.4"); // moved
  assertEquals(scores.score("e", 0), 4);
});

Deno.test("Scores lets private networks be as crowded as they are", () => {
  for (const network of ["10.1.2.", "192.168.7.", "127.0.0.", "fd00::", "fe80::"]) {
    const scores = new Scores();
    for (let i = 1; i <= 50; i++) scores.joined(`peer ${i}`, `${network}${i}`);
    assertEquals(scores.score("peer 50", 0), 0, network);
  }
});

Deno.test("publicNetworkOf is /24 of IPv4 and /48 of IPv6, however written, and of nothing private", () => {
  const table: [string, string | undefined][] = [
    ["192.0.2.7", "192.0.2.0/24"],
    ["::ffff:192.0.2.7", "192.0.2.0/24"],
    ["2001:db8:1:2::7", "2001:db8:1::/48"],
    ["2001:0DB8:0001:ffff:1:2:3:4", "2001:db8:1::/48"],
    ["2001:db8::7", "2001:db8:0::/48"],
    ["172.15.0.1", "172.15.0.0/24"],
    ["172.32.0.1", "172.32.0.0/24"],
    ["100.63.0.1", "100.63.0.0/24"],
    ["100.128.0.1", "100.128.0.0/24"],
    ["110.0.0.1", "110.0.0.0/24"],
    ["fec0::1", "fec0:0:0::/48"],
    ["fc:1::1", "fc:1:0::/48"],
  ];
  for (const [hostname, network] of table) assertEquals(publicNetworkOf(hostname), network);
  const exempt = "10.0.0.1 172.16.0.1 172.31.9.9 192.168.0.1 169.254.1.1 100.64.0.1 100.127.0.1 " +
    "127.8.0.1 ::ffff:10.0.0.1 ::1 fe80::1%eth0 febf::1 fc00::1 fdff::1 localhost bob.example x:y";
  for (const hostname of exempt.split(" ")) {
    assertEquals(publicNetworkOf(hostname), undefined, hostname);
  }
});

Deno.test("Scores never gives more than 4, and no deed of one moves another", () => {
  const random = seededRandom(11);
  const deeds: Deed[] = ["invalid", "authored", "rejected", "broken", "flooding", "useful"];
  const [scores, alone] = [new Scores(), new Scores()];
  let nowMs = 0;
  for (let i = 0; i < 5_000; i++) {
    nowMs += random() * 500;
    const peer = `peer ${Math.floor(random() * 20)}`;
    const what = deeds[Math.floor(random() * deeds.length)] ?? "useful";
    const count = Math.floor(random() * 3);
    scores.note(peer, what, nowMs, count);
    if (peer === "peer 7") alone.note(peer, what, nowMs, count);
    assert(scores.score(peer, nowMs) <= 4);
    if (what !== "useful" && count > 0) assert(scores.score(peer, nowMs) < 4);
  }
  assertEquals(scores.score("peer 7", nowMs), alone.score("peer 7", nowMs));
});

Deno.test("Scores refuses options and counts out of range", () => {
  for (const halfLifeMs of [0, -1, NaN, Infinity]) {
    assertThrows(() => new Scores({ halfLifeMs }), RangeError, "halfLifeMs");
  }
  for (const unwelcome of [0, NaN, 3, -Infinity]) {
    assertThrows(() => new Scores({ unwelcome }), RangeError, "unwelcome");
  }
  for (const graylist of [-4, 0, NaN, -Infinity]) {
    assertThrows(() => new Scores({ graylist }), RangeError, "graylist");
  }
  const scores = new Scores();
  for (const count of [-1, NaN]) {
    assertThrows(() => scores.note("bob", "useful", 0, count), RangeError, "count");
  }
  assertEquals(scores.size, 0);
});
