/**
 * `kith sync`
 *
 * @module
 */

import { sleep, systemClock } from "../clock.ts";
import { localInterfaces } from "../discovery/interfaces.ts";
import { isLoopback } from "../endpoint/limits.ts";
import { DEFAULT_HTTP_PORT } from "../endpoint/web.ts";
import {
  ClosedError,
  InvalidPacketError,
  NotFoundError,
  type PeerError,
  TimeoutError,
  TransportError,
} from "../errors.ts";
import { printable } from "../log.ts";
import { Metrics } from "../metrics.ts";
import { Peer } from "../peer.ts";
import { openIndex } from "../peer_sync.ts";
import { readSecretFile } from "../secure/secret_file.ts";
import { FolderSync, type JoinedHub, type JoinHubOptions } from "../sync/folder_sync.ts";
import { SyncSource } from "../status/sync_source.ts";
import { SYNC_PATH } from "../sync/hub_options.ts";
import type { TlsIdentity } from "../transport/http.ts";
import { formatAddress, isWildcard, parseAddress } from "../transport/transport.ts";
import { presentedTokens } from "./credentials.ts";
import { openIdentity } from "./open_peer.ts";
import { type Options, UsageError } from "./options.ts";
import type { Output } from "./output.ts";
import { interrupted } from "./running.ts";
import { parseStatus, type StatusAudience, statusUrl } from "./status_audience.ts";
import { SyncReport } from "./sync_report.ts";
import type { Invocation } from "./verbs.ts";

/** Time between two attempts to join a hub that is not there yet. */
const RETRY_MS = 2_000;

/** Keeps a folder alike with others. @returns the exit status: 1 when with `--once` not everything could be done. */
export async function run(invocation: Invocation): Promise<number | void> {
  const { options } = invocation;
  const [way, dir, url, ...more] = options.args;
  if (way !== "serve" && way !== "join") throw new UsageError("Say serve DIR, or join DIR URL");
  if (dir === undefined) throw new UsageError("A DIR is missing: the folder to keep alike");
  const rest = way === "serve" ? url : more[0];
  if (rest !== undefined) throw new UsageError(`What is ${printable(rest, 60)} for?`);
  refuseStrays(options, way);
  if (way === "serve") return await serve(invocation, dir);
  if (url === undefined) throw new UsageError("A URL is missing: that of the hub to join");
  return await join(invocation, dir, url);
}

/** Options that say something about the other way only. */
const STRAYS = {
  serve: ["dry-run", "room"],
  join: ["join", "access", "host", "http-port", "tls-cert", "tls-key", "status"],
} as const;

function refuseStrays(options: Options, way: "serve" | "join"): void {
  const isGiven = (name: string) =>
    options.has(name) || options.text(name) !== undefined || options.texts(name).length > 0;
  const stray = STRAYS[way].find(isGiven);
  if (stray !== undefined) throw new UsageError(`Option --${stray} is not for sync ${way}`);
}

/** What the first line says. */
interface ReadyFacts {
  readonly role: "serve" | "join";
  readonly folder: string;
  readonly room: string;
  readonly urls: readonly string[];
  readonly http?: number | undefined;
  readonly joined?: readonly string[];
  readonly status?: string;
  readonly scope?: string;
  readonly clientId?: string;
}

