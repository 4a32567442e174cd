import { assertEquals, assertRejects } from "@std/assert";
import type { ForeignPeer } from "../../../src/discovery/foreign.ts";
import { PeerConnectDiscovery } from "../../../src/discovery/dialects/peerconnect.ts";
import { UNCODED } from "../../../src/endpoint/requests_dispatcher.ts";
import { ClosedError, UnsupportedError } from "../../../src/errors.ts";
import { Network } from "../../../src/secure/network.ts";
import { sealTransport } from "../../../src/secure/sealed_socket.ts";
import { Sealer } from "../../../src/secure/sealer.ts";
import { netTransport, openDatagram, type Transport } from "../../../src/transport/mod.ts";
import { decodeDatagram, encodeDatagram, SERVICE_CODE } from "../../../src/wire/datagram.ts";
import { CountingClock, settle } from "../../endpoint/fixture.ts";
import {
  decimalOf,
  FIND_PORT,
  foreign,
  GROUP,
  idOf,
  interfaceOf,
  Node,
  Original,
  ORIGINAL_ID,
  readContact,
  search,
  Village,
} from "./peerconnect_fixture.ts";

Deno.test("PeerConnectDiscovery finds an original and is found by it", async () => {
  await using village = new Village();
  const alice = await village.node("alice");
  const bob = await village.original("bob");
  assertEquals(await search(village, alice), [foreign(ORIGINAL_ID, bob.address)]);
  await bob.find();
  const [heard] = await bob.received(1);
  assertEquals(heard?.from, alice.address);
  const { hostname: ip, port } = alice.address;
  const wanted = { header: 1, id: decimalOf("alice"), key: "connect_uri", ip, port };
  assertEquals(bob.found, [wanted]);
});

Deno.test("PeerConnectDiscovery does not find itself, but a second peer on the same host", async () => {
  await using village = new Village();
  const first = await village.node("first", { host: "home" });
  const second = await village.node("second", { host: "home" });
  assertEquals(await search(village, first), [foreign(decimalOf("second"), second.address)]);
  assertEquals([first.count("replies"), second.count("replies")], [0, 2]);
});

Deno.test("PeerConnectDiscovery asks at the times of the original: twice, and again every 3 s", async () => {
  await using village = new Village();
  const alice = await village.node("alice");
  const bystander = await village.network.host("bystander").datagram({
    port: FIND_PORT,
    groups: [{ group: GROUP, interfaceAddress: "bystander" }],
  });
  const asked: number[] = [];
  const listening = (async () => {
    for (let got = await bystander.receive(); got !== undefined; got = await bystander.receive()) {
      asked.push(village.clock.now());
      const { key, ip, port, header } = readContact(got.data) ?? {};
      const { hostname, port: own } = alice.address;
      assertEquals([header, key, ip, port], [0, "reply_addr", hostname, own]);
    }
  })();
  await search(village, alice, 7_000);
  assertEquals(asked, [100, 300, 3_400, 3_600, 6_700, 6_900]);
  assertEquals(alice.count("finds"), 6);
  await village.clock.advance(10_000);
  assertEquals(asked.length, 6, "it asks though nobody looks");
  bystander.close();
  await listening;
});

Deno.test("PeerConnectDiscovery finds who starts later, and gives each once for every address", async () => {
  await using village = new Village();
  const alice = await village.node("alice");
  const found: ForeignPeer[] = [];
  const stop = new AbortController();
  const looking = (async () => {
    for await (const peer of alice.discovery.find({ signal: stop.signal })) found.push(peer);
  })();
  await village.clock.advance(1_000);
  assertEquals(found, []);
  const bob = await village.original("bob");
  await village.clock.advance(10_000);
  assertEquals(found, [foreign(ORIGINAL_ID, bob.address)]);
  const moved = await village.original("moved");
  await village.clock.advance(4_000);
  assertEquals(found.slice(1), [foreign(ORIGINAL_ID, moved.address)]);
  stop.abort();
  await looking;
});

Deno.test("PeerConnectDiscovery searches end in every way, and leave nothing", async () => {
  await using village = new Village();
  const clock = new CountingClock();
  const alice = await village.node("alice", { clock });
  await village.original("bob");
  const resting = clock.timers;
  for await (const { id } of over(alice.discovery.find(), clock)) {
    assertEquals(id, ORIGINAL_ID);
    break;
  }
  assertEquals(clock.timers, resting);
  assertEquals(await Array.fromAsync(alice.discovery.find({ signal: AbortSignal.abort() })), []);
  assertEquals(clock.timers, resting);
  const looking = Array.fromAsync(alice.discovery.find());
  await clock.advance(200);
  await Promise.all([alice.discovery.close(), alice.discovery.close()]);
  await alice.discovery.close();
  assertEquals((await looking).length, 1);
  assertEquals(clock.timers, 0);
  await assertRejects(() => alice.discovery.find().next(), ClosedError, "discovery is closed");
});

