import { assert, assertEquals, assertRejects } from "@std/assert";
import type { Endpoint } from "../../src/endpoint/endpoint.ts";
import type { Link } from "../../src/endpoint/link.ts";
import { LimitError, PeerError, RemoteError, TimeoutError } from "../../src/errors.ts";
import { encode } from "../../src/wire/mod.ts";
import { isSettled, shakeHands } from "../endpoint/fixture.ts";
import {
  addressOf,
  countOf,
  fakeLink,
  joined,
  MeshWorld,
  type Node,
  rosterOf,
} from "./mesh_fixture.ts";

/** What a server of the default project says of itself. */
const FAKE = { project: "default", hash: "", name: "fake" };

/** Somebody that answers as it likes. */
async function fakeServer(world: MeshWorld, answer: (link: Link) => unknown): Promise<Endpoint> {
  const fake = await world.endpoint("fake");
  fake.handle("mesh.join", (_, { link }) => link && answer(link));
  return fake;
}

Deno.test("ServerPeer lets in no more servers than its reader keeps up with, whatever they do", async () => {
  await using world = new MeshWorld();
  const gate = Promise.withResolvers<void>();
  const a = await world.open("a", { onEvent: () => gate.promise });
  const link = await fakeLink(world, a);
  const join = () => link.request("mesh.join", FAKE, { timeoutMs: 60_000 });
  // On one link it is the link that is held back.
  for (let i = 0; i < 600; i++) {
    join().catch(() => {});
    link.post("mesh.leave", {});
  }
  await world.clock.advance(1_000);
  assertEquals(await isSettled(join()), false);
  await world.run(link.close());
  // With a link each it is the server that is turned away.
  const fake = await world.endpoint("fake2");
  let [letIn, code] = [0, ""];
  for (; letIn < 1_000 && code === ""; letIn++) {
    const one = await world.run(fake.connect(addressOf("a"), { shared: true }));
    await world.run(one.request("mesh.join", FAKE).catch((error) => code = error.code));
    await world.run(one.close());
  }
  assertEquals([code, countOf(a.endpoint, "link.handler-errors")], ["limit", 1]);
  // 256 events were there, and every link made two.
  assert(letIn > 380 && letIn < 390, `${letIn} were let in`);
  gate.resolve();
  await world.clock.advance(1_000);
  assertEquals(rosterOf([a]), ["a: "]);
});

Deno.test("ServerPeer refuses and counts messages of strangers, and takes them once they have joined", async () => {
  await using world = new MeshWorld();
  const [a] = await joined(world, ["a", "b"]) as [Node];
  const link = await fakeLink(world, a);
  link.post("mesh.message", { data: "let me in" });
  await world.clock.advance(100);
  assertEquals([countOf(a.endpoint, "mesh.refused"), a.seen], [1, ["joined b"]]);
  const asking = assertRejects(() => link.request("mesh.message", { data: "?" }), RemoteError);
  assertEquals((await world.run(asking)).code, "denied");
  assertEquals(await world.run(link.request("mesh.join", FAKE)), { ...FAKE, name: "a" });
  link.post("mesh.message", { data: "hello" });
  link.post("mesh.message", {});
  link.post("mesh.leave", {});
  link.post("mesh.message", { data: "and goodbye" });
  await world.clock.advance(100);
  const seen = ["joined b", "joined fake", 'fake: "hello"', "fake: null", "left fake"];
  assertEquals([countOf(a.endpoint, "mesh.refused"), a.seen], [3, seen]);
});

Deno.test("ServerPeer answers bad introductions with a code that names the field, and stays as it was", async () => {
  await using world = new MeshWorld();
  const [a] = await joined(world, ["a", "b"]) as [Node];
  const link = await fakeLink(world, a);
  const long = "x".repeat(129);
  const nested = Array.from({ length: 50 }).reduce<unknown>((inner) => [inner], "deep");
  const bad: readonly unknown[] = [undefined, null, 7, true, long, nested, new Uint8Array(9), {}];
  for (const field of ["project", "hash", "name"]) {
    for (const value of bad) {
      const asking = assertRejects(() => link.request("mesh.join", { ...FAKE, [field]: value }));
      const error = await world.run(asking);
      assert(error instanceof RemoteError);
      assertEquals([error.code, error.details], ["bad-message", { field, max: 128 }]);
    }
  }
  const forged = { ...FAKE, project: `\u001b[2J${"x".repeat(120)}` };
  const refused = assertRejects(() => link.request("mesh.join", forged), RemoteError);
  const { code, message } = await world.run(refused);
  assertEquals([code, message.includes("\u001b"), message.length < 200], [
    "incompatible",
    false,
    true,
  ]);
  assertEquals([a.seen, rosterOf([a])], [["joined b"], ["a: b"]]);

  // Whoever was in and says that it belongs elsewhere is in no more.
  await world.run(link.request("mesh.join", FAKE));
  await world.run(assertRejects(() => link.request("mesh.join", forged), RemoteError));
  assertEquals(a.seen, ["joined b", "joined fake", "left fake"]);
});

