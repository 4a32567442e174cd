/**
 * The messages of live-sync between JSON text and values that were looked at.
 *
 * Every message is `{ "type", "data", "client_id", "timestamp" }`. What a client sends must have all four; a server of the
 * original program leaves the last two out, and is understood. A refusal names every field that is wrong. Fields and
 * types that are not known pass through untouched, so that an older hub does not stand in the way of newer clients.
 *
 * Source: the shared protocols document of the live-sync project, and what its published server does.
 *
 * @module
 */

import { InvalidPacketError } from "../errors.ts";
import { decodeJson, encodeJson, type JsonStyle, MAX_JSON_BYTES } from "../wire/json.ts";
import { isClientId, MAX_CLIENT_ID_CHARS, MAX_LABEL_CHARS } from "./client_id.ts";
import { entryRule, pathsAgree, safePath } from "./entry.ts";
import {
  arrayOf,
  boolean,
  checkFields,
  Faults,
  integer,
  isJsonObject,
  objectOf,
  oneOf,
  optional,
  required,
  type Rule,
  type Rules,
  text,
  textThat,
} from "./fields.ts";
import type {
  DataOf,
  FileChanged,
  JsonObject,
  KnownMessage,
  OtherMessage,
  Sender,
  WebSocketMessage,
} from "./message_types.ts";
import { MAX_OPENINGS } from "./index.ts";
import { isReplica } from "./version_vector.ts";

/** The versions of kith's additions that are spoken here, least and greatest. */
export const SYNC_VERSIONS: readonly [least: number, greatest: number] = [1, 1];

/** What a side can do beyond the seed; both name what they can, and what both can is done. */
export const CAPABILITIES = ["index", "resume", "batch", "deflate"] as const;

/** Something a side can do beyond the seed. */
export type Capability = typeof CAPABILITIES[number];

/** Most entries or instructions of one message; a longer list goes in pages. */
export const MAX_MESSAGE_ITEMS = 10_000;

/** Longest text for people in characters. */
const MAX_TEXT_CHARS = 4_000;

const MAX_TYPE_CHARS = 64;

/** Longest key or invite in characters. */
const MAX_KEY_CHARS = 4_096;

const MAX_CAPABILITIES = 64;

/** The original programs write local time with microseconds; whatever else begins like a date is one for people too. */
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?$/;

/** How {@linkcode decodeMessage} reads. */
export interface DecodeMessageOptions<S extends Sender> {
  /** Who has written it. */
  readonly from: S;
  /** Largest message in bytes of UTF-8. @default {MAX_JSON_BYTES} */
  readonly maxBytes?: number;
}

/** How {@linkcode encodeMessage} writes. */
export interface EncodeMessageOptions {
  /** Compact JSON, or byte for byte what the original programs write. @default {"kith"} */
  readonly style?: JsonStyle;
}

const label = text(MAX_LABEL_CHARS);
const words = text(MAX_TEXT_CHARS);
const counter = integer(0, Number.MAX_SAFE_INTEGER);
const time = textThat((value) => TIME.test(value), "is not a time of ISO 8601");
const clientId = textThat(isClientId, `is not 1..${MAX_CLIENT_ID_CHARS} of A-Z a-z 0-9 _ . -`);
const replica = textThat(isReplica, "is not a replica's name");

const resume = objectOf({ session: required(clientId), received: required(counter) });

const capabilities = arrayOf(text(MAX_TYPE_CHARS), MAX_CAPABILITIES);

const ENVELOPE: Readonly<Record<Sender, Rules>> = {
  client: {
    type: required(text(MAX_TYPE_CHARS)),
    data: required(objectOf({})),
    client_id: required(clientId),
    timestamp: required(time),
  },
  server: {
    type: required(text(MAX_TYPE_CHARS)),
    data: required(objectOf({})),
    client_id: optional(clientId),
    timestamp: optional(text(MAX_TYPE_CHARS)),
  },
};

const point = objectOf({ opening: required(replica), seq: required(counter) });

const openings = arrayOf(
  objectOf({ name: required(replica), began: required(counter) }),
  4 * MAX_OPENINGS,
);

const CONNECTION_REQUEST: Rules = {
  client_id: required(clientId),
  client_name: required(label),
  // A program of others sends where its folder is: taken, so that the hub can shorten it to a label.
  sync_root: required(text(MAX_TEXT_CHARS)),
  api_key: optional(text(MAX_KEY_CHARS)),
  room: optional(label),
  versions: optional(versions),
  capabilities: optional(capabilities),
  resume: optional(resume),
};

