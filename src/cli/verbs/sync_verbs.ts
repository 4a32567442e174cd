/**
 * The verb that keeps folders alike.
 *
 * @module
 */

import {
  COMMON_OPTIONS,
  IDENTITY_OPTIONS,
  REACH_OPTIONS,
  STATUS_OPTIONS,
} from "../option_groups.ts";
import type { OptionSpecs } from "../options.ts";
import { RECEIVE_PERMISSIONS } from "../permissions.ts";
import { SKIPPED_FIELDS } from "../results.ts";
import type { Verbs } from "../verb.ts";

/** The verb that keeps folders alike. */
export const SYNC_VERBS: Verbs = {
  sync: {
    usage: "serve DIR|join DIR URL",
    summary: "keep folders alike: serve one, join one that is served, or both at once",
    example: "kith sync join photos ws://192.168.1.20:3488/sync",
    prints: {
      ready: "role, folder, room, urls: list, http: number?, status?, joined: list?, scope?, " +
        "clientId?",
      connected: "peer, name?",
      disconnected: "peer, reason?",
      changed: "path, operation, by, oldPath?",
      conflict: "path, keptAs",
      progress: "peer, files: number, ofFiles: number, bytes: number, ofBytes: number",
      synced: "peer, taken: number, told: number, notGiven: object?, notTaken: object?, " +
        "readsOnly: flag?",
      plan: "action, path",
      skipped: SKIPPED_FIELDS,
      failed: "path?, reason",
      done: "changed: number, conflicts: number, failed: number, skipped: number, " +
        "planned: number?, bytesReceived: number, bytesSent: number, seconds: number",
    },
    permissions: RECEIVE_PERMISSIONS,
    options: {
      ...COMMON_OPTIONS,
      once: { help: "join: end when both are alike; serve: when the first client has gone" },
      "dry-run": { help: "join: change nothing here or there, say what would be done" },
      "read-only": { help: "others get what is in DIR, and change nothing in it" },
      join: {
        value: "URL",
        help: "serve: also keep DIR alike with the folder served there",
        repeats: true,
      },
      room: { value: "NAME", help: "join: which of the hub's folders (default: the one it has)" },
      access: {
        value: "LEVEL",
        choices: ["local", "invited"],
        help:
          "serve: invited, who shows an invite with scope folder:NAME, or local, also all of this machine (default: local)",
      },
      "invite-file": REACH_OPTIONS["invite-file"] as OptionSpecs[string],
      host: { value: "ADDR", help: "serve: listen only at this address, e.g. 127.0.0.1" },
      "http-port": { value: "N", help: "serve: the port (default: 3488 or the next free)" },
      "tls-cert": { value: "F", help: "serve: over TLS, with this certificate (PEM)" },
      "tls-key": { value: "F", help: "serve: its private key (PEM), for you alone to read" },
      ca: { value: "F", help: "join: also trust the authority in this file (PEM)" },
      ...STATUS_OPTIONS,
      name: { value: "NAME", help: "what the hub is told you are called (default: kith)" },
      ...IDENTITY_OPTIONS,
    },
    load: () => import("../sync.ts"),
  },
};
