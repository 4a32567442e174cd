import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { InvalidPacketError } from "../../src/errors.ts";
import { pythonJson } from "../../src/wire/json.ts";
import {
  decodeWitchAnnouncement,
  encodeWitchAnnouncement,
  MAX_WITCH_ANNOUNCEMENT_BYTES,
  MAX_WITCH_PRESENCE_BYTES,
  type WitchAnnouncement,
  type WitchLedgerSync,
  type WitchPresence,
} from "../../src/wire/witch_announcement.ts";
import { bytesOf, feedGarbage, loadVectors } from "../testdata/vectors.ts";

const PRESENCE = loadVectors("witch.discovery");
const BROADCAST = loadVectors("witch.broadcast");
const SAMPLES = [...PRESENCE, ...BROADCAST].map(bytesOf);

const TIMESTAMP = "2026-01-02T03:04:05.678901";
const LEDGER = {
  nodes: [{
    id: "z",
    ip: "192.0.2.9",
    port: 1,
    hash: "0badc0de",
    name: "z",
    protocols: ["PROJECT:p"],
    updated: "2026-01-01T00:00:00",
    status: "active",
  }],
  protocols: [],
  version: "1.0.0",
} as const;
const PRESENCE_RECORD = {
  type: "node_discovery",
  node_id: "n",
  service_info: { name: "A" },
  timestamp: TIMESTAMP,
};
const NODE_RECORD = {
  type: "node_discovery",
  node_id: "x",
  hash: "1608ea132b3bebbb",
  ip: "192.0.2.7",
  port: 9,
  name: "X",
  protocols: ["DEFAULT", "PROJECT:proj"],
};
const LEDGER_RECORD = {
  type: "ledger_sync",
  node_id: "i",
  hash: "0badc0de",
  ledger: LEDGER,
  timestamp: TIMESTAMP,
};
const DISCOVERY_RECORD = {
  type: "discovery",
  source_ip: "192.0.2.1",
  source_port: 8000,
  src_hash: "0badc0de",
  time: 1767323045.5,
  node_name: "n",
  node_id: "i",
};

function decodeValue(value: unknown): WitchAnnouncement {
  return decodeWitchAnnouncement(new TextEncoder().encode(JSON.stringify(value)));
}

function assertInvalid(code: string, run: () => unknown): InvalidPacketError {
  const error = assertThrows(run, InvalidPacketError);
  assertEquals(error.code, code);
  return error;
}

// Every value is wrong for the field, and the error says which field it is.
function assertRefused(
  record: Readonly<Record<string, unknown>>,
  field: string,
  values: readonly unknown[],
) {
  for (const value of values) {
    const error = assertInvalid("bad-message", () => decodeValue({ ...record, [field]: value }));
    assertEquals(error.details.field, field, `${field} = ${JSON.stringify(value)}`);
    assertStringIncludes(error.message, `Cannot decode witch announcement ${field}: it is `);
  }
}

const NO_TEXT = [7, true, {}, ["x"]];
const NO_ID = [...NO_TEXT, ""];
const NO_HASH = [...NO_TEXT, null, "", "0BADC0DE", "xyz", "a b", "a\n", "0".repeat(129)];
const NO_ADDRESS = [...NO_TEXT, "", "a b", "a\n", "\u001b[2J", "http://x/", "1".repeat(254)];
const NO_PORT = [null, 0, -1, 1.5, 65536, "8000", true, [1]];
const NO_TIME = [
  ...NO_TEXT,
  null,
  "",
  "2026-01-02",
  "2026-01-02 03:04:05",
  "2026-01-02T03:04:05Z",
  "2026-01-02T03:04:05+01:00",
  "2026-13-02T03:04:05",
  "2026-01-32T03:04:05",
  "2026-01-02T24:04:05",
  "2026-01-02T03:60:05",
  "2026-01-02T03:04:05.",
  "2026-01-02T03:04:05.1234567",
  "2026-01-02T03:04:05\n",
];

Deno.test("encodeWitchAnnouncement writes the original's bytes of what decodeWitchAnnouncement read", () => {
  const kinds: Record<string, number> = {};
  for (const vector of [...PRESENCE, ...BROADCAST]) {
    const announcement = decodeWitchAnnouncement(bytesOf(vector));
    kinds[announcement.kind] = (kinds[announcement.kind] ?? 0) + 1;
    assertEquals(encodeWitchAnnouncement(announcement), bytesOf(vector), vector.name);
  }
  assertEquals(kinds, { presence: 5, discovery: 3, ledger: 3, node: 2 });
});

