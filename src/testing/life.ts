/**
 * One life of a simulated node: from its start until it is stopped or killed.
 *
 * @module
 */

import { type Clock, seededRandom, type Timer } from "../clock.ts";
import type { Address } from "../transport/transport.ts";
import { type HeldEvent, TimerEvent } from "./events.ts";
import type { SimHost, SimNode } from "./host.ts";
import { type Machine, seedFrom } from "./machine.ts";
import type { Network } from "./network.ts";
import { ceilToTick, TICK_MS } from "./ticks.ts";
import type { Timeline } from "./timeline.ts";

/** What every simulated wall clock without skew says at the start. */
const EPOCH_MS = Date.UTC(2026, 0, 1);

/** No simulation gets there; a timer that would fire later never does. */
const LAST_MS = 2 ** 42;

/** What a life needs of the world it is in. */
export interface World {
  readonly seed: number;
  readonly timeline: Timeline;
  readonly network: Network;
}

/** A running node and all that ends with it. */
export class Life implements SimHost {
  readonly machine: Machine;
  readonly name: string;
  readonly address: Address;
  readonly life: number;
  readonly clock: Clock;
  readonly #world: World;
  /** The program; missing only while it is being made. */
  node: SimNode | undefined;
  ended = false;
  /** Paused until then; 0 when it runs. */
  pausedUntilMs = 0;
  /** What waits for the end of the pause, in the order it came. */
  held: HeldEvent[] = [];
  /** Bytes of the datagrams that wait. */
  heldBytes = 0;

  constructor(world: World, machine: Machine) {
    this.#world = world;
    this.machine = machine;
    this.name = machine.name;
    this.address = machine.address;
    this.life = ++machine.lives;
    this.clock = new LifeClock(world, this);
  }

  send(packet: Uint8Array, to: Address): void {
    if (!this.ended) this.#world.network.send(this, packet, to);
  }

  ask(
    body: Uint8Array,
    to: Address,
    options: { timeoutMs: number },
    done: (answer: Uint8Array | undefined) => void,
  ): void {
    if (!this.ended) this.#world.network.ask(this, body, to, options.timeoutMs, done);
  }

  /** Ends it: what it began is forgotten, and what waits for it is lost. */
  end(): void {
    this.ended = true;
    for (const event of this.takeHeld()) {
      if (event.kind === "datagram") event.from.stats.packetsLost++;
    }
  }

  /** Takes what waits: the timers first, then what came in. */
  takeHeld(): HeldEvent[] {
    const held = this.held;
    this.held = [];
    this.heldBytes = 0;
    return [
      ...held.filter((event) => event.kind === "timer"),
      ...held.filter((event) => event.kind !== "timer"),
    ];
  }

  /** Told by a timer of this life. */
  timerCancelled(): void {
    this.#world.timeline.timerCancelled();
  }
}

/** The clock of one life. */
class LifeClock implements Clock {
  readonly random: () => number;
  readonly #timeline: Timeline;
  readonly #life: Life;
  readonly #bornMs: number;
  readonly #rate: number;
  readonly #epochMs: number;

  constructor(world: World, life: Life) {
    const { name, drift, skewMs } = life.machine;
    this.#timeline = world.timeline;
    this.#life = life;
    this.#bornMs = world.timeline.nowMs;
    this.#rate = 1 + drift;
    this.#epochMs = EPOCH_MS + skewMs;
    this.random = seededRandom(seedFrom(`${world.seed} life ${life.life} of ${name}`));
  }

  now(): number {
    return this.#localMs(this.#timeline.nowMs);
  }

  wallMs(): number {
    return this.#epochMs + this.#timeline.nowMs * this.#rate;
  }

  after(delayMs: number, callback: () => void): Timer {
    if (Number.isNaN(delayMs)) throw new RangeError("Delay of a timer must be a number: it is NaN");
    const nowMs = this.#timeline.nowMs;
    const waitMs = Math.max(0, delayMs);
    let atMs = ceilToTick(nowMs + waitMs / this.#rate);
    const timer = new TimerEvent(this.#life, callback);
    if (this.#life.ended || atMs > LAST_MS) return timer;
    // Who sets a timer for a deadline must find it passed when it fires, or would set it for ever.
    while (this.#localMs(atMs) < this.#localMs(nowMs) + waitMs) atMs += TICK_MS;
    timer.queued = true;
    this.#timeline.schedule(atMs, timer);
    return timer;
  }

  #localMs(ms: number): number {
    return (ms - this.#bornMs) * this.#rate;
  }
}
