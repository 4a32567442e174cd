/**
 * A way between two peers that counts what passes, and can be led elsewhere.
 *
 * @module
 */

/** Forwards connections to 127.0.0.1 to where {@linkcode CountingProxy.leadTo} says; they wait until it has. */
export class CountingProxy implements AsyncDisposable {
  /** Bytes that came from those who connect. */
  crossed = 0;
  /** Bytes that went to them. */
  returned = 0;
  /** Called whenever some have gone either way. */
  onBytes: () => void = () => {};
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #open = new Set<Deno.Conn>();
  readonly #serving: Promise<void>;
  readonly #pumping = new Set<Promise<void>>();
  #target = Promise.withResolvers<number>();
  #closed = false;

  /** Listens at a port that is free. */
  constructor() {
    this.#serving = this.#serve();
  }

  /** Its address. */
  get address(): string {
    return `127.0.0.1:${this.#listener.addr.port}`;
  }

  /** Leads connections to that port of 127.0.0.1 from now on; `undefined` has them wait. */
  leadTo(port: number | undefined): void {
    this.#target.resolve(port ?? 0);
    this.#target = Promise.withResolvers();
    if (port !== undefined) this.#target.resolve(port);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#listener.close();
    this.leadTo(0);
    for (const connection of this.#open) connection.close();
    await Promise.all([this.#serving, ...this.#pumping]);
  }

  async #serve(): Promise<void> {
    try {
      for await (const from of this.#listener) {
        const pumping = this.#forward(from).finally(() => this.#pumping.delete(pumping));
        this.#pumping.add(pumping);
      }
    } catch (error) {
      if (!this.#closed) throw error;
    }
  }

  async #forward(from: Deno.Conn): Promise<void> {
    this.#open.add(from);
    let to: Deno.Conn | undefined;
    try {
      for (let port = 0; port === 0 && !this.#closed;) port = await this.#target.promise;
      const port = await this.#target.promise;
      to = await Deno.connect({ hostname: "127.0.0.1", port });
      this.#open.add(to);
      await Promise.race([
        pump(from, to, (count) => {
          this.crossed += count;
          this.onBytes();
        }),
        pump(to, from, (count) => {
          this.returned += count;
          this.onBytes();
        }),
      ]);
    } catch {
      // Either end has gone, which is what the tests are about.
    }
    for (const connection of [from, to]) {
      if (connection === undefined || !this.#open.delete(connection)) continue;
      try {
        connection.close();
      } catch {
        // Closed already.
      }
    }
  }
}

async function pump(from: Deno.Conn, to: Deno.Conn, count: (bytes: number) => void): Promise<void> {
  const buffer = new Uint8Array(64 * 1024);
  try {
    for (;;) {
      const bytes = await from.read(buffer);
      if (bytes === null) return;
      count(bytes);
      for (let at = 0; at < bytes;) at += await to.write(buffer.subarray(at, bytes));
    }
  } catch {
    // One of them has gone: so will the other.
  }
}
