/**
 * Simulated nodes of the DHT that know each other as the protocol has it: each joins by one who is there.
 *
 * @module
 */

import { ManualClock } from "../clock.ts";
import { Post } from "./dht_post.ts";
import { SimDhtNode, type SimDhtNodeOptions } from "./dht_node.ts";
import type { SimHost } from "./host.ts";
import type { Simulation } from "./simulation.ts";

/** How a {@linkcode DhtSwarm} is made. */
export interface DhtSwarmOptions extends Pick<SimDhtNodeOptions, "tuning"> {
  /** Makes a node. @default {new SimDhtNode(host, options)} */
  readonly make?: (host: SimHost, options: SimDhtNodeOptions) => SimDhtNode;
  /** Hears how far it is, in simulated milliseconds, about every fifty. @default {() => {}} */
  readonly onProgress?: (ms: number) => Promise<void> | void;
}

/** How often it is told how far it is, in simulated milliseconds. */
const PROGRESS_MS = 50;

/** Nodes `n0`, `n1`, ...; see the module. */
export class DhtSwarm {
  /** Where they live. */
  readonly simulation: Simulation;
  readonly #options: DhtSwarmOptions;
  readonly #nodes = new Map<string, SimDhtNode>();
  readonly #post = new Post();
  readonly #promises = new ManualClock(); // that waits for them is all we want of it
  #fault: { readonly why: unknown } | undefined;
  #toldMs = 0;

  /** Nobody is there. */
  constructor(simulation: Simulation, options: DhtSwarmOptions = {}) {
    this.simulation = simulation;
    this.#options = options;
  }

  /** Those who run, in the order in which they came. */
  get running(): SimDhtNode[] {
    return this.simulation.running.flatMap((name) => this.#nodes.get(name) ?? []);
  }

  /** Adds a node that joins by others and looks after what is due from then on. @returns it, before it has joined. */
  spawn(name: string, by: readonly SimDhtNode[]): SimDhtNode {
    const { make = (host, options) => new SimDhtNode(host, options), tuning = {} } = this.#options;
    const made = this.simulation.spawn(name, (host) =>
      make(host, {
        tuning,
        post: this.#post,
        nowMs: () => this.simulation.nowMs,
        onFault: (why) => this.#fault ??= { why },
      }));
    this.#nodes.set(name, made);
    made.node.start();
    made.node.begin(made.node.join(by.map(({ contact }) => contact.address)));
    return made;
  }

  /** Cuts the power of a node. */
  kill(name: string): void {
    this.simulation.kill(name);
    const made = this.#nodes.get(name);
    if (made !== undefined) this.#later(made.node.close());
  }

  /**
   * Lets time go by. What promises settle is done once in a while, so a machine takes up to that long for it; much faster
   * than {@linkcode Simulation.runAsync}.
   *
   * @param everyMs How often. @default {1}
   * @throws what is our own fault.
   */
  async pass(ms: number, everyMs = 1): Promise<void> {
    const untilMs = this.simulation.nowMs + ms;
    do {
      this.simulation.run(Math.min(everyMs, untilMs - this.simulation.nowMs));
      await this.#promises.advance(0);
      if (this.#fault !== undefined) throw new Error(String(this.#fault.why));
      await this.#tell();
    } while (this.simulation.nowMs < untilMs);
  }

  /** Lets time go by until something is done. @throws what it throws. */
  async until<Result>(work: Promise<Result>, everyMs = 1): Promise<Result> {
    let isOver = false;
    const over = () => void (isOver = true);
    work.then(over, over);
    while (!isOver) await this.pass(everyMs, everyMs);
    return await work;
  }

  /** Ends all of them. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#nodes.values().map(({ node }) => node.close()));
  }

  async #tell(): Promise<void> {
    const { nowMs } = this.simulation;
    if (nowMs - this.#toldMs < PROGRESS_MS) return;
    this.#toldMs = nowMs;
    await this.#options.onProgress?.(nowMs);
  }

  #later(work: Promise<void>): void {
    work.catch((why) => this.#fault ??= { why });
  }
}
