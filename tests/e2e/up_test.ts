import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Peer } from "../../src/peer.ts";
import { EVIL, isRaw } from "./odd_server.ts";
import { type Event, Kith, loopback, run, until } from "./process.ts";
import { paths, Scratch } from "./scratch.ts";
import { Shell } from "./shell.ts";
import { eachOf, Up, upLine } from "./up.ts";

/** The names of events, in order. */
function namesOf(events: readonly Event[]): unknown[] {
  return events.map(({ event }) => event);
}

/** A peer of the test's own process on a network, which others see by its name. */
function openPeer(name: string, network: readonly string[]): Promise<Peer> {
  const discoveryPort = Number(network.at(-1));
  return Peer.open({ name, hostname: "127.0.0.1", port: 0, discoveryPort });
}

/** An event, without how often it was asked who is there. */
function besidesLooking({ counters, ...rest }: Event): Event {
  const others = Object.entries(counters ?? {}).filter(([name]) => name !== "discovery.questions");
  return { ...rest, counters: Object.fromEntries(others) };
}

Deno.test("up says where it is, and ends with 130 in order for every signal", async () => {
  const signals: Deno.Signal[] = ["SIGINT", "SIGTERM", "SIGHUP"];
  await Promise.all(signals.map(async (signal) => {
    await using bob = await Up.start(["--name", "bob"]);
    const [ready] = bob.kith.events;
    const keys = ["event", "peerId", "name", "tcp", "udp", "http", "status"];
    assertEquals(Object.keys(ready ?? {}), keys);
    const { peerId, name, tcp, udp, http } = ready as Record<string, unknown>;
    assertMatch(String(peerId), /^[0-9a-f]{40}$/);
    assertEquals([
      name,
      new Set([tcp, udp, http]).size,
      Math.min(Number(tcp), Number(udp), Number(http)) > 0,
    ], ["bob", 3, true]);
    bob.kith.signal(signal);
    const { code, events, stderr } = await bob.kith.ended();
    const closed = { event: "closed", counters: {} };
    assertEquals([code, stderr, events.slice(1).map(besidesLooking)], [130, "", [closed]]);
  }));
});

Deno.test("up prints who comes and goes, what is written and what is sent", async () => {
  await using scratch = await Scratch.make();
  const dir = scratch.path("inbox");
  const file = await scratch.write("notes.txt", "hello");
  await using bob = await Up.start(["--name", "bob", "--dir", dir, "--yes"]);
  const told = ["added", "message", "removed", "added", "received", "removed"];
  const home = { env: { KITH_HOME: scratch.path("home") } };
  const ann = (...line: string[]) => run([...line, "--name", "ann", ...bob.network], home);
  assertEquals((await ann("msg", "bob", "hello there")).code, 0);
  await bob.kith.event("removed");
  assertEquals((await ann("send", file, "--to", "bob")).code, 0);
  await until("the end of it", () => bob.kith.events.length > told.length);
  const { events, code } = await bob.kith.interrupt();
  assertEquals([code, namesOf(events)], [130, ["ready", ...told, "closed"]]);
  const [{ peerId }] = (await run(["id", "--json"], home)).events as [Event];
  assertEquals(events.slice(1, 4), [
    { event: "added", peerId, name: "ann" },
    { event: "message", from: peerId, dialect: "native", data: "hello there" },
    { event: "removed", peerId, name: "ann" },
  ]);
  const sha256 = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
  assertEquals(events[5], { event: "received", path: "notes.txt", bytes: 5, sha256, from: peerId });
  assertEquals(paths(dir), ["notes.txt"]);
  const { counters } = events.at(-1) as { counters: Record<string, number> };
  assertEquals([counters["accept.established"], counters["session.accepted"]], [2, 1]);
});

Deno.test("up takes no files without --dir", async () => {
  await using scratch = await Scratch.make();
  await using bob = await Up.start();
  const { code, stderr } = await bob.run(["send", await scratch.write("f"), "--to", bob.address]);
  assertEquals(code, 4);
  assertStringIncludes(stderr, "takes no files");
});

