/**
 * The Noise handshake of two connections' ends: patterns XX and XXpsk3 with 25519, ChaChaPoly and SHA-256.
 *
 * ```
 * XX:      -> e    <- e, ee, s, es    -> s, se
 * XXpsk3:  the same, and the pre-shared key at the end of the third message
 * ```
 *
 * Source: T. Perrin, "The Noise Protocol Framework", revision 34, 2018. Names are the specification's.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { HandshakeError } from "../errors.ts";
import { DH_BYTES, DhKey } from "./dh_key.ts";
import { type CipherState, SymmetricState } from "./noise_state.ts";

export { DH_BYTES, DhKey } from "./dh_key.ts";
export { CipherState } from "./noise_state.ts";

/** Largest message of the Noise framework, in bytes. */
export const MAX_NOISE_BYTES = 65_535;

const NOTHING: Uint8Array = new Uint8Array(0);

/** A handshake's pattern. */
export type NoisePattern = "XX" | "XXpsk3";

type Token = "e" | "s" | "ee" | "es" | "se" | "psk";

const MESSAGES: Readonly<Record<NoisePattern, readonly (readonly Token[])[]>> = {
  XX: [["e"], ["e", "ee", "s", "es"], ["s", "se"]],
  XXpsk3: [["e"], ["e", "ee", "s", "es"], ["s", "se", "psk"]],
};

/** What a handshake needs. */
export interface NoiseOptions {
  /** Which of the patterns. */
  pattern: NoisePattern;
  /** Whether we began. */
  initiator: boolean;
  /** What both sides must have seen alike before. */
  prologue: Uint8Array;
  /** Our key. */
  staticKey: DhKey;
  /** Our key for this handshake alone. @default a new one */
  ephemeralKey?: DhKey;
  /**
   * The pre-shared keys of XXpsk3, 32 bytes each: whoever begins uses the first, whoever answers takes all.
   *
   * @default {[]}
   */
  psks?: readonly Uint8Array[];
}

/** The ciphers that a handshake ends with. */
export interface NoiseCiphers {
  /** For what we send. */
  readonly send: CipherState;
  /** For what we receive. */
  readonly receive: CipherState;
}

/**
 * One side of a handshake: `write` and `read` take turns until `ciphers` are there.
 *
 * What comes in wrong throws, and then the handshake is over.
 */
export class NoiseHandshake {
  readonly #options: NoiseOptions;
  readonly #messages: readonly (readonly Token[])[];
  readonly #ephemeral: DhKey;
  #state: SymmetricState;
  #next = 0;
  #remoteStatic: Uint8Array = NOTHING;
  #remoteEphemeral: Uint8Array = NOTHING;

  /** Nothing is said yet. @throws {RangeError} when the pattern wants pre-shared keys and there are none. */
  constructor(options: NoiseOptions) {
    const { pattern, prologue, psks = [] } = options;
    if ((pattern === "XXpsk3") !== (psks.length > 0)) {
      throw new RangeError("Pre-shared keys belong to the pattern XXpsk3, and it to them");
    }
    this.#options = options;
    this.#messages = MESSAGES[pattern];
    this.#ephemeral = options.ephemeralKey ?? DhKey.generate();
    this.#state = SymmetricState.of(`Noise_${pattern}_25519_ChaChaPoly_SHA256`);
    this.#state.mixHash(prologue);
  }

  /** The other side's static key, once it has come. */
  get remoteStatic(): Uint8Array {
    return this.#remoteStatic;
  }

  /** What both sides have seen, hashed. */
  get hash(): Uint8Array {
    return this.#state.hash;
  }

