import { assert, assertEquals } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import { Calls, MAX_ACTIVE_REQUESTS } from "../../src/endpoint/calls.ts";
import { DEFAULT_LIMITS } from "../../src/endpoint/limits_table.ts";
import { Dispatcher } from "../../src/endpoint/dispatcher.ts";
import { HandlerSlots } from "../../src/endpoint/slots.ts";
import { Tracing } from "../../src/endpoint/tracing.ts";
import { silentLogger } from "../../src/log.ts";
import { Metrics } from "../../src/metrics.ts";
import {
  decodeWireData,
  encodeWireData,
  type MessageBody,
  wireData,
} from "../../src/wire/message.ts";
import { isSettled, linkPair, Served, SERVER, settle } from "./fixture.ts";

const MAX_ACTIVE_BYTES = DEFAULT_LIMITS.maxActiveBytes;

/** The calls of one connection, and what is answered. */
class Desk implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly dispatcher = new Dispatcher();
  readonly slots: HandlerSlots;
  readonly calls: Calls;
  readonly answers: { header: string; id: number; body: MessageBody }[] = [];
  readonly #pair: AsyncDisposable;

  private constructor(pair: Awaited<ReturnType<typeof linkPair>>, maxHandlers: number) {
    const { clock } = this;
    this.#pair = pair;
    this.slots = new HandlerSlots(maxHandlers);
    this.calls = new Calls(pair.server.link, {
      clock,
      log: silentLogger,
      tracing: new Tracing(silentLogger, clock),
      metrics: new Metrics(),
      slots: this.slots,
      reply: (header, id, body) => void this.answers.push({ header, id, body }),
    });
  }

  static async open(maxHandlers = 1): Promise<Desk> {
    return new Desk(await linkPair(), maxHandlers);
  }

  /** A message comes in; id 0 for one that wants no answer. */
  start(
    header: string,
    id: number,
    how: { body?: MessageBody; bytes?: number } = {},
  ): Promise<void> | undefined {
    const registration = this.dispatcher.find(header);
    assert(registration !== undefined);
    const { body = {}, bytes = 100 } = how;
    const message = decodeWireData(encodeWireData(wireData(header, body, { msgId: id })));
    return this.calls.start(registration, message, { atMs: this.clock.now(), bytes });
  }

  /** The limit that the last answer names. */
  get limit(): unknown {
    const { body } = this.answers.at(-1) ?? {};
    assertEquals(body?.code, "limit");
    return (body?.details as MessageBody).limit;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.calls.cancelAll(new Error("The test is over"));
    await this.#pair[Symbol.asyncDispose]();
  }
}

Deno.test("Calls.start holds a one-way message back while others fill the inbox, and goes on with it", async () => {
  await using desk = await Desk.open();
  const { slots } = desk;
  const heard: unknown[] = [];
  desk.dispatcher.handle("note", ({ n }) => void heard.push(n));
  slots.enter();
  fillInbox(slots);
  const taken = desk.start("note", 0, { body: { n: 1 } });
  assert(taken !== undefined && !await isSettled(taken));
  slots.leave();
  await taken;
  await slots.idle();
  assertEquals([heard, desk.answers], [[1], []]);
});

Deno.test("Calls.idle waits for what waits for a slot", async () => {
  await using desk = await Desk.open();
  desk.dispatcher.handle("add", () => 5);
  desk.slots.enter();
  desk.start("add", 1);
  const idle = desk.calls.idle();
  assertEquals(await isSettled(idle), false);
  desk.slots.leave();
  await idle;
  assertEquals(desk.answers, [{ header: ":ok", id: 1, body: { result: 5 } }]);
});

Deno.test("Link.drain of who asks waits for an answer whose request waits for a slot over there", async () => {
  await using served = await Served.open({ limits: { maxHandlers: 1 } });
  const gate = Promise.withResolvers<string>();
  served.endpoint.handle("slow", () => gate.promise);
  const alice = await (await served.client("alice")).connect(SERVER);
  const bob = await (await served.client("bob")).connect(SERVER);
  const first = alice.request("slow", {});
  await settle();
  const second = bob.request("slow", {});
  const drained = bob.drain();
  assertEquals(await isSettled(Promise.race([second, drained])), false);
  assertEquals(served.endpoint.slots.waiting, 1);
  gate.resolve("done");
  assertEquals([await first, await second], ["done", "done"]);
  await drained;
});

