/**
 * The way that messages take over the neighbours of a topic: to some the messages themselves are sent, to the others only
 * their ids, and which are which settles so that a message comes to everybody once. A state machine without I/O.
 *
 * Source: Plumtree (Leitao, Pereira, Rodrigues 2007), with gossipsub's IDONTWANT for large messages. What differs: a
 * message that does not come by itself in the time that messages lately took is asked for alone (`missing.ts`), and the
 * trees change only when it does not come by itself later either (`repairMs`); of several authors who write at the same time
 * one alone changes them (`leader.ts`); and newcomers are told ids where messages have found their ways. So one tree serves
 * all authors. A neighbour may tell of so many ids in a while and no more are read, and one that promises messages which it
 * does not give is known for it (`scores.ts`).
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import { type IdList, keyOf, MAX_IDS, type MessageId } from "./id_list.ts";
import { type Announcer, Missing } from "./missing.ts";
import type { GossipTuning } from "./options.ts";
import { encodePacket, encodePush, type GossipPacket } from "./packets.ts";
import { Patience } from "./patience.ts";
import { Latest } from "./latest.ts";
import { Leader } from "./leader.ts";
import { Promises } from "./promises.ts";
import { Untold } from "./untold.ts";

/** How long the ids are counted that a neighbour tells of, in milliseconds. */
const BUDGET_MS = 10_000;

/** Messages of which it is remembered by which way they came. */
const MAX_WAYS = 1_024;

/** Ids of a neighbour that are remembered to be there already. */
const MAX_HELD = 1_024;

/** How often a neighbour may send what is here already: by itself, and because it was asked. */
const MAX_COPIES = 2;

/** How long somebody is not told again that it need not send, in milliseconds; and how long it may still do so. */
const PRUNING_MS = 1_000;
const PRUNED_MS = 5_000;

/** How long after the last message that came twice neighbours are told not to send large ones, in milliseconds. */
const REPEATING_MS = 3_000;

/** A message on its way. */
export interface Passing {
  /** Its author, 40 hexadecimal digits. */
  readonly author: string;
  /** Its author's number for it. */
  readonly seq: number;
  /** It, as its author has signed it. */
  readonly bytes: Uint8Array;
  /** By how many hops it came. */
  readonly hops: number;
}

/** What the trees need. */
export interface TreePorts {
  /** Time, timers and chance. */
  readonly clock: Clock;
  /** Sends a packet of the topic. @param kind What it is; bodies wait for control packets. */
  send(packet: Uint8Array, to: string, kind: "control" | "body"): void;
  /** Whether there is room for a body to somebody. */
  hasRoom(peerId: string): boolean;
  /** Whether a message has been here. */
  isSeen(id: MessageId): boolean;
  /** Whether a neighbour was silent for longer than it should, so that it may be dead. */
  isSilent(peerId: string): boolean;
  /** A neighbour did what it should not: it did not give what it promised, or sends the same again and again. */
  blame(peerId: string, what: "broken" | "flooding"): void;
}

interface Neighbor {
  /** Whether it is sent messages; else ids. */
  isEager: boolean;
  /** When it was told last to send only ids. */
  prunedMs: number;
  /** Ids of what it has, as it says. */
  readonly held: Latest<true>;
  /** How often it sent what was here already. */
  readonly copies: Latest<number>;
  idsLeft: number;
  budgetAtMs: number;
}

/** How a message came. */
interface Way {
  readonly from: string;
  /** When it was heard of, if that was before. */
  readonly heardMs: number | undefined;
  /** Whether it was asked for there. */
  readonly wasAsked: boolean;
}

/** A message that comes: of whom, when, and what was known of it. */
interface Coming {
  readonly from: string;
  readonly nowMs: number;
  readonly heardOf:
    | { readonly announcers: readonly Announcer[]; readonly heardMs: number }
    | undefined;
}

/** A neighbour that gave what did not come by itself: it is sent to by it if it does not come at all. */
interface Repair {
  readonly key: string;
  readonly peerId: string;
  readonly dueMs: number;
}

/** The trees of a topic; see the module. */
export class Plumtree {
  readonly #topicKey: Uint8Array;
  readonly #ports: TreePorts;
  readonly #tuning: GossipTuning;
  readonly #neighbors = new Map<string, Neighbor>();
  readonly #missing: Missing;
  readonly #patience: Patience;
  readonly #ways = new Latest<Way>(MAX_WAYS);
  readonly #promises = new Promises();
  readonly #leader = new Leader();
  readonly #untold: Untold;
  #repairs: Repair[] = [];
  #isSettled = false;
  #repeatingUntilMs = 0;
  // Whether somebody whom messages are sent to may be dead.
  #isHurt = false;

