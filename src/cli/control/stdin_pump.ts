/**
 * Stdin for a verb that runs in the running peer: a piece whenever it wants one, so that no more is read than is sent.
 *
 * @module
 */

import type { ControlLine } from "./control_line.ts";

/** See the module. */
export class StdinPump implements Disposable {
  readonly #line: ControlLine;
  #reader: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>> | undefined;
  #over = false;

  /** Reads nothing before it is asked to. */
  constructor(line: ControlLine) {
    this.#line = line;
  }

  /** Sends the next piece, or the end, once it is there. */
  send(): void {
    this.#reader ??= Deno.stdin.readable.getReader();
    this.#reader.read().then(({ value }) => {
      if (!this.#over) this.#line.send({ type: "input", bytes: value?.toBase64() ?? null });
    }, () => this.#line[Symbol.dispose]()); // what cannot be read must not pass for the end
  }

  /** Reads no more. */
  [Symbol.dispose](): void {
    this.#over = true;
    this.#reader?.cancel().catch(() => {}); // nobody waits for it
  }
}
