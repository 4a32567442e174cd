/**
 * A network in memory: hosts that reach each other by name, with the latency, loss, reordering, partitions and deaths
 * of a real one, decided by a seed. What is written against {@linkcode Transport} runs on it unchanged.
 *
 * @module
 */

import { type Clock, systemClock } from "../clock.ts";
import { Fabric, latencyRange } from "./memory_fabric.ts";
import { MemoryHost } from "./memory_host.ts";
import type { Transport } from "./transport.ts";

/** What a {@linkcode MemoryNetwork} is like. */
export interface MemoryNetworkOptions {
  /** Decides every latency, loss, duplication and reordering. @default {1} */
  seed?: number;
  /** What latency is measured on. Without latency nothing waits for it. @default {systemClock} */
  clock?: Clock;
  /** One-way delay between two hosts, or its range. @default {0} */
  latencyMs?: number | readonly [least: number, most: number];
  /** Bytes of a connection, each way, that may be under way or unread before a write waits. @default {262144} */
  bufferBytes?: number;
  /** How fast each host can send to all others together. @default {Infinity} */
  uplinkBytesPerSecond?: number;
  /** Chance that a datagram is lost, 0..1. @default {0} */
  loss?: number;
  /** Chance that a datagram arrives twice, 0..1. @default {0} */
  duplication?: number;
  /** Chance that a datagram is held back by `reorderMs`, so that later ones overtake it, 0..1. @default {0} */
  reordering?: number;
  /** How long a reordered datagram is held back. @default {10} */
  reorderMs?: number;
}

/**
 * A network in memory.
 *
 * Every name is a host as soon as it is asked for. A host has one address, its name, and knows itself as `127.0.0.1`
 * too; it reaches itself without latency or loss. Without latency (the default) everything happens at once, whatever
 * the clock, and nothing in here yields to the event loop: a loop that a timer shall stop has to wait for something
 * else as well. With latency, close the network (or declare it with `using`), or timers of what is still under way
 * outlive a test.
 *
 * The same seed and the same calls in the same order give the same events, on a {@linkcode ManualClock} to the
 * millisecond.
 *
 * @example
 * ```ts
 * import { MemoryNetwork } from "@kith/kith/transport";
 * import { assertEquals } from "@std/assert";
 *
 * const network = new MemoryNetwork();
 * const alice = await network.host("alice").datagram({ port: 1 });
 * const bob = await network.host("bob").datagram();
 * await bob.send(new Uint8Array([7]), { hostname: "alice", port: 1 });
 * const datagram = await alice.receive();
 * assertEquals(datagram, { data: new Uint8Array([7]), from: bob.address });
 * ```
 */
export class MemoryNetwork implements Disposable {
  readonly #fabric: Fabric;
  readonly #hosts = new Map<string, MemoryHost>();

  /**
   * Makes a network without hosts.
   *
   * @throws {RangeError} for a chance outside 0..1, or a time or size below 0.
   */
  constructor(options: MemoryNetworkOptions = {}) {
    this.#fabric = new Fabric(validated({
      seed: 1,
      clock: systemClock,
      latencyMs: 0,
      bufferBytes: 256 * 1024,
      uplinkBytesPerSecond: Infinity,
      loss: 0,
      duplication: 0,
      reordering: 0,
      reorderMs: 10,
      ...options,
    }));
  }

  /** The sockets of the host of that name, which exists from now on. The same name is the same host. */
  host(name: string): Transport {
    let host = this.#hosts.get(name);
    if (host === undefined) {
      this.#hosts.set(name, host = new MemoryHost(name, this.#fabric, this.#hosts));
    }
    return host;
  }

  /**
   * Splits the network: hosts in different groups do not reach each other, nor do hosts in a group and those in none.
   * Datagrams between them are lost; streams and connects wait. Replaces the partition before.
   */
  partition(groups: readonly (readonly string[])[]): void {
    this.#fabric.partition(groups);
  }

  /** Ends the partition; streams go on where they stopped. */
  heal(): void {
    this.#fabric.partition([]);
  }

  /**
   * Kills a host's program: its sockets close and its connections break, at the other end as soon as the network can
   * tell. The host can be used again, as after a restart.
   */
  kill(name: string): void {
    this.#hosts.get(name)?.kill();
  }

  /** Kills every host and forgets what is under way. Harmless when closed. */
  close(): void {
    for (const host of this.#hosts.values()) host.kill();
    this.#fabric.clear();
  }

  /** The same as {@linkcode MemoryNetwork.close}. */
  [Symbol.dispose](): void {
    this.close();
  }
}

function validated(options: Required<MemoryNetworkOptions>): Required<MemoryNetworkOptions> {
  const [least, most] = latencyRange(options.latencyMs);
  const { loss, duplication, reordering, reorderMs, bufferBytes, uplinkBytesPerSecond } = options;
  for (const [name, chance] of Object.entries({ loss, duplication, reordering })) {
    if (chance >= 0 && chance <= 1) continue;
    throw new RangeError(`${name} must be 0..1: current value is ${chance}`);
  }
  if (!(least >= 0 && most >= least && reorderMs >= 0)) {
    throw new RangeError("latencyMs and reorderMs must not be negative, nor a range run backwards");
  }
  if (!(bufferBytes >= 1 && uplinkBytesPerSecond > 0)) {
    throw new RangeError("bufferBytes and uplinkBytesPerSecond must be positive");
  }
  return options;
}
