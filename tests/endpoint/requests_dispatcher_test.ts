import { assert, assertEquals, assertThrows } from "@std/assert";
import type { Priority } from "../../src/endpoint/inbox.ts";
import {
  type RequestEvent,
  RequestsDispatcher,
  UNCODED,
} from "../../src/endpoint/requests_dispatcher.ts";
import { HandlerSlots } from "../../src/endpoint/slots.ts";
import { MESSAGES_A_TURN, Turns } from "../../src/endpoint/turns.ts";
import { Metrics } from "../../src/metrics.ts";
import { wireData } from "../../src/wire/message.ts";
import { Journal, settle } from "./fixture.ts";

const CODE = 0x12;

function eventOf(hostname: string, n = 0, rootCode = CODE): RequestEvent {
  return { rootCode, request: wireData("rumor", { n }), fromAddr: { hostname, port: 4000 } };
}

/** What an event is told apart by: `alice 3`. */
function nameOf({ fromAddr, request }: RequestEvent): string {
  return `${fromAddr.hostname} ${request.body.n}`;
}

/** A dispatcher whose handler works until it is told to go on. */
function heldDispatcher(maxHandlers: number) {
  const [slots, metrics] = [new HandlerSlots(maxHandlers), new Metrics()];
  const dispatcher = new RequestsDispatcher({ slots, metrics });
  const started: string[] = [];
  const held: (() => void)[] = [];
  const handler = (event: RequestEvent) => {
    started.push(nameOf(event));
    return new Promise<void>((resolve) => held.push(resolve));
  };
  const release = async (count: number) => {
    for (const resolve of held.splice(0, count)) resolve();
    await settle();
  };
  return { dispatcher, slots, metrics, started, handler, release };
}

/** Turns of others that last until a test says so. */
class HeldTurns extends Turns {
  over = () => {};
  override next(): Promise<void> {
    return new Promise((resolve) => this.over = resolve);
  }
}

Deno.test("RequestsDispatcher hands an event to the handler of its code", () => {
  const dispatcher = new RequestsDispatcher();
  const heard: RequestEvent[] = [];
  dispatcher.register(0, () => {});
  dispatcher.register(CODE, (event) => void heard.push(event));
  const event = eventOf("alice", 7);
  assertEquals(dispatcher.submit(event), true);
  assertEquals(heard, [event]);
});

Deno.test("RequestsDispatcher counts what nobody takes", () => {
  const metrics = new Metrics();
  const dispatcher = new RequestsDispatcher({ metrics });
  const registration = dispatcher.register(CODE, () => {});
  assertEquals(dispatcher.has(CODE), true);
  registration[Symbol.dispose]();
  registration[Symbol.dispose]();
  assertEquals(dispatcher.has(CODE), false);
  assertEquals(dispatcher.submit(eventOf("alice")), false);
  assertEquals(metrics.snapshot(), { "requests.unknown-code": 1 });
});

Deno.test("RequestsDispatcher takes one handler a code, which is a byte", () => {
  const dispatcher = new RequestsDispatcher();
  const first = dispatcher.register(CODE, () => {});
  assertThrows(() => dispatcher.register(CODE, () => {}), TypeError, "Cannot register");
  first[Symbol.dispose]();
  dispatcher.register(CODE, () => {});
  first[Symbol.dispose](); // takes back its own only
  assertEquals(dispatcher.has(CODE), true);
  for (const code of [-1, UNCODED + 1, 1.5, NaN]) {
    assertThrows(() => dispatcher.register(code, () => {}), RangeError, "Service code must be");
  }
});

Deno.test("RequestsDispatcher shares a code among those that take some events and the one that takes the rest", () => {
  const metrics = new Metrics();
  const dispatcher = new RequestsDispatcher({ metrics });
  const heard: string[] = [];
  const listen = (name: string, takes?: (n: unknown) => boolean) => {
    const options = takes && { takes: ({ request }: RequestEvent) => takes(request.body.n) };
    return dispatcher.register(CODE, ({ request }) => {
      heard.push(`${name} ${request.body.n}`);
    }, options);
  };
  const submit = () => [0, 1, 2, 3].map((n) => dispatcher.submit(eventOf("alice", n)));
  const odd = listen("odd", (n) => n === 1 || n === 3);
  assertEquals(submit(), [false, true, false, true]);
  assertEquals(metrics.snapshot(), { "requests.unknown-code": 2 });
  const rest = listen("rest");
  const three = listen("three", (n) => n === 3); // the newest is asked first, the rest last
  assertThrows(() => listen("everything"), TypeError, "Cannot register");
  heard.length = 0;
  assertEquals(submit(), [true, true, true, true]);
  assertEquals(heard, ["rest 0", "odd 1", "rest 2", "three 3"]);
  for (const registration of [three, rest, odd]) registration[Symbol.dispose]();
  assertEquals(dispatcher.has(CODE), false);
  rest[Symbol.dispose]();
  using _again = listen("again");
  heard.length = 0;
  submit();
  assertEquals(heard.length, 4);
});

