import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { AuthError, LimitError, NotFoundError } from "../src/errors.ts";
import type { Peer } from "../src/peer.ts";
import { Identity } from "../src/secure/identity.ts";
import { MAX_RECORDS } from "../src/secure/record_file.ts";
import { settle } from "./endpoint/fixture.ts";
import { ScratchHome } from "./secure/home_fixture.ts";
import { SEARCH_MS, Town } from "./town.ts";

/** What is remembered: whose a name is, and what was said of it. */
function remembered({ trust }: Peer): string[] {
  return trust.list().map(({ name, peerId, policy }) => `${name} ${peerId} ${policy}`);
}

/** Connects to somebody who has to be looked for, and leaves. @returns who it was. */
async function visit(town: Town, peer: Peer, target: string): Promise<string> {
  const connecting = peer.link(target);
  connecting.catch(() => {}); // looked at below
  await town.clock.advance(SEARCH_MS);
  await using link = await connecting;
  return link.peer.peerId;
}

Deno.test("Reach refuses a peer that is announced by a name and calls itself otherwise", async () => {
  for (const called of ["", "Mallory", "bob", "Bob "]) {
    await using town = new Town();
    const mallory = await town.impostor("mallory", ["Bob", called]);
    const met: string[] = [];
    mallory.guard(({ peerId }) => void met.push(peerId));
    const alice = await town.open("alice");
    const error = await town.cannotReach(alice, "Bob");
    assertStringIncludes(error.message, "another peer is there");
    assertEquals([remembered(alice), alice.endpoint.links.size], [[], 0]);
    assertEquals(met, [], "it learnt who asked");
    // By its id it is who it is.
    const { peerId } = mallory.self;
    assertEquals(await visit(town, alice, peerId), peerId);
  }
});

Deno.test("Reach refuses a peer of the right name that is not the one that was announced", async () => {
  await using town = new Town();
  const announcer = Identity.generate();
  await town.impostor("mallory", ["Bob", "Bob"], announcer);
  const alice = await town.open("alice");
  for (const target of ["Bob", announcer.peerId, announcer.peerId.slice(0, 6)]) {
    const error = await town.cannotReach(alice, target);
    assertStringIncludes(error.message, "another peer is there", target);
  }
  assertEquals(remembered(alice), []);
});

Deno.test("Reach means by a name whose holder is known that peer, whoever else has it", async () => {
  await using town = new Town();
  for (const host of ["first", "second"]) await town.open(`before ${host}`, { name: "Bob" });
  const bob = await town.open("bob", { name: "Bob" });
  await town.open("after", { name: "Bob" });
  const alice = await town.open("alice");
  assertStringIncludes((await town.cannotReach(alice, "Bob")).message, "not one peer but 4");
  for (const policy of ["seen", "pin", "allow"] as const) {
    alice.trust.add(bob.peerId, { name: "Bob", policy });
    await using link = await alice.link("Bob"); // at once: nobody moves the clock
    assertEquals(link.peer.peerId, bob.peerId);
  }
});

Deno.test("Reach goes to nobody else while the holder of a name is away", async () => {
  await using town = new Town();
  const bob = Identity.generate();
  const alice = await town.open("alice");
  alice.trust.add(bob.peerId, { name: "Bob" });

  const mallory = await town.impostor("mallory", ["Bob", "Mallory"]);
  mallory.handle("whoami", () => "mallory");
  const asking = alice.request("Bob", "whoami", { secret: "for Bob only" }, { timeoutMs: 5_000 });
  const lost = assertRejects(() => asking, NotFoundError, "another peer is there");
  await town.clock.advance(5_000);
  await lost;

  await using other = new Town();
  const open = await other.impostor("mallory", ["Bob", "Bob"]);
  const met: string[] = [];
  open.guard(({ peerId }) => void met.push(peerId));
  const carol = await other.open("carol");
  carol.trust.add(bob.peerId, { name: "Bob" });
  const refused = await assertRejects(() => visit(other, carol, "Bob"), AuthError);
  assertEquals([refused.code, met], ["key-changed", []]);
});

Deno.test("Reach does not mean by a name somebody who had it and is denied", async () => {
  await using town = new Town();
  const mallory = await town.open("mallory", { name: "Bob" });
  const bob = await town.open("bob", { name: "Bob" });
  const alice = await town.open("alice");
  alice.trust.add(mallory.peerId, { name: "Bob" });
  alice.trust.add(mallory.peerId, { policy: "deny" });
  alice.trust.add(bob.peerId, { name: "Bob" });
  for (let n = 0; n < 3; n++) assertEquals(await visit(town, alice, "Bob"), bob.peerId);
});

