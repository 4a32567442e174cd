/**
 * `kith msg`
 *
 * @module
 */

import type { Session } from "../session/session.ts";
import { addressOf } from "./caller.ts";
import { whomOf } from "./control/host.ts";
import { reachOptions, usePeer } from "./open_peer.ts";
import { UsageError } from "./options.ts";
import { runPeerConnectMsg } from "./peerconnect.ts";
import { interrupted } from "./running.ts";
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
  await using used = await usePeer(invocation, { clientOnly: true });
  const how = { ...reach, ...answer, dialect, dataType: "json" } as const;
  const session = await used.peer.connect(whomOf(target, invocation.host), how);
  // Sending and closing wait for the other side, and for nothing else: not for ^C.
  const done = deliver(session, words.join(" "), timeoutMs);
  await Promise.race([done, interrupted(signal)]);
  if (signal.aborted) done.catch(() => {}); // nobody waits for it any more
  signal.throwIfAborted();
  // A peerpy peer says only that it takes data, never that it has it.
  const acknowledged = dialect === "native";
  const to = session.from.name || session.from.peerId || target;
  output.result(
    { delivered: true, acknowledged },
    `${acknowledged ? "delivered to" : "sent to"} ${to}`,
  );
}

async function deliver(session: Session, text: string, timeoutMs?: number): Promise<void> {
  await session.send(text);
  await session.close("", timeoutMs === undefined ? {} : { timeoutMs });
}
