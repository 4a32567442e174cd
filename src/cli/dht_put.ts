/**
 * `kith dht put`
 *
 * @module
 */

import type { DhtPut } from "../dht/dht_options.ts";
import { MAX_LIFETIME_S, MAX_VALUE_BYTES } from "../dht/record.ts";
import { PeerError } from "../errors.ts";
import { printable } from "../log.ts";
import { encode } from "../wire/msgpack.ts";
import { readData } from "./data_form.ts";
import { openClient, patience } from "./dht_client.ts";
import { labelOf, parsePlace } from "./dht_target.ts";
import { asUsage, type Options, UsageError } from "./options.ts";
import type { Output } from "./output.ts";
import type { Invocation } from "./verbs.ts";

/** The longest that nodes keep what nobody puts again. */
const MAX_TTL_MS = 1_000 * MAX_LIFETIME_S;

/** Puts a value under a name, or one that nobody can change under its own key. */
export async function runPut(invocation: Invocation): Promise<void> {
  const { options, output } = invocation;
  const ttl = parseTtl(options);
  if (options.has("immutable")) {
    const value = await parseStored(invocation);
    await using used = await openClient(invocation);
    const { peer } = used;
    using limit = patience(invocation);
    const put = await peer.dht.store(value, { ...ttl, signal: limit.signal });
    return showPut(put, "stored", output);
  }
  const [, name, ...words] = options.args;
  if (!name || words.length === 0) throw new UsageError("KEY and VALUE are wanted");
  const place = parsePlace(name, options);
  const cas = parseCas(options);
  const value = await readValue(words, invocation, { maxBytes: MAX_VALUE_BYTES, encode });
  await using used = await openClient(invocation);
  const { peer } = used;
  using limit = patience(invocation);
  const { own, plain } = place;
  const put = await peer.dht.put(name, value, { own, plain, ...cas, ...ttl, signal: limit.signal });
  const label = labelOf(own ? { ...place, author: peer.peerId } : place);
  showPut(put, `put ${label}`, output);
}

/** How a value is written, and how long that may be. */
interface ValueForm {
  readonly maxBytes: number;
  readonly encode: (value: unknown) => Uint8Array;
}

/** The value that the command line gives, or stdin. @throws {UsageError} for one that is too large or of no such form. */
export async function readValue(
  words: readonly string[],
  invocation: Invocation,
  { maxBytes, encode }: ValueForm,
): Promise<unknown> {
  try {
    const value = await readData(words, invocation, maxBytes);
    const { length } = asUsage(() => encode(value));
    if (length <= maxBytes) return value;
    throw new UsageError(`A value has at most ${maxBytes} bytes in MessagePack: it has ${length}`);
  } catch (error) {
    const isLarge = error instanceof PeerError && error.code === "too-large";
    throw isLarge ? new UsageError(error.message) : error;
  }
}

/** Shows where something is now. */
export function showPut(put: DhtPut, what: string, output: Output): void {
  const { key, seq, holders, unconfirmed, refused, silent, hops } = put;
  const confirmed = holders === 0 && silent === 0
    ? "kept by this peer, until there are others"
    : holders === 1
    ? "1 node confirms"
    : `${holders} nodes confirm`;
  const others = [
    ...(unconfirmed > 0 ? [`${unconfirmed} more were given it`] : []),
    ...(refused > 0 ? [`${refused} refused`] : []),
    ...(silent > 0 ? [`${silent} did not answer`] : []),
  ];
  const version = seq === undefined ? "" : `  version ${seq}`;
  output.result(
    { key, seq: seq ?? null, holders, unconfirmed, refused, silent, hops },
    `${what}  ${[confirmed, ...others].join(", ")}  key ${key}${version}`,
  );
}

/** What is stored under its own key. @throws {UsageError} for options that are of names. */
async function parseStored(invocation: Invocation): Promise<unknown> {
  const { options } = invocation;
  const [, ...words] = options.args;
  if (words.length === 0) throw new UsageError("VALUE is wanted");
  const other = ["own", "plain"].find((name) => options.has(name)) ??
    (options.text("cas") === undefined ? undefined : "cas");
  if (other !== undefined) {
    throw new UsageError(`Option --${other} is not for --immutable: that has no name`);
  }
  return await readValue(words, invocation, { maxBytes: MAX_VALUE_BYTES, encode });
}

function parseTtl(options: Options): { ttlS?: number } {
  const ms = options.duration("ttl");
  if (ms === undefined) return {};
  if (ms <= MAX_TTL_MS) return { ttlS: ms / 1_000 };
  throw new UsageError(
    `Option --ttl must be at most 7d, which is the longest that nodes keep anything: it is ${
      printable(options.text("ttl") ?? "", 20)
    }`,
  );
}

/** The version that has to be there. @throws {UsageError} when it is none, and for what has none. */
function parseCas(options: Options): { cas?: number } {
  const text = options.text("cas");
  if (text === undefined) return {};
  if (options.has("plain")) throw new UsageError("Option --cas is not for --plain: that has none");
  const cas = /^\d{1,16}$/.test(text) ? Number(text) : NaN;
  if (Number.isSafeInteger(cas) && cas < Number.MAX_SAFE_INTEGER) return { cas };
  throw new UsageError(
    `Option --cas must be a version, 0 for none: it is ${printable(text, 20)}`,
  );
}
