import { assert, assertEquals } from "@std/assert";
import { ManualClock } from "../../../src/clock.ts";
import { RememberedPeers } from "../../../src/discovery/sources/remembered_peers.ts";
import { type Logger, silentLogger } from "../../../src/log.ts";
import { Home } from "../../../src/state/home.ts";
import { formatAddress, parseAddress } from "../../../src/transport/mod.ts";
import { CountingClock } from "../../endpoint/fixture.ts";

const { signal } = new AbortController();

/** A home folder, and memories of it. */
class Scene implements AsyncDisposable {
  readonly clock = new CountingClock();
  readonly said: string[] = [];
  readonly log: Logger = {
    ...silentLogger,
    warn: (text) => void this.said.push(text),
    error: (text) => void this.said.push(text),
  };
  readonly dir = Deno.makeTempDirSync();
  readonly home = Home.open(this.dir, { log: this.log });

  open(): RememberedPeers {
    return new RememberedPeers({ home: this.home, clock: this.clock, log: this.log });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Deno.remove(this.dir, { recursive: true });
  }
}

function peer(n: number, ...addresses: string[]) {
  const parsed = addresses.map((text) => parseAddress(text) ?? { hostname: text, port: 1 });
  return { peerId: idOf(n), name: `peer ${n}`, addresses: parsed };
}

/** The same, as a connection has proven it. */
function proven(n: number, ...addresses: string[]) {
  return { ...peer(n, ...addresses), isProven: true };
}

function idOf(n: number): string {
  return n.toString(16).padStart(40, "0");
}

async function found(peers: RememberedPeers): Promise<string[]> {
  const candidates = await Array.fromAsync(peers.find({ signal }));
  return candidates.map(({ address }) => formatAddress(address));
}

Deno.test("RememberedPeers names who was found before, the latest first and the best address of each", async () => {
  await using scene = new Scene();
  {
    using peers = scene.open();
    peers.remember(peer(1, "a:1", "[fe80::1%eth0]:1"));
    await scene.clock.advance(1_000);
    peers.remember(peer(2, "b:2"));
    assertEquals(await found(peers), ["b:2", "a:1", "[fe80::1%eth0]:1"]);
  }
  using peers = scene.open();
  assertEquals(await found(peers), ["b:2", "a:1", "[fe80::1%eth0]:1"]);
  const epochMs = new ManualClock().wallMs();
  assertEquals(peers.all, [
    {
      peerId: idOf(2),
      name: "peer 2",
      addresses: ["b:2"],
      lastSeen: epochMs + 1_000,
      proven: false,
    },
    {
      peerId: idOf(1),
      name: "peer 1",
      addresses: ["a:1", "[fe80::1%eth0]:1"],
      lastSeen: epochMs,
      proven: false,
    },
  ]);
  assertEquals(scene.said, []);
});

Deno.test("RememberedPeers writes what it was told within five seconds, once", async () => {
  await using scene = new Scene();
  using peers = scene.open();
  const written = () => scene.home.read("peers.json") !== undefined;
  peers.remember(peer(1, "a:1"));
  await scene.clock.advance(3_000);
  peers.remember(peer(2, "b:2"));
  await scene.clock.advance(1_999);
  assertEquals(written(), false);
  await scene.clock.advance(1);
  assertEquals([written(), scene.clock.timers], [true, 0]);
  assertEquals(scene.open().all.length, 2);
  peers.close();
  peers.remember(peer(3, "c:3"));
  assertEquals([scene.clock.timers, scene.open().all.length], [0, 2]);
});

Deno.test("RememberedPeers keeps older addresses behind newer ones, eight in all", async () => {
  await using scene = new Scene();
  using peers = scene.open();
  peers.remember(peer(1, "a:1", "b:1", "c:1"));
  await scene.clock.advance(5_000);
  peers.remember(peer(1, "c:1", "d:1"));
  assertEquals(peers.all[0]?.addresses, ["c:1", "d:1", "a:1", "b:1"]);
  await scene.clock.advance(5_000);
  const more = ["e:1", "f:1", "g:1", "h:1", "i:1", "j:1"];
  peers.remember({ ...peer(1, ...more), name: "\ud800".padEnd(99, "x") });
  assertEquals(peers.all[0]?.addresses, [...more, "c:1", "d:1"]);
  peers.close();
  assertEquals(scene.open().all[0]?.name, "\ufffd".padEnd(64, "x"));
});

Deno.test("RememberedPeers forgets who was seen longest ago when there are more than 1,024", async () => {
  await using scene = new Scene();
  using peers = scene.open();
  for (let n = 1; n <= 1_000; n++) peers.remember(proven(n, `a:${n}`));
  await scene.clock.advance(5_000);
  peers.remember(proven(1, "a:1"));
  for (let n = 2_001; n <= 2_100; n++) peers.remember(proven(n, `a:${n}`));
  await scene.clock.advance(5_000);
  const ids = new Set(peers.all.map(({ peerId }) => peerId));
  assertEquals(ids.size, 1_024);
  assert(ids.has(idOf(1)) && !ids.has(idOf(2)) && !ids.has(idOf(77)) && ids.has(idOf(78)));
  for (let n = 3_001; n <= 6_000; n++) peers.remember(proven(n, `a:${n}`));
  assertEquals([peers.all.length, peers.all[0]?.peerId], [1_024, idOf(6_000)]);
});

