/**
 * What happens while a folder is kept alike with others, for whoever shows it.
 *
 * @module
 */

import type { FileOperation } from "./message_types.ts";

/** Files that are on one side only, because they may not be given or are not taken. */
export interface Withheld {
  /** How many. */
  readonly files: number;
  /** The first few of them. */
  readonly paths: readonly string[];
}

/** Something that happened. */
export type SyncEvent =
  /** Somebody is there: a client of the hub, or as `server` the hub that was joined. */
  | { readonly type: "connected"; readonly peer: string; readonly name?: string }
  /** It is not any more: a client has gone, or the connection to the hub was cut, which is tried again. */
  | { readonly type: "disconnected"; readonly peer: string; readonly reason?: string }
  /** A file or folder was changed: here, by its user, or there, by another replica. */
  | {
    readonly type: "changed";
    /** Where; after a rename, the new path. */
    readonly path: string;
    /** How. */
    readonly operation: FileOperation;
    /** Who has changed it. */
    readonly by: "here" | "there";
    /** After a rename, the old path. */
    readonly oldPath?: string;
  }
  /** Two have changed one file: one version stays, the other was kept beside it. */
  | { readonly type: "conflict"; readonly path: string; readonly keptAs: string }
  /** Contents come in. */
  | {
    readonly type: "progress";
    /** Who they come from. */
    readonly peer: string;
    /** Files that have come, and files that are to come in this turn. */
    readonly files: number;
    /** See `files`. */
    readonly ofFiles: number;
    /** Bytes that are here of those files, and bytes of all of them. */
    readonly bytes: number;
    /** See `bytes`. */
    readonly ofBytes: number;
  }
  /** Both sides have what the other has, but for what one of them may not give or does not take. */
  | {
    readonly type: "synced";
    /** Who the other side is. */
    readonly peer: string;
    /** What the other side has changed here, and we on the other side, since this was said before. */
    readonly taken: number;
    /** See `taken`. */
    readonly told: number;
    /** What is here and not given, because we may only read. */
    readonly notGiven?: Withheld;
    /** What is there and not taken, because our folder is read-only. */
    readonly notTaken?: Withheld;
    /** Whether the other side is let in to read only, so that it is not asked what it has of its own. */
    readonly readsOnly?: true;
  }
  /** What would be done, of a dry run. */
  | { readonly type: "plan"; readonly action: PlannedAction; readonly path: string }
  /** A file or folder that is not shared, and why; said once. */
  | { readonly type: "skipped"; readonly path: string; readonly reason: string }
  /** Something was not done, and will be tried again. */
  | { readonly type: "failed"; readonly path?: string; readonly reason: string };

/** What a dry run says would be done with a file, seen from here. */
export type PlannedAction = "send" | "receive" | "delete" | "delete-there" | "conflict";
