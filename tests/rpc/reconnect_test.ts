import { assert, assertEquals } from "@std/assert";
import { seededRandom } from "../../src/clock.ts";
import {
  AuthError,
  ClosedError,
  HandshakeError,
  LimitError,
  RemoteError,
  TimeoutError,
  TransportError,
} from "../../src/errors.ts";
import { isRefusal, MAX_RECONNECT_DELAY_MS, reconnectDelayMs } from "../../src/rpc/reconnect.ts";
import { worstSecond } from "./storm.ts";

/** When each of a crowd connects, in milliseconds after the server is back: at its first attempt from then on. */
function arrivals(clients: number, outageMs: number, moments: () => Generator<number>): number[] {
  return Array.from({ length: clients }, () => {
    for (const moment of moments()) if (moment >= outageMs) return moment - outageMs;
    throw new Error("It gave up");
  });
}

/** The moments of a client's attempts, by the law under test. */
function* attempts(random: () => number, maxAttempts = Infinity): Generator<number> {
  const phase = random();
  let atMs = 0;
  for (let attempt = 1; attempt <= maxAttempts; attempt++) {
    yield atMs += reconnectDelayMs(attempt, phase);
  }
}

Deno.test("reconnectDelayMs doubles, and makes each attempt somewhere in an interval of its own", () => {
  const random = seededRandom(1);
  for (let run = 0; run < 1_000; run++) {
    const [first = -1, second = -1, third = -1] = [...attempts(random, 3)];
    assert(first >= 0 && first < 1_000, `first at ${first}`);
    assert(second >= 1_000 && second < 3_000, `second at ${second}`);
    assert(third >= 3_000 && third < 7_000, `third at ${third}`);
  }
});

Deno.test("reconnectDelayMs begins with the delay asked for and never exceeds the longest", () => {
  const delays = (phase: number) =>
    [1, 2, 3, 10, 2_000].map((attempt) => {
      return reconnectDelayMs(attempt, phase, { delayMs: 200, maxDelayMs: 5_000 });
    });
  assertEquals(delays(0), [0, 200, 400, 5_000, 5_000]);
  assertEquals(delays(0.999).map((ms) => ms < 5_000), [true, true, true, false, false]);
  assertEquals(reconnectDelayMs(100, 0.5), MAX_RECONNECT_DELAY_MS);
});

Deno.test("reconnectDelayMs spreads 200 clients with the default attempts, for every outage they survive", () => {
  for (let seed = 1; seed <= 20; seed++) {
    for (const outageMs of [0, 300, 800, 1_000, 1_700, 2_500, 3_000]) {
      const random = seededRandom(seed * 1_000 + outageMs);
      const times = arrivals(200, outageMs, () => attempts(random, 3));
      const { ratio } = worstSecond(times);
      assert(ratio < 1.8, `seed ${seed}, outage ${outageMs} ms: ${ratio.toFixed(2)} x the mean`);
    }
  }
});

Deno.test("reconnectDelayMs spreads a crowd the same way whatever the outage, as 1/t says", () => {
  const random = seededRandom(7);
  for (const outageMs of [3_000, 5_500, 8_000, 14_000, 25_000, 300_000]) {
    const { ratio } = worstSecond(arrivals(20_000, outageMs, () => attempts(random)));
    assert(ratio < 1.7, `outage ${outageMs} ms: ${ratio.toFixed(2)} x the mean`);
  }
});

Deno.test("reconnectDelayMs does better than a draw for each delay", () => {
  function* usual(random: () => number): Generator<number> {
    let atMs = 0;
    for (let limitMs = 1_000;; limitMs = Math.min(2 * limitMs, 30_000)) {
      yield atMs += random() * limitMs;
    }
  }
  const random = seededRandom(7);
  const { ratio } = worstSecond(arrivals(20_000, 3_000, () => usual(random)));
  assert(ratio > 3, `the usual law has ${ratio.toFixed(2)} x the mean`);
});

Deno.test("isRefusal tells who does not want us from who is not there", () => {
  const refusals = [
    new HandshakeError("denied", "no"),
    new HandshakeError("incompatible", "no"),
    new AuthError("not-authenticated", "no"),
    new LimitError("limit", "full"),
    new RemoteError("not-allowed", "no"),
  ];
  const others = [
    new HandshakeError("bad-channel", "it closed in between"),
    new TransportError("nobody"),
    new TimeoutError("late"),
    new ClosedError("gone"),
    new RemoteError("internal", "oops"),
    new LimitError("slow-consumer", "we were cut off"),
    new Error("denied"),
    "denied",
  ];
  assertEquals(refusals.map(isRefusal), refusals.map(() => true));
  assertEquals(others.map(isRefusal), others.map(() => false));
});
