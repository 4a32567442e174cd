/**
 * Clients of a hub, one of which writes and all others read.
 *
 * ```
 * SCRIPT PORT CLIENTS kith|ws     connects, prints {}
 * N WINDOW                        N messages, never more than WINDOW on their way; prints { seconds } until all have all
 * ```
 *
 * A message has {@linkcode MESSAGE_BYTES} bytes and is written in a WebSocket message of its own. Readers only count: for
 * `ws` the WebSocket messages; for `kith`, which says by `client_connect` that it reads batches and resumes, what is in
 * them, and they acknowledge as clients do.
 *
 * @module
 */

import { changeMessage, connectMessage, heartbeatMessage } from "../../src/sync/messages.ts";
import { answer, answerCommands } from "./command_loop.ts";

const MESSAGE_BYTES = 200;

/** So many messages are taken between two acknowledgements. */
const ACK_EVERY = 32;

/** What each message that is passed on has once. */
const MARK = '"type":"file_changed"';

const CAPABILITIES = ["resume", "batch"];

const [port, clients, kind] = Deno.args;
const isKith = kind === "kith";

class Reader {
  readonly socket: WebSocket;
  readonly #id: string;
  readonly #ready = Promise.withResolvers<void>();
  #count = 0;
  #acknowledged = 0;
  #goal = 0;
  #done = Promise.withResolvers<void>();
  onCount: (count: number) => void = () => {};

  constructor(at: number) {
    this.#id = `client_${at}`;
    this.socket = new WebSocket(`ws://127.0.0.1:${port}/sync`);
    this.socket.onopen = () => isKith ? this.#introduce() : this.#ready.resolve();
    this.socket.onmessage = ({ data }) => this.#take(data);
  }

  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  /** Resolves when so many more have come. */
  async expect(count: number): Promise<void> {
    this.#goal = this.#count + count;
    this.#done = Promise.withResolvers();
    await this.#done.promise;
  }

  message(): string {
    const author = { clientId: this.#id, wallMs: Date.now() };
    const of = (path: string) => {
      return JSON.stringify(changeMessage(author, { operation: "update", file_path: path }));
    };
    const text = of("a".repeat(MESSAGE_BYTES - of("").length));
    if (text.length !== MESSAGE_BYTES) throw new Error(`A message has ${text.length} bytes`);
    return text;
  }

  #introduce(): void {
    const author = { clientId: this.#id, wallMs: Date.now() };
    const about = { name: "bench", folder: "bench", capabilities: CAPABILITIES };
    this.socket.send(JSON.stringify(connectMessage(author, about)));
  }

  #take(text: string): void {
    this.#ready.resolve();
    if (isKith) {
      for (let at = text.indexOf(MARK); at >= 0; at = text.indexOf(MARK, at + 100)) this.#count++;
      if (this.#count - this.#acknowledged >= ACK_EVERY) this.#acknowledge();
    } else this.#count++;
    this.onCount(this.#count);
    if (this.#count >= this.#goal) this.#done.resolve();
  }

  #acknowledge(): void {
    this.#acknowledged = this.#count;
    const beat = heartbeatMessage({ clientId: this.#id, wallMs: Date.now() });
    this.socket.send(JSON.stringify({ ...beat, ack: this.#count }));
  }
}

const [writer, ...readers] = await connectAll(Number(clients) + 1);
answer({});
await answerCommands(run);
Deno.exit();

async function connectAll(count: number): Promise<Reader[]> {
  const all: Reader[] = [];
  while (all.length < count) {
    const some = Array.from({ length: Math.min(50, count - all.length) }, (_, at) => {
      return new Reader(all.length + at);
    });
    await Promise.all(some.map(({ ready }) => ready));
    all.push(...some);
  }
  return all;
}

async function run(command: string): Promise<{ seconds: number }> {
  const [count = 0, window = 1] = command.split(" ").map(Number);
  const [first] = readers;
  if (writer === undefined || first === undefined) throw new Error("Nobody is connected");
  const text = writer.message();
  let sent = 0;
  const arrived = Promise.all(readers.map((reader) => reader.expect(count)));
  const startedAt = performance.now();
  let before: number | undefined;
  const go = (arrivedCount: number) => {
    while (sent < count && sent - arrivedCount < window) {
      writer.socket.send(text);
      sent++;
    }
  };
  first.onCount = (total) => {
    before ??= total - 1;
    go(total - before);
  };
  go(0);
  await arrived;
  first.onCount = () => {};
  return { seconds: (performance.now() - startedAt) / 1000 };
}
