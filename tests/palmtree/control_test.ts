import { assert, assertEquals, assertThrows } from "@std/assert";
import { InvalidPacketError } from "../../src/errors.ts";
import {
  type ControlMessage,
  encodeControl,
  encodeStreamLink,
  parseControl,
  parseStreamLink,
} from "../../src/palmtree/control.ts";
import { encodeWireData, wireData } from "../../src/wire/message.ts";
import { bytesOf, feedGarbage, loadVector, loadVectors } from "../testdata/vectors.ts";

const FAMILY = "peerconnect.palm.control";
const VECTORS = loadVectors(FAMILY);
const isLink = (name: string) => name.startsWith("stream link");

const pair = (hostname: string, port: number) => ({ hostname, port });

/** A message of the dialect. */
function message(
  header: string,
  body: Record<string, unknown>,
  msgId: unknown = "7",
): Uint8Array {
  const dialect = "peerconnect";
  return encodeWireData(wireData(header, body, { msgId, dialect }), { dialect });
}

Deno.test("parseControl reads every control message of the originals, and encodeControl writes it byte for byte", () => {
  const types: string[] = [];
  for (const vector of VECTORS.filter(({ name }) => !isLink(name))) {
    const parsed = parseControl(bytesOf(vector));
    types.push(parsed?.type ?? "none");
    if (parsed !== undefined) assertEquals(encodeControl(parsed).toHex(), vector.hex, vector.name);
  }
  assertEquals(types, [
    ...["state-update", "state-update", "tree-check", "tree-check", "tree-reject", "upgrade"],
    ...["downgrade", "gather", "gather", "none"],
  ]);
});

Deno.test("parseControl reads what the messages say", () => {
  const read = (name: string) => parseControl(bytesOf(loadVector(FAMILY, name)));
  assertEquals(read("state update, two neighbours"), {
    type: "state-update",
    neighbors: [
      {
        peerId: "1001",
        passive: pair("192.0.2.11", 50_001),
        active: pair("192.0.2.11", 3_485),
        isKith: false,
      },
      {
        peerId: "1002",
        passive: pair("192.0.2.12", 50_002),
        active: pair("192.0.2.12", 3_485),
        isKith: false,
      },
    ],
  });
  assertEquals(read("tree check from root"), {
    type: "tree-check",
    from: "1000",
    messageId: "33333333-3333-4333-8333-000000000000",
    sessionId: "11111111-1111-4111-8111-000000000000",
  });
  assertEquals(read("tree gather as answered/forwarded by a child"), {
    type: "gather",
    root: "1000",
    level: 1,
    parent: "1000",
    replyAddr: pair("192.0.2.10", 40_000),
  });
});

Deno.test("parseStreamLink reads both kinds, and encodeStreamLink writes them byte for byte", () => {
  const kinds = VECTORS.filter(({ name }) => isLink(name)).map((vector) => {
    const link = parseStreamLink(bytesOf(vector));
    assert(link !== undefined);
    assertEquals(encodeStreamLink(link).toHex(), vector.hex);
    assertEquals([link.from, link.passive], ["1000", pair("192.0.2.10", 50_000)]);
    return link.kind;
  });
  assertEquals(kinds, ["plain", "file"]);
  assertEquals(parseStreamLink(message("gossip_tree_check", {})), undefined);
  assertEquals(
    parseControl(bytesOf(loadVector(FAMILY, "stream link, plain gossip session"))),
    undefined,
  );
});

Deno.test("encodeControl keeps what only our peers say", () => {
  const neighbors = [1, 2, 3].map((nth) => ({
    peerId: String(nth),
    passive: pair("192.0.2.1", nth),
    active: pair("::1", nth),
    isKith: nth !== 2,
  }));
  const messages: ControlMessage[] = [
    { type: "state-update", neighbors, seq: 3 },
    { type: "state-update", neighbors, seq: 4, children: 2 },
    { type: "state-ack", from: "7", seq: 2 ** 40 },
    { type: "upgrade", from: "7", active: pair("192.0.2.7", 3_485) },
    {
      type: "gather",
      root: "1",
      level: 3,
      parent: "2",
      replyAddr: pair("192.0.2.1", 9),
      report: { peerId: "7", chunks: 5, egressBytes: 2 ** 40, blamed: ["3", "4"] },
    },
    { type: "tree-check", from: "7", messageId: "m", sessionId: 2n ** 60n },
  ];
  for (const one of messages) assertEquals(parseControl(encodeControl(one)), one);
});

Deno.test("parseControl refuses what is malformed, naming the field", () => {
  const state = "gossip_update_state";
  const gather = { level: 0, parent: null, reply_addr: ["192.0.2.1", 1] };
  const row = ["1", ["192.0.2.1", 1], ["192.0.2.1", 2]];
  const cases: [string, Uint8Array][] = [
    ["addresses_mapping", message(state, {})],
    ["addresses_mapping", message(state, { addresses_mapping: [["1", row[1]]] })],
    ["addresses_mapping", message(state, { addresses_mapping: [[1, row[1], row[2]]] })],
    ["addresses_mapping", message(state, { addresses_mapping: new Array(4_097).fill(row) })],
    ["seq", message(state, { addresses_mapping: [], kith: [], seq: -1 })],
    ["children", message(state, { addresses_mapping: [row], kith: [true], seq: 1, children: 2 })],
    ["kith", message(state, { addresses_mapping: [row], seq: 1, kith: 1 })],
    ["id", message("gossip_tree_reject", {}, null)],
    ["id", message("gossip_upgrade_connection", {}, 7)],
    ["active_addr", message("gossip_upgrade_connection", { active_addr: ["192.0.2.1", 0.5] })],
    ["id", message("gossip_downgrade_connection", {}, "-1")],
    ["message_id", message("gossip_tree_check", { session_id: "s" })],
    ["session_id", message("gossip_tree_check", { message_id: "m" })],
    ["level", message("gossip_tree_gather", { ...gather, level: -1 })],
    ["level", message("gossip_tree_gather", { ...gather, level: 2 ** 40 })],
    ["parent", message("gossip_tree_gather", { ...gather, parent: 7 })],
    ["reply_addr", message("gossip_tree_gather", { ...gather, reply_addr: "x" })],
    ["report", message("gossip_tree_gather", { ...gather, report: ["1", 2, 3] })],
    ["report", message("gossip_tree_gather", { ...gather, report: ["1", 2, -3, []] })],
    [
      "report",
      message("gossip_tree_gather", { ...gather, report: ["1", 2, 3, new Array(65).fill("1")] }),
    ],
    ["seq", message(":palm-ack", {})],
  ];
  for (const [field, payload] of cases) {
    const error = assertThrows(() => parseControl(payload), InvalidPacketError);
    assertEquals(error.details.field, field, error.message);
  }
  for (const body of [{ session_id: "s" }, { peer_addr: ["192.0.2.1", 1] }]) {
    assertThrows(() => parseStreamLink(message("otm_add_stream_link", body)), InvalidPacketError);
  }
});

Deno.test("parseControl refuses messages that are cut, and meets any bytes with a value or an error of ours", () => {
  const samples = VECTORS.map(bytesOf);
  for (const sample of samples) {
    for (let length = 0; length < sample.length; length++) {
      assertThrows(() => parseControl(sample.subarray(0, length)), InvalidPacketError);
    }
  }
  const { decoded, refused } = feedGarbage(parseControl, samples, { seed: 73, cases: 3_000 });
  assert(decoded > 100 && refused > 1_000, `${decoded} decoded, ${refused} refused`);
});
