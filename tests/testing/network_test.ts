import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { InvalidPacketError } from "../../src/errors.ts";
import { type LinkOptions, Simulation, type SimulationOptions } from "../../src/testing/mod.ts";
import { assertNear, type Recorder, spawnRecorder } from "./toys.ts";

function pair(options: Partial<SimulationOptions> = {}): [Simulation, Recorder, Recorder] {
  const simulation = new Simulation({ seed: 5, ...options });
  return [simulation, spawnRecorder(simulation, "a"), spawnRecorder(simulation, "b")];
}

/** What `b` gets of 10,000 packets from `a`, one each millisecond: how late, and in which order. */
function arrivals(link: Partial<LinkOptions>): { sent: number; lateMs: number }[] {
  const [simulation, a, b] = pair({ link });
  using _ = simulation;
  const sentMs: number[] = [];
  const order: number[] = [];
  b.receive = (packet) => order.push(new DataView(packet.buffer, packet.byteOffset).getUint32(0));
  const lateMs: number[] = [];
  for (let sent = 0; sent < 10_000; sent++) {
    const packet = new Uint8Array(4);
    new DataView(packet.buffer).setUint32(0, sent);
    sentMs.push(simulation.nowMs);
    a.host.send(packet, b.host.address);
    simulation.run(1);
    while (lateMs.length < order.length) {
      lateMs.push(simulation.nowMs - (sentMs[order[lateMs.length] ?? 0] ?? 0));
    }
  }
  return lateMs.map((ms, index) => ({ sent: order[index] ?? -1, lateMs: ms }));
}

/** Whether a packet from the first gets to the second. */
function passes(simulation: Simulation, from: Recorder, to: Recorder): boolean {
  const before = to.got.length;
  from.host.send(Uint8Array.of(1), to.host.address);
  simulation.run(10);
  return to.got.length > before;
}

/** The first byte of an answer, and after which time it came. */
type Answer = [byte?: number | undefined, ms?: number];

/** What an `ask` from `a` to `b` brings, and after which time. */
function ask(simulation: Simulation, a: Recorder, to = "b", timeoutMs = 1000): Answer {
  let result: Answer = [];
  const address = { a: "10.0.0.1", b: "10.0.0.2", nobody: "10.9.9.9" }[to] ?? "";
  const startMs = simulation.nowMs;
  a.host.ask(Uint8Array.of(42), { hostname: address, port: 3486 }, { timeoutMs }, (answer) => {
    assertEquals(result, []);
    result = [answer?.[0], simulation.nowMs - startMs];
  });
  simulation.run(timeoutMs + 1);
  return result;
}

Deno.test("Network delivers a copy to the address alone, from the sender's address, after the delay", () => {
  const [simulation, a, b] = pair({ link: { delayMs: 7 } });
  using _ = simulation;
  const packet = Uint8Array.of(1);
  a.host.send(packet, b.host.address);
  packet[0] = 2;
  a.host.send(packet, { ...b.host.address, port: 1 });
  a.host.send(packet, { hostname: "10.9.9.9", port: 3486 });
  simulation.run(100);
  assertEquals(b.got, [{ atMs: 7, byte: 1, from: a.host.address }]);
  assertEquals(simulation.stats("a").packetsLost, 2);
});

Deno.test("Network draws delays evenly from the range", () => {
  const late = arrivals({ delayMs: [10, 30] });
  assertNear(late.length, 9980, 10); // the last ones are still on their way
  const all = late.map(({ lateMs }) => lateMs);
  assert(Math.min(...all) >= 10 && Math.max(...all) <= 31);
  assertNear(all.reduce((sum, ms) => sum + ms, 0) / all.length, 20.5, 0.3); // seen at full milliseconds
});

Deno.test("Network loses, doubles and reorders as many packets as it was told", () => {
  const lost = arrivals({ loss: 0.1 });
  assertNear(lost.length, 9000, 150);
  const doubled = arrivals({ duplication: 0.1 });
  assertNear(doubled.length, 11_000, 150);
  assertEquals(new Set(doubled.map(({ sent }) => sent)).size, 10_000);
  const reordered = arrivals({ reordering: 0.1, reorderMs: 3 });
  const overtaken = reordered.filter(({ sent }, at) => sent < (reordered[at - 1]?.sent ?? 0));
  assert(overtaken.length > 800 && overtaken.length < 1200, `${overtaken.length} overtaken`);
  assertEquals(arrivals({}).map(({ sent }) => sent), Array.from({ length: 10_000 }, (_, n) => n));
});

