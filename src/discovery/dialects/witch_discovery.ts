/**
 * Witch-core's discovery: servers announce themselves by UDP broadcast, and whoever listens asks those it hears of for
 * their status before it lists them.
 *
 * ```
 * packet -> decodeWitchAnnouncement -> WitchNodes -> WitchChecks (TCP) -> find()
 * ```
 *
 * Two ports are heard: 8889 for `presence`, 8890 for `node` and ledgers. Nothing is answered on either, so nobody can be
 * made to send to a third. What a packet says is believed of its sender alone, at the address that it came from,
 * whatever `ip` it names; nodes of a ledger are kept as hints and never contacted. Nobody is asked for a status unless
 * somebody looks.
 *
 * @module
 */

import { ClosedError } from "../../errors.ts";
import type { Datagram } from "../../transport/transport.ts";
import {
  decodeWitchAnnouncement,
  type WitchAnnouncement,
  type WitchLedgerNode,
} from "../../wire/witch_announcement.ts";
import { Findings } from "./broadcasts_findings.ts";
import { BroadcastLan, type BroadcastListener, type BroadcastOptions } from "./broadcasts_lan.ts";
import { reasonOf } from "../attempts.ts";
import type { FindForeignOptions, ForeignDiscovery, ForeignPeer } from "../foreign.ts";
import {
  WITCH_NODE_PORT,
  WITCH_PRESENCE_PORT,
  WitchAnnouncer,
  type WitchPorts,
  type WitchServerAnnouncement,
} from "./witch_announcer.ts";
import { type AskStatus, WitchChecks } from "./witch_checks.ts";
import { claimOf, keyOf, type WitchClaim, WitchNodes } from "./witch_nodes.ts";

/** What {@linkcode WitchDiscovery} needs. */
export interface WitchDiscoveryOptions extends BroadcastOptions {
  /** Whom to announce; without it, this end looks and cannot be found. */
  announce?: WitchServerAnnouncement;
  /**
   * Asks a server whether it is up before it is listed, at most 16 at once and each at most once in 30 s. Without it
   * whoever announces itself is listed, there or not.
   */
  ask?: AskStatus;
  /** Where to announce and to listen. @default {{ presence: 8889, node: 8890 }} */
  ports?: WitchPorts;
}

/**
 * Finds witch-core servers and, where it announces one, is found by them; see the module.
 *
 * @example
 * ```ts
 * import { ManualClock } from "@kith/kith";
 * import { WitchDiscovery } from "@kith/kith/discovery";
 * import { MemoryNetwork } from "@kith/kith/transport";
 * import { assertEquals } from "@std/assert";
 *
 * const [network, clock] = [new MemoryNetwork(), new ManualClock()];
 * const lan = { name: "lan", family: "IPv4", broadcast: undefined, index: undefined } as const;
 * const on = (address: string) => ({
 *   clock,
 *   transport: network.host(address),
 *   interfaces: () => [{ ...lan, address, loopback: false }],
 * });
 * await using alice = await WitchDiscovery.open(on("alice"));
 * const announce = { nodeId: crypto.randomUUID(), name: "sums", port: 8888 };
 * await using bob = await WitchDiscovery.open({ ...on("bob"), announce });
 * const end = new AbortController();
 * const looking = Array.fromAsync(alice.find({ signal: end.signal }));
 * await clock.advance(5_000);
 * end.abort();
 * const found = (await looking).map(({ name, address }) => [name, address.hostname]);
 * assertEquals(found, [["sums", "bob"]]);
 * ```
 */
export class WitchDiscovery implements ForeignDiscovery {
  /** Which program's way it speaks. */
  readonly dialect = "witch";
  readonly #lan: BroadcastLan;
  readonly #announce: WitchServerAnnouncement | undefined;
  readonly #ports: Required<WitchPorts>;
  readonly #nodes: WitchNodes;
  readonly #checks: WitchChecks | undefined;
  readonly #findings = new Set<Findings>();
  readonly #listeners: BroadcastListener[] = [];
  #announcer: WitchAnnouncer | undefined;
  #closed = false;

  private constructor(options: WitchDiscoveryOptions) {
    const { announce, ask, ports } = options;
    this.#lan = new BroadcastLan("witch", options);
    this.#announce = announce;
    this.#ports = { presence: WITCH_PRESENCE_PORT, node: WITCH_NODE_PORT, ...ports };
    this.#nodes = new WitchNodes(this.#lan.clock);
    if (ask !== undefined) this.#checks = new WitchChecks(this.#lan, ask);
  }

