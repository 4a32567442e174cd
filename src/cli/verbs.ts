/**
 * The verb table: usage, help, options and permissions of every verb, and where its code is. A verb's code is loaded
 * when it runs.
 *
 * @module
 */

import {
  COMMON_OPTIONS,
  FIND_OPTIONS,
  IDENTITY_OPTIONS,
  LISTEN_OPTIONS,
  NETWORK_OPTIONS,
  type Options,
  type OptionSpecs,
  REACH_OPTIONS,
  SEED_OPTIONS,
  SERVE_OPTIONS,
} from "./options.ts";
import type { Output } from "./output.ts";

/** What a verb runs with. */
export interface Invocation {
  /** Its options and arguments. */
  readonly options: Options;
  /** Where it prints. */
  readonly output: Output;
  /** Fires on ^C. */
  readonly signal: AbortSignal;
}

/** Runs a verb; errors become the exit status, which is otherwise what it returns, or 0. */
export type Run = (invocation: Invocation) => Promise<number | void>;

/** One verb. */
export interface Verb {
  /** Arguments, for the usage line. */
  readonly usage: string;
  /** One line of help. */
  readonly summary: string;
  /** A command line that works. */
  readonly example: string;
  /** What `--json` prints. */
  readonly prints: string;
  /** The permissions it needs, besides reading its own code. */
  readonly permissions: string;
  /** Its options. */
  readonly options: OptionSpecs;
  /** Loads its code. */
  readonly load: () => Promise<{ run: Run }>;
}

// Variables of the environment: Deno takes one list of them, not several.
const HOME_ENV = "KITH_HOME,XDG_STATE_HOME,HOME,LOCALAPPDATA";
const NETWORK_ENV = "KITH_NETWORK,KITH_KEY_FILE,KITH_NETWORK_KEY";

const HOME_FILES = "--allow-read=HOME --allow-write=HOME";
const HOME_PERMISSIONS = `--allow-env=${HOME_ENV} ${HOME_FILES}`;
const NETWORK_PERMISSIONS = "--allow-net --allow-sys=networkInterfaces";
const REACH_PERMISSIONS =
  `${NETWORK_PERMISSIONS} --allow-env=${HOME_ENV},${NETWORK_ENV},KITH_INVITE ${HOME_FILES}`;
const RECEIVE_PERMISSIONS =
  `${NETWORK_PERMISSIONS},statfs --allow-env=${HOME_ENV},${NETWORK_ENV} ${HOME_FILES} ` +
  "--allow-read=DIR --allow-write=DIR";

const CALL_OPTIONS: OptionSpecs = {
  dialect: { value: "NAME", help: "native, or witch for a witch-core server at HOST:PORT" },
};

const PING_OPTIONS: OptionSpecs = {
  dialect: { value: "NAME", help: "native, or at HOST:PORT witch, peerconnect (its UDP port)" },
};

const TOPIC_ACCESS: OptionSpecs[string] = {
  value: "LEVEL",
  help:
    "invited: only with those who show an invite for the topic, or are pinned (default: public)",
};

