import { assert, assertEquals, assertThrows } from "@std/assert";
import { RequestsDispatcher } from "../../src/endpoint/requests_dispatcher.ts";
import { RequestsEndPoint } from "../../src/endpoint/requests_endpoint.ts";
import {
  ClosedError,
  IntegrityError,
  InvalidPacketError,
  TransportError,
} from "../../src/errors.ts";
import { type HeardRumor, RumorMill, type RumorMillOptions } from "../../src/gossip/rumor_mill.ts";
import {
  encodeRumor,
  encodeRumorPacket,
  readRumor,
  RumorEnvelopes,
  type RumorKind,
} from "../../src/gossip/rumor_packets.ts";
import { Metrics } from "../../src/metrics.ts";
import { type Identity, peerIdOf, verify } from "../../src/secure/identity.ts";
import { MemoryNetwork } from "../../src/transport/memory.ts";
import type { Address } from "../../src/transport/transport.ts";
import { decodeWireData } from "../../src/wire/message.ts";
import { decodeDatagram } from "../../src/wire/datagram.ts";
import { CountingClock, identityOf, Journal, settle } from "../endpoint/fixture.ts";

/** A mill on its port, and whom it knows. */
class Miller {
  readonly neighbors: { peerId: string; address: Address }[] = [];
  readonly heard: HeardRumor[] = [];
  readonly identity: Identity;
  readonly metrics = new Metrics();
  readonly log = new Journal();
  readonly mill: RumorMill;

  constructor(
    readonly name: string,
    readonly endpoint: RequestsEndPoint,
    requests: RequestsDispatcher,
    clock: CountingClock,
    options: Partial<RumorMillOptions>,
  ) {
    const { metrics, log, neighbors } = this;
    this.identity = identityOf(name);
    const { id } = this.identity;
    const ports = { tcpPort: 3485, udpPort: endpoint.address.port };
    this.mill = new RumorMill({
      udp: { requests, send: (packet, to) => endpoint.sendPacket(packet, to) },
      identity: this.identity,
      self: () => ({ id, username: name, ip: "192.0.2.7", ...ports, status: 1 }),
      neighbors: () => neighbors,
      ...{ clock, metrics, log, ...options },
    });
    void this.#listen();
  }

  async #listen(): Promise<void> {
    for await (const rumor of this.mill.watch()) this.heard.push(rumor);
  }

  get peerId(): string {
    return this.identity.peerId;
  }

  get address(): Address {
    return this.endpoint.address;
  }

  knows(...others: Miller[]): void {
    this.neighbors.push(...others.map(({ peerId, address }) => ({ peerId, address })));
  }

  count(name: string): number {
    return this.metrics.counter(`rumor.${name}`).value;
  }
}

/** Mills on a network in memory, and connections between any two of them. */
class Valley implements AsyncDisposable {
  readonly network = new MemoryNetwork();
  readonly clock = new CountingClock();
  readonly millers = new Map<string, Miller>();
  readonly #parts = new AsyncDisposableStack();

  async miller(name: string, options: Partial<RumorMillOptions> = {}): Promise<Miller> {
    const dispatcher = new RequestsDispatcher();
    const { clock } = this;
    const transport = this.network.host(name);
    const endpoint = this.#parts.use(
      await RequestsEndPoint.open({ transport, dispatcher, clock, port: 3486 }),
    );
    const miller = new Miller(name, endpoint, dispatcher, clock, options);
    this.#parts.use(miller.mill);
    this.millers.set(miller.peerId, miller);
    return miller;
  }

  /** What brings bytes from one of them to another. */
  streamOf(name: string): (peerId: string, payload: Uint8Array) => Promise<void> {
    return (peerId, payload) => {
      const miller = this.millers.get(peerId);
      if (miller === undefined) return Promise.reject(new TransportError("Cannot connect"));
      miller.mill.receive(identityOf(name).peerId, payload);
      return Promise.resolve();
    };
  }

  /** Writes envelopes as somebody does who has a key and no manners. */
  envelopes(name: string): RumorEnvelopes {
    const key = identityOf(name);
    return new RumorEnvelopes({
      key,
      peerId: key.peerId,
      clock: this.clock,
      verify,
      idOf: peerIdOf,
    });
  }

  /** Sends packets from a host. */
  async send(host: string, to: Miller, ...packets: Uint8Array[]): Promise<void> {
    const socket = await this.network.host(host).datagram();
    for (const packet of packets) await socket.send(packet, to.address);
    await settle();
    socket.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync();
    this.network.close();
  }
}

