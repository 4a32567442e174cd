/**
 * What to try when something failed, where the error itself does not say it.
 *
 * @module
 */

import { NotFoundError } from "../errors.ts";
import { printable } from "../log.ts";
import { type ReadEnv, readEnv } from "../secure/secret_file.ts";
import { type Options, UsageError } from "./options.ts";

/** How deep the causes of an error are looked at. */
const MAX_CAUSES = 5;

interface Advice {
  /** Whether it is about that error. */
  readonly when: (error: Error) => boolean;
  /** What to try; empty for nothing. */
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
    // "Here" is where the error was made.
    when: ({ message }) => /^No endpoint /.test(message),
    text: (verb) =>
      verb === "call"
        ? "That is the other side's answer: kith call PEER describe lists what there is at PEER"
        : "",
  },
  {
    // Nothing is in the way.
    when: (error) => isNobody(error) && error.details.kept === true,
    text: () => "",
  },
  {
    // Others were there, and in the DHT it was not looked for.
    when: (error) => isNobody(error) && /nobody called that answered/.test(error.message),
    text: () =>
      "What is provided in the DHT (kith up --provide NAME) is found with --peer HOST:PORT of " +
      "anybody there; kith doctor says what may be in the way",
  },
  {
    when: isNobody,
    // It looks into its own list, and nowhere else.
    text: (verb) => verb === "trust" ? "" : "kith doctor says what may be in the way",
  },
];

/** What to try, if there is more to say than the error does. */
export function adviceFor(error: unknown, verb: string): string | undefined {
  const errors = causesOf(error);
  const advice = ADVICE.find(({ when }) => errors.some(when))?.text(verb);
  const isSaid = /make room|kith doctor/.test(errors[0]?.message ?? "");
  return isSaid ? undefined : advice || undefined;
}

/**
 * In which network somebody was looked for in vain, where that is said by the environment or the configuration and not on
 * the command line; empty where there is nothing to say.
 */
export function networkNote(error: unknown, options: Options, env: ReadEnv = readEnv): string {
  if (!isNobody(error)) return "";
  const name = options.text("network");
  const from = options.from("network");
  if (name !== undefined) return from === undefined ? "" : inNetwork(name, from);
  const other = env("KITH_NETWORK");
  return other ? inNetwork(other, "KITH_NETWORK") : "";
}

/** The ways in which somebody was looked for in vain, as its error lists them. */
export function waysTried(error: unknown): readonly string[] {
  const tried = isNobody(error) ? error.details.tried : undefined;
  return Array.isArray(tried) ? tried.map(String) : [];
}

function isNobody(error: unknown): error is NotFoundError {
  return error instanceof NotFoundError && error.code === "no-peer";
}

function inNetwork(name: string, from: string): string {
  return `; looked in the network "${printable(name, 64)}" (from ${from})`;
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
