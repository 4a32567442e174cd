/**
 * What the status page shows of a peer.
 *
 * @module
 */

import type { Dht } from "./dht/dht.ts";
import type { Endpoint } from "./endpoint/endpoint.ts";
import type { PeerRecord } from "./endpoint/peer_table.ts";
import type { UdpPort } from "./endpoint/udp_port.ts";
import type { WebPort } from "./endpoint/web.ts";
import type { Gossip } from "./gossip/gossip.ts";
import { layerLog, printable } from "./log.ts";
import type { MemberInfo } from "./membership/member.ts";
import type { Membership } from "./membership/membership.ts";
import type { PeerBroadcasts } from "./peer_broadcast.ts";
import {
  dhtFigures,
  figure,
  type Naming,
  shownAddress,
  shownDht,
  shownName,
  shownTopics,
  shownTransfers,
  shownTrees,
  topicFigures,
  transferFigures,
} from "./peer_status_work.ts";
import type { Figure, StatusSource } from "./status/source.ts";
import { StatusPage, type StatusPageOptions } from "./status/status_page.ts";
import type { TransferBoard } from "./status/transfer_board.ts";
import type { Address } from "./transport/transport.ts";
import { VERSION } from "./version.ts";

/** Peers that are shown, those first who are there. */
const MAX_ROWS = 128;

/** Addresses of the machine that are shown. */
const MAX_HOSTS = 16;

/** Longest reason that is shown, in UTF-16 units. */
const MAX_WHY_CHARS = 160;

/** How old the list of our addresses may be, in milliseconds. */
const HOSTS_MS = 10_000;

const STATES = ["alive", "suspect", "dead", "gone"] as const;

/** The peer, as far as it is shown. */
export interface StatusHost {
  /** Its links. */
  readonly endpoint: Endpoint;
  /** Its topics. */
  readonly gossip: Gossip;
  /** Its group; `undefined` while it has joined none. */
  readonly membership: Membership | undefined;
  /** Where it takes connections; `undefined` for a client. */
  readonly address: Address | undefined;
}

/** What the peer has besides. */
export interface StatusNeeds {
  /** Where it serves HTTP. */
  readonly web: WebPort | undefined;
  /** Where it takes packets. */
  readonly udp: UdpPort | undefined;
  /** Dialects that it speaks. */
  readonly dialects: readonly string[];
  /** The addresses of the machine. */
  readonly hosts: () => readonly string[];
  /** Its part in the DHT; `undefined` while it takes none. */
  readonly dht: () => Dht | undefined;
  /** Transfers at work. */
  readonly transfers: TransferBoard;
  /** Broadcasts at work. */
  readonly broadcasts: PeerBroadcasts;
}

/** Serves the status page of a peer. @throws {TypeError} when it has no web port, and as `StatusPage`. */
export function openStatus(
  host: StatusHost,
  needs: StatusNeeds,
  options: StatusPageOptions = {},
): StatusPage {
  const { web } = needs;
  if (web === undefined) {
    throw new TypeError("Cannot serve the status page: the peer has no web port (web)");
  }
  const { clock, metrics } = host.endpoint;
  const log = layerLog(host.endpoint.log, "status");
  const sources = [...sourcesOf(host, needs, web), ...options.sources ?? []];
  return new StatusPage({ web, clock, log, metrics }, { ...options, sources });
}

function sourcesOf(host: StatusHost, needs: StatusNeeds, web: WebPort): StatusSource[] {
  const { endpoint, gossip } = host;
  const { transfers, broadcasts, dht } = needs;
  const names = () => namesOf(host);
  return [
    selfSource(host, needs, web),
    loadSource(endpoint, needs.udp),
    peersSource(host),
    {
      name: "topics",
      snapshot: () => shownTopics(gossip, names()),
      figures: () => topicFigures(gossip),
    },
    { name: "trees", snapshot: () => shownTrees(broadcasts, names()) },
    {
      name: "transfers",
      snapshot: () => shownTransfers(transfers),
      figures: () => transferFigures(transfers, broadcasts),
    },
    {
      name: "dht",
      snapshot: () => shownDht(dht()),
      figures: () => dhtFigures(dht()),
    },
    { name: "counters", snapshot: () => endpoint.metrics.snapshot() },
  ];
}

function selfSource(host: StatusHost, needs: StatusNeeds, web: WebPort): StatusSource {
  const { endpoint: { clock, self } } = host;
  const startedMs = clock.wallMs();
  let [hosts, untilMs]: [readonly string[], number] = [[], -Infinity];
  return {
    name: "self",
    snapshot: () => {
      if (clock.now() >= untilMs) [hosts, untilMs] = [needs.hosts(), clock.now() + HOSTS_MS];
      return {
        peerId: self.peerId,
        name: shownName(self.name),
        version: VERSION,
        startedMs,
        tcp: shownAddress(host.address),
        udp: shownAddress(needs.udp?.address),
        http: shownAddress(web.address),
        hosts: hosts.slice(0, MAX_HOSTS),
        dialects: needs.dialects,
      };
    },
    figures: () => [
      figure("start_time_seconds", "When the peer was started, since 1970", startedMs / 1_000),
      {
        ...figure("build_info", "Always 1; the label says which version runs", 0),
        value: { label: "version", values: { [VERSION]: 1 } },
      },
    ],
  };
}

