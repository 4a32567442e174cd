import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { parsePart, takePart } from "../../src/cli/dht_up.ts";
import { Options, UsageError } from "../../src/cli/options.ts";
import { Output } from "../../src/cli/output.ts";
import { VERBS } from "../../src/cli/verbs.ts";
import { Peer } from "../../src/peer.ts";
import { Town } from "./dht_fixture.ts";

function partOf(...line: string[]) {
  return parsePart(new Options(line, VERBS.up?.options ?? {}));
}

Deno.test("parsePart reads how up takes part in the DHT, and refuses what cannot be", () => {
  assertEquals(partOf(), { mode: "server", provided: [] });
  assertEquals(partOf("--dht", "auto"), { mode: "auto", provided: [] });
  assertEquals(partOf("--dht", "off"), { mode: undefined, provided: [] });
  const twice = ["--provide", "a", "--provide", "b", "--provide", "a"];
  assertEquals(partOf("--dht", "client", ...twice), { mode: "client", provided: ["a", "b"] });
  const cases: readonly (readonly [line: readonly string[], why: string])[] = [
    [["--dht", "no"], "one of server, client, auto, off: it is no"],
    [["--dht", "off", "--provide", "a"], "--provide needs the DHT"],
    [["--provide", "a\nb"], '"a\\u{a}b" is no name'],
    [["--provide", "x".repeat(256)], "more than 255 bytes"],
  ];
  for (const [line, why] of cases) {
    assertStringIncludes(assertThrows(() => partOf(...line), UsageError).message, why);
  }
});

/** Output that tells of each result. */
class HeardOutput extends Output {
  readonly results: [facts: Record<string, unknown>, text: string][] = [];
  #wake = Promise.withResolvers<void>();

  constructor() {
    super({ json: false, level: "error" });
  }

  override result(facts: Record<string, unknown>, text: string): void {
    this.results.push([facts, text]);
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
  }

  async until(count: number): Promise<void> {
    while (this.results.length < count) await this.#wake.promise;
  }
}

Deno.test("takePart tells that there are others, and has what is provided found", async () => {
  await using town = await Town.open(2);
  const [first] = town.peers;
  await using peer = await Peer.open({
    ...{ hostname: "127.0.0.1", port: 0, announce: false },
    seeds: first?.address === undefined ? [] : [first.address],
  });
  const ending = new AbortController();
  const output = new HeardOutput();
  const how = { output, signal: ending.signal };
  const work = takePart(peer, { mode: "server", provided: ["tea", "\u202ex"] }, how);
  await output.until(3);
  const [joined, ...provided] = output.results;
  assertEquals(joined, [
    { event: "dht-joined", mode: "server", nodes: 2 },
    "in the DHT as a server: 2 other nodes are known",
  ]);
  assertEquals(provided.toSorted(([, a], [, b]) => a < b ? -1 : 1), [
    [{ event: "provided", name: "\u202ex", holders: 2 }, "provides \\u{202e}x: 2 nodes know"],
    [{ event: "provided", name: "tea", holders: 2 }, "provides tea: 2 nodes know"],
  ]);
  const { lines } = await town.run("ann", "providers", "tea");
  assertEquals(lines, [`${peer.peerId}  127.0.0.1:${peer.address?.port}`]);
  ending.abort();
  await work;
});

Deno.test("takePart says nothing and ends at ^C where nobody else is there, and at once where it is off", async () => {
  await using peer = await Peer.open({ hostname: "127.0.0.1", port: 0, discoveryPort: 19 });
  const output = new HeardOutput();
  await takePart(peer, { mode: undefined, provided: [] }, { output, signal: AbortSignal.abort() });
  const ending = new AbortController();
  const work = takePart(peer, { mode: "server", provided: ["x"] }, {
    output,
    signal: ending.signal,
  });
  ending.abort();
  await Promise.all([peer.close(), work]);
  assertEquals(output.results, []);
});
