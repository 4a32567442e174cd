import { assert, assertEquals, assertRejects } from "@std/assert";
import { sleep } from "../../src/clock.ts";
import type { Candidate, CandidateSource } from "../../src/discovery/candidates.ts";
import type { Discovery, DiscoveryOptions } from "../../src/discovery/discovery.ts";
import type { DiscoveryMethod } from "../../src/discovery/packets.ts";
import type { FoundPeer } from "../../src/discovery/search.ts";
import { StaticAddresses } from "../../src/discovery/sources/static_addresses.ts";
import { TransportError, UnsupportedError } from "../../src/errors.ts";
import { Metrics } from "../../src/metrics.ts";
import { type Address, formatAddress } from "../../src/transport/mod.ts";
import { CountingClock, settle } from "../endpoint/fixture.ts";
import { announcementOf, collect, counting, identityOf, Lan } from "./lan.ts";

/** Those who are there when somebody connects, by `host:port`. */
class Town extends Lan {
  override readonly clock = new CountingClock();
  readonly metrics = new Metrics();
  /** Who is where. */
  readonly inhabitants = new Map<string, string>();
  /** Who was asked, and when. */
  readonly asked: [address: string, atMs: number][] = [];

  readonly probe = (address: Address) => {
    const where = formatAddress(address);
    this.asked.push([where, this.clock.now()]);
    const name = this.inhabitants.get(where);
    if (name === undefined) return Promise.reject(new TransportError("refused"));
    return Promise.resolve({ peerId: identityOf(name).peerId, name });
  };

  carol(options: Partial<DiscoveryOptions>): Promise<Discovery> {
    return this.open("carol", { probe: this.probe, metrics: this.metrics, ...options });
  }

  /** What so much time of looking finds, each time it is given. */
  async look(discovery: Discovery, timeoutMs: number): Promise<FoundPeer[]> {
    const looking = collect(discovery.find({ timeoutMs }));
    await this.clock.advance(timeoutMs);
    return await looking;
  }
}

/** Names addresses by a method; with a peer id behind a space where it says who must be there. */
function source(method: DiscoveryMethod, ...candidates: string[]): CandidateSource {
  return {
    method,
    async *find(): AsyncGenerator<Candidate, void, void> {
      for (const candidate of candidates) {
        const [where = "", peerId] = candidate.split(" ");
        const [hostname = "", port] = where.split(":");
        const address = { hostname, port: Number(port) };
        yield await Promise.resolve(peerId === undefined ? { address } : { address, peerId });
      }
    },
  };
}

/** Names addresses again every second. */
function repeating(
  { clock }: Town,
  method: DiscoveryMethod,
  ...candidates: string[]
): CandidateSource {
  return {
    method,
    async *find(options): AsyncGenerator<Candidate, void, void> {
      for (;;) {
        yield* source(method, ...candidates).find(options);
        await sleep(clock, 1_000, options);
      }
    },
  };
}

Deno.test("Discovery finds by connecting those that sources name, and makes one entry of one peer", async () => {
  await using town = new Town();
  await town.announce("bob", 2222);
  town.inhabitants.set("bob:2222", "bob").set("dave:1", "dave");
  const sources = [
    new StaticAddresses(["bob:2222", "dave:1", "nobody:1"]),
    source("file", "bob:2222"),
    source("mdns", "elsewhere:1"),
  ];
  town.inhabitants.set("elsewhere:1", "bob");
  const carol = await town.carol({ sources });
  const found = new Map((await town.look(carol, 1_000)).map((peer) => [peer.name, peer]));
  assertEquals([...found.keys()].sort(), ["bob", "dave"]);
  assertEquals(found.get("bob"), {
    peerId: identityOf("bob").peerId,
    name: "bob",
    tcpPort: 2222,
    addresses: [{ hostname: "bob", port: 2222 }, { hostname: "elsewhere", port: 1 }],
    via: ["broadcast", "file", "mdns", "multicast4", "static"],
    isProven: true,
  });
  assertEquals(found.get("dave")?.via, ["static"]);
  assertEquals(town.asked.length, 4);
  const { "discovery.candidates": asked, "discovery.candidates-failed": failed } = town.metrics
    .snapshot();
  assertEquals([asked, failed], [4, 1]);
  assert(carol.asked.includes("static to nobody:1") && carol.asked.includes("mdns to elsewhere:1"));
});

