/**
 * Files and folders from one peer to another, verified at both ends.
 *
 * @module
 */

export { freeBytes } from "./disk.ts";
export type { AllowanceLimits } from "./dialects/allowance.ts";
export type { PeerConnectText } from "./dialects/peerconnect_chat_server.ts";
export type { PalmLinkHandshake, PalmLinkTaker } from "./dialects/peerconnect_driver.ts";

export type { PeerConnectHandshake } from "./dialects/peerconnect_handshake.ts";
export type { PeerConnectSendOptions } from "./dialects/peerconnect_driver_send.ts";
export type { ReceivingDesk } from "./dialects/peerconnect_driver_store.ts";
export type { HeldFolder } from "./held_folder.ts";
export type { HeldTree, HeldTreeOptions } from "./held_tree.ts";
export { type Writer } from "./incoming.ts";
export {
  buildManifest,
  type BuildManifestOptions,
  type BuiltManifest,
  type HashedEntry,
  type Manifest,
  type ManifestEntry,
  manifestRoot,
  type SkippedPath,
  type TransferSummary,
} from "./manifest.ts";
export { encodeManifest, type ManifestLimits, parseManifest } from "./manifest_codec.ts";
export type { Decision, Offer } from "./offer.ts";
export type { ReceivedFile } from "./placement.ts";
export {
  type Admission,
  type IncomingTransfer,
  type ReceiveEvent,
  Receiver,
  type ReceiverOptions,
} from "./receive.ts";
export {
  type CommitOptions,
  type Part,
  type PartOptions,
  ReceiveRoot,
  type ReceiveRootOptions,
} from "./receive_root.ts";
export { checkPath, findCollision, type PathEntry, type PathLimits } from "./safe_path.ts";
export { sendFiles, sendStream } from "./send.ts";
export {
  PauseSwitch,
  type SendEvent,
  type SendOptions,
  type SendPlan,
  SentBefore,
} from "./send_options.ts";
export { CHUNK_BYTES } from "./steps.ts";
