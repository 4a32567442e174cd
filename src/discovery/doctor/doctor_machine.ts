/**
 * What a doctor looks at before any packet is sent: permissions, sockets, the clock, the home folder.
 *
 * @module
 */

import { dirname } from "node:path";
import type { Clock } from "../../clock.ts";
import { UnsupportedError } from "../../errors.ts";
import { type Logger, printable, silentLogger } from "../../log.ts";
import { Identity } from "../../secure/identity.ts";
import { Trust } from "../../secure/trust.ts";
import { Home } from "../../state/home.ts";
import {
  type Address,
  formatAddress,
  parseAddress,
  type Transport,
} from "../../transport/transport.ts";
import { reasonOf } from "../attempts.ts";
import { type Check, counted, failed, listed, passed, skipped } from "./doctor_check.ts";
import { type RememberedPeer, RememberedPeers } from "../sources/remembered_peers.ts";

/** Variables that say where the home folder is. */
const HOME_VARIABLES = ["KITH_HOME", "XDG_STATE_HOME", "HOME", "LOCALAPPDATA"];

/** The year that this was written in: a clock before it is wrong. */
const LEAST_YEAR = 2026;

/** A year that no machine of today sees with a clock that is right. */
const MOST_YEAR = 2100;

/** Most names of files that are listed. */
const MAX_LISTED = 8;

/** Tells whether a permission is granted, without asking for it. */
export type PermissionState = (descriptor: Deno.PermissionDescriptor) => Deno.PermissionState;

/** Which permissions there are. @param home The home folder, as far as it is known. */
export function* checkPermissions(
  stateOf: PermissionState,
  home: string | undefined,
): Generator<Check> {
  const granted = (descriptor: Deno.PermissionDescriptor) => stateOf(descriptor) === "granted";
  yield granted({ name: "net" })
    ? passed("permission net", "every address may be used")
    : failed("permission net", "not every address may be used, so what follows may fail", {
      fix: "run with --allow-net",
    });
  yield granted({ name: "sys", kind: "networkInterfaces" })
    ? passed("permission sys", "interfaces may be listed")
    : failed("permission sys", "interfaces may not be listed, so nobody can be looked for", {
      fix: "run with --allow-sys=networkInterfaces",
    });
  const unread = HOME_VARIABLES.filter((variable) => !granted({ name: "env", variable }));
  yield unread.length === 0
    ? passed("permission env", "the home folder can be looked up")
    : failed("permission env", `${listed(unread)} may not be read`, {
      fix: `run with --allow-env=${HOME_VARIABLES.join(",")}, or name a folder with --home`,
    });
  if (home === undefined) return yield skipped("permission home", "no home folder is known");
  const missing = (["read", "write"] as const).filter((name) => !granted({ name, path: home }));
  yield missing.length === 0
    ? passed("permission home", "the home folder may be read and written")
    : failed("permission home", `the home folder may not be ${listed(missing.map(participle))}`, {
      fix: `run with ${missing.map((name) => `--allow-${name}=DIR`).join(" ")}, DIR as with --home`,
    });
}

/** Whether UDP is to be had, and by which of the two ways. @param native Whether the runtime has its own. */
export async function checkUdp(
  transport: Transport,
  hostname: string | undefined,
  native: boolean,
): Promise<Check> {
  const facts = { native };
  try {
    (await transport.datagram({ hostname: hostname ?? "0.0.0.0" })).close();
  } catch (error) {
    const flag = error instanceof UnsupportedError ? error.details.flag : undefined;
    const fix = typeof flag === "string" ? { fix: `run with ${flag}` } : {};
    return failed("udp sockets", reasonOf(error), { facts, ...fix });
  }
  const why = native
    ? "the runtime's own are used"
    : "those of node:dgram are used, slower where much is sent (--unstable-net gives the others)";
  return passed("udp sockets", why, { facts });
}

/** Whether the clock can be right: invites expire by it. Discovery does not need it. */
export function checkClock(clock: Pick<Clock, "wallMs">): Check {
  const year = new Date(clock.wallMs()).getUTCFullYear();
  const facts = { year };
  if (year >= LEAST_YEAR && year < MOST_YEAR) {
    return passed("clock", `the year is ${year}`, { facts });
  }
  return failed("clock", `the machine believes that the year is ${year}`, {
    facts,
    fix: "set the clock: invites that others made seem to have expired, or never to",
  });
}

