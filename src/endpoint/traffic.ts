/**
 * How much goes in and out, for whoever shows it.
 *
 * @module
 */

/** Messages and their bytes, both ways, since the beginning. Not in the registry: they are counted for every message. */
export class Traffic {
  /** Messages that came. */
  messagesIn = 0;
  /** Bytes of these. */
  bytesIn = 0;
  /** Messages that were sent. */
  messagesOut = 0;
  /** Bytes of these. */
  bytesOut = 0;

  /** A message came. */
  came(bytes: number): void {
    this.messagesIn++;
    this.bytesIn += bytes;
  }

  /** A message was sent. */
  went(bytes: number): void {
    this.messagesOut++;
    this.bytesOut += bytes;
  }
}
