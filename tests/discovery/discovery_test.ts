import { assert, assertEquals, assertRejects } from "@std/assert";
import { homedir, userInfo } from "node:os";
import { Discovery, DISCOVERY_PORT, MULTICAST_V4 } from "../../src/discovery/discovery.ts";
import {
  encodeAnswer,
  encodeQuestion,
  parseAnswer,
  parseQuestion,
  QUESTION_BYTES,
  type Reply,
} from "../../src/discovery/packets.ts";
import type { FoundPeer } from "../../src/discovery/search.ts";
import { ClosedError, TransportError, UnsupportedError } from "../../src/errors.ts";
import { Metrics } from "../../src/metrics.ts";
import {
  type Address,
  type DatagramOptions,
  netTransport,
  openDatagram,
  type Transport,
} from "../../src/transport/mod.ts";
import { encodeDatagram, SERVICE_CODE } from "../../src/wire/datagram.ts";
import { encodeWireData, wireData } from "../../src/wire/message.ts";
import { CountingClock } from "../endpoint/fixture.ts";
import { Generator } from "../fuzz/generate.ts";
import { announcementOf, collect, counting, identityOf, interfaceOf, Lan, namesOf } from "./lan.ts";

const GROUP: Address = { hostname: MULTICAST_V4, port: DISCOVERY_PORT };
const QUESTION = encodeQuestion({ id: 7, from: new Uint8Array(8), via: "multicast4" });
const REPLY: Reply = {
  id: 7,
  instance: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8),
  seq: 1,
  validMs: 120_000,
  name: "mallory",
  tcpPort: 1,
  via: "multicast4",
};

Deno.test("Discovery finds peers on the network, with where they are and how they were reached", async () => {
  await using lan = new Lan();
  await lan.announce("alice", 1111);
  await lan.announce("bob", 2222);
  const carol = await lan.open("carol");
  const found = await lan.search(carol);
  assertEquals(found.map(({ name }) => name).sort(), ["alice", "bob"]);
  const bob = found.find(({ name }) => name === "bob");
  assertEquals(bob, {
    peerId: identityOf("bob").peerId,
    name: "bob",
    tcpPort: 2222,
    addresses: [{ hostname: "bob", port: 2222 }],
    via: ["broadcast", "multicast4"],
    isProven: false,
  });
  assertEquals(carol.asked.sort(), [
    "broadcast to 255.255.255.255 from carol",
    `multicast4 to ${MULTICAST_V4} from carol`,
  ]);
  assertEquals(carol.address, undefined);
});

Deno.test("Discovery does not find itself, but a second peer on the same host", async () => {
  await using lan = new Lan();
  const first = await lan.announce("first", 1111, { host: "home" });
  await lan.announce("second", 2222, { host: "home" });
  assertEquals((await lan.search(first)).map(({ name }) => name), ["second"]);
});

Deno.test("Discovery finds who starts later", async () => {
  await using lan = new Lan();
  const carol = await lan.open("carol");
  const looking = collect(carol.find({ timeoutMs: 1_000 }));
  await lan.clock.advance(50);
  await lan.announce("late", 1111);
  await lan.clock.advance(950);
  assertEquals(namesOf(await looking), ["late"]);
});

Deno.test("Discovery believes no answer that does not repeat the question's id", async () => {
  await using lan = new Lan();
  await using _forger = await lan.forger(({ id, via }, identity) => [
    encodeAnswer({ ...REPLY, id: id + 1, via, name: "forged" }, identity),
    encodeAnswer({ ...REPLY, id: 0, via, name: "zero" }, identity),
    encodeAnswer({ ...REPLY, id, via, name: "true" }, identity),
  ]);
  assertEquals(namesOf(await lan.search(await lan.open("carol"))), ["true"]);
});

Deno.test("Discovery believes no answer whose signature is wrong, and counts it", async () => {
  await using lan = new Lan();
  await using _forger = await lan.forger(({ id, via }, identity) => {
    const packet = encodeAnswer({ ...REPLY, id, via, name: "mallory" }, identity);
    const key = packet.toHex().indexOf(identity.publicKey.toHex()) / 2;
    packet.set(identityOf("bob").publicKey, key);
    return [packet];
  });
  const metrics = new Metrics();
  assertEquals(await lan.search(await lan.open("carol", { metrics })), []);
  const { "discovery.questions": asked = 0 } = metrics.snapshot();
  assertEquals(metrics.snapshot(), {
    "discovery.questions": asked,
    "discovery.bad-signature": asked,
  });
});

