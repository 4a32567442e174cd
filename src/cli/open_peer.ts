/**
 * From options to a peer.
 *
 * @module
 */

import type { DhtOptions } from "../dht/dht_options.ts";
import { FOREIGN_DIALECTS } from "../discovery/foreign.ts";
import { interfaceFilter } from "../discovery/interface_filter.ts";
import { localInterfaces } from "../discovery/interfaces.ts";
import { ACCESS_LEVELS } from "../endpoint/access_levels.ts";
import { loadLimits } from "../endpoint/limits_file.ts";
import type { RequestOptions } from "../endpoint/outgoing.ts";
import { NotFoundError, UnsupportedError } from "../errors.ts";
import { printable } from "../log.ts";
import { type Dialect, DIALECTS, Peer } from "../peer.ts";
import type { ReachOptions } from "../reach.ts";
import { Identity } from "../secure/identity.ts";
import type { Network } from "../secure/network.ts";
import { loadNetwork, watchNetworkFile } from "../secure/network_file.ts";
import { looksLikeId } from "../secure/trust_entry.ts";
import { Home, resolveHome } from "../state/home.ts";
import { type Address, parseAddress } from "../transport/transport.ts";
import { presentedTokens } from "./credentials.ts";
import { asUsage, type Options, UsageError } from "./options.ts";
import type { Output } from "./output.ts";
import type { Invocation } from "./verbs.ts";

/** The identity that the options ask for, and where it is kept. */
export function openIdentity(
  { options, output }: Invocation,
): { identity: Identity; home: Home | undefined } {
  if (options.has("ephemeral")) return { identity: Identity.generate(), home: undefined };
  const home = Home.open(options.text("home") ?? resolveHome(), { log: output.log });
  return { identity: Identity.load(home), home };
}

/** What a verb wants of its peer. */
export interface PeerWanted {
  /** Whether it neither listens nor is found. */
  readonly clientOnly: boolean;
  /** Whether it is nobody that others know. @default {false} */
  readonly anonymous?: boolean;
  /** Whether it serves HTTP. @default {false} */
  readonly web?: boolean;
  /** Whether `--peer` is for whoever is there. @default {false} */
  readonly seeds?: boolean;
  /** How it takes part in the DHT. */
  readonly dht?: DhtOptions;
}

/** A peer that a verb uses; disposing closes what was opened for it. */
export interface UsedPeer extends AsyncDisposable {
  /** The peer. */
  readonly peer: Peer;
}

/** The running peer for a verb that runs in it, which stays open, and for others one of their own. */
export async function usePeer(invocation: Invocation, wanted: PeerWanted): Promise<UsedPeer> {
  const { host } = invocation;
  const peer = host?.peer ?? await openPeer(invocation, wanted);
  return {
    peer,
    async [Symbol.asyncDispose]() {
      if (host === undefined) await peer.close();
    },
  };
}

/** A peer as the options ask for it. */
export async function openPeer(invocation: Invocation, more: PeerWanted): Promise<Peer> {
  const { options, output } = invocation;
  const { identity, home } = more.anonymous
    ? { identity: Identity.generate(), home: undefined }
    : openIdentity(invocation);
  const { network, keyFile } = loadNetwork({
    name: options.text("network"),
    keyFile: options.text("key-file"),
  });
  const onlyInterfaces = options.list("interface");
  asUsage(() => interfaceFilter(onlyInterfaces));
  const peersFile = existing(options.text("peers-file"));
  const peer = await Peer.open({
    identity,
    ephemeral: home === undefined,
    network,
    ...(home === undefined ? {} : { home, limits: loadLimits(home) }),
    access: options.choice("access", ACCESS_LEVELS) ?? "public",
    tokens: more.anonymous ? [] : presentedTokens(options),
    clientOnly: more.clientOnly,
    dht: more.dht ?? {},
    name: parseName(options),
    hostname: options.text("host"),
    port: options.port("port"),
    udpPort: options.port("udp-port"),
    discoveryPort: discoveryPort(options),
    web: more.web ?? false,
    httpPort: options.port("http-port"),
    dialects: parseDialects(options, more.clientOnly ? FOREIGN_DIALECTS : DIALECTS),
    project: options.text("project"),
    onlyInterfaces,
    seeds: more.seeds ? addressesOf(options) : [],
    peersFile,
    dnsName: options.text("dns-name"),
    mdns: options.has("mdns"),
    log: output.log,
  });
  invocation.onOpened?.(peer);
  if (keyFile !== undefined) watchKeys(peer, network, keyFile, output);
  if (onlyInterfaces.length > 0) noteUnfit(onlyInterfaces, output);
  if (!more.clientOnly) noteUnreachable(output);
  return peer;
}

