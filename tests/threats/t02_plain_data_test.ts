import { assert, assertEquals, assertThrows } from "@std/assert";
import { walkSync } from "./walk.ts";
import { toNotation } from "../../src/cli/notation.ts";
import { remoteError } from "../../src/endpoint/error_body.ts";
import { InvalidPacketError, PeerError, UnsupportedError } from "../../src/errors.ts";
import { DATA_TYPES, decodeData } from "../../src/session/data_type.ts";
import { decodeJson } from "../../src/wire/json.ts";
import { LineReader } from "../../src/wire/line.ts";
import { decode, encode } from "../../src/wire/msgpack.ts";
import { FUZZ_TARGETS, type FuzzTarget } from "../fuzz/decoders.ts";
import { concat, Generator } from "../fuzz/generate.ts";
import { poisoned, SPECIAL_KEYS, unplain } from "./plain_data.ts";

// Deno has taken this away, other runtimes have it, and a program may ask for it: without it half of this is too easy.
Object.defineProperty(Object.prototype, "__proto__", {
  configurable: true,
  get(): unknown {
    return Object.getPrototypeOf(this);
  },
  set(prototype: unknown) {
    if (typeof prototype === "object") Object.setPrototypeOf(this, prototype);
  },
});

const utf8 = new TextEncoder();
const JSON_CORPUS = ['{"a":[1,{"b":null}],"c":"x"}', '{"data":[{}]}', "[]", '"text"', "{}"].map((
  json,
) => utf8.encode(json));
const PACKED_CORPUS = [
  { a: [1, { b: null }] },
  { code: "x", message: "y", details: { a: [{}] } },
  [],
];

/** Decoders whose results the fuzz targets do not show, or that are no fuzz targets. */
const MORE_DECODERS: readonly FuzzTarget[] = [
  {
    name: "lines",
    corpus: JSON_CORPUS,
    decode: (input) => {
      const reader = new LineReader({ maxLineBytes: 4096 });
      reader.push(concat(input, Uint8Array.of(0x0a)));
      return reader.next();
    },
  },
  { name: "json", corpus: JSON_CORPUS, decode: (input) => decodeJson(input) },
  ...DATA_TYPES.flatMap((type) =>
    (["native", "peerpy"] as const).map((dialect): FuzzTarget => ({
      name: `data of type ${type}, ${dialect}`,
      corpus: [...JSON_CORPUS, ...PACKED_CORPUS.map((value) => encode(value))],
      decode: (input) => decodeData(type, input, { dialect, maxDataBytes: 4096 }),
    }))
  ),
  {
    name: "error of another peer",
    corpus: PACKED_CORPUS.map((value) => encode(value)),
    decode: (input) => {
      // Only maps become the body of a message.
      const body = decode(input);
      if (typeof body !== "object" || body === null) return body;
      const { code, message, details } = remoteError(body as Record<string, unknown>);
      return { code, message, details };
    },
  },
  {
    name: "what the command line shows",
    corpus: PACKED_CORPUS.map((value) => encode(value)),
    decode: (input) => toNotation(decode(input)),
  },
];

const DECODERS = [
  ...FUZZ_TARGETS.filter(({ name }) => name !== "lines" && name !== "frames"),
  ...MORE_DECODERS,
];

const BUILT_IN = [Object, Array, Function, Map, String, Number, Promise, Uint8Array, Date];
const before = inherited();

/** The names of everything that values inherit. */
function inherited(): string[] {
  return BUILT_IN.map(({ prototype }) => Reflect.ownKeys(prototype).map(String).join());
}

/** Decodes, and looks at what came out and at what everything inherits from. @returns whether it was taken. */
function check({ name, decode }: FuzzTarget, input: Uint8Array): boolean {
  let result: unknown;
  try {
    result = decode(input);
  } catch (error) {
    assert(error instanceof PeerError, `${name}: ${input.toHex()}: ${error}`);
    return false;
  }
  const found = unplain(result);
  assertEquals(found, undefined, `${name}: ${input.toHex()}`);
  assert(!("polluted" in {}), name);
  return true;
}

function assertNothingPolluted(): void {
  assertEquals(inherited(), before);
}