/** Serves a folder, and joins others' with it. */
async function serve(invocation: Invocation, dir: string): Promise<void> {
  const { options, output, signal } = invocation;
  const keysForAll = options.choice("access", ["local", "invited"]) === "invited";
  const urls = options.texts("join").map(hubUrl);
  const joining = joinOptions(invocation);
  const tls = tlsOf(options);
  const { identity, home } = openIdentity(invocation);
  await using peer = await Peer.open({
    identity,
    ...(home === undefined ? {} : { home }),
    name: options.text("name") ?? "",
    clientOnly: true,
    web: true,
    hostname: options.text("host"),
    httpPort: options.port("http-port"),
    tls,
    log: output.log,
  });
  existing(dir, "folder", Deno.statSync);
  await using sync = await peer.folder(dir, { readOnly: options.has("read-only") });
  sync.serve({ keysForAll });
  const audience = parseStatus(options);
  const status = statusUrl(peer, audience, tls !== undefined);
  announce({
    ...{ role: "serve", folder: sync.folder.dir, room: sync.label },
    ...status === undefined ? {} : { status },
    urls: urlsOf(peer, tls !== undefined),
    http: peer.httpAddress?.port,
    joined: urls,
  }, output);
  const report = new SyncReport(sync, output, { endsWithClient: options.has("once") });
  if (audience !== "off") showStatus(peer, sync, audience);
  const hubs: JoinedHub[] = [];
  const joined = urls.map(async (url) => {
    const hub = await joinOnceThere(sync, url, joining, invocation);
    hubs.push(hub);
    await failureOf(hub);
  });
  await Promise.race([interrupted(signal), report.ended, ...joined]);
  await sync.close();
  await report.finish(hubs);
}

/** Joins a hub that may not be up yet, as where two join each other. @throws when it refuses. */
async function joinOnceThere(
  sync: FolderSync,
  url: string,
  joining: JoinHubOptions,
  { output, signal }: Invocation,
): Promise<JoinedHub> {
  for (let attempt = 1;; attempt++) {
    try {
      return await sync.join(url, joining);
    } catch (error) {
      const isAway = error instanceof TransportError || error instanceof TimeoutError;
      if (!isAway) throw error;
      const { message } = error instanceof TransportError ? noHub(url, error) : error;
      if (attempt === 1) output.note(`${printable(message, 300)}; it is tried again`);
      await sleep(systemClock, RETRY_MS, { signal });
    }
  }
}

/** Keeps a folder alike with one that is served elsewhere. */
async function join(invocation: Invocation, dir: string, url: string): Promise<number> {
  const { options, output, signal } = invocation;
  const target = hubUrl(url);
  const dryRun = options.has("dry-run");
  const once = options.has("once") || dryRun;
  const joining = { ...joinOptions(invocation), room: options.text("room"), dryRun };
  if (dryRun) existing(dir, "folder", Deno.statSync);
  const { home } = openIdentity(invocation);
  const surroundings = { clock: systemClock, log: output.log, metrics: new Metrics() };
  const parts = {
    ...{ web: undefined, access: { granted: () => false }, ...surroundings },
    name: options.text("name") ?? "",
    index: openIndex(dir, home, dryRun),
    homeDir: home?.dir,
  };
  const how = { readOnly: options.has("read-only"), dryRun, watch: !once };
  await using sync = await FolderSync.open(dir, parts, how);
  const hub = await sync.join(target, joining).catch((error) => {
    throw error instanceof TransportError ? noHub(target, error) : error;
  });
  const { room, scope, clientId } = hub;
  const facts = { folder: sync.folder.dir, room, urls: [target], scope, clientId };
  announce({ role: "join", ...facts }, output, once);
  const report = new SyncReport(sync, output, { dryRun });
  const isDone = once
    ? await Promise.race([dryRun ? planOf(hub) : hub.sync(), interrupted(signal)])
    : await Promise.race([interrupted(signal), failureOf(hub)]);
  await sync.close();
  await report.finish([hub]);
  return isDone === false ? 1 : 0;
}

/** The error for a hub with which no connection can be made, in words; others say themselves what was wrong. */
function noHub(url: string, error: TransportError): PeerError {
  const isUnknown = /dns error/i.test(error.message);
  const isOther = /status code: 404/.test(error.message);
  if (!isUnknown && !isOther && !/tcp connect error/.test(error.message)) return error;
  const nothing = isOther ? ": whoever is there serves nothing at that path" : "";
  const why = isUnknown ? ": its name is not known" : nothing;
  return new NotFoundError("no-peer", `Cannot reach a hub at ${printable(url, 300)}${why}`, {
    cause: error,
    details: { tried: [url] },
  });
}

/** Shows the folder on the status page. */
function showStatus(peer: Peer, sync: FolderSync, audience: StatusAudience): void {
  const source = new SyncSource({ clock: systemClock });
  source.follow(sync);
  peer.statusPage({ allowRemote: audience === "all", sources: [source] });
}

