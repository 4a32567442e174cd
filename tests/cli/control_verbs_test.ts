import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { problemsOf } from "../../src/cli/results.ts";
import { VERBS } from "../../src/cli/verbs.ts";
import { NotFoundError } from "../../src/errors.ts";
import { Peer } from "../../src/peer.ts";
import { formatAddress } from "../../src/transport/transport.ts";
import { RunningPeer } from "./control_fixture.ts";
import { runVerb } from "./verb_fixture.ts";

/** Somebody to speak to, and a running peer that knows it. */
async function meet(line: readonly string[] = []) {
  await using stack = new AsyncDisposableStack();
  const bob = stack.use(
    await Peer.open({ name: "bob", hostname: "127.0.0.1", port: 0, announce: false }),
  );
  bob.serve();
  const seeds = bob.address === undefined ? [] : [bob.address];
  const discoveryPort = 20_000 + Math.floor(Math.random() * 12_000);
  const running = stack.use(
    await RunningPeer.start({ line, peer: { name: "alice", seeds, discoveryPort } }),
  );
  running.peer.serve();
  const parts = stack.move();
  const at = formatAddress(seeds[0] ?? { hostname: "", port: 0 });
  return { bob, running, at, [Symbol.asyncDispose]: () => parts.disposeAsync() };
}

/** Has both be in one group, as far as either knows. */
async function join(bob: Peer, alice: Peer): Promise<void> {
  bob.join();
  for await (const event of alice.join().watch()) {
    if ("member" in event && event.member.name === "bob") return;
  }
}

Deno.test("rumor is told and searched by the running peer, which finds itself, too", async () => {
  const discoveryPort = 20_000 + Math.floor(Math.random() * 12_000);
  const local = { hostname: "127.0.0.1", port: 0, discoveryPort } as const;
  await using bob = await Peer.open({ name: "bob", ...local });
  const seeds = bob.address === undefined ? [] : [bob.address];
  await using running = await RunningPeer.start({ peer: { name: "rob", seeds, discoveryPort } });
  const heard = bob.rumors().watch();
  await join(bob, running.peer);
  const told = await running.run(["rumor", "tea", "is", "ready"]);
  assertEquals(told.printed, ["told 1 peer, which tells others"]);
  const { author, message } = (await heard.next()).value ?? {};
  assertEquals([author, message], [running.peer.peerId, "tea is ready"]);
  const { printed } = await running.run(["rumor", "--search", "ob", "--timeout", "0.7"]);
  const found = printed.map((line) => line.split(" ", 1)[0]);
  assertEquals(found, [running.peer.peerId, bob.peerId]);
  await heard.return();
});

Deno.test("call, ping and msg go through the running peer, and reach others and itself", async () => {
  await using scene = await meet();
  const { bob, running, at } = scene;
  const sessions = bob.sessions({ accept: () => true });
  let caller = "";
  bob.handle("who", (_, { peer }) => caller = peer?.peerId ?? "");
  const called = await running.run(["call", at, "echo", '{"a":[1]}', "--json"]);
  assertEquals(called.printed, ['{"result":{"a":[1]}}']);
  await running.run(["call", at, "who"]);
  assertEquals(caller, running.peer.peerId);
  const pinged = await running.run(["ping", at]);
  assertMatch(pinged.printed.join(), /^bob .* answered in /);
  for (const self of ["alice", running.peer.peerId.slice(0, 10)]) {
    assertMatch((await running.run(["ping", self])).printed.join(), /^alice .* answered in /);
  }
  const [told] = await Promise.all([
    running.run(["msg", at, "hello", "there"]),
    (async () => {
      for await (const session of sessions) {
        for await (const data of session) assertEquals(data, "hello there");
        break;
      }
    })(),
  ]);
  assertEquals(told.printed, ["delivered to bob"]);
  const missing = () => running.run(["call", at, "no-such-endpoint"]);
  assertEquals((await assertRejects(missing, NotFoundError)).code, "no-endpoint");
  await assertRejects(() => running.run(["call", "bob"]), TypeError, "PEER and ENDPOINT");
  assert(!running.peer.endpoint.signal.aborted, "it stays open");
});

Deno.test("pub says what is kept for those who come, where the peer takes part and nobody else", async () => {
  await using running = await RunningPeer.start();
  const publish = (...more: string[]) =>
    assertRejects(
      () => running.run(["pub", "news", "tea", "--timeout", "0.05", ...more]),
      NotFoundError,
    );
  assertMatch((await publish()).message, /^Nobody who takes part in "news" was found/);
  const news = running.peer.gossip.subscribe("news");
  const kept = await publish();
  assertMatch(kept.message, /^Nobody else takes part in "news" yet: it is kept here for those who/);
  assertEquals([kept.code, kept.details.kept], ["no-peer", true]);
  news.close();
});

