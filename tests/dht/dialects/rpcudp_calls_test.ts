import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { decodeRpc, encodeResponse } from "../../../src/dht/dialects/rpcudp.ts";
import { MAX_RPC_CALLS, RPC_TIMEOUT_MS, RpcCalls } from "../../../src/dht/dialects/rpcudp_calls.ts";
import {
  ClosedError,
  InvalidPacketError,
  LimitError,
  TimeoutError,
  TransportError,
} from "../../../src/errors.ts";
import type { Address } from "../../../src/transport/mod.ts";
import { encode } from "../../../src/wire/msgpack.ts";
import { CountingClock, isSettled } from "../../endpoint/fixture.ts";

const BOB: Address = { hostname: "192.0.2.7", port: 4_000 };
const CAROL: Address = { hostname: "192.0.2.8", port: 4_000 };

class Caller implements Disposable {
  readonly clock = new CountingClock();
  readonly sent: Uint8Array[] = [];
  fails: Error | undefined;
  readonly calls: RpcCalls;

  constructor(options: { timeoutMs?: number; maxResultBytes?: number } = {}) {
    const send = (packet: Uint8Array) => {
      this.sent.push(packet);
      return this.fails === undefined ? Promise.resolve() : Promise.reject(this.fails);
    };
    this.calls = new RpcCalls({ clock: this.clock, send, ...options });
  }

  /** An answer to the call that was sent last. */
  answer(result: unknown): Uint8Array {
    const last = this.sent.at(-1);
    assert(last !== undefined);
    return encodeResponse(decodeRpc(last).id, encode(result));
  }

  [Symbol.dispose](): void {
    this.calls.close();
    assertEquals([this.calls.size, this.clock.timers], [0, 0], "something is left");
  }
}

Deno.test("RpcCalls gives the result of a call, in MessagePack", async () => {
  using caller = new Caller();
  const called = caller.calls.call(BOB, "ping", [encode("me")]);
  const [packet] = caller.sent;
  assert(packet !== undefined);
  const request = decodeRpc(packet);
  assertEquals(request.type === "request" && [request.method, request.args], ["ping", [
    encode("me"),
  ]]);
  assertEquals(caller.calls.take(caller.answer([1, "x"]), BOB), undefined);
  assertEquals(await called, encode([1, "x"]));
  assertEquals(caller.calls.size, 0);
});

Deno.test("RpcCalls takes an answer from where the call went only, once, and in time", async () => {
  using caller = new Caller();
  const called = caller.calls.call(BOB, "ping", []);
  const answer = caller.answer(1);
  assertEquals(caller.calls.take(answer, CAROL), "misplaced");
  assertEquals(caller.calls.take(answer, { ...BOB, port: 4_001 }), "misplaced");
  const other = answer.slice();
  other[20] = (other[20] ?? 0) ^ 1;
  assertEquals(caller.calls.take(other, BOB), "stray");
  assert(!await isSettled(called));
  assertEquals(caller.calls.take(answer, { ...BOB, hostname: "::ffff:192.0.2.7" }), undefined);
  assertEquals(caller.calls.take(answer, BOB), "stray", "a duplicate");
  await called;

  const late = caller.calls.call(BOB, "ping", []);
  const lateAnswer = caller.answer(1);
  const rejected = assertRejects(() => late, TimeoutError, "192.0.2.7:4000: no answer in 5000 ms");
  await caller.clock.advance(RPC_TIMEOUT_MS);
  await rejected;
  assertEquals(caller.calls.take(lateAnswer, BOB), "stray");
});

Deno.test("RpcCalls waits on when an answer is oversized, too deep or cannot be read", async () => {
  using caller = new Caller({ maxResultBytes: 200_000 });
  const called = caller.calls.call(BOB, "ping", []);
  const head = [...caller.answer(0).subarray(0, 21)];
  const deep = Uint8Array.from([...head, ...Array(100_000).fill(0x91), 0xc0]);
  assertEquals(caller.calls.take(deep, BOB), "malformed");
  assertEquals(caller.calls.take(caller.answer(new Uint8Array(200_000)), BOB), "oversized");
  for (const tail of [[0xc1], [0xa5, 1], [0xdd, 255, 255, 255, 255]]) {
    assertEquals(caller.calls.take(Uint8Array.from([...head, ...tail]), BOB), "malformed");
  }
  const request = Uint8Array.from(caller.sent[0] ?? []);
  assertEquals(caller.calls.take(request, BOB), "malformed", "our own call, sent back");
  assert(!await isSettled(called));
  caller.calls.take(caller.answer("at last"), BOB);
  assertEquals(await called, encode("at last"));
});

Deno.test("RpcCalls.call rejects what cannot be sent", async () => {
  using caller = new Caller({ timeoutMs: 10 });
  const large = () => caller.calls.call(BOB, "store", [encode(new Uint8Array(8_192))]);
  const error = await assertRejects(large, InvalidPacketError);
  assertEquals(error.code, "too-large");
  caller.fails = new TransportError("The network is down");
  await assertRejects(() => caller.calls.call(BOB, "ping", []), TransportError, "down");
  assertThrows(() => new Caller({ timeoutMs: 0 }), RangeError, "timeoutMs");
});

Deno.test("RpcCalls.call gives up when its signal aborts", async () => {
  using caller = new Caller();
  const controller = new AbortController();
  const called = caller.calls.call(BOB, "ping", [], controller);
  controller.abort(new Error("enough"));
  await assertRejects(() => called, Error, "enough");
  await assertRejects(() => caller.calls.call(BOB, "ping", [], controller), Error, "enough");
  assertEquals(caller.sent.length, 1);
});

Deno.test("RpcCalls has a limit of calls that wait", async () => {
  using caller = new Caller();
  const calls = Array.from({ length: MAX_RPC_CALLS }, () => caller.calls.call(BOB, "ping", []));
  const error = await assertRejects(() => caller.calls.call(BOB, "ping", []), LimitError);
  assertEquals(error.details.limit, "MAX_RPC_CALLS");
  caller.calls.close();
  const results = await Promise.allSettled(calls);
  assert(results.every((one) => one.status === "rejected" && one.reason instanceof ClosedError));
});

Deno.test("RpcCalls takes and calls nothing once closed", async () => {
  using caller = new Caller();
  const called = caller.calls.call(BOB, "ping", []);
  const answer = caller.answer(1);
  caller.calls.close();
  caller.calls.close();
  await assertRejects(() => called, ClosedError);
  assertEquals(caller.calls.take(answer, BOB), "stray");
  await assertRejects(() => caller.calls.call(BOB, "ping", []), ClosedError, "ping");
});
