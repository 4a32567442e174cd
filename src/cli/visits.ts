/**
 * Who connects to a running peer, for whoever watches it: without what peers do among themselves.
 *
 * @module
 */

import type { Timer } from "../clock.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";
import type { PeerEvent } from "../endpoint/peer_table.ts";
import { Watchers } from "../watchers.ts";

/** How long a connection lasts that we opened for more than a question, in milliseconds. */
const BRIEF_MS = 1_000;

/**
 * Connections that come and go, from now on until the signal aborts, but for our own commands', those in which members
 * compare what they know, and those that we open to ask something and close again within a second.
 */
export async function* visits(endpoint: Endpoint, signal: AbortSignal): AsyncGenerator<PeerEvent> {
  const left = new AbortController();
  const shown = new Watchers<PeerEvent>();
  const events = shown.watch();
  const following = follow(endpoint, AbortSignal.any([signal, left.signal]), shown);
  try {
    yield* events;
  } finally {
    left.abort();
    await following;
  }
}

async function follow(
  endpoint: Endpoint,
  signal: AbortSignal,
  shown: Watchers<PeerEvent>,
): Promise<void> {
  const { peers, clock, self } = endpoint;
  const unseen = new Set<string>();
  const brief = new Map<string, Timer>();
  for await (const event of peers.watch({ signal })) {
    const { type, peer: { peerId } } = event;
    if (peerId === self.peerId) continue;
    if (type === "added" && peers.statusOf(peerId)?.state === "alive") unseen.add(peerId);
    else if (type === "added" && isOurVisit(endpoint, peerId)) {
      brief.set(
        peerId,
        clock.after(BRIEF_MS, () => {
          brief.delete(peerId);
          shown.push(event);
        }),
      );
    } else if (type === "removed" && brief.has(peerId)) {
      brief.get(peerId)?.cancel();
      brief.delete(peerId);
    } else if (type !== "removed" || !unseen.delete(peerId)) shown.push(event);
  }
  for (const timer of brief.values()) timer.cancel();
  shown.close();
}

/** Whether nobody but us has opened connections with a peer. */
function isOurVisit({ links }: Endpoint, peerId: string): boolean {
  return [...links].every(({ peer, direction }) => peer.peerId !== peerId || direction === "out");
}
