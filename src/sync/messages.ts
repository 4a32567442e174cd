/**
 * Makes the messages of live-sync, each with its envelope: for the hub, the client and their tests.
 *
 * @module
 */

import { folderLabel } from "./client_id.ts";
import {
  type DataOf,
  type ErrorMessage,
  type FileChanged,
  type KnownMessage,
  type ResumePoint,
  type Sender,
  SERVER_ID,
  type SyncRequest,
  type SyncResponse,
} from "./message_types.ts";
import { CAPABILITIES, SYNC_VERSIONS } from "./protocol.ts";

/** Who speaks, and when. */
export interface Author {
  /** The id of the client. @default {"server"} */
  readonly clientId?: string;
  /** Milliseconds since 1970; time as others show it. */
  readonly wallMs: number;
}

/** What a client says of itself. */
export interface ConnectOptions {
  /** Its name, for people. */
  readonly name: string;
  /** The folder: a path, of which only the label is sent. */
  readonly folder: string;
  /** What it proves itself by. @default {""} */
  readonly apiKey?: string;
  /** The folder of the server that it wants. @default the server's choice */
  readonly room?: string;
  /** What it can do beyond the seed. @default {CAPABILITIES} */
  readonly capabilities?: readonly string[];
  /** The session that it goes on with. @default a new one */
  readonly resume?: ResumePoint;
}

/**
 * A client introduces itself.
 *
 * @example
 * ```ts
 * import { connectMessage, decodeMessage, encodeMessage } from "@kith/kith/sync";
 * import { assertEquals } from "@std/assert";
 *
 * const ann = { clientId: "ann_1", wallMs: Date.now() };
 * const hello = connectMessage(ann, { name: "Ann", folder: "/home/ann/docs" });
 * assertEquals(hello.data.sync_root, "docs"); // nobody learns where it is
 * assertEquals(decodeMessage(encodeMessage(hello), { from: "client" }), hello);
 * ```
 */
export function connectMessage(
  author: Author & { readonly clientId: string },
  options: ConnectOptions,
): KnownMessage<"client"> {
  const { name, folder, apiKey = "", room, capabilities = CAPABILITIES, resume } = options;
  return {
    type: "client_connect",
    data: {
      client_id: author.clientId,
      client_name: name,
      sync_root: folderLabel(folder),
      api_key: apiKey,
      ...(room === undefined ? {} : { room }),
      versions: SYNC_VERSIONS,
      capabilities,
      ...(resume === undefined ? {} : { resume }),
    },
    ...envelopeOf(author),
  };
}

/**
 * A server lets a client in.
 *
 * @example
 * ```ts
 * import { welcomeMessage } from "@kith/kith/sync";
 * import { assertEquals } from "@std/assert";
 *
 * const { data } = welcomeMessage({ wallMs: 0 }, { scope: "read" });
 * assertEquals([data.success, data.scope], [true, "read"]);
 * assertEquals(data.server_time, "1970-01-01T00:00:00.000Z");
 * ```
 *
 * @param more What else it says: the capabilities of both, the session, the scope.
 */
export function welcomeMessage(
  author: Author,
  more: Omit<DataOf<"server">["client_connect"], "success" | "message" | "server_time"> = {},
): KnownMessage<"server"> {
  const envelope = envelopeOf(author);
  return {
    type: "client_connect",
    data: {
      success: true,
      message: "Connected successfully",
      server_time: envelope.timestamp,
      ...more,
    },
    ...envelope,
  };
}

/**
 * A server does not.
 *
 * @example
 * ```ts
 * import { refusalMessage } from "@kith/kith/sync";
 * import { assertEquals } from "@std/assert";
 *
 * const { type, data } = refusalMessage({ wallMs: Date.now() }, "Nobody is let in at night");
 * assertEquals([type, data.success], ["client_connect", false]);
 * assertEquals(data.message, "Nobody is let in at night");
 * ```
 *
 * @param why For people; no secret, no path.
 */
export function refusalMessage(author: Author, why: string): KnownMessage<"server"> {
  const envelope = envelopeOf(author);
  const data = { success: false, message: why, server_time: envelope.timestamp };
  return { type: "client_connect", data, ...envelope };
}

