/**
 * What a doctor tries on the network besides questions: interfaces, ports, and packets to this machine and to peers that
 * are known.
 *
 * @module
 */

import { randomBytes } from "node:crypto";
import type { Clock } from "../../clock.ts";
import { isLoopback } from "../../endpoint/limits.ts";
import { printable } from "../../log.ts";
import { type Address, formatAddress, type Transport } from "../../transport/transport.ts";
import { reasonOf } from "../attempts.ts";
import { type Check, failed, isInUse, passed, skipped } from "./doctor_check.ts";
import type { LocalInterface } from "../interfaces.ts";
import { addressOn, type Platform } from "../platform.ts";

/** How long this machine may take to answer itself, in milliseconds. */
const OWN_MS = 500;

/** How long a peer may take to accept a connection, in milliseconds: one repetition of what was lost, and some room. */
export const CONNECT_MS = 2_000;

/** Most bytes that whoever holds a port is listened to. */
const MAX_SAID_BYTES = 1_024;

/** Where no peer has anything, which it says in its own name; the page at `/` is for browsers. */
const NOTHING_PATH = "/doctor";

/** What the checks of the network work with. */
export interface NetworkTools {
  /** The network. */
  readonly transport: Transport;
  /** Where time comes from. */
  readonly clock: Clock;
  /** How sockets are bound here. */
  readonly platform: Platform;
  /** Stops when aborted. */
  readonly signal: AbortSignal;
}

/** An address of this machine, as far as it is shown. */
export type ShownAddress = Pick<LocalInterface, "name" | "family" | "address">;

/** What a check on an interface is called after. */
export function nameOf({ name, address }: ShownAddress): string {
  return `${printable(name, 40)} ${address}`;
}

/** One line per address of the machine: used by discovery or not, and why. */
export function* checkInterfaces(
  all: readonly ShownAddress[],
  usable: readonly LocalInterface[],
  chosen: readonly LocalInterface[],
): Generator<Check> {
  const among = (list: readonly LocalInterface[], { name, address }: ShownAddress) =>
    list.find((one) => one.name === name && one.address === address);
  for (const one of all) {
    const check = `interface ${nameOf(one)}`;
    const { name, family, address } = one;
    const used = among(chosen, one);
    const facts = { interface: name, family, address, used: used !== undefined };
    if (used !== undefined) yield passed(check, aboutOf(used), { facts });
    else if (among(usable, one) !== undefined) {
      yield skipped(check, "left out by an option", { facts });
    } else {
      const why = "not used: discovery needs IPv4 addresses, or link-local ones of IPv6";
      yield skipped(check, why, { facts });
    }
  }
  if (chosen.length > 0) return;
  yield failed("interfaces", "there is none that can be used", {
    fix: "connect to a network, or leave --host and --interface out",
  });
}

function aboutOf({ family, loopback, broadcast }: LocalInterface): string {
  if (loopback) return `${family}, leads to this machine only`;
  return broadcast === undefined ? family : `${family}, broadcasts go to ${broadcast}`;
}

/** Whether the machine can connect to its own address on an interface. */
export async function checkTcp(tools: NetworkTools, on: LocalInterface): Promise<Check> {
  const { transport, platform } = tools;
  const check = `tcp on ${nameOf(on)}`;
  try {
    const listener = await transport.listen({ hostname: addressOn(platform, on.address, on) });
    const accepting = listener.accept();
    try {
      const tookMs = await connectWithin(tools, listener.address, OWN_MS);
      return tookMs === undefined
        ? failed(check, `cannot connect to itself in ${OWN_MS} ms`)
        : passed(check, "the machine reaches itself");
    } finally {
      listener.close();
      (await accepting)?.close();
    }
  } catch (error) {
    return failed(check, reasonOf(error));
  }
}

/** Whether a packet to the machine's own address on an interface arrives. */
export async function checkUnicast(tools: NetworkTools, on: LocalInterface): Promise<Check> {
  const { transport, clock, platform } = tools;
  const check = `udp on ${nameOf(on)}`;
  try {
    const socket = await transport.datagram({ hostname: addressOn(platform, on.address, on) });
    const timer = clock.after(OWN_MS, () => socket.close());
    try {
      const nonce = randomBytes(16);
      await socket.send(nonce, socket.address);
      for (;;) {
        const datagram = await socket.receive();
        if (datagram === undefined) return failed(check, `its own packet is lost for ${OWN_MS} ms`);
        if (nonce.equals(datagram.data)) return passed(check, "the machine reaches itself");
      }
    } finally {
      timer.cancel();
      socket.close();
    }
  } catch (error) {
    return failed(check, reasonOf(error));
  }
}

/** Whether a TCP port is free and, if not, whether a kith peer has it. Peers take the next port then. */
export async function checkTcpPort(
  tools: NetworkTools,
  hostname: string | undefined,
  port: number,
): Promise<Check> {
  const check = `tcp port ${port}`;
  try {
    (await tools.transport.listen({ hostname: hostname ?? "0.0.0.0", port })).close();
    return passed(check, "it is free");
  } catch (error) {
    if (!isInUse(error)) return failed(check, reasonOf(error));
  }
  const said = await listenTo(tools, { hostname: hostname ?? "127.0.0.1", port });
  return said.includes("kith")
    ? passed(check, "a kith peer of this machine has it")
    : passed(check, "another program has it: a peer takes the next one that is free");
}

