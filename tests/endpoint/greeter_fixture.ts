/**
 * Two endpoints with somebody in between, and those who shake hands by hand.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import { systemClock } from "../../src/clock.ts";
import type { EndpointOptions } from "../../src/endpoint/endpoint.ts";
import { PREFACE } from "../../src/endpoint/handshake.ts";
import type { Introduction } from "../../src/endpoint/introduction.ts";
import type { Link } from "../../src/endpoint/link.ts";
import { acceptChannel, type ChannelHandshakeOptions } from "../../src/secure/channel_handshake.ts";
import type { Connection, Transport } from "../../src/transport/transport.ts";
import {
  decodeWireData,
  encodeWireData,
  type NativeMessage,
  wireData,
} from "../../src/wire/message.ts";
import { identityOf, Served, SERVER, settle, through } from "./fixture.ts";

/** A server and a client on a network whose every byte is seen, and may be changed. */
export class Scene implements AsyncDisposable {
  readonly served: Served;
  readonly client: Served["endpoint"];
  /** All that passed. */
  readonly seen: Uint8Array[] = [];
  /** What becomes of what is written. @param offset Bytes that went that way before. */
  meddle = (bytes: Uint8Array, _way: "out" | "back", _offset: number): Uint8Array => bytes;
  readonly #hostname: string;

  private constructor(served: Served, client: Served["endpoint"], hostname: string) {
    this.served = served;
    this.client = client;
    this.#hostname = hostname;
  }

  /** @param hostname Where both are, if they are in one place. */
  static async open(
    ofServer: Partial<EndpointOptions> = {},
    ofClient: Partial<EndpointOptions> = {},
    hostname?: string,
  ): Promise<Scene> {
    const served = new Served();
    const host = hostname ?? SERVER.hostname;
    const server = { hostname: host, port: SERVER.port, transport: served.network.host(host) };
    await served.open("server", { ...server, ...ofServer });
    const transport: Transport = served.network.host(hostname ?? "client");
    let scene: Scene | undefined;
    const client = await served.client("client", {
      transport: {
        listen: (options) => transport.listen(options),
        datagram: (options) => transport.datagram(options),
        connect: async (to, options) => {
          const connection = await transport.connect(to, options);
          return scene?.between(connection) ?? connection;
        },
      },
      ...ofClient,
    });
    return scene = new Scene(served, client, host);
  }

  get server(): Served["endpoint"] {
    return this.served.endpoint;
  }

  connect(): Promise<Link> {
    return this.client.connect({ hostname: this.#hostname, port: SERVER.port });
  }

  /** The server's end of the newest link. */
  async back(): Promise<Link> {
    await settle();
    const link = [...this.server.links].at(-1);
    assert(link !== undefined);
    return link;
  }

  /** Somebody between the client and the server. */
  between(connection: Connection): Connection {
    const offsets = { out: 0, back: 0 };
    const pass = (bytes: Uint8Array, way: "out" | "back") => {
      this.seen.push(bytes.slice());
      const changed = this.meddle(bytes.slice(), way, offsets[way]);
      offsets[way] += bytes.length;
      return changed;
    };
    const out = through(connection, (bytes) => connection.write(pass(bytes, "out")));
    return {
      ...out,
      read: async (into) => {
        const count = await connection.read(into);
        if (count !== null && count > 0) into.set(pass(into.subarray(0, count), "back"));
        return count;
      },
    };
  }

  /** Whether this passed anywhere. */
  saw(what: string | Uint8Array): boolean {
    const wanted = typeof what === "string" ? what : Buffer.from(what);
    return Buffer.concat(this.seen).includes(wanted);
  }

  /** @throws {AssertionError} when what passed says who they are. */
  assertNothingLearnt(): void {
    for (const name of ["server", "client"]) {
      const { id, publicKey } = identityOf(name);
      for (const secret of [name, id, publicKey]) assert(!this.saw(secret), `${secret}`);
    }
    for (const text of ["home", "away", "test/", ":hello", "caps"]) assert(!this.saw(text), text);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.served[Symbol.asyncDispose]();
  }
}

/** What both sides of a handshake by hand need. */
export function common({ staticKey }: Introduction): ChannelHandshakeOptions {
  return { prologue: PREFACE, staticKey, clock: systemClock };
}

/** Answers a dialer by hand, past its preface. */
export async function acceptAs(
  connection: Connection,
  introduction: Introduction,
  payload: () => Uint8Array,
): ReturnType<typeof acceptChannel> {
  const preface = new Uint8Array(PREFACE.length);
  assertEquals(await connection.read(preface), PREFACE.length);
  assertEquals(preface, PREFACE);
  return await acceptChannel(connection, {
    ...common(introduction),
    rest: new Uint8Array(),
    payload,
  });
}

/** A hello with some of its fields changed. */
export function altered(
  hello: Uint8Array,
  change: Record<string, unknown>,
): Uint8Array<ArrayBuffer> {
  const { header, body } = decodeWireData(hello);
  return encodeWireData(wireData(header, { ...body, ...change }));
}

/** The answer to a handshake. */
export async function readAnswer(channel: Connection): Promise<NativeMessage> {
  const into = new Uint8Array(4_096);
  const count = await channel.read(into) ?? 0;
  return decodeWireData(into.subarray(4, count));
}

/** A connection that keeps what it reads. */
export function heard(connection: Connection, got: Uint8Array[]): Connection {
  return {
    ...through(connection, (bytes) => connection.write(bytes)),
    read: async (into) => {
      const count = await connection.read(into);
      if (count !== null) got.push(into.slice(0, count));
      return count;
    },
  };
}
