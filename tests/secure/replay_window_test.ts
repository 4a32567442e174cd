import { assert, assertEquals } from "@std/assert";
import { seededRandom } from "../../src/clock.ts";
import { REPLAY_WINDOW, ReplayWindow } from "../../src/secure/replay_window.ts";

/** What the window is meant to do, without any cleverness. */
class PlainWindow {
  readonly #taken = new Set<bigint>();
  readonly #floor: bigint;

  constructor(floor: bigint) {
    this.#floor = floor;
  }

  take(counter: bigint): boolean {
    const newer = [...this.#taken].filter((taken) => taken > counter).length;
    const isNew = counter > this.#floor && !this.#taken.has(counter) && newer < REPLAY_WINDOW;
    if (isNew) this.#taken.add(counter);
    return isNew;
  }
}

Deno.test("ReplayWindow takes each counter once, whatever the order, as a plain set would", () => {
  const random = seededRandom(11);
  const below = (bound: number) => Math.floor(random() * bound);
  let taken = 0;
  let refused = 0;
  for (let round = 0; round < 60; round++) {
    const floor = BigInt(below(3)) * 1_000_000n;
    const window = new ReplayWindow(floor);
    const plain = new PlainWindow(floor);
    const gap = 2 ** below(30);
    const disorder = 1 + below(round % 3 === 0 ? 4 : 300);
    for (let i = 0; i < 400; i++) {
      const counter = BigInt(Math.max(0, i - below(disorder))) * BigInt(gap) + BigInt(below(2));
      const expected = plain.take(counter);
      assertEquals(window.fits(counter), expected);
      assertEquals(window.take(counter), expected, `round ${round}, counter ${counter}`);
      if (expected) taken++;
      else refused++;
    }
  }
  assert(taken > 5_000 && refused > 2_000, `${taken} taken, ${refused} refused`);
});

Deno.test("ReplayWindow takes what 63 others overtook, not what 64 did", () => {
  for (const gap of [1n, 1n << 20n]) {
    const window = new ReplayWindow(-1n);
    for (let i = 2n; i <= 64n; i++) assert(window.take(i * gap));
    assert(window.take(gap), "63 overtook it");
    assert(!window.take(gap), "twice");
    assert(!window.take(0n), "64 overtook it");
    assert(window.take(65n * gap));
    assert(!window.take(gap), "it left the window, and stays taken");
    assert(!window.take(2n * gap));
  }
});

Deno.test("ReplayWindow refuses everything up to its floor, and takes the largest counter", () => {
  const window = new ReplayWindow(100n);
  assert(!window.fits(100n));
  assert(!window.fits(0n));
  assert(window.take(101n));
  assert(window.take(2n ** 64n - 1n));
  assert(!window.take(2n ** 64n - 1n));
});

Deno.test("ReplayWindow moves only when it takes", () => {
  const window = new ReplayWindow(0n);
  for (let i = 1n; i <= 64n; i++) window.take(i * 10n);
  assert(window.fits(10_000n)); // a forged packet gets no further than this
  assert(window.take(11n));
});
