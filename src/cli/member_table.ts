/**
 * The members of a group as a table that changes: `kith peers --watch` on a terminal.
 *
 * @module
 */

import { type Clock, systemClock, type Timer } from "../clock.ts";
import { printable } from "../log.ts";
import type { MemberDescription } from "../membership/description.ts";
import type { LiveRow, LiveTable } from "./live_table.ts";
import type { Paint } from "./paint.ts";

/** Time between two drawings, in milliseconds: more than anybody reads. */
const DRAW_MS = 100;

/** Members that are kept: those of others are too many to be looked at. */
const MAX_MEMBERS = 10_000;

/** States, those first that somebody wants to see first, and what they mean. */
const STATES: Readonly<Record<string, { readonly rank: number; readonly paint: Paint }>> = {
  suspect: { rank: 0, paint: "heading" },
  alive: { rank: 1, paint: "good" },
  dead: { rank: 2, paint: "bad" },
  gone: { rank: 3, paint: "faint" },
};

const OTHER_RANK = 4;

/** What the columns are called. */
const HEAD = ["state", "peer", "name", "address", "rtt", "why"];

/** Digits of a peer id that tell members apart. */
const ID_DIGITS = 12;

/** What a {@linkcode MemberTable} needs. */
export interface MemberTableOptions {
  /** Whose view it is. */
  readonly seenBy: string;
  /** Shows a table. */
  readonly draw: (table: LiveTable) => void;
  /** Where time comes from. @default {systemClock} */
  readonly clock?: Clock;
}

/** Takes what happens, and draws it, not more often than somebody can follow. */
export class MemberTable implements Disposable {
  readonly #options: MemberTableOptions;
  readonly #clock: Clock;
  readonly #members = new Map<string, MemberDescription>();
  #latest = "";
  #timer: Timer | undefined;
  #isChanged = false;

  /** Has nobody yet. */
  constructor(options: MemberTableOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  /** Something is known of a member, or has happened to it. */
  put(member: MemberDescription, event: string): void {
    const { peerId, name } = member;
    if (this.#members.has(peerId) || this.#members.size < MAX_MEMBERS) {
      this.#members.set(peerId, member);
    }
    if (event !== "member") this.#latest = `${event}: ${name || peerId.slice(0, ID_DIGITS)}`;
    this.#change();
  }

  /** Something has happened to what is seen of all. */
  note(text: string): void {
    this.#latest = text;
    this.#change();
  }

  /** Draws what was not drawn, and draws no more. */
  [Symbol.dispose](): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#isChanged) this.#draw();
  }

  #change(): void {
    this.#isChanged = true;
    this.#timer ??= this.#clock.after(DRAW_MS, () => {
      this.#timer = undefined;
      this.#draw();
    });
  }

  #draw(): void {
    this.#isChanged = false;
    const { seenBy, draw } = this.#options;
    draw(tableOf([...this.#members.values()], { seenBy, latest: this.#latest }));
  }
}

/** The table of some members. */
export function tableOf(
  members: readonly MemberDescription[],
  { seenBy, latest }: { readonly seenBy: string; readonly latest: string },
): LiveTable {
  const counts = Object.keys(STATES).map((state) => {
    const count = members.filter((member) => member.state === state).length;
    return count === 0 ? [] : [`${count} ${state}`];
  });
  const last = latest === "" ? [] : [`last: ${printable(latest, 100)}`];
  const title = [`as ${seenBy} sees it`, counts.flat().join(", ") || "nobody", ...last];
  return { title: title.join("  |  "), head: HEAD, rows: members.toSorted(inOrder).map(rowOf) };
}

function rowOf(member: MemberDescription): LiveRow {
  const { state, peerId, name, rttMs, why, addresses: [address = "-"] } = member;
  const round = rttMs === null ? "-" : `${rttMs.toFixed(1)} ms`;
  const { paint } = STATES[state] ?? {};
  return {
    cells: [state, peerId.slice(0, ID_DIGITS), name, address, round, why],
    ...(paint === undefined ? {} : { paint }),
  };
}

function inOrder(one: MemberDescription, other: MemberDescription): number {
  const byRank = rankOf(one) - rankOf(other);
  if (byRank !== 0) return byRank;
  const [a, b] = [one.name + one.peerId, other.name + other.peerId];
  return a < b ? -1 : a > b ? 1 : 0;
}

function rankOf({ state }: MemberDescription): number {
  return STATES[state]?.rank ?? OTHER_RANK;
}
