import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import {
  ClosedError,
  HandshakeError,
  NotFoundError,
  PeerError,
  TransportError,
} from "../../src/errors.ts";
import { MESH_CAPABILITY, type MeshEvent, ServerPeer } from "../../src/rpc/mesh.ts";
import { isSettled } from "../endpoint/fixture.ts";
import {
  addressOf,
  idOf,
  MeshWorld,
  nameBefore,
  type Node,
  type NodeOptions,
  rosterOf,
} from "./mesh_fixture.ts";

Deno.test("ServerPeer joins no server of another project or with other sources, whoever asks", async () => {
  const pairs: readonly (readonly [string, NodeOptions, NodeOptions])[] = [
    ["Projects", { projectId: "red" }, { projectId: "blue" }],
    ["Source hashes", { sourceHash: "0123456789abcdef" }, { sourceHash: "fedcba9876543210" }],
  ];
  for (const [what, ofA, ofB] of pairs) {
    await using world = new MeshWorld();
    const [a, b] = [await world.join("a", ofA), await world.join("b", ofB)];
    const asked = { a: 0, b: 0 };
    for (const { name, endpoint } of [a, b]) {
      endpoint.use({
        name: "count",
        run: (body, call, next) => {
          if (call.header === "mesh.join") asked[name === "a" ? "b" : "a"]++;
          return next(body);
        },
      });
    }
    await world.clock.advance(55_000);
    assertEquals(asked, { a: 1, b: 1 });
    for (const { endpoint, mesh, seen } of [a, b]) {
      assertEquals([mesh.peers(), seen, endpoint.links.size], [[], [], 0]);
    }
    await world.clock.advance(20_000);
    assertEquals(asked, { a: 2, b: 2 });

    for (const [from, to] of [[a, b], [b, a]] as const) {
      const joining = assertRejects(() => from.mesh.join(addressOf(to.name)), HandshakeError);
      const error = await world.run(joining);
      const { what: which, ours, theirs, peerId } = error.details;
      assertEquals([error.code, which, peerId], ["incompatible", what, idOf(to.name)]);
      const valueOf = ({ mesh }: Node) => what === "Projects" ? mesh.projectId : mesh.sourceHash;
      assertEquals([ours, theirs], [valueOf(to), valueOf(from)]); // as the other side sees it
      const text = `${what} differ: "${valueOf(to)}" and "${valueOf(from)}"`;
      assertEquals(error.message, `Cannot join ${to.name} (${to.name}:1): ${text}`);
    }
  }
});

Deno.test("ServerPeer joins a server without a source hash, whoever has one", async () => {
  await using world = new MeshWorld();
  const sourceHash = "0123456789abcdef";
  const nodes = [
    await world.join("a", { sourceHash }),
    await world.join("b"),
    await world.join("c", { sourceHash }),
  ];
  await world.clock.advance(1_000);
  assertEquals(rosterOf(nodes), ["a: b c", "b: a c", "c: a b"]);
  const hashes = nodes[1]?.mesh.peers().map((peer) => peer.sourceHash);
  assertEquals(hashes, [sourceHash, sourceHash]);
});

Deno.test("ServerPeer.join says that a peer takes part in no mesh, and closes only links of its own", async () => {
  await using world = new MeshWorld();
  const a = await world.open("a");
  const plain = await world.endpoint("plain");
  plain.handle("echo", ({ n }) => n);
  const join = () => assertRejects(() => a.mesh.join(addressOf("plain")), HandshakeError);
  const error = await world.run(join());
  assertEquals([error.code, error.message], [
    "incompatible",
    "Cannot join plain (plain:1): it takes part in no mesh",
  ]);
  await world.clock.advance(100);
  assertEquals(a.endpoint.links.size, 0);

  const link = await world.run(a.endpoint.connect(addressOf("plain"), { shared: true }));
  await world.run(join());
  await world.clock.advance(10_000);
  assertEquals(await world.run(link.request("echo", { n: 7 })), 7);

  // It takes part now, which a link that is older cannot know.
  const mesh = new ServerPeer(plain, { serverName: "late" });
  assertEquals((await world.run(a.mesh.join(addressOf("plain")))).name, "late");
  await mesh.close();
});

