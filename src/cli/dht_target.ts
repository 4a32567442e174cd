/**
 * What the command line names in the DHT: something of a name, in a place of its author's or one that all share, or
 * whatever is kept under a key.
 *
 * @module
 */

import { fromKey, type NodeId } from "../dht/node_id.ts";
import { faultOfName, MAX_NAME_BYTES, plainKey, signedKey } from "../dht/record.ts";
import { printable } from "../log.ts";
import { loadNetwork } from "../secure/network_file.ts";
import { asPeerId } from "../secure/trust_entry.ts";
import { type Options, UsageError } from "./options.ts";

/** Where something of a name is. */
export interface NamedTarget {
  /** The name. */
  readonly name: string;
  /** Whose: a peer id; `undefined` for anybody's, or our own with `own`. */
  readonly author: string | undefined;
  /** Whether it is in a place of its author's alone. */
  readonly own: boolean;
  /** Whether it is where nobody signs. */
  readonly plain: boolean;
}

/** What KEY means. */
export type Target = NamedTarget | { readonly key: string };

/** What KEY means to who asks for it: a name, `PEERID/NAME`, or a key. @throws {UsageError} when it is none. */
export function parseTarget(options: Options): Target {
  const [, text, ...more] = options.args;
  if (!text || more.length > 0) {
    throw new UsageError("One KEY is wanted: a name, PEERID/NAME or a key");
  }
  const [own, plain] = placeOf(options);
  const named = parseAuthor(options);
  const [, owner, rest] = /^([0-9a-f]{40})\/(.*)$/is.exec(text) ?? [];
  const author = named ?? owner?.toLowerCase();
  if (author !== undefined && plain) throw new UsageError("With --plain nobody is the author");
  const key = author === undefined ? asPeerId(text) : undefined;
  if (key !== undefined && (own || plain)) {
    throw new UsageError("A key of 40 hexadecimal digits says itself what it is of");
  }
  if (key !== undefined) return { key };
  const name = checkedName(named === undefined ? rest ?? text : text);
  return { name, author, own: own || author !== undefined, plain };
}

/** Where to put something. @throws {UsageError} for a name that could not be asked for. */
export function parsePlace(name: string, options: Options): NamedTarget {
  const [own, plain] = placeOf(options);
  if (/^[0-9a-f]{40}(\/|$)/i.test(name)) {
    throw new UsageError(
      "KEY must not begin like a key or a peer id: only that peer puts under its id, with --own",
    );
  }
  return { name: checkedName(name), author: undefined, own, plain };
}

/** A name under which something can be. @throws {UsageError} for any other. */
export function checkedName(name: string): string {
  const fault = name === "" ? "empty" : faultOfName(name.normalize("NFC"));
  if (fault === undefined) return name.normalize("NFC");
  const why = {
    empty: "it is empty",
    "too-large": `it has more than ${MAX_NAME_BYTES} bytes`,
    "not-plain": "it has control characters",
  }[fault];
  throw new UsageError(`"${printable(name, 40)}" is no name: ${why}`);
}

/** The key of what is meant, as `self` asks for it. */
export function keyOf(target: Target, self: string): NodeId {
  if ("key" in target) return fromKey(target.key);
  const { name, author = self, own, plain } = target;
  return plain ? plainKey(name) : signedKey(own ? "own" : "shared", name, author);
}

/** What is meant, for people. */
export function labelOf(target: Target): string {
  if ("key" in target) return target.key;
  const { name, author } = target;
  return author === undefined
    ? printable(name, 64)
    : `${author.slice(0, 8)}/${printable(name, 64)}`;
}

/** Which of the two other places is meant. @throws {UsageError} where that cannot be. */
function placeOf(options: Options): [own: boolean, plain: boolean] {
  const [own, plain] = [options.has("own"), options.has("plain")];
  if (own && plain) throw new UsageError("Only one of --own and --plain can be");
  if (plain && !isClosed(options)) {
    throw new UsageError(
      "Option --plain is for networks with a key: in others anybody could change what nobody signs",
    );
  }
  return [own, plain];
}

function isClosed(options: Options): boolean {
  const [name, keyFile] = [options.text("network"), options.text("key-file")];
  return loadNetwork({ name, keyFile }).network.isSecret;
}

function parseAuthor(options: Options): string | undefined {
  const text = options.text("author");
  if (text === undefined) return undefined;
  const author = asPeerId(text);
  if (author !== undefined) return author;
  throw new UsageError(
    `Option --author must be a peer id of 40 hexadecimal digits: it is ${printable(text, 60)}`,
  );
}
