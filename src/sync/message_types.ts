/**
 * What the messages of live-sync are called and what they carry, as TypeScript types.
 *
 * A message *is* its JSON object: the names here are the names on the wire, and what is not named here is kept as it
 * came. The seed defines seven types and their required fields; what kith adds is optional, and only said to a side that
 * has named the capability for it.
 *
 * @module
 */

/** The seed's types of messages, by its names for them. */
export const MessageType = {
  /** The first message on a connection, and its answer. */
  CLIENT_CONNECT: "client_connect",
  /** The last one. */
  CLIENT_DISCONNECT: "client_disconnect",
  /** A file or folder was created, updated, deleted or renamed. */
  FILE_CHANGED: "file_changed",
  /** What one side has, so that the other can say what to do. */
  SYNC_REQUEST: "sync_request",
  /** What to do. */
  SYNC_RESPONSE: "sync_response",
  /** A sign of life. */
  HEARTBEAT: "heartbeat",
  /** Something went wrong. */
  ERROR: "error",
} as const;

/** A type of message that the seed defines. */
export type MessageType = typeof MessageType[keyof typeof MessageType];

/** The `client_id` of messages that a server makes. */
export const SERVER_ID = "server";

/** A JSON object. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** What every message is: the seed's envelope. */
export interface WebSocketMessage {
  /** What it is about: a {@linkcode MessageType}, or something that a later version added. */
  readonly type: string;
  /** What it says. */
  readonly data: JsonObject;
  /** Who made it; a server of the original program leaves it out. */
  readonly client_id?: string;
  /** When, in ISO 8601; for people, never for an order. A server of the original program leaves it out. */
  readonly timestamp?: string;
  /** Whatever else came with it. */
  readonly [extra: string]: unknown;
}

/** A client introduces itself. */
export interface ConnectionRequest extends JsonObject {
  /** Its id, as in the envelope. */
  readonly client_id: string;
  /** Its name, for people. */
  readonly client_name: string;
  /** What it calls the folder; never where the folder is. */
  readonly sync_root: string;
  /** What it proves itself by; empty where none is asked for. */
  readonly api_key?: string;
  /** The folder of the server that it wants. */
  readonly room?: string;
  /** The versions of kith's additions that it speaks, least and greatest. */
  readonly versions?: readonly [least: number, greatest: number];
  /** What it can do beyond the seed. */
  readonly capabilities?: readonly string[];
  /** The session that it goes on with. */
  readonly resume?: ResumePoint;
}

/** A server's answer to it. */
export interface ConnectionResponse extends JsonObject {
  /** Whether the client is in. */
  readonly success: boolean;
  /** How it went, for people. */
  readonly message: string;
  /** The server's time in ISO 8601. */
  readonly server_time?: string;
  /** The version of kith's additions that is spoken from here on. */
  readonly version?: number;
  /** The capabilities that both have. */
  readonly capabilities?: readonly string[];
  /** The session: the one that was asked for, or a new one. */
  readonly resume?: ResumePoint;
  /** Whether the client may write. */
  readonly scope?: "read" | "write";
}

/** Where one side of a session stands. */
export interface ResumePoint extends JsonObject {
  /** The session's name. */
  readonly session: string;
  /** The number of the last message that it took. */
  readonly received: number;
}

/** A sign of life. */
export interface HeartbeatMessage extends JsonObject {
  /** Who gives it; a server leaves it out. */
  readonly client_id?: string;
  /** When, in ISO 8601. */
  readonly timestamp: string;
}

/** Something went wrong: the seed's form, which kith writes. */
export interface ErrorMessage extends JsonObject {
  /** Of a request that cannot be answered, its number. */
  readonly round?: number;
  /** What, for programs; see `ERROR_CODES`. */
  readonly error_code: string;
  /** What, for people. */
  readonly message: string;
  /** More of it. */
  readonly details?: string;
}

/** The form of a server of the original program. */
export interface PlainErrorMessage extends JsonObject {
  /** What, for people. */
  readonly error: string;
}

/** What happened to a file. */
export type FileOperation = "create" | "update" | "delete" | "rename";

/** A file or folder was changed. */
export interface FileChanged extends JsonObject {
  /** How. */
  readonly operation: FileOperation;
  /** Where: a relative path that is safe on every system. After a rename, the new one. */
  readonly file_path: string;
  /** Who changed it. */
  readonly client_id?: string;
  /** The old path; a rename must have it. */
  readonly old_path?: string;
  /** What the index says of `file_path` from now on. */
  readonly entry?: EntryMessage;
  /** After a rename, what it says of `old_path`. */
  readonly old_entry?: EntryMessage;
  /** How far the sender's index has come with it. */
  readonly index_seq?: number;
}