Deno.test("ServerPeer.join refuses to join itself, and nothing is left of the attempt", async () => {
  await using world = new MeshWorld();
  const a = await world.open("a", { addresses: [addressOf("a")] });
  for (const hostname of ["a", "127.0.0.1"]) {
    const joining = assertRejects(() => a.mesh.join({ hostname, port: 1 }), HandshakeError);
    const error = await world.run(joining);
    assertEquals(error.message, `Cannot join ${hostname}:1: that is this server itself`);
    assertEquals(error.code, "incompatible");
  }
  await world.clock.advance(10_000);
  assertEquals([a.endpoint.links.size, a.mesh.peers(), a.seen], [0, [], []]);
});

Deno.test("ServerPeer.join passes on why nobody is there, and gives up when told to", async () => {
  await using world = new MeshWorld();
  const [a, b] = [await world.open("a"), await world.open("b")];
  const nobody = () => a.mesh.join({ hostname: "b", port: 9 });
  await world.run(assertRejects(nobody, TransportError, "refused"));
  world.network.partition([["a"], ["b"]]);
  const reason = new Error("changed my mind");
  const controller = new AbortController();
  const joining = assertRejects(() => {
    return a.mesh.join(addressOf("b"), { signal: controller.signal });
  });
  await world.clock.advance(1_000);
  controller.abort(reason);
  assertStrictEquals(await joining, reason);
  world.network.heal();
  assertEquals((await world.run(a.mesh.join(addressOf("b")))).name, "b");
  await world.clock.advance(100);
  assertEquals(rosterOf([a, b]), ["a: b", "b: a"]);
});

Deno.test("ServerPeer tells that a silent server has left within 2.5 heartbeats, and joins it again", async () => {
  await using world = new MeshWorld();
  const limits = { heartbeatMs: 1_000 };
  world.network.host("nowhere");
  const addresses = [addressOf("nowhere")]; // somebody is being looked for all the time
  const a = await world.join("a", { limits, addresses });
  const b = await world.join("b", { limits, addresses });
  world.network.partition([["a", "b"], ["nowhere"]]);
  await world.clock.advance(5_300);
  world.network.partition([["a"], ["b"], ["nowhere"]]);
  await world.clock.advance(2_500);
  assertEquals([a.seen, b.seen], [["joined b", "left b"], ["joined a", "left a"]]);
  assertEquals(rosterOf([a, b]), ["a: ", "b: "]);
  world.network.partition([["a", "b"], ["nowhere"]]);
  await world.clock.advance(20_000);
  assertEquals([a.seen.at(-1), b.seen.at(-1)], ["joined b", "joined a"]);
  assertEquals([a.seen.length, b.seen.length, a.endpoint.links.size], [3, 3, 1]);
});

Deno.test("ServerPeer tells that a killed server has left, and joins it again when it is back", async () => {
  await using world = new MeshWorld();
  const limits = { heartbeatMs: 1_000 };
  const [a, b] = [await world.join("a", { limits }), await world.join("b", { limits })];
  await world.clock.advance(1_000);
  await world.kill(b);
  await world.clock.advance(2_500);
  assertEquals(a.seen, ["joined b", "left b"]);
  await world.clock.advance(30_000);
  const back = await world.join("b", { limits });
  await world.clock.advance(1_000);
  assertEquals([a.seen, back.seen], [["joined b", "left b", "joined b"], ["joined a"]]);
  await a.mesh.broadcast("again");
  await world.clock.advance(100);
  assertEquals(back.seen.at(-1), 'a: "again"');
});

Deno.test("ServerPeer tells of a restart that is quicker than the heartbeat as left, then joined", async () => {
  await using world = new MeshWorld();
  const limits = { heartbeatMs: 1_000 };
  const a = await world.join("a", { limits });
  await world.join("b", { limits });
  await world.clock.advance(1_000);
  world.network.partition([["b"]]); // as a machine whose power fails
  const addresses = [addressOf("a")];
  const back = await world.open("b2", { as: "b", addresses, limits });
  await world.clock.advance(200);
  assertEquals(a.seen, ["joined b", "left b", "joined b2"]);
  assertEquals(rosterOf([a]), ["a: b2"]);
  await a.mesh.send(idOf("b"), "welcome back");
  await world.clock.advance(5_000);
  assertEquals(a.seen.length, 3);
  assertEquals(back.seen, ["joined a", 'a: "welcome back"']);
});

