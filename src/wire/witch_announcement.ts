/**
 * Witch-core's UDP announcements: bare JSON without a line feed, one to a datagram.
 *
 * ```
 * kind       port   type            fields
 * presence   8889   node_discovery  node_id service_info timestamp
 * node       8890   node_discovery  node_id hash ip? port name? protocols?
 * ledger     8890   ledger_sync     node_id hash ledger timestamp
 * discovery  45678  discovery       source_ip source_port src_hash time node_name? node_id?
 * ```
 *
 * The two forms of `node_discovery` are told apart by `hash`, without which the listener on 8890 drops the packet. The
 * original sends `presence` but never `node`, and its `discovery` has no listener.
 *
 * Nothing in an announcement is proven: who wants to connect takes it for a hint and limits how many it follows.
 *
 * @module
 */

import { InvalidPacketError } from "../errors.ts";
import { decodeJson, pythonJson } from "./json.ts";
import { Float64 } from "./msgpack_types.ts";
import { MAX_IP_CHARS } from "./remote_peer.ts";

/** The largest announcement in bytes: what the original's listener on 8890 receives. */
export const MAX_WITCH_ANNOUNCEMENT_BYTES = 8192;

/** The largest `presence` in bytes: the original's listener on 8889 cuts longer ones, and then cannot read them. */
export const MAX_WITCH_PRESENCE_BYTES = 1024;

/** An announcement, told apart by `kind`. */
export type WitchAnnouncement = WitchPresence | WitchNode | WitchLedgerSync | WitchDiscovery;

/** "I am here", every 5 s to port 8889. */
export interface WitchPresence {
  /** Which form it is. */
  readonly kind: "presence";
  /** Who says so; `node-` and the time of its start unless configured. */
  readonly nodeId: string;
  /** What the node says of its service: any JSON object, unchecked. */
  readonly serviceInfo: Readonly<Record<string, unknown>>;
  /** When, in the sender's local time: ISO 8601 without a zone. */
  readonly timestamp: string;
}

/** "Connect to me", to port 8890. */
export interface WitchNode {
  /** Which form it is. */
  readonly kind: "node";
  /** Who says so. */
  readonly nodeId: string;
  /** Its source hash; a node with another one ignores the announcement. */
  readonly hash: string;
  /** Where it listens; without it, the address that the packet came from. */
  readonly ip?: string;
  /** The TCP port it listens on, 1..65535. */
  readonly port: number;
  /** A label. */
  readonly name?: string;
  /** What it speaks; `PROJECT:` and a project id is among them. */
  readonly protocols?: readonly string[];
}

/** "These are the nodes I know", to port 8890. */
export interface WitchLedgerSync {
  /** Which form it is. */
  readonly kind: "ledger";
  /** Who says so; `null` where the original was given no id. */
  readonly nodeId: string | null;
  /** Its source hash; a node with another one ignores the announcement. */
  readonly hash: string;
  /** What it knows. */
  readonly ledger: WitchLedger;
  /** When, in the sender's local time: ISO 8601 without a zone. */
  readonly timestamp: string;
}

/** "Who is there?", to port 45678. */
export interface WitchDiscovery {
  /** Which form it is. */
  readonly kind: "discovery";
  /** Where the sender listens. */
  readonly sourceIp: string;
  /** The port it listens on, 1..65535. */
  readonly sourcePort: number;
  /** 8 hexadecimal digits. No source hash: the original takes the time of its start for it. */
  readonly srcHash: string;
  /** When, in seconds since 1970. */
  readonly time: number;
  /** A label. */
  readonly nodeName?: string;
  /** Who asks. */
  readonly nodeId?: string;
}

/** The nodes and protocols that a node knows. */
export interface WitchLedger {
  /** The nodes. */
  readonly nodes: readonly WitchLedgerNode[];
  /** Definitions of the original's protocols: JSON objects, unchecked. */
  readonly protocols: readonly Readonly<Record<string, unknown>>[];
  /** Version of the ledger's format, such as `1.0.0`. */
  readonly version: string;
  /** When it was begun, in local time. */
  readonly createdAt?: string;
  /** When it was last changed, in local time. */
  readonly updatedAt?: string;
}

/** A node in a ledger. */
export interface WitchLedgerNode {
  /** Who it is. */
  readonly id: string;
  /** Where it listens. */
  readonly ip: string;
  /** The TCP port it listens on, 1..65535. */
  readonly port: number;
  /** Its source hash. */
  readonly hash: string;
  /** A label. */
  readonly name: string;
  /** What it speaks. */
  readonly protocols: readonly string[];
  /** When it was last heard of, in local time. Of two entries for one id the later wins. */
  readonly updated: string;
  /** Whether it was heard of within a day. */
  readonly status: "active" | "inactive";
}

type JsonObject = Readonly<Record<string, unknown>>;

type TextForm = readonly [pattern: RegExp, what: string];

