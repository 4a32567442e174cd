import { assert, assertEquals, assertRejects } from "@std/assert";
import type { ForeignPeer } from "../../../src/discovery/foreign.ts";
import {
  WITCH_NODE_PORT,
  WITCH_PRESENCE_PORT,
  type WitchServerAnnouncement,
} from "../../../src/discovery/dialects/witch_announcer.ts";
import {
  WitchDiscovery,
  type WitchDiscoveryOptions,
} from "../../../src/discovery/dialects/witch_discovery.ts";
import { WITCH_FORGET_MS } from "../../../src/discovery/dialects/witch_nodes.ts";
import { ClosedError, TransportError } from "../../../src/errors.ts";
import { formatAddress } from "../../../src/transport/transport.ts";
import { MAX_WITCH_ANNOUNCEMENT_BYTES } from "../../../src/wire/witch_announcement.ts";
import { CountingClock } from "../../endpoint/fixture.ts";
import { bytesOf, feedGarbage, loadVector, loadVectors } from "../../testdata/vectors.ts";
import { BroadcastTown, Collector, freeUdpPort, json, onLoopback } from "./broadcasts_fixture.ts";

const HASH = "1608ea132b3bebbb";
const NODE = {
  type: "node_discovery",
  node_id: "x",
  hash: HASH,
  port: 9,
  name: "X",
  protocols: ["PROJECT:p"],
};
const LEDGER = bytesOf(
  loadVector("witch.broadcast", "ledger_sync i (emitted on 45678, understood on 8890)"),
);

Deno.test("WitchDiscovery lists who announced itself and answered, at the packet's source", async () => {
  await using town = new BroadcastTown();
  const asked: string[] = [];
  const discovery = await open(town, "alice", {
    ask: (address) => Promise.resolve(asked.push(formatAddress(address)) > 0),
  });
  await using looking = look(discovery);
  await town.clock.advance(0);
  const golden = ["node-A", "n2", "n3"].map((name) => bytesOf(loadVector("witch.discovery", name)));
  await town.shout("bob", WITCH_PRESENCE_PORT, ...golden);
  const address = { hostname: "bob", port: 8888 }; // although n2 says that it is 192.0.2.1
  assertEquals(looking.all, [{
    dialect: "witch",
    id: "node-A",
    name: "A",
    address,
    protocols: [],
  }]);
  assertEquals(town.count("witch-portless"), 1);
  await town.clock.advance(30_000); // by then the address that both share may be asked again
  await town.shout("bob", WITCH_PRESENCE_PORT, ...golden);
  const second = { id: "n2", name: "hé", address, protocols: ["v1", "v2"] };
  assertEquals(looking.all.slice(1), [{ dialect: "witch", ...second }]);
  assertEquals(asked, ["bob:8888", "bob:8888"]);
});

Deno.test("WitchDiscovery reads the form for servers, whatever address that names", async () => {
  await using town = new BroadcastTown();
  await using looking = look(await open(town, "alice"));
  await town.clock.advance(0);
  const golden = loadVectors("witch.broadcast").find(({ name }) => name.startsWith("node_disc"));
  assert(golden !== undefined);
  await town.shout("bob", WITCH_NODE_PORT, bytesOf(golden));
  const [found] = looking.all;
  assertEquals([found?.id, found?.address], ["x", { hostname: "bob", port: 9 }]);
  assertEquals(found?.protocols, ["DEFAULT", "PROJECT:proj"]);
});

Deno.test("WitchDiscovery lists nobody who does not answer, nor before", async () => {
  await using town = new BroadcastTown();
  const answer = Promise.withResolvers<boolean>();
  const ask = ({ port }: { port: number }) => port === 9 ? answer.promise : Promise.resolve(false);
  await using looking = look(await open(town, "alice", { ask }));
  await town.clock.advance(0);
  await town.shout("bob", WITCH_NODE_PORT, json(NODE), json({ ...NODE, node_id: "y", port: 10 }));
  assertEquals([looking.all, town.count("witch-down")], [[], 1]);
  answer.resolve(true);
  await town.clock.advance(0);
  assertEquals(looking.all.map(({ id }) => id), ["x"]);
});

Deno.test("WitchDiscovery asks nobody unless somebody looks, and then who was heard of before", async () => {
  await using town = new BroadcastTown();
  let asked = 0;
  const discovery = await open(town, "alice", { ask: () => Promise.resolve(++asked > 0) });
  await town.shout("bob", WITCH_NODE_PORT, json(NODE));
  assertEquals(asked, 0);
  await using looking = look(discovery);
  await town.clock.advance(0);
  assertEquals([looking.all.length, asked], [1, 1]);
  await using second = look(discovery); // told what is known, without asking
  await town.clock.advance(0);
  assertEquals([second.all.length, looking.all.length, asked], [1, 1, 1]);
});

