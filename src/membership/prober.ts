/**
 * Asking members, one after another, whether they are there: by packet, then through others and over a stream.
 *
 * Source: SWIM (Das, Gupta, Motivala 2002), section 3; Lifeguard (Dadgar, Phillips, Currey 2018) for what a node that is
 * slow itself makes of silence; memberlist for the stream.
 *
 * @module
 */

import type { Timer } from "../clock.ts";
import type { Address } from "../transport/transport.ts";
import type { Awareness } from "./awareness.ts";
import { isPresent, type Member, packetAddresses, streamAddresses } from "./member.ts";
import type { Arrival, Newcomer } from "./newcomers.ts";
import type { SwimPorts, SwimTuning } from "./options.ts";
import type { Outgoing } from "./outbox.ts";
import type { Places } from "./places.ts";
import type { Questions } from "./questions.ts";
import type { Roster } from "./roster.ts";
import type { Syncer } from "./syncer.ts";

/** Questions of others that are passed on at the same time. */
const MAX_RELAYED = 256;

/** What a {@linkcode Prober} needs. */
export interface ProberParts {
  readonly ports: SwimPorts;
  readonly tuning: SwimTuning;
  readonly roster: Roster;
  readonly awareness: Awareness;
  readonly questions: Questions;
  readonly places: Places;
  /** Sends a packet, with claims that matter to whom it is for. */
  readonly send: (packet: Outgoing, to: Address) => void;
  /** Whether a signature over a nonce is that key's. */
  readonly proves: (key: Uint8Array, nonce: number, proof: Uint8Array | undefined) => boolean;
  /** Asks over a stream, and tells whether the one that is meant has answered. */
  readonly pingByStream: Syncer["ping"];
  /** A member has answered, in this way. */
  readonly answered: (member: Member, arrival: Arrival) => void;
  /** A member has not. */
  readonly silent: (member: Member) => void;
}

interface Probe {
  readonly member: Member;
  readonly incarnation: number;
  /** When the period is over. */
  readonly dueMs: number;
  /** Whether it is asked where it says that it is, and not by others alone. */
  readonly isAsked: boolean;
  /** Those who were asked to ask, and have neither heard nor said that they have not. */
  readonly owing: Set<string>;
  relayed: boolean;
  /** Whether it answered. */
  done: boolean;
  /** Whether we slept meanwhile, so that silence means nothing. */
  void: boolean;
  timer: Timer | undefined;
}

/** Asks members; see the module. */
export class Prober {
  readonly #parts: ProberParts;
  readonly #probes = new Set<Probe>();
  #timer: Timer | undefined;
  #relayed = 0;
  #stopped = false;

  /** Asks nobody yet. */
  constructor(parts: ProberParts) {
    this.#parts = parts;
  }

  /** Asks from now on, beginning at a random time within a period. */
  start(): void {
    const { ports: { clock }, tuning } = this.#parts;
    this.#next(clock.random() * tuning.probeMs);
  }

  /** Asks no more. */
  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    for (const { timer } of this.#probes) timer?.cancel();
  }

