/**
 * Spans and counters for OpenTelemetry, through the exporter that the runtime has itself: with `OTEL_DENO=true` it sends
 * them by OTLP to where `OTEL_EXPORTER_OTLP_ENDPOINT` says. Without it nothing here does or costs anything.
 *
 * `Deno.telemetry` implements the interfaces of `@opentelemetry/api`; what little of them is used is written down below, so
 * that the package is not needed. A program that has it sees our spans as its own: both go by the same context.
 *
 * @module
 */

import type { Metrics } from "./metrics.ts";
import { newTrace, nextSpan, type Trace } from "./trace.ts";

/** What a span is about: answering, asking, sending to who may come for it, and taking that (SpanKind of the API). */
export const SPAN_KINDS = { server: 1, client: 2, producer: 3, consumer: 4 } as const;

/** A kind of span. */
export type SpanKind = keyof typeof SPAN_KINDS;

/** Facts of a span. */
export type SpanFacts = Readonly<Record<string, string | number | boolean>>;

/** A step that is recorded from when it is made to when it ends. */
export interface Span {
  /** What goes on to others: the next steps are below this one. */
  readonly trace: Trace;
  /** Does something as a part of it: what is recorded meanwhile stands below it. */
  run<T>(work: () => T): T;
  /** It is over. @param code Of the error that it ended with. Harmless when it is over. */
  end(code?: string): void;
}

/** What is used of the API's contexts. */
interface Context {
  getValue(key: symbol): unknown;
  setValue(key: symbol, value: unknown): Context;
  deleteValue(key: symbol): Context;
}

/** What is used of the API's spans. */
interface RecordedSpan {
  spanContext(): { readonly traceId: string; readonly spanId: string; readonly traceFlags: number };
  setStatus(status: { readonly code: number; readonly message?: string }): void;
  setAttribute(name: string, value: string): void;
  end(): void;
}

interface Tracer {
  startSpan(
    name: string,
    options: { readonly kind: number; readonly attributes: SpanFacts },
    context: Context,
  ): RecordedSpan;
}

interface Meter {
  createObservableGauge(name: string, options: { readonly description: string }): {
    addCallback(callback: (result: Observed) => void): void;
    removeCallback(callback: (result: Observed) => void): void;
  };
}

interface Observed {
  observe(value: number, attributes: SpanFacts): void;
}

/** What the API keeps the span of a context under; made by name, so every copy of it has the same. */
const SPAN_KEY = Symbol.for("OpenTelemetry Context Key SPAN");

/** `StatusCode.ERROR` of the API. */
const STATUS_ERROR = 2;

const SCOPE = "kith";

let tracer: Tracer | undefined | null = null;

/** Whether somebody collects spans. It asks for no permission, and the answer stays the same. */
export function isRecorded(): boolean {
  return recorder() !== undefined;
}

/**
 * Begins a step, below `parent` where there is one.
 *
 * @param name Short and one of few: what differs from one to the next belongs into the facts.
 */
export function startSpan(
  name: string,
  kind: SpanKind,
  parent: Trace | undefined,
  facts: SpanFacts = {},
): Span {
  const tracing = recorder();
  if (tracing === undefined) return unrecorded(parent);
  const above = contextOf(parent);
  const span = tracing.startSpan(name, { kind: SPAN_KINDS[kind], attributes: facts }, above);
  const { traceId, spanId, traceFlags } = span.spanContext();
  const inside = above.setValue(SPAN_KEY, span);
  return {
    trace: { traceId, spanId, flags: traceFlags },
    run: (work) => Deno.telemetry.contextManager.with(inside, work),
    end: (code) => {
      if (code !== undefined) {
        span.setStatus({ code: STATUS_ERROR, message: code });
        span.setAttribute("error.type", code);
      }
      span.end();
    },
  };
}

/**
 * Gives counters to who collects measurements, as one gauge `kith.count` whose attribute `counter` is the counter's name.
 *
 * @example
 * ```ts
 * import { exportCounters, Metrics } from "@kith/kith";
 * import { assertEquals } from "@std/assert";
 *
 * const metrics = new Metrics(); // or those of a peer
 * {
 *   using _exporting = exportCounters(metrics, { peer: "bob" });
 *   metrics.counter("accept.refused").add(); // goes out as `kith.count` with OTEL_DENO=true
 * }
 * assertEquals(metrics.snapshot(), { "accept.refused": 1 }); // counted with and without
 * ```
 *
 * @returns what ends that.
 */
export function exportCounters(metrics: Metrics, facts: SpanFacts = {}): Disposable {
  if (!isRecorded()) return { [Symbol.dispose]: () => {} };
  const meter: Meter = Deno.telemetry.meterProvider.getMeter(SCOPE);
  const gauge = meter.createObservableGauge("kith.count", {
    description: "what happened so often",
  });
  const observe = (result: Observed) => {
    for (const [counter, value] of Object.entries(metrics.snapshot())) {
      result.observe(value, { ...facts, counter });
    }
  };
  gauge.addCallback(observe);
  return { [Symbol.dispose]: () => gauge.removeCallback(observe) };
}

/** The runtime's, where it records. Whether it does is only seen by trying: without `OTEL_DENO` it throws. */
function recorder(): Tracer | undefined {
  if (tracer !== null) return tracer;
  tracer = undefined;
  try {
    const found: Tracer = Deno.telemetry.tracerProvider.getTracer(SCOPE);
    // A span that is not ended is not exported.
    found.startSpan("probe", { kind: 0, attributes: {} }, contextOf(undefined));
    tracer = found;
  } catch {
    // Off, or not this runtime: then nobody collects.
  }
  return tracer;
}

/** A step that nobody records has an id all the same. */
function unrecorded(parent: Trace | undefined): Span {
  const trace = parent === undefined ? newTrace() : nextSpan(parent);
  return { trace, run: (work) => work(), end: () => {} };
}

/** A context in which `parent` is the step at work, as far as the runtime looks at it. */
function contextOf(parent: Trace | undefined): Context {
  if (parent === undefined) return new Held(new Map());
  const { traceId, spanId, flags } = parent;
  const spanContext = () => ({ traceId, spanId, traceFlags: flags, isRemote: true });
  return new Held(new Map([[SPAN_KEY, { spanContext }]]));
}

/** The API's context: values that never change. */
class Held implements Context {
  readonly #values: ReadonlyMap<symbol, unknown>;

  constructor(values: ReadonlyMap<symbol, unknown>) {
    this.#values = values;
  }

  getValue(key: symbol): unknown {
    return this.#values.get(key);
  }

  setValue(key: symbol, value: unknown): Context {
    return new Held(new Map([...this.#values, [key, value]]));
  }

  deleteValue(key: symbol): Context {
    return new Held(new Map([...this.#values].filter(([held]) => held !== key)));
  }
}
