/**
 * Packets on their way in: who may ask what, and in how many bytes it is answered.
 *
 * @module
 */

import { type RateOptions, TokenBuckets } from "../endpoint/limits.ts";
import { sourceOf } from "../endpoint/source.ts";
import { InvalidPacketError } from "../errors.ts";
import { type Address, formatAddress } from "../transport/transport.ts";
import type { MessageBody } from "../wire/message.ts";
import type { Told } from "./blame.ts";
import type { Book } from "./book.ts";
import { peekClaim } from "./claims.ts";
import type { SwimPorts } from "./options.ts";
import { MAX_PACKET_BYTES, type Outbox } from "./outbox.ts";
import { type MemberPacket, proofOf, readPacket } from "./packets.ts";
import type { Prober } from "./prober.ts";
import type { Questions } from "./questions.ts";
import type { Roster } from "./roster.ts";

/** To an address that has answered before, at most this many times what came from it. */
const MAX_AMPLIFICATION = 3;

/** Packets of one address that want an answer, and of one member that want us to ask somebody. */
const QUESTIONS: Readonly<RateOptions> = { perSecond: 64, burst: 256 };
const RELAYS: Readonly<RateOptions> = { perSecond: 8, burst: 32 };

/** What an {@linkcode Intake} needs. */
export interface IntakeParts {
  readonly ports: SwimPorts;
  readonly project: string;
  readonly roster: Roster;
  readonly questions: Questions;
  readonly book: Book;
  readonly outbox: Outbox;
  /** Asks a member for another one. */
  readonly relay: Prober["relay"];
  /** Whether a claim has made this node stop. */
  readonly isStopped: () => boolean;
}

/** What comes in; see the module. */
export class Intake {
  readonly #parts: IntakeParts;
  readonly #questionRates: TokenBuckets;
  readonly #relayRates: TokenBuckets;

  /** Has taken nothing. */
  constructor(parts: IntakeParts) {
    const { clock } = parts.ports;
    this.#parts = parts;
    this.#questionRates = new TokenBuckets(clock, QUESTIONS);
    this.#relayRates = new TokenBuckets(clock, RELAYS);
  }

  /** Takes the message of a packet. What is malformed is counted and dropped. */
  take(
    message: { readonly header: unknown; readonly msgId: unknown; readonly body: MessageBody },
    from: Address,
    packetBytes: number,
  ): void {
    try {
      this.#receive(readPacket(message), from, packetBytes);
    } catch (error) {
      if (!(error instanceof InvalidPacketError)) throw error;
      this.#count("malformed");
    }
  }

  #receive(packet: MemberPacket, from: Address, packetBytes: number): void {
    const { kind, nonce, project, to } = packet;
    if (kind === ":ack" || kind === ":nack") {
      if (!this.#parts.questions.expects(packet, from)) return this.#count("unasked");
      if (kind === ":ack") this.#takeClaims(packet, from);
      return void this.#parts.questions.answer(packet, from);
    }
    if (project !== this.#parts.project) return this.#count("other-projects");
    if (kind === ":ping" && to !== this.#parts.ports.signer.peerId) {
      return this.#count("not-for-us");
    }
    this.#takeClaims(packet, from);
    if (kind === ":news") return;
    if (!this.#questionRates.take(askerOf(from))) return this.#count("rate");
    if (kind === ":ping") this.#acknowledge(packet, from, packetBytes);
    else this.#relay(packet.from, nonce, to, from);
  }

  /** Says that we are there; to an address that has proven nothing, in no more bytes than came from it. */
  #acknowledge(packet: MemberPacket, from: Address, packetBytes: number): void {
    const { nonce, claims, relayed = 0 } = packet;
    const isProven = this.#isProven(packet.from, from);
    this.#parts.outbox.send({
      kind: ":ack",
      nonce,
      to: packet.from,
      // Whoever suspects us shall have what refutes it with the answer.
      introduces: claims.some((claim) => peekClaim(claim)?.kind === "suspect"),
      maxBytes: isProven
        ? Math.min(MAX_PACKET_BYTES, MAX_AMPLIFICATION * packetBytes)
        : packetBytes,
      ...(isProven && relayed !== 0 ? { proof: this.#prove(relayed) } : {}),
    }, from);
  }

  /** Asks somebody for a member: where it has answered us, and nowhere else. */
  #relay(origin: string, nonce: number, to: string, from: Address): void {
    const member = this.#parts.roster.get(to);
    if (member?.path !== "direct" || !this.#isProven(origin, from)) return;
    if (this.#relayRates.take(origin)) this.#parts.relay(nonce, member, from);
    else this.#count("rate");
  }

  #prove(nonce: number): Uint8Array {
    return this.#parts.ports.signer.sign(proofOf(this.#parts.project, nonce));
  }

  #takeClaims({ from: by, claims }: MemberPacket, from: Address): void {
    const isProven = this.#isProven(by, from);
    const told: Told = { by, isProven, host: from.hostname, isOld: false };
    this.#parts.book.takeAll(claims, told);
  }

  /** Whether a member has answered us from that very address. */
  #isProven(peerId: string, from: Address): boolean {
    const member = this.#parts.roster.get(peerId);
    return member?.path === "direct" && member.claim.udpPort === from.port &&
      member.hosts[0] === from.hostname;
  }

  #count(what: string): void {
    this.#parts.ports.metrics.counter(`membership.${what}`).add();
  }
}

/** Who is counted together: what one host cannot choose; here the ports are different programs. */
function askerOf(from: Address): string {
  const { own, host } = sourceOf(from.hostname);
  return own ? formatAddress(from) : host;
}
