/**
 * `kith sub`
 *
 * @module
 */

import { Cursor } from "../gossip/cursor.ts";
import type { GossipMessage } from "../gossip/gossip_options.ts";
import type { TopicSubscription } from "../gossip/topic_subscription.ts";
import { printable } from "../log.ts";
import type { Peer } from "../peer.ts";
import { loadNetwork } from "../secure/network_file.ts";
import { CursorFile } from "./cursor_file.ts";
import { oldestFirst } from "./oldest_first.ts";
import { usePeer } from "./open_peer.ts";
import { asUsage, durationMs, type Options, UsageError } from "./options.ts";
import type { Output } from "./output.ts";
import { noteRefused } from "./refusals.ts";
import { announceClosed, holdHome, interrupted, showData } from "./running.ts";
import type { Invocation } from "./verbs.ts";

/** Prints what is published in a topic, until ^C, or so many messages. */
export async function run(invocation: Invocation): Promise<void> {
  const { options, output, signal } = invocation;
  const [topic, ...more] = options.args;
  if (!topic || more.length > 0) {
    throw new UsageError("One TOPIC is wanted; what belongs to --since follows a =");
  }
  const since = parseSince(options);
  const count = options.integer("count") ?? Infinity;
  const maxWaiting = options.integer("max-waiting");
  using held = holdHome(invocation);
  const network = invocation.host?.peer.network.name ?? networkName(options);
  using file = asUsage(() => new CursorFile({ home: held.home, network, topic }));
  await using used = await usePeer(invocation, { clientOnly: false, seeds: true });
  const { peer } = used;
  await using subscription = peer.gossip.subscribe(topic, {
    signal,
    ...(maxWaiting === undefined ? {} : { maxWaiting }),
    ...sinceOf(since, file),
  });
  await Promise.race([subscription.ready, interrupted(signal)]);
  announce(peer, topic, output);
  await read(subscription, { output, count, file, signal });
  await subscription[Symbol.asyncDispose]();
  await used[Symbol.asyncDispose]();
  announceClosed(peer, output);
}

/** How to read. */
interface Reading {
  readonly output: Output;
  /** Messages after which to end. */
  readonly count: number;
  /** Where to keep how far it got. */
  readonly file: CursorFile;
  /** Fires on ^C. */
  readonly signal: AbortSignal;
}

/** Prints messages, and keeps which: first the one, then the other, so that none is missing after a crash. */
async function read(
  subscription: TopicSubscription,
  { output, count, file, signal }: Reading,
): Promise<void> {
  const cursor = Cursor.parse(String(subscription.cursor));
  const { promise: failure, reject } = Promise.withResolvers<never>();
  file.keep(cursor);
  let [left, dropped] = [count, 0];
  const showAll = async () => {
    for await (const message of oldestFirst(subscription)) {
      if (subscription.dropped > dropped) showDropped(dropped = subscription.dropped, output);
      show(message, output);
      cursor.add(message);
      file.keepSoon(cursor, reject);
      if (--left === 0) return;
      // What comes meanwhile waits in the subscription, as --max-waiting says.
      const room = output.room();
      if (room !== undefined) await Promise.race([room, interrupted(signal)]);
    }
  };
  await Promise.race([showAll(), failure]);
  file.keep(cursor);
}

function show({ data, ...facts }: GossipMessage, output: Output): void {
  showData({ event: "message", ...facts }, facts.from.slice(0, 8), data, output);
}

function showDropped(dropped: number, output: Output): void {
  output.result(
    { event: "dropped", dropped },
    `${dropped} dropped so far: more waited to be printed than --max-waiting`,
  );
}

function announce(peer: Peer, topic: string, output: Output): void {
  const { peerId, name } = peer;
  const tcp = peer.address?.port;
  const udp = peer.udpAddress?.port;
  const [status] = peer.gossip.topics();
  const neighbors = status?.neighbors ?? [];
  const refused = status?.refusals ?? 0;
  const nobody = refused === 0
    ? "nobody else yet"
    : `nobody else yet; ${refused} did not let us in, who may invite with --scope topic:NAME`;
  const others = neighbors.length === 0
    ? nobody
    : `with ${neighbors.map((id) => id.slice(0, 8)).join(", ")}`;
  output.result(
    { event: "ready", peerId, name, tcp, udp, topic, neighbors },
    `${printable(name) || peerId} reads ${printable(topic, 64)} ` +
      `(${others}; tcp ${tcp}, udp ${udp}), ^C ends`,
  );
  if (neighbors.length === 0) noteRefused(peer.trust, output);
}

function networkName(options: Options): string {
  const [name, keyFile] = [options.text("network"), options.text("key-file")];
  return loadNetwork({ name, keyFile }).network.name;
}

/** From when on messages are wanted: the last time, always, or milliseconds since 1970. */
type Since = "last" | "all" | number | undefined;

function parseSince(options: Options): Since {
  const text = options.text("since");
  if (text === undefined || text === "last" || text === "all") return text;
  const agoMs = durationMs(text);
  const nowMs = Date.now();
  const atMs = agoMs === undefined ? timeOf(text) : Math.max(0, nowMs - agoMs);
  if (atMs >= 0 && atMs <= nowMs) return atMs;
  throw new UsageError(
    "Option --since must be last, all, a length of time such as 10m, or a time that has passed " +
      `such as 2026-01-02T03:04Z: it is ${printable(text, 40)}`,
  );
}

/** A date, or a date and time (ISO 8601), in milliseconds since 1970; NaN where it is none. */
function timeOf(text: string): number {
  return /^\d{4}-\d\d-\d\d(T[\d:.]+(Z|[+-]\d\d:\d\d)?)?$/.test(text) ? Date.parse(text) : NaN;
}

function sinceOf(since: Since, file: CursorFile): { since?: "all" | number | Cursor } {
  if (since === undefined) return {};
  return { since: since === "last" ? file.read() ?? "all" : since };
}
