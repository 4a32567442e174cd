import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { type Contact, contactOf } from "../../src/dht/contact.ts";
import type { LookupEvent } from "../../src/dht/lookup_events.ts";
import { plainRecord, signedKey } from "../../src/dht/record.ts";
import { toKey } from "../../src/dht/node_id.ts";
import { showTrace } from "../../src/cli/dht_trace.ts";
import { Output } from "../../src/cli/output.ts";
import { Town } from "./dht_fixture.ts";

class KeptOutput extends Output {
  readonly facts: Record<string, unknown>[] = [];
  readonly texts: string[] = [];

  override result(facts: Record<string, unknown>, text: string): void {
    this.facts.push(facts);
    this.texts.push(text);
  }
}

/** A key of ones, and nodes whose ids begin with so many of them. */
const KEY = new Uint8Array(20).fill(255);

function nodeWith(bits: number, hostname = `10.0.0.${bits}`): Contact {
  const id = new Uint8Array(20).fill(255, 0, bits >> 3);
  id[bits >> 3] = 0xff00 >> (bits & 7) & 0xff;
  return contactOf(id, { hostname, port: 4_000 });
}

const [FAR, MID, NEAR, DEAD, EVIL, SLOW] = [
  nodeWith(1),
  nodeWith(9),
  nodeWith(17),
  nodeWith(3),
  nodeWith(4, "evil\u001b[2J"),
  nodeWith(5),
] as const;

function asked(contact: Contact, depth: number, by?: Contact): LookupEvent {
  return { type: "asked", contact, depth, path: 0, by };
}

function answered(contact: Contact, depth: number, more: { nearer?: number; values?: number }) {
  const { nearer = 0, values = 0 } = more;
  const records = Array.from({ length: values }, () => plainRecord(KEY, Uint8Array.of(1)));
  const nodes = Array.from({ length: nearer }, () => FAR);
  const answer = { nodes, records };
  return { type: "answered", contact, depth, path: 0, rttMs: 9.87654, answer, nearer } as const;
}

/** A lookup of three rounds in which everything happens that can. */
const EVENTS: readonly LookupEvent[] = [
  asked(FAR, 1),
  asked(DEAD, 1),
  answered(FAR, 1, { nearer: 3 }),
  asked(MID, 2, FAR),
  asked(EVIL, 2, FAR),
  asked(SLOW, 2, FAR),
  { type: "failed", contact: DEAD, depth: 1, path: 0, why: "No answer in 2 s", code: "timeout" },
  { type: "failed", contact: EVIL, depth: 2, path: 0, why: "It refuses", code: "limit" },
  answered(MID, 2, { nearer: 1 }),
  asked(NEAR, 3, MID),
  answered(NEAR, 3, { values: 1 }),
  {
    ...{ type: "done", closest: [NEAR, MID], answered: new Set(["a", "b", "c"]) },
    ...{ hops: 3, asked: 6, failed: 2, ms: 41.2345 },
  },
];

async function* play(events: readonly LookupEvent[]): AsyncGenerator<LookupEvent> {
  yield* events;
}

Deno.test("showTrace draws who answered what below who named them", async () => {
  const output = new KeptOutput({ json: false, level: "error" });
  await showTrace(play(EVENTS), { key: KEY, label: "news" }, output);
  assertEquals(output.texts, [[
    "80000000      10.0.0.1:4000       9.9 ms  3 nearer",
    "  ff800000    10.0.0.9:4000       9.9 ms  1 nearer",
    "    ffff8000  10.0.0.17:4000      9.9 ms  value",
    "  f0000000    evil\\u{1b}[2J:4000       -  It refuses",
    "  f8000000    10.0.0.5:4000            -  not waited for",
    "e0000000      10.0.0.3:4000            -  no answer",
    `news, key ${"f".repeat(40)}: asked 6, 3 answered, 3 hops, 41 ms`,
  ].join("\n")]);
});

Deno.test("showTrace prints every event as data as it comes", async () => {
  const output = new KeptOutput({ json: true, level: "error" });
  await showTrace(play(EVENTS), { key: KEY, label: "news" }, output);
  const { facts } = output;
  assertEquals(facts.map(({ event }) => event), EVENTS.map(({ type }) => type));
  const id = (contact: Contact) => ({
    id: contact.key,
    address: `${contact.address.hostname}:4000`,
  });
  const place = { ...id(MID), bits: 9, depth: 2, path: 0 };
  assertEquals(facts[0], { event: "asked", ...id(FAR), bits: 1, depth: 1, path: 0, by: null });
  assertEquals(facts[3], { event: "asked", ...place, by: FAR.key });
  assertEquals(facts[6], {
    ...{ event: "failed", ...id(DEAD), bits: 3, depth: 1, path: 0 },
    ...{ code: "timeout", why: "No answer in 2 s" },
  });
  assertEquals(facts[8], {
    ...{ event: "answered", ...place, rttMs: 9.877, nearer: 1, nodes: 1, values: 0 },
  });
  const closest = [{ ...id(NEAR), bits: 17 }, { ...id(MID), bits: 9 }];
  assertEquals(facts.at(-1), {
    ...{ event: "done", key: "f".repeat(40), closest },
    ...{ asked: 6, answered: 3, failed: 2, hops: 3, ms: 41.235 },
  });
});

Deno.test("showTrace shows how far it got where that ends too soon", async () => {
  async function* broken(): AsyncGenerator<LookupEvent> {
    yield* EVENTS.slice(0, 1);
    throw new Error("too late");
  }
  const output = new KeptOutput({ json: false, level: "error" });
  await assertRejects(
    () => showTrace(broken(), { key: KEY, label: "news" }, output),
    Error,
    "too late",
  );
  assertEquals(output.texts, ["80000000  10.0.0.1:4000  -  not waited for"]);
});

Deno.test("dht trace shows whom it asks for what was put under a name, a key or by a peer", async () => {
  await using town = await Town.open(3);
  const [first] = town.peers;
  await first?.dht.put("news", "x");
  await first?.dht.put("card", "y", { own: true });
  const { peerId = "" } = first ?? {};
  const cases = [
    ["news", toKey(signedKey("shared", "news", "")), "news, key "],
    [`${peerId}/card`, toKey(signedKey("own", "card", peerId)), `${peerId.slice(0, 8)}/card, key `],
    ["b1".repeat(20), "b1".repeat(20), "key "],
  ] as const;
  for (const [target, key, label] of cases) {
    const { code, lines: [text = ""] } = await town.run("ann", "trace", target);
    assertEquals(code, 0);
    assertMatch(text, new RegExp(`\n${label}${key}: asked 3, 3 answered, 1 hop, \\d+ ms$`));
    const line = /^[0-9a-f]{8} {2}127\.0\.0\.1:\d+ +\d+\.\d ms {2}(value|0 nearer)\n/;
    assertMatch(text, line);
    assertEquals(text.includes("value"), label !== "key ");
  }
  const { facts } = await town.run("ann", "trace", "news", "--json");
  assertEquals(facts.map(({ event }) => event).sort(), [
    ...["answered", "answered", "answered", "asked", "asked", "asked", "done"],
  ]);
});
