import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { PeerError } from "../src/errors.ts";
import { PEERS_FILE_NAME } from "../src/discovery/sources/remembered_peers.ts";
import type { MemberDescription } from "../src/membership/description.ts";
import type { MembershipOptions } from "../src/membership/membership.ts";
import type { Peer, PeerOptions } from "../src/peer.ts";
import { Network } from "../src/secure/network.ts";
import { Home } from "../src/state/home.ts";
import { packetOf } from "./endpoint/datagram_fixture.ts";
import { Journal } from "./endpoint/fixture.ts";
import { ScratchHome } from "./secure/home_fixture.ts";
import { FAST } from "./membership/group_fixture.ts";
import { Tap } from "./threats/tap.ts";
import { Town } from "./town.ts";

const [A, B, C, D] = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"] as const;

const KEY = new Uint8Array(32).fill(7);

/** Peers that join groups, on a network in memory. */
class Neighbours extends Town {
  /** Opens a peer by the name of its host that takes part at once. */
  async join(host: string, options: PeerOptions = {}, how: MembershipOptions = {}): Promise<Peer> {
    const peer = await this.open(host, {
      name: host,
      limits: { heartbeatMs: Infinity },
      ...options,
    });
    peer.join({ tuning: FAST, ...how });
    return peer;
  }

  /** Lets time pass until something is so. */
  async until(holds: () => boolean, limitMs = 20_000): Promise<void> {
    const endMs = this.clock.now() + limitMs;
    while (!holds()) {
      if (this.clock.now() >= endMs) throw new Error(`It did not come to that: ${holds}`);
      await this.clock.advance(20);
    }
  }

  /** Closes a peer, however long that takes. */
  async close(peer: Peer): Promise<void> {
    await this.run(peer.close());
  }

  /** A peer's program dies: nothing of it reaches anybody any more, and nothing more is written. */
  async kill(host: string, peer: Peer): Promise<void> {
    this.network.kill(host);
    await this.close(peer);
  }

  /** Lets time pass until something is done. */
  async run<T>(work: Promise<T>): Promise<T> {
    let isDone = false;
    const done = () => isDone = true;
    work.then(done, done);
    await this.until(() => isDone);
    return await work;
  }
}

/** Who somebody believes is there, by name. */
function present({ membership }: Peer): string[] {
  const there = membership?.members().filter(({ state }) => state === "alive") ?? [];
  return there.map(({ name }) => name).sort();
}

function all(peers: readonly Peer[], names: readonly string[]): () => boolean {
  return () => peers.every((peer) => present(peer).join() === names.join());
}

Deno.test("Peer.join finds the group by discovery, without a word about where it is", async () => {
  await using town = new Neighbours();
  const [ann, bob, carol] = [await town.join(A), await town.join(B), await town.join(C)];
  await town.until(all([ann, bob, carol], [A, B, C]));
  assertEquals(ann.membership?.project, "default");
  const seen = ann.membership?.get(bob.peerId);
  assertEquals(seen?.streamAddresses, [town.addressOf(B)]);
  assertEquals(ann.endpoint.peers.statusOf(bob.peerId)?.state, "alive");
});

Deno.test("Peer.join finds the group at a seed where nothing is announced", async () => {
  await using town = new Neighbours();
  const bob = await town.join(B, { announce: false });
  const seeds = [town.addressOf(B)];
  const ann = await town.join(A, { announce: false }, { seeds });
  const carol = await town.join(C, { announce: false, seeds });
  await town.until(all([ann, bob, carol], [A, B, C]));
});

Deno.test("Peer.join takes in those who can name no address, where they are seen to be", async () => {
  await using town = new Neighbours();
  const ann = await town.join(A);
  // A name is no address: it would have to be looked up, for whoever signs it.
  const bob = await town.join("bob", { hostname: "bob" }, { seeds: [town.addressOf(A)] });
  await town.until(() => [ann, bob].every((peer) => present(peer).length === 2));
  const seen = ann.membership?.get(bob.peerId)?.streamAddresses;
  assertEquals(seen, [town.addressOf("bob")]);
});

