import { assert, assertEquals } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import { Seeker, type SeekerParts } from "../../src/membership/seeker.ts";
import type { Address } from "../../src/transport/transport.ts";
import { isSettled, Journal } from "../endpoint/fixture.ts";

interface Found {
  readonly peerId: string;
  readonly addresses: readonly Address[];
}

const SEED: Address = { hostname: "10.0.0.9", port: 1 };

function found(peerId: string, ...ports: number[]): Found {
  return { peerId, addresses: ports.map((port) => ({ hostname: "10.0.0.1", port })) };
}

/** Somebody who seeks, and what became of it. */
class Quest implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly log = new Journal();
  readonly joined: Address[] = [];
  readonly known = new Set<string>();
  readonly #seeker: Seeker;
  /** How many looks there were, and are. */
  readonly looks = { begun: 0, open: 0 };
  alone = true;

  constructor(
    around: readonly Found[] | Error,
    parts: Partial<Pick<SeekerParts, "seeds" | "join">> & { nowhere?: boolean } = {},
  ) {
    const { nowhere = false, ...rest } = parts;
    this.#seeker = new Seeker({
      clock: this.clock,
      log: this.log,
      seeds: [],
      directory: nowhere ? undefined : { find: ({ signal }) => this.#find(around, signal) },
      isKnown: (peerId) => this.known.has(peerId),
      isAlone: () => this.alone,
      join: (address) => {
        this.joined.push(address);
        return Promise.resolve(address.port === 1);
      },
      ...rest,
    });
  }

  get firstLook(): Promise<void> {
    return this.#seeker.firstLook;
  }

  get ports(): number[] {
    return this.joined.map(({ port }) => port);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#seeker.close();
    assertEquals(this.looks.open, 0);
  }

  async *#find(around: readonly Found[] | Error, signal: AbortSignal): AsyncGenerator<Found> {
    this.looks.begun++;
    this.looks.open++;
    try {
      if (around instanceof Error) throw around;
      yield* around;
      const { promise, resolve } = Promise.withResolvers<void>();
      signal.addEventListener("abort", () => resolve(), { once: true });
      if (!signal.aborted) await promise;
    } finally {
      this.looks.open--;
    }
  }
}

Deno.test("Seeker asks every seed and whoever is found, and its first look takes two seconds", async () => {
  await using quest = new Quest([found("b", 1), found("c", 2)], { seeds: [SEED] });
  assertEquals(await isSettled(quest.firstLook), false);
  assertEquals(quest.joined.toSorted((a, b) => a.port - b.port).length, 3);
  await quest.clock.advance(1_999);
  assertEquals(await isSettled(quest.firstLook), false);
  await quest.clock.advance(1);
  await quest.firstLook;
});

Deno.test("Seeker has looked at once where there is nowhere to look", async () => {
  await using quest = new Quest([], { nowhere: true, seeds: [SEED] });
  await quest.firstLook;
  assertEquals(quest.joined, [SEED]);
});

Deno.test("Seeker tries one address of a peer after another until one answers, and leaves members alone", async () => {
  await using quest = new Quest([found("b", 4, 3, 1, 2), found("known", 9)]);
  quest.known.add("known");
  await quest.clock.advance(2_000);
  assertEquals(quest.ports, [4, 3, 1]);
});

Deno.test("Seeker joins at most eight at the same time, however many are around", async () => {
  const many = Array.from({ length: 50 }, (_, n) => found(`peer ${n}`, n));
  const answers = Promise.withResolvers<boolean>();
  let asked = 0;
  const join = () => {
    asked++;
    return answers.promise;
  };
  await using quest = new Quest(many, { join });
  await quest.clock.advance(2_000);
  assertEquals([asked, await isSettled(quest.firstLook)], [8, false]);
  answers.resolve(true);
  await quest.firstLook;
});

Deno.test("Seeker looks again for ever: soon while it is alone, seldom among others", async () => {
  await using quest = new Quest([]);
  await quest.clock.advance(60_000);
  const alone = quest.looks.begun;
  assert(alone >= 5 && alone <= 8, `${alone} looks in a minute`);
  quest.alone = false;
  await quest.clock.advance(13_000 + 2_000); // one that was due
  const before = quest.looks.begun;
  await quest.clock.advance(10 * 60_000);
  const later = quest.looks.begun - before;
  assert(later >= 7 && later <= 13, `${later} looks in ten minutes`);
});

Deno.test("Seeker says when it could not look, and looks again", async () => {
  await using quest = new Quest(new Error("no network"));
  await quest.firstLook;
  const lines = quest.log.lines.map(({ level, message, fields }) => [level, message, fields.why]);
  assertEquals(lines, [["warn", "could not look for members", "Error: no network"]]);
  await quest.clock.advance(13_000);
  assertEquals(quest.looks.begun, 2);
});

Deno.test("Seeker.close ends the look that is open, and there is no other", async () => {
  const quest = new Quest([found("b", 2, 1)]);
  await quest[Symbol.asyncDispose]();
  await quest.clock.advance(100_000);
  assertEquals(quest.looks.begun, 1);
  await quest[Symbol.asyncDispose](); // harmless
});

Deno.test("Seeker leaves a peer alone that does not let us in, twice as long each time", async () => {
  await using quest = new Quest([found("bob", 2), found("bob", 2, 3)]);
  await quest.clock.advance(29_999);
  assertEquals(quest.ports, [2]);
  await quest.clock.advance(15_000); // the next look, when the first 30 s are over
  const asked = quest.ports.length;
  assertEquals(quest.ports, [2, 2]);
  await quest.clock.advance(40_000);
  assertEquals(quest.ports.length, asked);
  await quest.clock.advance(40_000);
  assertEquals(quest.ports.length, asked + 1);
});
