// The Python library itself, where KITH_PYTHON_KADEMLIA names its sources and those of what it needs.
import { assert, assertEquals, assertRejects } from "@std/assert";
import { contactOf } from "../../../src/dht/contact.ts";
import type { KademliaNetwork } from "../../../src/dht/dialects/network.ts";
import { digestOf, type KademliaValue } from "../../../src/dht/dialects/values.ts";
import { plainRecord } from "../../../src/dht/record.ts";
import { InvalidPacketError } from "../../../src/errors.ts";
import { decode, encode } from "../../../src/wire/msgpack.ts";
import { DialectPort, FakeNode, idOf, kademliaOn, nodeAt, Swarm } from "./dialect_fixture.ts";
import { KademliaWire } from "../../../src/dht/dialects/kademlia.ts";
import { PythonNodes, whyNoPython } from "./python_network.ts";

const ignore = whyNoPython !== undefined;
const title = ignore ? ` (left out: ${whyNoPython})` : "";

/** Values of all types that the library sets, each as it is in JSON for the other side. */
const VALUES: readonly (readonly [KademliaValue, unknown])[] = [
  ["hé ☃", "hé ☃"],
  [42, 42],
  [-7, -7],
  [2 ** 40, 2 ** 40],
  [1.5, 1.5],
  [true, true],
  [false, false],
  [Uint8Array.of(0, 255, 1), { bytes: "00ff01" }],
  ["x".repeat(8_000), "x".repeat(8_000)],
];

Deno.test(`KademliaWire and a node of the Python library ask each other everything${title}`, {
  ignore,
}, async () => {
  await using python = await PythonNodes.start(1);
  await using port = await DialectPort.open();
  const node = new FakeNode();
  const self = idOf(7);
  const { clock, log, metrics } = port;
  using wire = new KademliaWire({ udp: port, self, answer: node.answer, clock, log, metrics });
  const [address] = python.addresses;
  assert(address !== undefined);
  const me = [port.address.hostname, port.address.port];

  const there = await wire.meet(address);
  assertEquals(there.key, await python.tell(0, { do: "id" }));
  assertEquals(await wire.whereAmI(address), port.address);
  const key = digestOf("key");
  const find = { type: "find-value", target: key } as const;
  assertEquals(await wire.ask(there, find), { nodes: [], records: [] });
  for (const [value] of VALUES) {
    const record = plainRecord(key, encode(value));
    await wire.ask(there, { type: "store", record, ttlS: 1 });
    assertEquals((await wire.ask(there, find)).records, [record]);
  }
  assertEquals(await wire.ask(there, { type: "find-node", target: idOf(1) }), {
    nodes: [], // it knows nobody but us
    records: [],
  });

  const call = (method: string, ...args: unknown[]) => {
    return python.tell(0, { do: "call", method, address: me, args });
  };
  const id = { bytes: there.key };
  assertEquals(await call("ping", id), { bytes: self.toHex() });
  assertEquals(await call("stun"), [address.hostname, address.port]);
  const other = nodeAt(idOf(9), "127.0.0.1", 9);
  node.contacts = [other, contactOf(there.id, address)];
  const found = [[{ bytes: other.key }, "127.0.0.1", 9]];
  assertEquals(await call("find_node", id, { bytes: idOf(1).toHex() }), found);
  assertEquals(await call("find_value", id, { bytes: key.toHex() }), found);
  for (const [value, json] of VALUES) {
    assertEquals(await call("store", id, { bytes: key.toHex() }, json), true);
    assertEquals(decode(node.kept.get(key.toHex())?.value ?? new Uint8Array()), value);
    assertEquals(await call("find_value", id, { bytes: key.toHex() }), { value: json });
  }
  assertEquals(node.askers.at(-1), { address, contact: contactOf(there.id, address) });
  assertEquals(await call("find_node", id, { bytes: self.toHex() }), found);
  assertEquals(log.lines, []);
});

// With k = 20 each of the ten keeps everything; with k = 3 what is asked for is mostly elsewhere.
for (const k of [20, 3]) {
  const name = `5 nodes of ours and 5 of the Python library get what the others set, k = ${k}`;
  Deno.test(`KademliaNetwork: ${name}${title}`, { ignore }, async () => {
    await using python = await PythonNodes.start(5, { k });
    await using swarm = new Swarm();
    const tuning = { k, replicas: k };
    const [first] = python.addresses;
    assert(first !== undefined);
    const ours: KademliaNetwork[] = [];
    for (let nth = 0; nth < 5; nth++) {
      const network = await swarm.add((port) => kademliaOn(port, { tuning }));
      await network.join([swarm.addresses.at(-2) ?? first]); // one joins by the other
      ours.push(network);
    }
    for (const nth of [1, 2, 3, 4, 0]) await python.bootstrap(nth, swarm.addresses.slice(nth));

    const least = Math.min(k, 9);
    for (const [nth, network] of ours.entries()) {
      for (const [at, [value]] of VALUES.entries()) {
        const { holders, silent } = await network.set(`ours ${nth} ${at}`, value);
        assert(holders >= least && silent === 0, `${holders} nodes keep it, ${silent} are silent`);
      }
    }
    for (let nth = 0; nth < 5; nth++) {
      for (const [at, [, value]] of VALUES.entries()) {
        const order = { do: "set", key: `theirs ${nth} ${at}`, value };
        assertEquals(await python.tell(nth, order), true);
      }
    }

    for (const [reader, network] of ours.entries()) {
      for (let nth = 0; nth < 5; nth++) {
        for (const [at, [value, json]] of VALUES.entries()) {
          const found = await network.get(`theirs ${nth} ${at}`, { fresh: true });
          assertEquals(found?.value, value);
          const order = { do: "get", key: `ours ${nth} ${at}` };
          assertEquals(await python.tell(reader, order), json);
        }
      }
      assertEquals(await network.get("nothing"), undefined);
      assertEquals(await python.tell(reader, { do: "get", key: "nothing" }), null);
    }
    const faults = swarm.ports.flatMap(({ log }) => log.lines);
    assertEquals(faults.filter(({ level }) => level !== "debug"), []);
  });
}

Deno.test(`KademliaNetwork refuses what the Python library could not send either${title}`, {
  ignore,
}, async () => {
  await using python = await PythonNodes.start(1);
  await using swarm = new Swarm();
  const network = await swarm.add((port) => kademliaOn(port));
  assertEquals(await network.join(python.addresses), 1);
  const longest = "x".repeat(8_137);
  await network.set("long", longest);
  assertEquals((await network.get("long", { fresh: true }))?.value, longest);
  assertEquals(await python.tell(0, { do: "get", key: "long" }), longest);
  const error = await assertRejects(() => network.set("long", longest + "x"), InvalidPacketError);
  assertEquals(error.code, "too-large");
});
