import { assert, assertEquals } from "@std/assert";
import { PeerLinks, type PeerLinksParts } from "../../src/gossip/peer_links.ts";
import { encodeWireData, wireData } from "../../src/wire/message.ts";
import { identityOf, Served, SERVER, settle } from "../endpoint/fixture.ts";

const [ANN, BOB] = ["ann", "server"].map((name) => identityOf(name).peerId) as [string, string];

/** Links of ann to peers of a network in memory, of which one listens. */
class Wiring implements AsyncDisposable {
  readonly served: Served;
  readonly links: PeerLinks;
  readonly gone: string[] = [];
  readonly neighbors = new Set<string>();

  private constructor(served: Served, endpoint: PeerLinksParts["endpoint"]) {
    this.served = served;
    this.links = new PeerLinks({
      endpoint,
      isNeighbor: (peerId) => this.neighbors.has(peerId),
      gone: (peerId) => void this.gone.push(peerId),
    });
  }

  static async open(): Promise<Wiring> {
    const served = await Served.open();
    return new Wiring(served, await served.client("ann"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.links.close();
    await this.served[Symbol.asyncDispose]();
  }
}

const LARGE_BYTES = 512 * 1_024;
const MIB = 2 ** 20;

Deno.test("PeerLinks opens one connection for all that is said to a peer, in order", async () => {
  await using wiring = await Wiring.open();
  const { served, links } = wiring;
  const heard: number[] = [];
  served.endpoint.handle("gossip.test", ({ n }) => void heard.push(Number(n)), { inline: true });
  for (const n of [1, 2, 3]) links.send(test(n), CONTACT, n === 2 ? "body" : "control");
  await until(() => heard.length === 3);
  for (const n of [4, 5]) links.send(test(n), CONTACT, "body");
  await until(() => heard.length === 5);
  // What waited for the connection: control packets first.
  assertEquals([heard, served.endpoint.links.size], [[1, 3, 2, 4, 5], 1]);
  assertEquals(links.linkTo(BOB)?.peer.peerId, BOB);
});

Deno.test("PeerLinks closes what it opened and has not used for a while, but not a neighbour's", async () => {
  await using wiring = await Wiring.open();
  const { served: { clock, endpoint }, links, neighbors, gone } = wiring;
  neighbors.add(BOB);
  links.send(test(1), CONTACT, "control");
  await until(() => links.linkTo(BOB) !== undefined);
  await clock.advance(40_000);
  assertEquals(endpoint.links.size, 1);
  neighbors.delete(BOB);
  links.send(test(2), CONTACT, "control");
  await clock.advance(14_000);
  assertEquals(endpoint.links.size, 1);
  await clock.advance(7_000);
  await until(() => endpoint.links.size === 0);
  assertEquals([links.linkTo(BOB), gone], [undefined, []]);
});

Deno.test("PeerLinks says who cannot be reached, once for each time that is tried, and who is another", async () => {
  await using wiring = await Wiring.open();
  const { served, links, gone } = wiring;
  const nobody = { ...CONTACT, peerId: ANN, hosts: ["10.9.9.9"] };
  const noAddress = { ...CONTACT, peerId: "cd".repeat(20), hosts: [] };
  const another = { ...CONTACT, peerId: "ef".repeat(20) };
  for (const contact of [nobody, noAddress, another]) {
    links.send(test(1), contact, "body");
    links.send(test(2), contact, "control");
    await until(() => gone.includes(contact.peerId));
  }
  assertEquals(gone, [nobody, noAddress, another].map(({ peerId }) => peerId));
  assertEquals([links.waitingBytes, served.endpoint.links.size], [0, 0]);
});

Deno.test("PeerLinks answers over the connection that something came on, and says so when that ends", async () => {
  await using wiring = await Wiring.open();
  const { served, links, gone, neighbors } = wiring;
  const own = await served.open("carol", { hostname: "carol", port: 1 });
  own.handle("gossip.test", () => {});
  const contact = { peerId: identityOf("carol").peerId, hosts: [], port: 0 };
  await links.meet({ hostname: "carol", port: 1 }, new AbortController().signal);
  const theirs = links.linkTo(contact.peerId);
  assert(theirs);
  assertEquals(links.heard(theirs), { ...contact, hosts: [theirs.remote.hostname] });
  links.send(test(1), contact, "control"); // without an address it still gets there
  await theirs.flush();
  neighbors.add(contact.peerId);
  await theirs.close();
  await until(() => gone.length > 0);
  assertEquals(gone, [contact.peerId]);
});

Deno.test("PeerLinks keeps no more than is bounded for a neighbour that does not read, and serves the others", async () => {
  await using wiring = await Wiring.open();
  const { served, links, neighbors } = wiring;
  let heard = 0;
  const stalled = Promise.withResolvers<void>();
  served.endpoint.handle("gossip.test", () => stalled.promise, { inline: true });
  const other = await served.open("carol", { hostname: "carol", port: 1 });
  other.handle("gossip.test", () => void heard++, { inline: true });
  const carol = { peerId: identityOf("carol").peerId, hosts: ["carol"], port: 1 };
  for (const { peerId } of [CONTACT, carol]) neighbors.add(peerId);
  await links.meet(SERVER, new AbortController().signal);
  await links.meet({ hostname: "carol", port: 1 }, new AbortController().signal);
  const large = test(0, new Uint8Array(LARGE_BYTES));
  for (let n = 0; n < 100; n++) {
    if (links.hasRoom(BOB)) links.send(large, CONTACT, "body");
    links.send(test(n), carol, "body");
    await settle();
  }
  await until(() => heard === 100);
  assert(!links.hasRoom(BOB) && links.hasRoom(carol.peerId));
  assert(links.waitingBytes >= 16 * MIB && links.waitingBytes <= 17 * MIB, `${links.waitingBytes}`);
  for (let n = 0; n < 100; n++) links.send(large, CONTACT, "body"); // without asking
  assert(links.waitingBytes <= 33 * MIB, `${links.waitingBytes}`);
  for (let n = 0; n < 5_000; n++) links.send(test(n), CONTACT, "control");
  const link = links.linkTo(BOB);
  // Who speaks on another connection, too, does not have this one written to all the same.
  const second = await served.endpoint.connect(SERVER);
  const waiting = links.waitingBytes;
  for (let n = 0; n < 20; n++) {
    links.heard(second);
    if (link !== undefined) links.heard(link);
  }
  assert(links.waitingBytes >= waiting - 4 * MIB, `${links.waitingBytes} of ${waiting}`);
  // Whoever publishes waits for it, but not for long.
  const room = links.room();
  assert(room !== undefined && link !== undefined);
  await served.clock.advance(1_000);
  await room;
  stalled.resolve();
  await until(() => links.waitingBytes === 0);
  assert(links.hasRoom(BOB) && links.room() === undefined);
});

Deno.test("PeerLinks takes nothing more once it is closed", async () => {
  await using wiring = await Wiring.open();
  const { served, links } = wiring;
  links.send(test(1), CONTACT, "control");
  await until(() => links.linkTo(BOB) !== undefined);
  await links.close();
  links.send(test(2), CONTACT, "control");
  assertEquals(await links.meet(SERVER, new AbortController().signal), undefined);
  await until(() => served.endpoint.links.size === 0);
  assertEquals(links.linkTo(BOB), undefined);
});

const CONTACT = { peerId: BOB, hosts: [SERVER.hostname], port: SERVER.port };

function test(n: number, data?: Uint8Array): Uint8Array {
  return encodeWireData(wireData("gossip.test", data === undefined ? { n } : { n, data }));
}

async function until(holds: () => boolean): Promise<void> {
  for (let turns = 0; !holds(); turns++) {
    assert(turns < 5_000, "Waited in vain");
    await settle();
  }
}
