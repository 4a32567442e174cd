import { assertEquals } from "@std/assert";
import type { ForeignPeer } from "../../../src/discovery/foreign.ts";
import type { LocalInterface } from "../../../src/discovery/interfaces.ts";
import { RequestsDispatcher } from "../../../src/endpoint/requests_dispatcher.ts";
import { TransportError } from "../../../src/errors.ts";
import type { DatagramOptions, Transport } from "../../../src/transport/mod.ts";
import { settle } from "../../endpoint/fixture.ts";
import {
  decimalOf,
  FIND_PORT,
  findOf,
  GROUP,
  interfaceOf,
  Node,
  readContact,
  replyOf,
  Village,
} from "./peerconnect_fixture.ts";

const GROUP_V6 = "ff02::1:6";

/** A network in which some sockets are other ones, or fail. */
function changed(
  transport: Transport,
  change: (options: DatagramOptions) => DatagramOptions,
): Transport {
  return {
    listen: (options) => transport.listen(options),
    connect: (to, options) => transport.connect(to, options),
    datagram: async (options = {}) => await transport.datagram(change(options)),
  };
}

Deno.test("PeerConnectLinks follows interfaces as they come and go, within 5 s", async () => {
  await using village = new Village();
  let interfaces: LocalInterface[] = [];
  const alice = await village.node("alice", { interfaces: () => interfaces });
  const bob = await village.original("bob");
  await bob.find();
  assertEquals(alice.count("replies"), 0);
  interfaces = [interfaceOf("alice")];
  await village.clock.advance(5_000);
  await bob.find();
  await bob.received(1);
  interfaces = [];
  await village.clock.advance(5_000);
  await bob.find();
  await bob.send(findOf("7", "bob", bob.address.port), alice.address);
  await settle();
  assertEquals([alice.count("replies"), bob.heard.length], [1, 1]);
  interfaces = [interfaceOf("alice"), interfaceOf("10.0.0.1")];
  await village.clock.advance(5_000);
  await bob.find();
  await bob.received(2);
});

Deno.test("PeerConnectLinks goes on when interfaces cannot be listed for a while", async () => {
  await using village = new Village();
  let list = () => [interfaceOf("alice")];
  const alice = await village.node("alice", { interfaces: () => list() });
  const bob = await village.original("bob");
  list = () => {
    throw new TypeError("Not now");
  };
  await village.clock.advance(20_000);
  await bob.find();
  await bob.received(1);
  const warnings = alice.log.lines.filter(({ level }) => level === "warn");
  assertEquals(warnings.map(({ fields }) => fields.why), ["Not now"]);
});

Deno.test("PeerConnectLinks tries again what could not be opened, asks meanwhile, and says so once", async () => {
  await using village = new Village();
  let broken = true;
  const transport = changed(village.network.host("alice"), (options) => {
    if (broken && options.shared) throw new TransportError("Address already in use");
    return options;
  });
  const alice = await village.node("alice", { transport });
  const bob = await village.original("bob");
  const looking = alice.discovery.find();
  const first = looking.next();
  await village.clock.advance(9_000);
  assertEquals((await first).value?.address, bob.address);
  await bob.find();
  await settle();
  assertEquals(alice.count("replies"), 0);
  broken = false;
  await village.clock.advance(2_000);
  await bob.find();
  await settle();
  assertEquals(alice.count("replies"), 1);
  assertEquals(alice.log.lines.filter(({ level }) => level === "warn").length, 1);
  await looking.return();
});

Deno.test("PeerConnectLinks names the address of the link that somebody is on", async () => {
  await using village = new Village();
  const addresses = ["127.0.0.1", "192.168.1.7", "192.168.2.7", "10.0.0.7"];
  const interfaces = () => addresses.map((address) => interfaceOf(address));
  const alice = await village.node("alice", { interfaces });
  const cases = {
    "192.168.1.200": "192.168.1.7",
    "192.168.2.200": "192.168.2.7",
    "10.9.9.9": "10.0.0.7",
    "10.0.0.7": "10.0.0.7", // another peer of this host
  };
  for (const [host, wanted] of Object.entries(cases)) {
    const socket = await village.socket(host);
    await socket.send(findOf("7", host, socket.address.port), { hostname: GROUP, port: FIND_PORT });
    const reply = readContact((await socket.receive())?.data ?? new Uint8Array());
    assertEquals([reply?.ip, reply?.port], [wanted, alice.address.port]);
  }
});

Deno.test("PeerConnectLinks has a port of its own where the peer's has another family", async () => {
  await using village = new Village();
  const host = village.network.host("fe80::a%eth0");
  const transport = changed(host, (options) => {
    if (!options.hostname?.startsWith(GROUP_V6)) return options;
    assertEquals([options.hostname, options.port], [`${GROUP_V6}%eth0`, FIND_PORT]);
    assertEquals(options.groups, [{ group: GROUP_V6, interfaceIndex: 2 }]);
    return { ...options, hostname: "::" };
  });
  const udp = {
    address: { hostname: "0.0.0.0", port: 4_000 },
    requests: new RequestsDispatcher(),
    send: () => Promise.reject(new TransportError("Wrong family")),
  };
  const eth0 = interfaceOf("fe80::a", { name: "eth0", family: "IPv6", index: 2 });
  const lost = interfaceOf("fe80::b", { name: "eth1", family: "IPv6" }); // without an index
  const common = { transport, clock: village.clock, interfaces: () => [lost, eth0] };
  await using alice = await Node.open("alice", { ...common, udp });
  const stranger = await village.network.host("fe80::c%eth0").datagram({
    port: FIND_PORT,
    groups: [{ group: GROUP_V6, interfaceIndex: 2 }],
  });

  const find = findOf("7", "fe80::c", FIND_PORT);
  await stranger.send(find, { hostname: `${GROUP_V6}%eth0`, port: FIND_PORT });
  await stranger.receive(); // its own
  const { data, from } = await stranger.receive() ?? {};
  const reply = readContact(data ?? new Uint8Array());
  assertEquals([reply?.header, reply?.ip, reply?.id], [1, "fe80::a", decimalOf("alice")]);
  assertEquals(from, { hostname: "fe80::a%eth0", port: reply?.port ?? 0 });

  const looking = alice.discovery.find();
  const first = looking.next();
  await village.clock.advance(100);
  const asked = readContact((await stranger.receive())?.data ?? new Uint8Array());
  assertEquals([asked?.header, asked?.ip, asked?.port], [0, "fe80::a", reply?.port]);
  const back = { hostname: "fe80::a%eth0", port: asked?.port ?? 0 };
  await stranger.send(replyOf("7", "fe80::c", 5_000), back);
  const found: ForeignPeer | void = (await first).value;
  assertEquals(found?.address, { hostname: "fe80::c%eth0", port: 5_000 });
  await looking.return();
  stranger.close();
});
