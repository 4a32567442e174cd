import { assert, assertEquals, assertRejects } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import {
  ClosedError,
  HandshakeError,
  LimitError,
  TimeoutError,
  TransportError,
} from "../../src/errors.ts";
import { Endpoint } from "../../src/endpoint/endpoint.ts";
import { Client } from "../../src/rpc/client.ts";
import { Server } from "../../src/rpc/server.ts";
import { MemoryNetwork } from "../../src/transport/mod.ts";
import { infoOf, isSettled, settle } from "../endpoint/fixture.ts";
import { watch, World } from "./fixture.ts";
import { worstSecond } from "./storm.ts";

Deno.test("Client connects again when the server is back, and says how it stands", async () => {
  await using world = await World.open();
  const client = await world.client();
  const { seen, done } = watch(client);
  await settle();
  await world.kill();
  await world.clock.advance(1_000); // the first attempt fails
  await world.restart();
  await world.clock.advance(2_000); // the second does not
  assertEquals(await client.call("echo", "again"), "again");
  await client.close();
  await done;
  assertEquals(seen.map(({ state }) => state), [
    "connected",
    "reconnecting",
    "connecting",
    "reconnecting",
    "connecting",
    "connected",
    "closed",
  ]);
  const [, first, , second] = seen;
  assert(first?.state === "reconnecting" && second?.state === "reconnecting");
  assert(first.error instanceof ClosedError && second.error instanceof TransportError);
  assertEquals([first.attempt, second.attempt], [1, 2]);
  assert(second.delayMs >= 1_000 && second.delayMs < 2_000 && first.delayMs < 1_000);
});

Deno.test("Client connects again to a server that closed in order", async () => {
  await using world = await World.open();
  const client = await world.client();
  const draining = world.served.endpoint.drain();
  await settle();
  assertEquals(client.status.state, "reconnecting");
  await draining;
  await world.restart();
  await world.clock.advance(1_000);
  assertEquals(await client.call("echo", 1), 1);
});

Deno.test("Client gives up after maxReconnectAttempts, says why, and can be told to connect", async () => {
  await using world = await World.open();
  const client = await world.client({ maxReconnectAttempts: 2 });
  await world.kill();
  await settle();
  const waiting = client.call("echo", 1);
  const rejected = assertRejects(() => waiting, TransportError, "server:3485");
  await world.clock.advance(3_000);
  await rejected;
  assert(client.status.state === "closed");
  assert(client.status.error instanceof TransportError);
  await assertRejects(() => client.call("echo", 1), TransportError);
  await assertRejects(() => client.connect(), TransportError); // once: it was not there
  await world.restart();
  await client.connect();
  assertEquals(await client.call("echo", 1), 1);
});

Deno.test("Client counts its attempts anew after each success", async () => {
  await using world = await World.open();
  const client = await world.client({ maxReconnectAttempts: 1 });
  for (let outage = 1; outage <= 3; outage++) {
    world.served.network.kill("server");
    await world.restart();
    await world.clock.advance(1_000);
    assertEquals(await client.call("echo", outage), outage);
  }
});

Deno.test("Client does not connect again when told not to", async () => {
  await using world = await World.open();
  const client = await world.client({ autoReconnect: false });
  await world.kill();
  await settle();
  assert(client.status.state === "closed");
  assert(client.status.error instanceof ClosedError);
  await assertRejects(() => client.call("echo", 1), ClosedError);
});

Deno.test("Client stops at once when it is refused", async () => {
  for (
    const [options, type] of [
      [{ maxClients: 0 }, LimitError],
      [{ protocols: ["v2"] }, HandshakeError],
    ] as const
  ) {
    await using world = await World.open();
    const client = await world.client({ protocols: ["v1"], maxReconnectAttempts: Infinity });
    await world.kill();
    await world.restart(options);
    await world.clock.advance(1_000);
    assert(client.status.state === "closed");
    assert(client.status.error instanceof type, String(client.status.error));
    await assertRejects(() => client.call("echo", 1), type);
  }
});

Deno.test("Client lets calls wait for the connection within their own time", async () => {
  await using world = await World.open();
  const client = await world.client({ maxReconnectAttempts: Infinity });
  let calls = 0;
  const serve = () => world.server.register("count", () => ++calls);
  serve();
  await world.kill();
  await settle();
  const [short, long, old] = [
    client.call("count", 0, { timeoutMs: 1_500 }),
    client.call("count", 0, { timeoutMs: 60_000 }),
    Array.fromAsync(client.stream("echo", 0, { timeoutMs: 60_000 })),
  ];
  const controller = new AbortController();
  const aborted = client.call("count", 0, { signal: controller.signal });
  controller.abort(new Error("never mind"));
  await assertRejects(() => aborted, Error, "never mind");
  const late = assertRejects(() => short, TimeoutError, 'Cannot call "count": no connection to');
  await world.clock.advance(1_500);
  await late;
  await world.restart();
  serve();
  await world.clock.advance(30_000);
  assertEquals(await long, 1);
  assertEquals(await old, [0]);
  assertEquals(calls, 1);
});

