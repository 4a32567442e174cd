import { assert, assertEquals, assertRejects } from "@std/assert";
import { ClosedError, TimeoutError } from "../../src/errors.ts";
import { isSettled, linkPair, Served, SERVER, settle } from "./fixture.ts";

Deno.test("Link.ping measures a round trip, and rttMs remembers it", async () => {
  await using pair = await linkPair();
  const { link } = pair.client;
  assertEquals(link.rttMs, undefined);
  assertEquals(await link.ping(), 0);
  assertEquals(link.rttMs, 0);
});

Deno.test("A heartbeat keeps an idle link up for ten minutes, and measures the round trip", async () => {
  await using served = await Served.open({ limits: { heartbeatMs: 10_000 } });
  const client = await served.client("client", { limits: { heartbeatMs: 10_000 } });
  const link = await client.connect(SERVER);
  await served.clock.advance(600_000);
  assertEquals([served.endpoint.links.size, client.links.size], [1, 1]);
  assert(link.rttMs !== undefined);
  assertEquals(served.metrics.snapshot()["link.stale"], undefined);
});

Deno.test("A heartbeat ends a link whose other side fell silent within 2.5 of it, not before 2", async () => {
  for (const fellSilentAtMs of [0, 3_000, 5_000, 9_999]) {
    await using served = await Served.open({ limits: { heartbeatMs: 10_000 } });
    const client = await served.client("client", { limits: { heartbeatMs: Infinity } });
    await client.connect(SERVER);
    const [link] = served.endpoint.links;
    if (link === undefined) throw new Error("no link");
    await served.clock.advance(fellSilentAtMs);
    served.network.partition([["client"], ["server"]]);
    const waiting = link.request("any", {}, { timeoutMs: 1e6 });
    const failed = assertRejects(() => waiting, TimeoutError, "silent for");
    await served.clock.advance(19_000);
    assertEquals(await isSettled(link.closed), false, `${fellSilentAtMs}`);
    await served.clock.advance(6_000);
    assert(await link.closed instanceof TimeoutError);
    await failed;
    served.network.heal();
    assertEquals(served.endpoint.peers.list(), []);
    assertEquals(served.metrics.snapshot()["link.stale"], 1);
  }
});

Deno.test("A heartbeat does not take a side for dead whose handler holds up its reading", async () => {
  await using served = await Served.open({ limits: { heartbeatMs: 1_000 } });
  const gate = Promise.withResolvers<void>();
  served.endpoint.handle("slow", () => gate.promise, { inline: true });
  const client = await served.client("client", { limits: { heartbeatMs: 1_000 } });
  const link = await client.connect(SERVER);
  const answer = link.request("slow", {}, { timeoutMs: 120_000 });
  await served.clock.advance(60_000);
  assertEquals([served.endpoint.links.size, client.links.size], [1, 1]);
  gate.resolve();
  await answer;
});

Deno.test("Link.drain lets both sides finish what is in flight, takes nothing new, then closes", async () => {
  await using pair = await linkPair();
  const { client, server } = pair;
  const gate = Promise.withResolvers<string>();
  const other = Promise.withResolvers<string>();
  server.dispatcher.handle("slow", () => gate.promise);
  client.dispatcher.handle("back", () => other.promise);
  const asked = client.link.request("slow", {});
  const askedBack = server.link.request("back", {});
  await settle();
  const drained = server.link.drain();
  await settle();
  for (const { link } of [server, client]) {
    await assertRejects(() => link.request("slow", {}), ClosedError, "draining");
  }
  assertEquals(await isSettled(drained), false);
  gate.resolve("done");
  assertEquals(await asked, "done");
  await settle();
  assertEquals(await isSettled(drained), false);
  other.resolve("done too");
  assertEquals(await askedBack, "done too");
  await drained;
  assertEquals([await client.link.closed, await server.link.closed], [undefined, undefined]);
});

Deno.test("Link.drain closes all the same when its time is over", async () => {
  await using pair = await linkPair();
  const { client, server, clock } = pair;
  server.dispatcher.handle("never", () => new Promise(() => {}));
  const asked = assertRejects(
    () => client.link.request("never", {}, { timeoutMs: 1e6 }),
    ClosedError,
  );
  await settle();
  const drained = server.link.drain(2_000);
  await clock.advance(1_999);
  assertEquals(await isSettled(drained), false);
  await clock.advance(1);
  await drained;
  await asked;
});

Deno.test("Endpoint.drain finishes what is in flight on every link and takes no newcomers", async () => {
  await using served = await Served.open();
  const gate = Promise.withResolvers<string>();
  served.endpoint.handle("slow", () => gate.promise);
  const clients = await Promise.all(["a", "b"].map((name) => served.client(name)));
  const links = await Promise.all(clients.map((client) => client.connect(SERVER)));
  const answers = links.map((link) => link.request("slow", {}));
  await settle();
  const drained = served.endpoint.drain();
  await settle();
  await assertRejects(() => clients[0]?.connect(SERVER) ?? Promise.resolve());
  gate.resolve("fine");
  assertEquals(await Promise.all(answers), ["fine", "fine"]);
  await drained;
  assertEquals(served.endpoint.links.size, 0);
});

Deno.test("Link's handler hears within a round trip that its caller has aborted", async () => {
  await using pair = await linkPair();
  const { client, server } = pair;
  const fired = Promise.withResolvers<void>();
  server.dispatcher.handle("wait", (_, { signal }) => {
    return new Promise((_, reject) => {
      signal.addEventListener("abort", () => {
        fired.resolve();
        reject(signal.reason);
      });
    });
  });
  const controller = new AbortController();
  const asked = client.link.request("wait", {}, { signal: controller.signal });
  const rejected = assertRejects(() => asked, Error, "changed my mind");
  await settle();
  controller.abort(new Error("changed my mind"));
  await rejected;
  await fired.promise;
});

Deno.test("Link's handler knows when its caller gives up", async () => {
  await using pair = await linkPair();
  const { client, server, clock } = pair;
  server.dispatcher.handle(
    "when",
    (body, { deadlineMs }) => ({ body, leftMs: deadlineMs - clock.now() }),
  );
  assertEquals(await client.link.request("when", { a: 1 }), { body: { a: 1 }, leftMs: 5_000 });
  assertEquals(await client.link.request("when", { a: 1 }, { timeoutMs: 250 }), {
    body: { a: 1 },
    leftMs: 250,
  });
  assertEquals(
    await client.link.request("when", {}, { timeoutMs: Infinity }),
    { body: {}, leftMs: Infinity },
  );
  await assertRejects(() => client.link.request("when", { ":": 1 }), TypeError, "reserved");
});
