import { assert, assertEquals } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import type { Answer } from "../../src/discovery/packets.ts";
import { type FoundPeer, type Proven, Search } from "../../src/discovery/search.ts";

const BOB = { peerId: "0b".repeat(20), name: "bob", tcpPort: 3485 };

/** An answer of bob's that reached us in a way, under an instance id. */
function answerOf(changes: Partial<Answer> = {}): Answer {
  return { ...BOB, id: 7, instance: "i1", seq: 0, validMs: 120_000, via: "multicast4", ...changes };
}

Deno.test("Search ids are numbers that nobody guesses", () => {
  const clock = new ManualClock();
  const ids = new Set(Array.from({ length: 1_000 }, () => new Search(clock).id));
  assertEquals(ids.size, 1_000);
  assert([...ids].every((id) => Number.isSafeInteger(id) && id >= 0 && id < 2 ** 48));
});

Deno.test("Search makes one peer of all answers of an instance, and gives it again when it grows", async () => {
  const search = new Search(new ManualClock());
  const results = search.results();
  search.add(answerOf(), "10.0.0.2");
  assertEquals((await results.next()).value, {
    ...BOB,
    addresses: [{ hostname: "10.0.0.2", port: 3485 }],
    via: ["multicast4"],
    isProven: false,
  });
  const more = results.next();
  search.add(answerOf(), "10.0.0.2"); // nothing new
  search.add(answerOf({ via: "broadcast" }), "10.0.0.2");
  assertEquals(viaOf(await more), ["broadcast", "multicast4"]);
  search.add(answerOf({ via: "multicast6" }), "fe80::2%eth0");
  search.add(answerOf(), "127.0.0.1");
  const { value } = await results.next();
  assertEquals(hostnamesOf(value), ["127.0.0.1", "10.0.0.2", "fe80::2%eth0"]);
  search.stop();
  assertEquals(await results.next(), { done: true, value: undefined });
});

Deno.test("Search gives what was found before it was stopped, and wakes who waits", async () => {
  const search = new Search(new ManualClock());
  const waiting = search.results().next();
  search.stop();
  assertEquals((await waiting).done, true);

  const other = new Search(new ManualClock());
  for (const [at, peerId] of ["a", "b", "c"].entries()) {
    other.add(answerOf({ peerId }), `10.0.0.${at}`);
  }
  other.stop();
  assertEquals((await collect(other)).length, 3);
});

Deno.test("Search knows a peer again that has changed its instance id", async () => {
  const search = new Search(new ManualClock());
  const results = search.results();
  search.add(answerOf({ seq: 599 }), "10.0.0.2");
  search.add(answerOf({ seq: 599 }), "10.0.0.3");
  assertEquals(hostnamesOf((await results.next()).value), ["10.0.0.2", "10.0.0.3"]);
  const next = results.next();
  assertEquals(search.add(answerOf({ instance: "i2", seq: 0 }), "10.0.0.3"), true);
  assertEquals(search.add(answerOf({ instance: "i2", seq: 0 }), "10.0.0.2"), true);
  assertEquals(search.add(answerOf({ instance: "i1", seq: 599 }), "10.0.0.2"), true); // a late one
  assertEquals(search.add(answerOf({ instance: "i2", seq: 1 }), "10.0.0.2"), true);
  search.add(answerOf({ instance: "i2", seq: 1, via: "broadcast" }), "10.0.0.4");
  const { value } = await next;
  assertEquals(hostnamesOf(value), ["10.0.0.2", "10.0.0.3", "10.0.0.4"]);
  search.stop();
  assertEquals(await collect(search), []);
});

Deno.test("Search makes one peer of all that answer with the same key, best address first", async () => {
  const search = new Search(new ManualClock());
  search.add(answerOf({ tcpPort: 3490 }), "fe80::9%eth0");
  search.add(answerOf({ instance: "i2", name: "laptop", tcpPort: 3486 }), "10.0.0.9");
  search.add(answerOf({ instance: "i3", tcpPort: 3487 }), "10.0.0.2");
  search.add(answerOf({ instance: "i2", tcpPort: 3488 }), "127.0.0.1");
  search.stop();
  const [bob, ...others] = await collect(search);
  assertEquals(others, []);
  const found = ["127.0.0.1", "10.0.0.9", "10.0.0.2", "fe80::9%eth0"];
  assertEquals([hostnamesOf(bob), bob?.tcpPort], [found, 3488]);
});

Deno.test("Search puts what a connection has proven before what is only said, and behind this machine", async () => {
  const search = new Search(new ManualClock());
  search.add(answerOf(), "10.0.0.2");
  search.add(answerOf(), "127.0.0.1");
  search.addProven(provenAt("fe80::2%eth0"));
  search.addProven({ ...provenAt("10.0.0.3"), via: "file" });
  search.stop();
  const [bob] = await collect(search);
  assertEquals(hostnamesOf(bob), ["127.0.0.1", "fe80::2%eth0", "10.0.0.3", "10.0.0.2"]);
  assertEquals(bob?.via, ["file", "multicast4", "static"]);
});

Deno.test("Search gives a peer again when one of its addresses was proven, and not when that is repeated", async () => {
  const search = new Search(new ManualClock());
  const results = search.results();
  for (const hostname of ["10.0.0.2", "10.0.0.3"]) search.add(answerOf(), hostname);
  await results.next();
  search.addProven(provenAt("10.0.0.3"));
  const { value } = await results.next();
  assertEquals([hostnamesOf(value), value?.isProven], [["10.0.0.3", "10.0.0.2"], true]);
  search.addProven(provenAt("10.0.0.3"));
  search.add(answerOf(), "10.0.0.3");
  search.stop();
  assertEquals((await results.next()).done, true);
});

