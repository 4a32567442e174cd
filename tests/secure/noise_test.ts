import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { HandshakeError } from "../../src/errors.ts";
import {
  CipherState,
  DhKey,
  MAX_NOISE_BYTES,
  NoiseHandshake,
  type NoiseOptions,
  type NoisePattern,
} from "../../src/secure/noise.ts";
import { flipped } from "./channel_fixture.ts";
import vectors from "../testdata/noise_vectors.json" with { type: "json" };

interface Vector {
  protocol_name: string;
  init_prologue: string;
  init_static: string;
  init_ephemeral: string;
  init_psks?: string[];
  resp_static: string;
  resp_ephemeral: string;
  resp_psks?: string[];
  handshake_hash?: string;
  messages: { payload: string; ciphertext: string }[];
}

const PROLOGUE = new TextEncoder().encode("prologue");
const PAYLOAD = new TextEncoder().encode("payload");
const PSK = new Uint8Array(32).fill(3);
const hex = (text: string) => Uint8Array.fromHex(text);

function patternOf(name: string): NoisePattern {
  return name.includes("psk3") ? "XXpsk3" : "XX";
}

function sides(vector: Vector): [NoiseHandshake, NoiseHandshake] {
  const common = { pattern: patternOf(vector.protocol_name), prologue: hex(vector.init_prologue) };
  const initiator = new NoiseHandshake({
    ...common,
    initiator: true,
    staticKey: DhKey.from(hex(vector.init_static)),
    ephemeralKey: DhKey.from(hex(vector.init_ephemeral)),
    psks: (vector.init_psks ?? []).map(hex),
  });
  const responder = new NoiseHandshake({
    ...common,
    initiator: false,
    staticKey: DhKey.from(hex(vector.resp_static)),
    ephemeralKey: DhKey.from(hex(vector.resp_ephemeral)),
    psks: (vector.resp_psks ?? []).map(hex),
  });
  return [initiator, responder];
}

function encrypt(cipher: CipherState, plaintext: Uint8Array): Uint8Array {
  const into = new Uint8Array(plaintext.length + 16);
  cipher.encryptInto(into, 0, plaintext);
  return into;
}

for (const [index, vector] of (vectors.vectors as Vector[]).entries()) {
  Deno.test(`NoiseHandshake agrees with public vector ${index}: ${vector.protocol_name}`, () => {
    const [initiator, responder] = sides(vector);
    const handshake = vector.messages.slice(0, 3);
    for (const [turn, { payload, ciphertext }] of handshake.entries()) {
      const [from, to] = turn % 2 === 0 ? [initiator, responder] : [responder, initiator];
      const message = from.write(hex(payload));
      assertEquals(message.toHex(), ciphertext);
      assertEquals(to.read(message).toHex(), payload);
    }
    if (vector.handshake_hash !== undefined) {
      assertEquals(initiator.hash.toHex(), vector.handshake_hash);
      assertEquals(responder.hash.toHex(), vector.handshake_hash);
    }
    const [ours, theirs] = [initiator.split(), responder.split()];
    assert(vector.messages.length > 3);
    for (const [turn, { payload, ciphertext }] of vector.messages.slice(3).entries()) {
      const [from, to] = turn % 2 === 0 ? [theirs.send, ours.receive] : [ours.send, theirs.receive];
      assertEquals(encrypt(from, hex(payload)).toHex(), ciphertext);
      assertEquals(to.decrypt(hex(ciphertext))?.toHex(), payload);
    }
  });
}

/** A handshake with new keys. @returns both sides, and their messages so far. */
function begun(
  pattern: NoisePattern,
  messages: number,
  more: Partial<NoiseOptions> = {},
): { sides: [NoiseHandshake, NoiseHandshake]; sent: Uint8Array[] } {
  const side = (initiator: boolean) =>
    new NoiseHandshake({
      pattern,
      initiator,
      prologue: PROLOGUE,
      staticKey: DhKey.generate(),
      psks: pattern === "XXpsk3" ? [PSK] : [],
      ...more,
    });
  const sides: [NoiseHandshake, NoiseHandshake] = [side(true), side(false)];
  const sent: Uint8Array[] = [];
  for (let turn = 0; turn < messages; turn++) {
    const [from, to] = turn % 2 === 0 ? sides : sides.toReversed() as typeof sides;
    const message = from.write(PAYLOAD);
    assertEquals(to.read(message), PAYLOAD);
    sent.push(message);
  }
  return { sides, sent };
}

Deno.test("NoiseHandshake tells both sides the other's key, and the same of all that was seen", () => {
  for (const pattern of ["XX", "XXpsk3"] as const) {
    const [ours, theirs] = [DhKey.generate(), DhKey.generate()];
    const common = { pattern, prologue: PROLOGUE, psks: pattern === "XX" ? [] : [PSK] };
    const a = new NoiseHandshake({ ...common, initiator: true, staticKey: ours });
    const b = new NoiseHandshake({ ...common, initiator: false, staticKey: theirs });
    b.read(a.write(PAYLOAD));
    assertEquals([a.remoteStatic.length, b.remoteStatic.length], [0, 0]);
    a.read(b.write(PAYLOAD));
    b.read(a.write(PAYLOAD));
    assertEquals([a.remoteStatic, b.remoteStatic], [theirs.publicKey, ours.publicKey]);
    assertEquals(a.hash, b.hash);
    const { sides } = begun(pattern, 3);
    assertNotEquals(sides[0].hash, a.hash); // new keys, another handshake
  }
});

