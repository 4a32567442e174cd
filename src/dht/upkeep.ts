/**
 * What a node does by itself: it looks into parts of its table that nobody looked into for an hour, puts again what it keeps,
 * gives newcomers what they should keep, forgets what is over, and saves whom it knows.
 *
 * Whatever is due is done a little at a time, and at times drawn by chance, so that nodes that began together do not all
 * do it together; and a value that somebody else has put again is not due here.
 *
 * @module
 */

import { type Clock, sleep, type Timer } from "../clock.ts";
import { PeerError } from "../errors.ts";
import type { Contact } from "./contact.ts";
import type { DhtNode } from "./dht_node.ts";
import { commonBits, compareDistance, fromKey, randomIdUnder, toKey } from "./node_id.ts";
import { place } from "./placing.ts";
import { lifeOf } from "./reading.ts";
import type { DhtRecord } from "./record.ts";
import type { DhtStorage, StoredItem } from "./storage.ts";

/** How often the nodes that are known are saved, in milliseconds. */
const SAVE_MS = 60_000;

/** Nodes of former times that are asked at the same time, and in all. */
const RECALL_AT_ONCE = 16;
const MAX_RECALLED = 128;

/** How long others may take once the first of them has answered, in milliseconds. */
const RECALL_MS = 300;

/** How long somebody waits for a node to settle in, in milliseconds. */
const SETTLE_MS = 1_000;

/** Parts of the table that are refreshed when a node settles in, and at a time later on. */
const MAX_FIRST_REFRESHES = 16;

/** Keys that are looked at for a newcomer, and items that it is given. */
const MAX_SCANNED = 4_096;
const MAX_GIVEN = 256;

/** Keys that are looked at in one go. */
const SCANNED_AT_ONCE = 256;

/** See the module. */
export class Upkeep {
  readonly #node: DhtNode;
  readonly #storage: DhtStorage;
  #timer: Timer | undefined;
  #savedMs = -Infinity;
  #isBusy = false;
  #isSettled = false;

  /** Does nothing yet. */
  constructor(node: DhtNode, storage: DhtStorage) {
    this.#node = node;
    this.#storage = storage;
  }

  /** Whether the node has looked for its neighbours. */
  get isSettled(): boolean {
    return this.#isSettled;
  }

  /** Does what is due from now on. Harmless when it does. */
  start(): void {
    this.#timer ??= this.#tickLater();
  }