Deno.test("Search forgets an address and the way to it when nobody has confirmed it in time", async () => {
  const clock = new ManualClock();
  const search = new Search(clock);
  const results = search.results();
  search.addProven({ ...provenAt("10.0.0.2"), validMs: 1_000 });
  await results.next();
  await clock.advance(1_000);
  search.add(answerOf(), "10.0.0.3");
  const { value } = await results.next();
  assertEquals([hostnamesOf(value), value?.via], [["10.0.0.3"], ["multicast4"]]);
  assertEquals(value?.isProven, false);
  search.stop();
});

Deno.test("Search keeps a proven address when there are too many that were only said", async () => {
  const search = new Search(new ManualClock());
  for (let n = 0; n < 20; n++) search.add(answerOf(), `10.0.1.${n}`);
  search.addProven(provenAt("10.0.0.2"));
  search.stop();
  const [bob] = await collect(search);
  const said = Array.from({ length: 15 }, (_, n) => `10.0.1.${n}`);
  assertEquals(hostnamesOf(bob), ["10.0.0.2", ...said]);
});

Deno.test("Search takes nothing for a peer's that another key has signed under its instance id", async () => {
  const search = new Search(new ManualClock());
  const mallory = answerOf({ peerId: "66".repeat(20), seq: 999, name: "mallory" });
  search.add(answerOf(), "10.0.0.2");
  search.add(mallory, "10.0.0.2");
  assertEquals(search.add(answerOf({ seq: 1 }), "10.0.0.2"), true);
  search.add(mallory, "10.0.0.66");
  search.stop();
  const found = await collect(search);
  assertEquals(found.map(({ name, addresses }) => [name, addresses.length]), [["bob", 1], [
    "mallory",
    2,
  ]]);
});

Deno.test("Search refuses an answer that is older than what it knows", () => {
  const search = new Search(new ManualClock());
  assertEquals(search.add(answerOf({ seq: 5 }), "10.0.0.2"), true);
  assertEquals(search.add(answerOf({ seq: 4 }), "10.0.0.2"), false);
  assertEquals(search.add(answerOf({ seq: 5 }), "10.0.0.3"), true); // to another question at the same time
  assertEquals(search.add(answerOf({ seq: 6 }), "10.0.0.2"), true);
  assertEquals(search.add(answerOf({ seq: 5 }), "10.0.0.2"), false);
});

Deno.test("Search believes an answer as long as it may, and no longer for being played again", async () => {
  const clock = new ManualClock();
  const search = new Search(clock);
  const results = search.results();
  search.add(answerOf({ seq: 5 }), "10.0.0.2");
  await results.next();
  await clock.advance(119_999);
  assertEquals(search.add(answerOf({ seq: 5 }), "10.0.0.2"), true);
  await clock.advance(1);
  assertEquals(search.add(answerOf({ seq: 5 }), "10.0.0.2"), false);
  assertEquals(search.add(answerOf({ seq: 5 }), "10.0.0.66"), false);
  // What it says after that is new, and where it was no longer counts.
  assertEquals(search.add(answerOf({ seq: 6, via: "broadcast" }), "10.0.0.3"), true);
  const { value } = await results.next();
  assertEquals(hostnamesOf(value), ["10.0.0.3"]);
  assertEquals(value?.via, ["broadcast"]);
  search.stop();
});

Deno.test("Search remembers no more than it may, whoever answers", async () => {
  const search = new Search(new ManualClock());
  for (let n = 0; n < 5_000; n++) {
    search.add(answerOf({ peerId: `p${n}` }), `10.0.${n >> 8}.${n & 255}`);
  }
  for (let n = 0; n < 500; n++) {
    search.add(answerOf({ peerId: "p0", instance: `i${n}` }), `10.1.1.${n}`);
  }
  search.stop();
  const found = await collect(search);
  assertEquals(found.length, 4_096);
  assertEquals(found[0]?.addresses.length, 16);
});

Deno.test("Search forgets what may not be believed any more when it needs the room", async () => {
  const clock = new ManualClock();
  const search = new Search(clock);
  const peers = (count: number, name: string) => {
    for (let n = 0; n < count; n++) {
      search.add(answerOf({ peerId: `${name}${n}`, instance: `i${n}`, name }), "10.0.0.2");
    }
  };
  peers(4_095, "short");
  await clock.advance(60_000);
  peers(1, "long");
  await clock.advance(60_000);
  peers(10, "new");
  search.stop();
  const found = await collect(search);
  assertEquals(found.filter(({ name }) => name === "new").length, 10);
});

function provenAt(hostname: string): Proven {
  const { peerId, name, tcpPort: port } = BOB;
  return { peerId, name, address: { hostname, port }, via: "static", validMs: 60_000 };
}

async function collect(search: Search): Promise<FoundPeer[]> {
  const found: FoundPeer[] = [];
  for await (const peer of search.results()) found.push(peer);
  return found;
}

function hostnamesOf(found: FoundPeer | undefined | void): string[] {
  return found ? found.addresses.map(({ hostname }) => hostname) : [];
}

function viaOf(result: IteratorResult<FoundPeer, void>): readonly string[] {
  return result.done ? [] : result.value.via;
}