Deno.test("ServerPeer reaches every program of a peer, and shows the one that joined last", async () => {
  await using world = new MeshWorld();
  const a = await world.open("a");
  const addresses = [addressOf("a")];
  const one = await world.open("one", { as: "twin", addresses });
  await world.clock.advance(500);
  const two = await world.open("two", { as: "twin", addresses });
  await world.clock.advance(500);
  assertEquals(await a.mesh.broadcast("all"), 2);
  await a.mesh.send(idOf("twin"), "newest");
  await one.mesh.broadcast("still here");
  await world.clock.advance(500);
  assertEquals(one.seen, ["joined a", 'a: "all"']);
  assertEquals(two.seen, ["joined a", 'a: "all"', 'a: "newest"']);
  assertEquals(a.seen, ["joined one", "left one", "joined two", 'one: "still here"']);
  await world.close(two);
  await world.clock.advance(500);
  assertEquals(a.seen.slice(4), ["left two", "joined one"]);
  assertEquals(rosterOf([a]), ["a: one"]);
});

Deno.test("Two programs of one peer join each other", async () => {
  await using world = new MeshWorld();
  const addresses = ["one", "two"].map(addressOf);
  const one = await world.open("one", { as: "twin", addresses });
  const two = await world.open("two", { as: "twin", addresses });
  await world.clock.advance(30_000);
  assertEquals(rosterOf([one, two]), ["one: two", "two: one"]);
  assertEquals([one.seen, two.seen], [["joined two"], ["joined one"]]);
});

Deno.test("ServerPeer.close says goodbye, leaves the link to others, and may be followed by another", async () => {
  await using world = new MeshWorld();
  const [a, b] = [await world.join("a"), await world.join("b")];
  await world.clock.advance(1_000);
  const [link] = a.endpoint.links;
  await Promise.all([b.mesh.close(), b.mesh.close()]);
  await b.mesh.close();
  assertEquals([b.mesh.peers(), b.endpoint.self.capabilities], [[], ["test/1"]]);
  assertEquals(await b.mesh.broadcast("gone"), 0);
  await assertRejects(() => b.mesh.send(idOf("a"), "gone"), NotFoundError);
  await assertRejects(() => b.mesh.join(addressOf("a")), ClosedError, "the mesh is closed");
  await world.clock.advance(100);
  assertEquals([a.seen, a.mesh.peers()], [["joined b", "left b"], []]);
  await world.clock.advance(30_000);
  assertEquals([...a.endpoint.links], [link]);

  const again = new ServerPeer(b.endpoint, { serverName: "b2" });
  assertEquals((await world.run(again.join(addressOf("a")))).name, "a");
  await world.clock.advance(100);
  assertEquals(a.seen.at(-1), "joined b2");
  await again.close();
});

Deno.test("ServerPeer.close gives up joining, and nobody keeps it as a member", async () => {
  for (const afterMs of [0, 5, 25, 40, 60, 70, 85, 100, 120, 200]) {
    await using world = new MeshWorld(1, [20, 20]);
    const [a, b] = [await world.open("a"), await world.open("b")];
    const joining = a.mesh.join(addressOf("b")).catch((error) => error);
    await world.clock.advance(afterMs);
    await a.mesh.close();
    await world.clock.advance(6_000);
    assertEquals(b.mesh.peers(), [], `after ${afterMs} ms`);
    const result = await joining;
    if (result instanceof Error) assertEquals(result.message, "Cannot join: the mesh is closed");
    else assert(afterMs >= 80);
  }
});

Deno.test("ServerPeer.close lets nobody in who is still on the way through the middleware", async () => {
  await using world = new MeshWorld();
  const [a, b] = [await world.open("a"), await world.open("b")];
  const gate = Promise.withResolvers<void>();
  b.endpoint.use({
    name: "gate",
    run: async (body, _call, next) => {
      await gate.promise;
      return next(body);
    },
  });
  const joining = assertRejects(() => a.mesh.join(addressOf("b")), PeerError);
  await world.clock.advance(500);
  await b.mesh.close();
  gate.resolve();
  assertEquals((await world.run(joining)).code, "closed");
  assertEquals([a.mesh.peers(), b.mesh.peers()], [[], []]);
});

Deno.test("ServerPeer.join asks on the link that takes the place of one that breaks", async () => {
  for (const asksItself of [false, true]) {
    await using world = new MeshWorld();
    const a = await world.open("a");
    const first = nameBefore("a"); // so its links win
    const fake = await world.endpoint(first);
    const introduction = { project: "default", hash: "", name: "fake" };
    let asked = 0;
    fake.handle("mesh.join", async (_, { link }) => {
      if (++asked > 1) return introduction;
      const other = await fake.connect(addressOf("a"), { shared: true });
      if (asksItself) await other.request("mesh.join", introduction);
      return await link?.close();
    });
    assertEquals((await world.run(a.mesh.join(addressOf(first)))).name, "fake");
    await world.clock.advance(1_000);
    assertEquals([asked, a.seen, a.endpoint.links.size], [asksItself ? 1 : 2, ["joined fake"], 1]);
  }
});

