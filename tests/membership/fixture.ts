/**
 * One member under glass: the real state machine, in a world that a test plays.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import type { LogFields } from "../../src/log.ts";
import { silentLogger } from "../../src/log.ts";
import {
  type AliveClaim,
  type Claim,
  type Signer,
  type Tags,
  writeClaim,
} from "../../src/membership/claims.ts";
import type { Member, MemberEvent, MemberInfo } from "../../src/membership/member.ts";
import type { AskOptions, SwimPorts, SwimTuning } from "../../src/membership/options.ts";
import {
  encodePacket,
  type MemberPacket,
  proofOf,
  readPacket,
} from "../../src/membership/packets.ts";
import { BUCKETS, DIGEST_BYTES } from "../../src/membership/roster.ts";
import { Swim } from "../../src/membership/swim.ts";
import { Metrics } from "../../src/metrics.ts";
import { Identity, peerIdOf, verify } from "../../src/secure/identity.ts";
import type { SimHost, Simulation } from "../../src/testing/mod.ts";
import { simSigner, SwimNode } from "../../src/testing/swim_node.ts";
import { type Address, formatAddress } from "../../src/transport/transport.ts";
import { decodeDatagram } from "../../src/wire/datagram.ts";
import { decodeWireData, type MessageBody } from "../../src/wire/message.ts";
import { CountingClock } from "./counting_clock.ts";

/** The group's digest here. */
export const PROJECT = "6b697468206d656d";

/** What everybody here begins with: as large as real ones, which are made of the time. */
export const FIRST = 2 ** 50;

const UDP_PORT = 3_486;
const TCP_PORT = 3_485;

/** What somebody says about others or of itself, signed. */
export interface Said {
  readonly incarnation?: number;
  readonly hosts?: readonly string[];
  readonly udpPort?: number;
  readonly name?: string;
  readonly tags?: Tags;
  readonly project?: string;
}

/** Somebody in the world around the member: it does what a test tells it. */
export class Other {
  readonly signer: Signer;
  readonly peerId: string;
  readonly address: Address;
  incarnation = FIRST;
  /** Whether it answers packets. */
  answers = true;
  /** What it answers over streams; nothing unless told. */
  stream: ((question: MessageBody) => MessageBody | undefined) | undefined;

  constructor(name: string, hostname: string, signer: Signer = simSigner(name)) {
    this.signer = signer;
    this.peerId = signer.peerId;
    this.address = { hostname, port: UDP_PORT };
  }

  /** "I am here". */
  alive(said: Said = {}): Uint8Array {
    const { incarnation = this.incarnation, hosts = [this.address.hostname], project } = said;
    const { udpPort = UDP_PORT, name = "", tags = {} } = said;
    const claim: AliveClaim = {
      kind: "alive",
      subject: this.peerId,
      incarnation,
      key: this.signer.publicKey,
      name,
      hosts,
      tcpPort: TCP_PORT,
      udpPort,
      tags,
    };
    return this.#write(claim, project);
  }

  /** "I am going". */
  left({ incarnation = this.incarnation, project }: Said = {}): Uint8Array {
    return this.#write({ kind: "left", subject: this.peerId, incarnation }, project);
  }

  /** "It does not answer me". */
  suspects(peerId: string, { incarnation = FIRST, project }: Said = {}): Uint8Array {
    const accuser = this.peerId;
    return this.#write({ kind: "suspect", subject: peerId, incarnation, accuser }, project);
  }

  /** What shows that it is there to whoever asked somebody else with that nonce. */
  proof(nonce: number, project: string = PROJECT): Uint8Array {
    return this.signer.sign(proofOf(project, nonce));
  }

  #write(claim: Claim, project = PROJECT): Uint8Array {
    return writeClaim(claim, project, this.signer);
  }
}

/** A packet that the member sent. */
export interface Sent extends MemberPacket {
  readonly address: Address;
  readonly bytes: number;
}

/** A question that it asked over a stream. */
export interface Asked {
  readonly question: MessageBody;
  readonly to: Address;
  readonly options: AskOptions;
  readonly done: (answer: MessageBody | undefined) => void;
}

/** The member. */
export class Glass {
  readonly time = new ManualClock();
  readonly clock = new CountingClock(this.time);
  readonly metrics = new Metrics();
  readonly me = new Other("me", "10.0.0.1");
  readonly swim: Swim;
  readonly sent: Sent[] = [];
  readonly asked: Asked[] = [];
  readonly events: MemberEvent[] = [];
  readonly warnings: LogFields[] = [];
  readonly #others = new Map<string, Other>();
  #nonce = 0;

  constructor(tuning: Partial<SwimTuning> = {}) {
    const { hostname } = this.me.address;
    const ports: SwimPorts = {
      clock: this.clock,
      signer: this.me.signer,
      log: { ...silentLogger, warn: (_, fields = {}) => void this.warnings.push(fields) },
      metrics: this.metrics,
      nonce: () => ++this.#nonce,
      send: (packet, to) => this.#send(packet, to),
      ask: (question, to, options, done) => this.#ask({ question, to, options, done }),
      emit: (event) => void this.events.push(event),
    };
    const self = { name: "me", hosts: [hostname], tcpPort: TCP_PORT, udpPort: UDP_PORT, tags: {} };
    this.swim = new Swim({ ports, project: PROJECT, self, incarnation: FIRST, tuning });
  }

  /** Adds somebody to the world, whom the member does not know yet. */
  add(name: string, signer?: Signer): Other {
    const other = new Other(name, `10.0.1.${this.#others.size + 1}`, signer);
    this.#others.set(formatAddress(other.address), other);
    return other;
  }

