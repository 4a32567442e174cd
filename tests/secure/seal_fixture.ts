/**
 * Peers of closed networks on a wire where everything can be recorded, sent again and sent in anybody's name.
 *
 * @module
 */

import { ManualClock } from "../../src/clock.ts";
import { Metrics } from "../../src/metrics.ts";
import { Network } from "../../src/secure/network.ts";
import { Sealer } from "../../src/secure/sealer.ts";
import { type Address, type Datagram, formatAddress } from "../../src/transport/transport.ts";
import { encodeDatagram, SERVICE_CODE } from "../../src/wire/datagram.ts";

export const KEY: Uint8Array = new Uint8Array(32).fill(7);

export const DAY_MS = 24 * 60 * 60 * 1000;

/** A packet on its way. */
export interface Recorded {
  readonly packet: Uint8Array;
  readonly from: Address;
  readonly to: Address;
}

/** How a {@linkcode Member} differs from the others. */
export interface MemberOptions {
  network?: Network;
  /** How far its wall clock is ahead. */
  skewMs?: number;
  /** Where it is, if not at an address of its own. */
  address?: Address;
}

/** What connects members: what one sends arrives at once, and is recorded. */
export class Wire {
  readonly recorded: Recorded[] = [];
  /** Whether packets arrive, or are only recorded. */
  delivers = true;
  readonly #members = new Map<string, Member>();
  #nowMs = 0;
  #hosts = 0;

  /** A member with a process, a clock and an address of its own. */
  join(options: MemberOptions = {}): Member {
    const { address = { hostname: `10.0.0.${++this.#hosts}`, port: 3486 } } = options;
    const member = new Member(this, address, options);
    this.#members.set(formatAddress(address), member);
    return member;
  }

  /** Ends a member's process and starts another at its address. */
  restart(member: Member, options: MemberOptions = {}): Member {
    return this.join({ network: member.network, address: member.address, ...options });
  }

  /** Takes a member off the wire. */
  leave(member: Member): void {
    this.#members.delete(formatAddress(member.address));
  }

  /** Milliseconds that passed. */
  get nowMs(): number {
    return this.#nowMs;
  }

  async advance(ms: number): Promise<void> {
    this.#nowMs += ms;
    for (const member of this.#members.values()) await member.clock.advance(ms);
  }

  carry(packet: Uint8Array, from: Address, to: Address): void {
    const recorded = { packet: packet.slice(), from, to };
    this.recorded.push(recorded);
    if (this.delivers) this.play(recorded);
  }

  /** Lets a packet arrive, whoever sent it and whenever. */
  play({ packet, from, to }: Recorded): void {
    this.#members.get(formatAddress(to))?.arrive({ data: packet.slice(), from });
  }
}

/** A peer. */
export class Member {
  readonly network: Network;
  readonly clock: ManualClock;
  readonly metrics = new Metrics();
  readonly sealer: Sealer;
  /** The payloads it was given. */
  readonly inbox: string[] = [];
  readonly address: Address;
  readonly shared = false;
  readonly #wire: Wire;

  constructor(wire: Wire, address: Address, options: MemberOptions) {
    const { network = new Network("home", [KEY]), skewMs = 0 } = options;
    this.#wire = wire;
    this.network = network;
    this.address = address;
    this.clock = new ManualClock({ epochMs: Date.UTC(2026, 0, 1) + wire.nowMs + skewMs });
    const { clock, metrics } = this;
    this.sealer = new Sealer({ network, clock, metrics });
    this.sealer.attach(this);
  }

  /** Sends a text, as a packet of gossip. */
  send(text: string, to: { readonly address: Address }): void {
    this.transmit(this.sealer.seal(gossip(text)), to.address);
  }

  arrive(datagram: Datagram): void {
    const opened = this.sealer.open(datagram, this);
    if (opened !== undefined) this.deliver(opened);
  }

  deliver({ data }: Datagram): void {
    this.inbox.push(new TextDecoder().decode(data.subarray(5)));
  }

  transmit(sealed: Uint8Array, to: Address): void {
    this.#wire.carry(sealed, this.address, to);
  }
}

/** A text as a native packet. */
export function gossip(text: string): Uint8Array {
  return encodeDatagram(SERVICE_CODE.gossip, new TextEncoder().encode(text));
}
