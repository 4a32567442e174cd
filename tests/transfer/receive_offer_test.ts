import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import type { Link } from "../../src/endpoint/link.ts";
import { ClosedError, RemoteError, TimeoutError } from "../../src/errors.ts";
import { MAX_TRANSFERS, Receiver } from "../../src/transfer/receive.ts";
import { settle } from "../endpoint/fixture.ts";
import { Exchange, freshToken, offer, pattern, run, sendByHand } from "./fixture.ts";

Deno.test("Receiver refuses everything unless it is told to accept", async () => {
  await using exchange = await Exchange.open({ noReceiver: true });
  Receiver.open(exchange.endpoint, { dir: exchange.inbox });
  const link = await exchange.link();
  const error = await assertRejects(() => offer(link, { a: 1 }), RemoteError, "was refused");
  assertEquals(error.code, "not-allowed");
  assertEquals(exchange.received(), []);
});

Deno.test("Receiver asks with who sends what, and takes an answer that takes its time", async () => {
  const answer = Promise.withResolvers<boolean>();
  const asked: unknown[] = [];
  await using exchange = await Exchange.open({
    receiver: {
      accept: ({ from, label, manifest }) => {
        asked.push([from.name, label, manifest.files, manifest.totalBytes]);
        return answer.promise;
      },
    },
  });
  const offering = offer(await exchange.link("alice"), { a: 1, "f/b": 2 });
  await settle();
  assertEquals(asked.length, 1);
  const [name, label, files, bytes] = asked[0] as unknown[];
  assertEquals([name, files, bytes], ["alice", 2, 3]);
  assertStringIncludes(String(label), "alice (alice:");
  answer.resolve(true);
  assertEquals(typeof await offering, "number");
});

Deno.test("Receiver says of a decision that failed only that it did", async () => {
  await using exchange = await Exchange.open({
    receiver: {
      accept: () => {
        throw new Error("secret");
      },
    },
  });
  const link = await exchange.link();
  for (let attempt = 0; attempt < MAX_TRANSFERS + 1; attempt++) {
    const error = await assertRejects(() => offer(link, { a: 1 }), RemoteError);
    assertEquals([error.code, error.message], ["internal", "The handler failed"]);
  }
});

Deno.test("Receiver refuses a hostile manifest by what is wrong with it, and writes nothing", async () => {
  await using exchange = await Exchange.open();
  const link = await exchange.link();
  const rows: readonly (readonly [unknown, string, string])[] = [
    [[["../up", false, 1, 0o644, 0]], "bad-message", "dot segment"],
    [[["/etc/passwd", false, 1, 0o644, 0]], "bad-message", "absolute path"],
    [[[".kith-partial/x", false, 1, 0o644, 0]], "bad-message", "reserved folder"],
    [[["A", false, 1, 0o644, 0], ["a", false, 1, 0o644, 0]], "bad-message", "store both"],
    [[["a", false, -1, 0o644, 0]], "bad-message", "size of entry 0"],
    [[["a", false, 2 ** 53, 0o644, 0]], "bad-message", "size of entry 0"],
    [[["a", false, 1, 0o644]], "bad-message", "entry 0"],
    ["all of it", "bad-message", "entries is not an array"],
  ];
  for (const [entries, code, text] of rows) {
    const asking = () => offerManifest(link, { entries });
    const error = await assertRejects(asking, RemoteError, text);
    assertEquals(error.code, code);
  }
  await assertRejects(() => offerManifest(link, undefined), RemoteError, "entries");
  assertEquals(exchange.received(), []);
});

Deno.test("Receiver names the limit that an offer breaks", async () => {
  await using exchange = await Exchange.open({ receiver: { maxTotalBytes: 1_000 } });
  const link = await exchange.link();
  const error = await assertRejects(() => offer(link, { a: 600, b: 401 }), RemoteError);
  assertEquals([error.code, error.details.limit], ["limit", "maxTotalBytes"]);
  assertEquals(await offer(link, { a: 600, b: 400 }), 1);

  await using wide = await Exchange.open();
  const offering = offer(await wide.link(), { a: 2 ** 52 });
  const full = await assertRejects(() => offering, RemoteError, "Not enough free space");
  assertEquals([full.code, full.details.limit], ["limit", "freeBytes"]);
  assert(Number(full.details.max) < 2 ** 52);
  for await (const event of wide.receiver) {
    assertEquals(event.type, "refused");
    break;
  }
});

