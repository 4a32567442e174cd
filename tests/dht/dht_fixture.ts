/**
 * Peers with a DHT on a network in memory, whose time a test makes.
 *
 * @module
 */

import { assert } from "@std/assert";
import { Dht } from "../../src/dht/dht.ts";
import type { DhtOptions, DhtParts } from "../../src/dht/dht_options.ts";
import { NativeWire } from "../../src/dht/native_wire.ts";
import type { Answer, Question } from "../../src/dht/questions.ts";
import { type DhtRecord, signedKey } from "../../src/dht/record.ts";
import { MemoryStorage } from "../../src/dht/storage.ts";
import { Endpoint } from "../../src/endpoint/endpoint.ts";
import { UdpPort } from "../../src/endpoint/udp_port.ts";
import { Identity } from "../../src/secure/identity.ts";
import { type Address, MemoryNetwork } from "../../src/transport/mod.ts";
import { CountingClock, Journal } from "../endpoint/fixture.ts";
import { passing } from "./lookup_fixture.ts";
import { itemOf } from "./record_fixture.ts";

/** Where each listens, and takes packets. */
export const TCP_PORT = 3485;
export const UDP_PORT = 3486;

/** Where a peer on a host accepts connections. */
export function doorOf(hostname: string): Address {
  return { hostname, port: TCP_PORT };
}

/** Where its node takes packets. */
export function nodeOf(hostname: string): Address {
  return { hostname, port: UDP_PORT };
}

/** How somebody is opened. */
export interface VillagerOptions
  extends DhtOptions, Partial<Pick<DhtParts, "allowPlain" | "directory" | "known">> {
  readonly identity?: Identity;
  readonly storage?: MemoryStorage;
  /** Hosts of peers that it knows of. */
  readonly seeds?: readonly string[];
  readonly clientOnly?: boolean;
}

/** Somebody with a DHT. */
export interface Villager {
  readonly host: string;
  readonly dht: Dht;
  readonly identity: Identity;
  readonly peerId: string;
  readonly endpoint: Endpoint;
  readonly udp: UdpPort;
  readonly storage: MemoryStorage;
  readonly log: Journal;
}

const SELF = { name: "", agent: "test", capabilities: [] };

/** The peers. */
export class Village implements AsyncDisposable {
  readonly clock = new CountingClock();
  readonly network = new MemoryNetwork({ clock: this.clock });
  readonly villagers: Villager[] = [];
  readonly #stack = new AsyncDisposableStack();
  readonly #keys = new Map<string, Identity>();

  /** Somebody on a host, who does nothing yet. Its id is always that of its host. */
  async open(host: string, options: VillagerOptions = {}): Promise<Villager> {
    const { identity = this.#identityOf(host), storage = new MemoryStorage() } = options;
    const { mode = "server", tuning = {}, clientOnly = false, seeds = [] } = options;
    const log = new Journal();
    const endpoint = await this.#endpoint(host, { identity, log, clientOnly });
    const udp = await this.#udp(host, endpoint);
    const { allowPlain = false, directory, known = () => [] } = options;
    const dht = new Dht({
      ...{ endpoint, udp, identity, storage, allowPlain, directory, known },
      hosts: () => [host],
      canServe: () => !clientOnly,
      seeds: seeds.map(doorOf),
    }, { mode, tuning });
    this.#stack.use(dht);
    const { peerId } = identity;
    const villager = { host, dht, identity, peerId, endpoint, udp, storage, log };
    this.villagers.push(villager);
    return villager;
  }

  /** Some who all know each other. */
  async crowd(hosts: readonly string[], options: VillagerOptions = {}): Promise<Villager[]> {
    const [first = ""] = hosts;
    const crowd: Villager[] = [];
    for (const host of hosts) {
      const villager = await this.open(host, { seeds: host === first ? [] : [first], ...options });
      crowd.push(villager);
      await this.run(villager.dht.join());
    }
    await this.clock.advance(1_000); // who has come is asked back
    return crowd;
  }

  /** A node that proves who it is, and answers what it likes. */
  async stranger(host: string, answer: (question: Question) => Answer): Promise<Identity> {
    const identity = this.#identityOf(host);
    const endpoint = await this.#endpoint(host, { identity, log: new Journal() });
    const udp = await this.#udp(host, endpoint);
    const wire = new NativeWire({
      ...{ endpoint, udp, identity, answer, allowPlain: true },
      hosts: () => [host],
      isServer: () => true,
    });
    this.#stack.use(wire).serve();
    return identity;
  }

  /** An endpoint on a host, that is closed in the end. */
  async endpoint(host: string): Promise<Endpoint> {
    return await this.#endpoint(host, { identity: this.#identityOf(host), log: new Journal() });
  }

  /** Lets time pass until something is done. */
  async run<T>(work: Promise<T>): Promise<T> {
    return await passing(this.clock, work);
  }

  /** Lets time pass until something has failed. @returns why. */
  async failure(work: Promise<unknown>): Promise<Error> {
    return await this.run(work.then(() => {
      throw new Error("It did not fail");
    }, (error) => error));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.run(this.#stack.disposeAsync());
    this.network.close();
  }

  #identityOf(host: string): Identity {
    let identity = this.#keys.get(host);
    if (identity === undefined) {
      const seed = new Uint8Array(32);
      new TextEncoder().encodeInto(host, seed);
      this.#keys.set(host, identity = Identity.fromSeed(seed));
    }
    return identity;
  }

  async #endpoint(
    host: string,
    options: { identity: Identity; log: Journal; clientOnly?: boolean },
  ): Promise<Endpoint> {
    const endpoint = await Endpoint.open({
      ...options,
      transport: this.network.host(host),
      clock: this.clock,
      self: SELF,
      port: TCP_PORT,
      limits: { heartbeatMs: Infinity },
    });
    return this.#stack.use(endpoint);
  }

  async #udp(host: string, endpoint: Endpoint): Promise<UdpPort> {
    const transport = this.network.host(host);
    return this.#stack.use(await UdpPort.open(endpoint, { transport, port: UDP_PORT }));
  }
}

/** The versions of the shared value of a name that somebody keeps, by author. */
export function versionsAt({ storage }: Villager, name: string): Record<string, number> {
  const items = storage.get(signedKey("shared", name, "").toHex());
  return Object.fromEntries(items.flatMap(({ record }) => {
    return record.kind === "signed" ? [[record.slot, record.seq]] : [];
  }));
}

/** Three who know each other. */
export async function three(village: Village): Promise<[Villager, Villager, Villager]> {
  const [ann, bob, carol] = await village.crowd(["ann", "bob", "carol"]);
  assert(ann && bob && carol);
  return [ann, bob, carol];
}

/** Has somebody keep a record, however it came there. */
export function plant({ storage }: Villager, record: DhtRecord, expiresMs: number): void {
  storage.put(itemOf(record, { expiresMs, dueMs: expiresMs }));
}