  /** The next message. @throws {RangeError} when it is longer than 65,535 bytes. */
  write(payload: Uint8Array): Uint8Array {
    const parts = this.#tokens().map((token) => this.#writeToken(token));
    parts.push(this.#state.encryptAndHash(payload));
    const message = new Uint8Array(Buffer.concat(parts));
    if (message.length <= MAX_NOISE_BYTES) return message;
    throw new RangeError(`A handshake message has at most ${MAX_NOISE_BYTES} bytes`);
  }

  /** Takes the next message. @returns its payload. @throws {HandshakeError} `bad-channel` when it is not right. */
  read(message: Uint8Array): Uint8Array {
    let at = 0;
    const take = (count: number): Uint8Array => {
      const part = message.slice(at, at += count);
      if (part.length < count) {
        throw wrong(`message ${this.#next} has only ${message.length} bytes`);
      }
      return part;
    };
    for (const token of this.#tokens()) this.#readToken(token, take);
    const rest = message.slice(at);
    const payload = this.#decryptPayload(rest);
    if (payload === undefined) throw wrong(`message ${this.#next} is not authentic`);
    return payload;
  }

  /** The ciphers for what comes after the handshake, which is over. */
  split(): NoiseCiphers {
    if (this.#next < this.#messages.length) throw new TypeError("The handshake is not over");
    const [first, second] = this.#state.split();
    return this.#options.initiator
      ? { send: first, receive: second }
      : { send: second, receive: first };
  }

  #tokens(): readonly Token[] {
    const tokens = this.#messages[this.#next++];
    if (tokens === undefined) throw new TypeError("The handshake is over");
    return tokens;
  }

  #writeToken(token: Token): Uint8Array {
    const { staticKey, psks = [] } = this.#options;
    if (token === "e") {
      this.#mixEphemeral(this.#ephemeral.publicKey);
      return this.#ephemeral.publicKey;
    }
    if (token === "s") return this.#state.encryptAndHash(staticKey.publicKey);
    if (token === "psk") this.#state.mixKeyAndHash(psks[0] ?? NOTHING);
    else this.#agree(token);
    return NOTHING;
  }

  #readToken(token: Token, take: (count: number) => Uint8Array): void {
    if (token === "e") {
      this.#remoteEphemeral = take(DH_BYTES);
      this.#mixEphemeral(this.#remoteEphemeral);
    } else if (token === "s") {
      const key = this.#state.decryptAndHash(take(DH_BYTES + this.#state.overhead));
      if (key === undefined) throw wrong(`message ${this.#next} is not authentic`);
      this.#remoteStatic = key;
    } else if (token !== "psk") {
      this.#agree(token);
    }
  }

  /** With pre-shared keys every ephemeral key is mixed in, too (specification, 9.2). */
  #mixEphemeral(publicKey: Uint8Array): void {
    this.#state.mixHash(publicKey);
    if (this.#options.pattern === "XXpsk3") this.#state.mixKey(publicKey);
  }

  #agree(token: "ee" | "es" | "se"): void {
    const { initiator, staticKey } = this.#options;
    if (token === "ee") return this.#state.mixKey(this.#ephemeral.agree(this.#remoteEphemeral));
    // "es" is the initiator's ephemeral key and the responder's static one, "se" the other way round.
    const withOurStatic = (token === "se") === initiator;
    this.#state.mixKey(
      withOurStatic
        ? staticKey.agree(this.#remoteEphemeral)
        : this.#ephemeral.agree(this.#remoteStatic),
    );
  }

  /** The payload of a message that was read: of one with a pre-shared key, by the first key that fits. */
  #decryptPayload(ciphertext: Uint8Array): Uint8Array | undefined {
    const { psks = [] } = this.#options;
    if (!this.#messages[this.#next - 1]?.includes("psk")) {
      return this.#state.decryptAndHash(ciphertext);
    }
    for (const psk of psks) {
      const state = this.#state.withKey(psk);
      const payload = state.decryptAndHash(ciphertext);
      if (payload === undefined) continue;
      this.#state = state;
      return payload;
    }
    return undefined;
  }
}

function wrong(what: string): HandshakeError {
  return new HandshakeError("bad-channel", `Cannot shake hands: ${what}`);
}
