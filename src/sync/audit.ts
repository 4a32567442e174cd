/**
 * What a hub writes down: each message with its client's id in the message log, and who came, was refused, changed what
 * and left in the audit log. Neither ever holds a key, a session's name or contents.
 *
 * @module
 */

import { ClosedError } from "../errors.ts";
import { type Logger, printable } from "../log.ts";
import { type Address, formatAddress } from "../transport/transport.ts";
import { errorCodeFor } from "./close_codes.ts";
import type { SyncScope } from "./gate.ts";
import { MessageType, type WebSocketMessage } from "./message_types.ts";

/** Longest path in a log, in characters. */
const MAX_SHOWN_PATH = 300;

/** Who is spoken of. */
export interface AuditedClient {
  /** Its id. */
  readonly clientId: string;
  /** Its room. */
  readonly room: string;
}

/** The two logs; see the module. */
export class SyncAudit {
  readonly #messages: Logger;
  readonly #audit: Logger;

  /** Writes to a log of messages, on level `debug`, and one of what matters later, on `info` and `warn`. */
  constructor(messages: Logger, audit: Logger) {
    this.#messages = messages;
    this.#audit = audit;
  }

  /** A client is in. */
  came(client: AuditedClient, about: { name: string; scope: SyncScope; from: Address }): void {
    const { name, scope, from } = about;
    const fields = { name: printable(name, 64), scope, from: formatAddress(from) };
    this.#audit.info("sync client connected", { ...shown(client), ...fields });
  }

  /** A client has come back to its session. */
  resumed(client: AuditedClient, from: Address): void {
    this.#audit.info("sync client resumed", { ...shown(client), from: formatAddress(from) });
  }

  /** Somebody was not let in. @param clientId What it called itself, if it got so far. */
  refused(from: Address, why: unknown, clientId?: string): void {
    this.#audit.warn("sync client refused", {
      ...(clientId === undefined ? {} : { client: printable(clientId, 64) }),
      from: formatAddress(from),
      why: errorCodeFor(why),
    });
  }

  /** A client's connection has ended; its session may go on. */
  lost(client: AuditedClient, why: Error | undefined): void {
    this.#messages.debug("sync connection ended", { ...shown(client), ...reason(why) });
  }

  /** A client has left for good. */
  left(client: AuditedClient, why: Error | undefined): void {
    this.#audit.info("sync client left", { ...shown(client), ...reason(why) });
  }

  /** A client broke the rules. */
  fault(client: AuditedClient, error: Error): void {
    const fields = { code: errorCodeFor(error), why: printable(error.message, 300) };
    this.#audit.warn("sync client broke a rule", { ...shown(client), ...fields });
  }

  /** A client's message was taken. */
  took(client: AuditedClient, message: WebSocketMessage): void {
    const { type, data } = message;
    this.#messages.debug("sync message", { ...shown(client), type: printable(type, 64) });
    if (type !== MessageType.FILE_CHANGED) return;
    const { operation, file_path: path } = data;
    this.#audit.info("sync file changed", {
      ...shown(client),
      operation,
      path: typeof path === "string" ? printable(path, MAX_SHOWN_PATH) : "",
    });
  }
}

function shown({ clientId, room }: AuditedClient): { client: string; room: string } {
  return { client: printable(clientId, 64), room: printable(room, 64) };
}

function reason(why: Error | undefined): { why?: string } {
  if (why === undefined) return {};
  return { why: why instanceof ClosedError ? "the connection broke" : errorCodeFor(why) };
}
