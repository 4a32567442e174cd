/**
 * `kith invite`
 *
 * @module
 */

import { Access, type InviteOptions, type IssuedCredential } from "../secure/access.ts";
import { type AccessRecord, isPeerId } from "../secure/access_record.ts";
import { parseScope } from "../secure/scope.ts";
import { openIdentity } from "./open_peer.ts";
import { asUsage, type Options, UsageError } from "./options.ts";
import type { Output } from "./output.ts";
import type { Invocation } from "./verbs.ts";

/** How long an invite lasts unless told otherwise. */
const INVITE_MS = 86_400_000;

/** Makes, lists or revokes invites and API keys. */
export function run(invocation: Invocation): Promise<void> {
  const { options, output } = invocation;
  const [action, id, ...more] = options.args;
  const given = ["scope", "expires", "to", "api-key"].find((name) => isGiven(options, name));
  if (action === undefined) {
    make(invocation);
  } else if (given !== undefined) {
    throw new UsageError(`Option --${given} is for making an invite, without ls or revoke`);
  } else if (action === "ls" && id === undefined) {
    list(openAccess(invocation), output);
  } else if (action === "revoke" && id && more.length === 0) {
    show(openAccess(invocation).revoke(id), output);
  } else {
    throw new UsageError("Besides options it takes ls, or revoke ID, or nothing");
  }
  return Promise.resolve();
}

/** The token alone on stdout, so that it can go into a file; everything else about it on stderr. */
function make(invocation: Invocation): void {
  const { options, output } = invocation;
  const grant = grantOf(options);
  const expiresMs = options.duration("expires");
  const access = openAccess(invocation);
  const issued = asUsage(() =>
    options.has("api-key")
      ? access.createApiKey({ ...grant, expiresMs })
      : access.createInvite({ ...grant, expiresMs: expiresMs ?? INVITE_MS })
  );
  const { id, token, scopes, expires, to } = issued;
  const end = expires === undefined ? {} : { expires };
  output.result({ id, token, scopes, ...end, ...(to === undefined ? {} : { to }) }, token);
  output.note(hintFor(issued));
}

function hintFor({ id, kind, scopes, expires, to }: IssuedCredential): string {
  const who = to === undefined ? "whoever has it" : `peer ${to} alone`;
  const until = expires === undefined ? "until it is revoked" : `until ${formatTime(expires)}`;
  const what = kind === "invite" ? "invite" : "API key";
  return `This ${what} grants ${scopes.join(", ")} to ${who}, ${until}; show it to nobody else. ` +
    `To end it: kith invite revoke ${id.slice(0, 8)}`;
}

function list(access: Access, output: Output): void {
  const records = access.list();
  for (const record of records) show(record, output);
  if (records.length === 0) output.note("There are no invites and no API keys");
}

function show(record: AccessRecord, output: Output): void {
  const { id, kind, scopes, expires, revoked, to } = record;
  const state = revoked !== undefined
    ? "revoked"
    : expires === undefined
    ? "for ever"
    : `${expires > Date.now() ? "until" : "ended"} ${formatTime(expires)}`;
  const holder = to === undefined ? "" : `  for ${to}`;
  output.result(
    { ...record },
    `${id}  ${kind.padEnd(7)}  ${state.padEnd(26)}  ${scopes.join(" ")}${holder}`,
  );
}

/** What is to be granted, and to whom. @throws {UsageError} */
function grantOf(options: Options): Pick<InviteOptions, "scopes" | "to"> {
  const texts = options.texts("scope");
  if (texts.length === 0) {
    throw new UsageError("Option --scope is missing: what may its holder do?");
  }
  const scopes = asUsage(() => texts.map(parseScope));
  const to = options.text("to")?.toLowerCase();
  if (to === undefined) return { scopes };
  if (isPeerId(to)) return { scopes, to };
  throw new UsageError("Option --to must be a peer id of 40 hexadecimal digits");
}

function isGiven(options: Options, name: string): boolean {
  return options.has(name) || options.text(name) !== undefined || options.texts(name).length > 0;
}

function formatTime(ms: number): string {
  return new Date(ms).toISOString().replace(/:\d\d\.\d+Z$/, "Z").replace("T", " ");
}

function openAccess(invocation: Invocation): Access {
  const { identity, home } = openIdentity(invocation);
  return new Access({ identity, home, log: invocation.output.log });
}