  /** Asks a member out of turn, unless that is being done: somebody else had no answer. */
  check(member: Member): void {
    if ([...this.#probes].some((probe) => probe.member === member && !probe.done)) return;
    this.#begin(member);
  }

  /** Asks a member for another one, where it has answered us; what it signs over the other's nonce goes back. */
  relay(nonce: number, { peerId, hosts, claim }: Member, origin: Address): void {
    const { questions, tuning, send } = this.#parts;
    const [hostname] = hosts;
    if (this.#stopped || hostname === undefined || this.#relayed >= MAX_RELAYED) return;
    const to = { hostname, port: claim.udpPort };
    const done = (kind: ":ack" | ":nack", proof?: Uint8Array) => {
      this.#relayed--;
      if (!this.#stopped) send({ kind, nonce, to: "", proof, isBare: true }, origin);
    };
    this.#relayed++;
    const own = questions.add({
      to: [to],
      timeoutMs: tuning.probeTimeoutMs * 0.8,
      answered: ({ proof }) => {
        done(":ack", proof);
        return true;
      },
      unanswered: () => done(":nack"),
    });
    if (own === undefined) return done(":nack");
    send({ kind: ":ping", nonce: own, to: peerId, relayed: nonce, isBare: true }, to);
  }

  /** Asks a newcomer, twice, and then by every other way. */
  meet(newcomer: Newcomer, done: (arrival: Arrival | undefined) => void): void {
    const { ports: { clock }, questions, tuning, send } = this.#parts;
    const { claim: { subject }, addresses } = newcomer;
    const startMs = clock.now();
    const attempt = (left: number) => {
      if (this.#stopped) return;
      const nonce = questions.add({
        to: addresses,
        timeoutMs: tuning.probeTimeoutMs,
        answered: ({ kind, from: peerId }, { hostname: host }) => {
          if (kind !== ":ack" || peerId !== subject) return false;
          done({ host, path: "direct", rttMs: clock.now() - startMs });
          return true;
        },
        unanswered: () => left > 0 ? attempt(left - 1) : this.#meetOtherwise(newcomer, done),
      });
      if (nonce === undefined) return done(undefined);
      // Nothing else is in it: whoever has not answered yet may not have asked to hear from us.
      for (const address of addresses) {
        send({ kind: ":ping", nonce, to: subject, isBare: true }, address);
      }
    };
    attempt(1);
  }

  #next(delayMs: number): void {
    this.#timer = this.#parts.ports.clock.after(delayMs, () => this.#turn());
  }

  #turn(): void {
    if (this.#stopped) return;
    const { awareness, tuning, roster } = this.#parts;
    const member = roster.next();
    if (member !== undefined) this.check(member);
    this.#next(awareness.scaled(tuning.probeMs));
  }

  #begin(member: Member): void {
    const { ports: { clock }, awareness, tuning, questions, send } = this.#parts;
    const startMs = clock.now();
    const periodMs = awareness.scaled(tuning.probeMs);
    const to = this.#parts.places.of(member);
    const probe: Probe = {
      member,
      incarnation: member.claim.incarnation,
      dueMs: startMs + periodMs,
      isAsked: to.length > 0,
      owing: new Set(),
      relayed: false,
      done: false,
      void: false,
      timer: undefined,
    };
    const nonce = questions.add({
      to,
      timeoutMs: periodMs,
      answered: ({ kind, from }, { hostname: host }) => {
        if (kind !== ":ack" || from !== member.peerId) return false;
        this.#succeed(probe, { host, path: "direct", rttMs: clock.now() - startMs });
        return true;
      },
    });
    if (nonce === undefined) return;
    this.#probes.add(probe);
    const isBare = !member.isReached;
    for (const address of to) send({ kind: ":ping", nonce, to: member.peerId, isBare }, address);
    const timeoutMs = awareness.scaled(tuning.probeTimeoutMs);
    probe.timer = clock.after(timeoutMs, () => this.#late(probe, startMs + timeoutMs));
  }

  /** No answer came in time: others and a stream have the rest of the period. */
  #late(probe: Probe, dueMs: number): void {
    const { ports: { clock } } = this.#parts;
    if (this.#slept(dueMs)) probe.void = true;
    else if (!probe.done) this.#askOthers(probe);
    probe.timer = clock.after(Math.max(0, probe.dueMs - clock.now()), () => this.#conclude(probe));
  }

  #askOthers(probe: Probe): void {
    const { ports, roster, tuning, questions, send, pingByStream } = this.#parts;
    const { member } = probe;
    const { peerId } = member;
    const relays = roster.sample(tuning.relays, (other) => {
      return other !== member && other.state === "alive" && other.path === "direct";
    });
    const leftMs = probe.dueMs - ports.clock.now();
    probe.relayed = relays.length > 0;
    for (const relay of relays) {
      const [address] = packetAddresses(relay);
      if (address === undefined) continue;
      probe.owing.add(relay.peerId);
      const asked: number | undefined = questions.add({
        to: [address],
        timeoutMs: leftMs,
        answered: ({ kind, proof }) => {
          probe.owing.delete(relay.peerId);
          if (kind === ":ack" && this.#parts.proves(member.key, asked ?? 0, proof)) {
            this.#succeed(probe, { host: undefined, path: "relay", rttMs: undefined });
          }
          return true;
        },
      });
      if (asked !== undefined) send({ kind: ":relay", nonce: asked, to: peerId }, address);
    }
    const [address] = streamAddresses(member);
    if (address === undefined || !probe.isAsked) return;
    pingByStream(address, peerId, leftMs, (isThere) => {
      if (!isThere) return;
      this.#succeed(probe, { host: undefined, path: "stream", rttMs: undefined });
    });
  }

  #succeed(probe: Probe, arrival: Arrival): void {
    const isFirst = !probe.done;
    probe.done = true;
    if (isFirst) this.#parts.answered(probe.member, arrival);
  }

  /** What came of a probe when its period ends. */
  #conclude(probe: Probe): void {
    const { awareness, silent } = this.#parts;
    this.#probes.delete(probe);
    if (this.#stopped) return;
    if (probe.done) return awareness.add(-1);
    if (probe.void || this.#slept(probe.dueMs)) return awareness.add(1);
    const { member, incarnation } = probe;
    // Relays that say nothing at all speak against our own network.
    awareness.add(probe.relayed ? probe.owing.size : 1);
    if (member.claim.incarnation === incarnation && isPresent(member)) silent(member);
  }

  /** Whether we were not running when something was due, so that others' silence may be ours. */
  #slept(dueMs: number): boolean {
    const { tuning, ports } = this.#parts;
    return tuning.lifeguard && ports.clock.now() - dueMs > tuning.probeTimeoutMs / 2;
  }

  #meetOtherwise(newcomer: Newcomer, done: (arrival: Arrival | undefined) => void): void {
    const { roster, questions, tuning, send, pingByStream } = this.#parts;
    const { claim: { subject, key, tcpPort }, told, addresses } = newcomer;
    const timeoutMs = 2 * tuning.probeTimeoutMs;
    let left = 0;
    let isOver = false;
    const end = (arrival?: Arrival) => {
      left--;
      if (isOver || this.#stopped || (arrival === undefined && left > 0)) return;
      isOver = true;
      done(arrival);
    };
    left++; // until everybody has been asked
    const [relay] = told.by === subject ? [] : relaysOf(roster.get(told.by));
    if (relay !== undefined) {
      left++;
      const nonce: number | undefined = questions.add({
        to: [relay],
        timeoutMs,
        answered: ({ kind, proof }) => {
          const isThere = kind === ":ack" && this.#parts.proves(key, nonce ?? 0, proof);
          end(isThere ? { host: undefined, path: "relay", rttMs: undefined } : undefined);
          return true;
        },
        unanswered: () => end(),
      });
      if (nonce === undefined) end();
      else send({ kind: ":relay", nonce, to: subject }, relay);
    }
    for (const { hostname } of addresses.slice(0, 2)) {
      left++;
      pingByStream({ hostname, port: tcpPort }, subject, timeoutMs, (isThere) => {
        end(isThere ? { host: hostname, path: "stream", rttMs: undefined } : undefined);
      });
    }
    end();
  }
}

/** Where a member can be asked to ask another one. */
function relaysOf(member: Member | undefined): Address[] {
  return member === undefined || member.path === "stream"
    ? []
    : packetAddresses(member).slice(0, 1);
}
