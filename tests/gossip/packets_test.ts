import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { InvalidPacketError } from "../../src/errors.ts";
import type { Contact } from "../../src/gossip/contact.ts";
import {
  encodePacket,
  GOSSIP_HEADERS,
  type GossipKind,
  type GossipPacket,
  readPacket,
  topicOf,
} from "../../src/gossip/packets.ts";
import {
  decodeWireData,
  encodeWireData,
  type MessageBody,
  wireData,
} from "../../src/wire/message.ts";
import { Generator } from "../fuzz/generate.ts";

const [ANN, BOB] = ["0a".repeat(20), "0b".repeat(20)];
const IDS = [{ author: ANN, seq: 1, hops: 3 }, { author: BOB, seq: 300, hops: 0 }];
const PLAIN_IDS = IDS.map((id) => ({ ...id, hops: 0 }));
const CONTACT: Contact = { peerId: ANN, hosts: ["10.0.0.1", "fd00::1"], port: 3_485 };
const OTHER: Contact = { peerId: BOB, hosts: [], port: 0 };
const WALL_MS = 1_760_000_000_000;

const KEY_HEX = "77".repeat(16);
const KEY = Uint8Array.fromHex(KEY_HEX);
const T = `a174c410${KEY_HEX}`;
const CONTACT_HEX = `93c414${ANN}92a831302e302e302e31a7666430303a3a31cd0d9d`;
const OTHER_HEX = `93c414${BOB}9000`;
const IDS_HEX = `9292c414${ANN}910192c414${BOB}91cd012c`;
const WALL_HEX = "cf00000199c82cc000";
const NONCE_HEX = "a16ecf0001000000000000";

/** Every kind of packet, and its body in bytes. */
const GOLDEN: readonly (readonly [GossipPacket, bodyHex: string])[] = [
  [{ kind: "push", envelope: Uint8Array.of(1, 2, 3), hops: 4 }, `83a16804a16dc403010203${T}`],
  [{ kind: "have", ids: IDS }, `82a1699293c414${ANN}9101910393c414${BOB}91cd012c9100${T}`],
  [{ kind: "graft" }, `81${T}`],
  [{ kind: "dont", ids: PLAIN_IDS }, `82a169${IDS_HEX}${T}`],
  [{ kind: "want", ids: PLAIN_IDS }, `82a169${IDS_HEX}${T}`],
  [{ kind: "want", ids: [] }, `82a16990${T}`],
  [{ kind: "prune" }, `81${T}`],
  [
    { kind: "neighbor", priority: "join", contact: CONTACT, wallMs: WALL_MS },
    `84a170a46a6f696ea163${CONTACT_HEX}a177${WALL_HEX}${T}`,
  ],
  [
    {
      kind: "welcome",
      refusal: undefined,
      contact: CONTACT,
      wallMs: WALL_MS,
      echoMs: 5,
      contacts: [OTHER],
    },
    `86a16fa0a163${CONTACT_HEX}a177${WALL_HEX}a16505a17891${OTHER_HEX}${T}`,
  ],
  [
    { kind: "welcome", refusal: "full", contact: OTHER, wallMs: 1, echoMs: 5, contacts: [] },
    `86a16fa466756c6ca163${OTHER_HEX}a17701a16505a17890${T}`,
  ],
  [{ kind: "walk", contact: CONTACT, left: 6 }, `83a163${CONTACT_HEX}a16c06${T}`],
  [{ kind: "leave", isGone: true }, `82a167c3${T}`],
  [{ kind: "leave", isGone: false }, `82a167c2${T}`],
  [
    { kind: "shuffle", contact: CONTACT, contacts: [OTHER], left: 6, nonce: 2 ** 48 },
    `85a163${CONTACT_HEX}a17891${OTHER_HEX}a16c06${NONCE_HEX}${T}`,
  ],
  [
    { kind: "shuffled", contacts: [OTHER], nonce: 2 ** 48 },
    `83a17891${OTHER_HEX}${NONCE_HEX}${T}`,
  ],
  [{ kind: "compare", digest: [[1, 2, 2 ** 48 - 1]] }, `82a16491930102cf0000ffffffffffff${T}`],
  [
    { kind: "offer", ranges: [[ANN, [1, 3, 7, 7]]], buckets: [5, 176_000_000], isAll: true },
    `84a1699192c414${ANN}9401030707a1629205ce0a7d8c00a161c3${T}`,
  ],
  [
    { kind: "offer", ranges: [], buckets: undefined, isAll: false },
    `84a16990a162c0a161c2${T}`,
  ],
  [{ kind: "ping", wallMs: WALL_MS }, `82a177${WALL_HEX}${T}`],
  [{ kind: "pong", wallMs: WALL_MS, echoMs: 7 }, `83a177${WALL_HEX}a16507${T}`],
];

