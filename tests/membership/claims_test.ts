import { assert, assertEquals, assertThrows } from "@std/assert";
import { InvalidPacketError } from "../../src/errors.ts";
import {
  type AliveClaim,
  type Claim,
  isSigned,
  MAX_CLAIM_BYTES,
  MAX_HOSTS,
  MAX_INCARNATION,
  MAX_TAG_CHARS,
  MAX_TAGS,
  peekClaim,
  readClaim,
  writeClaim,
} from "../../src/membership/claims.ts";
import { verify } from "../../src/secure/identity.ts";
import { encode } from "../../src/wire/msgpack.ts";
import { concat, Generator } from "../fuzz/generate.ts";
import { FIRST, PROJECT, realSigner } from "./fixture.ts";

const ann = realSigner(1);
const bob = realSigner(2);
const OTHER_PROJECT = "6b697468206d656e";

const ALIVE: AliveClaim = {
  kind: "alive",
  subject: ann.peerId,
  incarnation: FIRST + 1,
  key: ann.publicKey,
  name: "ann",
  hosts: ["10.0.0.1", "fd00::1:2"],
  tcpPort: 3_485,
  udpPort: 80,
  tags: { role: "nas" },
};
const LEFT: Claim = { kind: "left", subject: ann.peerId, incarnation: FIRST + 1 };
const SUSPECT: Claim = {
  kind: "suspect",
  subject: bob.peerId,
  incarnation: FIRST,
  accuser: ann.peerId,
};
const CLAIMS = [ALIVE, LEFT, SUSPECT];

/** The fields as they are laid out, written by hand. */
const FIELDS = new Map<Claim, string>([
  [
    ALIVE,
    `99 00 c414 ${ann.peerId} cf 0004000000000001 c420 ${ann.publicKey.toHex()} a3 616e6e
     92 a8 31302e302e302e31 a9 666430303a3a313a32 cd 0d9d 50 81 a4 726f6c65 a3 6e6173`,
  ],
  [LEFT, `93 01 c414 ${ann.peerId} cf 0004000000000001`],
  [SUSPECT, `94 02 c414 ${bob.peerId} cf 0004000000000000 c414 ${ann.peerId}`],
]);

for (const claim of CLAIMS) {
  const bytes = writeClaim(claim, PROJECT, ann);
  const fields = bytes.subarray(0, -64);

  Deno.test(`writeClaim lays out "${claim.kind}" as documented, with Ed25519 over it`, () => {
    assertEquals(fields.toHex(), FIELDS.get(claim)?.replaceAll(/\s/g, ""));
    assertEquals(ann.publicKey.toHex().slice(0, 16), "8a88e3dd7409f195");
    const head = encode(["kith member 1", PROJECT]);
    assert(verify(ann.publicKey, concat(head, fields), bytes.subarray(-64)));
    assertEquals(readClaim(bytes), claim);
    assert(isSigned(bytes, ann.publicKey, ann.peerId, PROJECT, ann));
  });

  Deno.test(`isSigned refuses "${claim.kind}" of another project, key or author`, () => {
    assert(!isSigned(bytes, ann.publicKey, ann.peerId, OTHER_PROJECT, bob));
    assert(!isSigned(bytes, bob.publicKey, bob.peerId, PROJECT, bob));
    assert(!isSigned(bytes, ann.publicKey, bob.peerId, PROJECT, bob));
    assert(!isSigned(bytes, bob.publicKey, ann.peerId, PROJECT, bob));
  });

  Deno.test(`readClaim refuses "${claim.kind}" at every other length`, () => {
    for (let length = 0; length < bytes.length; length++) {
      assertThrows(() => readClaim(bytes.subarray(0, length)), InvalidPacketError);
    }
    assertThrows(() => readClaim(concat(bytes, new Uint8Array(1))), InvalidPacketError);
    assertThrows(() => readClaim(concat(bytes, new Uint8Array(600))), InvalidPacketError, "length");
  });

  Deno.test(`no bit of "${claim.kind}" can be flipped: the reader or the signature says so`, () => {
    for (let bit = 0; bit < 8 * bytes.length; bit++) {
      const flipped = bytes.slice();
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      assert(!isBelieved(flipped), `bit ${bit}`);
    }
    assert(isBelieved(bytes));
  });

  Deno.test(`peekClaim sees of "${claim.kind}" what readClaim does`, () => {
    const { kind, subject, incarnation } = claim;
    assertEquals(peekClaim(bytes), { kind, subject, incarnation });
    assertEquals(peekClaim(bytes.subarray(0, 96)), undefined);
  });
}

