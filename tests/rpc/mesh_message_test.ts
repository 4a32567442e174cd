import { assert, assertEquals, assertRejects } from "@std/assert";
import { InvalidPacketError, NotFoundError } from "../../src/errors.ts";
import { ServerPeer } from "../../src/rpc/mesh.ts";
import { Extension, LateBytes } from "../../src/wire/mod.ts";
import {
  addressOf,
  fakeLink,
  idOf,
  joined,
  MeshWorld,
  type Node,
  rosterOf,
} from "./mesh_fixture.ts";

const MIB = 1024 * 1024;

Deno.test("ServerPeer.broadcast reaches everybody once, and encodes once", async () => {
  await using world = new MeshWorld();
  const nodes = await joined(world, ["a", "b", "c", "d", "e"]);
  const [a] = nodes as [Node];
  let encoded = 0;
  const late = new LateBytes(3, (into) => {
    encoded++;
    into.fill(7);
  });
  assertEquals(await a.mesh.broadcast({ status: "active" }), 4);
  assertEquals(await a.mesh.broadcast(late), 4);
  await world.clock.advance(100);
  assertEquals(encoded, 1);
  for (const { name, seen } of nodes) {
    const messages = seen.filter((line) => line.startsWith("a:"));
    const expected = ['a: { status: "active" }', "a: Uint8Array(3) [ 7, 7, 7 ]"];
    assertEquals(messages, name === "a" ? [] : expected);
  }
});

Deno.test("ServerPeer.broadcast to nobody goes to 0, and to those who are left when one is dying", async () => {
  await using world = new MeshWorld();
  const alone = await world.open("alone");
  assertEquals(await alone.mesh.broadcast("hello?"), 0);
  const [a, b, c] = await joined(world, ["a", "b", "c"]) as [Node, Node, Node];
  const [toB] = [...a.endpoint.links].filter(({ peer }) => peer.name === "b");
  const closing = toB?.close();
  assertEquals(await a.mesh.broadcast("one is missing"), 1);
  await world.run(Promise.resolve(closing));
  await world.clock.advance(100);
  assertEquals([b.seen.at(-1), c.seen.at(-1)], ["left a", 'a: "one is missing"']);
});

Deno.test("ServerPeer.send goes to one, and to nobody who has not joined", async () => {
  await using world = new MeshWorld();
  const [a, b, c] = await joined(world, ["a", "b", "c"]) as [Node, Node, Node];
  await world.run(fakeLink(world, a));
  await a.mesh.send(idOf("b"), [1, 2]);
  await world.clock.advance(100);
  assertEquals([b.seen.at(-1), c.seen.length], ["a: [ 1, 2 ]", 2]);
  const unknown = [idOf("fake"), idOf("a"), "", "\u001b[2J".repeat(100)];
  for (const peerId of unknown) {
    const error = await assertRejects(() => a.mesh.send(peerId, "x"), NotFoundError);
    assertEquals([error.code, error.message.length < 300], ["no-peer", true]);
    assert(!error.message.includes("\u001b"));
  }
});

Deno.test("ServerPeer refuses what cannot be sent, and sends what follows", async () => {
  await using world = new MeshWorld();
  const limits = { maxFrameBytes: 64 * 1024 };
  const [a, b] = await joined(world, ["a", "b"], () => ({ limits })) as [Node, Node];
  const ways = [
    (data: unknown) => a.mesh.broadcast(data),
    (data: unknown) => a.mesh.send(idOf("b"), data),
  ];
  for (const send of ways) {
    const large = new Uint8Array(64 * 1024);
    const error = await assertRejects(() => send(large), InvalidPacketError, "maxFrameBytes");
    assertEquals(error.code, "too-large");
    await assertRejects(() => send(() => {}), TypeError);
    await assertRejects(() => send(2n ** 64n), RangeError);
    await send("fine");
  }
  await world.clock.advance(100);
  assertEquals(b.seen, ["joined a", 'a: "fine"', 'a: "fine"']);
});

Deno.test("ServerPeer carries whatever MessagePack can, as the receiver's own", async () => {
  await using world = new MeshWorld();
  const got: unknown[] = [];
  const [a] = await joined(world, ["a", "b"], () => ({
    onEvent: (event) => event.type === "message" && got.push(event.data),
  })) as [Node];
  const deep = Array.from({ length: 50 }).reduce<unknown>((inner) => [inner], "deep");
  const values: unknown[] = [
    null,
    "",
    { a: { b: [1, -1, 1.5, 2 ** 60, true] }, __proto__x: 1 },
    new Map<unknown, unknown>([[1, "one"], [null, new Map([[false, 0]])]]),
    [2n ** 63n, -(2n ** 63n), -0, NaN, Infinity],
    new Date(1_700_000_000_123),
    new Extension(5, new Uint8Array([1, 2])),
    deep,
    new Uint8Array(MIB).map((_, i) => i * 7),
    "ü".repeat(MIB / 2),
  ];
  for (const value of values) await world.run(a.mesh.broadcast(value));
  await world.clock.advance(1_000);
  assertEquals(got, values);
  await a.mesh.broadcast(undefined);
  await world.clock.advance(100);
  assertEquals(got.at(-1), null);
});

