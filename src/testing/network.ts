/**
 * The simulated network: who reaches whom, when, and what is lost on the way.
 *
 * Datagrams go `uplink -> link -> inbox` and may be lost at each. A stream is modelled by what a program sees of it: a
 * message that cannot pass is sent again after a time that doubles, as TCP does, until the asker gives up.
 *
 * @module
 */

import { InvalidPacketError } from "../errors.ts";
import type { Address } from "../transport/transport.ts";
import type { Ask, DatagramEvent, StreamMessage } from "./events.ts";
import type { Life } from "./life.ts";
import { changeLink, DEFAULT_LINK, type Link, type LinkOptions } from "./link.ts";
import type { Machine } from "./machine.ts";
import { PacketCopies } from "./packet_copies.ts";
import { HAPPENED, type Timeline } from "./timeline.ts";

/** Largest UDP payload over IPv4 (RFC 768, RFC 791). */
const MAX_DATAGRAM_BYTES = 65_507;

/** What Linux waits before it sends a segment again; doubled each time (RFC 6298, with Linux's own bounds). */
const FIRST_RESEND_MS = 200;
const LONGEST_RESEND_MS = 120_000;

/** Payload of a segment on Ethernet: what is sent again, not the whole message. */
const SEGMENT_BYTES = 1460;

/** More machines than addresses of 10.0.0.0/8 that we use. */
const MAX_MACHINES = 2 ** 24;

/** How a network is made. */
export interface NetworkOptions {
  readonly link: Partial<LinkOptions>;
  readonly uplinkQueueMs: number;
  readonly inboxBytes: number;
}

/** The network; see the module. */
export class Network {
  readonly #timeline: Timeline;
  readonly #uplinkQueueMs: number;
  readonly #inboxBytes: number;
  readonly #copies = new PacketCopies();
  readonly #machines = new Map<string, Machine>();
  #link: Link;
  // Links that are not like the others, by the indexes of their two ends.
  readonly #oddLinks = new Map<number, Link>();

  constructor(timeline: Timeline, options: NetworkOptions) {
    this.#timeline = timeline;
    this.#link = changeLink(DEFAULT_LINK, options.link);
    this.#uplinkQueueMs = options.uplinkQueueMs;
    this.#inboxBytes = options.inboxBytes;
  }

  /** Plugs a machine in. */
  add(machine: Machine): void {
    this.#machines.set(machine.address.hostname, machine);
  }

  /** Changes every link that was not changed on its own. */
  changeLinks(changes: Partial<LinkOptions>): void {
    this.#link = changeLink(this.#link.options, changes);
  }