function packetOf(kind: RumorKind, envelope: Uint8Array, ttl = 6): Uint8Array {
  return encodeRumorPacket(encodeRumor({ kind, ttl, envelope }));
}

Deno.test("RumorMill tells neighbors, who pass it on with one hop less, not back and not to its author", async () => {
  await using valley = new Valley();
  const [alice, bob, carol] = await Promise.all(["alice", "bob", "carol"].map((name) => {
    return valley.miller(name);
  }));
  assert(alice && bob && carol);
  alice.knows(bob);
  bob.knows(alice, carol);
  carol.knows(alice, bob);
  assertEquals(alice.mill.tell("hé ☃"), 1);
  await settle();
  const created = valley.clock.wallMs() / 1_000;
  const common = { author: alice.peerId, message: "hé ☃", created };
  for (const [miller, ttl] of [[bob, 6], [carol, 5]] as const) {
    const [{ id = "", ...rumor } = {}, ...more] = miller.heard;
    assertEquals([rumor, more.length], [{ ...common, ttl }, 0]);
    assert(id.startsWith(alice.peerId));
  }
  assertEquals([alice.heard, alice.count("own")], [[], 0]);
  assertEquals([bob.count("heard"), carol.count("heard")], [1, 1]);
});

Deno.test("RumorMill hears nothing that its author did not sign, nor what comes too late or from nobody wanted", async () => {
  await using valley = new Valley();
  const alice = await valley.miller("alice", {
    admits: (peerId) => peerId !== identityOf("unwanted").peerId,
  });
  const envelope = valley.envelopes("bob").write(":rumor", "hello").bytes;
  const forged = envelope.slice();
  forged[forged.length - 1] = (forged.at(-1) ?? 0) ^ 1;
  const unwanted = valley.envelopes("unwanted").write(":rumor", "hello").bytes;
  const own = valley.envelopes("alice").write(":rumor", "hello").bytes;
  await valley.send(
    "mallory",
    alice,
    packetOf(":rumor", forged),
    packetOf(":search", envelope),
    packetOf(":rumor", unwanted),
    packetOf(":rumor", own),
    packetOf(":rumor", Uint8Array.of(1, 2, 3)),
    packetOf(":found", Uint8Array.of(1, 2, 3)),
  );
  assertEquals(alice.metrics.snapshot(), {
    "rumor.forged": 2,
    "rumor.malformed": 2,
    "rumor.not-admitted": 1,
    "rumor.own": 1,
  });
  await valley.clock.advance(3_600_000);
  await valley.send("mallory", alice, packetOf(":rumor", envelope));
  assertEquals([alice.count("stale"), alice.heard], [1, []]);
});

Deno.test("RumorMill hears what is dated in the future once, hours later too", async () => {
  await using valley = new Valley();
  const alice = await valley.miller("alice");
  const ahead = new CountingClock({ epochMs: valley.clock.wallMs() + 86_400_000 });
  const key = identityOf("bob");
  const bob = new RumorEnvelopes({ key, peerId: key.peerId, clock: ahead, verify, idOf: peerIdOf });
  const packet = packetOf(":rumor", bob.write(":rumor", "tomorrow").bytes);
  for (let hour = 0; hour < 20; hour++) {
    await valley.send("mallory", alice, packet);
    await valley.clock.advance(3_600_000);
  }
  assertEquals([alice.heard.length, alice.count("known")], [1, 19]);
});

Deno.test("RumorMill tells what fits a packet, and more over connections where there are some", async () => {
  await using valley = new Valley();
  const alice = await valley.miller("alice");
  const bob = await valley.miller("bob", { stream: valley.streamOf("bob") });
  const carol = await valley.miller("carol", { stream: valley.streamOf("carol") });
  alice.knows(bob);
  bob.knows(carol, alice);
  carol.knows(bob);
  alice.mill.tell("x".repeat(1_040));
  const long = "é".repeat(8_000);
  const error = assertThrows(() => alice.mill.tell(long), InvalidPacketError);
  assertEquals([error.code, error.details.limit], ["too-large", "SOFT_DATAGRAM_BYTES"]);
  carol.mill.tell(long);
  const most = assertThrows(() => carol.mill.tell(`${long}${long}`), InvalidPacketError);
  assertEquals([most.code, most.details.limit], ["too-large", "MAX_RUMOR_BYTES"]);
  await settle();
  assertEquals(new Set(bob.heard.map(({ message }) => message.length)), new Set([1_040, 8_000]));
  assertEquals(alice.heard.map(({ message }) => message.length), [8_000]);
  assertEquals(alice.count("unreachable"), 0);
});