Deno.test("peers, pub, sub and dht go through the running peer", async () => {
  await using scene = await meet();
  const { bob, running } = scene;
  await join(bob, running.peer);
  const members = await running.run(["peers", "--json"]);
  const rows = members.printed.map((line) => JSON.parse(line));
  assertEquals(rows.map(({ name, seenBy }) => [name, seenBy === running.peer.peerId]), [
    ["alice", true],
    ["bob", true],
  ]);

  const news = bob.gossip.subscribe("news");
  const interrupt = new AbortController();
  const reading = running.run(["sub", "news", "--count", "1", "--json"], interrupt.signal);
  const published = await running.run(["pub", "news", "the kettle", "--json"]);
  const { from, confirmedBy } = JSON.parse(published.printed[0] ?? "");
  assertEquals([from, confirmedBy], [running.peer.peerId, [bob.peerId]]);
  for await (const { data } of news) {
    assertEquals(data, "the kettle");
    break;
  }
  await bob.gossip.publish("news", "is on", { confirm: 1 });
  const { printed } = await reading;
  const events = printed.map((line) => JSON.parse(line));
  assertEquals(events.map(({ event, data }) => [event, data]), [
    ["ready", undefined],
    ["message", "is on"],
    ["closed", undefined],
  ]);

  await bob.dht.join();
  const put = await running.run(["dht", "put", "greeting", "hi there", "--json"]);
  assertEquals(JSON.parse(put.printed[0] ?? "").holders, 1);
  assertEquals((await running.run(["dht", "get", "greeting"])).printed, ["hi there"]);
});

Deno.test("dht goes to a peer of its own where the running one takes no part", async () => {
  await using scene = await meet(["--dht", "off"]);
  const { apart } = await scene.running.run(["dht", "stat"]);
  assertEquals(apart, "the running peer is not in the DHT");
});

Deno.test("send goes through the running peer, from where the command line is", async () => {
  await using scene = await meet();
  const { bob, running, at } = scene;
  const [inbox, photos] = [await Deno.makeTempDir(), await Deno.makeTempDir()];
  Deno.writeTextFileSync(`${photos}/a.txt`, "hello");
  const receiver = bob.receive({ dir: inbox, accept: () => true });
  const { printed } = await running.run(["send", `${photos}/a.txt`, "--to", at, "--json"]);
  const done = JSON.parse(printed.at(-1) ?? "");
  assertEquals([done.event, done.files, done.bytes], ["done", 1, 5]);
  assertEquals(Deno.readTextFileSync(`${inbox}/a.txt`), "hello");
  const missing = () => running.run(["send", `${photos}/b.txt`, "--to", at]);
  assertEquals((await assertRejects(missing, NotFoundError)).code, "no-path");
  receiver.close();
  for (const dir of [inbox, photos]) Deno.removeSync(dir, { recursive: true });
});

Deno.test("status shows the running peer, with its limits and counters", async () => {
  await using scene = await meet(["--name", "alice"]);
  const { bob, running, at } = scene;
  await join(bob, running.peer);
  await running.run(["call", at, "echo", "1"]);
  const { printed } = await running.run(["status"]);
  const text = printed.join("\n");
  for (const part of ["alice is up for ", running.peer.peerId, "maxLinks  ", "the open one"]) {
    assertStringIncludes(text, part);
  }
  const status = JSON.parse((await running.run(["status", "--json"])).printed[0] ?? "");
  assertEquals(problemsOf(VERBS.status?.prints ?? {}, status), []);
  assertEquals([status.peerId, status.name], [running.peer.peerId, "alice"]);
  assertEquals([status.startedMs, status.pid], [1_000, Deno.pid]);
  assertEquals(status.tcp, running.peer.address?.port);
  assertEquals(status.members.map(({ name }: { name: string }) => name), ["alice", "bob"]);
  assert(status.limits.some(({ name }: { name: string }) => name === "maxLinks"));
  assertEquals(typeof status.counters, "object");
  assertEquals(status.network, { name: "", key: false });
  assert(status.peers.every(({ peerId }: { peerId: string }) => peerId === bob.peerId));
});

Deno.test("status without a running peer says what to do, and ends with 5", async () => {
  const home = await Deno.makeTempDir();
  const { code, notes } = await runVerb("status", home);
  assertEquals(code, 5);
  assertStringIncludes(notes.join(), "kith up runs one");
  await Deno.remove(home, { recursive: true });
});
