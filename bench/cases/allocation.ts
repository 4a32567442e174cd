/**
 * Whether the hot path allocates anything per message beyond what it returns.
 *
 * @module
 */

import { Child } from "../child.ts";
import type { Gauge } from "../question.ts";

/** A young generation (MiB) in which a million messages lie side by side, so that allocation shows as growth. */
const YOUNG_MIB = 256;
const FLAGS = [
  `--v8-flags=--expose-gc,--min-semi-space-size=${YOUNG_MIB},--max-semi-space-size=${YOUNG_MIB}`,
];

/** What decoding makes is compared with messages made by hand, which is exact to about 2; the least object has 16. */
const DECODING_NOISE_BYTES = 4;

/** The questions about memory. */
export const allocationQuestions: readonly Gauge[] = [
  gauge("retained per small message, both ways", "retained", 0.1),
  gauge("allocated per small message encoded", "encoding", 0.1),
  gauge("allocated per message decoded, beyond it", "decoding", DECODING_NOISE_BYTES),
];

function gauge(name: string, what: string, atMost: number): Gauge {
  const measure = async () => {
    await using child = new Child("bench/children/allocation.ts", [what], { flags: FLAGS });
    const { bytesPerMessage } = await child.answer() as { bytesPerMessage: number };
    return bytesPerMessage;
  };
  return { type: "gauge", name, unit: "bytes", atMost, maxRounds: 5, measure };
}