Deno.test("PeerConnectDiscovery ends a search no sooner than it has closed what it asked from", async () => {
  await using village = new Village();
  const host = village.network.host("alice");
  const opening = Promise.withResolvers<void>();
  const transport: Transport = {
    listen: () => host.listen(),
    connect: (to) => host.connect(to),
    datagram: async (options) => {
      if (!options?.shared) await opening.promise;
      return await host.datagram(options);
    },
  };
  const alice = await village.node("alice", { transport, portTransport: host });
  const stop = new AbortController();
  const ended: string[] = [];
  const looking = Array.fromAsync(alice.discovery.find({ signal: stop.signal }));
  void looking.then(() => ended.push("search"));
  await village.clock.advance(100);
  stop.abort();
  await settle();
  const closing = alice.discovery.close().then(() => ended.push("discovery"));
  await settle();
  assertEquals(ended, []);
  opening.resolve();
  await closing;
  assertEquals(ended.sort(), ["discovery", "search"]);
});

Deno.test("PeerConnectDiscovery.open gives back what it took when it fails", async () => {
  await using village = new Village();
  const registered = new Set<number>();
  const requests = {
    register(code: number) {
      registered.add(code);
      return { [Symbol.dispose]: () => void registered.delete(code) };
    },
  };
  const address = { hostname: "alice", port: 4_000 };
  const udp = { address, requests, send: () => Promise.resolve() };
  const common = { transport: village.network.host("alice"), udp, clock: village.clock };
  const interfaces = (): never => {
    assertEquals([...registered], [0, 1, 2, UNCODED]);
    throw new UnsupportedError("Cannot list network interfaces");
  };
  const failing = { ...common, peerId: idOf("alice"), interfaces };
  await assertRejects(() => PeerConnectDiscovery.open(failing), UnsupportedError);
  assertEquals([...registered], []);
  const short = { ...common, peerId: new Uint8Array(19) };
  await assertRejects(() => PeerConnectDiscovery.open(short), RangeError, "20 bytes");
});

Deno.test("PeerConnectDiscovery passes the seal of a closed network, and takes nothing from who is behind it", async () => {
  await using village = new Village();
  const network = new Network("home", [new Uint8Array(32).fill(7)]);
  const host = village.network.host("alice");
  const sealed = sealTransport(host, new Sealer({ network, clock: village.clock }));
  const groups = [{ group: GROUP, interfaceAddress: "alice" }];
  const behind = await sealed.datagram({ port: FIND_PORT, shared: true, groups });
  const alice = await village.node("alice", { portTransport: sealed });
  const bob = await village.original("bob");
  assertEquals(await search(village, alice), [foreign(ORIGINAL_ID, bob.address)]);
  await bob.find();
  await bob.received(1);
  assertEquals(bob.found.map(({ id }) => id), [decimalOf("alice")]);

  const other = sealTransport(
    village.network.host("carol"),
    new Sealer({ network, clock: village.clock }),
  );
  const carol = await other.datagram();
  const question = encodeDatagram(SERVICE_CODE.discovery, Uint8Array.of(1, 2, 3));
  const receiving = (async () => {
    for (;;) {
      const got = await behind.receive();
      if (got === undefined || got.data[0] === SERVICE_CODE.discovery) return got?.data.slice();
    }
  })();
  await carol.send(question, { hostname: GROUP, port: FIND_PORT });
  assertEquals(decodeDatagram((await receiving) ?? new Uint8Array(), { code: true, exact: true }), {
    code: SERVICE_CODE.discovery,
    payload: Uint8Array.of(1, 2, 3),
  });
  behind.close();
  carol.close();
});

Deno.test("PeerConnectDiscovery and an original find each other on real sockets of this machine", async () => {
  const hostname = "127.0.0.1";
  const free = await openDatagram({ hostname });
  const { port } = free.address;
  free.close();
  const loopback = interfaceOf(hostname, { name: "lo", loopback: true });
  await using bob = await Original.open(netTransport, { ip: hostname, port });
  const common = { transport: netTransport, hostname, port, interfaces: () => [loopback] };
  await using alice = await Node.open("alice", common);
  for await (const peer of alice.discovery.find({ signal: AbortSignal.timeout(5_000) })) {
    assertEquals(peer, foreign(ORIGINAL_ID, bob.address));
    break;
  }
  await bob.find();
  await bob.received(1);
  const [found] = bob.found;
  assertEquals([found?.id, found?.ip], [decimalOf("alice"), hostname]);
  assertEquals(found?.port, alice.address.port);
});

/** What a search gives while time goes on. */
async function* over<T>(found: AsyncGenerator<T, void, void>, clock: CountingClock) {
  const next = found.next();
  await clock.advance(500);
  const { value } = await next;
  try {
    if (value !== undefined) yield value;
  } finally {
    await found.return();
  }
}
