import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import {
  acceptBody,
  commonVersion,
  denyBody,
  helloBody,
  MAX_HANDSHAKE_BYTES,
  parseAccept,
  parseDeny,
  parseHello,
  type VersionRange,
} from "../../src/endpoint/handshake.ts";
import {
  AuthError,
  HandshakeError,
  InvalidPacketError,
  LimitError,
  type PeerError,
} from "../../src/errors.ts";
import {
  decodeWireData,
  encodeWireData,
  type MessageBody,
  wireData,
} from "../../src/wire/message.ts";
import { feedGarbage } from "../testdata/vectors.ts";
import { infoOf } from "./fixture.ts";

const ALICE = infoOf("alice");

/** How a body of HELLO and of ACCEPT can be wrong: the field that must be named, and what is in it. */
const MALFORMED: readonly (readonly [field: string, value: unknown])[] = [
  ["peer", undefined],
  ["peer", "alice"],
  ["peer", new Uint8Array(19)],
  ["peer", new Uint8Array(21)],
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

Deno.test("HELLO and ACCEPT say who it is and which versions, over the wire and back", () => {
  const hello = parseHello(overTheWire(helloBody(ALICE, { versions: range(1, 7) })));
  assertEquals(hello, { ...ALICE, versions: range(1, 7), shared: false });
  assertEquals(parseAccept(overTheWire(acceptBody(ALICE, 3))), { ...ALICE, version: 3 });
});

Deno.test("HELLO may lack what is optional, and have more than this version knows", () => {
  const { min, max, peer } = helloBody(ALICE);
  const bare = {
    ...ALICE,
    name: "",
    capabilities: [],
    agent: "",
    versions: range(1, 1),
    shared: false,
  };
  assertEquals(parseHello({ min, max, peer }), bare);
  assertEquals(parseHello({ min, max, peer, name: null, caps: null, agent: null }), bare);
  const future = { ...helloBody(ALICE), caps: ["transfer/9", "☃"], mood: "good" };
  assertEquals(parseHello(overTheWire(future)).capabilities, ["transfer/9", "☃"]);
});

Deno.test("HELLO and ACCEPT of the largest allowed contents fit a handshake message", () => {
  const widest = "日".repeat(64);
  const capabilities = Array.from({ length: 64 }, () => widest);
  const self = { ...ALICE, name: widest, agent: widest, capabilities };
  assertEquals(parseHello(overTheWire(helloBody(self))).capabilities.length, 64);
  const bytes = encodeWireData(wireData(":hello", helloBody(self, { versions: range(0, 65_535) })));
  assert(bytes.length <= MAX_HANDSHAKE_BYTES, `${bytes.length}`);
});

Deno.test("HELLO and ACCEPT name the field that is malformed", () => {
  for (const [field, value] of MALFORMED) {
    assertNames(field, () => parseHello({ ...helloBody(ALICE), [field]: value }));
    assertNames(field, () => parseAccept({ ...acceptBody(ALICE, 1), [field]: value }));
  }
  for (const value of NO_VERSIONS) {
    assertNames("min", () => parseHello({ ...helloBody(ALICE), min: value }));
    assertNames("max", () => parseHello({ ...helloBody(ALICE), max: value }));
    assertNames("version", () => parseAccept({ ...acceptBody(ALICE, 1), version: value }));
  }
});

Deno.test("DENY becomes the error class that its code stands for", () => {
  const meanings: readonly (readonly [PeerError, new (...args: never[]) => PeerError, string])[] = [
    [new LimitError("limit", "Full (maxLinks)"), LimitError, "limit"],
    [new LimitError("rate", "Slower"), LimitError, "rate"],
    [new HandshakeError("incompatible", "Old"), HandshakeError, "incompatible"],
    [new HandshakeError("denied", "No"), HandshakeError, "denied"],
    [new AuthError("not-allowed", "Not you"), HandshakeError, "denied"],
    [new InvalidPacketError("bad-message", "What"), HandshakeError, "denied"],
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

Deno.test("HELLO and ACCEPT meet damaged bytes with a value or an error of ours", () => {
  const samples = [helloBody(ALICE), acceptBody(ALICE, 1)]
    .map((body) => encodeWireData(wireData(":hello", body)));
  for (const parse of [parseHello, parseAccept]) {
    const result = feedGarbage((bytes) => parse(decodeWireData(bytes).body), samples, {
      seed: 11,
      cases: 4_000,
    });
    assert(result.decoded > 20 && result.refused > 2_000, JSON.stringify(result));
  }
});

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
