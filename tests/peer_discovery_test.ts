import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { FOREIGN_DIALECTS, type ForeignPeer } from "../src/discovery/foreign.ts";
import type { LocalInterface } from "../src/discovery/interfaces.ts";
import { MDNS_PORT } from "../src/discovery/mdns/mdns.ts";
import type { FoundPeer } from "../src/discovery/search.ts";
import { DIALECTS, type Peer, type PeerOptions } from "../src/peer.ts";
import { hostsOf } from "../src/peer_discovery.ts";
import { Journal } from "./endpoint/fixture.ts";
import { ScratchHome } from "./secure/home_fixture.ts";
import { Tap } from "./threats/tap.ts";
import { Town } from "./town.ts";

const [A, B, C, D] = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"] as const;

const LOOK_MS = 2_000;

/** The interface of a host that hears broadcasts, too. */
function interfaceOf(address: string, options: Partial<LocalInterface> = {}): LocalInterface {
  const common = { name: "eth0", family: "IPv4", index: undefined, loopback: false } as const;
  return { ...common, address, broadcast: "10.255.255.255", ...options };
}

/** What two seconds of looking find, each peer as it was given last. */
async function look(town: Town, peer: Peer): Promise<Map<string, FoundPeer>> {
  const found = new Map<string, FoundPeer>();
  const looking = (async () => {
    for await (const other of peer.find({ timeoutMs: LOOK_MS })) found.set(other.name, other);
  })();
  await town.clock.advance(LOOK_MS);
  await looking;
  return found;
}

/** The same for peers of other programs. */
async function lookForForeign(town: Town, peer: Peer): Promise<ForeignPeer[]> {
  const looking = Array.fromAsync(peer.findForeign({ timeoutMs: LOOK_MS }));
  await town.clock.advance(LOOK_MS);
  return await looking;
}

Deno.test("Peer.find lists a peer once, whoever named it, with every way that it was found by", async () => {
  await using town = new Town();
  using scratch = new ScratchHome();
  const interfaces = () => [interfaceOf(B)];
  const bob = await town.open(B, { name: "bob", interfaces });
  const file = scratch.write("others", `# near\n${town.at(B)}\n`);
  const ann = await town.open(A, {
    interfaces: () => [interfaceOf(A)],
    seeds: [town.addressOf(B)],
    peersFile: file,
  });
  const found = await look(town, ann);
  assertEquals([...found.keys()], ["bob"]);
  const { peerId, via, addresses } = found.get("bob") as FoundPeer;
  assertEquals([peerId, addresses], [bob.peerId, [town.addressOf(B)]]);
  assertEquals(via, ["broadcast", "file", "multicast4", "static"]);
});

Deno.test("Peer.find lists nobody whom a list names before it has shown who it is, and not itself", async () => {
  await using town = new Town();
  const bob = await town.open(B, { name: "bob", announce: false });
  const nobody = [{ hostname: "10.9.9.9", port: 1 }, { hostname: B, port: 9 }];
  const ann = await town.open(A, {
    name: "ann",
    announce: false,
    port: 7,
    seeds: [
      ...nobody,
      { hostname: A, port: 7 },
      town.addressOf(B),
    ],
  });
  const found = await look(town, ann);
  assertEquals([...found.values()].map(({ peerId, via }) => [peerId, via]), [
    [bob.peerId, ["static"]],
  ]);
});

Deno.test("Peer.find asks where peers were before when nobody else is found, also after a restart", async () => {
  await using town = new Town();
  using scratch = new ScratchHome();
  const { home } = scratch;
  const bob = await town.open(B, { name: "bob", announce: false });
  const before = await town.open(A, { home, announce: false, seeds: [town.addressOf(B)] });
  assertEquals((await look(town, before)).size, 1);
  await before.close();
  const again = await town.open(A, { home, announce: false });
  const found = (await look(town, again)).get("bob");
  assertEquals([found?.peerId, found?.via], [bob.peerId, ["remembered"]]);
});

Deno.test("Peer finds nobody and is found by nobody on interfaces that it is not to use", async () => {
  await using town = new Town();
  const open = (host: string, options: PeerOptions = {}) => {
    return town.open(host, { interfaces: () => [interfaceOf(host)], ...options });
  };
  await open(B, { name: "bob" });
  await open(C, { name: "carol", onlyInterfaces: ["!eth*"] });
  const ann = await open(A);
  assertEquals([...(await look(town, ann)).keys()], ["bob"]);
  const shy = await open(D, { onlyInterfaces: ["wl*"] });
  assertEquals([(await look(town, shy)).size, shy.discovery.asked], [0, []]);
  const bad = () => open("10.0.0.5", { onlyInterfaces: ["eth0,wl0"] });
  await assertRejects(bad, TypeError, "Interface pattern");
});

