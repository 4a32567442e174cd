/**
 * What calls pass through on the way to their handlers: may they, how often, and what happened.
 *
 * They go around every handler of an endpoint, in the order in which `use` got them, outermost first. The order that
 * costs an intruder most and us least is auth, rate, log, metrics; checking the input comes last, and is each endpoint's
 * own (`describe` shows it as `validate`).
 *
 * @module
 */

import { type Clock, systemClock } from "../clock.ts";
import type { Middleware, RequestContext } from "../endpoint/dispatcher.ts";
import { rateError, type RateOptions, TokenBuckets } from "../endpoint/limits.ts";
import { AuthError, PeerError } from "../errors.ts";
import { layerLog, type Logger, printable } from "../log.ts";
import type { Metrics } from "../metrics.ts";
import { formatAddress } from "../transport/transport.ts";
import type { MessageBody } from "../wire/message.ts";

/** Longest header shown in errors and logs, in UTF-16 units. */
const SHOWN_CHARS = 64;

/**
 * Lets a message pass only where `check` says so.
 *
 * @example
 * ```ts
 * import { authorize, Client, serve } from "@kith/kith";
 * import { assertEquals, assertRejects } from "@std/assert";
 *
 * await using server = await serve({ hostname: "127.0.0.1", port: 0 });
 * server.use(authorize(({ endpoint }) => endpoint !== "shutdown"));
 * server.register("shutdown", () => "good night");
 *
 * await using client = await Client.open({ port: server.peer.address?.port ?? 0 });
 * await assertRejects(() => client.call("shutdown"), Error, "Not allowed");
 * assertEquals(await client.call("echo", "still here"), "still here");
 * ```
 *
 * @param check Called with what is known of the message, and its body. What it throws is the answer too. It goes by
 * `endpoint`: the `header` of the same endpoint may or may not begin with a protocol's tag.
 * @returns middleware `auth`, which throws {@linkcode AuthError} `not-allowed` to the caller.
 */
export function authorize(
  check: (context: RequestContext, body: MessageBody) => boolean | Promise<boolean>,
): Middleware {
  return {
    name: "auth",
    run: (body, context, next) => {
      const pass = (allowed: boolean) => {
        if (allowed) return next(body);
        throw new AuthError(
          "not-allowed",
          `Not allowed to call "${printable(context.endpoint, SHOWN_CHARS)}"`,
        );
      };
      const allowed = check(context, body);
      return typeof allowed === "boolean" ? pass(allowed) : allowed.then(pass);
    },
  };
}

/** How {@linkcode limitRate} counts. */
export interface LimitRateOptions extends RateOptions {
  /**
   * Whose bucket a message draws on. What a peer says of itself is no key, it could say something else each time; its id
   * is proven, and a new one costs it nothing: good for telling peers apart that are let in by name.
   *
   * @default the address without the port
   */
  key?: (context: RequestContext) => string;
  /** Where time comes from. @default {systemClock} */
  clock?: Clock;
}

/**
 * Lets each caller through so many times a second, by a token bucket.
 *
 * @example
 * ```ts
 * import { ManualClock } from "@kith/kith";
 * import { Endpoint } from "@kith/kith/endpoint";
 * import { Client, limitRate, Server } from "@kith/kith/rpc";
 * import { MemoryNetwork } from "@kith/kith/transport";
 * import { assertEquals, assertRejects } from "@std/assert";
 *
 * const network = new MemoryNetwork();
 * const self = { name: "", capabilities: [], agent: "example" };
 * await using endpoint = await Endpoint.open({ transport: network.host("server"), self });
 * await using server = new Server(endpoint);
 * server.use(limitRate({ perSecond: 1, burst: 1, clock: new ManualClock() }));
 *
 * await using client = await Client.open({ host: "server", transport: network.host("client") });
 * assertEquals(await client.call("echo", "once"), "once");
 * await assertRejects(() => client.call("echo", "twice"), Error, "burst");
 * ```
 *
 * @returns middleware `rate`, which throws {@linkcode LimitError} `rate` to the caller.
 * @throws {RangeError} when a rate is out of range.
 */
