/**
 * Whether a question that discovery asks comes back to this machine: on each interface, by each method it has.
 *
 * The receivers are opened as a peer opens them that wants to be found, the senders as one that looks. What is sent are
 * questions of their own, with an id that nobody can guess, so that a peer that hears one answers it like any other: the
 * same packets tell which path works here and which brings answers.
 *
 * A packet that comes back says that sockets, routes, groups and this machine's own rules are right. It does not say that
 * it was ever on the cable: that, only answers show.
 *
 * @module
 */

import { randomBytes } from "node:crypto";
import { type Clock, sleep } from "../../clock.ts";
import { IntegrityError, InvalidPacketError, type PeerError } from "../../errors.ts";
import type { Metrics } from "../../metrics.ts";
import type { Address, Datagram, DatagramSocket, Transport } from "../../transport/transport.ts";
import { waysOn } from "../asker.ts";
import { reasonOf } from "../attempts.ts";
import { MULTICAST_V4, MULTICAST_V6 } from "../groups.ts";
import type { LocalInterface } from "../interfaces.ts";
import {
  encodeQuestion,
  INSTANCE_BYTES,
  parseAnswer,
  parseQuestion,
  type QuestionMethod,
} from "../packets.ts";
import { addressOn, bindForGroup, type Platform } from "../platform.ts";

/** How long a packet may take to come back, in milliseconds: one that comes at all takes less than one. */
export const LOOP_MS = 500;

/** When questions are asked, in milliseconds: Wi-Fi loses packets to groups, and repeats none of them. */
const ASK_AT_MS = [0, 150, 400];

/** Most peers counted on one path: a bound on what strangers make us remember. */
const MAX_ANSWERS = 1_024;

/** What a loop test needs. */
export interface LoopTestOptions {
  /** Opens the sockets that ask. */
  ask: Transport;
  /** Opens those that hear. In a closed network another member of it: nobody hears what it said itself. */
  hear: Transport;
  /** On which interfaces. */
  interfaces: readonly LocalInterface[];
  /** The port that questions are sent to. */
  port: number;
  /** How sockets are bound here. */
  platform: Platform;
  /** Where time comes from. */
  clock: Clock;
  /** How long to wait for answers, in milliseconds. */
  waitMs: number;
  /** Counts `doctor.questions`, `doctor.heard` and `doctor.answers`. */
  metrics: Metrics;
  /** Stops when aborted. */
  signal: AbortSignal;
}

/** A way for a question to go. */
export interface LoopPath {
  /** The interface it leaves by. */
  readonly on: LocalInterface;
  /** How. */
  readonly method: QuestionMethod;
  /** Where it is sent to, without a zone. */
  readonly to: string;
}

/** What became of the questions that went one way. */
export interface LoopResult extends LoopPath {
  /** How long the first one took to come back, in milliseconds; `undefined` when none did in {@linkcode LOOP_MS}. */
  readonly seenMs: number | undefined;
  /** Why none came back, as far as the system said. */
  readonly error: string | undefined;
  /** Who answered: peer ids and where the answers came from. */
  readonly answers: ReadonlyMap<string, string>;
  /** What those call themselves. */
  readonly names: ReadonlyMap<string, string>;
}

/** Sends questions every way there is. @returns what became of them, in the order of the interfaces. */
export async function testLoops(options: LoopTestOptions): Promise<LoopResult[]> {
  const { interfaces, clock, waitMs, signal } = options;
  const trials = interfaces.flatMap(pathsOf).map((path) => new Trial(path, options));
  await using sockets = new Sockets();
  await openReceivers(options, trials, sockets);
  await openSenders(options, trials, sockets);
  const startMs = clock.now();
  for (const atMs of ASK_AT_MS.filter((atMs) => atMs < waitMs)) {
    await sleep(clock, startMs + atMs - clock.now(), { signal });
    await Promise.all(trials.map((trial) => trial.ask()));
  }
  await sleep(clock, startMs + waitMs - clock.now(), { signal });
  return trials.map((trial) => trial.result());
}

/** The ways by which discovery asks on an interface. */
function pathsOf(on: LocalInterface): LoopPath[] {
  return waysOn(on).map(({ to, via }) => ({ on, method: via, to }));
}

/** One way, and what has happened on it so far. */
class Trial {
  readonly path: LoopPath;
  /** What its questions leave by. */
  send: ((question: Uint8Array) => Promise<void>) | undefined;
  readonly #clock: Clock;
  readonly #metrics: Metrics;
  readonly #id = randomBytes(6).readUIntBE(0, 6);
  readonly #from = new Uint8Array(randomBytes(INSTANCE_BYTES));
  readonly #answers = new Map<string, string>();
  readonly #names = new Map<string, string>();
  #askedMs: number | undefined;
  #seenMs: number | undefined;
  #error: string | undefined;
  #deaf: string | undefined;

  constructor(path: LoopPath, { clock, metrics }: Pick<LoopTestOptions, "clock" | "metrics">) {
    this.path = path;
    this.#clock = clock;
    this.#metrics = metrics;
  }

