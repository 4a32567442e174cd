import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { Endpoint } from "../../src/endpoint/endpoint.ts";
import { ClosedError, LimitError, RemoteError } from "../../src/errors.ts";
import { Receiver } from "../../src/transfer/receive.ts";
import { sendFiles } from "../../src/transfer/send.ts";
import { netTransport } from "../../src/transport/mod.ts";
import { identityOf, infoOf, settle } from "../endpoint/fixture.ts";
import {
  entryOf,
  Events,
  Exchange,
  listing,
  offer,
  pattern,
  sendByHand,
  sha256,
} from "./fixture.ts";

const MIB = 1024 * 1024;

Deno.test("Receiver shows how far each transfer is, while it lasts", async () => {
  await using exchange = await Exchange.open();
  const { receiver } = exchange;
  const link = await exchange.link("alice");
  const id = await offer(link, { a: 100 });
  const run = link.request("transfer.run", { id });
  const progress = () => receiver.progress.map(({ from, bytes }) => [from.name, bytes]);
  assertEquals(progress(), [["alice", 0]]);
  link.post("transfer.data", { id, index: 0, data: pattern(60) });
  await settle();
  assertEquals(progress(), [["alice", 60]]);
  link.post("transfer.data", { id, index: 0, data: pattern(100).subarray(60) });
  link.post("transfer.end", { id, index: 0, sha256: sha256(pattern(100)) });
  await run;
  await settle();
  assertEquals(progress(), []);
});

Deno.test("Receiver gives up on data that is not what was announced, leaves nothing and tells both", async () => {
  const wrong: Record<string, readonly [Record<string, unknown>[], string, string]> = {
    "another hash": [
      [{ data: pattern(10) }, { sha256: sha256(pattern(9)) }],
      "bad-hash",
      "SHA-256",
    ],
    "no hash": [[{ data: pattern(10) }, { sha256: null }], "bad-hash", "SHA-256"],
    "fewer bytes": [[{ data: pattern(9) }, { sha256: sha256(pattern(9)) }], "bad-hash", "size"],
    "no bytes": [[{ sha256: sha256(new Uint8Array(0)) }], "bad-hash", "size"],
    "more bytes": [
      [{ data: pattern(10) }, { data: pattern(1) }],
      "too-large",
      "10 bytes announced",
    ],
    "out of turn": [[{ data: pattern(10) }, { data: pattern(1), index: 1 }], "bad-message", "turn"],
    "a folder": [[{ data: pattern(1), index: 2 }], "bad-message", "file 2 is out of turn"],
    "no such file": [[{ data: pattern(1), index: 99 }], "bad-message", "file 99 is out of turn"],
    "no index": [[{ data: pattern(1), index: null }], "bad-message", "bad index"],
    "index -1": [[{ data: pattern(1), index: -1 }], "bad-message", "bad index"],
    "index 0.5": [[{ data: pattern(1), index: 0.5 }], "bad-message", "bad index"],
    "text": [[{ data: "0123456789" }], "bad-message", "bad data"],
  };
  for (const [what, [messages, code, text]] of Object.entries(wrong)) {
    await using exchange = await Exchange.open();
    const events = new Events(exchange.receiver);
    const link = await exchange.link();
    const id = await offer(link, { a: 10, b: 10 }, { folders: ["f"] });
    const run = assertRejects(() => link.request("transfer.run", { id }), RemoteError, text);
    for (const fields of messages) {
      const header = "sha256" in fields ? "transfer.end" : "transfer.data";
      link.post(header, { id, index: 0, ...fields });
    }
    // What the sender had already sent when it learnt of it changes nothing.
    link.post("transfer.data", { id, index: 0, data: pattern(10) });
    link.post("transfer.end", { id, index: 0, sha256: sha256(pattern(10)) });
    assertEquals((await run).code, code, what);
    const failed = await events.next("failed");
    assertStringIncludes(String(failed.error), text);
    assertEquals(events.types, ["failed"], what);
    exchange.receiver.close();
    assertEquals(exchange.received(), ["f/"], what);
    await events.over;
  }
});

Deno.test("Receiver ignores data of transfers that are not the sender's", async () => {
  await using exchange = await Exchange.open();
  const [alice, mallory] = [await exchange.link("alice"), await exchange.link("mallory")];
  const id = await offer(alice, { a: 3 });
  const run = alice.request("transfer.run", { id });
  for (const other of [id, id + 1, 0, -1, "1", null, 1e300]) {
    mallory.post("transfer.data", { id: other, index: 0, data: Uint8Array.of(6, 6, 6) });
    mallory.post("transfer.end", { id: other, index: 0, sha256: sha256(Uint8Array.of(6, 6, 6)) });
    const stealing = () => mallory.request("transfer.run", { id: other });
    const error = await assertRejects(stealing, RemoteError, "bad id");
    assertEquals(error.code, "bad-message");
  }
  await sendByHand(alice, id, [pattern(3)]);
  assertEquals((await run as { files: number }).files, 1);
  assertEquals(Deno.readFileSync(`${exchange.inbox}/a`), pattern(3));
});

