/**
 * Sessions on a network in memory, and imitations of the original peerpy that speak bytes by hand.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { Endpoint } from "../../src/endpoint/endpoint.ts";
import type { Link } from "../../src/endpoint/link.ts";
import type { DataType } from "../../src/session/data_type.ts";
import { ClosedError } from "../../src/errors.ts";
import { connectSession } from "../../src/session/native.ts";
import type { Session, SessionOptions } from "../../src/session/session.ts";
import { Sessions, type SessionsOptions } from "../../src/session/sessions.ts";
import { type Address, type Connection, netTransport } from "../../src/transport/mod.ts";
import { identityOf, infoOf, Served, SERVER } from "../endpoint/fixture.ts";
import { bytesOf, fromNotation, loadVector, loadVectors } from "../testdata/vectors.ts";

export const ACCEPT = bytesOf(loadVector("peerpy.accept_deny", "accept"));
export const DENY = bytesOf(loadVector("peerpy.accept_deny", "deny"));

/** A header as the program pads it. */
export function padded(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text.padEnd(128, "|"));
}

export function utf8(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

export function joined(...pieces: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(pieces.flatMap((piece) => [...piece]));
}

/** An endpoint that takes sessions, and one that opens them. */
export class Scene implements AsyncDisposable {
  readonly served: Served;
  readonly sessions: Sessions;
  readonly client: Endpoint;
  readonly #accepted: AsyncIterator<Session>;

  private constructor(served: Served, sessions: Sessions, client: Endpoint) {
    this.served = served;
    this.sessions = sessions;
    this.client = client;
    this.#accepted = sessions[Symbol.asyncIterator]();
  }

  static async open(options: Partial<SessionsOptions> = {}): Promise<Scene> {
    const served = await Served.open();
    const sessions = Sessions.open(served.endpoint, { accept: () => true, ...options });
    return new Scene(served, sessions, await served.client());
  }

  link(): Promise<Link> {
    return this.client.connect(SERVER);
  }

  /** A session from both sides. */
  async pair(options: SessionOptions = {}): Promise<[opened: Session, accepted: Session]> {
    const opened = await connectSession(this.client, await this.link(), options);
    return [opened, await this.accepted()];
  }

  /** The next session that was accepted. */
  async accepted(): Promise<Session> {
    const { value, done } = await this.#accepted.next();
    if (done) throw new Error("No more sessions are accepted");
    return value;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.sessions.close();
    await this.served[Symbol.asyncDispose]();
  }
}

/** An endpoint on a real port of this machine that takes sessions of originals. */
export class Loopback implements AsyncDisposable {
  readonly endpoint: Endpoint;
  readonly sessions: Sessions;
  readonly #accepted: AsyncIterator<Session>;
  readonly #originals: Original[] = [];

  private constructor(endpoint: Endpoint, sessions: Sessions) {
    this.endpoint = endpoint;
    this.sessions = sessions;
    this.#accepted = sessions[Symbol.asyncIterator]();
  }

  static async open(options: Partial<SessionsOptions> = {}): Promise<Loopback> {
    const at = { transport: netTransport, hostname: "127.0.0.1", port: 0 };
    const endpoint = await Endpoint.open({
      ...at,
      identity: identityOf("server"),
      self: infoOf("server"),
    });
    const taking = { accept: () => true, dialects: ["peerpy"] as const, ...options };
    return new Loopback(endpoint, Sessions.open(endpoint, taking));
  }

  get address(): Address {
    const { address } = this.endpoint;
    if (address === undefined) throw new Error("It does not listen");
    return address;
  }

  /** An original that has connected and said nothing. */
  async original(): Promise<Original> {
    const original = new Original(await netTransport.connect(this.address));
    this.#originals.push(original);
    return original;
  }

  /** A session from both sides. */
  async pair(terms?: string): Promise<[original: Original, accepted: Session]> {
    const original = await (await this.original()).open(terms);
    return [original, await this.accepted()];
  }

  async accepted(): Promise<Session> {
    const { value, done } = await this.#accepted.next();
    if (done) throw new Error("No more sessions are accepted");
    return value;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const original of this.#originals) original.close();
    await this.sessions.close();
    await this.endpoint.close();
  }
}

/** Reads so many values. */
export async function take(session: Session, count: number): Promise<unknown[]> {
  const values: unknown[] = [];
  for await (const value of session) {
    values.push(value);
    if (values.length === count) break;
  }
  return values;
}

/** Reads until the end. */
export async function takeAll(session: Session): Promise<unknown[]> {
  const values: unknown[] = [];
  for await (const value of session) values.push(value);
  return values;
}

/** Who speaks peerpy's bytes. */
export class Original {
  readonly connection: Connection;

  constructor(connection: Connection) {
    this.connection = connection;
  }

  /** Writes bytes, in one write. */
  async write(...pieces: readonly (Uint8Array | string)[]): Promise<void> {
    const bytes = pieces.map((piece) => typeof piece === "string" ? utf8(piece) : piece);
    await this.connection.write(joined(...bytes));
  }

  /** Writes every byte by itself. */
  async dribble(bytes: Uint8Array): Promise<void> {
    for (const byte of bytes) await this.connection.write(Uint8Array.of(byte));
  }

  /** Offers a session and expects to be accepted. */
  async open(terms = "data_type=json&strict=False"): Promise<this> {
    await this.write(padded(`HELLO|peer_name=127.0.0.1:51515&${terms}`));
    assertEquals(await this.read(128), ACCEPT);
    return this;
  }

  /** Sends data as the program does. */
  async data(type: string, body: Uint8Array | string): Promise<void> {
    const bytes = typeof body === "string" ? utf8(body) : body;
    await this.write(padded(`DATA|data_size=${bytes.length}&data_type=${type}`), bytes);
  }

  /** Reads so many bytes, fewer at the end. */
  async read(count: number): Promise<Uint8Array> {
    const into = new Uint8Array(count);
    let got = 0;
    while (got < count) {
      const read = await this.connection.read(into.subarray(got));
      if (read === null) break;
      got += read;
    }
    return into.subarray(0, got);
  }

  close(): void {
    this.connection.close();
  }
}

/** A case of `peerpy.wire_capture`. */
export interface Capture {
  readonly name: string;
  /** The terms as fields of a HELLO, and as ours. */
  readonly terms: string;
  readonly options: SessionOptions;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly size: number | undefined;
  readonly attempts: readonly { value: unknown; refusal: ErrorConstructor | undefined }[];
}

/** What the original wrote when it was told to send some values, and which of them it refused to. */
export function captures(): Capture[] {
  return loadVectors("peerpy.wire_capture").map((vector) => {
    const { name } = vector;
    const value = fromNotation(vector.value) as Record<string, unknown>;
    const { results } = vector as { results?: readonly unknown[] };
    const attempts = (value.values as unknown[]).map((value, at) => {
      const result = String(results?.[at]);
      const refusal = result === "true"
        ? undefined
        : result.startsWith("DataSizeError")
        ? RangeError
        : TypeError;
      return { value, refusal };
    });
    const { data_type: dataType, stream = false, data_size: size } = value as {
      data_type: DataType;
      stream?: boolean;
      data_size?: number;
    };
    const terms = `data_type=${dataType}&strict=True${stream ? "&stream=True" : ""}`;
    const options = { dataType, strict: true, stream, ...(size === undefined ? {} : { size }) };
    return { name, terms, options, bytes: bytesOf(vector), size, attempts };
  });
}

/** Whether the other side has closed: in order, or by a reset where it had not read everything. */
export async function ended(original: Original): Promise<boolean> {
  try {
    return (await original.read(1)).length === 0;
  } catch (error) {
    if (error instanceof ClosedError) return true;
    throw error;
  }
}

/** Where two arrays differ first, -1 where they do not: quicker than comparing millions of elements one by one. */
export function indexOfDifference(a: Uint8Array, b: Uint8Array): number {
  return a.length === b.length ? a.findIndex((byte, at) => byte !== b[at]) : 0;
}
