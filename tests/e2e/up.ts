/**
 * A `kith up` on the loopback address, and the command lines of others on its network.
 *
 * @module
 */

import { Kith, loopback, type Outcome, run, type StartOptions } from "./process.ts";
import { Shell } from "./shell.ts";

/** How many processes of a table run side by side. */
const WIDTH = 5;

/** What {@linkcode Up} needs. */
export interface UpOptions extends StartOptions {
  /** The options of a network to share. @default one of its own */
  network?: readonly string[];
}

/** A peer that is up; disposing kills it. */
export class Up implements AsyncDisposable {
  readonly kith: Kith;
  readonly network: readonly string[];
  readonly peerId: string;
  /** Where it takes connections of any protocol. */
  readonly tcp: number;
  /** Where it takes packets. */
  readonly udp: number;
  /** Where it takes WebSockets. */
  readonly http: number;
  readonly #shell = new Shell();

  private constructor(
    kith: Kith,
    network: readonly string[],
    ready: Readonly<Record<string, unknown>>,
  ) {
    this.kith = kith;
    this.network = network;
    this.peerId = String(ready.peerId);
    this.tcp = Number(ready.tcp);
    this.udp = Number(ready.udp);
    this.http = Number(ready.http);
  }

  /** Starts one, and waits until it is up. */
  static async start(args: readonly string[] = [], options: UpOptions = {}): Promise<Up> {
    const { network = loopback(), ...rest } = options;
    const kith = Kith.start([...upLine(network), "--json", ...args], rest);
    try {
      return new Up(kith, network, await kith.event("ready"));
    } catch (error) {
      await kith[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Its address, as others type it. */
  get address(): string {
    return `127.0.0.1:${this.tcp}`;
  }

  /** Runs a command line of somebody else to its end, in a process of its own where there are options. */
  run(args: readonly string[], options?: StartOptions): Promise<Outcome> {
    const line = [...args, "--ephemeral", ...this.network];
    return options === undefined ? this.#shell.run(line) : run(line, options);
  }

  /** Starts a command line of somebody else. */
  start(args: readonly string[], options?: StartOptions): Kith {
    return Kith.start([...args, "--ephemeral", ...this.network], options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kith[Symbol.asyncDispose]();
    await this.#shell[Symbol.asyncDispose]();
  }
}

/** A command line of `kith up` with ports of its own. */
export function upLine(network: readonly string[]): string[] {
  return ["up", "--port", "0", "--http-port", "0", "--ephemeral", ...network];
}

/** Works on all, a few at a time: on two cores more would only wait for each other. */
export async function eachOf<T, R>(
  items: readonly T[],
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  for (let at = 0; at < items.length; at += WIDTH) {
    results.push(...await Promise.all(items.slice(at, at + WIDTH).map(work)));
  }
  return results;
}

/** Waits for all, also when one fails, so that nothing is left behind. @throws what the first of them throws. */
export async function allOf<T extends readonly unknown[]>(
  works: readonly [...{ [K in keyof T]: Promise<T[K]> }],
): Promise<T> {
  await Promise.allSettled(works);
  return await Promise.all(works) as unknown as T; // each is settled
}
