/**
 * One peer's end of a closed network's datagrams: seals what it sends, opens what others sealed, and takes each packet
 * once.
 *
 * @module
 */

import { type Clock, systemClock } from "../clock.ts";
import { InvalidPacketError } from "../errors.ts";
import { layerLog, type Logger, printable, silentLogger } from "../log.ts";
import { type Counter, Metrics } from "../metrics.ts";
import { type Address, type Datagram, formatAddress } from "../transport/transport.ts";
import { MAX_DATAGRAM_IN_BYTES, SERVICE_CODE } from "../wire/datagram.ts";
import {
  DatagramSeal,
  encodeFreshnessCheck,
  type FreshnessCheck,
  isNativeCode,
  parseFreshnessCheck,
  readInnerPacket,
  readSealedHeader,
  SEAL_BYTES,
  sealedBytes,
  senderKey,
} from "./datagram_seal.ts";
import { Freshness } from "./freshness.ts";
import type { Arrival } from "./held_packets.ts";
import type { Network, NetworkKey } from "./network.ts";
import { isSame } from "./rotating_mac.ts";
import { Sequence } from "./sequence.ts";

/** The largest packet that can be sealed, in bytes. */
export const MAX_SEALABLE_BYTES: number = MAX_DATAGRAM_IN_BYTES - SEAL_BYTES;

/** What a {@linkcode Sealer} needs. */
export interface SealerOptions {
  /** The network: its keys are looked up anew for every packet, so that they can change at any time. */
  network: Network;
  /** Where time comes from. @default {systemClock} */
  clock?: Clock;
  /** Where to say what was dropped. @default {silentLogger} */
  log?: Logger;
  /** Counts `seal.*`. @default {new Metrics()} */
  metrics?: Metrics;
}

/** Where packets come in and go out: a socket. */
export interface SealedPort {
  /** Where it is bound. */
  readonly address: Address;
  /** Whether others have the same port: then what is for us alone does not reach us here. */
  readonly shared: boolean;
  /** Hands on a packet that was held, as if it came now. */
  deliver(datagram: Datagram): void;
  /** Sends a packet as it is. */
  transmit(sealed: Uint8Array, to: Address): void;
}

/** Why packets are dropped; each has a counter `seal.<reason>`. */
const REASONS = [
  "plain", // native and not sealed
  "malformed",
  "unknown-key", // of another network, or of a key that was taken away
  "bad-tag", // forged or damaged
  "own", // it came back: heard by ourselves, or sent back by somebody else
  "replayed", // taken or held already, or too old to tell
  "challenged", // of somebody unknown, or late: held until it is known to be fresh
  "unsolicited", // a challenge or a response that is too late or not for us
] as const;

type Reason = typeof REASONS[number];

/**
 * Seals, opens and remembers, for all sockets of a peer in one network; see the module.
 *
 * @example
 * ```ts
 * import { Metrics, Network, Sealer } from "@kith/kith";
 * import { encodeDatagram, SERVICE_CODE } from "@kith/kith/wire";
 * import { assertEquals } from "@std/assert";
 *
 * const data = new Sealer({ network: new Network("home") })
 *   .seal(encodeDatagram(SERVICE_CODE.gossip, new Uint8Array([7])));
 * assertEquals(data[0], SERVICE_CODE.sealed);
 *
 * const metrics = new Metrics();
 * const stranger = new Sealer({ network: new Network("elsewhere"), metrics });
 * const address = { hostname: "192.0.2.7", port: 1 };
 * const port = { address, shared: false, deliver: () => {}, transmit: () => {} };
 * assertEquals(stranger.open({ data, from: address }, port), undefined);
 * assertEquals(metrics.snapshot(), { "seal.unknown-key": 1 });
 * ```
 */
