/**
 * Who is a client of a hub: lets them in by key, room and id, into a new session or the one they had.
 *
 * @module
 */

import { printable } from "../log.ts";
import { folderLabel } from "./client_id.ts";
import { SyncRefusal } from "./close_codes.ts";
import { isRoom, type SyncGate } from "./gate.ts";
import type { LineTerms } from "./line.ts";
import { Member, type MemberEvents, tokensOf } from "./member.ts";
import type { ConnectionRequest, ConnectionResponse } from "./message_types.ts";
import { type Capability, commonCapabilities, commonVersion } from "./protocol.ts";
import { SyncSession } from "./session.ts";

/**
 * Whatever comes is acknowledged at once: the runtime's WebSocket client leaves Nagle's algorithm on, and its second
 * message in a row waits up to 40 ms in the kernel unless something comes back.
 */
const ACK_EVERY = 1;

/** What somebody without a key is told who needs one, whatever the room is called. */
const NEEDS_KEY = "A key is needed: an invite or API key with scope folder:NAME";

/** What a {@linkcode Registry} goes by. */
export interface RegistryOptions {
  /** Who may do what. */
  readonly gate: SyncGate;
  /** The rooms there are; `undefined` for whatever clients name. */
  readonly rooms: readonly string[] | undefined;
  /** What clients may use beyond the seed. */
  readonly capabilities: readonly Capability[];
  /** Most clients, those that are away included. */
  readonly maxClients: number;
  /** Most clients that are away. */
  readonly maxAway: number;
  /** Whether sessions wait for their clients. */
  readonly resumes: boolean;
  /** Makes what the line to a client goes by. */
  readonly events: (member: Member) => MemberEvents;
  /** Told that one has gone for good. */
  readonly onGone: (member: Member, why: Error | undefined) => void;
}

/** A client that was let in. */
export interface Entry {
  /** Who. */
  readonly member: Member;
  /** What its connection goes by. */
  readonly terms: LineTerms;
  /** What it is told besides that it is in. */
  readonly answer: Partial<ConnectionResponse>;
}

/** See the module. */
export class Registry {
  readonly #options: RegistryOptions;
  readonly #members = new Map<string, Member>();
  readonly #rooms = new Map<string, Set<Member>>();

  /** Nobody is in. */
  constructor(options: RegistryOptions) {
    this.#options = options;
  }

