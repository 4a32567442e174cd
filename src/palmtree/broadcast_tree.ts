/**
 * The tree of one broadcast at its sender: session, relay and host.
 *
 * @module
 */

import { createHmac } from "node:crypto";
import type { Link } from "../endpoint/link.ts";
import { idToDecimal } from "../wire/remote_peer.ts";
import type { TreeShape } from "./broadcast_options.ts";
import { LinkHub } from "./link_hub.ts";
import type { OutgoingContent } from "./outgoing_content.ts";
import { planTree, type TreePlan } from "./planner.ts";
import type { Joined } from "./recipient.ts";
import { type PalmPorts, RelayDriver } from "./relay_driver.ts";
import { encodeInform, type PalmTreeSession } from "./session.ts";
import { type ReceiverStatus, TreeHost } from "./tree_host.ts";

/** How long links are waited for, and may be silent. */
const LINK_WAIT_MS = 5_000;

const KEY_BYTES = 32;

/** What the tree is to be like. */
export interface BroadcastTreeOptions extends PalmPorts {
  /** What is sent. */
  readonly content: OutgoingContent;
  /** Most children of anybody. */
  readonly fanout: number;
  /** The shape. */
  readonly shape: TreeShape;
  /** How long links are waited for. @default {5000} */
  readonly linkWaitMs: number | undefined;
  /** The connection with somebody who was informed. */
  readonly linkWith: (peerId: string) => Link | undefined;
  /** Somebody says nothing any more. */
  readonly gone: (peerId: string) => void;
  /** A file could not be read again as it was. */
  readonly unreadable: (error: unknown) => void;
  /** Is called ten times a second. */
  readonly tick: () => void;
}

/** See the module. Peers are named in decimal here. */
export class BroadcastTree implements AsyncDisposable {
  readonly #options: BroadcastTreeOptions;
  readonly #session: PalmTreeSession;
  readonly #driver: RelayDriver;
  readonly #host: TreeHost;
  readonly #secret: Uint8Array;
  #startedMs: number | undefined;

  private constructor(
    options: BroadcastTreeOptions,
    session: PalmTreeSession,
    driver: RelayDriver,
    host: TreeHost,
    secret: Uint8Array,
  ) {
    this.#options = options;
    this.#session = session;
    this.#driver = driver;
    this.#host = host;
    this.#secret = secret;
  }

  /** Binds the socket; nobody is in the tree. @throws as `RelayDriver.open` */
  static async open(options: BroadcastTreeOptions): Promise<BroadcastTree> {
    const { content, endpoint } = options;
    const session = newSession(options);
    const secret = crypto.getRandomValues(new Uint8Array(KEY_BYTES));
    const made: { host?: TreeHost } = {};
    const driver = await RelayDriver.open({
      ...options,
      session,
      content: content.chunks,
      source: content,
      keyWith: (peerId) => keyOf(secret, peerId),
      borrowed: options.linkWith,
      keep: () => {},
      room: () => undefined,
      emit: () => {},
      take: (message, envelope) => {
        return made.host?.receive(message, envelope, endpoint.clock.now()) ?? false;
      },
      tick: (nowMs) => {
        made.host?.tick(nowMs);
        options.tick();
      },
    });
    const { self, relay } = driver;
    const messageId = crypto.randomUUID();
    made.host = new TreeHost({ self, relay, chunks: content.chunks.count, messageId }, {
      send: (message, to) => driver.send(message, to),
      changed: ({ peerId, state }) => state === "gone" && options.gone(peerId),
      settled: () => {}, // what counts is what receivers confirm
    });
    return new BroadcastTree(options, session, driver, made.host, secret);
  }

  /** Names the session. */
  get sessionId(): string {
    return String(this.#session.sessionId);
  }

  /** What receivers are informed of. */
  get invitation(): Record<string, unknown> {
    const { content } = this.#options;
    const inform = encodeInform(this.#session);
    const { port } = this.#driver.self.passive;
    return { inform, chunks: content.chunks.toValue(), port };
  }

  /** The key that somebody who is informed has with the sender. */
  sealFor(peerId: string): Uint8Array {
    return keyOf(this.#secret, peerId);
  }

  /** Whether it has begun. */
  get hasBegun(): boolean {
    return this.#startedMs !== undefined;
  }

  /** How long ago that was. */
  get seconds(): number {
    const nowMs = this.#nowMs;
    return (nowMs - (this.#startedMs ?? nowMs)) / 1_000;
  }

  /** Bytes of contents that the sender itself wrote. */
  get egressBytes(): number {
    return this.#driver.writtenBytes;
  }

  /** Everybody in it, as far as is known. */
  get receivers(): readonly ReceiverStatus[] {
    return this.#host.receivers;
  }

  /** Begins it with those who have accepted. */
  begin(joined: readonly Joined[]): void {
    this.#startedMs = this.#nowMs;
    const participants = joined.map(({ participant }) => participant);
    this.#host.begin(participants, this.#startedMs, this.#plan(joined));
  }

  /** Takes in somebody who comes late. */
  join({ participant }: Joined): void {
    this.#host.join(participant, this.#nowMs);
  }

  /** Ends it. Harmless when repeated. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#driver[Symbol.asyncDispose]();
  }

  #plan(joined: readonly Joined[]): TreePlan {
    const { endpoint, maxBytesPerSecond, content, fanout, shape } = this.#options;
    const own = maxBytesPerSecond ?? LinkHub.of(endpoint).uplink.bytesPerSecond;
    const uplinks = [own, ...joined.map(({ uplink }) => uplink)];
    const { totalBytes, chunkBytes } = content.chunks;
    return planTree(uplinks.map((uplink) => uplink === undefined ? {} : { uplink }), {
      totalBytes,
      chunkBytes,
      maxFanout: fanout,
      minFanout: typeof shape === "number" ? shape : 1,
    });
  }

  get #nowMs(): number {
    return this.#options.endpoint.clock.now();
  }
}

function keyOf(secret: Uint8Array, peerId: string): Uint8Array {
  return createHmac("sha256", secret).update(peerId).digest();
}

function newSession(options: BroadcastTreeOptions): PalmTreeSession {
  const { endpoint, content, fanout, linkWaitMs = LINK_WAIT_MS } = options;
  return {
    originateId: idToDecimal(Uint8Array.fromHex(endpoint.self.peerId)),
    sessionId: crypto.randomUUID(),
    key: crypto.getRandomValues(new Uint8Array(KEY_BYTES)).toHex(),
    fanout,
    linkWaitMs,
    adjacentPeers: [],
    chunkSize: content.chunks.chunkBytes,
    fileCount: content.summary.files,
  };
}
