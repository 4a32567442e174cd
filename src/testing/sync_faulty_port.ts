/**
 * A port of live-sync on which things go wrong: between an engine and whatever connects it.
 *
 * @module
 */

import { Channel } from "../channel.ts";
import { type Clock, sleep, systemClock } from "../clock.ts";
import { ClosedError, InvalidPacketError } from "../errors.ts";
import { SERVER_ID, type WebSocketMessage } from "../sync/message_types.ts";
import type { Author } from "../sync/messages.ts";
import type { SyncInput, SyncPeer, SyncPort } from "../sync/port.ts";
import { encodeMessage, readMessage } from "../sync/protocol.ts";
import { concat } from "../wire/concat.ts";
import { type SyncFateCounts, type SyncFaults, SyncFortune } from "./sync_faults.ts";

/** How to make a {@linkcode FaultySyncPort}. */
export interface FaultySyncPortOptions extends SyncFaults {
  /** Decides what happens to which message. @default {1} */
  readonly seed?: number;
  /** Where delays come from. @default {systemClock} */
  readonly clock?: Clock;
}

/**
 * Passes on what another port sends and receives, but for what goes wrong. What is garbled and reads as no message is
 * lost, as it would be behind a line.
 *
 * @example
 * ```ts
 * import type { SyncPort } from "@kith/kith/sync";
 * import { FaultySyncPort, syncMessages } from "@kith/kith/testing";
 * import { assertEquals } from "@std/assert";
 *
 * const sent: unknown[] = [];
 * const port: SyncPort = {
 *   peer: { clientId: "server", label: "docs", canWrite: true, capabilities: [] },
 *   writable: true,
 *   author: { clientId: "me", wallMs: 0 },
 *   send: (message) => sent.push(message) > 0,
 *   sendContent: () => Promise.resolve(),
 *   receive: (async function* () {})(),
 *   closed: Promise.resolve(undefined),
 *   close: () => {},
 * };
 * const faulty = new FaultySyncPort(port, { duplicate: 1 });
 * faulty.send(syncMessages(1).client("heartbeat"));
 * assertEquals(sent.length, 2);
 * faulty.silence();
 * faulty.send(syncMessages(1).client("heartbeat"));
 * assertEquals([sent.length, faulty.counts.silenced], [2, 1]);
 * ```
 */
export class FaultySyncPort implements SyncPort {
  readonly #port: SyncPort;
  readonly #clock: Clock;
  readonly #fortune: SyncFortune;
  readonly #inputs = new Channel<SyncInput>(1);
  readonly #ending = new AbortController();
  #sending: Promise<unknown> | undefined;
  #isRead = false;

  /** Nothing goes wrong yet. @throws {RangeError} for what is no probability or time. */
  constructor(port: SyncPort, options: FaultySyncPortOptions = {}) {
    const { seed = 1, clock = systemClock, ...faults } = options;
    this.#port = port;
    this.#clock = clock;
    this.#fortune = new SyncFortune(faults, seed);
    void port.closed.then((why) =>
      this.#ending.abort(why ?? new ClosedError("The port is closed"))
    );
  }

  /** Who is there. */
  get peer(): SyncPeer {
    return this.#port.peer;
  }

  /** Whether the other side takes changes of ours. */
  get writable(): boolean {
    return this.#port.writable;
  }

  /** Who we are, and the time now. */
  get author(): Author {
    return this.#port.author;
  }

  /** As of the port behind it. */
  get closed(): Promise<Error | undefined> {
    return this.#port.closed;
  }

