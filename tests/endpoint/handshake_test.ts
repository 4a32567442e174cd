import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import {
  commonVersion,
  denyBody,
  helloBody,
  type HelloOptions,
  infoOfHello,
  parseAccept,
  parseDeny,
  parseHello,
  type VersionRange,
} from "../../src/endpoint/handshake.ts";
import {
  AuthError,
  HandshakeError,
  IntegrityError,
  InvalidPacketError,
  LimitError,
  type PeerError,
} from "../../src/errors.ts";
import { MAX_HANDSHAKE_BYTES } from "../../src/secure/channel_handshake.ts";
import { DH_BYTES } from "../../src/secure/noise.ts";
import {
  decodeWireData,
  encodeWireData,
  type MessageBody,
  wireData,
} from "../../src/wire/message.ts";
import { feedGarbage } from "../testdata/vectors.ts";
import { infoOf } from "./fixture.ts";

const ALICE = infoOf("alice");

/** A signature's length is all that is looked at here. */
const SIGNATURE = new Uint8Array(64).fill(5);

/** Bytes that the third message of a handshake has beside what is said: an encrypted key, and two tags. */
const OVERHEAD_BYTES = DH_BYTES + 2 * 16;

/** How a body of HELLO can be wrong: the field that must be named, and what is in it. */
const MALFORMED: readonly (readonly [field: string, value: unknown])[] = [
  ["key", undefined],
  ["key", "alice"],
  ["key", new Uint8Array(31)],
  ["key", new Uint8Array(33)],
  ["sig", undefined],
  ["sig", "x".repeat(64)],
  ["sig", new Uint8Array(63)],
  ["sig", new Uint8Array(65)],
  ["inst", null],
  ["inst", "ab".repeat(8)],
  ["inst", new Uint8Array(7)],
  ["inst", new Uint8Array(9)],
  ["name", 7],
  ["name", new Uint8Array(3)],
  ["name", "x".repeat(65)],
  ["caps", "transfer/1"],
  ["caps", { length: 1 }],
  ["caps", Array.from({ length: 65 }, () => "a")],
  ["caps", ["ok", 7]],
  ["caps", ["x".repeat(65)]],
  ["agent", ["kith"]],
  ["agent", "x".repeat(65)],
];

const NO_VERSIONS: readonly unknown[] = [undefined, null, "1", 1.5, -1, 65_536, NaN, 2n ** 60n];

Deno.test("commonVersion is the newest that both speak", () => {
  const matrix: readonly (readonly [VersionRange, VersionRange, number])[] = [
    [range(1, 1), range(1, 1), 1],
    [range(1, 3), range(2, 5), 3],
    [range(2, 5), range(1, 3), 3],
    [range(1, 9), range(4, 4), 4],
    [range(4, 4), range(1, 9), 4],
    [range(0, 0), range(0, 65_535), 0],
  ];
  for (const [ours, theirs, wanted] of matrix) assertEquals(commonVersion(ours, theirs), wanted);
});

Deno.test("commonVersion refuses ranges that do not meet or run backwards, and names both", () => {
  const apart = [[range(1, 1), range(2, 2)], [range(3, 4), range(1, 2)]] as const;
  const backwards = [[range(1, 1), range(5, 1)], [range(1, 9), range(5, 2)]] as const;
  for (const [ours, theirs] of [...apart, ...backwards]) {
    const error = assertThrows(() => commonVersion(ours, theirs), HandshakeError);
    assertEquals(error.code, "incompatible");
    assertStringIncludes(error.message, `${theirs.min}..${theirs.max}`);
    assertStringIncludes(error.message, `${ours.min}..${ours.max}`);
    assertEquals(error.details, { ours, theirs });
  }
});

Deno.test("HELLO says who it is and which versions, and ACCEPT which one, over the wire and back", () => {
  const self = { ...ALICE, instance: "0123456789abcdef" };
  const body = hello({ versions: range(1, 7), shared: true }, self);
  const parsed = parseHello(overTheWire(body));
  assertEquals(parsed, {
    ...self,
    signature: SIGNATURE,
    versions: range(1, 7),
    shared: true,
  });
  assertEquals(infoOfHello(parsed), self);
  assertEquals(parseAccept(overTheWire({ version: 3 })), 3);
});

Deno.test("HELLO names a peer by its key alone: whatever else claims to be an id is ignored", () => {
  const body = { ...hello(), peer: new Uint8Array(20), peerId: infoOf("bob").peerId };
  assertEquals(parseHello(overTheWire(body)).peerId, ALICE.peerId);
});