Deno.test("Receiver takes transfers side by side, and gives what has the same name another", async () => {
  await using exchange = await Exchange.open();
  const events = new Events(exchange.receiver);
  const links = [await exchange.link("alice"), await exchange.link("bob")];
  const sizes = { "same.txt": 5, "folder/x": 7 };
  const ids = await Promise.all(links.map((link) => offer(link, sizes)));
  const runs = links.map((link, at) => link.request("transfer.run", { id: ids[at] }));
  for (const [index, size] of Object.values(sizes).entries()) {
    for (const [at, link] of links.entries()) {
      const data = pattern(size).map((byte) => byte + at);
      link.post("transfer.data", { id: ids[at], index, data: data.subarray(0, 2) });
      link.post("transfer.data", { id: ids[at], index, data: data.subarray(2) });
      link.post("transfer.end", { id: ids[at], index, sha256: sha256(data) });
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

Deno.test("Receiver removes what is incomplete when the sender disappears", async () => {
  for (const way of ["closes", "dies", "cancels", "closes without ever having asked"]) {
    await using exchange = await Exchange.open();
    const events = new Events(exchange.receiver);
    const link = await exchange.link("alice");
    const id = await offer(link, { a: 10, b: 10 });
    const controller = new AbortController();
    const { signal } = controller;
    const asks = way !== "closes without ever having asked";
    const run = asks
      ? link.request("transfer.run", { id }, { signal })
      : Promise.reject(new Error());
    run.catch(() => {});
    link.post("transfer.data", { id, index: 0, data: pattern(10) });
    link.post("transfer.end", { id, index: 0, sha256: sha256(pattern(10)) });
    link.post("transfer.data", { id, index: 1, data: pattern(5) });
    await events.next("received");
    await settle();
    assertEquals(exchange.received().length, 3, way); // a, the folder of parts and a part
    if (way === "dies") exchange.network.kill("alice");
    else if (way === "cancels") controller.abort(new Error("changed my mind"));
    else await link.close();
    const { error, from } = await events.next("failed");
    assert(error instanceof ClosedError);
    assertEquals(from.name, "alice");
    await assertRejects(() => run);
    exchange.receiver.close();
    await events.over;
    assertEquals([events.types, exchange.received()], [["received", "failed"], ["a"]], way);
  }
});

Deno.test("Receiver.close tells senders at once, removes what is incomplete, and is harmless twice", async () => {
  await using exchange = await Exchange.open();
  const { receiver } = exchange;
  const events = new Events(receiver);
  const link = await exchange.link();
  const [running, accepted] = [await offer(link, { a: 10 }), await offer(link, { b: 10 })];
  const run = assertRejects(() => link.request("transfer.run", { id: running }), RemoteError);
  link.post("transfer.data", { id: running, index: 0, data: pattern(5) });
  await settle();
  receiver.close();
  receiver.close();
  await receiver[Symbol.asyncDispose]();
  assertEquals((await run).code, "closed");
  assertEquals(exchange.received(), []);
  await events.over;
  assertEquals(events.types, ["failed", "failed"]);
  const late = await assertRejects(
    () => link.request("transfer.run", { id: accepted }),
    RemoteError,
  );
  assertEquals(late.code, "no-endpoint");
  await assertRejects(() => offer(link, { c: 1 }), RemoteError, "No endpoint");

  assertThrows(() => [1, 2].map(() => exchange.receive()), TypeError, "has a handler already");
});

Deno.test("Receiver slows senders down while nobody reads its events, and still lets go", async () => {
  await using exchange = await Exchange.open();
  const link = await exchange.link();
  const files = Object.fromEntries(Array.from({ length: 400 }, (_, at) => [`f${at}`, 0]));
  const id = await offer(link, files);
  const run = link.request("transfer.run", { id }, { timeoutMs: Infinity }).catch((error) => error);
  const empty = sha256(new Uint8Array(0));
  for (let index = 0; index < 400; index++) link.post("transfer.end", { id, index, sha256: empty });
  await until(() => exchange.received().length >= 257);
  await settle();
  assertEquals(exchange.received().length, 257); // 256 files and the folder of parts
  // The receiving end may be closed in any order.
  await exchange.endpoint.close();
  exchange.receiver.close();
  assert(await run instanceof ClosedError);
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
    const run = assertRejects(() => link.request("transfer.run", { id }), RemoteError);
    if (what === "gone part") link.post("transfer.data", { id, index: 0, data: pattern(0) });
    await settle();
    fault();
    link.post("transfer.data", { id, index: 0, data: pattern(10) });
    link.post("transfer.end", { id, index: 0, sha256: sha256(pattern(10)) });
    const error = await run;
    const text = what === "gone folder" ? "could not store the file (NotFound)" : "replaced";
    assertStringIncludes(error.message, text);
    assert(!error.message.includes(exchange.dir), error.message);
    Deno.mkdirSync(inbox, { recursive: true });
  }
  const next = await offer(link, { b: 1 });
  const again = link.request("transfer.run", { id: next });
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
  const run = link.request("transfer.run", { id });
  await events.next("done");
  receiver.close();
  await endpoint.close();
  assertEquals((await run as { files: number }).files, 0);
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
      const manifest = { entries: [entryOf("a.bin", MIB)], files: 1, totalBytes: MIB };
      const built = { manifest, skipped: [], source: () => source };
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
  const run = assertRejects(
    () => link.request("transfer.run", { id }, { timeoutMs: Infinity }),
    RemoteError,
    "Nothing came for 60 s",
  );
  link.post("transfer.data", { id, index: 0, data: pattern(5) });
  await link.flush();
  await settle();
  await exchange.clock.advance(60_000); // it has brought something
  assertEquals(exchange.receiver.progress.length, 1);
  await exchange.clock.advance(60_000);
  await run;
  assertEquals(exchange.receiver.progress, []);
  exchange.receiver.close();
  await events.over;
  assertEquals(events.types, ["failed"]);
  assertEquals(exchange.received(), []);
});
