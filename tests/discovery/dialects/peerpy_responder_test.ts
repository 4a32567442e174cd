import { assert, assertEquals } from "@std/assert";
import { PEERPY_PORT, PeerpyDiscovery } from "../../../src/discovery/dialects/peerpy_discovery.ts";
import {
  PEERPY_ANSWERS,
  type PeerpyAnnouncement,
} from "../../../src/discovery/dialects/peerpy_responder.ts";
import { bytesOf, feedGarbage, loadVector } from "../../testdata/vectors.ts";
import { BroadcastTown, everybody, interfaceOf, text } from "./broadcasts_fixture.ts";

const LOCAL = "192.168.0.2";

Deno.test("PeerpyResponder answers a golden PING with the golden PONG, to where it came from", async () => {
  await using town = new BroadcastTown();
  await open(town, LOCAL, { port: 51515 });
  const asker = await town.ear("10.0.0.1", 1024);
  await asker.socket.send(bytesOf(loadVector("peerpy.ping_pong", "ping 10.0.0.1:1024")), toAll());
  await town.clock.advance(0);
  const pong = bytesOf(loadVector("peerpy.ping_pong", "pong 192.168.0.2:51515"));
  const answers = asker.heard.filter(({ from }) => from.hostname === LOCAL);
  assertEquals(answers.map(({ data }) => data), [pong]);
  assert(answers[0]?.from.port !== PEERPY_PORT); // the shared socket only receives
});

Deno.test("PeerpyResponder takes the seed's spelling, and a PING without its padding", async () => {
  await using town = new BroadcastTown();
  await open(town, LOCAL, { port: 7 });
  const asker = await town.ear("10.0.0.1");
  for (const ping of ["PING 10.0.0.1:51515", "PING|pinger=10.0.0.1:1024"]) {
    await asker.socket.send(new TextEncoder().encode(ping), toAll());
  }
  await town.clock.advance(0);
  assertEquals(asker.heard.length, 2);
});

Deno.test("PeerpyResponder answers nobody that a PING names and who did not send it", async () => {
  await using town = new BroadcastTown();
  await open(town, LOCAL, { port: 7 });
  const victim = await town.ear("victim", 4_000);
  const asker = await town.ear("10.0.0.1", 5_000);
  for (const named of ["victim:4000", "10.0.0.2:5000", "10.0.0.1.example:1", "localhost:4000"]) {
    await asker.socket.send(new TextEncoder().encode(`PING|pinger=${named}`), toAll());
  }
  await town.clock.advance(0);
  assertEquals([victim.heard, asker.heard], [[], []]);
  assertEquals(town.count("peerpy-refused"), 4);
});

Deno.test("PeerpyResponder gives an address no more answers than its rate, however short the question", async () => {
  await using town = new BroadcastTown();
  await open(town, LOCAL, { port: 7 });
  const asker = await town.ear("10.0.0.1");
  const other = await town.ear("10.0.0.2");
  const ping = new TextEncoder().encode("PING 10.0.0.1:1");
  for (let i = 0; i < 500; i++) await asker.socket.send(ping, toAll());
  await town.clock.advance(0);
  assertEquals(asker.heard.length, PEERPY_ANSWERS.burst);
  assertEquals(town.count("peerpy-rate"), 500 - PEERPY_ANSWERS.burst);
  assert(asker.heard.every(({ data }) => data.length === 128 && ping.length < 128));

  await other.socket.send(new TextEncoder().encode("PING 10.0.0.2:1"), toAll());
  await town.clock.advance(1_000);
  assertEquals(other.heard.length, 1);
  for (let i = 0; i < 500; i++) await asker.socket.send(ping, toAll());
  await town.clock.advance(0);
  assertEquals(asker.heard.length, PEERPY_ANSWERS.burst + PEERPY_ANSWERS.perSecond);
});