Deno.test("RumorMill counts what it cannot pass on for want of connections", async () => {
  await using valley = new Valley();
  const [alice, bob] = [await valley.miller("alice"), await valley.miller("bob")];
  alice.knows(bob);
  const { bytes } = valley.envelopes("carol").write(":rumor", "x".repeat(2_000));
  alice.mill.receive(
    identityOf("carol").peerId,
    encodeRumor({ kind: ":rumor", ttl: 6, envelope: bytes }),
  );
  await settle();
  assertEquals([alice.heard.length, alice.count("unreachable"), bob.heard.length], [1, 1, 0]);
});

Deno.test("RumorMill.receive says what is wrong with what came over a connection", async () => {
  await using valley = new Valley();
  const alice = await valley.miller("alice");
  const { bytes } = valley.envelopes("bob").write(":rumor", "hello");
  const asSearch = encodeRumor({ kind: ":search", ttl: 6, envelope: bytes });
  assertThrows(() => alice.mill.receive("bob", asSearch), IntegrityError);
  assertThrows(() => alice.mill.receive("bob", asSearch.subarray(1)), InvalidPacketError);
});

Deno.test("RumorMill finds a neighbour, and somebody far who connects to answer", async () => {
  await using valley = new Valley();
  const alice = await valley.miller("alice");
  const bob = await valley.miller("bob");
  const bobby = await valley.miller("bobby", { stream: valley.streamOf("bobby") });
  const carol = await valley.miller("carol");
  alice.knows(bob);
  bob.knows(alice, bobby);
  bobby.knows(bob, carol);
  const searching = Array.fromAsync(alice.mill.search("bob"));
  await settle();
  await valley.clock.advance(3_000);
  const found = new Map((await searching).map((one) => [one.peer.username, one]));
  assertEquals([...found.keys()].sort(), ["bob", "bobby"]);
  assertEquals([found.get("bob")?.peerId, found.get("bob")?.from], [bob.peerId, bob.address]);
  assertEquals([found.get("bobby")?.peerId, found.get("bobby")?.from], [bobby.peerId, undefined]);
  assertEquals([carol.count("heard"), carol.count("answers")], [1, 0]);
  assertEquals(carol.heard, []); // a question is no message
});

Deno.test("RumorMill answers no address that only a packet names", async () => {
  await using valley = new Valley();
  const alice = await valley.miller("alice");
  const victim = await valley.network.host("victim").datagram();
  const mallory = valley.envelopes("mallory");
  for (let n = 0; n < 5; n++) {
    const { bytes } = mallory.write(":search", "alice");
    await victim.send(packetOf(":search", bytes), alice.address);
  }
  await settle();
  assertEquals([alice.count("heard"), alice.count("unreachable")], [5, 5]);
  assertEquals(alice.count("answers"), 0);
  victim.close();
  assertEquals(await victim.receive(), undefined);
});

Deno.test("RumorMill answers an asker no more often than its rate, and those it must connect to even less", async () => {
  await using valley = new Valley();
  const bob = await valley.miller("bob");
  let streamed = 0;
  const stream = () => Promise.resolve(void streamed++);
  const alice = await valley.miller("alice", { stream });
  alice.knows(bob);
  const ask = async (name: string, count: number) => {
    const envelopes = valley.envelopes(name);
    const packets = Array.from({ length: count }, () => {
      return packetOf(":search", envelopes.write(":search", "").bytes);
    });
    await valley.send("mallory", alice, ...packets);
  };
  await ask("bob", 20);
  assertEquals([alice.count("answers"), alice.count("unanswered")], [16, 4]);
  for (let n = 0; n < 30; n++) await ask(`invented ${n}`, 1);
  assertEquals([streamed, alice.count("unanswered")], [16, 4 + 14]);
});

