/**
 * What a peer says of itself in DNS service discovery, as records.
 *
 * ```
 * _services._dns-sd._udp.local  PTR  _kith._tcp.local
 * _kith._tcp.local              PTR  LABEL._kith._tcp.local
 * LABEL._kith._tcp.local        SRV  LABEL.local and the port that takes connections
 * LABEL._kith._tcp.local        TXT  v=1, and id= and name= where they shall be seen
 * LABEL.local                   A, AAAA
 * ```
 *
 * The label is random, and so names nobody: neither a host nor a user.
 *
 * Source: RFC 6763 sections 4 to 6 and 9.
 *
 * @module
 */

import { type DnsName, type DnsRecord, nameKey } from "./dns_record.ts";

/** The name under which every peer is listed. */
export const SERVICE_NAME: DnsName = ["_kith", "_tcp", "local"];

const SERVICE_KEY = nameKey(SERVICE_NAME);

/** The name under which every service is listed (RFC 6763, 9). */
const SERVICE_TYPES_NAME: DnsName = ["_services", "_dns-sd", "_udp", "local"];

/** How long a label is used, in milliseconds: as long as an instance id of discovery. */
export const LABEL_MS = 600_000;

/** How long records that name a host or its port are believed, in seconds (RFC 6762, 10). */
const HOST_TTL_S = 120;

/** How long the others are believed: not the 75 minutes of RFC 6762, because the label does not live as long. */
const SERVICE_TTL_S = LABEL_MS / 1_000;

/** The version of what the text says. */
const VERSION = "1";

/** Most addresses given for one interface: more than people have, and a message stays below a packet of Ethernet. */
const MAX_ADDRESSES = 8;

/** Longest name, in bytes as it is said and in characters as it is read. */
const MAX_NAME_BYTES = 192;

const PEER_ID = /^[0-9a-f]{40}$/;

/** Who is to be found. */
export interface MdnsAnnouncement {
  /** The port it accepts connections on. */
  readonly tcpPort: number;
  /** Its id, 40 hexadecimal digits: everybody on the network sees that it is there. @default none */
  readonly peerId?: string;
  /** A label that everybody can read, at most 192 bytes. @default none */
  readonly name?: string;
}

/** What the text of a service says, where it is one of ours. */
export interface ServiceText {
  /** Whose it claims to be, which nothing proves. */
  readonly peerId?: string;
  /** What it is called; empty for nothing. */
  readonly name: string;
}

/** Refuses what cannot be announced. @throws {RangeError} naming it. */
export function assertAnnouncement({ tcpPort, peerId, name = "" }: MdnsAnnouncement): void {
  if (!Number.isInteger(tcpPort) || tcpPort < 1 || tcpPort > 65_535) {
    throw new RangeError(`Port must be 1..65535: current value is ${tcpPort}`);
  }
  if (peerId !== undefined && !PEER_ID.test(peerId)) {
    throw new RangeError("Peer id must be of 40 hexadecimal digits in lower case");
  }
  const bytes = new TextEncoder().encode(name).length;
  if (bytes > MAX_NAME_BYTES) {
    throw new RangeError(`Name must be of at most ${MAX_NAME_BYTES} bytes: it has ${bytes}`);
  }
}

/** The full name of the service with that label. */
export function instanceName(label: string): DnsName {
  return [label, ...SERVICE_NAME];
}

/** Whether a name is the one under which every peer is listed. */
export function isServiceName(name: DnsName): boolean {
  return nameKey(name) === SERVICE_KEY;
}

/** The label of a peer's service; `undefined` for another name. */
export function labelOf([label, ...service]: DnsName): string | undefined {
  return isServiceName(service) ? label : undefined;
}

/** Everything that is said of a peer on an interface with these addresses. What is only its own has `flush`. */
export function serviceRecords(
  { tcpPort, peerId, name = "" }: MdnsAnnouncement,
  { label, addresses }: { label: string; addresses: readonly string[] },
): readonly DnsRecord[] {
  const instance = instanceName(label);
  const host: DnsName = [label, "local"];
  const strings = [`v=${VERSION}`];
  if (peerId !== undefined) strings.push(`id=${peerId}`);
  if (name !== "") strings.push(`name=${name}`);
  const shared = { ttlS: SERVICE_TTL_S, flush: false } as const;
  return [
    { type: "PTR", name: SERVICE_TYPES_NAME, target: SERVICE_NAME, ...shared },
    { type: "PTR", name: SERVICE_NAME, target: instance, ...shared },
    {
      type: "SRV",
      name: instance,
      priority: 0,
      weight: 0,
      port: tcpPort,
      target: host,
      ttlS: HOST_TTL_S,
      flush: true,
    },
    { type: "TXT", name: instance, strings, ttlS: SERVICE_TTL_S, flush: true },
    ...addresses.slice(0, MAX_ADDRESSES).map((address): DnsRecord => ({
      type: address.includes(":") ? "AAAA" : "A",
      name: host,
      address,
      ttlS: HOST_TTL_S,
      flush: true,
    })),
  ];
}

/**
 * Reads the text of a service. What is no peer id is left out, and too long a name is cut; the text is a stranger's.
 *
 * @returns `undefined` where its version is another.
 */
export function readServiceText(strings: readonly string[]): ServiceText | undefined {
  const said = new Map<string, string>();
  for (const text of strings) {
    const [, key = "", value = ""] = /^([^=]+)=?(.*)$/s.exec(text) ?? [];
    // Keys have no case, and the first of several holds (RFC 6763, 6.4).
    if (!said.has(key.toLowerCase())) said.set(key.toLowerCase(), value);
  }
  if (said.get("v") !== VERSION) return undefined;
  const peerId = said.get("id") ?? "";
  const name = (said.get("name") ?? "").slice(0, MAX_NAME_BYTES);
  return PEER_ID.test(peerId) ? { peerId, name } : { name };
}
