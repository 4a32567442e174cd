/**
 * `kith up`
 *
 * @module
 */

import type { PeerEvent, PeerTable } from "../endpoint/peer_table.ts";
import { PeerError } from "../errors.ts";
import { describeEvent } from "../membership/description.ts";
import type { MemberChange, MemberEvent } from "../membership/member.ts";
import { printable } from "../log.ts";
import type { Peer } from "../peer.ts";
import type { MeshEvent } from "../rpc/mesh.ts";
import { countCalls, logCalls } from "../rpc/middleware.ts";
import type { Session } from "../session/session.ts";
import type { Sessions } from "../session/sessions.ts";
import { encodeJson } from "../wire/json.ts";
import { toNotation } from "./notation.ts";
import { openPeer } from "./open_peer.ts";
import { asUsage, type Options, UsageError } from "./options.ts";
import type { Output } from "./output.ts";
import { Home, resolveHome } from "../state/home.ts";
import { decider, reportTransfer } from "./recv.ts";
import type { Invocation } from "./verbs.ts";

/** Clients at the same time unless told otherwise: a peer for a household or a team, not for ten as a server's default. */
const MAX_CLIENTS = 256;

/** Time for what is at work when ^C is pressed. */
const DRAIN_MS = 3_000;

/** Longest message that people are shown, in UTF-16 units. */
const MAX_SHOWN_CHARS = 2_000;

/** Runs a peer until ^C: it is found, answers calls, takes messages and, with `--dir`, files. */
export async function run(invocation: Invocation): Promise<void> {
  const { options, output, signal } = invocation;
  const tags = parseTags(options);
  using _alone = holdHome(invocation);
  await using peer = await openPeer(invocation, { clientOnly: false, web: true, seeds: true });
  const projectId = options.text("project");
  const project = projectId === undefined ? {} : { projectId };
  const mesh = projectId === undefined ? undefined : peer.mesh(project);
  peer.serve({ maxClients: options.integer("max-clients") ?? MAX_CLIENTS, ...project });
  peer.endpoint.use(logCalls(output.log));
  peer.endpoint.use(countCalls(peer.metrics));
  const sessions = peer.sessions({ accept: ({ dataType }) => dataType === "json" || "json only" });
  const dir = options.text("dir");
  const receiver = dir === undefined
    ? undefined
    : peer.receive({ dir, accept: decider(invocation) });
  const membership = asUsage(() => peer.join({ tags }));
  announce(peer, output);
  const work = Promise.all([
    each(membership.watch({ signal }), (event) => showMember(event, output)),
    each(withoutChecks(peer.endpoint.peers, signal), (event) => showPeer(event, output)),
    showSessions(sessions, output),
    ...(receiver === undefined ? [] : [each(receiver, (event) => reportTransfer(event, output))]),
    ...(mesh === undefined ? [] : [each(mesh, (event) => showMesh(event, output))]),
  ]);
  // Before that it ends only when it fails, as when nobody reads what is printed any more.
  await Promise.race([interrupted(signal), work]);
  // In order, as long as there are links to say so on.
  receiver?.close();
  await sessions.close();
  await peer.endpoint.drain(DRAIN_MS);
  await peer.close();
  await work;
  const counters = peer.metrics.snapshot();
  const counted = Object.entries(counters).map(([name, value]) => `${name} ${value}`).join(", ");
  if (output.json) output.result({ event: "closed", counters }, "");
  else output.note(`closed (${counted || "nothing happened"})`);
}

async function each<T>(events: AsyncIterable<T>, show: (event: T) => void): Promise<void> {
  for await (const event of events) show(event);
}

function interrupted(signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  signal.addEventListener("abort", () => resolve(), { once: true });
  if (signal.aborted) resolve();
  return promise;
}

