/**
 * Who speaks what on an accepted connection: its first bytes tell, within the time for a handshake.
 *
 * Today there is one answer: `KITH/1\n` and then native frames. Whatever begins otherwise is not ours.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import { ClosedError, InvalidPacketError, TimeoutError } from "../errors.ts";
import type { Connection } from "../transport/transport.ts";
import { PREFACE } from "./handshake.ts";

/** What a connection begins with, found by {@linkcode identify}. */
export interface Identified {
  /** The protocol. */
  readonly protocol: "native";
  /** Bytes read beyond the preface, which belong to the protocol's parser. */
  readonly rest: Uint8Array;
}

/** First bytes shown in an error, at most. */
const SHOWN_BYTES = 8;

/**
 * Reads a connection's first bytes until they are a protocol's or cannot become one.
 *
 * @throws {InvalidPacketError} `bad-frame` at the first byte that fits no protocol.
 * @throws {ClosedError} when the connection ends before it has begun.
 */
export async function identify(connection: Connection): Promise<Identified> {
  const buffer = new Uint8Array(256);
  let count = 0;
  for (;;) {
    const read = await connection.read(buffer.subarray(count));
    if (read === null) {
      throw new ClosedError(`Cannot accept a connection: it ended after ${count} bytes`);
    }
    count += read;
    const compared = Math.min(count, PREFACE.length);
    for (let i = 0; i < compared; i++) {
      if (buffer[i] !== PREFACE[i]) throw unknownProtocol(buffer.subarray(0, count));
    }
    if (count >= PREFACE.length) {
      return { protocol: "native", rest: buffer.subarray(PREFACE.length, count) };
    }
  }
}

/**
 * Runs `work` on a connection that is closed when it takes longer than `limitMs` or fails.
 *
 * @throws {TimeoutError} when the time is over, whatever `work` makes of the closed connection.
 */
export async function withinTime<T>(
  connection: Pick<Connection, "close">,
  clock: Clock,
  limitMs: number,
  work: () => Promise<T>,
): Promise<T> {
  let late = false;
  const timer = clock.after(limitMs, () => {
    late = true;
    connection.close();
  });
  try {
    return await work();
  } catch (error) {
    connection.close();
    if (!late) throw error;
    throw new TimeoutError(`The handshake took longer than handshakeMs ${limitMs}`, {
      cause: error,
      details: { limit: "handshakeMs", max: limitMs },
    });
  } finally {
    timer.cancel();
  }
}

function unknownProtocol(bytes: Uint8Array): InvalidPacketError {
  const shown = bytes.subarray(0, SHOWN_BYTES).toHex().replace(/../g, "$& ").trimEnd();
  return new InvalidPacketError(
    "bad-frame",
    `Cannot accept a connection: it begins with ${shown}, which is no protocol spoken here`,
    { details: { first: shown } },
  );
}
