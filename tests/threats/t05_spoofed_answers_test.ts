/**
 * An answer counts when it comes from whom was asked, under the number of the question, while somebody waits for it, and
 * once.
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import { DISCOVERY_PORT, MULTICAST_V4 } from "../../src/discovery/discovery.ts";
import { encodeAnswer, parseQuestion, type Question } from "../../src/discovery/packets.ts";
import { type PeerError, RemoteError, TimeoutError } from "../../src/errors.ts";
import { Identity } from "../../src/secure/identity.ts";
import { Network } from "../../src/secure/network.ts";
import { MemoryNetwork } from "../../src/transport/memory.ts";
import { netTransport } from "../../src/transport/net.ts";
import { type Address, formatAddress } from "../../src/transport/transport.ts";
import { openDatagram } from "../../src/transport/udp.ts";
import { packetOf, Stranger } from "../endpoint/datagram_fixture.ts";
import { isSettled, takeHands } from "../endpoint/fixture.ts";
import { LOOPBACK, TappedPeer } from "./tapped_peer.ts";

const LATER_MS = 6_000;

/** Somebody who asks, somebody who is asked, and who else has something to say to that. */
class Scene implements AsyncDisposable {
  readonly network = new MemoryNetwork();
  readonly clock = new ManualClock();
  readonly #parts = new AsyncDisposableStack();

  async alice(network = new Network()): Promise<TappedPeer> {
    const { clock } = this;
    return this.#parts.use(await TappedPeer.at(this.network, "alice", clock, { network }));
  }

  async speaker(host: string, port: number): Promise<Stranger> {
    const speaker = new Stranger(await this.network.host(host).datagram({ port }));
    return this.#parts.adopt(speaker, ({ socket }) => socket.close());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync();
    this.network.close();
  }
}

function ask({ peer }: TappedPeer, of: Address): Promise<unknown> {
  return peer.request(`udp://${formatAddress(of)}`, "pay");
}

function countOf({ peer }: TappedPeer, name: string): number {
  return peer.metrics.counter(name).value;
}

/** Whatever ends a request, or changes how it is repeated. */
async function meddle(speaker: Stranger, to: Address, id: number): Promise<number> {
  await speaker.send(to, ":ok", id, { result: "forged" });
  await speaker.send(to, ":error", id, { code: "denied", message: "forged" });
  await speaker.send(to, ":pad", id, { bytes: 60_000 });
  await speaker.retry(to, id, new Uint8Array(16).fill(6));
  return 4;
}

Deno.test("T5 an answer over UDP from another host or port does not count, whatever it is", async () => {
  await using scene = new Scene();
  const alice = await scene.alice();
  const server = await scene.speaker("server", 4_000);
  const asking = ask(alice, server.address);
  const { message: { msgId } } = await server.receive();
  let forged = 0;
  for (const [host, port] of [["mallory", 4_000], ["server", 4_001], ["alice", 4_000]] as const) {
    forged += await meddle(await scene.speaker(host, port), alice.udp, msgId);
  }
  await alice.tap.handled(forged);
  assertEquals([await isSettled(asking), countOf(alice, "requests.stray")], [false, forged]);
  assertEquals(alice.tap.sent.length, 1, "it was made to ask again");
  await server.send(alice.udp, ":ok", msgId, { result: "paid" });
  assertEquals(await asking, "paid");
});

Deno.test("T5 an answer over UDP under another number does not count, nor can the number be guessed", async () => {
  await using scene = new Scene();
  const alice = await scene.alice();
  const server = await scene.speaker("server", 4_000);
  const asking = ask(alice, server.address);
  const { message: { msgId } } = await server.receive();
  const others = [0, 1, msgId + 1, msgId - 1, msgId % 2 ** 30, msgId % 2 ** 32, 2 ** 53 - 1];
  let forged = 0;
  for (const id of others) forged += await meddle(server, alice.udp, id);
  await alice.tap.handled(forged);
  assertEquals([await isSettled(asking), countOf(alice, "requests.stray")], [false, forged]);
  await server.send(alice.udp, ":ok", msgId, { result: "paid" });
  assertEquals(await asking, "paid");

  const ids: number[] = [msgId];
  for (let n = 0; n < 200; n++) {
    const another = ask(alice, server.address);
    const { message } = await server.receive();
    ids.push(message.msgId);
    await server.send(alice.udp, ":ok", message.msgId, { result: n });
    assertEquals(await another, n);
  }
  assertEquals(new Set(ids.map((id) => id % 2 ** 30)).size > 190, true);
  // Every quarter of the 53 bits is drawn from, and no number follows from the one before.
  assertEquals(new Set(ids.map((id) => Math.floor(id / 2 ** 51))).size, 4);
  const steps = ids.slice(1).map((id, at) => id - (ids[at] ?? 0));
  assertEquals(new Set(steps).size, steps.length);
});

Deno.test("T5 an answer over UDP that comes late, or a second time, does not count", async () => {
  await using scene = new Scene();
  const alice = await scene.alice();
  const server = await scene.speaker("server", 4_000);
  const first = ask(alice, server.address);
  const { message } = await server.receive();
  await server.send(alice.udp, ":ok", message.msgId, { result: "paid" });
  assertEquals(await first, "paid");
  const forged = await meddle(server, alice.udp, message.msgId);
  await alice.tap.handled(1 + forged);
  assertEquals(countOf(alice, "requests.stray"), forged);

  const second = ask(alice, server.address);
  const { message: { msgId } } = await server.receive();
  const failed = assertRejects(() => second, TimeoutError);
  await scene.clock.advance(LATER_MS);
  await failed;
  const sent = alice.tap.sent.length;
  const late = await meddle(server, alice.udp, msgId);
  await alice.tap.handled(1 + forged + late);
  assertEquals(countOf(alice, "requests.stray"), forged + late);
  assertEquals(alice.tap.sent.length, sent, "it was made to ask again");
});

