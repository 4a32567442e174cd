import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { MemoryStorage } from "../../src/dht/storage.ts";
import { ClosedError, NotFoundError } from "../../src/errors.ts";
import { settle } from "../endpoint/fixture.ts";
import { doorOf, nodeOf, Village } from "./dht_fixture.ts";

Deno.test("Dht.join gets to know others by seeds, at nodes or by peers, and says how many", async () => {
  await using village = new Village();
  const first = await village.open("first");
  assertEquals(await village.run(first.dht.join()), 0);
  const seeded = await village.open("seeded", { seeds: ["first"] });
  assertEquals(await village.run(seeded.dht.join()), 1);
  const told = await village.open("told");
  assertEquals(await village.run(told.dht.join({ nodes: [nodeOf("seeded")] })), 2);
  const led = await village.open("led");
  assertEquals(await village.run(led.dht.join({ peers: [doorOf("told")] })), 3);
  await village.clock.advance(1_000);
  for (const { dht } of village.villagers) assertEquals(dht.stat().nodes, 3);
  assertEquals(await village.run(led.dht.join()), 3);
});

Deno.test("Dht.join is told of nobody who is there, and goes on alone", async () => {
  await using village = new Village();
  const { dht } = await village.open("ann");
  const nowhere = { nodes: [nodeOf("nobody")], peers: [doorOf("nobody")] };
  assertEquals(await village.run(dht.join(nowhere)), 0);
});

Deno.test("Dht asks the members of a group, and finds others by discovery", async () => {
  await using village = new Village();
  const bob = await village.open("bob");
  await village.run(bob.dht.join());
  const ann = await village.open("ann", { known: () => [nodeOf("bob")] });
  assertEquals(await village.run(ann.dht.join()), 1);
  const directory = {
    find: async function* () {
      yield { peerId: bob.peerId, addresses: [doorOf("bob")] };
    },
  };
  const carol = await village.open("carol", { directory });
  assertEquals(await village.run(carol.dht.join()), 2);
});

Deno.test("Dht in mode auto is a client for a minute; then others ask it, and get to know it", async () => {
  await using village = new Village();
  const [ann, bob] = await village.crowd(["ann", "bob"]);
  const dave = await village.open("dave", { mode: "auto", seeds: ["ann"] });
  assertEquals(await village.run(dave.dht.join()), 2);
  await village.clock.advance(55_000);
  assertEquals([dave.dht.mode, dave.dht.stat().mode], ["client", "client"]);
  assertEquals([ann?.dht.stat().nodes, bob?.dht.stat().nodes], [1, 1]);
  assertEquals(dave.endpoint.self.capabilities, []);
  await village.clock.advance(10_000);
  assertEquals([dave.dht.mode, dave.dht.stat().mode], ["server", "server"]);
  assertEquals(dave.endpoint.self.capabilities, ["dht/1"]);
  assertEquals([ann?.dht.stat().nodes, bob?.dht.stat().nodes], [2, 2]);
});

Deno.test("Dht in mode client asks, and is asked by nobody; so is one that cannot be reached", async () => {
  await using village = new Village();
  const [ann] = await village.crowd(["ann", "bob"]);
  const quiet = await village.open("quiet", { mode: "client", seeds: ["ann"] });
  const deaf = await village.open("deaf", { clientOnly: true, seeds: ["ann"] });
  for (const { dht } of [quiet, deaf]) {
    assertEquals(await village.run(dht.join()), 2);
    assertEquals((await village.run(dht.put("tea", "green"))).holders, 2);
    await village.clock.advance(120_000);
    assertEquals(dht.mode, "client");
  }
  assertEquals(ann?.dht.stat().nodes, 1);
  const found = await village.run(deaf.dht.get("tea", { fresh: true }));
  assertEquals([found?.author, found?.others.length], [deaf.peerId, 1]);
});

Deno.test("a client's Dht.put finds nobody, and Dht.get nothing, while there is nobody", async () => {
  await using village = new Village();
  const deaf = await village.open("deaf", { clientOnly: true });
  const error = await village.failure(deaf.dht.put("tea", 1));
  assertInstanceOf(error, NotFoundError);
  assertEquals(error.code, "no-peer");
  assertEquals(await village.run(deaf.dht.get("tea")), undefined);
});

Deno.test("Dht.put of a node that is alone keeps the value for those who come", async () => {
  await using village = new Village();
  const ann = await village.open("ann");
  assertEquals((await village.run(ann.dht.put("milk", "oat"))).holders, 0);
  assertEquals((await village.run(ann.dht.get("milk")))?.value, "oat");
  const bob = await village.open("bob", { seeds: ["ann"] });
  await village.run(bob.dht.join());
  const found = await village.run(bob.dht.get("milk", { author: ann.peerId, own: false }));
  assertEquals(found?.value, "oat");
});

