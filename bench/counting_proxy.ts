/**
 * A way to a port of this machine that counts what goes along it.
 *
 * @module
 */

const hostname = "127.0.0.1";

/** Passes connections on; see the module. */
export class CountingProxy implements AsyncDisposable {
  /** Bytes that have come by, both ways. */
  bytes = 0;
  readonly #listener = Deno.listen({ hostname, port: 0 });
  readonly #passing = new Set<Promise<void>>();
  readonly #accepting: Promise<void>;

  /** Leads to that port of 127.0.0.1. */
  constructor(port: number) {
    this.#accepting = this.#accept(port);
  }

  /** Where it listens. */
  get port(): number {
    return this.#listener.addr.port;
  }

  /** Waits until all connections have ended, and takes no more. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#accepting;
    await Promise.all(this.#passing);
  }

  async #accept(port: number): Promise<void> {
    for await (const from of this.#listener) {
      const to = await Deno.connect({ hostname, port });
      this.#passing.add(this.#pass(from, to)).add(this.#pass(to, from));
    }
  }

  async #pass(from: Deno.TcpConn, to: Deno.TcpConn): Promise<void> {
    const count = new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
      transform: (bytes, controller) => {
        this.bytes += bytes.length;
        controller.enqueue(bytes);
      },
    });
    await from.readable.pipeThrough(count).pipeTo(to.writable).catch(() => {}); // cut: all that came was counted
  }
}