function read(packet: Uint8Array): GossipPacket {
  const { header, body } = decodeWireData(packet);
  return readPacket(header, body);
}

function bodyOf(packet: GossipPacket): MessageBody {
  return decodeWireData(encodePacket(packet, KEY)).body;
}

/** Anything but what stands there. */
function wrongFor(right: unknown): unknown[] {
  const all = [undefined, null, true, -1, 0.5, NaN, 2 ** 53, 2n ** 63n, "x", KEY, [null], [[]], {}];
  return typeof right === "number" ? all : [...all, 7];
}

Deno.test("encodePacket writes every kind in known bytes, and readPacket reads them", () => {
  for (const [packet, bodyHex] of GOLDEN) {
    const header = new TextEncoder().encode(`gossip.${packet.kind}`);
    const hex = `95${(0xa0 + header.length).toString(16)}${header.toHex()}0001${bodyHex}c0`;
    assertEquals(encodePacket(packet, KEY).toHex(), hex);
    assertEquals(read(Uint8Array.fromHex(hex)), packet);
  }
  assertEquals(new Set(GOLDEN.map(([{ kind }]) => `gossip.${kind}`)), new Set(GOSSIP_HEADERS));
});

Deno.test("readPacket gives back any packet that was written", () => {
  const generator = new Generator(17);
  const time = () => generator.pick([0, generator.below(1e9), WALL_MS, 2 ** 53 - 1]);
  const contact = () => {
    const hosts = generator.pick([[], ["10.0.0.1"], ["fd00::1", "10.0.0.2", "10.0.0.3", "::1"]]);
    return { peerId: generator.bytes(20).toHex(), hosts, port: generator.below(65_536) };
  };
  const contacts = () => Array.from({ length: generator.below(17) }, contact);
  const left = () => generator.below(17);
  for (let round = 0; round < 200; round++) {
    const refusal = generator.pick([undefined, "full", "unknown", "not-allowed"] as const);
    const priority = generator.pick(["join", "high", "swap", "low"] as const);
    const packets: readonly GossipPacket[] = [
      { kind: "push", envelope: generator.bytes(generator.below(99)), hops: generator.below(256) },
      { kind: "neighbor", priority, contact: contact(), wallMs: time() },
      {
        kind: "welcome",
        refusal,
        contact: contact(),
        wallMs: time(),
        echoMs: time(),
        contacts: contacts(),
      },
      { kind: "walk", contact: contact(), left: left() },
      {
        kind: "shuffle",
        contact: contact(),
        contacts: contacts(),
        left: left(),
        nonce: time(),
      },
      { kind: "shuffled", contacts: contacts(), nonce: time() },
      { kind: "pong", wallMs: time(), echoMs: time() },
    ];
    for (const packet of packets) assertEquals(read(encodePacket(packet, KEY)), packet);
  }
});

Deno.test("readPacket gives the bytes of a message as a view of the packet's", () => {
  const m = Uint8Array.of(1, 2, 3);
  const packet = readPacket("gossip.push", { m, h: 0 });
  assert(packet.kind === "push" && packet.envelope === m);
});

Deno.test("readPacket refuses every element that is of another kind, or missing", () => {
  // Anything but true is no; buckets have a test of their own.
  const open = ["leave.g", "offer.a", "offer.b"];
  for (const [packet] of GOLDEN) {
    const header = `gossip.${packet.kind}`;
    const body = bodyOf(packet);
    for (const element of Object.keys(body)) {
      if (element === "t" || open.includes(`${packet.kind}.${element}`)) continue;
      for (const wrong of wrongFor(body[element])) {
        if (packet.kind === "push" && element === "m" && wrong === KEY) continue;
        const changed = { ...body, [element]: wrong };
        const error = assertThrows(
          () => readPacket(header, changed),
          InvalidPacketError,
          "Cannot ",
        );
        assertEquals(error.code, "bad-message", `${header} ${element}`);
      }
    }
  }
});