const ID: TextForm = [/./s, "text of one character at least"];
// 128 digits are those of SHA-512, the longest hash that the original can be set to.
const HASH: TextForm = [/^[0-9a-f]{1,128}$/, "1 to 128 lower-case hex digits"];
// A name or an address, with a zone perhaps: nothing that a log or a shell would trip over.
const ADDRESS: TextForm = [new RegExp(`^[0-9A-Za-z.:%_-]{1,${MAX_IP_CHARS}}$`), "an address"];
// As Python writes it: the fraction is left out when it is 0.
const LOCAL_TIME: TextForm = [
  /^\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])T(?:[01]\d|2[0-3])(?::[0-5]\d){2}(?:\.\d{1,6})?$/,
  "a local time such as 2026-01-02T03:04:05.678901",
];
const MAX_PORT = 65535;

/**
 * Encodes an announcement, byte for byte as the original writes it.
 *
 * @example
 * ```ts
 * import { decodeWitchAnnouncement, encodeWitchAnnouncement } from "@kith/kith/wire";
 * import { assertEquals } from "@std/assert";
 *
 * const node = { kind: "node", nodeId: "w", hash: "1608ea132b3bebbb", port: 10 } as const;
 * const packet = encodeWitchAnnouncement(node);
 * assertEquals(
 *   new TextDecoder().decode(packet),
 *   '{"type": "node_discovery", "node_id": "w", "hash": "1608ea132b3bebbb", "port": 10}',
 * );
 * assertEquals(decodeWitchAnnouncement(packet), node);
 * ```
 *
 * @throws {InvalidPacketError} `too-large` when the listener could not receive it whole (`details.limit`).
 * @throws {TypeError | RangeError} for what JSON has no form for.
 */
export function encodeWitchAnnouncement(
  announcement: WitchAnnouncement,
): Uint8Array<ArrayBuffer> {
  const bytes = new TextEncoder().encode(pythonJson(toRecord(announcement)));
  const presence = announcement.kind === "presence";
  const max = presence ? MAX_WITCH_PRESENCE_BYTES : MAX_WITCH_ANNOUNCEMENT_BYTES;
  if (bytes.length <= max) return bytes;
  const limit = presence ? "MAX_WITCH_PRESENCE_BYTES" : "MAX_WITCH_ANNOUNCEMENT_BYTES";
  throw new InvalidPacketError(
    "too-large",
    `Cannot encode witch announcement: ${bytes.length} bytes exceed ${limit} ${max}`,
    { details: { limit, max, got: bytes.length } },
  );
}

/**
 * Decodes an announcement; fields that no form has are ignored.
 *
 * @example
 * ```ts
 * import { decodeWitchAnnouncement } from "@kith/kith/wire";
 * import { assertEquals } from "@std/assert";
 *
 * const packet = new TextEncoder().encode(
 *   '{"type": "node_discovery", "node_id": "w", "hash": "1608ea132b3bebbb", "port": 8080}',
 * );
 * const heard = decodeWitchAnnouncement(packet);
 * assertEquals(heard.kind === "node" && heard.port, 8080); // without a hash it is a presence
 * ```
 *
 * @throws {InvalidPacketError} `too-large` beyond {@linkcode MAX_WITCH_ANNOUNCEMENT_BYTES}; `bad-message` for what is
 * not JSON and naming the field that is missing or wrong (`details.field`, such as `ledger.nodes[0].port`).
 */
export function decodeWitchAnnouncement(packet: Uint8Array): WitchAnnouncement {
  const what = "witch announcement";
  const json = decodeJson(packet, { what, maxBytes: MAX_WITCH_ANNOUNCEMENT_BYTES });
  const record = readObject(json, "root");
  switch (record.type) {
    case "node_discovery":
      return Object.hasOwn(record, "hash") ? readNode(record) : readPresence(record);
    case "ledger_sync":
      return readLedgerSync(record);
    case "discovery":
      return readDiscovery(record);
    default:
      throw invalid("type", "it is unknown");
  }
}

// The order of fields is the original's.
function toRecord(announcement: WitchAnnouncement): JsonObject {
  switch (announcement.kind) {
    case "presence": {
      const { nodeId, serviceInfo, timestamp } = announcement;
      return { type: "node_discovery", node_id: nodeId, service_info: serviceInfo, timestamp };
    }
    case "node": {
      const { nodeId, hash, ip, port, name, protocols } = announcement;
      return given({ type: "node_discovery", node_id: nodeId, hash, ip, port, name, protocols });
    }
    case "ledger": {
      const { nodeId, hash, timestamp } = announcement;
      const ledger = ledgerToRecord(announcement.ledger);
      return { type: "ledger_sync", node_id: nodeId, hash, ledger, timestamp };
    }
    case "discovery": {
      const { sourceIp, sourcePort, srcHash, time, nodeName, nodeId } = announcement;
      return given({
        type: "discovery",
        source_ip: sourceIp,
        source_port: sourcePort,
        src_hash: srcHash,
        time: new Float64(time),
        node_name: nodeName,
        node_id: nodeId,
      });
    }
  }
}

