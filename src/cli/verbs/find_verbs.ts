/**
 * Verbs that say who is there, and why somebody is not.
 *
 * @module
 */

import {
  COMMON_OPTIONS,
  CONFIG_OPTIONS,
  DAEMON_OPTIONS,
  FIND_OPTIONS,
  IDENTITY_OPTIONS,
  NETWORK_OPTIONS,
  REACH_OPTIONS,
  SEED_OPTIONS,
} from "../option_groups.ts";
import type { OptionSpecs } from "../options.ts";
import { HOME_ENV, NETWORK_PERMISSIONS, REACH_PERMISSIONS } from "../permissions.ts";
import { MEMBER_FIELDS } from "../results.ts";
import type { Verbs } from "../verb.ts";

const SEEN_FIELDS = `${MEMBER_FIELDS}, seenBy`;

/** Verbs that say who is there, and why somebody is not. */
export const FIND_VERBS: Verbs = {
  discover: {
    usage: "",
    summary: "who is out there",
    example: "kith discover --timeout 2",
    prints: {
      "()": "peerId, name, addresses: list, via: list",
      "(others)": "dialect, id, name, addresses: list, protocols: list",
    },
    permissions: `${NETWORK_PERMISSIONS} --allow-env=${HOME_ENV} --allow-read=HOME`,
    options: {
      ...COMMON_OPTIONS,
      ...CONFIG_OPTIONS,
      network: NETWORK_OPTIONS.network as OptionSpecs[string],
      "key-file": NETWORK_OPTIONS["key-file"] as OptionSpecs[string],
      host: NETWORK_OPTIONS.host as OptionSpecs[string],
      "discovery-port": NETWORK_OPTIONS["discovery-port"] as OptionSpecs[string],
      timeout: { value: "SECONDS", help: "how long to look (default: 2, with witch 6)" },
      dialect: {
        value: "LIST",
        choices: ["native", "peerconnect", "witch", "peerpy", "all"],
        help: "also look for peerconnect, witch, peerpy, or all (default: native)",
      },
      ...SEED_OPTIONS,
      ...FIND_OPTIONS,
    },
    load: () => import("../discover.ts"),
  },
  peers: {
    usage: "[PEER]",
    summary: "who is in the group: alive, suspect, dead or gone, and why",
    example: "kith peers --watch",
    prints: {
      "()": SEEN_FIELDS,
      member: SEEN_FIELDS,
      joined: SEEN_FIELDS,
      suspect: SEEN_FIELDS,
      alive: SEEN_FIELDS,
      dead: SEEN_FIELDS,
      left: SEEN_FIELDS,
      updated: SEEN_FIELDS,
      degraded: "why",
      restored: "why",
      usurped: "why",
    },
    permissions: REACH_PERMISSIONS,
    options: {
      ...COMMON_OPTIONS,
      ...DAEMON_OPTIONS,
      watch: { help: "go on, and tell what happens" },
      ...REACH_OPTIONS,
      ...FIND_OPTIONS,
      ...NETWORK_OPTIONS,
    },
    hosted: ["peer", "timeout", "watch"],
    load: () => import("../peers.ts"),
  },
  doctor: {
    usage: "",
    summary: "why peers do not find each other, and what to do",
    example: "kith doctor --peer 192.168.1.20:3485",
    prints: { "()": "check, ok: flag?, why, fix?, facts: object?", "(dump)": "dump: object" },
    permissions: REACH_PERMISSIONS,
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
      dump: {
        help:
          "also what a maintainer asks for, without keys and names, to show to others; with the last messages of the peer that is up",
      },
    },
    load: () => import("../doctor.ts"),
  },
};
