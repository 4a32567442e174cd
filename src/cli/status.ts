/**
 * `kith status`
 *
 * @module
 */

import type { DhtStat } from "../dht/dht_options.ts";
import type { LimitReport } from "../endpoint/limits_table.ts";
import { NotFoundError } from "../errors.ts";
import { printable } from "../log.ts";
import { describeMember, type MemberDescription } from "../membership/description.ts";
import { resolveHome } from "../state/home.ts";
import { formatAddress } from "../transport/transport.ts";
import { VERSION } from "../version.ts";
import type { Host } from "./control/host.ts";
import { counted, formatBytes, type Output, roundMs } from "./output.ts";
import type { Invocation } from "./verbs.ts";

/** Rows of a list for people; in JSON all are shown. */
const MAX_ROWS = 20;

/** Columns of what stands before a line's content. */
const LABEL_COLUMNS = 11;

/** Shows the peer that runs with this home. @throws {NotFoundError} `no-peer` when none does. */
export function run(invocation: Invocation): Promise<void> {
  const { host, options, output } = invocation;
  if (host === undefined) return Promise.reject(nobody(invocation));
  if (options.has("frames")) return Promise.resolve(showFrames(host, output));
  const status = statusOf(host);
  output.result({ ...status }, textOf(status));
  return Promise.resolve();
}

/** Shows the last messages of a peer, as its flight recorder has them. */
function showFrames({ peer }: Host, output: Output): void {
  for (const frame of peer.endpoint.recorder.frames()) {
    const { atMs, direction, kind, bytes, link } = frame;
    const place = link === 0 ? "udp" : `link ${link}`;
    const text = [
      new Date(atMs).toISOString(),
      direction.padEnd(3),
      place.padEnd(8),
      String(bytes).padStart(9),
      printable(kind, 80),
    ];
    output.result({ event: "frame", ...frame }, text.join("  "));
  }
}

/** The error where no peer can be shown. */
function nobody({ options, apart = "" }: Invocation): NotFoundError {
  const home = printable(options.text("home") ?? resolveHome(), 300);
  const why = apart === "" ? "" : ` (${printable(apart, 400)})`;
  return new NotFoundError(
    "no-peer",
    `No kith that runs with home ${home} can be asked${why}: kith up runs one, and --home DIR names ` +
      "another home",
    { details: { home } },
  );
}

/** What is shown. */
type Status = ReturnType<typeof statusOf>;

function statusOf({ peer, home, options, startedMs }: Host) {
  const { endpoint, gossip, membership, network } = peer;
  return {
    peerId: peer.peerId,
    name: peer.name,
    version: VERSION,
    pid: Deno.pid,
    startedMs,
    uptimeMs: Date.now() - startedMs,
    home: home.dir,
    tcp: peer.address?.port ?? null,
    udp: peer.udpAddress?.port ?? null,
    http: peer.httpAddress?.port ?? null,
    network: { name: network.name, key: network.isSecret },
    peers: endpoint.peers.list().map(({ peerId, name, addresses, since, rttMs, status }) => ({
      peerId,
      name,
      addresses: addresses.map(formatAddress),
      since,
      rttMs: rttMs === undefined ? null : roundMs(rttMs),
      state: status?.state ?? null,
    })),
    members: (membership?.members() ?? []).map(describeMember),
    topics: gossip.topics().map(({ topic, neighbors, eager, known, kept, keptBytes, ...more }) => ({
      ...{ topic, neighbors, eager, known, kept, keptBytes },
      subscriptions: more.subscriptions,
    })),
    dht: options.text("dht") === "off" ? null : dhtOf(peer.dht.stat()),
    transfers: peer.transfers,
    limits: endpoint.resources.describe(),
    counters: peer.metrics.snapshot(),
  };
}

function dhtOf({ mode, nodes, failing, estimatedNodes, records, bytes }: DhtStat) {
  return { mode, nodes, failing, estimatedNodes, records, bytes };
}

