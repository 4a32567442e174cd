import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { Endpoint } from "../../src/endpoint/endpoint.ts";
import { ClosedError, LimitError, RemoteError } from "../../src/errors.ts";
import { buildManifest } from "../../src/transfer/manifest.ts";
import { Receiver } from "../../src/transfer/receive.ts";
import { sendFiles } from "../../src/transfer/send.ts";
import { netTransport } from "../../src/transport/mod.ts";
import { identityOf, infoOf, settle } from "../endpoint/fixture.ts";
import {
  Events,
  Exchange,
  listing,
  offer,
  parts,
  pattern,
  run,
  sendByHand,
  sha256,
  Steps,
  wholes,
} from "./fixture.ts";

const MIB = 1024 * 1024;

Deno.test("Receiver shows how far each transfer is, while it lasts", async () => {
  await using exchange = await Exchange.open();
  const { receiver } = exchange;
  const link = await exchange.link("alice");
  const id = await offer(link, { a: 100 });
  const running = run(link, id);
  const progress = () =>
    receiver.progress.map(({ from, bytes, totalBytes, paused }) => [
      ...[from.name, bytes, totalBytes, paused],
    ]);
  assertEquals(progress(), [["alice", 0, 100, false]]);
  const steps = new Steps(link, id);
  steps.data(0, pattern(60));
  await settle();
  assertEquals(progress(), [["alice", 60, 100, false]]);
  steps.data(0, pattern(100).subarray(60));
  await running;
  await settle();
  assertEquals(progress(), []);
});

Deno.test("Receiver ignores data of transfers that are not the sender's", async () => {
  await using exchange = await Exchange.open();
  const [alice, mallory] = [await exchange.link("alice"), await exchange.link("mallory")];
  const id = await offer(alice, { a: 3 });
  const running = run(alice, id);
  const evil = { index: 0, offset: 0, data: Uint8Array.of(6), digest: sha256(Uint8Array.of(6)) };
  for (const other of [id, id + 1, 0, -1, "1", null, 1e300]) {
    mallory.post("transfer.data", { id: other, seq: 0, ...evil });
    mallory.post("transfer.files", { id: other, seq: 0, files: [] });
    for (const header of ["run", "lane", "held", "pause"]) {
      const stealing = async () => {
        const body = { id: other, indexes: [0, 1], paused: true };
        for await (const _ of mallory.stream(`transfer.${header}`, body));
      };
      const isOurs = header === "lane" && other === id;
      const error = await assertRejects(
        stealing,
        RemoteError,
        isOurs ? "another peer's" : "bad id",
      );
      assertEquals(error.code, isOurs ? "not-allowed" : "bad-message");
    }
  }
  assertEquals(exchange.receiver.progress[0]?.paused, false);
  await sendByHand(alice, id, [pattern(3)]);
  assertEquals((await running).files, 1);
  assertEquals(Deno.readFileSync(`${exchange.inbox}/a`), pattern(3));
});

Deno.test("Receiver takes transfers side by side, and gives what has the same name another", async () => {
  await using exchange = await Exchange.open();
  const events = new Events(exchange.receiver);
  const links = [await exchange.link("alice"), await exchange.link("bob")];
  const sizes = { "same.txt": 5, "folder/x": 7 };
  const ids = await Promise.all(links.map((link) => offer(link, sizes)));
  const runs = links.map((link, at) => run(link, ids[at]));
  const steps = links.map((link, at) => new Steps(link, ids[at] ?? 0));
  for (const [index, size] of Object.values(sizes).entries()) {
    for (const [at, step] of steps.entries()) {
      const data = pattern(size).map((byte) => byte + at);
      step.data(index, data.subarray(0, 2));
      step.data(index, data.subarray(2));
    }
  }
  await Promise.all(runs);
  exchange.receiver.close();
  await events.over;
  const names = ["same.txt", "same (1).txt", "folder/x", "folder (1)/x"];
  const files = exchange.received().filter((path) => !path.endsWith("/"));
  assertEquals(files.sort(), names.toSorted());
  assertEquals(events.types.filter((type) => type === "done").length, 2);
  const firsts = names.map((name) => Deno.readFileSync(`${exchange.inbox}/${name}`)[0]);
  assertEquals(firsts.slice(0, 2).sort(), [0, 1]); // whichever was on the disk first
  assertEquals(firsts.slice(2), [0, 1]); // folders get their names when the offer is accepted
});

