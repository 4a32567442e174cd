import { assertEquals, assertMatch } from "@std/assert";
import { Peer } from "../../src/peer.ts";

/** Asks for a WebSocket as a browser does. @returns the status line. */
async function upgrade(port: number, headers: Record<string, string>): Promise<string> {
  using conn = await Deno.connect({ hostname: "127.0.0.1", port });
  const lines = Object.entries({
    Connection: "Upgrade",
    Upgrade: "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    ...headers,
  }).map(([name, value]) => `${name}: ${value}`);
  const text = ["GET /kith HTTP/1.1", ...lines, "", ""].join("\r\n");
  await conn.write(new TextEncoder().encode(text));
  const buffer = new Uint8Array(1_024);
  const count = await conn.read(buffer) ?? 0;
  return new TextDecoder().decode(buffer.subarray(0, count)).split("\r\n", 1)[0] ?? "";
}

for (
  const [what, host, origin] of [
    ["a page of another site", "127.0.0.1:PORT", "https://evil.example"],
    ["a page of another port", "127.0.0.1:PORT", "http://127.0.0.1:1"],
    ["a page whose name was made to lead here", "evil.example:PORT", "http://evil.example:PORT"],
    ["a page from a file", "127.0.0.1:PORT", "null"],
  ] as const
) {
  Deno.test(`T16 T20 ${what} cannot use a visitor's peer`, async () => {
    await using peer = await Peer.open({
      hostname: "127.0.0.1",
      port: 0,
      httpPort: 0,
      web: true,
      announce: false,
    });
    const port = peer.httpAddress?.port ?? 0;
    const of = (text: string) => text.replace("PORT", `${port}`);
    assertMatch(await upgrade(port, { Host: of(host), Origin: of(origin) }), / 403 /);
    assertEquals(peer.metrics.snapshot()["accept.refused.origin"], 1);
    const own = { Host: `127.0.0.1:${port}`, Origin: `http://127.0.0.1:${port}` };
    assertMatch(await upgrade(port, own), / 101 /);
  });
}

Deno.test("T16 whoever opens a WebSocket has proven nothing yet: the same handshake comes first", async () => {
  await using peer = await Peer.open({
    hostname: "127.0.0.1",
    port: 0,
    httpPort: 0,
    web: true,
    announce: false,
  });
  const socket = new WebSocket(`ws://127.0.0.1:${peer.httpAddress?.port}/kith`);
  const closed = Promise.withResolvers<void>();
  socket.onclose = () => closed.resolve();
  await new Promise((resolve) => socket.onopen = resolve);
  const hello = "KITH/1\n\0\x20 here is what a peer without a key would like to say first";
  socket.send(new TextEncoder().encode(hello));
  socket.send(new Uint8Array(4_096));
  await closed.promise;
  assertEquals(peer.endpoint.links.size, 0);
});
