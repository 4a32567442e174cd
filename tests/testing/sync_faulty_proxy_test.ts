import { assert, assertEquals, assertRejects } from "@std/assert";
import { ClosedError, TransportError } from "../../src/errors.ts";
import { FaultySyncProxy } from "../../src/testing/sync_faulty_proxy.ts";
import { checkTranscript } from "../../src/testing/sync_transcript.ts";
import { until } from "../endpoint/web_fixture.ts";
import { change, Hub, Inputs } from "../sync/hub_fixture.ts";

Deno.test("a client that is cut 20 times says each message once, in order, and by the rules", async () => {
  await using hub = await Hub.open();
  await using proxy = await FaultySyncProxy.open(hub.url, { seed: 5 });
  const reader = await hub.client("reader", { room: "docs" });
  const inputs = new Inputs(reader.port);
  const writer = await hub.client("writer", { room: "docs" }, proxy.url);
  for (let n = 0; n < 200; n++) {
    writer.port.send(change(writer.port.author, `${n}`));
    if (n % 10 !== 5) continue;
    await until(() => proxy.connections === 1);
    proxy.cut();
  }
  for (let n = 0; n < 200; n++) assertEquals(await inputs.path(), `${n}`);
  await writer.close();
  await until(() => proxy.connections === 0);
  const { transcript } = proxy;
  assertEquals(checkTranscript(transcript), []);
  const cuts = transcript.filter(({ from }) => from === "network").length;
  assert(cuts >= 15, `${cuts} cuts`);
  assert(transcript.length > 220);
});

Deno.test("a hub takes no harm from what is garbled, dropped or doubled on the way to it", async () => {
  await using hub = await Hub.open({ limits: { maxFaults: 1e6 } });
  await using proxy = await FaultySyncProxy.open(hub.url, { seed: 2 });
  const honest = await hub.plain("honest");
  for (let n = 0; n < 4; n++) {
    proxy.faults = {};
    const writer = await hub.client(`writer${n}`, { room: "docs" }, proxy.url);
    proxy.faults = { drop: 0.1, garble: 0.3, duplicate: 0.2, cut: 0.02 };
    for (let m = 0; m < 20; m++) {
      writer.port.send(change(writer.port.author, `${n} ${m}`));
      await new Promise((resolve) => setTimeout(resolve, 0)); // or they would be one frame
    }
    proxy.faults = {};
    await writer.close();
  }
  await honest.send(change({ clientId: "honest", wallMs: 0 }, "a"));
  await until(() => hub.hub.status.clients.filter(({ connected }) => connected).length === 1);
  const { garbled, dropped, duplicated } = proxy.counts;
  assert(garbled + dropped + duplicated > 0);
  assertEquals(hub.log.lines.filter(({ level }) => level === "error"), []);
});

Deno.test("a client gives up a connection on which nothing is heard, and finds another", async () => {
  await using hub = await Hub.open();
  await using proxy = await FaultySyncProxy.open(hub.url);
  const client = await hub.client("a", { heartbeatMs: 20, silenceMs: 100 }, proxy.url);
  proxy.silent = true;
  await until(() => !client.connected);
  proxy.silent = false;
  await until(() => client.connected);
  assert(proxy.counts.silenced > 0);
});

Deno.test("FaultySyncProxy passes on how a connection ended, and lets nobody in when it is down", async () => {
  await using hub = await Hub.open();
  await using proxy = await FaultySyncProxy.open(hub.url);
  await hub.plain("taken");
  const error = await assertRejects(
    () => hub.client("a", { clientId: "taken" }, proxy.url),
    Error,
    "Another client has this client_id",
  );
  assert(!(error instanceof ClosedError));
  proxy.down = true;
  await assertRejects(() => hub.client("b", {}, proxy.url), TransportError);
});

Deno.test("a client that is closed while it waits for the hub's answer hangs up at once", async () => {
  await using hub = await Hub.open();
  await using proxy = await FaultySyncProxy.open(hub.url);
  for (const isAnswered of [false, true]) {
    const client = await hub.client("a", {}, proxy.url);
    proxy.silent = true;
    proxy.cut();
    await until(() => proxy.counts.silenced > 0 && proxy.connections === 1);
    proxy.silent = !isAnswered;
    const startMs = performance.now();
    await client.close();
    assert(performance.now() - startMs < 2_000);
    proxy.silent = false;
    await until(() => proxy.connections === 0 && hub.hub.status.strangers === 0);
  }
});
