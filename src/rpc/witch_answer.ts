/**
 * What each of witch-core's lines is answered.
 *
 * The order of the tests and the texts are the original's. Where they differ, it is in what the original breaks:
 * `peer_list` and a handshake between servers have the answers that its documents promise, an error says nothing of what
 * went on inside, and an endpoint is given its `data`, not the whole message.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import { type InvalidPacketError, PeerError } from "../errors.ts";
import { type Logger, printable } from "../log.ts";
import { type Address, formatAddress } from "../transport/transport.ts";
import type { WitchLine } from "./witch_lines.ts";
import { isMedia, type MediaStreams } from "./witch_media.ts";
import {
  HANDSHAKE,
  HANDSHAKE_ACK,
  isMessage,
  witchLine,
  type WitchMessage,
  witchTimestamp,
} from "./witch_message.ts";

/** A client that speaks witch-core's lines. */
export interface WitchCaller {
  /** A UUID of ours. */
  readonly clientId: string;
  /** Where it is. */
  readonly address: Address;
  /** What it speaks. */
  readonly dialect: "witch";
}

/** What an endpoint that is called may want to know. */
export interface WitchCallContext {
  /** Where the caller is. */
  readonly address: Address;
  /** {@linkcode WitchCaller.clientId}. */
  readonly clientId: string;
  /** Fires when the answer can reach nobody any more. */
  readonly signal: AbortSignal;
  /** The whole message, which is what the original's endpoints are given. */
  readonly message: WitchMessage;
}

/** The server that is spoken for: an RPC server, or whatever looks like one. */
export interface WitchHost {
  /** Its id, as other servers know it. */
  readonly serverId: string;
  /** What people call it. */
  readonly serverName: string;
  /** Its project; servers of another are refused. */
  readonly projectId: string;
  /** Its source hash; servers with another are refused. Empty where it has none: then none is compared. */
  readonly sourceHash: string;
  /**
   * What `status` answers: status, server_id, server_name, uptime, client_count, max_connections, port; its timestamp is
   * added, or replaced by one of witch-core's form.
   */
  status(client: WitchCaller): object;
  /**
   * What `info` answers: server_id, server_name, protocols, hash, endpoints, client_count, max_connections, port, host,
   * project_id.
   */
  info(client: WitchCaller): object;
  /** What `peer_list` answers: the servers that it knows. */
  peerList(client: WitchCaller): readonly unknown[];
  /** Whether there is an endpoint of that name. */
  hasEndpoint(name: string): boolean;
  /** Whether those may call an endpoint who cannot prove who they are, as nobody can in this dialect. @default all */
  isPublic?(name: string): boolean;
  /** Calls an endpoint. @returns a value that JSON has a form for; `undefined` travels as null. */
  call(name: string, data: unknown, context: WitchCallContext): Promise<unknown>;
  /** Counts a client in. @returns what counts it out. @throws {LimitError} when there are too many. */
  adopt(client: WitchCaller): Disposable;
}

/** What an answer depends on besides the line. */
export interface WitchAnswerContext {
  /** Who answers. */
  readonly host: WitchHost;
  /** Who asks. */
  readonly client: WitchCaller;
  /** Fires when the answer can reach nobody any more. */
  readonly signal: AbortSignal;
  /** The media that comes on this connection. */
  readonly media: MediaStreams;
  /** Where timestamps come from. */
  readonly clock: Clock;
  /** Where to say which handler failed. */
  readonly log: Logger;
}

/** Answers a line with a line. It never throws: what goes wrong is the answer. */
export async function answerLine(
  line: WitchLine,
  context: WitchAnswerContext,
): Promise<Uint8Array<ArrayBuffer>> {
  const { clock, log } = context;
  try {
    return witchLine(await answer(line, context));
  } catch (error) {
    log.warn("a witch request failed", { why: printable(String(error)) });
    const code = error instanceof PeerError ? error.code : "internal";
    return witchLine(failure(clock, `Internal server error: ${publicText(error)}`, code));
  }
}

/** A refusal as one answer. @param error A code for programs, which the original has in some answers only. */
export function failure(clock: Clock, message: string, error?: string): WitchMessage {
  return stamped(clock, { status: "error", ...(error === undefined ? {} : { error }), message });
}

/** What a line that cannot be decoded is answered: the original's text, or the limit that it exceeds. */
export function undecodable(clock: Clock, error: InvalidPacketError): WitchMessage {
  const { code, message } = error;
  return code === "too-large" ? failure(clock, message, code) : failure(clock, UNKNOWN_FORMAT);
}

async function answer(line: WitchLine, context: WitchAnswerContext): Promise<WitchMessage> {
  const { value: message, literal } = line;
  const { clock, host, media } = context;
  if (!isMessage(message)) return answerNoObject(message, clock);
  if (literal) return await callProtocol(message, context);
  // An endpoint has a level of its own; everything else tells of the server, or leaves something with it.
  const isOpen = host.isPublic?.("info") ?? true;
  if (isOpen && isMedia(message)) return stamped(clock, await media.take(message));
  if (Object.hasOwn(message, "endpoint")) return await callEndpoint(message, context);
  if (!isOpen) return notPublic(clock);
  if (Object.hasOwn(message, "request")) return answerRequest(message, context);
  return message.type === HANDSHAKE ? acknowledge(message, host, clock) : received(clock);
}