/** Where somebody was. */
export interface RememberedAt {
  /** The address. */
  readonly address: Address;
  /** What the peer calls itself that was found there; empty for nothing. */
  readonly name: string;
}

/** What is in a home folder that matters here. */
export interface HomeFindings {
  /** Whether it can be used, and what in it could not be understood. */
  readonly check: Check;
  /** Where the peers were that were found last, one address each, and each address once. */
  readonly remembered: readonly RememberedAt[];
  /** Who the home's own peer is, where there is one yet. */
  readonly self?: string | undefined;
  /** Which name belongs to whom, as the home has it. */
  readonly trust?: Trust;
}

/** Looks at the home folder, where there is one; it is not made. */
export function checkHome(dir: string, stateOf: PermissionState): HomeFindings {
  const fix = "name another folder with --home or KITH_HOME, or run with --ephemeral";
  try {
    if (exists(dir)) {
      const home = Home.open(dir); // which tries it, and says what to do
      return { ...lookInto(home), trust: new Trust({ home }) };
    }
  } catch (error) {
    return { check: failed("home", reasonOf(error), { fix }), remembered: [] };
  }
  try {
    tryToMake(dir, stateOf);
    const why = "there is none yet; the first verb that needs it makes it";
    return { check: passed("home", why), remembered: [] };
  } catch (error) {
    // Deno's texts go on with what was tried: "No such file or directory (os error 2): tmpfile".
    const reason = reasonOf(error).replace(/ \(os error \d+\).*$/s, "").toLowerCase();
    const why = `there is none yet, and ${printable(dir, 400)} cannot be made: ${reason}`;
    return { check: failed("home", why, { fix }), remembered: [] };
  }
}

/** Whether a folder could be made: permission bits do not tell, a file beside it that is removed again does. */
function tryToMake(dir: string, stateOf: PermissionState): void {
  const parent = dirname(dir);
  const isAllowed = (["read", "write"] as const).every((name) =>
    stateOf({ name, path: parent }) === "granted"
  );
  if (!isAllowed) return; // to the home folder alone, perhaps: then it cannot be told
  if (!exists(parent)) return tryToMake(parent, stateOf);
  Deno.removeSync(Deno.makeTempFileSync({ dir: parent, prefix: ".kith-probe-" }));
}

function lookInto(home: Home): HomeFindings {
  const problems: string[] = [];
  const warn: Logger["warn"] = (message, { why } = {}) => void problems.push(`${message}: ${why}`);
  using memory = new RememberedPeers({ home, log: { ...silentLogger, warn } });
  const self = exists(home.path("identity.pem")) ? Identity.load(home).peerId : undefined;
  // May set the file aside, which is to be told, too. A peer may have found itself, on another port or before.
  const peers = memory.all.filter(({ peerId }) => peerId !== self);
  const remembered = whereEach(peers);
  const setAside = [...Deno.readDirSync(home.dir)].map(({ name }) => name)
    .filter((name) => /\.corrupt-\d+$/.test(name)).sort();
  const facts = { remembered: peers.length, setAside: setAside.slice(0, MAX_LISTED) };
  const known = `${counted(peers.length, "peer")} remembered`;
  if (problems.length > 0) {
    return { check: failed("home", listed(problems), { facts }), remembered, self };
  }
  if (setAside.length === 0) {
    const check = passed("home", `it can be read and written, ${known}`, { facts });
    return { check, remembered, self };
  }
  const files = `${counted(setAside.length, "file")} that could not be understood`;
  const fix = "see whether anything in them is still needed, then delete them";
  const check = failed("home", `${known}, ${files}: ${listed(facts.setAside)}`, { facts, fix });
  return { check, remembered, self };
}

/** Where peers were, in their order; of several that had the same address, one after another, the first counts. */
function whereEach(peers: readonly RememberedPeer[]): RememberedAt[] {
  const places = new Map<string, RememberedAt>();
  for (const { name, addresses: [first = ""] } of peers) {
    const address = parseAddress(first);
    if (address === undefined || places.has(formatAddress(address))) continue;
    places.set(formatAddress(address), { address, name });
  }
  return [...places.values()];
}

function participle(name: "read" | "write"): string {
  return name === "write" ? "written" : name;
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
