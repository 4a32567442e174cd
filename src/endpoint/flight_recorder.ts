/**
 * The last messages, as a flight recorder has them: when, which way, of which kind, how large and on which link, and nothing
 * of what they say. It always runs, so that there is something to look at after a fault that nobody waited for.
 *
 * A place in it is five stores into memory that is there already; the time is looked up once for what is read or written
 * together.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import { printable } from "../log.ts";

/** Messages that are kept. A power of two. */
export const RECORDED_FRAMES = 256;

/** Longest header that is kept as it is, in UTF-16 units; of a longer one only how long it is. */
const MAX_HEADER_CHARS = 64;

/** Which way a message went. */
export type FrameDirection = "in" | "out";

/** What is kept of a message. */
export interface RecordedFrame {
  /** When, in milliseconds since 1970. */
  readonly atMs: number;
  /** Which way. */
  readonly direction: FrameDirection;
  /** Its header, or where that is not known what kind it is, such as `udp 14`; safe to print. */
  readonly kind: string;
  /** How large it is, its length excluded. */
  readonly bytes: number;
  /** The number of its link, as they were opened; 0 for the UDP port. */
  readonly link: number;
}

/**
 * See the module.
 *
 * @example
 * ```ts
 * import { ManualClock } from "@kith/kith";
 * import { FlightRecorder } from "@kith/kith/endpoint";
 * import { assertEquals } from "@std/assert";
 *
 * const recorder = new FlightRecorder(new ManualClock());
 * recorder.came("greet", 120, 1);
 * recorder.went(":ok", 30, 1);
 * const seen = recorder.frames().map(({ direction, kind, bytes }) => `${direction} ${kind} ${bytes}`);
 * assertEquals(seen, ["in greet 120", "out :ok 30"]);
 * ```
 */
export class FlightRecorder {
  readonly #clock: Clock;
  readonly #times = new Float64Array(RECORDED_FRAMES);
  readonly #sizes = new Uint32Array(RECORDED_FRAMES);
  readonly #links = new Uint32Array(RECORDED_FRAMES);
  readonly #incoming = new Uint8Array(RECORDED_FRAMES);
  readonly #kinds: string[] = new Array(RECORDED_FRAMES).fill("");
  #count = 0;
  #nowMs: number;

  /** Has nothing yet. */
  constructor(clock: Clock) {
    this.#clock = clock;
    this.#nowMs = clock.now();
  }

  /** How many messages there were since the beginning. */
  get count(): number {
    return this.#count;
  }

  /** What is noted from now on happens now: at `nowMs` of its clock, where somebody has just looked. */
  now(nowMs: number = this.#clock.now()): void {
    this.#nowMs = nowMs;
  }

  /** A message came. */
  came(kind: string, bytes: number, link: number): void {
    this.#note(kind, bytes, link, 1);
  }

  /** A message was sent. */
  went(kind: string, bytes: number, link: number): void {
    this.#note(kind, bytes, link, 0);
  }

  /** What is kept, the oldest first. */
  frames(): RecordedFrame[] {
    const epochMs = this.#clock.wallMs() - this.#clock.now();
    const frames: RecordedFrame[] = [];
    for (let n = Math.max(0, this.#count - RECORDED_FRAMES); n < this.#count; n++) {
      const at = n % RECORDED_FRAMES;
      frames.push({
        atMs: Math.round(epochMs + (this.#times[at] ?? 0)),
        direction: this.#incoming[at] === 1 ? "in" : "out",
        kind: printable(this.#kinds[at] ?? "", MAX_HEADER_CHARS),
        bytes: this.#sizes[at] ?? 0,
        link: this.#links[at] ?? 0,
      });
    }
    return frames;
  }

  #note(kind: string, bytes: number, link: number, incoming: 0 | 1): void {
    const at = this.#count++ % RECORDED_FRAMES;
    this.#times[at] = this.#nowMs;
    this.#sizes[at] = bytes;
    this.#links[at] = link;
    this.#incoming[at] = incoming;
    // A peer may send what it likes: whatever it is, 256 of them must not hold much memory.
    this.#kinds[at] = kind.length <= MAX_HEADER_CHARS ? kind : `(${kind.length} characters)`;
  }
}