Deno.test("Discovery believes no answer that was recorded, neither in another search nor much later", async () => {
  await using lan = new Lan();
  const metrics = new Metrics();
  const carol = await lan.open("carol", { metrics });
  let recorded = new Uint8Array();
  let does: "answer" | "nothing" | "replay" = "answer";
  await using _relay = await lan.forger(({ id, via }, identity) => {
    if (does === "answer") recorded = encodeAnswer({ ...REPLY, id, via, name: "bob" }, identity);
    return does === "nothing" ? [] : [recorded];
  });
  const looking = collect(carol.find({ timeoutMs: 3_610_000 }));
  await lan.clock.advance(5_000);
  does = "replay";
  assertEquals(await lan.search(carol), []); // it has another id
  assertEquals(metrics.snapshot()["discovery.stale"], undefined);
  does = "nothing";
  await lan.clock.advance(3_600_000);
  does = "replay";
  await lan.clock.advance(4_000);
  const given = await looking;
  assertEquals(given.map(({ via }) => via), [["multicast4"], ["broadcast", "multicast4"]]);
  assertEquals(metrics.snapshot()["discovery.stale"], 4);
});

Deno.test("Discovery does not take a peer for two, nor find itself, when instance ids change", async () => {
  await using lan = new Lan();
  await lan.announce("bob", 2222);
  const carol = await lan.announce("carol", 3333);
  const { heard, bystander } = await lan.listeners();
  const looking = collect(carol.find({ timeoutMs: 1_900_000 }));
  await lan.clock.advance(1_900_000);
  const given = await looking;
  assertEquals(given.map(({ name, via }) => [name, via.length]), [["bob", 1], ["bob", 2]]);
  const questions = heard.get(bystander)?.map(({ data }) => parseQuestion(data)) ?? [];
  assertEquals(new Set(questions.map(({ from }) => from.toHex())).size, 4);
});

Deno.test("Discovery tells nothing about host or user, nor a name unless it is given one", async () => {
  await using lan = new Lan();
  const secrets = [Deno.hostname(), userInfo().username, homedir()].map((text) =>
    text.toLowerCase()
  );
  const { asker, bystander, heard } = await lan.listeners();
  const bob = await lan.announce("", 2222, { host: "host" });
  await lan.search(bob); // so that its question is heard, too
  await asker.send(QUESTION, GROUP);
  await lan.clock.advance(0);
  const [[answer] = [], questions = []] = [heard.get(asker), heard.get(bystander)];
  const packets = [answer, ...questions].map((got) => got?.data ?? new Uint8Array());
  assert(packets.length > 2 && packets.every(({ length }) => length > 100));
  for (const packet of packets) {
    const text = new TextDecoder("latin1").decode(packet).toLowerCase();
    for (const secret of secrets) assert(!text.includes(secret), `${secret} is in ${text}`);
  }
  assertEquals(answer && parseAnswer(answer.data, 7)?.name, "");
  // The search finds what is there.
  const named = encodeAnswer({ ...REPLY, name: Deno.hostname() }, identityOf("bob"));
  assert(new TextDecoder("latin1").decode(named).toLowerCase().includes(secrets[0] ?? "?"));
});

Deno.test("Discovery answers the asker alone, from its own socket, and no longer than it was asked", async () => {
  await using lan = new Lan();
  const metrics = new Metrics();
  const bob = await lan.announce("bob", 2222, { metrics });
  const { asker, bystander, heard } = await lan.listeners();
  await asker.send(QUESTION, GROUP);
  await lan.clock.advance(0);
  const [toAsker = [], toBystander = []] = [heard.get(asker), heard.get(bystander)];
  assertEquals(toAsker.length, 1);
  assertEquals(toAsker[0]?.from, bob.address);
  assertEquals(parseAnswer(toAsker[0]?.data ?? QUESTION, 7)?.name, "bob");
  assert((toAsker[0]?.data.length ?? Infinity) <= QUESTION.length);
  assertEquals(toBystander.map(({ from }) => from), [asker.address]); // the question, and no answer

  // One that is shorter than an answer may be would make a peer send more than it was sent.
  for (let pad = 0; pad < QUESTION_BYTES; pad += 10) {
    const body = { from: new Uint8Array(8), via: "broadcast", pad: new Uint8Array(pad) };
    const message = wireData(":find", body, { msgId: 7 });
    const packet = encodeDatagram(SERVICE_CODE.discovery, encodeWireData(message));
    const before = toAsker.length;
    await asker.send(packet, GROUP);
    await lan.clock.advance(1_000);
    const sent = toAsker.slice(before).reduce((sum, { data }) => sum + data.length, 0);
    assert(sent <= packet.length, `${sent} bytes for ${packet.length}`);
  }
  assert(toAsker.length > 1 && (metrics.snapshot()["discovery.malformed"] ?? 0) > 30);
});

