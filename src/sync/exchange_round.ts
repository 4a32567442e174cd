/**
 * A client's side of a round: it says what it has, does what it is told, and notes how far both have come.
 *
 * ```
 *   client                                hub
 *   sync_request { replica }         -->                        only the first time on a connection
 *                                    <--  sync_response { replica, index_seq }
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
import type { PlannedAction } from "./folder_events.ts";
import { judge } from "./judge.ts";
import type { SyncRequest, SyncResponse } from "./message_types.ts";
import { pagesOf } from "./pages.ts";

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
}

/** What a round has come to. */
export interface RoundResult {
  /** Entries that we were told of. */
  readonly taken: number;
  /** Entries that we told of. */
  readonly told: number;
  /** Whether both sides have done all of it. */
  readonly isWhole: boolean;
}

/** What one side would do. */
export interface PlannedStep {
  /** What. */
  readonly action: PlannedAction;
  /** With which file or folder. */
  readonly path: string;
}

/** Does a round. @throws {ClosedError} when it was cut off. @throws {UnsupportedError} when the hub keeps no index. */
export async function doRound(options: RoundOptions): Promise<RoundResult> {
  const { folder: { index, readOnly, rulesNumber }, tells, take } = options;
  const theirs = options.theirs ?? await ask(options);
  const mark = index.mark(theirs);
  // What was left out by other rules is told again.
  const hasSameRules = index.mark(rulesOf(theirs)).ours === rulesNumber;
  const since = hasSameRules ? mark.theirs : 0;
  const ours = index.seq;
  const entries = tells ? index.since(mark.ours, theirs) : [];
  const { takes, last } = await request(options, theirs, since, entries);
  const wanted = readOnly ? [] : takes;
  const failed = await take(wanted, theirs);
  const done = last.index_seq === undefined ? await answer(options, theirs) : last;
  const { index_seq: seq = mark.theirs, taken = true } = done;
  // What is not wanted now is told again, should it be wanted once.
  const isTaken = failed === 0 && wanted === takes;
  // Not what was told to us: only what we asked for.
  const isTold = tells && taken;
  index.setMark(theirs, {
    ours: isTold ? ours : mark.ours,
    theirs: isTaken ? seq : mark.theirs,
  });
  if (isTaken && !hasSameRules) {
    index.setMark(rulesOf(theirs), { ours: rulesNumber, theirs: 0 });
  }
  return { taken: wanted.length, told: entries.length, isWhole: failed === 0 && (taken || !tells) };
}

/** What a round would do. Nothing is changed by it, here or there. @throws as {@linkcode doRound}. */
export async function planRound(options: RoundOptions): Promise<PlannedStep[]> {
  const { folder: { index, readOnly }, tells } = options;
  const theirs = options.theirs ?? await ask(options);
  const mark = index.mark(theirs);
  const { takes } = await request(options, theirs, mark.theirs, []);
  const told = new Map(takes.map((entry) => [entry.path, entry]));
  const coming = readOnly ? [] : takes.flatMap((entry): PlannedStep[] => {
    const { path, deleted } = entry;
    const { verdict } = judge(index.get(path), entry);
    if (verdict === "conflict") return [{ action: "conflict", path }];
    if (verdict !== "take") return [];
    return [{ action: deleted ? "delete" : "receive", path }];
  });
  const going = tells ? index.since(mark.ours, theirs) : [];
  return [
    ...coming,
    ...going.flatMap((entry): PlannedStep[] => {
      const { path, deleted } = entry;
      const other = told.get(path);
      const verdict = other === undefined ? "take" : judge(other, entry).verdict;
      if (verdict === "conflict") return [{ action: "conflict", path }];
      if (verdict !== "take") return [];
      return [{ action: deleted ? "delete-there" : "send", path }];
    }),
  ];
}

/** What the rules are noted under, by which all was taken in that a hub has. */
function rulesOf(theirs: string): string {
  return `${theirs} rules`;
}

/** Who the hub is. */
async function ask({ folder, send, next }: RoundOptions): Promise<string> {
  await send({ replica: folder.index.replica });
  const { replica } = await next() ?? interrupted();
  if (replica === undefined) throw new UnsupportedError("Cannot sync: the hub keeps no index");
  return replica;
}

async function request(
  options: RoundOptions,
  theirs: string,
  since: number,
  entries: readonly SyncEntry[],
): Promise<{ takes: SyncEntry[]; last: SyncResponse }> {
  const { replica } = options.folder.index;
  options.onAsk(theirs);
  for (const { items, more } of pagesOf(entries.map(entryToMessage))) {
    const page = { replica, of_replica: theirs, since, entries: items };
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
