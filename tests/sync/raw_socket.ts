/**
 * A WebSocket spoken by hand, for what no client of the platform would do.
 *
 * @module
 */

const TEXT = 0x81;

/** A connection that was upgraded; see the module. */
export class RawSocket implements Disposable {
  readonly #connection: Deno.Conn;

  private constructor(connection: Deno.Conn) {
    this.#connection = connection;
  }

  /** Asks for a WebSocket. @returns the status of the answer, and the socket. */
  static async open(
    port: number,
    options: { path?: string; headers?: Readonly<Record<string, string>> } = {},
  ): Promise<{ status: number; socket: RawSocket }> {
    const { path = "/sync", headers = {} } = options;
    const connection = await Deno.connect({ hostname: "127.0.0.1", port });
    const lines = Object.entries({
      Host: `127.0.0.1:${port}`,
      Connection: "Upgrade",
      Upgrade: "websocket",
      "Sec-WebSocket-Version": "13",
      "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
      ...headers,
    }).map(([name, value]) => `${name}: ${value}`);
    const text = [`GET ${path} HTTP/1.1`, ...lines, "", ""].join("\r\n");
    await connection.write(new TextEncoder().encode(text));
    const socket = new RawSocket(connection);
    const [, status] = /^HTTP\/1.1 (\d{3})/.exec(await socket.read()) ?? [];
    return { status: Number(status), socket };
  }

  /** Sends a text message. */
  async text(text: string): Promise<void> {
    const bytes = new TextEncoder().encode(text);
    await this.begin(bytes.length);
    await this.write(bytes);
  }

  /** Sends the beginning of a text message of that length, masked with zeros. */
  async begin(length: number): Promise<void> {
    const header = new DataView(new ArrayBuffer(14));
    header.setUint8(0, TEXT);
    header.setUint8(1, 0x80 | 127);
    header.setBigUint64(2, BigInt(length));
    await this.write(new Uint8Array(header.buffer));
  }

  /** Sends bytes. */
  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) at += await this.#connection.write(bytes.subarray(at));
  }

  /** What came, as text; nothing at the end. */
  async read(): Promise<string> {
    const into = new Uint8Array(64 * 1024);
    const count = await this.#connection.read(into);
    return new TextDecoder().decode(into.subarray(0, count ?? 0));
  }

  [Symbol.dispose](): void {
    this.#connection.close();
  }
}
