/**
 * What the sender does besides sending: tells everybody who its neighbours are until that is acknowledged, takes late joiners
 * in, asks everybody now and then where in the tree it is and how far, and knows when everybody is done. A state machine
 * without I/O.
 *
 * Without a plan neighbours are those of the hypercube, and the window rule makes the tree. With one, everybody is told its
 * planned children first, and then whom to ask if it loses its parent: the planned parent, the one above that, those of the
 * hypercube, the sender.
 *
 * @module
 */

import type { Address } from "../transport/transport.ts";
import type { ControlMessage, RelayReport, StateUpdate } from "./control.ts";
import { neighborsOf } from "./hypercube.ts";
import type { Participant } from "./participant.ts";
import type { TreePlan } from "./planner.ts";
import type { Relay } from "./relay.ts";
import type { Envelope } from "./relay_options.ts";

/** When a state update is sent again, in milliseconds after the one before. Originals acknowledge none, and get three. */
const AGAIN_MS = [200, 400, 800, 1_600, 3_200] as const;
const ORIGINAL_SENDS = 3;

/** Time between two questions to everybody where it is, in milliseconds. */
const GATHER_MS = 1_000;

/** Whoever says nothing for so long is asked by itself; and for so long, is gone. In milliseconds. */
const QUIET_MS = 2_500;
const GONE_MS = 15_000;

/** Whoever gets no more chunks for so long takes no part any more, whatever it says, in milliseconds. */
const STUCK_MS = 60_000;

/** Further neighbours of who comes late: those who came last, besides those of the hypercube. */
const LATE_NEIGHBORS = 3;

/** What is known of somebody. */
export interface ReceiverStatus {
  /** Who. */
  readonly peerId: string;
  /** Whether it has everything, answers no more, or neither. */
  readonly state: "receiving" | "done" | "gone";
  /** Steps from the sender; `undefined` while it has said nothing. */
  readonly depth: number | undefined;
  /** Who sends to it. */
  readonly parent: string | undefined;
  /** What it said of itself. */
  readonly report: RelayReport | undefined;
}

/** What the host does to the world. */
export interface HostPorts {
  /** Sends a packet, which may get lost: sealed to one of ours, plain to an original. */
  send(message: ControlMessage, to: Participant): void;
  /** Somebody is done, gone, or back. */
  changed(status: ReceiverStatus): void;
  /** Nobody is left who is still receiving. Comes again if somebody joined after it. */
  settled(): void;
}

/** Who the host is. */
export interface HostOptions {
  /** The sender. */
  readonly self: Participant;
  /** Its relay. */
  readonly relay: Relay;
  /** How many chunks there are. */
  readonly chunks: number;
  /** Names the tree check: a UUID. */
  readonly messageId: string;
  /** Where answers come to. @default the passive address of `self` */
  readonly replyAddr?: Address;
}

interface Member {
  readonly participant: Participant;
  update: StateUpdate;
  sent: number;
  dueMs: number;
  status: ReceiverStatus;
  heardMs: number;
  readonly joinedMs: number;
  /** When it had got more; `undefined` while it has got nothing. */
  gainedMs: number | undefined;
}

/** The sender's part of one session. */
export class TreeHost {
  readonly #self: Participant;
  readonly #relay: Relay;
  readonly #chunks: number;
  readonly #messageId: string;
  readonly #replyAddr: Address;
  readonly #ports: HostPorts;
  readonly #members = new Map<string, Member>();
  #gatherDueMs = 0;
  // When anybody had got more.
  #gainedMs = 0;
  #isSettled = true;

  /** Hosts a session that has not begun. */
  constructor(options: HostOptions, ports: HostPorts) {
    const { self, relay, chunks, messageId, replyAddr = self.passive } = options;
    this.#self = self;
    this.#relay = relay;
    this.#chunks = chunks;
    this.#messageId = messageId;
    this.#replyAddr = replyAddr;
    this.#ports = ports;
  }

