/**
 * What peers keep: for those who come late, and in how much memory.
 *
 * @module
 */

import { signEnvelopes } from "../gossip/envelope.ts";
import { encodePacket } from "../gossip/packets.ts";
import { encode } from "../wire/msgpack.ts";
import type { GossipNode } from "./gossip_node.ts";
import {
  type GossipOptions,
  type GossipRun,
  judgeSpreads,
  lastMs,
  oneOf,
  runGossip,
} from "./gossip_scenario.ts";
import { simSigner } from "./swim_node.ts";

/** Messages that are published in the same moment, and the time until the next are, in milliseconds. */
const AT_ONCE = 50;
const EVERY_MS = 500;

/** How long everything may take in the end, in milliseconds. */
const PATIENCE_MS = 60_000;

/** Authors whose messages go through one peer. */
const AUTHORS = 8;

/** Messages that are given to it in a turn, and how far one is from its place where they are out of order, at most. */
const TURN = 64;

/** How somebody gets what there was before it. */
export interface LateFigures {
  /** Messages that were kept. */
  readonly kept: number;
  /** Milliseconds until it had all of them; `Infinity` if never. */
  readonly wholeMs: number;
  /** Messages it has not got. */
  readonly missed: number;
  /** Messages it got again. */
  readonly repeated: number;
  /** Packets with a message that came to it, for each message. */
  readonly copies: number;
}

/** How much a peer remembers. */
export interface MemoryFigures {
  /** Messages that went through it. */
  readonly accepted: number;
  /** The most ranges of numbers at any time by which it knew what it had seen. */
  readonly mostRanges: number;
  /** The most authors of whom it knew that. */
  readonly mostAuthors: number;
  /** The most messages that it kept. */
  readonly mostKept: number;
  /** The most bytes of those. */
  readonly mostBytes: number;
  /** The most ids that it waited for. */
  readonly mostMissing: number;
  /** The most ids that it had to tell. */
  readonly mostUntold: number;
}

/** Publishes many messages, and lets somebody join who was not there. */
export function measureLateJoiner(
  options: GossipOptions & {
    /** How many messages. @default {5000} */
    readonly messages?: number;
  },
): GossipRun<LateFigures> {
  const { messages = 5_000 } = options;
  return runGossip(options, {
    measure: ({ swarm, random }) => {
      const { simulation, names } = swarm;
      for (let left = messages; left > 0; left -= AT_ONCE) {
        for (let nth = 0; nth < Math.min(AT_ONCE, left); nth++) swarm.publish(oneOf(names, random));
        simulation.run(EVERY_MS);
      }
      simulation.run(5_000);
      const fromMs = simulation.nowMs;
      const late = ["late"];
      const node = swarm.spawn("late");
      const spreads = [...swarm.spreads.values()];
      simulation.runUntil(() => judgeSpreads(swarm, spreads, late).missed === 0, PATIENCE_MS);
      const { missed, repeated } = judgeSpreads(swarm, spreads, late);
      const last = Math.max(...spreads.map((spread) => spread.atMs + lastMs(spread)));
      return {
        kept: messages,
        wholeMs: missed > 0 ? Infinity : last - fromMs,
        missed,
        repeated,
        copies: node.traffic.bodiesIn / messages,
      };
    },
  });
}

/** Lets a million messages of a few authors go through one peer, in order or not, and looks at all that it remembers. */
export function measureMemory(
  options: GossipOptions & {
    /** How many messages. @default {1000000} */
    readonly messages?: number;
    /** How many it may keep. @default {16384} */
    readonly maxMessages?: number;
    /** Whether they come out of order, and one in a thousand not at all. @default {false} */
    readonly shuffled?: boolean;
    /** Called now and then, for those who look at something else. */
    readonly onTurn?: (done: number) => void;
  },
): GossipRun<MemoryFigures> {
  const { messages = 1_000_000, maxMessages = 16_384, shuffled = false, onTurn = () => {} } =
    options;
  return runGossip({ ...options, nodes: 2 }, {
    swarm: { settings: { history: { maxMessages } } },
    measure: ({ swarm, random }) => {
      const [from, to] = [swarm.node("n0"), swarm.node("n1")];
      const most = { ranges: 0, authors: 0, kept: 0, bytes: 0, missing: 0, untold: 0 };
      const key = to.topic.key;
      const authors = Array.from({ length: AUTHORS }, (_, nth) => {
        return { signer: simSigner(`author ${nth}`), seq: Math.floor(from.overlay.nowMs) * 2_048 };
      });
      for (let done = 0; done < messages; done += TURN) {
        const createdMs = Math.floor(from.overlay.nowMs);
        const packets = Array.from({ length: TURN }, () => {
          const author = oneOf(authors, random);
          const seq = author.seq++;
          const [envelope = new Uint8Array()] = signEnvelopes(author.signer, key, [
            { seq, createdMs, data: encode(seq) },
          ]);
          return {
            packet: encodePacket({ kind: "push", envelope, hops: 1 }, key),
            order: random(),
          };
        });
        if (shuffled) packets.sort((a, b) => a.order - b.order);
        for (const { packet, order } of packets) {
          if (!shuffled || order > 0.001) to.receive(packet, addressOf(from));
        }
        swarm.simulation.run(TURN / AUTHORS);
        onTurn(done + TURN);
        look(to, most);
      }
      return {
        accepted: to.metrics.counter("gossip.accepted").value,
        mostRanges: most.ranges,
        mostAuthors: most.authors,
        mostKept: most.kept,
        mostBytes: most.bytes,
        mostMissing: most.missing,
        mostUntold: most.untold,
      };
    },
  });
}

function look(
  { topic: { seen, history, tree } }: GossipNode,
  most: Record<"ranges" | "authors" | "kept" | "bytes" | "missing" | "untold", number>,
): void {
  most.ranges = Math.max(most.ranges, seen.ranges);
  most.authors = Math.max(most.authors, seen.authors);
  most.kept = Math.max(most.kept, history.size);
  most.bytes = Math.max(most.bytes, history.bytes);
  most.missing = Math.max(most.missing, tree.missing);
  most.untold = Math.max(most.untold, tree.untold);
}

function addressOf({ contact: { hosts: [hostname = ""], port } }: GossipNode): {
  hostname: string;
  port: number;
} {
  return { hostname, port };
}