Deno.test("Peer.join is refused to a client, and the second time", async () => {
  await using town = new Neighbours();
  const client = await town.open(A, { clientOnly: true });
  assertThrows(() => client.join(), TypeError, "a client cannot be reached");
  assertEquals([client.membership, client.states.get("adding peers")], [undefined, undefined]);
  const peer = await town.join(B);
  assertThrows(() => peer.join(), TypeError, "takes part already");
  const wordy = await town.open(C);
  assertThrows(() => wordy.join({ tags: { a: "x".repeat(25) } }), RangeError);
  wordy.join({ tags: { a: "x" } }); // nothing was left behind
});

Deno.test("Peer.join keeps projects apart, whether the peer or the group is given one", async () => {
  await using town = new Neighbours();
  const peers = [
    await town.join(A, { project: "red" }),
    await town.join(B, {}, { project: "red" }),
    await town.join(C, { project: "red" }, { project: "blue" }),
    await town.join(D),
  ];
  await town.until(all(peers.slice(0, 2), [A, B]));
  await town.clock.advance(15_000);
  assertEquals(peers.map(present), [[A, B], [A, B], [C], [D]]);
});

Deno.test("Peer.join takes in nobody whom its trust denies, and with an allow list only those on it", async () => {
  await using town = new Neighbours();
  using strict = new ScratchHome();
  using wary = new ScratchHome();
  const [bob, carol] = [await town.join(B), await town.join(C)];
  const ann = await town.open(A, { name: A, home: wary.home });
  ann.trust.add(carol.peerId, { policy: "deny" });
  ann.join({ tuning: FAST });
  const dan = await town.open(D, { name: D, home: strict.home });
  dan.trust.add(bob.peerId, { policy: "allow" });
  dan.join({ tuning: FAST });
  await town.clock.advance(15_000);
  assertEquals([present(ann), present(dan)], [[A, B, D], [B, D]]);
  assertEquals(ann.membership?.get(carol.peerId), undefined);
});

Deno.test("Peer.join of a closed network: an outsider sees nothing of it, and changes nothing", async () => {
  await using town = new Neighbours();
  const network = () => new Network("home", [KEY]);
  const peers = [
    await town.join(A, { network: network() }),
    await town.join(B, { network: network() }),
  ];
  await town.until(all(peers, [A, B]));
  const seeds = [town.addressOf(A), town.addressOf(B)];
  const outsiders = [
    await town.join(C, {}, { seeds }),
    await town.join(D, { network: new Network("home", [KEY.map((byte) => byte + 1)]) }, { seeds }),
  ];
  await town.clock.advance(15_000);
  assertEquals(outsiders.map(present), [[C], [D]]);
  assertEquals(peers.map(present), [[A, B], [A, B]]);
  const [ann] = peers as [Peer];
  assertEquals(ann.membership?.members().length, 2);
});

Deno.test("Peer.join goes on where only the invited may call: the group is for everybody who proves who it is", async () => {
  await using town = new Neighbours();
  const peers = [
    await town.join(A, { access: "invited" }),
    await town.join(B, { access: "invited" }),
  ];
  await town.until(all(peers, [A, B]));
  const [ann] = peers as [Peer];
  const stranger = await town.open(C, { clientOnly: true });
  const refused = assertRejects(() => stranger.request(town.at(A), "members.list"), PeerError);
  assertEquals((await town.run(refused)).code, "not-allowed");
  assertEquals(present(ann), [A, B]);
});

