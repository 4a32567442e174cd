/**
 * `kith recv`
 *
 * @module
 */

import { type Manifest, manifestOf } from "../transfer/manifest.ts";
import type { Decision, Offer } from "../transfer/offer.ts";
import { isUnproven } from "../transfer/dialects/peerconnect_driver_store.ts";
import type { ReceiveEvent, Receiver } from "../transfer/receive.ts";
import type { Peer, ReceiveFilesOptions } from "../peer.ts";
import type { PeerInfo } from "../endpoint/handshake.ts";
import { PeerError } from "../errors.ts";
import { printable } from "../log.ts";
import { formatBytes, formatFiles, formatProgress, type Output } from "./output.ts";
import { openPeer } from "./open_peer.ts";
import { UsageError } from "./options.ts";
import { type Pausable, toggleOnSignal } from "./pause_signal.ts";
import { announceClosed, holdHome } from "./running.ts";
import type { Invocation } from "./verbs.ts";

/** Between two lines of progress on a terminal. */
const PROGRESS_EVERY_MS = 100;

/** Receives files into a folder until ^C, or with `--once` until one transfer has ended. */
export async function run(invocation: Invocation): Promise<void> {
  const { options, output, signal } = invocation;
  const toStdout = options.has("stdout");
  const once = options.has("once") || toStdout;
  const receiving = receiverOptions(invocation);
  using _held = holdHome(invocation);
  await using peer = await openPeer(invocation, { clientOnly: false });
  const receiver = peer.receive(receiving);
  const stop = () => {
    if (!toStdout) noteKept(receiver, output);
    receiver.close();
  };
  signal.addEventListener("abort", stop, { once: true });
  if (signal.aborted) stop();
  announce(peer, receiving.dir, output, toStdout);
  const hideProgress = showProgress(receiver, output);
  using _signal = toggleOnSignal(everyTransfer(receiver), invocation);
  let failure: unknown;
  try {
    for await (const event of receiver) {
      if (toStdout) reportToPeople(event, output);
      else reportTransfer(event, output);
      if (!once || event.type === "received" || event.type === "refused") continue;
      if (event.type === "failed") failure = event.error;
      break;
    }
  } finally {
    hideProgress();
    signal.removeEventListener("abort", stop);
  }
  await peer.close();
  announceClosed(peer, output);
  if (failure !== undefined) throw failure;
}

/** How to receive, as the options say. @throws {UsageError} for what does not go together. */
export function receiverOptions(invocation: Invocation): ReceiveFilesOptions {
  const { options, output } = invocation;
  const toStdout = options.has("stdout");
  if (toStdout && output.json) throw new UsageError("Option --stdout leaves no room for --json");
  if (toStdout && options.text("dir") !== undefined) {
    throw new UsageError("Option --stdout leaves nothing for --dir");
  }
  const maxTotalBytes = options.bytes("max-bytes");
  return {
    dir: options.text("dir") ?? ".",
    accept: decider(invocation),
    update: options.has("update"),
    maxBytesPerSecond: options.bytes("limit"),
    ...(maxTotalBytes === undefined ? {} : { maxTotalBytes }),
    ...(toStdout ? { writer: { write: (data) => Deno.stdout.write(data) } } : {}),
  };
}

function announce(peer: Peer, dir: string, output: Output, toStdout: boolean): void {
  const tcp = peer.address?.port;
  const udp = peer.udpAddress?.port;
  const { peerId, name } = peer;
  const where = toStdout ? "for one file" : `for files into ${dir}`;
  const text = `${printable(name) || peerId} is ready ${where} (tcp ${tcp}, udp ${udp}), ^C ends`;
  if (toStdout) output.note(text);
  else output.result({ event: "ready", peerId, name, tcp, udp }, text);
}

/** All that is under way, as one. */
function everyTransfer(receiver: Receiver): Pausable {
  return {
    get paused() {
      return receiver.progress.some(({ paused }) => paused);
    },
    pause: () => receiver.progress.forEach((transfer) => transfer.pause()),
    resume: () => receiver.progress.forEach((transfer) => transfer.resume()),
  };
}

/** Says what is kept of what is under way. */
function noteKept({ progress }: Receiver, output: Output): void {
  for (const { from, bytes, totalBytes } of progress) {
    const who = senderOf(from);
    const kept = `${formatBytes(bytes)} of ${formatBytes(totalBytes)} from ${who}`;
    output.note(`interrupted; ${kept} are kept for a week: the same send goes on from there`);
  }
}

