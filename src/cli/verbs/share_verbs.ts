/**
 * Verbs that speak to all peers: topics, the DHT, rumors.
 *
 * @module
 */

import {
  COMMON_OPTIONS,
  DAEMON_OPTIONS,
  FIND_OPTIONS,
  LISTEN_OPTIONS,
  NETWORK_OPTIONS,
  REACH_OPTIONS,
  SEED_OPTIONS,
} from "../option_groups.ts";
import type { OptionSpecs } from "../options.ts";
import { REACH_PERMISSIONS } from "../permissions.ts";
import { TOPIC_FIELDS } from "../results.ts";
import type { Verbs } from "../verb.ts";

const TOPIC_ACCESS: OptionSpecs[string] = {
  value: "LEVEL",
  choices: ["public", "invited"],
  help:
    "invited: only with those who show an invite for the topic, or are pinned (default: public)",
};

// A node that a lookup asks: its address, and how many first bits its id has in common with the key.
const TRACED = "id, address, bits: number, depth: number, path: number";

/** Verbs that speak to all peers: topics, the DHT, rumors. */
export const SHARE_VERBS: Verbs = {
  pub: {
    usage: "TOPIC TEXT",
    summary: "publish to everybody in a topic; TEXT - reads stdin",
    example: "kith pub news 'the kettle is on'",
    prints: { "()": "topic, from, seq: number, confirmedBy: list" },
    permissions: REACH_PERMISSIONS,
    options: {
      ...COMMON_OPTIONS,
      ...DAEMON_OPTIONS,
      as: {
        value: "FORM",
        choices: ["text", "json", "bytes"],
        help: "what TEXT is: text, json or bytes (default: text)",
      },
      access: TOPIC_ACCESS,
      ...SEED_OPTIONS,
      timeout: {
        value: "SECONDS",
        help: "how long to look for somebody who takes part and takes it (default: 10)",
      },
      "invite-file": REACH_OPTIONS["invite-file"] as OptionSpecs[string],
      ...FIND_OPTIONS,
      ...NETWORK_OPTIONS,
    },
    hosted: ["as", "timeout"],
    load: () => import("../pub.ts"),
  },
  sub: {
    usage: "TOPIC",
    summary: "read a topic until ^C; with --since also what was missed",
    example: "kith sub news --since",
    prints: {
      ready: "peerId, name, tcp: number?, udp: number?, topic, neighbors: list",
      message: TOPIC_FIELDS,
      dropped: "dropped: number",
      closed: "counters: object",
    },
    permissions: REACH_PERMISSIONS,
    options: {
      ...COMMON_OPTIONS,
      ...DAEMON_OPTIONS,
      since: {
        value: "[=WHEN]",
        bare: "last",
        help:
          "also what is kept from before: last (since this home read it, once), all, 10m, 2h, or a time",
      },
      count: { value: "N", help: "end after so many messages" },
      "max-waiting": {
        value: "N",
        help: "messages that may wait to be printed; then the oldest goes (default: 16384)",
      },
      ...LISTEN_OPTIONS,
      access: TOPIC_ACCESS,
      ...SEED_OPTIONS,
      "invite-file": REACH_OPTIONS["invite-file"] as OptionSpecs[string],
      ...FIND_OPTIONS,
      ...NETWORK_OPTIONS,
    },
    hosted: ["count", "max-waiting", "since"],
    load: () => import("../sub.ts"),
  },
  dht: {
    usage: "put|get|trace|providers|stat [KEY]",
    summary: "values of all peers: put KEY VALUE, get KEY, providers NAME",
    example: "kith dht put greeting 'hello there'",
    prints: {
      "(put)": "key, seq: number?, holders: number, unconfirmed: number, refused: number, " +
        "silent: number, hops: number",
      "(get)":
        "value: any, author?, seq: number?, key, hops: number, rttMs: number, asked: number, " +
        "others: number?",
      "(providers)": "peerId, addresses: list, data: any",
      "(stat)":
        "id, mode, nodes: number, failing: number, estimatedNodes: number, records: number, " +
        "bytes: number, health: number, buckets: list",
      asked: `${TRACED}, by?`,
      answered: `${TRACED}, rttMs: number, nearer: number, nodes: number, values: number`,
      failed: `${TRACED}, code, why`,
      done: "key, closest: list, asked: number, answered: number, failed: number, hops: number, " +
        "ms: number",
    },
    permissions: REACH_PERMISSIONS,
    options: {
      ...COMMON_OPTIONS,
      ...DAEMON_OPTIONS,
      as: {
        value: "FORM",
        choices: ["text", "json", "bytes"],
        help: "put: what VALUE is: text, json or bytes (default: text); - reads stdin",
      },
      own: { help: "in a place of our own: to be got as PEERID/KEY, and put by nobody else" },
      plain: { help: "not signed, so that all can change it; only in a network with a key" },
      immutable: { help: "put VALUE without a KEY: its key is its hash, and is printed" },
      ttl: {
        value: "TIME",
        help: "put: how long it is kept: 30s, 10m, 12h, at most 7d (default: 1d)",
      },
      cas: {
        value: "VERSION",
        help: "put: only where this is the version that is there, 0 for none",
      },
      author: {
        value: "PEERID",
        help: "get, trace: what this peer put with --own, as PEERID/KEY is",
      },
      all: { help: "get: what everybody put under that name, a line each" },
      dialect: {
        value: "NAME",
        choices: ["native", "kademlia"],
        help: "native, or kademlia for plain Kademlia over UDP, whose nodes are at --peer IP:PORT",
      },
      ...SEED_OPTIONS,
      timeout: {
        value: "SECONDS",
        help: "how long to look for nodes (default: 3), and then to wait for them (default: 30)",
      },
      ...FIND_OPTIONS,
      ...NETWORK_OPTIONS,
    },
    hosted: ["all", "as", "author", "cas", "immutable", "own", "plain", "timeout", "ttl"],
    load: () => import("../dht.ts"),
  },
  rumor: {
    usage: "TEXT",
    summary: "tell a text that gets around, or find peers by name in that way",
    example: "kith rumor 'the kettle is on'",
    prints: {
      "(told)": "told: number, dialect",
      "(found)": "peerId?, dialect?, id?, name, addresses: list",
    },
    permissions: REACH_PERMISSIONS,
    options: {
      ...COMMON_OPTIONS,
      ...DAEMON_OPTIONS,
      search: { value: "NAME", help: "tell nothing, list who has NAME in its name" },
      timeout: {
        value: "SECONDS",
        help: "how long to look for somebody to tell, and to wait for answers (default: 3)",
      },
      dialect: {
        value: "NAME",
        choices: ["native", "peerconnect"],
        help: "native, or peerconnect for PeerConnect's nodes",
      },
      ...SEED_OPTIONS,
      ...FIND_OPTIONS,
      ...NETWORK_OPTIONS,
    },
    hosted: ["search", "timeout"],
    load: () => import("../rumor.ts"),
  },
};
