/**
 * Messages of live-sync for tests: of every type, valid unless told otherwise, and the same for the same seed.
 *
 * @module
 */

import { seededRandom } from "../clock.ts";
import type {
  ClientData,
  EntryMessage,
  FileChanged,
  JsonObject,
  KnownMessage,
  Sender,
  ServerData,
  WebSocketMessage,
} from "../sync/message_types.ts";
import {
  changeMessage,
  connectMessage,
  disconnectMessage,
  errorMessage,
  heartbeatMessage,
  syncRequestMessage,
  syncResponseMessage,
  welcomeMessage,
} from "../sync/messages.ts";

/** A message of one type. */
export type SyncMessageOf<S extends Sender, T extends string> = Extract<
  KnownMessage<S>,
  { readonly type: T }
>;

/** The type of a client's message. */
export type ClientMessageType = keyof ClientData & string;

/** The type of a server's message. */
export type ServerMessageType = keyof ServerData & string;

/** A message that breaks one rule. */
export interface BrokenSyncMessage {
  /** The message. */
  readonly message: JsonObject;
  /** The field that is wrong, as a refusal names it: `data.file_path`. */
  readonly field: string;
  /** What was done to it. */
  readonly how: "missing" | "of another type";
}

/** The types of a client's messages, and of its server's. */
const TYPES = {
  client: [
    "client_connect",
    "file_changed",
    "sync_request",
    "sync_response",
    "heartbeat",
    "error",
    "client_disconnect",
  ],
  server: [
    "client_connect",
    "client_joined",
    "file_changed",
    "sync_request",
    "sync_response",
    "heartbeat",
    "error",
    "client_left",
    "client_disconnect",
  ],
} as const satisfies {
  readonly client: readonly ClientMessageType[];
  readonly server: readonly ServerMessageType[];
};

/** What a message cannot do without. A server may leave out who it is and what time it is. */
const REQUIRED: Readonly<Record<Sender, Readonly<Record<string, readonly string[]>>>> = {
  client: {
    "": ["type", "data", "client_id", "timestamp"],
    client_connect: ["client_id", "client_name", "sync_root"],
    file_changed: ["operation", "file_path"],
    sync_response: ["instructions"],
    heartbeat: ["client_id", "timestamp"],
    error: ["message"],
  },
  server: {
    "": ["type", "data"],
    client_connect: ["success", "message"],
    client_joined: ["client_id", "name"],
    file_changed: ["operation", "file_path"],
    sync_response: ["instructions"],
    heartbeat: ["timestamp"],
    error: ["message"],
    client_left: ["client_id"],
  },
};

/** The time of the first message, in milliseconds since 1970; each that follows is a second later. */
const FIRST_WALL_MS: number = Date.UTC(2026, 0, 2);

const FOLDERS = ["", "docs/", "photos/été/", "日本/", "a/b/c/"];
const NAMES = ["notes", "letter", "été", "写真", "Makefile", "a b"];
const ENDINGS = ["", ".txt", ".jpg", ".tar.gz"];
const OPERATIONS = ["create", "update", "delete", "rename"] as const;

/**
 * Makes messages of every type, of a client and of its server.
 *
 * @example
 * ```ts
 * import { syncMessages } from "@kith/kith/testing";
 * import { assertEquals } from "@std/assert";
 *
 * const make = syncMessages(7);
 * const { client_id, data } = make.client("file_changed", { operation: "rename", file_path: "b" });
 * assertEquals([client_id, data.file_path, data.entry?.path], [make.clientId, "b", "b"]);
 * assertEquals(typeof data.old_path, "string"); // a renaming must have one
 * ```
 *
 * @param seed Decides whatever is left open: names, paths, versions.
 */
export function syncMessages(seed: number): SyncMessages {
  return new SyncMessages(seed);
}

/** Makes messages; see {@linkcode syncMessages}. */
export class SyncMessages {
  /** The client whose messages these are. */
  readonly clientId: string;
  /** The replica that its folder is. */
  readonly replica: string;
  readonly #random: () => number;
  #made = 0;

  /** None is made yet. @param seed As of {@linkcode syncMessages}. */
  constructor(seed: number) {
    this.#random = seededRandom(seed);
    this.clientId = `test_${this.#hex(8)}`;
    this.replica = `r${this.#hex(16)}`;
  }