  /** What became of messages and contents so far. */
  get counts(): SyncFateCounts {
    return { ...this.#fortune.counts };
  }

  /** What comes in, for one reader. */
  get receive(): AsyncIterable<SyncInput> {
    if (!this.#isRead) void this.#pump();
    this.#isRead = true;
    return this.#inputs;
  }

  /** Other things go wrong from now on. @throws {RangeError} for what is no probability or time. */
  set faults(faults: SyncFaults) {
    this.#fortune.faults = faults;
  }

  /** Nothing passes from now on, either way, and nobody is told. */
  silence(): void {
    this.#fortune.isSilent = true;
  }

  /** The connection breaks for good. */
  cut(): void {
    this.close(new ClosedError("The connection was cut"));
  }

  /** Sends a message, maybe. @returns as the port behind it; `true` for what is lost. */
  send(message: WebSocketMessage): boolean {
    if (this.#ending.signal.aborted) return false;
    const { delayMs } = this.#fortune;
    if (delayMs === 0 && this.#sending === undefined) return this.#send(message);
    void this.#inTurn(delayMs, () => this.#send(message)).catch(() => {}); // it has ended
    return true;
  }

  /** Sends contents, maybe. @throws as the port behind it. */
  async sendContent(bytes: Uint8Array): Promise<void> {
    const { delayMs } = this.#fortune;
    if (delayMs === 0 && this.#sending === undefined) return await this.#sendContent(bytes);
    await this.#inTurn(delayMs, () => this.#sendContent(bytes));
  }

  /** Ends the port behind it. */
  close(why?: Error): void {
    this.#port.close(why);
    this.#ending.abort(why ?? new ClosedError("The port is closed"));
  }

  #send(message: WebSocketMessage): boolean {
    const passing = this.#passing({ type: "message", message });
    return !this.#ending.signal.aborted &&
      passing.every((input) => input.type !== "message" || this.#port.send(input.message));
  }

  async #sendContent(bytes: Uint8Array): Promise<void> {
    for (const input of this.#passing({ type: "content", bytes })) {
      // Once is never twice the same array: the first belongs to the port by then.
      if (input.type === "content") await this.#port.sendContent(input.bytes.slice());
    }
    if (this.#ending.signal.aborted) {
      throw new ClosedError("Cannot send contents: the port is closed");
    }
  }

  async #pump(): Promise<void> {
    try {
      for await (const input of this.#port.receive) {
        const { delayMs } = this.#fortune;
        if (delayMs > 0) await sleep(this.#clock, delayMs, this.#ending);
        for (const passing of this.#passing(input)) await this.#inputs.push(passing);
      }
    } catch (error) {
      if (!this.#ending.signal.aborted) throw error;
    } finally {
      this.#inputs.close();
    }
  }

  /** What passes of something that travels one way or the other. */
  #passing(input: SyncInput): SyncInput[] {
    // What a port says of itself does not travel.
    if (input.type !== "message" && input.type !== "content") return [input];
    const kind = input.type === "content" ? "contents" : "messages";
    const passing = this.#fortune.of<SyncInput>(kind, input, (input) => this.#garbled(input));
    if (passing === undefined) this.cut();
    return passing ?? [];
  }

  #garbled(input: SyncInput): SyncInput | undefined {
    if (input.type === "content") {
      const { bytes } = input;
      const [kind = 0] = bytes; // of another kind they may be no contents
      const rest = this.#fortune.garbledBytes(bytes.subarray(1));
      return { type: "content", bytes: concat(Uint8Array.of(kind), rest) };
    }
    if (input.type !== "message") return input;
    const from = input.message.client_id === SERVER_ID ? "server" : "client";
    try {
      const text = this.#fortune.garbledText(encodeMessage(input.message));
      return { type: "message", message: readMessage(JSON.parse(text), from) };
    } catch (error) {
      if (error instanceof SyntaxError || error instanceof InvalidPacketError) return undefined;
      throw error;
    }
  }

  /** Does something some time later, behind what was to be done before. */
  #inTurn<T>(delayMs: number, work: () => T | Promise<T>): Promise<T> {
    const before = this.#sending ?? Promise.resolve();
    const done = before.then(() => sleep(this.#clock, delayMs, this.#ending)).then(work);
    const settled = done.then(() => {}, () => {}).then(() => {
      if (this.#sending === settled) this.#sending = undefined;
    });
    this.#sending = settled;
    return done;
  }
}
