import { assert, assertEquals, assertRejects } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import {
  Discovery,
  DISCOVERY_PORT,
  type DiscoveryOptions,
  MULTICAST_V4,
} from "../../src/discovery/discovery.ts";
import type { LocalInterface } from "../../src/discovery/interfaces.ts";
import {
  encodeAnswer,
  encodeQuestion,
  networkHash,
  parseAnswer,
  parseQuestion,
} from "../../src/discovery/packets.ts";
import type { FoundPeer } from "../../src/discovery/search.ts";
import { ClosedError, TransportError, UnsupportedError } from "../../src/errors.ts";
import { Metrics } from "../../src/metrics.ts";
import {
  type Address,
  type DatagramOptions,
  type DatagramSocket,
  MemoryNetwork,
  netTransport,
  openDatagram,
  type Transport,
} from "../../src/transport/mod.ts";
import { encodeDatagram, SERVICE_CODE } from "../../src/wire/datagram.ts";
import { encodeWireData, wireData } from "../../src/wire/message.ts";
import { CountingClock } from "../endpoint/fixture.ts";
import { Generator } from "../fuzz/generate.ts";

const NETWORK = networkHash("");
const GROUP: Address = { hostname: MULTICAST_V4, port: DISCOVERY_PORT };

Deno.test("Discovery finds peers on the network, with where they are and how they were reached", async () => {
  await using lan = new Lan();
  await lan.announce("alice", 1111);
  await lan.announce("bob", 2222);
  const carol = await lan.open("carol");
  const found = await lan.search(carol);
  assertEquals(found.map(({ name }) => name).sort(), ["alice", "bob"]);
  const bob = found.find(({ name }) => name === "bob");
  assertEquals(bob, {
    peerId: idOf("bob"),
    name: "bob",
    tcpPort: 2222,
    addresses: [{ hostname: "bob", port: 2222 }],
    via: ["broadcast", "multicast4"],
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

Deno.test("Discovery keeps networks apart", async () => {
  await using lan = new Lan();
  await lan.announce("alice", 1111, { network: "garden" });
  await lan.announce("bob", 2222, { network: "" });
  const inGarden = await lan.open("carol", { network: "garden" });
  assertEquals((await lan.search(inGarden)).map(({ name }) => name), ["alice"]);
});

Deno.test("Discovery believes no answer that does not repeat the question's id", async () => {
  await using lan = new Lan();
  const forger = await lan.network.host("forger").datagram(
    { port: DISCOVERY_PORT, groups: [{ group: MULTICAST_V4, interfaceAddress: "forger" }] },
  );
  const forging = (async () => {
    for (let got = await forger.receive(); got !== undefined; got = await forger.receive()) {
      const { id = 0, via = "broadcast" } = parseQuestion(got.data, NETWORK) ?? {};
      for (const [name, forged] of [["forged", id + 1], ["zero", 0], ["true", id]] as const) {
        const answer = { id: forged, via, peerId: idOf(name), instance: idOf(name).slice(0, 16) };
        const packet = encodeAnswer({ ...answer, name, tcpPort: 1 }, NETWORK);
        await forger.send(packet, got.from);
      }
    }
  })();
  assertEquals(namesOf(await lan.search(await lan.open("carol"))), ["true"]);
  forger.close();
  await forging;
});

Deno.test("Discovery answers the asker alone, from its own socket, and no longer than it was asked", async () => {
  await using lan = new Lan();
  const bob = await lan.announce("bob", 2222);
  const { asker, bystander, heard } = await lan.listeners();
  const question = encodeQuestion({ id: 7, from: new Uint8Array(8), via: "multicast4" }, NETWORK);
  await asker.send(question, GROUP);
  await lan.clock.advance(0);
  const [toAsker = [], toBystander = []] = [heard.get(asker), heard.get(bystander)];
  assertEquals(toAsker.length, 1);
  assertEquals(toAsker[0]?.from, bob.address);
  assertEquals(parseAnswer(toAsker[0]?.data ?? question, NETWORK)?.name, "bob");
  assert((toAsker[0]?.data.length ?? Infinity) <= question.length);
  assertEquals(toBystander.map(({ from }) => from), [asker.address]); // the question, and no answer

  // One that is shorter than its answer would make a peer send more than it was sent.
  const body = { net: NETWORK, from: new Uint8Array(8), via: "broadcast" };
  const bare = (pad: number) => {
    const message = wireData(":find", { ...body, pad: new Uint8Array(pad) }, { msgId: 8 });
    return encodeDatagram(SERVICE_CODE.discovery, encodeWireData(message));
  };
  assert(parseQuestion(bare(0), NETWORK) !== undefined);
  await asker.send(bare(0), GROUP);
  await lan.clock.advance(0);
  assertEquals(heard.get(asker)?.length, 1);
  await asker.send(bare(100), GROUP);
  await lan.clock.advance(0);
  assertEquals(heard.get(asker)?.length, 2);
});

Deno.test("Discovery drops and counts garbage, and goes on", async () => {
  await using lan = new Lan();
  const metrics = new Metrics();
  await lan.announce("bob", 2222, { metrics });
  const attacker = await lan.network.host("attacker").datagram();
  const question = encodeQuestion({ id: 7, from: new Uint8Array(8), via: "multicast4" }, NETWORK);
  const generator = new Generator(99);
  for (let packet = 0; packet < 300; packet++) {
    await attacker.send(generator.mutate(question), GROUP);
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

/** Hosts that reach each other, and a clock that they share. */
class Lan implements AsyncDisposable {
  readonly network = new MemoryNetwork();
  readonly clock = new ManualClock();
  readonly #parts = new AsyncDisposableStack();

  /** Opens a discovery that is not found itself, unless the options say so. */
  async open(host: string, options: Partial<DiscoveryOptions> = {}): Promise<Discovery> {
    const { clock, network } = this;
    const interfaces = () => [interfaceOf(host)];
    const common = { transport: network.host(host), clock, interfaces };
    return this.#parts.use(await Discovery.open({ ...common, ...options }));
  }

  announce(
    name: string,
    tcpPort: number,
    options: Partial<DiscoveryOptions> & { host?: string } = {},
  ): Promise<Discovery> {
    const { host = name, ...rest } = options;
    return this.open(host, { announce: announcementOf(name, tcpPort), ...rest });
  }

  /** What one second of looking finds, each peer as it was given last. */
  async search(discovery: Discovery): Promise<FoundPeer[]> {
    const looking = collect(discovery.find({ timeoutMs: 1_000 }));
    await this.clock.advance(1_000);
    return [...new Map((await looking).map((peer) => [peer.peerId, peer])).values()];
  }

  /** Two sockets that hear the group, what they hear, and nothing else of a peer. */
  async listeners() {
    const groups = [{ group: MULTICAST_V4, interfaceAddress: "any" }];
    const asker = await this.network.host("asker").datagram();
    const bystander = await this.network.host("bystander").datagram({
      port: DISCOVERY_PORT,
      groups,
    });
    const heard = new Map<DatagramSocket, { data: Uint8Array; from: Address }[]>();
    for (const socket of [asker, bystander]) {
      const list: { data: Uint8Array; from: Address }[] = [];
      heard.set(socket, list);
      const listening = (async () => {
        for (let got = await socket.receive(); got !== undefined; got = await socket.receive()) {
          list.push({ data: got.data.slice(), from: got.from });
        }
      })();
      this.#parts.defer(() => {
        socket.close();
        return listening;
      });
    }
    return { asker, bystander, heard };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync();
    this.network.close();
  }
}

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

/** A network that knows which of its datagram sockets are open. */
function counting(transport: Transport): { transport: Transport; open: Set<DatagramSocket> } {
  const open = new Set<DatagramSocket>();
  return {
    open,
    transport: {
      listen: (options) => transport.listen(options),
      connect: (to, options) => transport.connect(to, options),
      datagram: async (options) => {
        const socket = await transport.datagram(options);
        const close = socket.close.bind(socket);
        socket.close = () => {
          open.delete(socket);
          close();
        };
        open.add(socket);
        return socket;
      },
    },
  };
}

function interfaceOf(address: string): LocalInterface {
  return {
    name: `to ${address}`,
    family: "IPv4",
    address,
    broadcast: undefined,
    index: undefined,
    loopback: false,
  };
}

function announcementOf(name: string, tcpPort: number) {
  return { peerId: idOf(name), name, tcpPort };
}

function idOf(name: string): string {
  return new TextEncoder().encode(name.padEnd(20, "-")).toHex();
}

function namesOf(found: readonly FoundPeer[]): string[] {
  return [...new Set(found.map(({ name }) => name))].sort();
}

async function collect(finding: AsyncIterable<FoundPeer>): Promise<FoundPeer[]> {
  const found: FoundPeer[] = [];
  for await (const peer of finding) found.push(peer);
  return found;
}

async function freeUdpPort(): Promise<number> {
  const socket = await openDatagram({ hostname: "127.0.0.1" });
  socket.close();
  return socket.address.port;
}
