import { assert, assertEquals, assertThrows } from "@std/assert";
import { ManualClock } from "../../../src/clock.ts";
import {
  claimOf,
  WITCH_FORGET_MS,
  type WitchClaim,
  WitchNodes,
} from "../../../src/discovery/dialects/witch_nodes.ts";
import { InvalidPacketError } from "../../../src/errors.ts";
import type { WitchLedger, WitchLedgerNode } from "../../../src/wire/witch_announcement.ts";

const HOST = { hostname: "bob", port: 40_000 };

Deno.test("WitchNodes lists a server as it describes itself by then", () => {
  const nodes = new WitchNodes(new ManualClock());
  const claim = claimFor("n", { name: "before" });
  assertEquals(nodes.hear(claim), "unlisted");
  assertEquals([nodes.listed, nodes.claims], [[], [claim]]);
  const later = claimFor("n", { name: "after" });
  nodes.hear(later);
  assertEquals(nodes.list(claim), later.peer);
  assertEquals([nodes.listed, nodes.claims], [[later.peer], []]);
});

Deno.test("WitchNodes tells what changed from what is said again", () => {
  const nodes = new WitchNodes(new ManualClock());
  nodes.list(claimFor("n", { name: "a", protocols: ["p"] }));
  assertEquals(nodes.hear(claimFor("n", { name: "a", protocols: ["p"] })), "known");
  assertEquals(nodes.hear(claimFor("n", { name: "b", protocols: ["p"] })), "changed");
  assertEquals(nodes.hear(claimFor("n", { name: "b", protocols: ["q"] })), "changed");
  assertEquals(nodes.hear(claimFor("n", { name: "b", protocols: ["q", "r"] })), "changed");
  assertEquals(nodes.hear(claimFor("n", { name: "b", protocols: ["q", "r"] })), "known");
});

Deno.test("WitchNodes prefers the node form, and hears in presence only that the server is there", async () => {
  const clock = new ManualClock();
  const nodes = new WitchNodes(clock);
  const rich = claimFor("n", { name: "rich" });
  const poor = claimFor("n", { name: "poor", form: "presence" });
  nodes.hear(rich);
  nodes.hear(poor);
  assertEquals(nodes.list(poor), rich.peer);
  await clock.advance(WITCH_FORGET_MS - 1);
  assertEquals(nodes.hear(poor), "known");
  await clock.advance(WITCH_FORGET_MS - 1);
  assertEquals(nodes.listed, [rich.peer]);
});

Deno.test("WitchNodes keeps apart what different hosts say under one id", () => {
  const nodes = new WitchNodes(new ManualClock());
  nodes.list(claimFor("n", { name: "true" }));
  assertEquals(nodes.hear(claimFor("n", { name: "forged", hostname: "mallory" })), "unlisted");
  assertEquals(nodes.listed.map(({ name }) => name), ["true"]);
});

Deno.test("WitchNodes forgets who was silent for 15 minutes", async () => {
  const clock = new ManualClock();
  const nodes = new WitchNodes(clock);
  nodes.list(claimFor("loud"));
  nodes.list(claimFor("silent"));
  await clock.advance(60_000);
  nodes.hear(claimFor("loud"));
  await clock.advance(WITCH_FORGET_MS - 60_000);
  assertEquals(nodes.listed.map(({ id }) => id), ["loud"]);
  assertEquals(nodes.hear(claimFor("silent")), "unlisted");
});

Deno.test("WitchNodes remembers a bounded number, and who was heard of last", () => {
  const nodes = new WitchNodes(new ManualClock());
  nodes.hear(claimFor("kept"));
  for (let i = 0; i < 400; i++) {
    nodes.hear(claimFor(`forged ${i}`));
    if (i === 200) nodes.hear(claimFor("kept"));
  }
  assertEquals(nodes.claims.length, 256);
  assert(nodes.claims.some(({ peer }) => peer.id === "kept"));
  for (let i = 0; i < 2_000; i++) nodes.list(claimFor(`listed ${i}`));
  assertEquals(nodes.listed.length, 1_024);
  assertEquals(nodes.listed.at(-1)?.id, "listed 1999");
});

