/**
 * Whether a whole conversation of live-sync keeps the rules: each message for itself, and their order, ids and numbers.
 *
 * @module
 */

import { InvalidPacketError } from "../errors.ts";
import { isJsonObject } from "../sync/fields.ts";
import type { JsonObject, Sender, WebSocketMessage } from "../sync/message_types.ts";
import { readMessage } from "../sync/protocol.ts";

/** What was seen: a message, or that the connection was cut and a new one begins. */
export type TranscriptLine =
  | { readonly from: Sender; readonly message: unknown }
  | { readonly from: "network"; readonly cut: true };

/** A rule that was broken. */
export interface TranscriptViolation {
  /** The place of the message in the transcript. */
  readonly index: number;
  /** Who has sent it. */
  readonly from: Sender;
  /** What is wrong with it. */
  readonly problem: string;
}

/** What was said under a number, and how far the other side has said that it has come. */
interface Side {
  readonly said: Map<number, string>;
  next: number;
  acknowledged: number;
  isOver: boolean;
}

/**
 * Checks a conversation between one client and its server, over one connection or several.
 *
 * - Every message keeps the rules of its type.
 * - The client's first message on a connection is `client_connect`, and there is one. The server answers it before
 *   anything but what it tells everybody, and says nothing else once it has refused.
 * - The client's messages have the id that it has connected with.
 * - After `client_disconnect` that side says nothing more.
 * - Numbers of a session go up by one, across cuts: what is said again is what was said before. What is acknowledged was
 *   said.
 * - A `sync_response` has the round of a `sync_request` of the other side, if it has one.
 *
 * @example
 * ```ts
 * import { checkTranscript, syncMessages } from "@kith/kith/testing";
 * import { assertEquals } from "@std/assert";
 *
 * const make = syncMessages(1);
 * const found = checkTranscript([
 *   { from: "client", message: make.client("client_connect") },
 *   { from: "server", message: make.server("client_connect") },
 *   { from: "client", message: { ...make.client("heartbeat"), client_id: "somebody" } },
 * ]);
 * assertEquals(found, [
 *   { index: 2, from: "client", problem: "data.client_id is not client_id" },
 * ]);
 * ```
 *
 * @returns what is wrong, in the order of the messages; nothing when nothing is.
 */
export function checkTranscript(lines: Iterable<TranscriptLine>): TranscriptViolation[] {
  const conversation = new Conversation();
  const found: TranscriptViolation[] = [];
  let index = 0;
  for (const line of lines) {
    if (line.from === "network") conversation.cut();
    else {
      const { from } = line;
      for (const problem of conversation.hear(from, line.message)) {
        found.push({ index, from, problem });
      }
    }
    index++;
  }
  return found;
}

/** What a server may say to everybody, whether they are in or not. */
const ANNOUNCEMENTS: ReadonlySet<string> = new Set(["client_joined", "client_left"]);

/** What has been said so far. */
class Conversation {
  #clientId: string | undefined;
  #state: "new" | "asked" | "in" | "refused" = "new";
  #session: string | undefined;
  #sides = { client: newSide(), server: newSide() };
  readonly #rounds = { client: new Set<number>(), server: new Set<number>() };

  /** A new connection begins. */
  cut(): void {
    this.#state = "new";
    this.#sides.client.isOver = this.#sides.server.isOver = false;
  }

  /** @returns what is wrong with a message. */
  *hear(from: Sender, value: unknown): Generator<string> {
    const fault = faultOf(value, from);
    // Nothing can be said of the order of what is no message; but it has its number.
    if (fault !== undefined) yield fault;
    if (!isJsonObject(value)) return;
    const message = value as WebSocketMessage;
    if (fault === undefined) {
      yield* this.#order(from, message);
      yield* this.#round(from, message);
    }
    yield* this.#number(from, message);
  }

  *#order(from: Sender, { type, client_id: id, data }: WebSocketMessage): Generator<string> {
    const side = this.#sides[from];
    if (side.isOver) yield `${type} comes after client_disconnect`;
    side.isOver ||= type === "client_disconnect";
    if (from === "client") yield* this.#clientOrder(type, id);
    else yield* this.#serverOrder(type, data);
  }

  *#clientOrder(type: string, id: string | undefined): Generator<string> {
    if (type === "client_connect") {
      if (this.#state !== "new") yield "client_connect has come already";
      this.#state = "asked";
      this.#clientId ??= id;
    } else if (this.#state === "new") yield `${type} comes before client_connect`;
    if (this.#clientId !== undefined && id !== this.#clientId) {
      yield `client_id is not ${this.#clientId}, which has connected`;
    }
  }

  *#serverOrder(type: string, data: JsonObject): Generator<string> {
    if (this.#state === "refused" && type !== "error") yield `${type} comes after a refusal`;
    if (type !== "client_connect") {
      const isEarly = this.#state === "new" || this.#state === "asked";
      const isForAll = type === "error" || ANNOUNCEMENTS.has(type);
      if (isEarly && !isForAll) yield `${type} comes before the answer to client_connect`;
      return;
    }
    if (this.#state !== "asked") yield "client_connect answers nothing";
    this.#state = data.success === true ? "in" : "refused";
    const session = isJsonObject(data.resume) ? data.resume.session : undefined;
    if (data.success !== true || (session === this.#session && session !== undefined)) return;
    // Numbers begin anew with the session.
    this.#session = typeof session === "string" ? session : undefined;
    this.#sides = { client: newSide(), server: newSide() };
  }

  *#round(from: Sender, { type, data: { round } }: WebSocketMessage): Generator<string> {
    if (typeof round !== "number") return;
    const other = from === "client" ? "server" : "client";
    if (type === "sync_request") this.#rounds[from].add(round);
    if (type !== "sync_response" || this.#rounds[other].has(round)) return;
    yield `data.round ${round} is of no sync_request`;
  }

  *#number(from: Sender, message: WebSocketMessage): Generator<string> {
    const { seq, ack, ...body } = message;
    if (seq === undefined && ack === undefined) return;
    if (this.#session === undefined) return yield "it has a number, and there is no session";
    const side = this.#sides[from];
    const other = this.#sides[from === "client" ? "server" : "client"];
    if (ack !== undefined) {
      if (!isCount(ack) || ack >= other.next) yield `ack ${ack} is of nothing that was said`;
      else if (ack < side.acknowledged) yield `ack ${ack} was ${side.acknowledged} before`;
      else side.acknowledged = ack;
    }
    if (seq === undefined) return;
    if (!isCount(seq) || seq > side.next) return yield `seq ${seq} is not ${side.next}`;
    const text = JSON.stringify(body);
    const before = side.said.get(seq);
    if (before !== undefined && before !== text) yield `seq ${seq} was another message before`;
    side.said.set(seq, text);
    side.next = Math.max(side.next, seq + 1);
  }
}

function newSide(): Side {
  return { said: new Map(), next: 1, acknowledged: 0, isOver: false };
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function faultOf(value: unknown, from: Sender): string | undefined {
  try {
    readMessage(value, from);
    return undefined;
  } catch (error) {
    if (!(error instanceof InvalidPacketError)) throw error;
    return error.message.replace(/^Cannot decode sync message: /, "");
  }
}
