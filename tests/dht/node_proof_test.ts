import { assertEquals, assertThrows } from "@std/assert";
import { checkProof, prove } from "../../src/dht/node_proof.ts";
import { AuthError } from "../../src/errors.ts";
import { Identity, peerIdOf, verify } from "../../src/secure/identity.ts";

const alice = Identity.fromSeed(new Uint8Array(32).fill(1));
const mallory = Identity.fromSeed(new Uint8Array(32).fill(2));

const NONCE = new Uint8Array(16).fill(3);
const AT = { hostname: "192.0.2.7", port: 3486 };
const TERMS = { nonce: NONCE, at: "192.0.2.7:3486", tcpPort: 3485 };
const ASKED = { nonce: NONCE, at: AT, key: alice.peerId };
const TOOLS = { verify, idOf: peerIdOf };
const CLAIM = { id: alice.id, tcpPort: 3485 };

Deno.test("checkProof takes what prove made for this question", () => {
  const proof = prove(TERMS, alice);
  assertEquals(checkProof({ claim: CLAIM, proof }, ASKED, TOOLS), CLAIM);
  assertEquals(checkProof({ claim: CLAIM, proof }, { ...ASKED, key: undefined }, TOOLS), CLAIM);
});

Deno.test("checkProof refuses what was made for another question, address or port, or by somebody else", () => {
  const right = prove(TERMS, alice);
  const theirs = prove(TERMS, mallory);
  const other = new Uint8Array(16);
  const claimed = { id: mallory.id, tcpPort: 3485 };
  const refused = [
    [{ claim: CLAIM, proof: undefined }, "proves nothing"],
    [{ claim: undefined, proof: right }, "proves nothing"],
    [{ claim: claimed, proof: theirs }, "somebody else"],
    [{ claim: CLAIM, proof: theirs }, "not that of its key"],
    [{ claim: { ...CLAIM, tcpPort: 1 }, proof: right }, "signature"],
    [{ claim: CLAIM, proof: prove({ ...TERMS, nonce: other }, alice) }, "signature"],
    [{ claim: CLAIM, proof: prove({ ...TERMS, at: "192.0.2.8:3486" }, alice) }, "signature"],
  ] as const;
  for (const [answer, why] of refused) {
    const error = assertThrows(() => checkProof(answer, ASKED, TOOLS), AuthError, why);
    assertEquals(error.code, "not-authenticated");
  }
});

Deno.test("checkProof refuses a signature with any bit changed", () => {
  const { publicKey, signature } = prove(TERMS, alice);
  for (let bit = 0; bit < 512; bit++) {
    const damaged = signature.slice();
    damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    const answer = { claim: CLAIM, proof: { publicKey, signature: damaged } };
    assertThrows(() => checkProof(answer, ASKED, TOOLS), AuthError, "signature");
  }
});
