/**
 * Between the network and the folder: what an exchange of indexes and contents needs of a connection, and no more.
 *
 * A hub has a port for each client, a client has one for its hub. A port outlives connections where both sides can resume:
 * messages go on after a cut, each once and in order. Contents do not, which `resumed` says.
 *
 * @module
 */

import type { WebSocketMessage } from "./message_types.ts";
import type { Author } from "./messages.ts";
import type { Capability } from "./protocol.ts";

/** Most bytes of one {@linkcode SyncPort.sendContent}: a chunk and what is said of it. */
export const MAX_CONTENT_BYTES: number = 1024 * 1024 + 1024;

/** Who is on the other side. */
export interface SyncPeer {
  /** Its client id; of a hub `server`. */
  readonly clientId: string;
  /** What it calls its folder; of a hub the room. */
  readonly label: string;
  /** Whether changes of its are to be taken: a client may have been let in to read only. Asked anew each time. */
  readonly canWrite: boolean;
  /** What both sides can do beyond the seed; without `index` it is a plain client. */
  readonly capabilities: readonly Capability[];
}

/** What comes in at a port. */
export type SyncInput =
  /** Anything but what the connection is about itself (`client_connect`, `client_disconnect`, `heartbeat`). */
  | { readonly type: "message"; readonly message: WebSocketMessage }
  /** A binary message whose first byte is not `DEFLATED`. The bytes are the receiver's. */
  | { readonly type: "content"; readonly bytes: Uint8Array }
  /** The connection was cut and is there again; no message was lost. Contents that were on their way, both ways, were. */
  | { readonly type: "resumed" }
  /** The same, and messages were lost or may have been: exchange the indexes. */
  | { readonly type: "resync" };

/** A connection with one other side, as whoever keeps a folder sees it. */
export interface SyncPort {
  /** Who is there. */
  readonly peer: SyncPeer;
  /** Whether the other side takes changes of ours. */
  readonly writable: boolean;
  /** For the messages that are made for this port: who we are, and the time now. */
  readonly author: Author;
  /**
   * Sends a message, at the latest at the end of this turn.
   *
   * @returns `false` when it will not arrive: the port is closed, or there is no connection and nothing to resume.
   */
  send(message: WebSocketMessage): boolean;
  /**
   * Sends contents behind the messages that were sent before; waiting for it is the back-pressure. The bytes belong to
   * the port until it resolves.
   *
   * @throws {TypeError} when the first byte is `DEFLATED`. @throws {RangeError} beyond {@linkcode MAX_CONTENT_BYTES}.
   * @throws {ClosedError} when there is no connection, or none any more: `resumed`, `resync` or the end follow.
   */
  sendContent(bytes: Uint8Array): Promise<void>;
  /** What comes in, for one reader; ends with the port. Who reads slowly makes the other side wait. */
  readonly receive: AsyncIterable<SyncInput>;
  /** Resolves, and never rejects, when the port has ended. @returns why, if something went wrong. */
  readonly closed: Promise<Error | undefined>;
  /** Ends the port and its connection. Harmless when closed. @param why What the other side is told. @default goodbye */
  close(why?: Error): void;
}
