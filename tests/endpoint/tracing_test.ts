import { assert, assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import { Endpoint } from "../../src/endpoint/endpoint.ts";
import { currentTrace, Tracing, withTrace } from "../../src/endpoint/tracing.ts";
import { termsOf, withTerms } from "../../src/endpoint/terms.ts";
import { NotFoundError } from "../../src/errors.ts";
import { type LogFields, type Logger, silentLogger } from "../../src/log.ts";
import { MemoryNetwork } from "../../src/transport/mod.ts";
import { formatTrace, newTrace, type Trace } from "../../src/trace.ts";
import { linkPair } from "./fixture.ts";

/** A logger that wants to hear of every message, and what it heard. */
function chatty(): { log: Logger; said: { message: string; fields: LogFields }[] } {
  const said: { message: string; fields: LogFields }[] = [];
  const debug = (message: string, fields: LogFields = {}) => void said.push({ message, fields });
  return { log: { ...silentLogger, debug, enabled: () => true }, said };
}

Deno.test("withTrace holds within what it calls, across awaits, and nowhere else", async () => {
  const [one, other] = [newTrace(), newTrace()];
  const seen = await Promise.all([one, other].map((trace) =>
    withTrace(trace, async () => {
      await Promise.resolve();
      const inner = withTrace(undefined, () => currentTrace());
      return [currentTrace(), inner];
    })
  ));
  assertEquals(seen, [[one, undefined], [other, undefined]]);
  assertEquals(currentTrace(), undefined);
});

Deno.test("Tracing begins nothing where nobody wants to see it, and goes on with what there is", () => {
  const tracing = new Tracing(silentLogger, new ManualClock());
  const whom = () => "bob";
  assertEquals(tracing.asking("greet", whom), undefined);
  assertEquals(tracing.answering("greet", whom, undefined, true), undefined);
  const trace = newTrace();
  assertEquals(tracing.asking("greet", whom, trace)?.trace.traceId, trace.traceId);
  assertEquals(
    withTrace(trace, () => tracing.asking("greet", whom))?.trace.traceId,
    trace.traceId,
  );
  const answering = tracing.answering("greet", whom, trace, false);
  assertEquals(answering?.trace.traceId, trace.traceId);
  assertNotEquals(answering?.trace.spanId, trace.spanId);
  assertEquals(tracing.asking(":ping", whom, trace), undefined);
});

Deno.test("Tracing says how each step ended, once, to a log that wants to hear of every message", async () => {
  const { log, said } = chatty();
  const clock = new ManualClock();
  const tracing = new Tracing(log, clock);
  const step = tracing.asking("gr\u001beet", () => "bob");
  assert(step);
  await clock.advance(12.5);
  await assertRejects(
    () => step.until(Promise.reject(new NotFoundError("no-endpoint", "no"))),
    NotFoundError,
  );
  step.end();
  const { traceId: trace, spanId: span } = step.trace;
  const fields = { header: "gr\\u{1b}eet", peer: "bob", ms: 12.5, trace, span };
  assertEquals(said, [{ message: "asked", fields: { ...fields, code: "no-endpoint" } }]);
});

Deno.test("terms carry a trace besides others, and take a malformed one for none", () => {
  const trace = newTrace();
  assertEquals(withTerms({ a: 1 }, 5_000, { trace: undefined }), { a: 1 });
  const body = withTerms({ a: 1 }, 700, { credit: 3, trace });
  assertEquals(body, { a: 1, ":": { timeout: 700, credit: 3, trace: formatTrace(trace) } });
  assertEquals(termsOf(body), { body: { a: 1 }, timeoutMs: 700, credit: 3, trace });
  for (const wrong of [1, "x", "x".repeat(1_000), formatTrace(trace).toUpperCase(), {}, null]) {
    assertEquals(termsOf({ ":": { trace: wrong } }).trace, undefined);
  }
});

Deno.test("Link hands a trace to the handler and on to what that asks, and to nobody else's", async () => {
  await using pair = await linkPair();
  const { client, server } = pair;
  const seen: [string, Trace | undefined, Trace | undefined][] = [];
  const release = Promise.withResolvers<void>();
  server.dispatcher.handle("traced", async (_, { trace }) => {
    await release.promise;
    seen.push(["traced", trace, currentTrace()]);
  });
  server.dispatcher.handle("plain", (_, { trace }) => {
    seen.push(["plain", trace, currentTrace()]);
  });
  const trace = newTrace();
  const traced = client.link.request("traced", {}, { trace });
  // The release wakes it from outside its trace, and what comes meanwhile is not a part of it.
  await client.link.request("plain", {});
  release.resolve();
  await traced;
  assertEquals(seen.map(([what]) => what), ["plain", "traced"]);
  assertEquals(seen[0]?.slice(1), [undefined, undefined]);
  assertEquals(seen[1]?.[1]?.traceId, trace.traceId);
  assertEquals(seen[1]?.[2], seen[1]?.[1]);
});

Deno.test("Link hands a trace to a handler that answers in parts", async () => {
  await using pair = await linkPair();
  const { client, server } = pair;
  server.dispatcher.handle("list", async function* () {
    for (let n = 0; n < 3; n++) yield currentTrace()?.traceId;
    await Promise.resolve();
    yield currentTrace()?.traceId;
  });
  const trace = newTrace();
  const parts = await Array.fromAsync(client.link.stream("list", {}, { trace }));
  assertEquals(parts, new Array(4).fill(trace.traceId));
});

Deno.test("Endpoint begins what waited for its turn outside of the trace of whoever made room for it", async () => {
  const network = new MemoryNetwork();
  const self = { name: "", capabilities: [], agent: "" };
  await using server = await Endpoint.open({
    ...{ transport: network.host("b"), self, limits: { maxHandlers: 1 } },
  });
  const [working, release] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  server.handle("traced", async () => {
    working.resolve();
    await release.promise;
    return currentTrace()?.traceId;
  });
  server.handle("plain", () => currentTrace()?.traceId ?? "none");
  await using client = await Endpoint.open({
    ...{ transport: network.host("a"), self, clientOnly: true },
  });
  assert(server.address);
  const link = await client.connect(server.address);
  const trace = newTrace();
  const traced = link.request("traced", {}, { trace });
  await working.promise;
  const plain = link.request("plain", {});
  await link.ping(); // it waits over there by now
  release.resolve();
  assertEquals([await traced, await plain], [trace.traceId, "none"]);
  network.close();
});

Deno.test("Endpoint reads a link that a handler opens outside of that handler's trace", async () => {
  const network = new MemoryNetwork();
  const self = { name: "", capabilities: [], agent: "" };
  await using called = await Endpoint.open({ transport: network.host("b"), self });
  await using third = await Endpoint.open({ transport: network.host("c"), self });
  const { address } = third;
  assert(called.address && address);
  called.handle("meet", async () => {
    await called.connect(address);
    return currentTrace() !== undefined;
  });
  called.handle("whose", () => currentTrace()?.traceId ?? "nobody's");
  await using client = await Endpoint.open({
    ...{ transport: network.host("a"), self, clientOnly: true },
  });
  const link = await client.connect(called.address);
  assertEquals(await link.request("meet", {}, { trace: newTrace() }), true);
  const [back] = third.links;
  assertEquals(await back?.request("whose", {}), "nobody's");
  network.close();
});