Deno.test("HELLO may lack what is optional, and have more than this version knows", () => {
  const { min, max, key, sig } = hello();
  const bare = {
    ...ALICE,
    signature: SIGNATURE,
    name: "",
    capabilities: [],
    agent: "",
    versions: range(1, 1),
    shared: false,
  };
  assertEquals(parseHello({ min, max, key, sig }), bare);
  assertEquals(parseHello({ min, max, key, sig, name: null, caps: null, agent: null }), bare);
  const future = { ...hello(), caps: ["transfer/9", "☃"], mood: "good" };
  assertEquals(parseHello(overTheWire(future)).capabilities, ["transfer/9", "☃"]);
});

Deno.test("HELLO of the largest allowed contents fits a handshake message", () => {
  const widest = "日".repeat(64);
  const capabilities = Array.from({ length: 64 }, () => widest);
  const self = { ...ALICE, name: widest, agent: widest, capabilities, instance: "ab".repeat(8) };
  const body = hello({ versions: range(0, 65_535), shared: true }, self);
  assertEquals(parseHello(overTheWire(body)).capabilities.length, 64);
  const bytes = encodeWireData(wireData(":hello", body));
  assert(bytes.length + OVERHEAD_BYTES <= MAX_HANDSHAKE_BYTES, `${bytes.length}`);
});

Deno.test("HELLO and ACCEPT name the field that is malformed", () => {
  for (const [field, value] of MALFORMED) {
    assertNames(field, () => parseHello({ ...hello(), [field]: value }));
  }
  for (const value of NO_VERSIONS) {
    assertNames("min", () => parseHello({ ...hello(), min: value }));
    assertNames("max", () => parseHello({ ...hello(), max: value }));
    assertNames("version", () => parseAccept({ version: value }));
  }
});

Deno.test("DENY becomes the error class that its code stands for", () => {
  const meanings: readonly (readonly [PeerError, new (...args: never[]) => PeerError, string])[] = [
    [new LimitError("limit", "Full (maxLinks)"), LimitError, "limit"],
    [new LimitError("rate", "Slower"), LimitError, "rate"],
    [new HandshakeError("incompatible", "Old"), HandshakeError, "incompatible"],
    [new HandshakeError("denied", "No"), HandshakeError, "denied"],
    [new InvalidPacketError("bad-message", "What"), HandshakeError, "denied"],
    [new IntegrityError("bad-signature", "Not its key"), HandshakeError, "denied"],
  ];
  for (const [sent, Class, code] of meanings) {
    const error = parseDeny(overTheWire(denyBody(sent)));
    assert(error instanceof Class, error.name);
    assertEquals(error.code, code);
    assertEquals(error.details, { reason: sent.code });
    assertStringIncludes(error.message, sent.message);
  }
});

Deno.test("DENY of a stranger is bounded, printable and never fails to be read", () => {
  const long = parseDeny({ code: "x".repeat(5_000), reason: "\u001b[2J" + "y".repeat(5_000) });
  assert(long.message.length < 400 && String(long.details.reason).length < 50);
  assertStringIncludes(long.message, "\\u{1b}[2J");
  for (const body of [{}, { code: 7, reason: [] }, { code: null, reason: null }]) {
    const error = parseDeny(body);
    assertEquals([error.code, error.details.reason], ["denied", "denied"]);
    assertStringIncludes(error.message, "no reason given");
  }
});

Deno.test("DENY tells somebody who is not let in nothing of whom else we know", () => {
  const told = "bob is known by the key of drum-face-half, not ours";
  for (const code of ["key-changed", "not-allowed", "not-authenticated"] as const) {
    const { message, details } = parseDeny(overTheWire(denyBody(new AuthError(code, told))));
    assertEquals(details, { reason: "not-allowed" });
    assert(!message.includes("bob") && !message.includes("drum"), message);
  }
});

Deno.test("HELLO and ACCEPT meet damaged bytes with a value or an error of ours", () => {
  const samples = [hello(), { version: 1 }]
    .map((body) => encodeWireData(wireData(":hello", body)));
  for (const parse of [parseHello, parseAccept]) {
    const result = feedGarbage((bytes) => parse(decodeWireData(bytes).body), samples, {
      seed: 11,
      cases: 4_000,
    });
    assert(result.decoded > 20 && result.refused > 2_000, JSON.stringify(result));
  }
});

function hello(options: Partial<HelloOptions> = {}, self = ALICE): MessageBody {
  return helloBody(self, { signature: SIGNATURE, ...options });
}

function range(min: number, max: number): VersionRange {
  return { min, max };
}

function overTheWire(body: MessageBody): MessageBody {
  return decodeWireData(encodeWireData(wireData(":any", body))).body;
}

function assertNames(field: string, parse: () => unknown): void {
  const error = assertThrows(parse, InvalidPacketError, `${field}:`);
  assertEquals([error.code, error.details.field], ["bad-message", field]);
}