  /** Has no neighbours. */
  constructor(topicKey: Uint8Array, ports: TreePorts, tuning: GossipTuning) {
    this.#topicKey = topicKey;
    this.#ports = ports;
    this.#tuning = tuning;
    this.#patience = new Patience(tuning);
    this.#untold = new Untold({
      clock: ports.clock,
      waitMs: tuning.lazyMs,
      isHeld: (peerId, key) => this.#neighbors.get(peerId)?.held.get(key) ?? false,
      tell: (peerId, ids) => this.#control({ kind: "have", ids }, peerId),
    });
    this.#missing = new Missing({
      clock: ports.clock,
      patienceMs: () => this.#patienceMs,
      againMs: () => this.#promises.patienceMs(tuning.graftAgainMs),
      isNeighbor: (peerId) => this.#neighbors.has(peerId),
      ask: (peerId, ids) => this.#ask(peerId, ids),
    });
  }

  /** Those who are sent messages. */
  get eager(): string[] {
    return [...this.#neighbors].filter(([, { isEager }]) => isEager).map(([peerId]) => peerId);
  }

  /** Whether messages have found their ways. */
  get isSettled(): boolean {
    return this.#isSettled;
  }

  /** Messages that were heard of and have not come. */
  get missing(): number {
    return this.#missing.size;
  }

  /** Ids that wait to be told of, to all neighbours together. */
  get untold(): number {
    return this.#untold.size;
  }

  /** Whether somebody is sent messages. */
  isEager(peerId: string): boolean {
    return this.#neighbors.get(peerId)?.isEager ?? false;
  }

  /**
   * Somebody has become a neighbour. Where messages have found their ways already it is told ids only, because a new way
   * would change them for the author of the next message at the cost of all others.
   */
  up(peerId: string): void {
    if (this.#neighbors.has(peerId)) return;
    const isFirst = this.eager.length === 0;
    if (isFirst) this.#control({ kind: "graft" }, peerId);
    this.#neighbors.set(peerId, {
      isEager: isFirst || !this.#isSettled,
      prunedMs: -Infinity,
      held: new Latest(MAX_HELD),
      copies: new Latest(MAX_HELD),
      idsLeft: this.#tuning.idsPerTenSeconds,
      budgetAtMs: this.#ports.clock.now(),
    });
  }

  /** Somebody is no neighbour any more; what it promised it need not give. */
  down(peerId: string): void {
    this.#neighbors.delete(peerId);
    this.#promises.forget(peerId);
    this.#untold.forget(peerId);
  }

  /**
   * Sends a message that is new here to all neighbours but the one that it came from: to all of them itself, while one who
   * should pass it on may be dead.
   */
  pass(message: Passing, from?: string): void {
    const id = idOf(message);
    const key = keyOf(id.author, id.seq);
    const nowMs = this.#ports.clock.now();
    const heardOf = this.#missing.came(id, nowMs);
    let wasAsked = false;
    if (from !== undefined) {
      const isLarge = message.bytes.length >= this.#tuning.bigBytes;
      if (isLarge && this.#mayRepeat(nowMs)) this.#decline(id, from);
      wasAsked = this.#cameBy(key, message, { from, nowMs, heardOf });
    }
    let packet: Uint8Array | undefined; // encoded once, whoever it is for
    for (const [peerId, neighbor] of this.#neighbors) {
      if (peerId === from || neighbor.held.get(key)) continue;
      if ((neighbor.isEager || this.#isHurt) && this.#ports.hasRoom(peerId)) {
        packet ??= encodePush(message.bytes, message.hops, this.#topicKey, wasAsked);
        this.#ports.send(packet, peerId, "body");
      } else this.#untold.add(peerId, id);
    }
  }

  /** Gives a new neighbour what came just before it did, which comparing leaves out. */
  catchUp(peerId: string, messages: readonly Passing[]): void {
    const neighbor = this.#neighbors.get(peerId);
    if (neighbor === undefined) return;
    for (const message of messages) {
      if (neighbor.isEager && this.#ports.hasRoom(peerId)) {
        const packet = encodePush(message.bytes, message.hops, this.#topicKey);
        this.#ports.send(packet, peerId, "body");
      } else this.#untold.add(peerId, idOf(message));
    }
  }

  /** Tells all neighbours but one of a message that is no news to most, as after a comparison. */
  announce(message: Passing, except: string): void {
    const id = idOf(message);
    this.#promises.drop(keyOf(id.author, id.seq));
    this.#missing.came(id, this.#ports.clock.now());
    for (const peerId of this.#neighbors.keys()) {
      if (peerId !== except) this.#untold.add(peerId, id);
    }
  }

  /**
   * A message came that was here already: its sender need not send what comes. Unless it was only asked for elsewhere
   * because it was late: then this is the way it comes by.
   *
   * @param options.isAstray Whether its sender had to ask for it: it does not come from there otherwise.
   */
  duplicate(
    { author, seq }: MessageId,
    from: string,
    { isAstray = false }: { isAstray?: boolean } = {},
  ): void {
    const nowMs = this.#ports.clock.now();
    const key = keyOf(author, seq);
    const way = this.#ways.get(key);
    const neighbor = this.#neighbors.get(from);
    const wasAsked = this.#promises.came(key, from, nowMs);
    this.#patience.learn(way?.heardMs, nowMs);
    this.#repeatingUntilMs = nowMs + REPEATING_MS;
    if (neighbor === undefined) return;
    const copies = (neighbor.copies.get(key) ?? 0) + 1;
    neighbor.copies.set(key, copies);
    if (copies > MAX_COPIES) return this.#ports.blame(from, "flooding");
    if (way?.wasAsked && way.from !== from) {
      this.#repairs = this.#repairs.filter((repair) => repair.key !== key);
      this.#ways.set(key, { ...way, from, wasAsked: false }); // the next one is a duplicate
    } else if (!wasAsked && !isAstray && this.#keepsWay(way) && this.#leader.leads(author, nowMs)) {
      // Said once, it may have crossed with the opposite: then it is said again.
      const isTold = !neighbor.isEager && nowMs - neighbor.prunedMs < PRUNING_MS;
      if (!isTold) this.#prune(from, neighbor);
    }
  }

  /** A message has come and is of no use: nobody else is asked for it, and whoever gave it has kept its word. */
  drop(id: MessageId): void {
    this.#missing.drop(id);
    this.#promises.drop(keyOf(id.author, id.seq));
  }

  /** Takes a packet of the trees. @returns whether it was one. */
  receive(packet: GossipPacket, from: string): boolean {
    const neighbor = this.#neighbors.get(from);
    switch (packet.kind) {
      case "have":
        if (neighbor !== undefined) this.#heardOf(packet.ids, from, neighbor);
        return true;
      case "graft":
        if (neighbor !== undefined) neighbor.isEager = true;
        return true;
      case "prune":
        if (neighbor !== undefined) neighbor.isEager = false;
        return true;
      case "dont":
        if (neighbor !== undefined) this.#heldBy(packet.ids, neighbor);
        return true;
      default:
        return false;
    }
  }

  /** Sees who has not given what it promised, and which ways are broken: to be called now and then. */
  tick({ wasAsleep = false }: { wasAsleep?: boolean } = {}): void {
    const nowMs = this.#ports.clock.now();
    this.#isHurt = this.eager.some((peerId) => this.#ports.isSilent(peerId));
    if (wasAsleep) this.#promises.clear();
    const broken = [...this.#promises.broken(nowMs)].filter(({ id }) => !this.#ports.isSeen(id));
    // One pause of a machine breaks many promises at once, and is one fault.
    for (const peerId of new Set(broken.map(({ peerId }) => peerId))) {
      this.#promises.forget(peerId);
      this.#ports.blame(peerId, "broken");
    }
    const due = this.#repairs.findIndex(({ dueMs }) => dueMs > nowMs);
    for (const { peerId } of this.#repairs.splice(0, due < 0 ? Infinity : due)) this.#graft(peerId);
  }

  /** Stops every timer. */
  stop(): void {
    this.#untold.stop();
    this.#missing.stop();
    this.#neighbors.clear();
  }

  /** Whether a way that a message came by stays: not if that was given up, and what was on it already came first. */
  #keepsWay(way: Way | undefined): boolean {
    return way === undefined || this.isEager(way.from);
  }

  /** Whether what comes may come twice: where nothing does, telling who need not send costs and is no use. */
  #mayRepeat(nowMs: number): boolean {
    return !this.#isSettled || nowMs < this.#repeatingUntilMs;
  }

  /** Where messages may not come because somebody is dead they are not waited for. */
  get #patienceMs(): number {
    return this.#isHurt ? this.#tuning.graftMs : this.#patience.ms;
  }

  /** Takes note of how a message came. @returns whether it had to be asked for. */
  #cameBy(key: string, message: Passing, { from, nowMs, heardOf }: Coming): boolean {
    const neighbor = this.#neighbors.get(from);
    const wasAsked = this.#promises.came(key, from, nowMs);
    this.#isSettled = true;
    this.#leader.heard(message.author, nowMs);
    const heardMs = heardOf?.heardMs;
    this.#ways.set(key, { from, heardMs, wasAsked });
    if (neighbor?.isEager === false && wasAsked) {
      const dueMs = nowMs + this.#tuning.repairMs;
      if (this.#leader.leads(message.author, nowMs)) {
        this.#repairs.push({ key, peerId: from, dueMs });
      }
      return true;
    }
    if (neighbor !== undefined && nowMs - neighbor.prunedMs > PRUNED_MS) {
      neighbor.isEager = true; // it sends to us: it has not heard that it need not
    }
    if (!wasAsked) this.#patience.learn(heardMs, nowMs);
    for (const other of heardOf?.announcers ?? []) this.#improve(other, message);
    return wasAsked;
  }

  /** What comes may take a shorter way from now on, where somebody has it by far fewer hops: which is shorter will show. */
  #improve({ peerId, hops }: Announcer, message: Passing): void {
    if (message.hops - hops >= this.#tuning.optimizeHops) this.#graft(peerId);
  }

  /** So that a large message does not come a second time. */
  #decline(id: MessageId, from: string): void {
    const packet = encodePacket({ kind: "dont", ids: [id] }, this.#topicKey);
    for (const [peerId, { isEager }] of this.#neighbors) {
      if (isEager && peerId !== from) this.#ports.send(packet, peerId, "control");
    }
  }

  #heardOf(ids: IdList, from: string, neighbor: Neighbor): void {
    const patienceMs = this.#patienceMs;
    for (const id of ids.slice(0, this.#afford(neighbor, ids.length))) {
      neighbor.held.set(keyOf(id.author, id.seq), true);
      if (this.#ports.isSeen(id)) continue;
      this.#missing.add(id, { peerId: from, hops: id.hops ?? 0 }, patienceMs);
    }
  }

  /** A neighbour need not be sent what it has. */
  #heldBy(ids: IdList, neighbor: Neighbor): void {
    for (const { author, seq } of ids.slice(0, this.#afford(neighbor, ids.length))) {
      neighbor.held.set(keyOf(author, seq), true);
    }
  }

  /** Messages have not come by themselves. */
  #ask(peerId: string, ids: readonly MessageId[]): void {
    this.#promises.asked(peerId, ids, this.#ports.clock.now());
    for (let at = 0; at < ids.length; at += MAX_IDS) {
      this.#control({ kind: "want", ids: ids.slice(at, at + MAX_IDS) }, peerId);
    }
  }

  #graft(peerId: string): void {
    const neighbor = this.#neighbors.get(peerId);
    if (neighbor === undefined || neighbor.isEager) return;
    neighbor.isEager = true;
    this.#control({ kind: "graft" }, peerId);
  }

  #prune(peerId: string, neighbor: Neighbor): void {
    neighbor.isEager = false;
    neighbor.prunedMs = this.#ports.clock.now();
    this.#control({ kind: "prune" }, peerId);
  }

  /** How many ids of a neighbour are read. Others have passed on what it tells of: too many are not its fault. */
  #afford(neighbor: Neighbor, count: number): number {
    const nowMs = this.#ports.clock.now();
    if (nowMs - neighbor.budgetAtMs >= BUDGET_MS) {
      neighbor.budgetAtMs = nowMs;
      neighbor.idsLeft = this.#tuning.idsPerTenSeconds;
    }
    const read = Math.min(count, neighbor.idsLeft);
    neighbor.idsLeft -= read;
    return read;
  }

  #control(packet: GossipPacket, to: string): void {
    this.#ports.send(encodePacket(packet, this.#topicKey), to, "control");
  }
}

/** A message's name, and by how many hops it comes to who gets it from here. */
function idOf({ author, seq, hops }: Passing): MessageId {
  return { author, seq, hops: hops + 1 };
}
