/**
 * Byte connections in memory: what {@linkcode MemoryNetwork} is made of on the stream side.
 *
 * A connection is two pipes, one each way. What is written flies for as long as the network says, arrives in order,
 * and waits there until it is read; what flies and waits together is bounded, and a writer waits for room. Ends and
 * resets fly the same way, so nobody learns of them sooner than a network could tell.
 *
 * ```text
 * write -> flying (latency, uplink, partition) -> ready -> read
 *          +------------- at most bufferBytes ---------+
 * ```
 *
 * @module
 */

import type { Clock, Timer } from "../clock.ts";
import { ClosedError } from "../errors.ts";
import { printableAddress } from "./socket_address.ts";
import type { Address, Connection } from "./transport.ts";

/** The way from one host to another, as a pipe sees it. */
export interface Path {
  /** What time it is. */
  readonly clock: Clock;
  /** Bytes that may be under way or unread. */
  readonly bufferBytes: number;
  /** When something of that many bytes arrives that leaves now, in the clock's milliseconds. */
  arrivalMs(bytes: number): number;
  /** Whether anything arrives at all. */
  reachable(): boolean;
  /** Calls back once, when that may have changed. */
  whenChanged(callback: () => void): void;
}

/** Pieces of the stream are copied this long at most, so that connections of one host share its uplink. */
const PIECE_BYTES = 16 * 1024;

/** What flies: a piece of the stream; its end; that nobody reads or writes at the other side any more; that it broke. */
type Cargo = Uint8Array | "end" | "closed" | "reset";

/** Both ends of a new connection: who connected, who is connected to. */
export function connectionPair(
  local: Address,
  remote: Address,
  there: Path,
  back: Path,
): [MemoryConnection, MemoryConnection] {
  const [out, into] = [new Pipe(there), new Pipe(back)];
  return [
    new MemoryConnection(local, remote, out, into),
    new MemoryConnection(remote, local, into, out),
  ];
}

/** One end of a connection. */
export class MemoryConnection implements Connection {
  readonly local: Address;
  readonly remote: Address;
  /** Called once, when this end is closed. */
  onClose: () => void = () => {};
  readonly #out: Pipe;
  readonly #in: Pipe;
  #closed = false;
  #writing = false;

  constructor(local: Address, remote: Address, out: Pipe, into: Pipe) {
    this.local = local;
    this.remote = remote;
    this.#out = out;
    this.#in = into;
    into.onWriterGone = () => out.breakOff();
  }

