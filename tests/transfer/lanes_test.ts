import { assert, assertEquals, assertRejects } from "@std/assert";
import { ManualClock, seededRandom } from "../../src/clock.ts";
import type { Link } from "../../src/endpoint/link.ts";
import { ClosedError, RemoteError } from "../../src/errors.ts";
import { Incoming } from "../../src/transfer/incoming.ts";
import { parseManifest } from "../../src/transfer/manifest_codec.ts";
import { Placement } from "../../src/transfer/placement.ts";
import { ReceiveRoot } from "../../src/transfer/receive_root.ts";
import { MAX_LANES, Reception } from "../../src/transfer/reception.ts";
import { sendFiles } from "../../src/transfer/send.ts";
import { CHUNK_BYTES, PIECE_BYTES, type Step } from "../../src/transfer/steps.ts";
import { infoOf, settle } from "../endpoint/fixture.ts";
import {
  Exchange,
  offer,
  parts,
  pattern,
  run,
  same,
  sendAll,
  sha256,
  Steps,
  wholes,
} from "./fixture.ts";

const MIB = 1024 * 1024;

Deno.test("several links carry one transfer, each a part of it", async () => {
  for (const count of [2, 4, MAX_LANES]) {
    await using exchange = await Exchange.open();
    const links: Link[] = [];
    while (links.length < count) links.push(await exchange.link("alice"));
    const posted = links.map(() => 0);
    for (const [nth, link] of links.entries()) {
      const post = link.post.bind(link);
      link.post = (header, body) => {
        posted[nth] = (posted[nth] ?? 0) + 1;
        return post(header, body);
      };
    }
    const files = { film: pattern(3 * CHUNK_BYTES + 1), a: pattern(1), b: pattern(70_000) };
    const [link, ...lanes] = links;
    assert(link !== undefined);
    const done = await sendAll(link, await exchange.build(files), { lanes });
    assertEquals([done.files, done.resentBytes], [3, 0]);
    for (const [path, bytes] of Object.entries(files)) {
      assert(same(Deno.readFileSync(`${exchange.inbox}/${path}`), bytes), path);
    }
    assert(posted.every((steps) => steps > 1), posted.join());
  }
});

Deno.test("a sender has no more on its way on a link than a chunk that was not taken", async () => {
  for (const count of [1, 3]) {
    const network = { bufferBytes: 64 * MIB };
    await using exchange = await Exchange.open({ noReceiver: true, network });
    const got = new Map<unknown, number>();
    exchange.endpoint.handle("transfer.offer", () => ({ id: 1 }));
    for (const news of ["run", "lane"]) {
      exchange.endpoint.handle(`transfer.${news}`, () => new Promise(() => {}));
    }
    exchange.endpoint.handle("transfer.data", ({ data }, { link }) => {
      got.set(link, (got.get(link) ?? 0) + (data as Uint8Array).length);
    }, { inline: true });
    const links: Link[] = [];
    while (links.length < count) links.push(await exchange.link("alice"));
    const [link, ...lanes] = links;
    assert(link !== undefined);
    const controller = new AbortController();
    const built = await exchange.build({ film: pattern((count + 1) * CHUNK_BYTES) });
    const options = { lanes, signal: controller.signal };
    const sending = assertRejects(() => sendAll(link, built, options));
    for (let turn = 0; turn < 300; turn++) await settle();
    assertEquals([...got.values()], links.map(() => CHUNK_BYTES));
    controller.abort(new Error("enough"));
    await sending;
  }
});

Deno.test("a transfer whose link breaks fails, whichever of them it is, and can be gone on with", async () => {
  for (const broken of [0, 1, 2]) {
    await using exchange = await Exchange.open();
    const links = [0, 1, 2].map(() => exchange.link("alice"));
    const [link, ...lanes] = await Promise.all(links);
    assert(link !== undefined);
    const contents = pattern(3 * CHUNK_BYTES);
    const built = await exchange.build({ film: contents });
    const error = await assertRejects(async () => {
      for await (const event of sendFiles(link, built, { lanes })) {
        if (event.type === "progress") await [link, ...lanes][broken]?.close();
      }
    });
    assert(error instanceof ClosedError || error instanceof RemoteError, String(error));
    while (exchange.receiver.progress.length > 0) await settle();
    const [kept = 0] = Object.values(parts(exchange.inbox));
    const done = await sendAll(await exchange.link("alice"), built);
    assertEquals(done.sentBytes, contents.length - kept);
    assert(same(Deno.readFileSync(`${exchange.inbox}/film`), contents));
  }
});

