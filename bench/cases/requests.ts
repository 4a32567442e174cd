/**
 * How fast 64 bytes go to another process and come back as its answer, and how fast they go one way to a handler there.
 *
 * None of what we are compared with encrypts, so ours does not either ("plain"), which endpoints do only where both ask
 * for it; what encryption costs is asked apart.
 *
 * @module
 */

import { NatsServer } from "../nats_server.ts";
import { Pair } from "../pair.ts";
import type { Contest, Race } from "../question.ts";

/** One-way messages of a round: about a third of a second. */
const NOTES = 400_000;

/** Starts one side of a contest; what it opens is closed with the rest. */
type Start = (opened: AsyncDisposableStack) => Promise<Pair>;

/** Runs a side once. @returns its speed. */
type Run = (pair: Pair) => Promise<number>;

interface Match {
  readonly name: string;
  readonly ours: Start;
  readonly baseline: Start;
  readonly run: Run;
  /** The ratio that is wanted; a baseline without is there to know one's place by. */
  readonly atLeast?: number;
}

const ours = pairOf("requests_ours", "plain");
const encrypted = pairOf("requests_ours");
const naive = { name: "naive @std/msgpack", start: pairOf("requests_naive") };
const webSocket = { name: "bare WebSocket echo", start: pairOf("requests_websocket") };
const nats = { name: "NATS request/reply", start: throughNats("requests_nats") };

/** Every question about requests and notifications. */
export const requestQuestions: readonly Race[] = [
  requests(1, naive),
  requests(16, naive, 3.5),
  requests(256, naive, 12),
  race({
    name: "plain x1, 1/p50, vs bare framed ping-pong",
    ours,
    baseline: pairOf("ping_pong"),
    run: medianRate,
    atLeast: 0.833, // the median takes at most 1.2 times as long
  }),
  requests(1, webSocket),
  requests(16, webSocket),
  requests(256, webSocket),
  requests(1, nats),
  requests(16, nats, 5),
  requests(256, nats, 12),
  race({
    name: "plain notify vs NATS publish/subscribe",
    ours: pairOf("notify_ours", "plain"),
    baseline: throughNats("notify_nats"),
    run: notes,
    atLeast: 2,
  }),
  encryptedRequests(1),
  encryptedRequests(16),
  encryptedRequests(256),
  race({
    name: "UDP requests x16 vs bare datagram echo",
    ours: pairOf("requests_udp"),
    baseline: pairOf("requests_datagram"),
    run: rate(16),
    atLeast: 0.8,
  }),
];

function encryptedRequests(inFlight: number): Race {
  const name = `encrypted requests x${inFlight} vs plain`;
  return race({ name, ours: encrypted, baseline: ours, run: rate(inFlight) });
}

function requests(
  inFlight: number,
  rival: { readonly name: string; readonly start: Start },
  atLeast?: number,
): Race {
  return race({
    name: `plain requests x${inFlight} vs ${rival.name}`,
    ours,
    baseline: rival.start,
    run: rate(inFlight),
    ...(atLeast !== undefined && { atLeast }),
  });
}

function race({ ours, baseline, run, ...rest }: Match): Race {
  return { type: "race", unit: "messages", ...rest, open: () => contest(ours, baseline, run) };
}

function rate(inFlight: number): Run {
  return async (pair) => {
    const { perSecond } = await pair.ask(String(inFlight)) as { perSecond: number };
    return perSecond;
  };
}

async function medianRate(pair: Pair): Promise<number> {
  const { p50Ms } = await pair.ask("p50") as { p50Ms: number };
  return 1000 / p50Ms;
}

async function notes(pair: Pair): Promise<number> {
  const { seconds } = await pair.ask(String(NOTES)) as { seconds: number };
  return NOTES / seconds;
}

async function contest(ours: Start, baseline: Start, run: Run): Promise<Contest> {
  await using opened = new AsyncDisposableStack();
  const pairs = { baseline: await baseline(opened), ours: await ours(opened) };
  const sides = { baseline: () => run(pairs.baseline), ours: () => run(pairs.ours) };
  await sides.baseline(); // by now the compiler has settled
  await sides.ours();
  const all = opened.move();
  return { ...sides, [Symbol.asyncDispose]: () => all.disposeAsync() };
}

/** @param kind What both processes are told last. */
function pairOf(script: string, ...kind: readonly string[]): Start {
  const args = { receive: kind, send: kind };
  return async (opened) => opened.use(await Pair.start(`bench/children/${script}.ts`, args));
}

function throughNats(script: string): Start {
  return async (opened) => {
    const { port } = opened.use(await NatsServer.start());
    return opened.use(await Pair.start(`bench/children/${script}.ts`, { receive: [String(port)] }));
  };
}