/**
 * A client says goodbye.
 *
 * @example
 * ```ts
 * import { disconnectMessage } from "@kith/kith/sync";
 * import { assertEquals } from "@std/assert";
 *
 * const goodbye = disconnectMessage({ clientId: "ann_1", wallMs: 0 });
 * const envelope = { client_id: "ann_1", timestamp: "1970-01-01T00:00:00.000Z" };
 * assertEquals(goodbye, { type: "client_disconnect", data: {}, ...envelope });
 * ```
 */
export function disconnectMessage(author: Author): KnownMessage<Sender> {
  return { type: "client_disconnect", data: {}, ...envelopeOf(author) };
}

/**
 * A client lives; or a server does, which says only when.
 *
 * @example
 * ```ts
 * import { heartbeatMessage } from "@kith/kith/sync";
 * import { assertEquals } from "@std/assert";
 *
 * const [ann, server] = [{ clientId: "ann_1", wallMs: 0 }, { wallMs: 0 }];
 * const timestamp = "1970-01-01T00:00:00.000Z";
 * assertEquals(heartbeatMessage(ann).data, { client_id: "ann_1", timestamp });
 * assertEquals(heartbeatMessage(server).data, { timestamp });
 * ```
 */
export function heartbeatMessage(author: Author): KnownMessage<Sender> {
  const envelope = envelopeOf(author);
  const { client_id, timestamp } = envelope;
  const data = author.clientId === undefined ? { timestamp } : { client_id, timestamp };
  return { type: "heartbeat", data, ...envelope };
}

/**
 * A file or folder was changed.
 *
 * @example
 * ```ts
 * import { changeMessage } from "@kith/kith/sync";
 * import { assertEquals } from "@std/assert";
 *
 * const ann = { clientId: "ann_1", wallMs: Date.now() };
 * const renamed = { operation: "rename", old_path: "a.txt", file_path: "b.txt" } as const;
 * const { type, data, client_id } = changeMessage(ann, renamed);
 * assertEquals([type, data, client_id], ["file_changed", renamed, "ann_1"]);
 * ```
 */
export function changeMessage(author: Author, change: FileChanged): KnownMessage<Sender> {
  return { type: "file_changed", data: change, ...envelopeOf(author) };
}

/**
 * What one side has.
 *
 * @example
 * ```ts
 * import { MemoryIndex, syncRequestMessage } from "@kith/kith/sync";
 * import { assertEquals } from "@std/assert";
 *
 * const { replica } = new MemoryIndex();
 * const ann = { clientId: "ann_1", wallMs: Date.now() };
 * const { type, data } = syncRequestMessage(ann, { replica, round: 1 }); // asks who is there
 * assertEquals([type, data], ["sync_request", { replica, round: 1 }]);
 * ```
 */
export function syncRequestMessage(author: Author, request: SyncRequest): KnownMessage<Sender> {
  return { type: "sync_request", data: request, ...envelopeOf(author) };
}

/**
 * What there is to do.
 *
 * @example
 * ```ts
 * import { syncResponseMessage } from "@kith/kith/sync";
 * import { assertEquals } from "@std/assert";
 *
 * const instructions = [{ action: "send", file_path: "a.txt" }] as const;
 * const { type, data } = syncResponseMessage({ wallMs: Date.now() }, { instructions, round: 1 });
 * assertEquals([type, data.instructions], ["sync_response", instructions]);
 * ```
 */
export function syncResponseMessage(author: Author, response: SyncResponse): KnownMessage<Sender> {
  return { type: "sync_response", data: response, ...envelopeOf(author) };
}

/**
 * Something went wrong.
 *
 * @example
 * ```ts
 * import { errorFromData, errorMessage } from "@kith/kith/sync";
 * import { assertEquals } from "@std/assert";
 *
 * const fault = { error_code: "FILE_NOT_FOUND", message: "There is no a.txt" };
 * const { data } = errorMessage({ wallMs: Date.now() }, fault);
 * assertEquals(errorFromData(data).code, "no-path"); // what the other side makes of it
 * ```
 *
 * @param data See `errorData`.
 */
export function errorMessage(author: Author, data: ErrorMessage): KnownMessage<Sender> {
  return { type: "error", data, ...envelopeOf(author) };
}

function envelopeOf({ clientId = SERVER_ID, wallMs }: Author): {
  readonly client_id: string;
  readonly timestamp: string;
} {
  return { client_id: clientId, timestamp: new Date(wallMs).toISOString() };
}
