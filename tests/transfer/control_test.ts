import { assert, assertEquals, assertLess, assertRejects, assertStrictEquals } from "@std/assert";
import { seededRandom } from "../../src/clock.ts";
import type { Link } from "../../src/endpoint/link.ts";
import {
  AuthError,
  HandshakeError,
  InvalidPacketError,
  LimitError,
  RemoteError,
} from "../../src/errors.ts";
import { sendFiles, sendStream } from "../../src/transfer/send.ts";
import { PauseSwitch, type SendEvent, type SendOptions } from "../../src/transfer/send_options.ts";
import { CHUNK_BYTES, PIECE_BYTES } from "../../src/transfer/steps.ts";
import { settle } from "../endpoint/fixture.ts";
import { Events, Exchange, pattern, same, sendAll, sha256, wholes } from "./fixture.ts";

const MIB = 1024 * 1024;

/** Waits for what happens on the disk. */
async function until(holds: () => boolean): Promise<void> {
  for (let turn = 0; !holds(); turn++) {
    if (turn > 20_000) throw new LimitError("limit", "It does not happen");
    await settle();
  }
}

/** Sends what comes, to the end. */
async function streamAll(
  link: Link,
  source: AsyncIterable<Uint8Array>,
  options: SendOptions = {},
): Promise<Extract<SendEvent, { type: "done" }>> {
  for await (const event of sendStream(link, source, "log", options)) {
    if (event.type === "done") return event;
  }
  throw new Error("It ended without an end");
}

async function* chunks(...sizes: number[]): AsyncGenerator<Uint8Array, void, void> {
  for (const size of sizes) yield await Promise.resolve(pattern(size));
}

Deno.test("an offer can be accepted in part", async () => {
  const wanted = [
    [[1, 3], ["b", "f/d"]],
    [new Set([0]), ["a"]],
    [[2, 3, 4], ["f/d", "f/e"]],
    [[], []],
    [true, ["a", "b", "f/d", "f/e"]],
  ] as const;
  for (const [decision, names] of wanted) {
    await using exchange = await Exchange.open({ receiver: { accept: () => decision } });
    const contents = [pattern(10), pattern(MIB), pattern(100_000), pattern(3)];
    const [a = pattern(0), b = a, d = a, e = a] = contents;
    const built = await exchange.build({ a, b, "f/d": d, "f/e": e });
    assertEquals(built.manifest.entries.map(({ path }) => path), ["a", "b", "f", "f/d", "f/e"]);
    const done = await sendAll(await exchange.link(), built);
    const sizes: Record<string, number> = { a: 10, b: MIB, "f/d": 100_000, "f/e": 3 };
    const bytes = names.reduce((sum, name) => sum + (sizes[name] ?? 0), 0);
    assertEquals([done.files, done.bytes, done.sentBytes], [names.length, bytes, bytes]);
    assertEquals(done.unwanted ?? 0, 4 - names.length);
    assertEquals(wholes(exchange.inbox), [...names]);
  }
});

Deno.test("indexes that are none of the offer's are nothing that is wanted", async () => {
  await using exchange = await Exchange.open({ receiver: { accept: () => [1, 7, -1, 0.5, NaN] } });
  const built = await exchange.build({ a: pattern(1), b: pattern(2) });
  assertEquals((await sendAll(await exchange.link(), built)).files, 1);
  assertEquals(wholes(exchange.inbox), ["b"]);
});

Deno.test("a sender pauses and goes on", async () => {
  await using exchange = await Exchange.open();
  const contents = pattern(3 * CHUNK_BYTES);
  const built = await exchange.build({ film: contents });
  const pause = new PauseSwitch();
  const events: SendEvent[] = [];
  const sending = (async () => {
    const options = { pause, clock: exchange.clock };
    for await (const event of sendFiles(await exchange.link(), built, options)) {
      events.push(event);
      if (events.length === 2) pause.pause();
    }
  })();
  await until(() => pause.paused);
  await until(() => exchange.receiver.progress[0]?.paused === true);
  for (let turn = 0; turn < 50; turn++) await settle();
  const stopped = exchange.receiver.progress[0]?.bytes ?? 0;
  // However long that is: nobody takes it for a stall.
  for (let minute = 0; minute < 5; minute++) {
    for (let step = 0; step < 60; step++) await exchange.clock.advance(1_000);
  }
  assertEquals(exchange.receiver.progress[0]?.bytes, stopped);
  assertLess(stopped, 2 * CHUNK_BYTES);
  pause.resume();
  await sending;
  assertEquals(events.at(-1)?.type, "done");
  assert(same(Deno.readFileSync(`${exchange.inbox}/film`), contents));
});

