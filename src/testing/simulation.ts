/**
 * A network of simulated nodes: real protocol cores on a virtual clock, with delay, loss, duplication, reordering,
 * partitions, pauses, clock skew and narrow uplinks. One event happens after the other, everything that is drawn comes
 * from the seed, and so the same seed gives the same run, whose fingerprint {@linkcode Simulation.hash} proves it.
 *
 * @module
 */

import { ManualClock } from "../clock.ts";
import { nodeOf, type SimEvent, type TimerEvent } from "./events.ts";
import { SimulationError } from "./failure.ts";
import { applyFault, type Fault } from "./faults.ts";
import type { SimHost, SimNode } from "./host.ts";
import { Life, type World } from "./life.ts";
import type { LinkOptions } from "./link.ts";
import { Machine, type NodeStats, sumStats } from "./machine.ts";
import { Network } from "./network.ts";
import {
  requirePositive,
  requireZeroOrMore,
  type SimTotals,
  type SimulationOptions,
  type SpawnOptions,
} from "./options.ts";
import { ceilToTick } from "./ticks.ts";
import { HAPPENED, Timeline } from "./timeline.ts";

/**
 * A simulated network; see the module.
 *
 * @example
 * ```ts
 * import { Simulation } from "@kith/kith/testing";
 * import { assertEquals } from "@std/assert";
 *
 * using simulation = new Simulation({ seed: 7, link: { delayMs: 5 } });
 * const heard: string[] = [];
 * const bob = simulation.spawn("bob", (host) => ({
 *   host,
 *   receive: (packet) => heard.push(`${packet[0]} at ${host.clock.now()} ms`),
 * }));
 * simulation.spawn("alice", (host) => {
 *   host.clock.after(10, () => host.send(Uint8Array.of(42), bob.host.address));
 *   return { receive: () => {} };
 * });
 * simulation.run(1000);
 * assertEquals(heard, ["42 at 15 ms"]);
 * ```
 */
export class Simulation implements Disposable {
  /** What everything that is drawn comes from. */
  readonly seed: number;
  readonly #timeline = new Timeline();
  readonly #network: Network;
  readonly #world: World;
  readonly #machines = new Map<string, Machine>();
  readonly #uplinkBytesPerSecond: number;
  #busy = false;
  #closed = false;

  /**
   * An empty network at 0 ms.
   *
   * @throws {RangeError} for a link or a limit that makes no sense.
   */
  constructor(options: SimulationOptions) {
    const { seed, link = {}, uplinkBytesPerSecond = Infinity } = options;
    const { uplinkQueueMs = 1000, inboxBytes = 212_992 } = options;
    requirePositive("Uplink", uplinkBytesPerSecond);
    requireZeroOrMore("Uplink queue", uplinkQueueMs);
    requireZeroOrMore("Inbox", inboxBytes);
    this.seed = seed;
    this.#uplinkBytesPerSecond = uplinkBytesPerSecond;
    this.#network = new Network(this.#timeline, { link, uplinkQueueMs, inboxBytes });
    this.#world = { seed, timeline: this.#timeline, network: this.#network };
  }

  /** Now, in milliseconds since the start. */
  get nowMs(): number {
    return this.#timeline.nowMs;
  }

  /** The fingerprint of every event so far: time, kind, from, to, bytes. 16 hexadecimal digits. */
  get hash(): string {
    return this.#timeline.hash.hex;
  }

