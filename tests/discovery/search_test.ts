import { assert, assertEquals } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import { type FoundPeer, Search } from "../../src/discovery/search.ts";

const BOB = { peerId: "0b".repeat(20), name: "bob", tcpPort: 3485 };

Deno.test("Search asks soon and often at first, then every two seconds, until stopped", async () => {
  const clock = new ManualClock();
  await clock.advance(1_000);
  const search = new Search(clock);
  const asked: number[] = [];
  search.repeat(() => asked.push(clock.now() - 1_000));
  await clock.advance(6_000);
  assertEquals(asked, [0, 100, 300, 700, 1_500, 3_500, 5_500]);
  search.stop();
  await clock.advance(60_000);
  assertEquals(asked.length, 7);
});

Deno.test("Search does not ask when it was stopped before it began, or while it asks", async () => {
  const clock = new ManualClock();
  const [before, during] = [new Search(clock), new Search(clock)];
  let asked = 0;
  before.stop();
  before.repeat(() => asked++);
  during.repeat(() => {
    asked++;
    during.stop();
  });
  await clock.advance(60_000);
  assertEquals(asked, 1);
});

Deno.test("Search ids are numbers that nobody guesses", () => {
  const clock = new ManualClock();
  const ids = new Set(Array.from({ length: 1_000 }, () => new Search(clock).id));
  assertEquals(ids.size, 1_000);
  assert([...ids].every((id) => Number.isSafeInteger(id) && id >= 0 && id < 2 ** 48));
});

Deno.test("Search makes one peer of all answers of an instance, and gives it again when it grows", async () => {
  const search = new Search(new ManualClock());
  const results = search.results();
  search.add("i1", BOB, { hostname: "10.0.0.2", port: 3485 }, "multicast4");
  assertEquals((await results.next()).value, {
    ...BOB,
    addresses: [{ hostname: "10.0.0.2", port: 3485 }],
    via: ["multicast4"],
  });
  const more = results.next();
  search.add("i1", BOB, { hostname: "10.0.0.2", port: 3485 }, "multicast4"); // nothing new
  search.add("i1", BOB, { hostname: "10.0.0.2", port: 3485 }, "broadcast");
  assertEquals(viaOf(await more), ["broadcast", "multicast4"]);
  search.add("i1", BOB, { hostname: "fe80::2%eth0", port: 3485 }, "multicast6");
  search.add("i1", BOB, { hostname: "127.0.0.1", port: 3485 }, "multicast4");
  const { value } = await results.next();
  const hostnames = value ? value.addresses.map(({ hostname }) => hostname) : [];
  assertEquals(hostnames, ["127.0.0.1", "10.0.0.2", "fe80::2%eth0"]);
  search.stop();
  assertEquals(await results.next(), { done: true, value: undefined });
});

Deno.test("Search gives what was found before it was stopped, and wakes who waits", async () => {
  const search = new Search(new ManualClock());
  const waiting = search.results().next();
  search.stop();
  assertEquals((await waiting).done, true);

  const other = new Search(new ManualClock());
  for (const instance of ["i1", "i2", "i3"]) {
    other.add(instance, BOB, { hostname: "10.0.0.2", port: 1 }, "broadcast");
  }
  other.stop();
  assertEquals((await collect(other)).length, 3);
});

Deno.test("Search remembers no more than it may, whoever answers", async () => {
  const search = new Search(new ManualClock());
  for (let n = 0; n < 5_000; n++) {
    search.add(`i${n}`, BOB, { hostname: "10.0.0.2", port: 1 }, "broadcast");
  }
  for (let n = 0; n < 500; n++) {
    search.add("i0", BOB, { hostname: `10.0.1.${n}`, port: 1 }, "broadcast");
  }
  search.stop();
  const found = await collect(search);
  assertEquals(found.length, 4_096);
  assertEquals(found[0]?.addresses.length, 16);
});

async function collect(search: Search): Promise<FoundPeer[]> {
  const found: FoundPeer[] = [];
  for await (const peer of search.results()) found.push(peer);
  return found;
}

function viaOf(result: IteratorResult<FoundPeer, void>): readonly string[] {
  return result.done ? [] : result.value.via;
}
