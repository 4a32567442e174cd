import { assert, assertEquals, assertRejects } from "@std/assert";
import { Access } from "../../src/secure/access.ts";
import { gateOf } from "../../src/sync/gate.ts";
import { loadSync } from "../../src/testing/sync_load.ts";
import { identityOf } from "../endpoint/fixture.ts";
import { Hub } from "../sync/hub_fixture.ts";

Deno.test("loadSync counts what every other client in the room gets", async () => {
  await using hub = await Hub.open();
  const result = await loadSync(hub.url, { clients: 5, messages: 200, bytes: 300 });
  const { clients, sent, expected, delivered, errors, latencyMs, perSecond, tookMs } = result;
  assertEquals({ clients, sent, expected, delivered, errors }, {
    clients: 5,
    sent: 200,
    expected: 800,
    delivered: 800,
    errors: {},
  });
  const { p50, p90, p99, max } = latencyMs;
  assert(0 < p50 && p50 <= p90 && p90 <= p99 && p99 <= max && max <= tookMs + 1);
  assert(Math.abs(perSecond - 800_000 / tookMs) < 1);
});

Deno.test("loadSync keeps to its rate, and measures signs of life where nothing is passed on", async () => {
  await using hub = await Hub.open({ onPort: () => {} });
  const options = { clients: 2, messages: 20, rate: 200, kind: "heartbeats" } as const;
  const { delivered, tookMs } = await loadSync(hub.url, options);
  assertEquals(delivered, 20);
  assert(tookMs >= 90, `${tookMs} ms`);
  const changes = await loadSync(hub.url, { clients: 2, messages: 2, silenceMs: 50 });
  assertEquals([changes.expected, changes.delivered, changes.latencyMs.max], [2, 0, 0]);
});

Deno.test("loadSync says what went wrong, by its code", async () => {
  const access = new Access({ identity: identityOf("hub") });
  const { token } = access.createApiKey({ scopes: ["folder:load"] });
  await using hub = await Hub.open({
    gate: gateOf(access),
    limits: { rate: { perSecond: 1, burst: 5 } },
  });
  const refused = await loadSync(hub.url, { clients: 3, messages: 3 });
  assertEquals([refused.clients, refused.errors], [0, { AUTHENTICATION_FAILED: 3 }]);
  const options = { clients: 2, messages: 40, silenceMs: 100, apiKey: token };
  const { clients, delivered, errors } = await loadSync(hub.url, options);
  assertEquals([clients, errors.RATE_LIMITED !== undefined, delivered < 40], [2, true, true]);
  await hub.hub.close();
  const gone = await loadSync("ws://127.0.0.1:1/sync", { clients: 1, messages: 1 });
  assertEquals(gone.errors, { CLOSED: 1 });
});

Deno.test("loadSync ends when it is told to, and refuses what makes no sense", async () => {
  await using hub = await Hub.open();
  const signal = AbortSignal.timeout(50);
  const { sent } = await loadSync(hub.url, { messages: 1_000, rate: 100, signal });
  assert(sent < 100, `${sent}`);
  for (const wrong of [{ clients: 0 }, { clients: 1e9 }, { messages: 1.5 }, { rate: 0 }]) {
    await assertRejects(() => loadSync(hub.url, wrong), RangeError);
  }
});
