/**
 * Nodes that ask each other by mere calls, on a clock that moves when told to.
 *
 * @module
 */

import { ManualClock, seededRandom } from "../../src/clock.ts";
import { type Contact, contactOf } from "../../src/dht/contact.ts";
import { DhtNode } from "../../src/dht/dht_node.ts";
import type { NodeId } from "../../src/dht/node_id.ts";
import type { DhtTuning } from "../../src/dht/options.ts";
import type { Answer, Asker, DhtWire, Question } from "../../src/dht/questions.ts";
import type { DhtRecord } from "../../src/dht/record.ts";
import { MemoryStorage } from "../../src/dht/storage.ts";
import { NotFoundError, PeerError, RemoteError, TimeoutError } from "../../src/errors.ts";
import { type Logger, silentLogger } from "../../src/log.ts";
import { Metrics } from "../../src/metrics.ts";
import type { Address } from "../../src/transport/transport.ts";
import { randomId } from "./lookup_fixture.ts";

/** What a node of the web has besides. */
export interface WebNode {
  readonly node: DhtNode;
  readonly contact: Contact;
  readonly storage: MemoryStorage;
  /** Questions that it was asked. */
  readonly heard: Question["type"][];
}

/** How a node is opened. */
export interface WebNodeOptions {
  readonly tuning?: Partial<DhtTuning>;
  readonly storage?: MemoryStorage;
  readonly id?: NodeId;
  readonly hostname?: string;
  readonly renew?: (record: DhtRecord) => DhtRecord;
  readonly log?: Logger;
  /** Says what it does instead of answering; `undefined` for what it would. @throws {PeerError} to refuse. */
  readonly answer?: (question: Question) => Answer | undefined;
}

/** At least three of them. */
export type Three = [WebNode, WebNode, WebNode, ...WebNode[]];

/** A network of them. */
export class Web implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly random = seededRandom(11);
  readonly nodes: WebNode[] = [];
  /** Nodes that answer nothing. */
  readonly dead = new Set<string>();
  readonly #byPlace = new Map<
    string,
    { readonly web: WebNode; readonly options: WebNodeOptions }
  >();

  /** Adds a node that knows nobody. */
  add(options: WebNodeOptions = {}): WebNode {
    const { tuning, storage = new MemoryStorage(), renew, log = silentLogger } = options;
    const { id = randomId(this.random), hostname = `10.0.0.${this.nodes.length + 1}` } = options;
    const contact = contactOf(id, { hostname, port: 3486 });
    const parts = { self: id, wire: this.#wireOf(contact), storage, clock: this.clock, log };
    const node = new DhtNode({
      ...parts,
      metrics: new Metrics(),
      ...(renew === undefined ? {} : { renew }),
    }, tuning);
    const web: WebNode = { node, contact, storage, heard: [] };
    this.nodes.push(web);
    this.#byPlace.set(hostname, { web, options });
    return web;
  }

  /** Adds three nodes or more that have joined by the first, and waits until whoever was asked back has answered. */
  async grow(count: number, options: WebNodeOptions = {}): Promise<Three> {
    const added: WebNode[] = [];
    for (let n = 0; n < count; n++) {
      const web = this.add(options);
      added.push(web);
      const [first] = this.nodes;
      if (first !== undefined && first !== web) await web.node.join([first.contact.address]);
    }
    await this.clock.advance(100);
    return added as Three;
  }

  /** The node that was added at a place. */
  at(place: number): WebNode {
    const node = this.nodes[place];
    if (node === undefined) throw new RangeError(`There is no node ${place}`);
    return node;
  }

  /** The nodes nearest to an id, by a look at all. */
  nearest(target: NodeId, count: number): WebNode[] {
    const far = ({ contact: { id } }: WebNode) =>
      BigInt("0x" + id.toHex()) ^ BigInt("0x" + target.toHex());
    return this.nodes.toSorted((a, b) => far(a) < far(b) ? -1 : 1).slice(0, count);
  }

  /** Those that keep something under a key. */
  holders(key: NodeId): WebNode[] {
    return this.nodes.filter(({ node }) => node.keeper.get(key).length > 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { node } of this.nodes) await node.close();
  }

  #wireOf(self: Contact): DhtWire {
    const ask = async (
      to: Address,
      question: Question,
      key?: string,
    ): Promise<[Answer, Contact]> => {
      await Promise.resolve();
      const there = this.#byPlace.get(to.hostname);
      if (there === undefined || this.dead.has(there.web.contact.key) || this.dead.has(self.key)) {
        throw new TimeoutError("Nobody answers there");
      }
      const { web, options } = there;
      if (key !== undefined && key !== web.contact.key) {
        throw new NotFoundError("no-peer", "Another node is there");
      }
      const asker: Asker = { address: self.address, contact: self };
      web.heard.push(question.type);
      try {
        return [options.answer?.(question) ?? web.node.answer(question, asker), web.contact];
      } catch (error) {
        if (!(error instanceof PeerError)) throw error;
        throw new RemoteError(error.code, error.message, { details: error.details });
      }
    };
    return {
      ask: async ({ address, key }, question) => (await ask(address, question, key))[0],
      meet: async (address) => (await ask(address, { type: "ping" }))[1],
      give: async ({ address, key }, gift) => {
        await ask(address, { type: "store", ...gift }, key).catch(() => {});
      },
    };
  }
}
