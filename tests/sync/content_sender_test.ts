import { assertEquals, assertThrows } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import { InvalidPacketError, LimitError } from "../../src/errors.ts";
import { decodeContent, WINDOW_BYTES } from "../../src/sync/content_frames.ts";
import { ContentSender } from "../../src/sync/content_sender.ts";
import { Slots } from "../../src/sync/slots.ts";

const SIZE = 3 * WINDOW_BYTES;

/** A sender of one large file, and what it has sent. */
class Desk implements Disposable {
  readonly clock = new ManualClock();
  readonly sent: string[] = [];
  readonly sender: ContentSender;
  readonly #path = Deno.makeTempFileSync();
  open = 0;
  bytes = 0;

  constructor(slots = 8) {
    Deno.truncateSync(this.#path, SIZE);
    this.sender = new ContentSender({
      clock: this.clock,
      slots: new Slots(slots),
      open: (sha256) => {
        if (sha256.startsWith("00")) return undefined;
        this.open++;
        return Deno.openSync(this.#path);
      },
      send: (bytes) => {
        const frame = decodeContent(bytes);
        this.sent.push(frame.type);
        if (frame.type === "data" || frame.type === "end") this.bytes += frame.data.length;
        return Promise.resolve();
      },
    });
  }

  want(id: number, facts: { sha256?: string; signsBytes?: number } = {}): void {
    const { sha256 = "ab".repeat(32), signsBytes = 0 } = facts;
    const blockBytes = signsBytes === 0 ? 0 : 2048;
    this.sender.want({ type: "want", id, sha256, size: SIZE, offset: 0, blockBytes, signsBytes });
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.#path);
  }
}

Deno.test("ContentSender sends no more than was granted", async () => {
  using desk = new Desk();
  desk.want(1);
  await desk.clock.advance(0);
  assertEquals(desk.bytes, WINDOW_BYTES);
  desk.sender.grant(1, WINDOW_BYTES / 2);
  await desk.clock.advance(0);
  assertEquals(desk.bytes, 1.5 * WINDOW_BYTES);
  // More than what is on its way cannot be granted.
  desk.sender.grant(1, 0xffffffff);
  await desk.clock.advance(0);
  assertEquals(desk.bytes, 2.5 * WINDOW_BYTES);
  desk.sender.grant(1, WINDOW_BYTES);
  await desk.clock.advance(0);
  assertEquals([desk.bytes, desk.sent.at(-1)], [SIZE, "end"]);
});

Deno.test("ContentSender sends what fits into the window as one message", async () => {
  using desk = new Desk();
  const offset = SIZE - WINDOW_BYTES;
  const want = { id: 1, sha256: "ab".repeat(32), size: SIZE, blockBytes: 0, signsBytes: 0 };
  desk.sender.want({ type: "want", ...want, offset });
  await desk.clock.advance(0);
  assertEquals([desk.sent, desk.bytes], [["end"], WINDOW_BYTES]);
});

Deno.test("ContentSender gives up who grants nothing any more, and lets the next have the slot", async () => {
  using desk = new Desk(1);
  desk.want(1);
  desk.want(2);
  await desk.clock.advance(900);
  assertEquals([desk.open, desk.bytes], [1, WINDOW_BYTES]);
  await desk.clock.advance(100);
  assertEquals([desk.open, desk.bytes], [2, 2 * WINDOW_BYTES]);
  // A byte at a time gets nobody more time.
  desk.sender.grant(1, 1);
  await desk.clock.advance(2_000);
  const before = desk.bytes;
  for (let second = 0; second < 60; second++) {
    desk.sender.grant(1, 1);
    await desk.clock.advance(1_000);
  }
  desk.sender.grant(1, 2 * WINDOW_BYTES);
  await desk.clock.advance(0);
  assertEquals(desk.bytes, before);
  desk.sender.reset();
  await desk.clock.advance(0);
});

Deno.test("ContentSender says that it has no such contents", async () => {
  using desk = new Desk();
  desk.want(1, { sha256: "00".repeat(32) });
  await desk.clock.advance(0);
  assertEquals(desk.sent, ["none"]);
});

Deno.test("ContentSender refuses too much at once, and what was not announced", async () => {
  using desk = new Desk();
  for (let id = 0; id < 4; id++) desk.want(id, { signsBytes: 4_000_000 });
  assertThrows(() => desk.want(5, { signsBytes: 4_000_000 }), LimitError, "maxWaitingSigns");
  assertThrows(() => desk.want(3), InvalidPacketError, "an id that is taken");
  const signs = new Uint8Array(4_000_001);
  assertThrows(() => desk.sender.addSigns(1, signs), InvalidPacketError, "not announced");
  assertThrows(() => desk.sender.addSigns(1, new Uint8Array()), InvalidPacketError);
  desk.sender.addSigns(99, signs);
  for (let id = 10; id < 70; id++) desk.want(id);
  assertThrows(() => desk.want(70), LimitError, "maxSendings 64");
  desk.sender.reset();
  await desk.clock.advance(0);
});
