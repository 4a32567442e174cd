/**
 * The DHT of a peer: values and peers that are found without a server, at any size.
 *
 * @module
 */

import { ClosedError } from "../errors.ts";
import { layerLog, printable } from "../log.ts";
import { decode, encode } from "../wire/msgpack.ts";
import { assertCas, assertTtl, Author, PROVIDER_TTL_S } from "./author.ts";
import type { Contact } from "./contact.ts";
import type {
  DhtEntry,
  DhtGetOptions,
  DhtMode,
  DhtOptions,
  DhtParts,
  DhtProvider,
  DhtPut,
  DhtPutOptions,
  DhtStat,
  DhtValue,
} from "./dht_options.ts";
import { DhtNode } from "./dht_node.ts";
import type { LookupEvent } from "./lookup_events.ts";
import { NativeWire } from "./native_wire.ts";
import { fromKey, type NodeId, toKey } from "./node_id.ts";
import { Promotion } from "./promotion.ts";
import { providerOf, providerValue } from "./provider.ts";
import { Publisher, type Publishing } from "./publisher.ts";
import { read } from "./reading.ts";
import {
  type DhtRecord,
  immutableRecord,
  normalName,
  plainKey,
  plainRecord,
  signedKey,
} from "./record.ts";
import { DhtSeeker } from "./seeker.ts";
import { statOf } from "./stat.ts";
import { valueOf } from "./value.ts";

/** A key as text. */
const KEY = /^[0-9a-fA-F]{40}$/;

/**
 * The DHT of a peer; see the module.
 *
 * Values are anything MessagePack can write, up to 64 KiB. What is put under a name is signed: several can put something
 * under the same one, each in a place of its own, and only its author can change it.
 *
 * @example
 * ```ts
 * import { Peer } from "@kith/kith";
 * import { assertEquals } from "@std/assert";
 *
 * const options = { hostname: "127.0.0.1", port: 0, announce: false };
 * await using bob = await Peer.open(options);
 * await using alice = await Peer.open(options);
 * const nodesAt = ({ udpAddress }: Peer) => udpAddress === undefined ? [] : [udpAddress];
 * await alice.dht.join({ nodes: nodesAt(bob) }); // without them it looks around
 * await bob.dht.join({ nodes: nodesAt(alice) });
 *
 * await alice.dht.put("greeting", "hello");
 * const found = await bob.dht.get("greeting");
 * assertEquals([found?.value, found?.author], ["hello", alice.peerId]);
 * ```
 */
export class Dht implements AsyncDisposable {
  readonly #parts: DhtParts;
  readonly #node: DhtNode;
  readonly #wire: NativeWire;
  readonly #seeker: DhtSeeker;
  readonly #promotion: Promotion;
  readonly #author: Author;
  readonly #publisher: Publisher;
  readonly #ttlS: number;
  #joining: Promise<void> | undefined;
  #closed: Promise<void> | undefined;

