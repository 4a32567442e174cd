/**
 * Files to several peers on loopback, all of whose uplinks are limited to so many bytes a second.
 *
 * ```
 * SCRIPT receive RATE FOLDER...   a peer for each folder takes everything into it; prints {"ports"}
 * SCRIPT send RATE PORT...        one peer, which sends to all of them
 *
 * SHAPE PATH   sends, along a tree of that shape, `chain` or a fan-out, or in `turns`; prints {"seconds"}
 * cpu          prints the {"seconds"} of processor time that the process has taken so far
 * ```
 *
 * The time is from the look at the path to the word of the last receiver that it has verified everything.
 *
 * @module
 */

import process from "node:process";
import { Peer } from "../../src/peer.ts";
import type { Receiver } from "../../src/transfer/mod.ts";
import { answer, answerCommands } from "./command_loop.ts";

const hostname = "127.0.0.1";

const [role, rate, ...rest] = Deno.args;
const maxBytesPerSecond = Number(rate);
if (role === "receive") {
  answer({ ports: await Promise.all(rest.map(receive)) });
  await answerCommands((command) => Promise.resolve(answerAll(command)));
} else {
  const sender = await Peer.open({ hostname, clientOnly: true });
  const to = rest.map((port) => `${hostname}:${port}`);
  await answerCommands((command) => {
    const [shape = "", path] = command.split(" ", 2);
    return path === undefined ? Promise.resolve(answerAll(shape)) : send(sender, to, shape, path);
  });
}
Deno.exit();

function answerAll(command: string): { seconds: number } {
  if (command !== "cpu") throw new TypeError(`Unknown command ${command}`);
  const { user, system } = process.cpuUsage();
  return { seconds: (user + system) / 1e6 };
}

async function receive(dir: string): Promise<number> {
  const peer = await Peer.open({ hostname, port: 0, announce: false });
  void drain(peer.receive({ dir, accept: () => true, maxBytesPerSecond }));
  if (peer.address === undefined) throw new Error("Cannot measure: the peer does not listen");
  return peer.address.port;
}

/** Reads on: events that nobody reads slow the sender down. */
async function drain(receiver: Receiver): Promise<void> {
  for await (const event of receiver) {
    if (event.type === "failed") throw event.error;
  }
}

async function send(
  sender: Peer,
  to: readonly string[],
  shape: string,
  path: string,
): Promise<{ seconds: number }> {
  const startedAt = performance.now();
  if (shape === "turns") await inTurns(sender, to, path);
  else await broadcast(sender, to, shape === "chain" ? shape : Number(shape), path);
  return { seconds: (performance.now() - startedAt) / 1000 };
}

async function inTurns(sender: Peer, all: readonly string[], path: string): Promise<void> {
  for (const to of all) await sender.send([path], { to, maxBytesPerSecond, compress: false });
}

async function broadcast(
  sender: Peer,
  to: readonly string[],
  shape: "chain" | number,
  path: string,
): Promise<void> {
  const { done } = await sender.broadcast([path], { to, shape, maxBytesPerSecond });
  const { receivers } = await done;
  const missed = receivers.find(({ state }) => state !== "done");
  if (missed !== undefined) throw new Error(`Cannot measure: ${missed.name}: ${missed.error}`);
}
