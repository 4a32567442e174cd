/**
 * Verbs that move files.
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
} from "../option_groups.ts";
import { REACH_PERMISSIONS, RECEIVE_PERMISSIONS } from "../permissions.ts";
import { FAILED_FIELDS, RECEIVED_FIELDS, SKIPPED_FIELDS } from "../results.ts";
import type { Verbs } from "../verb.ts";

/** Verbs that move files. */
export const FILE_VERBS: Verbs = {
  send: {
    usage: "PATH...|-",
    summary: "send files and folders, or stdin, to one peer",
    example: "kith send photos/ notes.txt --to bob",
    prints: {
      progress: "bytes: number, totalBytes: number, paused: flag",
      skipped: SKIPPED_FIELDS,
      retry: "code, message",
      plan: "added: list, changed: list, unchanged: number, unwanted: number?, bytes: number",
      done: "files: number, bytes: number, resentBytes: number, sentBytes: number, " +
        "unchanged: number, unwanted: number?, sha256, seconds: number",
    },
    permissions: `${REACH_PERMISSIONS} --allow-read=PATH`,
    options: {
      ...COMMON_OPTIONS,
      ...DAEMON_OPTIONS,
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
        choices: ["auto", "yes", "no"],
        help: "yes, no, or auto: where less than 24 MB a second go through (default: auto)",
      },
      as: { value: "NAME", help: "what stdin is called there (default: stdin)" },
      dialect: {
        value: "NAME",
        choices: ["native", "peerconnect"],
        help: "native, or peerconnect, which needs HOST:PORT (default: native)",
      },
      ...REACH_OPTIONS,
      ...FIND_OPTIONS,
      ...NETWORK_OPTIONS,
    },
    hosted: [
      "as",
      "compress",
      "dry-run",
      "limit",
      "peer",
      "retry",
      "streams",
      "timeout",
      "to",
      "update",
      "watch",
    ],
    load: () => import("../send.ts"),
  },
  broadcast: {
    usage: "PATH...",
    summary: "send files and folders to many, who pass them on to each other",
    example: "kith broadcast photos/ --to bob --to carol --to dave",
    prints: {
      progress: "peerId?, bytes: number, totalBytes: number",
      skipped: SKIPPED_FIELDS,
      parent: "peerId, parent?",
      corrupt: "peerId, by",
      peer: "peerId?, name, state, bytes: number, sha256?, seconds: number, code?, message?, " +
        "parent?",
      done: "files: number, bytes: number, sha256, egressBytes: number, resentBytes: number?, " +
        "seconds: number, done: number, failed: number",
    },
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
        choices: ["native", "peerconnect"],
        help: "native, or peerconnect, which needs HOST:PORT of UDP (default: native)",
      },
      ...REACH_OPTIONS,
      ...FIND_OPTIONS,
      ...NETWORK_OPTIONS,
    },
    load: () => import("../broadcast.ts"),
  },
  recv: {
    usage: "",
    summary: "receive files into a folder, until ^C",
    example: "kith recv --dir inbox --yes --name bob",
    prints: {
      ready: "peerId, name, tcp: number?, udp: number?",
      received: RECEIVED_FIELDS,
      failed: FAILED_FIELDS,
      refused: FAILED_FIELDS,
      closed: "counters: object",
    },
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
      dialect: {
        value: "NAME",
        choices: ["native", "peerconnect"],
        help: "also take files from peerconnect (default: native)",
      },
      ...LISTEN_OPTIONS,
      ...FIND_OPTIONS,
      ...NETWORK_OPTIONS,
    },
    load: () => import("../recv.ts"),
  },
};
