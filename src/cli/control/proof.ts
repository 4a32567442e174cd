/**
 * How a command line and the running peer know each other over a loopback port, which anybody on the machine can
 * connect to, and listen on when the peer is gone: each proves that it has read a file that is for the user alone. What
 * is in the file is never sent.
 *
 * ```
 * command line                running peer
 *   hello: nonce        ->
 *                       <-    hello: nonce, proof
 *   proof               ->
 * ```
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { AuthError } from "../../errors.ts";
import type { ControlLine } from "./control_line.ts";
import { badField, type ControlMessage, textOf } from "./messages.ts";

/** Bytes of a token, and of what each side adds so that no proof is good twice. */
const SECRET_BYTES = 32;

/** Something that nobody can guess: a token, or what makes a proof good once. */
export function newSecret(): string {
  return randomBytes(SECRET_BYTES).toString("hex");
}

/** Proves itself to the running peer, which has to do the same first. @throws {AuthError} when that is somebody else. */
export async function proveToPeer(line: ControlLine, token: string): Promise<void> {
  const ours = newSecret();
  line.send({ type: "hello", nonce: ours });
  const hello = await wanted(line, "hello");
  const theirs = nonceOf(hello);
  check(textOf(hello, "proof"), prove(token, "peer", ours, theirs));
  line.send({ type: "proof", proof: prove(token, "command line", ours, theirs) });
}

/** Has a command line prove itself. @throws {AuthError} when it cannot. */
export async function demandProof(line: ControlLine, token: string): Promise<void> {
  const theirs = nonceOf(await wanted(line, "hello"));
  const ours = newSecret();
  line.send({ type: "hello", nonce: ours, proof: prove(token, "peer", theirs, ours) });
  const { proof } = await wanted(line, "proof");
  check(String(proof), prove(token, "command line", theirs, ours));
}

async function wanted(line: ControlLine, type: string): Promise<ControlMessage> {
  const message = await line.receive();
  if (message?.type === type) return message;
  throw stranger();
}

function nonceOf(message: ControlMessage): string {
  const nonce = textOf(message, "nonce");
  if (/^[0-9a-f]{64}$/.test(nonce)) return nonce;
  throw badField("nonce");
}

function prove(token: string, who: string, asked: string, answered: string): string {
  return createHmac("sha256", token).update(`${who}\n${asked}\n${answered}`).digest("hex");
}

function check(given: string, right: string): void {
  const [a, b] = [Buffer.from(given), Buffer.from(right)];
  if (a.length !== b.length || !timingSafeEqual(a, b)) throw stranger();
}

function stranger(): AuthError {
  return new AuthError("not-authenticated", "Whoever is there does not know this home's token");
}