/** Whether somebody who knows ann and bob takes it. */
function isBelieved(bytes: Uint8Array): boolean {
  let claim: Claim;
  try {
    claim = readClaim(bytes);
  } catch (error) {
    assert(error instanceof InvalidPacketError, `${error}`);
    return false;
  }
  const author = claim.kind === "suspect" ? claim.accuser : claim.subject;
  const known = author === ann.peerId ? ann : bob;
  return isSigned(
    bytes,
    claim.kind === "alive" ? claim.key : known.publicKey,
    author,
    PROJECT,
    bob,
  );
}

const ID = Uint8Array.fromHex(ann.peerId);
const many = (count: number) => Array.from({ length: count }, (_, at) => at);
const tagged = (count: number, name: string, value: string) => {
  return Object.fromEntries(many(count).map((at) => [`${at}${name}`, value]));
};

/** An "alive" with one field of another value; its signature is nobody's. */
function aliveWith(at: number, value: unknown): Uint8Array {
  const fields: unknown[] = [0, ID, FIRST, ann.publicKey, "ann", ["10.0.0.1"], 1, 2, { a: "b" }];
  fields[at] = value;
  return signedByNobody(fields);
}

function signedByNobody(fields: unknown): Uint8Array {
  return concat(encode(fields), new Uint8Array(64));
}

const WITHIN: readonly [number, unknown][] = [
  [2, 0],
  [2, MAX_INCARNATION],
  [4, ""],
  [4, "x".repeat(64)],
  [5, []],
  [5, many(MAX_HOSTS).map((at) => `10.0.0.${at}`)],
  [6, 1],
  [7, 1],
  [6, 65_535],
  [8, {}],
  [8, tagged(MAX_TAGS, "", "v")],
  [8, { ["n".repeat(MAX_TAG_CHARS)]: "v".repeat(MAX_TAG_CHARS) }],
];

const BEYOND: readonly [string, number, unknown][] = [
  ["kind", 0, 3],
  ["kind", 0, -1],
  ["kind", 0, 0.5],
  ["kind", 0, null],
  ["kind", 0, "length"],
  ["kind", 0, "__proto__"],
  ["kind", 0, "0"],
  ["kind", 0, [0]],
  ["kind", 0, { toString: 1, valueOf: 1 }],
  ["kind", 0, 1],
  ["kind", 0, 2],
  ["subject", 1, new Uint8Array(19)],
  ["subject", 1, new Uint8Array(21)],
  ["subject", 1, ann.peerId],
  ["subject", 1, null],
  ["incarnation", 2, MAX_INCARNATION + 1],
  ["incarnation", 2, -1],
  ["incarnation", 2, 0.5],
  ["incarnation", 2, Infinity],
  ["incarnation", 2, NaN],
  ["incarnation", 2, 2n ** 63n],
  ["incarnation", 2, "1"],
  ["key", 3, new Uint8Array(31)],
  ["key", 3, new Uint8Array(33)],
  ["key", 3, "x".repeat(32)],
  ["name", 4, "x".repeat(65)],
  ["name", 4, new Uint8Array(3)],
  ["name", 4, null],
  ["hosts", 5, many(MAX_HOSTS + 1).map((at) => `10.0.0.${at}`)],
  ["hosts", 5, "10.0.0.1"],
  ["hosts", 5, [1]],
  ["hosts", 5, [""]],
  ["hosts", 5, ["example.org"]],
  ["hosts", 5, ["localhost"]],
  ["hosts", 5, ["10.0.0.1:80"].map((host) => `${host}/x`)],
  ["hosts", 5, ["10.0.0.1\n"]],
  ["hosts", 5, ["fe80::1%eth0"]],
  ...["cafe.de", "127.1", "2130706433", "..", ":::", "1.2.3.4.5", "::ffff:10.0.0.1"].map(host),
  ...["255.255.255.255", "239.1.11.11", "0.0.0.0", "::", "ff02::1", "::ffff:a00:1"].map(host),
  ["hosts", 5, ["1".repeat(46)]],
  ["tcp", 6, 65_536],
  ["tcp", 6, -1],
  ["tcp", 6, 0],
  ["udp", 7, 0],
  ["udp", 7, 65_536],
  ["udp", 7, 1.5],
  ["udp", 7, "1"],
  ["tags", 8, tagged(MAX_TAGS + 1, "", "v")],
  ["tags", 8, { a: 1 }],
  ["tags", 8, { a: { b: "c" } }],
  ["tags", 8, { ["n".repeat(MAX_TAG_CHARS + 1)]: "v" }],
  ["tags", 8, { n: "v".repeat(MAX_TAG_CHARS + 1) }],
  ["tags", 8, ["a"]],
  ["tags", 8, "a"],
  ["tags", 8, null],
  ["tags", 8, new Map([[1, 2]])],
  ["tags", 8, new Date(0)],
  ["tags", 8, new Uint8Array()],
];

