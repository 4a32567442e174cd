/**
 * The messages by which relays make a palm tree and keep it whole: WireData with str headers, in datagrams without service
 * code to each other's passive sockets.
 *
 * | message | header | id | body |
 * |---|---|---|---|
 * | state update | `gossip_update_state` | nil | `addresses_mapping`: [[id, passive, active], ...] |
 * | tree check | `gossip_tree_check` | who asks | `message_id`, `session_id` |
 * | reject | `gossip_tree_reject` | who does not want | |
 * | upgrade | `gossip_upgrade_connection` | who wants a link | |
 * | downgrade | `gossip_downgrade_connection` | who ends one | |
 * | gather | `gossip_tree_gather` | the sender | `level`, `parent`, `reply_addr` |
 * | stream link | `gossip_add_stream_link`, for files `otm_add_stream_link` | who links | `session_id`, `peer_addr` |
 *
 * A stream link is no datagram but the first frame of a connection; it is answered by the frame `OK`. Between our peers
 * some messages say more, under further keys that the originals do not look at: a state update its number (`seq`, which is
 * acknowledged by `:palm-ack`), who is one of ours (`kith`) and how many of them to ask at once (`children`); an upgrade
 * where to link to (`active_addr`); a gather's answer how far its author is (`report`).
 *
 * Source: the PeerConnect palm tree protocol.
 *
 * @module
 */

import { PALM_LINK_HEADER } from "../transfer/dialects/peerconnect_handshake.ts";
import type { Address } from "../transport/transport.ts";
import { decodeWireData, encodeWireData, type MessageBody, wireData } from "../wire/message.ts";
import { MAX_PARTICIPANTS } from "./hypercube.ts";
import {
  bad,
  pairOf,
  type Participant,
  readAddress,
  readInteger,
  readList,
  readPeerId,
  readSessionId,
  readText,
  type SessionId,
} from "./participant.ts";

const HEADER = {
  stateUpdate: "gossip_update_state",
  treeCheck: "gossip_tree_check",
  treeReject: "gossip_tree_reject",
  upgrade: "gossip_upgrade_connection",
  downgrade: "gossip_downgrade_connection",
  gather: "gossip_tree_gather",
  stateAck: ":palm-ack",
} as const;

/** The payload of the frame that takes a stream link: `OK`. */
export const LINK_OK: Uint8Array = new TextEncoder().encode("OK");

/** Most relays that a report names as corrupting. */
export const MAX_BLAMED = 64;

/** Who a relay's neighbours are. */
export interface StateUpdate {
  /** What it is. */
  readonly type: "state-update";
  /** The neighbours, in their order. */
  readonly neighbors: readonly Participant[];
  /** Its number, to be acknowledged; later ones replace earlier ones. @default none, as from an original */
  readonly seq?: number;
  /** So many neighbours, from the first on, are to become children. @default none: the window rule decides */
  readonly children?: number;
}

/** The question whether somebody wants to be a child. */
export interface TreeCheck {
  /** What it is. */
  readonly type: "tree-check";
  /** Who asks. */
  readonly from: string;
  /** Which question; it stays the same all the way down the tree. */
  readonly messageId: string;
  /** Which session. */
  readonly sessionId: SessionId;
}

/** Somebody asks to be linked to, as a child. */
export interface Upgrade {
  /** What it is. */
  readonly type: "upgrade";
  /** Who. */
  readonly from: string;
  /** Where it takes links, for who does not know it. */
  readonly active?: Address;
}

/** The sender asks everybody where in the tree it is, and everybody answers with the same message. */
export interface Gather {
  /** What it is. */
  readonly type: "gather";
  /** The sender. */
  readonly root: string;
  /** Steps from the sender. */
  readonly level: number;
  /** Who sends to whoever answers; nobody to the sender. */
  readonly parent: string | null;
  /** Where answers go. */
  readonly replyAddr: Address;
  /** In an answer of ours: how far it is. */
  readonly report?: RelayReport;
}