function announce(peer: Peer, output: Output): void {
  const { peerId, name } = peer;
  const tcp = peer.address?.port;
  const udp = peer.udpAddress?.port;
  const http = peer.httpAddress?.port;
  output.result(
    { event: "ready", peerId, name, tcp, udp, http },
    `${printable(name) || peerId} is up (tcp ${tcp}, udp ${udp}, http ${http}), ^C ends`,
  );
}

/** A peer for people: its name is what it likes, so the beginning of its id, which is proven, stands beside it. */
function whoOf({ name, peerId }: { name: string; peerId?: string | undefined }): string {
  if (peerId === undefined) return printable(name || "somebody", 64);
  return name === "" ? peerId : `${printable(name, 64)} (${peerId.slice(0, 8)})`;
}

/** Connections that come and go, but for those in which members compare what they know. */
async function* withoutChecks(peers: PeerTable, signal: AbortSignal): AsyncGenerator<PeerEvent> {
  const unseen = new Set<string>();
  for await (const event of peers.watch({ signal })) {
    const { peerId } = event.peer;
    if (event.type === "added" && peers.statusOf(peerId)?.state === "alive") unseen.add(peerId);
    else if (event.type !== "removed" || !unseen.delete(peerId)) yield event;
  }
}

function showPeer({ type, peer, why }: PeerEvent, output: Output): void {
  const { peerId, name } = peer;
  const reason = why === undefined ? {} : { why };
  const said =
    { added: "connected", removed: "disconnected", "slow-consumer": "does not read" }[type];
  const text = `${whoOf(peer)} ${said}${why ? `: ${printable(why, 200)}` : ""}`;
  output.result({ event: type, peerId, name, ...reason }, text);
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

/** Says so when another `kith up` runs with the same home, and so as the same peer. */
function holdHome({ options, output }: Invocation): Disposable {
  if (options.has("ephemeral")) return { [Symbol.dispose]: () => {} };
  const home = Home.open(options.text("home") ?? resolveHome(), { log: output.log });
  // The system frees the lock of a process that ends, however that happens.
  const file = Deno.openSync(home.path("up.lock"), { create: true, write: true, mode: 0o600 });
  if (!file.tryLockSync(true)) {
    output.note(
      "Another kith up runs with this home, as the same peer: each will be taken for the other. " +
        "With --home DIR or --ephemeral this one is another peer",
    );
  }
  return file;
}

/** The tags that the options ask for. @throws {UsageError} for what is none. */
function parseTags(options: Options): Record<string, string> {
  const tags = options.texts("tag").map((text) => /^([^=]+)=(.*)$/s.exec(text)?.slice(1) ?? [text]);
  const bad = tags.find((tag) => tag.length !== 2);
  if (bad !== undefined) throw new UsageError("Option --tag must be NAME=VALUE");
  return Object.fromEntries(tags);
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

/** Shows what comes in sessions, side by side. */
async function showSessions(sessions: Sessions, output: Output): Promise<void> {
  const { promise: failure, reject } = Promise.withResolvers<never>();
  const all = each(sessions, (session) => void showMessages(session, output).catch(reject));
  await Promise.race([all, failure]);
}

async function showMessages(session: Session, output: Output): Promise<void> {
  const { dialect, from: { name, peerId } } = session;
  const who = whoOf({ name, peerId });
  const facts = { event: "message", from: peerId ?? name, dialect };
  try {
    for await (const data of session) showData(facts, who, data, output);
  } catch (error) {
    if (!(error instanceof PeerError)) throw error;
    output.note(`${who}: ${printable(error.message)}`);
  }
}

/** Prints data of any type that somebody sent. What is nested too deeply for JSON is theirs to answer for: it is noted. */
function showData(
  facts: Record<string, unknown>,
  who: string,
  data: unknown,
  output: Output,
): void {
  const shown = toNotation(data);
  try {
    const text = typeof shown === "string" ? shown : encodeJson(shown);
    output.result({ ...facts, data: shown }, `${who}: ${printable(text, MAX_SHOWN_CHARS)}`);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    output.note(`${who}: ${error.message}`);
  }
}
