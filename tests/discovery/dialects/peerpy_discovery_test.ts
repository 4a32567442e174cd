import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  PEERPY_PORT,
  PeerpyDiscovery,
  type PeerpyDiscoveryOptions,
} from "../../../src/discovery/dialects/peerpy_discovery.ts";
import type { ForeignPeer } from "../../../src/discovery/foreign.ts";
import { ClosedError, TransportError, UnsupportedError } from "../../../src/errors.ts";
import { formatAddress } from "../../../src/transport/transport.ts";
import { CountingClock } from "../../endpoint/fixture.ts";
import { bytesOf, feedGarbage, loadVector } from "../../testdata/vectors.ts";
import {
  BroadcastTown,
  Collector,
  everybody,
  freeUdpPort,
  interfaceOf,
  onLoopback,
  text,
} from "./broadcasts_fixture.ts";

const PONG = bytesOf(loadVector("peerpy.ping_pong", "pong 192.168.0.2:51515"));

Deno.test("PeerpyDiscovery asks everybody with the golden PING, from an address of its own", async () => {
  await using town = new BroadcastTown();
  const ear = await town.ear("bob", PEERPY_PORT);
  await using _looking = look(await open(town, "10.0.0.1"));
  await town.clock.advance(0);
  const [ping] = ear.heard;
  assert(ping !== undefined);
  const golden = text(bytesOf(loadVector("peerpy.ping_pong", "ping 10.0.0.1:1024")));
  const own = golden.replace("1024", String(ping.from.port)).padEnd(129, "|").slice(0, 128);
  assertEquals([text(ping.data), ping.from.hostname], [own, "10.0.0.1"]);
});

Deno.test("PeerpyDiscovery finds who answers, at the host that the answer came from", async () => {
  await using town = new BroadcastTown();
  const visible = await town.ear("bob", PEERPY_PORT);
  await using looking = look(await open(town, "alice"));
  await town.clock.advance(0);
  for (let answers = 0; answers < 3; answers++) {
    for (const { from } of visible.heard) await visible.socket.send(PONG, from);
    await town.clock.advance(0);
  }
  assertEquals(looking.all, [peerAt("bob", 51515, "192.168.0.2:51515")]);
});

Deno.test("PeerpyDiscovery reads the seed's spelling of an answer", async () => {
  await using town = new BroadcastTown();
  const visible = await town.ear("bob", PEERPY_PORT);
  await using looking = look(await open(town, "alice"));
  await town.clock.advance(0);
  const answer = new TextEncoder().encode("PING 192.168.0.3:62626");
  for (const { from } of visible.heard) await visible.socket.send(answer, from);
  await town.clock.advance(0);
  assertEquals(looking.all, [peerAt("bob", 62626, "192.168.0.3:62626")]);
});

Deno.test("PeerpyDiscovery listens until half a second is quiet, and then asks again", async () => {
  await using town = new BroadcastTown();
  const visible = await town.ear("bob", PEERPY_PORT);
  await using looking = look(await open(town, "alice"));
  await town.clock.advance(400);
  const asker = visible.heard[0]?.from;
  assert(asker !== undefined);
  const answer = async (port: number) => {
    const pong = new TextEncoder().encode(`PONG|ponger=bob:${port}`);
    await visible.socket.send(pong, asker);
    await town.clock.advance(400);
  };
  for (const port of [1, 2]) await answer(port); // 0.4 s and 0.8 s after the question
  await town.clock.advance(100);
  await answer(3); // 1.3 s: half a second after the last
  assertEquals(looking.all.map(({ address }) => address.port), [1, 2]);
  assertEquals(visible.heard.length, 1);
  await town.clock.advance(2_500);
  assertEquals(visible.heard.length, 2);
});