  /** Does nothing more, and saves whom the node knows. */
  stop(): void {
    const isRunning = this.#timer !== undefined;
    this.#timer?.cancel();
    this.#timer = undefined;
    if (isRunning || this.#node.table.size > 0) this.#save();
  }

  /**
   * Asks the nodes of former times whether they are there. @returns when all were asked, enough have answered, or the first
   * has and those as near as it had time to: the others are still asked then.
   */
  async recall(signal: AbortSignal = this.#node.signal): Promise<void> {
    const { table, tuning, clock } = this.#node;
    const left = this.#storage.loadContacts().slice(0, MAX_RECALLED);
    const first = Promise.withResolvers<void>();
    const askSome = async () => {
      for (let next = left.shift(); next !== undefined && !signal.aborted; next = left.shift()) {
        await this.#tolerate(this.#node.ask(next, { type: "ping" }, signal));
        if (table.size > 0) first.resolve();
        if (table.size >= tuning.k) return;
      }
    };
    const asking = Promise.all(Array.from({ length: RECALL_AT_ONCE }, askSome));
    this.#node.begin(asking);
    await Promise.race([asking, first.promise]);
    await waitFor(asking, RECALL_MS, clock);
  }

  /**
   * Looks for ourselves, which makes us known to those who are near, and then into each part of the table that is farther
   * away than they are (section 2.3 of the paper). @returns when that is done, or has taken a second: where nodes do not
   * answer it goes on for longer.
   */
  async settleIn(signal: AbortSignal = this.#node.signal): Promise<number> {
    const { table, clock } = this.#node;
    this.#isSettled = table.size === 0; // there is nobody whom it could not know
    if (this.#isSettled) return 0;
    const settling = this.#settle(signal);
    this.#node.begin(settling);
    await waitFor(settling, SETTLE_MS, clock);
    signal.throwIfAborted();
    return table.size;
  }

  async #settle(signal: AbortSignal): Promise<void> {
    const { table, self, tuning: { settle } } = this.#node;
    await this.#node.closest(self, { signal });
    this.#isSettled = true;
    const targets = table.farTargets().slice(0, MAX_FIRST_REFRESHES);
    await Promise.all(targets.map((target) => this.#node.closest(target, { signal, settle })));
  }

  /** Gives a newcomer what it is nearer to than we are, where nobody who is nearer still would. */
  async welcome(contact: Contact): Promise<void> {
    const { self, table, tuning, clock, signal } = this.#node;
    // What is nearest to it has about as much in common with it as the others that are near have.
    const far = table.closest(contact.id, tuning.replicas).at(-1) ?? contact;
    const from = randomIdUnder(contact.id, commonBits(contact.id, far.id), () => 0);
    let [looked, given] = [0, 0];
    for (const key of this.#storage.keys(toKey(from))) {
      if (++looked > MAX_SCANNED || given >= MAX_GIVEN) return;
      if (looked % SCANNED_AT_ONCE === 0) await sleep(clock, 0, { signal });
      const id = fromKey(key);
      if (compareDistance(id, contact.id, self) > 0) continue;
      const nearest = table.closest(id, tuning.replicas);
      if (!nearest.some((one) => one.key === contact.key)) continue;
      const others = nearest.filter((one) => one.key !== contact.key);
      if (others.some((other) => compareDistance(id, other.id, self) < 0)) continue;
      for (const item of this.#storage.get(key)) {
        given++;
        await this.#tolerate(this.#give(contact, item));
      }
    }
  }

  async #give(contact: Contact, { record, expiresMs }: StoredItem): Promise<void> {
    const ttlS = Math.floor((expiresMs - this.#node.clock.wallMs()) / 1_000);
    if (ttlS < 1) return;
    const question = { type: "store", record, ttlS: lifeOf(this.#node, record, ttlS) } as const;
    await this.#node.ask(contact, question);
  }

  #tickLater(): Timer {
    const { clock, tuning: { tickMs } } = this.#node;
    return clock.after(tickMs * (0.5 + clock.random()), () => {
      this.#timer = this.#tickLater();
      if (!this.#isBusy) this.#node.begin(this.#tick());
    });
  }

  async #tick(): Promise<void> {
    this.#isBusy = true;
    try {
      this.#node.keeper.expire();
      if (this.#node.clock.now() - this.#savedMs >= SAVE_MS) this.#save();
      await this.#refresh();
      await this.#republish();
    } finally {
      this.#isBusy = false;
    }
  }

  /** Looks into a part of the table that nobody looked into for long. */
  async #refresh(): Promise<void> {
    const { table, tuning: { refreshMs } } = this.#node;
    const [target] = table.stale(refreshMs);
    if (target !== undefined) await this.#tolerate(this.#node.closest(target));
  }

  async #republish(): Promise<void> {
    const { keeper, clock, table, tuning: { republishBatch, ttlS, k } } = this.#node;
    if (table.size === 0) return; // there is nobody to put it to
    for (const { own, record: kept, expiresMs } of keeper.due(republishBatch)) {
      const record = own ? this.#renew(kept) : kept;
      const leftS = own ? ttlS : Math.floor((expiresMs - clock.wallMs()) / 1_000);
      if (leftS < 1) continue;
      // All of the nearest are asked, for who is gone since is to be replaced.
      const options = { ttlS: lifeOf(this.#node, record, leftS), settle: k };
      await this.#tolerate(place(this.#node, record, options));
    }
  }

  /** A version of our own that lasts longer, which we keep, too. */
  #renew(kept: DhtRecord): DhtRecord {
    const { keeper, tuning: { ttlS } } = this.#node;
    const record = this.#node.renew(kept);
    // That it is kept again moves its end.
    keeper.put(record, { source: "", subnet: undefined, ttlS, own: true });
    return record;
  }

  #save(): void {
    const { table, clock } = this.#node;
    this.#savedMs = clock.now();
    if (table.size > 0) this.#storage.saveContacts(table.contacts());
  }

  /** That somebody does not answer or does not want something is no reason to stop. */
  async #tolerate(work: Promise<unknown>): Promise<void> {
    try {
      await work;
    } catch (error) {
      this.#node.signal.throwIfAborted();
      if (!(error instanceof PeerError)) throw error;
    }
  }
}

/** Waits until work is done or has failed, but no longer than some time. */
async function waitFor(work: Promise<unknown>, ms: number, clock: Clock): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = clock.after(ms, resolve);
  work.then(() => resolve(), () => resolve());
  await promise;
  timer.cancel();
}
