/**
 * Telling witch-core's listeners that a server is here: its `presence` to port 8889 and, where it has a source hash,
 * its `node` form to port 8890, every 5 s by every interface.
 *
 * The original sends neither the form that its listener on 8890 takes, nor a tag of its project with it: what is sent
 * here is what that listener needs to enter a server into its ledger.
 *
 * @module
 */

import { sleep } from "../../clock.ts";
import {
  encodeWitchAnnouncement,
  type WitchNode,
  type WitchPresence,
} from "../../wire/witch_announcement.ts";
import type { BroadcastLan } from "./broadcasts_lan.ts";

/** The port that `presence` goes to. */
export const WITCH_PRESENCE_PORT = 8889;

/** The port that `node` and ledgers go to. */
export const WITCH_NODE_PORT = 8890;

/** Time between two announcements in milliseconds, as in the original. */
export const WITCH_ANNOUNCE_MS = 5_000;

/** The project of who names none. */
export const WITCH_DEFAULT_PROJECT = "default";

/** Longest id of a node in UTF-16 units. */
export const MAX_WITCH_ID_CHARS = 128;

/** An address as long as any, for finding out whether an announcement fits. */
const LONGEST_IP = "255.255.255.255";

/** A server that is to be found. Everybody on the network can read all of it. */
export interface WitchServerAnnouncement {
  /** What it is told apart by: one id for each start of a server, as a UUID. 1 to 128 characters. */
  readonly nodeId: string;
  /** A label. */
  readonly name: string;
  /** The TCP port it listens on. */
  readonly port: number;
  /** Its source hash, lower-case hex; without it the `node` form is not sent. */
  readonly hash?: string;
  /** What it speaks. @default {[]} */
  readonly protocols?: readonly string[];
  /** Its project: servers of one find each other. @default {"default"} */
  readonly projectId?: string;
}

/** The ports of both forms. */
export interface WitchPorts {
  /** That of `presence`. @default {8889} */
  presence?: number;
  /** That of `node` and ledgers. @default {8890} */
  node?: number;
}

/** What a {@linkcode WitchAnnouncer} needs. */
export interface WitchAnnouncerOptions {
  /** Who is to be found. */
  announce: WitchServerAnnouncement;
  /** Where to. */
  ports: Required<WitchPorts>;
  /** How many times. */
  repeat: number;
}

/** Announces a server until it was often enough, or closed; see the module. */
export class WitchAnnouncer implements AsyncDisposable {
  readonly #lan: BroadcastLan;
  readonly #options: WitchAnnouncerOptions;
  readonly #closing = new AbortController();
  #done: Promise<void> = Promise.resolve();

  private constructor(lan: BroadcastLan, options: WitchAnnouncerOptions) {
    this.#lan = lan;
    this.#options = options;
  }

  /**
   * Announces at once, and from then on.
   *
   * @throws {TypeError | RangeError} for an announcement that nobody could read.
   * @throws {InvalidPacketError} `too-large` for one that does not fit.
   * @throws {UnsupportedError} when interfaces may not be listed.
   */
  static open(lan: BroadcastLan, options: WitchAnnouncerOptions): WitchAnnouncer {
    const { announce, repeat } = options;
    assertAnnouncement(announce);
    if (!(repeat === Infinity || Number.isInteger(repeat)) || repeat < 1) {
      throw new RangeError(`repeat must be an integer above 0: current value is ${repeat}`);
    }
    // What cannot work shall be said now, and not be noticed by nobody being found.
    lan.interfaces();
    encodeWitchAnnouncement(presenceOf(announce, LONGEST_IP, lan.clock.wallMs()));
    const announcer = new WitchAnnouncer(lan, options);
    announcer.#done = announcer.#run();
    return announcer;
  }

  /** Resolves, and never rejects, when nothing more is announced. */
  get done(): Promise<void> {
    return this.#done;
  }

  /** Stops announcing. Harmless when closed. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#done;
  }

  /** The same as {@linkcode WitchAnnouncer.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    for (let round = 1; !signal.aborted; round++) {
      await this.#lan.tolerate("announce a server", () => this.#announce());
      if (round >= this.#options.repeat) return;
      await sleep(this.#lan.clock, WITCH_ANNOUNCE_MS, { signal }).catch(() => {}); // closed
    }
  }

  async #announce(): Promise<void> {
    const { announce, ports } = this.#options;
    using senders = await this.#lan.openSenders();
    await senders.send(ports.presence, ({ address }) => {
      const presence = presenceOf(announce, address.hostname, this.#lan.clock.wallMs());
      return encodeWitchAnnouncement(presence);
    });
    const node = nodeOf(announce);
    if (node !== undefined) await senders.send(ports.node, () => encodeWitchAnnouncement(node));
    this.#lan.count("announced");
  }
}

function presenceOf(
  announce: WitchServerAnnouncement,
  ip: string,
  wallMs: number,
): WitchPresence {
  const { nodeId, name, port } = announce;
  const serviceInfo = { name, ip, port, protocols: protocolsOf(announce) };
  return { kind: "presence", nodeId, serviceInfo, timestamp: localTime(wallMs) };
}

// Without `ip`: the listener takes the address that the packet came from, which is always right.
function nodeOf(announce: WitchServerAnnouncement): WitchNode | undefined {
  const { nodeId, name, port, hash } = announce;
  if (hash === undefined) return undefined;
  return { kind: "node", nodeId, hash, port, name, protocols: protocolsOf(announce) };
}

/** What a server speaks, and the tag of its project, as the original puts it among them. */
function protocolsOf(announce: WitchServerAnnouncement): string[] {
  const { protocols = [], projectId = WITCH_DEFAULT_PROJECT } = announce;
  return [...new Set([...protocols, `PROJECT:${projectId}`])];
}

/** A moment as the original writes it: ISO 8601 in local time without a zone, with six digits of a second. */
function localTime(wallMs: number): string {
  const zoneMs = new Date(wallMs).getTimezoneOffset() * 60_000;
  const micros = Math.round(wallMs * 1_000) % 1_000;
  const millis = new Date(Math.floor(wallMs) - zoneMs).toISOString().slice(0, -1);
  return millis + String(micros).padStart(3, "0");
}

function assertAnnouncement(announce: WitchServerAnnouncement): void {
  const { nodeId, port, hash } = announce;
  if (nodeId.length < 1 || nodeId.length > MAX_WITCH_ID_CHARS) {
    const range = `1 to ${MAX_WITCH_ID_CHARS} characters`;
    throw new RangeError(`nodeId must have ${range}: it has ${nodeId.length}`);
  }
  if (!Number.isInteger(port) || port < 1 || port > 65535) {
    throw new RangeError(`port must be 1..65535: current value is ${port}`);
  }
  if (hash !== undefined && !/^[0-9a-f]{1,128}$/.test(hash)) {
    throw new TypeError("hash must be 1 to 128 lower-case hex digits");
  }
}
