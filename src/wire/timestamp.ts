/**
 * Timestamps as MessagePack extension -1, in the three forms of its specification:
 *
 * ```
 *  4 bytes   seconds (32)                     1970 to 2106, whole seconds
 *  8 bytes   nanoseconds (30) seconds (34)    1970 to 2514
 * 12 bytes   nanoseconds (32) seconds (64)    any other, the seconds signed
 * ```
 *
 * @module
 */

/** The shortest form of a date. @throws {RangeError} when the date is invalid. */
export function timestampToBytes(date: Date): Uint8Array {
  const ms = date.getTime();
  if (Number.isNaN(ms)) throw new RangeError("Cannot encode an invalid Date as MessagePack");
  const seconds = Math.floor(ms / 1000);
  const nanoseconds = (ms - seconds * 1000) * 1_000_000;
  if (seconds < 0 || seconds >= 2 ** 34) {
    const view = new DataView(new ArrayBuffer(12));
    view.setUint32(0, nanoseconds);
    view.setBigInt64(4, BigInt(seconds));
    return new Uint8Array(view.buffer);
  }
  if (seconds >= 2 ** 32 || nanoseconds > 0) {
    const view = new DataView(new ArrayBuffer(8));
    view.setUint32(0, nanoseconds * 4 + Math.floor(seconds / 2 ** 32));
    view.setUint32(4, seconds >>> 0);
    return new Uint8Array(view.buffer);
  }
  const view = new DataView(new ArrayBuffer(4));
  view.setUint32(0, seconds);
  return new Uint8Array(view.buffer);
}

/** The date of a timestamp, to the millisecond; `undefined` when the bytes are none that a `Date` can hold. */
export function timestampFromBytes(bytes: Uint8Array): Date | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let seconds = NaN;
  let nanoseconds = 0;
  if (bytes.length === 4) {
    seconds = view.getUint32(0);
  } else if (bytes.length === 8) {
    const high = view.getUint32(0);
    nanoseconds = Math.floor(high / 4);
    seconds = (high % 4) * 2 ** 32 + view.getUint32(4);
  } else if (bytes.length === 12) {
    nanoseconds = view.getUint32(0);
    seconds = Number(view.getBigInt64(4));
  }
  const date = new Date(seconds * 1000 + Math.floor(nanoseconds / 1_000_000));
  return nanoseconds > 999_999_999 || Number.isNaN(date.getTime()) ? undefined : date;
}
