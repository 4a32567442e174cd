import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import { ClosedError, InvalidPacketError, TimeoutError } from "../../src/errors.ts";
import {
  type Address,
  type Connection,
  FramedConnection,
  HIGH_WATER_BYTES,
  MemoryNetwork,
  type MemoryNetworkOptions,
  netTransport,
} from "../../src/transport/mod.ts";
import { SPLICE_FROM_BYTES } from "../../src/wire/frame.ts";

const NOWHERE: Address = { hostname: "nowhere", port: 0 };

Deno.test("FramedConnection carries frames of every size both ways", async () => {
  const [left, right] = await framedPair();
  const sizes = [0, 1, 3, 4, 5, 65_535, 65_536, 1_000_000];
  const echoing = (async () => {
    for await (const frame of right) await right.send(frame);
  })();
  for (const size of sizes) {
    const sent = pattern(size);
    await left.send(sent);
    const echoed = await left.receive();
    assertEquals(echoed?.length, size);
    assert(sent.every((byte, at) => byte === echoed?.[at]), `${size} bytes came back changed`);
  }
  left.close();
  await echoing;
});

Deno.test("FramedConnection takes frames out of bytes that come one at a time", async () => {
  const [raw, other] = await connectionPair();
  const framed = new FramedConnection(other);
  const stream = Uint8Array.of(0, 0, 0, 2, 7, 8, 0, 0, 0, 0, 0, 0, 0, 1, 9);
  const writing = (async () => {
    for (const byte of stream) await raw.write(Uint8Array.of(byte));
    raw.close();
  })();
  const frames: number[][] = [];
  for await (const frame of framed) frames.push([...frame]);
  assertEquals(frames, [[7, 8], [], [9]]);
  await writing;
});

Deno.test("FramedConnection says undefined at an end between frames, again and again", async () => {
  const [left, right] = await framedPair();
  await left.send(pattern(3));
  left.close();
  assertEquals((await right.receive())?.length, 3);
  assertEquals(await right.receive(), undefined);
  assertEquals(await right.receive(), undefined);
  right.close();
});

Deno.test("FramedConnection names an end inside a frame, in its length or its payload", async () => {
  for (const [bytes, wanted] of [[[0, 0], 4], [[0, 0, 0, 5, 1, 2], 9]] as const) {
    const [raw, other] = await connectionPair();
    await raw.write(Uint8Array.from(bytes));
    raw.close();
    const framed = new FramedConnection(other);
    for (let attempt = 0; attempt < 2; attempt++) {
      const error = await assertRejects(() => framed.receive(), InvalidPacketError);
      assertEquals(error.code, "bad-frame");
      assertEquals(error.details, { got: bytes.length, wanted });
    }
    framed.close();
  }
});

Deno.test("FramedConnection refuses a frame by its length alone, in both directions", async () => {
  const [raw, other] = await connectionPair();
  const framed = new FramedConnection(other, { maxFrameBytes: 1000 });
  const error = await assertRejects(() => framed.send(pattern(1001)), InvalidPacketError, "1001");
  assertEquals(error.details, { limit: "maxFrameBytes", max: 1000, got: 1001 });
  await framed.send(Uint8Array.of(5)); // nothing of the other one has left
  assertEquals(await readExactly(raw, 5), Uint8Array.of(0, 0, 0, 1, 5));

  await raw.write(Uint8Array.of(0, 0, 0, 1, 6, 0, 0, 3, 0xe9));
  assertEquals(await framed.receive(), Uint8Array.of(6));
  await assertRejects(() => framed.receive(), InvalidPacketError, "maxFrameBytes 1000");
  raw.close();
  framed.close();
});

Deno.test("FramedConnection.receive gives up in time and loses nothing", async () => {
  const clock = new ManualClock();
  const [raw, other] = await connectionPair();
  const framed = new FramedConnection(other, { clock });
  await raw.write(Uint8Array.of(0, 0, 0, 4, 1, 2));
  for (let attempt = 0; attempt < 3; attempt++) {
    const late = assertRejects(() => framed.receive({ timeoutMs: 50 }), TimeoutError);
    await clock.advance(50);
    await late;
    if (attempt === 1) await raw.write(Uint8Array.of(3));
  }
  await raw.write(Uint8Array.of(4, 0, 0, 0, 1, 5));
  assertEquals(await framed.receive({ timeoutMs: 50 }), Uint8Array.of(1, 2, 3, 4));
  assertEquals(await framed.receive({ timeoutMs: 0 }), Uint8Array.of(5));
  raw.close();
  framed.close();
});

