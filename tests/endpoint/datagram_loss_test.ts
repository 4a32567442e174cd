/**
 * Calls over a network that loses, repeats and reorders packets: answered in time, and handled once.
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { systemClock } from "../../src/clock.ts";
import { TimeoutError } from "../../src/errors.ts";
import { netTransport } from "../../src/transport/mod.ts";
import { DatagramPeer, Datagrams } from "./datagram_fixture.ts";

const REQUESTS = 1000;

/** About twenty repetitions: of a million requests one is lost each time. */
const PATIENT = { timeoutMs: 25_000 };

for (const seed of [1, 2, 3]) {
  for (const kind of ["at once", "later"]) {
    Deno.test(`DatagramCalls run a handler (${kind}) once though 30 % are lost, seed ${seed}`, async () => {
      await using datagrams = new Datagrams({
        seed,
        loss: 0.3,
        duplication: 0.1,
        reordering: 0.1,
        reorderMs: 400,
        latencyMs: [5, 60],
      });
      const [server, client] = [await datagrams.peer("server"), await datagrams.peer("client")];
      const runs = new Map<unknown, number>();
      server.dispatcher.handle("count", ({ n }) => {
        runs.set(n, (runs.get(n) ?? 0) + 1);
        if (kind === "at once") return n;
        return new Promise((resolve) =>
          void datagrams.clock.after(Number(n) % 700, () => resolve(n))
        );
      });
      const asked = Promise.all(
        Array.from({ length: REQUESTS }, (_, n) => {
          return client.calls.request(server.address, "count", { n }, PATIENT);
        }),
      );
      await datagrams.clock.advance(PATIENT.timeoutMs);
      assertEquals(await asked, Array.from({ length: REQUESTS }, (_, n) => n));
      assertEquals(runs.size, REQUESTS);
      assertEquals([...runs.values()].filter((times) => times !== 1), []);
      assert(server.count("repeats") > REQUESTS / 4, `${server.count("repeats")} repeats`);
    });
  }
}

Deno.test("DatagramCalls that get no answer give up in time, and know which", async () => {
  await using datagrams = new Datagrams({ seed: 4, loss: 0.8, latencyMs: 5 });
  const [server, client] = [await datagrams.peer("server"), await datagrams.peer("client")];
  const handled = new Set<unknown>();
  server.dispatcher.handle("count", ({ n }) => {
    assert(!handled.has(n), `${n} was handled twice`);
    handled.add(n);
    return n;
  });
  const settled = Promise.allSettled(
    Array.from({ length: 200 }, (_, n) => client.calls.request(server.address, "count", { n })),
  );
  await datagrams.clock.advance(5020);
  const outcomes = await settled;
  assertEquals(client.calls.inFlight, 0);
  outcomes.forEach((outcome, n) => {
    if (outcome.status === "fulfilled") assert(handled.has(n));
    else assert(outcome.reason instanceof TimeoutError, String(outcome.reason));
  });
  assert(outcomes.some(({ status }) => status === "fulfilled"));
  assert(outcomes.some(({ status }) => status === "rejected"));
});

Deno.test("DatagramCalls get padded requests and long answers through a network that loses a third", async () => {
  await using datagrams = new Datagrams({ seed: 5, loss: 0.3, latencyMs: [1, 20] });
  const [server, client] = [await datagrams.peer("server"), await datagrams.peer("client")];
  const runs: unknown[] = [];
  server.dispatcher.handle("repeat", ({ n }) => {
    runs.push(n);
    return "x".repeat(Number(n) * 10);
  });
  const asked = Promise.all(
    Array.from({ length: 200 }, (_, n) => {
      return client.calls.request(server.address, "repeat", { n }, PATIENT);
    }),
  );
  await datagrams.clock.advance(PATIENT.timeoutMs);
  assertEquals(
    (await asked).map((answer) => String(answer).length / 10),
    runs.map(Number).toSorted((a, b) => a - b),
  );
  assertEquals(runs.length, 200);
});

Deno.test("DatagramCalls work over real sockets, many at a time", async () => {
  const hostname = "127.0.0.1";
  const transport = { ...netTransport, datagram: () => netTransport.datagram({ hostname }) };
  await using server = await DatagramPeer.open(transport, systemClock, {});
  await using client = await DatagramPeer.open(transport, systemClock, {});
  let runs = 0;
  server.dispatcher.handle("echo", ({ data }) => {
    runs++;
    return data;
  });
  for (let round = 0; round < 50; round++) {
    const sent = Array.from({ length: 64 }, (_, n) => new Uint8Array(n * 3).fill(round));
    const asked = sent.map((data) => client.calls.request(server.address, "echo", { data }));
    assertEquals(await Promise.all(asked), sent);
  }
  assertEquals(runs, 50 * 64);
  const nobody = { hostname, port: 9 };
  const unanswered = client.calls.request(nobody, "echo", {}, { timeoutMs: 50, retryMs: 10 });
  await assertRejects(() => unanswered, TimeoutError);
});
