/**
 * A simulated machine: what outlives the programs that run on it.
 *
 * @module
 */

import { seededRandom } from "../clock.ts";
import type { Address } from "../transport/transport.ts";
import { EventHash } from "./event_hash.ts";
import type { Life } from "./life.ts";
import type { SimHost, SimNode } from "./host.ts";
import { requirePositive } from "./options.ts";

/** The port that every simulated node has. */
const NODE_PORT = 3486;

/** What a node sent and got, in messages and bytes of payload: what IP, UDP and TCP add is not counted. */
export interface NodeStats {
  /** Datagrams it sent, lost ones among them. */
  packetsOut: number;
  /** Bytes of those. */
  bytesOut: number;
  /** Datagrams that were given to it; a duplicate counts again. */
  packetsIn: number;
  /** Bytes of those. */
  bytesIn: number;
  /** Datagrams it sent, and copies of them, that were given to nobody. */
  packetsLost: number;
  /** Bytes it sent on streams: requests, answers, and what was sent again. */
  streamBytesOut: number;
  /** Bytes of the requests and answers that arrived. */
  streamBytesIn: number;
  /** Requests it asked. */
  asks: number;
  /** Those of its requests that ended without an answer. */
  asksFailed: number;
}

/** How a machine is made. */
export interface MachineOptions {
  readonly name: string;
  readonly index: number;
  readonly seed: number;
  readonly skewMs: number;
  readonly drift: number;
  readonly uplinkBytesPerSecond: number;
  readonly make: (host: SimHost) => SimNode;
}

/** A machine; see the module. */
export class Machine {
  readonly name: string;
  readonly index: number;
  readonly address: Address;
  readonly make: (host: SimHost) => SimNode;
  readonly skewMs: number;
  readonly drift: number;
  readonly uplinkBytesPerSecond: number;
  readonly stats: NodeStats = emptyStats();
  /** What the network draws for what this machine sends: its own numbers, so that others' packets change nothing. */
  readonly random: () => number;
  /** The program that runs on it. */
  life: Life | undefined;
  lives = 0;
  /** Whether it has power: without, nobody refuses what is sent to it. */
  up = true;
  /** Machines of the same group reach each other. */
  group = 0;
  datagramsBlocked = false;
  /** When the uplink has sent all it was given. */
  uplinkFreeAtMs = 0;

  constructor(options: MachineOptions) {
    const { name, index, seed } = options;
    this.name = name;
    this.index = index;
    this.address = { hostname: hostnameOf(index), port: NODE_PORT };
    this.make = options.make;
    this.skewMs = options.skewMs;
    this.drift = options.drift;
    this.uplinkBytesPerSecond = options.uplinkBytesPerSecond;
    this.random = seededRandom(seedFrom(`${seed} network of ${name}`));
    if (!Number.isFinite(this.skewMs)) {
      throw new RangeError(`Skew must be finite: it is ${this.skewMs}`);
    }
    requirePositive("Clock rate (1 + drift)", 1 + this.drift);
    requirePositive("Uplink", this.uplinkBytesPerSecond);
  }

  /** Ends the program that runs on it, if one does. */
  endLife(): void {
    this.life?.end();
    this.life = undefined;
  }
}

/** A seed made of a text. */
export function seedFrom(text: string): number {
  const hash = new EventHash();
  hash.text(text);
  return hash.low;
}

/** What some machines did together. */
export function sumStats(machines: Iterable<Machine>): NodeStats {
  const sums = emptyStats();
  for (const { stats } of machines) {
    for (const name of Object.keys(sums) as (keyof NodeStats)[]) sums[name] += stats[name];
  }
  return sums;
}

function emptyStats(): NodeStats {
  return {
    packetsOut: 0,
    bytesOut: 0,
    packetsIn: 0,
    bytesIn: 0,
    packetsLost: 0,
    streamBytesOut: 0,
    streamBytesIn: 0,
    asks: 0,
    asksFailed: 0,
  };
}

/** 10.0.0.1, 10.0.0.2, ...: the addresses of a private network, in the order of spawning. */
function hostnameOf(index: number): string {
  const number = index + 1;
  return `10.${number >>> 16 & 255}.${number >>> 8 & 255}.${number & 255}`;
}
