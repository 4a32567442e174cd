import { assert, assertEquals, assertRejects } from "@std/assert";
import { Endpoint, type EndpointOptions } from "../../src/endpoint/endpoint.ts";
import { RemoteError } from "../../src/errors.ts";
import { type LogFields, silentLogger } from "../../src/log.ts";
import { Server } from "../../src/rpc/server.ts";
import { connectWitch } from "../../src/rpc/witch_client.ts";
import { serveWitch } from "../../src/rpc/witch_server.ts";
import { netTransport } from "../../src/transport/mod.ts";
import { identityOf, infoOf } from "../endpoint/fixture.ts";
import { bytesOf, loadVectors, type Vector } from "../testdata/vectors.ts";
import { vectorClock, VectorHost } from "./witch_fixture.ts";

const HOSTNAME = "127.0.0.1";

async function open(options: Partial<EndpointOptions> = {}): Promise<Endpoint> {
  const about = { transport: netTransport, identity: identityOf("server"), self: infoOf("server") };
  return await Endpoint.open({ ...about, hostname: HOSTNAME, port: 0, ...options });
}

function portOf(endpoint: Endpoint): number {
  return endpoint.address?.port ?? 0;
}

/** The original's client: one write, then reads until what it has ends with an LF, or nothing more comes. */
async function writeAndRead(conn: Deno.TcpConn, request: Uint8Array): Promise<string> {
  await conn.write(request);
  let answer = "";
  const buffer = new Uint8Array(4096);
  while (!answer.endsWith("\n")) {
    const count = await conn.read(buffer);
    if (count === null) break;
    answer += new TextDecoder().decode(buffer.subarray(0, count));
  }
  return answer;
}

function requestOf({ request_hex = "" }: Vector): Uint8Array {
  return Uint8Array.fromHex(request_hex);
}

Deno.test("serveWitch answers the original's client over TCP, one request a write", async () => {
  await using endpoint = await open();
  const host = new VectorHost();
  using _serving = serveWitch(endpoint, host, { clock: vectorClock() });
  const vectors = loadVectors("witch.response").filter(({ name }) =>
    ["ping", "status", "info", "echo unicode", "endpoint echo", "endpoint failing", "no handler"]
      .includes(name)
  );
  assertEquals(vectors.length, 7);
  using conn = await Deno.connect({ hostname: HOSTNAME, port: portOf(endpoint) });
  for (const vector of [...vectors, ...loadVectors("witch.media_stream")]) {
    const answer = new TextDecoder().decode(bytesOf(vector));
    assertEquals(await writeAndRead(conn, requestOf(vector)), answer, vector.name);
  }
});

Deno.test("serveWitch tells who sends megabytes without a line feed, and serves the next", async () => {
  const refused = Promise.withResolvers<LogFields | undefined>();
  const log = { ...silentLogger, warn: (_: string, fields?: LogFields) => refused.resolve(fields) };
  await using endpoint = await open({ log });
  using _serving = serveWitch(endpoint, new VectorHost());
  using flood = await Deno.connect({ hostname: HOSTNAME, port: portOf(endpoint) });
  const megabyte = new Uint8Array(1024 * 1024).fill("{".charCodeAt(0));
  const sending = (async () => {
    for (let n = 0; n < 4; n++) await flood.write(megabyte);
  })().catch(() => {}); // it may be cut off, and hears why first
  const answer = JSON.parse(await writeAndRead(flood, new Uint8Array(0)));
  assertEquals([answer.status, answer.error], ["error", "too-large"]);
  assert(answer.message.endsWith("exceeds maxLineBytes 1048576"), answer.message);
  flood.close();
  await sending;
  using next = await Deno.connect({ hostname: HOSTNAME, port: portOf(endpoint) });
  const ping = new TextEncoder().encode('{"request": "ping"}\n');
  assertEquals(JSON.parse(await writeAndRead(next, ping)).pong, true);
  assertEquals((await refused.promise)?.code, "too-large");
  assertEquals(endpoint.metrics.snapshot()["accept.refused.too-large"], 1);
});

Deno.test("serveWitch speaks for a Server, and WitchClient calls it over TCP", async () => {
  await using endpoint = await open();
  await using server = new Server(endpoint, { serverName: "MyServer", maxClients: 1 });
  using _serving = serveWitch(endpoint, server);
  server.register("add", ({ a, b }: { a: number; b: number }, { clientId }) => {
    assertEquals(clientId, server.clients()[0]?.clientId);
    return a + b;
  });
  const address = { hostname: HOSTNAME, port: portOf(endpoint) };
  await using client = connectWitch(await netTransport.connect(address));
  assertEquals(await client.call("add", { a: 1, b: 2 }), 3);
  assertEquals(server.clients().map(({ dialect }) => dialect), ["witch"]);
  const { server_name, client_count } = await client.call("status") as Record<string, unknown>;
  assertEquals([server_name, client_count], ["MyServer", 1]);
  await using second = connectWitch(await netTransport.connect(address));
  const error = await assertRejects(() => second.call("ping"), RemoteError);
  assertEquals(error.code, "limit");
});
