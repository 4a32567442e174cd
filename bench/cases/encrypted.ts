/**
 * How fast two endpoints talk when nobody else can read it, and how fast they come to know each other: against js-libp2p
 * on Node, and against ourselves without encryption.
 *
 * js-libp2p has TCP, Noise and yamux, one stream, and no services. It is asked three ways: a write for each message, as
 * its examples do; 64 messages by `writeV`, its own way to write many; and 64 joined into one array by hand, which is the
 * quickest there is. Ours posts one by one, always. In bulk js-libp2p sends bytes, ours messages.
 *
 * @module
 */

import { BULK_BYTES } from "../bodies.ts";
import { projectHas } from "../child.ts";
import { Pair } from "../pair.ts";
import { type Contest, type Race, Unavailable } from "../question.ts";

const CLIENT = "bench/rivals/node_modules/libp2p/package.json";
const NODE = "node";

/** Unmeasured rounds of each side: Node takes some hundred thousand messages until it is as fast as it gets. */
const WARM_UP_ROUNDS = 4;

/** What one side does in a round: about a third of a second. */
interface Side {
  readonly start: () => Promise<Pair>;
  /** See `children/encrypted.ts` and `rivals/libp2p.mjs`. */
  readonly command: "messages" | "single" | "batched" | "bulk" | "handshakes";
  readonly count: number;
}

interface Match extends Omit<Race, "type" | "open" | "unit"> {
  readonly ours: Side;
  readonly baseline: Side;
}

const ours = () => Pair.start("bench/children/encrypted.ts");
const plain = () =>
  Pair.start("bench/children/encrypted.ts", { receive: ["plain"], send: ["plain"] });

/** Every question about encrypted connections. */
export const encryptedQuestions: readonly Race[] = [
  messages("64 joined", { command: "messages", count: 60_000 }),
  messages("64 by writeV", { command: "batched", count: 20_000 }, 4),
  messages("one by one", { command: "single", count: 10_000 }),
  race({
    name: "encrypted bulk vs js-libp2p",
    ours: { start: ours, command: "bulk", count: 192 },
    baseline: { start: libp2p, command: "bulk", count: 128 },
    atLeast: 2,
  }),
  race({
    name: "encrypted bulk vs plain",
    ours: { start: ours, command: "bulk", count: 192 },
    baseline: { start: plain, command: "bulk", count: 768 },
    atLeast: 0.25,
  }),
  race({
    name: "handshakes one at a time vs js-libp2p",
    ours: { start: ours, command: "handshakes", count: 120 },
    baseline: { start: libp2p, command: "handshakes", count: 40 },
    atLeast: 3,
  }),
];

function messages(how: string, rival: Omit<Side, "start">, atLeast?: number): Race {
  return race({
    name: `encrypted 1 KiB vs js-libp2p, ${how}`,
    ours: { start: ours, command: "messages", count: 200_000 },
    baseline: { start: libp2p, ...rival },
    ...(atLeast !== undefined && { atLeast }),
  });
}

function race({ ours, baseline, ...rest }: Match): Race {
  const unit = ours.command === "bulk" ? "bytes" : "messages";
  return { type: "race", unit, ...rest, open: () => contest(ours, baseline) };
}

async function contest(ours: Side, baseline: Side): Promise<Contest> {
  await using opened = new AsyncDisposableStack();
  const pairs = {
    baseline: opened.use(await baseline.start()),
    ours: opened.use(await ours.start()),
  };
  const sides = {
    baseline: () => round(pairs.baseline, baseline),
    ours: () => round(pairs.ours, ours),
  };
  for (let i = 0; i < WARM_UP_ROUNDS; i++) {
    await sides.baseline();
    await sides.ours();
  }
  const all = opened.move();
  return { ...sides, [Symbol.asyncDispose]: () => all.disposeAsync() };
}

/** @returns how much a second. */
async function round(pair: Pair, { command, count }: Side): Promise<number> {
  const { seconds } = await pair.ask(`${command} ${count}`) as { seconds: number };
  return count * (command === "bulk" ? BULK_BYTES : 1) / seconds;
}

async function libp2p(): Promise<Pair> {
  if (!await projectHas(CLIENT)) {
    throw new Unavailable("js-libp2p is not installed (npm run bench:rivals)");
  }
  try {
    await new Deno.Command(NODE, { args: ["--version"], stdout: "null" }).output();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new Unavailable("js-libp2p needs Node, which is not installed");
  }
  return await Pair.start("bench/children/libp2p.ts");
}