/** What a relay says of itself. */
export interface RelayReport {
  /** Who. */
  readonly peerId: string;
  /** Chunks that it has, all verified. */
  readonly chunks: number;
  /** Bytes of chunks that it has given to others. */
  readonly egressBytes: number;
  /** Relays that gave it something else than what was announced. */
  readonly blamed: readonly string[];
}

/** A control message that was understood. */
export type ControlMessage =
  | StateUpdate
  | TreeCheck
  | Upgrade
  | Gather
  | {
    /** A check or an upgrade is refused, or a link ended. */
    readonly type: "tree-reject" | "downgrade";
    /** By whom. */
    readonly from: string;
  }
  | {
    /** A state update has come. */
    readonly type: "state-ack";
    /** To whom. */
    readonly from: string;
    /** Its number. */
    readonly seq: number;
  };

/** The first frame of a link. */
export interface StreamLink {
  /** Whether the session is one for files. */
  readonly kind: "plain" | "file";
  /** Who links. */
  readonly from: string;
  /** Which session. */
  readonly sessionId: SessionId;
  /** Where who links takes packets. */
  readonly passive: Address;
}

/** A control message, without the datagram's length. */
export function encodeControl(message: ControlMessage): Uint8Array<ArrayBuffer> {
  switch (message.type) {
    case "state-update":
      return write(HEADER.stateUpdate, null, stateBody(message));
    case "tree-check":
      return write(HEADER.treeCheck, message.from, {
        message_id: message.messageId,
        session_id: message.sessionId,
      });
    case "tree-reject":
      return write(HEADER.treeReject, message.from, {});
    case "upgrade": {
      const { active } = message;
      const body = active === undefined ? {} : { active_addr: pairOf(active) };
      return write(HEADER.upgrade, message.from, body);
    }
    case "downgrade":
      return write(HEADER.downgrade, message.from, {});
    case "gather":
      return write(HEADER.gather, message.root, gatherBody(message));
    case "state-ack":
      return write(HEADER.stateAck, message.from, { seq: message.seq });
    default:
      return message satisfies never;
  }
}

/**
 * Reads a control message; what follows it is ignored, as the originals do.
 *
 * @returns `undefined` for a message about something else.
 * @throws {InvalidPacketError} `bad-message` naming the field.
 */
export function parseControl(payload: Uint8Array): ControlMessage | undefined {
  const { header, msgId, body } = decodeWireData(payload, { dialect: "peerconnect" });
  switch (header) {
    case HEADER.stateUpdate:
      return readStateUpdate(body);
    case HEADER.treeCheck:
      return {
        type: "tree-check",
        from: readPeerId(msgId, "id"),
        messageId: readText(body.message_id, "message_id"),
        sessionId: readSessionId(body.session_id, "session_id"),
      };
    case HEADER.treeReject:
      return { type: "tree-reject", from: readPeerId(msgId, "id") };
    case HEADER.upgrade: {
      const { active_addr: pair } = body;
      const more = pair === undefined ? {} : { active: readAddress(pair, "active_addr") };
      return { type: "upgrade", from: readPeerId(msgId, "id"), ...more };
    }
    case HEADER.downgrade:
      return { type: "downgrade", from: readPeerId(msgId, "id") };
    case HEADER.gather:
      return readGather(msgId, body);
    case HEADER.stateAck: {
      const seq = readInteger(body.seq, "seq", 0, Number.MAX_SAFE_INTEGER);
      return { type: "state-ack", from: readPeerId(msgId, "id"), seq };
    }
    default:
      return undefined;
  }
}

/** The first frame of a link, without its length. */
export function encodeStreamLink(link: StreamLink): Uint8Array<ArrayBuffer> {
  return write(PALM_LINK_HEADER[link.kind], link.from, {
    session_id: link.sessionId,
    peer_addr: pairOf(link.passive),
  });
}

