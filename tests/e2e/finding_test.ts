import { assert, assertEquals, assertMatch } from "@std/assert";
import { FOREIGN_DIALECTS, type ForeignPeer } from "../../src/discovery/foreign.ts";
import { Peer } from "../../src/peer.ts";
import { loopback, type Outcome } from "./process.ts";
import { Scratch } from "./scratch.ts";
import { Shell } from "./shell.ts";
import { eachOf, Up } from "./up.ts";

/** Who was found, and how. */
function waysOf({ code, stderr, events }: Outcome): (readonly [name: unknown, via: unknown])[] {
  assertEquals(code, 0, stderr);
  return events.map(({ name, via }) => [name, via]);
}

Deno.test("discover finds a peer by question, by address, by file and by mDNS, and says how", async () => {
  await using scratch = await Scratch.make();
  await using bob = await Up.start(["--name", "bob", "--mdns"]);
  await using shell = new Shell();
  const discover = (network: readonly string[], ...args: string[]) =>
    shell.run(["discover", "--json", "--timeout", "1", ...network, ...args]);
  // Nobody is found by questions on a network of its own.
  const elsewhere = (...args: string[]) => discover(loopback(), ...args);
  const file = await scratch.write("others", `# a comment\n\n127.0.0.1:9\n${bob.address}\n`);
  const [asked, named, listed, both, tools, hidden] = await Promise.all([
    discover(bob.network),
    elsewhere("--peer", bob.address, "--peer", "127.0.0.1:9"),
    elsewhere("--peers-file", file),
    elsewhere("--peers-file", file, "--peer", bob.address),
    elsewhere("--mdns"),
    elsewhere(),
  ]) as [Outcome, Outcome, Outcome, Outcome, Outcome, Outcome];
  const [[name, via]] = waysOf(asked) as [[unknown, string[]]];
  assertEquals([name, via.includes("multicast4") || via.includes("broadcast")], ["bob", true]);
  assertEquals(waysOf(named), [["bob", ["static"]]]);
  assertEquals(waysOf(listed), [["bob", ["file"]]]);
  assertEquals(waysOf(both), [["bob", ["file", "static"]]]);
  // Others on this machine may be listed by mDNS, too.
  const mine = tools.events.filter(({ peerId }) => peerId === bob.peerId);
  assertEquals(mine.map(({ name, via }) => [name, via]), [["bob", ["mdns"]]], tools.stderr);
  assertEquals(waysOf(hidden), []);
  assertMatch(hidden.stderr, /^Nobody answered in 1 s; kith doctor says what may be in the way\n$/);
  for (const { events: [found] } of [asked, named, listed]) {
    assertEquals([found?.peerId, found?.addresses], [bob.peerId, [bob.address]]);
  }
});

Deno.test("discover looks only on the interfaces that it may use, and refuses what names none", async () => {
  await using bob = await Up.start(["--name", "bob"]);
  const rows: readonly (readonly [pattern: string, found: number | undefined])[] = [
    ["lo*", 1],
    ["!eth*", 1],
    ["!lo*", 0],
    ["nothing0", 0],
    ["!", undefined],
    ["lo,,eth0", undefined],
  ];
  await using shell = new Shell();
  const outcomes = await eachOf(rows, ([pattern]) => {
    return shell.run([
      "discover",
      "--json",
      "--timeout",
      "0.5",
      "--interface",
      pattern,
      ...bob.network,
    ]);
  });
  for (const [index, { code, events, stderr }] of outcomes.entries()) {
    const [pattern, found] = rows[index] as typeof rows[number];
    const peers = events.filter(({ peerId }) => peerId !== undefined);
    const wanted = found === undefined ? [2, 0] : [0, found];
    assertEquals([code, peers.length], wanted, `${pattern}: ${stderr}`);
    if (found === undefined) assertMatch(stderr, /Interface pattern must be a name/);
  }
});

Deno.test("up and discover --dialect all see peers of other programs, apart from ours", async () => {
  const network = loopback();
  const discoveryPort = Number(network.at(-1));
  const common = { hostname: "127.0.0.1", discoveryPort, dialects: FOREIGN_DIALECTS };
  await using listener = await Peer.open({ ...common, clientOnly: true });
  const heard = listener.findForeign({ timeoutMs: 20_000 });
  const first = heard.next(); // a server of witch-core announces itself at the start, then seldom
  await using bob = await Up.start(["--name", "bob", "--dialect", "all"], { network });
  await using ann = await Up.start(["--name", "ann"], { network });
  const foreign = new Map<string, ForeignPeer>();
  const take = ({ value: peer }: IteratorResult<ForeignPeer, void>) => {
    if (!peer) throw new Error(`Only ${[...foreign.keys()]} were heard`);
    const { port } = peer.address;
    // Whoever else speaks a dialect on this machine is no matter of ours.
    if (port === bob.tcp || port === bob.udp) foreign.set(peer.dialect, peer);
    assert(port !== ann.tcp && port !== ann.udp);
  };
  take(await first);
  while (foreign.size < FOREIGN_DIALECTS.length) take(await heard.next());
  await heard.return();
  assertEquals([...foreign.keys()].sort(), [...FOREIGN_DIALECTS].sort());
  const witch = foreign.get("witch");
  assertEquals([witch?.name, witch?.address.port], ["bob", bob.tcp]);

  const look = ["discover", "--dialect", "peerconnect", "--timeout", "1", ...network];
  await using shell = new Shell();
  const [lines, text] = await Promise.all([shell.run([...look, "--json"]), shell.run(look)]);
  assertEquals([lines.code, text.code], [0, 0], lines.stderr + text.stderr);
  const ours = lines.events.filter(({ dialect }) => dialect === undefined);
  assertEquals(ours.map(({ name }) => name), ["ann", "bob"]);
  // Those who look speak it, too.
  const others = lines.events.filter(({ dialect }) => dialect === "peerconnect");
  assert(others.some(({ addresses }) => String(addresses) === `127.0.0.1:${bob.udp}`));
  assertMatch(text.stdout, new RegExp(`\npeerconnect +.* +127\\.0\\.0\\.1:${bob.udp} `));
});
