import { assertEquals } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import { ConnectionLimiter } from "../../src/endpoint/limits.ts";
import { Access } from "../../src/secure/access.ts";
import { rejectionOf } from "../../src/sync/door.ts";
import { gateOf } from "../../src/sync/gate.ts";
import { identityOf } from "../endpoint/fixture.ts";
import { hello, Hub } from "../sync/hub_fixture.ts";
import { RawSocket } from "../sync/raw_socket.ts";

for (
  const [what, host, origin, status] of [
    ["a page of another site", "127.0.0.1:PORT", "https://evil.example", 403],
    ["a page of another port", "127.0.0.1:PORT", "http://127.0.0.1:1", 403],
    [
      "a page whose name was made to lead here",
      "evil.example:PORT",
      "http://evil.example:PORT",
      403,
    ],
    ["a page from a file", "127.0.0.1:PORT", "null", 403],
    ["a page of the port itself", "127.0.0.1:PORT", "http://127.0.0.1:PORT", 101],
    ["a page of a site that was listed", "hub.example:PORT", "https://own.example", 101],
  ] as const
) {
  Deno.test(`T16 T20 ${what} gets ${status} of a sync hub`, async () => {
    await using hub = await Hub.open({ origins: ["https://own.example"] });
    const of = (text: string) => text.replace("PORT", `${hub.port}`);
    const answer = await RawSocket.open(hub.port, {
      headers: { Host: of(host), Origin: of(origin) },
    });
    using _socket = answer.socket;
    assertEquals(answer.status, status);
    assertEquals(hub.counters["sync.refused"], status === 403 ? 1 : undefined);
  });
}

Deno.test("T16 callers of other machines need a key, and a few wrong ones are enough", () => {
  const failures = new ConnectionLimiter(new ManualClock());
  const rules = { origins: new Set<string>(), failures };
  const request = new Request("http://192.0.2.1:3488/sync");
  const remote = { hostname: "192.0.2.7", port: 50_000 };
  assertEquals(rejectionOf(request, remote, { ...rules, allowRemote: false })?.status, 403);
  assertEquals(rejectionOf(request, remote, { ...rules, allowRemote: true }), undefined);
  for (let attempt = 0; attempt < 32; attempt++) failures.failed(remote);
  assertEquals(rejectionOf(request, remote, { ...rules, allowRemote: true })?.status, 429);
});

Deno.test("T16 a key in the address opens nothing and is not logged", async () => {
  const access = new Access({ identity: identityOf("hub") });
  await using hub = await Hub.open({ gate: gateOf(access) });
  const { token } = access.createApiKey({ scopes: ["folder:docs"] });
  const plain = await hub.stranger(`/sync?api_key=${token}&token=${token}`);
  await plain.send(hello("desk_1"));
  assertEquals((await plain.next()).data.error_code, "AUTHENTICATION_FAILED");
  assertEquals(JSON.stringify(hub.log.lines).includes(token), false);
});

Deno.test("T16 who has said nothing is told nothing: broadcasts are for those who are in", async () => {
  await using hub = await Hub.open();
  const stranger = await hub.stranger();
  const plain = await hub.plain("a");
  assertEquals(hub.hub.broadcast("docs", { type: "notice", data: {} }), 1);
  assertEquals((await plain.next()).type, "notice");
  await stranger.send(hello("b"));
  assertEquals((await stranger.next()).type, "client_connect");
});

Deno.test("T16 nobody takes over a session or an id that is another's", async () => {
  const access = new Access({ identity: identityOf("hub") });
  await using hub = await Hub.open({ gate: gateOf(access) });
  const [own, others] = [1, 2].map(() => access.createApiKey({ scopes: ["folder:docs"] }).token);
  const client = await hub.stranger();
  const capabilities = ["resume"];
  await client.send(hello("desk_1", { capabilities, apiKey: own ?? "" }));
  await client.next();
  const attempt = async (options: Parameters<typeof hello>[1]) => {
    const plain = await hub.stranger();
    await plain.send(hello("desk_1", { capabilities, ...options }));
    return (await plain.next()).data.error_code;
  };
  const resume = { session: "0".repeat(32), received: 0 };
  assertEquals(await attempt({ apiKey: others ?? "", resume }), "CLIENT_ID_IN_USE");
  // Nor while it is away.
  client.socket.close(4000);
  await client.socket.closed;
  assertEquals(await attempt({ apiKey: others ?? "" }), "CLIENT_ID_IN_USE");
  assertEquals(await attempt({ apiKey: own ?? "" }), undefined);
});