Deno.test("T5 in a closed network no answer counts that nobody of it sealed", async () => {
  await using scene = new Scene();
  const alice = await scene.alice(new Network("home", [new Uint8Array(32).fill(7)]));
  const server = await scene.speaker("server", 4_000);
  const asking = ask(alice, server.address);
  const { data } = await server.socket.receive() ?? { data: new Uint8Array() };
  assertEquals(data[0], 0x1f);
  const failed = assertRejects(() => asking, TimeoutError);
  let forged = 0;
  // Were its number known.
  for (const id of [1, 2 ** 40]) forged += await meddle(server, alice.udp, id);
  await alice.tap.handled(forged);
  assertEquals([await isSettled(asking), countOf(alice, "seal.plain")], [false, forged]);
  await scene.clock.advance(LATER_MS);
  await failed;
});

Deno.test("T5 on real sockets only the address that was asked can answer", async () => {
  await using alice = await TappedPeer.open({ clientOnly: true });
  const [server, mallory] = [
    new Stranger(await openDatagram({ hostname: LOOPBACK })),
    new Stranger(await openDatagram({ hostname: LOOPBACK })),
  ];
  const asking = ask(alice, server.address);
  const { message: { msgId } } = await server.receive();
  const to = alice.tap.sockets.at(-1)?.address ?? { hostname: LOOPBACK, port: 0 };
  let forged = await meddle(mallory, to, msgId);
  const answer = packetOf(":ok", msgId, { result: "forged" });
  for (const hostname of ["127.0.0.2", "127.0.0.10", "::1", "::ffff:127.0.0.2", "192.0.2.1"]) {
    alice.tap.socket(to.port).inject(answer, { ...server.address, hostname });
    forged++;
  }
  await alice.tap.handled(forged);
  assertEquals([await isSettled(asking), countOf(alice, "requests.stray")], [false, forged]);
  await server.send(to, ":ok", msgId, { result: "paid" });
  assertEquals(await asking, "paid");
  for (const { socket } of [server, mallory]) socket.close();
});

Deno.test("T5 an answer to a question of another search, or to none, finds nobody", async () => {
  await using scene = new Scene();
  const alice = await scene.alice();
  const groups = [{ group: MULTICAST_V4, interfaceAddress: "forger" }];
  const forger = await scene.network.host("forger").datagram({ port: DISCOVERY_PORT, groups });
  const identity = Identity.generate();
  const answerTo = ({ id, via }: Pick<Question, "id" | "via">) => {
    const said = {
      seq: 1,
      validMs: 60_000,
      name: "forged",
      tcpPort: 1,
      instance: new Uint8Array(8),
    };
    return encodeAnswer({ ...said, id, via }, identity);
  };
  let before: Question | undefined;
  const answering = (async () => {
    for (let got = await forger.receive(); got !== undefined; got = await forger.receive()) {
      const question = parseQuestion(got.data);
      const wrong = [0, 1, question.id + 1, before?.id ?? 2, 2 ** 48 - 1];
      for (const id of wrong) await forger.send(answerTo({ id, via: question.via }), got.from);
      await forger.send(answerTo(question), alice.udp); // the right one, to a socket that has not asked
    }
  })();
  for (let search = 0; search < 3; search++) {
    const looking = Array.fromAsync(alice.peer.find({ timeoutMs: 1_000 }));
    await scene.clock.advance(1_000);
    assertEquals(await looking, []);
    const asked = alice.tap.sent.findLast(({ to }) => to.port === DISCOVERY_PORT);
    before = parseQuestion(asked?.data ?? new Uint8Array());
  }
  forger.close();
  await answering;
});

Deno.test("T5 on a connection a second answer, or one under another number, is nobody's", async () => {
  await using alice = await TappedPeer.open({ clientOnly: true });
  const listener = await netTransport.listen({ hostname: LOOPBACK });
  const accepting = listener.accept();
  const linking = alice.peer.link(formatAddress(listener.address));
  const connection = await accepting;
  assert(connection !== undefined);
  const server = await takeHands(connection, "server");
  await server.send(":accept", { version: 1 });
  const link = await linking;

  const first = link.request("pay", { n: 1 });
  const one = (await server.receive())?.msgId ?? 0;
  await server.send(":ok", { result: "first" }, one);
  assertEquals(await first, "first");

  const second = link.request("pay", { n: 2 }, { timeoutMs: 5_000 });
  const two = (await server.receive())?.msgId ?? 0;
  for (const id of [one, two + 1, two - 1, two + 65_536, two - 65_536, 1, 2 ** 53 - 1]) {
    await server.send(":ok", { result: "forged" }, Math.max(id, 1));
    await server.send(":error", { code: "denied", message: "forged" }, Math.max(id, 1));
  }
  await server.send(":error", { code: "no-endpoint", message: "right" }, two);
  const error: PeerError = await assertRejects(() => second, RemoteError, "right");
  assertEquals(error.code, "no-endpoint");
  server.close();
  listener.close();
});