Deno.test("Receiver counts what it has promised to others as taken", async () => {
  await using exchange = await Exchange.open();
  const link = await exchange.link();
  const free = await assertRejects(() => offer(link, { a: 2 ** 52 }), RemoteError);
  const half = Math.floor(Number(free.details.max) * 0.6);
  await offer(link, { a: half });
  await assertRejects(() => offer(link, { b: half }), RemoteError, "Not enough free space");
});

Deno.test("Receiver takes 16 transfers at a time, also when all are decided at once, and no more", async () => {
  const answer = Promise.withResolvers<boolean>();
  await using exchange = await Exchange.open({ receiver: { accept: () => answer.promise } });
  const link = await exchange.link();
  const offers = Array.from({ length: MAX_TRANSFERS }, (_, at) => offer(link, { [`f${at}`]: 1 }));
  await settle();
  const full = () => assertRejects(() => offer(link, { more: 1 }), RemoteError, "maxTransfers");
  assertEquals((await full()).details, { limit: "maxTransfers", max: MAX_TRANSFERS });
  answer.resolve(true);
  const ids = await Promise.all(offers);
  assertEquals(new Set(ids).size, MAX_TRANSFERS);
  await full();
  const running = run(link, ids[0]);
  await sendByHand(link, ids[0] ?? 0, [pattern(1)]);
  await running;
  assertEquals(typeof await offer(link, { more: 1 }), "number");
});

Deno.test("Receiver begins nothing that was withdrawn while somebody was deciding", async () => {
  const nothing = () => Promise.resolve();
  const ways: Record<string, (link: Link, exchange: Exchange) => Promise<() => Promise<void>>> = {
    "aborted": async (link) => {
      const controller = new AbortController();
      const { signal } = controller;
      const asking = assertRejects(() => offer(link, { "f/a": 1 }, { signal }));
      await settle();
      controller.abort(new Error("changed my mind"));
      await asking;
      return nothing;
    },
    "timed out": async (link, { clock }) => {
      const asking = assertRejects(
        () => offer(link, { "f/a": 1 }, { timeoutMs: 50 }),
        TimeoutError,
      );
      await clock.advance(50);
      await asking;
      return nothing;
    },
    "gone": async (link) => {
      const asking = assertRejects(() => offer(link, { "f/a": 1 }), ClosedError);
      await settle();
      await link.close();
      await asking;
      return nothing;
    },
    "receiver closed": async (link, { receiver }) => {
      const asking = assertRejects(() => offer(link, { "f/a": 1 }), RemoteError, "given up");
      await settle();
      receiver.close();
      return async () => assertEquals((await asking).code, "closed");
    },
  };
  for (const [way, withdraw] of Object.entries(ways)) {
    const answer = Promise.withResolvers<boolean>();
    await using exchange = await Exchange.open({ receiver: { accept: () => answer.promise } });
    const answered = await withdraw(await exchange.link(), exchange);
    await settle();
    answer.resolve(true);
    await settle();
    assertEquals([exchange.receiver.progress, exchange.received()], [[], []], way);
    await answered();
  }
});

Deno.test("Receiver refuses an offer that has no token", async () => {
  await using exchange = await Exchange.open();
  const link = await exchange.link();
  const token = freshToken();
  for (const wrong of [undefined, null, "x", token.subarray(1), [...token]]) {
    const body = { manifest: { entries: [] }, token: wrong };
    await assertRejects(() => link.request("transfer.offer", body), RemoteError, "bad token");
  }
});

/** Offers what may be no manifest. */
function offerManifest(link: Link, manifest: unknown): Promise<unknown> {
  return link.request("transfer.offer", { manifest, token: freshToken() });
}
