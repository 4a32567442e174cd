/**
 * The options that verbs have in common.
 *
 * @module
 */

import type { OptionSpecs } from "./options.ts";

/** What the value of `--log` is called. */
export const LOG_VALUE = "[LAYER=]LEVEL";

/** Words for who gets the status page. */
export const AUDIENCES = ["local", "all", "off"] as const;

/** Options that every verb has. */
export const COMMON_OPTIONS: OptionSpecs = {
  help: { help: "show this help" },
  json: { help: "results as one JSON object per line on stdout" },
  log: {
    value: LOG_VALUE,
    help: "say more on stderr: debug, info, warn or error (default: error), also of one layer only",
    repeats: true,
  },
};

/** Options of verbs that run in the peer that is up with the same home, where there is one. */
export const DAEMON_OPTIONS: OptionSpecs = {
  "no-daemon": { help: "open a peer of its own, also where kith up runs with this home" },
};

/** Options of verbs that have an identity. */
export const IDENTITY_OPTIONS: OptionSpecs = {
  home: { value: "DIR", help: "where identity and state are kept (default: $KITH_HOME)" },
  ephemeral: { help: "a new identity for this run, nothing is kept" },
};

/** Where the configuration is, for verbs that use nothing else of the home. */
export const CONFIG_OPTIONS: OptionSpecs = {
  home: { value: "DIR", help: "where the configuration is kept (default: $KITH_HOME)" },
};

/** Options of verbs that go on the network. */
export const NETWORK_OPTIONS: OptionSpecs = {
  ...IDENTITY_OPTIONS,
  name: { value: "NAME", help: "a label that others see (default: none)" },
  network: { value: "NAME", help: "only peers of the same network meet (default: $KITH_NETWORK)" },
  "key-file": {
    value: "F",
    help: "file with the key of the network, for you alone to read (default: $KITH_KEY_FILE)",
  },
  host: { value: "ADDR", help: "use only this address of the machine, e.g. 127.0.0.1" },
  "discovery-port": { value: "PORT", help: "UDP port that questions are sent to (default: 3486)" },
};

/** Options of verbs that look around for others. */
export const FIND_OPTIONS: OptionSpecs = {
  interface: { value: "LIST", help: "use only these interfaces, e.g. eth0,wl* or !docker*" },
  "peers-file": { value: "F", help: "also ask at the HOST:PORT on each line of this file" },
  "dns-name": {
    value: "NAME",
    help: "also ask at the kith=HOST:PORT in the TXT records of this name",
  },
  mdns: { help: "also by mDNS (Avahi, Bonjour), which lists us for everybody on the network" },
};

/** Where others may be, for verbs that look for anybody. */
export const SEED_OPTIONS: OptionSpecs = {
  peer: { value: "HOST:PORT", help: "also ask there", repeats: true },
};

/** Options of verbs that look for a peer. */
export const REACH_OPTIONS: OptionSpecs = {
  peer: { value: "HOST:PORT", help: "ask there instead of looking around", repeats: true },
  timeout: {
    value: "SECONDS",
    help: "how long to look and connect (default: 10), and to wait for an answer",
  },
  "invite-file": {
    value: "F",
    help: "file with invites or API keys to show, for you alone to read (default: $KITH_INVITE)",
  },
};

/** Options of verbs that listen. */
export const LISTEN_OPTIONS: OptionSpecs = {
  port: { value: "PORT", help: "TCP port, 0 for any (default: 3485 or the next free one)" },
  "udp-port": { value: "PORT", help: "UDP port that answers leave from, 0 for any" },
  access: {
    value: "LEVEL",
    choices: ["public", "private", "invited"],
    help:
      "who may call, write and send: public, private (proven peers) or invited (default: public)",
  },
};

/** Options of verbs that serve. */
export const SERVE_OPTIONS: OptionSpecs = {
  "http-port": {
    value: "PORT",
    help: "port for HTTP and WebSocket (default: 3488 or the next free)",
  },
  dialect: {
    value: "LIST",
    choices: ["native", "peerconnect", "witch", "peerpy", "kademlia", "all"],
    help: "also speak peerconnect, witch, peerpy, kademlia, or all (default: native)",
  },
};

/** Options of verbs that serve the status page. */
export const STATUS_OPTIONS: OptionSpecs = {
  status: {
    value: "WHO",
    choices: AUDIENCES,
    help: "who gets the status page and /metrics: local (this machine), all, off (default: local)",
  },
};
