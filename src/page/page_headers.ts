/**
 * What a page can ask for, by header. `peerId` is whom it is about, `content` the rest.
 *
 * | header                                                           | content                              | answer, with the same `msgId`                     |
 * |------------------------------------------------------------------|--------------------------------------|---------------------------------------------------|
 * | `1search name`                                                   | part of a name                       | `0result for search name`: `[{name, ip, peerId}]` |
 * | `1sync users`                                                    | any                                  | `1new peer` for each who is known                 |
 * | `1send peer list`                                                | any                                  | `0result for send peer list`: the same as a list  |
 * | `1connect_peer`                                                  | any                                  | `1new peer`, or `1failed to reach`                |
 * | `0send_text`                                                     | the text                             | `0textsent`, once the peer has taken it           |
 * | `0send_file_to_peer`, `0send_a_directory`                        | a path, `{path}` or `{paths}`        | `1transfer update`, and further ones              |
 * | `0send_file_to_multiple_peers`, `0send_dir_to_multiple_peers`    | the same with `{peerList}`           | the same for each peer, one after the other       |
 * | `1send profiles`, `1set selected profile`                        |                                      | an error: a kith peer has one identity            |
 *
 * A `1transfer update` is `{item_path, received, transfer_id}` while bytes leave, then `{confirmation, transferId}`, or
 * the former with `{cancelled, error}`. What cannot be served at all is answered with an error: `0error` or `1error`,
 * by the channel of the socket, with `{code, message}`.
 *
 * @module
 */

import { InvalidPacketError, PeerError, UnsupportedError } from "../errors.ts";
import type { PagePeer } from "./options.ts";
import type { PageDesk, PageRequest } from "./page_desk.ts";
import { errorContent } from "./page_error.ts";
import { isFields, readPeerId, writePeerId } from "./page_message.ts";
import { sendAll } from "./page_transfers.ts";

/** Peers that one answer lists. */
export const MAX_LISTED = 1_000;

/** Peers that one search gives, as much as a person reads. */
export const MAX_FOUND = 64;

/** How long a search looks around, in milliseconds: who is there answers in a fraction of it. */
export const SEARCH_MS = 1_000;

/** Longest part of a name: no name is longer. */
const MAX_NAME_CHARS = 64;

/** Most paths of one message, and the longest. */
const [MAX_PATHS, MAX_PATH_CHARS] = [1_000, 4_096];

/** Most peers that one message has files sent to. */
const MAX_RECEIVERS = 64;

/** How a header is served. */
export interface PageService {
  /** How many of them may be at work at the same time. */
  readonly most: number;
  /** Serves one. Whatever it throws is the answer. */
  serve(request: PageRequest, desk: PageDesk): void | Promise<void>;
}

/** The headers that are known. */
export const PAGE_SERVICES: ReadonlyMap<string, PageService> = new Map<string, PageService>([
  // Each search asks the whole network.
  ["1search name", { most: 4, serve: searchName }],
  ["1sync users", { most: 8, serve: syncUsers }],
  ["1send peer list", { most: 8, serve: sendPeerList }],
  ["1connect_peer", { most: 8, serve: connectPeer }],
  ["0send_text", { most: 32, serve: sendText }],
  ["0send_file_to_peer", { most: 8, serve: sendToPeer }],
  ["0send_a_directory", { most: 8, serve: sendToPeer }],
  ["0send_file_to_multiple_peers", { most: 2, serve: sendToPeers }],
  ["0send_dir_to_multiple_peers", { most: 2, serve: sendToPeers }],
  ["1send profiles", { most: 8, serve: refuseProfiles }],
  ["1set selected profile", { most: 8, serve: refuseProfiles }],
]);

/** What a page is told of a peer, beside its id. */
export function shownPeer({ name, ip }: PagePeer): { name: string; ip: string } {
  return { name, ip };
}

