/**
 * A group of simulated members, and what is seen from outside: who knows whom, and what happened to whom and when.
 *
 * @module
 */

import type { MemberChange, MemberState } from "../membership/member.ts";
import type { SwimTuning } from "../membership/options.ts";
import type { Address } from "../transport/transport.ts";
import type { SimHost } from "./host.ts";
import type { Simulation } from "./simulation.ts";
import { simSigner, SwimNode, type SwimNodeOptions } from "./swim_node.ts";

/** Members whose addresses each one keeps on its disk. */
const REMEMBERED = 3;

/** Differences that an error names. */
const NAMED_DIFFERENCES = 3;

/** How often a group is looked at while it is waited for, in simulated milliseconds. */
const ASKED_EVERY_MS = 250;

/** Somebody who is seen wrongly. */
interface Difference {
  /** Whether it is seen, but something that it said since is not known. */
  readonly isStale: boolean;
  readonly text: string;
}

/** How a {@linkcode SwimSwarm} is made. */
export interface SwimSwarmOptions {
  /** How many members. */
  readonly nodes: number;
  /**
   * Whether they know each other from the beginning, as a group that has long been there; else each joins some that
   * were there before it, all at the same time.
   *
   * @default {true}
   */
  readonly acquainted?: boolean;
  /** Whether a member that is restarted has lost its key, and is somebody else then. @default {false} */
  readonly newIdentities?: boolean;
  /** What differs from the protocol's defaults. @default {{}} */
  readonly tuning?: Partial<SwimTuning>;
  /** Makes a member. @default {new SwimNode(host, options)} */
  readonly make?: (host: SimHost, options: SwimNodeOptions) => SwimNode;
}

/** Something that a member has seen. */
export interface SwarmEvent {
  /** When, in simulated milliseconds. */
  readonly atMs: number;
  /** Who has seen it. */
  readonly by: string;
  /** What. */
  readonly type: MemberChange;
  /** Whom it happened to. */
  readonly about: string;
  /** Its incarnation: one suspicion of it, wherever it is heard of, has one. */
  readonly incarnation: number;
}

/** Members `n0`, `n1`, ...; see the module. */
export class SwimSwarm {
  /** Where they live. */
  readonly simulation: Simulation;
  /** What they have seen of each other so far, but for those who joined. */
  readonly events: SwarmEvent[] = [];
  /** Their names. */
  readonly names: readonly string[];
  readonly #options: SwimSwarmOptions;
  readonly #nodes = new Map<string, SwimNode>();
  readonly #nameOf = new Map<string, string>();
  readonly #addresses: Address[] = [];