Deno.test("RememberedPeers forgets none that was proven for those that only answered, 256 of which it keeps", async () => {
  await using scene = new Scene();
  using peers = scene.open();
  const counts = () => {
    const all = peers.all;
    return [all.length, all.filter(({ proven }) => proven).length];
  };
  for (let n = 1; n <= 300; n++) peers.remember(peer(n, `a:${n}`));
  assertEquals(counts(), [256, 0]);
  assertEquals(peers.all.at(-1)?.peerId, idOf(45));
  for (let n = 1_001; n <= 1_900; n++) peers.remember(proven(n, `a:${n}`));
  assertEquals(counts(), [1_024, 900]);
  await scene.clock.advance(5_000);
  for (let n = 2_001; n <= 3_500; n++) peers.remember(peer(n, `a:${n}`)); // each a forged answer
  assertEquals(counts(), [1_024, 900]);
  await scene.clock.advance(5_000);
  assertEquals(counts(), [1_024, 900]);
  const last = peers.all.find(({ proven }) => !proven);
  assertEquals([peers.all[0]?.peerId, last?.peerId], [idOf(1_900), idOf(3_500)]);
  for (let n = 1_901; n <= 2_100; n++) peers.remember(proven(n, `a:${n}`));
  assertEquals(counts(), [1_024, 1_024]);
});

Deno.test("RememberedPeers names those that were proven before those that only answered since", async () => {
  await using scene = new Scene();
  using peers = scene.open();
  peers.remember(proven(1, "a:1", "a2:1"));
  peers.remember(proven(2, "b:1"));
  await scene.clock.advance(5_000);
  for (let n = 3; n <= 20; n++) peers.remember(peer(n, `forged:${n}`));
  assertEquals((await found(peers)).slice(0, 4), ["b:1", "a:1", "forged:20", "forged:19"]);
  assertEquals((await found(peers)).at(-1), "a2:1");
});

Deno.test("RememberedPeers keeps in its file who was proven once, and takes who is in an old one for unproven", async () => {
  await using scene = new Scene();
  const row = { peerId: idOf(1), name: "", addresses: ["a:1"], lastSeen: 0 };
  const old = JSON.stringify({ version: 1, records: [row] });
  scene.home.writeAtomic("peers.json", new TextEncoder().encode(old));
  const known = () => scene.open().all.map(({ proven }) => proven);
  assertEquals(known(), [false]);
  // Proven, then only heard of; before it is written, and after.
  for (const isProven of [true, false]) {
    using peers = scene.open();
    peers.remember({ ...peer(1, "a:1"), isProven });
    peers.remember(peer(1, "a:1"));
    peers.close();
    assertEquals(known(), [true]);
  }
  assertEquals(scene.said, []);
});

Deno.test("RememberedPeers of two processes lose nothing of each other's", async () => {
  await using scene = new Scene();
  const [one, two] = [scene.open(), scene.open()];
  assertEquals([one.all, two.all], [[], []]);
  one.remember(peer(1, "a:1"));
  two.remember(peer(2, "b:2"));
  one.close();
  two.close();
  assertEquals(await found(scene.open()), ["b:2", "a:1"]);
});

Deno.test("RememberedPeers sets aside what it cannot understand, says so and begins anew", async () => {
  const rows = [
    "{", // no JSON
    '{"version":2,"records":[]}',
    '{"version":1,"records":[{"peerId":"bob","name":"","addresses":[],"lastSeen":0}]}',
    `{"version":1,"records":[{"peerId":"${idOf(1)}","name":7,"addresses":[],"lastSeen":0}]}`,
    `{"version":1,"records":[{"peerId":"${idOf(1)}","name":"","addresses":["bob"],"lastSeen":0}]}`,
    `{"version":1,"records":[{"peerId":"${idOf(1)}","name":"","addresses":[7],"lastSeen":0}]}`,
    `{"version":1,"records":[{"peerId":"${idOf(1)}","name":"","addresses":[],"lastSeen":"now"}]}`,
    `{"version":1,"records":[{"peerId":"${
      idOf(1)
    }","name":"","addresses":[],"lastSeen":0,"proven":1}]}`,
  ];
  await using scene = new Scene();
  for (const [at, text] of rows.entries()) {
    scene.home.writeAtomic("peers.json", new TextEncoder().encode(text));
    using peers = scene.open();
    assertEquals(at % 2 === 0 ? peers.all : [], [], text);
    peers.remember(peer(1, "a:1"));
    peers.close();
    assertEquals(await found(scene.open()), ["a:1"], text);
    assertEquals(scene.said.splice(0), ["corrupt file set aside"], text);
    assertEquals(Deno.readTextFileSync(`${scene.dir}/peers.json.corrupt-${at + 1}`), text);
  }
});

Deno.test("RememberedPeers says so when it cannot write, and goes on", async () => {
  await using scene = new Scene();
  using peers = scene.open();
  peers.remember(peer(1, "a:1"));
  Deno.mkdirSync(`${scene.dir}/peers.json`);
  await scene.clock.advance(5_000);
  assertEquals(scene.said, ["could not write remembered peers"]);
});