  /**
   * Starts to listen and, where there is a server to announce, to announce it. One of the two ports is enough.
   *
   * @throws {TransportError} when both ports are taken by programs that do not share them (`details.inUse`).
   * @throws {UnsupportedError} when interfaces may not be listed or UDP is not to be had.
   * @throws {TypeError | RangeError | InvalidPacketError} for an announcement that nobody could read.
   */
  static async open(options: WitchDiscoveryOptions = {}): Promise<WitchDiscovery> {
    const discovery = new WitchDiscovery(options);
    const { announce } = options;
    try {
      await discovery.#listen();
      if (announce !== undefined) {
        const ports = discovery.#ports;
        const announcing = { announce, ports, repeat: Infinity };
        discovery.#announcer = WitchAnnouncer.open(discovery.#lan, announcing);
      }
      return discovery;
    } catch (error) {
      await discovery.close();
      throw error;
    }
  }

  /** What the ledgers of others say of third parties: at most 256 entries, none of which anybody has asked. */
  get hints(): readonly WitchLedgerNode[] {
    return this.#nodes.hints;
  }

  /**
   * Servers as they are found, those that are known first, until the signal aborts or discovery is closed.
   *
   * @throws {ClosedError} when discovery is closed.
   */
  async *find(options: FindForeignOptions = {}): AsyncGenerator<ForeignPeer, void, void> {
    if (this.#closed) throw new ClosedError("Cannot look for witch servers: discovery is closed");
    const findings = new Findings(options.signal);
    this.#findings.add(findings);
    try {
      for (const peer of this.#nodes.listed) findings.add(keyOf(peer), peer);
      for (const claim of this.#nodes.claims) this.#verify(claim);
      yield* findings.results();
    } finally {
      findings.stop();
      this.#findings.delete(findings);
    }
  }

  /** Stops announcing, listening and looking. Harmless when closed. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const findings of this.#findings) findings.stop();
    await Promise.all([
      this.#announcer?.close(),
      this.#checks?.close(),
      ...this.#listeners.map((listener) => listener.close()),
    ]);
  }

  /** The same as {@linkcode WitchDiscovery.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #listen(): Promise<void> {
    const take = (datagram: Datagram) => this.#take(datagram);
    const failures: unknown[] = [];
    for (const port of new Set([this.#ports.presence, this.#ports.node])) {
      try {
        this.#listeners.push(await this.#lan.listen(port, take));
      } catch (error) {
        failures.push(error);
        this.#lan.log.warn("could not listen for servers", { port, why: reasonOf(error) });
      }
    }
    if (this.#listeners.length === 0) throw failures[0];
  }

  #take({ data, from }: Datagram): void {
    const announcement = decodeWitchAnnouncement(data);
    if (this.#isForOthers(announcement)) return;
    this.#lan.count("heard");
    switch (announcement.kind) {
      case "presence":
      case "node": {
        const claim = claimOf(announcement, from);
        if (claim === undefined) this.#lan.count("portless");
        else this.#hear(claim);
        break;
      }
      case "ledger":
        this.#nodes.hearLedger(announcement.ledger);
        break;
      case "discovery": // the original has no listener for it: its hash is that of the time
        break;
      default:
        announcement satisfies never;
    }
  }

  /** Whether it is our own, known by the id, or meant for servers of another program. */
  #isForOthers(announcement: WitchAnnouncement): boolean {
    const { nodeId, hash } = this.#announce ?? {};
    if (nodeId !== undefined && announcement.nodeId === nodeId) {
      this.#lan.count("own");
      return true;
    }
    const isOther = hash !== undefined && "hash" in announcement && announcement.hash !== hash;
    if (isOther) this.#lan.count("other-hash");
    return isOther;
  }

  #hear(claim: WitchClaim): void {
    switch (this.#nodes.hear(claim)) {
      case "known":
        return;
      case "changed":
        return this.#give(claim.peer);
      case "unlisted":
        if (this.#findings.size > 0) this.#verify(claim);
    }
  }

  #verify(claim: WitchClaim): void {
    const list = () => this.#give(this.#nodes.list(claim));
    if (this.#checks === undefined) list();
    else this.#checks.begin(claim.peer.address, list);
  }

  #give(peer: ForeignPeer): void {
    for (const findings of this.#findings) findings.add(keyOf(peer), peer);
  }
}
