import {
  assert,
  assertEquals,
  assertLess,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import type { Link } from "../../src/endpoint/link.ts";
import { InvalidPacketError, LimitError, PeerError, RemoteError } from "../../src/errors.ts";
import { parseManifest } from "../../src/transfer/manifest_codec.ts";
import { freeBytes } from "../../src/transfer/disk.ts";
import { MAX_FRAME_BYTES } from "../../src/wire/frame.ts";
import { encode } from "../../src/wire/msgpack.ts";
import { settle } from "../endpoint/fixture.ts";
import {
  Events,
  Exchange,
  freshToken,
  listing,
  offer,
  pattern,
  run,
  sendByHand,
  sha256,
  Steps,
  wholes,
} from "../transfer/fixture.ts";

const TERABYTE = 1e12;
const CHUNK = pattern(64 * 1024);

/** What `stat` counts a disk in. */
const DISK_BLOCK_BYTES = 512;

/** The unfinished files of a folder that is received into, and what they take on the disk. */
function partsOf({ inbox }: Exchange): { size: number; diskBytes: number }[] {
  return listing(inbox).filter((path) => path.endsWith(".part")).map((path) => {
    const { size, blocks } = Deno.statSync(`${inbox}/${path}`);
    return { size, diskBytes: (blocks ?? 0) * DISK_BLOCK_BYTES };
  });
}

/** Begins a transfer of one file. */
async function begin(link: Link, size: number): Promise<{ id: number; run: Promise<unknown> }> {
  const id = await offer(link, { f: size });
  const running = run(link, id);
  running.catch(() => {}); // looked at later
  return { id, run: running };
}

Deno.test("T14 a sender that claims 1 TB is refused before anything is made", async () => {
  await using exchange = await Exchange.open();
  const claimed = Math.max(TERABYTE, 2 * (freeBytes(exchange.dir) ?? 0));
  const link = await exchange.link();
  const offers = [{ f: claimed }, { a: claimed / 2, "b/c": claimed / 2 }, { a: 1, b: claimed }];
  for (const sizes of offers) {
    const error = await assertRejects(() => offer(link, sizes, { folders: ["g"] }), RemoteError);
    assertEquals([error.code, error.details.limit], ["limit", "freeBytes"]);
    assertEquals(exchange.received(), []);
  }
});

Deno.test("T14 what is accepted takes no room before it comes", async () => {
  await using exchange = await Exchange.open();
  const link = await exchange.link();
  const announced = Math.floor((freeBytes(exchange.dir) ?? 0) / 2);
  const { id } = await begin(link, announced);
  assertEquals(exchange.received(), []);
  new Steps(link, id).data(0, pattern(1));
  await settle();
  const [part] = partsOf(exchange);
  assertEquals(part?.size, 1);
  assertLess(part?.diskBytes ?? Infinity, 1e6);
});

Deno.test("T14 a sender that never stops is cut off at the byte it announced", async () => {
  await using exchange = await Exchange.open();
  const events = new Events(exchange.receiver);
  const [mallory, alice] = [await exchange.link("mallory"), await exchange.link("alice")];
  const announced = 10 * CHUNK.length + 1;
  const { id, run } = await begin(mallory, announced);
  const refused = run.catch((error: unknown) => error);
  const steps = new Steps(mallory, id);
  let largest = 0;
  for (let count = 0; count < 200; count++) {
    await steps.data(0, CHUNK);
    await settle();
    for (const { size } of partsOf(exchange)) largest = Math.max(largest, size);
  }
  const error = await refused;
  assert(error instanceof RemoteError, String(error));
  assertEquals(error.code, "too-large");
  assertStringIncludes(error.message, `${announced} bytes announced`);
  await mallory.flush();
  await events.next("failed");
  assert(largest > 0 && largest <= announced, `${largest}`);
  assertEquals(wholes(exchange.inbox), []);

  // It has not come to an end by itself, and still nobody else is the worse for it.
  const honest = await begin(alice, CHUNK.length);
  for (let count = 0; count < 50; count++) steps.data(0, CHUNK);
  await sendByHand(alice, honest.id, [CHUNK]);
  await honest.run;
  assertEquals(Deno.readFileSync(`${exchange.inbox}/f`), CHUNK);
});

Deno.test("T14 a sender that sends less, or something else, leaves nothing among the files", async () => {
  const tricks: Record<string, (steps: Steps) => void> = {
    "less, and then something else": (steps) => {
      steps.data(0, CHUNK.subarray(1));
      steps.data(1, CHUNK);
    },
    "less, and says that it is all": (steps) => {
      const digest = sha256(CHUNK.subarray(1));
      steps.data(0, CHUNK.subarray(1), { last: true });
      steps.post("whole", { index: 0, digest });
    },
    "nothing, and says that it is all": (steps) => {
      steps.data(0, new Uint8Array(0), { last: true });
    },
    "another file": (steps) => {
      steps.data(1, CHUNK);
    },
  };
  for (const [what, play] of Object.entries(tricks)) {
    await using exchange = await Exchange.open();
    const link = await exchange.link();
    const { id, run } = await begin(link, CHUNK.length);
    play(new Steps(link, id));
    await assertRejects(() => run, RemoteError);
    exchange.receiver.close();
    assertEquals(wholes(exchange.inbox), [], what);
  }
});

Deno.test("T14 an offer that is accepted and then silent is given up, however it keeps silent", async () => {
  const silences: Record<string, (link: Link, id: number) => void> = {
    "wholly": () => {},
    "with steps that are not next": (link, id) => {
      new Steps(link, id).data(0, CHUNK.subarray(1), { seq: 1 });
    },
    "with steps of other transfers": (link, id) => {
      new Steps(link, id + 1).data(0, CHUNK);
    },
    "with questions about what is there": (link, id) => {
      link.request("transfer.held", { id, indexes: [] }).catch(() => {});
    },
  };
  for (const [how, keepSilent] of Object.entries(silences)) {
    await using exchange = await Exchange.open();
    const { clock, receiver } = exchange;
    const link = await exchange.link();
    const { id, run } = await begin(link, CHUNK.length);
    const failure = run.catch((error: unknown) => error);
    for (let seconds = 0; seconds < 150; seconds++) {
      if (seconds % 160 === 0 || how !== "with steps that are not next" && seconds % 30 === 0) {
        keepSilent(link, id);
      }
      await settle();
      await clock.advance(1_000); // in small steps, so that the link sees both ends alive
    }
    const late = await failure;
    assert(late instanceof RemoteError, `${how}: ${late}`);
    assertStringIncludes(late.message, "Nothing came for 60 s");
    assertEquals(late.code, "timeout", how);
    assertEquals(receiver.progress, [], how);
    receiver.close();
    assertEquals(wholes(exchange.inbox), [], how);
  }
});

Deno.test("T14 counts that are none are refused, in every place of an entry", () => {
  const none: readonly unknown[] = [
    ...[-1, -0.5, 0.5, NaN, Infinity, -Infinity, 2 ** 53, 1e300, 10n, -(2n ** 63n), 2n ** 64n - 1n],
    ...["5", "", null, undefined, true, [], [5], {}, new Date(5), new Uint8Array(1), new Map()],
  ];
  for (const value of none) {
    for (const at of [2, 3, 4]) {
      const entry = ["f", false, 5, 0o644, 0].with(at, value as number);
      const error = assertThrows(() => parseManifest({ entries: [entry] }), InvalidPacketError);
      assertEquals(error.code, "bad-message");
    }
  }
  assertThrows(() => parseManifest({ entries: [["f", true, 1, 0o755, 0]] }), InvalidPacketError);
  const [{ size } = { size: 1 }] = parseManifest({ entries: [["f", false, -0, 0, 0]] }).entries;
  assert(Object.is(size, 0));
});

Deno.test("T14 sizes that are safe alone and not together are refused", () => {
  const entries = Array.from({ length: 3 }, (_, at) => {
    return [`f${at}`, false, Number.MAX_SAFE_INTEGER, 0o644, 0];
  });
  const error = assertThrows(() => parseManifest({ entries }), LimitError, "maxTotalBytes");
  assertEquals(error.details.max, Number.MAX_SAFE_INTEGER);
});

Deno.test("T14 a million entries are refused without a look at one of them", async () => {
  const entries = new Array(1_000_000).fill(null);
  assertThrows(() => parseManifest({ entries }), LimitError, "maxEntries 250000");
  await using exchange = await Exchange.open();
  const link = await exchange.link();
  // So many are more than a message may have elements, or the manifest entries: either way the limit is named.
  const asking = () => offerManifest(link, { entries });
  const error = await assertRejects(asking, PeerError);
  assert(["limit", "too-large", "closed"].includes(error.code), String(error));
  assertEquals(exchange.received(), []);
  const other = await exchange.link("alice");
  assertEquals(typeof await offer(other, { f: 1 }), "number");
});

Deno.test("T14 an entry that comes twice is refused, whatever lies between", () => {
  const filler = Array.from({ length: 10_000 }, (_, at) => [`d/${at}`, false, 1, 0o644, 0]);
  for (const isFolder of [true, false]) {
    const twice = ["twice", isFolder, 0, 0o755, 0];
    const entries = [twice, ...filler, twice];
    assertThrows(() => parseManifest({ entries }), InvalidPacketError, '"twice" and "twice"');
  }
});

Deno.test("T14 a manifest of 16 MiB is dealt with like any other, and a larger one goes nowhere", async () => {
  const entriesOf = (count: number) => {
    return Array.from(
      { length: count },
      (_, at) => [`${"x".repeat(150)}${at}`, false, 1, 0o644, 0],
    );
  };
  const count = Math.floor((MAX_FRAME_BYTES - 1000) / 170);
  const bytes = encode({ manifest: { entries: entriesOf(count) } }).length;
  assert(bytes > 15 * 1024 * 1024 && bytes < MAX_FRAME_BYTES, `${bytes}`);
  let asked = 0;
  await using exchange = await Exchange.open({
    receiver: { accept: ({ manifest }) => (asked += manifest.files) === 0 },
  });
  const link = await exchange.link();
  const asking = () => offerManifest(link, { entries: entriesOf(count) });
  const error = await assertRejects(asking, RemoteError, "was refused");
  assertEquals([error.code, asked], ["not-allowed", count]);
  const larger = { entries: entriesOf(2 * count).slice(0, 150_000) };
  await assertRejects(() => offerManifest(link, larger));
  assertEquals([asked, exchange.received()], [count, []]);
  await assertRejects(() => offer(link, { f: 1 }), RemoteError, "was refused");
});

/** Offers what may be no manifest. */
function offerManifest(link: Link, manifest: unknown): Promise<unknown> {
  return link.request("transfer.offer", { manifest, token: freshToken() });
}
