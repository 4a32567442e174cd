/**
 * A client of a hub: who it is, what it may do, and the line to it.
 *
 * @module
 */

import { createHash, timingSafeEqual } from "node:crypto";
import { printable } from "../log.ts";
import { MAX_LABEL_CHARS } from "./client_id.ts";
import type { SyncGate, SyncScope } from "./gate.ts";
import { type LineOptions, SyncLine } from "./line.ts";
import type { ConnectionRequest } from "./message_types.ts";
import type { Capability } from "./protocol.ts";

/** What a {@linkcode Member} does on behalf of the hub. */
export type MemberEvents = Omit<LineOptions, "peer" | "from" | "writable">;

/** See the module. */
export class Member {
  readonly clientId: string;
  /** What it calls itself, made safe to show. */
  readonly name: string;
  /** Where it is. */
  readonly room: string;
  /** Connected now and then. */
  readonly line: SyncLine;
  /** Rules that were broken on the connection that there is. */
  faults = 0;
  /** Since when it is away. */
  awaySinceMs: number | undefined;
  readonly #gate: SyncGate;
  #tokens: readonly string[];
  #isLocal: boolean;

  /** It is not connected yet. @param room Where it was let in. @param events Makes what the line goes by. */
  constructor(
    request: ConnectionRequest,
    { room, isLocal }: { room: string; isLocal: boolean },
    gate: SyncGate,
    events: (member: Member) => MemberEvents,
  ) {
    this.clientId = request.client_id;
    this.name = printable(request.client_name, MAX_LABEL_CHARS);
    this.room = room;
    this.#gate = gate;
    this.#tokens = tokensOf(request);
    this.#isLocal = isLocal;
    const capabilities = (): readonly Capability[] => this.line.capabilities;
    const canWrite = () => this.scope === "write";
    this.line = new SyncLine({
      ...events(this),
      peer: {
        clientId: this.clientId,
        label: room,
        get canWrite() {
          return canWrite();
        },
        get capabilities() {
          return capabilities();
        },
      },
      from: "client",
      writable: () => true,
    });
  }

  /** What it may do at this moment; `undefined` when its credential works no more. */
  get scope(): SyncScope | undefined {
    return this.#gate.scopeOf(this.#tokens, this.room, this.#isLocal);
  }

  /** Whether somebody knows the session's name, which only its client was told. */
  knows({ resume }: ConnectionRequest): boolean {
    const { session } = this.line;
    return session !== undefined && resume !== undefined && isSame(session.name, resume.session);
  }

  /** Whether somebody has shown the same credential. */
  holds(request: ConnectionRequest): boolean {
    return isSame(this.#tokens.join(), tokensOf(request).join());
  }

  /** It is connected again, with what it shows now, from where it is now. */
  returns(request: ConnectionRequest, isLocal: boolean): void {
    this.#tokens = tokensOf(request);
    this.#isLocal = isLocal;
    this.awaySinceMs = undefined;
    this.faults = 0;
  }
}

/** What somebody has shown. The list stays the same: what is known of a credential is remembered with it. */
export function tokensOf({ api_key: key = "" }: ConnectionRequest): readonly string[] {
  return key === "" ? [] : [key];
}

/** Compares secrets in a time that tells nothing of them, nor of their length. */
function isSame(a: string, b: string): boolean {
  const [x, y] = [a, b].map((text) => createHash("sha256").update(text).digest());
  return x !== undefined && y !== undefined && timingSafeEqual(x, y);
}