Deno.test("readPacket refuses numbers beyond their bounds, naming the element and the bound", () => {
  const beyond: readonly (readonly [GossipKind, string, number])[] = [
    ["push", "h", 255],
    ["walk", "l", 16],
    ["shuffle", "l", 16],
    ["shuffle", "n", Number.MAX_SAFE_INTEGER],
    ["shuffled", "n", Number.MAX_SAFE_INTEGER],
    ["ping", "w", Number.MAX_SAFE_INTEGER],
    ["pong", "e", Number.MAX_SAFE_INTEGER],
    ["neighbor", "w", Number.MAX_SAFE_INTEGER],
    ["welcome", "e", Number.MAX_SAFE_INTEGER],
  ];
  for (const [kind, element, most] of beyond) {
    const [packet] = GOLDEN.find(([one]) => one.kind === kind) ?? [];
    assert(packet !== undefined);
    const body = bodyOf(packet);
    assertEquals(readPacket(`gossip.${kind}`, { ...body, [element]: most }).kind, kind);
    const why = `Cannot decode gossip packet: ${element}: it is no whole number from 0 to ${most}`;
    const tooMuch = { ...body, [element]: most + 1 };
    const error = assertThrows(
      () => readPacket(`gossip.${kind}`, tooMuch),
      InvalidPacketError,
      why,
    );
    assertEquals(error.details, { element });
  }
});

Deno.test("readPacket refuses words that it does not know, without repeating them", () => {
  const [neighbor, welcome] = ["neighbor", "welcome"].map((kind) => {
    const [packet] = GOLDEN.find(([one]) => one.kind === kind) ?? [];
    assert(packet !== undefined);
    return bodyOf(packet);
  });
  for (const word of ["", "JOIN", "toString", "\x1b[2J"]) {
    const error = assertThrows(() => readPacket("gossip.neighbor", { ...neighbor, p: word }));
    assert(error instanceof InvalidPacketError);
    assertEquals(
      error.message,
      "Cannot decode gossip packet: p: it is none of join, high, swap, low",
    );
  }
  assertThrows(() => readPacket("gossip.welcome", { ...welcome, o: "no" }), InvalidPacketError);
});

Deno.test("readPacket takes ids with hops where somebody has messages, and nowhere else", () => {
  const [have, want] = [bodyOf({ kind: "have", ids: IDS }), bodyOf({ kind: "want", ids: IDS })];
  assertEquals(readPacket("gossip.have", have), { kind: "have", ids: IDS });
  assertEquals(readPacket("gossip.want", want), { kind: "want", ids: PLAIN_IDS });
  assertThrows(() => readPacket("gossip.have", want), InvalidPacketError, "the hops do not fit");
  for (const kind of ["want", "dont"]) {
    const why = "the hops do not fit";
    assertThrows(() => readPacket(`gossip.${kind}`, have), InvalidPacketError, why);
  }
});

Deno.test("readPacket reads nothing in a graft or a prune: who wants messages says which", () => {
  for (const kind of ["graft", "prune"] as const) {
    assertEquals(readPacket(`gossip.${kind}`, bodyOf({ kind: "want", ids: IDS })), { kind });
  }
});

Deno.test("readPacket takes an offer for a part unless it says that it is all", () => {
  for (const [a, isAll] of [[true, true], [false, false], [1, false], [undefined, false]]) {
    const packet = readPacket("gossip.offer", { i: [], b: null, a });
    assert(packet.kind === "offer");
    assertEquals(packet.isAll, isAll);
  }
});

Deno.test("readPacket takes 512 buckets and refuses more, or one that is none", () => {
  const b = Array.from({ length: 512 }, (_, nth) => nth);
  const packet = readPacket("gossip.offer", { i: [], b });
  assert(packet.kind === "offer");
  assertEquals(packet.buckets, b);
  for (const wrong of [[...b, 512], [-1], [0.5], [2 ** 53], ["1"], "b", {}, undefined, 7]) {
    assertThrows(() => readPacket("gossip.offer", { i: [], b: wrong }), InvalidPacketError, " b: ");
  }
});