const CONNECTION_RESPONSE: Rules = {
  success: required(boolean),
  message: required(words),
  server_time: optional(text(MAX_TYPE_CHARS)),
  version: optional(integer(1, 1_000_000)),
  capabilities: optional(capabilities),
  resume: optional(resume),
  scope: optional(oneOf("read", "write")),
};

const FILE_CHANGED: Rules = {
  operation: required(oneOf("create", "update", "delete", "rename")),
  file_path: required(safePath),
  client_id: optional(clientId),
  old_path: optional(safePath),
  entry: optional(entryRule),
  old_entry: optional(entryRule),
  index_seq: optional(counter),
};

const SYNC_REQUEST: Rules = {
  replica: optional(replica),
  of_replica: optional(replica),
  since: optional(counter),
  at: optional(point),
  round: optional(counter),
  took: optional(counter),
  entries: optional(arrayOf(entryRule, MAX_MESSAGE_ITEMS)),
  more: optional(boolean),
};

const SYNC_RESPONSE: Rules = {
  instructions: required(arrayOf(
    objectOf({
      action: required(oneOf("send", "receive", "delete", "conflict")),
      file_path: required(safePath),
      entry: optional(entryRule),
      winner: optional(oneOf("client", "server")),
      copy_path: optional(safePath),
    }, instructionIsWhole),
    MAX_MESSAGE_ITEMS,
  )),
  round: optional(counter),
  replica: optional(replica),
  index_seq: optional(counter),
  opening: optional(replica),
  openings: optional(openings),
  heard: optional(point),
  rules: optional(counter),
  taken: optional(boolean),
  took: optional(counter),
  more: optional(boolean),
};

const ERROR: Rule = (value, field, faults) => {
  // The original program's server says `error` and nothing else.
  const plain = isJsonObject(value) && !Object.hasOwn(value, "error_code") && "error" in value;
  const rules: Rules = plain ? { error: required(words) } : {
    error_code: required(text(MAX_TYPE_CHARS)),
    message: required(words),
    details: optional(words),
    round: optional(counter),
  };
  objectOf(rules)(value, field, faults);
};

const COMMON = {
  client_disconnect: objectOf({}),
  file_changed: objectOf(FILE_CHANGED, changeIsWhole),
  sync_request: objectOf(SYNC_REQUEST),
  sync_response: objectOf(SYNC_RESPONSE),
  error: ERROR,
};

const DATA: { readonly [S in Sender]: Readonly<Record<keyof DataOf<S>, Rule>> } = {
  client: {
    ...COMMON,
    client_connect: objectOf(CONNECTION_REQUEST),
    heartbeat: objectOf({ client_id: required(clientId), timestamp: required(time) }),
  },
  server: {
    ...COMMON,
    client_connect: objectOf(CONNECTION_RESPONSE),
    heartbeat: objectOf({ timestamp: required(text(MAX_TYPE_CHARS)) }),
    client_joined: objectOf({ client_id: required(clientId), name: required(words) }),
    client_left: objectOf({ client_id: required(clientId) }),
  },
};

/**
 * Encodes a message as JSON text.
 *
 * @example
 * ```ts
 * import { encodeMessage, heartbeatMessage } from "@kith/kith/sync";
 * import { assertEquals, assertStringIncludes } from "@std/assert";
 *
 * const beat = heartbeatMessage({ wallMs: 0 });
 * assertEquals(JSON.parse(encodeMessage(beat)), beat);
 * assertStringIncludes(encodeMessage(beat, { style: "python" }), '{"type": "heartbeat", ');
 * ```
 *
 * @throws {TypeError | RangeError} when JSON cannot carry it.
 */
export function encodeMessage(
  message: WebSocketMessage,
  options: EncodeMessageOptions = {},
): string {
  return encodeJson(message, options);
}

/**
 * Decodes a message from JSON text.
 *
 * @example
 * ```ts
 * import { decodeMessage } from "@kith/kith/sync";
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * const text = '{"type":"client_left","data":{"client_id":"ann_1"}}';
 * assertEquals(decodeMessage(text, { from: "server" }).data, { client_id: "ann_1" });
 * const wrong = '{"type":"client_left","data":{"client_id":7}}';
 * assertThrows(() => decodeMessage(wrong, { from: "server" }), Error, "data.client_id");
 * ```
 *
 * @returns the message as it came, which {@linkcode isKnown} tells apart.
 * @throws {InvalidPacketError} `bad-message` naming every field that is wrong (`details.fields`), or with
 * `details.errorCode` `INVALID_JSON`; `too-large` naming the limit.
 */
