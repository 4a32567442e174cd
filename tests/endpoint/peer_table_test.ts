import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { ManualClock, seededRandom } from "../../src/clock.ts";
import { Endpoint } from "../../src/endpoint/endpoint.ts";
import type { Link } from "../../src/endpoint/link.ts";
import { MemoryNetwork } from "../../src/transport/mod.ts";
import { identityOf, infoOf, Served, SERVER, settle } from "./fixture.ts";

/** Two endpoints that listen, on a network with latency. */
class Couple implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly #network: MemoryNetwork;
  readonly #endpoints: Endpoint[] = [];

  constructor(seed: number) {
    this.#network = new MemoryNetwork({ clock: this.clock, latencyMs: [1, 40], seed });
  }

  async open(name: string): Promise<Endpoint> {
    const endpoint = await Endpoint.open({
      transport: this.#network.host(name),
      identity: identityOf(name),
      self: infoOf(name),
      hostname: name,
      port: 1,
      clock: this.clock,
      limits: { heartbeatMs: Infinity },
    });
    this.#endpoints.push(endpoint);
    return endpoint;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closing = Promise.all(this.#endpoints.map((endpoint) => endpoint.close()));
    await this.clock.advance(5_000);
    await closing;
    this.#network.close();
  }
}

Deno.test("Two peers that open shared links to each other at random times end with the same one", async () => {
  const rounds = 250;
  let both = 0;
  for (let seed = 1; seed <= rounds; seed++) {
    await using couple = new Couple(seed);
    const random = seededRandom(seed);
    const [a, b] = [await couple.open("a"), await couple.open("b")];
    b.handle("echo", ({ n }) => n);
    a.handle("echo", ({ n }) => n);
    const dial = async (from: Endpoint, hostname: string, afterMs: number): Promise<unknown> => {
      const { promise, resolve } = Promise.withResolvers<void>();
      couple.clock.after(afterMs, resolve);
      await promise;
      const link = await from.connect({ hostname, port: 1 }, { shared: true });
      // Whatever link it is at that moment, what was asked on it is answered.
      return await link.request("echo", { n: seed });
    };
    const dials = [dial(a, "b", random() * 100), dial(b, "a", random() * 100)];
    await couple.clock.advance(3_000);
    assertEquals(await Promise.all(dials), [seed, seed]);
    assertEquals([a.links.size, b.links.size], [1, 1], `seed ${seed}`);
    const [ofA] = a.links;
    const [ofB] = b.links;
    assert(ofA?.direction !== ofB?.direction);
    assertStrictEquals(a.peers.shared(ofA?.peer ?? infoOf("b")), ofA);
    both += a.metrics.snapshot()["link.duplicates"] ?? 0;
  }
  assert(both > rounds / 4, `only ${both} of ${rounds} were races`);
});

Deno.test("Endpoint.connect gives the same shared link to all who ask, and a private one to each", async () => {
  await using served = await Served.open();
  const client = await served.client();
  const shared = await Promise.all([1, 2, 3].map(() => client.connect(SERVER, { shared: true })));
  assertEquals(new Set(shared).size, 1);
  const own = await Promise.all([1, 2].map(() => client.connect(SERVER)));
  assertEquals(new Set<Link>([...shared, ...own]).size, 3);
  await settle();
  assertEquals(served.endpoint.links.size, 3);
  assertEquals(served.metrics.snapshot(), { "accept.established": 3 });
});

Deno.test("Two programs with the same identity keep a shared link each", async () => {
  await using served = await Served.open();
  const [one, two] = await Promise.all([1, 2].map(() => served.client("twin")));
  const links = await Promise.all([one, two].map((client) => {
    return client?.connect(SERVER, { shared: true });
  }));
  await settle();
  assertEquals(served.endpoint.links.size, 2);
  assertEquals(served.endpoint.peers.list().length, 1);
  assert(links[0] !== links[1]);
});

Deno.test("PeerTable knows who is there and tells who comes and goes, once per peer", async () => {
  await using served = await Served.open();
  const { peers } = served.endpoint;
  const events: string[] = [];
  const controller = new AbortController();
  const watching = (async () => {
    for await (const { type, peer } of peers.watch({ signal: controller.signal })) {
      events.push(`${type} ${peer.name}`);
    }
  })();
  const client = await served.client();
  const first = await client.connect(SERVER);
  const second = await client.connect(SERVER);
  await settle();
  const [record] = peers.list();
  assertEquals([record?.name, record?.addresses.length, record?.rttMs], ["client", 2, undefined]);
  assertEquals(peers.get(infoOf("client").peerId)?.name, "client");
  await first.close();
  await settle();
  assertEquals(events, ["added client"]);
  await second.close();
  await settle();
  assertEquals(events, ["added client", "removed client"]);
  assertEquals([peers.list(), peers.get(infoOf("client").peerId)], [[], undefined]);
  controller.abort();
  await watching;
});

Deno.test("Endpoint.connect of a shared link gives up for who aborts, not for others who wait for the same", async () => {
  await using served = await Served.open();
  const client = await served.client();
  const controller = new AbortController();
  const reason = new Error("changed my mind");
  const given = client.connect(SERVER, { shared: true, signal: controller.signal });
  const kept = client.connect(SERVER, { shared: true });
  controller.abort(reason);
  assertStrictEquals(await assertRejects(() => given), reason);
  const link = await kept;
  assertEquals([...client.links], [link]);
});

Deno.test("PeerTable keeps what the membership knows of a peer, connected or not, until that is nothing", async () => {
  await using served = await Served.open();
  const { peers } = served.endpoint;
  const { peerId } = infoOf("client");
  const status = { state: "suspect", why: "it does not answer us", since: 7 } as const;
  assertEquals(peers.statusOf(peerId), undefined);
  peers.note(peerId, status);
  assertEquals([peers.statusOf(peerId), peers.get(peerId)], [status, undefined]);
  const client = await served.client();
  const link = await client.connect(SERVER);
  await settle();
  assertEquals([peers.get(peerId)?.status, peers.list()[0]?.status], [status, status]);
  peers.note(peerId, { ...status, state: "alive" });
  assertEquals(peers.get(peerId)?.status?.state, "alive");
  await link.close();
  await settle();
  assertEquals(peers.statusOf(peerId)?.state, "alive"); // that it is not connected says nothing
  peers.note(peerId, undefined);
  peers.note(peerId, undefined); // harmless
  assertEquals(peers.statusOf(peerId), undefined);
});
