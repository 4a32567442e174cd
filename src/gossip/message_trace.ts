/**
 * The trace of a published message: made of what names it, so that it is the same on every peer that it comes to, takes no
 * room on the way, and can be changed by nobody who passes it on.
 *
 * ```
 * SHA-256( "kith trace\n" | topic key 16 | author 20 | seq u64 ), the first 24 bytes: trace id, span id
 * ```
 *
 * @module
 */

import { createHash } from "node:crypto";
import { currentTrace } from "../endpoint/tracing.ts";
import { isChatty, type Logger, printable } from "../log.ts";
import { isRecorded, startSpan } from "../telemetry.ts";
import { type Trace, traceOf } from "../trace.ts";
import { topicKeyOf } from "./envelope.ts";
import type { TopicMessage } from "./topic_message.ts";

/** What names a message, and its topic. */
export type TracedMessage = Pick<TopicMessage, "topic" | "from" | "seq">;

/**
 * The trace of a message of a topic: what is done because of it, within `withTrace`, has the same id everywhere.
 *
 * @example
 * ```ts
 * import { traceOfMessage } from "@kith/kith";
 * import { assertEquals, assertNotEquals } from "@std/assert";
 *
 * const name = { topic: "news", from: "ab".repeat(20), seq: 7 };
 * assertEquals(traceOfMessage(name), traceOfMessage({ ...name }));
 * assertNotEquals(traceOfMessage(name).traceId, traceOfMessage({ ...name, seq: 8 }).traceId);
 * ```
 *
 * @throws {TypeError | RangeError} for a topic or a peer id that is none.
 */
export function traceOfMessage({ topic, from, seq }: TracedMessage): Trace {
  const number = new Uint8Array(8);
  new DataView(number.buffer).setBigUint64(0, BigInt(seq));
  const hash = createHash("sha256").update("kith trace\n").update(topicKeyOf(topic));
  return traceOf(hash.update(Uint8Array.fromHex(from)).update(number).digest());
}

/** Says of messages that they were published or have come, where anybody wants to hear that of each. */
export class MessageTracing {
  readonly #log: Logger;
  readonly #isWanted: boolean;

  /** Tells `log`, if it wants to hear of every message, and whoever collects spans. */
  constructor(log: Logger) {
    this.#log = log;
    this.#isWanted = isChatty(log) || isRecorded();
  }

  /** What is published now is a part of, to be given to {@linkcode MessageTracing.published}. */
  cause(): Trace | undefined {
    return this.#isWanted ? currentTrace() : undefined;
  }

  /** One of ours is on its way. */
  published(name: TracedMessage, cause: Trace | undefined): void {
    if (this.#isWanted) this.#say("published", name, cause ? { cause: cause.traceId } : {});
  }

  /** One of somebody else's has come, of which nothing was known. */
  came(message: TopicMessage): void {
    if (this.#isWanted) this.#say("message came", message, { hops: message.hops });
  }

  #say(
    what: "published" | "message came",
    name: TracedMessage,
    more: Readonly<Record<string, string | number>>,
  ): void {
    const above = traceOfMessage(name);
    const { from, seq } = name;
    const [kind, verb] = what === "published"
      ? ["producer", "publish"] as const
      : ["consumer", "receive"] as const;
    const topic = printable(name.topic, 64);
    const system = { "messaging.system": "kith", "messaging.destination.name": topic };
    const span = startSpan(`${verb} ${topic}`, kind, above, { ...system, ...more });
    span.end();
    const { traceId: trace, spanId } = span.trace;
    this.#log.debug(what, { topic, from, seq, ...more, trace, span: spanId });
  }
}
