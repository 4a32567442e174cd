/**
 * The receiving side of broadcasts: takes part in the palm trees that others begin.
 *
 * | message       | body                                        | answer                                             |
 * |---------------|---------------------------------------------|----------------------------------------------------|
 * | `palm.inform` | `{ inform, manifest, chunks, port, seal }`  | `{ answer, uplink }`, once the offer is accepted   |
 * | `palm.run`    | `{ session }`                               | `{ files, bytes, sha256, sources, blamed }`, once everything is verified |
 * | `palm.over`   | `{ session, code, message }`                | none: the sender ends it, with a code when it fails |
 *
 * `inform` and `answer` are the messages of the originals (`session.ts`), `port` is that of the sender's socket for packets, and
 * `seal` the key of packets between the sender and this receiver (`session_seal.ts`).
 *
 * @module
 */

import { linkOf, type RequestContext } from "../endpoint/dispatcher.ts";
import { AuthError, ClosedError, InvalidPacketError, LimitError, RemoteError } from "../errors.ts";
import { layerLog, printable } from "../log.ts";
import { parseManifest } from "../transfer/manifest_codec.ts";
import type { MessageBody } from "../wire/message.ts";
import { ChunkList } from "./chunk_list.ts";
import { LinkHub } from "./link_hub.ts";
import type { Participant } from "./participant.ts";
import {
  type Confirmation,
  Receiving,
  type ReceivingDesk,
  type ReceivingProgress,
} from "./receiving.ts";
import type { PalmPorts } from "./relay_driver.ts";
import { encodeInformResponse, type PalmTreeSession, parseInform, sessionName } from "./session.ts";
import { decimalOf } from "./stream_links.ts";

const SEAL_KEY_BYTES = 32;

/** How to take part. */
export interface TreeReceiverOptions extends PalmPorts {
  /** Takes the files in. */
  readonly desk: ReceivingDesk;
  /** How long a way to the sender is looked for once its own connection has ended, in milliseconds. @default {5000} */
  readonly senderGoneMs?: number;
  /** For tests: changes a chunk before it is given, as a relay would that lies. */
  readonly beforeGive?: (chunk: Uint8Array) => void;
}

/**
 * Takes part in the broadcasts of others; see the module.
 *
 * @example
 * ```ts
 * import { Endpoint, Peer } from "@kith/kith";
 * import { TreeReceiver } from "@kith/kith/palmtree";
 * import { Receiver } from "@kith/kith/transfer";
 * import { netTransport as transport } from "@kith/kith/transport";
 * import { assertEquals } from "@std/assert";
 *
 * const dir = await Deno.makeTempDir();
 * await Deno.writeTextFile(`${dir}/song.txt`, "la la la");
 * const self = { name: "bob", capabilities: [], agent: "" };
 * const here = { hostname: "127.0.0.1", port: 0 };
 * await using endpoint = await Endpoint.open({ transport, self, ...here });
 * await using desk = Receiver.open(endpoint, { dir: `${dir}/bob`, accept: () => true });
 * await using trees = TreeReceiver.open({ endpoint, transport, desk, hostname: here.hostname });
 *
 * await using alice = await Peer.open({ ...here, announce: false });
 * const to = [`127.0.0.1:${endpoint.address?.port}`];
 * await (await alice.broadcast([`${dir}/song.txt`], { to })).done;
 * assertEquals(await Deno.readTextFile(`${dir}/bob/song.txt`), "la la la");
 * await Deno.remove(dir, { recursive: true });
 * ```
 */
export class TreeReceiver implements AsyncDisposable {
  readonly #options: TreeReceiverOptions;
  readonly #hub: LinkHub;
  readonly #handlers = new DisposableStack();
  // By their names; who is asked whether it wants one has no more than the name.
  readonly #sessions = new Map<string, Receiving | undefined>();

  private constructor(options: TreeReceiverOptions) {
    this.#options = options;
    this.#hub = LinkHub.of(options.endpoint);
  }

