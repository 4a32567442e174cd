import { assert, assertEquals, assertThrows } from "@std/assert";
import { seededRandom } from "../../src/clock.ts";
import {
  hasHash,
  type InviteClaim,
  type InviteTerms,
  isSignedBy,
  madeBy,
  MAX_CREDENTIAL_CHARS,
  newApiKey,
  newCredentialId,
  parseCredential,
  signInvite,
} from "../../src/secure/credential.ts";
import { Identity } from "../../src/secure/identity.ts";
import type { Home } from "../../src/state/home.ts";
import { encode } from "../../src/wire/msgpack.ts";
import { ScratchHome } from "./home_fixture.ts";

const ann = Identity.generate();

const TERMS: InviteTerms = {
  id: "00112233445566778899aabbccddeeff",
  scopes: ["call:echo", "send"],
  expires: Date.UTC(2026, 0, 2),
  to: "ab".repeat(20),
};

/** The key of RFC 8032, section 7.1, test 1. */
function goldenIdentity(home: Home): Identity {
  const seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
  const der = Uint8Array.fromHex("302e020100300506032b657004220420" + seed);
  const pem = `-----BEGIN PRIVATE KEY-----\n${der.toBase64()}\n-----END PRIVATE KEY-----\n`;
  home.writeAtomic("identity.pem", new TextEncoder().encode(pem));
  return Identity.load(home);
}

function toToken(bytes: Uint8Array): string {
  return "kith1." + bytes.toBase64({ alphabet: "base64url", omitPadding: true });
}

function toBytes(token: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.fromBase64(token.slice("kith1.".length), { alphabet: "base64url" });
}

function asInvite(token: string): InviteClaim | undefined {
  const claim = parseCredential(token);
  return claim?.kind === "invite" ? claim : undefined;
}

/** What `ann` signs, as an invite is signed, whatever it is. */
function signedToken(value: unknown, more: Uint8Array = new Uint8Array(0)): string {
  const payload = encode(value);
  const signed = [...new TextEncoder().encode("kith invite\n"), ...payload];
  return toToken(new Uint8Array([...payload, ...more, ...ann.sign(new Uint8Array(signed))]));
}

Deno.test("signInvite writes the golden token of a known key", () => {
  using scratch = new ScratchHome();
  const identity = goldenIdentity(scratch.home);
  const payload = Uint8Array.fromHex(
    "95" + "c410" + TERMS.id + "c414" + "21fe31dfa154a261626bf854046fd2271b7bed4b" +
      "cf0000019b7c010400" + "92" + "a9" + "63616c6c3a6563686f" + "a4" + "73656e64" +
      "c414" + "ab".repeat(20),
  );
  const signed = [...new TextEncoder().encode("kith invite\n"), ...payload];
  const signature = identity.sign(new Uint8Array(signed));
  const token = signInvite(identity, TERMS);
  assertEquals(toBytes(token).toHex(), payload.toHex() + signature.toHex());
  assertEquals(token, signInvite(identity, TERMS));
  const claim = asInvite(token);
  assertEquals({ ...claim, proof: undefined }, {
    kind: "invite",
    ...TERMS,
    by: identity.peerId,
    proof: undefined,
  });
  assert(claim !== undefined && isSignedBy(identity.publicKey, claim));
  assert(!isSignedBy(ann.publicKey, claim));
});

Deno.test("parseCredential reads an invite without a holder", () => {
  const { to: _, ...terms } = TERMS;
  const claim = asInvite(signInvite(ann, terms));
  assertEquals([claim?.to, claim?.expires], [undefined, TERMS.expires]);
  assert(claim !== undefined && !("to" in claim) && isSignedBy(ann.publicKey, claim));
});

Deno.test("an invite with any bit flipped is none, or not signed", () => {
  const bytes = toBytes(signInvite(ann, TERMS));
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const flipped = bytes.slice();
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    const claim = asInvite(toToken(flipped));
    assert(claim === undefined || !isSignedBy(ann.publicKey, claim), `bit ${bit}`);
  }
});

Deno.test("an invite with any character changed, added or taken away is none, or not signed", () => {
  const token = signInvite(ann, TERMS);
  const isGood = (text: string) => {
    const claim = asInvite(text);
    return claim !== undefined && isSignedBy(ann.publicKey, claim);
  };
  assert(isGood(token));
  for (let at = 0; at < token.length; at++) {
    const [before, after] = [token.slice(0, at), token.slice(at + 1)];
    // The last character may differ in bits that no byte has: they must be zero.
    for (const char of ["A", "B", "_", "=", " ", "+", "é"]) {
      if (char !== token[at]) assert(!isGood(before + char + after), `${at} ${char}`);
      assert(!isGood(before + char + token.slice(at)), `${at} ${char} more`);
    }
    assert(!isGood(before), `cut at ${at}`);
    assert(!isGood(before + after), `without ${at}`);
  }
  for (const end of ["=", "A", "\n"]) assert(!isGood(token + end));
});

