/**
 * The DHT in `kith up`: the peer takes part, and says what it provides.
 *
 * @module
 */

import { sleep, systemClock } from "../clock.ts";
import type { DhtOptions } from "../dht/dht_options.ts";
import { PeerError } from "../errors.ts";
import { printable } from "../log.ts";
import type { Peer } from "../peer.ts";
import { checkedName } from "./dht_target.ts";
import { type Options, UsageError } from "./options.ts";
import type { Output } from "./output.ts";

/** How often to see whether somebody else has come, and to try again what nobody took, in milliseconds. */
const AGAIN_MS = 1_000;

/** How to take part. */
export interface DhtPart {
  /** As what; `undefined` for not at all. */
  readonly mode: DhtOptions["mode"];
  /** Names that the peer provides. */
  readonly provided: readonly string[];
}

/** How the options ask to take part. @throws {UsageError} for what cannot be. */
export function parsePart(options: Options): DhtPart {
  const word = options.choice("dht", ["server", "client", "auto", "off"]) ?? "server";
  const provided = [...new Set(options.texts("provide").map(checkedName))];
  if (word !== "off") return { mode: word, provided };
  if (provided.length === 0) return { mode: undefined, provided };
  throw new UsageError("Option --provide needs the DHT: --dht is off");
}

/** Takes part until the signal fires or the peer is closed, and tells when there is somebody else, and what is provided. */
export async function takePart(
  peer: Peer,
  { mode, provided }: DhtPart,
  { output, signal: interrupt }: { readonly output: Output; readonly signal: AbortSignal },
): Promise<void> {
  if (mode === undefined) return;
  const signal = AbortSignal.any([interrupt, peer.endpoint.signal]);
  try {
    await peer.dht.join();
    while (peer.dht.stat().nodes === 0) await sleep(systemClock, AGAIN_MS, { signal });
    const { mode, nodes } = peer.dht.stat();
    const known = nodes === 1 ? "1 other node is known" : `${nodes} other nodes are known`;
    output.result({ event: "dht-joined", mode, nodes }, `in the DHT as a ${mode}: ${known}`);
    await Promise.all(provided.map((name) => provide(peer, name, { output, signal })));
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

/** Says that the peer has something of a name: until somebody takes it, and from then on the DHT says it again. */
async function provide(
  { dht }: Peer,
  name: string,
  { output, signal }: { readonly output: Output; readonly signal: AbortSignal },
): Promise<void> {
  for (;;) {
    try {
      const { holders } = await dht.provide(name, undefined, { signal });
      const known = holders === 1 ? "1 node knows" : `${holders} nodes know`;
      const text = `provides ${printable(name, 64)}: ${known}`;
      return output.result({ event: "provided", name, holders }, text);
    } catch (error) {
      if (signal.aborted || !(error instanceof PeerError)) throw error;
      output.log.debug("nobody takes what is provided", { name, why: error.message });
      await sleep(systemClock, AGAIN_MS, { signal });
    }
  }
}