export function decodeMessage<S extends Sender>(
  input: string | Uint8Array,
  options: DecodeMessageOptions<S>,
): KnownMessage<S> | OtherMessage {
  const { from, maxBytes = MAX_JSON_BYTES } = options;
  const details = { errorCode: "INVALID_JSON" };
  return readMessage(decodeJson(input, { maxBytes, what: "sync message", details }), from);
}

/**
 * Looks at a message that was decoded already, one of a batch.
 *
 * @example
 * ```ts
 * import { readMessage, unpackMessages } from "@kith/kith/sync";
 * import { assertEquals } from "@std/assert";
 *
 * const left = (id: string) => ({ type: "client_left", data: { client_id: id } });
 * const batch = JSON.stringify([left("ann_1"), left("bob_2")]);
 * const values = unpackMessages(batch, { capabilities: ["batch"] });
 * const messages = values.map((value) => readMessage(value, "server"));
 * assertEquals(messages.map(({ data }) => data.client_id), ["ann_1", "bob_2"]);
 * ```
 *
 * @throws {InvalidPacketError} `bad-message` naming every field that is wrong.
 */
export function readMessage<S extends Sender>(
  value: unknown,
  from: S,
): KnownMessage<S> | OtherMessage {
  if (!isJsonObject(value)) throw invalid("it is not a JSON object", []);
  const faults = new Faults();
  checkFields(value, ENVELOPE[from], "", faults);
  const { type, data, client_id: id } = value;
  if (typeof type === "string" && isJsonObject(data)) {
    ruleOf(from, type)?.(data, "data", faults);
    // What a server passes on keeps the id of its author.
    if (from === "client" && typeof data.client_id === "string" && data.client_id !== id) {
      faults.add("data.client_id", "is not client_id");
    }
  }
  if (faults.count > 0) throw invalid(faults.toString(), faults.named);
  return value as WebSocketMessage;
}

/**
 * Whether a message is of a type that is known, from that sender.
 *
 * @example
 * ```ts
 * import { decodeMessage, isKnown } from "@kith/kith/sync";
 * import { assertEquals } from "@std/assert";
 *
 * const texts = ['{"type":"client_disconnect","data":{}}', '{"type":"tea","data":{}}'];
 * const messages = texts.map((text) => decodeMessage(text, { from: "server" }));
 * assertEquals(messages.map((message) => isKnown(message, "server")), [true, false]);
 * ```
 */
export function isKnown<S extends Sender>(
  message: KnownMessage<S> | OtherMessage,
  from: S,
): message is KnownMessage<S> {
  return ruleOf(from, message.type) !== undefined;
}

/** The capabilities that both sides have, in the order of ours. */
export function commonCapabilities(
  ours: readonly Capability[],
  theirs: readonly string[] = [],
): Capability[] {
  return ours.filter((capability) => theirs.includes(capability));
}

/** The greatest version that both sides speak; `undefined` when there is none. */
export function commonVersion(
  theirs: readonly [number, number],
  ours: readonly [number, number] = SYNC_VERSIONS,
): number | undefined {
  const greatest = Math.min(theirs[1], ours[1]);
  return greatest >= Math.max(theirs[0], ours[0]) ? greatest : undefined;
}

function ruleOf(from: Sender, type: string): Rule | undefined {
  const rules: Readonly<Record<string, Rule>> = DATA[from];
  return Object.hasOwn(rules, type) ? rules[type] : undefined;
}

function versions(value: unknown, field: string, faults: Faults): void {
  const [least, greatest, ...more] = Array.isArray(value) ? value : [];
  const isRange = [least, greatest].every((one) => Number.isSafeInteger(one) && one >= 1) &&
    least <= greatest && more.length === 0;
  if (!isRange) faults.add(field, "is not [least, greatest], both integers above 0");
}

function changeIsWhole(value: unknown, field: string, faults: Faults): void {
  const { operation, old_path: oldPath, old_entry: oldEntry } = value as FileChanged;
  const isRename = operation === "rename";
  if (isRename && typeof oldPath !== "string") faults.add(`${field}.old_path`, "is missing");
  if (!isRename && isJsonObject(oldEntry)) {
    faults.add(`${field}.old_entry`, "belongs to no rename");
  }
  pathsAgree(value, field, faults);
}

function instructionIsWhole(value: unknown, field: string, faults: Faults): void {
  const { action, entry } = value as JsonObject;
  if (action !== "send" && !isJsonObject(entry)) faults.add(`${field}.entry`, "is missing");
  pathsAgree(value, field, faults);
}

function invalid(reason: string, fields: readonly unknown[]): InvalidPacketError {
  return new InvalidPacketError("bad-message", `Cannot decode sync message: ${reason}`, {
    details: { fields },
  });
}
