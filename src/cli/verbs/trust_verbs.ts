/**
 * Verbs that say who may do what.
 *
 * @module
 */

import { COMMON_OPTIONS, IDENTITY_OPTIONS } from "../option_groups.ts";
import type { OptionSpecs } from "../options.ts";
import { HOME_PERMISSIONS } from "../permissions.ts";
import type { Verbs } from "../verb.ts";

/** Verbs that say who may do what. */
export const TRUST_VERBS: Verbs = {
  trust: {
    usage: "add PEER|rm PEER|ls",
    summary: "who is known by which name, let in, or kept out",
    example: "kith trust add 21fe31dfa154a261626bf854046fd2271b7bed4b --name bob",
    prints: { "()": "peerId, fingerprint, name, policy, since: number" },
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
    load: () => import("../trust.ts"),
  },
  invite: {
    usage: "[ls|revoke ID]",
    summary: "let somebody in: make an invite or API key, list them, revoke one",
    example: "kith invite --scope call:echo --expires 1h",
    prints: {
      "()": "id, token, scopes: list, expires: number?, to?",
      "(ls, revoke)":
        "id, kind, scopes: list, created: number, expires: number?, revoked: number?, to?",
    },
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
    load: () => import("../invite.ts"),
  },
};