/** Whether the port for questions can be shared. */
export async function checkUdpPort({ transport }: NetworkTools, port: number): Promise<Check> {
  const check = `udp port ${port}`;
  const take = async (shared: boolean) => (await transport.datagram({ port, shared })).close();
  try {
    await take(true);
  } catch (error) {
    if (!isInUse(error)) return failed(check, reasonOf(error));
    return failed(check, "another program has it for itself: nobody here can be found", {
      fix: "end that program, or give all peers another port with --discovery-port",
    });
  }
  try {
    await take(false);
    return passed(check, "it is free");
  } catch {
    return passed(check, "programs share it, such as a kith peer of this machine");
  }
}

/** What became of connecting to a peer. */
export type Reached = "answers" | "refuses" | "silent";

/** A peer that is known, and what became of connecting to it. */
export interface KnownPeer {
  /** Where it should be. */
  readonly address: Address;
  /** Whether it was named now, and so should be there; else it was found some time ago. */
  readonly given: boolean;
  /** What became of it. */
  readonly reached: Reached;
  /** The same for people. */
  readonly check: Check;
}

/**
 * Whether a peer that is known accepts connections, without saying anything to it.
 *
 * @param name What it called itself when it was found, maybe nothing. @default it was named now, by its address
 */
export async function checkPeer(
  tools: NetworkTools,
  address: Address,
  name?: string,
): Promise<KnownPeer> {
  const given = name === undefined;
  const where = formatAddress(address);
  const called = name ? ` (${printable(name, 64)})` : "";
  const check = `${given ? "peer" : "remembered peer"} ${printable(where, 100)}${called}`;
  const details = { facts: { address: where, given, ...(name ? { name } : {}) } };
  // Who was there once may have left for good reasons.
  const missing = given ? failed : skipped;
  try {
    const tookMs = await connectWithin(tools, address, CONNECT_MS);
    if (tookMs === undefined) {
      const why = `no answer in ${CONNECT_MS / 1_000} s`;
      return { address, given, reached: "silent", check: missing(check, why, details) };
    }
    const why = `it accepts connections, after ${Math.ceil(tookMs)} ms`;
    return { address, given, reached: "answers", check: passed(check, why, details) };
  } catch (error) {
    tools.signal.throwIfAborted();
    const refused = error instanceof Error && error.cause instanceof Deno.errors.ConnectionRefused;
    const reached = refused ? "refuses" : "silent";
    return { address, given, reached, check: missing(check, reasonOf(error), details) };
  }
}

/** Connects, and closes. @returns how long it took, in milliseconds; `undefined` when it took too long. */
async function connectWithin(
  tools: NetworkTools,
  to: Address,
  limitMs: number,
): Promise<number | undefined> {
  const { transport, clock } = tools;
  const startMs = clock.now();
  return await within(tools, limitMs, async (signal) => {
    (await transport.connect(to, { signal })).close();
    return clock.now() - startMs;
  });
}

/** What whoever holds a port answers to HTTP: kith's ports name it. Empty for nothing in time. */
async function listenTo(tools: NetworkTools, to: Address): Promise<string> {
  try {
    return await within(tools, OWN_MS, async (signal) => {
      const connection = await tools.transport.connect(to, { signal });
      signal.addEventListener("abort", () => connection.close(), { once: true });
      try {
        await connection.write(new TextEncoder().encode(`GET ${NOTHING_PATH} HTTP/1.0\r\n\r\n`));
        return await readText(connection.read.bind(connection));
      } finally {
        connection.close();
      }
    }) ?? "";
  } catch {
    tools.signal.throwIfAborted();
    return ""; // whatever it is, it is not ours
  }
}

async function readText(read: (into: Uint8Array) => Promise<number | null>): Promise<string> {
  const said = new Uint8Array(MAX_SAID_BYTES);
  let length = 0;
  while (length < said.length) {
    const count = await read(said.subarray(length));
    if (count === null) break;
    length += count;
  }
  return new TextDecoder().decode(said.subarray(0, length));
}

/** Does what shall not take longer. @returns `undefined` when it did. @throws the signal's reason when aborted. */
async function within<T>(
  { clock, signal }: NetworkTools,
  limitMs: number,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T | undefined> {
  const late = new AbortController();
  const timer = clock.after(limitMs, () => late.abort());
  try {
    return await work(AbortSignal.any([signal, late.signal]));
  } catch (error) {
    signal.throwIfAborted();
    if (late.signal.aborted) return undefined;
    throw error;
  } finally {
    timer.cancel();
  }
}

/** Whether an address of this machine leads nowhere else. */
export function isOwnOnly(on: LocalInterface): boolean {
  return on.loopback || isLoopback(on.address);
}