/** The corpus of a decoder with a special key in every map, in MessagePack and in JSON. */
function poisonedCorpus({ corpus }: FuzzTarget, key: string): Uint8Array[] {
  return corpus.flatMap((input) => {
    const forms: Uint8Array[] = [];
    for (const [read, write] of FORMS) {
      try {
        forms.push(write(poisoned(read(input), key)));
      } catch (error) {
        if (!(error instanceof PeerError)) throw error; // another form
      }
    }
    return forms;
  });
}

const FORMS:
  readonly (readonly [(input: Uint8Array) => unknown, (value: unknown) => Uint8Array])[] = [
    [(input) => decode(input), (value) => encode(value)],
    [(input) => decodeJson(input), (value) => utf8.encode(JSON.stringify(value))],
  ];

Deno.test("T2 what decoders give is plain data, for every input of their own", () => {
  for (const decoder of DECODERS) {
    const taken = decoder.corpus.filter((input) => check(decoder, input));
    const isPickle = decoder.name === "data of type raw, peerpy";
    assert(isPickle || taken.length > 0, decoder.name);
  }
  assertNothingPolluted();
});

Deno.test("T2 a key that is special to the language is a key like any other, in every decoder", () => {
  let taken = 0;
  for (const decoder of DECODERS) {
    for (const key of SPECIAL_KEYS) {
      for (const input of poisonedCorpus(decoder, key)) if (check(decoder, input)) taken++;
    }
  }
  assert(taken > 500, `${taken}`);
  assertNothingPolluted();
});

Deno.test("T2 no mutation makes a decoder give anything but plain data", () => {
  const generator = new Generator(2_026);
  const inputs = DECODERS.map((decoder) => [
    ...decoder.corpus,
    ...SPECIAL_KEYS.slice(0, 4).flatMap((key) => poisonedCorpus(decoder, key)),
  ]);
  let taken = 0;
  for (let round = 0; round < 40_000; round++) {
    const at = round % DECODERS.length;
    const decoder = DECODERS[at] as FuzzTarget;
    if (check(decoder, generator.mutate(generator.pick(inputs[at] ?? [])))) taken++;
  }
  assert(taken > 2_000 && taken < 38_000, `${taken}`);
  assertNothingPolluted();
});

Deno.test("T2 no extension of MessagePack becomes more than bytes with a number, or a time", () => {
  for (let type = -128; type < 128; type++) {
    for (const size of [1, 2, 4, 8, 12, 16, 40]) {
      const input = concat(Uint8Array.of(0xc7, size, type & 0xff), new Uint8Array(size));
      check({ name: `extension ${type}`, corpus: [], decode: (bytes) => decode(bytes) }, input);
    }
  }
});

Deno.test("T2 a pickle is refused before a byte of it is read, and is nowhere understood", () => {
  const pickles = [
    "cposix\nsystem\n(S'touch owned'\ntR.",
    "\x80\x04\x95\x1c\0\0\0\0\0\0\0\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x02id\x94\x85\x94R\x94.",
  ].map((text) => Uint8Array.from(text, (char) => char.charCodeAt(0)));
  for (const pickle of pickles) {
    const options = { dialect: "peerpy", maxDataBytes: 4096 } as const;
    assertThrows(() => decodeData("raw", pickle, options), UnsupportedError, "pickle");
    assertThrows(() => decodeData("json", pickle, options), InvalidPacketError);
    for (const decoder of DECODERS) check(decoder, pickle);
  }
});

Deno.test("T2 no source turns text into code, and only the worker pool loads what it is told to", () => {
  const sources = walkSync(new URL("../../src/", import.meta.url), ".ts");
  assert(sources.length > 100, `${sources.length}`);
  const loaders = new Set<string>();
  for (const url of sources) {
    const code = Deno.readTextFileSync(url).replace(/\/\*[^]*?\*\/|^ *\/\/.*$/gm, "");
    assert(!/\beval\s*\(|\bFunction\s*\(|\bnode:vm\b/.test(code), `${url}`);
    // A module that is named where it is loaded is ours.
    if (/\bimport\((?!")|data:text\/javascript/.test(code)) {
      loaders.add(url.pathname.split("/src/")[1] ?? "");
    }
  }
  assertEquals([...loaders].sort(), ["endpoint/worker_main.ts", "endpoint/worker_pool.ts"]);
});
