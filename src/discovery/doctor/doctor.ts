/**
 * Why peers do not find each other: everything that discovery needs is tried, one thing after another, and said in
 * words.
 *
 * ```
 * permissions, sockets, clock, home -> interfaces -> ports -> each interface to itself -> questions every way
 *   -> peers that are known -> what works, and who is there
 * ```
 *
 * @module
 */

import { type Clock, systemClock } from "../../clock.ts";
import { DEFAULT_TCP_PORT } from "../../endpoint/listen.ts";
import { DEFAULT_HTTP_PORT } from "../../endpoint/web.ts";
import { UnsupportedError } from "../../errors.ts";
import { Metrics } from "../../metrics.ts";
import { netTransport } from "../../transport/net.ts";
import { type Address, formatAddress, type Transport } from "../../transport/transport.ts";
import { reasonOf } from "../attempts.ts";
import { type Check, failed, skipped } from "./doctor_check.ts";
import {
  checkLoop,
  concludeDiscovery,
  concludeOthers,
  type Evidence,
} from "./doctor_conclusions.ts";
import { testLoops } from "./doctor_loop.ts";
import {
  checkClock,
  checkHome,
  checkPermissions,
  checkUdp,
  type HomeFindings,
  type PermissionState,
  type RememberedAt,
} from "./doctor_machine.ts";
import { checkNames } from "./doctor_names.ts";
import {
  checkInterfaces,
  checkPeer,
  checkTcp,
  checkTcpPort,
  checkUdpPort,
  checkUnicast,
  type KnownPeer,
  type NetworkTools,
  type ShownAddress,
} from "./doctor_network.ts";
import { DISCOVERY_PORT } from "../groups.ts";
import { interfaceFilter } from "../interface_filter.ts";
import { interfacesAt, type LocalInterface, localInterfaces } from "../interfaces.ts";
import { platformOf } from "../platform.ts";

/** How long to wait for answers unless told otherwise, in milliseconds: a slow Wi-Fi holds multicast back for a third. */
const WAIT_MS = 1_000;

/** Most remembered peers that are tried, latest first: enough to tell, and no scan. */
const MAX_REMEMBERED = 8;

/** What a doctor looks at, and what it works with. */
export interface DoctorOptions {
  /** Opens the sockets that connect, listen and ask. @default {netTransport} */
  transport?: Transport;
  /** Opens those that hear questions. In a closed network another member of it. @default the same */
  hear?: Transport;
  /** Use only the interface with this address. @default every interface */
  hostname?: string | undefined;
  /** Use only interfaces whose name fits, such as `eth0`, `wl*`, `!docker*`. @default {[]} */
  only?: readonly string[];
  /** The port that questions are sent to. @default {3486} */
  port?: number | undefined;
  /** Addresses where peers should be. @default {[]} */
  peers?: readonly Address[];
  /**
   * Where the home folder is; peers that are remembered there are tried. May throw `UnsupportedError`.
   *
   * @default none is looked at
   */
  home?: () => string;
  /** Whether peers that are remembered are called by their names. @default {true} */
  showNames?: boolean;
  /** How long to wait for answers, in milliseconds. @default {1000} */
  waitMs?: number;
  /** Lists the interfaces that discovery can use. @default {localInterfaces} */
  interfaces?: () => readonly LocalInterface[];
  /** Lists every address of the machine. @default {Deno.networkInterfaces} */
  addresses?: () => readonly ShownAddress[];
  /** Tells whether a permission is granted. @default {Deno.permissions.querySync} */
  permissions?: PermissionState;
  /** Whether the runtime has UDP sockets of its own. @default as this one */
  nativeUdp?: boolean;
  /** The operating system. @default {Deno.build.os} */
  os?: typeof Deno.build.os;
  /** Where time comes from. @default {systemClock} */
  clock?: Clock;
  /** Counts `doctor.questions`, `doctor.heard` and `doctor.answers`. @default {new Metrics()} */
  metrics?: Metrics;
  /** Stops when aborted. */
  signal?: AbortSignal;
}

/**
 * Looks at everything. The last check but one is called `discovery`: it is not `ok` when no way of finding peers works at
 * all. The last is called `others`.
 *
 * @throws {TypeError} for a pattern of interfaces that is none.
 */