Deno.test("Receiver keeps a part, for another time, when the sender disappears", async () => {
  for (const way of ["closes", "dies", "cancels", "closes without ever having asked"]) {
    await using exchange = await Exchange.open();
    const events = new Events(exchange.receiver);
    const link = await exchange.link("alice");
    const id = await offer(link, { a: 10, b: 10 });
    const controller = new AbortController();
    const { signal } = controller;
    const asks = way !== "closes without ever having asked";
    const running = asks ? run(link, id, { signal }) : Promise.reject(new Error());
    running.catch(() => {});
    const steps = new Steps(link, id);
    steps.data(0, pattern(10));
    steps.data(1, pattern(5));
    await events.next("received");
    await settle();
    assertEquals(exchange.received().length, 4, way); // a, the folder of parts, a part, a note
    if (way === "dies") exchange.network.kill("alice");
    else if (way === "cancels") controller.abort(new Error("changed my mind"));
    else await link.close();
    const { error, from } = await events.next("failed");
    assert(error instanceof ClosedError);
    assertEquals(from.name, "alice");
    await assertRejects(() => running);
    exchange.receiver.close();
    await events.over;
    assertEquals([events.types, wholes(exchange.inbox)], [["received", "failed"], ["a"]], way);
    assert(Object.values(parts(exchange.inbox)).includes(5), way);
  }
});

Deno.test("Receiver.close tells senders at once, keeps what there is, and is harmless twice", async () => {
  await using exchange = await Exchange.open();
  const { receiver } = exchange;
  const events = new Events(receiver);
  const link = await exchange.link();
  const [running, accepted] = [await offer(link, { a: 10 }), await offer(link, { b: 10 })];
  const failing = assertRejects(() => run(link, running), RemoteError);
  new Steps(link, running).data(0, pattern(5));
  await settle();
  receiver.close();
  receiver.close();
  await receiver[Symbol.asyncDispose]();
  assertEquals((await failing).code, "closed");
  assertEquals(Object.values(parts(exchange.inbox)), [5]);
  await events.over;
  assertEquals(events.types, ["failed", "failed"]);
  const late = await assertRejects(() => run(link, accepted), RemoteError);
  assertEquals(late.code, "no-endpoint");
  await assertRejects(() => offer(link, { c: 1 }), RemoteError, "No endpoint");

  assertThrows(() => [1, 2].map(() => exchange.receive()), TypeError, "has a handler already");
});

Deno.test("Receiver takes what comes, however much, when nobody reads its events", async () => {
  await using exchange = await Exchange.open();
  const link = await exchange.link();
  const files = Object.fromEntries(Array.from({ length: 300 }, (_, at) => [`f${at}`, 1]));
  const id = await offer(link, files);
  const running = run(link, id);
  new Steps(link, id).files(Array.from({ length: 300 }, (_, at) => [at, pattern(1)] as const));
  await running;
  assertEquals(wholes(exchange.inbox).length, 300);
  exchange.receiver.close();
  const events = await Array.fromAsync(exchange.receiver);
  assertEquals([events.length, events.at(-1)?.type], [256, "done"]);
});

Deno.test("Receiver slows senders down when its reader stops, and still lets go", async () => {
  for (const way of ["one by one", "together"]) {
    await using exchange = await Exchange.open();
    void exchange.receiver[Symbol.asyncIterator]().next();
    const link = await exchange.link();
    const files = Object.fromEntries(Array.from({ length: 800 }, (_, at) => [`f${at}`, 1]));
    const id = await offer(link, files);
    const running = run(link, id).catch((error) => error);
    const steps = new Steps(link, id);
    const rows = Array.from({ length: 800 }, (_, at) => [at, pattern(1)] as const);
    if (way === "together") steps.files(rows);
    else for (const [index, data] of rows) steps.data(index, data);
    await until(() => wholes(exchange.inbox).length >= 256);
    for (let turn = 0; turn < 10; turn++) await settle();
    const stored = wholes(exchange.inbox).length;
    // A reader holds what it has begun with, and as much waits again.
    assert(stored >= 256 && stored <= 2 * 256 + 16, `${way}: ${stored}`);
    // The receiving end may be closed in any order.
    await exchange.endpoint.close();
    exchange.receiver.close();
    assert(await running instanceof ClosedError);
    for (let turn = 0; turn < 10; turn++) await settle();
    assertEquals(wholes(exchange.inbox).length, stored, `${way}: it went on`);
  }
});