Deno.test("Client takes what a call waited for the connection off its time for the answer", async () => {
  await using world = await World.open();
  const client = await world.client();
  await world.kill();
  await settle();
  const call = client.call("never", 0, { timeoutMs: 3_000 });
  const late = assertRejects(() => call, TimeoutError, "no answer in time");
  await world.restart();
  world.server.register("never", () => new Promise(() => {}));
  await world.clock.advance(2_999);
  assertEquals(client.status.state, "connected");
  assertEquals(await isSettled(late), false);
  await world.clock.advance(2);
  await late;
});

Deno.test("Client rejects calls under way with closed and never sends them again", async () => {
  await using world = await World.open();
  const client = await world.client();
  let calls = 0;
  const serve = () => world.server.register("order", () => (calls++, new Promise(() => {})));
  serve();
  const [call, parts] = [client.call("order"), Array.fromAsync(client.stream("order"))];
  await settle();
  const rejected = [call, parts].map((promise) => assertRejects(() => promise, ClosedError));
  await world.kill();
  await Promise.all(rejected);
  await world.restart();
  serve();
  await world.clock.advance(1_000);
  assertEquals(await client.call("echo", 1), 1);
  assertEquals(calls, 2);
});

Deno.test("Client notices within 2.5 heartbeats that a server has fallen silent", async () => {
  await using world = await World.open();
  const client = await world.client({ limits: { heartbeatMs: 1_000 } });
  world.server.register("never", () => new Promise(() => {}));
  await world.clock.advance(60_000); // an idle connection lives
  assertEquals(client.status.state, "connected");
  const call = client.call("never", 0, { timeoutMs: Infinity });
  const rejected = assertRejects(() => call, ClosedError, "was silent for 2000 ms");
  await settle();
  world.served.network.partition([["server"]]);
  await world.clock.advance(2_500);
  await rejected;
  assert(client.status.state !== "connected");
  await client.close();
  world.served.network.heal();
});

Deno.test("Client rides out any number of breaks without an unhandled rejection", async () => {
  await using world = await World.open({ maxClients: 100 });
  const clients = await Promise.all(
    Array.from({ length: 5 }, (_, n) => {
      return world.client({ maxReconnectAttempts: Infinity }, `client${n}`);
    }),
  );
  for (let round = 0; round < 10; round++) {
    const calls = clients.map((client) => client.call("echo", round, { timeoutMs: 100 }));
    world.served.network.kill("server");
    const results = await Promise.allSettled(calls);
    assert(results.every(({ status }) => status === "rejected"));
    await world.clock.advance(400 * round);
    await world.restart({ maxClients: 100 });
    await world.clock.advance(10_000);
    const answers = await Promise.all(clients.map((client) => client.call("echo", round)));
    assertEquals(answers, clients.map(() => round));
  }
});

Deno.test("200 Clients return to a server that was killed, and no second sees twice the mean", async () => {
  for (const [seed, outageMs] of [[1, 400], [5, 2_900]] as const) {
    const clock = new ManualClock({ seed });
    using network = new MemoryNetwork({ seed, clock, latencyMs: [1, 5] });
    const start = async (onConnect: () => void) => {
      const [transport, self] = [network.host("server"), infoOf("server")];
      const limits = { heartbeatMs: 60_000 };
      const endpoint = await Endpoint.open({ transport, self, clock, limits, port: 3485 });
      endpoint.onLink(onConnect);
      const server = new Server(endpoint, { maxClients: 200 });
      server.register("order", () => new Promise(() => {}));
      return endpoint;
    };
    const old = await start(() => {});
    const opening = Array.from({ length: 200 }, (_, n) => {
      const transport = network.host(`client${n}`);
      return Client.open({ host: "server", transport, clock, limits: { heartbeatMs: 60_000 } });
    });
    await clock.advance(100);
    const clients = await Promise.all(opening);
    const calls = clients.map((client) => client.call("order", 0, { timeoutMs: 60_000 }));
    await clock.advance(20);
    network.kill("server");
    const [broken] = await Promise.all([
      Promise.allSettled(calls),
      old.close(),
      clock.advance(outageMs),
    ]);
    assert(broken.every((call) => {
      return call.status === "rejected" && call.reason instanceof ClosedError;
    }));
    const times: number[] = [];
    const backMs = clock.now();
    const fresh = await start(() => times.push(clock.now() - backMs));
    await clock.advance(8_000);
    assertEquals(times.length, 200);
    assert(clients.every(({ status }) => status.state === "connected"));
    const { ratio } = worstSecond(times);
    assert(ratio < 2, `seed ${seed}, outage ${outageMs} ms: ${ratio.toFixed(2)} x the mean`);
    await Promise.all([...clients.map((client) => client.close()), clock.advance(5_000)]);
    await Promise.all([fresh.close(), clock.advance(5_000)]);
  }
});
