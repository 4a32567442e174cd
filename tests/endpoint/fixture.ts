/**
 * Endpoints and links on a network in memory, and strangers that speak to them by hand.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { ManualClock, systemClock, type Timer } from "../../src/clock.ts";
import { Dispatcher } from "../../src/endpoint/dispatcher.ts";
import { Endpoint, type EndpointOptions } from "../../src/endpoint/endpoint.ts";
import { type PeerInfo, PREFACE } from "../../src/endpoint/handshake.ts";
import { Introduction } from "../../src/endpoint/introduction.ts";
import { Link } from "../../src/endpoint/link.ts";
import type { LogFields, Logger } from "../../src/log.ts";
import { Metrics } from "../../src/metrics.ts";
import {
  acceptChannel,
  type ChannelHandshakeOptions,
  dialChannel,
} from "../../src/secure/channel_handshake.ts";
import { Identity } from "../../src/secure/identity.ts";
import { Network } from "../../src/secure/network.ts";
import {
  type Address,
  type Connection,
  FramedConnection,
  MemoryNetwork,
  type MemoryNetworkOptions,
} from "../../src/transport/mod.ts";
import {
  decodeWireData,
  encodeWireData,
  type MessageBody,
  type NativeMessage,
  wireData,
} from "../../src/wire/message.ts";

/** Where {@linkcode openEndpoint} listens. */
export const SERVER: Address = { hostname: "server", port: 3485 };

const identities = new Map<string, Identity>();

/** The identity of a peer of that name, the same every time. */
export function identityOf(name: string): Identity {
  const known = identities.get(name);
  if (known !== undefined) return known;
  const identity = Identity.fromSeed(createHash("sha256").update(name).digest());
  identities.set(name, identity);
  return identity;
}

/** What a peer of that name says of itself. */
export function infoOf(name: string): PeerInfo & { publicKey: string } {
  const { peerId, publicKey } = identityOf(name);
  return {
    peerId,
    publicKey: publicKey.toHex(),
    name,
    capabilities: ["test/1"],
    agent: "test/0",
  };
}

/** A logger that keeps what it is told. */
export class Journal implements Logger {
  readonly lines: { level: keyof Logger; message: string; fields: LogFields }[] = [];
  debug(message: string, fields: LogFields = {}): void {
    this.lines.push({ level: "debug", message, fields });
  }
  info(message: string, fields: LogFields = {}): void {
    this.lines.push({ level: "info", message, fields });
  }
  warn(message: string, fields: LogFields = {}): void {
    this.lines.push({ level: "warn", message, fields });
  }
  error(message: string, fields: LogFields = {}): void {
    this.lines.push({ level: "error", message, fields });
  }
}

/** An endpoint that listens at {@linkcode SERVER}, with what it counts and the clock it goes by. */
export class Served implements AsyncDisposable {
  readonly network = new MemoryNetwork();
  readonly clock = new ManualClock();
  readonly metrics = new Metrics();
  readonly log = new Journal();
  readonly #endpoints: Endpoint[] = [];

  static async open(options: Partial<EndpointOptions> = {}): Promise<Served> {
    const served = new Served();
    await served.open("server", { hostname: SERVER.hostname, port: SERVER.port, ...options });
    return served;
  }

  get endpoint(): Endpoint {
    const [endpoint] = this.#endpoints;
    if (endpoint === undefined) throw new Error("Nothing is open");
    return endpoint;
  }

  /** One more endpoint on the network, closed with the rest. */
  async open(name: string, options: Partial<EndpointOptions>): Promise<Endpoint> {
    const { clock, log } = this;
    const metrics = this.#endpoints.length === 0 ? this.metrics : new Metrics();
    const transport = this.network.host(name);
    const who = { identity: identityOf(name), self: infoOf(name) };
    const common = { transport, ...who, clock, log, metrics };
    const endpoint = await Endpoint.open({ ...common, ...options });
    this.#endpoints.push(endpoint);
    return endpoint;
  }

  /** An endpoint that only connects. */
  client(name = "client", options: Partial<EndpointOptions> = {}): Promise<Endpoint> {
    return this.open(name, { clientOnly: true, ...options });
  }

  /** Somebody who has connected and said hello, and has not heard yet what the server makes of it. */
  async guest(name = "stranger", hello: Partial<GuestHello> = {}): Promise<Stranger> {
    return await shakeHands(await this.network.host(name).connect(SERVER), name, hello);
  }

  /** A connection of somebody who may not even be a peer. */
  stranger(): Promise<Connection> {
    return this.network.host("stranger").connect(SERVER);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#endpoints.map((endpoint) => endpoint.close()));
    this.network.close();
  }
}

/** A connection whose writes somebody else has in hand. */
export function through(
  connection: Connection,
  write: (bytes: Uint8Array) => Promise<void>,
): Connection {
  return {
    local: connection.local,
    remote: connection.remote,
    read: (into) => connection.read(into),
    write,
    closeWrite: () => connection.closeWrite(),
    close: () => connection.close(),
  };
}

/** One end of {@linkcode linkPair}. */
export interface End {
  readonly link: Link;
  readonly dispatcher: Dispatcher;
  readonly metrics: Metrics;
  readonly log: Journal;
}

/** How to make links. */
export interface LinkPairOptions extends MemoryNetworkOptions {
  /** Largest frame that the server's end takes and sends. */
  maxFrameBytes?: number;
}

/** Both ends of a connection without a handshake, as raw connections. */
export async function connectionPair(
  options: MemoryNetworkOptions = {},
): Promise<[client: Connection, server: Connection]> {
  const network = new MemoryNetwork(options);
  const listener = await network.host("server").listen({ port: SERVER.port });
  const [server, client] = await Promise.all([
    listener.accept(),
    network.host("client").connect(SERVER),
  ]);
  listener.close();
  if (server === undefined) throw new Error("The listener closed");
  return [client, server];
}