const UNKNOWN_FORMAT = "Unknown data format";

/** JSON that is no object: the original takes an array for an empty message, and fails with the rest. */
function answerNoObject(value: unknown, clock: Clock): WitchMessage {
  return Array.isArray(value) ? received(clock) : failure(clock, UNKNOWN_FORMAT);
}

function notPublic(clock: Clock): WitchMessage {
  return failure(
    clock,
    "For those who prove who they are, which this dialect cannot",
    "not-authenticated",
  );
}

function answerRequest(
  { request, data = null }: WitchMessage,
  { host, client, clock }: WitchAnswerContext,
): WitchMessage {
  if (typeof request === "string" && host.hasEndpoint(request)) {
    if (host.isPublic?.(request) === false) return notPublic(clock);
  }
  switch (request) {
    case "ping": {
      const now = witchTimestamp(clock.wallMs());
      return { status: "success", pong: true, server_time: now, timestamp: now };
    }
    case "status": { // the only answer with its timestamp inside
      // The limits are for those who prove who they are, and no part of the dialect.
      const { limits: _, ...status } = { limits: undefined, ...host.status(client) };
      return { status: "success", data: stamped(clock, status) };
    }
    case "info":
      return success(clock, { data: host.info(client) });
    case "echo":
      return success(clock, { echo: data });
    case "peer_list":
      return success(clock, { data: host.peerList(client) });
    default:
      return failure(clock, `Unknown request type: ${nameIn(request)}`);
  }
}

async function callEndpoint(
  message: WitchMessage,
  context: WitchAnswerContext,
): Promise<WitchMessage> {
  const { endpoint: name, ...fields } = message;
  const { clock, host } = context;
  if (typeof name !== "string" || !host.hasEndpoint(name)) {
    return failure(clock, `Unknown endpoint: ${nameIn(name)}`);
  }
  // The original's endpoints see the whole message, so its clients may put what they have to say beside the name.
  const data = Object.hasOwn(message, "data") ? message.data : fields;
  return await call(name, data, message, context);
}

/** The form that names an endpoint `protocol_name`: the data is an object and gains the caller's address. */
async function callProtocol(
  message: WitchMessage,
  context: WitchAnswerContext,
): Promise<WitchMessage> {
  const { protocol_name: name, data = {} } = message;
  const { clock, host, client } = context;
  if (typeof name !== "string" || !host.hasEndpoint(name)) {
    return failure(clock, `Unknown protocol: ${nameIn(name)}`);
  }
  if (!isMessage(data)) {
    return failure(clock, `Cannot call ${nameIn(name)}: data must be an object`, "bad-message");
  }
  const addressed = { ...data, client_address: formatAddress(client.address) };
  return await call(name, addressed, { ...message, data: addressed }, context);
}

async function call(
  name: string,
  data: unknown,
  message: WitchMessage,
  { host, client, signal, clock, log }: WitchAnswerContext,
): Promise<WitchMessage> {
  const { clientId, address } = client;
  try {
    const result = await host.call(name, data, { address, clientId, signal, message });
    return success(clock, { data: result ?? null });
  } catch (error) {
    log.debug("a witch endpoint failed", {
      endpoint: nameIn(name),
      why: printable(String(error)),
    });
    return failure(clock, `Error processing endpoint: ${publicText(error)}`);
  }
}

/** The answer to a server that introduces itself; the original has none, and says that it received something. */
function acknowledge(message: WitchMessage, host: WitchHost, clock: Clock): WitchMessage {
  const { serverId, serverName, projectId, sourceHash } = host;
  const alike = message.project_id === projectId &&
    (sourceHash === "" || message.hash === sourceHash);
  return {
    type: HANDSHAKE_ACK,
    node_id: serverId,
    name: serverName,
    project_id: projectId,
    hash: sourceHash,
    timestamp: witchTimestamp(clock.wallMs()),
    status: alike ? "success" : "error",
    ...(alike ? {} : { message: "This server is of another project or source" }),
  };
}

function received(clock: Clock): WitchMessage {
  const message = "Message received but no specific handler found";
  return stamped(clock, { status: "received", message });
}

function success(clock: Clock, fields: WitchMessage): WitchMessage {
  return stamped(clock, { status: "success", ...fields });
}

function stamped(clock: Clock, fields: object): WitchMessage {
  return { ...fields, timestamp: witchTimestamp(clock.wallMs()) };
}

/** What a caller may know of an error: of one that is not ours only that it happened, its text may be private. */
function publicText(error: unknown): string {
  return error instanceof PeerError ? error.message : "The handler failed";
}

/** A name that somebody sent, whatever it is, fit for a text. */
function nameIn(name: unknown): string {
  return printable(typeof name === "string" ? name : JSON.stringify(name) ?? "");
}
