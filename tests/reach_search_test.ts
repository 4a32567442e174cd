import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { Discovery } from "../src/discovery/discovery.ts";
import { ClosedError, NotFoundError } from "../src/errors.ts";
import { silentLogger } from "../src/log.ts";
import {
  describeTried,
  fits,
  type Found,
  LATE,
  type LookBeyond,
  notFound,
  ReachSearch,
  throwUnlessLate,
} from "../src/reach_search.ts";
import { Identity } from "../src/secure/identity.ts";
import { Trust } from "../src/secure/trust.ts";
import type { Address } from "../src/transport/mod.ts";
import { CountingClock, isSettled } from "./endpoint/fixture.ts";
import { Town } from "./town.ts";

const ID = "0123456789abcdef0123456789abcdef01234567";
const OTHER = "ff".repeat(20);
const FAR: Address = { hostname: "10.9.9.9", port: 1 };

/** Somebody who looks for peers, and what is asked beyond discovery. */
class Hunt implements AsyncDisposable {
  readonly town = new Town();
  readonly clock = new CountingClock();
  readonly trust = new Trust({ home: undefined, clock: this.clock, log: silentLogger });
  readonly asked: [target: string, gateways: readonly Address[]][] = [];
  /** Fires when what is asked for beyond is not wanted any more. */
  signal: AbortSignal | undefined;
  readonly #stack = new AsyncDisposableStack();
  readonly #given = new AbortController();
  #search: ReachSearch | undefined;

  /** @param answer What they know beyond. */
  static async begin(answer?: LookBeyond): Promise<Hunt> {
    const hunt = new Hunt();
    const { clock, trust, town } = hunt;
    const discovery = await Discovery.open({ ...town.options("10.0.0.1"), clock });
    hunt.#stack.use(discovery);
    const search = new ReachSearch({ clock, discovery, trust });
    hunt.#search = search;
    if (answer !== undefined) {
      search.lookBeyond = (target, gateways, signal) => {
        hunt.asked.push([target, gateways]);
        hunt.signal = signal;
        return answer(target, gateways, signal);
      };
    }
    return hunt;
  }

