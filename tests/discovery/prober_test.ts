import { assert, assertEquals, assertRejects } from "@std/assert";
import { Attempts } from "../../src/discovery/attempts.ts";
import { Prober, type ProvenPeer } from "../../src/discovery/prober.ts";
import { TransportError, UnsupportedError } from "../../src/errors.ts";
import { silentLogger } from "../../src/log.ts";
import { Metrics } from "../../src/metrics.ts";
import type { Address } from "../../src/transport/mod.ts";
import { CountingClock } from "../endpoint/fixture.ts";

const BOB: ProvenPeer = { peerId: "0b".repeat(20), name: "bob" };
const FOREVER = { signal: new AbortController().signal };

/** A prober whose questions are answered when the test says so. */
function scene() {
  const [clock, metrics] = [new CountingClock(), new Metrics()];
  const attempts = new Attempts(silentLogger, metrics);
  const asked: {
    address: Address;
    answer: PromiseWithResolvers<ProvenPeer>;
    signal: AbortSignal;
  }[] = [];
  const probe = (address: Address, { signal }: { signal: AbortSignal }) => {
    const answer = Promise.withResolvers<ProvenPeer>();
    signal.addEventListener("abort", () => answer.reject(signal.reason));
    asked.push({ address, answer, signal });
    return answer.promise;
  };
  const prober = new Prober({ probe, attempts, clock, metrics, log: silentLogger });
  return { prober, clock, metrics, attempts, asked };
}

function at(port: number): Address {
  return { hostname: "192.0.2.1", port };
}

Deno.test("Prober asks an address once in 30 seconds, whoever wants to know", async () => {
  const { prober, clock, asked, metrics } = scene();
  const both = Promise.all([prober.ask(at(1), FOREVER), prober.ask(at(1), FOREVER)]);
  await clock.advance(0);
  asked[0]?.answer.resolve(BOB);
  assertEquals(await both, [BOB, BOB]);
  await clock.advance(29_999);
  assertEquals(await prober.ask(at(1), FOREVER), BOB);
  assertEquals(asked.length, 1);
  await clock.advance(1);
  const again = prober.ask(at(1), FOREVER);
  await clock.advance(0);
  asked[1]?.answer.reject(new TransportError("refused"));
  assertEquals(await again, undefined);
  assertEquals(await prober.ask(at(1), FOREVER), undefined);
  assertEquals([asked.length, clock.timers], [2, 0]);
  assertEquals(metrics.snapshot(), { "discovery.candidates": 2, "discovery.candidates-failed": 1 });
});

Deno.test("Prober asks 16 addresses at a time, and gives each three seconds", async () => {
  const { prober, clock, asked, metrics } = scene();
  const answers = Promise.all(
    Array.from({ length: 40 }, (_, n) => prober.ask(at(n + 1), FOREVER)),
  );
  await clock.advance(2_999);
  assertEquals(asked.length, 16);
  await clock.advance(1);
  assertEquals(asked.length, 32);
  assert(asked.slice(0, 16).every(({ signal }) => signal.aborted));
  asked[20]?.answer.resolve(BOB);
  await clock.advance(0);
  assertEquals(asked.length, 33);
  await clock.advance(6_000);
  const given = await answers;
  assertEquals(given.flatMap((peer, n) => peer === undefined ? [] : [n]), [20]);
  assertEquals(metrics.snapshot(), {
    "discovery.candidates": 40,
    "discovery.candidates-failed": 39,
  });
  assertEquals(clock.timers, 0);
});

Deno.test("Prober lets 64 addresses wait, and others wait for room", async () => {
  const { prober, clock, asked } = scene();

  const end = new AbortController();
  const answers: Promise<unknown>[] = [];
  const ask = () => void answers.push(prober.ask(at(answers.length + 1), end));
  for (let n = 0; n < 16 + 63; n++) ask();
  await clock.advance(0);
  await prober.room(FOREVER);
  ask();
  await clock.advance(0);
  let hasRoom = false;
  const room = prober.room(FOREVER).then(() => hasRoom = true);
  for (let n = 0; n < 20; n++) ask();
  const settled = Promise.allSettled(answers);
  await clock.advance(2_999);
  assertEquals([asked.length, hasRoom], [16, false]);
  await clock.advance(1);
  await room;
  await clock.advance(6_000);
  assertEquals(asked.length, 64);
  end.abort();
  const late = (await settled).filter(({ status }) => status === "rejected");
  assertEquals(late.length, 100 - 48);
  await clock.advance(60_000);
  assertEquals([asked.length, clock.timers], [64, 0]);
});

Deno.test("Prober takes a question back when nobody waits for its answer, and only then", async () => {
  const { prober, clock, asked, metrics } = scene();
  const [first, second] = [new AbortController(), new AbortController()];
  const one = assertRejects(() => prober.ask(at(1), first));
  const two = assertRejects(() => prober.ask(at(1), second));
  await clock.advance(10);
  first.abort();
  await one;
  assertEquals(asked[0]?.signal.aborted, false);
  second.abort();
  await two;
  assertEquals(asked[0]?.signal.aborted, true);
  await prober.idle();
  // It is nobody's fault, and who asks next need not wait.
  assertEquals(metrics.snapshot(), { "discovery.candidates": 1 });
  const again = prober.ask(at(1), FOREVER);
  await clock.advance(0);
  asked[1]?.answer.resolve(BOB);
  assertEquals(await again, BOB);
  await assertRejects(() => prober.ask(at(2), first));
  assertEquals([asked.length, clock.timers], [2, 0]);
});

Deno.test("Prober remembers the permission that is missing", async () => {
  const { prober, clock, asked, attempts } = scene();
  const answer = prober.ask(at(1), FOREVER);
  await clock.advance(0);
  const obstacle = new UnsupportedError("run with --allow-net");
  asked[0]?.answer.reject(obstacle);
  assertEquals([await answer, attempts.obstacle], [undefined, obstacle]);
});

Deno.test("Prober knows the last answers of 4,096 addresses", async () => {
  const { clock, metrics } = scene();
  const attempts = new Attempts(silentLogger, metrics);
  let asked = 0;
  const probe = () => {
    asked++;
    return Promise.resolve(BOB);
  };
  const prober = new Prober({ probe, attempts, clock, metrics, log: silentLogger });
  for (let n = 0; n < 4_097; n++) await prober.ask(at(n + 1), FOREVER);
  await prober.ask(at(2), FOREVER);
  assertEquals(asked, 4_097);
  await prober.ask(at(1), FOREVER);
  assertEquals(asked, 4_098);
});