  /** Adds members: they say who they are, and answer. */
  async join(...names: string[]): Promise<Other[]> {
    const others = names.map((name) => this.add(name));
    for (const other of others) this.news(other, other.alive());
    await this.time.advance(5);
    for (const other of others) assertEquals(this.member(other)?.path, "direct");
    return others;
  }

  /** A packet with nothing but claims comes from somebody. */
  news(from: Other, ...claims: Uint8Array[]): void {
    this.packet(from, { kind: ":news", claims });
  }

  /** A packet comes from somebody. */
  packet(
    from: Other,
    packet: Partial<MemberPacket> & Pick<MemberPacket, "kind">,
    address: Address = from.address,
  ): number {
    const whole = { nonce: 0, project: PROJECT, from: from.peerId, to: "", claims: [], ...packet };
    const bytes = encodePacket(whole);
    this.receive(bytes, address);
    return bytes.length;
  }

  /** Bytes come from somewhere. */
  receive(bytes: Uint8Array, from: Address): void {
    const { payload } = decodeDatagram(bytes, { code: true, exact: true });
    this.swim.receive(decodeWireData(payload), from, bytes.length);
  }

  /** What the member knows of somebody. */
  member({ peerId }: Other): MemberInfo | undefined {
    return this.swim.members().find((member) => member.peerId === peerId);
  }

  /** What happened to members so far, in order. */
  get happened(): string[] {
    return this.events.map(({ type }) => type);
  }

  /** Takes what was sent to somebody so far. */
  sentTo({ address }: Other): Sent[] {
    return this.sent.filter((one) => formatAddress(one.address) === formatAddress(address));
  }

  count(what: string): number {
    return this.metrics.counter(`membership.${what}`).value;
  }

  #send(bytes: Uint8Array, to: Address): void {
    const { payload } = decodeDatagram(bytes, { code: true, exact: true });
    const packet = readPacket(decodeWireData(payload));
    this.sent.push({ ...packet, address: to, bytes: bytes.length });
    const other = this.#others.get(formatAddress(to));
    if (other === undefined || packet.kind !== ":ping" || packet.to !== other.peerId) return;
    const { nonce, relayed = 0 } = packet;
    const proof = relayed === 0 ? undefined : other.proof(relayed);
    this.time.after(1, () => {
      if (other.answers) this.packet(other, { kind: ":ack", nonce, project: "", proof });
    });
  }

  #ask(asked: Asked): void {
    this.asked.push(asked);
    const { hostname } = asked.to;
    const other = this.#others.get(formatAddress({ hostname, port: UDP_PORT }));
    const answer = other?.stream?.(asked.question);
    const delayMs = answer === undefined ? asked.options.timeoutMs : 1;
    this.time.after(delayMs, () => asked.done(answer));
  }
}

/** Simulated members that join the first of them. */
export function spawnGroup(
  simulation: Simulation,
  names: readonly string[],
  onEvent: (event: MemberEvent, host: SimHost) => void = () => {},
): SwimNode[] {
  let first: Address | undefined;
  return names.map((name) => {
    return simulation.spawn(name, (host) => {
      const node = new SwimNode(host, { onEvent });
      first ??= host.address;
      if (first !== host.address) node.swim.join(first);
      return node;
    });
  });
}

/** The real signatures, of a key that is always the same. */
export function realSigner(byte: number): Signer {
  const identity = Identity.fromSeed(new Uint8Array(32).fill(byte));
  return {
    peerId: identity.peerId,
    publicKey: identity.publicKey,
    sign: (bytes) => identity.sign(bytes),
    verify,
    idOf: peerIdOf,
  };
}

/** A member as a roster keeps it. */
export function memberOf(peerId: string, incarnation: number = FIRST): Member {
  const key = new Uint8Array(32);
  const ports = { tcpPort: TCP_PORT, udpPort: UDP_PORT };
  const said = { kind: "alive", subject: peerId, incarnation, key, name: "" } as const;
  return {
    peerId,
    key,
    claim: { ...said, hosts: [], ...ports, tags: {} },
    signed: new Uint8Array(),
    state: "alive",
    why: "",
    confirmedBy: [],
    sinceMs: 0,
    changedMs: 0,
    suspicion: undefined,
    accusation: undefined,
    leaving: undefined,
    hosts: [],
    rttMs: undefined,
    path: undefined,
    isReached: true,
    heardMs: 0,
    refuted: 0,
    refutedSinceMs: 0,
  };
}

/** A claim whose signature has another last bit. */
export function forged(claim: Uint8Array): Uint8Array {
  const bytes = claim.slice();
  bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
  return bytes;
}

/** A comparison that somebody asks for, or answers: it knows nobody else. */
export function comparison(by: Other, claims: readonly Uint8Array[] = [by.alive()]): MessageBody {
  return {
    t: "sync",
    p: Uint8Array.fromHex(PROJECT),
    from: Uint8Array.fromHex(by.peerId),
    d: new Uint8Array(DIGEST_BYTES),
    c: claims,
  };
}

/** The only one of its kind. */
export function single<T>(items: readonly T[]): T {
  const [item] = items;
  assert(items.length === 1 && item !== undefined, `${items.length} instead of one`);
  return item;
}

/** The bucket of an id, worked out another way than the roster does. */
export function bucketByHand(peerId: string): number {
  return Number(BigInt(`0x${peerId}`) >> 152n) % BUCKETS;
}
