/**
 * Verbs that are a peer: its identity, and running it.
 *
 * @module
 */

import {
  COMMON_OPTIONS,
  FIND_OPTIONS,
  IDENTITY_OPTIONS,
  LISTEN_OPTIONS,
  NETWORK_OPTIONS,
  SEED_OPTIONS,
  SERVE_OPTIONS,
  STATUS_OPTIONS,
} from "../option_groups.ts";
import type { OptionSpecs } from "../options.ts";
import { HOME_PERMISSIONS, RECEIVE_PERMISSIONS } from "../permissions.ts";
import {
  FAILED_FIELDS,
  MEMBER_FIELDS,
  RECEIVED_FIELDS,
  type Results,
  TOPIC_FIELDS,
} from "../results.ts";
import type { Verbs } from "../verb.ts";

const CONNECTION_EVENTS: Results = {
  added: "peerId, name, why?",
  removed: "peerId, name, why?",
  "slow-consumer": "peerId, name, why?",
};

const MEMBER_EVENTS: Results = {
  "member-joined": MEMBER_FIELDS,
  "member-suspect": MEMBER_FIELDS,
  "member-alive": MEMBER_FIELDS,
  "member-dead": MEMBER_FIELDS,
  "member-left": MEMBER_FIELDS,
  "member-updated": MEMBER_FIELDS,
  "member-degraded": "why",
  "member-restored": "why",
  "member-usurped": "why",
};

/** Verbs that are a peer: its identity, and running it. */
export const PEER_VERBS: Verbs = {
  id: {
    usage: "",
    summary: "show the identity, made on first use",
    example: "kith id",
    prints: { "()": "peerId, fingerprint, home" },
    permissions: HOME_PERMISSIONS,
    options: { ...COMMON_OPTIONS, ...IDENTITY_OPTIONS },
    load: () => import("../id.ts"),
  },
  up: {
    usage: "",
    summary: "run a peer until ^C: found, called, written to, in the group, with --dir sent files",
    example: "kith up --name bob --dir inbox --yes",
    prints: {
      ready: "peerId, name, tcp: number?, udp: number?, http: number?, status?, page?",
      ...CONNECTION_EVENTS,
      ...MEMBER_EVENTS,
      message: "from, dialect, data: any",
      rumor: "dialect, from, data: any",
      "topic-message": TOPIC_FIELDS,
      received: RECEIVED_FIELDS,
      failed: FAILED_FIELDS,
      refused: FAILED_FIELDS,
      "dht-joined": "mode, nodes: number",
      provided: "name, holders: number",
      "mesh-joined": "peerId, name",
      "mesh-left": "peerId, name",
      "mesh-message": "from, data: any",
      closed: "counters: object",
    },
    permissions: RECEIVE_PERMISSIONS,
    options: {
      ...COMMON_OPTIONS,
      dir: { value: "DIR", help: "take files into this folder (default: take none)" },
      yes: { help: "accept every file; without it a terminal is asked, and without one none is" },
      update: { help: "let senders replace what they sent before by newer versions" },
      limit: { value: "RATE", help: "most bytes a second to pass on of broadcasts, e.g. 20M" },
      project: { value: "ID", help: "connect to the other servers of this project" },
      topic: {
        value: "NAME",
        help: "take part in this topic, for those who come late",
        repeats: true,
      },
      page: {
        help: "let web pages on this machine show what comes, accept files and have things done",
      },
      "share-from": {
        value: "DIR",
        help: "what pages may send is below this folder (default: nothing may)",
      },
      ...STATUS_OPTIONS,
      "max-clients": { value: "N", help: "refuse more clients than this (default: 256)" },
      ...LISTEN_OPTIONS,
      tag: { value: "NAME=VALUE", help: "a label that the others of the group see", repeats: true },
      dht: {
        value: "MODE",
        choices: ["server", "client", "auto", "off"],
        help:
          "in the DHT: server, client (only asks), auto (a server after a minute), off (default: server)",
      },
      provide: {
        value: "NAME",
        help: "be found by this name in the DHT, while it runs",
        repeats: true,
      },
      ...SERVE_OPTIONS,
      ...SEED_OPTIONS,
      ...FIND_OPTIONS,
      ...NETWORK_OPTIONS,
    },
    load: () => import("../up.ts"),
  },
  status: {
    usage: "",
    summary:
      "show the peer that is up: who, since when, peers, topics, transfers, limits, counters",
    example: "kith status --json",
    prints: {
      "()": "peerId, name, version, pid: number, startedMs: number, uptimeMs: number, home, " +
        "tcp: number?, udp: number?, http: number?, network: object, peers: list, " +
        "members: list, topics: list, dht: object?, transfers: list, limits: list, " +
        "counters: object",
      frame: "atMs: number, direction, kind, bytes: number, link: number",
    },
    permissions: `--allow-net=unix:HOME/control/up.sock ${HOME_PERMISSIONS}`,
    options: {
      ...COMMON_OPTIONS,
      home: IDENTITY_OPTIONS.home as OptionSpecs[string],
      frames: { help: "its last messages instead: when, which way, of which kind, how large" },
    },
    hosted: ["frames"],
    load: () => import("../status.ts"),
  },
};
