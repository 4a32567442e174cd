import { assert, assertEquals } from "@std/assert";
import { Exchange } from "../../src/sync/exchange.ts";
import type { SyncFolder } from "../../src/sync/folder.ts";
import type { SyncPort } from "../../src/sync/port.ts";
import type { WebSocketMessage } from "../../src/sync/message_types.ts";
import { FaultySyncProxy } from "../../src/testing/sync_faulty_proxy.ts";
import { checkTranscript } from "../../src/testing/sync_transcript.ts";
import { until } from "../endpoint/web_fixture.ts";
import { Scratch, treeOf, write } from "../sync/folder_fixture.ts";
import { change, hello, Hub, Inputs } from "../sync/hub_fixture.ts";

/** What a client has said through a proxy. */
function saidBy(proxy: FaultySyncProxy): WebSocketMessage[] {
  return proxy.transcript.flatMap((line) =>
    line.from === "client" ? [line.message as WebSocketMessage] : []
  );
}

/** A hub that keeps a folder. */
async function openKeeper(folder: SyncFolder): Promise<Hub> {
  const onPort = (port: SyncPort) => void Exchange.open(folder, port, { role: "hub" });
  return await Hub.open({ onPort });
}

Deno.test("T6 a recorded session that is played again on a new connection changes nothing in the folder", async () => {
  await using scratch = new Scratch();
  const [kept, ann] = [await scratch.folder("hub"), await scratch.folder("ann")];
  await using hub = await openKeeper(kept);
  await using proxy = await FaultySyncProxy.open(hub.url);
  const client = await hub.client("ann", { clientId: "ann" }, proxy.url);
  const exchange = Exchange.open(ann, client.port, { role: "client" });
  for (const [path, text] of [["a", "one"], ["b", "first"], ["c/d", "x"]] as const) {
    write(ann.dir, path, text);
  }
  await ann.scan();
  assert(await exchange.sync());
  Deno.removeSync(`${ann.dir}/a`);
  write(ann.dir, "b", "second");
  Deno.renameSync(`${ann.dir}/c/d`, `${ann.dir}/c/e`);
  await ann.scan();
  assert(await exchange.sync());
  await exchange.close();
  await until(() => hub.hub.status.clients.length === 0);
  const before = treeOf(kept.dir);
  assertEquals(before, ["b = second", "c/", "c/e = x"]);
  const { seq } = kept.index;

  const recorded = saidBy(proxy);
  assert(recorded.some(({ type }) => type === "file_changed" || type === "sync_request"));
  for (const messages of [recorded, [...recorded.slice(0, 1), ...recorded.slice(1).reverse()]]) {
    const replayer = await hub.stranger();
    for (const message of messages) {
      if (message.type === "client_disconnect") continue;
      await replayer.send(message).catch(() => {}); // it was cut off
    }
    const goodbye = recorded.find(({ type }) => type === "client_disconnect");
    await replayer.send(goodbye ?? "").catch(() => {});
    // Numbers that do not fit end it before.
    await until(() => hub.hub.status.clients.every(({ connected }) => !connected));
  }
  await kept.scan();
  assertEquals([treeOf(kept.dir), kept.index.seq], [before, seq]);
});

Deno.test("T6 frames of a session that are played again into it are taken once", async () => {
  await using hub = await Hub.open();
  const inputs = new Inputs((await hub.client("reader", { room: "docs" })).port);
  const capabilities = ["resume"];
  const author = { clientId: "writer", wallMs: 0 };
  const first = await hub.stranger();
  await first.send(hello("writer", { capabilities, room: "docs" }));
  const { resume } = (await first.next()).data as { resume: { session: string } };
  const recorded = [1, 2, 3].map((seq) => ({ ...change(author, `${seq}`), seq, ack: 0 }));
  for (const message of [...recorded, ...recorded]) await first.send(message);
  for (const message of recorded) assertEquals(await inputs.path(), message.data.file_path);
  first.socket.close(4_000);
  await until(() => hub.hub.status.clients.some(({ connected }) => !connected));

  // Whoever knows the session goes on with it, and can say nothing twice.
  const second = await hub.stranger();
  const point = { session: resume.session, received: 0 };
  await second.send(hello("writer", { capabilities, room: "docs", resume: point }));
  await second.next();
  for (const message of recorded) await second.send(message);
  await second.send({ ...change(author, "4"), seq: 4, ack: 0 });
  assertEquals(await inputs.path(), "4");
  // Who does not is told that the id is another's.
  const third = await hub.stranger();
  const guess = { session: "0".repeat(32), received: 3 };
  await third.send(hello("writer", { capabilities, room: "docs", resume: guess }));
  assertEquals((await third.next()).data.error_code, "CLIENT_ID_IN_USE");
});

Deno.test("T6 every frame may come twice, both ways: each message is acted upon once", async () => {
  await using hub = await Hub.open({ limits: { maxFaults: 1e6 } });
  await using proxy = await FaultySyncProxy.open(hub.url);
  const [a, b] = [
    await hub.client("a", { room: "docs" }, proxy.url),
    await hub.client("b", { room: "docs" }),
  ];
  proxy.faults = { duplicate: 1 };
  const [ofA, ofB] = [new Inputs(a.port), new Inputs(b.port)];
  for (let n = 0; n < 30; n++) {
    a.port.send(change(a.port.author, `a${n}`));
    b.port.send(change(b.port.author, `b${n}`));
    assertEquals([await ofA.path(), await ofB.path()], [`b${n}`, `a${n}`]);
  }
  assert(proxy.counts.duplicated >= 60);
  assertEquals(checkTranscript(proxy.transcript), []);
});