Deno.test("ServerPeer needs an endpoint that takes part in no mesh, and texts and times in their range", async () => {
  await using world = new MeshWorld();
  const { endpoint } = await world.open("a");
  assertThrows(() => new ServerPeer(endpoint), TypeError, '"mesh.join"');
  const offered = endpoint.self.capabilities.filter((name) => name === MESH_CAPABILITY);
  assertEquals(offered.length, 1);

  const free = await world.endpoint("b");
  const long = "x".repeat(129);
  for (const field of ["projectId", "sourceHash", "serverName"]) {
    const text = `${field} must have at most 128 characters`;
    assertThrows(() => new ServerPeer(free, { [field]: long }), RangeError, text);
  }
  for (const findEveryMs of [0, -1, NaN]) {
    assertThrows(() => new ServerPeer(free, { findEveryMs }), RangeError, String(findEveryMs));
  }
  assertEquals([free.dispatcher.headers, free.self.capabilities], [[], ["test/1"]]);
  await new ServerPeer(free, { projectId: long.slice(1) }).close();
});

Deno.test("ServerPeer.peers tells who, where, since when, and how far away", async () => {
  await using world = new MeshWorld(1, [20, 20]);
  const limits = { heartbeatMs: 1_000 };
  await world.open("b", { limits, sourceHash: "0123456789abcdef" });
  const a = await world.open("a", { limits, addresses: [addressOf("b")] });
  await world.clock.advance(400);
  const [first] = a.mesh.peers();
  assertEquals(first, {
    peerId: idOf("b"),
    name: "b",
    address: addressOf("b"),
    sourceHash: "0123456789abcdef",
    since: world.clock.wallMs() - 400 + 4 * 40, // round trips: connection, keys, answer, joining
    rttMs: undefined,
    status: undefined,
  });
  await world.clock.advance(2_000);
  assertEquals(a.mesh.peers()[0]?.rttMs, 40);
});

Deno.test("ServerPeer leaves no timer and no search behind", async () => {
  const world = new MeshWorld();
  const limits = { heartbeatMs: 1_000 };
  await world.join("a", { limits });
  await world.join("b", { limits });
  await world.join("c", { limits, projectId: "other" });
  world.directory.add("nobody");
  await world.clock.advance(22_000);
  assertEquals(world.directory.searches.open, 3);
  world.network.partition([["a"], ["b"], ["c"]]);
  await world.clock.advance(25_000);
  await world[Symbol.asyncDispose]();
  assertEquals([world.clock.timers, world.directory.searches.open], [0, 0]);
});

Deno.test("ServerPeer.close does not wait for an address that does not answer", async () => {
  await using world = new MeshWorld();
  world.network.host("nowhere");
  world.network.partition([["nowhere"]]);
  const a = await world.open("a", { addresses: [addressOf("nowhere")] });
  await world.clock.advance(3_000);
  assertEquals(await isSettled(a.mesh.close()), true);
});

Deno.test("ServerPeer says of its servers what the peer table knows of them", async () => {
  await using world = new MeshWorld();
  const statuses: unknown[] = [];
  const onEvent = (event: MeshEvent) => void statuses.push([event.type, event.peer.status?.state]);
  const a = await world.join("a", { onEvent });
  const b = await world.join("b");
  await world.clock.advance(1_000);
  const statusOf = () => a.mesh.peers()[0]?.status;
  assertEquals(statusOf(), undefined); // it is in no group
  const status = { state: "suspect", why: "it does not answer us", since: 7 } as const;
  a.endpoint.peers.note(idOf("b"), status);
  assertEquals([statusOf(), b.mesh.peers()[0]?.status], [status, undefined]);
  await b.mesh.broadcast("hello");
  await world.clock.advance(100);
  a.endpoint.peers.note(idOf("b"), { ...status, state: "dead" });
  await world.close(b);
  await world.clock.advance(2_000);
  assertEquals(statuses, [["joined", undefined], ["message", "suspect"], ["left", "dead"]]);
});
