/**
 * Takes part in the palm trees of originals, and of our peers that speak as they do.
 *
 * ```
 * inform (UDP, no service code) -> rations -> asked for at the desk -> socket is bound -> answer, to where it came from
 * stream link (TCP) -> the session that it names
 * ```
 *
 * Nobody proves anything, so nothing is answered that is not wanted: who is refused, or comes too often, hears nothing. An
 * answer is no longer than what it answers.
 *
 * @module
 */

import type { Endpoint } from "../../endpoint/endpoint.ts";
import { packetSource, TokenBuckets } from "../../endpoint/limits.ts";
import {
  type RequestEvent,
  type RequestsDispatcher,
  UNCODED,
} from "../../endpoint/requests_dispatcher.ts";
import {
  AuthError,
  ClosedError,
  InvalidPacketError,
  NotFoundError,
  PeerError,
} from "../../errors.ts";
import { layerLog, printable } from "../../log.ts";
import type { PalmLinkTaker } from "../../transfer/dialects/peerconnect_driver.ts";
import { unprovenPeer } from "../../transfer/dialects/peerconnect_driver_store.ts";
import { unprovenLabel } from "../../transfer/dialects/peerconnect_driver_visit.ts";
import type { Manifest } from "../../transfer/manifest.ts";
import type { Address, Connection } from "../../transport/transport.ts";
import { idFromDecimal, idToDecimal } from "../../wire/remote_peer.ts";
import { parseStreamLink } from "../control.ts";
import type { ReceivingDesk } from "../receiving.ts";
import { INFORM_HEADER, type PalmTreeSession, readInform } from "../session.ts";
import { isSameHost } from "./peerconnect_parent.ts";
import { PeerConnectReceiving } from "./peerconnect_receiving.ts";
import type { PeerConnectPalmPorts } from "./peerconnect_relay.ts";

/** The handler whose access decides about senders that prove nothing. */
const FILES_HEADER = "transfer.offer";

/** Sessions that are asked about or under way; a quarter of the transfers that there may be. */
export const MAX_SESSIONS = 4;

/** Informs of one host, which come up to four times each, and of all, whose addresses can be forged. */
const INFORMS_PER_HOST = { perSecond: 2, burst: 16 } as const;
const INFORMS = { perSecond: 20, burst: 80 } as const;

/** Bounds of what a session may ask for: links are waited for so long, in milliseconds, and a relay has so many children. */
const LEAST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 10_000;
const MAX_FANOUT = 16;

/** Nobody says beforehand what is coming. */
const NOTHING_SAID: Manifest = { entries: [], files: 0, totalBytes: 0 };

/** Where informs come in, and answers leave. */
export interface InformPort {
  /** Who takes what comes in. */
  readonly requests: Pick<RequestsDispatcher, "register">;
  /** Sends one packet. */
  send(packet: Uint8Array, to: Address): Promise<void>;
}

/** How to take part. */
export interface PeerConnectTreesOptions
  extends Omit<PeerConnectPalmPorts, "clock" | "log" | "peerId"> {
  /** Whose clock, log, counters and port for links. */
  readonly endpoint: Endpoint;
  /** Where informs come in. */
  readonly udp: InformPort;
  /** Gives links to who takes them. @returns what ends that */
  readonly linkWith: (taker: PalmLinkTaker) => Disposable;
  /** Takes the files in. */
  readonly desk: ReceivingDesk;
  /** Most bytes of one session. @default {Number.MAX_SAFE_INTEGER} */
  readonly maxTotalBytes?: number | undefined;
}

/**
 * Takes part; see the module. Counted are `palm.informs` that were answered, those `palm.refused`, `palm.malformed` and over
 * the `palm.rate`.
 *
 * @example
 * ```ts
 * import { Peer } from "@kith/kith";
 * import { PeerConnectBroadcast } from "@kith/kith/palmtree";
 * import { buildManifest } from "@kith/kith/transfer";
 * import { MemoryNetwork } from "@kith/kith/transport";
 * import { assertEquals } from "@std/assert";
 *
 * const dir = await Deno.makeTempDir();
 * await Deno.writeTextFile(`${dir}/song.txt`, "la la la");
 * const network = new MemoryNetwork();
 * await using bob = await Peer.open({ transport: network.host("bob"), dialects: ["peerconnect"] });
 * const inbox = bob.receive({ dir: `${dir}/bob`, accept: () => true }); // opens one
 *
 * const ports = { transport: network.host("alice"), peerId: "ab".repeat(20), hostname: "alice" };
 * const address = { hostname: "bob", port: bob.udpAddress?.port ?? 0 };
 * const built = await buildManifest([`${dir}/song.txt`]);
 * await new PeerConnectBroadcast(ports, built, [{ name: "bob", address }]).done;
 * for await (const { type } of inbox) if (type === "done") break;
 * assertEquals(bob.metrics.snapshot()["palm.informs"], 1);
 * assertEquals(await Deno.readTextFile(`${dir}/bob/song.txt`), "la la la");
 * await Deno.remove(dir, { recursive: true });
 * ```
 */
export class PeerConnectTrees implements AsyncDisposable {
  readonly #options: PeerConnectTreesOptions;
  readonly #perHost: TokenBuckets;
  readonly #all: TokenBuckets;
  readonly #handlers = new DisposableStack();
  readonly #closing = new AbortController();
  // Ids of those that somebody is asked about, or that bring something.
  readonly #slots = new Set<string>();
  // By their ids; who has everything stays for a moment.
  readonly #receivings = new Map<string, PeerConnectReceiving>();