  /** Everybody, as far as is known. */
  get receivers(): ReceiverStatus[] {
    return [...this.#members.values()].map(({ status }) => status);
  }

  /**
   * Begins the tree.
   *
   * @param participants Who has answered the inform.
   * @param plan The shape, over the list of the sender and them. @default none: the window rule makes it
   */
  begin(participants: readonly Participant[], nowMs: number, plan?: TreePlan): void {
    const all = [this.#self, ...participants];
    const surroundings = all.map((_, place) => {
      if (plan !== undefined) return planned(all, place, plan);
      return { neighbors: pick(all, neighborsOf(place, all.length)), children: undefined };
    });
    // Ours last: who is asked before it knows its neighbours has to be asked again.
    surroundings.slice(1).forEach(({ neighbors, children }, at) => {
      const participant = participants[at];
      if (participant !== undefined) this.#admit(participant, neighbors, children, nowMs);
    });
    const { neighbors = [], children } = surroundings[0] ?? {};
    this.#relay.begin(neighbors, this.#messageId, nowMs, children);
    this.#gatherDueMs = nowMs + GATHER_MS;
    if (participants.length === 0) this.#ports.settled();
  }

  /** Takes in somebody who comes late: it is told whom to ask. */
  join(participant: Participant, nowMs: number): void {
    const all = [this.#self, ...[...this.#members.values()].map((member) => member.participant)];
    const others = all.filter(({ peerId }) => peerId !== participant.peerId);
    const last = others.map((_, place) => place).slice(-LATE_NEIGHBORS); // likely to have room
    const places = new Set([...neighborsOf(others.length, others.length + 1), ...last]);
    places.delete(0);
    const neighbors = [...pick(others, [...places]), this.#self];
    this.#admit(participant, neighbors, 0, nowMs);
  }

  /** Takes a packet. @returns whether it was for the host. */
  receive(message: ControlMessage, { sealedBy, address }: Envelope, nowMs: number): boolean {
    if (message.type === "state-ack") {
      const member = this.#members.get(sealedBy ?? "");
      if (member?.update.seq === message.seq) member.dueMs = Infinity;
      return true;
    }
    if (message.type !== "gather" || message.root !== this.#self.peerId) return false;
    const member = sealedBy === undefined ? this.#originalAt(address) : this.#members.get(sealedBy);
    if (member === undefined) return true;
    const { peerId } = member.participant;
    const report = message.report?.peerId === peerId ? message.report : undefined;
    member.heardMs = nowMs;
    if ((report?.chunks ?? 0) > (member.status.report?.chunks ?? 0)) {
      member.gainedMs = this.#gainedMs = nowMs;
    }
    const isDone = report?.chunks === this.#chunks;
    this.#note(member, {
      peerId,
      state: isDone ? "done" : this.#isStuck(member, nowMs) ? "gone" : "receiving",
      depth: message.level,
      parent: message.parent ?? undefined,
      report,
    });
    return true;
  }

  /** Repeats what was not answered, and sees who is gone: to be called every 100 milliseconds or so. */
  tick(nowMs: number): void {
    for (const member of this.#members.values()) {
      if (nowMs >= member.dueMs) this.#sendUpdate(member, nowMs);
      const isQuiet = nowMs - member.heardMs > GONE_MS;
      const isGone = isQuiet || this.#isStuck(member, nowMs);
      if (isGone && member.status.state === "receiving") {
        this.#note(member, { ...member.status, state: "gone" });
      }
    }
    if (nowMs < this.#gatherDueMs || this.#members.size === 0) return;
    this.#gatherDueMs = nowMs + GATHER_MS;
    this.#relay.gather(this.#replyAddr);
    for (const { participant, heardMs, status } of this.#members.values()) {
      if (status.state === "done" || !participant.isKith) continue;
      // Not in the tree, or what was asked down the tree was lost.
      if (status.depth === undefined || nowMs - heardMs > QUIET_MS) this.#ask(participant);
    }
  }

  #admit(
    participant: Participant,
    neighbors: readonly Participant[],
    children: number | undefined,
    nowMs: number,
  ): void {
    const { peerId, isKith } = participant;
    const seq = (this.#members.get(peerId)?.update.seq ?? 0) + 1;
    const more = isKith ? { seq, ...(children === undefined ? {} : { children }) } : {};
    const member: Member = {
      participant,
      update: { type: "state-update", neighbors, ...more },
      sent: 0,
      dueMs: nowMs,
      status: {
        peerId,
        state: "receiving",
        depth: undefined,
        parent: undefined,
        report: undefined,
      },
      heardMs: nowMs,
      joinedMs: nowMs,
      gainedMs: undefined,
    };
    this.#members.set(peerId, member);
    this.#isSettled = false;
    this.#sendUpdate(member, nowMs);
  }

  #sendUpdate(member: Member, nowMs: number): void {
    const { isKith } = member.participant;
    const waitMs = AGAIN_MS[Math.min(member.sent, AGAIN_MS.length - 1)] ?? 0;
    member.sent++;
    const isLast = member.status.state === "gone" || (!isKith && member.sent >= ORIGINAL_SENDS);
    member.dueMs = isLast ? Infinity : nowMs + waitMs;
    this.#ports.send(member.update, member.participant);
  }

  #ask(to: Participant): void {
    const root = this.#self.peerId;
    const replyAddr = this.#replyAddr;
    this.#ports.send({ type: "gather", root, level: 0, parent: null, replyAddr }, to);
  }

  /** Who has got nothing yet may be last in a long and slow chain: then what counts is that anybody gets more. */
  #isStuck({ participant, joinedMs, gainedMs = this.#gainedMs }: Member, nowMs: number): boolean {
    // Originals do not say how far they are.
    return participant.isKith && nowMs - Math.max(joinedMs, gainedMs) > STUCK_MS;
  }

  #originalAt({ hostname, port }: Address): Member | undefined {
    return [...this.#members.values()].find(({ participant: { isKith, passive } }) => {
      return !isKith && passive.hostname === hostname && passive.port === port;
    });
  }

  #note(member: Member, status: ReceiverStatus): void {
    const before = member.status.state;
    // What is verified stays so, and who is done may leave.
    member.status = before === "done" ? { ...status, state: before } : status;
    if (member.status.state !== before) this.#ports.changed(member.status);
    const isSettled = this.receivers.every(({ state }) => state !== "receiving");
    if (isSettled && !this.#isSettled) this.#ports.settled();
    this.#isSettled = isSettled;
  }
}

/** The neighbours of one place in a plan, its children first. */
function planned(
  all: readonly Participant[],
  place: number,
  { parents }: TreePlan,
): { neighbors: Participant[]; children: number } {
  const children = all.map((_, at) => at).filter((at) => parents[at] === place);
  const parent = parents[place] ?? -1;
  const above = [parent, parents[parent] ?? -1].filter((at) => at > 0);
  const places = [...children, ...above, ...neighborsOf(place, all.length), 0];
  const others = places.filter((at) => at !== place && (at > 0 || place > 0));
  return { neighbors: pick(all, [...new Set(others)]), children: children.length };
}

function pick(all: readonly Participant[], places: readonly number[]): Participant[] {
  return places.flatMap((place) => all[place] ?? []);
}
