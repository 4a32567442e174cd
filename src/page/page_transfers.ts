/**
 * Files that a page has sent, and what it is told while they leave.
 *
 * @module
 */

import { NotFoundError, PeerError, RemoteError, UnsupportedError } from "../errors.ts";
import { printable } from "../log.ts";
import type { DataWeaverId } from "../wire/weaver.ts";
import type { PageDesk } from "./page_desk.ts";
import { errorContent } from "./page_error.ts";

/** Time between two updates of one transfer, in milliseconds: a page shows no more. */
export const PROGRESS_MS = 200;

/** What can be wrong with files of this machine. The errors' own texts say where those are. */
const FILE_FAULTS: Readonly<Record<string, string>> = {
  "no-path": "it, or something in it, does not exist",
  "not-allowed": "it is not allowed",
  "bad-message": "a name is not one that every system takes",
  "unsupported": "the program lacks a permission",
};

/** What to send to whom. */
export interface PageTransfer {
  /** As the page names them. */
  readonly paths: readonly string[];
  /** One after the other. */
  readonly peerIds: readonly string[];
  /** The message that asks for it. */
  readonly msgId: DataWeaverId;
}

/** What a transfer is about, as the page is told. */
interface Item {
  readonly peerId: string;
  /** The first of the paths. */
  readonly path: string;
  readonly sources: readonly string[];
  readonly msgId: DataWeaverId;
}

/**
 * Sends files and folders; how each transfer goes is told in `1transfer update` messages.
 *
 * @throws {UnsupportedError} when no folder is shared. @throws as `SharedFolder.find` before anything is sent.
 */
export async function sendAll(
  desk: PageDesk,
  { paths, peerIds, msgId }: PageTransfer,
): Promise<void> {
  const { folder, signal } = desk;
  if (folder === undefined) {
    throw new UnsupportedError("Cannot send files: no folder to send from was named (shareFrom)");
  }
  const [path] = paths;
  if (path === undefined) throw new NotFoundError("no-path", "Cannot send files: no path is named");
  const sources: string[] = [];
  for (const path of paths) sources.push(await folder.find(path));
  for (const peerId of peerIds) {
    if (signal.aborted) return;
    await sendOne(desk, { peerId, path, sources, msgId });
  }
}

async function sendOne(desk: PageDesk, { peerId, path, sources, msgId }: Item): Promise<void> {
  const { parts, signal } = desk;
  const { clock } = parts;
  const transferId = desk.newTransferId();
  let received = 0;
  let toldMs = clock.now();
  const tell = (content: Record<string, unknown>, msgId?: DataWeaverId) => {
    desk.tell({ header: "1transfer update", content, peerId, msgId });
  };
  const state = () => ({ item_path: path, received, transfer_id: transferId });
  const onProgress = (bytes: number) => {
    received = bytes;
    if (clock.now() - toldMs < PROGRESS_MS) return;
    toldMs = clock.now();
    tell(state());
  };
  tell(state(), msgId); // the first answers the message, so that the page knows the transfer's id
  try {
    await parts.sendPaths(peerId, sources, { signal, onProgress });
    tell(state());
    tell({ confirmation: true, transferId });
  } catch (error) {
    if (!(error instanceof PeerError) && !signal.aborted) {
      parts.log.error("cannot send what a page asked for", { why: printable(String(error)) });
    }
    tell({ ...state(), cancelled: true, error: explain(error, path) });
  }
}

/** Why a transfer failed, without where this machine keeps its files. */
function explain(error: unknown, path: string): string {
  const isLocal = error instanceof PeerError && !(error instanceof RemoteError) &&
    Object.hasOwn(FILE_FAULTS, error.code);
  if (!isLocal) return errorContent(error).message;
  const { reason } = error.details;
  const why = typeof reason === "string" ? printable(reason) : FILE_FAULTS[error.code];
  return `Cannot send "${printable(path)}": ${why}`;
}
