/**
 * What membership needs from outside, and how it is tuned.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import type { Logger } from "../log.ts";
import type { Metrics } from "../metrics.ts";
import type { Address } from "../transport/transport.ts";
import type { MessageBody } from "../wire/message.ts";
import type { Signer, Tags } from "./claims.ts";
import type { MemberEvent } from "./member.ts";

/** How to ask over a stream. */
export interface AskOptions {
  /** Who has to be there; `undefined` for whoever is. */
  readonly peerId: string | undefined;
  /** How long the answer may take in milliseconds. */
  readonly timeoutMs: number;
}

/** Everything that the state machine does to the world. None of these may call it back before it returns. */
export interface SwimPorts {
  /** Time, timers and chance. */
  readonly clock: Clock;
  /** Our key. */
  readonly signer: Signer;
  /** Where to say who lies. */
  readonly log: Logger;
  /** Counts `membership.*`. */
  readonly metrics: Metrics;
  /** Whether a peer is wanted in the group. @default every one is */
  readonly admits?: (peerId: string) => boolean;
  /** A number from 1 to 2^48 that nobody can guess. */
  nonce(): number;
  /** Sends a packet, which may get lost. */
  send(packet: Uint8Array, to: Address): void;
  /** Asks over a stream; calls back once, with nothing where no answer came. */
  ask(
    question: MessageBody,
    to: Address,
    options: AskOptions,
    done: (answer: MessageBody | undefined) => void,
  ): void;
  /** Tells what happened. */
  emit(event: MemberEvent): void;
}

/** What a node says of itself. */
export interface SelfDescription {
  /** A label; empty for none. */
  readonly name: string;
  /** Addresses that it may be reached at, without ports. */
  readonly hosts: readonly string[];
  /** The port that it takes connections on. */
  readonly tcpPort: number;
  /** The port that it takes packets on. */
  readonly udpPort: number;
  /** Its tags. */
  readonly tags: Tags;
}

/** How the protocol is tuned. The figures are memberlist's for local networks unless said otherwise. */
export interface SwimTuning {
  /** Time between two probes in milliseconds. @default {1000} */
  readonly probeMs: number;
  /** How long a direct answer may take in milliseconds. @default {500} */
  readonly probeTimeoutMs: number;
  /** Members that are asked to ask for us. @default {3} */
  readonly relays: number;
  /** Time between two packets of news in milliseconds. @default {200} */
  readonly newsMs: number;
  /** Members that news go to each time. @default {3} */
  readonly fanout: number;
  /** News are passed on this many times ln(members + 2), as SWIM has it: hardly one in members^2 is missed. @default {3} */
  readonly retransmit: number;
  /** A confirmed suspicion lasts this many times log10(members) probes; ours is confirmed sooner. @default {2.25} */
  readonly suspicion: number;
  /** An unconfirmed one lasts this many times as long. @default {6} */
  readonly suspicionMax: number;
  /** Further accusers that confirm one. @default {3} */
  readonly confirmations: number;
  /** Time between two comparisons of all that is known, in milliseconds. @default {30000} */
  readonly syncMs: number;
  /** Time between two looks for those who were lost, for ever, in milliseconds. @default {10000} */
  readonly repairMs: number;
  /** How long the dead and those who have gone are still listed, in milliseconds. @default {3600000} */
  readonly rememberMs: number;
  /** Most members. @default {4096} */
  readonly maxMembers: number;
  /** Whether it takes its own state into account (Lifeguard); plain SWIM is for comparison. @default {true} */
  readonly lifeguard: boolean;
}

/** See {@linkcode SwimTuning}. */
export const SWIM_DEFAULTS: SwimTuning = {
  probeMs: 1_000,
  probeTimeoutMs: 500,
  relays: 3,
  newsMs: 200,
  fanout: 3,
  retransmit: 3,
  suspicion: 2.25,
  suspicionMax: 6,
  confirmations: 3,
  syncMs: 30_000,
  repairMs: 10_000,
  rememberMs: 3_600_000,
  maxMembers: 4_096,
  lifeguard: true,
};
