/**
 * What can happen in a simulation, as it waits in the queue.
 *
 * @module
 */

import type { Timer } from "../clock.ts";
import type { Fault } from "./faults.ts";
import type { Life } from "./life.ts";
import type { Machine } from "./machine.ts";

/** Something that is to happen. */
export type SimEvent =
  | TimerEvent
  | DatagramEvent
  | StreamEvent
  | { readonly kind: "resume"; readonly life: Life }
  | { readonly kind: "fault"; readonly fault: Fault };

/** What waits while a life is paused. */
export type HeldEvent = TimerEvent | DatagramEvent | StreamEvent;

/** A timer of a life. */
export class TimerEvent implements Timer {
  readonly kind = "timer";
  readonly life: Life;
  /** What to call; taken away when it has fired or was cancelled. */
  callback: (() => void) | undefined;
  /** Whether it lies in the queue. */
  queued = false;

  constructor(life: Life, callback: () => void) {
    this.life = life;
    this.callback = callback;
  }

  cancel(): void {
    if (this.queued && this.callback !== undefined) this.life.timerCancelled();
    this.callback = undefined;
  }
}

/** A packet on its way. */
export interface DatagramEvent {
  readonly kind: "datagram";
  readonly from: Machine;
  readonly to: Machine;
  readonly port: number;
  readonly packet: Uint8Array;
}

/** A request or an answer on a stream: about to be sent (again), or arriving. */
export interface StreamEvent {
  readonly kind: "stream";
  readonly arriving: boolean;
  readonly message: StreamMessage;
}

/** One direction of an {@linkcode Ask}. */
export interface StreamMessage {
  readonly ask: Ask;
  readonly from: Machine;
  readonly to: Machine;
  /** Whose it is, and ends with; a machine alone refuses. */
  readonly sender: Life | undefined;
  /** `undefined` in an answer is a refusal. */
  readonly body: Uint8Array | undefined;
  readonly isAnswer: boolean;
  /** How often it was sent. */
  attempts: number;
}

/** A request that waits for its answer. */
export interface Ask {
  readonly asker: Life;
  readonly port: number;
  readonly done: (answer: Uint8Array | undefined) => void;
  readonly timer: Timer;
  over: boolean;
}

/** Whom an event happens to; `undefined` for the network as a whole. */
export function nodeOf(event: SimEvent): string | undefined {
  if (event.kind === "fault") return undefined;
  if (event.kind === "datagram") return event.to.name;
  return event.kind === "stream" ? event.message.to.name : event.life.name;
}