Deno.test("Network draws for each sender from the seed and its name", () => {
  const lostOf = (seed: number, busy: boolean) => {
    const [simulation, a, b] = pair({ seed, link: { loss: 0.5 } });
    using _ = simulation;
    for (let byte = 0; byte < 64; byte++) {
      a.host.send(Uint8Array.of(byte), b.host.address);
      if (busy) b.host.send(Uint8Array.of(byte), a.host.address);
    }
    simulation.run(10);
    return b.got.map(({ byte }) => byte);
  };
  assertEquals(lostOf(1, false), lostOf(1, true));
  assertNotEquals(lostOf(1, false), lostOf(2, false));
});

Deno.test("Network.setLink changes all links, one pair, or one direction", () => {
  const [simulation, a, b] = pair();
  using _ = simulation;
  const c = spawnRecorder(simulation, "c");
  const both = () => [passes(simulation, a, b), passes(simulation, b, a), passes(simulation, a, c)];
  assertEquals(both(), [true, true, true]);
  simulation.setLink({ loss: 1 }, ["a", "b"], { oneWay: true });
  assertEquals(both(), [false, true, true]);
  simulation.setLink({ loss: 1 }, ["a", "b"]);
  assertEquals(both(), [false, false, true]);
  simulation.setLink({ delayMs: 8 });
  assertEquals(both(), [false, false, true]);
  assertEquals(c.got.at(-1)?.atMs, 118);
  simulation.setLink({ loss: 0 }, ["a", "b"]);
  assertEquals(both(), [true, true, true]);
});

Deno.test("Network.partition keeps groups apart until it heals", () => {
  const [simulation, a, b] = pair();
  using _ = simulation;
  const [c, d] = [spawnRecorder(simulation, "c"), spawnRecorder(simulation, "d")];
  simulation.partition([["a", "b"]]);
  assert(passes(simulation, a, b) && passes(simulation, c, d));
  assert(!passes(simulation, a, c) && !passes(simulation, d, b));
  a.host.send(Uint8Array.of(7), b.host.address); // on its way while the cable is cut
  simulation.partition([["a"], ["b"]]);
  simulation.run(10);
  assertEquals(b.got.length, 1);
  assert(!passes(simulation, a, b) && passes(simulation, c, d));
  a.host.send(Uint8Array.of(8), b.host.address); // while it is cut
  simulation.heal();
  simulation.run(10);
  assertEquals(b.got.length, 1);
  assert(passes(simulation, a, b) && passes(simulation, c, a));
});

Deno.test("Network.blockDatagrams stops datagrams of all or some, and no stream", () => {
  const [simulation, a, b] = pair();
  using _ = simulation;
  const c = spawnRecorder(simulation, "c");
  simulation.blockDatagrams(true);
  assert(!passes(simulation, a, b));
  assertEquals(ask(simulation, a), [42, 2]);
  simulation.blockDatagrams(false);
  simulation.blockDatagrams(true, ["b"]);
  assert(passes(simulation, a, c) && !passes(simulation, b, c) && !passes(simulation, a, b));
});

Deno.test("Network paces what a node sends by its uplink, and drops what waits too long", () => {
  const [simulation, a, b] = pair({ uplinkBytesPerSecond: 10_000, uplinkQueueMs: 250 });
  using _ = simulation;
  const fast = simulation.spawn("fast", (host) => ({ host, receive: () => {} }), {
    uplinkBytesPerSecond: 1e6,
  });
  for (let byte = 0; byte < 5; byte++) {
    a.host.send(new Uint8Array(1000).fill(byte), b.host.address); // 100 ms each
  }
  fast.host.send(new Uint8Array(1000).fill(9), b.host.address);
  simulation.run(1000);
  const got = b.got.map(({ atMs, byte }) => [Math.floor(atMs), byte]);
  assertEquals(got, [[2, 9], [101, 0], [201, 1], [301, 2]]);
  const { packetsOut, bytesOut, packetsLost } = simulation.stats("a");
  assertEquals([packetsOut, bytesOut, packetsLost], [5, 5000, 2]);
});

Deno.test("Network refuses a datagram that is larger than UDP's largest", () => {
  const [simulation, a, b] = pair();
  using _ = simulation;
  a.host.send(new Uint8Array(65_507), b.host.address);
  const send = () => a.host.send(new Uint8Array(65_508), b.host.address);
  assertThrows(send, InvalidPacketError, "length 65508 exceeds 65507");
  simulation.run(10);
  assertEquals([simulation.stats("b").bytesIn, simulation.stats("a").packetsOut], [65_507, 1]);
});

