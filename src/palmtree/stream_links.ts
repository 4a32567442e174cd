/**
 * The links of one relay, over native connections: opened to children, taken from parents, and what goes over them.
 *
 * Of the chunks that are on the way to a child each is acknowledged, so that what counts as sent has been taken by the
 * program on the other side and not by some buffer in between.
 *
 * @module
 */

import type { Endpoint } from "../endpoint/endpoint.ts";
import type { Link } from "../endpoint/link.ts";
import { AuthError, InvalidPacketError, PeerError } from "../errors.ts";
import { layerLog } from "../log.ts";
import { LateBytes } from "../wire/msgpack_types.ts";
import { idFromDecimal, idToDecimal } from "../wire/remote_peer.ts";
import { encodeStreamLink, parseStreamLink } from "./control.ts";
import { encodeLinkFrame, type LinkFrame, parseLinkFrame } from "./link_frames.ts";
import type { LinkHub, LinkTaker } from "./link_hub.ts";
import type { Participant } from "./participant.ts";
import type { Relay } from "./relay.ts";
import { type PalmTreeSession, sessionName } from "./session.ts";
import { SessionSeal } from "./session_seal.ts";

/** Frames that may come over a link before its own answer is looked at. */
const MAX_EARLY_FRAMES = 16;

/** What the links of a relay are made of. */
export interface StreamLinksOptions {
  /** Connects. */
  readonly endpoint: Endpoint;
  /** Where what comes over links is given out. */
  readonly hub: LinkHub;
  /** The session. */
  readonly session: PalmTreeSession;
  /** Who we are. */
  readonly self: Participant;
  /** Whom to tell what happens. */
  readonly relay: () => Relay;
  /** A link that was made for something else and may be used; it is not closed. */
  readonly borrowed: (peerId: string) => Link | undefined;
  /** What to wait for before more chunks are taken, if anything. */
  readonly room: () => Promise<void> | undefined;
}

interface StreamLink {
  readonly link: Link;
  readonly isBorrowed: boolean;
  /** Frames that came before the link was known to be taken; `undefined` once it is. */
  early: Uint8Array[] | undefined;
  /** Chunks that were not acknowledged: how large each is. */
  readonly onTheWay: Map<number, number>;
}

/** See the module. Peers are named in decimal here. */
export class StreamLinks implements LinkTaker, Disposable {
  readonly #options: StreamLinksOptions;
  readonly #sessionId: string;
  readonly #name: string;
  readonly #seal: SessionSeal;
  readonly #links = new Map<string, StreamLink>();
  readonly #closing = new AbortController();
  readonly #membership: Disposable;
  #writtenBytes = 0;

  /** Has no links. */
  constructor(options: StreamLinksOptions) {
    this.#options = options;
    const { hub, session, self } = options;
    this.#sessionId = String(session.sessionId);
    // Greetings count by themselves: packets overtake what comes over connections.
    const sessionId = `link ${this.#sessionId}`;
    this.#seal = new SessionSeal({ sessionId, key: session.key, self: self.peerId });
    this.#name = sessionName(session.originateId, this.#sessionId);
    this.#membership = hub.join(this.#name, this);
  }

  /** Bytes of chunks that were written, whatever became of them. */
  get writtenBytes(): number {
    return this.#writtenBytes;
  }

  /** Opens a link to a child; the relay learns what comes of it. */
  connect(to: Participant): void {
    this.#connect(to).catch((error) => {
      if (this.#closing.signal.aborted) return;
      const { clock } = this.#options.endpoint;
      const log = layerLog(this.#options.endpoint.log, "palmtree");
      log.debug("a palm tree link could not be opened", { why: String(error) });
      this.#options.relay().linkFailed(to.peerId, clock.now());
    });
  }

  /** Closes the link with somebody, once what was told is written. */
  close(peerId: string): void {
    const entry = this.#links.get(peerId);
    if (entry === undefined) return;
    this.#forget(peerId, entry);
    if (!entry.isBorrowed) this.#hangUp(entry.link);
  }

