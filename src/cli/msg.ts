/**
 * `kith msg`
 *
 * @module
 */

import { addressOf } from "./caller.ts";
import { openPeer, reachOptions } from "./open_peer.ts";
import { UsageError } from "./options.ts";
import { runPeerConnectMsg } from "./peerconnect.ts";
import type { Invocation } from "./verbs.ts";

/** Sends one text to one peer. */
export async function run(invocation: Invocation): Promise<void> {
  const { options, output, signal } = invocation;
  const [target, ...words] = options.args;
  if (!target || words.length === 0) throw new UsageError("PEER and TEXT are wanted");
  const dialect = options.choice("dialect", ["native", "peerpy", "peerconnect"]) ?? "native";
  if (dialect === "peerconnect") return await runPeerConnectMsg(invocation);
  if (dialect === "peerpy") addressOf(target);
  const reach = reachOptions(options, signal);
  const { timeoutMs } = reach;
  const answer = timeoutMs === undefined ? {} : { answerMs: timeoutMs };
  await using peer = await openPeer(invocation, { clientOnly: true });
  // Sending and closing wait for the other side, and for nothing else.
  signal.addEventListener("abort", () => void peer.close(), { once: true });
  const session = await peer.connect(target, { ...reach, ...answer, dialect, dataType: "json" });
  await session.send(words.join(" "));
  await session.close("", timeoutMs === undefined ? {} : { timeoutMs });
  // A peerpy peer says only that it takes data, never that it has it.
  const acknowledged = dialect === "native";
  const to = session.from.name || session.from.peerId || target;
  output.result(
    { delivered: true, acknowledged },
    `${acknowledged ? "delivered to" : "sent to"} ${to}`,
  );
}
