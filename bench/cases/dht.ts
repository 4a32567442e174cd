/**
 * How fast values are stored in a DHT and found again, against the two that Node has: `bittorrent-dht`, which is the
 * Mainline DHT, and `hyperdht`.
 *
 * Each network is one process with all of its nodes on loopback, warmed up until everybody knows everybody it wants to.
 * Values have 100 bytes, are stored under their hash with the 20 nodes that are nearest to it, and one question is asked
 * after the other, as `children/dht_rounds.mjs` says; so what counts is the work that all nodes together have with it. A
 * get is asked by a node that neither put the value nor keeps it.
 *
 * And how fast a node knows whom to ask: its table against sorting, once all the nodes that it was ever told of, once
 * those that found a place in the table.
 *
 * @module
 */

import { seededRandom, systemClock } from "../../src/clock.ts";
import { type Contact, contactOf } from "../../src/dht/contact.ts";
import { compareDistance, ID_BYTES, type NodeId } from "../../src/dht/node_id.ts";
import { RoutingTable } from "../../src/dht/routing_table.ts";
import { Child, projectHas } from "../child.ts";
import { type Contest, type Race, Unavailable } from "../question.ts";

const NODE = "node";

/** Unmeasured rounds of each side: by then Node is as fast as it gets. */
const WARM_UP_ROUNDS = 4;

/** Questions of a round: about a third of a second of the rivals' time. */
const ROUND = { put: 150, get: 300 } as const;

/** Nodes that a table is told of. */
const TOLD = 10_000;
/** Nodes that are looked for in it. */
const WANTED = 20;
/** Ids that they are to be near to, one after the other. */
const TARGETS = 256;
/** Long enough for the clock: the times that each side searches in a round. */
const SEARCHES = { table: 10_000, sorting: 20 };

/** A network of nodes in a process of its own. */
interface Network {
  readonly name: string;
  /** Starts it; it is closed with the rest. @throws {Unavailable} where it cannot be had. */
  readonly start: (nodes: number, opened: AsyncDisposableStack) => Promise<Child>;
}

interface Match {
  readonly what: keyof typeof ROUND;
  readonly nodes: number;
  readonly rival: Network;
  readonly atLeast: number;
}

/** What a round comes to, and what it says about itself. */
interface Round {
  readonly seconds: number;
  /** How many nodes keep a value. */
  readonly holders: number;
}

const kith: Network = {
  name: "kith",
  start: (nodes, opened) => ready(opened, "bench/children/dht_ours.ts", [String(nodes)]),
};
const bittorrent = rival("bittorrent-dht", "bittorrent");
const hyperdht = rival("hyperdht", "hyperdht");

/** Every question about the DHT. */
export const dhtQuestions: readonly Race[] = [
  race({ what: "put", nodes: 20, rival: bittorrent, atLeast: 3 }),
  race({ what: "put", nodes: 20, rival: hyperdht, atLeast: 2 }),
  race({ what: "get", nodes: 50, rival: bittorrent, atLeast: 1.5 }),
  race({ what: "get", nodes: 50, rival: hyperdht, atLeast: 1.5 }),
  search("all 10,000", (told) => told, 20),
  search("those in it", (_, table) => table.contacts()),
];

function rival(name: string, script: string): Network {
  return {
    name,
    start: async (nodes, opened) => {
      await assertInstalled(name);
      return await ready(opened, "bench/children/dht_rival.ts", [script, String(nodes)]);
    },
  };
}

function race({ what, nodes, rival, atLeast }: Match): Race {
  const name = `DHT ${what} among ${nodes} nodes vs ${rival.name}`;
  const open = async (): Promise<Contest> => {
    await using opened = new AsyncDisposableStack();
    const baseline = new Rounds(await rival.start(nodes, opened), what);
    const ours = new Rounds(await kith.start(nodes, opened), what);
    const sides = { baseline: () => baseline.run(), ours: () => ours.run() };
    for (let i = 0; i < WARM_UP_ROUNDS; i++) {
      await sides.baseline();
      await sides.ours();
    }
    const all = opened.move();
    return {
      ...sides,
      note: () => `holders of a value: ${ours.holders}, theirs ${baseline.holders}`,
      [Symbol.asyncDispose]: () => all.disposeAsync(),
    };
  };
  return { type: "race", name, unit: "messages", atLeast, open };
}

