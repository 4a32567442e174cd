/**
 * A peer that asks the DHT something and goes again: it serves nobody, and keeps nothing.
 *
 * @module
 */

import { sleep, systemClock } from "../clock.ts";
import { NotFoundError, TimeoutError } from "../errors.ts";
import { printable } from "../log.ts";
import type { Peer } from "../peer.ts";
import { describeTried } from "../reach_search.ts";
import { OwnPeerWanted } from "./control/host.ts";
import { type UsedPeer, usePeer } from "./open_peer.ts";
import { interrupted, isHomeHeld } from "./running.ts";
import type { Invocation } from "./verbs.ts";

/** How long to look for somebody who takes part, in milliseconds. */
export const LOOK_MS = 3_000;

/** How long it may then take, in milliseconds. */
const ASK_MS = 30_000;

/** How often to see whether somebody was found, in milliseconds. */
const SEE_MS = 50;

/** A signal that fires at ^C and when it takes too long; disposing stops its clock. */
export interface Patience extends Disposable {
  /** The signal. */
  readonly signal: AbortSignal;
}

/** How long to wait for an answer: as long as `--timeout` says. */
export function patience(invocation: Invocation, usualMs: number = ASK_MS): Patience {
  const timeoutMs = invocation.options.milliseconds("timeout") ?? usualMs;
  const late = new AbortController();
  const timer = systemClock.after(timeoutMs, () => {
    late.abort(new TimeoutError(`It took longer than ${timeoutMs / 1_000} s`));
  });
  const signal = AbortSignal.any([invocation.signal, late.signal]);
  return { signal, [Symbol.dispose]: () => timer.cancel() };
}

/** A peer that knows nodes of the DHT. @throws {NotFoundError} `no-peer` when there are none, with what was tried. */
export async function openClient(invocation: Invocation): Promise<UsedPeer> {
  if (invocation.host?.options.text("dht") === "off") {
    throw new OwnPeerWanted("the running peer is not in the DHT");
  }
  await using stack = new AsyncDisposableStack();
  const how = { clientOnly: true, seeds: true, dht: { mode: "client" } } as const;
  const used = stack.use(await usePeer(invocation, how));
  const { peer } = used;
  // A running peer that others ask is a node, too.
  if (peer.dht.mode === "server") {
    stack.move();
    return used;
  }
  using looking = patience(invocation, LOOK_MS);
  await Promise.race([peer.dht.join(), interrupted(looking.signal)]);
  while (peer.dht.stat().nodes === 0 && !looking.signal.aborted) {
    await sleep(systemClock, SEE_MS, looking).catch(() => {}); // it is over
  }
  invocation.signal.throwIfAborted();
  if (peer.dht.stat().nodes === 0) throw nobody(peer, invocation);
  stack.move();
  return used;
}

/** The error where nobody takes part. */
function nobody({ discovery }: Peer, invocation: Invocation): Error {
  const { asked, obstacle } = discovery;
  const tried = [...invocation.options.texts("peer"), ...asked];
  if (tried.length === 0 && obstacle !== undefined) return obstacle;
  const hint = isHomeHeld(invocation)
    ? "; a kith that runs with this home is the same peer, which does not ask itself: with --home " +
      "DIR or --ephemeral this one is another"
    : "; kith up runs one, and --peer HOST:PORT says where one is";
  return noNode(tried, hint);
}

/** How many nodes were there to ask, for people. */
export function knownNodes(nodes: number): string {
  return nodes === 1 ? "1 node is known" : `${nodes} nodes are known`;
}

/** The error where no node answers. @param hint What would help. */
export function noNode(tried: readonly string[], hint: string): NotFoundError {
  const where = tried.length === 0
    ? "nobody could be asked"
    : describeTried(tried.map((way) => printable(way, 80)));
  return new NotFoundError("no-peer", `No node of the DHT was found: ${where}${hint}`, {
    details: { tried },
  });
}
