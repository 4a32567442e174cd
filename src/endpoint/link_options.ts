/**
 * What a link is made of.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import type { Logger } from "../log.ts";
import type { Metrics } from "../metrics.ts";
import type { FramedConnection } from "../transport/framed.ts";
import type { Dispatcher, Via } from "./dispatcher.ts";
import type { FlightRecorder } from "./flight_recorder.ts";
import type { PeerInfo } from "./handshake.ts";
import type { LinkShare } from "./resources.ts";
import type { HandlerSlots } from "./slots.ts";
import type { Traffic } from "./traffic.ts";
import type { Turns } from "./turns.ts";

/** Who opened a connection: we did, or the other side. */
export type Direction = "out" | "in";

/** What a link is made of. */
export interface LinkOptions {
  /** The frames, past the handshake. */
  framed: FramedConnection;
  /** Who is on the other side. */
  peer: PeerInfo;
  /** Who takes what comes in. */
  dispatcher: Dispatcher;
  /** Where time comes from. @default {systemClock} */
  clock?: Clock;
  /** Where to say what happens. @default {silentLogger} */
  log?: Logger;
  /** Counts `link.*`. @default {new Metrics()} */
  metrics?: Metrics;
  /** Who opened it. @default {"out"} */
  direction?: Direction;
  /** What carries it. @default {"tcp"} */
  via?: Via;
  /** Whether it is the one connection between the two. @default {false} */
  shared?: boolean;
  /** The slots that its handlers share with others. @default slots of its own */
  slots?: HandlerSlots;
  /** What may be in use on it, and is. @default {new LinkShare()} */
  share?: LinkShare;
  /** Where its messages are counted. @default {new Traffic()} */
  traffic?: Traffic;
  /** Where its messages are noted. @default one of its own */
  recorder?: FlightRecorder;
  /** What it is called there. @default {0} */
  number?: number;
  /** The connections that it takes turns with. @default none */
  turns?: Turns;
  /** Told when the other side is cut off because it does not read. @default nobody */
  onSlow?: () => void;
}
