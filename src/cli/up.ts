/**
 * `kith up`
 *
 * @module
 */

import type { PeerEvent } from "../endpoint/peer_table.ts";
import { NotFoundError, PeerError } from "../errors.ts";
import { describeEvent } from "../membership/description.ts";
import type { PeerConnectRumor } from "../gossip/dialects/peerconnect_gossip.ts";
import type { GossipMessage } from "../gossip/gossip_options.ts";
import type { HeardRumor } from "../gossip/rumor_mill_options.ts";
import type { MemberChange, MemberEvent } from "../membership/member.ts";
import { printable } from "../log.ts";
import { type Page, PAGE_PATH } from "../page/page.ts";
import type { Peer } from "../peer.ts";
import type { MeshEvent } from "../rpc/mesh.ts";
import { countCalls, logCalls } from "../rpc/middleware.ts";
import type { RefusedName } from "../secure/trust.ts";
import type { Session } from "../session/session.ts";
import type { Sessions } from "../session/sessions.ts";
import type { Offer } from "../transfer/offer.ts";
import type { ReceiveEvent } from "../transfer/receive.ts";
import { exportCounters } from "../telemetry.ts";
import { formatAddress } from "../transport/transport.ts";
import { Commands } from "./control/commands.ts";
import { parsePart, takePart } from "./dht_up.ts";
import { openPeer } from "./open_peer.ts";
import { asUsage, type Options, UsageError } from "./options.ts";
import type { Output } from "./output.ts";
import { showPeerConnectTexts } from "./peerconnect.ts";
import { decider, reportTransfer } from "./recv.ts";
import { announceClosed, holdHome, interrupted, showData } from "./running.ts";
import { parseStatus, type StatusAudience, statusUrl, webAddress } from "./status_audience.ts";
import { type Invocation, VERBS } from "./verbs.ts";
import { visits } from "./visits.ts";

/** Clients at the same time unless told otherwise: a peer for a household or a team, not for ten as a server's default. */
const MAX_CLIENTS = 256;

/** Time for what is at work when ^C is pressed. */
const DRAIN_MS = 3_000;

/** Runs a peer until ^C: it is found, answers calls, takes messages and, with `--dir`, files. */
export async function run(invocation: Invocation): Promise<void> {
  const { options, output, signal } = invocation;
  const tags = parseTags(options);
  const shareFrom = parseShared(options);
  const part = parsePart(options);
  const shownTo = parseStatus(options);
  const dht = part.mode === undefined ? {} : { mode: part.mode };
  const startedMs = Date.now();
  using held = holdHome(invocation);
  await using peer = await openPeer(invocation, {
    ...{ clientOnly: false, web: true, seeds: true, dht },
  });
  const projectId = options.text("project");
  const project = projectId === undefined ? {} : { projectId };
  const mesh = projectId === undefined ? undefined : peer.mesh(project);
  peer.serve({ maxClients: options.integer("max-clients") ?? MAX_CLIENTS, ...project });
  peer.endpoint.use(logCalls(output.log));
  peer.endpoint.use(countCalls(peer.metrics));
  using _exporting = exportCounters(peer.metrics, { peer: peer.peerId });
  const sessions = peer.sessions({ accept: ({ dataType }) => dataType === "json" || "json only" });
  const page = options.has("page") ? peer.page(shareFrom) : undefined;
  if (shownTo !== "off") peer.statusPage({ allowRemote: shownTo === "all" });
  const dir = options.text("dir");
  const accept = page === undefined || options.has("yes")
    ? decider(invocation)
    : (offer: Offer) => page.decide(offer);
  const receiver = dir === undefined ? undefined : peer.receive({
    ...{ dir, accept, update: options.has("update") },
    maxBytesPerSecond: options.bytes("limit"),
  });
  const membership = asUsage(() => peer.join({ tags }));
  const names = [...new Set(options.texts("topic"))];
  const topics = asUsage(() => names.map((name) => peer.gossip.subscribe(name, { signal })));
  const rumors = watchRumors(peer, signal);
  await using commands = new Commands({ peer, verbs: VERBS, options, startedMs }, held, output);
  await commands.take();
  announce(peer, page, shownTo, output);
  const work = Promise.all([
    each(membership.watch({ signal }), (event) => showMember(event, output)),
    each(visits(peer.endpoint, signal), (event) => showPeer(event, output)),
    each(peer.trust.refusedNames({ signal }), (refused) => noteRefused(refused, output)),
    showSessions(sessions, page, output),
    ...(receiver === undefined
      ? []
      : [each(receiver, (event) => showTransfer(event, page, output))]),
    ...rumors.map((heard) => each(heard, (rumor) => showRumor(rumor, output))),
    ...topics.map((topic) => each(topic, (message) => showTopic(message, output))),
    takePart(peer, part, invocation),
    ...(peer.peerconnect.isOn
      ? [showPeerConnectTexts(peer.peerconnect.texts({ signal }), output)]
      : []),
    ...(mesh === undefined ? [] : [each(mesh, (event) => showMesh(event, output))]),
  ]);
  // Before that it ends only when it fails, as when nobody reads what is printed any more.
  await Promise.race([interrupted(signal), work]);
  // In order, as long as there are links to say so on.
  await commands[Symbol.asyncDispose]();
  receiver?.close();
  await sessions.close();
  await page?.close();
  await peer.gossip.close();
  await peer.endpoint.drain(DRAIN_MS);
  await peer.close();
  await work;
  announceClosed(peer, output);
}

