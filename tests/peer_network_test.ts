/**
 * Peers of a closed network on real sockets of this machine: requests over UDP, where the packets that prove an address
 * go through the same seal as those that prove that a packet is fresh.
 */

import { assertEquals, assertRejects } from "@std/assert";
import { TimeoutError } from "../src/errors.ts";
import { Peer, type PeerOptions } from "../src/peer.ts";
import { Network } from "../src/secure/network.ts";
import { freeUdpPort, LOOPBACK } from "./threats/tapped_peer.ts";

const key = (byte: number) => new Uint8Array(32).fill(byte);

const NETWORKS: Record<string, () => Network> = {
  "the open network": () => new Network(),
  "a network with a name": () => new Network("home"),
  "a network with a key": () => new Network("", [key(1)]),
  "a network with a name and a key": () => new Network("home", [key(1)]),
  "a network with two keys": () => new Network("home", [key(1), key(2)]),
};

/** Peers on the loopback address, with a handler that says how it was asked. */
async function peers(stack: AsyncDisposableStack, options: readonly PeerOptions[]) {
  const discoveryPort = await freeUdpPort();
  return await Promise.all(options.map(async (each) => {
    const peer = stack.use(
      await Peer.open({ hostname: LOOPBACK, port: 0, discoveryPort, ...each }),
    );
    peer.handle("greet", ({ from }, { via }) => `hello, ${from}, over ${via}`);
    return peer;
  })) as [Peer, Peer, Peer];
}

function udp({ udpAddress }: Peer): string {
  return `udp://${LOOPBACK}:${udpAddress?.port}`;
}

for (const [where, make] of Object.entries(NETWORKS)) {
  Deno.test(`Peer.request gets its answer over UDP in ${where}, listening or not`, async () => {
    await using stack = new AsyncDisposableStack();
    const [bob, alice, guest] = await peers(stack, [
      { network: make() },
      { network: make() },
      { network: make(), clientOnly: true },
    ]);
    for (let round = 0; round < 3; round++) {
      for (const [from, asker, to] of [["alice", alice, bob], ["guest", guest, bob]] as const) {
        const answer = await asker.request(udp(to), "greet", { from });
        assertEquals(answer, `hello, ${from}, over udp`);
      }
      assertEquals(await bob.request(udp(alice), "greet", { from: "bob" }), "hello, bob, over udp");
    }
    const asked = await Promise.all(
      Array.from({ length: 20 }, (_, n) => guest.request(udp(bob), "greet", { from: `${n}` })),
    );
    assertEquals(asked, asked.map((_, n) => `hello, ${n}, over udp`));
  });
}

Deno.test("Peer.request gets no answer over UDP from another network", async () => {
  await using stack = new AsyncDisposableStack();
  const [bob, ...others] = await peers(stack, [
    { network: new Network("home", [key(1)]) },
    { network: new Network("home", [key(2)]) },
    { network: "home" },
    {},
  ]);
  await Promise.all(others.map(async (other) => {
    const asking = other.request(udp(bob), "greet", {}, { timeoutMs: 600 });
    await assertRejects(() => asking, TimeoutError);
  }));
});