  /** Takes part from now on. @throws {TypeError} when somebody takes links already. */
  constructor(options: PeerConnectTreesOptions) {
    const { endpoint: { clock }, udp, linkWith } = options;
    this.#options = options;
    this.#perHost = new TokenBuckets(clock, INFORMS_PER_HOST);
    this.#all = new TokenBuckets(clock, INFORMS);
    this.#handlers.use(linkWith(({ payload }, connection) => this.#link(payload, connection)));
    this.#handlers.use(
      udp.requests.register(UNCODED, (event) => this.#hear(event), {
        takes: ({ request: { header } }) => header === INFORM_HEADER,
      }),
    );
  }

  /** Takes part in no more, and leaves those under way. Harmless when closed. */
  async close(): Promise<void> {
    this.#handlers.dispose();
    const why = new ClosedError("Files are received no more");
    this.#closing.abort(why);
    const all = [...this.#receivings.values()];
    for (const receiving of all) receiving.fail(why);
    await Promise.all(all.map(({ ended }) => ended));
  }

  /** The same as {@linkcode PeerConnectTrees.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #hear(event: RequestEvent): void {
    const log = layerLog(this.#options.endpoint.log, "palmtree");
    const { fromAddr: from } = event;
    if (!this.#perHost.take(packetSource(from)) || !this.#all.take("")) return this.#count("rate");
    // Not waited for: it may take as long as a person thinks, and others want the slot.
    this.#inform(event).catch((error) => {
      const why = printable(String(error), 300);
      if (!(error instanceof PeerError)) return log.error("a palm tree's inform failed", { why });
      this.#count(error instanceof InvalidPacketError ? "malformed" : "refused");
      log.debug("a palm tree's inform is not answered", { why });
    });
  }

  async #inform({ request, fromAddr, packetBytes = Infinity }: RequestEvent): Promise<void> {
    const said = readInform(request);
    if (said === undefined || said.originateId === this.#self) return;
    const session = bounded(said);
    const id = String(session.sessionId);
    const isNew = !this.#receivings.has(id) && !this.#slots.has(id);
    if (isNew) await this.#admit(id, session, fromAddr);
    const receiving = this.#receivings.get(id);
    if (receiving === undefined) return; // somebody is thinking about it
    const isMeant = receiving.session.key === session.key &&
      receiving.session.originateId === session.originateId &&
      isSameHost(receiving.root.hostname, fromAddr.hostname);
    const { answer } = receiving;
    if (!isMeant || answer.length > packetBytes) {
      throw new AuthError("not-allowed", "It is another one's session, or a very short inform");
    }
    this.#count("informs");
    await this.#options.udp.send(answer, fromAddr);
  }

  /** Asks whether a session may come, and binds its socket. @throws why not */
  async #admit(id: string, session: PalmTreeSession, root: Address): Promise<void> {
    const { desk, endpoint } = this.#options;
    const { signal } = this.#closing;
    signal.throwIfAborted();
    if (!endpoint.dispatcher.isPublic(FILES_HEADER)) {
      throw new AuthError("not-allowed", "Only peers that prove who they are send");
    }
    if (this.#slots.size >= MAX_SESSIONS) {
      throw new AuthError("not-allowed", `There are ${MAX_SESSIONS} sessions already`);
    }
    const peerId = idFromDecimal(session.originateId).toHex();
    const from = unprovenPeer(peerId);
    const label = unprovenLabel(peerId, root);
    this.#slots.add(id);
    using stack = new DisposableStack();
    stack.defer(() => this.#slots.delete(id));
    const { wanted } = stack.use(await desk.admit({ from, label, manifest: NOTHING_SAID }, signal));
    if (wanted !== undefined) throw new AuthError("not-allowed", "Only a part is wanted");
    signal.throwIfAborted();
    const receiving = await PeerConnectReceiving.open({
      ...this.#options,
      clock: endpoint.clock,
      log: layerLog(endpoint.log, "palmtree"),
      peerId: endpoint.self.peerId,
      self: this.#self,
      activePort: endpoint.address?.port ?? 0,
      ...{ from, label, root, session },
    });
    this.#receivings.set(id, receiving);
    void receiving.ended.then(() => this.#receivings.delete(id));
    if (signal.aborted) receiving.fail(signal.reason);
    const held = stack.move();
    void receiving.settled.then(() => held.dispose());
    layerLog(endpoint.log, "palmtree").info("takes part in a broadcast", { from: label });
  }

  async #link(payload: Uint8Array, connection: Connection): Promise<void> {
    const link = parseStreamLink(payload);
    const receiving = this.#receivings.get(String(link?.sessionId));
    if (link === undefined || receiving === undefined) {
      throw new NotFoundError("no-path", "There is no such palm tree here");
    }
    await receiving.link(link, connection);
  }

  get #self(): string {
    return idToDecimal(Uint8Array.fromHex(this.#options.endpoint.self.peerId));
  }

  #count(what: "informs" | "malformed" | "rate" | "refused"): void {
    this.#options.endpoint.metrics.counter(`palm.${what}`).add();
  }
}

/** A session that asks for no more than may be. */
function bounded(session: PalmTreeSession): PalmTreeSession {
  const { linkWaitMs, fanout } = session;
  return {
    ...session,
    linkWaitMs: Math.min(Math.max(linkWaitMs, LEAST_WAIT_MS), LONGEST_WAIT_MS),
    fanout: Math.min(fanout, MAX_FANOUT),
  };
}
