import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { run } from "../../src/cli/sim.ts";
import { COMMON_OPTIONS } from "../../src/cli/option_groups.ts";
import { Options, type OptionSpecs, UsageError } from "../../src/cli/options.ts";
import { Output } from "../../src/cli/output.ts";

const SPECS: OptionSpecs = {
  ...COMMON_OPTIONS,
  nodes: { value: "N", help: "" },
  loss: { value: "SHARE", help: "" },
  seed: { value: "N", help: "" },
  seconds: { value: "N", help: "" },
  "no-lifeguard": { help: "" },
  senders: { value: "WHO", help: "" },
  kill: { value: "P", help: "" },
  malicious: { value: "P", help: "" },
  paths: { value: "N", help: "" },
};

class KeptOutput extends Output {
  readonly facts: Record<string, unknown>[] = [];
  text = "";

  override result(facts: Record<string, unknown>, text: string): void {
    this.facts.push(facts);
    this.text = text;
  }
}

async function sim(...line: string[]): Promise<KeptOutput> {
  const output = new KeptOutput({ json: false, level: "error" });
  const signal = new AbortController().signal;
  await run({ options: new Options(line, SPECS), output, signal });
  return output;
}

Deno.test("kith sim membership prints figures, and the same ones for the same seed", async () => {
  const line = ["membership", "--nodes", "12", "--seconds", "60", "--seed", "7"];
  const { facts: [facts], text } = await sim(...line);
  assertEquals([facts?.nodes, facts?.seconds, facts?.seed, facts?.loss], [12, 60, 7, 0.01]);
  assert(Number(facts?.deadEverywhereMs) > 1_000, `dead after ${facts?.deadEverywhereMs} ms`);
  assertEquals([facts?.falseDeaths, facts?.falseSuspicions], [0, 0]);
  assertStringIncludes(text, `seed, hash                7, ${facts?.hash}`);
  assertEquals((await sim(...line)).facts, [facts]);
  const other = await sim(...line, "--no-lifeguard");
  assertEquals(other.facts[0]?.lifeguard, false);
});

Deno.test("kith sim membership says so when the dead one is not found in time", async () => {
  const { facts, text } = await sim("membership", "--nodes", "3", "--seconds", "1");
  assertEquals(facts[0]?.deadEverywhereMs, null);
  assertStringIncludes(text, "dead everywhere           not before the end");
});

Deno.test("kith sim refuses what it cannot simulate", async () => {
  const cases = [
    [[], "What to simulate is wanted"],
    [["weather"], "What to simulate is wanted"],
    [["membership", "more"], "What to simulate is wanted"],
    [["membership", "--nodes", "1"], "--nodes must be a number, 2..2000"],
    [["membership", "--nodes", "2001"], "--nodes must be a number, 2..2000"],
    [["membership", "--nodes", "2.5"], "--nodes must be a whole number"],
    [["membership", "--loss", "0.91"], "--loss must be a number, 0..0.9"],
    [["membership", "--seconds", "0"], "--seconds must be a number, 1..3600"],
    [["membership", "--seconds", "3601"], "--seconds must be a number, 1..3600"],
  ] as const;
  for (const [line, text] of cases) {
    const error = await assertRejects(() => sim(...line), UsageError);
    assertStringIncludes(error.message, text);
  }
});

Deno.test("kith sim gossip prints figures, and the same ones for the same seed", async () => {
  const line = ["gossip", "--nodes", "30", "--senders", "many", "--kill", "0.2", "--seed", "7"];
  const { facts: [facts], text } = await sim(...line);
  assertEquals([facts?.nodes, facts?.senders, facts?.kill, facts?.loss, facts?.malicious], [
    30,
    "many",
    0.2,
    0,
    0,
  ]);
  assertEquals([facts?.expected, facts?.missed, facts?.repeated], [20 * 23, 0, 0]);
  assert(Number(facts?.lastHop) >= 2 && Number(facts?.lastMs) <= 3_000, text);
  assertStringIncludes(text, "deliveries                460 of 460");
  assertStringIncludes(text, `seed, hash                7, ${facts?.hash}`);
  assertEquals((await sim(...line)).facts, [facts]);
});

Deno.test("kith sim dht prints figures, and the same ones for the same seed", async () => {
  const line = ["dht", "--nodes", "50", "--malicious", "0.2", "--kill", "0.1", "--seed", "7"];
  const { facts: [facts], text } = await sim(...line);
  const { nodes, seed, loss, kill, malicious, paths, values } = facts ?? {};
  assertEquals([nodes, seed, loss, kill, malicious, paths, values], [50, 7, 0, 0.1, 0.2, 4, 50]);
  assert(Number(facts?.success) >= 0.9 && facts?.medianHops === 1, text);
  assertStringIncludes(text, "network                   50 nodes, 40 ms apart, 0 of all packets");
  assertStringIncludes(text, "disjoint paths            4");
  assertStringIncludes(text, `seed, hash                7, ${facts?.hash}`);
  assertEquals((await sim(...line)).facts, [facts]);
});

Deno.test("kith sim refuses options of what is not simulated", async () => {
  const cases = [
    [["membership", "--kill", "0.2"], "--kill is not for sim membership"],
    [["gossip", "--no-lifeguard"], "--no-lifeguard is not for sim gossip"],
    [["gossip", "--seconds", "5"], "--seconds is not for sim gossip"],
    [["gossip", "--senders", "few"], "--senders must be one of one, many"],
    [["gossip", "--nodes", "9"], "--nodes must be a number, 10..5000"],
    [["gossip", "--malicious", "0.6"], "--malicious must be a number, 0..0.5"],
    [["membership", "--paths", "4"], "--paths is not for sim membership"],
    [["gossip", "--paths", "4"], "--paths is not for sim gossip"],
    [["dht", "--seconds", "5"], "--seconds is not for sim dht"],
    [["dht", "--no-lifeguard"], "--no-lifeguard is not for sim dht"],
    [["dht", "--senders", "many"], "--senders is not for sim dht"],
    [["dht", "--nodes", "49"], "--nodes must be a number, 50..10000"],
    [["dht", "--nodes", "100.5"], "--nodes must be a whole number"],
    [["dht", "--malicious", "1"], "--malicious must be a number, 0..0.5"],
    [["dht", "--kill", "0.3", "--malicious", "0.3"], "may be 0.5 together"],
    [["dht", "--paths", "0"], "--paths must be a number, 1..10"],
    [["dht", "--loss", "x"], "--loss must be a number, 0..0.9"],
    [["dht", "more"], "What to simulate is wanted"],
  ] as const;
  for (const [line, text] of cases) {
    const error = await assertRejects(() => sim(...line), UsageError);
    assertStringIncludes(error.message, text);
  }
});

Deno.test("kith sim stops when it is told to", async () => {
  const stopping = new AbortController();
  stopping.abort(new Error("enough"));
  const output = new KeptOutput({ json: false, level: "error" });
  const options = new Options(["membership", "--nodes", "4"], SPECS);
  await assertRejects(() => run({ options, output, signal: stopping.signal }), Error, "enough");
  assertEquals(output.facts, []);
  const dht = new Options(["dht", "--nodes", "50"], SPECS);
  await assertRejects(
    () => run({ options: dht, output, signal: stopping.signal }),
    Error,
    "enough",
  );
  assertEquals(output.facts, []);
});
