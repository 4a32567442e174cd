/**
 * A peer in a process of its own that speaks all it can, for those who send bombs: says its ports, tells how it does, and
 * ends with its standard input.
 *
 * @module
 */

import { DIALECTS, Peer } from "../../src/peer.ts";
import { freeUdpPort, LOOPBACK } from "./tapped_peer.ts";

/** What it tells. */
export interface BombServerState {
  readonly rssBytes: number;
  readonly externalBytes: number;
  readonly metrics: Readonly<Record<string, number>>;
}

const collect = Reflect.get(globalThis, "gc") as () => void;

if (import.meta.main) {
  const peer = await Peer.open({
    hostname: LOOPBACK,
    port: 0,
    httpPort: 0,
    discoveryPort: await freeUdpPort(),
    web: true,
    dialects: DIALECTS,
    limits: { heartbeatMs: Infinity }, // those who listen shall hear of bombs only
  });
  peer.serve({ maxClients: 1_000 });
  const sessions = peer.sessions({ accept: () => true, maxSessions: 1_000 });
  peer.handle("state", async (): Promise<BombServerState> => {
    // What was sent before is on its way still.
    await new Promise((resolve) => setTimeout(resolve, 50));
    collect();
    const { rss, external } = Deno.memoryUsage();
    return { rssBytes: rss, externalBytes: external, metrics: peer.metrics.snapshot() };
  });
  const working = take(sessions);

  // deno-lint-ignore no-console -- whoever started it has to know
  console.log(peer.address?.port, peer.udpAddress?.port, peer.httpAddress?.port);
  await Deno.stdin.readable.pipeTo(new WritableStream());
  await sessions.close();
  await peer.close();
  await working;
}

/** Takes what comes, and leaves it alone. */
async function take(all: AsyncIterable<unknown>): Promise<void> {
  for await (const _one of all);
}
