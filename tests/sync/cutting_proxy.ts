/**
 * A way to a port of this machine that can be cut.
 *
 * @module
 */

/** Forwards connections; see the module. */
export class CuttingProxy implements AsyncDisposable {
  /** Whether new connections are cut at once. */
  isDown = false;
  readonly #port: () => number;
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #open = new Set<Deno.Conn>();
  readonly #serving: Promise<void>;
  readonly #pumping = new Set<Promise<void>>();

  /** Leads to that port of 127.0.0.1. */
  constructor(port: number | (() => number)) {
    this.#port = typeof port === "number" ? () => port : port;
    this.#serving = this.#serve();
  }

  /** Where it listens. */
  get port(): number {
    return this.#listener.addr.port;
  }

  /** Breaks every connection; what is on its way is lost. @returns how many there were. */
  cut(): number {
    const count = this.#open.size / 2;
    for (const connection of this.#open) connection.close();
    this.#open.clear();
    return count;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    this.cut();
    await Promise.all([this.#serving, ...this.#pumping]);
  }

  async #serve(): Promise<void> {
    for await (const from of this.#listener) {
      if (this.isDown) from.close();
      else await this.#forward(from);
    }
  }

  async #forward(from: Deno.Conn): Promise<void> {
    const to = await connect(this.#port());
    if (to === undefined) return from.close();
    this.#open.add(from).add(to);
    for (const [source, target] of [[from, to], [to, from]] as const) {
      const pumping = source.readable.pipeTo(target.writable).catch(() => {}).finally(() => {
        this.#pumping.delete(pumping);
        this.#end(from, to);
      });
      this.#pumping.add(pumping);
    }
  }

  #end(...connections: readonly Deno.Conn[]): void {
    for (const connection of connections) {
      if (!this.#open.delete(connection)) continue;
      try {
        connection.close();
      } catch {
        // Its stream has closed it.
      }
    }
  }
}

/** @returns `undefined` where nobody listens: he may be back later. */
async function connect(port: number): Promise<Deno.Conn | undefined> {
  try {
    return await Deno.connect({ hostname: "127.0.0.1", port });
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionRefused) return undefined;
    throw error;
  }
}