/** Every verb, in the order that help shows them. */
export const VERBS: Readonly<Record<string, Verb>> = {
  id: {
    usage: "",
    summary: "show the identity, made on first use",
    example: "kith id",
    prints: "peerId, fingerprint, home",
    permissions: HOME_PERMISSIONS,
    options: { ...COMMON_OPTIONS, ...IDENTITY_OPTIONS },
    load: () => import("./id.ts"),
  },
  up: {
    usage: "",
    summary: "run a peer until ^C: found, called, written to, in the group, with --dir sent files",
    example: "kith up --name bob --dir inbox --yes",
    prints:
      "ready: peerId, tcp, udp, http; then added, member-joined, message, rumor ... as it happens",
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
      "max-clients": { value: "N", help: "refuse more clients than this (default: 256)" },
      ...LISTEN_OPTIONS,
      tag: { value: "NAME=VALUE", help: "a label that the others of the group see", repeats: true },
      dht: {
        value: "MODE",
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
    load: () => import("./up.ts"),
  },
  ping: {
    usage: "PEER",
    summary: "how long an answer takes",
    example: "kith ping bob --count 3",
    prints: "rttMs, a line per ping",
    permissions: REACH_PERMISSIONS,
    options: {
      ...COMMON_OPTIONS,
      count: { value: "N", help: "how many, one a second (default: 1)" },
      ...PING_OPTIONS,
      ...REACH_OPTIONS,
      ...FIND_OPTIONS,
      ...NETWORK_OPTIONS,
    },
    load: () => import("./ping.ts"),
  },
  call: {
    usage: "PEER ENDPOINT [JSON]",
    summary: "call an endpoint (describe lists them); JSON - reads stdin",
    example: `kith call bob echo '{"a": 1}'`,
    prints: "result; with --stream a line per part: event item, result",
    permissions: REACH_PERMISSIONS,
    options: {
      ...COMMON_OPTIONS,
      stream: { help: "print the parts of an answer as they come" },
      ...CALL_OPTIONS,
      ...REACH_OPTIONS,
      ...FIND_OPTIONS,
      ...NETWORK_OPTIONS,
    },
    load: () => import("./call.ts"),
  },
  msg: {
    usage: "PEER TEXT",
    summary: "send a text message",
    example: "kith msg bob 'hello there'",
    prints: "delivered, acknowledged",
    permissions: REACH_PERMISSIONS,
    options: {
      ...COMMON_OPTIONS,
      dialect: { value: "NAME", help: "native, or at HOST:PORT peerpy or peerconnect" },
      ...REACH_OPTIONS,
      ...FIND_OPTIONS,
      ...NETWORK_OPTIONS,
    },
    load: () => import("./msg.ts"),
  },
  pub: {
    usage: "TOPIC TEXT",
    summary: "publish to everybody in a topic; TEXT - reads stdin",
    example: "kith pub news 'the kettle is on'",
    prints: "topic, from, seq, confirmedBy: who has it",
    permissions: REACH_PERMISSIONS,
    options: {
      ...COMMON_OPTIONS,
      as: { value: "FORM", help: "what TEXT is: text, json or bytes (default: text)" },
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
    load: () => import("./pub.ts"),
  },
  sub: {
    usage: "TOPIC",
    summary: "read a topic until ^C; with --since also what was missed",
    example: "kith sub news --since",
    prints:
      "ready: peerId, tcp, udp, topic, neighbors; then message: topic, from, seq, createdMs, hops, data",
    permissions: REACH_PERMISSIONS,
    options: {
      ...COMMON_OPTIONS,
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
    load: () => import("./sub.ts"),
  },
  dht: {
    usage: "put|get|trace|stat [KEY]",
    summary: "values of all peers: put KEY VALUE, get KEY, trace KEY, providers NAME, stat",
    example: "kith dht put greeting 'hello there'",
    prints:
      "put: key, seq, holders ...; get: value, author, hops, rttMs ...; trace: a line per event",
    permissions: REACH_PERMISSIONS,
    options: {
      ...COMMON_OPTIONS,
      as: {
        value: "FORM",
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
    load: () => import("./dht.ts"),
  },
  rumor: {
    usage: "TEXT",
    summary: "tell a text that gets around, or find peers by name in that way",
    example: "kith rumor 'the kettle is on'",
    prints:
      "told, dialect; with --search a line per peer: peerId (or dialect, id), name, addresses",
    permissions: REACH_PERMISSIONS,
    options: {
      ...COMMON_OPTIONS,
      search: { value: "NAME", help: "tell nothing, list who has NAME in its name" },
      timeout: {
        value: "SECONDS",
        help: "how long to look for somebody to tell, and to wait for answers (default: 3)",
      },
      dialect: { value: "NAME", help: "native, or peerconnect for PeerConnect's nodes" },
      ...SEED_OPTIONS,
      ...FIND_OPTIONS,
      ...NETWORK_OPTIONS,
    },
    load: () => import("./rumor.ts"),
  },
  discover: {
    usage: "",
    summary: "who is out there",
    example: "kith discover --timeout 2",
    prints:
      "a line per peer: peerId, name, addresses, via; of other programs dialect, id, name ...",
    permissions: `${NETWORK_PERMISSIONS} --allow-env=${NETWORK_ENV}`,
    options: {
      ...COMMON_OPTIONS,
      network: NETWORK_OPTIONS.network as OptionSpecs[string],
      "key-file": NETWORK_OPTIONS["key-file"] as OptionSpecs[string],
      host: NETWORK_OPTIONS.host as OptionSpecs[string],
      "discovery-port": NETWORK_OPTIONS["discovery-port"] as OptionSpecs[string],
      timeout: { value: "SECONDS", help: "how long to look (default: 2, with witch 6)" },
      dialect: { value: "LIST", help: "also look for peerconnect, witch, peerpy, or all" },
      ...SEED_OPTIONS,
      ...FIND_OPTIONS,
    },
    load: () => import("./discover.ts"),
  },
  peers: {
    usage: "[PEER]",
    summary: "who is in the group: alive, suspect, dead or gone, and why",
    example: "kith peers --watch",
    prints: "peerId, name, state, rttMs, why, confirmedBy, seenBy; with --watch also event",
    permissions: REACH_PERMISSIONS,
    options: {
      ...COMMON_OPTIONS,
      watch: { help: "go on, and tell what happens" },
      ...REACH_OPTIONS,
      ...FIND_OPTIONS,
      ...NETWORK_OPTIONS,
    },
    load: () => import("./peers.ts"),
  },
  doctor: {
    usage: "",
    summary: "why peers do not find each other, and what to do",
    example: "kith doctor --peer 192.168.1.20:3485",
    prints: "a line per check: check, ok (null: skipped), why, fix, facts; with --dump then: dump",
    permissions: `${NETWORK_PERMISSIONS} --allow-env=${HOME_ENV},${NETWORK_ENV} ${HOME_FILES}`,
    options: {
      ...COMMON_OPTIONS,
      ...IDENTITY_OPTIONS,
      network: NETWORK_OPTIONS.network as OptionSpecs[string],
      "key-file": NETWORK_OPTIONS["key-file"] as OptionSpecs[string],
      host: NETWORK_OPTIONS.host as OptionSpecs[string],
      "discovery-port": NETWORK_OPTIONS["discovery-port"] as OptionSpecs[string],
      interface: FIND_OPTIONS.interface as OptionSpecs[string],
      peer: { value: "HOST:PORT", help: "somebody who should be there", repeats: true },
      timeout: { value: "SECONDS", help: "how long to wait for answers (default: 1)" },
      dump: { help: "also what a maintainer asks for, without keys and names, to show to others" },
    },
    load: () => import("./doctor.ts"),
  },
  send: {
    usage: "PATH...|-",
    summary: "send files and folders, or stdin, to one peer",
    example: "kith send photos/ notes.txt --to bob",
    prints: "progress, then done: files, bytes, resentBytes, sha256, seconds; with --dry-run plan",
    permissions: `${REACH_PERMISSIONS} --allow-read=PATH`,
    options: {
      ...COMMON_OPTIONS,
      to: { value: "PEER", help: "a name, a peer id or its beginning, or HOST:PORT" },
      update: { help: "only what has changed since; the receiver runs with --update, too" },
      "dry-run": { help: "send nothing, say what would be sent; most useful with --update" },
      watch: { help: "go on to send what changes, as --update does, until ^C" },
      retry: { value: "SECONDS", help: "when the link breaks, try so long to go on (default: 0)" },
      limit: { value: "RATE", help: "most bytes a second, e.g. 500k or 20M (default: no limit)" },
      streams: {
        value: "N",
        help: "connections that share the work, 1..8 (default: 4 for much over a long way, else 1)",
      },
      compress: {
        value: "WHEN",
        help: "yes, no, or auto: where less than 24 MB a second go through (default: auto)",
      },
      as: { value: "NAME", help: "what stdin is called there (default: stdin)" },
      dialect: {
        value: "NAME",
        help: "native, or peerconnect, which needs HOST:PORT (default: native)",
      },
      ...REACH_OPTIONS,
      ...FIND_OPTIONS,
      ...NETWORK_OPTIONS,
    },
    load: () => import("./send.ts"),
  },
  broadcast: {
    usage: "PATH...",
    summary: "send files and folders to many, who pass them on to each other",
    example: "kith broadcast photos/ --to bob --to carol --to dave",
    prints: "progress and peer: peerId, name, state; then done: egressBytes, done, failed",
    permissions: `${REACH_PERMISSIONS} --allow-read=PATH`,
    options: {
      ...COMMON_OPTIONS,
      to: {
        value: "PEER",
        help: "a name, a peer id or its beginning, or HOST:PORT",
        repeats: true,
      },
      all: { help: "to everybody who is found and takes files" },
      fanout: { value: "N", help: "most peers that anybody sends to, 1..64 (default: 5)" },
      limit: { value: "RATE", help: "most bytes a second from here, e.g. 500k or 20M" },
      dialect: {
        value: "NAME",
        help: "native, or peerconnect, which needs HOST:PORT of UDP (default: native)",
      },
      ...REACH_OPTIONS,
      ...FIND_OPTIONS,
      ...NETWORK_OPTIONS,
    },
    load: () => import("./broadcast.ts"),
  },
  recv: {
    usage: "",
    summary: "receive files into a folder, until ^C",
    example: "kith recv --dir inbox --yes --name bob",
    prints: "ready: peerId, tcp, udp; then received: path, bytes, sha256, from",
    permissions: RECEIVE_PERMISSIONS,
    options: {
      ...COMMON_OPTIONS,
      dir: { value: "DIR", help: "the folder (default: the current one)" },
      yes: {
        help: "accept every offer; without it a terminal is asked, and without one all are refused",
      },
      once: { help: "end after one transfer" },
      only: {
        value: "GLOB",
        help: "accept of an offer only files with such a path, e.g. '*.jpg' or 'docs/**'",
        repeats: true,
      },
      update: { help: "let senders replace what they sent before by newer versions" },
      limit: { value: "RATE", help: "most bytes a second to pass on of broadcasts, e.g. 20M" },
      "max-bytes": { value: "SIZE", help: "most bytes of one transfer, e.g. 2G" },
      stdout: { help: "write one file to stdout, as it comes, and end" },
      dialect: { value: "NAME", help: "also take files from peerconnect (default: none)" },
      ...LISTEN_OPTIONS,
      ...FIND_OPTIONS,
      ...NETWORK_OPTIONS,
    },
    load: () => import("./recv.ts"),
  },
  trust: {
    usage: "add PEER|rm PEER|ls",
    summary: "who is known by which name, let in, or kept out",
    example: "kith trust add 21fe31dfa154a261626bf854046fd2271b7bed4b --name bob",
    prints: "a line per peer and name: peerId, fingerprint, name, policy, since",
    permissions: HOME_PERMISSIONS,
    options: {
      ...COMMON_OPTIONS,
      home: IDENTITY_OPTIONS.home as OptionSpecs[string],
      name: { value: "NAME", help: "the name belongs to this peer: nobody else gets in under it" },
      pin: {
        help:
          "it is who it says, and needs no invite (default, unless it is on one of the two lists)",
      },
      allow: { help: "put it on the allow list, which, when not empty, lets in nobody else" },
      deny: { help: "put it on the deny list: it is not let in, and what it has open ends" },
    },
    load: () => import("./trust.ts"),
  },
  invite: {
    usage: "[ls|revoke ID]",
    summary: "let somebody in: make an invite or API key, list them, revoke one",
    example: "kith invite --scope call:echo --expires 1h",
    prints: "id, token, scopes, expires, to; ls and revoke: id, kind, scopes, created ...",
    permissions: HOME_PERMISSIONS,
    options: {
      ...COMMON_OPTIONS,
      home: IDENTITY_OPTIONS.home as OptionSpecs[string],
      scope: {
        value: "SCOPE",
        help:
          "call:NAME (* for all), send, msg, mesh or topic:NAME; folder:NAME for what is to come",
        repeats: true,
      },
      expires: { value: "TIME", help: "30s, 10m, 1h, 7d (default: 1d; an API key: never)" },
      to: { value: "PEERID", help: "only this peer may use it (default: whoever has it)" },
      "api-key": { help: "an API key instead, which lasts and of which only a hash is kept" },
    },
    load: () => import("./invite.ts"),
  },
  wire: {
    usage: "decode|encode|vectors",
    summary: "look at frames and make them: stdin to stdout",
    example: "kith wire decode < capture.bin",
    prints: "decode: offset, bytes, value per frame; encode: frames; vectors: name, hex, value, ok",
    permissions: "none",
    options: {
      ...COMMON_OPTIONS,
      hex: { help: "bytes as hexadecimal text, in and out" },
      bare: { help: "one MessagePack value after another, without frame lengths" },
      datagram: { help: "stdin is one datagram: service code, length, message" },
    },
    load: () => import("./wire.ts"),
  },
  sim: {
    usage: "membership|gossip|dht",
    summary: "simulate a group, a topic or a DHT: how soon, how surely and at which price",
    example: "kith sim gossip --nodes 1000 --senders many --kill 0.2 --seed 7",
    prints: "one line of figures, with seed and hash: the same seed gives the same hash",
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
      senders: { value: "WHO", help: "gossip: one peer publishes, or many (default: one)" },
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
    load: () => import("./sim.ts"),
  },
  version: {
    usage: "",
    summary: "show the version",
    example: "kith version",
    prints: "version, wire, deno",
    permissions: "none",
    options: COMMON_OPTIONS,
    load: () => import("./version.ts"),
  },
};
