/**
 * What stands for sockets and disks while PeerConnect's transfers are tested: pieces of any size, files in memory.
 *
 * @module
 */

import type { DirectoryEvent } from "../../../src/transfer/dialects/peerconnect_directory_receiver.ts";
import type { FileEvent } from "../../../src/transfer/dialects/peerconnect_file_receiver.ts";
import type { SendStep } from "../../../src/transfer/dialects/peerconnect_file_sender.ts";
import { concat, type Generator } from "../../fuzz/generate.ts";
import corpus from "../../testdata/hostile_names.json" with { type: "json" };

/** Names that must not come in, and why; only those that are text in UTF-8 too. */
export const HOSTILE_NAMES: readonly (readonly [name: string, reason: string])[] = Object
  .entries(corpus.hostile).flatMap(([reason, names]) =>
    names.filter((name) => name.isWellFormed()).map((name) => [name, reason] as const)
  );

/** Whatever takes bytes and says what comes of them. */
export interface Machine<Item> {
  push(bytes: Uint8Array): void;
  next(): Item | undefined;
}

/** Everything that a machine says, until it waits or is over. */
export function* drain<Item>(machine: Pick<Machine<Item>, "next">): Walk<Item> {
  for (let item = machine.next(); item !== undefined; item = machine.next()) yield item;
}

type Walk<Item> = globalThis.Generator<Item, void, void>;

/** Brings bytes to a machine in pieces, by way of one buffer that is overwritten as soon as it may be. */
export function* feed<Item>(
  machine: Machine<Item>,
  pieces: Iterable<Uint8Array>,
): Walk<Item> {
  for (const piece of pieces) {
    const buffer = piece.slice();
    machine.push(buffer);
    yield* drain(machine);
    buffer.fill(0xee);
  }
}

/** Bytes cut at random: mostly into short pieces. */
export function* split(bytes: Uint8Array, generator: Generator): Walk<Uint8Array> {
  for (let at = 0; at < bytes.length;) {
    const length = 1 + generator.below(generator.pick([1, 4, 30, 400]));
    yield bytes.subarray(at, at += length);
  }
}

/** One byte after the other. */
export function* bytewise(bytes: Uint8Array): Walk<Uint8Array> {
  for (let at = 0; at < bytes.length; at++) yield bytes.subarray(at, at + 1);
}

/** What a step writes. */
export function written(step: SendStep, contents: readonly Uint8Array[]): Uint8Array {
  if (step.type === "bytes") return step.bytes;
  const { index, offset, length } = step;
  const bytes = contents[index]?.slice(offset, offset + length) ?? new Uint8Array(0);
  if (bytes.length !== length) throw new Error(`file ${index} has no ${length} at ${offset}`);
  return bytes;
}

/** Where what comes in is stored; fails where the order of events makes no sense. */
export class Store {
  /** Files that are complete, in order. */
  readonly files: [path: string, bytes: Uint8Array][] = [];
  /** Folders, in order. */
  readonly folders: string[] = [];
  /** What was to be written. */
  readonly replies: number[] = [];
  done = false;
  #name: string | undefined;
  #part = new Uint8Array(0);

  take(event: FileEvent | DirectoryEvent): void {
    switch (event.type) {
      case "file": {
        const [name, offset] = "name" in event ? [event.name, event.offset] : [event.path, 0];
        if (offset === 0) this.#part = new Uint8Array(0);
        else if (name !== this.#name) throw new Error(`${name} goes on instead of ${this.#name}`);
        if (this.#part.length !== offset) throw new Error(`${name} goes on at ${offset}`);
        this.#name = name;
        break;
      }
      case "content":
        if (event.bytes.length === 0) throw new Error("no content");
        this.#part = concat(this.#part, event.bytes);
        break;
      case "end":
        this.files.push([this.#name ?? "", this.#part]);
        break;
      case "directory":
        this.folders.push(event.path);
        break;
      case "reply":
        this.replies.push(...event.bytes);
        break;
      case "done":
        this.done = true;
    }
  }
}