  /** Changes the way from one machine to another. */
  changeLink(from: Machine, to: Machine, changes: Partial<LinkOptions>): void {
    const link = changeLink(this.#linkBetween(from, to).options, changes);
    this.#oddLinks.set(from.index * MAX_MACHINES + to.index, link);
  }

  /** Sends a datagram. */
  send(life: Life, packet: Uint8Array, address: Address): void {
    if (packet.length > MAX_DATAGRAM_BYTES) throw tooLarge(packet.length);
    const from = life.machine;
    const to = this.#machines.get(address.hostname);
    from.stats.packetsOut++;
    from.stats.bytesOut += packet.length;
    this.#timeline.record(HAPPENED.sent, from.index, to?.index ?? -1, packet.length);
    this.#timeline.hash.bytes(packet);
    const departsMs = this.#depart(from, packet.length, this.#uplinkQueueMs);
    if (to === undefined || departsMs === undefined) return this.#lose(from, to);
    const link = this.#linkBetween(from, to);
    const { loss, duplication, reordering, reorderMs } = link.options;
    const { port } = address;
    const event: DatagramEvent = {
      kind: "datagram",
      from,
      to,
      port,
      packet: this.#copies.copy(packet),
    };
    for (let copies = happens(from, duplication) ? 2 : 1; copies > 0; copies--) {
      if (!datagramsPass(from, to) || happens(from, loss)) {
        this.#lose(from, to);
        continue;
      }
      const heldBackMs = happens(from, reordering) ? reorderMs : 0;
      this.#timeline.schedule(departsMs + drawDelayMs(from, link) + heldBackMs, event);
    }
  }

  /** Gives a datagram to whom it is for. */
  deliver(event: DatagramEvent): void {
    const { from, to, packet } = event;
    const life = to.life;
    const reached = life !== undefined && event.port === to.address.port;
    if (!reached || !datagramsPass(from, to)) return this.#lose(from, to);
    if (life.pausedUntilMs > 0) {
      if (life.heldBytes + packet.length > this.#inboxBytes) return this.#lose(from, to);
      life.heldBytes += packet.length;
      life.held.push(event);
      return;
    }
    to.stats.packetsIn++;
    to.stats.bytesIn += packet.length;
    this.#timeline.record(HAPPENED.arrived, from.index, to.index, packet.length);
    life.node?.receive(packet, from.address);
  }

  /** Sends a request on a stream. */
  ask(
    asker: Life,
    body: Uint8Array,
    address: Address,
    timeoutMs: number,
    done: (answer: Uint8Array | undefined) => void,
  ): void {
    const timer = asker.clock.after(timeoutMs, () => this.#end(ask, undefined));
    const ask: Ask = { asker, port: address.port, done, timer, over: false };
    const from = asker.machine;
    from.stats.asks++;
    const to = this.#machines.get(address.hostname);
    if (to === undefined) return; // nobody there who could refuse
    const sender = asker;
    this.transmit({ ask, from, to, sender, body: body.slice(), isAnswer: false, attempts: 0 });
  }

  /** Sends a message of a stream, for the first time or again. */
  transmit(message: StreamMessage): void {
    const { ask, from, to, sender, body } = message;
    if (isOver(ask) || sender?.ended) return;
    const length = body?.length ?? 0;
    const bytes = message.attempts === 0 ? length : Math.min(length, SEGMENT_BYTES);
    from.stats.streamBytesOut += bytes;
    this.#timeline.record(HAPPENED.streamed, from.index, to.index, bytes);
    if (message.attempts++ === 0 && body !== undefined) this.#timeline.hash.bytes(body);
    const departsMs = this.#depart(from, bytes, Infinity) ?? Infinity;
    const link = this.#linkBetween(from, to);
    if (!reaches(from, to) || happens(from, link.options.loss)) {
      return this.#transmitLater(message, departsMs);
    }
    const arrivesMs = departsMs + drawDelayMs(from, link);
    this.#timeline.schedule(arrivesMs, { kind: "stream", arriving: true, message });
  }

  /** Gives a message of a stream to whom it is for. */
  deliverStream(message: StreamMessage): void {
    const { ask, from, to, body, isAnswer } = message;
    if (isOver(ask)) return;
    if (!reaches(from, to)) return this.#transmitLater(message, this.#timeline.nowMs);
    const life = isAnswer ? ask.asker : to.life;
    if (life !== undefined && life.pausedUntilMs > 0) {
      life.held.push({ kind: "stream", arriving: true, message });
      return;
    }
    const bytes = body?.length ?? 0;
    to.stats.streamBytesIn += bytes;
    this.#timeline.record(HAPPENED.streamArrived, from.index, to.index, bytes);
    if (isAnswer) return this.#end(ask, body);
    const listens = ask.port === to.address.port && body !== undefined;
    const answer = listens ? life?.node?.answer?.(body, from.address) : undefined;
    const back = { from: to, to: from, sender: life, body: answer?.slice() };
    this.transmit({ ask, ...back, isAnswer: true, attempts: 0 });
  }

  #transmitLater(message: StreamMessage, departedMs: number): void {
    const waitMs = Math.min(FIRST_RESEND_MS * 2 ** (message.attempts - 1), LONGEST_RESEND_MS);
    this.#timeline.schedule(departedMs + waitMs, { kind: "stream", arriving: false, message });
  }

  #end(ask: Ask, answer: Uint8Array | undefined): void {
    const { index, stats } = ask.asker.machine;
    ask.over = true;
    ask.timer.cancel();
    if (answer === undefined) stats.asksFailed++;
    this.#timeline.record(HAPPENED.askEnded, index, index, answer?.length ?? -1);
    ask.done(answer);
  }

  /** When the last byte has left, or `undefined` when the queue is longer than `queueMs`. */
  #depart(machine: Machine, bytes: number, queueMs: number): number | undefined {
    const { nowMs } = this.#timeline;
    if (machine.uplinkBytesPerSecond === Infinity) return nowMs;
    const startMs = Math.max(nowMs, machine.uplinkFreeAtMs);
    if (startMs - nowMs > queueMs) return undefined;
    machine.uplinkFreeAtMs = startMs + bytes * 1000 / machine.uplinkBytesPerSecond;
    return machine.uplinkFreeAtMs;
  }

  #lose(from: Machine, to: Machine | undefined): void {
    from.stats.packetsLost++;
    this.#timeline.record(HAPPENED.lost, from.index, to?.index ?? -1, 0);
  }

  #linkBetween(from: Machine, to: Machine): Link {
    if (this.#oddLinks.size === 0) return this.#link;
    return this.#oddLinks.get(from.index * MAX_MACHINES + to.index) ?? this.#link;
  }
}

function reaches(from: Machine, to: Machine): boolean {
  return from.group === to.group && from.up && to.up;
}

function datagramsPass(from: Machine, to: Machine): boolean {
  // What left before its sender lost power arrives.
  return from.group === to.group && !from.datagramsBlocked && !to.datagramsBlocked;
}

function isOver(ask: Ask): boolean {
  return ask.over || ask.asker.ended;
}

function happens(machine: Machine, chance: number): boolean {
  return chance > 0 && machine.random() < chance;
}

function drawDelayMs(machine: Machine, link: Link): number {
  return link.spreadMs === 0 ? link.minDelayMs : link.minDelayMs + machine.random() * link.spreadMs;
}

function tooLarge(length: number): InvalidPacketError {
  const max = MAX_DATAGRAM_BYTES;
  return new InvalidPacketError(
    "too-large",
    `Cannot send datagram: length ${length} exceeds ${max}`,
    { details: { limit: "MAX_DATAGRAM_BYTES", max } },
  );
}