Deno.test("ServerPeer lets both sides change their bytes: the sender after sending, the receiver for good", async () => {
  await using world = new MeshWorld();
  const got: Uint8Array[] = [];
  const [a] = await joined(world, ["a", "b"], () => ({
    onEvent: (event) => event.type === "message" && got.push(event.data as Uint8Array),
  })) as [Node];
  const data = new Uint8Array(100_000);
  for (let i = 1; i <= 4; i++) {
    data.fill(i);
    await world.run<unknown>(i % 2 === 0 ? a.mesh.broadcast(data) : a.mesh.send(idOf("b"), data));
  }
  data.fill(9);
  await world.clock.advance(1_000);
  assertEquals(got.map((bytes) => bytes.length), [100_000, 100_000, 100_000, 100_000]);
  got.forEach((bytes, i) => assert(bytes.every((byte) => byte === i + 1), `message ${i + 1}`));
  assertEquals(new Set(got.map(({ buffer }) => buffer)).size, 4);
});

Deno.test("ServerPeer tells joined, the messages in their order, and left", async () => {
  await using world = new MeshWorld();
  const [a, b] = await joined(world, ["a", "b"]) as [Node, Node];
  a.endpoint.use({
    name: "slow every other time",
    run: async (body, _call, next) => {
      if ((body.data as number) % 2 === 0) await undefined;
      return next(body);
    },
  });
  const sending = Array.from({ length: 1_000 }, (_, i) => b.mesh.broadcast(i));
  await world.run(Promise.all(sending));
  await b.mesh.close();
  await world.clock.advance(1_000);
  const numbers = Array.from({ length: 1_000 }, (_, i) => `b: ${i}`);
  assertEquals(a.seen, ["joined b", ...numbers, "left b"]);
});

Deno.test("ServerPeer holds back who sends more than is read, and loses nothing", async () => {
  await using world = new MeshWorld();
  const gate = Promise.withResolvers<void>();
  const got: unknown[] = [];
  const [slow, a, b] = await joined(world, ["slow", "a", "b"], (name) => ({
    limits: { heartbeatMs: 1_000 },
    onEvent: (event) => {
      if (name !== "slow" || event.type !== "message") return;
      got.push((event.data as { i: number }).i);
      return gate.promise;
    },
  })) as [Node, Node, Node];
  slow.endpoint.handle("echo", ({ n }) => n);
  let sent = 0;
  const sending = (async () => {
    for (let i = 0; i < 64; i++) {
      await a.mesh.send(idOf("slow"), { i, filling: new Uint8Array(MIB) });
      sent++;
    }
  })();
  await world.clock.advance(20_000);
  // One is being handled, 4 MiB wait to be, one is held, and the rest is on its way.
  assert(sent >= 5 && sent <= 10, `${sent} were sent`);
  const [toSlow] = [...b.endpoint.links].filter(({ peer }) => peer.name === "slow");
  assert(toSlow !== undefined);
  assertEquals(await world.run(toSlow.request("echo", { n: 1 })), 1);
  assertEquals(rosterOf([slow, a]), ["slow: a b", "a: b slow"]); // nobody took it for dead
  gate.resolve();
  await world.run(sending);
  await world.clock.advance(1_000);
  assertEquals(got, [...Array(64).keys()]);
});

Deno.test("ServerPeer is read by one reader at a time, from when that begins to when it leaves", async () => {
  await using world = new MeshWorld();
  const b = await world.open("b");
  const endpoint = await world.endpoint("a");
  const mesh = new ServerPeer(endpoint, { serverName: "a" });
  await world.run(mesh.join(addressOf("b")));
  await world.clock.advance(100);
  await b.mesh.broadcast("nobody listens");
  await world.clock.advance(100);

  const first = mesh[Symbol.asyncIterator]();
  await assertRejects(
    async () => {
      for await (const _ of mesh);
    },
    TypeError,
    "somebody reads them already",
  );
  await b.mesh.broadcast(1);
  await world.clock.advance(100);
  const { value } = await first.next();
  assert(value?.type === "message");
  assertEquals([value.peer.name, value.data], ["b", 1]);
  await first.return?.();
  await b.mesh.broadcast("nobody again");
  await world.clock.advance(100);

  const data: unknown[] = [];
  const reading = (async () => {
    for await (const event of mesh) {
      if (event.type === "message") data.push(event.data);
    }
  })();
  await b.mesh.broadcast(2);
  await world.clock.advance(100);
  await mesh.close();
  await reading;
  assertEquals(data, [2]);
  for await (const _ of mesh) throw new Error("Nothing happens in a mesh that is closed");
  assertEquals(await first.next(), { done: true, value: undefined });
});
