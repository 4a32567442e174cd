/**
 * The message bodies that are measured, all made before the clock starts.
 *
 * @module
 */

import type { MessageBody } from "../src/wire/message.ts";

/** Bytes of a large frame, and of a plain write. */
export const BULK_BYTES = 1024 * 1024;

/** Three small fields. */
export function smallBody(): MessageBody {
  return { name: "alice", count: 42, ok: true };
}

/** One `bin` of `bytes` random bytes. */
export function blobBody(bytes: number): MessageBody {
  const data = new Uint8Array(bytes);
  for (let at = 0; at < bytes; at += 65_536) {
    crypto.getRandomValues(data.subarray(at, at + 65_536));
  }
  return { data };
}

/** What a program reports about itself: 50 keys with numbers, flags, short texts, a few small maps and lists. */
export function statusBody(): MessageBody {
  return {
    name: "workshop",
    version: "0.1.0",
    state: "running",
    platform: "linux",
    startedAt: 1_767_225_600,
    uptimeMs: 86_412_733,
    pid: 48_213,
    healthy: true,
    draining: false,
    strict: true,
    tcpPort: 3485,
    udpPort: 3486,
    httpPort: 3488,
    peers: 17,
    sessions: 12,
    inFlight: 3,
    queued: 0,
    accepted: 4_211,
    refused: 9,
    reconnects: 2,
    bytesIn: 918_273_645,
    bytesOut: 192_837_465,
    framesIn: 1_204_511,
    framesOut: 1_198_204,
    badFrames: 0,
    load1: 0.42,
    load5: 0.37,
    cpuShare: 0.083,
    rttMs: 0.731,
    rttWorstMs: 18.25,
    lossRate: 0.0125,
    heapBytes: 18_874_368,
    externalBytes: 2_097_152,
    region: "north",
    zone: "b2",
    network: "home",
    role: "storage",
    owner: { id: 7, name: "alice", tags: ["admin", "dev"] },
    leader: { id: 12, name: "bob", tags: ["core"] },
    backup: { id: 31, name: "carol", tags: ["core", "slow"] },
    newest: { id: 44, name: "dave", tags: [] },
    topics: ["news", "build", "alerts"],
    shards: [0, 3, 7, 12, 19],
    histogram: [120, 88, 41, 9, 2, 0],
    quantiles: [0.4, 0.9, 2.1, 7.5],
    dialects: ["native"],
    discovery: true,
    gossip: true,
    sync: false,
    lastError: null,
  };
}

/** A body by the name that a child process is given. */
export function bodyOf(name: string | undefined): MessageBody {
  return name === "small" ? smallBody() : name === "nested" ? statusBody() : blobBody(Number(name));
}
