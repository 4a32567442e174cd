/**
 * `kith trust`
 *
 * @module
 */

import { printable } from "../log.ts";
import { fingerprintOf, Identity } from "../secure/identity.ts";
import { Trust } from "../secure/trust.ts";
import type { TrustEntry, TrustPolicy } from "../secure/trust_entry.ts";
import { Home, resolveHome } from "../state/home.ts";
import { compareByName } from "./discover.ts";
import { asUsage, type Options, UsageError } from "./options.ts";
import type { Output } from "./output.ts";
import type { Invocation } from "./verbs.ts";

/** What people are told of a policy. */
const MEANING: Readonly<Record<TrustPolicy, string>> = {
  seen: "name was used",
  pin: "name is confirmed",
  allow: "on the allow list",
  deny: "denied",
};

/** Adds, removes or lists the peers that are trusted or denied. */
export function run(invocation: Invocation): Promise<void> {
  const { options, output } = invocation;
  const [action, target, ...more] = options.args;
  if (action !== "add" && (policyOf(options) ?? options.text("name")) !== undefined) {
    throw new UsageError("Options --name, --allow, --deny and --pin belong to kith trust add");
  }
  if (action === "ls" && target === undefined) {
    list(openTrust(invocation), output);
  } else if (action === "add" && target && more.length === 0) {
    const home = openHome(invocation);
    if (target.toLowerCase() === Identity.load(home).peerId) {
      throw new UsageError("That is the id of this peer itself");
    }
    add(openTrust(invocation, home), target, invocation);
  } else if (action === "rm" && target && more.length === 0) {
    remove(openTrust(invocation), target, output);
  } else {
    throw new UsageError("One of add PEER, rm PEER and ls is wanted");
  }
  return Promise.resolve();
}

function add(trust: Trust, target: string, { options, output }: Invocation): void {
  const policy = policyOf(options);
  const letsInAll = !trust.list().some((entry) => entry.policy === "allow");
  const entries = asUsage(() => trust.add(target, { name: options.text("name"), policy }));
  for (const entry of entries) show(entry, output);
  if (policy === "allow" && letsInAll) {
    output.note("From now on only peers on the allow list are let in");
  }
}

function remove(trust: Trust, target: string, output: Output): void {
  const removed = trust.remove(target);
  for (const entry of removed) show(entry, output, "forgot  ");
  if (removed.some(({ policy }) => policy === "allow") && !trust.isExclusive) {
    output.note("The allow list is empty: from now on everybody is let in who is not denied");
  }
}

function list(trust: Trust, output: Output): void {
  const entries = trust.list().toSorted(compareByName);
  for (const entry of entries) show(entry, output);
  if (entries.length === 0) output.note("Nobody is trusted or denied");
}

function show(entry: TrustEntry, output: Output, verb = ""): void {
  const { peerId, name, policy, since, key } = entry;
  const fingerprint = key === undefined ? "" : fingerprintOf(Uint8Array.fromHex(key));
  const columns = [
    peerId,
    (printable(name, 64) || "(no name)").padEnd(16),
    MEANING[policy].padEnd(17),
    (fingerprint || "(not met yet)").padEnd(29),
    new Date(since).toISOString().slice(0, 10),
  ];
  output.result({ peerId, fingerprint, name, policy, since }, verb + columns.join("  "));
}

/** What is to be said of a peer. @throws {UsageError} when that is more than one thing. */
function policyOf(options: Options): TrustPolicy | undefined {
  const [policy, ...others] = (["allow", "deny", "pin"] as const).filter((it) => options.has(it));
  if (others.length === 0) return policy;
  throw new UsageError("Options --allow, --deny and --pin exclude each other");
}

function openTrust(invocation: Invocation, home: Home = openHome(invocation)): Trust {
  return new Trust({ home, log: invocation.output.log });
}

function openHome({ options, output }: Invocation): Home {
  return Home.open(options.text("home") ?? resolveHome(), { log: output.log });
}
