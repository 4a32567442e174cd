import { assertEquals, assertRejects } from "@std/assert";
import type { Client } from "../../src/rpc/client.ts";
import type {
  CallName,
  CallResult,
  EndpointContext,
  InputOf,
  StreamPart,
} from "../../src/rpc/endpoints.ts";
import type { PeerListEntry, ServerStatus } from "../../src/rpc/handlers.ts";
import { schema } from "../../src/rpc/schema.ts";
import { World } from "./fixture.ts";

const endpoints = {
  add: ({ a, b }: { a: number; b: number }) => a + b,
  whoami: (_: unknown, { clientId }: EndpointContext) => Promise.resolve(clientId),
  greet: (name: string | undefined) => `hello, ${name ?? "you"}`,
  async *count(to: number) {
    for (let n = 1; n <= to; n++) yield n;
  },
};

type Api = typeof endpoints;

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true
  : false;

/** Compiles when it is given `true`. */
function holds<_ extends true>(): void {}

Deno.test("types of a client follow from the functions of its server", () => {
  holds<Equal<CallResult<Api, "add">, number>>();
  holds<Equal<CallResult<Api, "whoami">, string>>();
  holds<Equal<CallResult<Api, "count">, never>>();
  holds<Equal<StreamPart<Api, "count">, number>>();
  holds<Equal<StreamPart<Api, "add">, number>>();
  holds<Equal<CallResult<Api, "status">, ServerStatus>>();
  holds<Equal<CallResult<Api, "peers">, readonly PeerListEntry[]>>();
  holds<Equal<InputOf<Api["add"]>, { a: number; b: number }>>();
  type BuiltIn = "status" | "info" | "peer_list" | "peers" | "echo" | "ping" | "describe";
  holds<Equal<CallName<Api>, "add" | "whoami" | "greet" | "count" | BuiltIn>>();
});

Deno.test("Client is typed by its server's endpoints without generated code", async () => {
  await using world = await World.open();
  world.server.registerAll(endpoints, {
    inputs: { add: schema.object({ a: schema.number(), b: schema.number() }) },
  });
  const client = await world.client<Api>();
  const sum: number = await client.call("add", { a: 1, b: 2 });
  const me: string = await client.call("whoami");
  const [hello, hi]: string[] = [await client.call("greet"), await client.call("greet", "bob")];
  const parts: number[] = await Array.fromAsync(client.stream("count", 3));
  const port: number = (await client.call("status")).port;
  assertEquals([sum, hello, hi, parts, port], [3, "hello, you", "hello, bob", [1, 2, 3], 3485]);
  assertEquals(me, world.server.clients()[0]?.clientId);
  client.notify("greet", "bob");
});

Deno.test("Client rejects at compile time what the server does not have", async () => {
  await using world = await World.open();
  world.server.registerAll(endpoints);
  const any = await world.client();
  const client: Client<Api> = any.as<Api>();
  const wrong = [
    // @ts-expect-error: there is no such endpoint
    client.call("nope"),
    // @ts-expect-error: its data may not be left out
    client.call("add").catch(() => {}),
    // @ts-expect-error: nor be something else
    client.call("greet", 5),
    // @ts-expect-error: nor be wrong inside
    client.call("add", { a: 1, b: "2" }),
  ];
  await Promise.allSettled(wrong);
  await assertRejects(() => any.call("nope", { whatever: 1 }));
  const answer: unknown = await any.call("add", { a: 1, b: 2 });
  assertEquals(answer, 3);
});

Deno.test("Server.register has the type of the data from the schema", async () => {
  await using world = await World.open();
  const input = schema.object({ name: schema.string(), age: schema.optional(schema.number()) });
  world.server.register("describe me", (data) => {
    holds<Equal<typeof data, { name: string; age?: number }>>();
    return `${data.name} is ${data.age ?? "?"}`;
  }, { input });
  // @ts-expect-error: the function takes something else than the schema gives
  world.server.register("other", (data: { name: number }) => data.name, { input });
  assertEquals(await world.server.call("describe me", { name: "bob" }), "bob is ?");
});