/** Says so where no interface is one of those that shall be used: a mistake, or one that comes up later. */
function noteUnfit(patterns: readonly string[], output: Output): void {
  const passes = interfaceFilter(patterns);
  const names = interfaceNames();
  if (names.length === 0 || names.some(passes)) return;
  const wanted = printable(patterns.join(","), 100);
  output.note(`No interface fits --interface ${wanted}: there are ${names.join(", ")}`);
}

/** The interfaces that there are, each once; none where they may not be listed, which whoever looks around says. */
function interfaceNames(): string[] {
  try {
    return [...new Set(localInterfaces().map(({ name }) => printable(name, 40)))];
  } catch (error) {
    if (error instanceof UnsupportedError) return [];
    throw error;
  }
}

/** Who waits for others should know that nobody can come. An interface that comes up later is used. */
function noteUnreachable(output: Output): void {
  if (localInterfaces().length > 0) return;
  output.note("No network interface is up: nobody can find this peer; kith doctor says more");
}

/** Takes new keys over while the peer runs. */
function watchKeys(peer: Peer, network: Network, keyFile: string, { log }: Output): void {
  const watching = watchNetworkFile(network, keyFile, { log });
  const { signal } = peer.endpoint;
  signal.addEventListener("abort", () => watching[Symbol.dispose](), { once: true });
}

/** The name to go by. @throws {UsageError} for one by which nobody could be looked for. */
function parseName(options: Options): string {
  const name = options.text("name") ?? "";
  if (!looksLikeId(name) && parseAddress(name) === undefined) return name;
  throw new UsageError(
    `Option --name must look neither like a peer id nor like HOST:PORT: it is ${
      printable(name, 60)
    }`,
  );
}

/** The dialects to serve, or to look for others by, as the options ask for them. @throws {UsageError} for others. */
function parseDialects(options: Options, all: readonly Dialect[]): readonly Dialect[] {
  const list = options.text("dialect");
  if (list === undefined) return [];
  const words = list.split(",");
  if (words.some((word) => !["all", "native", ...all].includes(word))) {
    throw new UsageError(
      `Option --dialect must be all or some of ${all.join(",")}: it is ${printable(list, 60)}`,
    );
  }
  return words.includes("all") ? all : all.filter((dialect) => words.includes(dialect));
}

/** How to wait for an answer, as the options ask for it. */
export function requestOptions(options: Options, signal: AbortSignal): RequestOptions {
  const timeoutMs = options.milliseconds("timeout");
  return { signal, ...(timeoutMs === undefined ? {} : { timeoutMs }) };
}

/** A file that has to be there when a program begins. @throws {NotFoundError} `no-path` when it is not. */
function existing(path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  try {
    if (Deno.statSync(path).isFile) return path;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  throw new NotFoundError("no-path", `Cannot read peers file: ${printable(path, 200)} is no file`);
}

/** The port of questions. @throws {UsageError} for 0, at which nobody could be asked. */
function discoveryPort(options: Options): number | undefined {
  const port = options.port("discovery-port");
  if (port !== 0) return port;
  throw new UsageError("Option --discovery-port must be 1..65535: it is 0");
}

/** The addresses of `--peer`. @throws {UsageError} when one is none. */
function addressesOf(options: Options): Address[] {
  return options.texts("peer").map((text) => {
    const address = parseAddress(text);
    if (address === undefined) throw new UsageError("Option --peer must be HOST:PORT");
    return address;
  });
}

/** How to look for a peer, as the options ask for it. @throws {UsageError} when an address is none. */
export function reachOptions(options: Options, signal: AbortSignal): ReachOptions {
  const timeoutMs = options.milliseconds("timeout");
  return { signal, peers: addressesOf(options), ...(timeoutMs === undefined ? {} : { timeoutMs }) };
}