/** The rounds of one network. */
class Rounds {
  readonly #network: Child;
  readonly #what: keyof typeof ROUND;
  #holders = NaN;

  constructor(network: Child, what: keyof typeof ROUND) {
    this.#network = network;
    this.#what = what;
  }

  /** How many nodes kept a value in the last round. */
  get holders(): string {
    return this.#holders.toFixed(1);
  }

  /** @returns questions in a second. */
  async run(): Promise<number> {
    const count = ROUND[this.#what];
    const { seconds, holders } = await this.#network.ask(`${this.#what} ${count}`) as Round;
    this.#holders = holders;
    return count / seconds;
  }
}

async function ready(
  opened: AsyncDisposableStack,
  script: string,
  args: readonly string[],
): Promise<Child> {
  const child = opened.use(new Child(script, args));
  await child.answer();
  return child;
}

async function assertInstalled(rival: string): Promise<void> {
  if (!await projectHas(`bench/rivals/node_modules/${rival}/package.json`)) {
    throw new Unavailable(`${rival} is not installed (npm run bench:rivals)`);
  }
  try {
    await new Deno.Command(NODE, { args: ["--version"], stdout: "null" }).output();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new Unavailable(`${rival} needs Node, which is not installed`);
  }
}

/** Finds the nodes that are nearest to an id. */
type Search = (target: NodeId) => readonly Contact[];

/** A full table against sorting. @param others Whom the baseline sorts. */
function search(
  what: string,
  others: (told: readonly Contact[], table: RoutingTable) => readonly Contact[],
  atLeast?: number,
): Race {
  const open = () => {
    const random = seededRandom(7);
    const told = Array.from({ length: TOLD }, (_, at) => nodeAt(at, random));
    const table = new RoutingTable({ self: randomId(random), clock: systemClock, random });
    for (const contact of told) table.add(contact);
    const sorted = others(told, table);
    const targets = Array.from({ length: TARGETS }, () => randomId(random));
    const sides = {
      ours: () => rate((target) => table.closest(target, WANTED), targets, SEARCHES.table),
      baseline: () => rate((target) => nearest(sorted, target), targets, SEARCHES.sorting),
    };
    for (let i = 0; i < WARM_UP_ROUNDS; i++) Object.values(sides).forEach((run) => run());
    const note = () => `sorted: ${sorted.length} nodes, in the table: ${table.size}`;
    return { ...sides, note, [Symbol.asyncDispose]: () => Promise.resolve() };
  };
  const name = `DHT closest ${WANTED} vs sorting ${what}`;
  return { type: "race", name, unit: "messages", open, ...(atLeast !== undefined && { atLeast }) };
}

/** A node on a private network, of which a table takes as many as there are. */
function nodeAt(at: number, random: () => number): Contact {
  const hostname = `10.0.${at >> 8}.${at & 255}`;
  return contactOf(randomId(random), { hostname, port: 3486 });
}

function randomId(random: () => number): NodeId {
  return Uint8Array.from({ length: ID_BYTES }, () => Math.floor(random() * 256));
}

function nearest(contacts: readonly Contact[], target: NodeId): readonly Contact[] {
  return contacts.toSorted((a, b) => compareDistance(target, a.id, b.id)).slice(0, WANTED);
}

/** @returns searches in a second. */
function rate(search: Search, targets: readonly NodeId[], count: number): number {
  const startedAt = performance.now();
  for (let done = 0; done < count; done += targets.length) {
    for (const target of targets.slice(0, count - done)) search(target);
  }
  return count / (performance.now() - startedAt) * 1000;
}