Deno.test("a sender that is paused from the start sends nothing", async () => {
  await using exchange = await Exchange.open();
  const pause = new PauseSwitch();
  pause.pause();
  const sending = sendAll(await exchange.link(), await exchange.build({ a: pattern(9) }), {
    pause,
  });
  await until(() => exchange.receiver.progress[0]?.paused === true);
  for (let turn = 0; turn < 50; turn++) await settle();
  assertEquals(exchange.receiver.progress[0]?.bytes, 0);
  pause.resume();
  assertEquals((await sending).bytes, 9);
});

Deno.test("a receiver pauses, goes on and cancels, and the sender sees it", async () => {
  for (const then of ["resume", "cancel"] as const) {
    await using exchange = await Exchange.open();
    const contents = pattern(3 * CHUNK_BYTES);
    const built = await exchange.build({ film: contents });
    const seen: boolean[] = [];
    const sending = (async () => {
      for await (const event of sendFiles(await exchange.link("alice"), built)) {
        if (event.type === "progress") seen.push(event.paused);
        const [transfer] = exchange.receiver.progress;
        if (seen.length === 1) transfer?.pause();
      }
    })();
    const ending = sending.catch((error) => error);
    const paused = () => exchange.receiver.progress.find((transfer) => transfer.paused);
    await until(() => paused() !== undefined);
    for (let turn = 0; turn < 50; turn++) await settle();
    const before = paused()?.bytes ?? 0;
    for (let turn = 0; turn < 50; turn++) await settle();
    assertEquals(paused()?.bytes, before);
    assertLess(before, 3 * CHUNK_BYTES);
    paused()?.[then]();
    const error = await ending;
    if (then === "resume") {
      assertEquals(error, undefined);
      assert(same(Deno.readFileSync(`${exchange.inbox}/film`), contents));
    } else {
      assert(error instanceof RemoteError);
      assertEquals([error.code, error.message], ["not-allowed", "The receiver has given it up"]);
      assertEquals([wholes(exchange.inbox), exchange.receiver.progress], [[], []]);
    }
  }
});

Deno.test("a sender sends no faster than it is told to", async () => {
  await using exchange = await Exchange.open();
  const { clock } = exchange;
  const built = await exchange.build({
    a: pattern(100_000),
    b: pattern(30_000),
    c: pattern(70_000),
  });
  const startedMs = clock.now();
  const options = { clock, maxBytesPerSecond: 20_000, compress: false };
  let done: SendEvent | undefined;
  const sending = sendAll(await exchange.link(), built, options).then((event) => done = event);
  const atSecond: number[] = [];
  for (let second = 0; done === undefined && second < 30; second++) {
    for (let turn = 0; turn < 5; turn++) await settle();
    atSecond.push(exchange.receiver.progress[0]?.bytes ?? 200_000);
    await clock.advance(1_000);
  }
  const { seconds } = await sending;
  assert(seconds >= 8 && seconds <= 11, `${seconds}`);
  assert(clock.now() - startedMs <= 12_000);
  for (const [second, bytes] of atSecond.entries()) {
    assert(bytes <= (second + 2) * 20_000 + PIECE_BYTES / 8, `${second}: ${bytes}`);
  }
});

