/**
 * A sender and some receivers that speak as the originals do, on the sockets of this machine; and nodes that are none of
 * ours, which are written from the description of the format alone.
 *
 * @module
 */

import { Endpoint } from "../../src/endpoint/endpoint.ts";
import { UdpPort } from "../../src/endpoint/udp_port.ts";
import { Identity } from "../../src/secure/identity.ts";
import {
  PeerConnectBroadcast,
  type PeerConnectBroadcastOptions,
  type PeerConnectTarget,
} from "../../src/palmtree/dialects/peerconnect_broadcast.ts";
import type { PeerConnectPalmPorts } from "../../src/palmtree/dialects/peerconnect_relay.ts";
import { PeerConnectTrees } from "../../src/palmtree/dialects/peerconnect_trees.ts";
import { PeerConnectPort } from "../../src/transfer/dialects/peerconnect_driver.ts";
import { buildManifest } from "../../src/transfer/manifest.ts";
import { type ReceiveEvent, Receiver, type ReceiverOptions } from "../../src/transfer/receive.ts";
import { netTransport } from "../../src/transport/net.ts";
import { Stranger } from "../e2e/stranger.ts";
import { bytes, str, uint, unsigned } from "../transfer/dialects/peerconnect_driver_fixture.ts";

const hostname = "127.0.0.1";

/** Times of a machine on which nothing gets lost. */
const TUNING = { beatMs: 200, joinMs: 300, stallMs: 1_500, deadMs: 700 };

/** Somebody of ours who receives. */
export interface DialectNode extends PeerConnectTarget {
  readonly endpoint: Endpoint;
  readonly dir: string;
  readonly events: ReceiveEvent[];
  /** Waits until something has happened, so often. */
  next(type: ReceiveEvent["type"], count?: number): Promise<ReceiveEvent>;
  /** Closes it, as if its process had ended. */
  leave(): Promise<void>;
}

/** How somebody receives. */
export interface NodeOptions extends Pick<ReceiverOptions, "accept" | "stored"> {
  maxTotalBytes?: number;
  maxBytesPerSecond?: number;
}

/** See the module. */
export class DialectTown implements AsyncDisposable {
  readonly dir: string = Deno.realPathSync(Deno.makeTempDirSync({ prefix: "kith-palm-" }));
  readonly #parts = new AsyncDisposableStack();
  #count = 0;

  /** So many receivers, named `r0`, `r1` ... */
  async add(count: number, options: NodeOptions = {}): Promise<DialectNode[]> {
    const first = this.#count;
    this.#count += count;
    return await Promise.all(
      Array.from({ length: count }, (_, at) => this.#open(`r${first + at}`, options)),
    );
  }

  /** Writes a file to send. @returns its path */
  async write(name: string, data: Uint8Array): Promise<string> {
    const path = `${this.dir}/out/${name}`;
    await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
    await Deno.writeFile(path, data);
    return path;
  }

  /** Begins to send files. */
  async send(
    paths: readonly string[],
    to: readonly PeerConnectTarget[],
    options: PeerConnectBroadcastOptions & Pick<PeerConnectPalmPorts, "maxBytesPerSecond"> = {},
  ): Promise<PeerConnectBroadcast> {
    const { maxBytesPerSecond, ...rest } = options;
    const { peerId } = Identity.generate();
    const ports = { transport: netTransport, peerId, hostname, tuning: TUNING, maxBytesPerSecond };
    return this.#parts.use(new PeerConnectBroadcast(ports, await buildManifest(paths), to, rest));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync();
    await Deno.remove(this.dir, { recursive: true });
  }

  async #open(name: string, options: NodeOptions): Promise<DialectNode> {
    const { accept = () => true, stored, ...rest } = options;
    const endpoint = await Endpoint.open({
      ...{ transport: netTransport, identity: Identity.generate(), hostname, port: 0 },
      self: { name, capabilities: [], agent: "test" },
    });
    const udp = await UdpPort.open(endpoint, { transport: netTransport, hostname });
    const port = new PeerConnectPort(endpoint);
    const dir = `${this.dir}/${name}`;
    const receiver = Receiver.open(endpoint, { dir, accept, ...(stored ? { stored } : {}) });
    const trees = new PeerConnectTrees({
      ...{ endpoint, transport: netTransport, hostname, udp, desk: receiver, tuning: TUNING },
      linkWith: (taker) => port.linkWith(taker),
      ...rest,
    });
    const events: ReceiveEvent[] = [];
    let wake = Promise.withResolvers<void>();
    const reading = (async () => {
      for await (const event of receiver) {
        events.push(event);
        wake.resolve();
        wake = Promise.withResolvers();
      }
    })();
    const next = async (type: ReceiveEvent["type"], count = 1) => {
      for (;;) {
        const found = events.filter((event) => event.type === type)[count - 1];
        if (found !== undefined) return found;
        await wake.promise;
      }
    };
    const leave = async () => {
      port[Symbol.dispose]();
      await trees.close();
      await udp.close();
      await endpoint.close();
      receiver.close();
      await reading;
    };
    this.#parts.defer(leave);
    return { name, address: udp.address, endpoint, dir, events, next, leave };
  }
}

/** Files of a folder, by their names. */
export function filesIn(dir: string): Map<string, Uint8Array> {
  const names = [...Deno.readDirSync(dir)].filter(({ isFile }) => isFile).map(({ name }) => name);
  return new Map(names.sort().map((name) => [name, Deno.readFileSync(`${dir}/${name}`)]));
}

/** What is left of files that did not come. */
export function partsIn(dir: string): string[] {
  try {
    return [...Deno.readDirSync(`${dir}/.kith-partial`)].map(({ name }) => name);
  } catch {
    return [];
  }
}

