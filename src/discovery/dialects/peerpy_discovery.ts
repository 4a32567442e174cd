/**
 * Peerpy's discovery: a PING to everybody, from whoever is visible a PONG that says where it listens.
 *
 * ```
 * asker, a port of its own                                  visible peer, port 1024
 *   PING|pinger=192.168.0.2:49152|||...   -> broadcast ->
 *                                         <-------------   PONG|ponger=192.168.0.3:62626|||...
 * ```
 *
 * IPv4 only, as everything of peerpy's. Nothing in it is proven: a found peer's host is the source of its PONG, and
 * only the port is taken from what it says.
 *
 * @module
 */

import { sleep } from "../../clock.ts";
import { ClosedError, InvalidPacketError } from "../../errors.ts";
import {
  type Address,
  type Datagram,
  formatAddress,
  parseAddress,
} from "../../transport/transport.ts";
import { decodeTextHeader, parsePong, pingHeader } from "../../wire/text_header.ts";
import { Findings } from "./broadcasts_findings.ts";
import { BroadcastLan, type BroadcastOptions } from "./broadcasts_lan.ts";
import type { FindForeignOptions, ForeignDiscovery, ForeignPeer } from "../foreign.ts";
import { type PeerpyAnnouncement, PeerpyResponder } from "./peerpy_responder.ts";

/** The UDP port of peerpy's discovery. */
export const PEERPY_PORT = 1024;

/** A round of asking is over when so many milliseconds passed without an answer, as in the original. */
const QUIET_MS = 500;
/** Or after this many: who answers without end does not keep us from asking again. */
const LONGEST_ROUND_MS = 5_000;
/** Between the end of a round and the next: packets get lost, peers start late. */
const PAUSE_MS = 2_500;
/** Most peers one search collects: a bound on what strangers can make us remember. */
const MAX_FOUND = 4_096;

/** What {@linkcode PeerpyDiscovery} needs. */
export interface PeerpyDiscoveryOptions extends BroadcastOptions {
  /** Whom to announce; without it, this end looks and is invisible. */
  announce?: PeerpyAnnouncement;
  /** The port for questions. @default {1024} */
  port?: number;
}

/**
 * Finds peerpy's peers and, where it announces one, is found by them; see the module.
 *
 * @example
 * ```ts
 * import { ManualClock } from "@kith/kith";
 * import { PeerpyDiscovery } from "@kith/kith/discovery";
 * import { MemoryNetwork } from "@kith/kith/transport";
 * import { assertEquals } from "@std/assert";
 *
 * const [network, clock] = [new MemoryNetwork(), new ManualClock()];
 * const lan = { name: "lan", family: "IPv4", broadcast: undefined, index: undefined } as const;
 * const on = (address: string) => ({
 *   clock,
 *   transport: network.host(address),
 *   interfaces: () => [{ ...lan, address, loopback: false }],
 * });
 * await using bob = await PeerpyDiscovery.open({ ...on("bob"), announce: { port: 62626 } });
 * await using alice = await PeerpyDiscovery.open(on("alice"));
 * const end = new AbortController();
 * const looking = Array.fromAsync(alice.find({ signal: end.signal }));
 * await clock.advance(500);
 * end.abort();
 * const found = (await looking).map(({ address }) => address);
 * assertEquals(found, [{ hostname: "bob", port: 62626 }]);
 * ```
 */
export class PeerpyDiscovery implements ForeignDiscovery {
  /** Which program's way it speaks. */
  readonly dialect = "peerpy";
  readonly #lan: BroadcastLan;
  readonly #port: number;
  readonly #closing = new AbortController();
  readonly #searches = new Set<Promise<void>>();
  /** The addresses that we ask from now: what comes from them is our own. */
  readonly #askers = new Set<string>();
  #responder: PeerpyResponder | undefined;

  private constructor(options: PeerpyDiscoveryOptions) {
    this.#lan = new BroadcastLan("peerpy", options);
    this.#port = options.port ?? PEERPY_PORT;
  }