Deno.test("Calls does not begin what is cancelled while it waits, and gives its slot to the next", async () => {
  await using desk = await Desk.open();
  const begun: unknown[] = [];
  desk.dispatcher.handle("work", ({ n }) => begun.push(n));
  desk.slots.enter();
  for (const n of [1, 2]) desk.start("work", n, { body: { n } });
  desk.calls.cancel(1, new Error("changed my mind"));
  desk.slots.leave();
  await desk.calls.idle();
  assertEquals([begun, desk.slots.atWork], [[2], 0]);
  assertEquals(desk.answers.map(({ id }) => id), [2]);
});

Deno.test("Calls answers with timeout, and does not begin, what waited until it was too late", async () => {
  await using desk = await Desk.open();
  const begun: unknown[] = [];
  desk.dispatcher.handle("work", ({ n }) => begun.push(n));
  desk.slots.enter();
  desk.start("work", 1, { body: { n: 1, ":": { timeout: 1_000 } } });
  desk.start("work", 2, { body: { n: 2, ":": { timeout: 1_001 } } });
  await desk.clock.advance(1_001);
  desk.slots.leave();
  await desk.calls.idle();
  assertEquals([begun, desk.slots.atWork], [[2], 0]);
  assertEquals(desk.answers.map(({ header, id, body }) => [header, id, body.code]), [
    [":error", 1, "timeout"],
    [":ok", 2, undefined],
  ]);
});

Deno.test("Link counts a call's deadline from its arrival, however long it waits for a slot", async () => {
  await using served = await Served.open({ limits: { maxHandlers: 1 } });
  const { endpoint, clock } = served;
  endpoint.handle("deadline", (_, { deadlineMs }) => deadlineMs);
  const link = await (await served.client()).connect(SERVER);
  const arrivedMs = clock.now();
  endpoint.slots.enter();
  const asked = link.request("deadline", {}, { timeoutMs: 1_000 });
  await clock.advance(400);
  endpoint.slots.leave();
  assertEquals(await asked, arrivedMs + 1_000);
});

Deno.test("Calls bounds the bytes of requests that wait or are at work by maxActiveBytes", async () => {
  await using desk = await Desk.open(2);
  const gate = Promise.withResolvers<void>();
  desk.dispatcher.handle("work", () => gate.promise);
  const bytes = MAX_ACTIVE_BYTES / 4;
  for (const id of [1, 2, 3, 4]) desk.start("work", id, { bytes });
  assertEquals([desk.slots.atWork, desk.slots.waiting, desk.answers], [2, 2, []]);
  desk.start("work", 5, { bytes: 1 });
  assertEquals(desk.limit, "maxActiveBytes");
  gate.resolve();
  await desk.calls.idle();
  desk.start("work", 6, { bytes: MAX_ACTIVE_BYTES });
  await desk.calls.idle();
  assertEquals(desk.answers.map(({ header }) => header), [":error", ...Array(5).fill(":ok")]);
});

Deno.test("Calls holds the connection back with one-way messages beyond maxActiveBytes, and loses none", async () => {
  await using desk = await Desk.open();
  const gate = Promise.withResolvers<void>();
  const heard: unknown[] = [];
  desk.dispatcher.handle("note", ({ n }) => {
    heard.push(n);
    return gate.promise;
  });
  const bytes = MAX_ACTIVE_BYTES / 2;
  assertEquals([1, 2].map((n) => desk.start("note", 0, { body: { n }, bytes })), [
    undefined,
    undefined,
  ]);
  const taken = desk.start("note", 0, { body: { n: 3 }, bytes: 1 });
  assert(taken !== undefined && !await isSettled(taken));
  gate.resolve();
  await taken;
  await desk.calls.idle();
  assertEquals([heard, desk.answers], [[1, 2, 3], []]);
});

Deno.test("Calls names the limit that a request has hit", async () => {
  const never = () => new Promise<void>(() => {});
  await using busy = await Desk.open(2 * MAX_ACTIVE_REQUESTS);
  busy.dispatcher.handle("work", never);
  for (let id = 1; id <= MAX_ACTIVE_REQUESTS + 1; id++) busy.start("work", id);
  assertEquals([busy.limit, busy.answers.length], ["maxActiveRequests", 1]);

  await using full = await Desk.open();
  full.dispatcher.handle("work", never);
  full.slots.enter();
  fillInbox(full.slots);
  full.start("work", 1);
  assertEquals([full.limit, full.answers.length], ["maxWaiting", 1]);
});

/** Other connections' messages that are done at once, as many as may wait. */
function fillInbox(slots: HandlerSlots): void {
  for (let full = false; !full;) {
    const source = {};
    full = !slots.wait(source, "request", () => slots.leave());
    while (slots.wait(source, "request", () => slots.leave()));
  }
}