  /** Starts them. */
  constructor(simulation: Simulation, options: SwimSwarmOptions) {
    this.simulation = simulation;
    this.#options = options;
    this.names = Array.from({ length: options.nodes }, (_, index) => `n${index}`);
    for (const name of this.names) simulation.spawn(name, (host) => this.#make(host));
    if (options.acquainted === false) return;
    const all = [...this.#nodes.values()].map(({ claim }) => claim);
    for (const node of this.#nodes.values()) node.acquaint(all);
  }

  /** Those who run. */
  get running(): SwimNode[] {
    return this.simulation.running.flatMap((name) => this.#nodes.get(name) ?? []);
  }

  /** The one of that name, in its present or its last life. @throws {RangeError} for a name that nobody has. */
  node(name: string): SwimNode {
    const node = this.#nodes.get(name);
    if (node === undefined) throw new RangeError(`There is no member ${name}`);
    return node;
  }

  /** Whether everybody who runs sees those who run, and nobody else. Whoever is suspected is seen. */
  get isOne(): boolean {
    return this.#hasRightCounts && !this.#differences(1).some(({ isStale }) => !isStale);
  }

  /** The same, and everybody knows the last that each has said of itself. */
  get isWhole(): boolean {
    return this.#hasRightCounts && this.#differences(1).length === 0;
  }

  /**
   * Lets time go by until the group is one.
   *
   * @returns how long that took, in milliseconds.
   * @throws {Error} when it is not after `limitMs`, naming some who are seen wrongly.
   */
  untilOne(limitMs: number): number {
    return this.#until(() => this.isOne, limitMs, "one");
  }

  /** The same until it is whole. @throws {Error} when it is not after `limitMs`. */
  untilWhole(limitMs: number): number {
    return this.#until(() => this.isWhole, limitMs, "whole");
  }

  /** What one believes of another; `undefined` when it does not know it. */
  stateAt(by: SwimNode, about: SwimNode): MemberState | undefined {
    return by.swim.members().find(({ peerId }) => peerId === about.peerId)?.state;
  }

  /** How often something happened that members count, all running ones together. */
  counted(what: string): number {
    const counts = this.running.map(({ metrics }) => metrics.counter(`membership.${what}`).value);
    return counts.reduce((sum, count) => sum + count, 0);
  }

  get #hasRightCounts(): boolean {
    const { running } = this;
    return running.every(({ swim }) => swim.present === running.length);
  }

  #until(holds: () => boolean, limitMs: number, what: string): number {
    const { simulation } = this;
    const fromMs = simulation.nowMs;
    if (simulation.runUntil(holds, limitMs, ASKED_EVERY_MS)) return simulation.nowMs - fromMs;
    const some = this.#differences(NAMED_DIFFERENCES).map(({ text }) => text).join(", ");
    throw new Error(`The group is not ${what} after ${limitMs} ms: ${some}`);
  }

  /** Who is seen wrongly, those who are only out of date last. */
  #differences(most: number): Difference[] {
    const { running } = this;
    const incarnations = new Map(running.map(({ peerId, swim }) => [peerId, swim.incarnation]));
    const [wrong, stale]: [Difference[], Difference[]] = [[], []];
    for (const { peerId: by, swim } of running) {
      const missing = new Set(incarnations.keys());
      missing.delete(by);
      const textOf = (peerId: string, how: string) => {
        return `${this.#nameOf.get(peerId)} ${how} at ${this.#nameOf.get(by)}`;
      };
      for (const { peerId, state, incarnation } of swim.members()) {
        if (state === "dead" || state === "gone") continue;
        if (!missing.delete(peerId)) {
          wrong.push({ isStale: false, text: textOf(peerId, "is a ghost") });
        } else if (incarnation !== incarnations.get(peerId)) {
          stale.push({ isStale: true, text: textOf(peerId, "is out of date") });
        }
      }
      for (const peerId of missing) {
        wrong.push({ isStale: false, text: textOf(peerId, "is missing") });
      }
      if (wrong.length >= most) return wrong;
    }
    return [...wrong, ...stale].slice(0, most);
  }

  #make(host: SimHost): SwimNode {
    const { tuning = {}, newIdentities = false, acquainted = true } = this.#options;
    const { make = (host, options) => new SwimNode(host, options) } = this.#options;
    const { name, life, clock, address } = host;
    const others = this.#addresses.filter((known) => known !== address);
    if (life === 1) this.#addresses.push(address);
    const node = make(host, {
      tuning,
      signer: simSigner(newIdentities ? `${name} in life ${life}` : name),
      onEvent: (event) => {
        if (!("member" in event) || event.type === "joined") return;
        const { peerId, incarnation } = event.member;
        const about = this.#nameOf.get(peerId) ?? peerId;
        const atMs = this.simulation.nowMs;
        this.events.push({ atMs, by: name, type: event.type, about, incarnation });
      },
    });
    this.#nameOf.set(node.peerId, name);
    this.#nodes.set(name, node);
    if (acquainted && life === 1) return node;
    const remembered = Array.from(
      { length: Math.min(REMEMBERED, others.length) },
      () => others[Math.floor(clock.random() * others.length)] ?? address,
    );
    node.swim.remember(remembered);
    for (const other of remembered) node.swim.join(other);
    return node;
  }
}
