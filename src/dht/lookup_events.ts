/**
 * What a lookup tells while it goes on: who was asked, who answered what, and what was found in the end.
 *
 * @module
 */

import type { Contact } from "./contact.ts";
import type { Answer } from "./questions.ts";

/** A node of a lookup. */
export interface LookupNode {
  /** The node, at the address where it was asked. */
  readonly contact: Contact;
  /** By how many nodes, one naming the next, the way to it went: 1 for one that the lookup began with. */
  readonly depth: number;
  /** Which of the disjoint paths it is on, from 0. */
  readonly path: number;
}

/** A node was asked. */
export interface LookupAsked extends LookupNode {
  /** What happened. */
  readonly type: "asked";
  /** Who named it; `undefined` for one that the lookup began with. */
  readonly by: Contact | undefined;
}

/** A node answered. */
export interface LookupAnswered extends LookupNode {
  /** What happened. */
  readonly type: "answered";
  /** How long it took, in milliseconds. */
  readonly rttMs: number;
  /** What it said, as it came: who is named in it is not checked. */
  readonly answer: Answer;
  /** How many of the nodes that it named are nearer than itself and were not known to its path. */
  readonly nearer: number;
}

/** A node refused, or did not answer. */
export interface LookupFailed extends LookupNode {
  /** What happened. */
  readonly type: "failed";
  /** What went wrong, safe to print. */
  readonly why: string;
  /** The code of the error. */
  readonly code: string;
}

/** The lookup is over. */
export interface LookupDone {
  /** What happened. */
  readonly type: "done";
  /** The nearest k nodes of those that did not fail, the nearest first. Not all of them need have been asked. */
  readonly closest: readonly Contact[];
  /** The keys of all nodes that answered. */
  readonly answered: ReadonlySet<string>;
  /** The depth of the nearest node that answered: how many questions in a row it took. 0 where nobody did. */
  readonly hops: number;
  /** Questions that were asked. */
  readonly asked: number;
  /** Questions that were refused or not answered; what was still open in the end is not among them. */
  readonly failed: number;
  /** How long all of it took, in milliseconds. */
  readonly ms: number;
}

/** What a lookup tells. Each `answered` or `failed` follows an `asked` of the same node, and `done` is the last. */
export type LookupEvent = LookupAsked | LookupAnswered | LookupFailed | LookupDone;