async function each<T>(events: AsyncIterable<T>, show: (event: T) => void): Promise<void> {
  for await (const event of events) show(event);
}

function announce(
  peer: Peer,
  page: Page | undefined,
  shownTo: StatusAudience,
  output: Output,
): void {
  const { peerId, name } = peer;
  const tcp = peer.address?.port;
  const udp = peer.udpAddress?.port;
  const http = peer.httpAddress?.port;
  const served = page === undefined ? {} : { page: pageUrl(peer) };
  const shown = page === undefined ? "" : `, page at ${pageUrl(peer)}`;
  const url = statusUrl(peer, shownTo);
  const status = url === undefined ? {} : { status: url };
  const seen = url === undefined ? "" : `, status at ${url}`;
  output.result(
    { event: "ready", peerId, name, tcp, udp, http, ...served, ...status },
    `${
      printable(name) || peerId
    } is up (tcp ${tcp}, udp ${udp}, http ${http}${shown}${seen}), ^C ends`,
  );
}

/** Where a page on this machine connects to. */
function pageUrl(peer: Peer): string {
  return `ws://${formatAddress(webAddress(peer))}${PAGE_PATH}`;
}

/** A peer for people: its name is what it likes, so the beginning of its id, which is proven, stands beside it. */
function whoOf({ name, peerId }: { name: string; peerId?: string | undefined }): string {
  if (peerId === undefined) return printable(name || "somebody", 64);
  return name === "" ? peerId : `${printable(name, 64)} (${peerId.slice(0, 8)})`;
}

function showPeer({ type, peer, why }: PeerEvent, output: Output): void {
  const { peerId, name } = peer;
  const reason = why === undefined ? {} : { why };
  const said =
    { added: "connected", removed: "disconnected", "slow-consumer": "does not read" }[type];
  const text = `${whoOf(peer)} ${said}${why ? `: ${printable(why, 200)}` : ""}`;
  output.result({ event: type, peerId, name, ...reason }, text);
}

/** Says who was not let in, for a person to judge: it may be the same program, started anew. */
function noteRefused({ name, why }: RefusedName, output: Output): void {
  output.note(`refused ${printable(name, 64)}: ${why}`);
}

/** What happened to a member of the group, or to what is seen of it. */
function showMember(event: MemberEvent, output: Output): void {
  const facts = describeEvent(event);
  const text = "member" in event
    ? `${whoOf(event.member)} ${MEMBER_TEXTS[event.type]}: ${printable(event.member.why, 200)}`
    : event.why;
  output.result({ ...facts, event: `member-${event.type}` }, text);
}