Deno.test("WitchDiscovery gives a server once, and again when its name or protocols change", async () => {
  await using town = new BroadcastTown();
  await using looking = look(await open(town, "alice"));
  await town.clock.advance(0);
  const say = (change: object) =>
    town.shout("bob", WITCH_NODE_PORT, json({ ...NODE, ...change, timestamp: "t" }));
  for (const change of [{}, {}, { name: "Y" }, { name: "Y" }, { name: "Y", protocols: [] }]) {
    await say(change);
  }
  assertEquals(looking.all.map(({ name, protocols }) => [name, protocols.length]), [
    ["X", 1],
    ["Y", 1],
    ["Y", 0],
  ]);
});

Deno.test("WitchDiscovery forgets a silent server after 15 minutes, and asks it again when it is back", async () => {
  await using town = new BroadcastTown();
  let asked = 0;
  const discovery = await open(town, "alice", { ask: () => Promise.resolve(++asked > 0) });
  await using looking = look(discovery);
  await town.clock.advance(0);
  await town.shout("bob", WITCH_NODE_PORT, json(NODE));
  await town.clock.advance(WITCH_FORGET_MS);
  await using later = look(discovery);
  await town.clock.advance(0);
  assertEquals(later.all, []);
  await town.shout("bob", WITCH_NODE_PORT, json(NODE));
  assertEquals([looking.all.length, later.all.length, asked], [2, 1, 2]);
});

Deno.test("WitchDiscovery and WitchDiscovery find each other on one host, and neither itself", async () => {
  await using town = new BroadcastTown();
  const first = await open(town, "home", { announce: serverOf("first", 1111) });
  const second = await open(town, "home", { announce: serverOf("second", 2222) });
  await using firstLooks = look(first);
  await using secondLooks = look(second);
  await town.clock.advance(5_000);
  const wanted = (id: string, port: number) => [{
    dialect: "witch",
    id,
    name: id,
    address: { hostname: "home", port },
    protocols: ["PROJECT:default"],
  }];
  assertEquals<unknown>(firstLooks.all, wanted("second", 2222));
  assertEquals<unknown>(secondLooks.all, wanted("first", 1111));
  assert(town.count("witch-own") > 0);
});

Deno.test("WitchDiscovery ignores its own id wherever it comes from", async () => {
  await using town = new BroadcastTown();
  const discovery = await open(town, "alice", { announce: serverOf("x", 1111) });
  await using looking = look(discovery);
  await town.clock.advance(0);
  await town.shout("bob", WITCH_NODE_PORT, json(NODE));
  assertEquals(looking.all, []);
});

Deno.test("WitchDiscovery ignores servers and ledgers of other hashes, where it has one", async () => {
  await using town = new BroadcastTown();
  const hashed = await open(town, "alice", { announce: serverOf("a", 1) });
  const { hash: _, ...unhashed } = serverOf("c", 3);
  const open2 = await open(town, "carol", { announce: unhashed });
  await using strict = look(hashed);
  await using lax = look(open2);
  await town.clock.advance(0);
  const heard = () => [strict.all, lax.all].map((all) => all.filter(({ id }) => id === "x").length);
  await town.shout("bob", WITCH_NODE_PORT, json({ ...NODE, hash: "0badc0de" }), LEDGER);
  assertEquals([heard(), town.count("witch-other-hash")], [[0, 1], 2]);
  assertEquals([hashed.hints.length, open2.hints.length], [0, 1]);
  await town.shout("bob", WITCH_NODE_PORT, json(NODE));
  assertEquals(heard(), [1, 1]);
});

Deno.test("WitchDiscovery reads ledgers and contacts nobody that they name", async () => {
  await using town = new BroadcastTown();
  const asked: unknown[] = [];
  const ask = (address: unknown) => Promise.resolve(asked.push(address) > 0);
  const discovery = await open(town, "alice", { ask });
  await using looking = look(discovery);
  await town.clock.advance(0);
  await town.shout("bob", WITCH_NODE_PORT, LEDGER);
  assertEquals(discovery.hints.map(({ id, ip }) => [id, ip]), [["z", "192.0.2.9"]]);
  assertEquals([asked, looking.all], [[], []]);
});

Deno.test("WitchDiscovery answers nothing on its ports", async () => {
  await using town = new BroadcastTown();
  const discovery = await open(town, "alice");
  await using _looking = look(discovery);
  const ear = await town.ear("bob");
  for (const port of [WITCH_PRESENCE_PORT, WITCH_NODE_PORT]) {
    for (const packet of [json(NODE), LEDGER, json({}), new Uint8Array(9)]) {
      await ear.socket.send(packet, { hostname: "alice", port });
    }
  }
  await town.clock.advance(60_000);
  assertEquals(ear.heard, []);
});

