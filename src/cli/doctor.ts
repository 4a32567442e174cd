/**
 * `kith doctor`
 *
 * @module
 */

import { examine } from "../discovery/doctor/doctor.ts";
import { type Check, listed } from "../discovery/doctor/doctor_check.ts";
import { dumpFacts, ownNames } from "../discovery/doctor/doctor_dump.ts";
import { redactAll, redactor } from "../discovery/doctor/doctor_redact.ts";
import { interfaceFilter } from "../discovery/interface_filter.ts";
import { localInterfaces } from "../discovery/interfaces.ts";
import { TransportError } from "../errors.ts";
import { Metrics } from "../metrics.ts";
import type { Network } from "../secure/network.ts";
import { loadNetwork } from "../secure/network_file.ts";
import { sealTransport } from "../secure/sealed_socket.ts";
import { Sealer } from "../secure/sealer.ts";
import { resolveHome } from "../state/home.ts";
import { netTransport } from "../transport/net.ts";
import type { Transport } from "../transport/transport.ts";
import { reachOptions } from "./open_peer.ts";
import { runningFrames } from "./running_frames.ts";
import { asUsage, type Options } from "./options.ts";
import type { Invocation } from "./verbs.ts";

/** Where the reasons begin, for people. */
const REASON_COLUMN = 58;

/** Checks that failed and are named at the end, at most. */
const MAX_NAMED = 3;

/** What a check came to, for people. */
const VERDICTS = { true: "ok", false: "FAILED", null: "skipped" } as const;
const PAINTS = { true: "good", false: "bad", null: "faint" } as const;

/** Looks why peers do not find each other, and says what to do. */
export async function run({ options, output, signal }: Invocation): Promise<void> {
  const metrics = new Metrics();
  const { network } = loadNetwork({
    name: options.text("network"),
    keyFile: options.text("key-file"),
  });
  const { peers = [] } = reachOptions(options, signal);
  const only = options.list("interface");
  asUsage(() => interfaceFilter(only));
  const hide = options.has("dump")
    ? redactor({ ...ownNames(permissionState), home: knownHome(options), peers: peers.map(hostOf) })
    : undefined;
  const waitMs = options.milliseconds("timeout");
  const failures: Check[] = [];
  const checks = examine({
    transport: transportOf(network, metrics),
    hear: transportOf(network, metrics),
    hostname: options.text("host"),
    port: options.port("discovery-port"),
    only,
    peers,
    showNames: hide === undefined,
    metrics,
    ...(options.has("ephemeral") ? {} : { home: () => homeOf(options) }),
    ...(waitMs === undefined ? {} : { waitMs }),
    signal,
  });
  for await (const seen of checks) {
    const shown = hide === undefined ? seen : redactAll(seen, hide);
    if (seen.ok === false) failures.push(shown);
    const { check, ok, why, fix, facts } = shown;
    const more = {
      ...(fix === undefined ? {} : { fix }),
      ...(facts === undefined ? {} : { facts }),
    };
    output.result({ check, ok, why, ...more }, textOf(shown), PAINTS[`${ok}`]);
  }
  if (hide !== undefined) {
    const counters = metrics.snapshot();
    const permissions = permissionState;
    const home = knownHome(options);
    const frames = home === undefined || options.has("ephemeral")
      ? undefined
      : await runningFrames(home, signal);
    const facts = dumpFacts({ interfaces: localInterfaces, permissions, counters });
    const dump = redactAll(frames === undefined ? facts : { ...facts, frames }, hide);
    output.result({ dump }, linesOf(dump).join("\n"));
  }
  if (failures.length > 0) throw summaryOf(failures);
}

/** The error for what is not as it should be, which was said line by line. */
function summaryOf(failures: readonly Check[]): TransportError {
  const discovery = failures.find(({ check }) => check === "discovery");
  const names = failures.map(({ check }) => check);
  const text = discovery === undefined
    ? `Not as it should be: ${listed(names.slice(0, MAX_NAMED))}${moreThan(names)}`
    : `Cannot find peers here: ${discovery.why}`;
  return new TransportError(text, { details: { failed: names } });
}

function moreThan({ length }: readonly string[]): string {
  return length > MAX_NAMED ? ` and ${length - MAX_NAMED} more` : "";
}

/** A member of the network. Two of them hear each other; one does not hear itself. */
function transportOf(network: Network, metrics: Metrics): Transport {
  return network.isOpen
    ? netTransport
    : sealTransport(netTransport, new Sealer({ network, metrics }));
}

function homeOf(options: Options): string {
  return options.text("home") ?? resolveHome();
}

/** The home folder, where that can be told; where not, that is a check of its own. */
function knownHome(options: Options): string | undefined {
  try {
    return homeOf(options);
  } catch {
    return undefined;
  }
}

function hostOf({ hostname }: { hostname: string }): string {
  return hostname;
}

function permissionState(descriptor: Deno.PermissionDescriptor): Deno.PermissionState {
  return Deno.permissions.querySync(descriptor).state;
}

/** A check for people: what it came to, what it is, why, and below that what to do. */
function textOf({ check, ok, why, fix }: Check): string {
  const verdict = VERDICTS[`${ok}`].padEnd(9);
  const indent = `\n${" ".repeat(verdict.length)}`;
  const remedy = fix === undefined ? "" : `${indent}-> ${fix.replaceAll("\n", `${indent}   `)}`;
  return `${(verdict + check).padEnd(REASON_COLUMN)}  ${why}${remedy}`;
}

/** A dump for people: a line per fact. */
function linesOf(dump: Readonly<Record<string, unknown>>): string[] {
  return Object.entries(dump).map(([name, value]) => {
    if (name === "frames" && Array.isArray(value)) {
      return [`frames         ${value.length}, the oldest first`, ...value.map(frameText)].join(
        "\n",
      );
    }
    return `${name.padEnd(14)} ${typeof value === "string" ? value : JSON.stringify(value)}`;
  });
}

/** A message of the running peer, as its flight recorder has it. */
function frameText(frame: unknown): string {
  return `  ${JSON.stringify(frame)}`;
}
