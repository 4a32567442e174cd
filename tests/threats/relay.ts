/**
 * Somebody on the way between two peers: sees every byte, and may change what it likes.
 *
 * @module
 */

import { Buffer } from "node:buffer";

/** Which way bytes go: from the one who connected, or back. */
export type Way = "out" | "back";

/** What becomes of bytes on their way: what is returned goes on instead; `undefined` cuts the connection. */
export type Meddle = (bytes: Uint8Array, way: Way, offset: number) => Uint8Array | undefined;

/** A relay on loopback; disposing closes it. */
export class Relay implements AsyncDisposable {
  /** Everything that passed, both ways, as it came. */
  readonly seen: Uint8Array[] = [];
  readonly #listener: Deno.TcpListener;
  readonly #target: number;
  readonly #meddle: Meddle;
  readonly #conns = new Set<Deno.TcpConn>();
  readonly #work = new Set<Promise<void>>();
  readonly #accepting: Promise<void>;

  private constructor(target: number, meddle: Meddle) {
    this.#target = target;
    this.#meddle = meddle;
    this.#listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    this.#accepting = this.#accept();
  }

  /** A relay to a port of this machine. @param meddle What it does. @default it only listens */
  static to(port: number, meddle: Meddle = (bytes) => bytes): Relay {
    return new Relay(port, meddle);
  }

  /** Where to connect. */
  get address(): { hostname: string; port: number } {
    return { hostname: "127.0.0.1", port: this.#listener.addr.port };
  }

  /** Whether these bytes, or this text, passed anywhere. */
  saw(what: string | Uint8Array): boolean {
    const wanted = Buffer.from(typeof what === "string" ? new TextEncoder().encode(what) : what);
    return Buffer.concat(this.seen).includes(wanted);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    for (const conn of this.#conns) close(conn);
    await Promise.all([this.#accepting, ...this.#work]);
  }

  async #accept(): Promise<void> {
    try {
      for await (const client of this.#listener) {
        const server = await Deno.connect({ hostname: "127.0.0.1", port: this.#target });
        for (const conn of [client, server]) {
          conn.setNoDelay();
          this.#conns.add(conn);
        }
        for (
          const work of [this.#pump(client, server, "out"), this.#pump(server, client, "back")]
        ) {
          this.#work.add(work);
        }
      }
    } catch (error) {
      if (!(error instanceof Deno.errors.BadResource)) throw error; // closed while it waited
    }
  }

  async #pump(from: Deno.TcpConn, to: Deno.TcpConn, way: Way): Promise<void> {
    const buffer = new Uint8Array(64 * 1024);
    let offset = 0;
    try {
      for (;;) {
        const count = await from.read(buffer);
        if (count === null) break;
        const bytes = buffer.slice(0, count);
        this.seen.push(bytes);
        const changed = this.#meddle(bytes, way, offset);
        offset += count;
        if (changed === undefined) {
          close(from);
          close(to);
          return;
        }
        for (let at = 0; at < changed.length;) at += await to.write(changed.subarray(at));
      }
      await to.closeWrite();
    } catch {
      // One side has gone: so does the other.
      close(from);
      close(to);
    }
  }
}

function close(conn: Deno.TcpConn): void {
  try {
    conn.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error; // it is closed
  }
}
