/**
 * The decoders of live-sync: messages, frames, contents, and what is in them.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { InvalidPacketError } from "../../src/errors.ts";
import { rawIn } from "../threats/raw_text.ts";
import { clockOffsetMs, folderLabel, isClientId, makeClientId } from "../../src/sync/client_id.ts";
import { ContentCode, decodeContent, encodeContent } from "../../src/sync/content_frames.ts";
import { entryFromMessage, entryToMessage, safePath } from "../../src/sync/entry.ts";
import { errorFromData } from "../../src/sync/error_codes.ts";
import { Faults, isJsonObject } from "../../src/sync/fields.ts";
import { packMessages, unpackMessages } from "../../src/sync/frames.ts";
import { isRoom } from "../../src/sync/gate.ts";
import { IgnoreRules } from "../../src/sync/ignore.ts";
import type { EntryMessage, Sender, WebSocketMessage } from "../../src/sync/message_types.ts";
import {
  CAPABILITIES,
  decodeMessage,
  encodeMessage,
  readMessage,
} from "../../src/sync/protocol.ts";
import { SyncSession } from "../../src/sync/session.ts";
import {
  compareVersions,
  mergeVersions,
  nextVersion,
  versionFault,
  versionFromJson,
  versionToJson,
} from "../../src/sync/version_vector.ts";
import { syncMessages } from "../../src/testing/sync_messages.ts";
import { checkTranscript } from "../../src/testing/sync_transcript.ts";
import { checkReceivedPath } from "../../src/transfer/safe_path.ts";
import { decodeJson } from "../../src/wire/json.ts";
import corpus from "../testdata/hostile_names.json" with { type: "json" };
import { loadVectors } from "../testdata/vectors.ts";
import type { FuzzTarget } from "./decoders.ts";
import { Generator } from "./generate.ts";

/** Largest frame, inflated: small, so that the inputs reach it. */
const MAX_BYTES = 64 * 1024;

const make = syncMessages(9);
const clientMessages = make.all("client");
const serverMessages = make.all("server");
const REPLICA = make.replica;

const utf8 = new TextEncoder();
const lenient = new TextDecoder();

