/**
 * Whether a packet that a member of the network sealed was sealed just now, or is a recording of it.
 *
 * Clocks decide nothing here, because a clock may be a day off, and because a machine whose clock was set back would
 * take yesterday's recordings for news. What is fresh is proven instead:
 *
 * ```text
 * alice                                       bob, who does not know alice yet
 *   | packet, counter 7 ------------------------> |  holds it
 *   | <---- 8: challenge: alice, is 7 fresh? code |  sealed after 7 was, so it is fresh for alice
 *   | 9: response: yes, code -------------------> |  fresh for bob: the code is, and only he can make it
 *   |                                             |  takes 7, and from now on whatever follows
 * ```
 *
 * Bob remembers nothing about his challenges but the packets themselves, as many as there is room for; where there is
 * none, alice's next packet gets through. Alice answers only for what she sealed in the last seconds. Bob takes the
 * packet only if that was after his memory of what he took begins: 9 was sealed after he asked, and the counters tell
 * how much older 7 is. So it takes one round trip per pair of peers and run, and a recording is refused whenever it is
 * played: later, after a restart of either side, under any clock.
 *
 * A challenge and a response are as long as the shortest packet, and nobody who did not respond gets more than one:
 * no packet makes more than came.
 *
 * Who has the key of the network is trusted not to replay: it could seal in anybody's name.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import type { Counter, Metrics } from "../metrics.ts";
import type { Address } from "../transport/transport.ts";
import type { FreshnessCheck } from "./datagram_seal.ts";
import { type Arrival, type HeldPacket, HeldPackets } from "./held_packets.ts";
import { RotatingMac } from "./rotating_mac.ts";
import { type KnownSender, Senders } from "./senders.ts";
import { millisecondsOf, type Sequence } from "./sequence.ts";

/** For how long we answer for a packet of ours, in milliseconds: longer than any network needs to ask. */
const MAX_ANSWERED_MS = 10_000;

/** How long codes are made under one secret, in milliseconds; a response counts for as long again. */
const CODE_PERIOD_MS = 10_000;

/** How often we ask about a packet, at most. */
const MAX_ASKED = 3;

/** What one end knows of the others. */
export class Freshness<Port> {
  readonly #clock: Clock;
  readonly #sequence: Sequence;
  readonly #senders: Senders;
  readonly #codes: RotatingMac;
  readonly #held = new HeldPackets<Port>();
  readonly #heldDropped: Counter;

  /**
   * Knows nobody.
   *
   * @param sequence What we seal with.
   * @param metrics Counts `seal.forgotten` and `seal.held-dropped`.
   */
  constructor(clock: Clock, sequence: Sequence, metrics: Metrics) {
    this.#clock = clock;
    this.#sequence = sequence;
    this.#senders = new Senders(clock, metrics.counter("seal.forgotten"));
    this.#codes = new RotatingMac(clock, CODE_PERIOD_MS);
    this.#heldDropped = metrics.counter("seal.held-dropped");
  }

  /** A sender whose packets were proven fresh. */
  known(sender: bigint): KnownSender | undefined {
    return this.#senders.get(sender);
  }

  /** Whether that packet is held already. */
  isHeld({ header, from }: Arrival<Port>): boolean {
    return this.#held.has(this.#claim(header.sender, header.counter, from));
  }

  /** The challenge for a packet. */
  challenge({ header: { sender, counter }, from }: Arrival<Port>): FreshnessCheck {
    const code = this.#codes.sign(this.#claim(sender, counter, from));
    return { kind: "challenge", to: sender, counter, code };
  }

  /** Holds a packet. Its challenge must leave after that: no response is older. */
  hold(packet: Uint8Array, arrival: Arrival<Port>, asked: number): void {
    const claim = this.#claim(arrival.header.sender, arrival.header.counter, arrival.from);
    const held = { packet: packet.slice(), arrival, asked, askedMs: this.#clock.now() };
    this.#heldDropped.add(this.#held.put(claim, held));
  }

  /**
   * The response to a challenge, or `undefined` when we do not answer for the packet. We know the challenger from then
   * on: it saw what we sealed just now, so what it sealed is fresh as well.
   */
  respond(check: FreshnessCheck, { header, atMs }: Arrival<Port>): FreshnessCheck | undefined {
    const { to, counter, code } = check;
    const ageMs = to === this.#sequence.sender ? this.#sequence.ageMs(counter, atMs) : undefined;
    if (ageMs === undefined || ageMs > MAX_ANSWERED_MS) return undefined;
    const sinceMs = atMs - ageMs;
    const challenger = this.known(header.sender) ??
      (sinceMs < this.#senders.completeSinceMs
        ? undefined
        : this.#senders.open(header.sender, header.counter, sinceMs));
    challenger?.takeFresh(header.counter, atMs);
    return { kind: "response", to: header.sender, counter, code };
  }

  /** Whether a response is one to a challenge of ours, of these last seconds and from where we asked. */
  verify(check: FreshnessCheck, { header, from }: Arrival<Port>): boolean {
    return this.#codes.verify(this.#claim(header.sender, check.counter, from), check.code);
  }

  /** Takes out the packet that a verified response answers for, if it is still held. */
  release(check: FreshnessCheck, { header, from }: Arrival<Port>): HeldPacket<Port> | undefined {
    return this.#held.take(this.#claim(header.sender, check.counter, from));
  }

  /**
   * Whether a response leaves open if its packet was sealed before our memory begins or after, because nobody knows how
   * long the challenge was under way. So it is when both sides have only just started; then it is worth asking again,
   * now that everything is loaded.
   */
  isUndecided(check: FreshnessCheck, arrival: Arrival<Port>, held: HeldPacket<Port>): boolean {
    if (held.asked >= MAX_ASKED) return false;
    const olderMs = millisecondsOf(arrival.header.counter) - millisecondsOf(check.counter);
    const sealedMs = { least: held.askedMs - olderMs, most: arrival.atMs - olderMs };
    const { completeSinceMs } = this.#senders;
    return sealedMs.least < completeSinceMs && completeSinceMs <= sealedMs.most;
  }

  /**
   * Knows the sender of a verified response from now on.
   *
   * @param held The packet in question, if it was held.
   * @returns whether that packet is fresh, and was not taken meanwhile.
   */
  accept(check: FreshnessCheck, { header, atMs }: Arrival<Port>, held?: HeldPacket<Port>): boolean {
    // The code is younger than our memory, whenever that was.
    const askedMs = held?.askedMs ?? this.#senders.completeSinceMs;
    const sender = this.known(header.sender) ??
      this.#senders.open(header.sender, header.counter, askedMs);
    sender.takeFresh(header.counter, atMs);
    return held !== undefined && sender.take(check.counter, atMs);
  }

  /**
   * What a code stands for. Without the zone, which not every socket knows; and with the time from which on we remember,
   * so that no code outlives the memory of what was taken.
   */
  #claim(sender: bigint, counter: bigint, { hostname, port }: Address): string {
    const host = hostname.replace(/%.*/, "");
    return `${sender} ${counter} ${this.#senders.completeSinceMs} ${port} ${host}`;
  }
}