Deno.test("ServerPeer is joined on shared links only", async () => {
  await using world = new MeshWorld();
  const a = await world.open("a");
  const link = await fakeLink(world, a, false);
  const error = await world.run(
    assertRejects(() => link.request("mesh.join", FAKE), RemoteError, "shared link only"),
  );
  assertEquals([error.code, a.mesh.peers()], ["incompatible", []]);
});

Deno.test("ServerPeer survives an introduction that is 100,000 levels deep", async () => {
  await using world = new MeshWorld();
  const [a] = await joined(world, ["a", "b"]) as [Node];
  const connecting = world.network.host("stranger").connect(addressOf("a"));
  const greeting = shakeHands(await world.run(connecting), "stranger", { body: { shared: true } });
  const stranger = await world.run(greeting);
  assertEquals((await world.run(stranger.receive()))?.header, ":accept");
  const nested = new Uint8Array(100_000).fill(0x91);
  const pieces = [[0x95], encode("mesh.join"), [1, 1, 0x81], encode("project"), nested, [
    0xc0,
    0xc0,
  ]];
  await stranger.framed.send(Uint8Array.from(pieces.flatMap((piece) => [...piece])));
  const answer = await world.run(stranger.receive());
  assertEquals([answer?.header, answer?.body.code], [":error", "too-large"]);
  assertEquals(await world.run(stranger.receive()), undefined);
  stranger.close();
  assertEquals(rosterOf([a]), ["a: b"]);
});

Deno.test("ServerPeer.join rejects an answer that is none, and closes what it opened for it", async () => {
  const answers: readonly (readonly [unknown, string])[] = [
    [undefined, "bad-message"],
    [null, "bad-message"],
    ["yes", "bad-message"],
    [[1, 2, 3], "bad-message"],
    [new Map([[1, 2]]), "bad-message"],
    [{ ...FAKE, name: 7 }, "bad-message"],
    [{ ...FAKE, name: "x".repeat(129) }, "bad-message"],
    [{ ...FAKE, project: "other" }, "incompatible"],
  ];
  for (const [answer, code] of answers) {
    await using world = new MeshWorld();
    const a = await world.open("a");
    let goodbyes = 0;
    const fake = await fakeServer(world, () => answer);
    fake.handle("mesh.leave", () => void goodbyes++);
    const error = await world.run(assertRejects(() => a.mesh.join(addressOf("fake")), PeerError));
    await world.clock.advance(1_000);
    assertEquals([error.code, a.mesh.peers(), a.seen], [code, [], []]);
    assertEquals([goodbyes, a.endpoint.links.size], [1, 0]);
  }
});

Deno.test("ServerPeer.join passes on another refusal as it is", async () => {
  await using world = new MeshWorld();
  const a = await world.open("a");
  await fakeServer(world, () => {
    throw new LimitError("rate", "Too often");
  });
  const error = await world.run(assertRejects(() => a.mesh.join(addressOf("fake")), RemoteError));
  assertEquals([error.code, error.message], ["rate", "Too often"]);
});

Deno.test("ServerPeer takes what is sent right behind the answer to its joining", async () => {
  await using world = new MeshWorld();
  const a = await world.open("a");
  await fakeServer(world, (link) => {
    queueMicrotask(() => link.post("mesh.message", { data: new Uint8Array([1, 2]) }));
    return FAKE;
  });
  await world.run(a.mesh.join(addressOf("fake")));
  await world.clock.advance(100);
  assertEquals(a.seen, ["joined fake", "fake: Uint8Array(2) [ 1, 2 ]"]);
});

Deno.test("ServerPeer refuses messages of who never answers, and says goodbye to it", async () => {
  await using world = new MeshWorld();
  const a = await world.open("a");
  let goodbyes = 0;
  const answers = Promise.withResolvers<void>();
  const fake = await fakeServer(world, (link) => {
    for (let i = 0; i < 3; i++) link.post("mesh.message", { data: i });
    return answers.promise;
  });
  fake.handle("mesh.leave", () => void goodbyes++);
  await world.run(assertRejects(() => a.mesh.join(addressOf("fake")), TimeoutError));
  await world.clock.advance(1_000);
  assertEquals([countOf(a.endpoint, "mesh.refused"), a.seen, goodbyes], [3, [], 1]);
  answers.resolve();
  await world.clock.advance(6_000);
  assertEquals(a.endpoint.links.size, 0);
});
