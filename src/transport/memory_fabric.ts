/**
 * What lies between the hosts of a {@linkcode MemoryNetwork}: when and whether something arrives.
 *
 * @module
 */

import { type Clock, seededRandom, sleep, type Timer } from "../clock.ts";
import type { MemoryNetworkOptions } from "./memory.ts";
import type { Path } from "./memory_stream.ts";

/** Time, chance, uplinks and partitions of one network. Hosts are known by name. */
export class Fabric {
  readonly #options: Required<MemoryNetworkOptions>;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #latencyMs: readonly [least: number, most: number];
  readonly #uplinkFreeMs = new Map<string, number>();
  readonly #flights = new Set<Timer>();
  readonly #watchers = new Set<() => void>();
  #groups = new Map<string, number>();

  constructor(options: Required<MemoryNetworkOptions>) {
    this.#options = options;
    this.#clock = options.clock;
    this.#random = seededRandom(options.seed);
    this.#latencyMs = latencyRange(options.latencyMs);
  }

  /** Sets who reaches whom, and tells those who wait for it. */
  partition(groups: readonly (readonly string[])[]): void {
    this.#groups = new Map(groups.flatMap((names, at) => names.map((name) => [name, at])));
    const watchers = [...this.#watchers];
    this.#watchers.clear();
    for (const watcher of watchers) watcher();
  }

  /** The way of a stream's bytes. */
  path(from: string, to: string): Path {
    return {
      clock: this.#clock,
      bufferBytes: this.#options.bufferBytes,
      arrivalMs: (bytes) => this.#arrivalMs(from, to, bytes),
      reachable: () => this.#reachable(from, to),
      whenChanged: (callback) => void this.#watchers.add(callback),
    };
  }

  /** The way of a packet: `deliver` is called for each copy that arrives, at once when there is no latency. */
  carry(from: string, to: string, data: Uint8Array, deliver: (copy: Uint8Array) => void): void {
    const { loss, duplication, reordering, reorderMs } = this.#options;
    if (from === to) return deliver(data.slice());
    if (!this.#reachable(from, to) || this.#happens(loss)) return;
    for (let copies = this.#happens(duplication) ? 2 : 1; copies > 0; copies--) {
      const copy = data.slice();
      const heldMs = this.#happens(reordering) ? reorderMs : 0;
      const delayMs = this.#arrivalMs(from, to, data.length) + heldMs - this.#clock.now();
      this.#fly(delayMs, () => {
        if (this.#reachable(from, to)) deliver(copy);
      });
    }
  }

  /** Waits as long as a small packet of a stream needs, which is sent again until it gets through. */
  async cross(from: string, to: string, signal: AbortSignal): Promise<void> {
    while (!this.#reachable(from, to)) await this.#change(signal);
    const delayMs = this.#arrivalMs(from, to, 0) - this.#clock.now();
    if (delayMs > 0) await sleep(this.#clock, delayMs, { signal });
  }

  /** Forgets the packets that are under way. */
  clear(): void {
    for (const flight of this.#flights) flight.cancel();
    this.#flights.clear();
    this.#watchers.clear();
  }

  #reachable(from: string, to: string): boolean {
    return from === to || this.#groups.get(from) === this.#groups.get(to);
  }

  // A host sends one thing after another: what is sent while its uplink is busy leaves when that is done.
  #arrivalMs(from: string, to: string, bytes: number): number {
    const nowMs = this.#clock.now();
    if (from === to) return nowMs;
    const freeMs = Math.max(nowMs, this.#uplinkFreeMs.get(from) ?? 0);
    const departureMs = freeMs + bytes * 1000 / this.#options.uplinkBytesPerSecond;
    this.#uplinkFreeMs.set(from, departureMs);
    const [least, most] = this.#latencyMs;
    return departureMs + (least === most ? least : least + this.#random() * (most - least));
  }

  #happens(chance: number): boolean {
    return chance > 0 && this.#random() < chance;
  }

  #fly(delayMs: number, land: () => void): void {
    if (delayMs <= 0) return land();
    const flight = this.#clock.after(delayMs, () => {
      this.#flights.delete(flight);
      land();
    });
    this.#flights.add(flight);
  }

  #change(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      signal.throwIfAborted();
      const onChange = () => {
        signal.removeEventListener("abort", onAbort);
        resolve();
      };
      const onAbort = () => {
        this.#watchers.delete(onChange);
        reject(signal.reason);
      };
      this.#watchers.add(onChange);
      signal.addEventListener("abort", onAbort, { once: true });
    });
  }
}

/** Least and most latency. */
export function latencyRange(
  latencyMs: number | readonly [least: number, most: number],
): readonly [least: number, most: number] {
  return typeof latencyMs === "number" ? [latencyMs, latencyMs] : latencyMs;
}