Deno.test("WitchDiscovery counts and drops what is no announcement, and goes on", async () => {
  await using town = new BroadcastTown();
  await using looking = look(await open(town, "alice"));
  await town.clock.advance(0);
  const node = { id: "a", ip: "192.0.2.9", port: 1, hash: "0b", name: "z", protocols: [] };
  const ledger = { nodes: Array(200).fill(node), protocols: [], version: "1" };
  const bad = [
    json({ ...NODE, node_id: "n".repeat(129) }),
    json({ ...NODE, port: 70_000 }),
    json({ ...NODE, protocols: [{}] }),
    json([NODE]),
    json({ type: "node_discovery", node_id: "n", service_info: 7, timestamp: "t" }),
    json({ type: "ledger_sync", node_id: "n", hash: HASH, ledger, timestamp: "t" }),
    new Uint8Array(MAX_WITCH_ANNOUNCEMENT_BYTES + 1).fill(0x20),
    new TextEncoder().encode("[".repeat(8_000)),
    Uint8Array.of(0xff),
    new Uint8Array(0),
  ];
  await town.shout("bob", WITCH_NODE_PORT, ...bad, json(NODE));
  assertEquals([town.count("witch-malformed"), looking.all.length], [bad.length, 1]);
});

Deno.test("WitchDiscovery survives noise", async () => {
  await using town = new BroadcastTown();
  await using looking = look(await open(town, "alice"));
  await town.clock.advance(0);
  const families = ["witch.discovery", "witch.broadcast"].flatMap(loadVectors);
  const packets: Uint8Array[] = [];
  const options = { seed: 11, cases: 500 };
  feedGarbage((bytes) => void packets.push(bytes), families.map(bytesOf), options);
  await town.shout("bob", WITCH_NODE_PORT, ...packets);
  assert(town.count("witch-malformed") > 200);
  assertEquals(town.count("witch-failures"), 0);
  for (const { address } of looking.all) assertEquals(address.hostname, "bob");
});

Deno.test("WitchDiscovery is content with one port, and says so", async () => {
  await using town = new BroadcastTown();
  const taken = await town.network.host("alice").datagram({ port: WITCH_PRESENCE_PORT });
  await using looking = look(await open(town, "alice"));
  await town.clock.advance(0);
  await town.shout("bob", WITCH_NODE_PORT, json(NODE));
  assertEquals([looking.all.length, town.log.lines[0]?.level], [1, "warn"]);
  const both = { presence: WITCH_PRESENCE_PORT, node: WITCH_PRESENCE_PORT };
  await assertRejects(() => open(town, "alice", { ports: both }), TransportError);
  taken.close();
});

Deno.test("WitchDiscovery.open that fails leaves nothing open", async () => {
  await using town = new BroadcastTown();
  const announce = { ...serverOf("a", 1), port: 0 };
  await assertRejects(() => open(town, "alice", { announce }), RangeError);
  const socket = await town.network.host("alice").datagram({ port: WITCH_NODE_PORT });
  socket.close();
});

Deno.test("WitchDiscovery.close ends everything, and is harmless twice and while it asks", async () => {
  await using town = new BroadcastTown();
  const clock = new CountingClock();
  const discovery = await open(town, "alice", {
    clock,
    announce: serverOf("a", 1),
    ask: () => new Promise(() => {}),
  });
  const looking = look(discovery);
  await clock.advance(0);
  await town.shout("bob", WITCH_NODE_PORT, json(NODE));
  await Promise.all([discovery.close(), discovery.close()]);
  assertEquals([await looking.stop(), clock.timers], [[], 0]);
  await assertRejects(() => discovery.find().next(), ClosedError, "discovery is closed");
});

Deno.test("WitchDiscovery finds others on real sockets of this machine", async () => {
  const common: WitchDiscoveryOptions = {
    ...onLoopback(),
    ports: { presence: await freeUdpPort(), node: await freeUdpPort() },
    ask: () => Promise.resolve(true),
  };
  await using first = await WitchDiscovery.open({ ...common, announce: serverOf("first", 1111) });
  await using listener = await WitchDiscovery.open(common);
  await using second = await WitchDiscovery.open({ ...common, announce: serverOf("second", 2222) });
  const wanted = new Map([[first, ["second"]], [listener, ["first", "second"]]]);
  for (const [discovery, ids] of wanted) {
    const found = new Map<string, ForeignPeer>();
    for await (const peer of discovery.find({ signal: AbortSignal.timeout(5_000) })) {
      found.set(peer.id, peer);
      if (found.size === ids.length) break;
    }
    assertEquals([...found.keys()].sort(), ids);
    assertEquals(found.get("second")?.address, { hostname: "127.0.0.1", port: 2222 });
  }
  await second.close();
});

function serverOf(nodeId: string, port: number): WitchServerAnnouncement {
  return { nodeId, name: nodeId, port, hash: HASH };
}

async function open(
  town: BroadcastTown,
  host: string,
  options: WitchDiscoveryOptions = {},
): Promise<WitchDiscovery> {
  return town.use(await WitchDiscovery.open({ ...town.on(host), ...options }));
}

function look(discovery: WitchDiscovery): Collector<ForeignPeer> {
  return new Collector((signal) => discovery.find({ signal }));
}
