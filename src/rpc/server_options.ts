/**
 * What a server and its endpoints are made of.
 *
 * @module
 */

import type { AccessLevel } from "../endpoint/access_levels.ts";
import type { Priority } from "../endpoint/inbox.ts";
import type { Endpoints, InputOf } from "./endpoints.ts";
import type { PeerListEntry } from "./handlers.ts";
import { checkProtocols } from "./protocols.ts";
import type { Schema } from "./schema.ts";

/** What a {@linkcode Server} is. */
export interface ServerOptions {
  /** A label for people. @default {""} */
  serverName?: string;
  /** Most clients at the same time; the next is refused with `limit`. Other servers do not count. @default {10} */
  maxClients?: number;
  /** Tags of the protocols that it serves, the preferred first. @default {["v1"]} */
  protocols?: readonly string[];
  /** Only servers of the same project belong together. @default {"default"} */
  projectId?: string;
  /**
   * What `hashSources` makes of the program's sources: 16 hexadecimal digits. Servers that have different ones do not
   * belong together.
   *
   * @default {""} none, which fits any
   */
  sourceHash?: string;
  /** The version of the program, for `describe`. @default {""} */
  version?: string;
  /** Whom it is connected to besides the peers of its endpoint. @default nobody */
  peers?: () => readonly PeerListEntry[];
}

/** How an endpoint is registered. */
export interface RegisterOptions<I> {
  /** What its data must be; whatever else comes is refused before the function is called. @default anything */
  input?: Schema<I>;
  /** Tags of the protocols that it belongs to. @default all that the server serves */
  protocols?: readonly string[];
  /** A sentence for people, which `describe` shows. @default {""} */
  description?: string;
  /** What goes first when more calls wait than may be at work. @default {"request"} */
  priority?: Priority;
  /** Who may call it. @default what the peer's `access` says */
  access?: AccessLevel;
}

/** How many endpoints are registered at once. */
export interface RegisterAllOptions<E extends Endpoints> {
  /** What the data of each must be, by name. @default anything */
  inputs?: { readonly [Name in keyof E]?: Schema<InputOf<E[Name]>> };
  /** Tags of the protocols that they belong to. @default all that the server serves */
  protocols?: readonly string[];
  /** Who may call them. @default what the peer's `access` says */
  access?: AccessLevel;
}

/** Checks what a server was given. @throws {TypeError | RangeError} naming what is wrong. */
export function checkServerOptions(
  options: Required<Pick<ServerOptions, "protocols" | "maxClients" | "sourceHash">>,
): void {
  const { protocols, maxClients, sourceHash } = options;
  checkProtocols(protocols);
  if (!Number.isInteger(maxClients) || maxClients < 0) {
    throw new RangeError(`maxClients must be a whole number: current value is ${maxClients}`);
  }
  if (!/^([0-9a-f]{16})?$/.test(sourceHash)) {
    throw new TypeError(
      `sourceHash must be 16 lower-case hexadecimal digits: current value is "${sourceHash}"`,
    );
  }
}