  /**
   * A message of the client.
   *
   * @param data What is not left to the seed. What depends on it follows; of another type it makes the message invalid.
   */
  client<T extends ClientMessageType>(
    type: T,
    data: Partial<ClientData[T]> = {},
  ): SyncMessageOf<"client", T> {
    const { clientId } = this;
    const author = { clientId, wallMs: this.#wallMs() };
    const message = type === "client_connect"
      ? connectMessage(author, { name: "tester", folder: this.#pick(NAMES) })
      : this.#common(type, data, author);
    return withData(message, data) as SyncMessageOf<"client", T>;
  }

  /** A message of the client's server, made in the same way. */
  server<T extends ServerMessageType>(
    type: T,
    data: Partial<ServerData[T]> = {},
  ): SyncMessageOf<"server", T> {
    const author = { wallMs: this.#wallMs() };
    const message = type === "client_connect"
      ? welcomeMessage(author)
      : this.#common(type, data, author);
    return withData(message, data) as SyncMessageOf<"server", T>;
  }

  /**
   * One message of every type, in an order in which they can be said.
   *
   * @example
   * ```ts
   * import { syncMessages } from "@kith/kith/testing";
   * import { assertEquals } from "@std/assert";
   *
   * const types = syncMessages(1).all("client").map(({ type }) => type);
   * assertEquals([types[0], types.length], ["client_connect", 7]);
   * ```
   */
  all(from: Sender): WebSocketMessage[] {
    return from === "client"
      ? TYPES.client.map((type) => this.client(type))
      : TYPES.server.map((type) => this.server(type));
  }

  /**
   * Messages that break one rule each: of every type, without a field that it must have, or with a field of another
   * JSON type than it should have.
   */
  broken(from: Sender): BrokenSyncMessage[] {
    return this.all(from).flatMap((message) => {
      const required = REQUIRED[from];
      const whole = breaks(message, required[""] ?? []);
      const parts = breaks(message.data, required[message.type] ?? []);
      return [
        ...whole.map(({ broken, ...rest }) => ({ message: broken, ...rest })),
        ...parts.map(({ broken, field, how }) => {
          return { message: { ...message, data: broken }, field: `data.${field}`, how };
        }),
      ];
    });
  }

  /** A row of an index. */
  entry(facts: Partial<EntryMessage> = {}): EntryMessage {
    const { path = this.path(), kind = "file", deleted = false } = facts;
    const version = { [this.replica]: 1 + this.#below(1_000) };
    if (deleted) return { path, kind, deleted, version, ...facts };
    const common = { path, kind, mode: kind === "file" ? 0o644 : 0o755, version };
    if (kind === "directory") return { ...common, ...facts };
    const mtime_ms = FIRST_WALL_MS - this.#below(1e9);
    return { ...common, mtime_ms, size: this.#below(1e6), sha256: this.#hex(64), ...facts };
  }

  /** A path below a folder, new each time. */
  path(): string {
    const ending = this.#pick(ENDINGS);
    return `${this.#pick(FOLDERS)}${this.#pick(NAMES)} ${this.#made++}${ending}`;
  }

  #common(
    type: string,
    data: JsonObject,
    author: { clientId?: string; wallMs: number },
  ): WebSocketMessage {
    switch (type) {
      case "file_changed":
        return changeMessage(author, this.#change(data, author.clientId));
      case "sync_request": {
        const entries = [this.entry(), this.entry({ deleted: true })];
        const request = { replica: this.replica, since: 0, round: 1, entries };
        return syncRequestMessage(author, request);
      }
      case "sync_response":
        return syncResponseMessage(author, this.#response());
      case "heartbeat":
        return heartbeatMessage(author);
      case "error":
        return errorMessage(author, {
          error_code: "FILE_NOT_FOUND",
          message: "There is no such file",
          details: "",
        });
      case "client_joined":
      case "client_left": {
        const client_id = `other_${this.#hex(8)}`;
        const name = type === "client_joined" ? { name: this.#pick(NAMES) } : {};
        return { ...disconnectMessage(author), type, data: { client_id, ...name } };
      }
      default:
        return disconnectMessage(author);
    }
  }

  #change(data: JsonObject, clientId: string | undefined): FileChanged {
    const { operation = this.#pick(OPERATIONS), file_path, old_path } = data as FileChanged;
    const path = file_path ?? this.path();
    const entry = this.entry({ path, deleted: operation === "delete" });
    const change = {
      operation,
      file_path: path,
      ...(clientId === undefined ? {} : { client_id: clientId }),
      entry,
    };
    if (operation !== "rename") return change;
    const from = old_path ?? this.path();
    return { ...change, old_path: from, old_entry: this.entry({ path: from, deleted: true }) };
  }

  #response(): ServerData["sync_response"] {
    const [wanted, offered, gone] = [this.path(), this.entry(), this.entry({ deleted: true })];
    return {
      instructions: [
        { action: "send", file_path: wanted },
        { action: "receive", file_path: offered.path, entry: offered },
        { action: "delete", file_path: gone.path, entry: gone },
      ],
      round: 1,
      replica: this.replica,
      index_seq: this.#below(1e6),
    };
  }

  #wallMs(): number {
    return FIRST_WALL_MS + 1_000 * this.#made++;
  }

  #below(below: number): number {
    return Math.floor(this.#random() * below);
  }

  #pick<T>(items: readonly T[]): T {
    return items[this.#below(items.length)] as T;
  }

  #hex(digits: number): string {
    return Array.from({ length: digits }, () => this.#below(16).toString(16)).join("");
  }
}

function withData(message: WebSocketMessage, data: JsonObject): WebSocketMessage {
  return { ...message, data: { ...message.data, ...data } };
}

/** An object with one field after the other broken. */
function breaks(
  object: JsonObject,
  required: readonly string[],
): { broken: JsonObject; field: string; how: BrokenSyncMessage["how"] }[] {
  return [
    ...required.map((field) => {
      const { [field]: _missing, ...broken } = object;
      return { broken, field, how: "missing" } as const;
    }),
    ...Object.entries(object).map(([field, value]) => {
      // Neither text nor a number nor an object is an array, and nothing that is an array is a number.
      const other = Array.isArray(value) ? 7 : [[]];
      return { broken: { ...object, [field]: other }, field, how: "of another type" } as const;
    }),
  ];
}
