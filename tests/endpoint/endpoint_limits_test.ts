import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import type { EndpointLimits } from "../../src/endpoint/endpoint.ts";
import type { PeerEvent } from "../../src/endpoint/peer_table.ts";
import { ClosedError, HandshakeError, LimitError } from "../../src/errors.ts";
import type { Connection } from "../../src/transport/transport.ts";
import {
  connectionPair,
  infoOf,
  isSettled,
  Served,
  SERVER,
  settle,
  shakeHands,
} from "./fixture.ts";

/** More events than a watcher keeps. */
const MANY_EVENTS = 1_100;

Deno.test("Endpoint takes maxLinksPerAddress links from one address, and more from another", async () => {
  await using served = await Served.open({ limits: { maxLinksPerAddress: 2 } });
  const [near, far] = [await served.client("near"), await served.client("far")];
  const results = await Promise.allSettled([1, 2, 3, 4].map(() => near.connect(SERVER)));
  const refused = results.flatMap((result) => result.status === "rejected" ? [result.reason] : []);
  assertEquals(refused.length, 2);
  for (const error of refused) {
    assert(error instanceof LimitError);
    assertStringIncludes(error.message, "2 links already (maxLinksPerAddress)");
  }
  await (await far.connect(SERVER)).close();
  await [...near.links][0]?.close();
  await settle();
  await near.connect(SERVER);
  await assertRejects(() => near.connect(SERVER), LimitError, "maxLinksPerAddress");
});

Deno.test("Endpoint does not count the links that it opens itself for maxLinksPerAddress", async () => {
  await using served = await Served.open({ limits: { maxLinksPerAddress: 1 } });
  const to = { hostname: "friend", port: 9 };
  const friend = await served.open("friend", to);
  for (const _ of [1, 2]) await served.endpoint.connect(to);
  await friend.connect(SERVER);
  await assertRejects(() => friend.connect(SERVER), LimitError, "maxLinksPerAddress");
});

Deno.test("Endpoint does not hold this machine's own programs to maxLinksPerAddress", async () => {
  await using served = await Served.open({ limits: { maxLinksPerAddress: 0 } });
  for (const host of ["127.0.0.1", "::1", "localhost"]) {
    const client = await served.client(host);
    await Promise.all([1, 2, 3].map(() => client.connect(SERVER)));
  }
  assertEquals(served.endpoint.links.size, 9);
  const other = await served.client("192.0.2.1");
  await assertRejects(() => other.connect(SERVER), LimitError, "maxLinksPerAddress");
});

Deno.test("Endpoint.open refuses limits that are out of range, and names them", async () => {
  const cases: readonly (readonly [keyof EndpointLimits, number])[] = [
    ["maxLinks", -1],
    ["maxLinksPerAddress", -1],
    ["maxPendingHandshakes", 0],
    ["handshakeMs", 0],
    ["maxFrameBytes", 511],
    ["maxHandlers", 0],
    ["maxHandlers", 1.5],
    ["heartbeatMs", 0],
    ["heartbeatMs", NaN],
  ];
  await using served = await Served.open();
  for (const [name, value] of cases) {
    const opening = () => served.client("client", { limits: { [name]: value } });
    const { message } = await assertRejects(opening, RangeError, name);
    assert(message.endsWith(`current value is ${value}`), message);
  }
  await served.client("least", {
    limits: { maxLinks: 0, maxLinksPerAddress: 0, maxFrameBytes: 512, heartbeatMs: Infinity },
  });
});

Deno.test("Endpoint denies newcomers while it drains, wherever they come from, and connects to nobody", async () => {
  await using served = await Served.open();
  const { endpoint } = served;
  const gate = Promise.withResolvers<string>();
  endpoint.handle("slow", () => gate.promise);
  const friend = await served.open("friend", { hostname: "friend", port: 9 });
  const answer = (await friend.connect(SERVER)).request("slow", {});
  await settle();
  const drained = endpoint.drain();
  const [left, right] = await connectionPair();
  endpoint.adopt(right, "websocket"); // the web port may still be open
  const newcomer = await shakeHands(left, "newcomer");
  const deny = await newcomer.receive();
  assertEquals([deny?.header, deny?.body.code], [":deny", "denied"]);
  const connecting = () => endpoint.connect({ hostname: "friend", port: 9 });
  assertEquals((await assertRejects(connecting, HandshakeError)).code, "denied");
  assertEquals(await isSettled(drained), false);
  newcomer.close();
  gate.resolve("done");
  assertEquals(await answer, "done");
  await drained;
});

