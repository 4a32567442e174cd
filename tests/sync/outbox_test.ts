import { assert, assertEquals, assertRejects } from "@std/assert";
import { ClosedError } from "../../src/errors.ts";
import { Outbox, type OutboxOptions } from "../../src/sync/outbox.ts";
import { unpackMessages } from "../../src/sync/frames.ts";
import type { SyncRefusal } from "../../src/sync/close_codes.ts";
import type { MessageSocket } from "../../src/transport/transport.ts";
import { nextTurn } from "../../src/endpoint/turns.ts";

/** A socket that takes frames, or has no room until it is told. */
class Taker implements MessageSocket {
  readonly remote = { hostname: "127.0.0.1", port: 1 };
  readonly maxMessageBytes = 1e6;
  readonly closed = Promise.resolve();
  readonly frames: (string | Uint8Array)[] = [];
  room: Promise<void> = Promise.resolve();

  async send(frame: string | Uint8Array): Promise<void> {
    await this.room;
    this.frames.push(frame);
  }

  receive(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  close(): void {}
}

function outboxOver(socket: MessageSocket, options: Partial<OutboxOptions> = {}): Outbox {
  return new Outbox(socket, {
    capabilities: ["batch", "deflate"],
    maxMessageBytes: 1e6,
    maxQueuedChars: 1_000,
    orElse: () => undefined,
    onSent: () => {},
    onOverflow: () => {},
    ...options,
  });
}

Deno.test("Outbox sends what is said in one turn together, contents in between", async () => {
  const socket = new Taker();
  let sent = 0;
  const outbox = outboxOver(socket, { onSent: (count) => sent += count });
  for (const n of [1, 2]) outbox.text(`{"n":${n}}`);
  const content = outbox.content(new Uint8Array([2]));
  for (const n of [3, 4]) outbox.text(`{"n":${n}}`);
  assertEquals(socket.frames, []);
  await content;
  await nextTurn();
  assertEquals(socket.frames, ['[{"n":1},{"n":2}]', new Uint8Array([2]), '[{"n":3},{"n":4}]']);
  assertEquals(sent, 4);
});

Deno.test("Outbox sends one by one to who reads no batches", async () => {
  const socket = new Taker();
  const outbox = outboxOver(socket, { capabilities: [] });
  for (const n of [1, 2]) outbox.text(`{"n":${n}}`);
  await nextTurn();
  assertEquals(socket.frames, ['{"n":1}', '{"n":2}']);
});

Deno.test("Outbox deflates long messages alone", async () => {
  const socket = new Taker();
  const outbox = outboxOver(socket, { maxQueuedChars: 1e6 });
  const long = `{"a":"${"a".repeat(10_000)}"}`;
  for (const text of ['{"n":1}', long, '{"n":2}']) outbox.text(text);
  await nextTurn();
  const [first, second, third] = socket.frames;
  assertEquals([first, third], ['{"n":1}', '{"n":2}']);
  assert(second instanceof Uint8Array && second.length < 200);
  assertEquals(unpackMessages(second, { capabilities: ["deflate"] }), [JSON.parse(long)]);
});

Deno.test("Outbox waits for room, and gives up who leaves too little", async () => {
  const socket = new Taker();
  const { promise, resolve } = Promise.withResolvers<void>();
  socket.room = promise;
  const errors: SyncRefusal[] = [];
  const outbox = outboxOver(socket, { onOverflow: (error) => errors.push(error) });
  outbox.text('"first"');
  await nextTurn();
  outbox.text(`"${"a".repeat(900)}"`);
  const content = outbox.content(new Uint8Array([2]));
  assertEquals([socket.frames, outbox.queuedChars, errors.length], [[], 902, 0]);
  outbox.text(`"${"b".repeat(100)}"`);
  await assertRejects(() => content, ClosedError);
  assertEquals(errors.map(({ details }) => details), [
    { limit: "maxQueuedChars", max: 1_000, errorCode: "SLOW_CONSUMER" },
  ]);
  assertEquals(outbox.queuedChars, 0);
  resolve();
  await nextTurn();
  outbox.text('"later"');
  await nextTurn();
  assertEquals(socket.frames, ['"first"', '"later"']);
});

Deno.test("Outbox says something else only when nothing was said", async () => {
  const socket = new Taker();
  const outbox = outboxOver(socket, { orElse: () => '"ack"' });
  outbox.departSoon();
  await nextTurn();
  outbox.departSoon();
  outbox.text('"news"');
  await nextTurn();
  assertEquals(socket.frames, ['"ack"', '"news"']);
});