function host(text: string): [string, number, unknown] {
  return ["hosts", 5, [text]];
}

Deno.test("readClaim takes every field at its bounds, and names the one that is beyond", () => {
  for (const [at, value] of WITHIN) readClaim(aliveWith(at, value));
  for (const [field, at, value] of BEYOND) {
    const error = assertThrows(() => readClaim(aliveWith(at, value)), InvalidPacketError);
    assertEquals(error.details, { field }, `${at}: ${Deno.inspect(value)}`);
  }
});

Deno.test("readClaim refuses what has too many fields, too few or none", () => {
  const whole: unknown[] = [0, ID, FIRST, ann.publicKey, "ann", [], 1, 2, {}];
  for (const fields of [whole.slice(0, 8), [...whole, 1], [], [1, ID], [1, ID, 1, 1], [2, ID, 1]]) {
    assertThrows(() => readClaim(signedByNobody(fields)), InvalidPacketError);
  }
  for (const other of [null, 7, "x", {}, new Map([[0, 1]]), new Uint8Array(9)]) {
    assertThrows(() => readClaim(signedByNobody(other)), InvalidPacketError, "fields");
  }
});

Deno.test("writeClaim refuses what would be longer than a claim may be", () => {
  const tags = tagged(MAX_TAGS, "x".repeat(22), "y".repeat(MAX_TAG_CHARS));
  assertThrows(() => writeClaim({ ...ALIVE, tags }, PROJECT, ann), RangeError, "512 bytes");
  const fits = writeClaim(
    { ...ALIVE, tags: tagged(5, "x".repeat(22), "y".repeat(24)) },
    PROJECT,
    ann,
  );
  assert(fits.length <= MAX_CLAIM_BYTES);
  readClaim(fits);
});

Deno.test("writeClaim refuses what nobody would read", () => {
  const cases: Partial<AliveClaim>[] = [
    { hosts: ["example.org"] },
    { hosts: ["0.0.0.0"] },
    { hosts: many(MAX_HOSTS + 1).map((at) => `10.0.0.${at}`) },
    { name: "x".repeat(65) },
    { tags: tagged(MAX_TAGS + 1, "", "v") },
    { tags: { n: "v".repeat(MAX_TAG_CHARS + 1) } },
  ];
  for (const changes of cases) {
    assertThrows(() => writeClaim({ ...ALIVE, ...changes }, PROJECT, ann), RangeError, "at most");
  }
});

Deno.test("readClaim keeps nothing of the packet it read", () => {
  const bytes = writeClaim(ALIVE, PROJECT, ann);
  const claim = readClaim(bytes);
  bytes.fill(0);
  assertEquals(claim, ALIVE);
});

Deno.test("readClaim and peekClaim: hostile bytes give an answer or InvalidPacketError, the same", () => {
  const generator = new Generator(20_261_121);
  const corpus = CLAIMS.map((claim) => writeClaim(claim, PROJECT, ann));
  let [read, compared] = [0, 0];
  for (let round = 0; round < 8_000; round++) {
    const bytes = round % 20 === 0
      ? generator.bytes(generator.below(200))
      : round % 20 === 1
      ? signedByNobody(many(generator.below(10)).map(() => generator.value(2)))
      : generator.mutate(generator.pick(corpus));
    const peeked = peekClaim(bytes);
    let claim: Claim;
    try {
      claim = readClaim(bytes);
    } catch (error) {
      assert(error instanceof InvalidPacketError, `${bytes.toHex()}: ${error}`);
      continue;
    }
    read++;
    if (peeked === undefined) continue;
    compared++;
    const { kind, subject, incarnation } = claim;
    assertEquals(peeked, { kind, subject, incarnation });
  }
  assert(read > 200 && compared > 200, `${read} read, ${compared} compared`);
});