  get search(): ReachSearch {
    assert(this.#search !== undefined);
    return this.#search;
  }

  /** Looks for somebody for as long as the test does not end that. */
  around(target: string): Promise<Found> {
    return this.search.around(target, fits, this.#given.signal);
  }

  beyond(target: string, isMeant = fits): Promise<Found | undefined> {
    return this.search.beyond(target, isMeant, [], this.#given.signal);
  }

  giveUp(reason: unknown = LATE): void {
    this.#given.abort(reason);
  }

  /** Lets somebody be announced nearby. */
  async near(host: string, name: string): Promise<string> {
    const identity = Identity.generate();
    const announce = { identity, name, tcpPort: 1 };
    this.#stack.use(await Discovery.open({ ...this.town.options(host), announce }));
    return identity.peerId;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
    await this.town[Symbol.asyncDispose]();
    assertEquals(this.clock.timers, 0, "a timer is left");
  }
}

function at(...peerIds: string[]): () => Promise<Found[]> {
  return () => Promise.resolve(peerIds.map((peerId) => ({ peerId, addresses: [FAR] })));
}

/** The error of what fails. */
async function failure(work: Promise<unknown>): Promise<Error> {
  return await work.then(() => {
    throw new Error("It did not fail");
  }, (error) => error);
}

Deno.test("fits: an id or four digits of one, or the whole name where that is no id", () => {
  const peer = { peerId: ID, name: "bob" };
  for (const target of [ID, ID.toUpperCase(), "0123", "01234567", "bob"]) {
    assert(fits(peer, target));
  }
  for (const target of ["", "012", "1234", "Bob", "bo", `${ID}0`, OTHER]) {
    assert(!fits(peer, target), target);
  }
  // Nobody is called what could be another's id; shorter words may be.
  assert(!fits({ peerId: ID, name: OTHER }, OTHER));
  assert(!fits({ peerId: ID, name: "deadbeef" }, "deadbeef"));
  assert(fits({ peerId: ID, name: "beef" }, "beef"));
  assert(!fits({ peerId: ID, name: "" }, ""));
});

Deno.test("ReachSearch has a peer of a whole id from beyond at once, where discovery finds nobody", async () => {
  await using hunt = await Hunt.begin(at(ID));
  await hunt.near("10.0.0.2", "somebody else");
  assertEquals(await hunt.around(ID), { peerId: ID, addresses: [FAR], isFar: true });
  assertEquals(hunt.asked, [[ID, []]]);
  assertEquals(hunt.signal?.aborted, true);
});

Deno.test("ReachSearch has a peer that is near though they know nothing of it beyond, or say nothing", async () => {
  const silent: LookBeyond = (_target, _gateways, signal) => {
    const { promise, reject } = Promise.withResolvers<never>();
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    return promise;
  };
  for (const answer of [undefined, at(), silent]) {
    await using hunt = await Hunt.begin(answer);
    const peerId = await hunt.near("10.0.0.2", "bob");
    const found = await hunt.around(peerId);
    assertEquals([found.peerId, found.isFar], [peerId, undefined]);
    if (answer !== undefined) assertEquals(hunt.signal?.aborted, true);
  }
});

Deno.test("ReachSearch waits a second for somebody near who has a name, before it goes beyond", async () => {
  await using hunt = await Hunt.begin(at(ID));
  const looking = hunt.around("lamp");
  await hunt.clock.advance(999);
  assertEquals(await isSettled(looking), false);
  await hunt.clock.advance(1);
  assertEquals(await looking, { peerId: ID, addresses: [FAR], isFar: true });
});

Deno.test("ReachSearch prefers who is near and has a name, also one that comes within the second", async () => {
  for (const afterMs of [0, 700]) {
    await using hunt = await Hunt.begin(at(ID));
    const early = afterMs === 0 ? await hunt.near("10.0.0.2", "lamp") : undefined;
    const looking = hunt.around("lamp");
    await hunt.clock.advance(afterMs);
    const late = early === undefined ? await hunt.near("10.0.0.2", "lamp") : undefined;
    await hunt.clock.advance(999 - afterMs);
    assertEquals((await looking).peerId, early ?? late);
  }
});

Deno.test("ReachSearch goes by nobody of several who provide a name, unless one is known by it", async () => {
  await using hunt = await Hunt.begin(at(ID, OTHER));
  const looking = hunt.around("lamp");
  await hunt.clock.advance(5_000);
  assertEquals(await isSettled(looking), false);
  hunt.giveUp();
  const error = await failure(looking);
  assertInstanceOf(error, NotFoundError);
  assertEquals(error.code, "no-peer");
  await using other = await Hunt.begin(at(ID, OTHER));
  const found = await other.beyond("lamp", ({ peerId }) => peerId === OTHER);
  assertEquals(found?.peerId, OTHER);
  assertEquals(await other.beyond("lamp", () => false), undefined);
});

Deno.test("ReachSearch goes beyond for nobody who is not meant, or has no address", async () => {
  const nowhere = () => Promise.resolve([{ peerId: ID, addresses: [] }]);
  for (const answer of [at(), at(OTHER), nowhere]) {
    await using hunt = await Hunt.begin(answer);
    assertEquals(await hunt.beyond(ID), undefined);
  }
  // Who is near is found all the same.
  await using hunt = await Hunt.begin((target) => {
    return Promise.resolve([{ peerId: target, addresses: [] }]);
  });
  const peerId = await hunt.near("10.0.0.2", "bob");
  assertEquals((await hunt.around(peerId)).addresses.length, 1);
});

Deno.test("ReachSearch.beyond passes gateways on, and takes a failure for nothing found", async () => {
  const closed = new ClosedError("The DHT of this peer is closed");
  await using hunt = await Hunt.begin(() => Promise.reject(closed));
  const { signal } = new AbortController();
  assertEquals(await hunt.search.beyond("lamp", fits, [FAR], signal), undefined);
  assertEquals(hunt.asked, [["lamp", [FAR]]]);
  // But not a mistake of our own.
  await using wrong = await Hunt.begin(() => Promise.reject(new TypeError("a mistake")));
  assertInstanceOf(await failure(wrong.beyond("lamp")), TypeError);
  wrong.giveUp();
  assertEquals(await wrong.beyond("lamp"), undefined);
});

Deno.test("ReachSearch fails with what discovery says when nobody is found, and names others", async () => {
  await using hunt = await Hunt.begin(at());
  await hunt.near("10.0.0.2", "bob");
  const looking = hunt.around("lamp");
  await hunt.clock.advance(3_000);
  hunt.giveUp();
  const error = await failure(looking);
  assertInstanceOf(error, NotFoundError);
  assertEquals(error.details.found, ["bob"]);
  assertStringIncludes(error.message, "these did: bob; tried");
});

Deno.test("ReachSearch fails with the reason of who gives up, also while a name waits its second", async () => {
  const why = new Error("never mind");
  for (const answer of [at(), at(ID)]) {
    await using hunt = await Hunt.begin(answer);
    const looking = hunt.around("lamp");
    await hunt.clock.advance(500);
    hunt.giveUp(why);
    assertEquals(await failure(looking), why);
  }
});

Deno.test("ReachSearch takes a name that two near have for nobody's, and does not go beyond then", async () => {
  await using hunt = await Hunt.begin(at());
  const ids = [await hunt.near("10.0.0.2", "lamp"), await hunt.near("10.0.0.3", "lamp")];
  const looking = failure(hunt.around("lamp"));
  await hunt.clock.advance(200);
  const error = await looking;
  assertStringIncludes(error.message, "is not one peer but 2");
  for (const id of ids) assertStringIncludes(error.message, id);
});

Deno.test("throwUnlessLate tells our own deadline from somebody's signal", () => {
  throwUnlessLate(new AbortController().signal);
  throwUnlessLate(AbortSignal.abort(LATE));
  const why = new Error("never mind");
  let thrown: unknown;
  try {
    throwUnlessLate(AbortSignal.abort(why));
  } catch (error) {
    thrown = error;
  }
  assertEquals(thrown, why);
});

Deno.test("notFound says where was looked, and shows what others say safely", () => {
  const error = notFound("a\u001b[31m", ["here", "there"], ["bob"]);
  assertEquals([error.code, error.details], ["no-peer", {
    tried: ["here", "there"],
    found: ["bob"],
  }]);
  assertStringIncludes(
    error.message,
    "nobody called that answered, these did: bob; tried here; there",
  );
  assert(!error.message.includes("\u001b"));
  assertStringIncludes(notFound("x", [], []).message, "there was no way to look");
  const ways = ["a", "b", "c", "d"];
  assertEquals(describeTried(ways.slice(0, 3)), "tried a; b; c");
  assertEquals(describeTried(ways), "tried a; b; c and 1 more way (--log info lists them)");
  const { message, details } = notFound("x", [...ways, "e"], []);
  assertMatch(message, /tried a; b; c and 2 more ways/);
  assertEquals((details.tried as string[]).length, 5);
});
