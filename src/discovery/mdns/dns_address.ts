/**
 * IP addresses between their text and the bytes of A and AAAA records.
 *
 * @module
 */

/** The four bytes of an IPv4 address. @throws {RangeError} when the text is none. */
export function ipv4Bytes(address: string): number[] {
  if (/^\d{1,3}(\.\d{1,3}){3}$/.test(address)) {
    const bytes = address.split(".").map(Number);
    if (Math.max(...bytes) <= 255) return bytes;
  }
  throw new RangeError(`Address must be of IPv4: current value is "${address}"`);
}

/** The sixteen bytes of an IPv6 address without zone. @throws {RangeError} when the text is none. */
export function ipv6Bytes(address: string): number[] {
  const parts = address.split("::").map((part) => part === "" ? [] : part.split(":"));
  const [head = [], tail = []] = parts;
  const zeros = parts.length === 2 ? Math.max(0, 8 - head.length - tail.length) : 0;
  const groups = [...head, ...Array<string>(zeros).fill("0"), ...tail];
  if (
    parts.length <= 2 && groups.length === 8 &&
    groups.every((group) => /^[0-9a-f]{1,4}$/i.test(group))
  ) {
    return groups.map((group) => parseInt(group, 16)).flatMap((group) => [group >> 8, group & 255]);
  }
  throw new RangeError(`Address must be of IPv6, without zone: current value is "${address}"`);
}

/** The shortest text of an IPv6 address of sixteen bytes (RFC 5952), which is the one in URLs. */
export function ipv6Text(bytes: Uint8Array): string {
  const groups = bytes.toHex().replace(/(....)(?!$)/g, "$1:");
  return new URL(`http://[${groups}]`).hostname.slice(1, -1);
}
