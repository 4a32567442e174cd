/**
 * Programs that are not ours, at the other end of a TCP connection: they write what a test says and read what comes.
 *
 * @module
 */

/** How long a connection may take before the test fails. */
const PATIENCE_MS = 20_000;

const LF = 0x0a;

/** One end of a connection; disposing closes it. */
export class Stranger implements Disposable {
  readonly #conn: Deno.TcpConn;
  readonly #timer: ReturnType<typeof setTimeout>;
  #pending = new Uint8Array(0);
  #closed = false;

  /** Speaks on a connection. */
  constructor(conn: Deno.TcpConn) {
    conn.setNoDelay();
    this.#conn = conn;
    this.#timer = setTimeout(() => this[Symbol.dispose](), PATIENCE_MS);
  }

  /** Connects to a port of this machine. */
  static async connect(port: number): Promise<Stranger> {
    return new Stranger(await Deno.connect({ hostname: "127.0.0.1", port }));
  }

  /** Writes in as few pieces as the system takes. @throws {Error} when the other side has closed. */
  async write(data: string | Uint8Array): Promise<void> {
    const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
    for (let at = 0; at < bytes.length;) at += await this.#conn.write(bytes.subarray(at));
  }

  /** Writes a byte at a time, each in a packet of its own. */
  async dribble(data: string | Uint8Array): Promise<void> {
    const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
    for (const byte of bytes) await this.write(Uint8Array.of(byte));
  }

  /** Says that nothing more comes from this side. */
  async closeWrite(): Promise<void> {
    await this.#conn.closeWrite();
  }

  /** The next line without its LF. @throws {Error} when the stream ends first. */
  async line(): Promise<string> {
    for (;;) {
      const at = this.#pending.indexOf(LF);
      if (at >= 0) return new TextDecoder().decode(this.#take(at + 1).subarray(0, at));
      if (!await this.#fill()) throw new Error(`No line: ${await this.rest()}`);
    }
  }

  /** The next line as JSON. */
  async json(): Promise<Record<string, unknown>> {
    return JSON.parse(await this.line());
  }

  /** So many bytes. @throws {Error} when the stream ends first. */
  async read(count: number): Promise<Uint8Array<ArrayBuffer>> {
    while (this.#pending.length < count) {
      if (!await this.#fill()) throw new Error(`No ${count} bytes: ${await this.rest()}`);
    }
    return this.#take(count);
  }

  /** Everything until the stream ends or breaks, as text. */
  async rest(): Promise<string> {
    while (await this.#fill());
    return new TextDecoder().decode(this.#take(this.#pending.length));
  }

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#conn.close();
  }

  #take(count: number): Uint8Array<ArrayBuffer> {
    const taken = this.#pending.slice(0, count);
    this.#pending = this.#pending.slice(count);
    return taken;
  }

  async #fill(): Promise<boolean> {
    const buffer = new Uint8Array(64 * 1024);
    const count = await this.#conn.read(buffer).catch(() => null);
    if (count === null) return false;
    this.#pending = new Uint8Array([...this.#pending, ...buffer.subarray(0, count)]);
    return true;
  }
}

/** A program that listens; disposing waits for its conversations and fails when one of them did. */
export class StrangeServer implements AsyncDisposable {
  readonly #listener: Deno.TcpListener;
  readonly #talks: Promise<void>;

  /** Listens on a port of this machine; `talk` has each connection until it returns. */
  constructor(talk: (stranger: Stranger) => Promise<void>) {
    this.#listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    this.#talks = this.#serve(talk);
  }

  /** As others type it. */
  get address(): string {
    return `127.0.0.1:${this.#listener.addr.port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#talks;
  }

  async #serve(talk: (stranger: Stranger) => Promise<void>): Promise<void> {
    const talks: Promise<void>[] = [];
    for await (const conn of this.#listener) {
      talks.push((async () => {
        using stranger = new Stranger(conn);
        await talk(stranger);
      })());
    }
    await Promise.all(talks);
  }
}

/** A header of peerpy's, as its program pads it. */
export function padded(text: string): string {
  return text.padEnd(128, "|");
}
