/**
 * Somebody who looks for nodes of the DHT, on a network in memory.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { type Contact, contactOf } from "../../src/dht/contact.ts";
import { DhtNode } from "../../src/dht/dht_node.ts";
import { DHT_CAPABILITY } from "../../src/dht/native_wire.ts";
import { HEARD } from "../../src/dht/questions.ts";
import { type DhtDirectory, DhtSeeker } from "../../src/dht/seeker.ts";
import { MemoryStorage } from "../../src/dht/storage.ts";
import { Endpoint } from "../../src/endpoint/endpoint.ts";
import { TimeoutError } from "../../src/errors.ts";
import { Metrics } from "../../src/metrics.ts";
import { type Address, MemoryNetwork } from "../../src/transport/mod.ts";
import { CountingClock, identityOf, Journal } from "../endpoint/fixture.ts";
import { Tap } from "../threats/tap.ts";
import { passing } from "./lookup_fixture.ts";

const SELF = { name: "", agent: "test", capabilities: [] };
/** Where everybody listens, and takes packets. */
export const TCP_PORT = 3485;
export const UDP_PORT = 3486;

/** Who is there. */
export interface QuestOptions {
  /** Hosts of nodes that it knew when it was closed. */
  readonly former?: readonly string[];
  /** Hosts of nodes of members. */
  readonly known?: readonly string[];
  /** Hosts of peers that it is told of. */
  readonly seeds?: readonly string[];
  /** Hosts of peers that discovery finds. */
  readonly around?: readonly (readonly string[])[] | Error;
  /** Nodes that take their time. */
  readonly slow?: Promise<unknown>;
}

/** Somebody who looks for nodes, and what it did, in order. */
export class Quest implements AsyncDisposable {
  readonly clock = new CountingClock();
  readonly network = new MemoryNetwork({ clock: this.clock });
  readonly tap = new Tap(this.network.host("seeker"));
  readonly log = new Journal();
  readonly done: string[] = [];
  /** Hosts with a node that answers. */
  readonly nodes = new Set<string>();
  /** When discovery was asked, and who is being asked now. */
  readonly looks: number[] = [];
  open = 0;
  readonly #stack = new AsyncDisposableStack();
  readonly #options: QuestOptions;
  #parts: { endpoint: Endpoint; node: DhtNode; seeker: DhtSeeker } | undefined;

  private constructor(options: QuestOptions) {
    this.#options = options;
  }

  static async begin(options: QuestOptions = {}): Promise<Quest> {
    const quest = new Quest(options);
    const { clock, log, tap } = quest;
    const { former = [], known = [], seeds = [] } = options;
    const endpoint = await quest.#endpoint("seeker", tap);
    const storage = new MemoryStorage();
    storage.saveContacts(former.map(contactAt));
    const node = quest.#stack.use(
      new DhtNode({
        ...{ self: identityOf("seeker").id, storage, clock, log, metrics: new Metrics() },
        wire: {
          ask: async ({ address }, { type }) => {
            await quest.#answer(type, address);
            return HEARD;
          },
          meet: async (address) => await quest.#answer("meet", address),
        },
      }),
    );
    const directory: DhtDirectory | undefined = options.around && {
      find: ({ signal }) => quest.#find(signal),
    };
    const seeker = new DhtSeeker({
      ...{ clock, endpoint, node, directory },
      seeds: seeds.map((hostname) => ({ hostname, port: TCP_PORT })),
      known: () => known.map(nodeAt),
    });
    quest.#stack.defer(() => seeker.close());
    quest.#parts = { endpoint, node, seeker };
    return quest;
  }

  get seeker(): DhtSeeker {
    return this.#all.seeker;
  }

  get node(): DhtNode {
    return this.#all.node;
  }

  get endpoint(): Endpoint {
    return this.#all.endpoint;
  }

  /** A peer on a host, which has a node there, and says what it is told to when it is asked where. */
  async peer(
    host: string,
    where: () => unknown = () => ({ udp: UDP_PORT }),
    capabilities: readonly string[] = [DHT_CAPABILITY],
  ): Promise<Endpoint> {
    const endpoint = await this.#endpoint(host);
    for (const capability of capabilities) endpoint.offer(capability);
    endpoint.handle("dht.where", () => {
      this.done.push(`where ${host}`);
      return where();
    });
    this.nodes.add(host);
    return endpoint;
  }

  /** Who was met, or tried to be. */
  get met(): string[] {
    return this.done.flatMap((one) => one.startsWith("meet ") ? one.slice(5) : []);
  }

  async look(): Promise<void> {
    await passing(this.clock, this.seeker.look());
  }

  /** What went wrong besides those who are not there. */
  get warnings(): string[] {
    return this.log.lines.flatMap(({ level, message, fields }) => {
      return level === "debug" ? [] : `${message} ${fields.why}`;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await passing(this.clock, this.#stack.disposeAsync());
    this.network.close();
    assertEquals(this.open, 0, "discovery goes on");
    assertEquals(this.clock.timers, 0, "a timer is left");
  }

  get #all() {
    if (this.#parts === undefined) throw new TypeError("It has not begun");
    return this.#parts;
  }

  async #endpoint(host: string, transport = this.network.host(host)): Promise<Endpoint> {
    const { clock, log } = this;
    const identity = identityOf(host);
    const limits = { heartbeatMs: Infinity };
    const how = { identity, transport, clock, log, limits, self: SELF, port: TCP_PORT };
    return this.#stack.use(await Endpoint.open(how));
  }

  async #answer(what: string, { hostname, port }: Address): Promise<Contact> {
    if (what !== "find-node") this.done.push(`${what} ${hostname}`);
    await this.#options.slow;
    if (!this.nodes.has(hostname) || port !== UDP_PORT) throw new TimeoutError("Nobody is there");
    return contactAt(hostname);
  }

  async *#find(signal: AbortSignal) {
    const { around = [] } = this.#options;
    this.looks.push(this.clock.now());
    this.done.push("look");
    this.open++;
    try {
      if (around instanceof Error) throw around;
      for (const hosts of around) {
        const addresses = hosts.map((hostname) => ({ hostname, port: TCP_PORT }));
        yield { peerId: identityOf(hosts[0] ?? "").peerId, addresses };
      }
      const { promise, resolve } = Promise.withResolvers<void>();
      if (signal.aborted) return;
      signal.addEventListener("abort", () => resolve(), { once: true });
      await promise;
    } finally {
      this.open--;
    }
  }
}

function nodeAt(hostname: string): Address {
  return { hostname, port: UDP_PORT };
}

/** The node on a host. */
export function contactAt(hostname: string): Contact {
  return contactOf(identityOf(hostname).id, nodeAt(hostname), { tcpPort: TCP_PORT });
}