Deno.test("a signal ends the wait of a slow sender at once", async () => {
  await using exchange = await Exchange.open();
  const built = await exchange.build({ a: pattern(1_000_000) });
  const controller = new AbortController();
  const { signal } = controller;
  const options = { clock: exchange.clock, maxBytesPerSecond: 1, signal, compress: false };
  const sending = assertRejects(async () => {
    await sendAll(await exchange.link(), built, options);
  });
  for (let turn = 0; turn < 50; turn++) await settle();
  const reason = new Error("enough");
  controller.abort(reason);
  assertStrictEquals(await sending, reason);
});

Deno.test("a signal ends the wait for a receiver that never says what it holds", async () => {
  await using exchange = await Exchange.open({ noReceiver: true });
  exchange.endpoint.handle("transfer.offer", () => ({ id: 1, held: [0, 1] }));
  exchange.endpoint.handle("transfer.run", () => new Promise(() => {}));
  exchange.endpoint.handle("transfer.held", () => new Promise(() => {}));
  const controller = new AbortController();
  const { signal } = controller;
  const built = await exchange.build({ a: pattern(100_000) });
  const sending = assertRejects(async () => {
    await sendAll(await exchange.link(), built, { signal });
  });
  for (let turn = 0; turn < 50; turn++) await settle();
  const reason = new Error("enough");
  controller.abort(reason);
  assertStrictEquals(await sending, reason);
});

Deno.test("text is smaller on the wire, noise is not larger", async () => {
  const random = seededRandom(2);
  const text = new TextEncoder().encode("a line of a log that is like the others\n".repeat(50_000));
  const noise = new Uint8Array(text.length).map(() => random() * 256);
  const cases: readonly (readonly [Uint8Array, boolean | "auto", least: number, most: number])[] = [
    [text, true, 0, 0.1],
    [text, "auto", 0, 1.1],
    [text, false, 1, 1.01],
    [noise, true, 1, 1.01],
  ];
  for (const [contents, compress, least, most] of cases) {
    await using exchange = await Exchange.open();
    const built = await exchange.build({ f: contents });
    const link = await exchange.link();
    const before = exchange.crossed;
    const done = await sendAll(link, built, { compress });
    const share = (exchange.crossed - before) / contents.length;
    assert(share >= least && share <= most, `${compress}: ${share}`);
    assertEquals([done.bytes, done.sentBytes], [contents.length, contents.length]);
    assert(same(Deno.readFileSync(`${exchange.inbox}/f`), contents));
  }
});

Deno.test("a stream is one file, as long as it turns out to be", async () => {
  for (const sizes of [[], [0], [1], [PIECE_BYTES, 0, 1], [3 * PIECE_BYTES + 5, 7]]) {
    await using exchange = await Exchange.open();
    const events = new Events(exchange.receiver);
    const done = await streamAll(await exchange.link(), chunks(...sizes));
    const whole = Uint8Array.from(sizes.flatMap((size) => [...pattern(size)]));
    assertEquals([done.files, done.bytes], [1, whole.length]);
    assertEquals(done.sha256, sha256(whole).toHex());
    assert(same(Deno.readFileSync(`${exchange.inbox}/log`), whole));
    await events.next("done");
    exchange.receiver.close();
    await events.over;
    assertEquals(events.types, ["received", "done"]);
  }
});

Deno.test("a stream is held to the receiver's limit although nobody knew its size", async () => {
  await using exchange = await Exchange.open({ receiver: { maxTotalBytes: 1_000 } });
  const link = await exchange.link();
  assertEquals((await streamAll(link, chunks(999, 1))).bytes, 1_000);
  const error = await assertRejects(() => streamAll(link, chunks(999, 2)), RemoteError);
  assertEquals([error.code, error.details], ["too-large", { limit: "size", max: 1_000 }]);
  assertEquals(wholes(exchange.inbox), ["log"]);
});

Deno.test("a stream that is silent ends with the receiver, and with the signal", async () => {
  for (const way of ["receiver", "signal"]) {
    await using exchange = await Exchange.open();
    const controller = new AbortController();
    let returned = false;
    const silent: AsyncIterable<Uint8Array> = {
      [Symbol.asyncIterator]: () => ({
        next: () => new Promise(() => {}),
        return() {
          returned = true;
          return Promise.resolve({ done: true, value: undefined });
        },
      }),
    };
    const link = await exchange.link();
    const ending = assertRejects(() => streamAll(link, silent, { signal: controller.signal }));
    await until(() => exchange.receiver.progress.length === 1);
    const reason = new Error("enough");
    if (way === "receiver") exchange.receiver.close();
    else controller.abort(reason);
    const error = await ending;
    if (way === "signal") assertStrictEquals(error, reason);
    else assert(error instanceof RemoteError && error.code === "closed");
    assertEquals(returned, true);
  }
});

