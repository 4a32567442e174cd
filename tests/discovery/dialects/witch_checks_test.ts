import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { BroadcastLan } from "../../../src/discovery/dialects/broadcasts_lan.ts";
import {
  type AskStatus,
  MAX_WITCH_CHECKS,
  WitchChecks,
} from "../../../src/discovery/dialects/witch_checks.ts";
import { CountingClock } from "../../endpoint/fixture.ts";
import { BroadcastTown } from "./broadcasts_fixture.ts";

const BOB = { hostname: "bob", port: 8888 };

Deno.test("WitchChecks tells that a server is up, and not that it is not", async () => {
  await using town = new BroadcastTown();
  const up: string[] = [];
  const checks = open(town, ({ hostname }) => {
    if (hostname === "broken") throw new Error("\u001b broken");
    return Promise.resolve(hostname === "bob");
  });
  for (const hostname of ["bob", "liar", "broken"]) {
    checks.begin({ hostname, port: 1 }, () => up.push(hostname));
  }
  await town.clock.advance(0);
  assertEquals(up, ["bob"]);
  assertEquals([town.count("witch-asked"), town.count("witch-down")], [3, 2]);
});

Deno.test("WitchChecks asks an address once in 30 s", async () => {
  await using town = new BroadcastTown();
  let asked = 0;
  const checks = open(town, () => Promise.resolve(++asked > 0));
  for (let s = 0; s < 60; s++) {
    checks.begin(BOB, () => {});
    await town.clock.advance(1_000);
  }
  assertEquals(asked, 2);
  assertEquals(town.count("witch-rate"), 0);
});

Deno.test("WitchChecks asks no more than 16 at once", async () => {
  await using town = new BroadcastTown();
  const asked: string[] = [];
  const checks = open(town, ({ hostname }) => {
    asked.push(hostname);
    return new Promise(() => {});
  });
  for (let i = 0; i < 100; i++) checks.begin({ hostname: `host${i}`, port: 1 }, () => {});
  assertEquals(asked.length, MAX_WITCH_CHECKS);
  await town.clock.advance(3_000); // all of them take too long
  assertEquals(town.count("witch-down"), MAX_WITCH_CHECKS);
  assertStringIncludes(String(town.log.lines[0]?.fields.why), "no answer in 3000 ms");
  for (let i = 0; i < 100; i++) checks.begin({ hostname: `host${i}`, port: 1 }, () => {});
  // Who found no room was not counted as asked, and those who were are left alone.
  assertEquals(
    asked.slice(MAX_WITCH_CHECKS),
    Array.from({ length: 16 }, (_, i) => `host${16 + i}`),
  );
});

Deno.test("WitchChecks does not scan a host's ports for who forges announcements", async () => {
  await using town = new BroadcastTown();
  let asked = 0;
  const checks = open(town, () => Promise.resolve(++asked < 0));
  for (let port = 1; port <= 1_000; port++) {
    checks.begin({ hostname: "victim", port }, () => {});
    await town.clock.advance(10);
  }
  assertEquals(asked, 16 + 4); // the burst, and one in two seconds of ten
  assertEquals(town.count("witch-rate"), 1_000 - asked);
});

Deno.test("WitchChecks.close gives up whoever is being asked, and begins nothing more", async () => {
  await using town = new BroadcastTown();
  const clock = new CountingClock();
  const signals: AbortSignal[] = [];
  const checks = new WitchChecks(new BroadcastLan("witch", { ...town.on("home"), clock }), (
    _address,
    { signal },
  ) => {
    signals.push(signal);
    return new Promise(() => {});
  });
  checks.begin(BOB, () => {});
  await Promise.all([checks.close(), checks.close()]);
  checks.begin({ ...BOB, port: 1 }, () => {});
  assertEquals([signals.length, clock.timers, town.count("witch-down")], [1, 0, 0]);
  assert(signals[0]?.aborted);
});

function open(town: BroadcastTown, ask: AskStatus): WitchChecks {
  return new WitchChecks(new BroadcastLan("witch", town.on("home")), ask);
}