function ledgerToRecord(ledger: WitchLedger): JsonObject {
  const { protocols, version, createdAt, updatedAt } = ledger;
  const nodes = ledger.nodes.map(({ id, ip, port, hash, name, protocols, updated, status }) => {
    return { id, ip, port, hash, name, protocols, updated, status };
  });
  return given({ nodes, protocols, version, created_at: createdAt, updated_at: updatedAt });
}

function given(record: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined));
}

function readPresence(record: JsonObject): WitchPresence {
  return {
    kind: "presence",
    nodeId: readText(record.node_id, "node_id", ID),
    serviceInfo: readObject(record.service_info, "service_info"),
    timestamp: readText(record.timestamp, "timestamp", LOCAL_TIME),
  };
}

function readNode(record: JsonObject): WitchNode {
  const { ip, name, protocols } = record;
  return {
    kind: "node",
    nodeId: readText(record.node_id, "node_id", ID),
    hash: readText(record.hash, "hash", HASH),
    ...(isGiven(ip) && { ip: readText(ip, "ip", ADDRESS) }),
    port: readPort(record.port, "port"),
    ...(isGiven(name) && { name: readText(name, "name") }),
    ...(isGiven(protocols) && { protocols: readTexts(protocols, "protocols") }),
  };
}

function readLedgerSync(record: JsonObject): WitchLedgerSync {
  return {
    kind: "ledger",
    nodeId: record.node_id === null ? null : readText(record.node_id, "node_id", ID),
    hash: readText(record.hash, "hash", HASH),
    ledger: readLedger(readObject(record.ledger, "ledger")),
    timestamp: readText(record.timestamp, "timestamp", LOCAL_TIME),
  };
}

function readLedger(ledger: JsonObject): WitchLedger {
  const { created_at: createdAt, updated_at: updatedAt } = ledger;
  return {
    nodes: readArray(ledger.nodes, "ledger.nodes", readLedgerNode),
    protocols: readArray(ledger.protocols, "ledger.protocols", readObject),
    version: readText(ledger.version, "ledger.version"),
    ...(isGiven(createdAt) && { createdAt: readText(createdAt, "ledger.created_at", LOCAL_TIME) }),
    ...(isGiven(updatedAt) && { updatedAt: readText(updatedAt, "ledger.updated_at", LOCAL_TIME) }),
  };
}

function readLedgerNode(value: unknown, field: string): WitchLedgerNode {
  const node = readObject(value, field);
  return {
    id: readText(node.id, `${field}.id`, ID),
    ip: readText(node.ip, `${field}.ip`, ADDRESS),
    port: readPort(node.port, `${field}.port`),
    hash: readText(node.hash, `${field}.hash`, HASH),
    name: readText(node.name, `${field}.name`),
    protocols: readTexts(node.protocols, `${field}.protocols`),
    updated: readText(node.updated, `${field}.updated`, LOCAL_TIME),
    status: readStatus(node.status, `${field}.status`),
  };
}

function readDiscovery(record: JsonObject): WitchDiscovery {
  const { node_name: nodeName, node_id: nodeId } = record;
  return {
    kind: "discovery",
    sourceIp: readText(record.source_ip, "source_ip", ADDRESS),
    sourcePort: readPort(record.source_port, "source_port"),
    srcHash: readText(record.src_hash, "src_hash", HASH),
    time: readNumber(record.time, "time"),
    ...(isGiven(nodeName) && { nodeName: readText(nodeName, "node_name") }),
    ...(isGiven(nodeId) && { nodeId: readText(nodeId, "node_id", ID) }),
  };
}

// To the original, `null` is the same as no field.
function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null;
}

function readText(value: unknown, field: string, form?: TextForm): string {
  if (typeof value !== "string") throw invalid(field, "it is not text");
  if (form === undefined || form[0].test(value)) return value;
  throw invalid(field, `it is not ${form[1]}`);
}

function readStatus(value: unknown, field: string): WitchLedgerNode["status"] {
  if (value === "active" || value === "inactive") return value;
  throw invalid(field, "it is neither active nor inactive");
}

function readPort(value: unknown, field: string): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= MAX_PORT) {
    return value;
  }
  throw invalid(field, `it is not an integer 1..${MAX_PORT}`);
}

function readNumber(value: unknown, field: string): number {
  // JSON has no infinity, but a number beyond the range becomes one.
  if (typeof value === "number" && Number.isFinite(value)) return value;
  throw invalid(field, "it is not a finite number");
}

function readTexts(value: unknown, field: string): string[] {
  return readArray(value, field, readText);
}

function readArray<T>(
  value: unknown,
  field: string,
  readItem: (item: unknown, field: string) => T,
): T[] {
  if (!Array.isArray(value)) throw invalid(field, "it is not an array");
  return value.map((item, i) => readItem(item, `${field}[${i}]`));
}

function readObject(value: unknown, field: string): JsonObject {
  if (isObject(value)) return value;
  throw invalid(field, "it is not an object");
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function invalid(field: string, reason: string): InvalidPacketError {
  return new InvalidPacketError(
    "bad-message",
    `Cannot decode witch announcement ${field}: ${reason}`,
    { details: { field } },
  );
}
