/**
 * `kith send`
 *
 * @module
 */

import { formatBytes, formatFiles, formatProgress } from "./output.ts";
import { printable } from "../log.ts";
import { openPeer, reachOptions } from "./open_peer.ts";
import { UsageError } from "./options.ts";
import type { Invocation } from "./verbs.ts";

/** Between two lines of progress: often enough for an eye, or for a program. */
const TERMINAL_EVERY_MS = 100;
const JSON_EVERY_MS = 1_000;

/** Sends files and folders to one peer. */
export async function run(invocation: Invocation): Promise<void> {
  const { options, output, signal } = invocation;
  const to = options.text("to");
  if (to === undefined) throw new UsageError("Option --to is missing: who shall have it");
  if (options.args.length === 0) throw new UsageError("A PATH is missing: what to send");
  const reach = reachOptions(options, signal);
  await using peer = await openPeer(invocation, { clientOnly: true });
  const everyMs = output.json ? JSON_EVERY_MS : TERMINAL_EVERY_MS;
  let startedMs = 0;
  let shownMs = 0;
  const onProgress = (bytes: number, totalBytes: number) => {
    const nowMs = performance.now();
    startedMs ||= nowMs;
    if (nowMs - shownMs < everyMs) return;
    shownMs = nowMs;
    if (output.json) output.result({ event: "progress", bytes, totalBytes }, "");
    output.progress(formatProgress(bytes, totalBytes, (nowMs - startedMs) / 1000));
  };
  const done = await peer.send(options.args, { ...reach, to, onProgress });
  const { files, bytes, resentBytes, sha256, seconds } = done;
  for (const { path, reason } of done.skipped) {
    if (output.json) output.result({ event: "skipped", path, reason }, "");
    output.note(`not sent: ${printable(path, 300)} (${reason})`);
  }
  const rate = formatBytes(seconds > 0 ? bytes / seconds : 0);
  output.result(
    { event: "done", files, bytes, resentBytes, sha256, seconds },
    `sent ${formatFiles(files)}, ${formatBytes(bytes)}, ` +
      `in ${seconds.toFixed(2)} s (${rate}/s), verified: sha256 ${sha256}`,
  );
}
