/**
 * One participant of a palm tree: finds its parent and its children, takes chunks, verifies them and passes them on. A state
 * machine without I/O: packets, links and time in, effects out.
 *
 * ```
 * initial -- sockets are bound --> ready -- state update --> links known -- parent linked, checks sent --> tree checked
 * ```
 *
 * A tree check goes down from the sender. Who gets one and has no parent answers with an upgrade, is linked to, and asks its
 * own neighbours. What the originals leave out: every step is repeated until it is answered, and means the same when it comes
 * twice; a refusal makes room for the next neighbour; who is not invited, or has lost its parent, asks its neighbours itself,
 * one after the other and the sender last, says over the new link what it has, and is sent the rest; a chunk is passed on
 * only when its hash is right, so that whoever gives a wrong one is the one who made it, and is cut off; a child that takes
 * too little is given one chunk at a time, and gives up its own children. Who has everything can stand for the sender.
 *
 * Nobody becomes the descendant of its own child: links carry the path from the sender (`link_frames.ts`), who finds itself
 * in it leaves, and who has no way to the sender takes nobody in.
 *
 * Source: the PeerConnect palm tree protocol.
 *
 * @module
 */

import { TimeoutError } from "../errors.ts";
import type { Address } from "../transport/transport.ts";
import { Admission } from "./admission.ts";
import { Attachment } from "./attachment.ts";
import type { ChunkList } from "./chunk_list.ts";
import { ChunkSet } from "./chunk_set.ts";
import { type ControlMessage, type Gather, MAX_BLAMED, type RelayReport } from "./control.ts";
import { Feeds } from "./feeds.ts";
import type { ChunkFrame, LinkEnd, LinkFrame, PathFrame } from "./link_frames.ts";
import { Links } from "./links.ts";
import { Messenger } from "./messenger.ts";
import { Neighbors } from "./neighbors.ts";
import type { Participant } from "./participant.ts";
import {
  type Envelope,
  RELAY_DEFAULTS,
  RELAY_STATE,
  type RelayOptions,
  type RelayPorts,
  type RelayState,
  type RelayTuning,
} from "./relay_options.ts";
import type { PalmTreeSession } from "./session.ts";
import { type Taken, Upstream } from "./upstream.ts";

/** One participant; see the module. Times are milliseconds of one clock that never runs backwards. */
export class Relay {
  readonly #self: Participant;
  readonly #session: PalmTreeSession;
  #content: ChunkList | undefined;
  readonly #have: ChunkSet;
  readonly #ports: RelayPorts;
  readonly #tuning: RelayTuning;
  readonly #neighbors: Neighbors;
  readonly #messenger: Messenger;
  readonly #links: Links;
  readonly #upstream: Upstream;
  readonly #feeds: Feeds;
  readonly #admission: Admission;
  readonly #attachment: Attachment;
  #state: RelayState = RELAY_STATE.initial;
  #lastSeq = -1;
  #beatDueMs = 0;
  #rootedMs = 0;
  #gather: Gather | undefined;
  #isOver = false;

