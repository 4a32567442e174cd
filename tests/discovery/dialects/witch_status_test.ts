import { assertEquals, assertRejects } from "@std/assert";
import { askWitchStatus } from "../../../src/discovery/dialects/witch_status.ts";
import { InvalidPacketError, TransportError } from "../../../src/errors.ts";
import { MemoryNetwork } from "../../../src/transport/memory.ts";
import { netTransport } from "../../../src/transport/net.ts";
import type { Connection, Transport } from "../../../src/transport/transport.ts";
import { bytesOf, loadVector } from "../../testdata/vectors.ts";

const ANSWER = bytesOf(loadVector("witch.response", "status"));

Deno.test("askWitchStatus asks as the original's client does, and knows its answer", async () => {
  using network = new MemoryNetwork();
  for (const pieces of [[ANSWER], [ANSWER.subarray(0, 9), ANSWER.subarray(9)]]) {
    await using server = await serve(network.host("bob"), pieces);
    assertEquals(await askWitchStatus(network.host("alice"), server.address), true);
    const request = loadVector("witch.response", "status").request_hex;
    assertEquals(server.asked(), request);
  }
});

Deno.test("askWitchStatus takes nothing but success for an answer that it is up", async () => {
  using network = new MemoryNetwork();
  const answers = [
    '{"status": "error"}\n',
    '{"status": "received"}\n',
    "[]\n",
    "null\n",
    "7\n",
    "",
  ];
  for (const answer of answers) {
    await using server = await serve(network.host("bob"), [new TextEncoder().encode(answer)]);
    assertEquals(await askWitchStatus(network.host("alice"), server.address), false, answer);
  }
});

Deno.test("askWitchStatus refuses what is no line of JSON, and one without end", async () => {
  using network = new MemoryNetwork();
  for (const answer of ["HTTP/1.1 400 Bad Request\r\n\r\n", "x".repeat(20_000)]) {
    await using server = await serve(network.host("bob"), [new TextEncoder().encode(answer)]);
    const asking = () => askWitchStatus(network.host("alice"), server.address);
    await assertRejects(asking, InvalidPacketError);
  }
  const nobody = { hostname: "bob", port: 1 };
  await assertRejects(() => askWitchStatus(network.host("alice"), nobody), TransportError);
});

Deno.test("askWitchStatus gives up when its signal aborts, and closes the connection", async () => {
  using network = new MemoryNetwork();
  await using server = await serve(network.host("bob"), undefined);
  const controller = new AbortController();
  const { signal } = controller;
  const asking = askWitchStatus(network.host("alice"), server.address, { signal });
  await server.wasAsked;
  controller.abort(new Error("enough"));
  await assertRejects(() => asking, Error, "enough");
  await server.done;
});

Deno.test("askWitchStatus asks over real sockets", async () => {
  await using server = await serve(netTransport, [ANSWER]);
  assertEquals(await askWitchStatus(netTransport, server.address), true);
});

/** A server that answers the first line with some pieces and hangs up; without any it waits for the other to do so. */
async function serve(transport: Transport, pieces: readonly Uint8Array[] | undefined) {
  const listener = await transport.listen({ hostname: "127.0.0.1" });
  const wasAsked = Promise.withResolvers<void>();
  let asked = "";
  const answer = async (connection: Connection) => {
    const into = new Uint8Array(100);
    asked = into.subarray(0, await connection.read(into) ?? 0).toHex();
    wasAsked.resolve();
    for (const piece of pieces ?? []) await connection.write(piece);
    if (pieces === undefined) await connection.read(into);
  };
  const done = (async () => {
    const connection = await listener.accept();
    if (connection === undefined) return;
    await answer(connection).catch(() => {}); // who asked hung up
    connection.close();
  })();
  return {
    address: listener.address,
    asked: () => asked,
    wasAsked: wasAsked.promise,
    done,
    async [Symbol.asyncDispose]() {
      listener.close();
      await done;
    },
  };
}
