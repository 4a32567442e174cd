/**
 * The mesh of servers: those of one project find each other, stay connected and tell each other things.
 *
 * | header         | kind     | body                      |                                                          |
 * |----------------|----------|---------------------------|----------------------------------------------------------|
 * | `mesh.join`    | request  | `{ project, hash, name }` | answered with the same, or `incompatible`                |
 * | `mesh.leave`   | message  | `{}`                      | goodbye                                                  |
 * | `mesh.message` | message  | `{ data }`                | taken only from who has joined                           |
 *
 * Two servers belong together when their project ids are equal and their source hashes are, or one of them has none.
 * One asks and the other answers; then each is a member of the other's mesh for as long as a shared link between the two
 * programs exists, whoever opened it and however often it is replaced by another. A server that does not belong is left
 * alone for a while. Source: the witch-core network module, `ServerPeer`.
 *
 * @module
 */

import { linkOf, type RequestContext } from "../endpoint/dispatcher.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";
import type { Link } from "../endpoint/link.ts";
import { ClosedError, HandshakeError, NotFoundError, PeerError, RemoteError } from "../errors.ts";
import { layerLog, printable } from "../log.ts";
import type { Address } from "../transport/transport.ts";
import { encodeWireData, type MessageBody, wireData } from "../wire/message.ts";
import { type MeshEvent, MeshEvents, type MeshPeer } from "./mesh_events.ts";
import { type ServerDirectory, ServerFinder } from "./mesh_finder.ts";
import {
  type Introduction,
  isOurselves,
  joinError,
  MAX_TEXT_CHARS,
  mismatchOf,
  parseIntroduction,
} from "./mesh_introduction.ts";
import { type Member, Members, programOf } from "./mesh_members.ts";

export type { MeshEvent, MeshPeer } from "./mesh_events.ts";
export type { ServerDirectory } from "./mesh_finder.ts";

/** What a server that takes part in a mesh says it can do. */
export const MESH_CAPABILITY = "mesh/1";

/** Time between two looks for servers, as the original has. */
export const FIND_EVERY_MS = 10_000;

/** What one server says is taken in the order in which it says it, and what has to wait holds back the rest. */
const IN_ORDER = { inline: true, scope: "mesh" } as const;

/** What a {@linkcode ServerPeer} needs. Texts have at most 128 characters. */
export interface ServerPeerOptions {
  /** Only servers of the same project are joined. @default {"default"} */
  projectId?: string;
  /** Only servers with the same hash are joined; without one any. See `hashSources`. @default {""} */
  sourceHash?: string;
  /** What others call it. @default {""} */
  serverName?: string;
  /** Where to look. @default nowhere */
  directory?: ServerDirectory;
  /** Addresses that are tried besides; our own among them does no harm. @default {[]} */
  addresses?: readonly Address[];
  /** Time between two looks in milliseconds, above 0. `Infinity`: one look that does not end. @default {10000} */
  findEveryMs?: number;
}

/**
 * A server among others of its project; see the module. There is one for an endpoint at a time.
 *
 * A peer is known by its id. When a second program of the same id joins, as after a restart that nobody noticed, the
 * first one's `left` comes before the second one's `joined`; broadcasts go to both while they are there.
 *
 * @example Two servers of a project
 * ```ts
 * import { Endpoint, ServerPeer } from "@kith/kith";
 * import { MemoryNetwork } from "@kith/kith/transport";
 * import { assertEquals } from "@std/assert";
 *
 * const network = new MemoryNetwork();
 * const open = (name: string) => {
 *   const self = { name, capabilities: [], agent: "example" };
 *   return Endpoint.open({ transport: network.host(name), self, port: 1 });
 * };
 * await using left = await open("left");
 * await using right = await open("right");
 * await using a = new ServerPeer(left, { addresses: [{ hostname: "right", port: 1 }] });
 * await using b = new ServerPeer(right);
 *
 * for await (const event of a) {
 *   if (event.type === "joined") await b.broadcast({ status: "active" });
 *   if (event.type !== "message") continue;
 *   assertEquals(event.data, { status: "active" });
 *   break;
 * }
 * ```
 */
export class ServerPeer implements AsyncDisposable, AsyncIterable<MeshEvent> {
  /** Only servers of this project are joined. */
  readonly projectId: string;
  /** Only servers with this hash are joined, where both have one. */
  readonly sourceHash: string;
  readonly #endpoint: Endpoint;
  readonly #introduction: Introduction;
  readonly #members: Members;
  readonly #asking = new Map<string, Promise<Member>>();
  readonly #joining = new Set<Promise<Member>>();
  readonly #closing = new AbortController();
  readonly #handlers: DisposableStack;
  readonly #finder: ServerFinder;
  #events: MeshEvents | undefined;