Deno.test("Reach takes eight hexadecimal digits or more for an id alone, in upper case, too", async () => {
  await using town = new Town();
  const [here, away] = [await town.open("here"), Identity.generate()];
  for (const digits of [8, 16, 40]) {
    await town.open(`by ${digits}`, { name: away.peerId.slice(0, digits) });
  }
  const alice = await town.open("alice");
  const peers = [8, 16, 40].map((digits) => town.addressOf(`by ${digits}`));
  for (const digits of [8, 16, 40]) {
    const taken = away.peerId.slice(0, digits);
    await town.cannotReach(alice, taken);
    await assertRejects(() => alice.link(taken, { peers }), NotFoundError, "another peer is there");
    assertEquals(await visit(town, alice, here.peerId.slice(0, digits).toUpperCase()), here.peerId);
  }
  assertEquals(remembered(alice), []);
});

Deno.test("Reach remembers whose a name is that it reached, however it came there", async () => {
  const ways: Record<string, (town: Town, alice: Peer) => Promise<unknown>> = {
    "by looking around": (town, alice) => visit(town, alice, "Bob"),
    "at an address that was given": async (town, alice) => {
      await using _link = await alice.link("Bob", { peers: [town.addressOf("bob")] });
    },
  };
  for (const [way, go] of Object.entries(ways)) {
    await using town = new Town();
    const bob = await town.open("bob", { name: "Bob", identity: Identity.generate() });
    const alice = await town.open("alice");
    await go(town, alice);
    assertEquals(remembered(alice), [`Bob ${bob.peerId} seen`], way);
    await town.open("mallory", { name: "Bob" });
    const peers = [town.addressOf("mallory")];
    const error = await assertRejects(() => alice.link("Bob", { peers }), AuthError);
    assertEquals(error.code, "key-changed");
    await assertRejects(() => alice.link(town.at("mallory")), AuthError);
  }
});

Deno.test("Reach remembers no name of who will be somebody else the next time", async () => {
  await using town = new Town();
  const alice = await town.open("alice");
  for (const ephemeral of [undefined, true]) {
    const identity = ephemeral ? { identity: Identity.generate(), ephemeral } : {};
    const bob = await town.open("bob", { name: "Bob", ...identity });
    assertEquals(await visit(town, alice, "Bob"), bob.peerId);
    assertEquals(remembered(alice), []);
    await bob.close();
  }
});

Deno.test("Reach tries the usual port where an address comes without one", async () => {
  await using town = new Town();
  const alice = await town.open("alice");
  const tried = async (target: string) => {
    const error = await assertRejects(() => alice.link(target), NotFoundError);
    return error.message;
  };
  assertStringIncludes(await tried("10.9.9.9"), "tried 10.9.9.9:3485");
  assertStringIncludes(await tried("fd00::9"), "tried [fd00::9]:3485");
});

Deno.test("Reach remembers nobody whom it did not call by name", async () => {
  await using town = new Town();
  const bob = await town.open("bob", { name: "Bob" });
  const alice = await town.open("alice");
  const peers = [town.addressOf("bob")];
  for (const target of [town.at("bob"), bob.peerId, bob.peerId.slice(0, 6)]) {
    assertEquals(await visit(town, alice, target), bob.peerId);
  }
  await (await alice.link(bob.peerId, { peers })).close();
  assertEquals(remembered(alice), []);
});

Deno.test("Reach leaves no connection to a peer that cannot be remembered", async () => {
  using scratch = new ScratchHome();
  const records = Array.from({ length: MAX_RECORDS }, (_, n) => {
    const peerId = n.toString(16).padStart(40, "0");
    return { peerId, name: `n${n}`, policy: "seen", since: 1 };
  });
  scratch.write("trust.json", JSON.stringify({ version: 1, records }));
  await using town = new Town();
  const bob = await town.open("bob", { name: "Bob", identity: Identity.generate() });
  const alice = await town.open("alice", { home: scratch.home });
  const peers = [town.addressOf("bob")];
  await assertRejects(() => alice.link("Bob", { peers }), LimitError, "maxRecords");
  await settle();
  assertEquals([alice.endpoint.links.size, bob.endpoint.links.size], [0, 0]);
});

Deno.test("Reach takes no name for that of a peer that has none", async () => {
  await using town = new Town();
  await town.open("nameless");
  const alice = await town.open("alice");
  await town.cannotReach(alice, "");
});

Deno.test("Reach means the holder of a name alone, also where an id begins as the name reads", async () => {
  await using town = new Town();
  const mallory = identityBeginning("ed");
  const name = mallory.peerId.slice(0, 4); // four digits, and a name all the same
  const edda = await town.open("edda", { name });
  const alice = await town.open("alice");
  alice.trust.add(edda.peerId, { name, policy: "pin" });
  assertEquals(await visit(town, alice, name), edda.peerId);
  await edda.close();
  await town.open("mallory", { identity: mallory });
  assertStringIncludes((await town.cannotReach(alice, name)).message, "another peer is there");
  const peers = [town.addressOf("mallory")];
  const error = await assertRejects(() => alice.link(name, { peers }), NotFoundError);
  assertStringIncludes(error.message, "another peer is there");
});

/** An identity whose id begins so. */
function identityBeginning(digits: string): Identity {
  for (;;) {
    const identity = Identity.generate();
    if (identity.peerId.startsWith(digits)) return identity;
  }
}
