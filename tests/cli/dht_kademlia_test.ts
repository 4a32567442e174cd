import { assertEquals, assertMatch } from "@std/assert";
import type { KademliaNetwork } from "../../src/dht/dialects/network.ts";
import { digestOf } from "../../src/dht/dialects/values.ts";
import { toKey } from "../../src/dht/node_id.ts";
import { formatAddress } from "../../src/transport/transport.ts";
import { kademliaOn, Swarm } from "../dht/dialects/dialect_fixture.ts";
import { type Ran, runVerb } from "./verb_fixture.ts";

/** A home that cannot be. */
const NO_HOME = "/dev/null/no-home";

/** Runs `kith dht ... --dialect kademlia` in a network of two nodes. */
async function inNetwork(
  work: (ask: (...line: string[]) => Promise<Ran>, node: KademliaNetwork) => Promise<void>,
): Promise<void> {
  await using swarm = new Swarm();
  const [first, second] = [await swarm.add(kademliaOn), await swarm.add(kademliaOn)];
  await second.join(swarm.addresses.slice(0, 1));
  const peers = swarm.addresses.flatMap((address) => ["--peer", formatAddress(address)]);
  const dialect = ["--ephemeral", "--dialect", "kademlia", "--host", "127.0.0.1", ...peers];
  await work((...line) => runVerb("dht", NO_HOME, ...line, ...dialect), first);
}

Deno.test("dht put and get set and get values of plain Kademlia, of every type it has", () =>
  inNetwork(async (ask, node) => {
    const cases: readonly (readonly [line: readonly string[], value: unknown, text: string])[] = [
      [["the", "kettle\nis on"], "the kettle\nis on", "the kettle\nis on"],
      [["42", "--as", "json"], 42, "42"],
      [["1.5", "--as", "json"], 1.5, "1.5"],
      [["true", "--as", "json"], true, "true"],
      [["\u001b", "--as", "bytes"], Uint8Array.of(27), '{\n  "$bytes": "1b"\n}'],
      [["\u001b[2J"], "\u001b[2J", "\\u{1b}[2J"],
    ];
    const key = toKey(digestOf("news"));
    for (const [line, value, text] of cases) {
      const put = await ask("put", "news", ...line);
      assertEquals([put.code, put.lines], [0, [`put news  2 nodes confirm  key ${key}`]]);
      assertEquals((await node.get("news", { fresh: true }))?.value, value);
      const got = await ask("get", "news");
      assertEquals([got.code, got.lines, got.facts[0]?.key], [0, [text], key]);
    }
    const { code, notes: [why = ""] } = await ask("get", "else");
    assertEquals(code, 5);
    assertMatch(why, /^Nobody has a value for "else": \d nodes are known$/);
  }));

Deno.test("dht trace and stat show a network of plain Kademlia", () =>
  inNetwork(async (ask, node) => {
    await node.set("news", "x");
    const { lines: [text = ""] } = await ask("trace", "news");
    assertMatch(text, /^[0-9a-f]{8} {2}127\.0\.0\.1:\d+ +\d+\.\d ms {2}(value|0 nearer)\n/);
    assertMatch(text, new RegExp(`\nnews, key ${toKey(digestOf("news"))}: asked \\d`));
    const { facts: [stat] } = await ask("stat");
    assertEquals([stat?.mode, stat?.nodes, stat?.failing], ["client", 2, 0]);
    assertEquals(node.stat().nodes, 1); // who only asks is no node to the others
  }));

Deno.test("dht --dialect kademlia says that nobody answers", async () => {
  const nobody = [
    "--ephemeral",
    "--dialect",
    "kademlia",
    "--peer",
    "127.0.0.1:19",
    "--host",
    "127.0.0.1",
  ];
  const line = ["get", "x", "--timeout", "0.1", ...nobody];
  const { code, notes } = await runVerb("dht", NO_HOME, ...line);
  assertEquals([code, notes], [5, ["No node of the DHT was found: tried 127.0.0.1:19"]]);
});
