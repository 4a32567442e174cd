/**
 * The decoders of the DHT.
 *
 * @module
 */

import { decodeRecord, encodeRecord, readRecord } from "../../src/dht/record_codec.ts";
import { NOW_S, oneOfEach } from "../dht/record_fixture.ts";
import type { FuzzTarget } from "./decoders.ts";

/** Records as strangers send them. */
export const DHT_TARGETS: readonly FuzzTarget[] = [
  {
    name: "DHT record",
    corpus: oneOfEach().map(encodeRecord),
    decode: (input) => decodeRecord(input, { nowS: NOW_S, allowPlain: true }),
  },
  {
    // To get behind the signature. What is taken has one spelling.
    name: "DHT record, unchecked",
    corpus: oneOfEach().map(encodeRecord),
    decode: (input) => {
      const written = encodeRecord(readRecord(input));
      if (written.toHex() === input.toHex()) return written;
      throw new Error("a record was taken that is written otherwise");
    },
  },
];
