/**
 * A network that the user left out is not told that a peer is there, although the socket that hears the others hears its
 * questions too: broadcasts come in on every interface.
 */

import { assertEquals } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import { PEERPY_PORT, PeerpyDiscovery } from "../../src/discovery/dialects/peerpy_discovery.ts";
import { Discovery, DISCOVERY_PORT } from "../../src/discovery/discovery.ts";
import type { LocalInterface } from "../../src/discovery/interfaces.ts";
import { encodeQuestion } from "../../src/discovery/packets.ts";
import { type Address, formatAddress, MemoryNetwork } from "../../src/transport/mod.ts";
import { pingHeader } from "../../src/wire/text_header.ts";
import { FIND_PORT, findOf, Node } from "../discovery/dialects/peerconnect_fixture.ts";
import { announcementOf } from "../discovery/lan.ts";

const HOME: LocalInterface = {
  name: "eth0",
  family: "IPv4",
  address: "10.0.0.1",
  broadcast: "10.0.0.255",
  index: undefined,
  loopback: false,
};
const CAFE = { ...HOME, name: "wlan0", address: "10.0.1.1", broadcast: "10.0.1.255" };
/** A network of one has no broadcast address; others are reached by it all the same. */
const TUNNEL = { ...HOME, name: "wg0", address: "10.9.0.1", broadcast: undefined };

const INTERFACES = () => [HOME, CAFE, TUNNEL];

/** Somebody who can be found on a host of all networks, and how he is asked. */
interface Way {
  open(
    network: MemoryNetwork,
    clock: ManualClock,
    only: readonly string[],
  ): Promise<AsyncDisposable>;
  /** A question, and where it goes. */
  question(asker: Address): [packet: Uint8Array, to: Address];
}

const KITH: Way = {
  open: (network, clock, only) => {
    const announce = announcementOf("bob", 1);
    const common = { transport: network.host("bob"), clock };
    return Discovery.open({ ...common, announce, interfaces: INTERFACES, only });
  },
  question: () => [
    encodeQuestion({ id: 1, from: new Uint8Array(8), via: "broadcast" }),
    { hostname: "bob", port: DISCOVERY_PORT },
  ],
};

const PEERPY: Way = {
  open: (network, clock, only) => {
    const common = { transport: network.host("bob"), clock };
    return PeerpyDiscovery.open({ ...common, announce: { port: 7 }, interfaces: INTERFACES, only });
  },
  question: (asker) => [
    pingHeader(formatAddress(asker)),
    { hostname: "255.255.255.255", port: PEERPY_PORT },
  ],
};

const PEERCONNECT: Way = {
  open: (network, clock, only) => {
    const common = { transport: network.host("bob"), clock };
    return Node.open("bob", { ...common, interfaces: INTERFACES, only });
  },
  question: ({ hostname, port }) => [
    findOf("7", hostname, port),
    { hostname: "bob", port: FIND_PORT },
  ],
};

/** Who of some hosts is answered. */
async function answeredOf(
  way: Way,
  hosts: readonly string[],
  only: readonly string[] = [],
): Promise<string[]> {
  const network = new MemoryNetwork();
  const clock = new ManualClock();
  await using _bob = await way.open(network, clock, only);
  const answered: string[] = [];
  for (const host of hosts) {
    const socket = await network.host(host).datagram({ hostname: host });
    const [question, to] = way.question(socket.address);
    await socket.send(question, to);
    const receiving = socket.receive();
    await clock.advance(100);
    socket.close();
    if (await receiving !== undefined) answered.push(host);
  }
  network.close();
  return answered;
}

const ASKERS = ["10.0.0.7", "10.0.1.7", "10.9.0.7"];

for (
  const [name, way] of Object.entries({ kith: KITH, peerpy: PEERPY, PeerConnect: PEERCONNECT })
) {
  Deno.test(`T19 who asks by ${name} on a network that the user left out is not answered, whatever socket hears it`, async () => {
    const answered = (...only: string[]) => answeredOf(way, ASKERS, only);
    assertEquals(await answered(), ASKERS);
    // Of the tunnel's network only the own address is known, so nobody is taken for being there.
    assertEquals(await answered("!wlan0"), ["10.0.0.7", "10.9.0.7"]);
    assertEquals(await answered("eth0"), ["10.0.0.7", "10.9.0.7"]);
    assertEquals(await answered("wlan0"), ["10.0.1.7", "10.9.0.7"]);
  });
}
