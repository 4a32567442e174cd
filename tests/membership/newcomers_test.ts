import { assert, assertEquals } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import type { Told } from "../../src/membership/blame.ts";
import { readClaim } from "../../src/membership/claims.ts";
import { type Arrival, type Newcomer, Newcomers } from "../../src/membership/newcomers.ts";
import { FIRST, Other, type Said } from "./fixture.ts";

const HERE: Arrival = { host: "10.0.0.9", path: "direct", rttMs: 1 };

class Scene {
  readonly clock = new ManualClock();
  readonly asked: Newcomer[] = [];
  readonly dones: ((arrival: Arrival | undefined) => void)[] = [];
  readonly accepted: string[] = [];
  readonly newcomers = new Newcomers({
    clock: this.clock,
    ask: (newcomer, done) => {
      this.asked.push(newcomer);
      this.dones.push(done);
    },
    accept: ({ claim }) => void this.accepted.push(claim.subject),
  });

  /** Tells of somebody over a stream, as itself does unless another one is named. @returns whether it is welcome. */
  offer(one: Other, said: Said = {}, changes: Partial<Told> = {}): boolean {
    const claim = readClaim(one.alive(said));
    assert(claim.kind === "alive");
    const { peerId: by, address: { hostname: host } } = one;
    const told = { by, isProven: true, host, isOld: false, ...changes };
    const isWelcome = this.newcomers.welcomes(claim, told);
    if (isWelcome) this.newcomers.offer(claim, one.alive(said), told);
    return isWelcome;
  }

  /** The hosts that each was asked at. */
  get places(): string[][] {
    return this.asked.map(({ addresses }) => addresses.map(({ hostname }) => hostname));
  }

  /** Nobody who is asked from now on answers; each is waited for that long. */
  async beSilent(ms: number): Promise<void> {
    for (let at = 0; at < this.dones.length;) {
      await this.clock.advance(ms);
      for (const end = this.dones.length; at < end; at++) this.dones[at]?.(undefined);
    }
  }
}

function crowd(count: number, name = "n"): Other[] {
  return Array.from(
    { length: count },
    (_, at) => new Other(`${name}${at}`, `10.1.${at >> 8}.${at & 255}`),
  );
}

Deno.test("Newcomers are accepted when they have answered, and not before", () => {
  const scene = new Scene();
  const ann = new Other("ann", "10.0.0.9");
  scene.offer(ann);
  assertEquals([scene.asked.length, scene.accepted], [1, []]);
  scene.dones[0]?.(HERE);
  assertEquals(scene.accepted, [ann.peerId]);
});

Deno.test("Newcomers are asked where they wrote from, if they did themselves, and where they say", () => {
  const [ann, bob] = [new Other("ann", "10.0.0.9"), new Other("bob", "10.0.0.8")];
  const scene = new Scene();
  scene.offer(ann, { hosts: ["192.0.2.1", "10.0.0.9"] });
  scene.offer(bob, { hosts: ["192.0.2.2"] }, { by: ann.peerId });
  assert(!scene.offer(new Other("dan", "10.0.0.7"), { hosts: [] }, { host: undefined }));
  assertEquals(scene.places, [["10.0.0.9", "192.0.2.1"], ["192.0.2.2"]]);
});

Deno.test("Newcomers that have proven nothing speak for themselves, and are asked where they wrote from only", () => {
  const [ann, bob] = [new Other("ann", "10.0.0.9"), new Other("bob", "10.0.0.8")];
  const scene = new Scene();
  assert(scene.offer(ann, { hosts: ["192.0.2.1"] }, { isProven: false }));
  assert(!scene.offer(bob, {}, { isProven: false, by: ann.peerId }));
  assertEquals(scene.places, [["10.0.0.9"]]);
});

Deno.test("Newcomers are asked at a loopback address by those alone who were told of it over loopback", () => {
  const hosts = ["127.0.0.1", "::1", "10.0.0.8"];
  const bob = () => new Other("bob", "10.0.0.8");
  const cases: readonly [told: Partial<Told>, places: string[][]][] = [
    [{ by: "ann", host: "10.0.0.9" }, [["10.0.0.8"]]],
    [{ by: "ann", host: undefined }, [["10.0.0.8"]]],
    [{ by: "ann", host: "127.0.0.1" }, [hosts]],
    [{ host: "10.0.0.8" }, [["10.0.0.8"]]],
    [{ host: "127.0.0.1" }, [hosts]],
  ];
  for (const [told, places] of cases) {
    const scene = new Scene();
    scene.offer(bob(), { hosts }, told);
    assertEquals(scene.places, places, Deno.inspect(told));
  }
  const scene = new Scene();
  scene.offer(bob(), { hosts: ["127.0.0.1"] }, { by: "ann", host: "10.0.0.9" });
  assertEquals(scene.asked, []);
});

