/**
 * Changes as messages: one message serves all clients of a hub, which encodes it once.
 *
 * @module
 */

import type { FileChanged, WebSocketMessage } from "./message_types.ts";
import { changeMessage } from "./messages.ts";
import type { SyncPort } from "./port.ts";

const made = new WeakMap<FileChanged, Map<string, WebSocketMessage>>();

/** The message for a change on a port: with what the index says of it, for a side that has one too. */
export function messageFor(
  change: FileChanged,
  { author, peer }: Pick<SyncPort, "author" | "peer">,
): WebSocketMessage {
  const isPlain = !peer.capabilities.includes("index");
  const key = `${isPlain} ${author.clientId ?? ""}`;
  const messages = made.get(change) ?? new Map<string, WebSocketMessage>();
  made.set(change, messages);
  const before = messages.get(key);
  if (before !== undefined) return before;
  const { client_id: _none, entry: _entry, old_entry: _old, ...plain } = change;
  const author_id = author.clientId === undefined ? {} : { client_id: author.clientId };
  const { client_id: _no, ...whole } = change;
  const message = changeMessage(
    author,
    { ...(isPlain ? plain : whole), ...author_id } as FileChanged,
  );
  messages.set(key, message);
  return message;
}
