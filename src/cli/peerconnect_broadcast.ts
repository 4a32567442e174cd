/**
 * `kith broadcast --dialect peerconnect`
 *
 * @module
 */

import { exitStatus, PeerError } from "../errors.ts";
import { printable } from "../log.ts";
import type {
  BroadcastEvent,
  BroadcastSummary,
  RecipientSummary,
} from "../palmtree/broadcast_options.ts";
import { PeerConnectBroadcast } from "../palmtree/dialects/peerconnect_broadcast.ts";
import { hostsIfAllowed } from "../peer_discovery.ts";
import { ownHost } from "../peer_peerconnect.ts";
import { buildManifest } from "../transfer/manifest.ts";
import { netTransport } from "../transport/net.ts";
import { BroadcastTable } from "./broadcast_table.ts";
import { addressOf } from "./caller.ts";
import { openIdentity } from "./open_peer.ts";
import { UsageError } from "./options.ts";
import { formatBytes, formatFiles, type Output } from "./output.ts";
import type { Invocation } from "./verbs.ts";

/** Most children of a node that `--fanout` takes: what nodes of ours have. */
const MAX_FANOUT = 16;

/** Sends files to many PeerConnect nodes. @returns the exit status: 1 when some did not get it. */
export async function runPeerConnectBroadcast(invocation: Invocation): Promise<number> {
  const { options, output, signal } = invocation;
  const named = options.texts("to");
  if (options.args.length === 0) throw new UsageError("A PATH is missing: what to send");
  if (options.has("all") || named.length === 0) {
    throw new UsageError("With --dialect it is --to HOST:PORT, as often as wanted");
  }
  const fanout = options.integer("fanout");
  if (fanout !== undefined && fanout > MAX_FANOUT) {
    throw new UsageError(
      `With --dialect option --fanout must be 1..${MAX_FANOUT}: it is ${fanout}`,
    );
  }
  const maxBytesPerSecond = options.bytes("limit");
  if (maxBytesPerSecond === 0) throw new UsageError("Option --limit must be more than 0");
  const targets = named.map((name) => ({ name, address: addressOf(name) }));
  const { peerId } = openIdentity(invocation).identity;
  const hostname = options.text("host");
  const hosts = hostsIfAllowed({ hostname });
  const ports = {
    ...{ transport: netTransport, peerId, hostname, log: output.log, maxBytesPerSecond },
    hostFor: (remote: { hostname: string; port: number }) => ownHost(remote, hosts),
  };
  const built = await buildManifest(options.args, { signal });
  const how = { fanout, answerMs: options.milliseconds("timeout"), signal };
  await using sending = new PeerConnectBroadcast(ports, built, targets, how);
  showLeftOut(sending, output);
  const table = new BroadcastTable(output.interactive);
  for await (const event of sending) {
    table.hear(event);
    if (output.json) showEvent(event, output);
  }
  table.clear();
  const summary = await sending.done;
  for (const receiver of output.json ? [] : summary.receivers) showReceiver(receiver, output);
  showSummary(summary, output);
  return statusOf(summary.receivers);
}

function showLeftOut({ skipped, folders }: PeerConnectBroadcast, output: Output): void {
  const without = folders.map((path) => ({ path, reason: "folder: its files lose it" }));
  for (const { path, reason } of [...skipped, ...without]) {
    if (output.json) output.result({ event: "skipped", path, reason }, "");
    output.note(`not sent: ${printable(path, 300)} (${reason})`);
  }
}

/** 0 when everybody was given it, 1 when some were not, the code of the first error when nobody was. */
function statusOf(receivers: readonly RecipientSummary[]): number {
  const missed = receivers.filter(({ state }) => state !== "done");
  const [first] = missed;
  if (first === undefined) return 0;
  return missed.length < receivers.length ? 1 : exitStatus(first.error) || 1;
}

function showEvent(event: BroadcastEvent, output: Output): void {
  if (event.type === "progress") {
    const { peerId, bytes, totalBytes } = event;
    output.result({ event: "progress", peerId, bytes, totalBytes }, "");
  } else if (event.type === "parent") {
    const { peerId, parent = null } = event;
    output.result({ event: "parent", peerId, parent }, "");
  } else if (event.type !== "accepted" && event.type !== "corrupt") showReceiver(event, output);
}

/** What became of one receiver; nothing confirms it. */
function showReceiver(receiver: RecipientSummary, output: Output): void {
  const { peerId = null, name, state, bytes, seconds, parent = null, error } = receiver;
  const message = error instanceof Error ? error.message : null;
  const code = error instanceof PeerError ? error.code : error === undefined ? null : "internal";
  const what = message === null
    ? `${formatBytes(bytes)}  in ${seconds.toFixed(2)} s, not verified`
    : printable(message, 300);
  output.result(
    { event: "peer", peerId, name, state, bytes, seconds, code, message, parent },
    `${state.padEnd(8)}${printable(name, 64).padEnd(16)}  ${what}`,
  );
}

function showSummary(summary: BroadcastSummary, output: Output): void {
  const { files, bytes, sha256, egressBytes, seconds, receivers } = summary;
  const done = receivers.filter(({ state }) => state === "done").length;
  const failed = receivers.length - done;
  const times = bytes === 0 ? "" : ` (${(egressBytes / bytes).toFixed(1)} times)`;
  output.result(
    { event: "done", files, bytes, sha256, egressBytes, seconds, done, failed },
    `sent ${formatFiles(files)}, ${formatBytes(bytes)}, to ${done} of ${receivers.length} ` +
      `in ${seconds.toFixed(2)} s, not verified; ${formatBytes(egressBytes)}${times} left from ` +
      `here: sha256 ${sha256}`,
  );
}