Deno.test("PeerpyDiscovery does not let who answers without end keep it from asking", async () => {
  await using town = new BroadcastTown();
  const visible = await town.ear("bob", PEERPY_PORT);
  await using _looking = look(await open(town, "alice"));
  await town.clock.advance(0);
  for (let at = 0; at < 8_000; at += 400) {
    const asker = visible.heard[0]?.from;
    if (asker !== undefined) await visible.socket.send(PONG, asker);
    await town.clock.advance(400);
  }
  assertEquals(visible.heard.length, 2);
});

Deno.test("PeerpyDiscovery and PeerpyDiscovery find each other, on one host too, and not themselves", async () => {
  await using town = new BroadcastTown();
  const first = await open(town, "home", { announce: { port: 1111 } });
  const second = await open(town, "home", { announce: { port: 2222 } });
  const third = await open(town, "away", { announce: { port: 3333 } });
  const wanted = new Map([[first, [2222, 3333]], [second, [1111, 3333]], [third, [1111, 2222]]]);
  for (const [discovery, ports] of wanted) {
    const looking = look(discovery);
    await town.clock.advance(100);
    const found = await looking.stop();
    assertEquals(found.map(({ address }) => address.port).sort(), ports);
    for (const { id, address } of found) assertEquals(id, formatAddress(address));
  }
});

Deno.test("PeerpyDiscovery takes for its own only what it asks from at the time", async () => {
  await using town = new BroadcastTown();
  const ear = await town.ear("bob", PEERPY_PORT);
  const looking = look(await open(town, "home", { announce: { port: 7 } }));
  await town.clock.advance(0);
  await looking.stop();
  assertEquals(town.count("peerpy-answers"), 0);
  const later = await town.ear("home", ear.heard[0]?.from.port);
  await later.socket.send(new TextEncoder().encode("PING home:1"), everybody(PEERPY_PORT));
  await town.clock.advance(0);
  assertEquals(town.count("peerpy-answers"), 1);
});

Deno.test("PeerpyDiscovery counts answers that are none and goes on", async () => {
  await using town = new BroadcastTown();
  const visible = await town.ear("bob", PEERPY_PORT);
  await using looking = look(await open(town, "alice"));
  await town.clock.advance(0);
  const asker = visible.heard[0]?.from;
  assert(asker !== undefined);
  const bad = ["PONG", "PONG|ponger=bob:0", "PONG|ponger=bob", "HELLO|peer_name=bob:1", "\u001b"];
  for (const answer of bad) await visible.socket.send(new TextEncoder().encode(answer), asker);
  await visible.socket.send(new Uint8Array(129).fill(0x7c), asker);
  await visible.socket.send(PONG, asker);
  await town.clock.advance(0);
  assertEquals(looking.all.length, 1);
  assertEquals(town.count("peerpy-malformed"), bad.length + 1);
});

Deno.test("PeerpyDiscovery survives answers that are noise", async () => {
  await using town = new BroadcastTown();
  const visible = await town.ear("bob", PEERPY_PORT);
  await using looking = look(await open(town, "alice"));
  await town.clock.advance(0);
  const asker = visible.heard[0]?.from;
  assert(asker !== undefined);
  const sent: Promise<void>[] = [];
  const { decoded } = feedGarbage(
    (bytes) => void sent.push(visible.socket.send(bytes, asker)),
    [PONG],
    { seed: 5, cases: 200 },
  );
  await Promise.all(sent);
  await town.clock.advance(0);
  const malformed = town.count("peerpy-malformed");
  assert(malformed > 20 && malformed <= decoded, `${malformed} of ${decoded}`);
  assertEquals(town.count("peerpy-failures"), 0);
  for (const { address } of looking.all) assertEquals(address.hostname, "bob");
});

Deno.test("PeerpyDiscovery uses every IPv4 interface it may, and a bad one stops no other", async () => {
  await using town = new BroadcastTown();
  const ear = await town.ear("bob", PEERPY_PORT);
  const interfaces = () => [interfaceOf("10.9.9.9"), interfaceOf("alice", "bob")];
  await using _looking = look(await open(town, "alice", { interfaces }));
  await town.clock.advance(0);
  assertEquals(ear.heard.length, 2); // the directed broadcast and the limited one
  assertEquals(town.count("failures"), 1);
  await using elsewhere = look(await open(town, "alice", { interfaces, hostname: "10.1.1.1" }));
  await town.clock.advance(0);
  assertEquals([elsewhere.all, ear.heard.length], [[], 2]);
});

