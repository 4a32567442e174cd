import { assert, assertEquals } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import { ClosedError } from "../../src/errors.ts";
import {
  ContentFetcher,
  type ContentFetcherOptions,
  LET_GO,
} from "../../src/sync/content_fetcher.ts";
import { type ContentFrame, decodeContent } from "../../src/sync/content_frames.ts";
import { ContentShelf } from "../../src/sync/content_shelf.ts";
import type { SyncEntry } from "../../src/sync/entry.ts";
import { ReceiveRoot } from "../../src/transfer/receive_root.ts";
import { fileEntry } from "./index_contract.ts";
import { sha256Aside } from "../../src/sync/aside.ts";

/** A fetcher, and what it has sent. */
class Desk implements Disposable {
  readonly clock = new ManualClock();
  readonly sent: ContentFrame[] = [];
  readonly root = ReceiveRoot.open(Deno.makeTempDirSync());
  readonly shelf = new ContentShelf(this.root);
  readonly fetcher: ContentFetcher;
  isCut = false;

  constructor(nudges: boolean) {
    this.fetcher = this.makeFetcher({
      nudges,
      send: (bytes) => {
        if (this.isCut) return Promise.reject(new ClosedError("There is no connection"));
        this.sent.push(decodeContent(bytes));
        return Promise.resolve();
      },
    });
  }

  /** Another one of the same folder. */
  makeFetcher(options: Pick<ContentFetcherOptions, "nudges" | "send">): ContentFetcher {
    const { shelf, clock } = this;
    return new ContentFetcher({ shelf, clock, openOlder: () => undefined, ...options });
  }

  get types(): string[] {
    return this.sent.splice(0).map(({ type }) => type);
  }

  /** Answers the last one that wanted something. */
  async answer(data: Uint8Array): Promise<void> {
    await this.clock.advance(0);
    const { id = 0 } = this.sent.findLast(({ type }) => type === "want") ?? {};
    this.fetcher.take({ type: "end", id, data });
  }

  [Symbol.dispose](): void {
    this.fetcher.close();
    this.shelf[Symbol.dispose]();
    Deno.removeSync(this.root.dir, { recursive: true });
  }
}

/** A file with some bytes in it. */
async function entryOf(data: Uint8Array): Promise<SyncEntry> {
  return fileEntry("a", { size: data.length, sha256: await sha256Aside(data) });
}

Deno.test("ContentFetcher verifies contents that come in one piece, however many they are", async () => {
  using desk = new Desk(false);
  for (const size of [0, 1_000, 100_000]) {
    const data = new Uint8Array(size).fill(7);
    const entry = await entryOf(data);
    const fetching = desk.fetcher.fetch(entry);
    if (size > 0) await desk.answer(data);
    assertEquals(await fetching, undefined);
    const part = desk.shelf.take(entry.sha256);
    assert(part !== undefined);
    assertEquals(Deno.readFileSync(part.partPath), data);
    desk.root.discard(part);
  }
});

Deno.test("ContentFetcher asks once more for contents that are others, then gives up", async () => {
  using desk = new Desk(false);
  const entry = await entryOf(new Uint8Array(100_000).fill(7));
  const fetching = desk.fetcher.fetch(entry);
  await desk.answer(new Uint8Array(100_000));
  while (desk.sent.length < 2) await new Promise((resolve) => setTimeout(resolve, 0));
  await desk.answer(new Uint8Array(100_000).fill(6));
  assertEquals(await fetching, "the other side sent other contents than it told of");
  assert(!desk.shelf.has(entry.sha256));
});

Deno.test("ContentFetcher says something while it waits for a client, less and less often", async () => {
  using desk = new Desk(true);
  const data = new Uint8Array(1_000);
  const fetching = desk.fetcher.fetch(await entryOf(data));
  await desk.clock.advance(0);
  assertEquals(desk.types.length, 1);
  await desk.clock.advance(1);
  assertEquals(desk.types, ["nothing"]);
  await desk.clock.advance(1_000);
  assertEquals(desk.types.length, 5);
  desk.fetcher.take({ type: "data", id: 1, data: data.subarray(1) });
  await desk.clock.advance(1);
  assertEquals(desk.types, ["nothing"]);
  desk.fetcher.take({ type: "end", id: 1, data: data.subarray(0, 1) });
  assertEquals(await fetching, undefined);
  await desk.clock.advance(1_000);
  assertEquals(desk.types, []);
});

Deno.test("ContentFetcher gives up what was not heard of for a minute, and only that", async () => {
  using desk = new Desk(false);
  const [one, two] = [new Uint8Array(1_000).fill(1), new Uint8Array(1_000).fill(2)];
  const quiet = desk.fetcher.fetch(await entryOf(one));
  await desk.clock.advance(30_000);
  const going = desk.fetcher.fetch(await entryOf(two));
  await desk.clock.advance(29_999);
  assertEquals(desk.types, ["want", "want"]);
  await desk.clock.advance(1);
  assertEquals([await quiet, desk.types], ["the other side does not send it", ["drop"]]);
  desk.fetcher.take({ type: "data", id: 2, data: two.subarray(1) });
  await desk.clock.advance(59_999);
  desk.fetcher.take({ type: "end", id: 2, data: two.subarray(0, 1) });
  assertEquals([await going, desk.types], [undefined, []]);
});

Deno.test("ContentFetcher leaves contents to another connection that wants them, once its own is cut", async () => {
  using desk = new Desk(false);
  const data = new Uint8Array(1_000).fill(7);
  const entry = await entryOf(data);
  const first = desk.fetcher.fetch(entry);
  await desk.clock.advance(0);
  const wanted: ContentFrame[] = [];
  const other = desk.makeFetcher({
    send: (bytes) => {
      wanted.push(decodeContent(bytes));
      return Promise.resolve();
    },
  });
  desk.isCut = true;
  const second = other.fetch(entry);
  assertEquals(await first, LET_GO);
  while (wanted.length === 0) await new Promise((resolve) => setTimeout(resolve, 0));
  other.take({ type: "end", id: wanted[0]?.id ?? 0, data });
  assertEquals(await second, undefined);
  assert(desk.shelf.has(entry.sha256));
  other.close();
});
