/**
 * A client's side of a round: it says what it has, does what it is told, and notes how far both have come.
 *
 * ```
 *   client                                hub
 *   sync_request { replica }         -->                        only the first time on a connection
 *                                    <--  sync_response { replica, openings, heard }
 *   sync_request { entries, since }  -->                        in pages
 *                                    <--  sync_response { instructions }        in pages
 *   ... both get contents from each other, and take in what is new to them ...
 *                                    <--  sync_response { index_seq, taken }    when the hub is done
 * ```
 *
 * A round that is cut off anywhere has moved no mark: the next one begins where this one began, and finds done what was done.
 *
 * @module
 */

import { ClosedError, UnsupportedError } from "../errors.ts";
import { Backlog } from "./backlog.ts";
import { entryFromMessage, entryToMessage, type SyncEntry } from "./entry.ts";
import { MAX_REQUEST_BYTES } from "./exchange_answer.ts";
import type { SyncFolder } from "./folder.ts";
import { type StoredEntry, type SyncIndex, type SyncMark, wasAt } from "./index.ts";
import type { SyncRequest, SyncResponse } from "./message_types.ts";
import { pagesOf } from "./pages.ts";
import { type LeftBehind, type TheirPart, wantedOf, withheldOf } from "./withheld.ts";

/** What a round needs. */
export interface RoundOptions {
  /** The folder. */
  readonly folder: SyncFolder;
  /** The hub's replica, where it is known by now. */
  readonly theirs: string | undefined;
  /** Whether the hub takes changes of ours. */
  readonly tells: boolean;
  /** Sends a page; resolves when the next one may follow. */
  readonly send: (request: SyncRequest) => Promise<void>;
  /** The next answer; `undefined` when there will be none. */
  readonly next: () => Promise<SyncResponse | undefined>;
  /** Takes entries in that come from a replica. @returns how many were not taken in. */
  readonly take: (entries: readonly SyncEntry[], source: string) => Promise<number>;
  /** Told who the hub is, at the moment at which it is told what we have. */
  readonly onAsk: (replica: string) => void;
  /** What is known of a hub that is not told of ours. */
  readonly theirPart: TheirPart;
}

/** What a round has come to. */
export interface RoundResult {
  /** Entries that we were told of. */
  readonly taken: number;
  /** Entries that we told of. */
  readonly told: number;
  /** Whether both sides have done all of it. */
  readonly isWhole: boolean;
  /** What was neither told of nor taken in. */
  readonly left: LeftBehind;
}

/** What a hub says of itself. */
export type Hub = SyncResponse & { readonly replica: string };

/** A mark's `ours` when the hub is to be told of all, even of what came from it. */
const TELL_ALL = -1;

/** The hub's index is another than it was. */
const VOID_MARK: SyncMark = { ours: TELL_ALL, theirs: 0 };

/** Does a round. @throws {ClosedError} when it was cut off. @throws {UnsupportedError} when the hub keeps no index. */
export async function doRound(options: RoundOptions): Promise<RoundResult> {
  const { folder: { index, readOnly, rulesNumber }, tells, take, theirPart } = options;
  const theirs = options.theirs ?? await meet(options);
  const mark = index.mark(theirs);
  const rules = index.mark(rulesOf(theirs));
  // Who may only read compares what it has with all that the hub has, and with what changes from then on.
  const isCompared = tells || theirPart.isOf(theirs) || toldOf(index, theirs, mark).length === 0;
  const since = isCompared ? sinceOf(options.folder, theirs, mark) : 0;
  const ours = index.seq;
  const entries = tells ? toldOf(index, theirs, mark) : [];
  const { takes, last } = await request(options, theirs, since, entries);
  const wanted = readOnly ? [] : takes;
  const failed = await take(wanted, theirs);
  if (!tells) theirPart.note(options.folder, theirs, takes, since === 0);
  const done = last.index_seq === undefined ? await answer(options, theirs) : last;
  const { index_seq: seq = mark.theirs, taken = true, opening } = done;
  const { rules: theirRules = 0 } = last;
  // What is not wanted now is told again, should it be wanted once.
  const isTaken = failed === 0 && wanted === takes;
  // Not what was told to us: only what we asked for.
  const isTold = tells && taken;
  index.setMark(theirs, {
    ours: isTold ? ours : mark.ours,
    theirs: isTaken ? seq : mark.theirs,
    opening,
  });
  const noted = {
    ours: isTaken ? rulesNumber : rules.ours,
    theirs: isTold ? theirRules : rules.theirs,
  };
  if (noted.ours !== rules.ours || noted.theirs !== rules.theirs) {
    index.setMark(rulesOf(theirs), noted);
  }
  const result = {
    taken: wanted.length,
    told: entries.length,
    isWhole: failed === 0 && (taken || !tells),
    left: leftBehind(options, theirs, mark, takes),
  };
  const wasToldAll = mark.ours <= 0 || noted.theirs === rules.theirs;
  if (wasToldAll || !isTold) return result;
  // The hub has other rules by now, and may want what it left out by those from before.
  index.setMark(theirs, { ...index.mark(theirs), ours: TELL_ALL });
  const more = await doRound({ ...options, theirs });
  return {
    taken: result.taken + more.taken,
    told: result.told + more.told,
    isWhole: result.isWhole && more.isWhole,
    left: more.left,
  };
}

