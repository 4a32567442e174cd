/**
 * What a row of the verb table holds.
 *
 * @module
 */

import type { Peer } from "../peer.ts";
import type { Host } from "./control/host.ts";
import type { Options, OptionSpecs } from "./options.ts";
import type { Output } from "./output.ts";
import type { Results } from "./results.ts";

/** What a verb runs with. */
export interface Invocation {
  /** Its options and arguments. */
  readonly options: Options;
  /** Where it prints. */
  readonly output: Output;
  /** Fires on ^C. */
  readonly signal: AbortSignal;
  /** The running peer, where it runs in that. */
  readonly host?: Host;
  /** Why it does not run in a running peer, where it could. */
  readonly apart?: string;
  /** Told of a peer that is opened for it. */
  readonly onOpened?: (peer: Peer) => void;
}

/** Runs a verb; errors become the exit status, which is otherwise what it returns, or 0. */
export type Run = (invocation: Invocation) => Promise<number | void>;

/** One verb. */
export interface Verb {
  /** Arguments, for the usage line. */
  readonly usage: string;
  /** One line of help. */
  readonly summary: string;
  /** A command line that works. */
  readonly example: string;
  /** What `--json` prints. */
  readonly prints: Results;
  /** The permissions it needs, besides reading its own code. */
  readonly permissions: string;
  /** Its options. */
  readonly options: OptionSpecs;
  /**
   * Options that a running peer goes by, for a verb that runs in the peer that is up with this home. Others have to be as
   * that was started, or the verb opens a peer of its own. @default the verb never runs there
   */
  readonly hosted?: readonly string[];
  /** Loads its code. */
  readonly load: () => Promise<{ run: Run }>;
}

/** Verbs by name. */
export type Verbs = Readonly<Record<string, Verb>>;
