/**
 * A node of the DHT that speaks rpcudp: its questions as calls, the calls of others as questions to it.
 *
 * What cannot be understood or is refused gets no reply, as in the originals, and is counted. Replies go where the call
 * came from, and no more of them than {@linkcode ReplyRates} lets go.
 *
 * @module
 */

import type { Clock } from "../../clock.ts";
import { InvalidPacketError, NotFoundError, PeerError } from "../../errors.ts";
import { type Logger, printable } from "../../log.ts";
import type { Metrics } from "../../metrics.ts";
import { type Address, formatAddress } from "../../transport/transport.ts";
import type { Contact } from "../contact.ts";
import { isSameId, type NodeId } from "../node_id.ts";
import { type Answer, type Asker, type DhtWire, HEARD, type Question } from "../questions.ts";
import { ReplyRates } from "./reply_rates.ts";
import { decodeRpc, encodeResponse, isRpcResponse, type RpcRequest } from "./rpcudp.ts";
import { RpcCalls } from "./rpcudp_calls.ts";
import {
  answerOf,
  bad,
  callOf,
  isStoringNil,
  type NodeNotation,
  questionOf,
  refusalOf,
  resultOf,
  valueTooLarge,
} from "./rpcudp_questions.ts";

/** What every dialect's wire is given by the node it is for. */
export interface DialectParts {
  /** Answers a question. @throws {PeerError} to refuse. */
  readonly answer: (question: Question, asker: Asker) => Answer;
  /** Where time comes from. */
  readonly clock: Clock;
  /** Where to say what was dropped. */
  readonly log: Logger;
  /** Counts what was dropped. */
  readonly metrics: Metrics;
  /** How long an answer may take, in milliseconds. @default {RPC_TIMEOUT_MS} */
  readonly timeoutMs?: number;
}

/**
 * A method that a dialect has beside the questions of the DHT.
 *
 * @param args Without the caller, each in MessagePack. @returns the result in MessagePack.
 * @throws {InvalidPacketError} for wrong arguments.
 */
export type RpcMethod = (args: readonly Uint8Array[], asker: Asker) => Uint8Array;

/** What an {@linkcode RpcWire} needs. */
export interface RpcWireParts extends DialectParts {
  /** What it counts under: `NAME.*`. */
  readonly name: "kademlia" | "peerconnect-dht";
  /** Its id. */
  readonly self: NodeId;
  /** How it writes who a node is. */
  readonly notation: NodeNotation;
  /** Sends a packet of rpcudp. */
  readonly send: (packet: Uint8Array, to: Address) => Promise<void>;
  /** Methods beside the questions, by name. @default none */
  readonly methods?: ReadonlyMap<string, RpcMethod>;
  /** Most bytes of a result. @default {MAX_RPC_BYTES} */
  readonly maxResultBytes?: number;
  /** Most bytes of a value, so that whatever is kept can be passed on. */
  readonly maxValueBytes: number;
}

/** How to ask. */
export interface AskOptions {
  /** Gives up when aborted. */
  readonly signal?: AbortSignal | undefined;
}

/** Why a packet was dropped. */
type Dropped =
  | "failed"
  | "malformed"
  | "misplaced"
  | "oversized"
  | "rate"
  | "refused"
  | "stray"
  | "unknown-method"
  | "unsent";

/** The one method that says nothing of its caller. */
const ANONYMOUS = "stun";

/** See the module. */
export class RpcWire implements DhtWire, Disposable {
  readonly #parts: RpcWireParts;
  readonly #calls: RpcCalls;
  readonly #rates: ReplyRates;

  /** Asks, and answers what {@linkcode RpcWire.take} is given. @throws {RangeError} when the time is not above 0. */
  constructor(parts: RpcWireParts) {
    const { clock, send, timeoutMs, maxResultBytes } = parts;
    this.#parts = parts;
    this.#calls = new RpcCalls({ clock, send, timeoutMs, maxResultBytes });
    this.#rates = new ReplyRates(clock);
  }

