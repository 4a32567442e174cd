import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { RemoteError } from "../../src/errors.ts";
import { Metrics } from "../../src/metrics.ts";
import { authorize, countCalls, limitRate, logCalls } from "../../src/rpc/middleware.ts";
import { schema } from "../../src/rpc/schema.ts";
import { Journal } from "../endpoint/fixture.ts";
import { World } from "./fixture.ts";

Deno.test("authorize lets pass what the check allows, at once or later", async () => {
  await using world = await World.open();
  const client = await world.client({ name: "bob" });
  world.served.endpoint.use(authorize(({ header, peer }, { data }) => {
    if (header === "v1/ping") return Promise.resolve(peer?.name === "bob");
    return data === "please";
  }));
  assertEquals(await client.call("echo", "please"), "please");
  assertEquals((await client.call("ping") as { pong: boolean }).pong, true);
  const error = await assertRejects(() => client.call("echo", "now"), RemoteError);
  assertEquals([error.code, error.message], ["not-allowed", 'Not allowed to call "echo"']);
  const stranger = await world.client({}, "stranger");
  const later = await assertRejects(() => stranger.call("ping"), RemoteError);
  assertEquals(later.code, "not-allowed");
});

Deno.test("authorize answers with what the check throws", async () => {
  await using world = await World.open();
  const client = await world.client();
  world.served.endpoint.use(authorize(() => {
    throw new Error("the list is broken");
  }));
  const error = await assertRejects(() => client.call("ping"), RemoteError);
  assertEquals([error.code, error.message], ["internal", "The handler failed"]);
});

Deno.test("limitRate holds each address to its rate", async () => {
  await using world = await World.open();
  const { clock } = world;
  const [alice, bob] = [await world.client({}, "alice"), await world.client({}, "bob")];
  world.served.endpoint.use(limitRate({ perSecond: 2, burst: 3, clock }));
  for (let n = 0; n < 3; n++) await alice.call("ping");
  const error = await assertRejects(() => alice.call("ping"), RemoteError);
  assertEquals(error.code, "rate");
  assertEquals(error.message, "Cannot take a call: the caller's calls exceed burst 3");
  assertEquals(error.details, { limit: "burst", max: 3 });
  await bob.call("ping");
  await clock.advance(500);
  await alice.call("ping");
  await assertRejects(() => alice.call("ping"), RemoteError, "burst");
  const again = await world.client({}, "alice");
  await assertRejects(() => again.call("ping"), RemoteError, "burst");
});

Deno.test("limitRate counts by another key where one is given", async () => {
  await using world = await World.open();
  const client = await world.client();
  const { clock } = world;
  const key = ({ header }: { header: string }) => header;
  world.served.endpoint.use(limitRate({ perSecond: 1, burst: 1, clock, key }));
  await client.call("ping");
  await client.call("status");
  await assertRejects(() => client.call("ping"), RemoteError, "burst 1");
  assertThrows(() => limitRate({ perSecond: 0, burst: 1 }), RangeError, "perSecond");
});

Deno.test("logCalls says what was called by whom, how long it took and what came of it", async () => {
  await using world = await World.open();
  const { clock } = world;
  const client = await world.client();
  const log = new Journal();
  world.served.endpoint.use(logCalls(log, { clock }));
  world.server.register("slow", () => clock.advance(20));
  world.server.register("bad\u001b[2J", () => Promise.reject(new Error("private")));
  await client.call("echo", "private");
  await client.call("slow");
  await assertRejects(() => client.call("bad\u001b[2J"));
  const from = log.lines[0]?.fields.from;
  assertEquals(log.lines, [
    { level: "debug", message: "called", fields: { header: "v1/echo", from, ms: 0 } },
    { level: "debug", message: "called", fields: { header: "v1/slow", from, ms: 20 } },
    {
      level: "info",
      message: "a call failed",
      fields: { header: "v1/bad\\u{1b}[2J", from, ms: 0, code: "internal" },
    },
  ]);
  assertEquals(String(from).startsWith("client:"), true);
});

Deno.test("countCalls counts what comes and what fails", async () => {
  await using world = await World.open();
  const client = await world.client();
  const metrics = new Metrics();
  world.served.endpoint.use(countCalls(metrics));
  world.server.register("later", () => Promise.reject(new Error()), { input: schema.anything() });
  world.server.register("strict", () => 0, { input: schema.number() });
  await client.call("echo", 1);
  client.notify("echo", 1);
  await assertRejects(() => client.call("later"));
  await assertRejects(() => client.call("strict", "x"));
  assertEquals(metrics.snapshot(), { "calls.failed": 2, "calls.total": 4 });
});

Deno.test("describe shows the middleware in the order that a call passes it", async () => {
  await using world = await World.open();
  const { endpoint } = world.served;
  const order: string[] = [];
  const log = new Journal();
  const debug = log.debug.bind(log);
  log.debug = (message, fields) => {
    order.push("log");
    debug(message, fields);
  };
  endpoint.use(authorize(() => order.push("auth") > 0));
  const key = () => (order.push("rate"), "");
  endpoint.use(limitRate({ perSecond: 1, burst: 9, key }));
  endpoint.use(logCalls(log));
  endpoint.use(countCalls(new Metrics()));
  const input = schema.guard("a turn", (_): _ is null => order.push("validate") > 0);
  world.server.register("turn", () => order.push("handler"), { input });
  const client = await world.client();
  const { endpoints, middleware } = world.server.describe();
  assertEquals(middleware, ["auth", "rate", "log", "metrics"]);
  const turn = endpoints.find(({ name }) => name === "turn");
  assertEquals(turn?.middleware, ["auth", "rate", "log", "metrics", "validate"]);
  await client.call("turn", null);
  assertEquals(order, ["auth", "rate", "validate", "handler", "log"]);
});
