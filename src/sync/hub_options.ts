/**
 * What a hub is told, and its limits.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import type { RateOptions } from "../endpoint/limits.ts";
import type { WebPort } from "../endpoint/web.ts";
import type { Logger } from "../log.ts";
import type { Metrics } from "../metrics.ts";
import { MAX_JSON_BYTES } from "../wire/json.ts";
import type { SyncGate, SyncScope } from "./gate.ts";
import type { SyncRates } from "./health.ts";
import { MAX_QUEUED_CHARS } from "./outbox.ts";
import type { SyncPort } from "./port.ts";
import type { Capability } from "./protocol.ts";

/** Where clients come in: also with their id behind it, as `/sync/ID` or `/sync?client_id=ID`. */
export const SYNC_PATH = "/sync";

/** Time between two signs of life, both ways, in milliseconds: the seed's. */
export const HEARTBEAT_MS = 30_000;

/** Silence after which a connection is given up: two signs of life were missed, and what a third may be late. */
export const SILENCE_MS = 75_000;

/** How long a session waits for its client unless told otherwise: a closed laptop lid is not worth the memory. */
export const RESUME_MS = 120_000;

/** Messages that a client may send unless told otherwise: a large folder that moves at once, then what disks do. */
export const CLIENT_RATE: Readonly<RateOptions> = { perSecond: 1_000, burst: 10_000 };

/** Limits of a hub. */
export interface HubLimits {
  /** Clients at the same time, those that are away included. @default {4096} or what descriptors there are */
  readonly maxClients?: number;
  /** WebSockets that have not said who they are. @default {1024} */
  readonly maxStrangers?: number;
  /** Time they have for it, in milliseconds. @default {10000} */
  readonly connectMs?: number;
  /** Largest frame of messages in bytes, inflated. @default {1048576} */
  readonly maxMessageBytes?: number;
  /** Messages of a client, and contents at a twentieth of one; more end its connection. @default {CLIENT_RATE} */
  readonly rate?: Readonly<RateOptions>;
  /** UTF-16 units of messages that may wait for a client that reads slowly. @default {MAX_QUEUED_CHARS} */
  readonly maxQueuedChars?: number;
  /** Messages of one connection that may break the rules. @default {32} */
  readonly maxFaults?: number;
  /** Time between two signs of life in milliseconds. @default {HEARTBEAT_MS} */
  readonly heartbeatMs?: number;
  /** Silence after which a connection is given up, in milliseconds. @default {SILENCE_MS} */
  readonly silenceMs?: number;
  /** How long a session waits for its client, in milliseconds; 0 for not at all. @default {RESUME_MS} */
  readonly resumeMs?: number;
  /** Sessions that may wait; of more the longest waiting ends. @default {256} */
  readonly maxAway?: number;
}

/** What a hub is told. */
export interface HubOptions {
  /** Who may do what; without one those of this machine may do everything, and others nothing. */
  readonly gate?: SyncGate | undefined;
  /** The folders there are. @default whatever clients name */
  readonly rooms?: readonly string[];
  /** Sites whose pages may connect. @default none but pages of the port itself */
  readonly origins?: readonly string[];
  /**
   * Takes part in the room of each client that comes: what it says is given to the port, and passed on to nobody. Told
   * again only when the client comes with a new session; the port before has ended then.
   *
   * @default the hub passes changes on to the others in the room
   */
  readonly onPort?: ((port: SyncPort, room: string) => void) | undefined;
  /** Whether the others in a room are told who comes and goes, as the original program's server does. @default {false} */
  readonly announces?: boolean;
  /** What clients may use beyond the seed. @default {CAPABILITIES} */
  readonly capabilities?: readonly Capability[];
  /** Limits that are not the default. @default {{}} */
  readonly limits?: HubLimits;
  /** Where time comes from. @default {systemClock} */
  readonly clock?: Clock;
  /** Logs each message with its client's id, on level `debug`. @default {silentLogger} */
  readonly log?: Logger;
  /** Logs who came, was refused, changed what and left. @default {log} */
  readonly audit?: Logger;
  /** Counts `sync.*`. @default {new Metrics()} */
  readonly metrics?: Metrics;
}

/** Where a hub takes its WebSockets from. */
export type SyncWeb = Pick<WebPort, "take">;

/** A client as the status shows it. */
export interface ClientStatus {
  /** Its id. */
  readonly clientId: string;
  /** What it calls itself. */
  readonly name: string;
  /** Where it is. */
  readonly room: string;
  /** What it may do; nothing when its credential works no more. */
  readonly scope: SyncScope | undefined;
  /** Whether it is connected; otherwise its session waits for it. */
  readonly connected: boolean;
  /** How long nothing was heard of it, in milliseconds. */
  readonly silentMs: number;
  /** UTF-16 units of messages that wait for it. */
  readonly queuedChars: number;
}

/** How a hub fares. */
export interface HubStatus {
  /** Everybody, in the order they came. */
  readonly clients: readonly ClientStatus[];
  /** Rooms that somebody is in. */
  readonly rooms: number;
  /** WebSockets that have not said who they are. */
  readonly strangers: number;
  /** Rates of the last minute. */
  readonly rates: SyncRates;
}

/** Limits with the defaults of those that are not given. */
export function limitsOf(limits: HubLimits = {}): Required<HubLimits> {
  return {
    maxClients: 4_096,
    maxStrangers: 1_024,
    connectMs: 10_000,
    maxMessageBytes: MAX_JSON_BYTES,
    rate: CLIENT_RATE,
    maxQueuedChars: MAX_QUEUED_CHARS,
    maxFaults: 32,
    heartbeatMs: HEARTBEAT_MS,
    silenceMs: SILENCE_MS,
    resumeMs: RESUME_MS,
    maxAway: 256,
    ...limits,
  };
}
