/**
 * A member under simulation: the real state machine, with packets and answers in the real encoding, and signatures that
 * are quick instead of safe.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { InvalidPacketError } from "../errors.ts";
import { type Logger, silentLogger } from "../log.ts";
import { Metrics } from "../metrics.ts";
import { type AliveClaim, readClaim, type Signer } from "../membership/claims.ts";
import type { MemberEvent } from "../membership/member.ts";
import type { SwimTuning } from "../membership/options.ts";
import { incarnationAt, Swim } from "../membership/swim.ts";
import type { Address } from "../transport/transport.ts";
import { decodeDatagram } from "../wire/datagram.ts";
import { decodeWireData, type MessageBody } from "../wire/message.ts";
import { decode, encode } from "../wire/msgpack.ts";
import type { SimHost, SimNode } from "./host.ts";

/** The group's digest in simulations. */
export const SIM_PROJECT = "73696d756c617465";

/** How a simulated member is made. */
export interface SwimNodeOptions {
  /** What differs from the protocol's defaults. */
  readonly tuning?: Partial<SwimTuning>;
  /** Hears what happens to members. */
  readonly onEvent?: (event: MemberEvent, host: SimHost) => void;
  /** Who it is. @default {simSigner(host.name)} */
  readonly signer?: Signer;
  /** Where it says who lies. @default {silentLogger} */
  readonly log?: Logger;
}

/** A member that another one knows. */
export interface Acquaintance {
  readonly claim: AliveClaim;
  readonly signed: Uint8Array;
}

/** One simulated member. */
export class SwimNode implements SimNode {
  /** Who it is. */
  readonly peerId: string;
  /** Its public key. */
  readonly publicKey: Uint8Array;
  /** Where it is. */
  readonly address: Address;
  /** Its state machine. */
  readonly swim: Swim;
  /** What it counts. */
  readonly metrics: Metrics = new Metrics();
  #asked = 0;

  /** Starts it. */
  constructor(host: SimHost, options: SwimNodeOptions = {}) {
    const { tuning = {}, onEvent = () => {}, signer = simSigner(host.name) } = options;
    const { log = silentLogger } = options;
    const { hostname, port } = host.address;
    this.peerId = signer.peerId;
    this.publicKey = signer.publicKey;
    this.address = host.address;
    this.swim = new Swim({
      ports: {
        clock: host.clock,
        signer,
        log,
        metrics: this.metrics,
        // Unlike chance of 32 bits, never the same twice; as long on the wire as one of 48 bits.
        nonce: () =>
          (2 ** 16 + ++this.#asked) * 2 ** 20 + Math.floor(host.clock.random() * 2 ** 20),
        send: (packet, to) => host.send(packet, to),
        ask: (question, to, { timeoutMs }, done) => {
          host.ask(encode(question), to, { timeoutMs }, (answer) => {
            done(answer === undefined ? undefined : decode(answer) as MessageBody);
          });
        },
        emit: (event) => onEvent(event, host),
      },
      project: SIM_PROJECT,
      self: { name: host.name, hosts: [hostname], tcpPort: port, udpPort: port, tags: {} },
      incarnation: incarnationAt(host.clock.wallMs()),
      tuning,
    });
    this.swim.start();
  }

  /** What it says of itself, signed. */
  get claim(): Acquaintance {
    const signed = this.swim.claim;
    const claim = readClaim(signed);
    if (claim.kind !== "alive") throw new TypeError("A node says of itself that it is there");
    return { claim, signed };
  }

  /**
   * Makes it know others at once, without a packet and without time going by: a large group that has long been there is
   * not what takes so long to simulate.
   */
  acquaint(others: readonly Acquaintance[]): void {
    this.swim.acquaint(others);
  }

  /** Takes a packet. */
  receive(packet: Uint8Array, from: Address): void {
    try {
      const { payload } = decodeDatagram(packet, { code: true, exact: true });
      this.swim.receive(decodeWireData(payload), from, packet.length);
    } catch (error) {
      if (!(error instanceof InvalidPacketError)) throw error;
      this.metrics.counter("membership.malformed").add();
    }
  }

  /** Answers a question; who asks is taken at its word, as if its stream had proven it. */
  answer(body: Uint8Array): Uint8Array | undefined {
    try {
      const question = decode(body) as MessageBody;
      const from = question.from instanceof Uint8Array ? question.from.toHex() : "";
      return encode(this.swim.answer(question, from));
    } catch (error) {
      if (!(error instanceof InvalidPacketError)) throw error;
      return undefined;
    }
  }

  /** Says goodbye. */
  close(): void {
    this.swim.leave();
    this.swim.stop();
  }
}

/** The keys of one member, made of its name. Whoever has `publicKey` can sign as it: fit for simulations alone. */
export function simSigner(name: string): Signer {
  const publicKey = new Uint8Array(createHash("sha256").update(name).digest());
  return {
    peerId: idOf(publicKey),
    publicKey,
    sign: (bytes) => tagOf(publicKey, bytes),
    verify: (key, bytes, signature) => equal(tagOf(key, bytes), signature),
    idOf,
  };
}

function idOf(key: Uint8Array): string {
  return key.subarray(0, 20).toHex();
}

function tagOf(key: Uint8Array, bytes: Uint8Array): Uint8Array {
  let [a, b] = [0x811c9dc5, 0x1000193];
  for (const part of [key, bytes]) {
    for (const byte of part) {
      a = Math.imul(a ^ byte, 0x01000193);
      b = Math.imul(b + byte, 0x85ebca6b) ^ (b >>> 13);
    }
  }
  const tag = new Uint8Array(64);
  const view = new DataView(tag.buffer);
  view.setInt32(0, a);
  view.setInt32(4, b);
  return tag;
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}