Deno.test("NoiseHandshake refuses messages that are too short, by any byte", () => {
  for (const pattern of ["XX", "XXpsk3"] as const) {
    for (const number of [0, 1, 2]) {
      const whole = begun(pattern, number).sides[number % 2]?.write(PAYLOAD).length ?? 0;
      for (let length = 0; length < whole; length++) {
        const { sides } = begun(pattern, number);
        const [from, to] = number % 2 === 0 ? sides : sides.toReversed() as typeof sides;
        const message = from.write(PAYLOAD).subarray(0, length);
        // The first message of XX has nothing that could tell.
        if (pattern === "XX" && number === 0 && length >= 32) continue;
        const error = assertThrows(() => to.read(message), HandshakeError, "Cannot shake hands: ");
        assertEquals(error.code, "bad-channel");
      }
    }
  }
});

Deno.test("NoiseHandshake refuses a message with any bit turned over that something vouches for", () => {
  for (const pattern of ["XX", "XXpsk3"] as const) {
    for (const number of [0, 1, 2]) {
      if (pattern === "XX" && number === 0) continue; // noticed in the second message
      const { sides } = begun(pattern, number);
      const length = sides[number % 2]?.write(PAYLOAD).length ?? 0;
      for (let at = 0; at < length; at++) {
        const { sides } = begun(pattern, number);
        const [from, to] = number % 2 === 0 ? sides : sides.toReversed() as typeof sides;
        const message = flipped(from.write(PAYLOAD), 8 * at + at % 8);
        assertThrows(() => to.read(message), HandshakeError);
      }
    }
  }
});

Deno.test("NoiseHandshake ends with ciphers that fit the other side's, each way its own", () => {
  const { sides: [a, b] } = begun("XX", 3);
  const [ofA, ofB] = [a.split(), b.split()];
  for (const [from, to] of [[ofA.send, ofB.receive], [ofB.send, ofA.receive]] as const) {
    for (const text of ["one", "", "three"]) {
      const plaintext = new TextEncoder().encode(text);
      assertEquals(to.decrypt(encrypt(from, plaintext)), plaintext);
    }
    assertEquals([from.count, to.count], [3, 3]);
  }
  const [there, back] = [encrypt(ofA.send, PAYLOAD), encrypt(ofB.send, PAYLOAD)];
  assertNotEquals(there, back);
  assertEquals(ofA.receive.decrypt(there), undefined);
  assertEquals([ofA.receive.count, ofA.receive.decrypt(back)], [3, PAYLOAD]);
});

Deno.test("NoiseHandshake keeps to its messages and its keys", () => {
  const { sides: [a, b] } = begun("XX", 2);
  for (const side of [a, b]) assertThrows(() => side.split(), TypeError, "not over");
  b.read(a.write(PAYLOAD));
  assertThrows(() => b.write(PAYLOAD), TypeError, "is over");
  assertThrows(() => a.read(PAYLOAD), TypeError, "is over");
  assertThrows(() => begun("XX", 0, { psks: [PSK] }), RangeError, "XXpsk3");
  assertThrows(() => begun("XXpsk3", 0, { psks: [] }), RangeError, "XXpsk3");
  const longest = MAX_NOISE_BYTES - 32;
  assertEquals(begun("XX", 0).sides[0].write(new Uint8Array(longest)).length, MAX_NOISE_BYTES);
  const tooLong = () => begun("XX", 0).sides[0].write(new Uint8Array(longest + 1));
  assertThrows(tooLong, RangeError, "at most 65535 bytes");
});

Deno.test("NoiseHandshake takes whichever of its keys fits, and none that does not", () => {
  const other = new Uint8Array(32).fill(4);
  const options = { pattern: "XXpsk3", prologue: PROLOGUE } as const;
  for (const psks of [[PSK, other], [other, PSK], [other]]) {
    const a = new NoiseHandshake({
      ...options,
      initiator: true,
      staticKey: DhKey.generate(),
      psks: [PSK, other],
    });
    const b = new NoiseHandshake({
      ...options,
      initiator: false,
      staticKey: DhKey.generate(),
      psks,
    });
    b.read(a.write(PAYLOAD));
    a.read(b.write(PAYLOAD));
    const last = a.write(PAYLOAD);
    if (psks.includes(PSK)) {
      assertEquals(b.read(last), PAYLOAD);
      assertEquals(b.split().receive.decrypt(encrypt(a.split().send, PAYLOAD)), PAYLOAD);
    } else {
      assertThrows(() => b.read(last), HandshakeError, "message 3 is not authentic");
    }
  }
});

Deno.test("DhKey agrees with another on what RFC 7748, 6.1, has", () => {
  const bob = DhKey.from(hex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"));
  const bobs = "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f";
  const alices = hex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
  const shared = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742";
  assertEquals([bob.publicKey.toHex(), bob.agree(alices).toHex()], [bobs, shared]);
  const carol = DhKey.generate();
  assertEquals(carol.agree(bob.publicKey), bob.agree(carol.publicKey));
  assertThrows(() => DhKey.from(new Uint8Array(31)), RangeError, "32 bytes");
});

Deno.test("CipherState.rekey goes on counting, and leaves the old key behind", () => {
  const key = new Uint8Array(32).fill(6);
  const [one, two] = [new CipherState(key), new CipherState(key)];
  for (const cipher of [one, two]) {
    encrypt(cipher, PAYLOAD);
    cipher.rekey();
    assertEquals(cipher.count, 1);
  }
  const sealed = encrypt(one, PAYLOAD);
  assertEquals(two.decrypt(sealed), PAYLOAD);
  const old = new CipherState(key);
  encrypt(old, PAYLOAD);
  assertEquals(old.decrypt(sealed), undefined);
});
