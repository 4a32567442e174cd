import { assert, assertEquals } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import { Announcer } from "../../src/discovery/announcer.ts";
import { INSTANCE_MS, RotatingInstance } from "../../src/discovery/instance.ts";
import { parseAnswer, type Question } from "../../src/discovery/packets.ts";
import { Metrics } from "../../src/metrics.ts";
import { Identity } from "../../src/secure/identity.ts";
import type { Address } from "../../src/transport/mod.ts";

const QUESTION: Question = { id: 7, from: new Uint8Array(8), via: "multicast4" };
const CAROL: Address = { hostname: "192.0.2.3", port: 4000 };

function open() {
  const [clock, metrics] = [new ManualClock(), new Metrics()];
  const identity = Identity.generate();
  const instance = new RotatingInstance(clock);
  const announce = { identity, name: "bob", tcpPort: 3485 };
  const announcer = new Announcer({ announce, instance, clock, metrics });
  const answer = (from: Address = CAROL) => {
    const packet = announcer.answer(QUESTION, from);
    return packet && parseAnswer(packet, 7);
  };
  return { clock, metrics, identity, instance, announcer, answer };
}

Deno.test("Announcer signs what it answers, for two minutes", () => {
  const { answer, identity, instance, metrics } = open();
  assertEquals(answer(), {
    id: 7,
    peerId: identity.peerId,
    instance: instance.now().id.toHex(),
    seq: 0,
    validMs: 120_000,
    name: "bob",
    tcpPort: 3485,
    via: "multicast4",
  });
  assertEquals(metrics.snapshot(), { "discovery.answers": 1 });
});

Deno.test("Announcer counts its answers up every second, and anew when its instance id changes", async () => {
  const { answer, clock } = open();
  const seen: [number, string][] = [];
  for (const ms of [0, 999, 1, 60_000, INSTANCE_MS - 61_000]) {
    await clock.advance(ms);
    const { seq = NaN, instance = "" } = answer() ?? {};
    seen.push([seq, instance]);
  }
  assertEquals(seen.map(([seq]) => seq), [0, 0, 1, 61, 0]);
  assertEquals(new Set(seen.map(([, instance]) => instance)).size, 2);
});

Deno.test("Announcer answers neither itself nor what it asked just before", async () => {
  const { announcer, instance, clock, metrics } = open();
  const from = instance.now().id;
  assertEquals(announcer.answer({ ...QUESTION, from }, CAROL), undefined);
  await clock.advance(INSTANCE_MS);
  const later = instance.now().id;
  assertEquals(announcer.answer({ ...QUESTION, from }, CAROL), undefined);
  assertEquals(announcer.answer({ ...QUESTION, from: later }, CAROL), undefined);
  assertEquals(metrics.snapshot(), {});
});

Deno.test("Announcer answers an address 64 times at once and 20 times a second, whatever its port", async () => {
  const { answer, clock, metrics } = open();
  const flood = (hostname: string) => {
    let answers = 0;
    for (let port = 1; port <= 500; port++) {
      answers += Number(answer({ hostname, port }) !== undefined);
    }
    return answers;
  };
  assertEquals(flood("192.0.2.3"), 64);
  assertEquals(flood("192.0.2.4"), 64);
  await clock.advance(1_000);
  assertEquals(flood("192.0.2.3"), 20);
  assertEquals(metrics.snapshot(), { "discovery.answers": 148, "discovery.rate": 1352 });
});

Deno.test("Announcer answers 4,000 times at once and 2,000 times a second, however many addresses ask", async () => {
  const { answer, clock, metrics } = open();
  const flood = () => {
    let answers = 0;
    for (let n = 0; n < 5_000; n++) {
      answers += Number(answer({ hostname: `10.0.${n >> 8}.${n & 255}`, port: 9 }) !== undefined);
    }
    return answers;
  };
  assertEquals(flood(), 4_000);
  assertEquals(flood(), 0);
  await clock.advance(1_000);
  assertEquals(flood(), 2_000);
  await clock.advance(60_000);
  assertEquals(flood(), 4_000);
  assertEquals(metrics.snapshot(), { "discovery.answers": 10_000, "discovery.rate": 10_000 });
});

Deno.test("Announcer takes the ports of this machine for different programs", () => {
  const { answer } = open();
  for (let n = 0; n < 64; n++) assert(answer({ hostname: "127.0.0.1", port: 1 }) !== undefined);
  assertEquals(answer({ hostname: "127.0.0.1", port: 1 }), undefined);
  assert(answer({ hostname: "127.0.0.1", port: 2 }) !== undefined);
});
