import { assertEquals, assertRejects } from "@std/assert";
import { TransportError } from "../../src/errors.ts";
import { silentLogger } from "../../src/log.ts";
import { connectWebSocket, serveHttp, upgradeWebSocket } from "../../src/transport/mod.ts";

const LOOPBACK = "127.0.0.1";

Deno.test("serveHttp gives the handler the request and where it came from", async () => {
  const server = await serveHttp(
    (request, remote) => new Response(`${new URL(request.url).pathname} ${remote.hostname}`),
    { hostname: LOOPBACK },
  );
  assertEquals(await getText(server.address.port, "/status"), "/status 127.0.0.1");
  await server.close();
});

Deno.test("serveHttp serves pages beside WebSockets", async () => {
  const server = await serveHttp((request, remote) => {
    if (new URL(request.url).pathname !== "/sync") return new Response("page");
    const { socket, response } = upgradeWebSocket(request, remote);
    socket.send("hello");
    return response;
  }, { hostname: LOOPBACK });
  const { port } = server.address;
  const socket = await connectWebSocket(`ws://${LOOPBACK}:${port}/sync`);
  assertEquals(await socket.receive(), "hello");
  assertEquals(await getText(port, "/"), "page");
  socket.close();
  await socket.closed;
  await server.close();
});

Deno.test("serveHttp answers 400 to what asks for no WebSocket", async () => {
  const server = await serveHttp(
    (request, remote) => upgradeWebSocket(request, remote).response,
    { hostname: LOOPBACK },
  );
  assertEquals(await getText(server.address.port, "/"), "Bad Request\n");
  await server.close();
});

Deno.test("serveHttp answers 500 when the handler throws, and logs why", async () => {
  const reasons: unknown[] = [];
  const logger = {
    ...silentLogger,
    error: (_: string, fields?: Record<string, unknown>) => void reasons.push(fields?.reason),
  };
  const server = await serveHttp(() => {
    throw new Error("secret \u001b[2J detail");
  }, { hostname: LOOPBACK, logger });
  assertEquals(await getText(server.address.port, "/"), "Internal Server Error\n");
  assertEquals(reasons, ["secret \\u{1b}[2J detail"]);
  await server.close();
});

Deno.test("serveHttp rejects a taken port, and closes twice", async () => {
  const server = await serveHttp(() => new Response(), { hostname: LOOPBACK });
  const { port } = server.address;
  await assertRejects(
    () => serveHttp(() => new Response(), { hostname: LOOPBACK, port }),
    TransportError,
    `Cannot serve HTTP on ${LOOPBACK}:${port}`,
  );
  await assertRejects(() => serveHttp(() => new Response(), { port: 65536 }), RangeError);
  await Promise.all([server.close(), server.close()]);
  await server.close();
});

Deno.test("serveHttp lets a request finish that is being answered when it closes", async () => {
  const asked = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<Response>();
  const server = await serveHttp(() => {
    asked.resolve();
    return answer.promise;
  }, { hostname: LOOPBACK });
  const text = getText(server.address.port, "/");
  await asked.promise;
  const closing = server.close();
  answer.resolve(new Response("finished"));
  assertEquals(await text, "finished");
  await closing;
});

Deno.test("serveHttp cuts bodies that would never end when it closes", async () => {
  const endless = new ReadableStream({
    pull: (controller) => controller.enqueue(new Uint8Array(9)),
  });
  const server = await serveHttp(() => new Response(endless), { hostname: LOOPBACK });
  const response = await fetch(`http://${LOOPBACK}:${server.address.port}/`);
  const reader = response.body?.getReader();
  assertEquals((await reader?.read())?.done, false);
  const reading = assertRejects(async () => {
    while (!(await reader?.read())?.done);
  });
  await server.close();
  await reading;
});

async function getText(port: number, path: string): Promise<string> {
  const response = await fetch(`http://${LOOPBACK}:${port}${path}`);
  return await response.text();
}