/** A row of an index; see `SyncEntry`. */
export interface EntryMessage extends JsonObject {
  /** A relative path that is safe on every system. */
  readonly path: string;
  /** What it is, or was. */
  readonly kind: "file" | "directory";
  /** Whether it is there no more. */
  readonly deleted?: boolean;
  /** Bytes of the file. */
  readonly size?: number;
  /** Permission bits. */
  readonly mode?: number;
  /** Time of the last change in milliseconds since 1970. */
  readonly mtime_ms?: number;
  /** SHA-256 of the contents, 64 lower-case hexadecimal digits; a file that is there must have it. */
  readonly sha256?: string;
  /** Counters by replica. */
  readonly version: Readonly<Record<string, number>>;
}

/** How far an index had counted, during which opening. */
export interface IndexPointMessage extends JsonObject {
  /** The opening's name. */
  readonly opening: string;
  /** The number. */
  readonly seq: number;
}

/** A time during which an index was open. */
export interface OpeningMessage extends JsonObject {
  /** A random name. */
  readonly name: string;
  /** The number of the last change before it. */
  readonly began: number;
}

/**
 * What the sender has that the receiver may not know. All is missing in a plain client's. With `replica` alone it asks who
 * the other side is; or, from a server, says that there is something to ask for.
 */
export interface SyncRequest extends JsonObject {
  /** The sender's replica. */
  readonly replica?: string;
  /** Whose index `since` is about. */
  readonly of_replica?: string;
  /** How far the sender knows that index; 0 for not at all. */
  readonly since?: number;
  /** How far the sender's own index is. */
  readonly at?: IndexPointMessage;
  /** A number of the sender's choice, which all answers to this request have. */
  readonly round?: number;
  /** How much of the receiver's the sender has taken in since it said so before, for people. @default {0} */
  readonly took?: number;
  /** What changed in the sender's index, a page of it. */
  readonly entries?: readonly EntryMessage[];
  /** Whether another page follows. */
  readonly more?: boolean;
}

/** What there is to do for the one who receives the response. */
export type SyncAction = "send" | "receive" | "delete" | "conflict";

/** One thing to do. */
export interface InstructionMessage extends JsonObject {
  /** What. */
  readonly action: SyncAction;
  /** With which file. */
  readonly file_path: string;
  /** What the responder has there; with everything but `send`. */
  readonly entry?: EntryMessage;
  /** In a conflict, whose version stays in place: that of the requester or the responder. */
  readonly winner?: "client" | "server";
  /** In a conflict, the name under which the other one is kept. */
  readonly copy_path?: string;
}

/**
 * What to do. Once all pages of it were sent and the responder has done its own part, `index_seq` follows, with the last
 * page or, if that takes its time, in a response without instructions.
 */
export interface SyncResponse extends JsonObject {
  /** What, a page of it. */
  readonly instructions: readonly InstructionMessage[];
  /** The number of the request. */
  readonly round?: number;
  /** The responder's replica. */
  readonly replica?: string;
  /** How far the requester knows the responder's index once it has done all this. */
  readonly index_seq?: number;
  /** During which opening of the responder's index. */
  readonly opening?: string;
  /** To who asks who is there: when the responder's index was open, and since when it is now. */
  readonly openings?: readonly OpeningMessage[];
  /** To the same: the last that the responder has heard of the requester's index. */
  readonly heard?: IndexPointMessage;
  /** Another number for other rules of what the responder shares: by new ones it may want what it was told of before. */
  readonly rules?: number;
  /** Whether the responder has taken in all that the requester has. @default {true} */
  readonly taken?: boolean;
  /** How much of the requester's the responder has taken in since it said so before, for people. @default {0} */
  readonly took?: number;
  /** Whether another page follows. */
  readonly more?: boolean;
}

/** What a client's messages carry, by type. */
export interface ClientData {
  /** Introduces itself. */
  readonly client_connect: ConnectionRequest;
  /** Says goodbye. */
  readonly client_disconnect: JsonObject;
  /** Has changed something. */
  readonly file_changed: FileChanged;
  /** Asks what there is to do. */
  readonly sync_request: SyncRequest;
  /** Says what there is to do. */
  readonly sync_response: SyncResponse;
  /** Lives. */
  readonly heartbeat: HeartbeatMessage;
  /** Has met with an error. */
  readonly error: ErrorMessage | PlainErrorMessage;
}

/** What a server's messages carry, by type. */
export interface ServerData extends Omit<ClientData, "client_connect"> {
  /** Lets the client in, or not. */
  readonly client_connect: ConnectionResponse;
  /** Another client has come; the original program's addition. */
  readonly client_joined: { readonly client_id: string; readonly name: string } & JsonObject;
  /** And left. */
  readonly client_left: { readonly client_id: string } & JsonObject;
}

/** Who wrote a message. */
export type Sender = "client" | "server";

/** What a sender's messages carry, by type. */
export type DataOf<S extends Sender> = S extends "client" ? ClientData : ServerData;

/** A message of a type that is known, told apart by it. */
export type KnownMessage<S extends Sender> = {
  [T in keyof DataOf<S> & string]: WebSocketMessage & { readonly type: T } & {
    readonly data: DataOf<S>[T];
  };
}[keyof DataOf<S> & string];

/** A message of a type that is not known: its envelope is all that was looked at. */
export type OtherMessage = WebSocketMessage;