Deno.test("parseCredential refuses what is signed and no invite", () => {
  const [id, by] = [new Uint8Array(16), ann.id];
  const good = [id, by, 1, ["send"], null];
  const cases: readonly unknown[] = [
    [id, by, 1, ["send"]],
    [...good, null],
    [id.slice(1), by, 1, ["send"], null],
    [id, new Uint8Array(21), 1, ["send"], null],
    ["id", by, 1, ["send"], null],
    [id, by, 1.5, ["send"], null],
    [id, by, 2n ** 63n, ["send"], null],
    [id, by, "1", ["send"], null],
    [id, by, 1, "send", null],
    [id, by, 1, ["sent"], null],
    [id, by, 1, [5], null],
    [id, by, 1, ["send"], new Uint8Array(19)],
    [id, by, 1, ["send"], ""],
    { id, by },
    null,
    5,
  ];
  assert(asInvite(signedToken(good)) !== undefined);
  for (const value of cases) {
    assertEquals(asInvite(signedToken(value)), undefined, Deno.inspect(value));
  }
  assertEquals(asInvite(signedToken(good, Uint8Array.of(0xc0))), undefined);
});

Deno.test("a signature that was made for something else makes no invite", () => {
  const payload = encode([new Uint8Array(16), ann.id, 1, ["send"], null]);
  const claim = asInvite(toToken(new Uint8Array([...payload, ...ann.sign(payload)])));
  assert(claim !== undefined && !isSignedBy(ann.publicKey, claim));
});

Deno.test("signInvite refuses more scopes than 1,024 characters hold, and parseCredential more text", () => {
  const scopes = Array.from({ length: 7 }, (_, n) => `call:${n}${"x".repeat(100)}` as const);
  assertThrows(() => signInvite(ann, { ...TERMS, scopes }), RangeError, "at most 1024 characters");
  const most = signInvite(ann, { ...TERMS, scopes: scopes.slice(0, 5) });
  assert(most.length <= MAX_CREDENTIAL_CHARS && asInvite(most) !== undefined);
  const tooLong = signedToken([new Uint8Array(16), ann.id, 1, scopes, null]);
  assert(tooLong.length > MAX_CREDENTIAL_CHARS);
  assertEquals(parseCredential(tooLong), undefined);
});

Deno.test("an API key is 256 random bits that its hash is known by", () => {
  const { id, token, hash } = newApiKey(ann.peerId);
  const claim = parseCredential(token);
  assert(claim?.kind === "api-key" && claim.id === id && claim.by === ann.peerId);
  assert(hasHash(claim, hash));
  const other = newApiKey(ann.peerId);
  for (const wrong of [other.hash, "", hash.slice(2), hash + "00"]) assert(!hasHash(claim, wrong));
  for (let bit = 0; bit < 256; bit++) {
    const bytes = Uint8Array.fromHex(hash);
    bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    assert(!hasHash(claim, bytes.toHex()));
  }
  assert(other.id !== id && other.token !== token && newCredentialId() !== newCredentialId());
  const [kind, by, number, secret = ""] = token.split(".");
  assertEquals([kind, by, number], ["kithkey1", ann.peerId, id]);
  assertEquals(Uint8Array.fromBase64(secret, { alphabet: "base64url" }).length, 32);
});

Deno.test("an API key with any character changed, added or taken away is none, or another one", () => {
  const { token, hash, id } = newApiKey(ann.peerId);
  const isGood = (text: string) => {
    const claim = parseCredential(text);
    return claim?.kind === "api-key" && claim.by === ann.peerId && claim.id === id &&
      hasHash(claim, hash);
  };
  assert(isGood(token));
  for (let at = 0; at < token.length; at++) {
    const [before, after] = [token.slice(0, at), token.slice(at + 1)];
    for (const char of ["A", "B", "0", "_", "="]) {
      if (char !== token[at]) assert(!isGood(before + char + after), `${at} ${char}`);
    }
    assert(!isGood(before) && !isGood(before + after), `${at}`);
  }
  for (const text of [token + "=", token + "A", token.toUpperCase(), ` ${token}`, `${token}\n`]) {
    assert(!isGood(text));
  }
});

Deno.test("an API key must say who made it", () => {
  const [kind, by = "", id = "", secret = ""] = newApiKey(ann.peerId).token.split(".");
  assert(parseCredential([kind, by, id, secret].join(".")) !== undefined);
  for (const other of ["", by.slice(1), `${by}0`, by.toUpperCase(), "x".repeat(40)]) {
    if (other !== by) assertEquals(parseCredential([kind, other, id, secret].join(".")), undefined);
  }
  assertEquals(parseCredential([kind, id, secret].join(".")), undefined);
});

Deno.test("madeBy picks the invites and keys that a peer made, in their order, and nothing else", () => {
  const bob = Identity.generate();
  const of = (identity: Identity) => [
    signInvite(identity, TERMS),
    newApiKey(identity.peerId).token,
  ];
  const [anns, bobs] = [of(ann), of(bob)];
  const odd = ["", "junk", ann.peerId, `kithkey1.${ann.peerId}`, `${anns[1]} `, `${anns[0]}=`];
  const all = [...odd, ...bobs, ...anns];
  assertEquals(madeBy(ann.peerId, all), anns);
  assertEquals(madeBy(bob.peerId, all), bobs);
  for (const peerId of [Identity.generate().peerId, ann.peerId.toUpperCase(), ""]) {
    assertEquals(madeBy(peerId, all), []);
  }
});

Deno.test("parseCredential makes nothing of garbage: seeded", () => {
  const random = seededRandom(4);
  const bytes = () => Uint8Array.from({ length: 64 + random() * 200 }, () => random() * 256);
  for (let n = 0; n < 3_000; n++) assertEquals(parseCredential(toToken(bytes())), undefined);
  for (const text of ["", "kith1", "kith1.", "kithkey1.", "kith2.AAAA", "kithkey1.a.b", "\u0000"]) {
    assertEquals(parseCredential(text), undefined);
  }
});
