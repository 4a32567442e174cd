/**
 * Who has joined a mesh: running programs, each for as long as there is a shared link to it.
 *
 * Links come and go: two servers that dial each other at once have two for a moment, and keep one. A member stays the
 * same on whichever the peer table keeps.
 *
 * @module
 */

import type { Endpoint } from "../endpoint/endpoint.ts";
import type { PeerInfo } from "../endpoint/handshake.ts";
import type { Link } from "../endpoint/link.ts";
import type { MeshPeer } from "./mesh_events.ts";

/** How long a member whose link was closed in order may be without one while others are being opened. */
const GRACE_MS = 1_000;

/** A program that has joined. */
export interface Member {
  /** Who it is. */
  readonly peer: PeerInfo;
  /** Its server name. */
  readonly name: string;
  /** Its source hash, empty where it has none. */
  readonly sourceHash: string;
  /** When it joined, in milliseconds since 1970. */
  readonly since: number;
  /** The link that it joined on. */
  readonly link: Link;
}

/** What {@linkcode Members} needs. */
export interface MembersOptions {
  /** Whose links they are on. */
  endpoint: Endpoint;
  /** Links that are being opened. */
  opening: ReadonlySet<Promise<unknown>>;
  /** Hears who has come and gone. @returns what to wait for before more happens, if anything. */
  tell: (type: "joined" | "left", peer: MeshPeer) => Promise<void> | undefined;
}

/** The members of a mesh; see the module. */
export class Members {
  readonly #options: MembersOptions;
  readonly #byProgram = new Map<string, Member>();
  readonly #watched = new WeakSet<Link>();

  /** None. */
  constructor(options: MembersOptions) {
    this.#options = options;
  }

  /** The members, in the order in which they joined. */
  list(): Member[] {
    return [...this.#byProgram.values()];
  }

  /** The peers that they are: of several programs with one id the one that joined last. */
  peers(): MeshPeer[] {
    const newest = new Map(this.list().map((member) => [member.peer.peerId, member]));
    return [...newest.values()].map((member) => this.peerOf(member));
  }

  /** The member that a program is. */
  get(peer: PeerInfo): Member | undefined {
    return this.#byProgram.get(programOf(peer));
  }

  /** The member of that id; of several the one that joined last. */
  find(peerId: string): Member | undefined {
    return this.list().findLast(({ peer }) => peer.peerId === peerId);
  }

  /** Adds a member, which stays until it is removed or has no link any more. */
  add(member: Member): void {
    const { peer, link } = member;
    void this.#change(peer, () => this.#byProgram.set(programOf(peer), member));
    this.#watch(link);
  }

  /** Removes a program, if it is a member. @returns what to wait for before more happens, if anything. */
  remove(peer: PeerInfo): Promise<void> | undefined {
    return this.#change(peer, () => this.#byProgram.delete(programOf(peer)));
  }

  /** Forgets all, and tells nobody. */
  clear(): void {
    this.#byProgram.clear();
  }

  /** The link to a member: the shared one of which both sides know that it stays. */
  linkTo({ peer, link }: Member): Link {
    return this.#options.endpoint.peers.shared(peer) ?? link;
  }

  /** What others are shown of a member. */
  peerOf(member: Member): MeshPeer {
    const { peer: { peerId }, name, sourceHash, since } = member;
    const { remote, rttMs } = this.linkTo(member);
    const status = this.#options.endpoint.peers.statusOf(peerId);
    return { peerId, name, address: remote, sourceHash, since, rttMs, status };
  }

  /** Changes who is a member, and tells what that means for those who know peers by their id. */
  #change({ peerId }: PeerInfo, change: () => void): Promise<void> | undefined {
    const { tell } = this.#options;
    const before = this.find(peerId);
    change();
    const after = this.find(peerId);
    if (before === after) return undefined;
    const full = before && tell("left", this.peerOf(before));
    return after === undefined ? full : tell("joined", this.peerOf(after));
  }

  /** Sees to it that a member does not outlast its links; once for each of them. */
  #watch(link: Link): void {
    if (this.#watched.has(link)) return;
    this.#watched.add(link);
    void link.closed.then((why) => this.#lost(link.peer, why));
  }

  async #lost(peer: PeerInfo, why: unknown): Promise<void> {
    const { peers, clock } = this.#options.endpoint;
    const { opening } = this.#options;
    if (why === undefined && peers.shared(peer) === undefined && opening.size > 0) {
      // Of two links that were opened at once, the other side may have drained one before the other is ready here.
      const enough = Promise.withResolvers<void>();
      const timer = clock.after(GRACE_MS, enough.resolve);
      await Promise.race([enough.promise, Promise.allSettled(opening)]);
      timer.cancel();
    }
    const other = peers.shared(peer);
    if (other === undefined) void this.remove(peer);
    else this.#watch(other);
  }
}

/** Which running program it is: a peer that was restarted is another. */
export function programOf({ peerId, instance = "" }: PeerInfo): string {
  return peerId + instance;
}
