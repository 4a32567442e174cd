/**
 * `kith send`
 *
 * @module
 */

import { resolve } from "node:path";
import { PeerError } from "../errors.ts";
import { printable } from "../log.ts";
import type { FilesEvent, Peer, SendFilesOptions } from "../peer.ts";
import { PauseSwitch } from "../transfer/send_options.ts";
import { OwnPeerWanted, whomOf } from "./control/host.ts";
import { reachOptions, usePeer } from "./open_peer.ts";
import { type Options, UsageError } from "./options.ts";
import { formatBytes, formatFiles, formatProgress, type Output } from "./output.ts";
import { toggleOnSignal } from "./pause_signal.ts";
import { runPeerConnectSend } from "./peerconnect.ts";
import { stdinOf } from "./stdin.ts";
import type { Invocation } from "./verbs.ts";

/** Between two lines of progress: often enough for an eye, or for a program. */
const TERMINAL_EVERY_MS = 100;
const JSON_EVERY_MS = 1_000;

/** What stdin is called on the other side unless told otherwise. */
const STDIN_NAME = "stdin";

/** Sends files and folders, or stdin, to one peer. */
export async function run(invocation: Invocation): Promise<void> {
  const { options, output, signal } = invocation;
  const isPeerConnect = options.choice("dialect", ["native", "peerconnect"]) === "peerconnect";
  if (isPeerConnect) return await runPeerConnectSend(invocation);
  const pause = new PauseSwitch();
  const parsed = parseOptions(options);
  const to = whomOf(parsed.to, invocation.host);
  const how = { ...parsed, ...reachOptions(options, signal), to, pause };
  await using used = await usePeer(invocation, { clientOnly: true });
  using _signal = toggleOnSignal(pause, invocation);
  const show = printer(output);
  let isUnderWay = false;
  try {
    for await (const event of events(used.peer, invocation, how)) {
      if (event.type === "accepted") isUnderWay = event.kept ?? true;
      if (event.type === "done") isUnderWay = false;
      show(event);
    }
  } finally {
    // Only who is the same the next time goes on with it.
    const isKept = isUnderWay && options.args[0] !== "-" && !options.has("ephemeral");
    if (isKept) output.note("what has arrived is kept: the same command goes on with it");
  }
}

/** How to send, as the options say. @throws {UsageError} for what does not go together. */
function parseOptions(options: Options): SendFilesOptions {
  const to = options.text("to");
  if (to === undefined) throw new UsageError("Option --to is missing: who shall have it");
  if (options.args.length === 0) throw new UsageError("A PATH is missing: what to send");
  const isStdin = options.args.includes("-");
  if (isStdin && options.args.length > 1) throw new UsageError("Stdin (-) is sent by itself");
  const wrong = ["update", "watch", "dry-run"].find((name) => isStdin && options.has(name));
  if (wrong !== undefined) throw new UsageError(`Option --${wrong} is not for stdin`);
  if (options.text("as") !== undefined && !isStdin) {
    throw new UsageError("Option --as is for stdin alone: files keep their names");
  }
  const maxBytesPerSecond = options.bytes("limit");
  if (maxBytesPerSecond === 0) throw new UsageError("Option --limit must be more than 0");
  const streams = options.integer("streams");
  if (streams !== undefined && (streams < 1 || streams > 8)) {
    throw new UsageError(`Option --streams must be 1..8: it is ${streams}`);
  }
  const compress = options.choice("compress", ["auto", "yes", "no"]) ?? "auto";
  return {
    to,
    compress: compress === "auto" ? compress : compress === "yes",
    update: options.has("update"),
    dryRun: options.has("dry-run"),
    watch: options.has("watch"),
    retryMs: options.milliseconds("retry") ?? 0,
    ...(maxBytesPerSecond === undefined ? {} : { maxBytesPerSecond }),
    ...(streams === undefined ? {} : { streams }),
  };
}

