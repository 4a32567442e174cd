/**
 * A conversation that outlives its connections: messages are numbered, acknowledged, and kept until they are, so that
 * after a cut each side sends again exactly what the other has not got.
 *
 * ```
 *   connection 1      A: seq 1, 2, 3 --->  B took 1, 2      (cut: 3 is lost)
 *   client_connect    A: resume { session, received: 7 }
 *   its answer                             B: resume { session, received: 2 }
 *   connection 2      A: seq 3 --->        B: seq 8, 9 --->
 * ```
 *
 * What is kept is bounded. Who has to send more than that while the other is away has lost count, says so by a new
 * session, and both exchange their indexes: that needs no memory of what was said.
 *
 * The numbers count what was *taken*. A program that dies with messages that it took and had not acted upon has lost its
 * session too, as sessions are in memory only; its index, which is on disk, says where it stands.
 *
 * @module
 */

import { randomBytes } from "node:crypto";
import { InvalidPacketError } from "../errors.ts";
import type { ResumePoint, WebSocketMessage } from "./message_types.ts";

/** How much a session keeps. */
export interface SyncSessionOptions {
  /** The session's name. @default 128 random bits */
  readonly name?: string;
  /** Most messages kept until they are acknowledged. @default {1024} */
  readonly maxMessages?: number;
  /** Most UTF-16 units of their texts. @default {4_194_304} */
  readonly maxChars?: number;
  /** So many messages may be taken before an acknowledgement is due. @default {32} */
  readonly ackEvery?: number;
}

interface Sent {
  readonly seq: number;
  readonly body: string;
}

/**
 * One side of a session.
 *
 * @example
 * ```ts
 * import { SyncSession } from "@kith/kith/sync";
 * import { assertEquals } from "@std/assert";
 *
 * const ann = new SyncSession();
 * const hub = new SyncSession({ name: ann.name });
 * const sent = [1, 2, 3].map((n) => ann.send(`{"n":${n}}`));
 * for (const text of sent.slice(0, 2)) hub.take(JSON.parse(text)); // the third is lost
 * assertEquals(ann.resume(hub.point.received), ['{"n":3,"seq":3,"ack":0}']);
 * ```
 */
export class SyncSession {
  /** Its name, which both sides know and nobody can guess. */
  readonly name: string;
  readonly #maxMessages: number;
  readonly #maxChars: number;
  readonly #ackEvery: number;
  /** Sent and not acknowledged, by number without a gap. */
  #kept: Sent[] = [];
  #keptChars = 0;
  #sent = 0;
  #received = 0;
  #acknowledged = 0;

  /** Nothing was said. @throws {RangeError} when a limit makes no sense. */
  constructor(options: SyncSessionOptions = {}) {
    const { name = randomBytes(16).toString("hex"), maxMessages = 1_024 } = options;
    const { maxChars = 4 * 1024 * 1024, ackEvery = 32 } = options;
    for (const [limit, value] of Object.entries({ maxMessages, maxChars, ackEvery })) {
      if (Number.isSafeInteger(value) && value >= 1) continue;
      throw new RangeError(`${limit} must be an integer above 0: current value is ${value}`);
    }
    this.name = name;
    this.#maxMessages = maxMessages;
    this.#maxChars = maxChars;
    this.#ackEvery = ackEvery;
  }

  /** How many messages are kept. */
  get kept(): number {
    return this.#kept.length;
  }

  /** Whether so much was taken that the other side should be told, with the next message or a heartbeat. */
  get ackDue(): boolean {
    return this.#received - this.#acknowledged >= this.#ackEvery;
  }

  /** Where this side stands, for `client_connect` and its answer. */
  get point(): ResumePoint {
    return { session: this.name, received: this.#received };
  }

  /**
   * Numbers a message that is sent, and keeps it. The oldest are forgotten when there is no more room.
   *
   * @param body An encoded message. Many sessions may send the same: it is kept as it is, and shared.
   * @returns its text with `seq` and `ack`.
   */
  send(body: string): string {
    const sent = { seq: ++this.#sent, body };
    this.#kept.push(sent);
    this.#keptChars += body.length;
    let over = 0;
    while (this.#kept.length - over > this.#maxMessages || this.#keptChars > this.#maxChars) {
      this.#keptChars -= this.#kept[over++]?.body.length ?? 0;
    }
    if (over > 0) this.#kept.splice(0, over);
    return this.#numbered(sent);
  }

  /** A message that need not arrive, such as a heartbeat, with the acknowledgement of what was taken. */
  acknowledge(body: string): string {
    this.#acknowledged = this.#received;
    return withFields(body, `"ack":${this.#received}`);
  }

  /**
   * Takes a message that has arrived.
   *
   * @returns whether it is to be acted upon: what has no number is, what was taken already is not.
   * @throws {InvalidPacketError} `bad-message` when a number is missing in between, or is none, or acknowledges what was
   * never sent. The connection is no good then; the session is.
   */
  take({ seq, ack }: WebSocketMessage): boolean {
    if (ack !== undefined) this.#forget(integerIn("ack", ack, 0, this.#sent));
    if (seq === undefined) return true;
    // What comes next is the most that it can be.
    if (integerIn("seq", seq, 1, this.#received + 1) <= this.#received) return false;
    this.#received++;
    return true;
  }

  /**
   * What the other side has not got, to be sent on the new connection before anything else.
   *
   * @param received The number of the last message that it took.
   * @returns the texts; `undefined` when some of them are kept no more, or it claims what was never sent: then a new
   * session begins.
   */
  resume(received: number): string[] | undefined {
    const oldest = this.#kept[0]?.seq ?? this.#sent + 1;
    if (!(received >= oldest - 1 && received <= this.#sent)) return undefined;
    this.#forget(received);
    return this.#kept.map((sent) => this.#numbered(sent));
  }

  #numbered({ seq, body }: Sent): string {
    this.#acknowledged = this.#received;
    return withFields(body, `"seq":${seq},"ack":${this.#received}`);
  }

  #forget(received: number): void {
    const first = this.#kept[0]?.seq ?? this.#sent + 1;
    for (const { body } of this.#kept.splice(0, Math.max(0, received + 1 - first))) {
      this.#keptChars -= body.length;
    }
  }
}

/** A message without the numbers of the session that it came by, to be passed on. */
export function unnumbered(message: WebSocketMessage): WebSocketMessage {
  const { seq: _seq, ack: _ack, ...rest } = message;
  return rest as WebSocketMessage;
}

/** The text of an object with more fields at its end. Written so that one text serves a thousand sessions. */
function withFields(body: string, fields: string): string {
  return `${body.slice(0, -1)},${fields}}`;
}

function integerIn(field: string, value: unknown, min: number, max: number): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= min && value <= max) {
    return value;
  }
  throw new InvalidPacketError(
    "bad-message",
    `Cannot go on with the session: ${field} is not an integer of ${min}..${max}`,
    { details: { field, errorCode: "OUT_OF_SEQUENCE" } },
  );
}