Deno.test("Discovery lists nobody for a hint alone, nor somebody else than the one that was meant", async () => {
  await using town = new Town();
  town.inhabitants.set("a:1", "mallory").set("b:1", "bob");
  const { peerId } = identityOf("bob");
  const carol = await town.carol({ sources: [source("dns", `a:1 ${peerId}`, `b:1 ${peerId}`)] });
  const found = await town.look(carol, 1_000);
  assertEquals(found.map(({ name, addresses }) => [name, addresses.length]), [["bob", 1]]);
  assertEquals(town.metrics.snapshot()["discovery.candidates-failed"], 1);
});

Deno.test("Discovery does not find itself where a source names it, and does not ask there again", async () => {
  const own = { announce: announcementOf("carol", 3333), ownId: identityOf("carol").peerId };
  const ways: Partial<DiscoveryOptions>[] = [{ announce: own.announce }, { ownId: own.ownId }];
  for (const options of ways) {
    await using town = new Town();
    town.inhabitants.set("carol:3333", "carol").set("bob:1", "bob");
    const meant = `carol:3333 ${identityOf("bob").peerId}`; // another's id does not make it another's address
    const again = repeating(town, "mdns", "carol:3333", meant);
    const sources = [new StaticAddresses(["carol:3333", "bob:1"]), again];
    const carol = await town.carol({ ...options, sources });
    assertEquals((await town.look(carol, 100_000)).map(({ name }) => name), ["bob"]);
    assertEquals(town.asked.map(([where]) => where).sort(), ["bob:1", "carol:3333"]);
    assertEquals(town.metrics.snapshot()["discovery.candidates-failed"], undefined);
    await town.look(carol, 1_000);
    assertEquals(town.asked.length, 4, "another search begins anew");
  }
});

Deno.test("Discovery asks by multicast first, by broadcast 50 ms later, and remembered addresses after 400 ms", async () => {
  await using town = new Town();
  town.inhabitants.set("old:1", "dave");
  const remembered: string[] = [];
  const memory = {
    ...source("remembered", "old:1"),
    method: "remembered",
    remember: ({ name }: FoundPeer) => void remembered.push(name),
  } as const;
  const carol = await town.carol({ memory, sources: [source("static", "nobody:1")] });
  const looking = collect(carol.find({ timeoutMs: 1_000 }));
  const ways = () => carol.asked.map((way) => way.split(" ")[0]);
  await town.clock.advance(49);
  assertEquals(ways().sort(), ["multicast4", "static"]);
  await town.clock.advance(1);
  assertEquals(ways().at(-1), "broadcast");
  await town.clock.advance(349);
  assertEquals(town.asked.map(([where]) => where), ["nobody:1"]);
  await town.clock.advance(601);
  assertEquals(town.asked.at(-1), ["old:1", 400]);
  assertEquals((await looking).map(({ name, via }) => [name, via]), [["dave", ["remembered"]]]);
  assertEquals([...new Set(remembered)], ["dave"]);
});

Deno.test("Discovery asks the eight remembered addresses that come first although somebody was found, and all where nobody was", async () => {
  await using town = new Town();
  town.inhabitants.set("old3:1", "dave");
  const old = Array.from({ length: 20 }, (_, n) => `old${n}:1`);
  const memory = {
    ...source("remembered", ...old),
    method: "remembered",
    remember: () => {},
  } as const;
  const carol = await town.carol({ memory });
  await town.look(carol, 1_000);
  assertEquals(town.asked.map(([where]) => where), old);
  // Whoever forges an answer in time does not keep us from those whom we know.
  await town.announce("mallory", 2222);
  town.asked.length = 0;
  await town.clock.advance(60_000);
  const found = await town.look(carol, 1_000);
  assertEquals(town.asked.map(([where]) => where), old.slice(0, 8));
  const proven = new Map(found.map(({ name, isProven }) => [name, isProven]));
  assertEquals([...proven], [["mallory", false], ["dave", true]]);
});

