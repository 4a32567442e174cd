/**
 * A replica with a disk in memory, which carries out the steps as a client or hub does, and can be cut off anywhere.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { entryFromMessage, entryToMessage, type SyncEntry } from "../../src/sync/entry.ts";
import { intake, wantedContents } from "../../src/sync/intake.ts";
import { compareScan, localEdits } from "../../src/sync/local_edits.ts";
import { MemoryIndex } from "../../src/sync/memory_index.ts";
import { planSync } from "../../src/sync/plan.ts";
import { commitStep, conditionsOf, type DiskAction, type Step } from "../../src/sync/steps.ts";
import { DiskError, SimDisk } from "./sim_disk.ts";

/** Somebody who edits while this replica works makes it begin anew; so often in a row nobody is that quick. */
const MAX_TRIES = 20;

/** The connection, or the program, is gone. */
export class Cut extends Error {}

/** The replica. */
export class SimReplica {
  readonly name: string;
  readonly index: MemoryIndex;
  readonly disk: SimDisk;
  /** What was removed or replaced since the batch began. */
  readonly #stash = new Map<string, string>();
  /** Bytes that others had to send. */
  fetched = 0;

  constructor(name: string, replica: string, options: { ignoresCase?: boolean } = {}) {
    this.name = name;
    this.index = new MemoryIndex(replica);
    this.disk = new SimDisk(options);
  }

  /** Notes what was done to the disk. */
  scan(onStep: OnStep = () => {}): void {
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const { changed, gone } = compareScan(this.index, this.disk.list());
      const read = changed.map((file) => {
        return {
          ...file,
          sha256: file.kind === "file" ? hash(this.disk.read(file.path) ?? "") : "",
        };
      });
      const settled = this.#carryOutAll(localEdits(this.index, read, gone), new Map(), onStep);
      if (settled && this.disk.list().length === this.index.known().size) return;
    }
    throw new Error(`${this.name} cannot note its files`);
  }

  /** Takes entries in. @returns whether all of them were, or had no need to be. */
  takeIn(entries: readonly SyncEntry[], from: SimReplica, onStep: OnStep): boolean {
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      this.scan();
      const contents = new Map<string, string>();
      const missing = new Set<SyncEntry>();
      for (const entry of wantedContents(this.index, entries)) {
        const found = from.contents(entry.sha256);
        if (found === undefined) missing.add(entry); // the other side has something newer by now
        else contents.set(entry.sha256, found);
        this.fetched += found?.length ?? 0;
      }
      this.#stash.clear();
      const there = entries.filter((entry) => !missing.has(entry));
      if (this.#carryOutAll(intake(this.index, there, from.index.replica), contents, onStep)) {
        return missing.size === 0;
      }
    }
    throw new Error(`${this.name} cannot take in ${entries.map(({ path }) => path)}`);
  }

  /** Contents that are on the disk now, under any name that the index knows. */
  contents(sha256: string): string | undefined {
    return this.index.withContents(sha256).map(({ path }) => this.disk.read(path))
      .find((found) => found !== undefined && hash(found) === sha256);
  }

  #carryOutAll(
    steps: Iterable<Step>,
    contents: ReadonlyMap<string, string>,
    onStep: OnStep,
  ): boolean {
    for (const step of steps) if (!this.#carryOut(step, contents, onStep)) return false;
    return true;
  }

  #carryOut(step: Step, contents: ReadonlyMap<string, string>, onStep: OnStep): boolean {
    onStep(this, "before");
    if (!this.#holds(step.disk)) return false;
    if (!this.#perform(step.disk, contents)) return false;
    onStep(this, "between");
    // What was moved has what it had, should somebody have edited it since.
    const stays = step.disk.do === "move";
    commitStep(this.index, step, (path) => stays ? undefined : this.disk.find(path)?.stat ?? "");
    return true;
  }

  #holds(action: DiskAction): boolean {
    const { unchanged, absent } = conditionsOf(this.index, action);
    const isUnchanged = unchanged.every((path) => {
      const known = this.index.get(path);
      const there = this.disk.find(path);
      const isKnown = known !== undefined && !known.deleted;
      if (!isKnown || there === undefined) return !isKnown && there === undefined;
      return known.kind === there.kind && known.stat === there.stat;
    });
    return isUnchanged && absent.every((path) => {
      return this.disk.find(path) === undefined ||
        (action.do === "move" && this.disk.isSame(action.from, path));
    });
  }

  #perform(action: DiskAction, contents: ReadonlyMap<string, string>): boolean {
    const { disk } = this;
    try {
      switch (action.do) {
        case "write": {
          const { sha256 } = action.entry;
          const found = contents.get(sha256) ?? this.#stash.get(sha256) ?? this.contents(sha256);
          if (found === undefined) return false;
          this.#keep(action.path);
          disk.write(action.path, found);
          break;
        }
        case "remove":
          this.#keep(action.path);
          disk.remove(action.path);
          break;
        case "folder":
          disk.makeFolder(action.path);
          break;
        case "copy":
          disk.write(action.to, disk.read(action.from) ?? "");
          break;
        case "move":
          disk.move(action.from, action.to);
          break;
        case "touch":
        case "nothing":
          break;
      }
      return true;
    } catch (error) {
      if (error instanceof DiskError) return false;
      throw error;
    }
  }

  #keep(path: string): void {
    const found = this.disk.read(path);
    if (found !== undefined) this.#stash.set(hash(found), found);
  }
}

/** Told before a step is carried out, and between what it does to the disk and to the index. */
export type OnStep = (replica: SimReplica, when: "before" | "between") => void;

/** A client and its hub bring each other up to date. @returns whether both have done all of it. */
export function exchange(client: SimReplica, hub: SimReplica, onStep: OnStep = () => {}): boolean {
  client.scan(onStep);
  hub.scan(onStep);
  const mark = client.index.mark(hub.index.replica);
  const ours = client.index.seq;
  const entries = client.index.since(mark.ours, hub.index.replica).map(throughMessage);
  const plan = planSync(hub.index, {
    source: client.index.replica,
    entries,
    since: mark.theirs,
  });
  const forClient = plan.instructions.flatMap(({ action, entry }) =>
    action === "send" || entry === undefined ? [] : [entryFromMessage(entry)]
  );
  const done = [
    hub.takeIn([...plan.takes], client, onStep),
    client.takeIn(forClient, hub, onStep),
  ];
  if (!done.every((one) => one)) return false;
  client.index.setMark(hub.index.replica, { ours, theirs: plan.indexSeq });
  return true;
}

/** A client is told of entries that a server has, as they come. */
export function tell(
  entries: readonly SyncEntry[],
  client: SimReplica,
  server: SimReplica,
  onStep: OnStep,
): void {
  client.takeIn(entries.map(throughMessage), server, onStep);
}

function throughMessage(entry: SyncEntry): SyncEntry {
  return entryFromMessage(entryToMessage(entry));
}

/** SHA-256 in hexadecimal. */
export function hash(contents: string): string {
  return createHash("sha256").update(contents).digest("hex");
}
