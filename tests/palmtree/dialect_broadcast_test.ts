import { assert, assertEquals } from "@std/assert";
import { createHash } from "node:crypto";
import { until } from "../e2e/process.ts";
import { pattern } from "../transfer/dialects/peerconnect_driver_fixture.ts";
import { type DialectNode, DialectTown, filesIn, partsIn } from "./dialect_town.ts";

function sha256(data: Uint8Array): string {
  return createHash("sha256").update(data).digest("hex");
}

Deno.test("a broadcast in the dialect brings one file to one node", async () => {
  await using town = new DialectTown();
  const [bob] = await town.add(1);
  assert(bob !== undefined);
  const data = pattern(700_000);
  const sending = await town.send([await town.write("song.ogg", data)], [bob]);
  const { receivers, egressBytes, files, bytes, sha256: hash } = await sending.done;
  assertEquals([files, bytes, egressBytes, hash], [1, 700_000, 700_000, sha256(data)]);
  assertEquals(receivers.map(({ state, bytes, sha256 }) => [state, bytes, sha256]), [
    ["done", 700_000, undefined],
  ]);
  const done = await bob.next("done");
  assert(done.type === "done");
  assertEquals([done.files, done.sha256], [1, sha256(data)]);
  assertEquals(filesIn(bob.dir), new Map([["song.ogg", data]]));
  assertEquals(partsIn(bob.dir), []);
});

Deno.test("a broadcast in the dialect reaches five nodes along the tree, from files and folders", async () => {
  await using town = new DialectTown();
  const nodes = await town.add(5);
  const large = pattern(900_000);
  const paths = [
    await town.write("song.ogg", large),
    await town.write("empty", new Uint8Array(0)),
  ];
  await town.write("photos/été/song.ogg", pattern(3_000));
  await town.write("photos/été/snow ☃.txt", pattern(5));
  const sending = await town.send([...paths, `${town.dir}/out/photos`], nodes, { fanout: 2 });
  const events = [];
  for await (const event of sending) events.push(event);
  const { receivers, egressBytes, bytes, files } = await sending.done;
  assertEquals(sending.folders, ["photos", "photos/été"]);
  assertEquals([files, bytes], [4, 903_005]);
  assertEquals(
    receivers.map(({ name, state }) => [name, state]),
    nodes.map(({ name }) => [name, "done"]),
  );
  // The window asks one more than the fan-out, and two of the five pass it on.
  assert(egressBytes <= 3 * bytes && egressBytes >= bytes, `${egressBytes} bytes`);
  assertEquals(events.filter(({ type }) => type === "accepted").length, 5);
  assertEquals(events.filter(({ type }) => type === "parent").length, 5);
  await Promise.all(nodes.map(({ next }) => next("done")));
  const expected = new Map([
    ["empty", new Uint8Array(0)],
    ["snow ☃.txt", pattern(5)],
    ["song (1).ogg", large],
    ["song.ogg", pattern(3_000)],
  ]);
  for (const { dir } of nodes) assertEquals(filesIn(dir), expected);
});

Deno.test("a broadcast in the dialect of empty files alone is there when its list is", async () => {
  await using town = new DialectTown();
  const nodes = await town.add(2);
  const sending = await town.send([await town.write("nothing", new Uint8Array(0))], nodes);
  const { receivers, egressBytes } = await sending.done;
  assertEquals([egressBytes, ...receivers.map(({ state }) => state)], [0, "done", "done"]);
  await Promise.all(nodes.map(({ next }) => next("done")));
  for (const { dir } of nodes) assertEquals([...filesIn(dir).keys()], ["nothing"]);
});

Deno.test("a broadcast in the dialect goes on without who refuses, is not there, or is named twice", async () => {
  await using town = new DialectTown();
  const [bob] = await town.add(1);
  const [eve] = await town.add(1, { accept: () => false });
  assert(bob !== undefined && eve !== undefined);
  const nobody = { name: "nobody", address: { hostname: "127.0.0.1", port: 9 } };
  const twice = { ...bob, name: "bob again" };
  const path = await town.write("a.bin", pattern(100_000));
  const sending = await town.send([path], [bob, eve, nobody, twice], { answerMs: 400 });
  const { receivers } = await sending.done;
  assertEquals(receivers.map(({ name, state }) => [name, state]), [
    ["r0", "done"],
    ["r1", "failed"],
    ["nobody", "failed"],
    ["bob again", "failed"],
  ]);
  const errors = receivers.map(({ error }) => error instanceof Error ? error.message : "");
  assertEquals(errors[1], `"r1" did not answer within 0.4 s: it is not there, or does not want it`);
  assertEquals(errors[3], '"bob again" and "r0" are the same peer');
  assertEquals(eve.endpoint.metrics.snapshot()["palm.refused"], 2);
  assertEquals((await bob.next("done")).type, "done");
});

Deno.test("a node of the dialect that dies takes nobody with it", async () => {
  await using town = new DialectTown();
  const nodes = await town.add(5, { maxBytesPerSecond: 4_000_000 });
  const data = pattern(1_500_000);
  const sending = await town.send([await town.write("a.bin", data)], nodes, {
    fanout: 1,
    maxBytesPerSecond: 4_000_000,
  });
  let killed: DialectNode | undefined;
  for await (const event of sending) {
    if (event.type !== "parent") continue;
    killed = nodes.find(({ endpoint }) => endpoint.self.peerId === event.parent);
    if (killed !== undefined) break;
  }
  await killed?.leave();
  await Promise.all(
    nodes.filter((node) => node !== killed).map(async ({ next, dir }) => {
      await next("done");
      assertEquals(filesIn(dir), new Map([["a.bin", data]]));
    }),
  );
});

Deno.test("a node of the dialect notices that its sender has gone, and keeps no parts", async () => {
  await using town = new DialectTown();
  const [bob] = await town.add(1);
  assert(bob !== undefined);
  const path = await town.write("a.bin", pattern(4_000_000));
  const sending = await town.send([path], [bob], { maxBytesPerSecond: 1_000_000 });
  await until("a part", () => partsIn(bob.dir).length > 0);
  await sending.close();
  await bob.leave();
  const failed = await bob.next("failed");
  assertEquals(
    failed.type === "failed" && String(failed.error),
    "ClosedError: Files are received no more",
  );
  assertEquals([filesIn(bob.dir).size, partsIn(bob.dir)], [0, []]);
});