  async ask(): Promise<void> {
    const question = encodeQuestion({ id: this.#id, from: this.#from, via: this.path.method });
    this.#askedMs ??= this.#clock.now();
    this.#metrics.counter("doctor.questions").add();
    try {
      await this.send?.(question);
    } catch (error) {
      this.fail(error);
    }
  }

  /** Takes a question that somebody heard. */
  hear({ data }: Datagram): void {
    const { id } = parseQuestion(data);
    if (id !== this.#id || this.#askedMs === undefined) return;
    this.#metrics.counter("doctor.heard").add();
    const tookMs = this.#clock.now() - this.#askedMs;
    if (tookMs <= LOOP_MS) this.#seenMs ??= tookMs;
  }

  /** Takes what came to the socket that asks. */
  answer({ data, from }: Datagram): void {
    const answer = parseAnswer(data, this.#id);
    if (answer === undefined || this.#answers.size >= MAX_ANSWERS) return;
    this.#metrics.counter("doctor.answers").add();
    this.#answers.set(answer.peerId, from.hostname);
    this.#names.set(answer.peerId, answer.name);
  }

  /** Notes what went wrong: what did first, the rest mostly follows from. */
  fail(error: unknown): void {
    this.#error ??= reasonOf(error);
  }

  /** Notes that the group could not be joined here: what is heard all the same came by another interface. */
  deafen(error: unknown): void {
    this.#deaf ??= reasonOf(error);
  }

  result(): LoopResult {
    const seenMs = this.#deaf === undefined ? this.#seenMs : undefined;
    const error = seenMs === undefined ? this.#deaf ?? this.#error : undefined;
    return { ...this.path, seenMs, error, answers: this.#answers, names: this.#names };
  }
}

/** Opens what hears questions, as who wants to be found does: one socket for IPv4, one per interface for IPv6. */
async function openReceivers(
  { hear, interfaces, port, platform }: LoopTestOptions,
  trials: readonly Trial[],
  sockets: Sockets,
): Promise<void> {
  const receive = async (group: string, members: readonly LocalInterface[]) => {
    const [first] = members;
    if (first === undefined) return;
    const concerned = trials.filter(({ path }) => members.includes(path.on));
    const hostname = bindForGroup(platform, group, first);
    // A second address of the same interface must not join again.
    const joining = [...new Map(members.map((on) => [on.name, on])).values()];
    const groups = joining.map((on) => membershipOf(group, on));
    await attempt(concerned, async () => {
      const own = first.family === "IPv4" ? "0.0.0.0" : "::";
      // What a closed network's receiver asks back leaves from here: nothing comes in to a port that is shared.
      await sockets.open(hear, { hostname: own }, () => {}, concerned);
      const options = { hostname, port, shared: true, groups };
      const take = (datagram: Datagram) => concerned.forEach((trial) => trial.hear(datagram));
      const socket = await sockets.open(hear, options, take, concerned);
      for (const error of socket.joinErrors) {
        const on = joining.find((on) => isAbout(error, on));
        for (const trial of concerned) {
          if (trial.path.to === group && trial.path.on.name === on?.name) trial.deafen(error);
        }
      }
    });
  };
  await receive(MULTICAST_V4, interfaces.filter(({ family }) => family === "IPv4"));
  for (const on of interfaces) if (on.family === "IPv6") await receive(MULTICAST_V6, [on]);
}

/** Opens what asks, as who looks does: a socket on each address. */
async function openSenders(
  { ask, interfaces, port, platform }: LoopTestOptions,
  trials: readonly Trial[],
  sockets: Sockets,
): Promise<void> {
  for (const on of interfaces) {
    const concerned = trials.filter(({ path }) => path.on === on);
    await attempt(concerned, async () => {
      const hostname = addressOn(platform, on.address, on);
      const take = (datagram: Datagram) => concerned.forEach((trial) => trial.answer(datagram));
      const socket = await sockets.open(ask, { hostname }, take, concerned);
      for (const trial of concerned) {
        const to: Address = { hostname: addressOn(platform, trial.path.to, on), port };
        trial.send = (question) => socket.send(question, to);
      }
    });
  }
}

async function attempt(concerned: readonly Trial[], work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    for (const trial of concerned) trial.fail(error);
  }
}

function membershipOf(group: string, { address, index }: LocalInterface) {
  return index === undefined
    ? { group, interfaceAddress: address }
    : { group, interfaceIndex: index };
}

/** Whether a group could not be joined on this interface. */
function isAbout({ details }: PeerError, { address, index }: LocalInterface): boolean {
  return index === undefined
    ? details.interfaceAddress === address
    : details.interfaceIndex === index;
}

/** The sockets of a test; disposing closes them and waits until nobody reads them any more. */
class Sockets implements AsyncDisposable {
  readonly #sockets: DatagramSocket[] = [];
  readonly #loops: Promise<void>[] = [];

  async open(
    transport: Transport,
    options: Parameters<Transport["datagram"]>[0],
    take: (datagram: Datagram) => void,
    concerned: readonly Trial[],
  ): Promise<DatagramSocket> {
    const socket = await transport.datagram(options);
    this.#sockets.push(socket);
    this.#loops.push(attempt(concerned, () => readAll(socket, take)));
    return socket;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.close();
    await Promise.all(this.#loops);
  }
}

async function readAll(socket: DatagramSocket, take: (datagram: Datagram) => void): Promise<void> {
  for (;;) {
    const datagram = await socket.receive();
    if (datagram === undefined) return;
    try {
      take(datagram);
    } catch (error) {
      // Others use these ports too, and what they say need not be for us.
      if (!(error instanceof InvalidPacketError || error instanceof IntegrityError)) throw error;
    }
  }
}