Deno.test("up ends with 1 at a port that is taken, with 2 for bad options, and names them", async () => {
  await using taken = await Up.start();
  await using shell = new Shell();
  const rows: readonly (readonly [options: readonly string[], code: number, says: RegExp])[] = [
    [["--port", `${taken.tcp}`], 1, /Cannot listen on 127\.0\.0\.1:\d+: Address already in use/],
    [["--http-port", `${taken.tcp}`], 1, /Cannot serve HTTP on 127.*: Address already in use/],
    [["--udp-port", "x"], 2, /--udp-port must be a whole number, 0\.\.65535: it is x/],
    [["--http-port", "70000"], 2, /--http-port must be a whole number, 0\.\.65535: it is 70000/],
    [
      ["--dialect", "nonsense"],
      2,
      /--dialect must be all or some of peerconnect,witch,peerpy,kademlia: it is nonsense/,
    ],
    [
      ["--dialect", "witch,"],
      2,
      /--dialect must be all or some of peerconnect,witch,peerpy,kademlia: it is witch,\n/,
    ],
    [["--max-clients", "0"], 2, /--max-clients must be a whole number from 1: it is 0/],
    [["--project"], 2, /Option --project needs ID/],
    [["--project", "x".repeat(129)], 2, /projectId must have at most 128 characters/],
    [["--name", "x".repeat(65)], 2, /Name must have at most 64 characters/],
    [["--timeout", "1"], 2, /Unknown option --timeout/],
    [["bob"], 2, /It takes options only: bob is none/],
    [["--dir", "/dev/null/in"], 5, /Cannot use folder "\/dev\/null\/in"/],
  ];
  const outcomes = await eachOf(rows, ([options]) => {
    return shell.run([...upLine(taken.network), ...options]);
  });
  for (const [index, { code, stdout, stderr }] of outcomes.entries()) {
    const [options, wanted, says] = rows[index] as typeof rows[number];
    assertEquals([code, stdout], [wanted, ""], `${options.join(" ")}: ${stderr}`);
    assertMatch(stderr, says);
  }
});

Deno.test("up --max-clients 1 refuses the second client by every way, and takes it later", async () => {
  await using bob = await Up.start(["--max-clients", "1", "--dialect", "witch"]);
  await using first = bob.start(["ping", bob.address, "--count", "1000"]);
  await first.says(/answered/);
  const others = [
    ["call", bob.address, "status"],
    ["call", `ws://127.0.0.1:${bob.http}`, "status"],
    ["call", bob.address, "status", "--dialect", "witch"],
    ["ping", bob.address],
    ["msg", bob.address, "hi"],
  ];
  const refused = await Promise.all(others.map((line) => bob.run([...line, "--json"])));
  for (const { code, stderr, events } of refused) {
    assertEquals([code, events.map(({ code }) => code)], [4, ["limit"]]);
    assertMatch(stderr, /There are 1 clients already \(maxClients\)\n$/);
  }
  await first.interrupt();
  await bob.kith.event("removed");
  assertEquals((await bob.run(["call", bob.address, "status"])).code, 0);
  const { counters } = (await bob.kith.interrupt()).events.at(-1) as { counters: Event };
  assertEquals(counters["accept.refused.limit"], others.length);
});

Deno.test("up --project joins those of its project, and leaves the others alone", async () => {
  const network = loopback();
  const start = (name: string, project: string, ...more: string[]) =>
    Up.start(["--name", name, "--project", project, ...more], { network });
  await using ann = await start("ann", "garden");
  await using zoe = await start("zoe", "cellar");
  await using bob = await start("bob", "garden", "--max-clients", "1");
  const joined = await Promise.all([ann, bob].map(({ kith }) => kith.event("mesh-joined")));
  assertEquals(joined, [
    { event: "mesh-joined", peerId: bob.peerId, name: "bob" },
    { event: "mesh-joined", peerId: ann.peerId, name: "ann" },
  ]);
  // Servers are no clients, and they know each other.
  const { events, code } = await bob.run(["call", "bob", "peers", "--json"]);
  const peers = events[0]?.result as { id: string }[];
  assertEquals([code, peers.some(({ id }) => id === ann.peerId)], [0, true]);
  // Who looks for servers meets the stranger, and both hang up.
  await zoe.kith.event("removed");
  assertEquals((await bob.kith.interrupt()).code, 130);
  assertEquals((await ann.kith.event("mesh-left")).peerId, bob.peerId);
  for (const { kith } of [ann, zoe]) {
    const { code, events } = await kith.interrupt();
    const joins = events.filter(({ event }) => event === "mesh-joined");
    assertEquals([code, joins.length], [130, kith === ann.kith ? 1 : 0]);
  }
});

