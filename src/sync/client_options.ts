/**
 * What a client of live-sync is told.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import type { Logger } from "../log.ts";
import type { Metrics } from "../metrics.ts";
import { SYNC_PATH } from "./hub_options.ts";
import type { Capability } from "./protocol.ts";

/** What stands for the client's id in a URL. */
const ID_PLACE = "{client_id}";

/** How to connect to a hub. */
export interface SyncClientOptions {
  /** Our name, for people. */
  readonly name: string;
  /** The folder: a path, of which only the label is sent. */
  readonly folder: string;
  /** What we prove ourselves by: an invite or an API key. @default none */
  readonly apiKey?: string | undefined;
  /** The hub's folder. @default the hub's choice */
  readonly room?: string | undefined;
  /** Our id; nobody else may have it. @default made of the name, the time and chance */
  readonly clientId?: string | undefined;
  /** What we can do beyond the seed. @default {CAPABILITIES} */
  readonly capabilities?: readonly Capability[];
  /** Certificates of authorities, in PEM, that are trusted beside the system's, for `wss:`. @default {[]} */
  readonly caCerts?: readonly string[];
  /** Largest frame of messages in bytes, inflated. @default {MAX_JSON_BYTES} */
  readonly maxMessageBytes?: number;
  /** Time between two signs of life in milliseconds. @default {HEARTBEAT_MS} */
  readonly heartbeatMs?: number;
  /** Silence after which the connection is given up, in milliseconds. @default {SILENCE_MS} */
  readonly silenceMs?: number;
  /** The first attempt after a cut is made within so many milliseconds. @default {1000} */
  readonly reconnectMs?: number;
  /** Told when the connection was cut, and why if that is known, and when it is there again. @default nobody */
  readonly onConnection?: ((isThere: boolean, why?: Error) => void) | undefined;
  /** Ends the client when aborted. */
  readonly signal?: AbortSignal | undefined;
  /** Where time and chance come from. @default {systemClock} */
  readonly clock?: Clock;
  /** Told of cuts. @default {silentLogger} */
  readonly log?: Logger;
  /** Counts `sync.client.*`. @default {new Metrics()} */
  readonly metrics?: Metrics;
}

/** Where to connect. @throws {TypeError} when it is no WebSocket URL. */
export function syncUrl(text: string, clientId: string): string {
  const url = URL.parse(text.replaceAll(ID_PLACE, clientId));
  // The runtime would take `http:` for `ws:`.
  if (url === null || !/^wss?:$/.test(url.protocol)) {
    throw new TypeError("A hub's URL begins with ws: or wss:");
  }
  if (url.pathname === "/") url.pathname = SYNC_PATH;
  return url.href;
}
