import { assert, assertEquals } from "@std/assert";
import { StoredBytes } from "../../src/endpoint/resources.ts";
import { until } from "../e2e/process.ts";
import { pattern } from "../transfer/dialects/peerconnect_driver_fixture.ts";
import {
  array,
  bytes,
  type DialectNode,
  DialectTown,
  filesIn,
  metadata,
  Outsider,
  pair,
  partsIn,
  portsOf,
  str,
  type Stranger,
  unsigned,
  wire,
} from "./dialect_town.ts";

/** Ids of the others: decimal numbers. */
const ROOT = "469099608771183077085495238363724627294301243880";
const LEAF = "411584888107528619028472592356892422539712238090";

/** How long an original needs to take what it has received for the list of files, in milliseconds. */
const PAUSE_MS = 20;

const pause = () => new Promise<void>((resolve) => setTimeout(resolve, PAUSE_MS));
const portOf = ({ address }: DialectNode) => address.port;

/** A town with one node, and a sender that is none of ours and is linked to it. */
class Scene implements AsyncDisposable {
  readonly town = new DialectTown();
  readonly root = new Outsider(ROOT);
  #node: DialectNode | undefined;

  static async open(options: Parameters<DialectTown["add"]>[1] = {}): Promise<Scene> {
    const scene = new Scene();
    [scene.#node] = await scene.town.add(1, options);
    return scene;
  }

  get node(): DialectNode {
    if (this.#node === undefined) throw new Error("There is none");
    return this.#node;
  }

  /** Informs the node, and links to it. */
  async link(session: string): Promise<Stranger> {
    await this.root.inform(session, portOf(this.node));
    return await this.root.link(session, await this.root.answer(session));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.root[Symbol.dispose]();
    await this.town[Symbol.asyncDispose]();
  }
}

/** A leaf that is none of ours. */
class Leaf implements Disposable {
  readonly #requests = new Outsider(LEAF);
  readonly #passive = new Outsider(LEAF);
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly name = "leaf";

  get address(): { hostname: string; port: number } {
    return { hostname: "127.0.0.1", port: this.#requests.port };
  }

  /** Takes part. @returns the connection that it was linked by, once it has taken it */
  async join(): Promise<Deno.TcpConn> {
    const { data, port } = await this.#requests.packet("one to many file transfer request");
    const inform = latin(data);
    for (const field of ["fanout", "link_wait_timeout", "adjacent_peers", "file_count"]) {
      assert(inform.includes(field), field);
    }
    const key = /key.{2}([0-9a-f-]{36})/s.exec(inform)?.[1] ?? "";
    const passive = pair(this.#passive.port, "10.0.0.1"); // we are where we answer from
    const active = pair(this.#listener.addr.port);
    await this.#requests.send(array(str(LEAF), passive, active, str(key)), port);
    const update = await this.#passive.packet("gossip_update_state");
    assert(latin(update.data).includes("addresses_mapping"));
    const check = await this.#passive.packet("gossip_tree_check");
    await this.#passive.send(wire("gossip_upgrade_connection", LEAF), check.port);
    const conn = await this.#listener.accept();
    const link = latin(await some(conn));
    assert(link.includes("otm_add_stream_link") && link.includes("peer_addr"));
    await conn.write(bytes(unsigned(2, 4), "OK"));
    return conn;
  }

  [Symbol.dispose](): void {
    for (const part of [this.#requests, this.#passive, this.#listener]) part[Symbol.dispose]();
  }
}

function latin(data: Uint8Array): string {
  return new TextDecoder("latin1").decode(data);
}

/** What a single receive gives. */
async function some(conn: Deno.TcpConn): Promise<Uint8Array<ArrayBuffer>> {
  const buffer = new Uint8Array(1_000_000);
  return buffer.slice(0, await conn.read(buffer) ?? 0);
}

Deno.test("a leaf that is none of ours gets the list in one piece, and then the contents", async () => {
  await using town = new DialectTown();
  using leaf = new Leaf();
  const data = pattern(300_000);
  const paths = [await town.write("a.bin", data), await town.write("b.txt", pattern(5))];
  const sending = await town.send(paths, [leaf]);
  {
    using conn = await leaf.join();
    await pause(); // what is sent at once would be received at once
    const first = await some(conn);
    // MessagePack writes the shortest form, and this test the longest.
    const list = metadata(["a.bin", 300_000], ["b.txt", 5]);
    assert(first.length > 20 && first.length < list.length, `${first.length} bytes of list`);
    const parts = [];
    for (let left = 300_005; left > 0; left -= parts.at(-1)?.length ?? 0) {
      parts.push(await some(conn));
    }
    assertEquals(bytes(...parts), bytes(data, pattern(5)));
  }
  const { receivers, egressBytes } = await sending.done;
  assertEquals([egressBytes, ...receivers.map(({ state }) => state)], [300_005, "done"]);
});

Deno.test("a leaf that takes nothing harms nobody, and is cut off", async () => {
  await using town = new DialectTown();
  using leaf = new Leaf();
  const nodes = await town.add(2);
  const data = pattern(14_000_000);
  const sending = await town.send([await town.write("a.bin", data)], [leaf, ...nodes]);
  using conn = await leaf.join();
  await Promise.all(nodes.map(({ next }) => next("done")));
  for await (const event of sending) {
    if (event.type === "parent" && event.name === "leaf" && event.parent === undefined) break;
  }
  for (let left = await some(conn); left.length > 0;) left = await some(conn);
  await sending.close();
});

Deno.test("a sender that is none of ours reaches three nodes of ours by the hypercube and the window", async () => {
  await using town = new DialectTown();
  const nodes = await town.add(3);
  using root = new Outsider(ROOT);
  const session = "11111111-1111-4111-8111-000000000000";
  const all: { id: string; passive: number; active: number }[] = [
    { id: ROOT, passive: root.port, active: 1 },
  ];
  for (const node of nodes) {
    await root.inform(session, portOf(node));
    all.push(await root.answer(session));
  }
  const entryOf = (place: number) => {
    const { id = "", passive = 0, active = 0 } = all[place] ?? {};
    return array(str(id), pair(passive), pair(active));
  };
  for (const place of [1, 2, 3]) {
    const neighbors = [1, 2].map((bit) => place ^ bit).filter((other) => other < all.length);
    const body = { addresses_mapping: array(...neighbors.map(entryOf)) };
    await root.send(wire("gossip_update_state", null, body), all[place]?.passive ?? 0);
  }
  const links: Stranger[] = [];
  for (const place of [1, 2]) await root.check(session, all[place]?.passive ?? 0);
  for (const _ of [1, 2]) {
    const { port } = await root.packet("gossip_upgrade_connection");
    const child = all.find(({ passive }) => passive === port);
    const header = links.length === 0 ? "otm_add_stream_link" : "gossip_add_stream_link";
    const link = await root.connect(session, child?.active ?? 0, header);
    assertEquals((await link.read(6)).toHex(), "000000024f4b");
    links.push(link);
  }
  const data = pattern(200_000);
  for (const link of links) await link.write(metadata(["a.bin", 200_000], ["empty", 0]));
  await pause();
  for (const link of links) await link.write(data);
  const expected = new Map([["a.bin", data], ["empty", new Uint8Array(0)]]);
  for (const { next, dir } of nodes) {
    await next("done");
    assertEquals(filesIn(dir), expected);
  }
  // Who has everything, and whose children have it, too, hangs up.
  for (const link of links) {
    assertEquals(await link.rest(), "");
    link[Symbol.dispose]();
  }
});

Deno.test("a parent that is none of ours goes on over another connection where it was cut", async () => {
  await using scene = await Scene.open();
  const data = pattern(300_000);
  const first = await scene.link("s");
  await first.write(metadata(["a.bin", 300_000]));
  await pause();
  await first.write(data.subarray(0, 12_288));
  first[Symbol.dispose]();
  const { port: active = 0 } = scene.node.endpoint.address ?? {};
  using wrong = await scene.root.connect("s", active);
  // 2 times 4,096 bytes: less than has come.
  await wrong.write(bytes(unsigned(2, 8), data.subarray(12_288)));
  assertEquals(await wrong.rest(), "", "there is no OK");
  assertEquals(filesIn(scene.node.dir).size, 0);
  // It has left that parent, and asks for a link by itself: that one begins anew.
  await scene.root.packet("gossip_upgrade_connection");
  using anew = await scene.root.connect("s", active);
  assertEquals((await anew.read(6)).toHex(), "000000024f4b");
  await anew.write(metadata(["a.bin", 300_000]));
  await pause();
  await anew.write(data.subarray(0, 131_072));
  await until("them", () => partsIn(scene.node.dir).length > 0);
  anew[Symbol.dispose]();
  using again = await scene.root.connect("s", active);
  await again.write(bytes(unsigned(32, 8), data.subarray(131_072)));
  await scene.node.next("done");
  assertEquals(await again.rest(), "");
  assertEquals(filesIn(scene.node.dir), new Map([["a.bin", data]]));
});

Deno.test("links of another session, of who was not asked, and checks of strangers come to nothing", async () => {
  await using scene = await Scene.open();
  const { root, node } = scene;
  await root.inform("s", portOf(node));
  const to = await root.answer("s");
  using eve = new Outsider(LEAF);
  // Before anybody is known, nobody may ask, nor link.
  await eve.check("s", to.passive);
  using early = await root.connect("s", to.active);
  assertEquals(await early.rest(), "");
  const link = await root.link("s", to);
  for (const session of ["s", "t"]) {
    await eve.check(session, to.passive);
    using other = await eve.connect(session, to.active);
    assertEquals(await other.rest(), "");
  }
  await link.write(metadata(["a.txt", 3]));
  await pause();
  await link.write("abc");
  await node.next("done");
  link[Symbol.dispose]();
  assertEquals([...filesIn(node.dir).keys()], ["a.txt"]);
  assertEquals(node.events.map(({ type }) => type), ["received", "done"]);
});

Deno.test("lists that are bombs, names that escape, and files that begin in their middle leave nothing", async () => {
  await using scene = await Scene.open({ maxTotalBytes: 1_000_000 });
  const lists: [string, Uint8Array][] = [
    ["many", Uint8Array.of(0xdd, 0xff, 0xff, 0xff, 0xff)],
    ["long", Uint8Array.of(0x91, 0xc6, 0xff, 0xff, 0xff, 0xff)],
    ["escape", bytes(metadata(["../a", 3]), "abc")],
    ["absolute", bytes(metadata(["/tmp/a", 3]), "abc")],
    ["middle", bytes(metadata(["a", 6, 3]), "abc")],
    ["large", metadata(["a", 2_000_000])],
    ["huge", metadata(["a", Number.MAX_SAFE_INTEGER])],
  ];
  for (const [session, list] of lists.slice(0, 4)) {
    using link = await scene.link(session);
    await link.write(list);
    assertEquals(await link.rest(), "", session);
  }
  assertEquals(filesIn(scene.node.dir).size, 0);
  assertEquals([...Deno.readDirSync(scene.town.dir)].map(({ name }) => name), ["r0"]);
  // Those four wait for better parents: there is room for no more.
  await scene.root.inform("fifth", portOf(scene.node));
  const counters = () => scene.node.endpoint.metrics.snapshot();
  await until("the refusal", () => counters()["palm.refused"] === 1);
  await using other = await Scene.open({ maxTotalBytes: 1_000_000 });
  for (const [session, list] of lists.slice(4)) {
    using link = await other.link(session);
    await link.write(list);
    assertEquals(await link.rest(), "", session);
  }
  const middle = await other.node.next("failed");
  assert(middle.type === "failed" && String(middle.error).includes("begins in its middle"));
  const failed = await other.node.next("failed", 2);
  assert(failed.type === "failed");
  assertEquals(
    String(failed.error),
    "LimitError: Cannot take broadcast: 2000000 bytes exceed maxTotalBytes 1000000",
  );
  assertEquals([filesIn(other.node.dir).size, partsIn(other.node.dir)], [0, []]);
});

Deno.test("contents are no longer than said, and count for what may be stored", async () => {
  const stored = new StoredBytes(10);
  await using scene = await Scene.open({ stored });
  const link = await scene.link("s");
  await link.write(bytes(metadata(["a", 3], ["A", 2]), "abcde", "more than was said"));
  await scene.node.next("done");
  assertEquals(await link.rest(), "");
  link[Symbol.dispose]();
  const files = new Map([["A (1)", bytes("de")], ["a", bytes("abc")]]);
  assertEquals(filesIn(scene.node.dir), files);
  assertEquals(stored.used, 5);
  using second = await scene.link("t");
  await second.write(metadata(["b", 6]));
  assertEquals(await second.rest(), "");
  const failed = await scene.node.next("failed");
  assertEquals(
    failed.type === "failed" && String(failed.error).includes("5 of 10 are taken"),
    true,
  );
  assertEquals([stored.used, partsIn(scene.node.dir)], [5, []]);
});

Deno.test("informs are answered to where they came from, and not without end", async () => {
  await using scene = await Scene.open();
  const { root, node } = scene;
  const counters = () => node.endpoint.metrics.snapshot();
  await root.inform("s", portOf(node));
  const first = await root.packet("key of s");
  await root.inform("s", portOf(node));
  const second = await root.packet("key of s");
  assertEquals([second.data, second.port], [first.data, portOf(node)], "the same answer");
  assertEquals(portsOf(first.data).length, 3);
  // The same session by somebody else, with another key, or malformed.
  using eve = new Outsider(LEAF);
  await eve.inform("s", portOf(node));
  await root.inform("s", portOf(node), { key: str("another") });
  await root.inform("u", portOf(node), { fanout: str("five") });
  await until("them", () => counters()["palm.refused"] === 2 && counters()["palm.malformed"] === 1);
  for (let nth = 0; nth < 40; nth++) await root.inform("s", portOf(node));
  await until("the ration", () => (counters()["palm.rate"] ?? 0) > 0);
  const { "palm.informs": answered = 0, "palm.rate": dropped = 0 } = counters();
  assertEquals(answered + dropped >= 40 && answered < 25, true, `${answered} ${dropped}`);
});