/** The same for people. */
function textOf(status: Status): string {
  const { peerId, name, tcp, udp, http, network, members, peers, topics, dht, transfers } = status;
  const who = printable(name) || "this peer";
  const isNamed = network.name !== "" || network.key;
  const key = network.key ? ", with a key" : "";
  return [
    `${who} is up for ${formatDuration(status.uptimeMs)}, since ${
      new Date(status.startedMs).toISOString()
    }`,
    row("id", peerId),
    row("home", `${printable(status.home, 300)}  (kith ${status.version}, process ${status.pid})`),
    row("listens", `tcp ${tcp ?? "-"}, udp ${udp ?? "-"}, http ${http ?? "-"}`),
    row("network", isNamed ? `${printable(network.name, 64) || "no name"}${key}` : "the open one"),
    ...list("members", members, memberText),
    ...list("connected", peers, (peer) => {
      const from = printable(peer.addresses.join(" "), 60);
      return `${peer.peerId}  ${printable(peer.name, 64).padEnd(16)}  ${from}  ${
        msText(peer.rttMs)
      }`;
    }),
    ...list("topics", topics, (topic) => {
      const { neighbors: { length }, kept, keptBytes } = topic;
      return `${printable(topic.topic, 64)}  ${counted(length, "neighbour")}, ${kept} kept (${
        formatBytes(keptBytes)
      })`;
    }),
    row(
      "dht",
      dht === null
        ? "off"
        : `${dht.mode}, ${counted(dht.nodes, "node")} known, ${counted(dht.records, "value")}`,
    ),
    ...list("transfers", transfers, ({ direction, peer, what, bytes, totalBytes, paused }) => {
      const way = direction === "out" ? "to" : "from";
      return `${way} ${printable(peer, 64)}  ${printable(what, 64)}  ${formatBytes(bytes)} of ${
        formatBytes(totalBytes)
      }${paused ? "  paused" : ""}`;
    }),
    ...list("limits", status.limits, limitText, Infinity),
    ...list("counters", Object.entries(status.counters), ([what, count]) => {
      return `${what.padEnd(34)}  ${String(count).padStart(12)}`;
    }, Infinity),
  ].join("\n");
}

function memberText({ state, peerId, name, rttMs, why }: MemberDescription): string {
  return `${state.padEnd(8)}${peerId}  ${printable(name, 64).padEnd(16)}  ${msText(rttMs)}  ${
    printable(why, 100)
  }`;
}

function limitText({ name, value, used, refused }: LimitReport): string {
  const most = typeof value === "number" ? String(value) : value === null ? "none" : "by endpoint";
  const uses = used === undefined ? "" : `  in use ${used}`;
  return `${name.padEnd(28)}${most.padStart(14)}${uses}${
    refused === undefined ? "" : `  refused ${refused}`
  }`;
}

/** `3 d 4 h`, `5 min`, `12 s`: what says enough. */
function formatDuration(ms: number): string {
  const seconds = Math.floor(ms / 1_000);
  const [days, hours, minutes] = [seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60];
  if (days >= 1) return `${Math.floor(days)} d ${Math.floor(hours)} h`;
  if (seconds >= 3_600) return `${Math.floor(hours)} h ${Math.floor(minutes)} min`;
  return seconds >= 60 ? `${Math.floor(minutes)} min` : `${seconds} s`;
}

function msText(ms: number | null): string {
  return ms === null ? "-" : `${ms.toFixed(1)} ms`;
}

function row(label: string, text: string): string {
  return `${label.padEnd(LABEL_COLUMNS)}${text}`;
}

/** A line for each, the label before the first. */
function list<T>(
  label: string,
  items: readonly T[],
  show: (item: T) => string,
  most: number = MAX_ROWS,
): string[] {
  if (items.length === 0) return [row(label, "none")];
  const lines = items.slice(0, most).map(show);
  if (items.length > most) lines.push(`and ${items.length - most} more`);
  return lines.map((line, at) => row(at === 0 ? label : "", line));
}