export function limitRate(options: LimitRateOptions): Middleware {
  const { key = ({ remote }) => remote.hostname, clock = systemClock, ...rate } = options;
  const buckets = new TokenBuckets(clock, rate);
  return {
    name: "rate",
    run: (body, context, next) => {
      if (buckets.take(key(context))) return next(body);
      throw rateError("Cannot take a call: the caller's calls", "burst", rate.burst);
    },
  };
}

/**
 * Says of every message who sent it, how long it took and what came of it: `debug` when it went well, else `info`.
 *
 * @example
 * ```ts
 * import { type LogFields, silentLogger } from "@kith/kith";
 * import { Endpoint } from "@kith/kith/endpoint";
 * import { Client, logCalls, Server } from "@kith/kith/rpc";
 * import { MemoryNetwork } from "@kith/kith/transport";
 * import { assertEquals } from "@std/assert";
 *
 * const network = new MemoryNetwork();
 * const self = { name: "", capabilities: [], agent: "example" };
 * await using endpoint = await Endpoint.open({ transport: network.host("server"), self });
 * await using server = new Server(endpoint);
 * const said: unknown[] = [];
 * const debug = (text: string, fields: LogFields = {}) => void said.push([text, fields.header]);
 * server.use(logCalls({ ...silentLogger, debug }));
 *
 * await using client = await Client.open({ host: "server", transport: network.host("client") });
 * await client.call("echo", "x");
 * assertEquals(said, [["called", "v1/echo"]]);
 * ```
 *
 * @returns middleware `log`.
 */
export function logCalls(logger: Logger, options: { clock?: Clock } = {}): Middleware {
  const { clock = systemClock } = options;
  const log = layerLog(logger, "rpc");
  return {
    name: "log",
    run: (body, { header, remote, trace }, next) => {
      const startedMs = clock.now();
      return observe(() => next(body), (code) => {
        const ms = Math.round((clock.now() - startedMs) * 1_000) / 1_000;
        const fields = {
          header: printable(header, SHOWN_CHARS),
          from: formatAddress(remote),
          ms,
          ...(trace === undefined ? {} : { trace: trace.traceId }),
        };
        if (code === undefined) log.debug("called", fields);
        else log.info("a call failed", { ...fields, code });
      });
    },
  };
}

/**
 * Counts messages as `calls.total` and those that fail as `calls.failed`.
 *
 * @example
 * ```ts
 * import { Metrics } from "@kith/kith";
 * import { Endpoint } from "@kith/kith/endpoint";
 * import { Client, countCalls, Server } from "@kith/kith/rpc";
 * import { MemoryNetwork } from "@kith/kith/transport";
 * import { assertEquals, assertRejects } from "@std/assert";
 *
 * const network = new MemoryNetwork();
 * const self = { name: "", capabilities: [], agent: "example" };
 * await using endpoint = await Endpoint.open({ transport: network.host("server"), self });
 * await using server = new Server(endpoint);
 * const metrics = new Metrics();
 * server.use(countCalls(metrics));
 * server.register("fail", () => Promise.reject(new Error("no")));
 *
 * await using client = await Client.open({ host: "server", transport: network.host("client") });
 * await client.call("echo", "x");
 * await assertRejects(() => client.call("fail"));
 * assertEquals(metrics.snapshot(), { "calls.failed": 1, "calls.total": 2 });
 * ```
 *
 * @returns middleware `metrics`.
 */
export function countCalls(metrics: Metrics): Middleware {
  const [total, failed] = [metrics.counter("calls.total"), metrics.counter("calls.failed")];
  return {
    name: "metrics",
    run: (body, _context, next) => {
      total.add();
      return observe(() => next(body), (code) => {
        if (code !== undefined) failed.add();
      });
    },
  };
}

/**
 * Runs something that may or may not be done when it returns, and tells when it is.
 *
 * @param onEnd Called once: with the error's code when it failed, `internal` where the error is not one of ours.
 * @returns what it returned; an answer in parts counts as done when the first could come.
 */
export function observe(run: () => unknown, onEnd: (code: string | undefined) => void): unknown {
  const fail = (error: unknown) => {
    onEnd(error instanceof PeerError ? error.code : "internal");
    throw error;
  };
  let result: unknown;
  try {
    result = run();
  } catch (error) {
    return fail(error);
  }
  if (!(result instanceof Promise)) {
    onEnd(undefined);
    return result;
  }
  return result.then((value: unknown) => {
    onEnd(undefined);
    return value;
  }, fail);
}