Deno.test("decodeWitchAnnouncement reads a presence", () => {
  const [, , vector] = PRESENCE;
  assert(vector !== undefined);
  assertEquals(decodeWitchAnnouncement(bytesOf(vector)), {
    kind: "presence",
    nodeId: "n2",
    serviceInfo: { name: "hé", ip: "192.0.2.1", port: 8888, protocols: ["v1", "v2"] },
    timestamp: TIMESTAMP,
  });
});

Deno.test("decodeWitchAnnouncement reads a node, with and without what may be left out", () => {
  const node = { kind: "node", nodeId: "x", hash: "1608ea132b3bebbb", port: 9 } as const;
  const protocols = ["DEFAULT", "PROJECT:proj"];
  const whole = { ...node, ip: "192.0.2.7", name: "X", protocols };
  assertEquals(decodeValue(NODE_RECORD), whole);
  assertEquals(decodeValue({ ...NODE_RECORD, ip: "fe80::1%eth0" }), {
    ...whole,
    ip: "fe80::1%eth0",
  });

  const { type, node_id, hash, port } = NODE_RECORD;
  const bare = { type, node_id, hash, port };
  assertEquals(decodeValue(bare), node);
  assertEquals(decodeValue({ ...bare, ip: null, name: null, protocols: null }), node);
  assertEquals(decodeValue({ ...bare, service_info: {}, other: 1 }), node);
});

Deno.test("decodeWitchAnnouncement reads a ledger, with the dates that a stored one has", () => {
  const expected: WitchLedgerSync = {
    kind: "ledger",
    nodeId: "i",
    hash: "0badc0de",
    ledger: LEDGER,
    timestamp: TIMESTAMP,
  };
  assertEquals(decodeValue(LEDGER_RECORD), expected);

  const protocols = [{ id: "p", options: { a: 1 } }];
  const dates = { created_at: "2025-12-31T23:59:59", updated_at: TIMESTAMP };
  const stored = decodeValue({ ...LEDGER_RECORD, ledger: { ...LEDGER, protocols, ...dates } });
  assertEquals(stored, {
    ...expected,
    ledger: { ...LEDGER, protocols, createdAt: dates.created_at, updatedAt: dates.updated_at },
  });
  assertEquals(
    new TextDecoder().decode(encodeWitchAnnouncement(stored)),
    pythonJson({ ...LEDGER_RECORD, ledger: { ...LEDGER, protocols, ...dates } }),
  );
});

Deno.test("decodeWitchAnnouncement reads a discovery, whose time may be whole", () => {
  assertEquals(decodeValue({ ...DISCOVERY_RECORD, time: 5, node_id: null }), {
    kind: "discovery",
    sourceIp: "192.0.2.1",
    sourcePort: 8000,
    srcHash: "0badc0de",
    time: 5,
    nodeName: "n",
  });
});

Deno.test("encodeWitchAnnouncement writes a whole time as Python does, and what is undefined not at all", () => {
  const announcement = {
    kind: "discovery",
    sourceIp: "192.0.2.1",
    sourcePort: 1,
    srcHash: "0badc0de",
    time: 5,
  } as const;
  assertEquals(
    new TextDecoder().decode(encodeWitchAnnouncement(announcement)),
    '{"type": "discovery", "source_ip": "192.0.2.1", "source_port": 1, "src_hash": "0badc0de", "time": 5.0}',
  );
});

Deno.test("encodeWitchAnnouncement keeps the original's order of fields whatever ours is", () => {
  const [node] = LEDGER.nodes;
  const reversed = Object.fromEntries(Object.entries(node).reverse()) as unknown as typeof node;
  const sync = { kind: "ledger", nodeId: "i", hash: "0badc0de", timestamp: TIMESTAMP } as const;
  assertEquals(
    encodeWitchAnnouncement({ ledger: { ...LEDGER, nodes: [reversed] }, ...sync }),
    encodeWitchAnnouncement({ ...sync, ledger: LEDGER }),
  );
});