Deno.test("RequestsDispatcher keeps a handler's error from everybody else", async () => {
  const [metrics, log] = [new Metrics(), new Journal()];
  const dispatcher = new RequestsDispatcher({ metrics, log });
  const heard: string[] = [];
  dispatcher.register(CODE, (event): void | Promise<void> => {
    if (event.request.body.n === 1) throw new Error("it broke\u001b[2J");
    if (event.request.body.n === 2) return Promise.reject(new Error("later"));
    heard.push(nameOf(event));
  });
  for (const n of [0, 1, 2, 3]) assertEquals(dispatcher.submit(eventOf("alice\n", n)), true);
  await settle();
  assertEquals(heard, ["alice\n 0", "alice\n 3"]);
  assertEquals(metrics.snapshot(), { "requests.handler-errors": 2 });
  assertEquals(log.lines.map(({ level, fields }) => [level, fields.from, fields.error]), [
    ["error", "alice\\u{a}:4000", "Error: it broke\\u{1b}[2J"],
    ["error", "alice\\u{a}:4000", "Error: later"],
  ]);
});

Deno.test("RequestsDispatcher serves one sender after the other, however many events one has", async () => {
  const metrics = new Metrics();
  const dispatcher = new RequestsDispatcher({ metrics });
  const handled: string[] = [];
  const served = Promise.withResolvers<void>();
  dispatcher.register(CODE, ({ fromAddr, request }) => {
    handled.push(fromAddr.hostname);
    if (fromAddr.hostname === "bob" && request.body.n === 9) served.resolve();
  });
  let taken = 0;
  for (let n = 0; n < 10_000; n++) taken += Number(dispatcher.submit(eventOf("alice", n)));
  const before = handled.length;
  for (let n = 0; n < 10; n++) assertEquals(dispatcher.submit(eventOf("bob", n)), true);
  await served.promise;
  const meanwhile = handled.slice(before, handled.lastIndexOf("bob") + 1);
  assertEquals(meanwhile.filter((name) => name === "bob").length, 10);
  assert(meanwhile.length <= 20, `${meanwhile.length} events were handled for bob's 10`);
  for (let turn = 0; turn < 1000 && dispatcher.waiting > 0; turn++) await settle();
  assertEquals(handled.filter((name) => name === "alice").length, taken);
  assertEquals(metrics.counter("requests.dropped").value, 10_000 - taken);
  assert(taken < 2000, `${taken} events of a flood were taken`);
});

Deno.test("RequestsDispatcher takes the ports of another host for one sender, on this machine for many", async () => {
  for (const [hostname, order] of [["192.0.2.7", "1 1 2"], ["127.0.0.1", "1 2 1"]] as const) {
    const { dispatcher, started, handler, release } = heldDispatcher(1);
    dispatcher.register(CODE, handler);
    dispatcher.submit(eventOf("first"));
    for (const port of [1, 1, 2]) {
      dispatcher.submit({ ...eventOf(hostname, port), fromAddr: { hostname, port } });
    }
    for (let i = 0; i < 4; i++) await release(1);
    assertEquals(started.slice(1).map((name) => name.split(" ")[1]).join(" "), order);
  }
});

Deno.test("RequestsDispatcher takes control before requests before bulk of one sender", async () => {
  const { dispatcher, started, handler, release } = heldDispatcher(1);
  const ranks: Priority[] = ["bulk", "request", "control"];
  dispatcher.register(CODE, handler, { priority: "request" });
  dispatcher.register(0x13, handler, {
    priority: ({ request }) => ranks[Number(request.body.n)] ?? "bulk",
  });
  dispatcher.submit(eventOf("first"));
  for (const n of [0, 1, 2]) dispatcher.submit(eventOf("alice", n, 0x13));
  dispatcher.submit(eventOf("alice", 3));
  for (let i = 0; i < 5; i++) await release(1);
  assertEquals(started, ["first 0", "alice 2", "alice 1", "alice 3", "alice 0"]);
});