export async function* examine(options: DoctorOptions = {}): AsyncGenerator<Check, void, void> {
  const { transport = netTransport, clock = systemClock, os = Deno.build.os, hostname } = options;
  const { signal = new AbortController().signal, port = DISCOVERY_PORT } = options;
  const tools: NetworkTools = { transport, clock, platform: platformOf(os), signal };
  const { remembered, self, trust } = yield* examineMachine(options, tools);
  const found = listInterfaces(options);
  if ("failure" in found) {
    yield found.failure;
    return yield failed("discovery", "no way works: the interfaces are not known");
  }
  const { all, usable, chosen } = found;
  yield* checkInterfaces(all, usable, chosen);
  yield await checkTcpPort(tools, hostname, DEFAULT_TCP_PORT);
  yield await checkUdpPort(tools, port);
  yield await checkTcpPort(tools, hostname, DEFAULT_HTTP_PORT);
  for (const on of chosen) {
    yield await checkTcp(tools, on);
    yield await checkUnicast(tools, on);
  }
  const { hear = transport, waitMs = WAIT_MS, metrics = new Metrics() } = options;
  const asking = { ...tools, ask: transport, hear, interfaces: chosen, port, waitMs, metrics };
  const loops = await testLoops(asking);
  const known: KnownPeer[] = [];
  const evidence: Evidence = {
    loops,
    hostname,
    ownAddresses: new Set(all.map(({ address }) => address)),
    self,
    known,
    platform: tools.platform,
    ports: { tcp: DEFAULT_TCP_PORT, udp: port },
  };
  for (const loop of loops) yield checkLoop(loop, evidence);
  const { peers = [], showNames = true } = options;
  const named = remembered.map(({ address, name }) => ({ address, name: showNames ? name : "" }));
  for (const peer of await askKnown(tools, peers, named)) {
    known.push(peer);
    yield peer.check;
  }
  if (trust !== undefined) yield* checkNames(loops, trust, showNames);
  yield concludeDiscovery(evidence);
  yield concludeOthers(evidence);
}

async function* examineMachine(
  options: DoctorOptions,
  { transport, clock }: NetworkTools,
): AsyncGenerator<Check, Omit<HomeFindings, "check">> {
  const { permissions = permissionState, home, hostname } = options;
  // Not named directly: touching it is an error where the flag is missing, and only the transport may.
  const { nativeUdp = "listenDatagram" in Deno } = options;
  const { dir, failure } = homeOf(home);
  yield* checkPermissions(permissions, dir);
  yield await checkUdp(transport, hostname, nativeUdp);
  yield checkClock(clock);
  if (dir === undefined) {
    yield failure ?? skipped("home", "none is used");
    return { remembered: [] };
  }
  const { check, ...findings } = checkHome(dir, permissions);
  yield check;
  return findings;
}

/** Asks those who are known, all at once, since those that are off take long. */
async function askKnown(
  tools: NetworkTools,
  given: readonly Address[],
  remembered: readonly RememberedAt[],
): Promise<KnownPeer[]> {
  const names = new Set(given.map(formatAddress));
  const others = remembered.filter(({ address }) => !names.has(formatAddress(address)));
  return await Promise.all([
    ...given.map((address) => checkPeer(tools, address)),
    ...others.slice(0, MAX_REMEMBERED).map(({ address, name }) => checkPeer(tools, address, name)),
  ]);
}

/** The addresses of the machine, those that discovery can use, and those of them that it shall. */
interface Interfaces {
  readonly all: readonly ShownAddress[];
  readonly usable: readonly LocalInterface[];
  readonly chosen: readonly LocalInterface[];
}

function listInterfaces(options: DoctorOptions): Interfaces | { readonly failure: Check } {
  const { hostname, only = [], interfaces = localInterfaces } = options;
  const { addresses = () => Deno.networkInterfaces() } = options;
  const passes = interfaceFilter(only);
  try {
    const usable = interfaces();
    const chosen = interfacesAt(usable, hostname).filter(({ name }) => passes(name));
    return { all: addresses(), usable, chosen };
  } catch (error) {
    if (!(error instanceof UnsupportedError)) throw error;
    return { failure: failed("interfaces", reasonOf(error)) };
  }
}

function homeOf(home: (() => string) | undefined): { dir?: string; failure?: Check } {
  try {
    return home === undefined ? {} : { dir: home() };
  } catch (error) {
    if (!(error instanceof UnsupportedError)) throw error;
    return { failure: failed("home", reasonOf(error)) };
  }
}

function permissionState(descriptor: Deno.PermissionDescriptor): Deno.PermissionState {
  return Deno.permissions.querySync(descriptor).state;
}