// What follows shares nothing with the code that is tested.

const NIL = 0xc0;
/** 1.0 as float64. */
const VERSION = bytes(0xcb, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0);

/** A message: header and id are text, values of the body are MessagePack. */
export function wire(
  header: string,
  id: string | null,
  body: Record<string, Uint8Array> = {},
): Uint8Array<ArrayBuffer> {
  const rows = Object.entries(body).map(([key, value]) => bytes(str(key), value));
  const msgId = id === null ? bytes(NIL) : str(id);
  return bytes(0x95, str(header), msgId, VERSION, 0x80 | rows.length, ...rows, NIL);
}

/** MessagePack: an address. */
export function pair(port: number, host = hostname): Uint8Array {
  return bytes(0x92, str(host), uint(port));
}

/** MessagePack: an array of up to 15. */
export function array(...items: Uint8Array[]): Uint8Array<ArrayBuffer> {
  return bytes(0x90 | items.length, ...items);
}

/** MessagePack: bin of up to 65,535 bytes. */
export function bin(data: Uint8Array): Uint8Array {
  return bytes(0xc5, data.length >> 8, data.length & 255, data);
}

/** Which files come. */
export function metadata(...files: [name: string, size: number, seeked?: number][]): Uint8Array {
  const records = files.map(([name, size, seeked = 0]) => {
    return bin(array(str(name), uint(size), uint(seeked)));
  });
  return array(...records);
}

/** A node that is none of ours: a socket for packets, and its connections. */
export class Outsider implements Disposable {
  readonly id: string;
  readonly #socket: Deno.DatagramConn;
  readonly #timer: ReturnType<typeof setTimeout>;

  constructor(id: string) {
    this.id = id;
    this.#socket = Deno.listenDatagram({ transport: "udp", hostname, port: 0 });
    this.#timer = setTimeout(() => this[Symbol.dispose](), 20_000);
  }

  get port(): number {
    return (this.#socket.addr as Deno.NetAddr).port;
  }

  /** Sends a message in a packet without service code. */
  async send(message: Uint8Array, port: number): Promise<void> {
    const packet = bytes(unsigned(message.length, 4), message);
    await this.#socket.send(packet, { transport: "udp", hostname, port });
  }

  /** The next packet that has such a text in it. */
  async packet(text: string): Promise<{ data: Uint8Array; port: number }> {
    for (;;) {
      const [data, from] = await this.#socket.receive();
      const latin = new TextDecoder("latin1").decode(data);
      if (latin.includes(text)) return { data, port: (from as Deno.NetAddr).port };
    }
  }

  /** Informs somebody of a session. */
  async inform(
    session: string,
    port: number,
    more: Record<string, Uint8Array> = {},
  ): Promise<void> {
    const body = {
      session_id: str(session),
      key: str(`key of ${session}`),
      fanout: uint(5),
      link_wait_timeout: uint(3),
      adjacent_peers: array(),
      file_count: uint(1),
      chunk_size: uint(4_096),
      ...more,
    };
    await this.send(wire("one to many file transfer request", this.id, body), port);
  }

  /** Who has answered an inform of that session. */
  async answer(session: string): Promise<{ id: string; passive: number; active: number }> {
    const { data } = await this.packet(`key of ${session}`);
    const [id, passive, active] = portsOf(data);
    return { id: String(id), passive: Number(passive), active: Number(active) };
  }

  /** Has somebody, who knows us as its only neighbour, take a link. */
  async link(session: string, to: { passive: number; active: number }): Promise<Stranger> {
    const me = array(str(this.id), pair(this.port), pair(1));
    await this.send(
      wire("gossip_update_state", null, { addresses_mapping: array(me) }),
      to.passive,
    );
    await this.check(session, to.passive);
    await this.packet("gossip_upgrade_connection");
    const stranger = await this.connect(session, to.active);
    const ok = new TextDecoder().decode((await stranger.read(6)).subarray(4));
    if (ok !== "OK") throw new Error(`No OK: ${ok}`);
    return stranger;
  }

  /** Asks somebody whether it wants to be a child. */
  async check(session: string, port: number): Promise<void> {
    const body = { message_id: str("m"), session_id: str(session) };
    await this.send(wire("gossip_tree_check", this.id, body), port);
  }

  /** Connects, and says what for. */
  async connect(session: string, port: number, header = "otm_add_stream_link"): Promise<Stranger> {
    const stranger = await Stranger.connect(port);
    const body = { session_id: str(session), peer_addr: pair(this.port) };
    const message = wire(header, this.id, body);
    await stranger.write(bytes(unsigned(message.length, 4), message));
    return stranger;
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    try {
      this.#socket.close();
    } catch {
      // closed by its timer
    }
  }
}

/** The id and the two ports of an answer: [id, [ip, udp], [ip, tcp], key], as our nodes and those of others write it. */
export function portsOf(packet: Uint8Array): (string | number)[] {
  const found: (string | number)[] = [];
  const text = (from: number, to: number) => new TextDecoder().decode(packet.subarray(from, to));
  for (let at = 4; at < packet.length;) {
    const mark = packet[at] ?? 0;
    const next = packet[at + 1] ?? 0;
    if (mark >= 0x90 && mark <= 0x9f) at++;
    else if (mark === 0xcd) {
      found.push(next << 8 | (packet[at + 2] ?? 0));
      at += 3;
    } else if (mark === 0xd9) {
      if (found.length === 0) found.push(text(at + 2, at + 2 + next));
      at += 2 + next;
    } else if (mark >= 0xa0 && mark <= 0xbf) at += 1 + (mark & 31);
    else throw new Error(`Byte ${mark} at ${at}`);
  }
  return found;
}

export { bytes, str, Stranger, unsigned };