  /** Makes a relay that waits for its sockets. @throws {RangeError} when `have` is a set of another size. */
  constructor(options: RelayOptions, ports: RelayPorts) {
    const { self, session, content, root, tuning } = options;
    const {
      have = content !== undefined && self.peerId === session.originateId
        ? ChunkSet.full(content.count)
        : new ChunkSet(content?.count),
    } = options;
    if (content !== undefined && have.size !== content.count) {
      throw new RangeError(`Set must be of ${content.count} chunks: it is of ${have.size}`);
    }
    this.#self = self;
    this.#session = session;
    this.#content = content;
    this.#have = have;
    this.#ports = ports;
    this.#tuning = { ...RELAY_DEFAULTS, ...tuning };
    this.#neighbors = new Neighbors(self, session, root);
    this.#messenger = new Messenger(self, session, this.#neighbors, (message, to) => {
      ports.send(message, to);
    });
    this.#links = new Links(ports);
    this.#upstream = new Upstream({
      peerId: self.peerId,
      content: () => this.#content,
      have: this.#have,
      keep: (index, data) => ports.keep(index, data),
      tuning: this.#tuning,
    });
    this.#feeds = new Feeds(this.#have, {
      give: (peerId, index) => ports.give(peerId, index),
      sizeOf: (index) => this.#content?.sizeOf(index) ?? 0,
    }, this.#tuning);
    const parts = {
      neighbors: this.#neighbors,
      upstream: this.#upstream,
      feeds: this.#feeds,
      fanout: session.fanout,
      spare: this.isRoot ? 0 : this.#tuning.spare,
    };
    this.#admission = new Admission(parts, {
      check: (peerId) => this.#messenger.check(peerId),
      connect: (peerId) => this.#connect(peerId),
    });
    this.#attachment = new Attachment({
      ...parts,
      have: this.#have,
      joinMs: this.#tuning.joinMs,
      linkWaitMs: Math.max(session.linkWaitMs, this.#tuning.beatMs),
    }, {
      ask: (peerId) => this.#messenger.upgrade(peerId),
      isChild: (peerId) => this.#feeds.has(peerId),
    });
  }

  /** How far it is. */
  get state(): RelayState {
    return this.#state;
  }

  /** Whether it is the sender. */
  get isRoot(): boolean {
    return this.#self.peerId === this.#session.originateId;
  }

  /** Who sends to it. */
  get parent(): string | undefined {
    return this.#upstream.parent;
  }

  /** Whom it sends to. */
  get children(): string[] {
    return this.#feeds.ids;
  }

  /** Ids from the sender, or from who stands for it, to itself; `undefined` while there is no way. */
  get path(): readonly string[] | undefined {
    return this.#upstream.path;
  }

  /** What it has; all of it verified, where there are hashes. */
  get have(): ChunkSet {
    return this.#have;
  }

  /** Bytes of chunks that each parent gave, those that were there already included. */
  get receivedFrom(): ReadonlyMap<string, number> {
    return this.#upstream.receivedFrom;
  }

  /** What it says of itself. */
  get report(): RelayReport {
    return {
      peerId: this.#self.peerId,
      chunks: this.#have.count,
      egressBytes: this.#feeds.egressBytes,
      blamed: [...this.#neighbors.blamed].slice(0, MAX_BLAMED),
    };
  }

  /** The sockets are bound: from now on packets are understood. Before this an inform may not be answered. */
  ready(): void {
    if (this.#state === RELAY_STATE.initial) this.#state = RELAY_STATE.ready;
  }

  /**
   * The sender begins its tree.
   *
   * @param messageId Names the tree check: a UUID.
   * @param children So many neighbours, from the first on, become children. @default the window rule decides
   */
  begin(
    neighbors: readonly Participant[],
    messageId: string,
    nowMs: number,
    children?: number,
  ): void {
    if (this.#state !== RELAY_STATE.ready) return;
    this.#messenger.messageId = messageId;
    this.#neighbors.set(neighbors, children);
    this.#state = RELAY_STATE.linksKnown;
    this.#spread(nowMs);
  }

  /** Says what the content is, where that was not known from the beginning. @throws {TypeError} when it was. */
  announce(content: ChunkList, nowMs: number): void {
    this.#have.bound(content.count);
    this.#content = content;
    this.#feeds.announced(nowMs);
    if (this.#have.isFull) this.#ports.emit({ type: "complete" }); // there is nothing in it
  }

  /** Makes others known, who are no neighbours: they may ask to be linked to. */
  know(others: readonly Participant[]): void {
    this.#neighbors.know(others);
  }

  /** Whether a packet from an address may be from somebody: who is known is where the sender says. */
  isAt(peerId: string, address: Address): boolean {
    return this.#neighbors.isAt(peerId, address);
  }

  /** Takes a packet. @returns whether it is of the session and for a relay. */
  receive(message: ControlMessage, envelope: Envelope, nowMs: number): boolean {
    if (this.#isOver || this.#state === RELAY_STATE.initial) return false;
    const from = this.#neighbors.senderOf(message, envelope);
    if (from === undefined) return false;
    switch (message.type) {
      case "state-update":
        if (message.seq !== undefined) this.#messenger.acknowledge(message.seq);
        if (this.#isNews(message.seq)) this.#learn(message.neighbors, message.children, nowMs);
        return true;
      case "tree-check":
        if (String(message.sessionId) !== String(this.#session.sessionId)) return false;
        this.#checked(from, message.messageId, nowMs);
        return true;
      case "tree-reject":
        this.#admission.refused(from, nowMs);
        this.#attachment.refused(from, nowMs);
        return true;
      case "upgrade":
        this.#asked(from, nowMs);
        return true;
      case "downgrade":
        if (this.#links.has(from)) this.#cut(from, "leaving", "downgraded", nowMs);
        return true;
      case "gather":
        this.#gather = message;
        this.#answer(message);
        return true;
      case "state-ack":
        return false;
      default:
        return message satisfies never;
    }
  }

  /**
   * Somebody has opened a link to us.
   *
   * @returns whether it becomes the parent: then the link is answered by `OK`, else closed.
   */
  linkOffered(peerId: string, nowMs: number): boolean {
    if (this.#isOver || !this.#attachment.offered(peerId, nowMs)) return false;
    this.#links.add(peerId, this.#neighbors.get(peerId)?.isKith !== true, nowMs);
    this.#ports.emit({ type: "parent", peerId });
    this.#links.tell(peerId, { type: "have", bits: this.#have.toBytes() });
    this.#tellPath();
    this.#spread(nowMs);
    return true;
  }

  /** A link that was to be opened is there, and was answered. */
  linkUp(peerId: string, nowMs: number): void {
    if (!this.#admission.linked(peerId) || this.#isOver) {
      this.#ports.close(peerId);
      return;
    }
    const isRaw = this.#neighbors.get(peerId)?.isKith !== true;
    this.#links.add(peerId, isRaw, nowMs);
    this.#ports.emit({ type: "child", peerId });
    this.#links.tell(peerId, this.#pathFrame(peerId));
    this.#feeds.add(peerId, isRaw, nowMs);
  }

  /** A link that was to be opened could not be, or was not answered. */
  linkFailed(peerId: string, nowMs: number): void {
    this.#admission.failed(peerId, nowMs);
  }

  /** A link has broken; not to be called for one that another with the same peer has replaced. */
  linkDown(peerId: string, nowMs: number): void {
    if (this.#links.has(peerId)) this.#gone(peerId, "closed", nowMs);
  }

  /** Something comes over a link, though no whole frame yet. */
  heard(peerId: string, nowMs: number): void {
    this.#links.heard(peerId, nowMs);
  }

  /**
   * Takes a frame of a link.
   *
   * @throws {InvalidPacketError} when it makes no sense: the link is to be closed, and `linkDown` called.
   */
  frame(peerId: string, frame: LinkFrame, nowMs: number): void {
    if (this.#isOver || !this.#links.has(peerId)) return;
    this.#links.heard(peerId, nowMs);
    const isParent = this.parent === peerId;
    switch (frame.type) {
      case "chunk":
        if (isParent) this.#take(peerId, frame, nowMs);
        return;
      case "path":
        if (isParent) this.#follow(peerId, frame, nowMs);
        return;
      case "have":
        this.#feeds.started(peerId, ChunkSet.fromBytes(frame.bits, this.#have.size), nowMs);
        return;
      case "end":
        this.#cut(peerId, frame.why, frame.why, nowMs);
        return;
      case "beat":
        return; // that it came is all
      default:
        frame satisfies never;
    }
  }

  /** A chunk was written to a child. */
  sent(peerId: string, index: number, nowMs: number): void {
    this.#links.heard(peerId, nowMs);
    this.#feeds.sent(peerId, index, nowMs);
  }

  /** The sender asks everybody where it is. @param replyAddr Where answers come to. */
  gather(replyAddr: Gather["replyAddr"]): void {
    const root = this.#session.originateId;
    const question = { type: "gather", root, level: 0, parent: null, replyAddr } as const;
    this.#messenger.gather(question, this.children);
  }

  /** Repeats what was not answered, and sees who is gone or lagging: to be called every 100 milliseconds or so. */
  tick(nowMs: number): void {
    if (this.#isOver || this.#state === RELAY_STATE.initial) return;
    this.#admission.tick(nowMs);
    this.#watchLinks(nowMs);
    this.#watchParent(nowMs);
    for (const { peerId, isLagging } of this.#feeds.tick(nowMs)) {
      this.#ports.emit({ type: isLagging ? "lagging" : "caught-up", peerId });
      this.#links.tell(peerId, this.#pathFrame(peerId));
    }
    if (nowMs < this.#beatDueMs) return;
    this.#beatDueMs = nowMs + this.#tuning.beatMs;
    this.#tellPath();
    this.#tellCount();
  }

  /** Ends all links. @param why What the others are told. @default {"over"} */
  stop(why: LinkEnd = "over"): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#admission.stop();
    this.#attachment.stop();
    for (const peerId of this.#links.ids) {
      this.#links.end(peerId, why);
      this.#feeds.remove(peerId);
    }
  }

  #isNews(seq: number | undefined): boolean {
    if (seq === undefined) return this.#state < RELAY_STATE.linksKnown; // an original says it once
    const isNews = seq > this.#lastSeq;
    if (isNews) this.#lastSeq = seq;
    return isNews;
  }

  #learn(neighbors: readonly Participant[], children: number | undefined, nowMs: number): void {
    this.#neighbors.set(neighbors, children);
    if (this.#state !== RELAY_STATE.ready) return;
    this.#state = RELAY_STATE.linksKnown;
    this.#rootedMs = nowMs;
    this.#attachment.wait(nowMs);
    if (this.#have.isFull) this.#ports.emit({ type: "complete" }); // it was there already
  }

  #checked(from: string, messageId: string, nowMs: number): void {
    if (this.#state < RELAY_STATE.linksKnown) return; // it asks again
    if (this.parent === from && this.#links.has(from)) return; // the link is the answer
    if (!this.#attachment.invited(from, nowMs)) return this.#messenger.reject(from);
    this.#messenger.messageId = messageId;
  }

  #asked(from: string, nowMs: number): void {
    if (this.#feeds.has(from)) {
      // It may be a late copy of what the link was the answer to.
      if (this.#links.ageOf(from, nowMs) < this.#tuning.beatMs) return;
      this.#cut(from, "leaving", "asks again", nowMs);
    }
    if (!this.#admission.asked(from, nowMs)) this.#messenger.reject(from);
  }

  /** Asks the neighbours to become children: the first time only, later ones ask themselves. */
  #spread(nowMs: number): void {
    if (this.#state === RELAY_STATE.treeChecked) return;
    this.#state = RELAY_STATE.treeChecked;
    this.#admission.begin(nowMs);
  }

  #connect(peerId: string): void {
    const to = this.#neighbors.get(peerId);
    if (to !== undefined) this.#ports.connect(to);
  }

  #take(peerId: string, frame: ChunkFrame, nowMs: number): void {
    let taken: Taken;
    try {
      taken = this.#upstream.take(frame, nowMs);
    } catch (error) {
      return this.#fail(error);
    }
    if (taken === "wrong") {
      this.#neighbors.blamed.add(peerId);
      this.#ports.emit({ type: "corrupt", peerId, index: frame.index });
      return this.#cut(peerId, "bad-chunk", "gave a wrong chunk", nowMs);
    }
    if (taken === "known") return;
    this.#neighbors.forgive();
    this.#feeds.pump(nowMs);
    if (!this.#have.isFull) return;
    this.#ports.emit({ type: "complete" });
    this.#tellCount();
    if (this.#gather !== undefined) this.#answer(this.#gather);
  }

  #follow(peerId: string, frame: PathFrame, nowMs: number): void {
    const { isLoop, isOther, isDemotion } = this.#upstream.follow(frame, nowMs);
    if (isLoop) return this.#cut(peerId, "loop", "loop", nowMs);
    if (isOther) this.#tellPath();
    if (!isDemotion) return;
    for (const child of this.#feeds.ids) {
      this.#messenger.downgrade(child);
      this.#cut(child, "demoted", "demoted", nowMs);
    }
  }

  #answer(question: Gather): void {
    const isRaw = this.parent !== undefined && this.#neighbors.get(this.parent)?.isKith === false;
    // An original tells no path: who asked knows better.
    const depth = isRaw ? undefined : this.path && this.path.length - 1;
    const place = { depth, parent: this.parent, report: this.report };
    this.#messenger.answer(question, place, this.children);
  }

  #watchLinks(nowMs: number): void {
    const silenceMs = Math.max(this.#session.linkWaitMs, 3 * this.#tuning.beatMs);
    for (const peerId of this.#links.silent(silenceMs, nowMs)) {
      this.#cut(peerId, "stalled", "silent", nowMs);
    }
    for (const peerId of this.#feeds.dead(nowMs)) {
      this.#cut(peerId, "stalled", "takes nothing", nowMs);
    }
  }

  #watchParent(nowMs: number): void {
    if (this.#state < RELAY_STATE.linksKnown) return;
    if (this.path !== undefined) this.#rootedMs = nowMs;
    if (nowMs - this.#rootedMs > this.#tuning.giveUpMs) return this.#fail(senderGone(this.#tuning));
    const fault = this.#attachment.tick(nowMs);
    if (fault === undefined || this.parent === undefined) return;
    this.#messenger.downgrade(this.parent);
    this.#cut(this.parent, "stalled", fault, nowMs);
  }

  #fail(error: unknown): void {
    this.#ports.emit({ type: "failed", error });
    this.stop("failed");
  }

  /** Ends a link. */
  #cut(peerId: string, told: LinkEnd, why: string, nowMs: number): void {
    this.#links.end(peerId, told);
    this.#gone(peerId, why, nowMs);
  }

  /** A link has ended, whoever ended it. */
  #gone(peerId: string, why: string, nowMs: number): void {
    this.#links.remove(peerId);
    if (this.#feeds.remove(peerId)) this.#ports.emit({ type: "lost-child", peerId, why });
    if (this.parent !== peerId) return;
    this.#attachment.lost(peerId, nowMs);
    this.#ports.emit({ type: "lost-parent", peerId, why });
    this.#tellPath();
  }

  #tellPath(): void {
    for (const peerId of this.#feeds.ids) this.#links.tell(peerId, this.#pathFrame(peerId));
  }

  #tellCount(): void {
    if (this.parent === undefined) return;
    this.#links.tell(this.parent, { type: "beat", chunks: this.#have.count });
  }

  #pathFrame(peerId: string): PathFrame {
    const isLagging = this.#feeds.isLagging(peerId);
    return { type: "path", path: this.path, chunks: this.#have.count, isLagging };
  }
}

function senderGone({ giveUpMs }: RelayTuning): TimeoutError {
  return new TimeoutError(`Cannot receive: no way to the sender for ${giveUpMs / 1_000} s`, {
    details: { limit: "giveUpMs", max: giveUpMs },
  });
}