Deno.test("FramedConnection.receive rejects with its signal's reason and loses nothing", async () => {
  const [left, right] = await framedPair();
  const reason = new Error("changed my mind");
  const controller = new AbortController();
  const { signal } = controller;
  const aborted = assertRejects(() => right.receive({ signal }));
  controller.abort(reason);
  assertStrictEquals(await aborted, reason);
  assertStrictEquals(await assertRejects(() => right.receive({ signal })), reason);
  await left.send(Uint8Array.of(1));
  await left.send(Uint8Array.of(2));
  assertEquals(await right.receive({ signal: new AbortController().signal }), Uint8Array.of(1));
  assertEquals(await right.receive(), Uint8Array.of(2));
  left.close();
  right.close();
});

Deno.test("FramedConnection.receive leaves no timer and no listener behind", async () => {
  const [left, right] = await framedPair(); // on the real clock: the sanitizer would find a timer
  const { signal } = new AbortController();
  let listeners = 0;
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
    listeners++;
    addEventListener.apply(signal, args);
  };
  signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
    listeners--;
    removeEventListener.apply(signal, args);
  };
  const receiving = right.receive({ signal, timeoutMs: 60_000 });
  assertEquals(listeners, 1);
  await left.send(Uint8Array.of(1));
  await receiving;
  assertEquals(listeners, 0);
  left.close();
  right.close();
});

Deno.test("FramedConnection.receive repeats a failure that came while nobody waited", async () => {
  const clock = new ManualClock();
  const broken = Promise.withResolvers<number>();
  // A socket reports a reset once; whoever reads again finds an end that looks like any other.
  const answers = [broken.promise, Promise.resolve(null)];
  const connection = stub({ read: () => answers.shift() ?? Promise.resolve(null) });
  const framed = new FramedConnection(connection, { clock });
  const late = assertRejects(() => framed.receive({ timeoutMs: 10 }), TimeoutError);
  await clock.advance(10);
  await late;
  broken.reject(new ClosedError("Connection reset"));
  await clock.advance(0);
  await assertRejects(() => framed.receive(), ClosedError, "reset");
  await assertRejects(() => framed.receive(), ClosedError, "reset");
});

Deno.test("FramedConnection iterates until the end, and closes when the loop is left", async () => {
  const [left, right] = await framedPair();
  for (const byte of [1, 2, 3]) left.writer.frame(Uint8Array.of(byte));
  await left.flush();
  const seen: number[] = [];
  for await (const [byte] of right) {
    seen.push(byte ?? -1);
    if (byte === 2) break;
  }
  assertEquals(seen, [1, 2]);
  await assertRejects(() => right.send(Uint8Array.of(0)), ClosedError, "closed");
  assertEquals(await left.receive(), undefined);
  left.close();
});

Deno.test("FramedConnection writes what is sent in one turn with one write", async () => {
  const { connection, writes } = recorder();
  const framed = new FramedConnection(connection);
  const sending = Array.from({ length: 1000 }, (_, n) => framed.send(Uint8Array.of(n)));
  await Promise.all(sending);
  assertEquals(writes.length, 1);
  assertEquals(writes[0]?.length, 1000 * 5);
});

Deno.test("FramedConnection batches what is added during a write into the next", async () => {
  const { connection, writes, gate } = recorder({ gated: true });
  const framed = new FramedConnection(connection);
  const first = framed.send(Uint8Array.of(1));
  await turn();
  assertEquals(framed.flushing, true);
  const rest = [2, 3, 4].map((byte) => framed.send(Uint8Array.of(byte)));
  await turn();
  assertEquals(writes.length, 1);
  gate.resolve();
  await Promise.all([first, ...rest]);
  assertEquals(writes.map((bytes) => bytes.length), [5, 15]);
  assertEquals(framed.flushing, false);
});

Deno.test("FramedConnection copies no more than the beginning of payloads of 64 KiB and more", async () => {
  const { connection, writes } = recorder();
  const framed = new FramedConnection(connection);
  const large = pattern(SPLICE_FROM_BYTES + 10).subarray(10);
  await framed.send(large);
  const lead = 4096;
  assertEquals(writes.map((bytes) => bytes.length), [4 + lead, SPLICE_FROM_BYTES - lead]);
  assertStrictEquals(writes[1]?.buffer, large.buffer);
  assertEquals(writes[1]?.byteOffset, 10 + lead);
  const small = pattern(SPLICE_FROM_BYTES - 1);
  await framed.send(small);
  assertEquals(writes.length, 3);
  assert(writes[2]?.buffer !== small.buffer);
});

