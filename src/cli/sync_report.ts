/**
 * What is told while folders are kept alike.
 *
 * @module
 */

import { printable } from "../log.ts";
import type { SyncEvent, Withheld } from "../sync/folder_events.ts";
import type { FolderSync, JoinedHub } from "../sync/folder_sync.ts";
import { counted, formatBytes, formatProgress, type Output } from "./output.ts";

/** Between two lines of progress in JSON. */
const PROGRESS_EVERY_MS = 1_000;

/** What is said of an operation, after the path. */
const OPERATIONS = {
  create: "is new",
  update: "has changed",
  delete: "is deleted",
  rename: "is renamed",
} as const;

/** What a step of a dry run is called. */
const ACTIONS = {
  send: "would send",
  receive: "would receive",
  delete: "would delete here",
  "delete-there": "would delete there",
  conflict: "would keep both of",
} as const;

/** How to report. */
export interface SyncReportOptions {
  /** Whether `ended` resolves when a client has gone. @default {false} */
  readonly endsWithClient?: boolean;
  /** Whether nothing is done, and only said what would be. @default {false} */
  readonly dryRun?: boolean;
}

/** What fails without a path. */
const FOLDER_ITSELF = "";

/** Prints what happens to a folder, and counts it. */
export class SyncReport {
  /** Resolves when a client has gone, if that is the end. */
  readonly ended: Promise<void>;
  readonly #output: Output;
  readonly #ended = Promise.withResolvers<void>();
  readonly #endsWithClient: boolean;
  readonly #dryRun: boolean;
  readonly #printing: Promise<void>;
  readonly #startedMs = performance.now();
  readonly #counts = { changed: 0, conflicts: 0, skipped: 0, planned: 0 };
  /** What fails at the moment, and why: what is tried again need not be said again. */
  readonly #failing = new Map<string, string>();
  #progressMs = -Infinity;
  #intakeMs: number | undefined;

  /** Prints from now on, until the folder is closed. */
  constructor(sync: Pick<FolderSync, "events">, output: Output, options: SyncReportOptions = {}) {
    this.#output = output;
    this.#endsWithClient = options.endsWithClient ?? false;
    this.#dryRun = options.dryRun ?? false;
    this.ended = this.#ended.promise;
    this.#printing = this.#printAll(sync.events());
  }

  /** Waits for what is left to print, then prints the sum. */
  async finish(hubs: readonly JoinedHub[]): Promise<void> {
    await this.#printing;
    const { planned, ...counts } = this.#counts;
    const { changed, conflicts } = counts;
    const failed = this.#failing.size;
    const received = sumOf(hubs, "received");
    const sent = sumOf(hubs, "sent");
    const seconds = Math.round(performance.now() - this.#startedMs) / 1_000;
    const planFacts = this.#dryRun ? { planned } : {};
    const facts = { ...counts, failed, ...planFacts, bytesReceived: received, bytesSent: sent };
    const parts = [
      this.#dryRun ? `nothing was changed, ${planned} to do` : `${changed} changed`,
      ...(conflicts > 0 ? [`${conflicts} kept twice`] : []),
      ...(failed > 0 ? [`${failed} failed`] : []),
      ...(hubs.length > 0 && !this.#dryRun
        ? [`${formatBytes(received)} in, ${formatBytes(sent)} out`]
        : []),
    ];
    this.#output.result({ event: "done", ...facts, seconds }, `done: ${parts.join(", ")}`);
  }

  async #printAll(events: AsyncIterable<SyncEvent>): Promise<void> {
    for await (const event of events) {
      const isKnown = event.type === "failed" &&
        this.#failing.get(event.path ?? FOLDER_ITSELF) === event.reason;
      this.#count(event);
      if (!isKnown) this.#print(event);
      if (this.#endsWithClient && event.type === "disconnected") this.#ended.resolve();
    }
  }

  #count(event: SyncEvent): void {
    const { type } = event;
    if (type === "changed") {
      this.#counts.changed++;
      this.#failing.delete(event.path);
    }
    if (type === "conflict") this.#counts.conflicts++;
    if (type === "failed") this.#failing.set(event.path ?? FOLDER_ITSELF, event.reason);
    if (type === "synced") this.#failing.delete(FOLDER_ITSELF);
    if (type === "skipped") this.#counts.skipped++;
    if (type === "plan") this.#counts.planned++;
  }

