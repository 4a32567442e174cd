import { assert, assertEquals } from "@std/assert";
import { Peer } from "../../src/peer.ts";
import { newTrace } from "../../src/trace.ts";

/** What is looked at of a span in OTLP as JSON. */
interface Span {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly name: string;
  readonly kind: number;
  readonly status: { readonly code: number; readonly message: string };
}

/** Takes what a runtime exports by OTLP over HTTP. */
class Collector implements AsyncDisposable {
  readonly spans: Span[] = [];
  readonly counters = new Map<string, number>();
  /** Resolves when handlers that failed were counted. */
  readonly counted = Promise.withResolvers<void>();
  readonly #server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async (request) => {
      const text = await request.text();
      const body = JSON.parse(text);
      for (const { scopeSpans } of body.resourceSpans ?? []) {
        for (const { scope, spans } of scopeSpans) {
          if (scope.name === "kith") this.spans.push(...spans);
        }
      }
      for (const { scopeMetrics } of body.resourceMetrics ?? []) this.#measure(scopeMetrics);
      return new Response("{}", { headers: { "content-type": "application/json" } });
    },
  );

  get url(): string {
    return `http://127.0.0.1:${this.#server.addr.port}`;
  }

  span(name: string, kind: number): Span {
    const span = this.spans.find((span) => span.name === name && span.kind === kind);
    assert(span, `${name} is not among ${JSON.stringify(this.spans)}`);
    return span;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }

  // deno-lint-ignore no-explicit-any -- the shape of OTLP, of which little is looked at
  #measure(scopes: any): void {
    for (const { metrics } of scopes) {
      for (const { name, gauge } of metrics) {
        for (
          const { attributes, asInt, asDouble } of name === "kith.count" ? gauge.dataPoints : []
        ) {
          const facts = Object.fromEntries(
            attributes.map((
              { key, value }: { key: string; value: { stringValue: string } },
            ) => [key, value.stringValue]),
          );
          assertEquals(facts.peer, "between");
          this.counters.set(facts.counter, Number(asInt ?? asDouble));
          if (facts.counter === "link.handler-errors") this.counted.resolve();
        }
      }
    }
  }
}

const [SERVER, CLIENT, ERROR] = [2, 3, 2];

Deno.test("telemetry of the runtime has the steps of a request between two others, below the trace that came, and the counters", async () => {
  await using collector = new Collector();
  await using last = await Peer.open({ hostname: "127.0.0.1", port: 0, announce: false });
  const seen: (string | undefined)[] = [];
  last.handle("echo", (_, { trace }) => void seen.push(trace?.traceId));
  const map = Deno.env.get("KITH_IMPORT_MAP");
  const child = new URL("otel_child.ts", import.meta.url).pathname;
  const process = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "-A", "--no-check", "--unstable-net"],
      ...(map === undefined ? [] : [`--import-map=${map}`]),
      ...[child, `127.0.0.1:${last.address?.port}`],
    ],
    env: {
      OTEL_DENO: "true",
      OTEL_DENO_CONSOLE: "ignore",
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_METRIC_EXPORT_INTERVAL: "50",
    },
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const reader = process.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const { port } = JSON.parse((await reader.read()).value ?? "");

  const traces = [newTrace(), newTrace()];
  const [asked, failed] = traces;
  assert(asked && failed);
  await using first = await Peer.open({ hostname: "127.0.0.1", clientOnly: true });
  await first.request(`127.0.0.1:${port}`, "relay", {}, { trace: asked });
  await first.request(`127.0.0.1:${port}`, "fail", {}, { trace: failed }).catch(() => {});
  await collector.counted.promise;
  await first.request(`127.0.0.1:${port}`, "end");
  while (!(await reader.read()).done);
  assertEquals((await process.status).code, 0);

  assertEquals(seen, [asked.traceId]);
  const [answered, echoed] = [collector.span("relay", SERVER), collector.span("echo", CLIENT)];
  assertEquals([answered.traceId, echoed.traceId], [asked.traceId, asked.traceId]);
  assertEquals(echoed.parentSpanId, answered.spanId);
  assertEquals(answered.status.code, 0);
  for (const span of [collector.span("fail", SERVER), collector.span("nowhere", CLIENT)]) {
    assertEquals([span.traceId, span.status.code], [failed.traceId, ERROR]);
    assertEquals(span.status.message, "no-endpoint");
  }
  assertEquals(collector.counters.get("link.handler-errors"), 1);
});
