import { assert, assertEquals } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import type { Told } from "../../src/membership/book.ts";
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

  /** Tells of somebody, as itself does unless another one is named. */
  offer(one: Other, said: Said = {}, told: Partial<Told> = {}): void {
    const claim = readClaim(one.alive(said));
    assert(claim.kind === "alive");
    if (this.newcomers.has(claim)) return;
    const { hostname: host } = one.address;
    this.newcomers.offer(claim, one.alive(said), { by: one.peerId, host, isOld: false, ...told });
  }
}

function crowd(count: number): Other[] {
  return Array.from(
    { length: count },
    (_, at) => new Other(`n${at}`, `10.1.${at >> 8}.${at & 255}`),
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
  scene.offer(new Other("dan", "10.0.0.7"), { hosts: [] }, { host: undefined });
  const hosts = scene.asked.map(({ addresses }) => addresses.map(({ hostname }) => hostname));
  assertEquals(hosts, [["10.0.0.9", "192.0.2.1"], ["192.0.2.2"]]);
});

Deno.test("Newcomers that do not answer are left alone for a while, and nobody hears of them", async () => {
  const scene = new Scene();
  const ann = new Other("ann", "10.0.0.9");
  scene.offer(ann);
  scene.dones[0]?.(undefined);
  for (let ms = 0; ms < 15_000; ms += 1_000) {
    scene.offer(ann);
    await scene.clock.advance(1_000);
  }
  assertEquals([scene.asked.length, scene.accepted], [1, []]);
  scene.offer(ann);
  assertEquals(scene.asked.length, 2);
});

Deno.test("Newcomers that say something new while they are asked are asked again", () => {
  const scene = new Scene();
  const ann = new Other("ann", "10.0.0.9");
  scene.offer(ann);
  scene.offer(ann);
  scene.offer(ann, { incarnation: FIRST + 1 });
  assertEquals(scene.asked.length, 1);
  scene.dones[0]?.(undefined);
  assertEquals(scene.asked.map(({ claim }) => claim.incarnation), [FIRST, FIRST + 1]);
});

Deno.test("Newcomers: 64 are asked at a time, 4096 wait, and all get their turn", () => {
  const scene = new Scene();
  const all = crowd(5_000);
  for (const one of all) scene.offer(one);
  assertEquals(scene.asked.length, 64);
  for (let at = 0; at < scene.dones.length; at++) scene.dones[at]?.(HERE);
  assertEquals(scene.accepted.length, 64 + 4_096);
});

Deno.test("Newcomers that were forgotten are not accepted any more", () => {
  const scene = new Scene();
  for (const one of crowd(70)) scene.offer(one);
  scene.newcomers.clear();
  for (const done of scene.dones) done(HERE);
  assertEquals([scene.accepted, scene.asked.length], [[], 64]);
});
