/**
 * Calls of rpcudp that wait for their answers.
 *
 * The originals know an answer by its id alone. Here it must come from where the call went, too; what does not, comes late
 * or twice, is too large or cannot be read is counted and changes nothing: the right answer may still come. Nothing is
 * sent again, as in the originals: a lookup asks somebody else.
 *
 * Source: rpcudp 5, `RPCProtocol`.
 *
 * @module
 */

import type { Clock } from "../../clock.ts";
import { limitError } from "../../endpoint/limits.ts";
import { sourceOf } from "../../endpoint/source.ts";
import { ClosedError, InvalidPacketError, TimeoutError } from "../../errors.ts";
import { type Address, formatAddress } from "../../transport/transport.ts";
import { printable } from "../../log.ts";
import { decodeRpc, encodeRequest, newRpcId, rpcIdOf } from "./rpcudp.ts";

/** How long an answer may take, in milliseconds: as long as the originals wait. */
export const RPC_TIMEOUT_MS = 5_000;

/** Most calls that wait. */
export const MAX_RPC_CALLS = 4_096;

/** Why an answer was not taken. */
export type RpcRefusal = "malformed" | "misplaced" | "oversized" | "stray";

/** What {@linkcode RpcCalls} needs. */
export interface RpcCallsOptions {
  /** Where time comes from. */
  readonly clock: Clock;
  /** Sends a packet. */
  readonly send: (packet: Uint8Array, to: Address) => Promise<void>;
  /** How long an answer may take, in milliseconds. @default {RPC_TIMEOUT_MS} */
  readonly timeoutMs?: number | undefined;
  /** Most bytes of a result. @default {MAX_RPC_BYTES} */
  readonly maxResultBytes?: number | undefined;
}

interface Waiting {
  readonly to: Address;
  readonly resolve: (result: Uint8Array) => void;
  readonly reject: (reason: unknown) => void;
}

/** Calls, and takes answers; see the module. */
export class RpcCalls {
  readonly #options: RpcCallsOptions;
  readonly #waiting = new Map<string, Waiting>();
  #closed = false;

  /** Nothing is asked yet. @throws {RangeError} when the time is not above 0. */
  constructor(options: RpcCallsOptions) {
    const { timeoutMs = RPC_TIMEOUT_MS } = options;
    if (!(timeoutMs > 0)) {
      throw new RangeError(`timeoutMs must be above 0: current value is ${timeoutMs}`);
    }
    this.#options = options;
  }

  /** How many calls wait. */
  get size(): number {
    return this.#waiting.size;
  }

  /**
   * Calls a method.
   *
   * @returns the result in MessagePack.
   * @throws {TimeoutError} when no answer comes. @throws {InvalidPacketError} `too-large` when the arguments are.
   * @throws {TransportError} when the packet cannot leave. @throws {LimitError} `limit` when 4,096 calls wait.
   * @throws {ClosedError} when closed. @throws the signal's reason.
   */
  async call(
    to: Address,
    method: string,
    args: readonly Uint8Array[],
    { signal }: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<Uint8Array> {
    signal?.throwIfAborted();
    if (this.#closed) throw new ClosedError(`Cannot call ${method}: closed`);
    if (this.#waiting.size >= MAX_RPC_CALLS) {
      throw limitError(`Cannot call ${method}: enough calls wait`, "MAX_RPC_CALLS", MAX_RPC_CALLS);
    }
    const { clock, send, timeoutMs = RPC_TIMEOUT_MS } = this.#options;
    const id = newRpcId();
    const packet = encodeRequest(id, method, args);
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
    const timer = clock.after(timeoutMs, () => reject(tooLate(method, to, timeoutMs)));
    const abort = () => reject(signal?.reason);
    signal?.addEventListener("abort", abort, { once: true });
    this.#waiting.set(id.toHex(), { to, resolve, reject });
    try {
      send(packet, to).catch(reject);
      return await promise;
    } finally {
      this.#waiting.delete(id.toHex());
      signal?.removeEventListener("abort", abort);
      timer.cancel();
    }
  }

  /** Takes a packet that looks like an answer. @returns why it is none of ours, `undefined` when it is. */
  take(packet: Uint8Array, from: Address): RpcRefusal | undefined {
    const key = rpcIdOf(packet).toHex();
    const waiting = this.#waiting.get(key);
    if (waiting === undefined) return "stray";
    if (!isSameSocket(waiting.to, from)) return "misplaced";
    try {
      const read = decodeRpc(packet, { maxBytes: this.#options.maxResultBytes });
      if (read.type !== "response") return "malformed";
      this.#waiting.delete(key);
      waiting.resolve(read.result);
      return undefined;
    } catch (error) {
      if (!(error instanceof InvalidPacketError)) throw error;
      const isLarge = error.details.limit === "MAX_RPC_BYTES";
      return isLarge ? "oversized" : "malformed";
    }
  }

  /** Rejects everything that waits and takes nothing more. Harmless when closed. */
  close(): void {
    this.#closed = true;
    for (const { reject } of this.#waiting.values()) {
      reject(new ClosedError("Cannot wait for an answer: closed"));
    }
    this.#waiting.clear();
  }
}

/** Whether two addresses are of the same socket, however they are written. */
function isSameSocket(a: Address, b: Address): boolean {
  if (a.port !== b.port) return false;
  return a.hostname === b.hostname || sourceOf(a.hostname).address === sourceOf(b.hostname).address;
}

function tooLate(method: string, to: Address, timeoutMs: number): TimeoutError {
  const where = printable(formatAddress(to), 100);
  return new TimeoutError(`Cannot call ${method} of ${where}: no answer in ${timeoutMs} ms`);
}