/** Prints what happened to a transfer. */
export function reportTransfer(event: ReceiveEvent, output: Output): void {
  if (event.type !== "received") return reportToPeople(event, output);
  const from = senderOf(event.from);
  const { path, bytes, sha256 } = event;
  const facts = { event: "received", path, bytes, sha256, from: event.from.peerId };
  output.result(facts, `${printable(path, 300)}  ${formatBytes(bytes)}  from ${from}`);
}

/** The same where stdout is for something else; of each file nothing is said. */
function reportToPeople(event: ReceiveEvent, output: Output): void {
  const from = senderOf(event.from);
  if (event.type === "received") return;
  if (event.type === "done") {
    const { files, bytes, seconds } = event;
    const rate = formatBytes(seconds > 0 ? bytes / seconds : 0);
    const verified = isUnproven(event.from) ? "not verified" : "verified";
    output.note(
      `received ${formatFiles(files)}, ${
        formatBytes(bytes)
      }, from ${from} (${rate}/s), ${verified}`,
    );
  } else {
    const why = event.error instanceof Error ? event.error.message : String(event.error);
    const code = event.error instanceof PeerError ? event.error.code : "internal";
    const facts = { event: event.type, code, message: why, from: event.from.peerId };
    if (output.json) output.result(facts, "");
    const what = event.type === "refused"
      ? `refused an offer from ${from}`
      : `transfer from ${from} failed`;
    output.note(`${what}: ${printable(why, 300)}`);
  }
}

/** Who sends: by name or id, or by what it says of itself where it proves nothing. */
function senderOf(from: PeerInfo): string {
  if (isUnproven(from)) return `${printable(from.peerId.slice(0, 8), 8)} (unproven)`;
  return printable(from.name || from.peerId, 64);
}

/** Who decides about an offer: `--yes`, a person at the terminal, or nobody, which is a refusal. */
export function decider(
  { options, output, signal }: Invocation,
): (offer: Offer, signal?: AbortSignal) => Decision | Promise<Decision> {
  const globs = options.texts("only").map(globPattern);
  // One question at a time.
  let asked: Promise<boolean> = Promise.resolve(false);
  return ({ label, manifest: offered, update = false, openEnded = false }, gone) => {
    const isUnsaid = offered.entries.length === 0; // a dialect says beforehand neither names nor sizes
    const wanted = globs.length === 0 || isUnsaid ? true : matching(offered, globs);
    if (wanted !== true && wanted.length === 0) {
      output.note(`refused an offer from ${label}: nothing in it is wanted`);
      return false;
    }
    const manifest = wanted === true ? offered : part(offered, wanted);
    const { files, totalBytes, entries } = manifest;
    const first = printable(entries[0]?.path ?? "nothing", 100);
    const more = entries.length > 1 ? ` and ${entries.length - 1} more` : "";
    const size = `${formatFiles(files)}, ${openEnded ? "of any size" : formatBytes(totalBytes)}`;
    const named = isUnsaid ? "files of any name and size" : `${first}${more} (${size})`;
    const what = `${named} from ${label}${update ? ", to replace files" : ""}`;
    if (options.has("yes")) return wanted;
    if (Deno.stdin.isTerminal()) {
      asked = asked.then(() => !gone?.aborted && ask(`Accept ${what}? [y/N]`, output, signal));
      return asked.then((accepted) => accepted && wanted);
    }
    output.note(`refused ${what}: no terminal to ask at, and no --yes`);
    return false;
  };
}

/** The entries of a manifest whose paths fit one of the patterns. */
function matching({ entries }: Manifest, globs: readonly RegExp[]): number[] {
  return entries.flatMap(({ path, kind }, index) => {
    return kind === "file" && globs.some((glob) => glob.test(path)) ? [index] : [];
  });
}

function part({ entries }: Manifest, indexes: readonly number[]): Manifest {
  return manifestOf(indexes.flatMap((index) => entries[index] ?? []));
}

/**
 * What a pattern means: `*` stands for anything but a slash, `**` for anything, `?` for one character. One without a slash
 * is about names, in whatever folder.
 */
function globPattern(glob: string): RegExp {
  const source = glob.split(/(\*\*\/?|\*|\?)/).map((piece) => {
    if (piece === "*") return "[^/]*";
    if (piece === "?") return "[^/]";
    if (piece.startsWith("**")) return ".*";
    return piece.replace(/[.+^${}()|[\]\\]/g, "\\$&");
  }).join("");
  return new RegExp(glob.includes("/") ? `^${source}$` : `(?:^|/)${source}$`, "u");
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
