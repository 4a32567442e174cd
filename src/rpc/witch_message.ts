/**
 * The words of witch-core's JSON lines: what its requests and answers are made of.
 *
 * | line                                                   | answer                                            |
 * |--------------------------------------------------------|---------------------------------------------------|
 * | `{"request": "ping"}` (`status`, `info`, `echo`, ...)  | `{"status": "success", ..., "timestamp"}`         |
 * | `{"endpoint": NAME, "data": value}`                    | `{"status": "success", "data": value, ...}`       |
 * | `{"protocol_name": NAME, "data": {...}}`               | the same                                          |
 * | `{"type": "peer_handshake", ...}`                      | `{"type": "peer_handshake_ack", ...}`             |
 * | media, see `witch_media.ts`                            | how much of it has come                           |
 * | any other                                              | `{"status": "received", ...}`                     |
 * | one that is refused                                    | `{"status": "error", "message": text, ...}`       |
 *
 * @module
 */

import { encodeLine } from "../wire/line.ts";

/** One line: a JSON object. */
export type WitchMessage = Readonly<Record<string, unknown>>;

/** What every witch-core server answers by itself, asked as `request` and not as `endpoint`. */
export const WITCH_REQUESTS = ["ping", "status", "info", "echo", "peer_list"] as const;

/** A request that every witch-core server knows; the original lists `peer_list` and does not answer it. */
export type WitchRequest = typeof WITCH_REQUESTS[number];

/** The `type` of the line that a server introduces itself to another with. */
export const HANDSHAKE = "peer_handshake";

/** The `type` of the answer to {@linkcode HANDSHAKE}. */
export const HANDSHAKE_ACK = "peer_handshake_ack";

/** How a server introduces itself to another. */
export interface WitchPeerInfo {
  /** Its id, usually a UUID. */
  readonly nodeId: string;
  /** What people call it. */
  readonly name: string;
  /** Its project: servers of different projects have nothing to do with each other. */
  readonly projectId: string;
  /** Its source hash, 16 hex digits: servers of different programs have nothing to do with each other either. */
  readonly hash: string;
}

const LF = 0x0a;
const textEncoder = new TextEncoder();

/** Whether a decoded line is an object. */
export function isMessage(value: unknown): value is WitchMessage {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Whether a name is one of {@linkcode WITCH_REQUESTS}. */
export function isWitchRequest(name: string): name is WitchRequest {
  return (WITCH_REQUESTS as readonly string[]).includes(name);
}

/**
 * A moment as witch-core writes it: ISO 8601 in local time without a zone, always with six digits of a second.
 *
 * @param wallMs Milliseconds since 1970; a fraction counts.
 */
export function witchTimestamp(wallMs: number): string {
  const micros = Math.round(wallMs * 1000);
  const date = new Date(Math.floor(micros / 1000));
  const digits = (value: number, width: number) => String(value).padStart(width, "0");
  const day = [digits(date.getFullYear(), 4), digits(date.getMonth() + 1, 2)];
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()];
  const fraction = date.getMilliseconds() * 1000 + (micros % 1000);
  return `${[...day, digits(date.getDate(), 2)].join("-")}T` +
    `${time.map((value) => digits(value, 2)).join(":")}.${digits(fraction, 6)}`;
}

/**
 * A message as the bytes of one line: an object as Python's JSON, text and bytes as they are; with an LF unless it ends
 * in one.
 *
 * @throws {TypeError} for text or bytes of more than one line, and for what JSON has no form for.
 */
export function witchLine(message: WitchMessage | string | Uint8Array): Uint8Array<ArrayBuffer> {
  if (typeof message !== "string" && !(message instanceof Uint8Array)) {
    return encodeLine(message, { style: "python" });
  }
  const bytes = typeof message === "string" ? textEncoder.encode(message) : message;
  const lf = bytes.indexOf(LF);
  if (lf === bytes.length - 1 && lf !== -1) return new Uint8Array(bytes);
  if (lf !== -1) throw new TypeError(`A message is one line: it has a line feed at offset ${lf}`);
  const line = new Uint8Array(bytes.length + 1);
  line.set(bytes);
  line[bytes.length] = LF;
  return line;
}
