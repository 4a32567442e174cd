import { assert, assertEquals, assertRejects } from "@std/assert";
import { StoredBytes } from "../../src/endpoint/resources.ts";
import type { Link } from "../../src/endpoint/link.ts";
import { RemoteError } from "../../src/errors.ts";
import { Metrics } from "../../src/metrics.ts";
import { Receiver } from "../../src/transfer/receive.ts";
import { Served, SERVER, settle } from "../endpoint/fixture.ts";
import { Exchange, offer, pattern, run, sendByHand, Steps } from "./fixture.ts";

/** Offers files of these sizes, is refused, and gives what the error says in its details. */
async function refusal(link: Link, sizes: Readonly<Record<string, number>>): Promise<unknown> {
  const error = await assertRejects(() => offer(link, sizes), RemoteError);
  assertEquals(error.code, "limit");
  return error.details;
}

/** Sends one file, to its end. */
async function send(link: Link, name: string, bytes: number): Promise<void> {
  const id = await offer(link, { [name]: bytes });
  const running = run(link, id);
  await sendByHand(link, id, [pattern(bytes)]);
  await running;
}

/** Bytes of all files in the inbox. */
function bytesIn({ inbox }: Exchange): number {
  return [...Deno.readDirSync(inbox)].filter(({ isFile }) => isFile)
    .reduce((sum, { name }) => sum + Deno.statSync(`${inbox}/${name}`).size, 0);
}

/** Waits until something holds that what was just done leads to. */
async function until(what: string, holds: () => boolean): Promise<void> {
  for (let turn = 0; turn < 1_000; turn++) {
    if (holds()) return;
    await settle();
  }
  throw new Error(`It did not come to pass: ${what}`);
}

Deno.test("T14: a sender that claims 1 TB is refused by maxStoredBytes before a byte has come", async () => {
  const metrics = new Metrics();
  const stored = new StoredBytes(1e9, metrics);
  let asked = 0;
  const accept = () => ++asked > 0;
  await using exchange = await Exchange.open({ receiver: { stored, accept } });
  const link = await exchange.link();
  assertEquals(await refusal(link, { a: 1e12 }), { limit: "maxStoredBytes", max: 1e9 });
  assertEquals([exchange.received(), stored.used, asked], [[], 0, 0]);
  assertEquals(metrics.snapshot(), { "limits.maxStoredBytes": 1 });
});

Deno.test("T14: a sender that never stops stores maxStoredBytes in all, whatever it is called and however often it tries", async () => {
  const stored = new StoredBytes(10_000);
  await using exchange = await Exchange.open({ receiver: { stored } });
  let refused = 0;
  for (let n = 0; n < 20; n++) {
    const link = await exchange.link(`sender-${n % 3}-${n}`);
    await send(link, `f${n}`, 900).catch((error) => {
      assertEquals([error.code, error.details.limit], ["limit", "maxStoredBytes"]);
      refused++;
    });
  }
  assertEquals([refused, stored.used, bytesIn(exchange)], [9, 9_900, 9_900]);
  const link = await exchange.link();
  await send(link, "small", 100);
  assertEquals(await refusal(link, { one: 1 }), { limit: "maxStoredBytes", max: 10_000 });
});

Deno.test("Receiver holds what it has promised for maxStoredBytes, and frees what was given up", async () => {
  const stored = new StoredBytes(1_000);
  await using exchange = await Exchange.open({ receiver: { stored } });
  const [alice, bob] = [await exchange.link("alice"), await exchange.link("bob")];
  const id = await offer(alice, { a: 300, b: 500 });
  assertEquals(stored.used, 800);
  await refusal(bob, { c: 201 });
  await sendByHand(alice, id, [pattern(300)]);
  await until("the first file has come", () => exchange.received().includes("a"));
  await alice.close();
  await until("the rest is given up", () => stored.used <= 300);
  assertEquals(stored.used, 300);
  await send(bob, "c", 700);
  assertEquals([stored.used, bytesIn(exchange)], [1_000, 1_000]);
});

Deno.test("Receiver frees what was promised for a transfer that cannot begin", async () => {
  const stored = new StoredBytes(1_000);
  await using exchange = await Exchange.open({ receiver: { stored } });
  const link = await exchange.link();
  Deno.removeSync(exchange.inbox, { recursive: true });
  await assertRejects(() => offer(link, { "folder/a": 800 }), RemoteError);
  assertEquals(stored.used, 0);
});

Deno.test("Receiver checks maxStoredBytes again when the decision took its time", async () => {
  const stored = new StoredBytes(1_000);
  const answer = Promise.withResolvers<boolean>();
  await using exchange = await Exchange.open({
    receiver: { stored, accept: () => answer.promise },
  });
  const link = await exchange.link();
  const offers = [offer(link, { a: 600 }), offer(link, { b: 600 })];
  await settle();
  answer.resolve(true);
  const results = await Promise.allSettled(offers);
  assertEquals(results.map(({ status }) => status), ["fulfilled", "rejected"]);
  assertEquals(stored.used, 600);
});

Deno.test("Receiver counts for the limit of its endpoint, whose status shows it, over all receivers of its life", async () => {
  await using served = await Served.open({ limits: { maxStoredBytes: 1_000 } });
  const dir = Deno.makeTempDirSync();
  try {
    const link = await (await served.client()).connect(SERVER);
    for (const n of [1, 2]) {
      const receiver = Receiver.open(served.endpoint, { dir: `${dir}/${n}`, accept: () => true });
      await send(link, "a", 400);
      receiver.close();
    }
    const last = Receiver.open(served.endpoint, { dir, accept: () => true });
    assertEquals(await refusal(link, { b: 201 }), { limit: "maxStoredBytes", max: 1_000 });
    last.close();
    const row = served.endpoint.resources.describe().find(({ name }) => name === "maxStoredBytes");
    assertEquals([row?.value, row?.used, row?.refused], [1_000, 800, 1]);
    assert(Deno.statSync(`${dir}/2/a`).size === 400);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
});

Deno.test("Receiver holds streams of unknown length to maxStoredBytes all together", async () => {
  const stored = new StoredBytes(1_000);
  await using exchange = await Exchange.open({ receiver: { stored } });
  const links = [await exchange.link("alice"), await exchange.link("bob")];
  const ids: number[] = [];
  for (const link of links) ids.push(await offer(link, { log: 0 }, { openEnded: true }));
  const [alice, bob] = links.map((link, at) => run(link, ids[at]));
  const steps = links.map((link, at) => new Steps(link, ids[at] ?? 0));
  steps[0]?.data(0, pattern(600));
  await until("the first has come", () => stored.used === 600);
  const failing = assertRejects(() => bob ?? Promise.resolve(), RemoteError, "maxStoredBytes");
  steps[1]?.data(0, pattern(300));
  await until("the second has come", () => stored.used === 900);
  steps[1]?.data(0, pattern(101));
  assertEquals((await failing).details, { limit: "maxStoredBytes", max: 1_000 });
  steps[0]?.data(0, pattern(100), { last: true });
  assertEquals((await alice)?.bytes, 700);
  assertEquals(stored.used, 1_000); // 300 of them are in a part
});
