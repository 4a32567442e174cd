/**
 * The status page and `/metrics`: how a peer is, on its web port, for callers of its own machine.
 *
 * @module
 */

export { MAX_PART_CHARS, MAX_SOURCES, StatusFeed, type StatusParts } from "./feed.ts";
export { METRICS_TYPE, writeMetrics } from "./metrics_text.ts";
export type { Figure, StatusSource } from "./source.ts";
export {
  HOME_PATH,
  LOOK_EVERY_MS,
  MAX_VIEWERS,
  METRICS_PATH,
  STATUS_PATH,
  StatusPage,
  type StatusPageOptions,
  type StatusPageParts,
} from "./status_page.ts";
export {
  type FollowedFolder,
  type ShownFolder,
  SyncSource,
  type SyncSourceOptions,
} from "./sync_source.ts";
export {
  type ShownEvent,
  type ShownReceiver,
  TransferBoard,
  type TransferRow,
} from "./transfer_board.ts";
