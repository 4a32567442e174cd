/**
 * What comes over the links of one endpoint that palm trees run on, and goes to the session that it belongs to.
 *
 * | message      | body                     | answer                                               |
 * |--------------|--------------------------|------------------------------------------------------|
 * | `palm.link`  | `{ session, greeting }`  | none in it; an error when the link is not wanted     |
 * | `palm.frame` | `{ session, frame }`     | none: a frame of `link_frames.ts`, but no chunk      |
 * | `palm.chunk` | `{ session, index, data }` | none: a chunk                                      |
 * | `palm.taken` | `{ session, index }`     | none: that chunk was looked at, more may be on the way |
 *
 * `session` is the name of the session, the sender's id and its own. The greeting is the stream link of the originals with a seal, which proves that whoever links was informed of the session.
 *
 * @module
 */

import { linkOf, type RequestContext } from "../endpoint/dispatcher.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";
import type { Link } from "../endpoint/link.ts";
import { InvalidPacketError, NotFoundError } from "../errors.ts";
import type { MessageBody } from "../wire/message.ts";
import { UplinkMeter } from "./uplink.ts";

/** What a session does with what comes. */
export interface LinkTaker {
  /** Somebody wants to link to us. @throws {PeerError} when it may not */
  link(greeting: Uint8Array, link: Link): void;
  /** A frame; a view that is valid until this returns. */
  frame(payload: Uint8Array, link: Link): void;
  /** A chunk; a view that is valid until this returns. @returns what to wait for before more is taken, if anything */
  chunk(index: number, data: Uint8Array, link: Link): Promise<void> | undefined;
  /** The other side has looked at a chunk. */
  taken(index: number, link: Link): void;
}

const hubs = new WeakMap<Endpoint, LinkHub>();

/** The sessions of one endpoint; see the module. */
export class LinkHub {
  /** How fast the peer sends, measured in all its sessions. */
  readonly uplink: UplinkMeter;
  readonly #endpoint: Endpoint;
  readonly #sessions = new Map<string, LinkTaker>();
  #handlers: DisposableStack | undefined;

  private constructor(endpoint: Endpoint) {
    this.#endpoint = endpoint;
    this.uplink = new UplinkMeter(endpoint.clock);
  }

  /** The hub of an endpoint: there is one. */
  static of(endpoint: Endpoint): LinkHub {
    const hub = hubs.get(endpoint) ?? new LinkHub(endpoint);
    hubs.set(endpoint, hub);
    return hub;
  }

  /** Begins to give a session what comes for it. @returns what ends that @throws {TypeError} when it is there already */
  join(name: string, taker: LinkTaker): Disposable {
    if (this.#sessions.has(name)) throw new TypeError("There is such a session already");
    this.#handlers ??= this.#listen();
    this.#sessions.set(name, taker);
    return {
      [Symbol.dispose]: () => {
        this.#sessions.delete(name);
        if (this.#sessions.size > 0) return;
        this.#handlers?.dispose();
        this.#handlers = undefined;
      },
    };
  }

  #listen(): DisposableStack {
    const handlers = new DisposableStack();
    // The session's key says who may.
    const access = "public";
    const handle = (
      header: string,
      take: (taker: LinkTaker, body: MessageBody, call: RequestContext) => unknown,
      inline: boolean,
    ) => {
      handlers.use(this.#endpoint.handle(header, (body, call) => {
        const taker = this.#sessions.get(String(body.session));
        if (taker !== undefined) return take(taker, body, call);
        if (inline) return undefined; // a session that is over: the rest still arrives
        throw new NotFoundError("no-path", "There is no such palm tree here");
      }, { access, inline }));
    };
    handle("palm.link", (taker, { greeting }, call) => {
      taker.link(bytesOf(greeting, "greeting"), linkOf(call));
    }, false);
    handle("palm.frame", (taker, { frame }, call) => {
      taker.frame(bytesOf(frame, "frame"), linkOf(call));
    }, true);
    handle("palm.chunk", (taker, { index, data }, call) => {
      return taker.chunk(numberOf(index), bytesOf(data, "data"), linkOf(call));
    }, true);
    handle("palm.taken", (taker, { index }, call) => {
      taker.taken(numberOf(index), linkOf(call));
    }, true);
    return handlers;
  }
}

function bytesOf(value: unknown, field: string): Uint8Array {
  if (value instanceof Uint8Array) return value;
  throw bad(field, "bin");
}

function numberOf(value: unknown): number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
  throw bad("index", "an integer of 0 or more");
}

function bad(field: string, what: string): InvalidPacketError {
  return new InvalidPacketError(
    "bad-message",
    `Cannot read palm tree message: ${field}: it is not ${what}`,
    { details: { field } },
  );
}