  /**
   * Opens discovery and, where there is somebody to announce, becomes visible.
   *
   * @throws {TransportError} when the port is taken by a program that does not share it (`details.inUse`).
   * @throws {UnsupportedError} when UDP is not to be had.
   * @throws {RangeError} for a port that cannot be connected to.
   */
  static async open(options: PeerpyDiscoveryOptions = {}): Promise<PeerpyDiscovery> {
    const { announce } = options;
    const discovery = new PeerpyDiscovery(options);
    if (announce === undefined) return discovery;
    if (!isPort(announce.port)) {
      throw new RangeError(`announce.port must be 1..65535: current value is ${announce.port}`);
    }
    discovery.#responder = await PeerpyResponder.open(discovery.#lan, {
      announce,
      port: discovery.#port,
      isOwn: (asker) => discovery.#askers.has(formatAddress(asker)),
    });
    return discovery;
  }

  /**
   * Peers as they are found, asking again and again until the signal aborts or discovery is closed. Their ids are what
   * they call themselves, `host:port`.
   *
   * @throws {ClosedError} when discovery is closed.
   */
  async *find(options: FindForeignOptions = {}): AsyncGenerator<ForeignPeer, void, void> {
    if (this.#closing.signal.aborted) {
      throw new ClosedError("Cannot look for peerpy peers: discovery is closed");
    }
    const stop = new AbortController();
    const signals = [stop.signal, this.#closing.signal];
    if (options.signal !== undefined) signals.push(options.signal);
    const signal = AbortSignal.any(signals);
    const findings = new Findings(signal);
    const search = this.#search(findings, signal);
    this.#searches.add(search);
    try {
      yield* findings.results();
    } finally {
      stop.abort();
      await search;
      this.#searches.delete(search);
    }
  }

  /** Stops answering and looking. Harmless when closed. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#responder?.close();
    await Promise.all(this.#searches);
  }

  /** The same as {@linkcode PeerpyDiscovery.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #search(findings: Findings, signal: AbortSignal): Promise<void> {
    const found = new Set<string>();
    const take = (peer: ForeignPeer) => {
      const key = formatAddress(peer.address);
      if (found.has(key) || found.size >= MAX_FOUND) return;
      found.add(key);
      findings.add(key, peer);
    };
    while (!signal.aborted) {
      await this.#lan.tolerate("ask for peerpy peers", async () => {
        await unlessStopped(this.#ask(take, signal), signal);
      });
      await unlessStopped(sleep(this.#lan.clock, PAUSE_MS, { signal }), signal);
    }
  }

  /** Asks once by every interface, and listens until it is quiet. */
  async #ask(take: (peer: ForeignPeer) => void, signal: AbortSignal): Promise<void> {
    const { clock } = this.#lan;
    await using stack = new AsyncDisposableStack();
    const senders = stack.use(await this.#lan.openSenders());
    let heardMs = clock.now();
    for (const socket of senders.sockets) {
      const asker = formatAddress(socket.address);
      this.#askers.add(asker);
      stack.defer(() => void this.#askers.delete(asker));
      stack.use(this.#lan.receive(socket, (pong) => {
        take(readPong(pong));
        heardMs = clock.now();
      }));
    }
    await senders.send(this.#port, ({ address }) => pingHeader(formatAddress(address)));
    const untilMs = clock.now() + LONGEST_ROUND_MS;
    for (;;) {
      const nowMs = clock.now();
      const leftMs = Math.min(heardMs + QUIET_MS, untilMs) - nowMs;
      if (leftMs <= 0) return;
      await sleep(clock, leftMs, { signal });
    }
  }
}

/** What a PONG says, from where it came. The seed spells it like a PING. */
function readPong({ data, from }: Datagram): ForeignPeer {
  const ponger = parsePong(decodeTextHeader(data, { expectAnswer: true }));
  const port = parseAddress(ponger)?.port;
  if (port === undefined || !isPort(port)) {
    const text = "Cannot decode text header: ponger has no port to connect to";
    throw new InvalidPacketError("bad-message", text, { details: { field: "ponger" } });
  }
  const address: Address = { hostname: from.hostname, port };
  return { dialect: "peerpy", id: ponger, name: "", address, protocols: [] };
}

function isPort(port: number): boolean {
  return Number.isInteger(port) && port >= 1 && port <= 65535;
}

/** Waits for what a signal ends early, which is not a failure. */
async function unlessStopped(work: Promise<void>, signal: AbortSignal): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
