import { assert, assertEquals, assertThrows } from "@std/assert";
import { Peer } from "../../src/peer.ts";
import type { Told } from "./fixture.ts";
import { readMetrics } from "./prometheus.ts";

const COMMON = { hostname: "127.0.0.1", port: 0, announce: false } as const;
const EVIL = "ann \u001b[2J\u202e<b>";

/** Looks until what is shown fits. */
async function lookUntil(
  port: number,
  fits: (parts: Record<string, unknown>) => boolean,
): Promise<Record<string, unknown>> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/status`);
  const closed = new Promise<void>((resolve) => socket.onclose = () => resolve());
  const seen = Promise.withResolvers<Record<string, unknown>>();
  let parts: Record<string, unknown> = {};
  socket.onmessage = ({ data }) => {
    const { content }: Told = JSON.parse(data);
    parts = { ...parts, ...content.parts };
    if (fits(parts)) seen.resolve(parts);
  };
  const shown = await seen.promise;
  socket.close();
  await closed;
  return shown;
}

interface Shown {
  readonly self: { peerId: string; name: string; http: string; version: string };
  readonly load: { links: number; messagesIn: number; bytesOut: number };
  readonly peers: { rows: Record<string, unknown>[]; counts: Record<string, number> };
  readonly topics: { topic: string; neighbors: { peerId: string; name: string }[] }[];
  readonly trees: {
    sending: { what: string; over: boolean; of: number; receivers: Record<string, unknown>[] }[];
    receiving: unknown[];
  };
  readonly transfers: unknown[];
  readonly dht: unknown;
}

Deno.test("Peer.statusPage shows peers, members, topics and what was broadcast, with names that harm nobody", async () => {
  const dir = await Deno.makeTempDir();
  await using stack = new AsyncDisposableStack();
  stack.defer(() => Deno.remove(dir, { recursive: true }));
  await Deno.writeTextFile(`${dir}/note.txt`, "a note");
  const bob = stack.use(await Peer.open({ ...COMMON, name: "bob", web: true, httpPort: 0 }));
  const seeds = bob.address === undefined ? [] : [bob.address];
  const ann = stack.use(await Peer.open({ ...COMMON, name: EVIL, seeds }));
  bob.statusPage();
  assertThrows(() => bob.statusPage(), TypeError, "somebody has it already");
  assertThrows(() => ann.statusPage(), TypeError, "no web port");
  bob.join();
  ann.join({ seeds });
  const { signal } = stack.use(new AbortOnEnd());
  bob.gossip.subscribe("garden", { signal });
  await ann.gossip.publish("garden", "hello", { confirm: 1 });
  ann.receive({ dir: `${dir}/inbox`, accept: () => true });
  const to = [`127.0.0.1:${ann.address?.port}`];
  await (await bob.broadcast([`${dir}/note.txt`], { to })).done;

  const port = bob.httpAddress?.port ?? 0;
  const parts = await lookUntil(port, ({ topics, peers }) => {
    const { rows = [] } = peers as Shown["peers"];
    return (topics as Shown["topics"])[0]?.neighbors.length === 1 && rows[0]?.state === "alive";
  });
  const { self, load, peers, topics, trees, transfers, dht } = parts as unknown as Shown;
  assertEquals([self.peerId, self.name, self.http], [bob.peerId, "bob", `127.0.0.1:${port}`]);
  const [row] = peers.rows;
  const safe = "ann \\u{1b}[2J\\u{202e}<b>";
  assertEquals([row?.peerId, row?.name, row?.state], [ann.peerId, safe, "alive"]);
  assertEquals(peers.counts, { alive: 1, suspect: 0, dead: 0, gone: 0 });
  assert(load.links > 0 && load.messagesIn > 0 && load.bytesOut > load.messagesIn);
  const [{ topic, neighbors }] = topics as [Shown["topics"][number]];
  assertEquals([topic, neighbors[0]?.peerId, neighbors[0]?.name], ["garden", ann.peerId, safe]);
  const [sent] = trees.sending;
  assertEquals([sent?.what, sent?.over, sent?.of], ["note.txt", true, 1]);
  const { name, peerId, state, bytes } = sent?.receivers[0] ?? {};
  assertEquals([name, peerId, state, bytes], [safe, ann.peerId, "done", 6]);
  assertEquals([trees.receiving, transfers, dht], [[], [], null]);

  const read = readMetrics(await (await fetch(`http://127.0.0.1:${port}/metrics`)).text());
  assertEquals(read.get("kith_members")?.samples.get('{state="alive"}'), 1);
  assertEquals(read.get("kith_topics")?.samples.get(""), 1);
  assert((read.get("kith_link_messages_total")?.samples.get('{direction="in"}') ?? 0) > 0);
  assert((read.get("kith_udp_packets_total")?.samples.get('{direction="out"}') ?? 0) > 0);
  assertEquals(JSON.stringify([...read]).includes("ann"), false); // no words of peers in labels
});

Deno.test("Peer.statusPage shows transfers at work at both ends", async () => {
  const dir = await Deno.makeTempDir();
  await using stack = new AsyncDisposableStack();
  stack.defer(() => Deno.remove(dir, { recursive: true }));
  const random = new Uint8Array(65_536);
  await Deno.writeFile(`${dir}/large.bin`, crypto.getRandomValues(random));
  const bob = stack.use(await Peer.open({ ...COMMON, name: "bob", web: true, httpPort: 0 }));
  const ann = stack.use(await Peer.open({ ...COMMON, name: "ann", web: true, httpPort: 0 }));
  for (const peer of [bob, ann]) peer.statusPage();
  ann.receive({ dir: `${dir}/inbox`, accept: () => true });
  const to = `127.0.0.1:${ann.address?.port}`;
  const sending = bob.transfer([`${dir}/large.bin`], { to, maxBytesPerSecond: 4_096 });
  await sending.next();
  const hasOne = ({ transfers }: Record<string, unknown>) => (transfers as unknown[]).length === 1;
  const shown = await Promise.all([bob, ann].map(async ({ httpAddress }) => {
    const { transfers } = await lookUntil(httpAddress?.port ?? 0, hasOne);
    const [{ direction, peer, what, totalBytes }] = transfers as [Record<string, unknown>];
    return [direction, peer, what, totalBytes];
  }));
  assertEquals(shown.map((row) => row.slice(0, 3)), [["out", to, "large.bin"], ["in", "bob", ""]]);
  assertEquals(shown[1]?.[3], 65_536);
  await sending.return();
});

/** A signal that fires when it is disposed of. */
class AbortOnEnd implements Disposable {
  readonly #controller = new AbortController();

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  [Symbol.dispose](): void {
    this.#controller.abort();
  }
}
