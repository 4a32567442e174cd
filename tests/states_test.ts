import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { ManualClock } from "../src/clock.ts";
import { TransportError } from "../src/errors.ts";
import { Peer } from "../src/peer.ts";
import { type StateRecord, States } from "../src/states.ts";
import type { Address, Transport } from "../src/transport/transport.ts";
import { isSettled } from "./endpoint/fixture.ts";
import { Town } from "./town.ts";

/** A state in two words. */
function textOf({ name, progress }: StateRecord): string {
  return `${name} ${progress}`;
}

/** States that a test goes through, and what was seen of them. */
class Journey {
  readonly clock = new ManualClock();
  readonly states = new States(this.clock);
  readonly #seen = Array.fromAsync(this.states.watch());

  /** All that was seen, in order. */
  async end(): Promise<StateRecord[]> {
    this.states.end();
    return await this.#seen;
  }
}

/** Something that is opened and closed, and tells. */
function part(name: string, told: string[]): AsyncDisposable {
  told.push(`open ${name}`);
  return {
    [Symbol.asyncDispose]: () => {
      told.push(`close ${name}`);
      return Promise.resolve();
    },
  };
}

Deno.test("States.run is running while its work is, then done, and says since when", async () => {
  const journey = new Journey();
  const { states, clock } = journey;
  const work = Promise.withResolvers<number>();
  const running = states.run("find", () => work.promise);
  const startMs = clock.wallMs();
  const begun = { name: "find", blocking: true, progress: "running", since: startMs } as const;
  assertEquals(states.get("find"), begun);
  await clock.advance(70);
  work.resolve(7);
  assertEquals(await running, 7);
  const done = { ...begun, progress: "done", since: startMs + 70 } as const;
  assertEquals([states.list(), states.get("another")], [[done], undefined]);
  assertEquals(await journey.end(), [begun, done]);
});

Deno.test("States.run fails with why, and throws what the work threw", async () => {
  const journey = new Journey();
  const error = new TransportError("Cannot listen: it rains");
  assertStrictEquals(
    await assertRejects(() => journey.states.run("listen", () => Promise.reject(error))),
    error,
  );
  const failed = journey.states.get("listen");
  assertEquals([failed?.progress, failed?.why], ["failed", "Cannot listen: it rains"]);
  assertEquals((await journey.end()).map(textOf), ["listen running", "listen failed"]);
});

Deno.test("States.run that does not hold others up is listed in order, and may be overtaken by the end", async () => {
  const journey = new Journey();
  const { states } = journey;
  const work = Promise.withResolvers<void>();
  const adding = states.run("adding", () => work.promise, { blocking: false });
  await states.run("serving", () => Promise.resolve());
  assertEquals(states.list().map(textOf), ["adding running", "serving done"]);
  await states.close("adding", () => Promise.resolve());
  work.resolve();
  await adding;
  assertEquals(states.list().map(textOf), ["adding closed", "serving done"]);
  assertEquals(states.list().map(({ blocking }) => blocking), [false, true]);
  assertEquals((await journey.end()).map(textOf), [
    "adding running",
    "serving running",
    "serving done",
    "adding closing",
    "adding closed",
  ]);
});

Deno.test("States.open opens parts in order, and they are closed in reverse", async () => {
  const journey = new Journey();
  const told: string[] = [];
  {
    await using stack = new AsyncDisposableStack();
    for (const name of ["a", "b"]) {
      await journey.states.open(stack, name, () => Promise.resolve(part(name, told)));
    }
  }
  assertEquals(told, ["open a", "open b", "close b", "close a"]);
  const changes = ["a running", "a done", "b running", "b done"];
  const reverse = ["b closing", "b closed", "a closing", "a closed"];
  assertEquals((await journey.end()).map(textOf), [...changes, ...reverse]);
});

Deno.test("States.open that fails says why, and those before it are closed", async () => {
  const journey = new Journey();
  const told: string[] = [];
  const open = async () => {
    await using stack = new AsyncDisposableStack();
    await journey.states.open(stack, "a", () => Promise.resolve(part("a", told)));
    await journey.states.open(stack, "b", () => Promise.reject(new Error("taken")));
  };
  await assertRejects(open, Error, "taken");
  assertEquals(told, ["open a", "close a"]);
  assertEquals(journey.states.list().map(textOf), ["a closed", "b failed"]);
  assertEquals(journey.states.get("b")?.why, "taken");
  await journey.end();
});

Deno.test("States.group closes what it has opened when a part fails, and is not closed again", async () => {
  const journey = new Journey();
  const told: string[] = [];
  {
    await using stack = new AsyncDisposableStack();
    const opening = journey.states.group(stack, "two", (parts) => {
      parts.use(part("first", told));
      return Promise.reject(new Error("no second"));
    });
    await assertRejects(() => opening, Error, "no second");
    assertEquals(told, ["open first", "close first"]);
  }
  assertEquals((await journey.end()).map(textOf), ["two running", "two failed"]);
});

Deno.test("Peer goes through its states in order, and back through them in reverse", async () => {
  await using town = new Town();
  const peer = await town.open("10.0.0.1", { web: false });
  const opened = ["listening", "requests", "discovery"];
  assertEquals(peer.states.list().map(textOf), opened.map((name) => `${name} done`));
  assertEquals(peer.states.list().every(({ blocking }) => blocking), true);
  const seen = Array.fromAsync(peer.states.watch());
  await peer.close();
  await peer.close(); // harmless
  const closed = opened.toReversed().flatMap((name) => [`${name} closing`, `${name} closed`]);
  assertEquals((await seen).map(textOf), closed);
});

Deno.test("Peer.join adds a state that nobody waits for, which ends first", async () => {
  await using town = new Town();
  const peer = await town.open("10.0.0.1");
  const seen = Array.fromAsync(peer.states.watch());
  const membership = peer.join();
  assertEquals(peer.states.list().at(-1)?.name, "adding peers");
  const { progress, blocking } = peer.states.get("adding peers") ?? {};
  assertEquals([progress, blocking], ["running", false]);
  await town.clock.advance(1_900);
  assertEquals(await isSettled(membership.ready), false);
  await town.clock.advance(200); // it looks for two seconds
  await membership.ready;
  await peer.close();
  assertEquals((await seen).map(textOf).slice(0, 4), [
    "adding peers running",
    "adding peers done",
    "adding peers closing",
    "adding peers closed",
  ]);
});

Deno.test("Peer.open for whom a port is taken closes what it had opened, and says why", async () => {
  await using town = new Town();
  const heard: string[] = [];
  const { transport, ...options } = town.options("10.0.0.1");
  const taken = await transport.datagram({ port: 77 });
  const open = () => Peer.open({ ...options, transport: listening(transport, heard), udpPort: 77 });
  const error = await assertRejects(open, TransportError);
  assertEquals(error.message, "Cannot open datagram socket on 10.0.0.1:77: address already in use");
  assertEquals(heard, ["open", "close"]);
  taken.close();
  await using again = await open();
  assertEquals(again.udpAddress?.port, 77);
});

/** A host that tells when somebody listens, and no longer does. */
function listening(transport: Transport, heard: string[]): Transport {
  return {
    connect: (address: Address, options) => transport.connect(address, options),
    datagram: (options) => transport.datagram(options),
    listen: async (options) => {
      const listener = await transport.listen(options);
      heard.push("open");
      const close = listener.close.bind(listener);
      listener.close = () => {
        heard.push("close");
        close();
      };
      return listener;
    },
  };
}
