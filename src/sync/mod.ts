/**
 * Live-sync: folders that stay alike, over WebSockets between a hub and its clients, by the seed's protocol.
 *
 * @module
 */

export { SyncClient } from "./client.ts";
export { clockOffsetMs, folderLabel, isClientId, makeClientId } from "./client_id.ts";
export type { SyncClientOptions } from "./client_options.ts";
export { SyncRefusal } from "./close_codes.ts";
export { ContentShelf, type GrowingPart } from "./content_shelf.ts";
export type { SyncEntry } from "./entry.ts";
export {
  ERROR_CODES,
  type ErrorCategory,
  type ErrorCodeFacts,
  errorFromData,
  type SyncErrorCode,
} from "./error_codes.ts";
export { Exchange, type ExchangeOptions } from "./exchange.ts";
export type { PlannedStep } from "./exchange_plan.ts";
export { type FolderChange, SyncFolder, type SyncFolderOptions } from "./folder.ts";
export type { PlannedAction, SyncEvent, Withheld } from "./folder_events.ts";
export { indexNameOf } from "./folder_root.ts";
export {
  FolderSync,
  type FolderSyncOptions,
  type FolderSyncParts,
  JoinedHub,
  type JoinHubOptions,
  type ServeFolderOptions,
} from "./folder_sync.ts";
export type { WatchFolderOptions } from "./folder_watch.ts";
export { packMessages, unpackMessages } from "./frames.ts";
export type { FrameOptions as SyncFrameOptions } from "./frames.ts";
export { gateOf, type GateOptions, openGate, type SyncGate, type SyncScope } from "./gate.ts";
export type { SyncRates } from "./health.ts";
export { SyncHub } from "./hub.ts";
export {
  CLIENT_RATE,
  type ClientStatus,
  HEARTBEAT_MS as SYNC_HEARTBEAT_MS,
  type HubLimits,
  type HubOptions,
  type HubStatus,
  RESUME_MS,
  SILENCE_MS,
  SYNC_PATH,
  type SyncWeb,
} from "./hub_options.ts";
export { IGNORE_FILE, IgnoreRules } from "./ignore.ts";
export type { IndexWrite, KnownFile, Opening, StoredEntry, SyncIndex, SyncMark } from "./index.ts";
export { MemoryIndex } from "./memory_index.ts";
export {
  type ClientData,
  type ConnectionRequest,
  type ConnectionResponse,
  type DataOf,
  type EntryMessage,
  type ErrorMessage,
  type FileChanged,
  type FileOperation,
  type HeartbeatMessage,
  type IndexPointMessage,
  type InstructionMessage,
  type JsonObject,
  type KnownMessage,
  MessageType,
  type OpeningMessage,
  type OtherMessage,
  type PlainErrorMessage,
  type ResumePoint,
  type Sender,
  SERVER_ID,
  type ServerData,
  type SyncAction,
  type SyncRequest,
  type SyncResponse,
  type WebSocketMessage,
} from "./message_types.ts";
export {
  type Author,
  changeMessage,
  connectMessage,
  type ConnectOptions as ConnectMessageOptions,
  disconnectMessage,
  errorMessage,
  heartbeatMessage,
  refusalMessage,
  syncRequestMessage,
  syncResponseMessage,
  welcomeMessage,
} from "./messages.ts";
export { MAX_CONTENT_BYTES, type SyncInput, type SyncPeer, type SyncPort } from "./port.ts";
export {
  CAPABILITIES as SYNC_CAPABILITIES,
  type Capability,
  decodeMessage,
  type DecodeMessageOptions,
  encodeMessage,
  type EncodeMessageOptions,
  isKnown,
  readMessage,
  SYNC_VERSIONS,
} from "./protocol.ts";
export type { Slots as ContentSlots } from "./slots.ts";
export { SyncSession, type SyncSessionOptions } from "./session.ts";
export { SqliteIndex } from "./sqlite_index.ts";
export {
  compareVersions,
  mergeVersions,
  type VersionOrder,
  type VersionVector,
} from "./version_vector.ts";