Deno.test("PeerpyResponder limits the answers to all addresses together", async () => {
  await using town = new BroadcastTown();
  await open(town, LOCAL, { port: 7 });
  for (let i = 0; i < 60; i++) {
    const ping = new TextEncoder().encode(`PING host${i}:1`);
    await town.shout(`host${i}`, PEERPY_PORT, ...Array<Uint8Array>(10).fill(ping));
  }
  assertEquals(town.count("peerpy-answers"), 400);
});

Deno.test("PeerpyResponder counts and drops what is no PING, and goes on", async () => {
  await using town = new BroadcastTown();
  await open(town, LOCAL, { port: 7 });
  const bad = ["", "PING", "PONG|ponger=10.0.0.1:1", "PING|pinger=x", "HELLO", "{}"];
  const packets = bad.map((packet) => new TextEncoder().encode(packet));
  await town.shout("10.0.0.1", PEERPY_PORT, ...packets, new Uint8Array(512).fill(0x7c));
  assertEquals(town.count("peerpy-malformed"), bad.length + 1);
  const asker = await town.ear("10.0.0.1");
  await asker.socket.send(new TextEncoder().encode("PING 10.0.0.1:1"), toAll());
  await town.clock.advance(0);
  assertEquals(asker.heard.length, 1);
});

Deno.test("PeerpyResponder survives noise", async () => {
  await using town = new BroadcastTown();
  await open(town, LOCAL, { port: 7 });
  const packets: Uint8Array[] = [];
  const sample = bytesOf(loadVector("peerpy.ping_pong", "ping 10.0.0.1:1024"));
  feedGarbage((bytes) => void packets.push(bytes), [sample], { seed: 3, cases: 200 });
  await town.shout("10.0.0.1", PEERPY_PORT, ...packets);
  assertEquals(town.count("peerpy-failures"), 0);
  assert(town.count("peerpy-malformed") > 20);
});

Deno.test("PeerpyResponder names the address that is on the asker's network", async () => {
  await using town = new BroadcastTown();
  const interfaces = () =>
    ["127.0.0.1", "10.0.0.9", "192.168.7.1", "192.168.0.2"].map((address) => interfaceOf(address));
  town.use(
    await PeerpyDiscovery.open({ ...town.on("server"), interfaces, announce: { port: 7 } }),
  );
  const wanted = {
    "10.0.0.1": "10.0.0.9",
    "192.168.0.77": "192.168.0.2",
    "192.168.7.77": "192.168.7.1",
    "127.0.0.2": "127.0.0.1",
  };
  for (const [host, named] of Object.entries(wanted)) {
    assertEquals(await pongTo(town, host), `PONG|ponger=${named}:7`);
  }
});

Deno.test("PeerpyResponder names the address that it is given, where it is one", async () => {
  await using town = new BroadcastTown();
  await open(town, "a", { port: 7, hostname: "10.0.0.9" });
  assertEquals(await pongTo(town, "asker"), "PONG|ponger=10.0.0.9:7");
});

Deno.test("PeerpyResponder of this machine alone answers nobody else", async () => {
  await using town = new BroadcastTown();
  const announce = { port: 7 };
  const hostname = "127.0.0.1";
  town.use(await PeerpyDiscovery.open({ ...town.on("home"), hostname, announce }));
  await town.shout("10.0.0.1", PEERPY_PORT, new TextEncoder().encode("PING 10.0.0.1:1"));
  assertEquals(town.count("peerpy-answers"), 0);
});

async function open(
  town: BroadcastTown,
  host: string,
  announce: PeerpyAnnouncement,
): Promise<PeerpyDiscovery> {
  return town.use(await PeerpyDiscovery.open({ ...town.on(host), announce }));
}

async function pongTo(town: BroadcastTown, host: string): Promise<string | undefined> {
  const asker = await town.ear(host);
  await asker.socket.send(new TextEncoder().encode(`PING ${host}:1`), toAll());
  await town.clock.advance(0);
  const [pong] = asker.heard;
  return pong && text(pong.data).replace(/\|+$/, "");
}

function toAll() {
  return everybody(PEERPY_PORT);
}