Deno.test("a stream whose source fails is an error on both sides", async () => {
  await using exchange = await Exchange.open();
  const events = new Events(exchange.receiver);
  const reason = new Error("the disk was pulled out");
  async function* failing(): AsyncGenerator<Uint8Array, void, void> {
    yield await Promise.resolve(pattern(100));
    throw reason;
  }
  const link = await exchange.link();
  assertStrictEquals(await assertRejects(() => streamAll(link, failing())), reason);
  await events.next("failed");
  exchange.receiver.close();
  await events.over;
  assertEquals(wholes(exchange.inbox), []);
  await assertRejects(() => streamAll(link, chunks(1)), HandshakeError, "takes no files");
  for (const name of ["../up", "/etc/passwd", ""]) {
    const sending = async () => await sendStream(link, chunks(1), name).next();
    await assertRejects(sending, InvalidPacketError);
  }
});

Deno.test("a writer takes the bytes of one file instead of the folder", async () => {
  const got: Uint8Array[] = [];
  // Takes a little at a time, as a pipe does.
  const write = (data: Uint8Array) => {
    got.push(data.slice(0, 40_000));
    return Promise.resolve(Math.min(data.length, 40_000));
  };
  await using exchange = await Exchange.open({ receiver: { writer: { write } } });
  const link = await exchange.link();
  const whole = () => Uint8Array.from(got.flatMap((piece) => [...piece]));
  for (const size of [0, 9, 100_000]) {
    got.length = 0;
    await sendAll(link, await exchange.build({ a: pattern(size) }));
    assertEquals(whole(), pattern(size));
  }
  got.length = 0;
  await streamAll(link, chunks(100_000, 5));
  assertEquals(got.reduce((sum, { length }) => sum + length, 0), 100_005);
  const events = sendFiles(link, await exchange.build({ a: pattern(9) }));
  const { value: accepted } = await events.next();
  assertEquals(accepted, { type: "accepted", files: 1, unchanged: 0, kept: false });
  await events.return();
  const both = await exchange.build({ a: pattern(1), b: pattern(1) });
  const error = await assertRejects(() => sendAll(link, both), RemoteError, "one file at a time");
  assertEquals([error.code, exchange.received()], ["not-allowed", []]);
});

Deno.test("a writer that fails ends the transfer", async () => {
  const write = () => Promise.reject(new AuthError("not-allowed", "The pipe is closed"));
  await using exchange = await Exchange.open({ receiver: { writer: { write } } });
  const events = new Events(exchange.receiver);
  const link = await exchange.link();
  for (const size of [9, 3 * MIB]) {
    const built = await exchange.build({ a: pattern(size) });
    await assertRejects(() => sendAll(link, built), RemoteError, "The pipe is closed");
  }
  exchange.receiver.close();
  await events.over;
  assertEquals(events.types, ["failed", "failed"]);
});

Deno.test("a sender that is paused for more than an hour is given up", async () => {
  await using exchange = await Exchange.open();
  const built = await exchange.build({ film: pattern(9 * PIECE_BYTES) });
  const pause = new PauseSwitch();
  pause.pause();
  const link = await exchange.link();
  const clock = exchange.clock;
  const sending = assertRejects(
    () => sendAll(link, built, { pause, clock }),
    RemoteError,
    "Nothing came",
  );
  await settle();
  for (let minute = 0; minute < 59; minute++) await clock.advance(60_000);
  assertEquals(exchange.receiver.progress.length, 1);
  for (let minute = 0; minute < 3; minute++) await clock.advance(60_000);
  await sending;
  assertEquals(exchange.receiver.progress, []);
});