Deno.test("WitchNodes keeps of ledgers the later entry for an id, and a bounded number", () => {
  const nodes = new WitchNodes(new ManualClock());
  const early = ledgerNode("a", "2026-01-01T00:00:00");
  const late = ledgerNode("a", "2026-01-01T00:00:00.5");
  nodes.hearLedger(ledgerOf(early));
  nodes.hearLedger(ledgerOf(late));
  nodes.hearLedger(ledgerOf(early));
  assertEquals(nodes.hints, [late]);
  for (let i = 0; i < 1_000; i++) nodes.hearLedger(ledgerOf(ledgerNode(`n${i}`, "2026")));
  assertEquals([nodes.hints.length, nodes.listed, nodes.claims], [256, [], []]);
  nodes.hearLedger(ledgerOf(ledgerNode("x".repeat(129), "2026")));
  assertEquals(nodes.hints.length, 256);
});

Deno.test("WitchNodes bounds the texts of a ledger", () => {
  const nodes = new WitchNodes(new ManualClock());
  const long = { name: "n".repeat(500), protocols: Array(50).fill("p".repeat(500)) };
  nodes.hearLedger(ledgerOf({ ...ledgerNode("a", "2026"), ...long }));
  const [hint] = nodes.hints;
  assertEquals(hint?.name.length, 128);
  assertEquals(hint?.protocols, Array(32).fill("p".repeat(128)));
});

Deno.test("claimOf takes the host from the packet's source, whatever ip is named", () => {
  const timestamp = "2026-01-02T03:04:05";
  const serviceInfo = { name: "A", ip: "192.0.2.1", port: 8888, protocols: ["v1"] };
  const peer = {
    dialect: "witch",
    id: "n",
    name: "A",
    address: { hostname: "bob", port: 8888 },
    protocols: ["v1"],
  } as const;
  assertEquals(
    claimOf({ kind: "presence", nodeId: "n", serviceInfo, timestamp }, HOST),
    { form: "presence", peer },
  );
  const node = { ...serviceInfo, kind: "node", nodeId: "n", hash: "0b" } as const;
  assertEquals(claimOf(node, HOST), { form: "node", peer });
});

Deno.test("claimOf makes what a service says of itself harmless", () => {
  const of = (serviceInfo: Record<string, unknown>) =>
    claimOf({ kind: "presence", nodeId: "n", serviceInfo, timestamp: "" }, HOST);
  for (const port of [undefined, 0, -1, 1.5, 65_536, "80", null, {}, [80]]) {
    assertEquals(of({ port }), undefined);
  }
  const odd = of({ port: 1, name: 7, protocols: "v1" });
  assertEquals([odd?.peer.name, odd?.peer.protocols], ["", []]);
  const long = of({
    port: 1,
    name: "é".repeat(127) + "😀",
    protocols: [1, null, ...Array(50).fill("p".repeat(200))],
  });
  assertEquals(long?.peer.name, "é".repeat(127) + "\ufffd"); // cut inside a character
  assertEquals(long?.peer.protocols, Array(32).fill("p".repeat(128)));
});

Deno.test("claimOf refuses an id that is too long to be told apart by", () => {
  const nodeId = "n".repeat(129);
  const error = assertThrows(
    () => claimOf({ kind: "node", nodeId, hash: "0b", port: 1 }, HOST),
    InvalidPacketError,
    "129 characters exceed 128",
  );
  assertEquals(error.details.field, "node_id");
});

interface ClaimChanges {
  name?: string;
  protocols?: readonly string[];
  form?: WitchClaim["form"];
  hostname?: string;
}

function claimFor(id: string, changes: ClaimChanges = {}): WitchClaim {
  const { name = "", protocols = [], form = "node", hostname = "bob" } = changes;
  const address = { hostname, port: 8888 };
  return { form, peer: { dialect: "witch", id, name, address, protocols } };
}

function ledgerNode(id: string, updated: string): WitchLedgerNode {
  const common = { ip: "192.0.2.9", port: 1, hash: "0b", name: "z", protocols: [] };
  return { id, updated, status: "active", ...common };
}

function ledgerOf(...nodes: readonly WitchLedgerNode[]): WitchLedger {
  return { nodes, protocols: [], version: "1.0.0" };
}