Deno.test("RumorMill takes answers that were asked for, signed for this question", async () => {
  await using valley = new Valley();
  const alice = await valley.miller("alice");
  const [bob, mallory] = [valley.envelopes("bob"), valley.envelopes("mallory")];
  const peer = {
    id: identityOf("bob").id,
    username: "bob",
    ip: "x",
    tcpPort: 1,
    udpPort: 1,
    status: 1,
  };
  const self = { ...peer, status: 1 } as const;
  const sent = Promise.withResolvers<Uint8Array>();
  const ear = await valley.network.host("ear").datagram();
  alice.neighbors.push({ peerId: identityOf("ear").peerId, address: ear.address });
  const searching = Array.fromAsync(alice.mill.search("bob"));
  sent.resolve((await ear.receive())?.data.slice() ?? new Uint8Array());
  const { payload } = decodeDatagram(await sent.promise, { code: true, exact: true });
  const question = mallory.read(":search", readRumor(decodeWireData(payload)).envelope);
  const answer = bob.writeAnswer(question, self);
  const flipped = answer.slice();
  flipped[flipped.length - 1] = (flipped.at(-1) ?? 0) ^ 1;
  await valley.send(
    "mallory",
    alice,
    packetOf(":found", mallory.writeAnswer(question, self)), // bob's name under another key
    packetOf(":found", flipped),
    packetOf(":found", bob.writeAnswer({ ...question, seq: question.seq + 1 }, self)),
    packetOf(":found", bob.writeAnswer({ ...question, author: "00".repeat(20) }, self)),
    packetOf(":found", answer),
    packetOf(":found", answer),
  );
  await valley.clock.advance(3_000);
  assertEquals((await searching).map(({ peerId }) => peerId), [identityOf("bob").peerId]);
  await valley.send("mallory", alice, packetOf(":found", answer));
  assertEquals([alice.count("malformed"), alice.count("forged")], [1, 1]);
  assertEquals(alice.count("unasked"), 4);
  ear.close();
});

Deno.test("RumorMill hears an author no more than its rate, and reads a source no more than its own", async () => {
  await using valley = new Valley();
  const alice = await valley.miller("alice");
  const bob = valley.envelopes("bob");
  const flood = Array.from({ length: 450 }, (_, n) => {
    return packetOf(":rumor", bob.write(":rumor", `${n}`).bytes);
  });
  for (let n = 0; n < flood.length; n += 50) {
    await valley.send("mallory", alice, ...flood.slice(n, n + 50));
  }
  assertEquals(alice.count("rate"), 50);
  assert(alice.heard.length >= 20 && alice.heard.length <= 100, `${alice.heard.length} heard`);
  assertEquals(alice.count("author-rate") + alice.heard.length, 400);
  const carol = valley.envelopes("carol").write(":rumor", "hello").bytes;
  await valley.send("carol", alice, packetOf(":rumor", carol));
  assertEquals(alice.heard.at(-1)?.message, "hello");
});

Deno.test("RumorMill shows nothing raw of what others write", async () => {
  await using valley = new Valley();
  const alice = await valley.miller("alice");
  const evil = "\u001b[2J\n";
  const { bytes } = valley.envelopes("bob").write(":rumor", evil);
  await valley.send(evil, alice, packetOf(":search", bytes), packetOf(":rumor", bytes));
  assertEquals(alice.heard.map(({ message }) => message), [evil]);
  const shown = JSON.stringify(alice.log.lines);
  assert(alice.log.lines.length > 0 && !/\\u001b|\\n/.test(shown.replaceAll("\\\\", "")), shown);
});

Deno.test("RumorMill survives whatever its connections fail with, and says what is a fault", async () => {
  await using valley = new Valley();
  const failures = [new TransportError("Cannot connect"), new TypeError("a fault\u001b[2J")];
  const alice = await valley.miller("alice", {
    stream: () => {
      const failure = failures.shift();
      if (failure instanceof TypeError) throw failure;
      return Promise.reject(failure);
    },
  });
  alice.knows(alice);
  for (let n = 0; n < 2; n++) alice.mill.tell("x".repeat(5_000));
  await settle();
  assertEquals(alice.count("unsent"), 2);
  assertEquals(alice.log.lines.map(({ level, fields }) => [level, fields.error]), [
    ["error", "TypeError: a fault\\u{1b}[2J"], // it threw before anybody waited
    ["debug", "TransportError: Cannot connect"],
  ]);
});

Deno.test("RumorMill closes while it is watched and searches", async () => {
  await using valley = new Valley();
  const alice = await valley.miller("alice", {
    stream: () => Promise.reject(new TransportError("Cannot connect")),
  });
  alice.knows(alice);
  alice.mill.tell("x".repeat(5_000));
  const watching = Array.fromAsync(alice.mill.watch());
  const searching = Array.fromAsync(alice.mill.search("b"));
  await settle();
  await Promise.all([alice.mill.close(), alice.mill.close()]);
  assertEquals([await watching, await searching, valley.clock.timers], [[], [], 0]);
  assertEquals(alice.count("unsent"), 1);
  assertThrows(() => alice.mill.tell("hello"), ClosedError, "is closed");
  assertThrows(() => alice.mill.search("b"), ClosedError, "is closed");
  alice.mill.receive("bob", new Uint8Array());
});
