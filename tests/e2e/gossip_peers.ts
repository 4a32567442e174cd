/**
 * Peers of one process that take part in a topic. Each writes down what it is given before it takes the next, and begins
 * where it left off when it is started again. Told what to do line by line; ends when its input does.
 *
 * ```
 * in   {"from": 0, "count": 500, "burst": 25, "everyMs": 400}   what each peer publishes: its name and a number each
 *      {"tell": 1}
 * out  {"event": "ready", "addresses": ["127.0.0.1:40000", ...], "peerIds": [...]}
 *      {"event": "published", "from": 0, "count": 500, "ms": 8000}
 *      {"event": "told", "tell": 1, "peers": [{"name": "ann0", "metrics": {...}, "topics": [...]}]}
 *      {"event": "closed"}
 * ```
 *
 * @module
 */

import { existsSync } from "node:fs";
import { Peer } from "../../src/peer.ts";
import { Cursor } from "../../src/gossip/cursor.ts";
import { Identity } from "../../src/secure/identity.ts";
import { formatAddress } from "../../src/transport/transport.ts";
import type { Given, PeersOptions, PublishCommand } from "./gossip_process.ts";

/** A peer that reads the topic, and its notes. */
class Reader implements AsyncDisposable {
  readonly peer: Peer;
  readonly name: string;
  readonly #topic: string;
  readonly #notes: Notes;
  readonly #reading: Promise<void>;

  private constructor(peer: Peer, name: string, topic: string, notes: Notes) {
    this.peer = peer;
    this.name = name;
    this.#topic = topic;
    this.#notes = notes;
    this.#reading = this.#read();
  }

  static async open(name: string, options: PeersOptions): Promise<Reader> {
    const { dir, topic, seeds, hostname, discoveryPort, network } = options;
    const notes = new Notes(`${dir}/${name}.given`);
    const identity = identityIn(`${dir}/${name}.key`);
    const at = { hostname, port: 0, discoveryPort, network, announce: false, seeds };
    const peer = await Peer.open({ identity, ...at });
    return new Reader(peer, name, topic, notes);
  }

  async publish({ from, count, burst, everyMs, confirm = 0 }: PublishCommand): Promise<void> {
    for (let n = from; n < from + count;) {
      const turn: Promise<unknown>[] = [];
      for (const end = Math.min(n + burst, from + count); n < end; n++) {
        turn.push(this.peer.gossip.publish(this.#topic, `${this.name} ${n}`, { confirm }));
      }
      await Promise.all(turn);
      await new Promise((resolve) => setTimeout(resolve, everyMs));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.peer.close();
    await this.#reading;
    this.#notes[Symbol.dispose]();
  }

  async #read(): Promise<void> {
    const since = this.#notes.cursor;
    for await (const given of this.peer.gossip.subscribe(this.#topic, { since })) {
      this.#notes.add({ from: given.from, seq: given.seq, data: String(given.data) });
    }
  }
}

/** What a peer was given, a line each. */
class Notes implements Disposable {
  readonly cursor = new Cursor();
  readonly #file: Deno.FsFile;

  constructor(path: string) {
    const text = existsSync(path) ? Deno.readTextFileSync(path) : "";
    for (const line of text.split("\n")) if (line !== "") this.cursor.add(JSON.parse(line));
    this.#file = Deno.openSync(path, { create: true, append: true });
  }

  add(given: Given): void {
    this.#file.writeSync(new TextEncoder().encode(JSON.stringify(given) + "\n"));
  }

  [Symbol.dispose](): void {
    this.#file.close();
  }
}

function identityIn(path: string): Identity {
  if (!existsSync(path)) Deno.writeFileSync(path, crypto.getRandomValues(new Uint8Array(32)));
  return Identity.fromSeed(Deno.readFileSync(path));
}

function say(event: string, about: Record<string, unknown> = {}): void {
  Deno.stdout.writeSync(new TextEncoder().encode(JSON.stringify({ event, ...about }) + "\n"));
}

const options: PeersOptions = JSON.parse(Deno.args[0] ?? "");
{
  await using parts = new AsyncDisposableStack();
  const readers: Reader[] = [];
  for (const name of options.names) {
    // The first of a process is where its others look, besides what they are told.
    const [first] = readers.flatMap(({ peer: { address } }) =>
      address ? [formatAddress(address)] : []
    );
    const seeds = first === undefined ? options.seeds : [first, ...options.seeds];
    readers.push(parts.use(await Reader.open(name, { ...options, seeds })));
  }
  say("ready", {
    addresses: readers.map(({ peer }) => peer.address && formatAddress(peer.address)),
    peerIds: readers.map(({ peer }) => peer.peerId),
  });
  const work: Promise<void>[] = [];
  let rest = "";
  for await (const text of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const command: PublishCommand | { readonly tell: number } = JSON.parse(line);
      if ("tell" in command) tell(readers, command);
      else work.push(publish(readers, command));
    }
  }
  await Promise.all(work);
}
say("closed");

async function publish(readers: readonly Reader[], command: PublishCommand): Promise<void> {
  const beganMs = performance.now();
  await Promise.all(readers.map((reader) => reader.publish(command)));
  const ms = Math.round(performance.now() - beganMs);
  say("published", { ...command, ms });
}

function tell(readers: readonly Reader[], { tell }: { readonly tell: number }): void {
  const peers = readers.map(({ name, peer }) => {
    return { name, metrics: peer.metrics.snapshot(), topics: peer.gossip.topics() };
  });
  say("told", { tell, peers });
}
