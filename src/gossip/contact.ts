/**
 * Where a peer can be reached, as peers tell each other. What others say of a peer is only a hint: whoever connects
 * there sees who really answers.
 *
 * @module
 */

import { isLoopback } from "../endpoint/limits.ts";
import { InvalidPacketError } from "../errors.ts";
import { isHostAddress } from "../transport/ip_address.ts";
import { PEER_ID_BYTES } from "../wire/message.ts";

/** Most addresses of one peer. */
export const MAX_CONTACT_HOSTS = 4;

/** Most contacts in one packet. */
export const MAX_CONTACTS = 16;

/** Where a peer takes connections. */
export interface Contact {
  /** Who it is, 40 hexadecimal digits. */
  readonly peerId: string;
  /** Its IP addresses, at most four, best first; none where only it can connect. */
  readonly hosts: readonly string[];
  /** The port that it takes connections on; 0 where it takes none. */
  readonly port: number;
}

/** Whether a peer can be connected to. */
export function isReachable({ hosts, port }: Contact): boolean {
  return port > 0 && hosts.length > 0;
}

/**
 * A contact as far as it is to be believed: addresses of a machine itself only where they were told on that machine, or
 * others could make us connect to what is not for them; and none that mean something else on every network.
 *
 * @param isLocal Whether who tells it is on this machine.
 */
export function believable(contact: Contact, isLocal: boolean): Contact {
  const hosts = contact.hosts.filter((host) => {
    return isHostAddress(host) && (isLocal || !isLoopback(host)) && !/^fe[89ab]/i.test(host);
  });
  return hosts.length === contact.hosts.length ? contact : { ...contact, hosts };
}

/** A contact as it stands in packets: `[id, hosts, port]`. */
export function writeContact({ peerId, hosts, port }: Contact): unknown[] {
  return [Uint8Array.fromHex(peerId), hosts.slice(0, MAX_CONTACT_HOSTS), port];
}

/** Reads a contact. @throws {InvalidPacketError} `bad-message` saying what is wrong. */
export function readContact(value: unknown): Contact {
  if (!Array.isArray(value) || value.length !== 3) throw bad("it is no array of 3");
  const [id, hosts, port]: readonly unknown[] = value;
  if (!(id instanceof Uint8Array) || id.length !== PEER_ID_BYTES) {
    throw bad(`the id is not ${PEER_ID_BYTES} bytes`);
  }
  if (!Array.isArray(hosts) || hosts.length > MAX_CONTACT_HOSTS || !hosts.every(isHost)) {
    throw bad(`its hosts are not at most ${MAX_CONTACT_HOSTS} IP addresses`);
  }
  if (!isPort(port)) throw bad("its port is none");
  return { peerId: id.toHex(), hosts, port };
}

/** Reads a list of contacts. @throws {InvalidPacketError} `bad-message` saying what is wrong. */
export function readContacts(value: unknown): Contact[] {
  if (!Array.isArray(value) || value.length > MAX_CONTACTS) {
    throw bad(`there are not at most ${MAX_CONTACTS} in a list`);
  }
  return value.map(readContact);
}

function isHost(value: unknown): value is string {
  return typeof value === "string" && isHostAddress(value);
}

function isPort(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 0xffff;
}

function bad(why: string): InvalidPacketError {
  return new InvalidPacketError("bad-message", `Cannot decode gossip contact: ${why}`, {
    details: { element: "contact" },
  });
}