Deno.test("links of another peer, and too many, do not join", async () => {
  await using exchange = await Exchange.open();
  const link = await exchange.link("alice");
  const id = await offer(link, { a: 10 });
  const running = run(link, id);
  const join = async (lane: Link) => {
    for await (const _ of lane.stream("transfer.lane", { id }, { timeoutMs: Infinity }));
  };
  const mallory = await exchange.link("mallory");
  await assertRejects(() => join(mallory), RemoteError, "another peer's");
  const joined: Promise<void>[] = [];
  for (let lane = 1; lane < MAX_LANES; lane++) joined.push(join(await exchange.link("alice")));
  await settle();
  const error = await assertRejects(async () => join(await exchange.link("alice")), RemoteError);
  assertEquals(error.details, { limit: "maxLanes", max: MAX_LANES });
  new Steps(link, id).data(0, pattern(10));
  await running;
  await Promise.all(joined);
});

/** What comes over a link in a simulation: only who it is, and whether it is open, matters. */
function fakeLink(name: string): Link {
  const link = { peer: infoOf(name), closed: new Promise<void>(() => {}) };
  return link as unknown as Link;
}

/** Steps of one large file and some small ones. */
function stepsOf(contents: Uint8Array): Step[] {
  const steps: Step[] = [];
  let seq = 0;
  for (let offset = 0; offset < contents.length; offset += 1_000) {
    const data = contents.slice(offset, offset + 1_000);
    const digest = sha256(contents.subarray(0, offset + data.length));
    steps.push({ type: "piece", seq: seq++, index: 0, offset, data, digest, last: false });
  }
  for (let index = 1; index < 10; index++) {
    const files = [{ index, data: pattern(index), digest: sha256(pattern(index)) }];
    steps.push({ type: "files", seq: seq++, files });
  }
  return steps;
}

Deno.test("steps of four links give the same files in whatever order they come", async () => {
  const contents = pattern(40_321);
  const entries = [["film", false, contents.length, 0o644, 0]];
  for (let n = 1; n < 10; n++) entries.push([`s${n}`, false, n, 0o644, 0]);
  for (let seed = 1; seed <= 12; seed++) {
    const random = seededRandom(seed);
    const dir = await Deno.makeTempDir();
    try {
      const placement = new Placement(ReceiveRoot.open(dir), parseManifest({ entries }), {
        owner: "alice",
      });
      await placement.begin();
      const incoming = new Incoming({ placement, received: () => undefined });
      const links = [0, 1, 2, 3].map(() => fakeLink("alice"));
      const clock = new ManualClock();
      const [first] = links;
      assert(first !== undefined);
      const reception = new Reception({
        ...{ id: 1, token: "", link: first, incoming, placement, held: new Set<number>(), clock },
        onOver: () => {},
      });
      for (const link of links.slice(1)) reception.join(link);
      const queues: Step[][] = links.map(() => []);
      for (const step of stepsOf(contents)) queues[Math.floor(random() * 4)]?.push(step);
      // Each link keeps its own order; which of them is next is left to chance.
      while (queues.some((queue) => queue.length > 0)) {
        const nth = Math.floor(random() * 4);
        const [link, step] = [links[nth], queues[nth]?.shift()];
        if (link === undefined || step === undefined) continue;
        const waiting = reception.deliver(link, () => step);
        if (random() < 0.3) await waiting;
      }
      for (let turn = 0; reception.outcome === undefined && turn < 5_000; turn++) await settle();
      const { outcome } = reception;
      assert(outcome !== undefined && "summary" in outcome, `seed ${seed}`);
      assertEquals([outcome.summary.files, wholes(dir).length], [10, 10]);
      assert(same(Deno.readFileSync(`${dir}/film`), contents), `seed ${seed}`);
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  }
});

Deno.test("steps that come long before their turn are held to a limit, in bytes and in number", async () => {
  const floods: ((steps: Steps, nth: number) => void)[] = [
    (steps, nth) => steps.data(0, new Uint8Array(PIECE_BYTES), { seq: nth + 1, offset: 0 }),
    (steps, nth) =>
      steps.post("whole", { seq: 1000 * nth + 1, index: 0, digest: sha256(pattern(1)) }),
  ];
  const empty = [0, new Uint8Array(0), sha256(new Uint8Array(0))];
  floods.push((steps, nth) => {
    steps.post("files", { seq: nth + 1, files: Array.from({ length: 1024 }, () => empty) });
  });
  for (const flood of floods) {
    await using exchange = await Exchange.open();
    const link = await exchange.link("mallory");
    const id = await offer(link, { a: 300 * MIB });
    const failing = assertRejects(() => run(link, id), RemoteError, "maxEarlyBytes");
    const steps = new Steps(link, id);
    for (let nth = 0; nth < 140; nth++) {
      flood(steps, nth);
      if (nth % 20 === 0) await link.flush();
    }
    assertEquals((await failing).code, "limit");
    assertEquals([wholes(exchange.inbox), parts(exchange.inbox)], [[], {}]);
  }
});
