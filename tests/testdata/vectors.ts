/**
 * The golden bytes of the original programs (`vectors.json`), their notation for what JSON has no form for, and damaged
 * copies for showing that a decoder meets anything with a value or an error of ours.
 *
 * @module
 */

import { PeerError } from "../../src/errors.ts";
import { seededRandom } from "../../src/clock.ts";

/** One golden case; which fields it has depends on its family. */
export interface Vector {
  /** What the case is about; unique within its family. */
  readonly name: string;
  /** The value in notation, see {@linkcode fromNotation}. */
  readonly value?: unknown;
  /** The bytes. */
  readonly hex?: string;
  /** The bytes as text, where they are JSON. */
  readonly json?: string;
  /** The bytes that led to `hex`, where it is an answer. */
  readonly request_hex?: string;
  /** What the original made of it, where that is not `value`. */
  readonly result?: unknown;
  /** The fields that the original's header parser returned. */
  readonly split?: Readonly<Record<string, unknown>>;
}

/** How to read the notation. */
export interface NotationOptions {
  /** Makes something of a float64; the plain number unless given. */
  float?: (value: number) => unknown;
}

interface VectorFile {
  readonly formats: Readonly<Record<string, { readonly vectors: readonly Vector[] }>>;
}

const FILE = new URL("./vectors.json", import.meta.url);
let file: VectorFile | undefined;

/** The cases of a family, such as `peerconnect.datagram`. */
export function loadVectors(family: string): readonly Vector[] {
  file ??= JSON.parse(Deno.readTextFileSync(FILE)) as VectorFile;
  const format = file.formats[family];
  if (format === undefined) throw new RangeError(`No vectors of family ${family}`);
  return format.vectors;
}

/** The case of that name. */
export function loadVector(family: string, name: string): Vector {
  const vector = loadVectors(family).find((candidate) => candidate.name === name);
  if (vector === undefined) throw new RangeError(`No vector ${name} in family ${family}`);
  return vector;
}

/** The bytes of a case that has some. */
export function bytesOf(vector: Vector): Uint8Array<ArrayBuffer> {
  if (vector.hex === undefined) throw new RangeError(`Vector ${vector.name} has no bytes`);
  return Uint8Array.fromHex(vector.hex);
}

/**
 * Turns notation into values: `{"$bytes": hex}` into bytes, `{"$int": text}` into a bigint, `{"$float": text}` into a
 * number, `{"$map": [[key, value]]}` into a `Map`; everything else stays.
 */
export function fromNotation(value: unknown, options: NotationOptions = {}): unknown {
  if (value === null || typeof value !== "object") return value;
  if (Array.isArray(value)) return value.map((item) => fromNotation(item, options));
  const entries = Object.entries(value);
  const [first] = entries;
  if (first !== undefined && entries.length === 1) {
    const [key, content] = first;
    const { float = (number) => number } = options;
    if (key === "$bytes") return Uint8Array.fromHex(String(content));
    if (key === "$int") return BigInt(String(content));
    if (key === "$float") return float(Number(content));
    if (key === "$map" && Array.isArray(content)) {
      return new Map(content.map(([k, v]) => [fromNotation(k, options), fromNotation(v, options)]));
    }
  }
  return Object.fromEntries(entries.map(([key, item]) => [key, fromNotation(item, options)]));
}

/**
 * Feeds a decoder damaged copies of `samples` and plain noise, and fails when it throws anything but a `PeerError`. The
 * failure names the case's bytes.
 *
 * @returns how many cases were decoded and how many refused, so that a test can see that both happened.
 */
export function feedGarbage(
  decode: (bytes: Uint8Array) => unknown,
  samples: readonly Uint8Array[],
  options: { seed: number; cases: number },
): { decoded: number; refused: number } {
  const random = seededRandom(options.seed);
  let decoded = 0;
  for (let i = 0; i < options.cases; i++) {
    const sample = samples[Math.floor(random() * samples.length)];
    const bytes = sample === undefined || random() < 0.2 ? noise(random) : damage(sample, random);
    try {
      decode(bytes);
      decoded++;
    } catch (error) {
      if (error instanceof PeerError) continue;
      throw new Error(`Seed ${options.seed}, case ${i}: ${bytes.toHex()}`, { cause: error });
    }
  }
  return { decoded, refused: options.cases - decoded };
}

function noise(random: () => number): Uint8Array {
  return Uint8Array.from({ length: Math.floor(random() * 200) }, () => random() * 256);
}

// One to three of: a byte changed, a stretch removed, a stretch repeated.
function damage(sample: Uint8Array, random: () => number): Uint8Array {
  let bytes = [...sample];
  for (let wounds = 1 + Math.floor(random() * 3); wounds > 0; wounds--) {
    const at = Math.floor(random() * (bytes.length + 1));
    const to = at + Math.floor(random() * 8);
    const kind = random();
    if (kind < 0.5 && at < bytes.length) bytes[at] = Math.floor(random() * 256);
    else if (kind < 0.75) bytes = [...bytes.slice(0, at), ...bytes.slice(to)];
    else bytes = [...bytes.slice(0, to), ...bytes.slice(at)];
  }
  return Uint8Array.from(bytes);
}