/** What a hub and its clients send each other. */
export const SYNC_TARGETS: readonly FuzzTarget[] = [
  {
    name: "sync message of a client",
    corpus: [...vectorsFrom("client"), ...clientMessages.map(encoded)],
    decode: (input) => readTwice(input, "client"),
  },
  {
    name: "sync message of a server",
    corpus: [...vectorsFrom("server"), ...serverMessages.map(encoded)],
    decode: (input) => readTwice(input, "server"),
  },
  {
    // Flipped bits seldom leave JSON: here the input says which values are others.
    name: "sync message of anybody, with other values",
    corpus: [new Uint8Array(8), ...[1, 2, 3, 4].map((n) => new Generator(n).bytes(8))],
    decode: (input) => {
      const generator = new Generator(input.reduce((seed, byte) => seed * 31 + byte | 0, 7));
      const from = generator.pick(["client", "server"] as const);
      const message = generator.pick(from === "client" ? clientMessages : serverMessages);
      return readTwice(encoded(withOthers(message, generator)), from);
    },
  },
  {
    name: "sync frame",
    corpus: frames(),
    decode: (input) => {
      const options = { capabilities: CAPABILITIES, maxBytes: MAX_BYTES };
      const isText = input[0] !== 1;
      const messages = unpackMessages(isText ? lenient.decode(input) : input, options);
      const bytes = Buffer.byteLength(JSON.stringify(messages));
      // Escapes of what came as it is, numbers written out, and brackets.
      if (bytes > 8 * MAX_BYTES) throw new Error(`${bytes} bytes came out of a frame`);
      for (const message of messages) readMessage(message, "client");
      return messages;
    },
  },
  {
    name: "sync contents",
    corpus: contents(),
    decode: (input) => {
      const frame = decodeContent(input);
      if (Buffer.compare(encodeContent(frame), input) !== 0) throw new Error("It is another frame");
      return frame;
    },
  },
  {
    name: "sync session",
    corpus: [
      { seq: 1, ack: 2 },
      { seq: 1 },
      { ack: 3 },
      { resume: { session: "s", received: 2 } },
    ].map(encoded),
    decode: (input) => {
      const message = objectIn(input);
      const session = new SyncSession({ name: "s" });
      for (let n = 0; n < 3; n++) session.send("{}");
      const taken = session.take(message as unknown as WebSocketMessage);
      const { received } = session.point;
      if (received !== (taken && message.seq !== undefined ? 1 : 0)) throw new Error("Lost count");
      const { resume } = message;
      const from = isJsonObject(resume) ? Number(resume.received) : 0;
      const again = session.resume(from);
      if (again !== undefined && again.length > 3) throw new Error("It says more than was said");
      return { taken, received, again: again ?? null };
    },
  },
  {
    name: "sync index row",
    corpus: [
      make.entry(),
      make.entry({ deleted: true }),
      make.entry({ kind: "directory" }),
      make.entry({ mode: 0xffffffff, version: { [REPLICA]: 2 ** 48 } }),
    ].map(encoded),
    decode: (input) => {
      const row = objectIn(input) as unknown as EntryMessage;
      readMessage(make.client("sync_request", { entries: [row] }), "client");
      const entry = entryFromMessage(row);
      const again = entryFromMessage(entryToMessage(entry));
      mustBeSame(entryToMessage(entry), entryToMessage(again));
      if (compareVersions(entry.version, again.version) !== "equal") throw new Error("Another");
      readMessage(make.client("sync_request", { entries: [entryToMessage(entry)] }), "client");
      return entry;
    },
  },
  {
    name: "sync version",
    corpus: [{ [REPLICA]: 1, r0000000000000001: 7 }, { rffffffffffffffff: 2 ** 48 }].map(encoded),
    decode: (input) => {
      const value = objectIn(input);
      const version = versionFromJson(value);
      const next = nextVersion(version, REPLICA);
      if (compareVersions(version, next) !== "before") throw new Error("The next is not after it");
      for (const one of [version, next, mergeVersions(next, version)]) {
        if (versionFault(versionToJson(one)) !== undefined) throw new Error("It cannot be read");
      }
      return version;
    },
  },
  {
    name: "sync error",
    corpus: [...serverMessages, ...clientMessages].filter(({ type }) => type === "error")
      .map(({ data }) => encoded(data)),
    decode: (input) => {
      const { code, message, details } = errorFromData(objectIn(input));
      mustBePrintable(message, JSON.stringify(details));
      if (message.length > 5_000) throw new Error("Its text is not bounded");
      return [code, message, details];
    },
  },
  {
    name: "sync names",
    corpus: ["/home/ann/docs", "C:\\Users\\Ann", "été", "..", "a:read", "desk_1"]
      .map((name) => utf8.encode(name)),
    decode: (input) => {
      const text = lenient.decode(input);
      const label = folderLabel(text);
      if (!isRoom(label)) throw new Error(`"${label}" is no label`);
      mustBePrintable(label);
      const id = makeClientId(text, 0);
      if (!isClientId(id)) throw new Error(`"${id}" is no client id`);
      clockOffsetMs(text, 0, 0);
      return label;
    },
  },
  {
    name: "sync path",
    corpus: [...corpus.good, ...corpus.harmless, ...Object.values(corpus.hostile).flat()]
      .map((name) => utf8.encode(name)),
    decode: (input) => {
      const faults = new Faults();
      safePath(lenient.decode(input), "path", faults);
      if (faults.count > 0) throw new InvalidPacketError("bad-message", faults.toString());
      const path = checkReceivedPath(lenient.decode(input));
      // Persian and the Indic scripts are spelled with joiners.
      mustBePrintable(path.replace(/[\u200c\u200d]/g, ""));
      if (checkReceivedPath(path) !== path) throw new Error("It is another path the second time");
      return path;
    },
  },
  {
    name: "sync ignore file",
    corpus: ["*.tmp\n!keep.tmp\n/build/\n", "docs/**/draft\n[a-f]?[!x]*\n\\#1", "a/**/**/*b*c*d*"]
      .map((text) => utf8.encode(text)),
    decode: (input) => {
      const rules = IgnoreRules.parse(lenient.decode(input));
      return ["a", "docs/x/draft", "build", "été/keep.tmp", "a".repeat(200)].map((
        path,
      ) => [rules.ignores(path, "file"), rules.ignores(path, "directory")]);
    },
  },
  {
    name: "sync transcript",
    corpus: [
      encoded([
        { from: "client", message: make.client("client_connect") },
        { from: "server", message: make.server("client_connect") },
        { from: "client", message: { ...make.client("heartbeat"), seq: 1, ack: 0 } },
        { from: "network", cut: true },
      ]),
      encoded(clientMessages.slice(-3).map((message) => ({ from: "client", message }))),
      encoded(serverMessages.slice(-3).map((message) => ({ from: "server", message }))),
    ],
    decode: (input) => {
      const lines = jsonIn(input);
      if (!Array.isArray(lines)) throw new InvalidPacketError("bad-message", "It is no transcript");
      return checkTranscript(
        lines.filter(isJsonObject).map((line) => ({
          from: line.from === "client" ? "client" : "server",
          message: line.message,
        })),
      );
    },
  },
];

