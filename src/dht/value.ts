/**
 * What is found under a key, as it is given to who asked.
 *
 * @module
 */

import { InvalidPacketError } from "../errors.ts";
import { decode } from "../wire/msgpack.ts";
import type { DhtValue } from "./dht_options.ts";
import type { Found } from "./reading.ts";
import type { DhtRecord } from "./record.ts";

/**
 * The value of a key: that of one author if there is one, else of the first by id, or the one that has none. What its author
 * wrote that is no MessagePack counts for nothing: anybody can sign nonsense.
 */
export function valueOf(
  { records, hops, rttMs, asked }: Found,
  preferred: string,
): DhtValue | undefined {
  const read = records.flatMap(decoded);
  const rank = ({ author }: Said) => author === preferred ? 0 : 1;
  read.sort((a, b) => rank(a) - rank(b) || (a.author < b.author ? -1 : 1));
  const [best, ...rest] = read;
  if (best === undefined) return undefined;
  const others = rest.flatMap(({ value, author, seq }) => {
    return seq === undefined ? [] : [{ value, author, seq }];
  });
  const { value, seq } = best;
  return { value, author: best.author || undefined, seq, others, hops, rttMs, asked };
}

/** What somebody has put; without an author it is nobody's. */
interface Said {
  readonly value: unknown;
  readonly author: string;
  readonly seq: number | undefined;
}

function decoded(record: DhtRecord): Said[] {
  try {
    const seq = record.kind === "signed" ? record.seq : undefined;
    return [{ value: decode(record.value), author: record.slot, seq }];
  } catch (error) {
    if (error instanceof InvalidPacketError) return [];
    throw error;
  }
}
