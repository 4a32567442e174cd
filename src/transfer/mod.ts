/**
 * Files and folders from one peer to another, verified at both ends.
 *
 * @module
 */

export { Incoming, type ReceivedFile, type TransferSummary } from "./incoming.ts";
export {
  buildManifest,
  type BuildManifestOptions,
  type BuiltManifest,
  encodeManifest,
  type HashedEntry,
  type Manifest,
  type ManifestEntry,
  type ManifestLimits,
  manifestRoot,
  parseManifest,
  type SkippedPath,
} from "./manifest.ts";
export {
  type Offer,
  type ReceiveEvent,
  Receiver,
  type ReceiverOptions,
  type TransferProgress,
} from "./receive.ts";
export {
  type CommitOptions,
  freeBytes,
  type Part,
  ReceiveRoot,
  type ReceiveRootOptions,
} from "./receive_root.ts";
export { checkPath, findCollision, type PathEntry, type PathLimits } from "./safe_path.ts";
export { CHUNK_BYTES, type SendEvent, sendFiles, type SendOptions } from "./send.ts";
