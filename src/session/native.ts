/**
 * Sessions between kith peers: each over a native link of its own.
 *
 * | message         | body                              | answer                                                |
 * |-----------------|-----------------------------------|-------------------------------------------------------|
 * | `session.open`  | `{ type, strict, stream, size? }` | nothing, or the error `denied` with a reason          |
 * | `session.data`  | `{ type, data }`                  | none: `data` is bin, a value as its type is encoded   |
 * | `session.close` | `{ reason, taken, code? }`        | none: each side sends one, and answers one with one   |
 *
 * `taken` is how much of the other side's data was taken: after both have told, either side knows whether all of it was.
 * With a `code` the session ends at once, for that error. In a stream each side's first data fixes the size of what that
 * side sends.
 *
 * Data is taken while the link reads, so a reader that is slow stops the link: the operating systems' buffers fill, and
 * the other side's `send` waits. That is also why a session does not share its link.
 *
 * @module
 */

import type { Endpoint } from "../endpoint/endpoint.ts";
import type { Link } from "../endpoint/link.ts";
import { HandshakeError, type PeerError, RemoteError } from "../errors.ts";
import type { MessageBody } from "../wire/message.ts";
import { MAX_DATA_BYTES, parseDataType } from "./data_type.ts";
import { badField, hasSession, NativeSession } from "./native_session.ts";
import { ANSWER_MS, type Session, type SessionOptions } from "./session.ts";
import { type SessionTerms, sessionTerms } from "./terms.ts";

/**
 * Opens a session over a link, which belongs to the session from then on, also when this fails.
 *
 * @example
 * ```ts
 * import { Endpoint, type PeerInfo, Sessions } from "@kith/kith";
 * import { connectSession } from "@kith/kith/session";
 * import { MemoryNetwork } from "@kith/kith/transport";
 * import { assertEquals } from "@std/assert";
 *
 * const network = new MemoryNetwork();
 * const info = (peerId: string): PeerInfo => ({ peerId, name: "", capabilities: [], agent: "" });
 * const server = { hostname: "b", port: 1 };
 *
 * await using bob = await Endpoint.open({
 *   transport: network.host("b"),
 *   self: info("b".repeat(40)),
 *   ...server,
 * });
 * const sessions = Sessions.open(bob, { accept: ({ dataType }) => dataType === "json" });
 *
 * await using alice = await Endpoint.open({
 *   transport: network.host("a"),
 *   self: info("a".repeat(40)),
 *   clientOnly: true,
 * });
 * const session = await connectSession(alice, await alice.connect(server));
 * await session.send({ text: "hello" });
 *
 * for await (const accepted of sessions) {
 *   for await (const data of accepted) {
 *     assertEquals(data, { text: "hello" });
 *     break;
 *   }
 *   break;
 * }
 * await session.close();
 * await sessions.close();
 * ```
 *
 * @throws {HandshakeError} `denied`, with the other side's reason in `details.reason`, also where it takes no sessions.
 * @throws {RemoteError} with another code of the other side.
 * @throws {TimeoutError} when there is no answer in time. @throws {ClosedError} when the link ends.
 * @throws {TypeError | RangeError} for bad terms, and for a link that others use or that has a session already.
 */
export async function connectSession(
  endpoint: Endpoint,
  link: Link,
  options: SessionOptions = {},
): Promise<Session> {
  const { timeoutMs = ANSWER_MS, maxDataBytes = MAX_DATA_BYTES, signal } = options;
  const terms = sessionTerms(options);
  if (link.shared) throw new TypeError("Cannot open a session: others use the link (shared)");
  if (hasSession(endpoint, link)) throw new TypeError("Cannot open a session: the link has one");
  // Data may follow the answer at once.
  const session = new NativeSession(endpoint, link, { terms, maxDataBytes });
  try {
    const { dataType: type, ...rest } = terms;
    const waiting = signal === undefined ? { timeoutMs } : { timeoutMs, signal };
    await link.request("session.open", { type, ...rest }, waiting);
    return session;
  } catch (error) {
    const reason = error instanceof RemoteError ? deniedBy(link, error) : error;
    await session.giveUp(reason);
    throw reason;
  }
}

/** Reads the terms of `session.open`. @throws {InvalidPacketError} `bad-message` naming the field. */
export function parseTerms(body: MessageBody): SessionTerms {
  const { type, strict = false, stream = false, size } = body;
  const dataType = parseDataType(type);
  if (typeof strict !== "boolean") throw badField("session.open", "strict");
  if (typeof stream !== "boolean") throw badField("session.open", "stream");
  if (size === undefined) return { dataType, strict, stream };
  if (!stream || typeof size !== "number" || !Number.isSafeInteger(size) || size < 1) {
    throw badField("session.open", "size");
  }
  return { dataType, strict, stream, size };
}

function deniedBy(link: Link, error: RemoteError): PeerError {
  if (error.code === "no-endpoint") {
    const text = `${link.label} takes no sessions`;
    return new HandshakeError("denied", text, { details: { reason: "no sessions" } });
  }
  if (error.code !== "denied") return error;
  const { message: reason } = error;
  const text = `${link.label} denied the session: ${reason}`;
  return new HandshakeError("denied", text, { details: { reason } });
}