/**
 * Reads the first frame of a connection.
 *
 * @returns `undefined` when it opens no palm tree's link.
 * @throws {InvalidPacketError} `bad-message` naming the field.
 */
export function parseStreamLink(payload: Uint8Array): StreamLink | undefined {
  const { header, msgId, body } = decodeWireData(payload, { dialect: "peerconnect" });
  if (header !== PALM_LINK_HEADER.plain && header !== PALM_LINK_HEADER.file) return undefined;
  return {
    kind: header === PALM_LINK_HEADER.file ? "file" : "plain",
    from: readPeerId(msgId, "id"),
    sessionId: readSessionId(body.session_id, "session_id"),
    passive: readAddress(body.peer_addr, "peer_addr"),
  };
}

function write(
  header: string,
  msgId: string | null,
  body: MessageBody,
): Uint8Array<ArrayBuffer> {
  const dialect = "peerconnect";
  return encodeWireData(wireData(header, body, { msgId, dialect }), { dialect });
}

function stateBody({ neighbors, seq, children }: StateUpdate): MessageBody {
  const mapping = neighbors.map(({ peerId, passive, active }) => {
    return [peerId, pairOf(passive), pairOf(active)];
  });
  if (seq === undefined) return { addresses_mapping: mapping };
  const kith = neighbors.map(({ isKith }) => isKith);
  return { addresses_mapping: mapping, seq, kith, ...(children === undefined ? {} : { children }) };
}

function readStateUpdate({ addresses_mapping, seq, kith, children }: MessageBody): StateUpdate {
  const field = "addresses_mapping";
  const isNumbered = seq !== undefined; // else it is from an original
  const isKith = isNumbered ? readList(kith, "kith", MAX_PARTICIPANTS, (one) => one === true) : [];
  const neighbors = readList(addresses_mapping, field, MAX_PARTICIPANTS, (row, at) => {
    if (!Array.isArray(row) || row.length !== 3) throw bad(field, "an entry is no array of 3");
    const [peerId, passive, active]: readonly unknown[] = row;
    return {
      peerId: readPeerId(peerId, field),
      passive: readAddress(passive, field),
      active: readAddress(active, field),
      isKith: isKith[at] ?? false,
    };
  });
  const update = { type: "state-update", neighbors } as const;
  if (!isNumbered) return update;
  const numbered = { ...update, seq: readInteger(seq, "seq", 0, Number.MAX_SAFE_INTEGER) };
  if (children === undefined) return numbered;
  return { ...numbered, children: readInteger(children, "children", 0, neighbors.length) };
}

function gatherBody({ level, parent, replyAddr, report }: Gather): MessageBody {
  const body = { level, parent, reply_addr: pairOf(replyAddr) };
  if (report === undefined) return body;
  const { peerId, chunks, egressBytes, blamed } = report;
  return { ...body, report: [peerId, chunks, egressBytes, blamed.slice(0, MAX_BLAMED)] };
}

function readGather(msgId: unknown, body: MessageBody): Gather {
  const { parent = null, report } = body;
  return {
    type: "gather",
    root: readPeerId(msgId, "id"),
    level: readInteger(body.level, "level", 0, MAX_PARTICIPANTS),
    parent: parent === null ? null : readPeerId(parent, "parent"),
    replyAddr: readAddress(body.reply_addr, "reply_addr"),
    ...(report === undefined ? {} : { report: readReport(report) }),
  };
}

function readReport(value: unknown): RelayReport {
  if (!Array.isArray(value) || value.length !== 4) throw bad("report", "it is not an array of 4");
  const [peerId, chunks, egressBytes, blamed]: readonly unknown[] = value;
  const most = Number.MAX_SAFE_INTEGER;
  return {
    peerId: readPeerId(peerId, "report"),
    chunks: readInteger(chunks, "report", 0, most),
    egressBytes: readInteger(egressBytes, "report", 0, most),
    blamed: readList(blamed, "report", MAX_BLAMED, (id) => readPeerId(id, "report")),
  };
}
