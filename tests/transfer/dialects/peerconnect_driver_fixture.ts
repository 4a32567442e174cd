/**
 * An endpoint that takes what PeerConnect nodes bring, on real sockets, and nodes written by hand.
 *
 * @module
 */

import { ManualClock } from "../../../src/clock.ts";
import { Endpoint, type EndpointOptions } from "../../../src/endpoint/endpoint.ts";
import { StoredBytes } from "../../../src/endpoint/resources.ts";
import { AuthError } from "../../../src/errors.ts";
import { PeerConnectPort } from "../../../src/transfer/dialects/peerconnect_driver.ts";
import type { ReceivingDesk } from "../../../src/transfer/dialects/peerconnect_driver_store.ts";
import type { Offer } from "../../../src/transfer/offer.ts";
import type { ReceiveEvent } from "../../../src/transfer/receive.ts";
import { ReceiveRoot } from "../../../src/transfer/receive_root.ts";
import { type Connection, netTransport } from "../../../src/transport/mod.ts";
import { Stranger } from "../../e2e/stranger.ts";
import { identityOf, infoOf } from "../../endpoint/fixture.ts";

const HOSTNAME = "127.0.0.1";

/** The id of a node, in decimal and as kith writes it. */
export const NODE = {
  decimal: "469099608771183077085495238363724627294301243880",
  hex: "522b276a356bdf39013dfabea2cd43e141ecc9e8",
} as const;

const utf8 = new TextEncoder();

/** Stands for a receiver. */
export class Desk implements ReceivingDesk {
  readonly root: ReceiveRoot;
  readonly stored: StoredBytes;
  readonly offers: Offer[] = [];
  readonly events: ReceiveEvent[] = [];
  /** Transfers that were admitted and are not over. */
  atWork = 0;
  accepts = true;
  #wake = Promise.withResolvers<void>();

  constructor(dir: string, maxStoredBytes = Infinity) {
    this.root = ReceiveRoot.open(dir);
    this.stored = new StoredBytes(maxStoredBytes);
  }

  admit(offer: Offer): Promise<Disposable> {
    this.offers.push(offer);
    if (!this.accepts) return Promise.reject(new AuthError("not-allowed", "The offer was refused"));
    this.atWork++;
    return Promise.resolve({ [Symbol.dispose]: () => void this.atWork-- });
  }

  tell(event: ReceiveEvent): Promise<void> {
    this.events.push(event);
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
    return Promise.resolve();
  }

  get types(): string[] {
    return this.events.map(({ type }) => type);
  }

  /** Waits for so many events of a type. @returns the last of them. */
  async told<T extends ReceiveEvent["type"]>(type: T, count = 1): Promise<EventOf<T>> {
    for (;;) {
      const found = this.events.filter((event): event is EventOf<T> => event.type === type);
      const last = found[count - 1];
      if (last !== undefined) return last;
      await this.#wake.promise;
    }
  }
}

type EventOf<T> = Extract<ReceiveEvent, { type: T }>;

/** An endpoint that takes connections of PeerConnect nodes, and a scratch folder; `in` below it is received into. */
export class Scene implements AsyncDisposable {
  readonly dir: string;
  readonly endpoint: Endpoint;
  readonly port: PeerConnectPort;
  readonly clock = new ManualClock();
  #desk: Desk | undefined;

  private constructor(dir: string, endpoint: Endpoint) {
    this.dir = dir;
    this.endpoint = endpoint;
    this.port = new PeerConnectPort(endpoint);
  }

  static async open(options: Partial<EndpointOptions> = {}): Promise<Scene> {
    const dir = Deno.realPathSync(Deno.makeTempDirSync());
    const about = { transport: netTransport, identity: identityOf("b"), self: infoOf("b") };
    const endpoint = await Endpoint.open({ ...about, hostname: HOSTNAME, port: 0, ...options });
    for (const header of ["transfer.offer", "session.open"]) endpoint.handle(header, () => ({}));
    return new Scene(dir, endpoint);
  }