export class Sealer {
  /** Where it and its sockets get their time from. */
  readonly clock: Clock;
  /** Where it and its sockets say what went wrong. */
  readonly log: Logger;
  /** Where it and its sockets count. */
  readonly metrics: Metrics;
  readonly #network: Network;
  readonly #dropped: Record<Reason, Counter>;
  readonly #answered: Counter;
  readonly #seal: DatagramSeal;
  readonly #sequence: Sequence;
  readonly #freshness: Freshness<SealedPort>;
  readonly #ports = new Set<SealedPort>();
  #networkKey: NetworkKey;
  #key: Uint8Array;

  /**
   * Makes the sealer of a network.
   *
   * @throws {TypeError} when the network is the open one, which has no key.
   */
  constructor(options: SealerOptions) {
    const { network, clock = systemClock, log = silentLogger } = options;
    const { metrics = new Metrics() } = options;
    const [networkKey] = network.keys;
    if (networkKey === undefined) throw new TypeError("The open network has no key to seal with");
    this.clock = clock;
    this.log = layerLog(log, "secure");
    this.metrics = metrics;
    this.#network = network;
    this.#dropped = countersOf(metrics);
    this.#answered = metrics.counter("seal.answered");
    this.#seal = new DatagramSeal(network.name);
    this.#sequence = new Sequence(clock);
    this.#freshness = new Freshness(clock, this.#sequence, metrics);
    this.#networkKey = networkKey;
    this.#key = senderKey(networkKey, this.#sequence.sender);
  }

  /** Adds a socket: challenges leave from one that their responses reach. */
  attach(port: SealedPort): void {
    this.#ports.add(port);
  }

  /** Takes a socket away. */
  detach(port: SealedPort): void {
    this.#ports.delete(port);
  }

  /**
   * Seals a native packet with the network's first key.
   *
   * @param into Where it is written, if there is room; else in a buffer of its own.
   * @returns the sealed packet.
   * @throws {InvalidPacketError} `too-large` for more than 65,466 bytes.
   */
  seal(packet: Uint8Array, into?: Uint8Array): Uint8Array {
    if (packet.length > MAX_SEALABLE_BYTES) throw tooLarge(packet.length);
    const bytes = sealedBytes(packet.length);
    const buffer = into !== undefined && into.length >= bytes ? into : new Uint8Array(bytes);
    this.#followKeys();
    const header = {
      keyId: this.#networkKey.id,
      sender: this.#sequence.sender,
      counter: this.#sequence.next(),
    };
    return this.#seal.seal(buffer, header, this.#key, packet);
  }

  /**
   * Opens a packet that came in on a port. Packets that are not native pass as they are; what was sealed is checked,
   * opened and taken; everything else is dropped and counted. A packet that turns out to be fresh later is delivered to
   * the port then.
   *
   * @returns what to hand on now, if anything.
   */
  open(datagram: Datagram, port: SealedPort): Datagram | undefined {
    const { data, from } = datagram;
    const code = data[0];
    if (code === undefined || !isNativeCode(code)) return datagram;
    if (code !== SERVICE_CODE.sealed) return this.#drop("plain", from);
    try {
      const packet = this.#take(data, from, port);
      return packet === undefined ? undefined : { data: packet, from };
    } catch (error) {
      if (!(error instanceof InvalidPacketError)) throw error;
      return this.#drop("malformed", from, error.message);
    }
  }

  /** @throws {InvalidPacketError} when it is malformed, by a stranger or by a member of the network. */
  #take(sealed: Uint8Array, from: Address, port: SealedPort): Uint8Array | undefined {
    const atMs = this.clock.now();
    const header = readSealedHeader(sealed);
    // First of all: nobody else may make us vouch to ourselves for what we told others.
    if (header.sender === this.#sequence.sender) return this.#drop("own", from);
    const networkKey = this.#network.keys.find(({ id }) => isSame(id, header.keyId));
    if (networkKey === undefined) return this.#drop("unknown-key", from);
    const known = this.#freshness.known(header.sender);
    if (known?.fits(header.counter) === false) return this.#drop("replayed", from);
    const key = known?.keyUnder(networkKey) ?? senderKey(networkKey, header.sender);
    const plaintext = this.#seal.open(sealed, key);
    if (plaintext === undefined) return this.#drop("bad-tag", from);
    known?.rememberKey(networkKey, key);
    const packet = readInnerPacket(plaintext);
    const arrival = { header, from, port, atMs };
    if (packet[0] === SERVICE_CODE.freshness) {
      const check = parseFreshnessCheck(packet);
      return check.kind === "challenge"
        ? this.#respond(check, arrival)
        : this.#takeResponse(check, arrival);
    }
    if (known === undefined || known.isLate(header.counter, atMs)) {
      return this.#challenge(packet, arrival);
    }
    known.take(header.counter, atMs);
    return packet;
  }