  /** Sends a small frame. */
  tell(peerId: string, frame: LinkFrame): void {
    const link = this.#links.get(peerId)?.link;
    if (link?.open !== true) return; // the relay learns that it has ended
    link.post("palm.frame", { session: this.#name, frame: encodeLinkFrame(frame) });
  }

  /** Sends a chunk. @param chunk Its bytes; copied before this returns */
  give(peerId: string, index: number, chunk: Uint8Array): void {
    const entry = this.#links.get(peerId);
    if (entry?.link.open !== true) return;
    const data = new LateBytes(chunk.length, (into) => into.set(chunk));
    entry.link.post("palm.chunk", { session: this.#name, index, data })?.catch(() => {});
    entry.onTheWay.set(index, chunk.length);
    this.#writtenBytes += chunk.length;
    this.#options.hub.uplink.begin();
  }

  /** Takes a link that somebody opens. */
  link(greeting: Uint8Array, link: Link): void {
    const { relay, endpoint, borrowed } = this.#options;
    const { payload, sealedBy } = this.#seal.open(greeting);
    const hello = parseStreamLink(payload);
    const from = decimalOf(link);
    const isMeant = hello !== undefined && String(hello.sessionId) === this.#sessionId;
    if (!isMeant || hello.from !== from || sealedBy !== from) {
      throw new AuthError("not-authenticated", "The greeting does not prove who links");
    }
    const before = this.#links.get(from);
    const isBorrowed = borrowed(from) === link;
    const entry = { link, isBorrowed, early: undefined, onTheWay: new Map<number, number>() };
    this.#links.set(from, entry);
    if (!relay().linkOffered(from, endpoint.clock.now())) {
      if (before === undefined) this.#links.delete(from);
      else this.#links.set(from, before);
      throw new AuthError("not-allowed", "The link is not wanted");
    }
    if (before !== undefined && before.link !== link && !before.isBorrowed) {
      this.#hangUp(before.link);
    }
    this.#watch(from, entry);
  }

  /** Takes a frame. */
  frame(payload: Uint8Array, link: Link): void {
    const found = this.#find(link);
    if (found === undefined) return;
    const [peerId, { early }] = found;
    if (early === undefined) return this.#receive(peerId, payload);
    if (early.length >= MAX_EARLY_FRAMES) throw tooEarly();
    early.push(payload.slice());
  }

  /** Takes a chunk. */
  chunk(index: number, data: Uint8Array, link: Link): Promise<void> | undefined {
    const [peerId, entry] = this.#find(link) ?? [];
    if (peerId === undefined || entry?.early !== undefined) return undefined;
    const { relay, endpoint, room } = this.#options;
    relay().frame(peerId, { type: "chunk", index, data }, endpoint.clock.now());
    if (link.open) link.post("palm.taken", { session: this.#name, index });
    return room();
  }

  /** A child has taken a chunk. */
  taken(index: number, link: Link): void {
    const [peerId, entry] = this.#find(link) ?? [];
    const bytes = entry?.onTheWay.get(index);
    if (peerId === undefined || bytes === undefined) return;
    const { relay, endpoint, hub } = this.#options;
    entry?.onTheWay.delete(index);
    hub.uplink.end(bytes);
    relay().sent(peerId, index, endpoint.clock.now());
  }

  /** Gives up what is being opened and closes the links. Harmless when closed. */
  [Symbol.dispose](): void {
    this.#closing.abort();
    for (const peerId of [...this.#links.keys()]) this.close(peerId);
    this.#membership[Symbol.dispose]();
  }

  async #connect({ peerId, active }: Participant): Promise<void> {
    const { endpoint, session, self, relay, borrowed } = this.#options;
    const { signal } = this.#closing;
    const lent = borrowed(peerId);
    const isBorrowed = lent?.open === true;
    const link = isBorrowed ? lent : await endpoint.connect(active, {
      signal,
      expect: (peer) => {
        if (peer.peerId !== hexOf(peerId)) throw somebodyElse();
      },
    });
    const entry: StreamLink = { link, isBorrowed, early: [], onTheWay: new Map() };
    this.#links.set(peerId, entry);
    try {
      const { sessionId, linkWaitMs } = session;
      const hello = { kind: "file", from: self.peerId, sessionId, passive: self.passive } as const;
      const greeting = this.#seal.seal(encodeStreamLink(hello), peerId);
      const asked = { session: this.#name, greeting };
      await link.request("palm.link", asked, { signal, timeoutMs: linkWaitMs });
    } catch (error) {
      this.close(peerId);
      throw error;
    }
    relay().linkUp(peerId, endpoint.clock.now());
    const { early = [] } = entry;
    entry.early = undefined;
    this.#watch(peerId, entry);
    for (const payload of early) this.#receive(peerId, payload);
  }

  #watch(peerId: string, entry: StreamLink): void {
    void entry.link.closed.then(() => {
      if (this.#links.get(peerId) !== entry) return;
      this.#forget(peerId, entry);
      this.#options.relay().linkDown(peerId, this.#options.endpoint.clock.now());
    });
  }

  #receive(peerId: string, payload: Uint8Array): void {
    const { relay, endpoint } = this.#options;
    const nowMs = endpoint.clock.now();
    try {
      relay().frame(peerId, parseLinkFrame(payload), nowMs);
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      layerLog(endpoint.log, "palmtree").warn("closing a palm tree link that broke the protocol", {
        why: error.message,
      });
      this.close(peerId);
      relay().linkDown(peerId, nowMs);
    }
  }

  #find(link: Link): [peerId: string, entry: StreamLink] | undefined {
    const peerId = decimalOf(link);
    const entry = this.#links.get(peerId);
    return entry?.link === link ? [peerId, entry] : undefined;
  }

  #forget(peerId: string, { onTheWay }: StreamLink): void {
    this.#links.delete(peerId);
    for (const _ of onTheWay) this.#options.hub.uplink.end(0);
    onTheWay.clear();
  }

  #hangUp(link: Link): void {
    link.close().catch((error) => {
      layerLog(this.#options.endpoint.log, "palmtree").debug("a palm tree link did not close", {
        error: String(error),
      });
    });
  }
}

/** Who is at the other end, in decimal. */
export function decimalOf({ peer }: Pick<Link, "peer">): string {
  return idToDecimal(Uint8Array.fromHex(peer.peerId));
}

/** The id of a peer as it is written outside of palm trees. */
export function hexOf(peerId: string): string {
  return idFromDecimal(peerId).toHex();
}

function tooEarly(): InvalidPacketError {
  return new InvalidPacketError(
    "bad-message",
    `Cannot read palm tree message: more than ${MAX_EARLY_FRAMES} frames before the link is taken`,
    { details: { field: "frame", limit: "maxEarlyFrames", max: MAX_EARLY_FRAMES } },
  );
}

function somebodyElse(): AuthError {
  return new AuthError("not-authenticated", "Somebody else answers at the address of a child");
}