  #print(event: SyncEvent): void {
    const { type, ...facts } = event;
    const output = this.#output;
    if (event.type === "progress") return this.#showProgress(event);
    if (event.type === "failed" && output.json) output.note(textOf(event));
    output.result({ event: type, ...facts }, textOf(event));
  }

  #showProgress(event: SyncEvent & { type: "progress" }): void {
    const { type, ...facts } = event;
    const { files, ofFiles, bytes, ofBytes } = event;
    const nowMs = performance.now();
    this.#intakeMs ??= nowMs;
    if (this.#output.json) {
      if (nowMs - this.#progressMs < PROGRESS_EVERY_MS && files < ofFiles) return;
      this.#progressMs = nowMs;
      this.#output.result({ event: type, ...facts }, "");
    } else {
      const seconds = (nowMs - this.#intakeMs) / 1_000;
      const line = `${files}/${ofFiles} files  ${formatProgress(bytes, ofBytes, seconds)}`;
      this.#output.progress(line);
    }
    if (files >= ofFiles) this.#intakeMs = undefined;
  }
}

function sumOf(hubs: readonly JoinedHub[], what: "received" | "sent"): number {
  return hubs.reduce((sum, { contentBytes }) => sum + contentBytes[what], 0);
}

/** An event for people. */
function textOf(event: SyncEvent): string {
  switch (event.type) {
    case "connected":
      return `${whoOf(event.peer)} is connected`;
    case "disconnected": {
      const why = event.reason === undefined ? "" : `: ${inWords(event.reason)}`;
      const then = event.peer === "server" ? "; it is tried again" : "";
      return `${whoOf(event.peer)} has gone${why}${then}`;
    }
    case "changed": {
      const before = event.oldPath === undefined ? "" : ` (was ${printable(event.oldPath, 300)})`;
      const by = event.by === "here" ? "here" : "there";
      return `${printable(event.path, 300)} ${OPERATIONS[event.operation]} ${by}${before}`;
    }
    case "conflict":
      return `${printable(event.path, 300)} was changed on both sides: one is kept as ` +
        printable(event.keptAs, 300);
    case "synced":
      return syncedText(event);
    case "plan":
      return `${ACTIONS[event.action]} ${printable(event.path, 300)}`;
    case "skipped":
      return `not shared: ${printable(event.path, 300)} (${printable(event.reason, 200)})`;
    case "failed": {
      const what = event.path === undefined ? "failed" : `${printable(event.path, 300)} failed`;
      return `${what}: ${printable(event.reason, 300)}`;
    }
    case "progress":
      return "";
  }
}

/** What stands for the reasons with which a connection ends, in the protocol's words. */
const REASONS: Readonly<Record<string, string>> = {
  SHUTTING_DOWN: "it was ended",
  HEARTBEAT_TIMEOUT: "nothing was heard for too long",
  SLOW_CONSUMER: "it was read from too slowly",
  CONNECTION_LIMIT: "it has too many connections",
  CLIENT_ID_IN_USE: "somebody else has this id now",
  INTERNAL_ERROR: "it has met with a fault of its own",
};

function inWords(reason: string): string {
  const [, code = ""] = /^WebSocket to .* was closed by the other side: \d+ (\w+)$/.exec(reason) ??
    [];
  const words = Object.hasOwn(REASONS, code) ? REASONS[code] : undefined;
  return words ?? printable(reason, 300);
}

function syncedText(event: SyncEvent & { type: "synced" }): string {
  const { notGiven, notTaken, readsOnly = false } = event;
  const who = whoOf(event.peer);
  const moved = `(${counted(event.taken, "change")} in, ${event.told} out)`;
  const left = [
    ...notGiven === undefined ? [] : [withheldText(notGiven, "here", "given")],
    ...notTaken === undefined ? [] : [withheldText(notTaken, "there", "taken")],
  ];
  if (left.length > 0) return `has all that it may have from ${who} ${moved}; ${left.join("; ")}`;
  return readsOnly ? `${who} has all that it may have ${moved}` : `alike with ${who} ${moved}`;
}

function withheldText({ files, paths }: Withheld, where: string, done: string): string {
  const more = files > paths.length ? ` and ${files - paths.length} more` : "";
  const names = paths.map((path) => printable(path, 100)).join(", ");
  const are = files === 1 ? "is" : "are";
  return `${counted(files, "file")} ${where} ${are} not ${done}: read-only (${names}${more})`;
}

/** A client by its name and the first digits of what makes its id one of its own. */
function whoOf(peer: string): string {
  if (peer === "server") return "the hub";
  const [, name, digits] = /^(.+)_\d+_([0-9a-f]{8})[0-9a-f]{8}$/.exec(peer) ?? [];
  return name === undefined ? printable(peer, 128) : `${name} (${digits})`;
}