  /** A scene that receives. */
  static async receiving(
    options: Partial<EndpointOptions> & { maxStoredBytes?: number } = {},
  ): Promise<Scene> {
    const { maxStoredBytes, ...rest } = options;
    const scene = await Scene.open(rest);
    scene.#desk = new Desk(scene.path("in"), maxStoredBytes);
    scene.port.receiveInto(scene.#desk);
    return scene;
  }

  get desk(): Desk {
    if (this.#desk === undefined) throw new Error("It does not receive");
    return this.#desk;
  }

  get tcp(): number {
    return this.endpoint.address?.port ?? 0;
  }

  get counters(): Record<string, number> {
    return this.endpoint.metrics.snapshot();
  }

  path(...names: string[]): string {
    return [this.dir, ...names].join("/");
  }

  /** Writes a file below the scratch folder. @returns its path. */
  write(name: string, contents: Uint8Array): string {
    const path = this.path(name);
    Deno.mkdirSync(path.slice(0, path.lastIndexOf("/")), { recursive: true });
    Deno.writeFileSync(path, contents);
    return path;
  }

  read(name: string): Uint8Array {
    return Deno.readFileSync(this.path("in", name));
  }

  /** How a sender of ours connects. */
  readonly connect = (): Promise<Connection> => connectTo(this.tcp);

  /** A node that connects and says what for. */
  async node(handshake: Uint8Array): Promise<Stranger> {
    const node = await Stranger.connect(this.tcp);
    await node.write(handshake);
    return node;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.port[Symbol.dispose]();
    await this.endpoint.close();
    await Deno.remove(this.dir, { recursive: true });
  }
}

/** Connects as a sender of ours does. */
export function connectTo(port: number): Promise<Connection> {
  return netTransport.connect({ hostname: HOSTNAME, port });
}

/** Bytes that show when a piece of them is out of place. */
export function pattern(length: number): Uint8Array<ArrayBuffer> {
  const made = new Uint8Array(length);
  for (let at = 0; at < length; at++) made[at] = (at * 7 + (at >> 10)) % 251;
  return made;
}

// What follows is written from the description of the format alone, and shares nothing with the code that is tested.

/** Bytes one after another; text in UTF-8. */
export function bytes(...parts: (string | number | Uint8Array)[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(parts.flatMap((part) => {
    if (typeof part === "number") return [part];
    return [...(typeof part === "string" ? utf8.encode(part) : part)];
  }));
}

/** An unsigned integer of so many bytes. */
export function unsigned(value: number, length: 4 | 8): Uint8Array {
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, BigInt(value));
  return new Uint8Array(view.buffer).slice(8 - length);
}

/** MessagePack: a text of up to 65,535 bytes. */
export function str(text: string): Uint8Array {
  const { length } = utf8.encode(text);
  return bytes(0xda, length >> 8, length & 255, text);
}

/** MessagePack: an unsigned integer. */
export function uint(value: number): Uint8Array {
  return bytes(0xcf, unsigned(value, 8));
}

const NIL = 0xc0;
/** 1.0 as float64. */
const VERSION = bytes(0xcb, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0);

/** A frame with a message; the header is bin, ids are text. */
export function frame(
  header: string,
  ids: { id?: string; peerId?: string },
  body: Readonly<Record<string, string>> = {},
): Uint8Array {
  const rows = Object.entries(body);
  const payload = bytes(
    ...[0x95, 0xc4, header.length, header],
    ...[ids.id === undefined ? NIL : str(ids.id), VERSION],
    ...[0x80 | rows.length, ...rows.flatMap(([key, value]) => [str(key), str(value)])],
    ids.peerId === undefined ? NIL : str(ids.peerId),
  );
  return bytes(unsigned(payload.length, 4), payload);
}

/** The handshake of files. */
export function filesHandshake(id = "1", peerId: string = NODE.decimal): Uint8Array {
  return frame("connection for file transfer", { peerId }, { file_id: id });
}

/** The handshake of a directory. */
export function directoryHandshake(name: string): Uint8Array {
  const body = { transfer_id: "1", dir_name: name };
  return frame("cmd to recv dir ", { peerId: NODE.decimal }, body);
}

/** What announces a file. */
export function fileRecord(name: string, size: number, seeked = 0): Uint8Array {
  const record = bytes(0x93, str(name), uint(size), uint(seeked));
  return bytes(1, unsigned(record.length, 4), record);
}

/** What announces something in a directory: a file of that size, or a folder. */
export function item(parent: string, name: string, size?: number): Uint8Array {
  const record = bytes(0x92, str(parent), str(name));
  const head = bytes(size === undefined ? 2 : 1, unsigned(record.length, 4), record);
  return size === undefined ? head : bytes(head, unsigned(size, 8));
}

/** A port that hands on to another one, and cuts connections short. */
export class CuttingProxy implements AsyncDisposable {
  readonly #listener = Deno.listen({ hostname: HOSTNAME, port: 0 });
  readonly #to: number;
  readonly #cuts: number[];
  readonly #talks: Promise<void>;
  /** Connections that have come. */
  connections = 0;

  /** @param cuts After how many bytes to cut the first connection, the second ...; later ones are left alone. */
  constructor(to: number, cuts: readonly number[]) {
    this.#to = to;
    this.#cuts = [...cuts];
    this.#talks = this.#serve();
  }

  get port(): number {
    return this.#listener.addr.port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#talks;
  }

  async #serve(): Promise<void> {
    const talks: Promise<void>[] = [];
    for await (const near of this.#listener) {
      this.connections++;
      talks.push(this.#join(near, this.#cuts.shift() ?? Infinity));
    }
    await Promise.all(talks);
  }

  async #join(near: Deno.TcpConn, most: number): Promise<void> {
    const far = await Deno.connect({ hostname: HOSTNAME, port: this.#to });
    const close = () => [near, far].forEach(closeQuietly);
    await Promise.all([pump(near, far, most).then(close), pump(far, near, Infinity)]);
    close();
  }
}

/** Hands bytes on until they end; of more than so many it hands on no more. */
async function pump(from: Deno.TcpConn, to: Deno.TcpConn, most: number): Promise<void> {
  const buffer = new Uint8Array(64 * 1024);
  try {
    for (let left = most; left > 0;) {
      const count = await from.read(buffer);
      if (count === null) return await to.closeWrite();
      const cut = Math.min(count, left);
      for (let at = 0; at < cut;) at += await to.write(buffer.subarray(at, cut));
      left -= cut;
    }
  } catch (error) {
    if (!isGone(error)) throw error;
  }
}

function closeQuietly(conn: Deno.TcpConn): void {
  try {
    conn.close();
  } catch (error) {
    if (!isGone(error)) throw error;
  }
}

function isGone(error: unknown): boolean {
  const { BadResource, BrokenPipe, ConnectionReset, Interrupted, NotConnected } = Deno.errors;
  return [BadResource, BrokenPipe, ConnectionReset, Interrupted, NotConnected]
    .some((kind) => error instanceof kind);
}
