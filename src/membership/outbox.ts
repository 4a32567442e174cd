/**
 * Packets on their way out, each filled with the claims that matter to whom it is for, and then with what is new.
 *
 * @module
 */

import type { Timer } from "../clock.ts";
import type { Address } from "../transport/transport.ts";
import { SOFT_DATAGRAM_BYTES } from "../wire/datagram.ts";
import { accusationOf, type Member, packetAddresses } from "./member.ts";
import type { News } from "./news.ts";
import type { SwimPorts, SwimTuning } from "./options.ts";
import type { OwnClaim } from "./own_claim.ts";
import { CLAIM_OVERHEAD, encodePacket, type MemberPacket, PACKET_BYTES } from "./packets.ts";
import type { Roster } from "./roster.ts";

/** The largest packet in bytes, with room for a seal around it. */
export const MAX_PACKET_BYTES: number = SOFT_DATAGRAM_BYTES - 64;

/** Time between two tellings of news over streams, where packets are blocked. */
const STREAM_NEWS_MS = 1_000;

/** Most bytes of news in one telling over a stream. */
const STREAM_NEWS_BYTES = 64 * 1024;

/** How long somebody just given up still hears the news: it may have only been slow. */
const NEWS_TO_THE_DEAD_MS = 30_000;

/** Least number of times that news are passed on: in a small group one lost packet counts for much. */
const LEAST_PASSES = 8;

/** A packet before its claims are chosen. */
export interface Outgoing
  extends Pick<MemberPacket, "kind" | "nonce" | "to" | "relayed" | "proof"> {
  /** Carries no claims. @default {false} */
  readonly isBare?: boolean;
  /** Begins with what we say of ourselves. @default {false} */
  readonly introduces?: boolean;
  /** The largest it may be, in bytes. @default {MAX_PACKET_BYTES} */
  readonly maxBytes?: number;
}

/** What an {@linkcode Outbox} needs. */
export interface OutboxParts {
  readonly ports: SwimPorts;
  readonly tuning: SwimTuning;
  readonly project: string;
  readonly roster: Roster;
  readonly news: News;
  readonly own: OwnClaim;
  /** Whether packets do not get through. */
  readonly isDegraded: () => boolean;
  /** Tells somebody news over a stream. */
  readonly tell: (member: Member, claims: readonly Uint8Array[]) => void;
}

/** What leaves; see the module. */
export class Outbox {
  readonly #parts: OutboxParts;
  #timer: Timer | undefined;
  #stopped = false;

  /** Sends nothing yet. */
  constructor(parts: OutboxParts) {
    this.#parts = parts;
  }

  /** Sends a packet. */
  send(packet: Outgoing, address: Address): void {
    if (this.#stopped) return;
    const { ports, project } = this.#parts;
    const { kind, nonce, to, relayed = 0, proof } = packet;
    const isQuestion = kind === ":ping" || kind === ":relay";
    const bytes = encodePacket({
      kind,
      nonce,
      project: isQuestion || kind === ":news" ? project : "",
      from: ports.signer.peerId,
      to: isQuestion ? to : "",
      claims: packet.isBare ? [] : this.#claimsFor(packet),
      relayed,
      proof,
    });
    ports.send(bytes, address);
  }

  /** Sends news to a member. */
  sendNews(member: Member): void {
    const [address] = packetAddresses(member);
    if (address !== undefined) this.send({ kind: ":news", nonce: 0, to: "" }, address);
  }

  /** Sees to it that what is new leaves, also when nothing else is said. */
  wake(): void {
    const { ports: { clock }, tuning: { newsMs }, news, isDegraded } = this.#parts;
    if (this.#timer !== undefined || this.#stopped || news.size === 0) return;
    this.#timer = clock.after(isDegraded() ? STREAM_NEWS_MS : newsMs, () => {
      this.#timer = undefined;
      this.#spread();
      this.wake();
    });
  }

  /** Sends no more. */
  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  #claimsFor({ kind, to, introduces, proof, maxBytes = MAX_PACKET_BYTES }: Outgoing): Uint8Array[] {
    const { roster, own, news, tuning: { lifeguard } } = this.#parts;
    const member = roster.get(to);
    const claims: Uint8Array[] = [];
    let left = maxBytes - PACKET_BYTES - (proof === undefined ? 0 : proof.length + 4);
    const add = (claim: Uint8Array | undefined) => {
      if (claim === undefined || claim.length + CLAIM_OVERHEAD > left) return;
      claims.push(claim);
      left -= claim.length + CLAIM_OVERHEAD;
    };
    const wasLost = member?.state === "dead";
    if (introduces || (kind === ":ping" && wasLost)) add(own.signed);
    // Whom we suspect or gave up can refute it only when it knows.
    if (member !== undefined && kind !== ":news" && (lifeguard || wasLost)) {
      add(accusationOf(member));
    }
    claims.push(...news.take(left, this.#passes));
    return claims;
  }

  /** How often a claim is passed on. */
  get #passes(): number {
    const { tuning: { retransmit }, roster } = this.#parts;
    return Math.max(LEAST_PASSES, Math.ceil(retransmit * Math.log(roster.present + 2)));
  }

  #spread(): void {
    const { roster, news, tuning: { fanout }, isDegraded, tell } = this.#parts;
    if (isDegraded()) {
      const [member] = roster.sample(1, ({ isReached }) => isReached);
      if (member !== undefined) tell(member, news.take(STREAM_NEWS_BYTES, this.#passes));
      return;
    }
    const isReached = ({ path }: Member) => path === "direct";
    for (const member of [...roster.sample(fanout, isReached), ...this.#justLost()]) {
      if (news.size > 0) this.sendNews(member);
    }
  }

  /** One of those just given up, as often as if it were present. */
  #justLost(): Member[] {
    const { ports: { clock }, roster, tuning: { fanout } } = this.#parts;
    const nowMs = clock.now();
    const lately = roster.lost.filter(({ changedMs, path }) => {
      return path === "direct" && nowMs - changedMs < NEWS_TO_THE_DEAD_MS;
    });
    const share = fanout * lately.length / (roster.present + lately.length || 1);
    const one = lately[Math.floor(clock.random() * lately.length)];
    return one !== undefined && clock.random() < share ? [one] : [];
  }
}