Deno.test("RequestsDispatcher drops the newest event of a full inbox and no other", async () => {
  const { dispatcher, metrics, started, handler, release } = heldDispatcher(1);
  dispatcher.register(CODE, handler);
  dispatcher.submit(eventOf("first"));
  let taken = 0;
  while (dispatcher.submit(eventOf("alice", taken))) taken++;
  assertEquals(taken, 1024);
  assertEquals(dispatcher.submit(eventOf("bob")), true);
  assertEquals(metrics.snapshot(), { "requests.dropped": 1 });
  await release(1);
  await release(1);
  assertEquals(started, ["first 0", "alice 0", "bob 0"]);
  dispatcher.close();
  await release(1);
});

Deno.test("RequestsDispatcher has no more handlers at work than there are slots", async () => {
  const { dispatcher, slots, started, handler, release } = heldDispatcher(3);
  dispatcher.register(CODE, handler);
  for (let n = 0; n < 10; n++) dispatcher.submit(eventOf("alice", n));
  assertEquals([slots.atWork, started.length, dispatcher.waiting], [3, 3, 7]);
  await release(2);
  assertEquals([slots.atWork, started.length, dispatcher.waiting], [3, 5, 5]);
  for (let i = 0; i < 4; i++) await release(3);
  assertEquals([slots.atWork, started.length, dispatcher.waiting], [0, 10, 0]);
});

Deno.test("RequestsDispatcher shares its slots with others", async () => {
  const { dispatcher, slots, started, handler, release } = heldDispatcher(1);
  dispatcher.register(CODE, handler);
  assert(slots.enter());
  dispatcher.submit(eventOf("alice", 1));
  dispatcher.submit(eventOf("alice", 2));
  await settle();
  assertEquals(started, []);
  slots.leave();
  assertEquals(started, ["alice 1"]);
  assertEquals(slots.enter(), false);
  await release(1);
  await release(1);
  assertEquals([started.length, slots.atWork], [2, 0]);
});

Deno.test("RequestsDispatcher works off a long queue of quick handlers without a deep stack", async () => {
  const slots = new HandlerSlots(1);
  const dispatcher = new RequestsDispatcher({ slots });
  let handled = 0;
  dispatcher.register(CODE, () => void handled++);
  assert(slots.enter());
  let taken = 0;
  for (let sender = 0; sender < 16; sender++) {
    for (let n = 0; n < 1024; n++) taken += Number(dispatcher.submit(eventOf(`peer ${sender}`, n)));
  }
  assertEquals(taken, 16_384);
  slots.leave();
  for (let turn = 0; turn < 1000 && dispatcher.waiting > 0; turn++) await settle();
  assertEquals([handled, slots.atWork], [taken, 0]);
});

Deno.test("RequestsDispatcher handles urgent events though every slot is taken", () => {
  const slots = new HandlerSlots(1);
  const dispatcher = new RequestsDispatcher({ slots });
  const heard: string[] = [];
  dispatcher.register(CODE, (event) => void heard.push(nameOf(event)), {
    urgent: ({ request }) => request.body.n === 1,
  });
  assert(slots.enter());
  for (const n of [0, 1, 2]) dispatcher.submit(eventOf("alice", n));
  assertEquals(heard, ["alice 1"]);
  slots.leave();
  assertEquals(heard, ["alice 1", "alice 0", "alice 2"]);
});

Deno.test("RequestsDispatcher lets others have a turn after so many events", async () => {
  const turns = new HeldTurns();
  const dispatcher = new RequestsDispatcher({ turns });
  let handled = 0;
  dispatcher.register(CODE, () => void handled++);
  for (let n = 0; n < 2.5 * MESSAGES_A_TURN; n++) dispatcher.submit(eventOf("alice", n));
  for (const expected of [1, 2, 2.5]) {
    await settle();
    assertEquals(handled, expected * MESSAGES_A_TURN);
    turns.over();
  }
  assertEquals(dispatcher.waiting, 0);
});

Deno.test("RequestsDispatcher forgets what waits when it is closed", async () => {
  const { dispatcher, slots, metrics, started, handler, release } = heldDispatcher(1);
  dispatcher.register(CODE, handler);
  for (let n = 0; n < 3; n++) dispatcher.submit(eventOf("alice", n));
  dispatcher.close();
  dispatcher[Symbol.dispose]();
  assertEquals(dispatcher.waiting, 0);
  assertEquals(dispatcher.submit(eventOf("alice", 3)), false);
  await release(1);
  assertEquals([started.length, slots.atWork, slots.waiting], [1, 0, 0]);
  assertEquals(metrics.snapshot(), { "requests.unknown-code": 1 });
});