/** What is said of a member. */
const MEMBER_TEXTS: Readonly<Record<MemberChange, string>> = {
  joined: "is in the group",
  suspect: "may be gone",
  alive: "is there after all",
  dead: "is dead",
  left: "has left the group",
  updated: "says something new of itself",
};

/** The tags that the options ask for. @throws {UsageError} for what is none. */
function parseTags(options: Options): Record<string, string> {
  const tags = options.texts("tag").map((text) => /^([^=]+)=(.*)$/s.exec(text)?.slice(1) ?? [text]);
  const bad = tags.find((tag) => tag.length !== 2);
  if (bad !== undefined) throw new UsageError("Option --tag must be NAME=VALUE");
  return Object.fromEntries(tags);
}

/** What pages may have sent. @throws {UsageError} where there are to be none. */
function parseShared(options: Options): { shareFrom?: string } {
  const shareFrom = options.text("share-from");
  if (shareFrom === undefined) return {};
  if (options.has("page")) return { shareFrom: existing(shareFrom) };
  throw new UsageError("Option --share-from is for --page");
}

/** A folder that is there. @throws {NotFoundError} `no-path` when it is not. */
function existing(folder: string): string {
  try {
    if (Deno.statSync(folder).isDirectory) return folder;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  throw new NotFoundError(
    "no-path",
    `There is no folder "${printable(folder, 200)}" to share from`,
  );
}

function showMesh(event: MeshEvent, output: Output): void {
  const { peerId, name } = event.peer;
  const who = whoOf(event.peer);
  if (event.type === "message") {
    showData({ event: "mesh-message", from: peerId }, `${who} to all`, event.data, output);
  } else {
    output.result({ event: `mesh-${event.type}`, peerId, name }, `${who} ${event.type} the mesh`);
  }
}

/** What was published in a topic. */
function showTopic(message: GossipMessage, output: Output): void {
  const { data, ...facts } = message;
  const who = `${message.from.slice(0, 8)} in ${printable(message.topic, 64)}`;
  showData({ event: "topic-message", ...facts }, who, data, output);
}

/** The rumors of every kind that the peer hears, from now on. */
function watchRumors(
  peer: Peer,
  signal: AbortSignal,
): AsyncIterable<HeardRumor | PeerConnectRumor>[] {
  const native = peer.rumors().watch({ signal });
  const isPeerConnect = peer.foreign.some(({ dialect }) => dialect === "peerconnect");
  return isPeerConnect ? [native, peer.rumors("peerconnect").watch({ signal })] : [native];
}

/** What somebody tells everybody: who wrote it is proven natively, and in a dialect not even said. */
function showRumor(rumor: HeardRumor | PeerConnectRumor, output: Output): void {
  const [dialect, from] = "author" in rumor
    ? ["native", rumor.author]
    : ["peerconnect", formatAddress(rumor.from)];
  const who = dialect === "native" ? from.slice(0, 8) : from;
  showData({ event: "rumor", dialect, from }, `${who} tells`, rumor.message, output);
}

function showTransfer(event: ReceiveEvent, page: Page | undefined, output: Output): void {
  page?.showTransfer(event);
  reportTransfer(event, output);
}

/** Shows what comes in sessions, side by side. */
async function showSessions(
  sessions: Sessions,
  page: Page | undefined,
  output: Output,
): Promise<void> {
  const { promise: failure, reject } = Promise.withResolvers<never>();
  const all = each(sessions, (session) => void showMessages(session, page, output).catch(reject));
  await Promise.race([all, failure]);
}

async function showMessages(
  session: Session,
  page: Page | undefined,
  output: Output,
): Promise<void> {
  const { dialect, from: { name, peerId } } = session;
  const who = whoOf({ name, peerId }) + (peerId === undefined ? " (unproven)" : "");
  const facts = { event: "message", from: peerId ?? name, dialect };
  try {
    for await (const data of session) {
      showData(facts, who, data, output);
      if (typeof data === "string") page?.showText(session.from, data);
    }
  } catch (error) {
    if (!(error instanceof PeerError)) throw error;
    output.note(`${who}: ${printable(error.message)}`);
  }
}
