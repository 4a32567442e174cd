/**
 * Who was there and was not let in: where a verb ends with nobody, that is mostly why.
 *
 * @module
 */

import { NotFoundError } from "../errors.ts";
import { printable } from "../log.ts";
import type { Trust } from "../secure/trust.ts";
import type { Output } from "./output.ts";
import type { Invocation, Verb } from "./verb.ts";

/** Peers that are named at most. */
const MAX_NAMED = 3;

/** What is asked about those who were refused. */
type Refusing = Pick<Trust, "refused">;

/** Runs a verb. @returns its exit status, or nothing for 0. @throws as it does; of nobody or nothing, with who was refused. */
export async function runLoaded(verb: Verb, invocation: Invocation): Promise<number | void> {
  const { run } = await verb.load();
  const asked = new Set<Refusing>();
  if (invocation.host !== undefined) asked.add(invocation.host.peer.trust);
  try {
    return await run({ ...invocation, onOpened: ({ trust }) => void asked.add(trust) });
  } catch (error) {
    throw withRefused(error, asked);
  }
}

/** Tells people who was refused lately, if somebody was. */
export function noteRefused(trust: Refusing, output: Output): void {
  for (const text of textsOf([trust])) output.note(text);
}

function withRefused(error: unknown, asked: Iterable<Refusing>): unknown {
  if (!(error instanceof NotFoundError)) return error;
  const { code, message, details } = error;
  if (code !== "no-peer" && code !== "no-key") return error;
  const refused = textsOf(asked);
  if (refused.length === 0) return error;
  return new NotFoundError(code, [message, ...refused].join("; "), { details, cause: error });
}

function textsOf(asked: Iterable<Refusing>): string[] {
  const refused = [...asked].flatMap((trust) => trust.refused).slice(0, MAX_NAMED);
  return refused.map(({ name, why }) => `"${printable(name, 64)}" was refused: ${why}`);
}
