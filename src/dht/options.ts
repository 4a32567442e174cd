/**
 * What a node of the DHT is tuned by.
 *
 * @module
 */

import type { QuotaOptions } from "./quotas.ts";

/** Times, counts and rates of a node. */
export interface DhtTuning {
  /** Nodes in a bucket, and nodes that an answer names at most. */
  readonly k: number;
  /** Questions of a lookup that are under way at the same time; more where some are slow. */
  readonly alpha: number;
  /** Most of them. */
  readonly maxAlpha: number;
  /**
   * Ways of a lookup that share no node, so that hostile ones have to be on all of them; `auto` for one among private
   * addresses and four where there are others.
   */
  readonly paths: number | "auto";
  /** Nodes that keep a value. */
  readonly replicas: number;
  /**
   * How many of them, the nearest, have to say so; the others are given it once, without an answer, where that can be. What
   * is lost on the way there the next republishing makes up for.
   */
  readonly confirms: number;
  /** How many of the nearest nodes have to have answered before a value is put. */
  readonly settle: number;
  /** Answers with values of a name that are waited for, from different nodes. */
  readonly quorum: number;
  /** How often what is kept is put again by somebody, in milliseconds. */
  readonly republishMs: number;
  /** A part of the table that nobody looked into for so long is refreshed, in milliseconds. */
  readonly refreshMs: number;
  /** How long a value is kept unless it is put again, in seconds. */
  readonly ttlS: number;
  /** How often a node looks after what is due, in milliseconds. */
  readonly tickMs: number;
  /** Values that are put again in one go. */
  readonly republishBatch: number;
  /** How much is kept for others. */
  readonly quotas: QuotaOptions;
  /** Whether a newcomer is given what it should keep at once, and not only when it is put again. */
  readonly welcomes: boolean;
}

/** What a node is tuned by unless told otherwise. */
export const DHT_DEFAULTS: DhtTuning = {
  k: 20,
  alpha: 3,
  maxAlpha: 10,
  paths: "auto",
  replicas: 20,
  confirms: 8,
  settle: 3,
  quorum: 3,
  republishMs: 3_600_000,
  refreshMs: 3_600_000,
  ttlS: 86_400,
  tickMs: 15_000,
  republishBatch: 64,
  quotas: {},
  welcomes: true,
};