  /**
   * Takes part from now on, and looks for others at once.
   *
   * @throws {RangeError} when a text is too long or the time is not above 0. @throws {TypeError} when the endpoint takes
   * part in a mesh already.
   */
  constructor(endpoint: Endpoint, options: ServerPeerOptions = {}) {
    const { projectId = "default", sourceHash = "", serverName = "" } = options;
    const { directory, addresses = [], findEveryMs = FIND_EVERY_MS } = options;
    for (const [field, text] of Object.entries({ projectId, sourceHash, serverName })) {
      if (text.length <= MAX_TEXT_CHARS) continue;
      throw new RangeError(`${field} must have at most ${MAX_TEXT_CHARS} characters`);
    }
    if (!(findEveryMs > 0)) {
      throw new RangeError(`findEveryMs must be above 0: current value is ${findEveryMs}`);
    }
    this.projectId = projectId;
    this.sourceHash = sourceHash;
    this.#endpoint = endpoint;
    this.#introduction = { project: projectId, hash: sourceHash, name: serverName };
    this.#members = new Members({
      endpoint,
      opening: this.#joining,
      tell: (type, peer) => this.#events?.tell(type, peer),
    });
    using handlers = new DisposableStack();
    const handle = (header: string, handler: (body: MessageBody, link: Link) => unknown) => {
      const onLink = (body: MessageBody, call: RequestContext) => handler(body, linkOf(call));
      handlers.use(endpoint.handle(header, onLink, IN_ORDER));
    };
    handle("mesh.join", (body, link) => this.#takeJoin(body, link));
    handle("mesh.leave", (_, link) => this.#members.remove(link.peer));
    handle("mesh.message", (body, link) => this.#takeMessage(body, link));
    handlers.use(endpoint.offer(MESH_CAPABILITY));
    this.#handlers = handlers.move();
    this.#finder = new ServerFinder({
      clock: endpoint.clock,
      log: layerLog(endpoint.log, "rpc"),
      directory,
      addresses,
      everyMs: findEveryMs,
      self: endpoint.self.peerId,
      isMember: (peerId) => this.#members.find(peerId) !== undefined,
      join: (address, options) => this.join(address, options),
    });
  }

  /**
   * The servers of this project that we are connected to, in the order in which they joined. Where the peer is in a group,
   * `status` says which of them is suspect, and why.
   */
  peers(): MeshPeer[] {
    return this.#members.peers();
  }

  /**
   * Sends a message to all of them: it is encoded once, and `data` may change afterwards.
   *
   * @returns how many it went to, once each of them has room for more.
   * @throws {InvalidPacketError} `too-large`. @throws {TypeError | RangeError} for what has no form in MessagePack.
   */
  async broadcast(data: unknown): Promise<number> {
    const message = encodeMessage(data);
    const links = this.#members.list().map((member) => this.#members.linkTo(member));
    const sending = links.map(async (link) => await link.forward(message));
    let sent = 0;
    for (const result of await Promise.allSettled(sending)) {
      if (result.status === "fulfilled") sent++;
      else if (!(result.reason instanceof ClosedError)) throw result.reason;
    }
    return sent;
  }

  /**
   * Sends a message to one of them; `data` may change afterwards.
   *
   * @throws {NotFoundError} `no-peer` when it is not one. @throws {ClosedError} when it is just going. Further as
   * {@linkcode ServerPeer.broadcast}.
   */
  async send(peerId: string, data: unknown): Promise<void> {
    const member = this.#members.find(peerId);
    if (member !== undefined) {
      return await this.#members.linkTo(member).forward(encodeMessage(data));
    }
    throw new NotFoundError("no-peer", `"${printable(peerId, 40)}" is no server of this project`);
  }

  /**
   * What happens from now on. The messages of one server come in the order in which it sent them.
   *
   * Overflow policy: where 256 events or 4 MiB of messages wait, the connections that more come on are held back, and
   * whatever else uses them: an answer of the same server that the reader waits for is held back too. Where 1024 events
   * wait, who wants to join is refused with `limit`. Nothing is kept while nobody reads.
   *
   * @throws {TypeError} when somebody reads already.
   */
  [Symbol.asyncIterator](): AsyncIterator<MeshEvent, undefined> {
    if (this.#events !== undefined) {
      throw new TypeError("Cannot read the events of the mesh: somebody reads them already");
    }
    const events = new MeshEvents(() => this.#events = undefined);
    if (this.#closing.signal.aborted) events.close();
    else this.#events = events;
    return events;
  }

  /**
   * Joins the server at an address, without waiting for the next look.
   *
   * @param options.signal Gives up when aborted.
   * @throws {HandshakeError} `incompatible` when it belongs to another project, has other sources, takes part in no
   * mesh, or is this server itself. @throws {RemoteError} with what else is in its way. Further as `Endpoint.connect`.
   */
  async join(address: Address, options: { signal?: AbortSignal } = {}): Promise<MeshPeer> {
    const closing = this.#closing.signal;
    const { signal = closing } = options;
    const joining = this.#join(address, AbortSignal.any([closing, signal]));
    this.#joining.add(joining);
    try {
      return this.#members.peerOf(await joining);
    } finally {
      this.#joining.delete(joining);
    }
  }

  /** Says goodbye to all and takes part no more. Connections stay, others may use them. Harmless when repeated. */
  async close(): Promise<void> {
    this.#closing.abort(new ClosedError("Cannot join: the mesh is closed"));
    this.#handlers.dispose();
    for (const member of this.#members.list()) sayGoodbye(this.#members.linkTo(member));
    this.#members.clear();
    this.#events?.close();
    this.#events = undefined;
    await this.#finder.close();
  }

  /** The same as {@linkcode ServerPeer.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #join(address: Address, signal: AbortSignal): Promise<Member> {
    signal.throwIfAborted();
    const before = new Set(this.#endpoint.links);
    const link = await this.#endpoint.connect(address, { shared: true, signal });
    try {
      if (programOf(link.peer) === programOf(this.#endpoint.self)) throw isOurselves(address);
      return await this.#askToJoin(link, signal);
    } catch (error) {
      const isStranger = this.#members.get(link.peer) === undefined;
      if (isStranger && !before.has(link)) void link.drain(); // it was opened only to ask
      throw error;
    }
  }

  async #askToJoin(link: Link, signal: AbortSignal): Promise<Member> {
    const known = this.#members.get(link.peer);
    if (known !== undefined) return known;
    const program = programOf(link.peer);
    const asking = this.#ask(link, signal);
    this.#asking.set(program, asking);
    try {
      return await asking;
    } finally {
      if (this.#asking.get(program) === asking) this.#asking.delete(program);
    }
  }

  /** Asks on a link, or on the one that has taken its place when it is closed meanwhile. */
  async #ask(link: Link, signal: AbortSignal): Promise<Member> {
    try {
      const introduction = { ...this.#introduction };
      return this.#admit(link, await link.request("mesh.join", introduction, { signal }));
    } catch (error) {
      const { peer } = link;
      const isReplaced = error instanceof ClosedError && !signal.aborted;
      const other = isReplaced ? this.#endpoint.peers.shared(peer) : undefined;
      if (other !== undefined && other !== link) return await this.#askToJoin(other, signal);
      // It may let us in, or have done so, without our knowing.
      const isStranger = this.#members.get(peer) === undefined;
      if (isStranger && !(error instanceof RemoteError)) sayGoodbye(link);
      throw joinError(link, error);
    }
  }

  #takeJoin(body: MessageBody, link: Link): Introduction {
    if (!link.shared) {
      throw new HandshakeError("incompatible", "Servers join each other on a shared link only");
    }
    this.#admit(link, body);
    return this.#introduction;
  }

  /** Lets a server in that belongs here. @throws {HandshakeError} `incompatible` when it does not. */
  #admit(link: Link, introduction: unknown): Member {
    this.#closing.signal.throwIfAborted();
    const { peer } = link;
    const theirs = parseIntroduction(introduction);
    const mismatch = mismatchOf(this.#introduction, theirs);
    if (mismatch !== undefined) {
      void this.#members.remove(peer); // it may have been here as another
      throw mismatch;
    }
    const known = this.#members.get(peer);
    if (known !== undefined) return known;
    this.#events?.checkRoom();
    const { name, hash: sourceHash } = theirs;
    const member = { peer, name, sourceHash, since: this.#endpoint.clock.wallMs(), link };
    this.#members.add(member);
    return member;
  }

  #takeMessage(body: MessageBody, link: Link): Promise<void> | undefined {
    const member = this.#members.get(link.peer);
    if (member !== undefined) return this.#events?.message(this.#members.peerOf(member), body.data);
    // Who has let us in may speak at once, on another link even before its answer is here.
    const asking = this.#asking.get(programOf(link.peer));
    if (asking !== undefined) {
      return asking.then(() => {}, () => {}).then(() => this.#takeMessage(body, link));
    }
    this.#endpoint.metrics.counter("mesh.refused").add();
    throw new HandshakeError("denied", "Only servers that have joined may send to the mesh");
  }
}

function encodeMessage(data: unknown): Uint8Array {
  return encodeWireData(wireData("mesh.message", { data }));
}

function sayGoodbye(link: Link): void {
  try {
    void link.post("mesh.leave", {});
  } catch (error) {
    if (!(error instanceof PeerError)) throw error; // it has gone already
  }
}