  /** The names of the nodes that run, in the order they were spawned. */
  get running(): string[] {
    return [...this.#machines.values()].filter((one) => one.life !== undefined)
      .map((one) => one.name);
  }

  /** The sums of what the nodes did. */
  get totals(): SimTotals {
    return { ...sumStats(this.#machines.values()), events: this.#timeline.events };
  }

  /** What a node did, over all its lives. @throws {RangeError} for a name that was not spawned. */
  stats(name: string): NodeStats {
    return { ...this.#machine(name).stats };
  }

  /**
   * Adds a node and starts it.
   *
   * @param make Makes the node of every life; it may set timers and send already.
   * @throws {RangeError} for a name that is taken, or options that make no sense.
   */
  spawn<Made extends SimNode>(
    name: string,
    make: (host: SimHost) => Made,
    options: SpawnOptions = {},
  ): Made {
    const { skewMs = 0, drift = 0 } = options;
    const uplinkBytesPerSecond = options.uplinkBytesPerSecond ?? this.#uplinkBytesPerSecond;
    if (this.#closed) throw new TypeError("Cannot spawn: the simulation is closed");
    if (this.#machines.has(name)) throw new RangeError(`Node ${name} was spawned already`);
    const own = { skewMs, drift, uplinkBytesPerSecond };
    const machine = new Machine({
      name,
      index: this.#machines.size,
      seed: this.seed,
      make,
      ...own,
    });
    this.#machines.set(name, machine);
    this.#network.add(machine);
    return this.#start(machine, make);
  }

  /**
   * Cuts the power of a node: nothing of it runs any more, and nobody refuses what is sent to it. Harmless when it is
   * dead.
   *
   * @throws {RangeError} for a name that was not spawned, here and below.
   */
  kill(name: string): void {
    const machine = this.#machine(name);
    this.#recordChange("kill", machine);
    machine.up = false;
    machine.uplinkFreeAtMs = 0;
    machine.endLife();
  }

  /**
   * Ends a node in order: it is closed, which may send a last word, and its machine refuses requests. Harmless when it
   * is dead.
   */
  stop(name: string): void {
    const machine = this.#machine(name);
    this.#recordChange("stop", machine);
    try {
      machine.life?.node?.close?.();
    } finally {
      machine.endLife();
    }
  }

  /**
   * Starts a new life of a node, at the same address and without any memory but what its maker kept; one that runs is
   * killed first.
   */
  restart(name: string): SimNode {
    const machine = this.#machine(name);
    machine.endLife();
    machine.up = true;
    return this.#start(machine, machine.make);
  }

  /**
   * Stops a node for `ms`, as SIGSTOP does: its timers and what comes in wait. Afterwards, as after SIGCONT, the timers
   * that are due fire first, then come the packets. Harmless when it is dead.
   */
  pause(name: string, ms: number): void {
    requireZeroOrMore("Pause", ms);
    const machine = this.#machine(name);
    this.#recordChange("pause", machine);
    const { life } = machine;
    if (life === undefined) return;
    const untilMs = ceilToTick(this.nowMs + ms);
    life.pausedUntilMs = Math.max(life.pausedUntilMs, untilMs);
    this.#timeline.schedule(untilMs, { kind: "resume", life });
  }

  /**
   * Divides the network: nodes reach only those of their own group. Whoever is in none is in one more, together with
   * the others of that kind. It replaces the partition there was.
   *
   * @throws {RangeError} for a name that was not spawned or is in two groups.
   */
  partition(groups: readonly (readonly string[])[]): void {
    const members = groups.map((names) => names.map((name) => this.#machine(name)));
    const named = members.flat();
    if (new Set(named).size < named.length) {
      throw new RangeError("Cannot divide the network: a node is in two groups");
    }
    this.heal();
    members.forEach((group, index) => group.forEach((machine) => machine.group = index + 1));
    this.#recordChange(`partition ${JSON.stringify(groups)}`);
  }

  /** Ends the partition. */
  heal(): void {
    this.#recordChange("heal");
    for (const machine of this.#machines.values()) machine.group = 0;
  }

  /**
   * Blocks datagrams from and to some nodes, or lets them through again, as a firewall does; streams still pass.
   *
   * @param names Which nodes. @default all that were spawned
   */
  blockDatagrams(blocked: boolean, names: readonly string[] = [...this.#machines.keys()]): void {
    for (const name of names) this.#machine(name).datagramsBlocked = blocked;
    this.#recordChange(`block ${blocked} ${JSON.stringify(names)}`);
  }

  /**
   * Changes links from now on: all that were not changed on their own, or those between two nodes, in both directions
   * or only from the first to the second.
   */
  setLink(
    changes: Partial<LinkOptions>,
    between?: readonly [string, string],
    options: { oneWay?: boolean } = {},
  ): void {
    this.#recordChange(`link ${JSON.stringify([changes, between, options])}`);
    if (between === undefined) return this.#network.changeLinks(changes);
    const [from, to] = [this.#machine(between[0]), this.#machine(between[1])];
    this.#network.changeLink(from, to, changes);
    if (options.oneWay !== true) this.#network.changeLink(to, from, changes);
  }

  /** Lets faults happen at their times; those that are past happen as soon as time goes on. */
  schedule(faults: readonly Fault[]): void {
    for (const fault of faults) this.#timeline.schedule(fault.atMs, { kind: "fault", fault });
  }

  /**
   * Lets `ms` go by.
   *
   * @throws {SimulationError} for what a node threw, or when it made time stand still.
   */
  run(ms: number): void {
    requireZeroOrMore("Time to run", ms);
    const untilMs = ceilToTick(this.nowMs + ms);
    while (this.#step(untilMs));
  }

  /**
   * Lets time go by until `predicate` holds, which is asked every `everyMs`.
   *
   * @param everyMs How long to run between two questions, in milliseconds. @default {100}
   * @returns whether it holds after at most `limitMs`.
   * @throws {SimulationError} as {@linkcode Simulation.run} does.
   */
  runUntil(predicate: () => boolean, limitMs: number, everyMs = 100): boolean {
    requireZeroOrMore("Time to run", limitMs);
    requirePositive("Time between questions", everyMs);
    const untilMs = this.nowMs + limitMs;
    while (!predicate()) {
      if (this.nowMs >= untilMs) return false;
      this.run(Math.min(everyMs, untilMs - this.nowMs));
    }
    return true;
  }

  /**
   * Lets `ms` go by for nodes that use promises: all that an event settled has run before the next event. Much slower
   * than {@linkcode Simulation.run}.
   *
   * @throws {SimulationError} as {@linkcode Simulation.run} does.
   */
  async runAsync(ms: number): Promise<void> {
    requireZeroOrMore("Time to run", ms);
    const untilMs = ceilToTick(this.nowMs + ms);
    const promises = new ManualClock(); // that waits for them is all we want of it
    do await promises.advance(0); while (this.#step(untilMs));
  }

  /** Ends every node and closes it, which can send no more. Harmless when closed. */
  close(): void {
    this.#closed = true;
    using closing = new DisposableStack();
    for (const machine of this.#machines.values()) {
      const node = machine.life?.node;
      machine.endLife();
      closing.defer(() => node?.close?.());
    }
  }

  /** Closes it. */
  [Symbol.dispose](): void {
    this.close();
  }

  #step(untilMs: number): boolean {
    if (this.#busy) throw new TypeError("Cannot run a simulation from inside of it");
    const event = this.#timeline.next(untilMs);
    if (event === undefined) return false;
    this.#busy = true;
    try {
      this.#happen(event);
    } catch (cause) {
      throw new SimulationError(cause, { seed: this.seed, atMs: this.nowMs, node: nodeOf(event) });
    } finally {
      this.#busy = false;
    }
    return true;
  }

  #happen(event: SimEvent): void {
    switch (event.kind) {
      case "timer":
        return this.#fire(event);
      case "datagram":
        return this.#network.deliver(event);
      case "stream":
        return event.arriving
          ? this.#network.deliverStream(event.message)
          : this.#network.transmit(event.message);
      case "resume":
        return this.#resume(event.life);
      case "fault":
        return applyFault(this, event.fault);
      default:
        event satisfies never;
    }
  }

  #fire(timer: TimerEvent): void {
    const { life, callback } = timer;
    if (life.ended || callback === undefined) return;
    if (life.pausedUntilMs > 0) return void life.held.push(timer);
    const { index } = life.machine;
    this.#timeline.record(HAPPENED.timer, index, index, 0);
    timer.callback = undefined;
    callback();
  }

  #resume(life: Life): void {
    if (life.ended || life.pausedUntilMs > this.nowMs) return; // paused once more
    life.pausedUntilMs = 0;
    for (const event of life.takeHeld()) this.#happen(event);
  }

  #start<Made extends SimNode>(machine: Machine, make: (host: SimHost) => Made): Made {
    this.#recordChange(`start ${machine.name}`, machine);
    const life = new Life(this.#world, machine);
    machine.life = life;
    try {
      const node = make(life);
      life.node = node;
      return node;
    } finally {
      if (life.node === undefined) machine.endLife(); // it could not be made
    }
  }

  #machine(name: string): Machine {
    const machine = this.#machines.get(name);
    if (machine === undefined) throw new RangeError(`Node ${name} was not spawned`);
    return machine;
  }

  #recordChange(what: string, machine?: Machine): void {
    const index = machine?.index ?? -1;
    this.#timeline.hash.text(what);
    this.#timeline.record(HAPPENED.changed, index, index, 0);
  }
}
