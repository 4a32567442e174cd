/**
 * What gossip costs beyond the sending: a message that is passed on against bare sends of ready bytes, and one that is
 * published against encoding it anew for each neighbour; and how many messages a small group gets through.
 *
 * The first are measured in one peer with 5 or 20 neighbours that throw away what they are sent, and in processor time of
 * its process, so that neither readers nor what else the machine does counts. In memory nothing is encrypted and a send is
 * two copies; over loopback the connections are as they always are, the neighbours in another process. What is inside, in
 * short (`children/gossip_star.ts` says all of it): "take + pass" begins with a packet that the connection has decoded and
 * ends when it has left to all neighbours: who signed it is checked, 64 under one signature; its value is decoded; it is
 * kept for who comes late. "Pass" begins behind all that.
 *
 * @module
 */

import { Child } from "../child.ts";
import { NatsServer } from "../nats_server.ts";
import { Pair } from "../pair.ts";
import type { Contest, Race } from "../question.ts";

/** Bytes that messages which are passed on carry. */
const DATA_BYTES = 1024;

/** Messages of a round that each member of a group publishes. */
const MEMBER_MESSAGES = { ours: 640, nats: 6_400 };
const MEMBERS = 5;

/** The processor time that passing on may take, as a multiple of that of the sends alone. */
const MOST_TIMES = 1.3;

const GC = ["--v8-flags=--expose-gc"];

/** What is told what to do. */
interface Told extends AsyncDisposable {
  ask(command: string): Promise<unknown>;
}

/** Starts one; what it opens is closed with the rest. */
type Start = (opened: AsyncDisposableStack) => Promise<Told>;

interface Match {
  readonly name: string;
  readonly ours: Start;
  readonly baseline: Start;
  /** Messages in a second. */
  readonly runOurs: (told: Told) => Promise<number>;
  readonly runBaseline: (told: Told) => Promise<number>;
  readonly atLeast?: number;
}

/** Every question about gossip. */
export const gossipQuestions: readonly Race[] = [
  ...[memory, loopback].flatMap((star) =>
    [5, 20].flatMap((leaves) => [
      forwarding("take + pass", "forward", leaves, star),
      forwarding("pass", "pass", leaves, star),
    ])
  ),
  race({
    name: "gossip in memory x20, publish vs encoding anew",
    ours: memory(20).start,
    baseline: memory(20).start,
    runOurs: rateOf("publish"),
    runBaseline: rateOf("anew"),
    atLeast: 5,
  }),
  race({
    name: "gossip in memory x20, publish vs posts",
    ours: memory(20).start,
    baseline: memory(20).start,
    runOurs: rateOf("publish"),
    runBaseline: rateOf("post"),
  }),
  race({
    name: "gossip among 5 peers vs NATS",
    ours: (opened) => ready(opened, "gossip_group", []),
    baseline: async (opened) => {
      const { port } = opened.use(await NatsServer.start());
      return await ready(opened, "gossip_nats", [String(port)]);
    },
    runOurs: (told) => groupRate(told, MEMBER_MESSAGES.ours),
    runBaseline: (told) => groupRate(told, MEMBER_MESSAGES.nats),
  }),
];

/** A star of peers, and what to call it. */
interface Star {
  readonly where: string;
  readonly start: Start;
}

function memory(leaves: number): Star {
  const args = [String(leaves), String(DATA_BYTES)];
  return { where: "in memory", start: (opened) => ready(opened, "gossip_memory", args, GC) };
}

function loopback(leaves: number): Star {
  const send = [String(leaves), String(DATA_BYTES)];
  const script = "bench/children/gossip_loopback.ts";
  return {
    where: "encrypted",
    start: async (opened) => opened.use(await Pair.start(script, { send, flags: GC })),
  };
}

function forwarding(
  what: string,
  command: string,
  leaves: number,
  star: (leaves: number) => Star,
): Race {
  const { where, start } = star(leaves);
  return race({
    name: `gossip ${where} x${leaves}, ${what} vs sends`,
    ours: start,
    baseline: start,
    runOurs: rateOf(command),
    runBaseline: rateOf("send"),
    // The rest is for information: three hashes and a signature's share alone cost as much as five encrypted sends.
    ...(what === "pass" && where === "encrypted" && {
      atLeast: Math.round(1000 / MOST_TIMES) / 1000,
    }),
  });
}

function race({ name, ours, baseline, runOurs, runBaseline, atLeast }: Match): Race {
  const open = async (): Promise<Contest> => {
    await using opened = new AsyncDisposableStack();
    const pair = { baseline: await baseline(opened), ours: await ours(opened) };
    const sides = { baseline: () => runBaseline(pair.baseline), ours: () => runOurs(pair.ours) };
    for (let round = 0; round < 2; round++) {
      await sides.baseline(); // by now the compiler has settled, and what is kept is full
      await sides.ours();
    }
    const all = opened.move();
    return { ...sides, [Symbol.asyncDispose]: () => all.disposeAsync() };
  };
  return { type: "race", name, unit: "messages", open, ...(atLeast !== undefined && { atLeast }) };
}

async function ready(
  opened: AsyncDisposableStack,
  script: string,
  args: readonly string[],
  flags: readonly string[] = [],
): Promise<Told> {
  const child = opened.use(new Child(`bench/children/${script}.ts`, args, { flags }));
  await child.answer();
  return child;
}

function rateOf(command: string): (told: Told) => Promise<number> {
  return async (told) => {
    const { perSecond } = await told.ask(command) as { perSecond: number };
    return perSecond;
  };
}

/** Messages in a second that all others have read. */
async function groupRate(told: Told, each: number): Promise<number> {
  const { seconds } = await told.ask(String(each)) as { seconds: number };
  return MEMBERS * each / seconds;
}
