/**
 * Who may reach a handler.
 *
 * | access    | who                                                                                     |
 * |-----------|-----------------------------------------------------------------------------------------|
 * | `public`  | everybody, those included who cannot prove who they are: UDP, and dialects that are on   |
 * | `private` | peers of the network that have proven who they are                                      |
 * | `invited` | of these, whoever was named by hand or shows an invite or key with the right scope        |
 *
 * While there is an allow list nothing is public: who cannot prove who they are cannot be on it.
 *
 * @module
 */

import { AuthError } from "../errors.ts";
import { printable } from "../log.ts";
import type { Handler, RequestContext } from "./dispatcher.ts";

/** Every level, the most open first. */
export const ACCESS_LEVELS = ["public", "private", "invited"] as const;

/** Who may reach a handler; see the module. */
export type AccessLevel = typeof ACCESS_LEVELS[number];

/** Whether a caller, who has proven who it is, was given a scope such as `call:echo`. */
export type IsInvited = (scope: string, context: RequestContext) => boolean;

/** Why an invite or key that a caller shows is no longer good; `undefined` where none was ever. */
type LapseOf = (context: RequestContext) => "expired" | "revoked" | undefined;

/** Who is who, for a {@linkcode AccessLevel}. */
export interface AccessRules {
  /** Who is invited. */
  readonly isInvited: IsInvited;
  /** Whose invite is no longer good. */
  readonly lapseOf: LapseOf;
  /** Whether nobody is let in who cannot prove who they are. */
  readonly isExclusive: (() => boolean) | undefined;
}

/** A handler that only those reach who may. */
export function guarded(
  handler: Handler,
  access: AccessLevel,
  scope: string,
  { isInvited, lapseOf, isExclusive }: AccessRules,
): Handler {
  if (access === "public" && isExclusive === undefined) return handler;
  return (body, context) => {
    if (context.peer === undefined && (access !== "public" || isExclusive?.())) {
      throw notProven(context);
    }
    if (access === "invited" && !isInvited(scope, context)) {
      throw notInvited(scope, context, lapseOf(context));
    }
    return handler(body, context);
  };
}

function notProven({ endpoint, via }: RequestContext): AuthError {
  const how = via === "udp" ? "over UDP nobody does" : "this dialect has no way to";
  return new AuthError(
    "not-authenticated",
    `"${printable(endpoint, 64)}" is for peers that prove who they are: ${how}`,
    { details: { access: "private" } },
  );
}

function notInvited(
  scope: string,
  { endpoint }: RequestContext,
  lapse: ReturnType<LapseOf>,
): AuthError {
  const was = lapse === "revoked" ? "was revoked" : "has expired";
  const why = lapse === undefined ? "" : `: one that was shown ${was}`;
  return new AuthError(
    "not-allowed",
    `"${printable(endpoint, 64)}" needs an invite for ${printable(scope, 80)}${why}`,
    {
      details: {
        access: "invited",
        scope: printable(scope, 160),
        ...(lapse === undefined ? {} : { lapse }),
      },
    },
  );
}
