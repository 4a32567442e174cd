/**
 * Verbs that need no network.
 *
 * @module
 */

import { COMMON_OPTIONS, CONFIG_OPTIONS } from "../option_groups.ts";
import { HOME_PERMISSIONS } from "../permissions.ts";
import type { Verbs } from "../verb.ts";

/** Verbs that need no network. */
export const TOOL_VERBS: Verbs = {
  wire: {
    usage: "decode|encode|vectors",
    summary: "look at frames and make them: stdin to stdout",
    example: "kith wire decode < capture.bin",
    prints: {
      "(decode)": "offset: number, bytes: number, code: number?, value: any",
      "(vectors)": "name, hex, value: any, ok: flag",
    },
    permissions: "none",
    options: {
      ...COMMON_OPTIONS,
      hex: { help: "bytes as hexadecimal text, in and out" },
      bare: { help: "one MessagePack value after another, without frame lengths" },
      datagram: { help: "stdin is one datagram: service code, length, message" },
    },
    load: () => import("../wire.ts"),
  },
  sim: {
    usage: "membership|gossip|dht",
    summary: "simulate a group, a topic or a DHT: how soon, how surely and at which price",
    example: "kith sim gossip --nodes 1000 --senders many --kill 0.2 --seed 7",
    prints: {
      "(membership)":
        "nodes: number, loss: number, seed: number, seconds: number, lifeguard: flag, " +
        "deadAtHalfMs: number?, deadEverywhereMs: number?, falseSuspicions: number, " +
        "falseDeaths: number, bytesPerSecond: number, packetsPerSecond: number, " +
        "events: number, hash",
      "(gossip)": "nodes: number, senders, kill: number, loss: number, malicious: number, " +
        "seed: number, expected: number, missed: number, missedSoon: number, " +
        "repeated: number, redundancy: number, lastHop: number, lastHopAtHalf: number, " +
        "lastMs: number, lastMsAtHalf: number, controlBytesPerSecond: number, " +
        "events: number, hash",
      "(dht)": "nodes: number, loss: number, kill: number, malicious: number, paths: number, " +
        "values: number, seed: number, success: number, forged: number, medianHops: number?, " +
        "p99Hops: number?, meanHops: number?, asked: number?, medianMs: number?, " +
        "p99Ms: number?, holders: number?, meanPutHops: number?, known: number?, " +
        "events: number, hash",
    },
    permissions: "none",
    options: {
      ...COMMON_OPTIONS,
      nodes: {
        value: "N",
        help:
          "members, 2..2000 (default: 100); of a topic, 10..5000, of a DHT, 50..10000 (default: 1000)",
      },
      loss: {
        value: "P",
        help: "part of all packets that is lost, 0..0.9 (default: 0; of membership 0.01)",
      },
      seed: { value: "N", help: "what everything that is drawn comes from (default: 1)" },
      seconds: { value: "N", help: "membership: simulated time, 1..3600 (default: 120)" },
      "no-lifeguard": { help: "membership: plain SWIM, for comparison" },
      senders: {
        value: "WHO",
        choices: ["one", "many"],
        help: "gossip: one peer publishes, or many (default: one)",
      },
      kill: {
        value: "P",
        help: "gossip, dht: part of the peers that is killed at once, 0..0.5 (default: 0)",
      },
      malicious: {
        value: "P",
        help: "gossip, dht: part of the peers that are hostile, 0..0.5 (default: 0)",
      },
      paths: {
        value: "N",
        help:
          "dht: ways of a lookup that share no node, 1..10 (default: 4 if any are hostile, else 1)",
      },
    },
    load: () => import("../sim.ts"),
  },
  config: {
    usage: "list|path|get NAME|set NAME VALUE...|unset NAME",
    summary: "settings that stand for options: of this home, for every verb or for one",
    example: "kith config set up.name bob",
    prints: {
      "(list, get)": "name, value: any, from",
      "(set, unset)": "name, value: any, path",
      "(path)": "path",
    },
    permissions: HOME_PERMISSIONS,
    options: { ...COMMON_OPTIONS, ...CONFIG_OPTIONS },
    load: () => import("../config.ts"),
  },
  completions: {
    usage: "bash|zsh|fish|powershell",
    summary: "what makes a shell complete kith's verbs, options and paths",
    example: "kith completions bash",
    prints: { "()": "shell, script" },
    permissions: "none",
    options: COMMON_OPTIONS,
    load: () => import("../completions.ts"),
  },
  version: {
    usage: "",
    summary: "show the version",
    example: "kith version",
    prints: { "()": "version, wire: number, deno" },
    permissions: "none",
    options: COMMON_OPTIONS,
    load: () => import("../version.ts"),
  },
};
