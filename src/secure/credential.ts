/**
 * Invites and API keys as text: what a peer gives to somebody else, who shows it to get in.
 *
 * ```
 * kith1.BASE64URL( [id, by, expires, scopes, to] in MessagePack, signature )
 * kithkey1.ID.BASE64URL( 32 random bytes )
 * ```
 *
 * An invite says what it is good for and is signed by the peer that made it, so that its holder can read it and nobody can
 * change it. An API key says nothing. Either is a secret: whoever has it can use it, unless it names its holder.
 *
 * @module
 */

import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { InvalidPacketError } from "../errors.ts";
import { concat } from "../wire/concat.ts";
import { decode, encode } from "../wire/msgpack.ts";
import { type Identity, PEER_ID_BYTES, SIGNATURE_BYTES, verify } from "./identity.ts";
import { isTimeMs } from "./record_file.ts";
import { isScope, type Scope } from "./scope.ts";

/** Longest invite or API key, in characters. */
export const MAX_CREDENTIAL_CHARS = 1_024;

/** Most invites and API keys that a peer may show at once. */
export const MAX_CREDENTIALS = 8;

/** Bytes of the number that a credential is known by. */
export const CREDENTIAL_ID_BYTES = 16;

/** Bytes of an API key's secret. */
const SECRET_BYTES = 32;

const INVITE_PREFIX = "kith1.";
const API_KEY = /^kithkey1\.([0-9a-f]{40})\.([0-9a-f]{32})\.([A-Za-z0-9_-]{43})$/;

/** What a signature of an invite begins with, so that none made for something else can be taken for one. */
const SIGNED_PREFIX = new TextEncoder().encode("kith invite\n");

/** What an invite says. */
export interface InviteTerms {
  /** Its id, 32 hexadecimal digits. */
  readonly id: string;
  /** What it allows. */
  readonly scopes: readonly Scope[];
  /** When it ends, in milliseconds since 1970. */
  readonly expires: number;
  /** The peer id of who alone may use it; absent where anybody may. */
  readonly to?: string;
}

/** An invite that was read. What it says is a claim until {@linkcode isSignedBy} says otherwise. */
export interface InviteClaim extends InviteTerms {
  /** Tells it from an API key. */
  readonly kind: "invite";
  /** The peer id of who made it. */
  readonly by: string;
  /** The signature and what it is about. */
  readonly proof: { readonly signed: Uint8Array; readonly signature: Uint8Array };
}

/** An API key that was read. */
export interface ApiKeyClaim {
  /** Tells it from an invite. */
  readonly kind: "api-key";
  /** The peer id of who made it. */
  readonly by: string;
  /** Its id, 32 hexadecimal digits. */
  readonly id: string;
  /** SHA-256 of its secret. */
  readonly hash: Uint8Array;
}

/** A new API key. */
export interface NewApiKey {
  /** Its id, 32 hexadecimal digits. */
  readonly id: string;
  /** The key itself, which is kept nowhere. */
  readonly token: string;
  /** SHA-256 of its secret, in hexadecimal digits: what to know it by. */
  readonly hash: string;
}

/**
 * An invite as text.
 *
 * @throws {RangeError} when it would be longer than 1,024 characters, because of its scopes.
 */
export function signInvite(identity: Identity, terms: InviteTerms): string {
  const { id, scopes, expires, to } = terms;
  const holder = to === undefined ? null : Uint8Array.fromHex(to);
  const payload = encode([Uint8Array.fromHex(id), identity.id, expires, scopes, holder]);
  const token = INVITE_PREFIX + toText(concat(payload, identity.sign(toSign(payload))));
  if (token.length <= MAX_CREDENTIAL_CHARS) return token;
  throw new RangeError(
    `An invite has at most ${MAX_CREDENTIAL_CHARS} characters: with these scopes it has ${token.length}`,
  );
}

/** A new API key, of 256 random bits. @param by The peer id of who makes it. */
export function newApiKey(by: string): NewApiKey {
  const secret = randomBytes(SECRET_BYTES);
  const id = newCredentialId();
  return { id, token: `kithkey1.${by}.${id}.${toText(secret)}`, hash: sha256(secret).toHex() };
}