Deno.test("members.list over UDP costs a proof of address, before which less is sent than came", async () => {
  await using town = new Neighbours();
  const tap = new Tap(town.network.host(A));
  const tags = Object.fromEntries(["a", "b", "c"].map((name) => [name, "x".repeat(24)]));
  const ann = await town.join(A, { transport: tap, announce: false }, { tags });
  const others = [B, C, D].map((host) => town.join(host, {}, { seeds: [town.addressOf(A)], tags }));
  const peers = [ann, ...await Promise.all(others)];
  await town.until(all(peers, [A, B, C, D]));
  const stranger = await town.network.host("10.0.0.9").datagram();
  const to = { hostname: A, port: ann.udpAddress?.port ?? 0 };
  const question = packetOf("members.list", 7, {});
  const before = tap.sent.length;
  await stranger.send(question, to);
  await town.clock.advance(1_000);
  const sent = tap.sent.slice(before).filter(({ to }) => to.hostname === "10.0.0.9");
  const bytes = sent.reduce((sum, { data }) => sum + data.length, 0);
  assert(bytes <= question.length, `${bytes} bytes for ${question.length}`);
  stranger.close();

  const asker = await town.open("10.0.0.8", { clientOnly: true });
  const list = await town.run(asker.request(town.udpAt(A), "members.list")) as MemberDescription[];
  assertEquals(list.map(({ name }) => name).sort(), [A, B, C, D]);
});

Deno.test("Peer.join finds its group again after a restart, by what it remembers alone", async () => {
  await using town = new Neighbours();
  using scratch = new ScratchHome();
  const { home } = scratch;
  const bob = await town.join(B, { announce: false });
  const seeds = [town.addressOf(B)];
  const carol = await town.join(C, { announce: false }, { seeds });
  const ann = await town.join(A, { home, announce: false }, { seeds });
  await town.until(all([ann, bob, carol], [A, B, C]));
  await town.close(ann);
  const kept = JSON.parse(scratch.text(PEERS_FILE_NAME));
  assertEquals(JSON.stringify(kept).includes(town.at(C)), true);
  await town.close(bob); // its seed is gone
  const again = await town.join(A, { home, announce: false });
  await town.until(() => present(again).includes(C));
});

Deno.test("Peer.join begins where its files are corrupt, and sets them aside with a line each", async () => {
  await using town = new Neighbours();
  using scratch = new ScratchHome();
  const names = ["membership.json", PEERS_FILE_NAME];
  for (const name of names) scratch.write(name, "{ not");
  const log = new Journal();
  const home = Home.open(scratch.home.dir, { log });
  const [ann, bob] = [await town.join(A, { home, log }), await town.join(B)];
  await town.until(all([ann, bob], [A, B]));
  await town.close(ann);
  for (const name of names) {
    assertEquals(scratch.text(`${name}.corrupt-1`), "{ not");
    JSON.parse(scratch.text(name));
  }
  const aside = log.lines.filter(({ message }) => message === "corrupt file set aside");
  assertEquals(aside.map(({ level }) => level), ["error", "error"]);
});

Deno.test("Peer.close says goodbye before anything else of it is closed", async () => {
  await using town = new Neighbours();
  const [ann, bob] = [await town.join(A), await town.join(B)];
  await town.until(all([ann, bob], [A, B]));
  await town.close(ann);
  await town.until(() => bob.membership?.get(ann.peerId)?.state === "gone", 1_000);
});

Deno.test("ServerPeer knows of the servers that it is connected to which are suspect, and why", async () => {
  await using town = new Neighbours();
  const [ann, bob, carol] = [await town.join(A), await town.join(B), await town.join(C)];
  const peers = [ann, bob, carol];
  await town.until(all(peers, [A, B, C]));
  const mesh = ann.mesh();
  const meshes = [bob.mesh(), carol.mesh()];
  await town.until(() => mesh.peers().length === 2);
  const statusOf = (peer: Peer) => {
    return mesh.peers().find(({ peerId }) => peerId === peer.peerId)?.status;
  };
  assertEquals([statusOf(bob)?.state, statusOf(carol)?.state], ["alive", "alive"]);
  // The cable breaks: links do not tell, the group does.
  town.network.partition([[A, C], [B]]);
  await town.until(() => statusOf(bob)?.state === "suspect");
  assert(/does not answer/.test(statusOf(bob)?.why ?? ""));
  assertEquals(statusOf(carol)?.state, "alive");
  await town.until(() => statusOf(bob)?.state === "dead");
  town.network.heal();
  await town.until(() => statusOf(bob)?.state === "alive");
  await town.run(Promise.all(meshes.map((each) => each.close())));
});