  /** Everybody, in the order they came; those who are away, too. */
  get members(): readonly Member[] {
    return [...this.#members.values()];
  }

  /** How many are connected. */
  get connected(): number {
    return this.members.filter(({ line }) => line.connected).length;
  }

  /** Rooms that somebody is in. */
  get rooms(): number {
    return this.#rooms.size;
  }

  /** Who is in a room. */
  inRoom(room: string): Iterable<Member> {
    return this.#rooms.get(room) ?? [];
  }

  /** Lets a client in. @param isLocal Whether it is of this machine. @throws {SyncRefusal} when it may not come in. */
  enter(request: ConnectionRequest, isLocal: boolean): Entry {
    const version = request.versions === undefined ? 1 : commonVersion([...request.versions]);
    if (version === undefined) {
      throw new SyncRefusal("VERSION_UNSUPPORTED", "No version is spoken by both sides");
    }
    const room = this.#roomFor(request, isLocal);
    const capabilities = commonCapabilities(this.#options.capabilities, request.capabilities);
    const known = this.#members.get(request.client_id);
    const resumed = known && resume(known, request, { room, isLocal });
    if (known !== undefined && resumed === undefined) this.#replace(known, request, room);
    const entered = resumed ??
      this.#begin(request, { room, isLocal }, capabilities.includes("resume"));
    const { member, terms } = entered;
    // Who has named nothing gets the seed's answer and no more.
    const isPlain = request.capabilities === undefined && request.versions === undefined;
    const { scope = "read" } = member;
    const { session } = terms;
    const answer = isPlain ? {} : {
      version,
      capabilities,
      scope,
      room,
      ...(session === undefined ? {} : { resume: session.point }),
    };
    return { member, terms: { ...terms, capabilities }, answer };
  }

  /** A client's connection has ended: its session waits, if there is one and room for it. */
  leave(member: Member, nowMs: number, why: Error | undefined): void {
    if (member.line.session === undefined) return member.line.close(why);
    member.awaySinceMs = nowMs;
    const away = this.members.filter(({ line }) => !line.connected);
    if (away.length <= this.#options.maxAway) return;
    const since = (one: Member) => one.awaySinceMs ?? nowMs;
    away.reduce((a, b) => since(a) <= since(b) ? a : b).line.close();
  }

  /** The room that is asked for. @throws {SyncRefusal} when it is not there for this client. */
  #roomFor(request: ConnectionRequest, isLocal: boolean): string {
    const { rooms, gate } = this.#options;
    const [only, ...more] = rooms ?? [];
    const label = folderLabel(request.sync_root);
    const isChosen = only === undefined || more.length > 0 || rooms?.includes(label);
    const room = request.room ?? (isChosen ? label : only);
    // Who may not come in does not learn what there is.
    if (!isRoom(room) || gate.scopeOf(tokensOf(request), room, isLocal) === undefined) {
      const isNamed = tokensOf(request).length > 0;
      const why = isNamed ? "The key does not open this room" : NEEDS_KEY;
      throw new SyncRefusal("AUTHENTICATION_FAILED", why);
    }
    if (rooms === undefined || rooms.includes(room)) return room;
    throw new SyncRefusal("UNKNOWN_ROOM", `There is no room "${printable(room, 64)}"`);
  }

  /** Makes way for a client whose id is known. @throws {SyncRefusal} when that is another's. */
  #replace(known: Member, request: ConnectionRequest, room: string): void {
    const isSame = known.room === room &&
      (known.knows(request) || (!known.line.connected && known.holds(request)));
    if (!isSame) throw new SyncRefusal("CLIENT_ID_IN_USE", "Another client has this client_id");
    known.line.close();
    this.#forget(known, undefined);
  }

  #begin(
    request: ConnectionRequest,
    place: { room: string; isLocal: boolean },
    canResume: boolean,
  ): { member: Member; terms: Omit<LineTerms, "capabilities"> } {
    const { maxClients, gate, events, resumes } = this.#options;
    if (this.#members.size >= maxClients) {
      const limit = { limit: "maxClients", max: maxClients };
      throw new SyncRefusal("CONNECTION_LIMIT", `There are ${maxClients} clients already`, limit);
    }
    const member = new Member(request, place, gate, events);
    this.#members.set(member.clientId, member);
    const others = this.#rooms.get(place.room);
    if (others === undefined) this.#rooms.set(place.room, new Set([member]));
    else others.add(member);
    void member.line.closed.then((why) => this.#forget(member, why));
    const terms = canResume && resumes ? { session: new SyncSession({ ackEvery: ACK_EVERY }) } : {};
    return { member, terms };
  }

  #forget(member: Member, why: Error | undefined): void {
    if (this.#members.get(member.clientId) !== member) return;
    this.#members.delete(member.clientId);
    const others = this.#rooms.get(member.room);
    others?.delete(member);
    if (others?.size === 0) this.#rooms.delete(member.room);
    this.#options.onGone(member, why);
  }
}

/** Goes on with a session, if that is what is asked for, and possible. */
function resume(
  member: Member,
  request: ConnectionRequest,
  { room, isLocal }: { room: string; isLocal: boolean },
): { member: Member; terms: Omit<LineTerms, "capabilities"> } | undefined {
  const { session } = member.line;
  if (session === undefined || member.room !== room || !member.knows(request)) return undefined;
  const resumeFrom = request.resume?.received ?? 0;
  if (session.resume(resumeFrom) === undefined) return undefined;
  member.returns(request, isLocal);
  return { member, terms: { session, resumeFrom, news: "resumed" } };
}