/** Values that are edges of something. */
const EDGES = [
  null,
  true,
  "",
  0,
  -1,
  0.5,
  2 ** 48,
  2 ** 53,
  1e308,
  [],
  {},
  "../x",
  "a/../../b",
  "a".repeat(300),
  "\ud800",
  "__proto__",
  "\u202e",
  "con",
  REPLICA,
];

/** The same value with here and there another, or none, or one more. */
function withOthers(value: unknown, generator: Generator): unknown {
  if (generator.below(24) === 0) return generator.pick(EDGES);
  if (Array.isArray(value)) {
    return value.flatMap((item) => {
      const copies = generator.pick([0, 1, 1, 1, 1, 1, 1, 1, 1, 2]);
      return Array.from({ length: copies }, () => withOthers(item, generator));
    });
  }
  if (!isJsonObject(value)) return value;
  const rows = Object.entries(value).filter(() => generator.below(24) > 0);
  const others = rows.map(([name, item]): [string, unknown] => [name, withOthers(item, generator)]);
  const names = ["__proto__", "constructor", "toJSON", "then", "seq", "entry", "old_path", "error"];
  if (generator.below(8) === 0) others.push([generator.pick(names), generator.pick(EDGES)]);
  return Object.fromEntries(others);
}

/** Reads a message, and what is written of it. */
function readTwice(input: Uint8Array, from: Sender): unknown {
  const message = decodeMessage(input, { from });
  const again = decodeMessage(JSON.stringify(message), { from });
  mustBeSame(message, again);
  return message;
}

function frames(): Uint8Array[] {
  const texts = clientMessages.map((message) => encodeMessage(message));
  const long = encodeMessage(make.client("sync_request", {
    entries: Array.from({ length: 40 }, () => make.entry()),
  }));
  return [
    ...texts,
    `[${texts.join()}]`,
    ...packMessages([...texts, long], {
      capabilities: CAPABILITIES,
    }),
  ].map((frame) => typeof frame === "string" ? utf8.encode(frame) : frame);
}

function contents(): Uint8Array[] {
  const sha256 = "ab".repeat(32);
  const data = new Uint8Array(20).fill(7);
  const want = { type: "want", id: 7, sha256, size: 1e6, offset: 10 } as const;
  return [
    encodeContent({ ...want, blockBytes: 2_048, signsBytes: 40 }),
    encodeContent({ type: "signs", id: 7, signs: data }),
    encodeContent({ type: "data", id: 7, data }),
    encodeContent({ type: "end", id: 7, data }),
    encodeContent({ type: "copy", id: 7, from: 4_096, length: 2_048 }),
    encodeContent({ type: "grant", id: 7, bytes: 1_000 }),
    ...(["none", "drop", "nothing"] as const).map((type) => encodeContent({ type, id: 0 })),
    Uint8Array.of(ContentCode.NOTHING, 0, 0, 0, 0),
  ];
}

function vectorsFrom(from: Sender): Uint8Array[] {
  return loadVectors("livesync.messages").flatMap(({ json, ...rest }) => {
    const { direction } = rest as { direction?: string };
    const sender = direction?.startsWith("client") ? "client" : "server";
    return json !== undefined && sender === from ? [utf8.encode(json)] : [];
  });
}

function encoded(value: unknown): Uint8Array {
  return utf8.encode(JSON.stringify(value));
}

function jsonIn(input: Uint8Array): unknown {
  return decodeJson(input, { what: "test" });
}

function objectIn(input: Uint8Array): Record<string, unknown> {
  const value = jsonIn(input);
  if (isJsonObject(value)) return value;
  throw new InvalidPacketError("bad-message", "It is no object");
}

function mustBeSame(a: unknown, b: unknown): void {
  const [x, y] = [JSON.stringify(a), JSON.stringify(b)];
  if (x !== y) throw new Error(`${x} is read as ${y}`);
}

function mustBePrintable(...texts: readonly string[]): void {
  for (const text of texts) if (rawIn(text) !== undefined) throw new Error(`Raw: ${rawIn(text)}`);
}
