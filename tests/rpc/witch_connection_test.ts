import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { ClosedError, RemoteError, UnsupportedError } from "../../src/errors.ts";
import { serveWitch } from "../../src/rpc/witch_server.ts";
import { settle } from "../endpoint/fixture.ts";
import { World } from "./fixture.ts";

const witch = { dialect: "witch" } as const;

async function open(): Promise<World> {
  const world = await World.open({ serverName: "one", maxClients: 3 });
  serveWitch(world.served.endpoint, world.server);
  return world;
}

Deno.test("Client calls endpoints in the dialect of witch-core", async () => {
  await using world = await open();
  world.server.register("add", ({ a, b }: { a: number; b: number }) => a + b);
  const client = await world.client(witch);
  assertEquals(await client.call("add", { a: 1, b: 2 }), 3);
  assertEquals(await client.call("echo", ["x", null]), ["x", null]);
  const status = await client.call("status") as Record<string, unknown>;
  assertEquals([status.server_name, status.client_count], ["one", 1]);
  assertEquals(world.server.clients().map(({ dialect }) => dialect), ["witch"]);
  const answer = await client.sendAndReceive({ endpoint: "add", data: { a: 2, b: 2 } });
  assertEquals([answer.status, answer.data], ["success", 4]);
  const error = await assertRejects(() => client.call("nope"), RemoteError);
  assertEquals(error.code, "no-endpoint");
  assertEquals((await client.sendAndReceive({ endpoint: "nope" })).status, "error");
  assertEquals(client.status, { state: "connected", protocol: undefined });
});

Deno.test("Client notifies in the dialect of witch-core, and says what it cannot do", async () => {
  await using world = await open();
  const seen: unknown[] = [];
  world.server.register("note", (data) => (seen.push(data), Promise.reject(new Error("private"))));
  const client = await world.client(witch);
  client.notify("note", 1);
  assertEquals(await client.call("echo", "after"), "after");
  assertEquals(seen, [1]);
  const parts = () => Array.fromAsync(client.stream("note"));
  await assertRejects(parts, UnsupportedError, "dialect witch has no answers in parts");
});

Deno.test("Client connects again in the dialect of witch-core", async () => {
  await using world = await open();
  world.server.register("never", () => new Promise(() => {}));
  const client = await world.client({ ...witch, timeoutMs: 600 });
  const call = client.call("never", 0, { timeoutMs: Infinity });
  await settle();
  const broken = assertRejects(() => call, ClosedError);
  await world.kill();
  await broken;
  assert(client.status.state === "reconnecting");
  assertThrows(() => client.notify("echo", 1), ClosedError);
  using _ = serveWitch(await world.restart(), world.server);
  await world.clock.advance(1_000);
  assertEquals(await client.call("echo", 1), 1);
});