Deno.test("FramedConnection keeps what waits for a sleeping reader bounded, and loses none", async () => {
  const [left, right] = await framedPair({ bufferBytes: 64 * 1024 });
  const frameBytes = 10_000;
  const count = 300;
  let sent = 0;
  let most = 0;
  const sending = (async () => {
    while (sent < count) {
      left.writer.frame(new Uint8Array(frameBytes).fill(sent++));
      most = Math.max(most, left.writer.pendingBytes);
      const flushed = left.flush();
      if (left.congested) await flushed;
    }
    await left.flush();
    left.close();
  })();
  await turn();
  assert(sent < count / 2, `${sent} were sent to nobody`);
  let received = 0;
  for await (const frame of right) {
    assertEquals([frame.length, frame[0]], [frameBytes, received++ % 256]);
  }
  await sending;
  assertEquals(received, count);
  assert(most < HIGH_WATER_BYTES + frameBytes + 4, `${most} bytes waited`);
});

Deno.test("FramedConnection.room lets the next batch be filled while one is being written", async () => {
  const { connection, writes, gate } = recorder({ gated: true });
  const framed = new FramedConnection(connection);
  await framed.room(); // nothing waits
  framed.writer.frame(Uint8Array.of(1));
  await framed.room();
  assertEquals(writes.length, 1);
  framed.writer.frame(Uint8Array.of(2));
  let room = false;
  const waiting = framed.room().then(() => room = true);
  await turn();
  assertEquals([room, writes.length], [false, 1]);
  gate.resolve();
  await waiting;
  await framed.flush();
  assertEquals(writes.length, 2);
});

Deno.test("FramedConnection.room rejects when the connection breaks, and may be left unheard", async () => {
  const failure = new ClosedError("Connection broke");
  for (const heard of [true, false]) {
    const { promise, reject } = Promise.withResolvers<void>();
    const framed = new FramedConnection(stub({ write: () => promise }));
    framed.writer.frame(Uint8Array.of(1));
    await framed.room();
    framed.writer.frame(Uint8Array.of(2));
    const room = framed.room();
    const waiting = heard ? assertRejects(() => room) : Promise.resolve(failure);
    reject(failure);
    assertStrictEquals(await waiting, failure);
    await turn();
    assertStrictEquals(await assertRejects(() => framed.room()), failure);
  }
});

Deno.test("FramedConnection rejects everybody who waits for a write that fails, and who comes later", async () => {
  const failure = new ClosedError("Connection broke");
  const framed = new FramedConnection(stub({ write: () => Promise.reject(failure) }));
  const [one, two] = [framed.send(Uint8Array.of(1)), framed.send(Uint8Array.of(2))];
  assertStrictEquals(await assertRejects(() => one), failure);
  assertStrictEquals(await assertRejects(() => two), failure);
  assertStrictEquals(await assertRejects(() => framed.flush()), failure);
  assertEquals(framed.failed, true);
});

Deno.test("FramedConnection closes twice, and rejects what waits", async () => {
  const [left, right] = await framedPair();
  const receiving = assertRejects(() => left.receive(), ClosedError);
  const sending = assertRejects(() => left.send(pattern(1_000_000)), ClosedError);
  left.close();
  left.close();
  await Promise.all([receiving, sending]);
  await assertRejects(() => left.flush(), ClosedError);
  right.close();
});

Deno.test("FramedConnection disposes of itself after what is being written, also when that fails", async () => {
  const [left, right] = await framedPair();
  {
    await using disposed = left;
    disposed.send(pattern(200_000)).catch(() => {});
  }
  assertEquals((await right.receive())?.length, 200_000);
  assertEquals(await right.receive(), undefined);
  await left[Symbol.asyncDispose]();
  right.close();

  const failing = new FramedConnection(stub({ write: () => Promise.reject(new ClosedError("x")) }));
  const sending = assertRejects(() => failing.send(Uint8Array.of(1)), ClosedError);
  await failing[Symbol.asyncDispose]();
  await sending;
});