/** A new random id, 32 hexadecimal digits. */
export function newCredentialId(): string {
  return randomBytes(CREDENTIAL_ID_BYTES).toString("hex");
}

/** Reads an invite or an API key; `undefined` when the text is neither. */
export function parseCredential(text: string): InviteClaim | ApiKeyClaim | undefined {
  if (text.length > MAX_CREDENTIAL_CHARS) return undefined;
  if (text.startsWith(INVITE_PREFIX)) {
    return parseInvite(fromText(text.slice(INVITE_PREFIX.length)));
  }
  const [, by, id, secretText] = API_KEY.exec(text) ?? [];
  if (by === undefined || id === undefined || secretText === undefined) return undefined;
  const secret = fromText(secretText);
  return secret === undefined ? undefined : { kind: "api-key", by, id, hash: sha256(secret) };
}

/** Those of some invites and API keys that a peer made: to others they mean nothing, and are not to be shown. */
export function madeBy(peerId: string, tokens: readonly string[]): readonly string[] {
  return tokens.filter((token) => parseCredential(token)?.by === peerId);
}

/** Whether an invite is as the peer with that public key made it. */
export function isSignedBy(publicKey: Uint8Array, { proof }: InviteClaim): boolean {
  return verify(publicKey, proof.signed, proof.signature);
}

/** Whether an API key is the one of that hash (hexadecimal digits). Takes as long whatever differs. */
export function hasHash({ hash }: ApiKeyClaim, expected: string): boolean {
  const wanted = Uint8Array.fromHex(expected);
  return wanted.length === hash.length && timingSafeEqual(hash, wanted);
}

function parseInvite(bytes: Uint8Array | undefined): InviteClaim | undefined {
  if (bytes === undefined || bytes.length <= SIGNATURE_BYTES) return undefined;
  const payload = bytes.subarray(0, -SIGNATURE_BYTES);
  const terms = parsePayload(payload);
  if (terms === undefined) return undefined;
  const proof = { signed: toSign(payload), signature: bytes.subarray(-SIGNATURE_BYTES) };
  return { kind: "invite", ...terms, proof };
}

function parsePayload(payload: Uint8Array): InviteTerms & { readonly by: string } | undefined {
  const [id, by, expires, scopes, to, ...more] = decodeList(payload);
  const isWhole = isBytes(id, CREDENTIAL_ID_BYTES) && isBytes(by, PEER_ID_BYTES) &&
    isTimeMs(expires) && Array.isArray(scopes) && scopes.every(isScope) && more.length === 0;
  if (!isWhole) return undefined;
  const terms = { id: id.toHex(), by: by.toHex(), expires, scopes };
  if (to === null) return terms;
  return isBytes(to, PEER_ID_BYTES) ? { ...terms, to: to.toHex() } : undefined;
}

/** The items of a list in MessagePack; none when it is something else. */
function decodeList(bytes: Uint8Array): readonly unknown[] {
  try {
    const value = decode(bytes);
    return Array.isArray(value) ? value : [];
  } catch (error) {
    // Not an invite, then: whoever asked gets to know that.
    if (error instanceof InvalidPacketError) return [];
    throw error;
  }
}

function isBytes(value: unknown, count: number): value is Uint8Array {
  return value instanceof Uint8Array && value.length === count;
}

function toSign(payload: Uint8Array): Uint8Array {
  return concat(SIGNED_PREFIX, payload);
}

function toText(bytes: Uint8Array): string {
  return bytes.toBase64({ alphabet: "base64url", omitPadding: true });
}

/** The bytes of a text as {@linkcode toText} writes it: one text for the same bytes, not several. */
function fromText(text: string): Uint8Array | undefined {
  if (!/^[A-Za-z0-9_-]*$/.test(text) || text.length % 4 === 1) return undefined;
  const bytes = Uint8Array.fromBase64(text, { alphabet: "base64url" });
  return toText(bytes) === text ? bytes : undefined;
}

function sha256(bytes: Uint8Array): Uint8Array {
  return createHash("sha256").update(bytes).digest();
}