Deno.test("Discovery answers who asks too often no more than sometimes, and others as ever", async () => {
  await using lan = new Lan();
  const metrics = new Metrics();
  await lan.announce("bob", 2222, { metrics });
  const { asker, heard } = await lan.listeners();
  for (let n = 0; n < 200; n++) {
    await asker.send(QUESTION, GROUP);
    if (n % 20 === 0) await lan.clock.advance(0);
  }
  await lan.clock.advance(0);
  assertEquals(heard.get(asker)?.length, 64);
  assertEquals(metrics.snapshot(), { "discovery.answers": 64, "discovery.rate": 136 });
  assertEquals(namesOf(await lan.search(await lan.open("carol"))), ["bob"]);
});

Deno.test("Discovery drops and counts garbage, and goes on", async () => {
  await using lan = new Lan();
  const metrics = new Metrics();
  await lan.announce("bob", 2222, { metrics });
  const attacker = await lan.network.host("attacker").datagram();
  const generator = new Generator(99);
  for (let packet = 0; packet < 300; packet++) {
    await attacker.send(generator.mutate(QUESTION), GROUP);
    await attacker.send(generator.bytes(generator.below(600)), GROUP);
  }
  await lan.clock.advance(0);
  assert((metrics.snapshot()["discovery.malformed"] ?? 0) > 400);
  assertEquals(namesOf(await lan.search(await lan.open("carol"))), ["bob"]);
  attacker.close();
});

Deno.test("Discovery goes on where one interface cannot be opened, sent from or read", async () => {
  for (const fault of ["datagram", "send", "receive"] as const) {
    await using lan = new Lan();
    await lan.announce("bob", 2222);
    const metrics = new Metrics();
    const transport = faulty(lan.network.host("carol"), { fault, hostname: "0.0.0.0" });
    const interfaces = () => [interfaceOf("0.0.0.0"), interfaceOf("carol")];
    const carol = await lan.open("carol", { transport, interfaces, metrics });
    assertEquals(namesOf(await lan.search(carol)), ["bob"], fault);
    assert((metrics.snapshot()["discovery.failures"] ?? 0) > 0, fault);
  }
});

Deno.test("Discovery.open opens although the port for questions cannot be had, and can still look", async () => {
  await using lan = new Lan();
  await lan.announce("bob", 2222);
  // Somebody who does not share it.
  const taken = await lan.network.host("carol").datagram({ port: DISCOVERY_PORT });
  const carol = await lan.announce("carol", 3333);
  assertEquals(namesOf(await lan.search(carol)), ["bob"]);
  taken.close();
});

Deno.test("Discovery answers from the socket it is given, and leaves it open", async () => {
  await using lan = new Lan();
  const answerFrom = await lan.network.host("bob").datagram({ port: 5_000 });
  const bob = await lan.announce("bob", 1, { answerFrom });
  assertEquals(bob.address?.port, 5_000);
  const carol = await lan.announce("carol", 3333);
  assertEquals(namesOf(await lan.search(carol)), ["bob"]);
  await bob.close();
  await answerFrom.send(Uint8Array.of(1), { hostname: "carol", port: 9 });
  answerFrom.close();
});

Deno.test("Discovery.open fails when interfaces may not be listed, and leaves nothing open", async () => {
  await using lan = new Lan();
  const { transport, open } = counting(lan.network.host("bob"));
  const interfaces = () => {
    throw new UnsupportedError("Cannot list network interfaces");
  };
  await assertRejects(() => lan.announce("bob", 1, { transport, interfaces }), UnsupportedError);
  assertEquals(open.size, 0);
  const looking = await lan.open("bob", { transport, interfaces });
  await assertRejects(() => looking.find().next(), UnsupportedError);
});

Deno.test("Discovery.find stops when its time is over, its loop is left or its signal aborts", async () => {
  await using lan = new Lan();
  await lan.announce("alice", 1111);
  await lan.announce("bob", 2222);
  const { transport, open } = counting(lan.network.host("carol"));
  const clock = new CountingClock();
  const carol = await lan.open("carol", { transport, clock });
  const assertNothingOpen = () => assertEquals([open.size, clock.timers], [0, 0]);

  const timed = collect(carol.find({ timeoutMs: 100 }));
  await clock.advance(99);
  assert(open.size > 0 && clock.timers > 0);
  await clock.advance(1);
  assertEquals(namesOf(await timed), ["alice", "bob"]);
  assertNothingOpen();

  for await (const _ of carol.find()) break;
  assertNothingOpen();

  await assertRejects(
    async () => {
      for await (const _ of carol.find()) throw new Error("enough");
    },
    Error,
    "enough",
  );
  assertNothingOpen();

  const controller = new AbortController();
  const { signal } = controller;
  const aborted = collect(carol.find({ signal }));
  await clock.advance(10);
  controller.abort();
  assertEquals(namesOf(await aborted), ["alice", "bob"]);
  assertNothingOpen();
  assertEquals(await collect(carol.find({ signal })), []);
  assertNothingOpen();
});