async function planOf(hub: JoinedHub): Promise<true> {
  await hub.plan();
  return true;
}

/** Rejects, once a hub is lost for good, with why. */
async function failureOf(hub: JoinedHub): Promise<never> {
  const why = await hub.closed;
  throw why ?? new ClosedError("The hub has ended the session");
}

function joinOptions({ options, signal }: Invocation): JoinHubOptions {
  const [apiKey] = presentedTokens(options);
  const ca = options.text("ca");
  return { apiKey, signal, ...(ca === undefined ? {} : { caCerts: [readText(ca, "CA file")] }) };
}

/** Where the hub is: a URL, or an address at which the default path is meant. @throws {UsageError} */
function hubUrl(text: string): string {
  if (/^wss?:\/\//.test(text)) {
    const url = URL.parse(text);
    if (url !== null) return text;
  }
  const address = parseAddress(text) ?? parseAddress(`${text}:${DEFAULT_HTTP_PORT}`);
  if (address !== undefined && !text.includes("/")) {
    return `ws://${formatAddress(address)}${SYNC_PATH}`;
  }
  throw new UsageError(
    `A URL must be such as ws://192.168.1.20:3488/sync, or HOST:PORT: it is ${printable(text, 80)}`,
  );
}

/** Where clients find the hub: on this machine, then from elsewhere. */
function urlsOf({ httpAddress }: Peer, isSecure: boolean): string[] {
  const { hostname, port } = httpAddress ?? { hostname: "127.0.0.1", port: DEFAULT_HTTP_PORT };
  const hosts = isWildcard(hostname) ? ["127.0.0.1", ...addressesElsewhere()] : [hostname];
  const scheme = isSecure ? "wss" : "ws";
  return hosts.map((host) => `${scheme}://${formatAddress({ hostname: host, port })}${SYNC_PATH}`);
}

/** Those of link-local networks are of no use without naming an interface. */
function addressesElsewhere(): string[] {
  return localInterfaces()
    .map(({ address }) => address)
    .filter((address) => !isLoopback(address) && !/^fe[89ab]/i.test(address));
}

function announce(facts: ReadyFacts, output: Output, isBrief = false): void {
  const end = isBrief ? "" : ", ^C ends";
  const { folder, room, urls: [url = "", ...elsewhere] } = facts;
  const where = facts.role === "serve" ? `is served at ${url}` : `is joined with ${url}`;
  const seen = facts.status === undefined ? "" : `, status at ${facts.status}`;
  const also = elsewhere.length === 0 ? "" : ` (from elsewhere ${elsewhere.join(" ")} )`;
  const text = `${printable(folder, 300)} ${where}${also} as "${printable(room)}"${seen}${end}`;
  output.result({ event: "ready", ...facts }, text);
}

/** Certificate and key of the hub. @throws {UsageError} when one of them is missing. */
function tlsOf(options: Options): TlsIdentity | undefined {
  const cert = options.text("tls-cert");
  const key = options.text("tls-key");
  if (cert === undefined && key === undefined) return undefined;
  if (cert === undefined || key === undefined) {
    throw new UsageError("Options --tls-cert and --tls-key go together");
  }
  return { cert: readText(cert, "certificate"), key: readSecretFile(key, "TLS key file") };
}

/** The text of a PEM file. @throws {NotFoundError} `no-path`. @throws {InvalidPacketError} when it is none. */
function readText(path: string, what: string): string {
  const text = existing(path, what, (path) => Deno.readTextFileSync(path));
  if (text.includes("-----BEGIN CERTIFICATE-----")) return text;
  throw new InvalidPacketError(
    "bad-message",
    `Cannot use ${what} ${printable(path, 300)}: it holds no certificate in PEM`,
  );
}

/** Looks at what has to be there. @throws {NotFoundError} `no-path` when it is not. */
function existing<T>(path: string, what: string, look: (path: string) => T): T {
  try {
    return look(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new NotFoundError("no-path", `There is no ${what} "${printable(path, 300)}"`);
  }
}
