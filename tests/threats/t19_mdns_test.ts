/**
 * What a peer tells the network's own tools of itself: nothing unless it was asked to, nothing in a closed network, and
 * nothing by which it could be told again.
 */

import { assert, assertEquals } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import { decodeDnsMessage } from "../../src/discovery/mdns/dns_message.ts";
import { MDNS_PORT } from "../../src/discovery/mdns/mdns.ts";
import type { PeerOptions } from "../../src/peer.ts";
import { Identity } from "../../src/secure/identity.ts";
import { Network } from "../../src/secure/network.ts";
import { MemoryNetwork } from "../../src/transport/memory.ts";
import { TappedPeer } from "./tapped_peer.ts";

const HOST = "10.0.0.1";
const LOOK_MS = 3_000;
const LABEL = /^[0-9a-f]{16}$/;

/** What a peer says by multicast DNS until it is closed, while it looks for others. */
async function saidBy(options: PeerOptions): Promise<Uint8Array[]> {
  const network = new MemoryNetwork();
  const clock = new ManualClock();
  const { peer, tap } = await TappedPeer.at(network, HOST, clock, options);
  const looking = Array.fromAsync(peer.find({ timeoutMs: LOOK_MS }));
  await clock.advance(LOOK_MS);
  await looking;
  const closing = peer.close();
  await clock.advance(LOOK_MS);
  await closing;
  network.close();
  return tap.sent.filter(({ to }) => to.port === MDNS_PORT).map(({ data }) => data);
}

/** Every text in what was said, each once: labels of names, and what stands in TXT records. */
function textsOf(packets: readonly Uint8Array[]): string[] {
  const texts = packets.map((packet) => decodeDnsMessage(packet)).flatMap((message) => {
    const { questions, answers, authorities, additionals } = message;
    return [...questions, ...answers, ...authorities, ...additionals].flatMap((one) => [
      ...one.name,
      ...("target" in one ? one.target : []),
      ...("strings" in one ? one.strings : []),
    ]);
  });
  return [...new Set(texts)].sort();
}

Deno.test("T19 nothing is told to the network's own tools unless it was asked for, nor in a closed network at all", async () => {
  assertEquals(await saidBy({}), []);
  for (const network of [new Network("home", [new Uint8Array(32).fill(7)]), new Network("home")]) {
    assertEquals(await saidBy({ network, mdns: true, name: "bob" }), []);
  }
});

Deno.test("T19 by mDNS a peer tells a label that is another one each time, and its name where it has one", async () => {
  const identity = Identity.generate();
  const fixed = ["_dns-sd", "_kith", "_services", "_tcp", "_udp"];
  const labels: string[] = [];
  for (const name of ["", "", "bob"]) {
    const texts = textsOf(await saidBy({ identity, mdns: true, name }));
    const rest = texts.filter((text) => !LABEL.test(text));
    assertEquals(rest, [...fixed, "local", ...(name === "" ? [] : ["name=bob"]), "v=1"]);
    labels.push(...texts.filter((text) => LABEL.test(text)));
  }
  assertEquals([labels.length, new Set(labels).size], [3, 3]);
});

Deno.test("T19 who only looks by mDNS tells nothing of itself there", async () => {
  const packets = await saidBy({ mdns: true, clientOnly: true, name: "bob" });
  assert(packets.length > 0);
  assertEquals(textsOf(packets), ["_kith", "_tcp", "local"]);
});