  async read(into: Uint8Array): Promise<number | null> {
    for (;;) {
      if (this.#closed || this.#in.reset) throw this.#closedError();
      if (into.length === 0) return 0;
      const length = this.#in.take(into);
      if (length !== undefined) return length;
      await this.#in.changed();
    }
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#writing) throw new TypeError("Cannot write: another write is under way");
    this.#writing = true;
    try {
      let at = 0;
      do {
        if (!this.#out.writable) throw this.#closedError();
        at += this.#out.put(bytes.subarray(at));
        if (at < bytes.length && this.#out.full) await this.#out.changed();
      } while (at < bytes.length);
    } finally {
      this.#writing = false;
    }
  }

  closeWrite(): Promise<void> {
    if (this.#out.abandoned) return Promise.reject(this.#closedError());
    this.#out.end();
    return Promise.resolve();
  }

  close(): void {
    this.#close("closed");
  }

  /** Closes as the kernel does for a process that was killed: what is under way is lost and the other end breaks. */
  reset(): void {
    this.#close("reset");
  }

  #close(how: "closed" | "reset"): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#out.abandon(how);
    this.#in.discard();
    this.onClose();
  }

  #closedError(): ClosedError {
    const address = printableAddress(this.remote);
    const how = this.#closed
      ? "was closed"
      : this.#out.abandoned
      ? "broke: closed by the other side"
      : "was closed for writing";
    return new ClosedError(`Connection to ${address} ${how}`, { details: { address } });
  }
}

class Pipe {
  /** Called when it becomes known at the reading end that the writing end is closed, and so reads nothing either. */
  onWriterGone: () => void = () => {};
  readonly #path: Path;
  readonly #flying: { readonly atMs: number; readonly cargo: Cargo }[] = [];
  readonly #ready: Uint8Array[] = [];
  #bytes = 0;
  #lastMs = 0;
  #writer: "open" | "ended" | "gone" = "open";
  #reader: "open" | "ended" | "reset" | "gone" = "open";
  #timer: Timer | undefined;
  #change: PromiseWithResolvers<void> | undefined;

  constructor(path: Path) {
    this.#path = path;
  }

  get writable(): boolean {
    return this.#writer === "open";
  }

  get full(): boolean {
    return this.#bytes >= this.#path.bufferBytes;
  }

  /** Whether nothing written will be read: either end is closed, and the writing end knows. */
  get abandoned(): boolean {
    return this.#writer === "gone";
  }

  /** Whether a reset has arrived. */
  get reset(): boolean {
    return this.#reader === "reset";
  }

  /** Resolves when something changed at either end. */
  changed(): Promise<void> {
    return (this.#change ??= Promise.withResolvers()).promise;
  }

  /** Copies what there is room for, and says how much that is. */
  put(bytes: Uint8Array): number {
    const room = this.#path.bufferBytes - this.#bytes;
    const length = Math.min(bytes.length, room, PIECE_BYTES);
    if (length === 0) return 0;
    this.#bytes += length;
    this.#launch(bytes.slice(0, length), length);
    return length;
  }

  /** Ends the stream. */
  end(): void {
    if (this.#writer !== "open") return;
    this.#writer = "ended";
    this.#launch("end", 0);
  }

  /** Ends the stream because the writing end is closed; a reset overtakes what flies. */
  abandon(how: "closed" | "reset"): void {
    if (how === "reset") this.#ground();
    this.breakOff();
    this.#launch(how, 0);
  }

  /** Nothing that is written from now on will be read. */
  breakOff(): void {
    this.#writer = "gone";
    this.#wake();
  }

  /** Takes what is ready: its length, `null` at the end, `undefined` while there is nothing. */
  take(into: Uint8Array): number | null | undefined {
    const [head] = this.#ready;
    if (head === undefined) return this.#reader === "open" ? undefined : null;
    const length = Math.min(into.length, head.length);
    into.set(head.subarray(0, length));
    if (length === head.length) this.#ready.shift();
    else this.#ready[0] = head.subarray(length);
    this.#bytes -= length;
    this.#wake();
    return length;
  }

  /** Forgets everything because the reading end is closed. A writer that does not know yet soon finds no room. */
  discard(): void {
    this.#reader = "gone";
    this.#ground();
    this.#ready.length = 0;
    this.#wake();
  }

  #ground(): void {
    this.#flying.length = 0;
    this.#timer?.cancel();
  }

  #launch(cargo: Cargo, bytes: number): void {
    if (this.#reader === "gone") return;
    this.#lastMs = Math.max(this.#lastMs, this.#path.arrivalMs(bytes));
    this.#flying.push({ atMs: this.#lastMs, cargo });
    // With others in front of it, somebody waits for those already.
    if (this.#flying.length === 1) this.#deliver();
  }

  #deliver(): void {
    for (let next = this.#flying[0]; next !== undefined; next = this.#flying[0]) {
      if (!this.#path.reachable()) return this.#path.whenChanged(() => this.#deliver());
      const leftMs = next.atMs - this.#path.clock.now();
      if (leftMs > 0) {
        this.#timer = this.#path.clock.after(leftMs, () => this.#deliver());
        return;
      }
      this.#flying.shift();
      this.#arrive(next.cargo);
    }
  }

  #arrive(cargo: Cargo): void {
    if (typeof cargo !== "string") {
      this.#ready.push(cargo);
    } else if (cargo === "reset") {
      this.#ready.length = 0;
      this.#reader = "reset";
    } else {
      this.#reader = "ended";
    }
    this.#wake();
    if (cargo === "closed" || cargo === "reset") this.onWriterGone();
  }

  #wake(): void {
    this.#change?.resolve();
    this.#change = undefined;
  }
}
