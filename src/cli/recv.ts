/**
 * `kith recv`
 *
 * @module
 */

import type { Offer, ReceiveEvent, Receiver } from "../transfer/receive.ts";
import type { Peer } from "../peer.ts";
import { PeerError } from "../errors.ts";
import { printable } from "../log.ts";
import { formatBytes, formatFiles, formatProgress, type Output } from "./output.ts";
import { openPeer } from "./open_peer.ts";
import type { Invocation } from "./verbs.ts";

/** Between two lines of progress on a terminal. */
const PROGRESS_EVERY_MS = 100;

/** Receives files into a folder until ^C, or with `--once` until one transfer has ended. */
export async function run(invocation: Invocation): Promise<void> {
  const { options, output, signal } = invocation;
  const dir = options.text("dir") ?? ".";
  const once = options.has("once");
  await using peer = await openPeer(invocation, { clientOnly: false });
  const receiver = peer.receive({ dir, accept: decider(invocation) });
  const stop = () => receiver.close();
  signal.addEventListener("abort", stop, { once: true });
  if (signal.aborted) stop();
  announce(peer, dir, output);
  const hideProgress = showProgress(receiver, output);
  let failure: unknown;
  try {
    for await (const event of receiver) {
      reportTransfer(event, output);
      if (!once || event.type === "received") continue;
      if (event.type === "failed") failure = event.error;
      break;
    }
  } finally {
    hideProgress();
    signal.removeEventListener("abort", stop);
  }
  await peer.close();
  const counters = peer.metrics.snapshot();
  const counted = Object.entries(counters).map(([name, value]) => `${name} ${value}`).join(", ");
  if (output.json) output.result({ event: "closed", counters }, "");
  else output.note(`closed (${counted || "nothing happened"})`);
  if (failure !== undefined) throw failure;
}

function announce(peer: Peer, dir: string, output: Output): void {
  const tcp = peer.address?.port;
  const udp = peer.udpAddress?.port;
  const { peerId, name } = peer;
  output.result(
    { event: "ready", peerId, name, tcp, udp },
    `${printable(name) || peerId} is ready for files into ${dir} (tcp ${tcp}, udp ${udp}), ^C ends`,
  );
}

/** Prints what happened to a transfer. */
export function reportTransfer(event: ReceiveEvent, output: Output): void {
  const from = printable(event.from.name || event.from.peerId, 64);
  if (event.type === "received") {
    const { path, bytes, sha256 } = event;
    const facts = { event: "received", path, bytes, sha256, from: event.from.peerId };
    output.result(facts, `${printable(path, 300)}  ${formatBytes(bytes)}  from ${from}`);
  } else if (event.type === "done") {
    const { files, bytes, seconds } = event;
    const rate = formatBytes(seconds > 0 ? bytes / seconds : 0);
    output.note(
      `received ${formatFiles(files)}, ${formatBytes(bytes)}, from ${from} (${rate}/s), verified`,
    );
  } else {
    const why = event.error instanceof Error ? event.error.message : String(event.error);
    const code = event.error instanceof PeerError ? event.error.code : "internal";
    const facts = { event: "failed", code, message: why, from: event.from.peerId };
    if (output.json) output.result(facts, "");
    output.note(`transfer from ${from} failed: ${printable(why, 300)}`);
  }
}

/** Who decides about an offer: `--yes`, a person at the terminal, or nobody, which is a refusal. */
export function decider(
  { options, output, signal }: Invocation,
): (offer: Offer) => boolean | Promise<boolean> {
  // One question at a time.
  let asked: Promise<boolean> = Promise.resolve(false);
  return ({ label, manifest }) => {
    const { files, totalBytes, entries } = manifest;
    const first = printable(entries[0]?.path ?? "nothing", 100);
    const more = entries.length > 1 ? ` and ${entries.length - 1} more` : "";
    const size = `${formatFiles(files)}, ${formatBytes(totalBytes)}`;
    const what = `${first}${more} (${size}) from ${label}`;
    if (options.has("yes")) return true;
    if (Deno.stdin.isTerminal()) {
      return asked = asked.then(() => ask(`Accept ${what}? [y/N]`, output, signal));
    }
    output.note(`refused ${what}: no terminal to ask at, and no --yes`);
    return false;
  };
}

/** Asks at the terminal, while everything else goes on; an interrupt is a no. */
async function ask(question: string, output: Output, signal: AbortSignal): Promise<boolean> {
  output.note(question);
  const line = new Uint8Array(256);
  const interrupted = Promise.withResolvers<null>();
  const onAbort = () => interrupted.resolve(null);
  signal.addEventListener("abort", onAbort, { once: true });
  const count = await Promise.race([Deno.stdin.read(line), interrupted.promise]);
  signal.removeEventListener("abort", onAbort);
  return /^y(es)?\s*$/i.test(new TextDecoder().decode(line.subarray(0, count ?? 0)));
}

function showProgress(receiver: Receiver, output: Output): () => void {
  if (!output.interactive) return () => {};
  const startedMs = new Map<string, number>();
  const timer = setInterval(() => {
    for (const { from, bytes, totalBytes } of receiver.progress) {
      const since = startedMs.get(from.peerId) ?? performance.now();
      startedMs.set(from.peerId, since);
      output.progress(formatProgress(bytes, totalBytes, (performance.now() - since) / 1000));
    }
  }, PROGRESS_EVERY_MS);
  return () => clearInterval(timer);
}