Deno.test("PeerpyDiscovery tells once what fails in each round", async () => {
  await using town = new BroadcastTown();
  const interfaces = () => {
    throw new UnsupportedError("Cannot list network interfaces: run with --allow-sys");
  };
  await using _looking = look(await open(town, "alice", { interfaces }));
  await town.clock.advance(10_000);
  assert(town.count("failures") > 2);
  assertEquals(town.log.lines.map(({ level }) => level), ["warn"]);
});

Deno.test("PeerpyDiscovery.close ends searches and is harmless twice; nothing is left", async () => {
  await using town = new BroadcastTown();
  const clock = new CountingClock();
  const discovery = await open(town, "alice", { clock, announce: { port: 7 } });
  const looking = look(discovery);
  const left = discovery.find();
  const next = left.next();
  await clock.advance(10);
  await Promise.all([discovery.close(), discovery.close()]);
  assertEquals([await looking.stop(), (await next).done, clock.timers], [[], true, 0]);
  await assertRejects(() => discovery.find().next(), ClosedError, "discovery is closed");
  const ear = await town.network.host("alice").datagram({ port: PEERPY_PORT }); // nobody has it
  ear.close();
});

Deno.test("PeerpyDiscovery.find ends when its signal aborts or the loop is left", async () => {
  await using town = new BroadcastTown();
  const clock = new CountingClock();
  await open(town, "bob", { announce: { port: 7 } });
  const discovery = await open(town, "alice", { clock });
  for await (const { address } of discovery.find()) {
    assertEquals(address.port, 7);
    break;
  }
  assertEquals(clock.timers, 0);
  const aborted = AbortSignal.abort();
  for await (const peer of discovery.find({ signal: aborted })) throw new Error(peer.id);
  assertEquals(clock.timers, 0);
});

Deno.test("PeerpyDiscovery.open refuses a port that is none, and one that another program has", async () => {
  await using town = new BroadcastTown();
  for (const port of [0, 65_536, 1.5]) {
    await assertRejects(() => open(town, "alice", { announce: { port } }), RangeError, "1..65535");
  }
  const taken = await town.network.host("alice").datagram({ port: PEERPY_PORT });
  await assertRejects(() => open(town, "alice", { announce: { port: 7 } }), TransportError);
  taken.close();
  await open(town, "alice", { announce: { port: 7 } });
});

Deno.test("PeerpyDiscovery finds others on real sockets of this machine", async () => {
  const common = { ...onLoopback(), port: await freeUdpPort() };
  await using first = await PeerpyDiscovery.open({ ...common, announce: { port: 1111 } });
  await using second = await PeerpyDiscovery.open({ ...common, announce: { port: 2222 } });
  for (const [discovery, port] of [[first, 2222], [second, 1111]] as const) {
    for await (const peer of discovery.find({ signal: AbortSignal.timeout(5_000) })) {
      assertEquals(peer, peerAt("127.0.0.1", port, `127.0.0.1:${port}`));
      break;
    }
  }
});

function open(
  town: BroadcastTown,
  host: string,
  options: PeerpyDiscoveryOptions = {},
): Promise<PeerpyDiscovery> {
  const opening = PeerpyDiscovery.open({ ...town.on(host), ...options });
  return opening.then((discovery) => town.use(discovery));
}

function look(discovery: PeerpyDiscovery): Collector<ForeignPeer> {
  return new Collector((signal) => discovery.find({ signal }));
}

function peerAt(hostname: string, port: number, id: string): ForeignPeer {
  return { dialect: "peerpy", id, name: "", address: { hostname, port }, protocols: [] };
}