Deno.test("Newcomers that do not answer are left alone for longer and longer, whatever they say", async () => {
  const scene = new Scene();
  const ann = new Other("ann", "10.0.0.9");
  const askedAtS: number[] = [];
  for (let second = 0; second < 3_000; second += 5) {
    if (scene.offer(ann, { incarnation: FIRST + second })) {
      askedAtS.push(second);
      scene.dones.pop()?.(undefined);
    }
    await scene.clock.advance(5_000);
  }
  const pauses = askedAtS.slice(1).map((at, nth) => at - (askedAtS[nth] ?? 0));
  assertEquals([pauses, scene.accepted], [[10, 20, 40, 80, 160, 320, 600, 600, 600], []]);
});

Deno.test("Newcomers that answer are not held to how often they did not before", () => {
  const scene = new Scene();
  const ann = new Other("ann", "10.0.0.9");
  scene.offer(ann);
  scene.offer(ann, { incarnation: FIRST + 1 });
  scene.dones[0]?.(undefined);
  scene.dones[1]?.(HERE);
  assert(scene.offer(ann, { incarnation: FIRST + 2 }));
});

Deno.test("Newcomers that say something new while they are asked are asked again", () => {
  const scene = new Scene();
  const ann = new Other("ann", "10.0.0.9");
  scene.offer(ann);
  assert(!scene.offer(ann));
  scene.offer(ann, { incarnation: FIRST + 1 });
  assertEquals(scene.asked.length, 1);
  scene.dones[0]?.(undefined);
  assertEquals(scene.asked.map(({ claim }) => claim.incarnation), [FIRST, FIRST + 1]);
});

Deno.test("Newcomers: old claims of one, repeated by others, do not keep it out", async () => {
  const scene = new Scene();
  const bob = new Other("bob", "10.0.0.8");
  const old = { incarnation: FIRST - 1, hosts: ["10.0.0.7"] };
  for (let minute = 0; minute < 30; minute++) {
    scene.offer(bob, old, { by: "eve" });
    await scene.beSilent(60_000);
  }
  assert(!scene.offer(bob, old, { by: "eve" }));
  assert(scene.offer(bob));
  assertEquals(scene.places.at(-1), ["10.0.0.8"]);
});

Deno.test("Newcomers that wrote from a host are asked there, however often others named it", () => {
  for (const isProven of [true, false]) {
    const scene = new Scene();
    const bob = new Other("bob", "10.0.0.8");
    for (const one of crowd(60)) scene.offer(one, { hosts: ["10.0.0.8"] }, { by: "eve" });
    assertEquals(scene.asked.length, 24);
    scene.offer(bob, {}, { isProven });
    assertEquals([scene.asked.length, scene.places.at(-1)], [25, ["10.0.0.8"]]);
  }
});

Deno.test("Newcomers: one host is asked for 24 at once and one a second, for strangers as for others", async () => {
  for (const told of [{ by: "eve" }, { isProven: false, host: "10.9.9.9" }]) {
    const scene = new Scene();
    for (let second = 0; second <= 60; second++) {
      for (const one of crowd(10, `s${second} `)) scene.offer(one, { hosts: ["10.9.9.9"] }, told);
      for (const done of scene.dones.splice(0)) done(undefined);
      await scene.clock.advance(1_000);
    }
    assertEquals(scene.asked.length, 24 + 60);
  }
});

Deno.test("Newcomers: 64 are asked at a time, of one teller 4096 wait, and all of those get their turn", () => {
  const scene = new Scene();
  for (const one of crowd(5_000)) scene.offer(one, {}, { by: "ann" });
  assertEquals(scene.asked.length, 64);
  for (let at = 0; at < scene.dones.length; at++) scene.dones[at]?.(HERE);
  assertEquals(scene.accepted.length, 64 + 4_096);
});

Deno.test("Newcomers of one teller do not starve those of another, strangers all being one", () => {
  for (const isProven of [true, false]) {
    const scene = new Scene();
    const many = crowd(500);
    for (const one of many) scene.offer(one, {}, isProven ? { by: "eve" } : { isProven });
    const few = crowd(20, "few ").map((one, at) => new Other(one.peerId, `10.2.0.${at}`));
    for (const one of few) scene.offer(one, {}, { by: "ann" });
    // Those who are asked already, and then one of each.
    for (let at = 0; at < 64 + 2 * few.length; at++) scene.dones[at]?.(HERE);
    assert(few.every(({ peerId }) => scene.accepted.includes(peerId)), `${isProven}`);
  }
});

Deno.test("Newcomers that were forgotten are not accepted any more", () => {
  const scene = new Scene();
  for (const one of crowd(70)) scene.offer(one);
  scene.newcomers.clear();
  for (const done of scene.dones) done(HERE);
  assertEquals([scene.accepted, scene.asked.length], [[], 64]);
});