  #challenge(packet: Uint8Array, arrival: Arrival<SealedPort>): undefined {
    // One packet can reach several of our sockets that share a port.
    if (this.#freshness.isHeld(arrival)) return this.#drop("replayed", arrival.from);
    this.#ask(packet, arrival);
    return this.#drop("challenged", arrival.from);
  }

  /** Holds a packet and asks its sender whether it is fresh. */
  #ask(packet: Uint8Array, arrival: Arrival<SealedPort>, asked = 1): undefined {
    const challenge = this.seal(encodeFreshnessCheck(this.#freshness.challenge(arrival)));
    this.#freshness.hold(packet, arrival, asked);
    this.#outlet(arrival.from, arrival.port).transmit(challenge, arrival.from);
  }

  #respond(check: FreshnessCheck, arrival: Arrival<SealedPort>): undefined {
    const { from, port } = arrival;
    const response = this.#freshness.respond(check, arrival);
    if (response === undefined) return this.#drop("unsolicited", from);
    this.#outlet(from, port).transmit(this.seal(encodeFreshnessCheck(response)), from);
    this.#answered.add();
  }

  #takeResponse(check: FreshnessCheck, arrival: Arrival<SealedPort>): undefined {
    if (!this.#freshness.verify(check, arrival)) return this.#drop("unsolicited", arrival.from);
    const held = this.#freshness.release(check, arrival);
    if (held !== undefined && this.#freshness.isUndecided(check, arrival, held)) {
      return this.#ask(held.packet, held.arrival, held.asked + 1);
    }
    if (this.#freshness.accept(check, arrival, held)) {
      held?.arrival.port.deliver({ data: held.packet, from: held.arrival.from });
    }
  }

  /**
   * The socket that an answer leaves from: the one that was asked, or, where others share its port, one of our own of
   * the same family, best one that is bound to all addresses.
   */
  #outlet(to: Address, asked: SealedPort): SealedPort {
    if (!asked.shared) return asked;
    const own = [...this.#ports].filter((port) => !port.shared && isV6(port.address) === isV6(to));
    return own.find(({ address }) => WILDCARDS.includes(address.hostname)) ?? own[0] ?? asked;
  }

  #followKeys(): void {
    const [first] = this.#network.keys;
    if (first === undefined || first === this.#networkKey) return;
    this.#networkKey = first;
    this.#key = senderKey(first, this.#sequence.sender);
  }

  #drop(reason: Reason, from: Address, why?: string): undefined {
    this.#dropped[reason].add();
    const shown = printable(formatAddress(from), 100);
    this.log.debug("kept a packet back", { reason, from: shown, ...(why ? { why } : {}) });
  }
}

const WILDCARDS = ["0.0.0.0", "::"];

function isV6({ hostname }: Address): boolean {
  return hostname.includes(":");
}

function countersOf(metrics: Metrics): Record<Reason, Counter> {
  const counters = REASONS.map((reason) => [reason, metrics.counter(`seal.${reason}`)] as const);
  return Object.fromEntries(counters) as Record<Reason, Counter>;
}

function tooLarge(got: number): InvalidPacketError {
  return new InvalidPacketError(
    "too-large",
    `Cannot seal datagram: ${got} bytes exceed MAX_SEALABLE_BYTES ${MAX_SEALABLE_BYTES}`,
    { details: { limit: "MAX_SEALABLE_BYTES", max: MAX_SEALABLE_BYTES, got } },
  );
}