Deno.test("Discovery searches side by side, and leaving one does not stop the other", async () => {
  await using lan = new Lan();
  await lan.announce("bob", 2222);
  const carol = await lan.open("carol");
  const slow = collect(carol.find({ timeoutMs: 1_000 }));
  for await (const { name } of carol.find()) {
    assertEquals(name, "bob");
    break;
  }
  await lan.clock.advance(500);
  await lan.announce("alice", 1111);
  await lan.clock.advance(500);
  assertEquals(namesOf(await slow), ["alice", "bob"]);
});

Deno.test("Discovery.close ends searches, answers no more, and is harmless twice", async () => {
  await using lan = new Lan();
  const { transport, open } = counting(lan.network.host("bob"));
  const bob = await lan.announce("bob", 2222, { transport });
  const looking = collect(bob.find());
  await lan.clock.advance(10);
  await Promise.all([bob.close(), bob.close()]);
  await bob.close();
  assertEquals([await looking, open.size], [[], 0]);
  await assertRejects(() => bob.find().next(), ClosedError, "discovery is closed");
  assertEquals(await lan.search(await lan.open("carol")), []);
});

Deno.test("Discovery for this machine alone answers nobody else", async () => {
  await using lan = new Lan();
  await lan.announce("open", 1111, { host: "home" });
  const interfaces = () => [interfaceOf("127.0.0.1")];
  await lan.announce("local", 2222, { host: "home", hostname: "127.0.0.1", interfaces });
  assertEquals(namesOf(await lan.search(await lan.open("carol"))), ["open"]);
});

Deno.test("Discovery uses only the interface it is told to", async () => {
  await using lan = new Lan();
  await lan.announce("bob", 2222);
  const interfaces = () => [interfaceOf("carol"), interfaceOf("10.9.9.9")];
  const carol = await lan.open("carol", { hostname: "carol", interfaces });
  assertEquals(namesOf(await lan.search(carol)), ["bob"]);
  assert(carol.asked.every((asked) => asked.endsWith("from carol")));
  const elsewhere = await lan.open("carol", { hostname: "10.0.0.1", interfaces });
  assertEquals(await lan.search(elsewhere), []);
  assertEquals(elsewhere.asked, []);
});

Deno.test("Discovery finds peers on real sockets of this machine, itself not among them", async () => {
  const port = await freeUdpPort();
  const common = { transport: netTransport, hostname: "127.0.0.1", port };
  await using alice = await Discovery.open({ ...common, announce: announcementOf("alice", 1111) });
  await using bob = await Discovery.open({ ...common, announce: announcementOf("bob", 2222) });
  await using carol = await Discovery.open(common);
  const wanted = new Map([[alice, ["bob"]], [bob, ["alice"]], [carol, ["alice", "bob"]]]);
  for (const [discovery, names] of wanted) {
    const found = new Map<string, FoundPeer>();
    for await (const peer of discovery.find({ timeoutMs: 5_000 })) {
      found.set(peer.name, peer);
      if (found.size === names.length) break;
    }
    assertEquals([...found.keys()].sort(), names);
    for (const { addresses, tcpPort } of found.values()) {
      assertEquals(addresses, [{ hostname: "127.0.0.1", port: tcpPort }]);
    }
  }
});

/** A network whose sockets at one address fail at one thing. */
function faulty(
  transport: Transport,
  { fault, hostname }: { fault: "datagram" | "send" | "receive"; hostname: string },
): Transport {
  const fail = () => Promise.reject(new TransportError("Network is down"));
  return {
    listen: (options) => transport.listen(options),
    connect: (to, options) => transport.connect(to, options),
    datagram: async (options: DatagramOptions = {}) => {
      if (options.hostname !== hostname) return await transport.datagram(options);
      if (fault === "datagram") return await fail();
      const socket = await transport.datagram(options);
      return new Proxy(socket, {
        get(target, name) {
          if (name === fault) return fail;
          const value: unknown = Reflect.get(target, name, target);
          return typeof value === "function" ? value.bind(target) : value;
        },
      });
    },
  };
}

async function freeUdpPort(): Promise<number> {
  const socket = await openDatagram({ hostname: "127.0.0.1" });
  socket.close();
  return socket.address.port;
}