Deno.test("Dht.get finds nothing while there is nobody; later there is", async () => {
  await using village = new Village();
  const ann = await village.open("ann");
  assertEquals(await village.run(ann.dht.get("tea")), undefined);
  assertEquals(await village.run(ann.dht.providers("tea")), []);
  const bob = await village.open("bob", { seeds: ["ann"] });
  await village.run(bob.dht.join());
  await village.clock.advance(1_000);
  assertEquals((await village.run(ann.dht.put("tea", 1))).holders, 1);
});

Deno.test("Dht.close is harmless when closed; whatever is asked for later fails", async () => {
  await using village = new Village();
  const storage = new MemoryStorage();
  const [ann, bob] = await village.crowd(["ann", "bob"]);
  const carol = await village.open("carol", { storage, seeds: ["ann"] });
  await village.run(carol.dht.join());
  await village.run(carol.dht.put("tea", 1));
  await Promise.all([carol.dht.close(), carol.dht.close()]);
  await carol.dht.close();
  const id = "ab".repeat(20);
  const works = [
    () => carol.dht.join(),
    () => carol.dht.put("tea", 1),
    () => carol.dht.store(1),
    () => carol.dht.provide("tea"),
    () => carol.dht.get("tea"),
    () => carol.dht.fetch(id),
    () => carol.dht.providers("tea"),
    () => carol.dht.find(id),
    () => Array.fromAsync(carol.dht.trace("tea")),
  ];
  for (const work of works) assertInstanceOf(await village.failure(work()), ClosedError);
  await carol.dht.flush();
  carol.dht.withdraw("tea");
  assertEquals(carol.endpoint.self.capabilities, []);
  const contacts = storage.loadContacts().map(({ key }) => key).toSorted();
  assertEquals(contacts, [ann?.peerId, bob?.peerId].toSorted());
});

Deno.test("Dht.close ends what is under way, sends what waits, and leaves no timer", async () => {
  await using village = new Village();
  const tuning = { confirms: 1 };
  const [ann, bob, carol] = await village.crowd(["ann", "bob", "carol"], { tuning });
  assert(ann && bob && carol);
  const dave = await village.open("dave", { mode: "auto" });
  const joining = dave.dht.join({ nodes: [nodeOf("nobody"), nodeOf("ann")] });
  joining.catch(() => {}); // it may be done by then
  const { key } = await ann.dht.put("tea", 1);
  await ann.dht.close();
  await settle();
  assertEquals([bob, carol].map(({ storage }) => storage.get(key).length), [1, 1]);
  village.network.partition([["bob"]]);
  const looking = village.failure(bob.dht.get("coffee"));
  await settle();
  for (const { dht } of [bob, carol, dave]) await village.run(dht.close());
  assert(!(await looking instanceof TypeError));
  for (const { endpoint, udp } of village.villagers) {
    await village.run(udp.close());
    await village.run(endpoint.close());
  }
  assertEquals(village.clock.timers, 0);
  assertEquals(village.villagers.flatMap(({ log }) => log.lines.filter(isLoud)), []);
});

Deno.test("Dht joins by itself when it is asked for something", async () => {
  await using village = new Village();
  const [ann] = await village.crowd(["ann", "bob"]);
  assert(ann !== undefined);
  await village.run(ann.dht.put("tea", "green"));
  const carol = await village.open("carol", { seeds: ["bob"] });
  const dave = await village.open("dave", { seeds: ["bob"] });
  assertEquals((await village.run(carol.dht.get("tea")))?.value, "green");
  assertEquals((await village.run(dave.dht.put("coffee", 1))).holders, 3);
});

Deno.test("Dht.close ends what is put, also for who has a signal of its own", async () => {
  await using village = new Village();
  const [ann] = await village.crowd(["ann", "bob", "carol"]);
  assert(ann !== undefined);
  village.network.partition([["bob"]]);
  const { signal } = new AbortController();
  const puts = [{}, { signal }].map((options) => village.failure(ann.dht.put("tea", 1, options)));
  await settle();
  await ann.dht.close();
  for (const error of await Promise.all(puts)) assertEquals(error.name, "AbortError");
  assertEquals(ann.storage.totals().records, 0);
});

function isLoud({ level }: { level: string }): boolean {
  return level === "warn" || level === "error";
}
