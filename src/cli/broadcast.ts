/**
 * `kith broadcast`
 *
 * @module
 */

import type { FoundPeer } from "../discovery/search.ts";
import { exitStatus, NotFoundError, PeerError } from "../errors.ts";
import { printable } from "../log.ts";
import type {
  BroadcastEvent,
  BroadcastSummary,
  RecipientSummary,
} from "../palmtree/broadcast_options.ts";
import { BroadcastTable } from "./broadcast_table.ts";
import { compareByName } from "./discover.ts";
import { openPeer, reachOptions } from "./open_peer.ts";
import { type Options, UsageError } from "./options.ts";
import { formatBytes, formatFiles, type Output } from "./output.ts";
import { runPeerConnectBroadcast } from "./peerconnect_broadcast.ts";
import type { Invocation } from "./verbs.ts";

/** How long `--all` looks around. */
const LOOK_MS = 2_000;

/** Most children of a peer that `--fanout` takes. */
const MAX_FANOUT = 64;

/** Sends files and folders to many. @returns the exit status: 1 when some did not get it. */
export async function run(invocation: Invocation): Promise<number> {
  const { options, output, signal } = invocation;
  const isPeerConnect = options.choice("dialect", ["native", "peerconnect"]) === "peerconnect";
  if (isPeerConnect) return await runPeerConnectBroadcast(invocation);
  const named = options.texts("to");
  const isAll = options.has("all");
  if (options.args.length === 0) throw new UsageError("A PATH is missing: what to send");
  if (isAll === named.length > 0) {
    throw new UsageError("Either --to PEER, as often as wanted, or --all: who shall have it");
  }
  const fanout = fanoutOf(options);
  const maxBytesPerSecond = options.bytes("limit");
  if (maxBytesPerSecond === 0) throw new UsageError("Option --limit must be more than 0");
  const reach = reachOptions(options, signal);
  await using peer = await openPeer(invocation, { clientOnly: true });
  const to = isAll ? await everybody(peer.find({ ...reach, timeoutMs: LOOK_MS })) : named;
  if (to.length === 0) throw new NotFoundError("no-peer", "Cannot find anybody to send it to");
  await using sending = await peer.broadcast(options.args, {
    ...reach,
    to,
    ...(fanout === undefined ? {} : { fanout }),
    ...(maxBytesPerSecond === undefined ? {} : { maxBytesPerSecond }),
  });
  for (const { path, reason } of sending.skipped) {
    if (output.json) output.result({ event: "skipped", path, reason }, "");
    output.note(`not sent: ${printable(path, 300)} (${reason})`);
  }
  const table = new BroadcastTable(output.interactive);
  for await (const event of sending) {
    table.hear(event);
    if (output.json) showEvent(event, output);
  }
  table.clear();
  const summary = await sending.done;
  const counted = summary.receivers.filter((one) => !isAll || takesBroadcasts(one));
  for (const receiver of output.json ? [] : summary.receivers) showReceiver(receiver, output);
  showSummary(summary, counted, output);
  return statusOf(counted);
}

/** Everybody who answers, by name. */
async function everybody(found: AsyncIterable<FoundPeer>): Promise<FoundPeer[]> {
  const all = new Map<string, FoundPeer>();
  for await (const one of found) all.set(one.peerId, one);
  return [...all.values()].sort(compareByName);
}

function fanoutOf(options: Options): number | undefined {
  const fanout = options.integer("fanout");
  if (fanout === undefined || fanout <= MAX_FANOUT) return fanout;
  throw new UsageError(`Option --fanout must be 1..${MAX_FANOUT}: it is ${fanout}`);
}

/** Of those who were not named, who takes no broadcasts has not missed one. */
function takesBroadcasts({ error }: RecipientSummary): boolean {
  return !(error instanceof PeerError && error.code === "denied");
}

/** 0 when everybody got it, 1 when some did not, the code of the first error when nobody did. */
function statusOf(receivers: readonly RecipientSummary[]): number {
  const missed = receivers.filter(({ state }) => state !== "done");
  const [first] = missed;
  if (first === undefined) return 0;
  return missed.length < receivers.length ? 1 : exitStatus(first.error) || 1;
}

function showEvent(event: BroadcastEvent, output: Output): void {
  switch (event.type) {
    case "progress": {
      const { peerId, bytes, totalBytes } = event;
      return output.result({ event: "progress", peerId, bytes, totalBytes }, "");
    }
    case "corrupt":
      return output.result({ event: "corrupt", peerId: event.peerId, by: event.by }, "");
    case "done":
    case "refused":
    case "failed":
      return showReceiver(event, output);
    case "parent": {
      const { peerId, parent = null } = event;
      return output.result({ event: "parent", peerId, parent }, "");
    }
    case "accepted":
      return;
    default:
      event satisfies never;
  }
}

/** What became of one receiver. */
function showReceiver(receiver: RecipientSummary, output: Output): void {
  const { peerId, name, state, bytes, sha256, seconds, parent, error } = receiver;
  const failed = error !== undefined;
  const facts = {
    peerId: peerId ?? null,
    name,
    state,
    bytes,
    sha256: sha256 ?? null,
    seconds,
    code: failed ? codeOf(error) : null,
    message: failed ? messageOf(error) : null,
    parent: parent ?? null,
  };
  const what = !failed
    ? `${formatBytes(bytes)}  in ${seconds.toFixed(2)} s, verified`
    : printable(messageOf(error), 300);
  output.result(
    { event: "peer", ...facts },
    `${state.padEnd(8)}${printable(name, 64).padEnd(16)}  ${what}`,
  );
}

function showSummary(
  summary: BroadcastSummary,
  receivers: readonly RecipientSummary[],
  output: Output,
): void {
  const { files, bytes, sha256, egressBytes, resentBytes, seconds } = summary;
  const done = receivers.filter(({ state }) => state === "done").length;
  const failed = receivers.length - done;
  const times = bytes === 0 ? "" : ` (${(egressBytes / bytes).toFixed(1)} times)`;
  output.result(
    {
      event: "done",
      files,
      bytes,
      sha256,
      egressBytes,
      resentBytes,
      seconds,
      done,
      failed,
    },
    `sent ${formatFiles(files)}, ${formatBytes(bytes)}, to ${done} of ${receivers.length} ` +
      `in ${seconds.toFixed(2)} s; ${formatBytes(egressBytes)}${times} left from here: ` +
      `sha256 ${sha256}`,
  );
}

function codeOf(error: unknown): string {
  return error instanceof PeerError ? error.code : "internal";
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