  /** Asks a node. @throws as {@linkcode DhtWire.ask}. */
  async ask(to: Contact, question: Question, options: AskOptions = {}): Promise<Answer> {
    if (question.type === "ping") {
      const { key } = await this.meet(to.address, options);
      if (key === to.key) return HEARD;
      throw new NotFoundError("no-peer", "Cannot ask a node: another one is at its address");
    }
    const { method, args } = callOf(question);
    const result = await this.call(to.address, method, args, options);
    const answer = answerOf(question, result, { by: to.address, notation: this.#parts.notation });
    for (const { value } of answer.records) this.#assertFits(value);
    return answer;
  }

  /** Asks who is at an address. @throws as {@linkcode DhtWire.ask}. */
  async meet(address: Address, options: AskOptions = {}): Promise<Contact> {
    const result = await this.call(address, "ping", [], options);
    return this.#parts.notation.readCaller(result, address);
  }

  /**
   * Calls a method of a node, as ourselves.
   *
   * @param args Without the caller, each in MessagePack. @returns the result in MessagePack.
   * @throws as `RpcCalls.call`.
   */
  call(
    to: Address,
    method: string,
    args: readonly Uint8Array[],
    options: AskOptions = {},
  ): Promise<Uint8Array> {
    const caller = method === ANONYMOUS ? [] : [this.#parts.notation.self(to)];
    return this.#calls.call(to, method, [...caller, ...args], options);
  }

  /** Takes a packet of rpcudp: an answer, or a call to be answered. Never throws. */
  take(packet: Uint8Array, from: Address): void {
    try {
      if (!isRpcResponse(packet)) return this.#serve(packet, from);
      const refusal = this.#calls.take(packet, from);
      if (refusal !== undefined) this.#drop(refusal, from);
    } catch (error) {
      if (error instanceof InvalidPacketError) {
        return this.#drop(isLarge(error) ? "oversized" : "malformed", from, error.message);
      }
      this.#drop("failed", from, printable(String(error))); // our own fault
    }
  }

  /** Rejects what waits for answers. Harmless when closed. */
  [Symbol.dispose](): void {
    this.#calls.close();
  }

  #serve(packet: Uint8Array, from: Address): void {
    const request = decodeRpc(packet);
    if (request.type !== "request") return;
    const result = this.#resultOf(request, from);
    if (result === undefined) return;
    const reply = encodeResponse(request.id, result);
    if (!this.#rates.take(from, reply.length, packet.length)) return this.#drop("rate", from);
    this.#parts.send(reply, from).catch((error) => {
      this.#drop("unsent", from, printable(String(error)));
    });
  }

  /** What a call gives; `undefined` where it gets no reply. @throws {InvalidPacketError} when it cannot be understood. */
  #resultOf({ method, args }: RpcRequest, from: Address): Uint8Array | undefined {
    const { notation, methods } = this.#parts;
    if (method === ANONYMOUS) {
      return methods?.get(method)?.(args, { address: from, contact: undefined });
    }
    const [caller, ...own] = args;
    const serve = methods?.get(method);
    const question = serve === undefined ? questionOf({ method, args: own }) : undefined;
    if (serve === undefined && question === undefined) {
      this.#drop("unknown-method", from, printable(method, 32));
      return undefined;
    }
    if (caller === undefined) throw bad("caller", "it is missing");
    const asker = this.#askerOf(notation.readCaller(caller, from));
    if (question !== undefined) return this.#answer(question, asker);
    return this.#answer({ type: "ping" }, asker) && serve?.(own, asker);
  }

  #answer(question: Question, asker: Asker): Uint8Array | undefined {
    const { answer, notation } = this.#parts;
    try {
      if (question.type === "store") this.#assertFits(question.record.value);
      const asked: Question = isStoringNil(question) ? { type: "ping" } : question;
      return resultOf(question, answer(asked, asker), { asker, notation });
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      this.#drop("refused", asker.address, error.message);
      return refusalOf(question);
    }
  }

  /** What could not be passed on to others is not kept: a question too large to be sent is nobody's silence. */
  #assertFits({ length }: Uint8Array): void {
    const { maxValueBytes: max } = this.#parts;
    if (length > max) throw valueTooLarge(length, max);
  }

  // Whoever says it is us serves nobody.
  #askerOf(contact: Contact): Asker {
    const isSelf = isSameId(contact.id, this.#parts.self);
    return { address: contact.address, contact: isSelf ? undefined : contact };
  }

  #drop(why: Dropped, from: Address, detail = ""): void {
    const { name, log, metrics } = this.#parts;
    metrics.counter(`${name}.${why}`).add();
    const shown = printable(formatAddress(from), 100);
    log[why === "failed" ? "error" : "debug"]("dropped a call", { name, from: shown, why, detail });
  }
}

function isLarge(error: InvalidPacketError): boolean {
  return error.details.limit === "MAX_RPC_BYTES";
}
