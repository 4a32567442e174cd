/**
 * The questions of one search: by multicast first, by broadcast a moment later, on every interface there is.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import type { Metrics } from "../metrics.ts";
import type { Attempts } from "./attempts.ts";
import { LIMITED_BROADCAST, MULTICAST_V4, MULTICAST_V6 } from "./groups.ts";
import type { RotatingInstance } from "./instance.ts";
import type { LocalInterface } from "./interfaces.ts";
import { encodeQuestion, type QuestionMethod } from "./packets.ts";
import { addressOn, platformOf } from "./platform.ts";
import { repeatQuestions } from "./schedule.ts";
import { InterfaceSockets, type OnInterface, type Sockets, type Take } from "./sockets.ts";

/**
 * How long after multicast broadcast asks, in milliseconds. It wakes every machine on the link, so it is the second
 * choice; but waiting to see whether multicast works would cost whoever is on a network that drops it, and an answer
 * on a link is there sooner than this.
 */
const BROADCAST_AFTER_MS = 50;

/** What an {@linkcode Asker} needs. */
export interface AskerOptions {
  /** The questions' id. */
  searchId: number;
  /** Who asks. */
  instance: RotatingInstance;
  /** Which port is asked. */
  port: number;
  /** Opens sockets. */
  sockets: Sockets;
  /** Told what was asked and what failed. */
  attempts: Attempts;
  /** Where time comes from. */
  clock: Clock;
  /** Counts `discovery.questions`. */
  metrics: Metrics;
  /** Ends it. */
  signal: AbortSignal;
  /** Takes what comes in. */
  take: Take;
}

/** Asks on each interface; see the module. */
export class Asker {
  readonly #options: AskerOptions;
  readonly #sockets: InterfaceSockets;
  #begun = false;

  /** Has asked nobody yet. */
  constructor(options: AskerOptions) {
    const { sockets, attempts, take, signal } = options;
    this.#options = options;
    this.#sockets = new InterfaceSockets({
      sockets,
      attempts,
      what: "ask",
      open: (local) =>
        sockets.open({ hostname: addressOn(platformOf(), local.address, local), port: 0 }),
      take,
    });
    signal.addEventListener("abort", () => this.#sockets.close(), { once: true });
  }

  /** Asks on these interfaces from now on; where one is new, at once. */
  async update(interfaces: readonly LocalInterface[]): Promise<void> {
    const added = await this.#sockets.update(interfaces);
    if (!this.#begun) return;
    this.#ask(added, isMulticast);
    this.#ask(added, isBroadcast);
  }

  /** Begins to ask, until aborted. */
  begin(): void {
    const { clock, signal } = this.#options;
    this.#begun = true;
    repeatQuestions({ clock, signal }, () => this.#ask(this.#sockets.all, isMulticast));
    repeatQuestions(
      { clock, signal, afterMs: BROADCAST_AFTER_MS },
      () => this.#ask(this.#sockets.all, isBroadcast),
    );
  }

  #ask(places: Iterable<OnInterface>, isMeant: (way: Way) => boolean): void {
    for (const place of places) {
      for (const way of waysOn(place.local)) if (isMeant(way)) void this.#send(place, way);
    }
  }

  async #send({ local, socket }: OnInterface, { to, via }: Way): Promise<void> {
    const { searchId, instance, port, attempts, metrics } = this.#options;
    const question = encodeQuestion({ id: searchId, from: instance.now().id, via });
    metrics.counter("discovery.questions").add();
    const hostname = addressOn(platformOf(), to, local);
    await attempts.tolerate(`ask ${hostname} on ${local.name}`, async () => {
      await socket.send(question, { hostname, port });
      attempts.tried(`${via} to ${hostname} from ${socket.address.hostname}`);
    });
  }
}

/** Where a question goes. */
export interface Way {
  /** The address, without a zone. */
  readonly to: string;
  /** How. */
  readonly via: QuestionMethod;
}

/** The ways by which questions go out on an interface. */
export function waysOn({ family, broadcast }: LocalInterface): Way[] {
  if (family === "IPv6") return [{ to: MULTICAST_V6, via: "multicast6" }];
  const ways: Way[] = [
    { to: MULTICAST_V4, via: "multicast4" },
    { to: LIMITED_BROADCAST, via: "broadcast" },
  ];
  return broadcast === undefined ? ways : [...ways, { to: broadcast, via: "broadcast" }];
}

function isBroadcast({ via }: Way): boolean {
  return via === "broadcast";
}

function isMulticast(way: Way): boolean {
  return !isBroadcast(way);
}