Deno.test("Endpoint.attach closes the connection when the endpoint is closed", async () => {
  const [left, right] = await connectionPair();
  await using served = await Served.open();
  const client = await served.client();
  await client.close();
  await assertRejects(() => client.attach(left), ClosedError, "endpoint is closed");
  assert(await hasEnded(right));
});

Deno.test("PeerTable.watch ends when the endpoint closes, after what has happened until then", async () => {
  await using served = await Served.open();
  const { peers } = served.endpoint;
  const [waiting, notYet] = [namesOf(peers.watch()), peers.watch()];
  await (await served.client()).connect(SERVER);
  assertEquals(await isSettled(waiting), false);
  await served.endpoint.close();
  assertEquals([await waiting, await namesOf(notYet)], [["client"], ["client"]]);
  assertEquals(await namesOf(peers.watch()), []);
});

Deno.test("PeerTable.watch ends when its signal aborts, before it is iterated or while it waits", async () => {
  await using served = await Served.open();
  const { peers } = served.endpoint;
  const controller = new AbortController();
  const { signal } = controller;
  const [waiting, notYet] = [peers.watch({ signal }), peers.watch({ signal })];
  const end = waiting.next();
  controller.abort();
  assertEquals((await end).done, true);
  reportMany(served);
  assertEquals(await namesOf(notYet), []);
  assertEquals(await namesOf(peers.watch({ signal })), []);
  assertEquals(served.metrics.snapshot()["peers.events-dropped"], undefined);
});

Deno.test("PeerTable.watch keeps nothing for a loop that was left, and the newest for one that goes on", async () => {
  await using served = await Served.open();
  const { peers } = served.endpoint;
  const left = peers.watch();
  peers.report({ type: "added", peer: infoOf("first") });
  for await (const { peer } of left) {
    assertEquals(peer.name, "first");
    break;
  }
  reportMany(served);
  assertEquals(served.metrics.snapshot()["peers.events-dropped"], undefined);
  const kept = peers.watch();
  reportMany(served);
  assertEquals(served.metrics.snapshot()["peers.events-dropped"], MANY_EVENTS - 1_024);
  assertEquals((await kept.next()).value?.peer.name, `peer ${MANY_EVENTS - 1_024}`);
  await kept.return();
});

Deno.test("Endpoint ends a link whose other side has gone within 2.5 heartbeats although a handler holds up its reading", async () => {
  for (const leftAtMs of [0, 4_999, 5_001, 9_999, 14_999]) {
    await using served = await Served.open({ limits: { heartbeatMs: 10_000 } });
    const cancelled = Promise.withResolvers<void>();
    served.endpoint.handle("upload", (_, { signal }) => {
      signal.addEventListener("abort", () => cancelled.resolve());
      return cancelled.promise;
    }, { inline: true });
    const stranger = await served.guest();
    await stranger.receive();
    await stranger.send("upload", {});
    await served.clock.advance(leftAtMs);
    assertEquals(served.endpoint.links.size, 1);
    stranger.close();
    await served.clock.advance(25_000);
    await settle();
    assertEquals(served.endpoint.links.size, 0, `left at ${leftAtMs} ms`);
    await cancelled.promise;
  }
});

async function hasEnded(connection: Connection): Promise<boolean> {
  const ended = await connection.read(new Uint8Array(1)) === null;
  connection.close();
  return ended;
}

function reportMany({ endpoint }: Served): void {
  for (let n = 0; n < MANY_EVENTS; n++) {
    endpoint.peers.report({ type: "added", peer: infoOf(`peer ${n}`) });
  }
}

/** The peers of all events until they end. */
async function namesOf(events: AsyncIterable<PeerEvent>): Promise<string[]> {
  const names: string[] = [];
  for await (const { peer } of events) names.push(peer.name);
  return names;
}
