/**
 * Requests over UDP prove the address that they come from: with a token that only who receives there can know.
 *
 * ```
 * request, token of zeros ->
 *                         <- :retry, { t: token }     service code 0x1e, not larger than the request
 * request, token          ->
 *                         <- :ok
 * ```
 *
 * The server keeps nothing about who has not proven its address; the client keeps the token for what it sends next.
 *
 * Source: the Retry packet of QUIC (RFC 9000, section 8.1.2).
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import type { Counter, Metrics } from "../metrics.ts";
import { ADDRESS_TOKEN_BYTES, AddressTokens } from "../secure/address_token.ts";
import { isSame } from "../secure/rotating_mac.ts";
import { type Address, formatAddress } from "../transport/transport.ts";
import { encodeDatagram, SERVICE_CODE } from "../wire/datagram.ts";
import { encodeWireData, wireData } from "../wire/message.ts";
import type { RequestEvent } from "./requests_dispatcher.ts";
import { tokenOf } from "./terms.ts";

/** The header of a packet that tells a token. */
export const RETRY_HEADER = ":retry";

/** How long a message that is sent but once relies on a token: tokens are good for at least a minute. */
const FRESH_MS = 45_000;

/** Most addresses whose tokens are kept, unless told otherwise. */
const MAX_KEPT = 4_096;

/** What is sent in place of a token while there is none. */
export const NO_TOKEN: Uint8Array = new Uint8Array(ADDRESS_TOKEN_BYTES);

/**
 * How many messages in a row are taken for proven because they have address and token of one that was: to write down and
 * look up an address for each would cost more than all else that is done for its proof.
 */
const TAKEN_AS_PROVEN = 64;

/** And for how long, in milliseconds: a token must end, however little is sent with it. */
const TAKEN_AS_PROVEN_MS = 10_000;

/** What {@linkcode ProofDemand} needs. */
export interface ProofDemandOptions {
  /** Where time comes from. */
  clock: Clock;
  /** Counts `requests.unproven`. */
  metrics: Metrics;
  /** Sends a packet. It never throws. */
  send: (packet: Uint8Array, to: Address) => void;
}

/** The side that is asked: it demands proof. */
export class ProofDemand {
  readonly #clock: Pick<Clock, "now">;
  readonly #tokens: AddressTokens;
  readonly #unproven: Counter;
  readonly #send: (packet: Uint8Array, to: Address) => void;
  // The last that was verified, and how many more are taken for proven by it.
  #proven: Proof | undefined;
  #left = 0;

  /** Tokens of earlier demands are not accepted. */
  constructor({ clock, metrics, send }: ProofDemandOptions) {
    this.#clock = clock;
    this.#tokens = new AddressTokens(clock);
    this.#unproven = metrics.counter("requests.unproven");
    this.#send = send;
  }

  /** Whether whoever sent a message receives what is sent to its address. */
  isMet({ request, fromAddr }: RequestEvent): boolean {
    const token = tokenOf(request.body);
    if (token === undefined || isSame(token, NO_TOKEN)) return false;
    if (this.#isProven(fromAddr, token)) return true;
    if (!this.#tokens.verify(fromAddr, token)) return false;
    const { hostname, port } = fromAddr;
    this.#proven = { hostname, port, token, atMs: this.#clock.now() };
    this.#left = TAKEN_AS_PROVEN;
    return true;
  }

  /** Tells the address of a message its token, unless that takes more bytes than came, or no answer is wanted. */
  make({ fromAddr, packetBytes = Infinity }: RequestEvent, id: number): void {
    this.#unproven.add();
    if (id === 0) return;
    const packet = retryPacket(id, this.#tokens.issue(fromAddr));
    if (packet.length <= packetBytes) this.#send(packet, fromAddr);
  }

  #isProven({ hostname, port }: Address, token: Uint8Array): boolean {
    const known = this.#proven;
    if (this.#left === 0 || known === undefined) return false;
    if (known.port !== port || known.hostname !== hostname || !isSame(known.token, token)) {
      return false;
    }
    if (this.#clock.now() - known.atMs >= TAKEN_AS_PROVEN_MS) return false;
    this.#left--;
    return true;
  }
}

interface Proof extends Address {
  readonly token: Uint8Array;
  readonly atMs: number;
}

/** The side that asks: the tokens that others gave it. */
export class AddressProofs {
  readonly #clock: Pick<Clock, "now">;
  readonly #maxKept: number;
  // In the order they were kept.
  readonly #proofs = new Map<string, Proof>();
  // Most messages go where the one before went.
  #last: Proof | undefined;

  /** Knows no tokens. @param maxKept Most that are kept. @default {4096} */
  constructor(clock: Pick<Clock, "now">, maxKept: number = MAX_KEPT) {
    this.#clock = clock;
    this.#maxKept = maxKept;
  }

  /** How many tokens are kept. */
  get size(): number {
    return this.#proofs.size;
  }

  /** The token to send to an address: zeros while there is none, so that a message is as large without as with it. */
  tokenFor(to: Address): Uint8Array {
    return this.#find(to)?.token ?? NO_TOKEN;
  }

  /** Whether the token for an address is good for some time, and not just until it is refused. */
  isFresh(to: Address): boolean {
    const proof = this.#find(to);
    return proof !== undefined && this.#clock.now() - proof.atMs < FRESH_MS;
  }

  /** Keeps a token for what is sent to an address from now on. The oldest goes when there are too many. */
  keep(to: Address, token: Uint8Array): void {
    const key = formatAddress(to);
    this.#proofs.delete(key);
    if (this.#proofs.size >= this.#maxKept) this.#forgetOldest();
    const { hostname, port } = to;
    this.#last = { hostname, port, token, atMs: this.#clock.now() };
    this.#proofs.set(key, this.#last);
  }

  #find(to: Address): Proof | undefined {
    if (this.#last?.port === to.port && this.#last.hostname === to.hostname) return this.#last;
    const proof = this.#proofs.get(formatAddress(to));
    this.#last = proof ?? this.#last;
    return proof;
  }

  #forgetOldest(): void {
    const [oldest] = this.#proofs.keys();
    if (oldest !== undefined) this.#proofs.delete(oldest);
  }
}

/** The token that a `:retry` tells; `undefined` where it is none. */
export function retryTokenOf(body: { t?: unknown }): Uint8Array | undefined {
  const { t } = body;
  return t instanceof Uint8Array && t.length === ADDRESS_TOKEN_BYTES ? t : undefined;
}

function retryPacket(id: number, token: Uint8Array): Uint8Array {
  const message = encodeWireData(wireData(RETRY_HEADER, { t: token }, { msgId: id }));
  return encodeDatagram(SERVICE_CODE.retryToken, message);
}