/** Two links with each other. */
export async function linkPair(
  options: LinkPairOptions = {},
): Promise<{ clock: ManualClock; client: End; server: End } & AsyncDisposable> {
  const { maxFrameBytes = 16 * 1024 * 1024, ...rest } = options;
  const clock = new ManualClock();
  const [left, right] = await connectionPair(rest);
  const client = endOf(new FramedConnection(left, { clock }), "server", clock);
  const server = endOf(new FramedConnection(right, { clock, maxFrameBytes }), "client", clock);
  return {
    clock,
    client,
    server,
    async [Symbol.asyncDispose]() {
      await Promise.all([client.link.close(), server.link.close()]);
    },
  };
}

/** A link whose other end is spoken by hand. */
export async function linkAndStranger(
  options: LinkPairOptions = {},
): Promise<{ clock: ManualClock; end: End; stranger: Stranger } & AsyncDisposable> {
  const { maxFrameBytes = 16 * 1024 * 1024, ...rest } = options;
  const clock = new ManualClock();
  const [left, right] = await connectionPair(rest);
  const end = endOf(new FramedConnection(right, { clock, maxFrameBytes }), "stranger", clock);
  const stranger = new Stranger(left);
  return {
    clock,
    end,
    stranger,
    async [Symbol.asyncDispose]() {
      stranger.close();
      await end.link.close();
    },
  };
}

function endOf(framed: FramedConnection, remote: string, clock: ManualClock): End {
  const [dispatcher, metrics, log] = [new Dispatcher(), new Metrics(), new Journal()];
  const link = new Link({ framed, peer: infoOf(remote), dispatcher, clock, metrics, log });
  return { link, dispatcher, metrics, log };
}

/** What somebody says who shakes hands by hand, and where it belongs. */
export interface GuestHello {
  /** Its header instead of `:hello`. */
  header: string;
  /** Fields that are added to the body, or replace what is there. */
  body: MessageBody;
  /** Its network. @default the open one */
  network: Network;
}

/** Shakes hands by hand as the one who connected. @returns the channel, on which the answer has not been read. */
export async function shakeHands(
  connection: Connection,
  name = "stranger",
  hello: Partial<GuestHello> = {},
): Promise<Stranger> {
  const introduction = new Introduction(identityOf(name), () => infoOf(name));
  const channel = await dialChannel(connection, {
    ...handshakeOf(introduction, hello),
    preface: PREFACE,
    answer: () => changed(introduction.hello(), hello),
  });
  return new Stranger(channel);
}

/** Shakes hands by hand as the one who was connected to. @returns the channel, on which no answer was given. */
export async function takeHands(
  connection: Connection,
  name = "stranger",
  hello: Partial<GuestHello> = {},
): Promise<Stranger> {
  const introduction = new Introduction(identityOf(name), () => infoOf(name));
  const { rest } = await readPreface(connection);
  const { channel } = await acceptChannel(connection, {
    ...handshakeOf(introduction, hello),
    rest,
    payload: () => changed(introduction.hello(), hello),
  });
  return new Stranger(channel);
}

function handshakeOf(
  { staticKey }: Introduction,
  { network = new Network() }: Partial<GuestHello>,
): ChannelHandshakeOptions {
  const psks = network.keys.map(({ psk }) => psk);
  return { prologue: PREFACE, staticKey, psks, clock: systemClock };
}

async function readPreface(connection: Connection): Promise<{ rest: Uint8Array }> {
  const buffer = new Uint8Array(1024);
  let count = 0;
  while (count < PREFACE.length) {
    const read = await connection.read(buffer.subarray(count));
    if (read === null) throw new Error("The dialer has gone");
    count += read;
  }
  return { rest: buffer.subarray(PREFACE.length, count) };
}

function changed(hello: Uint8Array, { header, body = {} }: Partial<GuestHello>): Uint8Array {
  const message = decodeWireData(hello);
  return encodeWireData(wireData(header ?? message.header, { ...message.body, ...body }));
}

/** Somebody who speaks messages by hand. */
export class Stranger {
  readonly framed: FramedConnection;

  constructor(connection: Connection) {
    this.framed = new FramedConnection(connection);
  }

  /** Sends bytes as they are. */
  async raw(...bytes: readonly (Uint8Array | string)[]): Promise<void> {
    for (const piece of bytes) {
      const data = typeof piece === "string" ? new TextEncoder().encode(piece) : piece;
      await this.framed.connection.write(data);
    }
  }

  async send(header: string, body: MessageBody, msgId = 0): Promise<void> {
    await this.framed.send(encodeWireData(wireData(header, body, { msgId })));
  }

  /** The next message, or `undefined` at the end. */
  async receive(): Promise<NativeMessage | undefined> {
    const frame = await this.framed.receive();
    return frame === undefined ? undefined : decodeWireData(frame);
  }

  close(): void {
    this.framed.close();
  }
}

/** A manual clock that knows how many timers are set. */
export class CountingClock extends ManualClock {
  timers = 0;

  override after(delayMs: number, callback: () => void): Timer {
    let over = false;
    const end = () => {
      if (!over) this.timers--;
      over = true;
    };
    this.timers++;
    const timer = super.after(delayMs, () => {
      end();
      callback();
    });
    return {
      cancel: () => {
        end();
        timer.cancel();
      },
    };
  }
}

/** Lets everything that is ready happen. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

/** Whether a promise is settled once everything that is ready has happened. */
export async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  void promise.then(() => settled = true, () => settled = true);
  await settle();
  return settled;
}