Deno.test("Receiver goes on when a file cannot be stored, and does not say where that would have been", async () => {
  await using exchange = await Exchange.open();
  const { inbox } = exchange;
  const events = new Events(exchange.receiver);
  const link = await exchange.link();
  const faults: Record<string, () => void> = {
    "gone folder": () => Deno.removeSync(inbox, { recursive: true }),
    "gone part": () => {
      const [part] = listing(`${inbox}/.kith-partial`);
      Deno.removeSync(`${inbox}/.kith-partial/${part}`);
    },
  };
  for (const [what, fault] of Object.entries(faults)) {
    const id = await offer(link, { a: 10 });
    const failing = assertRejects(() => run(link, id), RemoteError);
    const steps = new Steps(link, id);
    if (what === "gone part") steps.data(0, pattern(5));
    await settle();
    fault();
    steps.data(0, pattern(10).subarray(what === "gone part" ? 5 : 0));
    const error = await failing;
    const text = what === "gone folder"
      ? "could not store the file (its folder is gone)"
      : "replaced";
    assertStringIncludes(error.message, text);
    assert(!error.message.includes(exchange.dir), error.message);
    Deno.mkdirSync(inbox, { recursive: true });
  }
  const next = await offer(link, { b: 1 });
  const again = run(link, next);
  await sendByHand(link, next, [pattern(1)]);
  await again;
  await events.next("done");
  exchange.receiver.close();
  assertEquals(exchange.received(), ["b"]);
  await events.over;
  assertEquals(events.types, ["failed", "failed", "received", "done"]);
});

Deno.test("Receiver is done without an answer when nobody is left to take it", async () => {
  await using exchange = await Exchange.open();
  const events = new Events(exchange.receiver);
  const link = await exchange.link();
  const id = await offer(link, { a: 1 });
  await sendByHand(link, id, [pattern(1)]);
  await events.next("received");
  await settle();
  assertEquals(events.types, ["received"]);
  await link.close();
  await events.next("done");
  exchange.receiver.close();
  await events.over;
});

Deno.test("Receiver is done when the sender has its answer, also where there is nothing to send", async () => {
  await using exchange = await Exchange.open();
  const { receiver, endpoint } = exchange;
  const events = new Events(receiver);
  const link = await exchange.link();
  const id = await offer(link, {}, { folders: ["f"] });
  for (let turn = 0; turn < 10; turn++) await settle();
  assertEquals(events.types, []);
  const running = run(link, id);
  await events.next("done");
  receiver.close();
  await endpoint.close();
  assertEquals((await running).files, 0);
  await events.over;
});

Deno.test("Receiver's loop may be left at done: the sender has its answer, over real sockets", async () => {
  const dir = await Deno.makeTempDir();
  const source = `${dir}/a.bin`;
  await Deno.writeFile(source, pattern(MIB));
  const client = await open("client");
  try {
    for (let round = 0; round < 50; round++) {
      const receiving = Promise.withResolvers<Endpoint>();
      const received = (async () => {
        await using endpoint = await open("server", 0);
        await using receiver = Receiver.open(endpoint, { dir: `${dir}/in`, accept: () => true });
        receiving.resolve(endpoint);
        for await (const event of receiver) if (event.type === "done") break;
      })();
      const { address } = await receiving.promise;
      assert(address !== undefined);
      await using link = await client.connect(address);
      const built = await buildManifest([source]);
      let last = "nothing";
      for await (const { type } of sendFiles(link, built)) last = type;
      assertEquals(last, "done", `round ${round}`);
      await received;
    }
    assertEquals(listing(`${dir}/in`).length, 50);
  } finally {
    await client.close();
    await Deno.remove(dir, { recursive: true });
  }

  function open(name: string, port?: number): Promise<Endpoint> {
    return Endpoint.open({
      transport: netTransport,
      identity: identityOf(name),
      self: infoOf(name),
      hostname: "127.0.0.1",
      port,
      clientOnly: port === undefined,
    });
  }
});

/** Waits for what happens on the disk. */
async function until(condition: () => boolean): Promise<void> {
  for (let turns = 0; !condition(); turns++) {
    if (turns > 20_000) throw new LimitError("limit", "It does not happen");
    await settle();
  }
}

Deno.test("Receiver gives up a transfer that brings nothing for a minute, and its place is free", async () => {
  await using exchange = await Exchange.open();
  const events = new Events(exchange.receiver);
  const link = await exchange.link("alice");
  const id = await offer(link, { a: 10 });
  const failing = assertRejects(() => run(link, id), RemoteError, "Nothing came for 60 s");
  new Steps(link, id).data(0, pattern(5));
  await link.flush();
  await settle();
  await exchange.clock.advance(60_000); // it has brought something
  assertEquals(exchange.receiver.progress.length, 1);
  await exchange.clock.advance(60_000);
  await failing;
  assertEquals(exchange.receiver.progress, []);
  exchange.receiver.close();
  await events.over;
  assertEquals(events.types, ["failed"]);
  assertEquals([wholes(exchange.inbox), Object.values(parts(exchange.inbox))], [[], [5]]);
});