async function searchName({ message, reply }: PageRequest, desk: PageDesk): Promise<void> {
  const wanted = textOf(message.content, "content", MAX_NAME_CHARS).toLowerCase();
  const { parts, signal } = desk;
  const found = new Map<string, PagePeer>();
  const isEnough = (peer: PagePeer) => {
    if (peer.name.toLowerCase().includes(wanted)) found.set(peer.peerId, peer);
    return found.size >= MAX_FOUND;
  };
  if (!parts.peers().some(isEnough)) {
    const late = new AbortController();
    const timer = parts.clock.after(SEARCH_MS, () => late.abort());
    try {
      for await (const peer of parts.find({ signal: AbortSignal.any([late.signal, signal]) })) {
        if (isEnough(peer)) break;
      }
    } finally {
      timer.cancel();
    }
  }
  reply("0result for search name", listOf([...found.values()], desk));
}

function syncUsers({ reply }: PageRequest, { parts }: PageDesk): void {
  for (const peer of parts.peers().slice(0, MAX_LISTED)) {
    reply("1new peer", shownPeer(peer), peer.peerId);
  }
}

function sendPeerList({ reply }: PageRequest, desk: PageDesk): void {
  reply("0result for send peer list", listOf(desk.parts.peers().slice(0, MAX_LISTED), desk));
}

async function connectPeer({ message, reply }: PageRequest, desk: PageDesk): Promise<void> {
  const { parts, style, signal } = desk;
  const peerId = readPeerId(message.peerId, style);
  try {
    const peer = await parts.connect(peerId, { signal });
    reply("1new peer", shownPeer(peer), peer.peerId);
  } catch (error) {
    if (!(error instanceof PeerError)) throw error;
    reply("1failed to reach", errorContent(error), peerId);
  }
}

async function sendText({ message, reply }: PageRequest, desk: PageDesk): Promise<void> {
  const { parts, style, signal } = desk;
  const peerId = readPeerId(message.peerId, style);
  await parts.sendText(peerId, textOf(message.content, "content", Infinity), { signal });
  reply("0textsent", null, peerId);
}

async function sendToPeer({ message }: PageRequest, desk: PageDesk): Promise<void> {
  const paths = pathsIn(message.content);
  await sendAll(desk, {
    paths,
    peerIds: [readPeerId(message.peerId, desk.style)],
    msgId: message.msgId,
  });
}

async function sendToPeers({ message }: PageRequest, desk: PageDesk): Promise<void> {
  const { content, msgId } = message;
  const list = isFields(content) ? content.peerList : undefined;
  if (!Array.isArray(list) || list.length === 0 || list.length > MAX_RECEIVERS) {
    throw badContent(`peerList is not a list of 1..${MAX_RECEIVERS} peers`, "peerList");
  }
  const peerIds = new Set(list.map((id) => readPeerId(id, desk.style)));
  await sendAll(desk, { paths: pathsIn(content), peerIds: [...peerIds], msgId });
}

function refuseProfiles({ message }: PageRequest): never {
  throw new UnsupportedError(
    `Cannot serve "${message.header}": a kith peer has one identity and no profiles`,
  );
}

function listOf(
  peers: readonly PagePeer[],
  { style }: PageDesk,
): { name: string; ip: string; peerId: string }[] {
  return peers.map((peer) => ({ ...shownPeer(peer), peerId: writePeerId(peer.peerId, style) }));
}

/** The paths in a message: a text, `{path}` or `{paths}`. */
function pathsIn(content: unknown): string[] {
  const { paths, path } = isFields(content) ? content : { paths: undefined, path: content };
  const list = paths === undefined ? [path] : paths;
  if (!Array.isArray(list) || list.length === 0 || list.length > MAX_PATHS) {
    throw badContent(`paths is not a list of 1..${MAX_PATHS} paths`, "paths");
  }
  return list.map((path) => textOf(path, "path", MAX_PATH_CHARS));
}

function textOf(value: unknown, field: string, maxChars: number): string {
  if (typeof value !== "string" || value === "") throw badContent(`${field} is not a text`, field);
  if (value.length > maxChars) {
    throw badContent(`${field} is longer than ${maxChars} characters`, field);
  }
  return value;
}

function badContent(why: string, field: string): InvalidPacketError {
  return new InvalidPacketError("bad-message", `Cannot read page message: ${why}`, {
    details: { field },
  });
}
