/**
 * Membership on real sockets: the state machine of `swim.ts`, its packets on the peer's UDP port, its questions on
 * connections that prove who is there, and news of members for whoever watches.
 *
 * | header          | kind              | answer                                                              |
 * |-----------------|-------------------|---------------------------------------------------------------------|
 * | `members.ask`   | request, by peers | what `syncer.ts` says                                               |
 * | `members.list`  | request           | every member, this one first                                        |
 * | `members.watch` | request, in parts | every member, and what happens to them from now on                  |
 *
 * @module
 */

import { createHash, randomBytes } from "node:crypto";
import type { Timer } from "../clock.ts";
import { ClosedError, PeerError } from "../errors.ts";
import { linkOf, type RequestContext } from "../endpoint/dispatcher.ts";
import { layerLog, printable } from "../log.ts";
import { peerIdOf, verify } from "../secure/identity.ts";
import { isHostAddress } from "../transport/ip_address.ts";
import type { Address } from "../transport/transport.ts";
import { SERVICE_CODE } from "../wire/datagram.ts";
import { Watchers } from "../watchers.ts";
import type { MessageBody } from "../wire/message.ts";
import { MAX_HOSTS, type Tags } from "./claims.ts";
import { beginIncarnation, keepIncarnation } from "./epoch.ts";
import { describeEvent, describeMember } from "./description.ts";
import type { MemberEvent, MemberInfo } from "./member.ts";
import type { MemberMemory, MembershipOptions, MembershipParts } from "./membership_options.ts";
import type { SelfDescription } from "./options.ts";
import { PROJECT_BYTES } from "./packets.ts";
import { Seeker } from "./seeker.ts";
import { StreamQuestions } from "./stream_questions.ts";
import { Swim } from "./swim.ts";

export type {
  MemberDirectory,
  MemberMemory,
  MembershipOptions,
  MembershipParts,
} from "./membership_options.ts";

/** What a peer that takes part says it can do. */
export const MEMBERSHIP_CAPABILITY = "members/1";

/** Time between two looks whether our addresses have changed, or our incarnation has to be written, in milliseconds. */
const KEEP_MS = 10_000;

/** How long a goodbye may take to leave, in milliseconds. */
const GOODBYE_MS = 250;

/**
 * Who is in the group; see the module.
 *
 * @example Two members
 * ```ts
 * import { Peer } from "@kith/kith";
 * import { assertEquals } from "@std/assert";
 *
 * await using bob = await Peer.open({ name: "bob", hostname: "127.0.0.1", port: 0, announce: false });
 * await using alice = await Peer.open({ name: "alice", hostname: "127.0.0.1", port: 0, announce: false });
 * await bob.join();
 * const members = await alice.join({ seeds: [bob.address ?? { hostname: "127.0.0.1", port: 0 }] });
 *
 * for await (const event of members.watch()) {
 *   if (event.type !== "joined") continue;
 *   assertEquals(event.member.name, "bob");
 *   break;
 * }
 * ```
 */
export class Membership implements AsyncDisposable {
  /** Only members of the same project see each other. */
  readonly project: string;
  readonly #parts: MembershipParts;
  readonly #swim: Swim;
  readonly #watchers: Watchers<MemberEvent>;
  readonly #closing = new AbortController();
  readonly #questions: StreamQuestions;
  readonly #noted = new Set<string>();
  readonly #joining = new Set<(ok: boolean) => void>();
  readonly #registrations: DisposableStack;
  readonly #seeker: Seeker;
  readonly #since: number;
  #tags: Tags;
  #kept: number;
  #timer: Timer | undefined;
  #hosts: string;
  #isSilent = false;

