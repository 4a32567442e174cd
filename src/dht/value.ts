/**
 * What is found under a key, as it is given to who asked.
 *
 * @module
 */

import { decode } from "../wire/msgpack.ts";
import type { DhtValue } from "./dht_options.ts";
import type { Found } from "./reading.ts";
import type { DhtRecord, SignedRecord } from "./record.ts";

/** The value of a key: that of one author if there is one, else of the first by id, or the one that has none. */
export function valueOf(
  { records, hops, rttMs, asked }: Found,
  preferred: string,
): DhtValue | undefined {
  const ranked = records.toSorted((a, b) => rank(a, preferred) - rank(b, preferred) || order(a, b));
  const [best, ...rest] = ranked;
  if (best === undefined) return undefined;
  const others = rest.flatMap((record) => record.kind === "signed" ? [said(record)] : []);
  const { value, author, seq } = best.kind === "signed"
    ? said(best)
    : { value: decode(best.value), author: undefined, seq: undefined };
  return { value, author, seq, others, hops, rttMs, asked };
}

function said({ value, slot, seq }: SignedRecord) {
  return { value: decode(value), author: slot, seq };
}

function rank({ slot }: DhtRecord, preferred: string): number {
  return slot === preferred ? 0 : 1;
}

function order(a: DhtRecord, b: DhtRecord): number {
  return a.slot < b.slot ? -1 : a.slot > b.slot ? 1 : 0;
}
