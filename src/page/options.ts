/**
 * What a page needs of a peer, and how it may be set up.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import type { WebPort } from "../endpoint/web.ts";
import type { Logger } from "../log.ts";
import type { Metrics } from "../metrics.ts";

/** A peer, as a page shows it. */
export interface PagePeer {
  /** 40 hexadecimal digits. */
  readonly peerId: string;
  /** A label of its own choice; empty for none. */
  readonly name: string;
  /** Where it is; empty where that is not known. */
  readonly ip: string;
}

/** How a page has files sent. */
export interface PageSendOptions {
  /** Gives up when aborted. */
  readonly signal: AbortSignal;
  /** Called as bytes leave. */
  readonly onProgress: (bytes: number) => void;
}

/** What a page has a peer do; every method rejects with an error of the table. */
export interface PageParts {
  /** Where pages come in. */
  readonly web: Pick<WebPort, "take">;
  /** Where time comes from. */
  readonly clock: Clock;
  /** Where to say what happens. */
  readonly log: Logger;
  /** Counters. */
  readonly metrics: Metrics;
  /** Who is known now, each once: members of the group, and who is connected. */
  peers(): readonly PagePeer[];
  /** Looks around, until the signal aborts. */
  find(options: { signal: AbortSignal }): AsyncIterable<PagePeer>;
  /** Connects to a peer, and keeps the connection. */
  connect(peerId: string, options: { signal: AbortSignal }): Promise<PagePeer>;
  /** Sends a text message to a peer; resolves when that has taken it. */
  sendText(peerId: string, text: string, options: { signal: AbortSignal }): Promise<void>;
  /** Sends files and folders of this machine to a peer; resolves when that has verified them. */
  sendPaths(peerId: string, paths: readonly string[], options: PageSendOptions): Promise<void>;
}

/** Whose messages a page writes: ours, or those of the original program's page. Both are read. */
export type PageStyle = "kith" | "peerconnect";

/** How to serve pages. */
export interface PageOptions {
  /**
   * `kith`: `type` is a word, ids are hexadecimal, the JSON is compact. `peerconnect`: as the original program writes,
   * `type` a number, ids decimal. @default {"kith"}
   */
  style?: PageStyle;
  /**
   * The sites whose pages may connect, such as `http://localhost:3000`, besides one from the web port itself. What a
   * page from a file says of itself, `null`, is what many a stranger's page says too: it cannot be listed.
   *
   * @default {[]}
   */
  origins?: readonly string[];
  /**
   * The folder below which files and folders may be sent from. Whoever has the page may send all of it to anybody.
   *
   * @default nothing can be sent
   */
  shareFrom?: string;
  /** Take programs and pages of other machines too: whoever reaches the web port, by its address, can then do all of this. @default {false} */
  allowRemote?: boolean;
  /** WebSockets at the same time; a page has two. @default {8} */
  maxSockets?: number;
  /** Messages that wait on each channel while no page is connected; the oldest are dropped, which the next page is told. @default {1000} */
  maxWaiting?: number;
}
