/**
 * Sessions in the dialect of the peerpy peer, over a byte connection.
 *
 * ```text
 * caller   HELLO|peer_name=127.0.0.1:51515&data_type=json&strict=False|||...  ->
 *                                                       <-  ACCEPT||||...  or  DENY||||..., then close
 * either   DATA|data_size=17&data_type=json|||...{"data": "hello"}  ->
 *          PING||||...  ->                                            an idle side; ignored
 * ```
 *
 * The first data of a stream, whichever side sends it, fixes the size for both; from then on there are no headers. When
 * both sides send first at the same time each sends a header: what begins like one, in the place of the first data after
 * ours, is taken for it. A stream whose size both sides know beforehand never has headers. A stream gets no PING: it
 * would land within the data. (An original that has sent first may still wait for a header, and swallow the first answer.)
 *
 * An original reads each 8 KiB with one receive and takes it for whole, so longer bodies may reach it shortened;
 * everything is therefore written in one piece with its header. Nothing in the format ends a session: the connection
 * just ends, which an original does not notice before it writes.
 *
 * Source: the peerpy peer; the names of fields are its program's.
 *
 * @module
 */

import { type Clock, systemClock } from "../clock.ts";
import { HandshakeError, InvalidPacketError, TimeoutError } from "../errors.ts";
import { type Connection, formatAddress } from "../transport/transport.ts";
import { helloHeader, type TextHeader } from "../wire/text_header.ts";
import { MAX_DATA_BYTES, noPickles } from "./data_type.ts";
import { PeerpySession } from "./peerpy_session.ts";
import { ANSWER_MS, type Session, type SessionOptions } from "./session.ts";
import { sessionTerms } from "./terms.ts";
import { TextReader } from "./text_reader.ts";

/** How to open a session in the dialect. */
export interface PeerpyOptions extends SessionOptions {
  /** How long the answer may take, and how long a side is idle before it sends a PING, in milliseconds. @default {2000} */
  timeoutMs?: number;
  /** Where time comes from. @default {systemClock} */
  clock?: Clock;
}

/**
 * Opens a session with a peerpy peer over a connection, which belongs to the session from then on, also when this fails.
 *
 * @param self What is said of us: `peerName` is `host:port` of our listener, by which an original knows us.
 *
 * @example
 * ```ts
 * import { connectPeerpy } from "@kith/kith/session";
 * import { MemoryNetwork } from "@kith/kith/transport";
 * import { decodeTextHeader, encodeTextHeader } from "@kith/kith/wire";
 * import { assertEquals } from "@std/assert";
 *
 * const network = new MemoryNetwork();
 * const listener = await network.host("b").listen({ port: 1 });
 * const connection = await network.host("a").connect({ hostname: "b", port: 1 });
 * const connecting = connectPeerpy(connection, { peerName: "127.0.0.1:3485" });
 *
 * const original = await listener.accept();
 * const hello = new Uint8Array(128);
 * await original?.read(hello);
 * assertEquals(decodeTextHeader(hello).fields.data_type, "json");
 * await original?.write(encodeTextHeader({ type: "ACCEPT" }));
 *
 * const session = await connecting;
 * await session.send("hello");
 * original?.close();
 * await session.close();
 * listener.close();
 * ```
 *
 * @throws {HandshakeError} `denied`. @throws {TimeoutError} when there is no answer in time.
 * @throws {InvalidPacketError} when the answer is none. @throws {ClosedError} when the connection ends instead.
 * @throws {UnsupportedError} for `raw`, which is a pickle there. @throws {TypeError | RangeError} for other bad terms.
 */
export async function connectPeerpy(
  connection: Connection,
  self: { peerName: string },
  options: PeerpyOptions = {},
): Promise<Session> {
  const { timeoutMs = ANSWER_MS, maxDataBytes = MAX_DATA_BYTES, clock = systemClock } = options;
  const { signal } = options;
  const late = Promise.withResolvers<never>();
  const timer = clock.after(timeoutMs, () => late.reject(noAnswer(connection, timeoutMs)));
  const abort = () => late.reject(signal?.reason);
  signal?.addEventListener("abort", abort, { once: true });
  try {
    signal?.throwIfAborted();
    const terms = sessionTerms(options);
    if (terms.dataType === "raw") throw noPickles();
    const reader = new TextReader(connection);
    await Promise.race([
      offer(connection, reader, helloHeader({ ...self, ...terms }), clock),
      late.promise,
    ]);
    const from = { name: "", address: connection.remote };
    return new PeerpySession({ connection, reader, terms, from, timeoutMs, maxDataBytes, clock });
  } catch (error) {
    connection.close();
    throw error;
  } finally {
    timer.cancel();
    signal?.removeEventListener("abort", abort);
  }
}

/** Offers a session. @throws when it is denied or the answer is none. */
async function offer(
  connection: Connection,
  reader: TextReader,
  hello: Uint8Array,
  clock: Clock,
): Promise<void> {
  await connection.write(hello);
  const answer = await reader.readFirst(clock, parseAnswer);
  if (answer === "ACCEPT") return;
  throw new HandshakeError("denied", `${formatAddress(connection.remote)} denied the session`);
}

function parseAnswer({ type }: TextHeader): "ACCEPT" | "DENY" {
  if (type === "ACCEPT" || type === "DENY") return type;
  throw new InvalidPacketError(
    "bad-message",
    `Cannot open a session: ${type} came instead of ACCEPT or DENY`,
  );
}

function noAnswer({ remote }: Connection, timeoutMs: number): TimeoutError {
  return new TimeoutError(
    `Cannot open a session: ${formatAddress(remote)} gave no answer in ${timeoutMs} ms`,
    { details: { limit: "timeoutMs", max: timeoutMs } },
  );
}
