/**
 * Verbs that talk to one peer.
 *
 * @module
 */

import {
  COMMON_OPTIONS,
  DAEMON_OPTIONS,
  FIND_OPTIONS,
  NETWORK_OPTIONS,
  REACH_OPTIONS,
} from "../option_groups.ts";
import type { OptionSpecs } from "../options.ts";
import { REACH_PERMISSIONS } from "../permissions.ts";
import type { Verbs } from "../verb.ts";

const CALL_OPTIONS: OptionSpecs = {
  dialect: {
    value: "NAME",
    choices: ["native", "witch"],
    help: "native, or witch for a witch-core server at HOST:PORT",
  },
};

const PING_OPTIONS: OptionSpecs = {
  dialect: {
    value: "NAME",
    choices: ["native", "witch", "peerconnect"],
    help: "native, or at HOST:PORT witch, peerconnect (its UDP port)",
  },
};

/** Verbs that talk to one peer. */
export const TALK_VERBS: Verbs = {
  ping: {
    usage: "PEER",
    summary: "how long an answer takes",
    example: "kith ping bob --count 3",
    prints: { "()": "rttMs: number" },
    permissions: REACH_PERMISSIONS,
    options: {
      ...COMMON_OPTIONS,
      ...DAEMON_OPTIONS,
      count: { value: "N", help: "how many, one a second (default: 1)" },
      ...PING_OPTIONS,
      ...REACH_OPTIONS,
      ...FIND_OPTIONS,
      ...NETWORK_OPTIONS,
    },
    hosted: ["count", "peer", "timeout"],
    load: () => import("../ping.ts"),
  },
  call: {
    usage: "PEER ENDPOINT [JSON]",
    summary: "call an endpoint (describe lists them); JSON - reads stdin",
    example: `kith call bob echo '{"a": 1}'`,
    prints: { "()": "result: any", item: "result: any" },
    permissions: REACH_PERMISSIONS,
    options: {
      ...COMMON_OPTIONS,
      ...DAEMON_OPTIONS,
      stream: { help: "print the parts of an answer as they come" },
      ...CALL_OPTIONS,
      ...REACH_OPTIONS,
      ...FIND_OPTIONS,
      ...NETWORK_OPTIONS,
    },
    hosted: ["peer", "stream", "timeout"],
    load: () => import("../call.ts"),
  },
  msg: {
    usage: "PEER TEXT",
    summary: "send a text message",
    example: "kith msg bob 'hello there'",
    prints: { "()": "delivered: flag, acknowledged: flag" },
    permissions: REACH_PERMISSIONS,
    options: {
      ...COMMON_OPTIONS,
      ...DAEMON_OPTIONS,
      dialect: {
        value: "NAME",
        choices: ["native", "peerpy", "peerconnect"],
        help: "native, or at HOST:PORT peerpy or peerconnect",
      },
      ...REACH_OPTIONS,
      ...FIND_OPTIONS,
      ...NETWORK_OPTIONS,
    },
    hosted: ["peer", "timeout"],
    load: () => import("../msg.ts"),
  },
};
