/**
 * Looking for others who take part in our topics: among those who are known, at given addresses, and whom discovery finds.
 *
 * @module
 */

import type { Clock, Timer } from "../clock.ts";
import { type Logger, printable } from "../log.ts";
import type { Address } from "../transport/transport.ts";
import { type Contact, MAX_CONTACT_HOSTS } from "./contact.ts";
import type { TopicDirectory } from "./gossip_options.ts";
import { draw } from "./shuffled.ts";
import type { Topic } from "./topic.ts";

/** How long a look takes where nobody is found, in milliseconds. */
const LOOK_MS = 2_000;

/** Time between two looks while nobody is there, twice as long each time, and then; in milliseconds. */
const FIRST_MS = 1_000;
const EVERY_MS = 60_000;
const LONGEST_ALONE_MS = 15_000;

/** With fewer neighbours than this, and nobody else known, others are looked for sooner. */
const FEW = 5;

/** Of those who are known a topic is told of so many, where it has neighbours: what is apart comes together. */
const MIXED_IN = 4;

/** The same where it has none. */
const TRIED = 30;

/** What a {@linkcode TopicSeeker} needs. */
export interface TopicSeekerParts {
  readonly clock: Clock;
  readonly log: Logger;
  readonly seeds: readonly Address[];
  readonly directory: TopicDirectory | undefined;
  /** Peers that are known to be there. */
  readonly known: () => readonly Contact[];
  /** Who we are. */
  readonly self: string;
  /** The topics that are taken part in. */
  readonly topics: () => readonly Topic[];
  /** Who is at an address. */
  readonly meet: (address: Address, signal: AbortSignal) => Promise<Contact | undefined>;
}

/** Looks for others; see the module. */
export class TopicSeeker {
  readonly #parts: TopicSeekerParts;
  readonly #closing = new AbortController();
  readonly #meetings = new Set<Promise<void>>();
  #looking: Promise<void> | undefined;
  #enough: AbortController | undefined;
  #timer: Timer | undefined;
  #aloneMs = FIRST_MS;

  /** Looks when it is told to, and then now and then. */
  constructor(parts: TopicSeekerParts) {
    this.#parts = parts;
  }

  /** Looks now. @returns when somebody was found for every topic, or nobody was. */
  async look(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    await this.#looking; // it may not have heard of the newest topic
    if (this.#closing.signal.aborted) return;
    this.#aloneMs = FIRST_MS;
    this.#timer?.cancel();
    await this.#begin();
  }

  /** A neighbour was found. */
  found(): void {
    if (!this.#isAlone) this.#enough?.abort();
  }

  /** The last neighbour in a topic is gone: others are looked for soon. */
  lost(): void {
    if (this.#closing.signal.aborted || this.#looking !== undefined) return;
    this.#aloneMs = FIRST_MS;
    this.#beginLater();
  }

  /** Looks no more. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#timer?.cancel();
    await Promise.all([this.#looking, ...this.#meetings]);
  }

  #begin(): Promise<void> {
    return this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
      if (!this.#closing.signal.aborted) this.#beginLater();
    });
  }

  #beginLater(): void {
    const { clock } = this.#parts;
    const afterMs = this.#isAlone ? this.#aloneMs : this.#isSmall ? LONGEST_ALONE_MS : EVERY_MS;
    this.#aloneMs = Math.min(2 * this.#aloneMs, LONGEST_ALONE_MS);
    this.#timer?.cancel();
    this.#timer = clock.after(afterMs * (0.75 + clock.random() / 2), () => void this.#begin());
  }

  async #look(): Promise<void> {
    const { clock, log, seeds, known } = this.#parts;
    const enough = this.#enough = new AbortController();
    const timer = clock.after(LOOK_MS, () => enough.abort());
    const signal = AbortSignal.any([enough.signal, this.#closing.signal]);
    try {
      this.#introduce(draw(known(), TRIED, () => clock.random()));
      // Whoever answers first may be of a part of the topic that others do not know of: all seeds are asked to the end.
      const meeting = Promise.all(seeds.map((seed) => this.#meet(seed)));
      await Promise.all([Promise.race([meeting, aborted(signal)]), this.#lookAround(signal)]);
      // Whoever was found has not answered yet.
      if (this.#mayFind && !signal.aborted) await aborted(signal);
    } catch (error) {
      log.warn("could not look for others in a topic", { why: printable(String(error)) });
    } finally {
      timer.cancel();
    }
  }

  #meet(seed: Address): Promise<void> {
    const { clock, meet } = this.#parts;
    const late = new AbortController();
    const timer = clock.after(LOOK_MS, () => late.abort());
    const work = meet(seed, AbortSignal.any([late.signal, this.#closing.signal]))
      .then((contact) => contact && this.#introduce([contact]))
      .finally(() => {
        timer.cancel();
        this.#meetings.delete(work);
      });
    this.#meetings.add(work);
    return work;
  }

  async #lookAround(signal: AbortSignal): Promise<void> {
    const { directory } = this.#parts;
    if (directory === undefined) return;
    for await (const { peerId, addresses } of directory.find({ signal })) {
      const port = addresses[0]?.port ?? 0;
      const hosts = addresses.filter((address) => address.port === port)
        .map(({ hostname }) => hostname);
      this.#introduce([{ peerId, hosts: hosts.slice(0, MAX_CONTACT_HOSTS), port }]);
    }
  }

  #introduce(contacts: readonly Contact[]): void {
    const others = contacts.filter(({ peerId }) => peerId !== this.#parts.self);
    for (const topic of this.#parts.topics()) {
      topic.introduce(topic.view.size === 0 ? others : others.slice(0, MIXED_IN));
    }
  }

  get #isAlone(): boolean {
    return this.#parts.topics().some(({ view }) => view.size === 0);
  }

  /** Whether there is a topic of so few that others may be apart from them. */
  get #isSmall(): boolean {
    return this.#parts.topics().some(({ view }) => view.size < FEW && view.known === 0);
  }

  /** Whether somebody may still answer to a topic that has nobody. */
  get #mayFind(): boolean {
    return this.#parts.topics().some(({ view }) => view.size === 0 && view.known > 0);
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
