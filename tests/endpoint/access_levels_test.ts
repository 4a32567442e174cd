import { assert, assertEquals, assertRejects } from "@std/assert";
import { RemoteError } from "../../src/errors.ts";
import { UdpPort } from "../../src/endpoint/udp_port.ts";
import { Server } from "../../src/rpc/server.ts";
import { serveWitch } from "../../src/rpc/witch_server.ts";
import { Served, SERVER } from "./fixture.ts";

Deno.test("access: public handlers answer everybody, private ones proven peers, invited ones the invited", async () => {
  const asked: string[] = [];
  await using served = await Served.open({
    isInvited: (scope, { peer }) => {
      asked.push(scope);
      return peer?.name === "friend";
    },
  });
  const { endpoint } = served;
  endpoint.handle("open", () => "open");
  endpoint.handle("known", () => "known", { access: "private" });
  endpoint.handle("v1/party", () => "party", { access: "invited" });
  endpoint.handle("drop", () => "drop", { access: "invited", scope: "send" });

  for (const name of ["friend", "stranger"]) {
    const client = await served.client(name);
    await using link = await client.connect(SERVER);
    assertEquals(await link.request("open", {}), "open");
    assertEquals(await link.request("known", {}), "known");
    if (name === "friend") {
      assertEquals(await link.request("v1/party", {}), "party");
      assertEquals(await link.request("drop", {}), "drop");
      continue;
    }
    const error = await assertRejects(
      () => link.request("v1/party", {}),
      RemoteError,
      "call:party",
    );
    assertEquals(error.code, "not-allowed");
    await assertRejects(() => link.request("drop", {}), RemoteError, "an invite for send");
  }
  assertEquals(asked, ["call:party", "send", "call:party", "send"]);
});

Deno.test("access: an endpoint's default holds for handlers that do not say", async () => {
  await using served = await Served.open({ access: "invited" });
  served.endpoint.handle("a", () => "a");
  served.endpoint.handle("b", () => "b", { access: "public" });
  const client = await served.client();
  await using link = await client.connect(SERVER);
  await assertRejects(() => link.request("a", {}), RemoteError, "needs an invite for call:a");
  assertEquals(await link.request("b", {}), "b");
});

Deno.test("access: whose invite is no longer good is told so, and nobody else", async () => {
  await using served = await Served.open({
    lapseOf: ({ peer }) =>
      peer?.name === "late" ? "expired" : peer?.name === "out" ? "revoked" : undefined,
  });
  served.endpoint.handle("party", () => "party", { access: "invited" });
  const ends = {
    late: "needs an invite for call:party: one that was shown has expired",
    out: "needs an invite for call:party: one that was shown was revoked",
    ann: "needs an invite for call:party",
  };
  for (const [name, end] of Object.entries(ends)) {
    const client = await served.client(name);
    await using link = await client.connect(SERVER);
    const { message } = await assertRejects(() => link.request("party", {}), RemoteError);
    assert(message.endsWith(end), message);
  }
});

Deno.test("access: nothing private is reached over UDP, where nobody proves who they are", async () => {
  await using served = await Served.open();
  const { endpoint, network } = served;
  endpoint.handle("open", () => "open");
  endpoint.handle("known", () => "known", { access: "private" });
  await using port = await UdpPort.open(endpoint, { transport: network.host("server") });
  const client = await served.client();
  await using asker = await UdpPort.open(client, {
    transport: network.host("client"),
    clientOnly: true,
  });
  assertEquals(await asker.request(port.address, "open", {}), "open");
  const error = await assertRejects(() => asker.request(port.address, "known", {}), RemoteError);
  assertEquals(error.code, "not-authenticated");
});

Deno.test("access: a call of another dialect reaches no private endpoint", async () => {
  await using served = await Served.open();
  const server = new Server(served.endpoint);
  server.register("known", () => "known", { access: "private" });
  server.register("open", () => "open");
  assert(!server.isPublic("known") && server.isPublic("open"));
  assert(server.isPublic("nobody has this"), "without a handler it is as handlers are");
  const address = { hostname: "192.0.2.1", port: 1 };
  assertEquals(await server.call("open", null, { address }), "open");
  await assertRejects(() => server.call("known", null, { address }), Error, "prove who they are");
});

Deno.test("access: where nothing is public the witch dialect tells nothing of the server", async () => {
  await using served = await Served.open({ access: "private" });
  const { endpoint } = served;
  const server = new Server(endpoint, {
    serverName: "a-secret-name",
    projectId: "a-secret-project",
  });
  using _witch = serveWitch(endpoint, server);
  const lines = [
    { type: "peer_handshake", node_id: "x", project_id: "a-secret-project", hash: "" },
    { request: "info" },
    { request: "status" },
    { request: "peer_list" },
    { endpoint: "info" },
    { type: "anything" },
  ];
  const connection = await served.stranger();
  const buffer = new Uint8Array(8_192);
  for (const line of lines) {
    await connection.write(new TextEncoder().encode(`${JSON.stringify(line)}\n`));
    const count = await connection.read(buffer) ?? 0;
    const answer = new TextDecoder().decode(buffer.subarray(0, count));
    assert(answer.includes("prove who they are"), answer);
    assert(!answer.includes("a-secret"), answer);
  }
  connection.close();
});
