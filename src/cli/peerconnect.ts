/**
 * `kith send` and `kith msg` with `--dialect peerconnect`, and what PeerConnect nodes write.
 *
 * @module
 */

import { NotFoundError, TransportError } from "../errors.ts";
import { printable } from "../log.ts";
import { sendPeerConnectText } from "../transfer/dialects/peerconnect_chat_client.ts";
import type { PeerConnectText } from "../transfer/dialects/peerconnect_chat_server.ts";
import {
  type PeerConnectConnect,
  sendPeerConnectFiles,
} from "../transfer/dialects/peerconnect_driver_send.ts";
import { buildManifest } from "../transfer/manifest.ts";
import type { SendEvent } from "../transfer/send_options.ts";
import { netTransport } from "../transport/net.ts";
import { formatAddress } from "../transport/transport.ts";
import { addressOf } from "./caller.ts";
import { openIdentity } from "./open_peer.ts";
import { UsageError } from "./options.ts";
import { formatBytes, formatFiles, formatProgress, type Output } from "./output.ts";
import { showData } from "./running.ts";
import type { Invocation } from "./verbs.ts";

/** How long to connect unless told otherwise, in milliseconds. */
const CONNECT_TIMEOUT_MS = 10_000;

/** Between two lines of progress: often enough for an eye, or for a program. */
const TERMINAL_EVERY_MS = 100;
const JSON_EVERY_MS = 1_000;

/** Sends files and folders to a PeerConnect node. */
export async function runPeerConnectSend(invocation: Invocation): Promise<void> {
  const { options, output, signal } = invocation;
  const to = options.text("to");
  if (to === undefined) throw new UsageError("Option --to is missing: who shall have it");
  if (options.args.length === 0) throw new UsageError("A PATH is missing: what to send");
  const connect = connectTo(to, invocation);
  const { peerId } = openIdentity(invocation).identity;
  const built = await buildManifest(options.args, { signal });
  const acceptTimeoutMs = options.milliseconds("timeout");
  const patience = acceptTimeoutMs === undefined ? {} : { acceptTimeoutMs };
  const sending = sendPeerConnectFiles(connect, built, { peerId, signal, ...patience });
  const show = progressShower(output);
  for await (const event of sending) {
    if (event.type === "progress") show(event.bytes, event.totalBytes);
    if (event.type !== "done") continue;
    for (const { path, reason } of built.skipped) {
      if (output.json) output.result({ event: "skipped", path, reason }, "");
      output.note(`not sent: ${printable(path, 300)} (${reason})`);
    }
    showDone(event, output);
  }
}

/** Sends one text to a PeerConnect node. */
export async function runPeerConnectMsg(invocation: Invocation): Promise<void> {
  const { options, output, signal } = invocation;
  const [target, ...words] = options.args;
  if (!target || words.length === 0) throw new UsageError("PEER and TEXT are wanted");
  const connect = connectTo(target, invocation);
  const { peerId } = openIdentity(invocation).identity;
  await sendPeerConnectText(connect, words.join(" "), { peerId, signal });
  // Nothing there says that a text was read.
  output.result({ delivered: true, acknowledged: false }, `sent to ${printable(target, 80)}`);
}

/** Prints what PeerConnect nodes write, until there is nothing more to come. */
export async function showPeerConnectTexts(
  texts: AsyncIterable<PeerConnectText>,
  output: Output,
): Promise<void> {
  for await (const { from, address, text } of texts) {
    const who = `${formatAddress(address)} (unproven)`;
    showData({ event: "message", from, dialect: "peerconnect" }, who, text, output);
  }
}

/** @throws {UsageError} when the target is no address. */
function connectTo(target: string, { options, signal }: Invocation): PeerConnectConnect {
  const address = addressOf(target);
  const timeoutMs = options.milliseconds("timeout") ?? CONNECT_TIMEOUT_MS;
  return async () => {
    const late = AbortSignal.timeout(timeoutMs);
    try {
      return await netTransport.connect(address, { signal: AbortSignal.any([signal, late]) });
    } catch (error) {
      signal.throwIfAborted();
      if (!late.aborted && !(error instanceof TransportError)) throw error;
      const why = late.aborted ? "no answer in time" : (error as Error).message;
      const where = formatAddress(address);
      throw new NotFoundError("no-peer", `Cannot reach "${where}": ${why}`, {
        cause: error,
        details: { tried: [where] },
      });
    }
  };
}

function progressShower(output: Output): (bytes: number, totalBytes: number) => void {
  const everyMs = output.json ? JSON_EVERY_MS : TERMINAL_EVERY_MS;
  const startedMs = performance.now();
  let shownMs = 0;
  return (bytes, totalBytes) => {
    const nowMs = performance.now();
    if (nowMs - shownMs < everyMs) return;
    shownMs = nowMs;
    if (output.json) output.result({ event: "progress", bytes, totalBytes, paused: false }, "");
    output.progress(formatProgress(bytes, totalBytes, (nowMs - startedMs) / 1000));
  };
}

function showDone(done: Extract<SendEvent, { type: "done" }>, output: Output): void {
  const { files, bytes, resentBytes, sentBytes, unchanged, sha256, seconds } = done;
  const rate = formatBytes(seconds > 0 ? bytes / seconds : 0);
  output.result(
    { event: "done", files, bytes, resentBytes, sentBytes, unchanged, sha256, seconds },
    `sent ${formatFiles(files)}, ${formatBytes(bytes)}, ` +
      `in ${seconds.toFixed(2)} s (${rate}/s), not verified: sha256 ${sha256}`,
  );
}
