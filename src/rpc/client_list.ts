/**
 * Who is connected to a server: native clients by themselves, those of other dialects as they are taken in.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import type { PeerInfo } from "../endpoint/handshake.ts";
import type { Link } from "../endpoint/link.ts";
import { LimitError } from "../errors.ts";
import type { Address } from "../transport/transport.ts";
import { MESH_CAPABILITY } from "./mesh.ts";

/** A client. */
export interface ClientInfo {
  /** Drawn when it connected. */
  readonly clientId: string;
  /** Where it is. */
  readonly address: Address;
  /** When it connected, in milliseconds since 1970. */
  readonly connectedAt: number;
  /** The label that it gave itself, empty where it gave none. */
  readonly name: string;
  /** What it speaks: `native`, or a dialect such as `witch`. */
  readonly dialect: string;
}

/** What is known of a client that is taken in by hand. */
export interface NewClient {
  /** Where it is. */
  readonly address: Address;
  /** What it speaks, such as `witch`. */
  readonly dialect: string;
  /** What to call it. @default a new UUID */
  readonly clientId?: string;
  /** The label that it gave itself. @default {""} */
  readonly name?: string;
}

/** A client that was taken in by hand; disposing of it says that it has gone. */
export interface AdoptedClient extends ClientInfo, Disposable {}

/** The clients of one server. */
export class ClientList {
  readonly #max: number;
  readonly #clock: Clock;
  readonly #clients = new Map<string, ClientInfo>();
  readonly #byLink = new WeakMap<Link, ClientInfo>();

  /** No clients yet. @param max How many there may be. */
  constructor(max: number, clock: Clock) {
    this.#max = max;
    this.#clock = clock;
  }

  /** How many there are. */
  get size(): number {
    return this.#clients.size;
  }

  /** Those there are, the oldest first. */
  list(): ClientInfo[] {
    return [...this.#clients.values()];
  }

  /** Makes sure that a peer that connects may. @throws {LimitError} `limit` when it is a client and there is no room. */
  check(peer: PeerInfo): void {
    if (isClient(peer)) this.#checkRoom();
  }

  /** Notes a link. Only one that a client opened counts, but calls may come on any. */
  addLink(link: Link): void {
    const { peer, remote } = link;
    const client = this.#make({ address: remote, dialect: "native", name: peer.name });
    this.#byLink.set(link, client);
    if (link.direction !== "in" || !isClient(peer)) return;
    this.#clients.set(client.clientId, client);
    void link.closed.then(() => this.#clients.delete(client.clientId));
  }

  /** Takes a client of another dialect in. @throws {LimitError} `limit` when there is no room. */
  adopt(newcomer: NewClient): AdoptedClient {
    this.#checkRoom();
    const client = this.#make(newcomer);
    this.#clients.set(client.clientId, client);
    return { ...client, [Symbol.dispose]: () => void this.#clients.delete(client.clientId) };
  }

  /** The client of that id, while it is connected. */
  get(clientId: string): ClientInfo | undefined {
    return this.#clients.get(clientId);
  }

  /** Who is on the other side of a link. */
  of(link: Link): ClientInfo | undefined {
    return this.#byLink.get(link);
  }

  #make({ address, dialect, clientId, name = "" }: NewClient): ClientInfo {
    const connectedAt = this.#clock.wallMs();
    return { clientId: clientId ?? crypto.randomUUID(), address, connectedAt, name, dialect };
  }

  #checkRoom(): void {
    if (this.#clients.size < this.#max) return;
    throw new LimitError("limit", `There are ${this.#max} clients already (maxClients)`, {
      details: { limit: "maxClients", max: this.#max },
    });
  }
}

/** Servers of a mesh are peers. That is a claim; how many connections there may be in all is the endpoint's limit. */
function isClient({ capabilities }: PeerInfo): boolean {
  return !capabilities.includes(MESH_CAPABILITY);
}
