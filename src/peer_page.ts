/**
 * What pages see of a peer and have it do.
 *
 * @module
 */

import type { Discovery } from "./discovery/discovery.ts";
import type { Endpoint } from "./endpoint/endpoint.ts";
import { limitError } from "./endpoint/limits.ts";
import type { Link } from "./endpoint/link.ts";
import type { WebPort } from "./endpoint/web.ts";
import { layerLog } from "./log.ts";
import type { Membership } from "./membership/membership.ts";
import type { PageParts, PagePeer } from "./page/options.ts";
import type { SendFilesOptions } from "./peer_options.ts";
import type { ReachOptions } from "./reach.ts";
import { connectSession } from "./session/native.ts";
import type { Address } from "./transport/transport.ts";

/** Connections that pages have opened and keep, an eighth of all that an endpoint has. */
const MAX_KEPT_LINKS = 64;

/** How long a peer may take to answer an offer of a text, or to say that it has it, in milliseconds. */
const TEXT_MS = 10_000;

/** The peer, as far as pages have to do with it. */
export interface PageHost {
  /** Who is connected, and what opens a session. */
  readonly endpoint: Endpoint;
  /** Looks around. */
  readonly discovery: Pick<Discovery, "find">;
  /** Who is in the group; `undefined` while it has joined none. */
  readonly membership: Membership | undefined;
  /** Connects. */
  link(target: string, options?: ReachOptions): Promise<Link>;
  /** Sends files. */
  send(paths: readonly string[], options: SendFilesOptions): Promise<unknown>;
}

/**
 * The parts that a page needs of a peer.
 *
 * @param web Where pages come in. @throws {TypeError} when there is none.
 */
export function pageParts(host: PageHost, web: Pick<WebPort, "take"> | undefined): PageParts {
  if (web === undefined) throw new TypeError("Cannot serve pages: the peer has no web port (web)");
  const { endpoint, discovery } = host;
  const { clock, metrics } = endpoint;
  const log = layerLog(endpoint.log, "page");
  const kept = new KeptLinks(host);
  return {
    web,
    clock,
    log,
    metrics,
    peers: () => eachOnce([...present(host.membership), ...endpoint.peers.list()]),
    find: (options) => found(discovery, options),
    async connect(peerId, options) {
      const { peer, remote } = await kept.connect(peerId, options);
      return seen({ ...peer, addresses: [remote] });
    },
    sendText: (peerId, text, options) => sendText(host, peerId, text, options),
    async sendPaths(peerId, paths, { signal, onProgress }) {
      await host.send(paths, { to: peerId, signal, onProgress });
    },
  };
}

/** A peer as the group, the connections and discovery know it alike. */
interface Sighting {
  readonly peerId: string;
  readonly name: string;
  readonly addresses: readonly Address[];
}

function seen({ peerId, name, addresses }: Sighting): PagePeer {
  return { peerId, name, ip: addresses[0]?.hostname ?? "" };
}

/** Of two sightings of one peer the first counts. */
function eachOnce(sightings: readonly Sighting[]): PagePeer[] {
  const peers = new Map<string, PagePeer>();
  for (const sighting of sightings) {
    if (!peers.has(sighting.peerId)) peers.set(sighting.peerId, seen(sighting));
  }
  return [...peers.values()];
}

/** Members that are there as far as is known; the first of all is this peer itself. */
function present(membership: Membership | undefined): Sighting[] {
  const [, ...others] = membership?.members() ?? [];
  return others.filter(({ state }) => state === "alive" || state === "suspect");
}

async function* found(
  discovery: Pick<Discovery, "find">,
  options: { signal: AbortSignal },
): AsyncGenerator<PagePeer> {
  for await (const peer of discovery.find(options)) yield seen(peer);
}

/** Sends a text as `kith msg` does: in a session of its own, which ends when the other side has taken it. */
async function sendText(
  host: PageHost,
  peerId: string,
  text: string,
  { signal }: { signal: AbortSignal },
): Promise<void> {
  await using link = await host.link(peerId, { signal });
  const giveUp = () => void link.close();
  signal.addEventListener("abort", giveUp, { once: true });
  try {
    const terms = { dataType: "json", timeoutMs: TEXT_MS, signal } as const;
    const session = await connectSession(host.endpoint, link, terms);
    await session.send(text);
    await session.close("", { timeoutMs: TEXT_MS });
  } finally {
    signal.removeEventListener("abort", giveUp);
  }
}

/** The connections that pages have asked for: one to each peer, until either side closes it or pages are served no more. */
class KeptLinks {
  readonly #host: PageHost;
  readonly #links = new Map<string, Promise<Link>>();

  constructor(host: PageHost) {
    this.#host = host;
  }

  async connect(peerId: string, options: { signal: AbortSignal }): Promise<Link> {
    return await (this.#links.get(peerId) ?? this.#open(peerId, options));
  }

  #open(peerId: string, options: { signal: AbortSignal }): Promise<Link> {
    if (this.#links.size >= MAX_KEPT_LINKS) {
      const what = `Cannot connect: pages keep ${MAX_KEPT_LINKS} connections already`;
      throw limitError(what, "maxKeptLinks", MAX_KEPT_LINKS);
    }
    const opening = this.#host.link(peerId, options);
    this.#links.set(peerId, opening);
    const forget = () => void this.#links.delete(peerId);
    opening.then((link) => this.#keep(link, options.signal).then(forget), forget);
    return opening;
  }

  /** Waits until the link is closed, at the latest when pages are served no more. */
  async #keep(link: Link, signal: AbortSignal): Promise<void> {
    const close = () => void link.close();
    signal.addEventListener("abort", close, { once: true });
    if (signal.aborted) close();
    await link.closed;
    signal.removeEventListener("abort", close);
  }
}