Deno.test("encodeWitchAnnouncement refuses what the original's listeners would cut", () => {
  const presence = (chars: number): WitchPresence => ({
    kind: "presence",
    nodeId: "x".repeat(chars),
    serviceInfo: {},
    timestamp: TIMESTAMP,
  });
  const room = MAX_WITCH_PRESENCE_BYTES - encodeWitchAnnouncement(presence(0)).length;
  assertEquals(encodeWitchAnnouncement(presence(room)).length, MAX_WITCH_PRESENCE_BYTES);
  const error = assertInvalid("too-large", () => encodeWitchAnnouncement(presence(room + 1)));
  assertEquals(error.details, { limit: "MAX_WITCH_PRESENCE_BYTES", max: 1024, got: 1025 });

  const sync = decodeValue(LEDGER_RECORD) as WitchLedgerSync;
  const nodes = Array<typeof LEDGER.nodes[0]>(60).fill(LEDGER.nodes[0]);
  const many = assertInvalid("too-large", () => {
    encodeWitchAnnouncement({ ...sync, ledger: { ...LEDGER, nodes } });
  });
  assertEquals(many.details.limit, "MAX_WITCH_ANNOUNCEMENT_BYTES");
});

Deno.test("encodeWitchAnnouncement refuses what JSON cannot say", () => {
  const presence = { kind: "presence", nodeId: "n", timestamp: TIMESTAMP } as const;
  for (const value of [NaN, undefined, new Date(0)]) {
    assertThrows(
      () => encodeWitchAnnouncement({ ...presence, serviceInfo: { value } }),
      TypeError,
    );
  }
});

Deno.test("decodeWitchAnnouncement takes 8192 bytes and not one more", () => {
  const padded = (length: number) => {
    const bytes = new Uint8Array(length).fill(0x20);
    bytes.set(new TextEncoder().encode(JSON.stringify(NODE_RECORD)));
    return bytes;
  };
  assertEquals(decodeWitchAnnouncement(padded(MAX_WITCH_ANNOUNCEMENT_BYTES)).kind, "node");
  const error = assertInvalid(
    "too-large",
    () => decodeWitchAnnouncement(padded(MAX_WITCH_ANNOUNCEMENT_BYTES + 1)),
  );
  assertEquals(error.details.max, 8192);
});

Deno.test("decodeWitchAnnouncement refuses every truncation", () => {
  for (const sample of SAMPLES) {
    for (let length = 0; length < sample.length; length++) {
      assertInvalid("bad-message", () => decodeWitchAnnouncement(sample.subarray(0, length)));
    }
  }
});

Deno.test("decodeWitchAnnouncement refuses what is no object and what has no known type", () => {
  for (const value of [null, 1, "node_discovery", [], [PRESENCE_RECORD]]) {
    assertInvalid("bad-message", () => decodeValue(value));
  }
  for (const type of [undefined, null, 1, "", "NODE_DISCOVERY", ["node_discovery"]]) {
    const error = assertInvalid("bad-message", () => decodeValue({ ...PRESENCE_RECORD, type }));
    assertEquals(error.details.field, "type");
  }
});

Deno.test("decodeWitchAnnouncement names the field of a presence that is missing or wrong", () => {
  assertRefused(PRESENCE_RECORD, "node_id", [undefined, null, ...NO_ID]);
  assertRefused(PRESENCE_RECORD, "service_info", [undefined, null, "x", 1, [], true]);
  assertRefused(PRESENCE_RECORD, "timestamp", [undefined, ...NO_TIME]);
});

Deno.test("decodeWitchAnnouncement names the field of a node that is missing or wrong", () => {
  assertRefused(NODE_RECORD, "node_id", [undefined, null, ...NO_ID]);
  assertRefused(NODE_RECORD, "hash", NO_HASH);
  assertRefused(NODE_RECORD, "ip", NO_ADDRESS);
  assertRefused(NODE_RECORD, "port", [undefined, ...NO_PORT]);
  assertRefused(NODE_RECORD, "name", NO_TEXT);
  assertRefused(NODE_RECORD, "protocols", ["x", 1, {}]);
  const error = assertInvalid(
    "bad-message",
    () => decodeValue({ ...NODE_RECORD, protocols: ["a", 1] }),
  );
  assertEquals(error.details.field, "protocols[1]");
});