Deno.test("up shows people names and messages of any type, and nothing raw", async () => {
  const network = loopback();
  const mesh = ["--project", "garden", "--name", "bob"];
  await using bob = Kith.start([...upLine(network), ...mesh]);
  const said = await bob.says(
    /bob is up \(tcp \d+, udp \d+, http \d+, status at http:\S+\), \^C ends\n/,
  );
  const address = `127.0.0.1:${/tcp (\d+)/.exec(said)?.[1]}`;
  await using evil = await openPeer(EVIL, network);
  await using garden = evil.mesh({ projectId: "garden", serverName: EVIL });
  await bob.says(/joined the mesh/);
  await until("evil to know it, too", () => garden.peers().length === 1);
  let deep: unknown = 1;
  for (let depth = 0; depth < 50; depth++) deep = new Map([[1, deep]]);
  for (const data of [deep, { [EVIL]: EVIL }, EVIL]) await garden.broadcast(data);
  await bob.says(/to all: \{.*\n.*to all: a/);
  const session = await evil.connect(address);
  for (const text of [EVIL, "x".repeat(5_000)]) await session.send(text);
  await session.send({ when: new Date(0), bytes: Uint8Array.of(1) }, { type: "raw" });
  await session.send(Uint8Array.of(0, 255), { type: "bytes" });
  await session.send("over");
  await bob.says(/: over\n/);
  await bob.says(/\) connected\n/); // said once it lasts, as it was bob who has opened it
  const { code, stdout, stderr } = await bob.interrupt();
  assertEquals(code, 130);
  assert(!isRaw(stdout) && !isRaw(stderr), JSON.stringify({ stdout, stderr }));
  const name = "a\\u{1b}[2J\\u{7}\\u{1b}]0;x\\u{7}\\u{9b}31m\\u{202e}gnp.\\u{2028}";
  const who = `${name} (${evil.peerId.slice(0, 8)})`;
  for (
    const line of [
      `${who} connected`,
      `${who} joined the mesh`,
      `${who}: ${name}`,
      `${who}: ${"x".repeat(2_000)}…`,
      `${who}: {"when":{"$time":"1970-01-01T00:00:00.000Z"},"bytes":{"$bytes":"01"}}`,
      `${who}: {"$bytes":"00ff"}`,
      `${who} left the mesh`,
    ]
  ) assertStringIncludes(stdout, `${line}\n`);
  assertMatch(stderr, /to all: .*nesting exceeds MAX_JSON_DEPTH 64\n$/);
  await session.close();
});

Deno.test("^C of up ends a session in order, and a connection that is idle at once", async () => {
  await using bob = await Up.start();
  await using ann = await openPeer("ann", bob.network);
  const session = await ann.connect(bob.address);
  await session.send("hello");
  await using link = await ann.link(bob.address);
  await bob.kith.event("message");
  const startMs = performance.now();
  const { code, events } = await bob.kith.interrupt();
  assertEquals([code, namesOf(events)], [130, ["ready", "added", "message", "closed"]]);
  assert(performance.now() - startMs < 2_500, "it took too long");
  assertEquals(await session.closed, undefined);
  assertEquals(await link.closed, undefined);
});

Deno.test("^C of up gives a transfer up at once, keeps what has come apart and tells both", async () => {
  await using scratch = await Scratch.make();
  const dir = scratch.path("inbox");
  const film = await scratch.writeZeros("film", 1_000_000_000);
  await using bob = await Up.start(["--dir", dir, "--yes"]);
  await using ann = bob.start(["send", film, "--to", bob.address, "--json"]);
  await until("the first bytes", () => paths(dir).some((path) => path.endsWith(".part")));
  const { code, events } = await bob.kith.interrupt();
  assertEquals(code, 130);
  assertEquals(paths(dir).filter((path) => !path.startsWith(".kith-partial/")), []);
  const failed = events.find(({ event }) => event === "failed");
  assertEquals([failed?.code, failed?.message], [
    "closed",
    "The transfer was given up by the receiver",
  ]);
  const sent = await ann.ended();
  assertEquals([sent.code, sent.events.at(-1)?.code], [1, "closed"]);
});

Deno.test("up ends with an error when nobody reads what it prints", async () => {
  const network = loopback();
  const within = ["bash", "-c", 'exec "$@" > >(head -n 1 >&2)', "bash"];
  await using bob = Kith.start([...upLine(network), "--json"], { within });
  const ready = JSON.parse(await bob.says(/\{.*"ready".*\}/));
  await using ann = await openPeer("ann", network);
  await ann.link(`127.0.0.1:${ready.tcp}`);
  const { code, stderr } = await bob.ended();
  assertEquals(code, 1, stderr);
  assertMatch(stderr, /\nkith up: Nobody reads what it prints any more/);
});