Deno.test("hostsOf names the addresses of networks, that of the machine only where there is no other", () => {
  const all: readonly LocalInterface[] = [
    interfaceOf("127.0.0.1", { name: "lo", loopback: true }),
    interfaceOf(A),
    interfaceOf("172.17.0.1", { name: "docker0" }),
    interfaceOf("fe80::1", { family: "IPv6", index: 2 }),
  ];
  const of = (options: PeerOptions, count = all.length) => {
    return hostsOf({ interfaces: () => all.slice(0, count), ...options });
  };
  assertEquals(of({}), [A, "172.17.0.1"]);
  assertEquals(of({ hostname: "0.0.0.0" }), [A, "172.17.0.1"]);
  assertEquals(of({ hostname: "::" }), [A, "172.17.0.1"]);
  assertEquals(of({ hostname: "127.0.0.1" }), ["127.0.0.1"]);
  assertEquals(of({ onlyInterfaces: ["!docker*"] }), [A]);
  assertEquals(of({ onlyInterfaces: ["lo"] }), ["127.0.0.1"]);
  assertEquals(of({ onlyInterfaces: ["wl*"] }), []);
  assertEquals(of({}, 1), ["127.0.0.1"]);
});

Deno.test("Peer that speaks dialects is found by others as what they know, and never as a peer of ours", async () => {
  await using town = new Town();
  const options = (host: string): PeerOptions => {
    return { name: `at ${host}`, dialects: DIALECTS, interfaces: () => [interfaceOf(host)] };
  };
  const bob = await town.open(B, options(B));
  bob.serve(); // whoever announces a witch-core server is asked for its status
  const plain = await town.open(C, { ...options(C), dialects: [] });
  const ann = await town.open(A, { ...options(A), clientOnly: true });
  assertEquals(plain.foreign, []);
  assertEquals(bob.foreign.map(({ dialect }) => dialect), [...FOREIGN_DIALECTS]);
  assertEquals(bob.states.list().at(-1)?.name, "dialects");

  await town.clock.advance(6_000); // servers announce themselves every five seconds
  const foreign = await lookForForeign(town, ann);
  const seen = foreign.filter(({ address }) => address.hostname === B);
  assertEquals(
    [...new Set(seen.map(({ dialect }) => dialect))].sort(),
    [...FOREIGN_DIALECTS].sort(),
  );
  assertEquals(foreign.filter(({ address }) => address.hostname === C), []);
  const witch = seen.find(({ dialect }) => dialect === "witch");
  assertEquals(witch?.name, `at ${B}`);
  assertEquals(witch?.address, town.addressOf(B));
  const found = await look(town, ann);
  assertEquals([...found.keys()].sort(), [`at ${B}`, `at ${C}`]);
  assertEquals(await lookForForeign(town, plain), []);
});

Deno.test("Peer is not announced to other programs where it is not to be found", async () => {
  await using town = new Town();
  const bob = await town.open(B, {
    dialects: ["witch", "peerpy"],
    announce: false,
    interfaces: () => [interfaceOf(B)],
  });
  bob.serve();
  const ann = await town.open(A, {
    dialects: ["witch", "peerpy"],
    clientOnly: true,
    interfaces: () => [interfaceOf(A)],
  });
  assertEquals(await lookForForeign(town, ann), []);
});

Deno.test("Peer says that peerpy peers will not find it where another program has their port, and goes on", async () => {
  await using town = new Town();
  const log = new Journal();
  const other = await town.network.host(A).datagram({ port: 1024 });
  const ann = await town.open(A, { dialects: ["peerpy"], log, interfaces: () => [interfaceOf(A)] });
  const [said] = log.lines.filter(({ level }) => level === "warn");
  assertEquals(said?.message, "peerpy peers will not find us");
  assertStringIncludes(String(said?.fields.why), "address already in use");
  assertEquals(ann.foreign.length, 1);
  other.close();
});

Deno.test("Peer with mDNS is found by it where questions find nobody", async () => {
  await using town = new Town();
  const open = (host: string, options: PeerOptions) => {
    return town.open(host, { mdns: true, interfaces: () => [interfaceOf(host)], ...options });
  };
  const bob = await open(B, { name: "bob", discoveryPort: 4000 });
  const ann = await open(A, { discoveryPort: 5000 });
  await town.clock.advance(2_000);
  const found = (await look(town, ann)).get("bob");
  assertEquals([found?.peerId, found?.via, found?.addresses], [
    bob.peerId,
    ["mdns"],
    [town.addressOf(B)],
  ]);
});

Deno.test("Peer of a closed network shows itself to no tool of the network, whatever is asked for", async () => {
  await using town = new Town();
  for (const [host, network] of [[A, "home"], [B, ""]] as const) {
    const tap = new Tap(town.network.host(host));
    await town.open(host, { transport: tap, network, mdns: true });
    const isOpen = tap.sockets.some(({ address }) => address.port === MDNS_PORT);
    assertEquals(isOpen, network === "", network);
  }
});

Deno.test("Peer.findForeign ends when aborted, and finds nobody without a dialect", async () => {
  await using town = new Town();
  const ann = await town.open(A, { dialects: ["witch"], interfaces: () => [interfaceOf(A)] });
  const controller = new AbortController();
  const looking = Array.fromAsync(ann.findForeign({ signal: controller.signal }));
  await town.clock.advance(500);
  controller.abort();
  assert(Array.isArray(await looking));
  const bob = await town.open(B);
  assertEquals(await lookForForeign(town, bob), []);
});