function events(
  peer: Peer,
  invocation: Invocation,
  how: SendFilesOptions,
): AsyncGenerator<FilesEvent, void, void> {
  const { options } = invocation;
  if (options.args[0] !== "-") return peer.transfer(pathsOf(invocation), how);
  const name = options.text("as") ?? STDIN_NAME;
  return peer.transferStream(stdinOf(invocation), name, how);
}

/**
 * What to send. A running peer reads files itself, so that each block goes from the disk to the link once, where it may:
 * who started it may have let it read less than the command line may.
 *
 * @throws {OwnPeerWanted} where it may not.
 */
function pathsOf({ options: { args }, host }: Invocation): readonly string[] {
  if (host === undefined || args[0] === "-") return args;
  const paths = args.map((path) => resolve(host.cwd, path));
  const closed = paths.find((path) => {
    return Deno.permissions.querySync({ name: "read", path }).state !== "granted";
  });
  if (closed === undefined) return paths;
  throw new OwnPeerWanted(`the running peer may not read ${printable(closed, 300)}`);
}

/** Prints what happens. */
function printer(output: Output): (event: FilesEvent) => void {
  const everyMs = output.json ? JSON_EVERY_MS : TERMINAL_EVERY_MS;
  let startedMs = 0;
  let shownMs = 0;
  return (event) => {
    const nowMs = performance.now();
    if (event.type === "accepted") startedMs = nowMs;
    if (event.type !== "progress") return report(event, output);
    if (nowMs - shownMs < everyMs) return;
    shownMs = nowMs;
    const { bytes, totalBytes, paused } = event;
    if (output.json) output.result({ event: "progress", bytes, totalBytes, paused }, "");
    const line = totalBytes === 0
      ? `${formatBytes(bytes)} so far`
      : formatProgress(bytes, totalBytes, (nowMs - startedMs) / 1000);
    output.progress(paused ? `${line}  paused` : line);
  };
}

function report(event: Exclude<FilesEvent, { type: "progress" }>, output: Output): void {
  if (event.type === "skipped") {
    const { path, reason } = event.skipped;
    if (output.json) output.result({ event: "skipped", path, reason }, "");
    output.note(`not sent: ${printable(path, 300)} (${reason})`);
  } else if (event.type === "retry") {
    const { error } = event;
    const why = error instanceof Error ? error.message : String(error);
    const code = error instanceof PeerError ? error.code : "internal";
    if (output.json) output.result({ event: "retry", code, message: why }, "");
    output.note(`trying again: ${printable(why, 300)}`);
  } else if (event.type === "plan") {
    const { added, changed, unchanged, unwanted = 0, bytes } = event;
    const lines = [
      ...added.map((path) => `+ ${printable(path, 300)}`),
      ...changed.map((path) => `~ ${printable(path, 300)}`),
      `would send ${formatFiles(added.length + changed.length)}, at most ${formatBytes(bytes)}; ` +
      `${formatFiles(unchanged)} unchanged${unwantedText(unwanted)}`,
    ];
    const facts = { event: "plan", added, changed, unchanged, unwanted, bytes };
    output.result(facts, lines.join("\n"));
  } else if (event.type === "done") {
    const { files, bytes, resentBytes, sentBytes, unchanged, sha256, seconds } = event;
    const { unwanted = 0 } = event;
    const rate = formatBytes(seconds > 0 ? sentBytes / seconds : 0);
    const spared = unchanged > 0 ? `, ${formatFiles(unchanged)} unchanged` : "";
    const less = sentBytes < bytes ? ` (${formatBytes(sentBytes)} had to be sent)` : "";
    const counts = { files, bytes, resentBytes, sentBytes, unchanged, unwanted };
    output.result(
      { event: "done", ...counts, sha256, seconds },
      `sent ${formatFiles(files)}, ${formatBytes(bytes)}${less}${spared}${
        unwantedText(unwanted)
      }, ` +
        `in ${seconds.toFixed(2)} s (${rate}/s), verified: sha256 ${sha256}`,
    );
  }
}

function unwantedText(files: number): string {
  if (files === 0) return "";
  return `, ${formatFiles(files)} ${files === 1 ? "was" : "were"} not wanted`;
}