Deno.test("readPacket refuses kinds that there are not, those that every object has among them", () => {
  for (const kind of ["", "pushed", "PUSH", "toString", "constructor", "__proto__", "has"]) {
    const why = "Cannot decode gossip packet: header: it is none of gossip";
    assertThrows(() => readPacket(`gossip.${kind}`, {}), InvalidPacketError, why);
  }
  for (const header of ["", "push", "gossip", "-------push", "Gossip.push", "gossip.gossip.push"]) {
    assertThrows(() => readPacket(header, { m: KEY, h: 0 }), InvalidPacketError, "header");
  }
});

Deno.test("readPacket reads nothing that a body only inherits", () => {
  // { "__proto__": { "m": bin, "h": 0 } }
  const body = "81a95f5f70726f746f5f5f82a16dc401ffa16800";
  const bytes = Uint8Array.fromHex(`95ab676f737369702e707573680001${body}c0`);
  assertThrows(() => read(bytes), InvalidPacketError, "Cannot decode");
});

Deno.test("a packet that is cut off anywhere is refused", () => {
  for (const [packet] of GOLDEN) {
    const bytes = encodePacket(packet, KEY);
    for (let end = 0; end < bytes.length; end++) {
      assertThrows(() => read(bytes.subarray(0, end)), InvalidPacketError, "Cannot ");
    }
  }
});

Deno.test("a packet that declares far more than it has is refused before anything is made of it", () => {
  const huge = ["ddffffffff", "dfffffffff", "c6ffffffff", "dbffffffff"];
  for (const [packet, bodyHex] of GOLDEN) {
    const header = new TextEncoder().encode(`gossip.${packet.kind}`);
    const start = `95${(0xa0 + header.length).toString(16)}${header.toHex()}0001`;
    for (const declared of huge) {
      // In place of the first value of the body, and of the body.
      for (const hex of [`${start}${bodyHex.slice(0, 6)}${declared}`, `${start}${declared}`]) {
        assertThrows(() => read(Uint8Array.fromHex(hex)), InvalidPacketError, "Cannot ");
      }
    }
  }
});

Deno.test("readPacket looks no further at lists that are far too long", () => {
  const id = KEY.slice(0, 0);
  const long = Array.from({ length: 20_000 }, () => id);
  const contact = [Uint8Array.fromHex(ANN), [], 1];
  const bodies: readonly (readonly [GossipKind, MessageBody])[] = [
    ["have", { i: [[Uint8Array.fromHex(ANN), long.map((_, nth) => nth)]] }],
    ["offer", { i: [[Uint8Array.fromHex(ANN), long.map((_, nth) => nth)]], b: null }],
    ["offer", { i: [], b: long }],
    ["compare", { d: long }],
    ["shuffled", { x: long, n: 1 }],
    ["shuffle", { c: contact, x: long, l: 1, n: 1 }],
    ["walk", { c: [Uint8Array.fromHex(ANN), long, 1], l: 1 }],
  ];
  for (const [kind, body] of bodies) {
    const { header, body: decoded } = decodeWireData(
      encodeWireData(wireData(`gossip.${kind}`, body)),
    );
    const startedMs = performance.now();
    assertThrows(() => readPacket(header, decoded), InvalidPacketError);
    const ms = performance.now() - startedMs;
    assert(ms < 100, `${kind} took ${ms} ms`);
  }
});

Deno.test("topicOf takes a key of 16 bytes and nothing else", () => {
  assertEquals(topicOf({ t: KEY }), KEY_HEX);
  for (const t of [undefined, null, KEY_HEX, [], new Uint8Array(15), new Uint8Array(17), {}]) {
    const error = assertThrows(() => topicOf({ t }), InvalidPacketError);
    assertStringIncludes(error.message, "t: a topic's key is 16 bytes");
  }
});

Deno.test("encodePacket names no topic where it is of none", () => {
  assertEquals(decodeWireData(encodePacket({ kind: "ping", wallMs: 1 })).body, { w: 1 });
});
