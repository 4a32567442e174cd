import { assert, assertEquals, assertRejects } from "@std/assert";
import { PeerError } from "../../src/errors.ts";
import { Access } from "../../src/secure/access.ts";
import { SyncClient } from "../../src/sync/client.ts";
import { gateOf } from "../../src/sync/gate.ts";
import { serveHttp } from "../../src/transport/http.ts";
import { upgradeWebSocket } from "../../src/transport/websocket.ts";
import { identityOf, Journal } from "../endpoint/fixture.ts";
import { hello, Hub } from "../sync/hub_fixture.ts";
import { RawSocket } from "../sync/raw_socket.ts";

const SECRET = "kith-secret-0123456789abcdef";

/** A hub that wants a key, and one that opens it. */
async function lockedHub(): Promise<{ hub: Hub; token: string }> {
  const access = new Access({ identity: identityOf("hub") });
  const { token } = access.createApiKey({ scopes: ["folder:docs"] });
  return { hub: await Hub.open({ gate: gateOf(access) }), token };
}

// Whatever a browser adds by itself, or a link makes it add, lets nobody in: a page of another site could have it sent.
for (
  const [what, at] of [
    ["in the query", (key: string) => ({ path: `/sync?api_key=${key}&token=${key}&key=${key}` })],
    ["in the path", (key: string) => ({ path: `/sync/${key}` })],
    ["in a cookie", (key: string) => ({ headers: { Cookie: `api_key=${key}; token=${key}` } })],
    [
      "in Authorization",
      (key: string) => ({ headers: { Authorization: `Bearer ${key}`, "X-Api-Key": key } }),
    ],
    ["as a sub-protocol", (key: string) => ({ headers: { "Sec-WebSocket-Protocol": key } })],
  ] as const
) {
  Deno.test(`T16 a key ${what} opens no hub, and is logged nowhere`, async () => {
    const { hub, token } = await lockedHub();
    await using _hub = hub;
    const { socket } = await RawSocket.open(hub.port, at(token));
    using _socket = socket;
    await socket.text(JSON.stringify(hello("desk_1", { room: "docs" })));
    const answer = await socket.read();
    // With the key in the path, the id is another than the one of the address.
    assert(/AUTHENTICATION_FAILED|INVALID_MESSAGE/.test(answer), answer);
    assertEquals(hub.hub.status.clients, []);
    const said = JSON.stringify([hub.log.lines, hub.counters, hub.hub.status, answer]);
    assert(!said.includes(token) && !said.includes(token.slice(-20)), said);
  });
}

Deno.test("T16 a page that a visitor has open is not let in, whatever it knows of the hub", async () => {
  const { hub, token } = await lockedHub();
  await using _hub = hub;
  const fromAPage = {
    Host: `127.0.0.1:${hub.port}`,
    Origin: "https://evil.example",
    "Sec-Fetch-Site": "cross-site",
    "Sec-Fetch-Mode": "websocket",
    "User-Agent": "Mozilla/5.0",
    Cookie: "session=1",
  };
  const { status, socket } = await RawSocket.open(hub.port, { headers: fromAPage });
  socket[Symbol.dispose]();
  assertEquals(status, 403);
  // The same by a program that has the key: no page, no Origin.
  const plain = await hub.stranger();
  await plain.send(hello("desk_1", { apiKey: token, room: "docs" }));
  assertEquals((await plain.next()).data.success, true);
});

Deno.test("T16 a client says its key in the first message alone, and to nobody else", async () => {
  const seen: { url: string; headers: string }[] = [];
  const first = Promise.withResolvers<unknown>();
  const server = await serveHttp((request, remote) => {
    seen.push({ url: request.url, headers: JSON.stringify([...request.headers]) });
    const { socket, response } = upgradeWebSocket(request, remote);
    void socket.receive().then((text) => {
      first.resolve(text);
      socket.close(4_500, "no");
    });
    return response;
  }, { hostname: "127.0.0.1" });
  const log = new Journal();
  const url = `ws://127.0.0.1:${server.address.port}/sync/{client_id}`;
  const options = { name: "ann", folder: "/home/ann/docs", apiKey: SECRET, log };
  const error = await assertRejects(() => SyncClient.open(url, options), PeerError);
  assert(String(await first.promise).includes(SECRET));
  assertEquals(seen.length, 1);
  const [{ url: asked, headers } = { url: "", headers: "" }] = seen;
  const said = [asked, headers, error.message, error.details, String(error.stack), log.lines];
  assert(!JSON.stringify(said).includes(SECRET));
  // Nor where the folder is.
  assert(!String(await first.promise).includes("/home/ann"));
  await server.close();
});

Deno.test("T16 what stands in a hub's URL is in no error and no log line of a client", async () => {
  const log = new Journal();
  const options = { name: "ann", folder: "docs", log };
  for (
    const url of [`ws://ann:${SECRET}@127.0.0.1:1/sync`, `ws://127.0.0.1:1/sync?key=${SECRET}`]
  ) {
    const error = await assertRejects(() => SyncClient.open(url, options), Error);
    const said = JSON.stringify([error.message, { ...error }, String(error.stack), log.lines]);
    assert(!said.includes(SECRET), said);
  }
});