function leftBehind(
  { folder, tells, theirPart }: RoundOptions,
  theirs: string,
  mark: SyncMark,
  takes: readonly SyncEntry[],
): LeftBehind {
  const notGiven = tells
    ? undefined
    : withheldOf(theirPart.lacks(toldOf(folder.index, theirs, mark)));
  const notTaken = folder.readOnly ? withheldOf(wantedOf(folder, takes)) : undefined;
  return { ...notGiven && { notGiven }, ...notTaken && { notTaken } };
}

/** From where on a hub is to tell us: what was left out by other rules is told again. */
export function sinceOf(folder: SyncFolder, theirs: string, mark: SyncMark): number {
  return folder.index.mark(rulesOf(theirs)).ours === folder.rulesNumber ? mark.theirs : 0;
}

/** The marks of the rules by which all was taken in that a hub has, and by which the hub was told of all. */
function rulesOf(theirs: string): string {
  return `${theirs} rules`;
}

/** What there is to tell a hub of. */
export function toldOf(index: SyncIndex, theirs: string, { ours }: SyncMark): StoredEntry[] {
  return ours === TELL_ALL ? index.since(0) : index.since(ours, theirs);
}

/**
 * Learns who the hub is, and whether one of the two indexes was set back since both met last, as by a backup. Of a hub's,
 * all that we know is void; if ours was, edits that others know by our name may be others than ours: we take a new one.
 */
async function meet(options: RoundOptions): Promise<string> {
  const { folder: { index, log } } = options;
  const hub = await ask(options);
  const { heard, replica } = hub;
  if (heard !== undefined && !wasAt(index.openings, index.seq, heard)) {
    log.warn("index set back", { heard: heard.seq, seq: index.seq });
    index.renew(Math.max(index.mark(replica).ours, 0));
  }
  const mark = soundMark(index, hub);
  if (mark === VOID_MARK) {
    log.warn("index of the hub set back");
    index.setMark(replica, mark);
  }
  return replica;
}

/** How far a hub's index and ours know each other, if its is still the one that we knew. */
export function soundMark(index: SyncIndex, hub: Hub): SyncMark {
  const { replica, openings, index_seq: seq = 0 } = hub;
  const mark = index.mark(replica);
  const isNew = mark.theirs === 0 && mark.ours <= 0;
  const point = { opening: mark.opening ?? "", seq: mark.theirs };
  return isNew || openings === undefined || wasAt(openings, seq, point) ? mark : VOID_MARK;
}

/** Who the hub is. */
export async function ask({ folder, send, next }: RoundOptions): Promise<Hub> {
  await send({ replica: folder.index.replica });
  const hub = await next() ?? interrupted();
  const { replica } = hub;
  if (replica === undefined) throw new UnsupportedError("Cannot sync: the hub keeps no index");
  return { ...hub, replica };
}

/** Tells a hub of entries. @returns what it tells us of, and its last answer. */
export async function request(
  options: RoundOptions,
  theirs: string,
  since: number,
  entries: readonly SyncEntry[],
): Promise<{ takes: SyncEntry[]; last: SyncResponse }> {
  const { replica, openings, seq } = options.folder.index;
  const opening = openings.at(-1)?.name;
  const at = opening === undefined ? {} : { at: { opening, seq } };
  options.onAsk(theirs);
  for (const { items, more } of pagesOf(entries.map(entryToMessage))) {
    const page = { replica, of_replica: theirs, since, ...at, entries: items };
    await options.send(more ? { ...page, more } : page);
  }
  const takes: SyncEntry[] = [];
  const told = new Backlog("maxRequestBytes", MAX_REQUEST_BYTES);
  for (;;) {
    const last = await answer(options, theirs);
    const page = last.instructions.flatMap(({ action, entry }) => {
      return action === "send" || entry === undefined ? [] : [entryFromMessage(entry)];
    });
    told.add(page);
    for (const entry of page) takes.push(entry);
    if (last.more !== true) return { takes, last };
  }
}

async function answer({ next }: RoundOptions, theirs: string): Promise<SyncResponse> {
  const response = await next() ?? interrupted();
  // Its index was lost, and it has another: all we know of it is void.
  if (response.replica !== theirs) interrupted();
  return response;
}

function interrupted(): never {
  throw new ClosedError("Cannot sync: the exchange was cut off");
}