Deno.test("SimHost.ask brings the answer after a round trip, and counts the bytes of streams", () => {
  const [simulation, a] = pair({ link: { delayMs: 15 } });
  using _ = simulation;
  assertEquals(ask(simulation, a), [42, 30]);
  const { asks, asksFailed, streamBytesOut, streamBytesIn, packetsOut } = simulation.totals;
  assertEquals([asks, asksFailed, streamBytesOut, streamBytesIn, packetsOut], [1, 0, 2, 2, 0]);
});

Deno.test("SimHost.ask waits out loss and a short partition", () => {
  const [simulation, a] = pair({ link: { loss: 0.5 } });
  using _ = simulation;
  const results = Array.from({ length: 50 }, () => ask(simulation, a, "b", 60_000));
  assert(results.every(([answer]) => answer === 42));
  assert(results.some(([, ms = 0]) => ms === 202), "one was lost once");
  simulation.setLink({ loss: 0 });
  simulation.partition([["a"], ["b"]]);
  simulation.schedule([{ atMs: simulation.nowMs + 300, kind: "heal" }]);
  assertEquals(ask(simulation, a), [42, 602]); // sent again after 200 and 600 ms
});

Deno.test("SimHost.ask fails after its time when nobody is there", () => {
  const [simulation, a, b] = pair();
  using _ = simulation;
  assertEquals(ask(simulation, a, "nobody"), [undefined, 1000]);
  simulation.partition([["a"], ["b"]]);
  assertEquals(ask(simulation, a), [undefined, 1000]);
  simulation.heal();
  simulation.pause("b", 1500);
  assertEquals(ask(simulation, a), [undefined, 1000]);
  simulation.run(1000);
  assertEquals(ask(simulation, a), [42, 2]);
  b.answer = (body) => {
    simulation.kill("b"); // before the answer has left
    return body;
  };
  assertEquals(ask(simulation, a), [undefined, 1000]);
  assertEquals(ask(simulation, a), [undefined, 1000]);
  assertEquals(simulation.stats("a").asksFailed, 5);
});

Deno.test("SimHost.ask loses what is on its way when the cable is cut, and sends it again", () => {
  const [simulation, a] = pair({ link: { delayMs: 15 } });
  using _ = simulation;
  simulation.schedule([
    { atMs: 5, kind: "partition", groups: [["a"]] },
    { atMs: 50, kind: "heal" },
  ]);
  assertEquals(ask(simulation, a), [42, 245]);
});

Deno.test("SimHost.ask does not get the answer of a life that has ended", () => {
  const [simulation, a, b] = pair();
  using _ = simulation;
  simulation.setLink({ loss: 1 }, ["b", "a"], { oneWay: true });
  simulation.schedule([
    { atMs: 50, kind: "restart", node: "b" },
    { atMs: 51, kind: "link", link: { loss: 0 }, between: ["b", "a"] },
  ]);
  assertEquals(ask(simulation, a), [undefined, 1000]);
  assert(b.host.life === 1 && simulation.running.includes("b"));
});

Deno.test("SimHost.ask fails at once when the other side refuses", () => {
  const [simulation, a, b] = pair();
  using _ = simulation;
  const results: unknown[] = [];
  const port = { ...b.host.address, port: 1 };
  a.host.ask(Uint8Array.of(1), port, { timeoutMs: 1000 }, (answer) => results.push(answer));
  simulation.run(2);
  assertEquals(results, [undefined]);
  simulation.stop("b");
  assertEquals(ask(simulation, a), [undefined, 2]);
  simulation.restart("b");
  assertEquals(ask(simulation, a), [42, 2]);
  simulation.spawn("mute", () => ({ receive: () => {} }));
  a.host.ask(
    Uint8Array.of(1),
    { hostname: "10.0.0.3", port: 3486 },
    { timeoutMs: 1000 },
    (answer) => results.push(answer),
  );
  simulation.run(2);
  assertEquals(results, [undefined, undefined]);
});

Deno.test("SimHost.ask shares the uplink, but is never dropped there", () => {
  const [simulation, a, b] = pair({ uplinkBytesPerSecond: 10_000, uplinkQueueMs: 0 });
  using _ = simulation;
  const answeredMs: number[] = [];
  for (let request = 0; request < 2; request++) {
    const done = () => answeredMs.push(Math.floor(simulation.nowMs));
    a.host.ask(new Uint8Array(1000), b.host.address, { timeoutMs: 5000 }, done);
  }
  simulation.run(5000);
  assertEquals(answeredMs, [202, 302]); // the answers are as long as the requests
});