  /**
   * Takes part from now on.
   *
   * @throws {RangeError} when name and tags are too long. @throws {TypeError} when the endpoint takes part already.
   */
  constructor(parts: MembershipParts, options: MembershipOptions = {}) {
    const { endpoint, identity, home, directory, memory } = parts;
    const { project = "default", tags = {}, seeds = [], tuning = {} } = options;
    const { clock, metrics } = endpoint;
    const log = layerLog(endpoint.log, "membership");
    this.project = project;
    this.#parts = parts;
    this.#tags = tags;
    this.#since = clock.wallMs();
    this.#watchers = new Watchers({
      onDrop: () => metrics.counter("membership.events-dropped").add(),
    });
    this.#questions = new StreamQuestions(endpoint);
    const self = this.#describeSelf();
    this.#hosts = self.hosts.join();
    this.#kept = beginIncarnation(home, clock);
    this.#swim = new Swim({
      ports: {
        clock,
        log,
        metrics,
        signer: {
          peerId: identity.peerId,
          publicKey: identity.publicKey,
          sign: (bytes) => identity.sign(bytes),
          verify,
          idOf: peerIdOf,
        },
        nonce: () => 1 + randomBytes(6).readUIntBE(0, 6),
        send: (packet, to) => void this.#send(packet, to),
        ask: (question, to, how, done) => this.#questions.ask(question, to, how, done),
        emit: (event) => this.#happened(event),
        ...(parts.admits === undefined ? {} : { admits: parts.admits }),
      },
      project: createHash("sha256").update(project).digest("hex").slice(0, 2 * PROJECT_BYTES),
      self,
      incarnation: this.#kept,
      tuning,
    });
    this.#registrations = this.#register();
    this.#seeker = new Seeker({
      clock,
      log,
      seeds,
      directory,
      isKnown: (peerId) => this.#isKnown(peerId),
      isAlone: () => this.#swim.present === 1,
      join: (address) => this.#joinAt(address),
    });
    this.#swim.start();
    this.#keep();
    void this.#recall(memory);
  }

  /** Everybody who is known, this peer first. */
  members(): MemberInfo[] {
    return [this.self, ...this.#swim.members()];
  }

  /** The member of that id. */
  get(peerId: string): MemberInfo | undefined {
    return this.members().find((member) => member.peerId === peerId);
  }

  /** This peer, as the others see it. */
  get self(): MemberInfo {
    const { identity } = this.#parts;
    const { name, hosts, tcpPort, udpPort, tags } = this.#describeSelf();
    return {
      peerId: identity.peerId,
      name,
      state: "alive",
      why: "it says so itself",
      confirmedBy: [],
      since: this.#since,
      incarnation: this.#swim.incarnation,
      addresses: hosts.map((hostname) => ({ hostname, port: udpPort })),
      streamAddresses: hosts.map((hostname) => ({ hostname, port: tcpPort })),
      tags,
      rttMs: 0,
      path: "direct",
    };
  }

  /** Whether packets do not get through, so that connections are used, which costs more and takes longer. */
  get degraded(): boolean {
    return this.#swim.degraded;
  }

  /** Changes our tags. @throws {RangeError} when they are too long. */
  setTags(tags: Tags): void {
    const before = this.#tags;
    this.#tags = tags;
    try {
      this.#swim.describe(this.#describeSelf());
    } catch (error) {
      this.#tags = before;
      throw error;
    }
  }

  /** Joins whoever is at an address that takes connections. @returns whether it answered. */
  async join(address: Address): Promise<boolean> {
    return await this.#joinAt(address);
  }

  /** Resolves when everybody who could be found at the start was asked. */
  get ready(): Promise<void> {
    return this.#seeker.firstLook;
  }

  /**
   * What happens from now on, until the signal aborts, this is closed or the loop is left. Overflow policy: where 1024
   * events wait the oldest are dropped and counted; {@linkcode Membership.members} tells what is.
   */
  watch(options: { signal?: AbortSignal } = {}): AsyncGenerator<MemberEvent, void, void> {
    return this.#watchers.watch(options);
  }

  /** Says goodbye and takes part no more. Harmless when closed. */
  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#swim.leave();
    await this.#questions.settled(GOODBYE_MS);
    this.#closing.abort(new ClosedError("The membership is closed"));
    this.#questions.close();
    this.#timer?.cancel();
    this.#swim.stop();
    this.#fallSilent();
    this.#registrations.dispose();
    this.#watchers.close();
    this.#forget(() => true);
    await this.#seeker.close();
    await this.#questions.settled();
    this.#keepNow();
  }

  /** The same as {@linkcode Membership.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #register(): DisposableStack {
    const { endpoint, udp } = this.#parts;
    using stack = new DisposableStack();
    stack.use(udp.requests.register(SERVICE_CODE.membership, (event) => {
      this.#swim.receive(event.request, event.fromAddr, event.packetBytes ?? 0);
    }, { priority: "control" }));
    const ask = (body: MessageBody, call: RequestContext) => {
      const { peer: { peerId }, remote } = linkOf(call);
      return this.#swim.answer(body, peerId, remote.hostname);
    };
    stack.use(endpoint.handle("members.ask", ask, { access: "private", priority: "control" }));
    stack.use(endpoint.handle("members.list", () => this.members().map(describeMember)));
    stack.use(endpoint.handle("members.watch", (_, { signal }) => this.#describeEvents(signal)));
    stack.use(endpoint.offer(MEMBERSHIP_CAPABILITY));
    return stack.move();
  }

  async *#describeEvents(signal: AbortSignal): AsyncGenerator<unknown, void, void> {
    const events = this.watch({ signal }); // from now on, so that nothing falls between
    for (const member of this.members()) yield { event: "member", ...describeMember(member) };
    for await (const event of events) yield describeEvent(event);
  }

  #describeSelf(): SelfDescription {
    const { endpoint, udp, hosts } = this.#parts;
    return {
      name: endpoint.self.name,
      hosts: hosts().filter(isHostAddress).slice(0, MAX_HOSTS),
      tcpPort: endpoint.address?.port ?? 0,
      udpPort: udp.address.port,
      tags: this.#tags,
    };
  }

  async #send(packet: Uint8Array, to: Address): Promise<void> {
    const { udp, endpoint } = this.#parts;
    try {
      await udp.send(packet, to);
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      endpoint.metrics.counter("membership.unsent").add();
    }
  }

  async #joinAt(address: Address): Promise<boolean> {
    if (this.#isSilent) return false;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.#joining.add(resolve);
    this.#swim.join(address, resolve);
    return await promise.finally(() => this.#joining.delete(resolve));
  }

  /** Nothing is asked any more, and no answer is waited for. */
  #fallSilent(): void {
    this.#isSilent = true;
    for (const resolve of this.#joining) resolve(false);
  }

  #isKnown(peerId: string): boolean {
    const { identity } = this.#parts;
    if (peerId === identity.peerId) return true;
    const state = this.#swim.members().find((member) => member.peerId === peerId)?.state;
    return state === "alive" || state === "suspect";
  }

  #happened(event: MemberEvent): void {
    const { endpoint: { log: root, peers }, memory } = this.#parts;
    const log = layerLog(root, "membership");
    if ("member" in event) {
      const { peerId, name, state, why, since, streamAddresses } = event.member;
      peers.note(peerId, { state, why, since });
      this.#noted.add(peerId);
      log.info(`member ${event.type}`, { peerId, name: printable(name, 64), why });
      if (state === "alive") memory?.remember({ peerId, name, addresses: streamAddresses });
    } else {
      log.warn(`membership ${event.type}`, { why: event.why });
      if (event.type === "usurped") this.#fallSilent();
    }
    this.#watchers.push(event);
  }

  async #recall(memory: MemberMemory | undefined): Promise<void> {
    if (memory === undefined) return;
    try {
      this.#swim.remember(await memory.addresses());
    } catch (error) {
      layerLog(this.#parts.endpoint.log, "membership").warn("cannot recall who was here before", {
        why: String(error),
      });
    }
  }

  #keep(): void {
    this.#timer = this.#parts.endpoint.clock.after(KEEP_MS, () => {
      this.#describeAgain();
      this.#keepNow();
      this.#forgetStrangers();
      this.#keep();
    });
  }

  /** Interfaces come and go: the others hear where we are now. */
  #describeAgain(): void {
    const self = this.#describeSelf();
    if (this.#isSilent || self.hosts.join() === this.#hosts) return;
    this.#hosts = self.hosts.join();
    this.#swim.describe(self);
  }

  /** The peer table knows nothing of those who are no longer listed. */
  #forgetStrangers(): void {
    const listed = new Set(this.#swim.members().map(({ peerId }) => peerId));
    this.#forget((peerId) => !listed.has(peerId));
  }

  #forget(isMeant: (peerId: string) => boolean): void {
    for (const peerId of [...this.#noted].filter(isMeant)) {
      this.#noted.delete(peerId);
      this.#parts.endpoint.peers.note(peerId, undefined);
    }
  }

  #keepNow(): void {
    const { incarnation } = this.#swim;
    if (incarnation === this.#kept) return;
    this.#kept = incarnation;
    try {
      keepIncarnation(this.#parts.home, incarnation);
    } catch (error) {
      layerLog(this.#parts.endpoint.log, "membership").warn(
        "cannot write what to begin with next time",
        {
          why: String(error),
        },
      );
    }
  }
}