  /** Takes part as soon as somebody joins or asks for something. */
  constructor(parts: DhtParts, options: DhtOptions = {}) {
    const { endpoint, udp, identity, hosts, storage, allowPlain } = parts;
    const { clock, metrics } = endpoint;
    const log = layerLog(endpoint.log, "dht");
    const { mode = "server", tuning = {} } = options;
    this.#parts = parts;
    this.#promotion = new Promotion({
      clock,
      mode: parts.canServe() ? mode : "client",
      promote: () => this.#serve(),
    });
    this.#wire = new NativeWire({
      ...{ endpoint, udp, identity, hosts, allowPlain },
      isServer: () => this.#promotion.isServer,
      answer: (question, asker) => this.#node.answer(question, asker),
    });
    const renew = (record: DhtRecord) => this.#author.renew(record);
    const common = { storage, clock, log, metrics, wire: this.#wire, renew };
    this.#node = new DhtNode({ ...common, self: identity.id }, tuning);
    this.#ttlS = this.#node.tuning.ttlS;
    this.#author = new Author(identity, clock, this.#ttlS);
    this.#publisher = new Publisher({
      node: this.#node,
      author: this.#author,
      ttlS: this.#ttlS,
      serves: () => this.mode === "server",
      log,
    });
    const { seeds, directory, known } = parts;
    this.#seeker = new DhtSeeker({ clock, endpoint, node: this.#node, seeds, directory, known });
  }

  /** Whether others ask it, or it only asks. */
  get mode(): DhtMode {
    return this.#promotion.isServer ? "server" : "client";
  }

  /**
   * Takes part from now on: looks for nodes among those of former times, in the group, at the peer's seeds, and by
   * discovery; or, where it is told of any, only there. Harmless when it does already.
   *
   * @returns how many nodes are known.
   */
  async join({ nodes = [], peers = [] }: DhtEntry = {}): Promise<number> {
    this.#assertOpen();
    this.#promotion.begin();
    this.#node.start();
    if (nodes.length + peers.length > 0) {
      await this.#seeker.meet(peers);
      await this.#node.join(nodes);
    } else {
      this.#joining ??= this.#seeker.look();
      await this.#joining;
    }
    return this.#node.table.size;
  }

  /**
   * Puts a value under a name, signed by us.
   *
   * @param value What MessagePack can write, at most 64 KiB.
   * @returns where it is, and who keeps it.
   * @throws {RangeError} when the name has more than 255 bytes, the value more than 64 KiB, or a number is out of range.
   * @throws {TypeError} for a name with control characters, and for what MessagePack cannot write.
   * @throws {NotFoundError} `no-peer` when nobody is there, and this peer is none that others ask.
   * @throws {RemoteError} when all refuse: `not-allowed` where a newer one is there, or another than `cas` says.
   */
  async put(name: string, value: unknown, options: DhtPutOptions = {}): Promise<DhtPut> {
    const { own = false, plain = false, cas, ttlS = this.#ttlS } = options;
    assertTtl(ttlS);
    if (cas !== undefined) assertCas(cas);
    if (plain && cas !== undefined) throw new TypeError("What nobody signs has no versions: cas");
    const atLeast = cas === undefined ? 0 : cas + 1;
    const [normal, bytes] = [normalName(name), bytesOf(value)];
    const record = plain
      ? this.#plainRecord(normal, bytes)
      : this.#author.sign(own ? "own" : "shared", normal, bytes, { ttlS, atLeast });
    return await this.#put(record, { ...options, isRenewed: options.ttlS === undefined });
  }

  /**
   * Puts a value that its key is the hash of, so that nobody can change it. @returns its key in `key`, and who keeps it.
   *
   * @throws as {@linkcode Dht.put}.
   */
  async store(
    value: unknown,
    options: Omit<DhtPutOptions, "own" | "plain" | "cas"> = {},
  ): Promise<DhtPut> {
    if (options.ttlS !== undefined) assertTtl(options.ttlS);
    const isRenewed = options.ttlS === undefined;
    return await this.#put(immutableRecord(bytesOf(value)), { ...options, isRenewed });
  }

  /**
   * The value of a name: `author`'s; where nobody is named our own, else that of the author who comes first by id. `others`
   * has those of everybody else.
   *
   * @param options With `own`, what its author put with `own`; with `plain`, what was put with `plain`.
   * @returns `undefined` where there is none. @throws {TypeError} when `author` is no peer id.
   */
  async get(name: string, options: DhtGetOptions = {}): Promise<DhtValue | undefined> {
    const { author, own = author !== undefined, plain = false } = options;
    const whose = author === undefined ? this.#parts.identity.peerId : toKey(idOf(author));
    const normal = normalName(name);
    await this.#ready();
    const key = plain ? plainKey(normal) : signedKey(own ? "own" : "shared", normal, whose);
    const meant = plain ? "plain" : "signed";
    const isMeant = ({ kind }: DhtRecord) => kind === meant;
    const found = valueOf(await read(this.#node, key, { ...options, isMeant }), whose);
    const isAnothers = author !== undefined && !plain && found?.author !== whose;
    return isAnothers ? undefined : found;
  }

  /** The value of a key, as {@linkcode Dht.store} gives it. @returns `undefined` where there is none. @throws {TypeError} */
  async fetch(key: string, options: Omit<DhtGetOptions, "author" | "own" | "plain"> = {}): Promise<
    DhtValue | undefined
  > {
    await this.#ready();
    // Nobody's value stands for one that a hash or an author vouches for.
    const isMeant = ({ kind }: DhtRecord) => kind !== "plain";
    const found = await read(this.#node, idOf(key), { ...options, isMeant });
    return valueOf(found, this.#parts.identity.peerId);
  }

  /**
   * Says that this peer has something of that name, until {@linkcode Dht.withdraw} or for two hours after it is closed.
   *
   * @param data What to say about it, at most 512 bytes in MessagePack. @default nothing
   * @throws as {@linkcode Dht.put}. @throws {TypeError} for a client, which nobody can reach.
   */
  async provide(
    name: string,
    data?: unknown,
    options: { signal?: AbortSignal } = {},
  ): Promise<DhtPut> {
    const { endpoint, hosts } = this.#parts;
    if (endpoint.address === undefined) {
      throw new TypeError("Cannot provide: a client is not reached");
    }
    const place = { hosts: hosts(), tcpPort: endpoint.address.port };
    const life = { ttlS: PROVIDER_TTL_S };
    const said = providerValue(place, data);
    const record = this.#author.sign("provider", normalName(name), said, life);
    return await this.#put(record, { ...options, ...life, isRenewed: true });
  }

  /** Takes back that we have something: it is not said again. Harmless where it was not said. */
  withdraw(name: string): void {
    const { peerId: slot } = this.#parts.identity;
    this.#node.keeper.remove({ key: signedKey("provider", normalName(name), slot), slot });
  }

  /** Those who have something of that name, at most 64, in no order. What they say of themselves is signed by them. */
  async providers(
    name: string,
    options: Omit<DhtGetOptions, "author"> = {},
  ): Promise<DhtProvider[]> {
    const key = signedKey("provider", normalName(name), this.#parts.identity.peerId);
    await this.#ready();
    const { records } = await read(this.#node, key, options);
    return records.flatMap((record) => providerOf(record) ?? []);
  }

  /**
   * Where a peer is that has a node of the DHT. @returns `undefined` where it is not found.
   *
   * @param peerId 40 hexadecimal digits.
   */
  async find(peerId: string, options: { signal?: AbortSignal } = {}): Promise<Contact | undefined> {
    const id = idOf(peerId);
    const key = toKey(id);
    await this.#ready();
    // Who is known is asked first, too: it may be there no more.
    for await (const event of this.#node.lookup(id, { ...options, settle: 3 })) {
      if (event.type !== "answered" || event.contact.key !== key) continue;
      return this.#node.table.get(key) ?? event.contact;
    }
    return undefined;
  }

  /** What happens while a key, or a name's, is looked for: who is asked, by whom it was named, and what it answers. */
  async *trace(
    target: string,
    options: { signal?: AbortSignal; type?: "find-node" | "find-value" } = {},
  ): AsyncGenerator<LookupEvent, void, void> {
    const { type = "find-value" } = options;
    await this.#ready();
    const key = KEY.test(target)
      ? idOf(target)
      : signedKey("shared", target, this.#parts.identity.peerId);
    yield* this.#node.lookup(key, { ...options, type });
  }

  /** What the node knows and keeps. */
  stat(): DhtStat {
    return statOf(this.#node, this.mode);
  }

  /** Sends copies of what was put that wait for others to travel with, for a tenth of a second. @returns when they have left. */
  async flush(): Promise<void> {
    await this.#wire.flush();
  }

  /** Takes part no more. Harmless when closed. */
  close(): Promise<void> {
    return this.#closed ??= this.#end();
  }

  /** The same as {@linkcode Dht.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #end(): Promise<void> {
    await using parts = new AsyncDisposableStack(); // each, whatever happens to the others
    parts.use(this.#parts.storage);
    parts.use(this.#wire);
    parts.use(this.#node);
    this.#promotion.close();
    await this.#seeker.close();
    await this.flush();
  }

  /** Answers from now on; whom we ask now gets to know that. */
  #serve(): void {
    this.#wire.serve();
    this.#node.begin(this.#node.join([]));
  }

  async #put(record: DhtRecord, options: Publishing): Promise<DhtPut> {
    await this.#ready();
    return await this.#publisher.publish(record, options);
  }

  #plainRecord(name: string, value: Uint8Array): DhtRecord {
    if (this.#parts.allowPlain) return plainRecord(plainKey(name), value);
    throw new TypeError(
      "Cannot put a value that nobody signs: in the open network anybody could change it",
    );
  }

  async #ready(): Promise<void> {
    this.#assertOpen();
    if (this.#node.table.size === 0) await this.join();
  }

  #assertOpen(): void {
    if (this.#closed !== undefined) throw new ClosedError("The DHT of this peer is closed");
  }
}

/** A value as it is kept. @throws {InvalidPacketError} for what nobody could read. @throws {TypeError} for no value. */
function bytesOf(value: unknown): Uint8Array {
  const bytes = encode(value);
  decode(bytes);
  return bytes;
}

function idOf(key: string): NodeId {
  if (KEY.test(key)) return fromKey(key.toLowerCase());
  throw new TypeError(`Cannot look for "${printable(key, 64)}": a key has 40 hexadecimal digits`);
}