Deno.test("Discovery asks again every 30 seconds where nobody was, and every two minutes who was there", async () => {
  await using town = new Town();
  town.inhabitants.set("bob:1", "bob");
  const carol = await town.carol({ sources: [new StaticAddresses(["bob:1", "late:1"])] });
  const looking = collect(carol.find({ timeoutMs: 200_000 }));
  await town.clock.advance(45_000);
  town.inhabitants.set("late:1", "late");
  await town.clock.advance(155_000);
  assertEquals((await looking).map(({ name }) => name), ["bob", "late"]);
  const times = (wanted: string) => town.asked.flatMap(([at, ms]) => at === wanted ? [ms] : []);
  assertEquals(times("bob:1"), [0, 120_000]);
  assertEquals(times("late:1"), [0, 30_000, 60_000, 180_000]);
});

Deno.test("Discovery asks for 1,024 candidates of a source at most, and takes no more than it can ask", async () => {
  await using town = new Town();
  let taken = 0;
  const endless: CandidateSource = {
    method: "mdns",
    async *find() {
      for (let port = 1; port <= 2_000; port++) {
        taken++;
        yield await Promise.resolve({ address: { hostname: `h${port}`, port } });
      }
    },
  };
  const waiting = (_: Address, { signal }: { signal: AbortSignal }) =>
    new Promise<never>((_, reject) =>
      signal.addEventListener("abort", () => reject(signal.reason))
    );
  const busy = await town.open("busy", { probe: waiting, sources: [endless] });
  await town.look(busy, 100);
  assert(taken < 100, `${taken}`);
  const carol = await town.carol({ sources: [endless] });
  await town.look(carol, 29_000);
  assertEquals(town.asked.length, 1_024);
  assertEquals(town.metrics.snapshot()["discovery.candidates-dropped"], 976);
});

Deno.test("Discovery goes on when a source fails, and says what is missing where that is a permission", async () => {
  await using town = new Town();
  town.inhabitants.set("bob:1", "bob");
  const obstacle = new UnsupportedError("run with --allow-net");
  const broken: CandidateSource = {
    method: "dns",
    // deno-lint-ignore require-yield
    async *find(): AsyncGenerator<Candidate, void, void> {
      await Promise.reject(obstacle);
    },
  };
  const carol = await town.carol({ sources: [broken, new StaticAddresses(["bob:1"])] });
  assertEquals((await town.look(carol, 100)).map(({ name }) => name), ["bob"]);
  assertEquals([carol.obstacle, town.metrics.snapshot()["discovery.failures"]], [obstacle, 1]);
});

Deno.test("Discovery needs no interfaces where sources know who is there", async () => {
  await using town = new Town();
  town.inhabitants.set("bob:1", "bob");
  const interfaces = () => {
    throw new UnsupportedError("run with --allow-sys=networkInterfaces");
  };
  const carol = await town.carol({ interfaces, sources: [new StaticAddresses(["bob:1"])] });
  assertEquals((await town.look(carol, 100)).map(({ name }) => name), ["bob"]);
  assert(carol.obstacle?.message.includes("--allow-sys"));
});

Deno.test("Discovery leaves nothing behind of a search that was left, nor when it is closed while it asks", async () => {
  await using town = new Town();
  const { transport, open } = counting(town.network.host("carol"));
  let connecting = 0;
  const probe = (_: Address, { signal }: { signal: AbortSignal }) => {
    connecting++;
    return new Promise<never>((_, reject) =>
      signal.addEventListener("abort", () => {
        void settle().then(() => { // hanging up takes a moment
          connecting--;
          reject(signal.reason);
        });
      })
    );
  };
  const sources = [new StaticAddresses(["a:1", "b:1"]), source("remembered", "c:1")];
  const carol = await town.carol({ transport, probe, sources });
  const state = () => [connecting, open.size, town.clock.timers];
  const looking = collect(carol.find({ timeoutMs: 500 }));
  await town.clock.advance(450);
  assertEquals(connecting, 3);
  await town.clock.advance(50);
  await looking;
  await settle();
  assertEquals(state(), [0, 0, 0]);
  const again = collect(carol.find());
  await town.clock.advance(10);
  assertEquals(connecting, 2); // not put off by questions that were taken back
  await carol.close();
  await again;
  assertEquals(state(), [0, 0, 0]);
});

Deno.test("Discovery.open refuses sources without a probe", async () => {
  await using town = new Town();
  const sources = [new StaticAddresses(["a:1"])];
  await assertRejects(() => town.open("carol", { sources }), TypeError, "need a probe");
});
