/**
 * Looking for those who were lost, at a low rate and for ever: what makes two groups one again after an outage.
 *
 * Source: what memberlist lacks (its members forget each other after a long partition); Serf's reconnect.
 *
 * @module
 */

import type { Timer } from "../clock.ts";
import { type Address, formatAddress } from "../transport/transport.ts";
import { isPresent, type Member, streamAddresses } from "./member.ts";
import type { SwimPorts, SwimTuning } from "./options.ts";
import type { Arrival } from "./newcomers.ts";
import type { Outbox } from "./outbox.ts";
import type { Places } from "./places.ts";
import type { Questions } from "./questions.ts";
import type { Roster } from "./roster.ts";
import type { Syncer } from "./syncer.ts";

/** Members that are looked for when one of those who were lost is back, and how soon: 20 a second while more come. */
const HURRIED = 4;
const HURRY_MS = 200;

/** What {@linkcode Repair} needs. */
export interface RepairParts {
  readonly ports: SwimPorts;
  readonly tuning: SwimTuning;
  readonly roster: Roster;
  readonly questions: Questions;
  readonly places: Places;
  readonly outbox: Outbox;
  readonly syncer: Syncer;
  /** Whether packets do not get through. */
  readonly isDegraded: () => boolean;
  /** A member that is present has answered. */
  readonly answered: (member: Member, arrival: Arrival) => void;
}

/** Looks for the lost; see the module. */
export class Repair {
  readonly #parts: RepairParts;
  #absent: readonly Address[] = [];
  #next = 0;
  #hurrying: Timer | undefined;

  /** Looks for nobody yet. */
  constructor(parts: RepairParts) {
    this.#parts = parts;
  }

  /** Addresses where there were members in an earlier life; replaces those before. */
  remember(addresses: readonly Address[]): void {
    this.#absent = [...addresses];
  }

  /** Looks for one of those who were lost, and for one of those who were here in an earlier life. */
  look(): void {
    const { roster, syncer } = this.#parts;
    const turn = this.#next++;
    const { lost } = roster;
    const member = lost[turn % lost.length];
    if (member !== undefined) this.#seek(member);
    const address = this.#absent[turn % this.#absent.length];
    if (address !== undefined && !this.#isHere(address)) syncer.compare(address, undefined);
  }

  /** One of the lost is back: whatever was in the way of the others may be gone, too. */
  hurry(): void {
    const { ports: { clock }, roster } = this.#parts;
    this.#hurrying ??= clock.after(HURRY_MS, () => {
      this.#hurrying = undefined;
      const { lost } = roster;
      for (let left = Math.min(lost.length, HURRIED); left > 0; left--) {
        const member = lost[this.#next++ % lost.length];
        if (member !== undefined) this.ask(member);
      }
    });
  }

  /** Sends a member a packet with what it has to refute. */
  ask(member: Member): void {
    const { questions, tuning, outbox } = this.#parts;
    const to = this.#parts.places.of(member);
    const nonce = questions.add({
      to,
      timeoutMs: tuning.probeTimeoutMs,
      answered: ({ kind, from }, { hostname: host }) => {
        if (kind !== ":ack" || from !== member.peerId) return false;
        // Those who were given up have to say something new: others have not heard this answer.
        const arrival = { host, path: "direct", rttMs: undefined } as const;
        if (isPresent(member)) this.#parts.answered(member, arrival);
        return true;
      },
    });
    if (nonce === undefined) return;
    const isBare = !member.isReached;
    for (const address of to) {
      outbox.send({ kind: ":ping", nonce, to: member.peerId, isBare }, address);
    }
    if (this.#parts.isDegraded() && member.isReached) this.#compare(member);
  }

  /** Looks for nobody any more. */
  stop(): void {
    this.#hurrying?.cancel();
  }

  /** By a packet and over a stream, for packets may be blocked. */
  #seek(member: Member): void {
    this.ask(member);
    if (!this.#parts.isDegraded() && member.isReached) this.#compare(member);
  }

  #compare(member: Member): void {
    const [address] = streamAddresses(member);
    if (address !== undefined) this.#parts.syncer.compare(address, member.peerId);
  }

  #isHere(address: Address): boolean {
    const place = formatAddress(address);
    return [...this.#parts.roster.all()].some((member) => {
      return isPresent(member) && streamAddresses(member).some((at) => formatAddress(at) === place);
    });
  }
}
