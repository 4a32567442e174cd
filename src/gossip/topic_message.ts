/**
 * What comes of a topic.
 *
 * @module
 */

/** A message of a topic, as it came. */
export interface TopicMessage {
  /** The topic's name. */
  readonly topic: string;
  /** Who wrote it, 40 hexadecimal digits; signed by it, whoever passed it on. */
  readonly from: string;
  /** Its author's number for it: with the author it names the message. */
  readonly seq: number;
  /** When its author wrote it, in milliseconds since 1970, as the author's neighbours had it. */
  readonly createdMs: number;
  /** What was published, in MessagePack. */
  readonly bytes: Uint8Array;
  /** How many peers it came by; 0 where it is our own. */
  readonly hops: number;
}

/** What becomes of a message here: it is passed on; it is dropped; it is dropped and held against who sent it. */
export type Verdict = "accept" | "ignore" | "reject";

/** Something that happened in a topic. */
export type TopicEvent =
  | {
    /** A message has come, of which nobody here knew. */
    readonly type: "message";
    /** It. */
    readonly message: TopicMessage;
  }
  | {
    /** Somebody has become a neighbour, or is none any more. */
    readonly type: "up" | "down";
    /** Who. */
    readonly peerId: string;
    /** How many there are now. */
    readonly neighbors: number;
  }
  | {
    /** Somebody does not let us in. */
    readonly type: "refused";
    /** Who. */
    readonly peerId: string;
  }
  | {
    /** What somebody has kept was compared with what is kept here. */
    readonly type: "compared";
    /** With whom. */
    readonly peerId: string;
    /** Whether nothing is missing here of what was kept there. */
    readonly isEqual: boolean;
  };
