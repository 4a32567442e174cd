import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { VERBS } from "../../src/cli/verbs.ts";
import { Kith, run } from "./process.ts";
import { Scratch } from "./scratch.ts";
import { allOf, Up } from "./up.ts";

Deno.test("what one puts with dht put others get from those who are up, who are found by what they provide", async () => {
  await using scratch = await Scratch.make();
  await using bob = await Up.start(["--name", "bob", "--provide", "kettle"]);
  await using carol = await Up.start(["--dht", "server"], { network: bob.network });
  const dir = scratch.path("home");
  await Deno.mkdir(dir, { mode: 0o700 });
  // The least that its help names.
  const permissions = VERBS.dht?.permissions.replaceAll("=HOME", `=${dir}`).split(" ") ?? [];
  const ann = (...line: string[]) => {
    const options = { permissions, env: { KITH_HOME: dir } };
    return run(["dht", ...line, "--home", dir, "--json", ...bob.network], options);
  };
  const [joined] = await allOf([
    bob.kith.event("dht-joined"),
    carol.kith.event("dht-joined"),
  ]);
  await bob.kith.event("provided");
  assertEquals(joined, { event: "dht-joined", mode: "server", nodes: 1 });

  const put = await ann("put", "greeting", "hello", "there");
  assertEquals([put.code, put.stderr, put.events[0]?.holders], [0, "", 2]);
  const get = (...line: string[]) => bob.run(["dht", ...line], { input: "" });
  const [got, shown, traced, found] = await allOf([
    get("get", "greeting", "--json"),
    get("get", "greeting"),
    get("trace", "greeting"),
    get("providers", "kettle", "--json"),
  ]);
  assertEquals([got.code, got.events[0]?.value, got.events[0]?.hops], [0, "hello there", 1]);
  assertEquals([shown.stdout, shown.stderr], ["hello there\n", ""]);
  assertMatch(traced.stdout, /\d+\.\d ms {2}value\n.*\d+\.\d ms {2}value\ngreeting, key /s);
  assertEquals(found.events, [{ peerId: bob.peerId, addresses: [bob.address], data: null }]);

  const input = '{"n": [2, {"$bytes": "00ff"}]}\n';
  const line = ["dht", "put", "data", "-", "--as", "json"];
  assertEquals((await bob.run(line, { input })).code, 0);
  const { stdout } = await get("get", "data", "--json");
  assertStringIncludes(stdout, '{"value":{"n":[2,{"$bytes":"00ff"}]},');
  const large = await bob.run(["dht", "put", "data", "-", "--json"], {
    input: new Uint8Array(70_000).fill(0x61),
  });
  assertEquals([large.code, large.events[0]?.code], [2, "usage"]);
});

Deno.test("up --dht off is asked nothing, and dht says what it tried, also after ^C", async () => {
  await using bob = await Up.start(["--dht", "off"]);
  const get = ["dht", "get", "greeting", "--json"];
  await using waiting = bob.start([...get, "--timeout", "20"]);
  await bob.kith.event("added");
  const ended = await waiting.interrupt();
  assertEquals([ended.code, ended.stdout], [130, ""]);
  const { code, events } = await bob.run([...get, "--timeout", "0.3"]);
  assertEquals([code, events[0]?.code], [5, "no-peer"]);
  assertStringIncludes(JSON.stringify(events[0]?.details), '"tried":["');
  const { events: told } = await bob.kith.interrupt();
  assertEquals(told.filter(({ event }) => String(event).startsWith("dht")), []);
});

Deno.test("up --provide needs the DHT, and a name that is one", async () => {
  const up = ["up", "--host", "127.0.0.1", "--port", "0", "--http-port", "0", "--ephemeral"];
  const outcomes = await Promise.all([
    Kith.start([...up, "--dht", "off", "--provide", "x"]).ended(),
    Kith.start([...up, "--provide", "a\u0007b"]).ended(),
    Kith.start([...up, "--dht", "maybe"]).ended(),
  ]);
  const whys = ["--dht is off", "it has control characters", "one of server, client, auto, off"];
  for (const [index, { code, stdout, stderr }] of outcomes.entries()) {
    assertEquals([code, stdout], [2, ""]);
    assertStringIncludes(stderr, whys[index] ?? "");
  }
});
