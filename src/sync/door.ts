/**
 * Who may open a WebSocket to a hub, before anything was said: by where the caller is, what page it is, and how many
 * there are already.
 *
 * @module
 */

import { type ConnectionLimiter, isLoopback } from "../endpoint/limits.ts";
import { isOurOrigin } from "../endpoint/web.ts";
import type { Address } from "../transport/transport.ts";

/** What is looked at. */
export interface DoorRules {
  /** Sites whose pages may come in. */
  readonly origins: ReadonlySet<string>;
  /** Whether callers of other machines may: only where a key is asked for. */
  readonly allowRemote: boolean;
  /** Whose attempts failed too often. */
  readonly failures: ConnectionLimiter;
}

/** Why somebody was turned away. */
export interface Rejection {
  /** The status of the answer. */
  readonly status: 403 | 429 | 503;
  /** What it is counted and logged as. */
  readonly reason: "remote" | "origin" | "failures" | "limit";
  /** What the caller is told. */
  readonly text: string;
}

/**
 * Looks at a caller. `Host` alone says nothing here: programs may call the hub by any name, and a page of a site whose
 * name was made to lead here says so in `Origin`.
 *
 * @returns why it may not come in; `undefined` when it may.
 */
export function rejectionOf(
  { headers }: Request,
  remote: Address,
  rules: DoorRules,
): Rejection | undefined {
  const origin = headers.get("origin");
  if (!rules.allowRemote && !isLoopback(remote.hostname)) {
    return { status: 403, reason: "remote", text: "Only callers of this machine need no key" };
  }
  const isAllowed = origin === null || rules.origins.has(origin) ||
    isOurOrigin(origin, headers.get("host"));
  if (!isAllowed) return { status: 403, reason: "origin", text: "This page may not connect" };
  const failed = rules.failures.admit(remote);
  return failed && { status: 429, reason: "failures", text: failed.message };
}

/** The id that a client gives when it opens the socket, as clients of the original program do. */
export function idAtOpen(request: Request, path: string): string | undefined {
  const { pathname, searchParams } = new URL(request.url);
  const behind = pathname.startsWith(`${path}/`) ? pathname.slice(path.length + 1) : undefined;
  return behind ?? searchParams.get("client_id") ?? undefined;
}