  /** Begins to take offers that come in on an endpoint. @throws {TypeError} when somebody else does already. */
  static open(options: TreeReceiverOptions): TreeReceiver {
    const receiver = new TreeReceiver(options);
    const { endpoint } = options;
    const handlers = receiver.#handlers;
    handlers.use(
      endpoint.handle("palm.inform", (body, call) => receiver.#inform(body, call), {
        scope: "send",
      }),
    );
    // Whoever may offer may do the rest: it belongs to an offer that was accepted.
    const access = "public";
    handlers.use(
      endpoint.handle("palm.run", async (body, call) => {
        const { files, bytes, sha256, sources, blamed } = await receiver.#confirmed(body, call);
        return { files, bytes, sha256, sources, blamed };
      }, { access }),
    );
    handlers.use(
      endpoint.handle("palm.over", (body, call) => {
        receiver.#find(body, call)?.over(reasonOf(body));
      }, { access }),
    );
    return receiver;
  }

  /** Broadcasts under way. */
  get progress(): ReceivingProgress[] {
    return this.#receivings.map(({ progress }) => progress);
  }

  /** Takes part in no more, and leaves those under way. Harmless when closed. */
  async close(): Promise<void> {
    this.#handlers.dispose();
    const sessions = this.#receivings;
    for (const session of sessions) session.fail(new ClosedError("The transfer was given up"));
    await Promise.all(sessions.map(({ ended }) => ended));
  }

  /** The same as {@linkcode TreeReceiver.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  get #receivings(): Receiving[] {
    return [...this.#sessions.values()].filter((session) => session !== undefined);
  }

  async #inform(body: MessageBody, call: RequestContext): Promise<MessageBody> {
    const link = linkOf(call);
    const { desk, endpoint } = this.#options;
    const session = readSession(body.inform, decimalOf(link));
    const manifest = parseManifest(body.manifest);
    const chunks = ChunkList.parse(body.chunks);
    if (chunks.totalBytes !== manifest.totalBytes || chunks.chunkBytes !== session.chunkSize) {
      throw bad("chunks", "they are not those of the manifest");
    }
    const seal = readSeal(body.seal);
    const root = rootOf(session, body.port, call);
    const offer = { from: link.peer, label: link.label, manifest };
    const name = sessionName(session.originateId, session.sessionId);
    using stack = new DisposableStack();
    stack.use(this.#reserve(name));
    const { wanted } = stack.use(await desk.admit(offer, call.signal));
    // Who passes everything on has to have everything.
    if (wanted !== undefined) throw new AuthError("not-allowed", "Only a part is wanted");
    // Much may have happened while a person was thinking.
    call.signal.throwIfAborted();
    this.#checkOpen();
    const receiving = await Receiving.open({
      ...this.#options,
      link,
      session,
      root,
      seal,
      manifest,
      chunks,
    });
    this.#sessions.set(name, receiving);
    const slot = stack.move();
    void receiving.ended.then(() => slot.dispose());
    const { peerId, passive, active } = receiving.self;
    const answer = encodeInformResponse({ peerId, passive, active, sessionKey: session.key });
    const uplink = this.#options.maxBytesPerSecond ?? this.#hub.uplink.bytesPerSecond;
    layerLog(endpoint.log, "palmtree").info("takes part in a broadcast", { from: link.label });
    return { answer, ...(uplink === undefined ? {} : { uplink }) };
  }

  #checkOpen(): void {
    if (this.#handlers.disposed) throw new ClosedError("The receiver is closed");
  }

  /** Keeps a session's name from now on, while a person is thinking, until what is returned is disposed of. */
  #reserve(name: string): Disposable {
    this.#checkOpen();
    if (this.#sessions.has(name)) {
      throw new LimitError("limit", "This broadcast comes here already", {
        details: { limit: "sessions", max: 1 },
      });
    }
    this.#sessions.set(name, undefined);
    return { [Symbol.dispose]: () => void this.#sessions.delete(name) };
  }

  #confirmed(body: MessageBody, call: RequestContext): Promise<Confirmation> {
    const receiving = this.#find(body, call);
    if (receiving === undefined) throw bad("session", "there is none of yours by that id");
    return receiving.confirmed;
  }

  /** The session that is meant, where the one who asks is its sender. */
  #find({ session }: MessageBody, call: RequestContext): Receiving | undefined {
    const found = this.#sessions.get(sessionName(decimalOf(linkOf(call)), session));
    return found?.link === call.link ? found : undefined;
  }
}

function readSession(inform: unknown, from: string): PalmTreeSession {
  if (!(inform instanceof Uint8Array)) throw bad("inform", "it is not bin");
  const session = parseInform(inform);
  if (session === undefined) throw bad("inform", "it is about something else");
  if (session.originateId !== from) throw bad("id", "it is not that of who informs");
  return session;
}

/** The sender, as it is seen from here. */
function rootOf(session: PalmTreeSession, port: unknown, { remote }: RequestContext): Participant {
  if (typeof port !== "number" || !Number.isInteger(port) || port < 1 || port > 65_535) {
    throw bad("port", "it is not an integer 1..65535");
  }
  const { hostname } = remote;
  const passive = { hostname, port };
  return { peerId: session.originateId, passive, active: passive, isKith: true };
}

function readSeal(seal: unknown): Uint8Array {
  if (seal instanceof Uint8Array && seal.length === SEAL_KEY_BYTES) return seal.slice();
  throw bad("seal", `it is not ${SEAL_KEY_BYTES} bytes of bin`);
}

function reasonOf({ code, message }: MessageBody): RemoteError | undefined {
  if (typeof code !== "string" || typeof message !== "string") return undefined;
  return new RemoteError(printable(code, 64), printable(message, 400));
}

function bad(field: string, why: string): InvalidPacketError {
  return new InvalidPacketError("bad-message", `Cannot take broadcast: ${field}: ${why}`, {
    details: { field },
  });
}
