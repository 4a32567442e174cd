/**
 * Who may read and write which folder of a hub.
 *
 * | scope of an invite or API key | lets its holder            |
 * |-------------------------------|----------------------------|
 * | `folder:NAME`                 | read and write that folder |
 * | `folder:NAME:read`            | read it                    |
 * | `folder:*`                    | read and write all         |
 *
 * A folder's label has no colon, so none can be called like the read scope of another. A credential that names its holder
 * is of no use here: in live-sync nobody proves who they are.
 *
 * @module
 */

import type { Access } from "../secure/access.ts";
import { folderLabel } from "./client_id.ts";

/** What a client may do in a room. */
export type SyncScope = "read" | "write";

/** Decides who may do what. */
export interface SyncGate {
  /**
   * What a credential allows in a room at this moment; `undefined` for nothing.
   *
   * @param tokens The credential, in the same list each time: what is known of it may be remembered with that.
   * @param isLocal Whether it comes from this machine.
   */
  scopeOf(tokens: readonly string[], room: string, isLocal: boolean): SyncScope | undefined;
}

/** What a gate allows besides. */
export interface GateOptions {
  /** Whether those of this machine need no key. Behind a proxy everybody seems to be of it. @default {false} */
  readonly trustsLocal?: boolean;
  /** Whether everybody may only read. @default {false} */
  readonly readOnly?: boolean;
}

/** What a caller proves of who it is: nothing. */
const NOBODY = { peerId: "" };

/**
 * A gate that goes by the invites and API keys that a peer has given away.
 *
 * @example
 * ```ts
 * import { Access, Identity } from "@kith/kith";
 * import { gateOf } from "@kith/kith/sync";
 * import { assertEquals } from "@std/assert";
 *
 * const access = new Access({ identity: Identity.generate() });
 * const { token } = access.createApiKey({ scopes: ["folder:photos:read"] });
 * const gate = gateOf(access);
 * assertEquals(gate.scopeOf([token], "photos", false), "read");
 * assertEquals(gate.scopeOf([token], "letters", false), undefined);
 * ```
 */
export function gateOf(access: Pick<Access, "granted">, options: GateOptions = {}): SyncGate {
  const { trustsLocal = false, readOnly = false } = options;
  const most = readOnly ? "read" : "write";
  return {
    scopeOf: (tokens, room, isLocal) => {
      if (trustsLocal && isLocal) return most;
      if (access.granted(tokens, NOBODY, `folder:${room}`)) return most;
      return access.granted(tokens, NOBODY, `folder:${room}:read`) ? "read" : undefined;
    },
  };
}

/** A gate for those who need no key. */
export const openGate: SyncGate = { scopeOf: () => "write" };

/** Whether a text can be a room: it is a label, as `folderLabel` makes them. */
export function isRoom(text: string): boolean {
  return folderLabel(text) === text;
}
