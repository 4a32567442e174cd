/**
 * What to try when something failed, where the error itself does not say it.
 *
 * @module
 */

import { NotFoundError } from "../errors.ts";
import { printable } from "../log.ts";
import { UsageError } from "./options.ts";

/** How deep the causes of an error are looked at. */
const MAX_CAUSES = 5;

interface Advice {
  /** Whether it is about that error. */
  readonly when: (error: Error) => boolean;
  /** What to try. */
  readonly text: (verb: string) => string;
}

const ADVICE: readonly Advice[] = [
  {
    when: (error) => error instanceof UsageError,
    text: (verb) => `"kith ${verb} --help" shows the options`,
  },
  {
    when: (error) => error instanceof Deno.errors.NotCapable,
    text: (verb) => `"kith ${verb} --help" shows the permissions that it needs`,
  },
  {
    when: (error) => error instanceof Deno.errors.AddrInUse,
    text: () => "Another program has that port: choose another one, or 0 for any that is free",
  },
  {
    // ENOSPC and EDQUOT.
    when: (error) => /\(os error (28|122)\)/.test(error.message),
    text: () => "The disk is full: make room, or name a folder on another one",
  },
  {
    when: ({ message }) => /invalid peer certificate: UnknownIssuer/.test(message),
    text: () => "With --ca F the authority in that file is trusted, too",
  },
  {
    when: ({ message }) => /WebSocket.*invalid HTTP version/.test(message),
    text: () => "It may speak TLS: try wss://",
  },
  {
    when: ({ message }) => /WebSocket.*tcp connect error/.test(message),
    text: () => "Nobody listens there: see that it is up, at that port, and not only for 127.0.0.1",
  },
  {
    when: ({ message }) => /^A key is needed/.test(message),
    text: () =>
      "Who serves it makes one by: kith invite --scope folder:NAME; show it with --invite-file",
  },
  {
    when: (error) => error instanceof NotFoundError && error.code === "no-peer",
    text: () => "kith doctor says what may be in the way",
  },
];

/** What to try, if there is more to say than the error does. */
export function adviceFor(error: unknown, verb: string): string | undefined {
  const errors = causesOf(error);
  const advice = ADVICE.find(({ when }) => errors.some(when))?.text(verb);
  const isSaid = /make room|kith doctor/.test(errors[0]?.message ?? "");
  return isSaid ? undefined : advice;
}

/** Where an error was thrown, and those underneath. */
export function traceOf(error: unknown): string {
  return causesOf(error).map((cause) => cause.stack ?? cause.message).join("\nCaused by: ") ||
    printable(String(error));
}

/** An error and what caused it, outermost first. */
function causesOf(error: unknown): Error[] {
  const causes: Error[] = [];
  for (let at = error; at instanceof Error && causes.length < MAX_CAUSES; at = at.cause) {
    causes.push(at);
  }
  return causes;
}