Deno.test("FramedConnection.hangUp lets last words arrive although bytes are unread", async () => {
  const listener = await netTransport.listen({ hostname: "127.0.0.1" });
  const [accepted, connected] = await Promise.all([
    listener.accept(),
    netTransport.connect(listener.address),
  ]);
  listener.close();
  assert(accepted !== undefined);
  const [polite, flooding] = [new FramedConnection(accepted), new FramedConnection(connected)];
  const flood = flooding.send(new Uint8Array(8_000_000));
  polite.writer.frame(Uint8Array.of(42));
  const leaving = polite.hangUp(5_000);
  const [last] = await Promise.all([flooding.receive(), flood]);
  assertEquals(last, Uint8Array.of(42));
  assertEquals(await flooding.receive(), undefined);
  flooding.close();
  await leaving;
});

Deno.test("FramedConnection.hangUp waits no longer than it may", async () => {
  const clock = new ManualClock();
  const [raw, other] = await connectionPair();
  const framed = new FramedConnection(other, { clock });
  const hangingUp = framed.hangUp(100);
  await clock.advance(99);
  await raw.write(Uint8Array.of(1));
  await clock.advance(1);
  await hangingUp;
  await assertRejects(() => framed.receive(), ClosedError);
  raw.close();
});

Deno.test("FramedConnection.hangUp lets a read that is under way finish first", async () => {
  const clock = new ManualClock();
  const reads: PromiseWithResolvers<number | null>[] = [];
  const connection = stub({
    read: () => {
      const read = Promise.withResolvers<number | null>();
      reads.push(read);
      return read.promise;
    },
  });
  const framed = new FramedConnection(connection, { clock });
  const late = assertRejects(() => framed.receive({ timeoutMs: 10 }), TimeoutError);
  await clock.advance(10);
  await late;
  const leaving = framed.hangUp(1_000);
  await turn();
  assertEquals(reads.length, 1);
  reads[0]?.resolve(3);
  await turn();
  assertEquals(reads.length, 2);
  reads[1]?.resolve(null);
  await leaving;
});

Deno.test("FramedConnection.hangUp is one however often it is called, also when it is over", async () => {
  let [ends, closes] = [0, 0];
  const read = Promise.withResolvers<null>();
  const connection = stub({
    read: () => read.promise,
    closeWrite: () => Promise.resolve(void ends++),
    close: () => void closes++,
  });
  const framed = new FramedConnection(connection, { clock: new ManualClock() });
  const leaving = [framed.hangUp(), framed.hangUp()];
  await turn();
  read.resolve(null);
  await Promise.all(leaving);
  await framed.hangUp();
  framed.close();
  assertEquals([ends, closes], [1, 1]);
});

async function connectionPair(options?: MemoryNetworkOptions): Promise<[Connection, Connection]> {
  const network = new MemoryNetwork(options);
  const listener = await network.host("a").listen({ port: 1 });
  const [accepted, connected] = await Promise.all([
    listener.accept(),
    network.host("b").connect({ hostname: "a", port: 1 }),
  ]);
  listener.close();
  if (accepted === undefined) throw new Error("The listener closed");
  return [connected, accepted];
}

async function framedPair(
  options?: MemoryNetworkOptions,
): Promise<[FramedConnection, FramedConnection]> {
  const [left, right] = await connectionPair(options);
  return [new FramedConnection(left), new FramedConnection(right)];
}

/** A connection of which only some methods are of interest. */
function stub(methods: Partial<Connection>): Connection {
  return {
    local: NOWHERE,
    remote: NOWHERE,
    read: () => new Promise(() => {}),
    write: () => Promise.resolve(),
    closeWrite: () => Promise.resolve(),
    close: () => {},
    ...methods,
  };
}

/** A connection that notes what is written, where it is; gated, the first write waits for the gate. */
function recorder(options: { gated?: boolean } = {}): {
  connection: Connection;
  writes: Uint8Array[];
  gate: PromiseWithResolvers<void>;
} {
  const writes: Uint8Array[] = [];
  const gate = Promise.withResolvers<void>();
  if (!options.gated) gate.resolve();
  const write = (bytes: Uint8Array) => {
    writes.push(bytes);
    return gate.promise;
  };
  return { connection: stub({ write }), writes, gate };
}

async function readExactly(connection: Connection, count: number): Promise<Uint8Array> {
  const into = new Uint8Array(count);
  for (let at = 0; at < count;) at += await connection.read(into.subarray(at)) ?? NaN;
  return into;
}

function pattern(length: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, (_, at) => (at * 7 + (at >> 10)) % 251);
}

function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