/** How much goes in and out: messages of links and packets together on the page, apart in the figures. */
function loadSource({ links, traffic }: Endpoint, udp: UdpPort | undefined): StatusSource {
  const packets = udp?.traffic ?? { messagesIn: 0, messagesOut: 0, bytesIn: 0, bytesOut: 0 };
  const count = (via: string) => [...links].filter((link) => link.via === via).length;
  const both = (name: string, help: string, values: Record<string, number>): Figure => {
    return { name, help, type: "counter", value: { label: "direction", values } };
  };
  return {
    name: "load",
    snapshot: () => ({
      messagesIn: traffic.messagesIn + packets.messagesIn,
      messagesOut: traffic.messagesOut + packets.messagesOut,
      bytesIn: traffic.bytesIn + packets.bytesIn,
      bytesOut: traffic.bytesOut + packets.bytesOut,
      links: links.size,
      tcp: count("tcp"),
      websocket: count("websocket"),
      memoryBytes: Deno.memoryUsage().rss,
    }),
    figures: () => [
      figure("links", "Connections that are open", links.size),
      figure("resident_memory_bytes", "Memory of the program", Deno.memoryUsage().rss),
      both("link_messages_total", "Messages of all links", {
        in: traffic.messagesIn,
        out: traffic.messagesOut,
      }),
      both("link_bytes_total", "Bytes of the messages of all links", {
        in: traffic.bytesIn,
        out: traffic.bytesOut,
      }),
      both("udp_packets_total", "Packets of the UDP port", {
        in: packets.messagesIn,
        out: packets.messagesOut,
      }),
      both("udp_bytes_total", "Bytes of the packets of the UDP port", {
        in: packets.bytesIn,
        out: packets.bytesOut,
      }),
    ],
  };
}

function peersSource(host: StatusHost): StatusSource {
  return {
    name: "peers",
    snapshot: () => {
      const members = othersOf(host);
      const records = host.endpoint.peers.list();
      const known = new Map(members.map((member) => [member.peerId, memberRow(member)]));
      for (const record of records) {
        const row = known.get(record.peerId) ?? recordRow(record);
        known.set(record.peerId, {
          ...row,
          connected: true,
          rttMs: row.rttMs ?? record.rttMs ?? null,
        });
      }
      const rows = [...known.values()].sort(byState);
      return { rows: rows.slice(0, MAX_ROWS), of: rows.length, counts: countStates(members) };
    },
    figures: () => [
      figure("peers_connected", "Peers with a connection", host.endpoint.peers.list().length),
      {
        ...figure("members", "Members of the group besides this peer", 0),
        value: { label: "state", values: countStates(othersOf(host)) },
      },
    ],
  };
}

interface PeerRow {
  readonly peerId: string;
  readonly name: string;
  readonly state: MemberInfo["state"] | "connected";
  readonly why: string;
  readonly rttMs: number | null;
  readonly connected: boolean;
  readonly address: string;
}

function memberRow({ peerId, name, state, why, rttMs, streamAddresses }: MemberInfo): PeerRow {
  return {
    ...{ peerId, state, connected: false, rttMs: rttMs ?? null },
    name: shownName(name),
    why: printable(why, MAX_WHY_CHARS),
    address: shownAddress(streamAddresses[0]),
  };
}

function recordRow({ peerId, name, rttMs, addresses }: PeerRecord): PeerRow {
  return {
    ...{ peerId, connected: true, rttMs: rttMs ?? null },
    name: shownName(name),
    state: "connected",
    why: "connected, and no member of the group",
    address: shownAddress(addresses[0]),
  };
}

/** Those who are there first; among them as they came. */
function byState(a: PeerRow, b: PeerRow): number {
  return rankOf(a) - rankOf(b);
}

function rankOf({ state }: PeerRow): number {
  return state === "connected" ? 0 : STATES.indexOf(state);
}

function countStates(members: readonly MemberInfo[]): Record<MemberInfo["state"], number> {
  const counts = { alive: 0, suspect: 0, dead: 0, gone: 0 };
  for (const { state } of members) counts[state]++;
  return counts;
}

function othersOf({ membership }: StatusHost): readonly MemberInfo[] {
  const [, ...others] = membership?.members() ?? [];
  return others;
}

function namesOf(host: StatusHost): Naming {
  const known = [...othersOf(host), ...host.endpoint.peers.list()];
  const names = new Map(known.map(({ peerId, name }) => [peerId, shownName(name)]));
  return (peerId) => ({ peerId, name: names.get(peerId) ?? "" });
}
