/**
 * What a peer is doing, as the status page shows it: topics, broadcasts, transfers, its part in the DHT.
 *
 * @module
 */

import type { Dht } from "./dht/dht.ts";
import type { Gossip } from "./gossip/gossip.ts";
import { printable } from "./log.ts";
import type { ReceivingProgress } from "./palmtree/receiving.ts";
import type { PeerBroadcasts, ShownBroadcast } from "./peer_broadcast.ts";
import type { Figure } from "./status/source.ts";
import type { TransferBoard, TransferRow } from "./status/transfer_board.ts";
import { type Address, formatAddress } from "./transport/transport.ts";

/** Topics, transfers, broadcasts each way, and peers in any of these that are shown, the first ones of each. */
const MAX_TOPICS = 16;
const MAX_TRANSFERS = 64;
const MAX_TREES = 4;
const MAX_PEERS = 64;

/** Longest name that is shown, in UTF-16 units. */
const MAX_NAME_CHARS = 64;

/** A peer as it is called here, by its id. */
export type Naming = (peerId: string) => { readonly peerId: string; readonly name: string };

/** The topics, with their links. */
export function shownTopics(gossip: Gossip, name: Naming): unknown {
  return gossip.topics().slice(0, MAX_TOPICS).map((status) => {
    const { topic, neighbors, eager, known, kept, keptBytes, subscriptions, delivery } = status;
    const sends = new Set(eager);
    return {
      topic: shownName(topic),
      neighbors: neighbors.slice(0, MAX_PEERS).map((peerId) => {
        return { ...name(peerId), eager: sends.has(peerId) };
      }),
      ...{ known, kept, keptBytes, subscriptions, delivery },
    };
  });
}

/** Topics in figures. */
export function topicFigures(gossip: Gossip): Figure[] {
  const topics = gossip.topics();
  const neighbors = topics.reduce((sum, topic) => sum + topic.neighbors.length, 0);
  const eager = topics.reduce((sum, topic) => sum + topic.eager.length, 0);
  return [
    figure("topics", "Topics that are taken part in", topics.length),
    {
      ...figure("topic_neighbors", "Neighbours in all topics, by what they are sent first", 0),
      value: { label: "link", values: { eager, lazy: neighbors - eager } },
    },
  ];
}

/** The broadcasts, ours and those of others. */
export function shownTrees(broadcasts: PeerBroadcasts, name: Naming): unknown {
  return {
    sending: broadcasts.sending.slice(0, MAX_TREES).map((one) => shownSending(one, name)),
    receiving: broadcasts.receiving.slice(0, MAX_TREES).map((one) => shownReceiving(one, name)),
  };
}

function shownSending({ what, over, progress }: ShownBroadcast, name: Naming): unknown {
  const { totalBytes, egressBytes, seconds, receivers } = progress;
  return {
    ...{ what: shownName(what), over, totalBytes, egressBytes, seconds },
    of: receivers.length,
    receivers: receivers.slice(0, MAX_PEERS).map((one) => ({
      name: name(one.peerId ?? "").name || shownName(one.name),
      peerId: one.peerId ?? null,
      state: one.state,
      bytes: one.bytes,
      parent: one.parent ?? null,
    })),
  };
}

function shownReceiving(progress: ReceivingProgress, name: Naming): unknown {
  const { from, bytes, totalBytes, path, children } = progress;
  return {
    from: { peerId: from.peerId, name: shownName(from.name) },
    ...{ bytes, totalBytes },
    path: path.slice(0, MAX_PEERS).map(name),
    children: children.slice(0, MAX_PEERS).map(name),
  };
}

/** The transfers at work. */
export function shownTransfers(transfers: TransferBoard): unknown {
  const shown = (row: TransferRow) => {
    return { ...row, peer: shownName(row.peer), what: shownName(row.what) };
  };
  return transfers.rows.slice(0, MAX_TRANSFERS).map(shown);
}

/** Transfers and broadcasts in figures. */
export function transferFigures(transfers: TransferBoard, broadcasts: PeerBroadcasts): Figure[] {
  const count = (direction: string) => {
    return transfers.rows.filter((row) => row.direction === direction).length;
  };
  const sending = broadcasts.sending.filter(({ over }) => !over).length;
  const ways = (name: string, help: string, values: Record<string, number>): Figure => {
    return { name, help, type: "gauge", value: { label: "direction", values } };
  };
  return [
    ways("transfers", "Transfers under way", { in: count("in"), out: count("out") }),
    ways("broadcasts", "Broadcasts under way", { in: broadcasts.receiving.length, out: sending }),
  ];
}

/** The part in the DHT; `null` where it takes none. */
export function shownDht(dht: Dht | undefined): unknown {
  if (dht === undefined) return null;
  const { mode, nodes, estimatedNodes, records, bytes, health } = dht.stat();
  return { mode, nodes, estimatedNodes, records, bytes, health };
}

/** The same in figures. */
export function dhtFigures(dht: Dht | undefined): Figure[] {
  if (dht === undefined) return [];
  const { nodes, records, bytes } = dht.stat();
  return [
    figure("dht_nodes", "Nodes of the DHT that are known", nodes),
    figure("dht_records", "Values of the DHT that are kept here", records),
    figure("dht_record_bytes", "Bytes of these", bytes),
  ];
}

/** A figure that goes up and down. */
export function figure(name: string, help: string, value: number): Figure {
  return { name, help, type: "gauge", value };
}

/** A name that others chose, safe to show. */
export function shownName(name: string): string {
  return printable(name, MAX_NAME_CHARS);
}

/** An address as people write it; empty where there is none. */
export function shownAddress(address: Address | undefined): string {
  return address === undefined ? "" : printable(formatAddress(address), MAX_NAME_CHARS);
}