Deno.test("decodeWitchAnnouncement names the field of a ledger that is missing or wrong", () => {
  assertRefused(LEDGER_RECORD, "node_id", [undefined, ...NO_ID]);
  assertRefused(LEDGER_RECORD, "hash", [undefined, ...NO_HASH]);
  assertRefused(LEDGER_RECORD, "timestamp", [undefined, ...NO_TIME]);
  assertRefused(LEDGER_RECORD, "ledger", [undefined, null, [], "x"]);

  const refuse = (ledger: unknown, field: string) => {
    const error = assertInvalid("bad-message", () => decodeValue({ ...LEDGER_RECORD, ledger }));
    assertEquals(error.details.field, field, JSON.stringify(ledger));
  };
  for (const value of [undefined, null, {}, "x"]) {
    refuse({ ...LEDGER, nodes: value }, "ledger.nodes");
    refuse({ ...LEDGER, protocols: value }, "ledger.protocols");
  }
  refuse({ ...LEDGER, nodes: [LEDGER.nodes[0], null] }, "ledger.nodes[1]");
  refuse({ ...LEDGER, protocols: [{}, "x"] }, "ledger.protocols[1]");
  for (const value of [undefined, null, ...NO_TEXT]) {
    refuse({ ...LEDGER, version: value }, "ledger.version");
  }
  for (const value of NO_TIME.filter((value) => value !== null)) {
    refuse({ ...LEDGER, created_at: value }, "ledger.created_at");
    refuse({ ...LEDGER, updated_at: value }, "ledger.updated_at");
  }
});

Deno.test("decodeWitchAnnouncement names the field of a ledger's node that is missing or wrong", () => {
  const wrong: Readonly<Record<keyof typeof LEDGER.nodes[0], readonly unknown[]>> = {
    id: [null, ...NO_ID],
    ip: [null, ...NO_ADDRESS],
    port: NO_PORT,
    hash: NO_HASH,
    name: [null, ...NO_TEXT],
    protocols: [null, "x", {}],
    updated: NO_TIME,
    status: [null, 1, "", "Active", "gone"],
  };
  for (const [key, values] of Object.entries(wrong)) {
    for (const value of [undefined, ...values]) {
      const nodes = [LEDGER.nodes[0], { ...LEDGER.nodes[0], [key]: value }];
      const error = assertInvalid(
        "bad-message",
        () => decodeValue({ ...LEDGER_RECORD, ledger: { ...LEDGER, nodes } }),
      );
      assertEquals(error.details.field, `ledger.nodes[1].${key}`, JSON.stringify(value));
    }
  }
});

Deno.test("decodeWitchAnnouncement names the field of a discovery that is missing or wrong", () => {
  assertRefused(DISCOVERY_RECORD, "source_ip", [undefined, null, ...NO_ADDRESS]);
  assertRefused(DISCOVERY_RECORD, "source_port", [undefined, ...NO_PORT]);
  assertRefused(DISCOVERY_RECORD, "src_hash", [undefined, ...NO_HASH]);
  assertRefused(DISCOVERY_RECORD, "time", [undefined, null, "5", true, [], {}]);
  assertRefused(DISCOVERY_RECORD, "node_name", NO_TEXT);
  assertRefused(DISCOVERY_RECORD, "node_id", NO_ID);
  const endless = JSON.stringify(DISCOVERY_RECORD).replace("1767323045.5", "1e999");
  const error = assertInvalid(
    "bad-message",
    () => decodeWitchAnnouncement(new TextEncoder().encode(endless)),
  );
  assertEquals(error.details.field, "time");
});

Deno.test("decodeWitchAnnouncement keeps a hostile service_info harmless", () => {
  const text = JSON.stringify(PRESENCE_RECORD).replace('"name"', '"__proto__"');
  const announcement = decodeWitchAnnouncement(new TextEncoder().encode(text)) as WitchPresence;
  assertEquals(Object.getPrototypeOf(announcement.serviceInfo), Object.prototype);
  assertEquals(Object.keys(announcement.serviceInfo), ["__proto__"]);

  const deep = `{"a":${"[".repeat(100)}${"]".repeat(100)}}`;
  const nested = JSON.stringify(PRESENCE_RECORD).replace('{"name":"A"}', deep);
  assertInvalid("too-large", () => decodeWitchAnnouncement(new TextEncoder().encode(nested)));
});

Deno.test("decodeWitchAnnouncement meets garbage with a value or an InvalidPacketError", () => {
  const { decoded, refused } = feedGarbage(
    (bytes) => {
      const announcement = decodeWitchAnnouncement(bytes);
      // What was read can be written, and means the same then.
      assertEquals(decodeWitchAnnouncement(encodeWitchAnnouncement(announcement)), announcement);
    },
    SAMPLES,
    { seed: 94, cases: 4000 },
  );
  assert(decoded > 100 && refused > 1000, `${decoded} decoded, ${refused} refused`);
});
