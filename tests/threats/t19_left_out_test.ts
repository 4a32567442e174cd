/**
 * A network that the user left out is not told that a peer is there, although the socket that hears the others hears its
 * questions too: broadcasts come in on every interface.
 */

import { assertEquals } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import { Discovery, DISCOVERY_PORT } from "../../src/discovery/discovery.ts";
import type { LocalInterface } from "../../src/discovery/interfaces.ts";
import { encodeQuestion } from "../../src/discovery/packets.ts";
import { MemoryNetwork } from "../../src/transport/mod.ts";
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

/** Who of some hosts is answered. */
async function answeredOf(
  hosts: readonly string[],
  only: readonly string[] = [],
): Promise<string[]> {
  const network = new MemoryNetwork();
  const clock = new ManualClock();
  await using _bob = await Discovery.open({
    transport: network.host("bob"),
    announce: announcementOf("bob", 1),
    interfaces: () => [HOME, CAFE, TUNNEL],
    clock,
    only,
  });
  const answered: string[] = [];
  for (const host of hosts) {
    const socket = await network.host(host).datagram();
    const question = encodeQuestion({ id: 1, from: new Uint8Array(8), via: "broadcast" });
    await socket.send(question, { hostname: "bob", port: DISCOVERY_PORT });
    const receiving = socket.receive();
    await clock.advance(100);
    socket.close();
    if (await receiving !== undefined) answered.push(host);
  }
  network.close();
  return answered;
}

const ASKERS = ["10.0.0.7", "10.0.1.7", "10.9.0.7"];

Deno.test("T19 who asks on a network that the user left out is not answered, whatever socket hears it", async () => {
  assertEquals(await answeredOf(ASKERS), ASKERS);
  // Of the tunnel's network only the own address is known, so nobody is taken for being there.
  assertEquals(await answeredOf(ASKERS, ["!wlan0"]), ["10.0.0.7", "10.9.0.7"]);
  assertEquals(await answeredOf(ASKERS, ["eth0"]), ["10.0.0.7", "10.9.0.7"]);
  assertEquals(await answeredOf(ASKERS, ["wlan0"]), ["10.0.1.7", "10.9.0.7"]);
});
