/**
 * What every byte connection and every listener promises, on real TCP, in memory and over a WebSocket.
 */

import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { TransportError } from "../../src/errors.ts";
import {
  asConnection,
  type Connection,
  connectWebSocket,
  MemoryNetwork,
  netTransport,
  serveHttp,
  type Transport,
  upgradeWebSocket,
} from "../../src/transport/mod.ts";
import { bytes, type Pair, readExactly, testConnection } from "./connection_contract.ts";

const NETWORKS: Record<string, () => { listening: Transport; connecting: Transport }> = {
  tcp: () => ({ listening: netTransport, connecting: netTransport }),
  memory: () => {
    const network = new MemoryNetwork();
    return { listening: network.host("server"), connecting: network.host("client") };
  },
};

const PAIRS: Record<string, () => Promise<Pair>> = {
  tcp: () => pairOn("tcp"),
  memory: () => pairOn("memory"),
  websocket: webSocketPair,
};

for (const [kind, open] of Object.entries(PAIRS)) testConnection(kind, open);

for (const kind of ["tcp", "memory"]) {
  Deno.test(`Connection (${kind}) makes a writer wait for the reader`, async () => {
    await using pair = await pairOn(kind);
    await using probe = await pairOn(kind);
    const length = 64 * 1024 * 1024;
    let written = false;
    const writing = pair.client.write(new Uint8Array(length)).then(() => {
      written = true;
    });
    // Long after the kernel took what it takes: round trips elsewhere keep time without a clock.
    for (let trip = 0; trip < 200; trip++) {
      await probe.client.write(bytes(1));
      await readExactly(probe.server, 1);
    }
    assertEquals(written, false);
    await readExactly(pair.server, length);
    await writing;
  });

  Deno.test(`Connection (${kind}) says where both ends are`, async () => {
    await using pair = await pairOn(kind);
    assertEquals(pair.client.remote, pair.server.local);
    assertEquals(pair.server.remote, pair.client.local);
  });

  Deno.test(`Listener (${kind}) yields undefined when it is closed, waiting or not`, async () => {
    const listener = await newNetwork(kind).listening.listen({ hostname: "127.0.0.1" });
    const accepting = listener.accept();
    listener.close();
    listener.close();
    assertEquals(await accepting, undefined);
    assertEquals(await listener.accept(), undefined);
  });

  Deno.test(`Listener (${kind}) takes one accept at a time`, async () => {
    const listener = await newNetwork(kind).listening.listen({ hostname: "127.0.0.1" });
    const accepting = listener.accept();
    await assertRejects(() => listener.accept(), TypeError, "another accept");
    listener.close();
    assertEquals(await accepting, undefined);
  });

  Deno.test(`Listener (${kind}) leaves accepted connections open when it closes`, async () => {
    // The pair's listener is closed already.
    await using pair = await pairOn(kind);
    await pair.client.write(bytes(1));
    assertEquals(await readExactly(pair.server, 1), bytes(1));
  });

  Deno.test(`listen (${kind}) rejects a taken port and names it`, async () => {
    const { listening } = newNetwork(kind);
    const listener = await listening.listen({ hostname: "127.0.0.1" });
    const { port } = listener.address;
    await assertRejects(
      () => listening.listen({ hostname: "127.0.0.1", port }),
      TransportError,
      `Cannot listen on 127.0.0.1:${port}`,
    );
    listener.close();
    const again = await listening.listen({ hostname: "127.0.0.1", port });
    again.close();
  });

  Deno.test(`listen (${kind}) rejects an address that is not ours`, async () => {
    const { listening } = newNetwork(kind);
    await assertRejects(() => listening.listen({ hostname: "192.0.2.77" }), TransportError);
  });

  Deno.test(`listen and connect (${kind}) reject what is no port`, async () => {
    const { listening, connecting } = newNetwork(kind);
    await assertRejects(() => listening.listen({ port: 65536 }), RangeError, "65536");
    await assertRejects(() => listening.listen({ port: 1.5 }), RangeError, "1.5");
    const nowhere = { hostname: "127.0.0.1", port: 0 };
    await assertRejects(() => connecting.connect(nowhere), RangeError, "1..65535");
  });

  Deno.test(`connect (${kind}) rejects where nobody listens`, async () => {
    const { listening, connecting } = newNetwork(kind);
    const listener = await listening.listen({ hostname: "127.0.0.1" });
    listener.close();
    const error = await assertRejects(
      () => connecting.connect(listener.address),
      TransportError,
      "refused",
    );
    assertEquals(error.code, "connect");
    assert(String(error.details.address).endsWith(`:${listener.address.port}`));
  });

  Deno.test(`connect (${kind}) rejects with the reason of its signal`, async () => {
    const { listening, connecting } = newNetwork(kind);
    const listener = await listening.listen({ hostname: "127.0.0.1" });
    const reason = new Error("changed my mind");
    const before = AbortSignal.abort(reason);
    const rejected = await assertRejects(() =>
      connecting.connect(listener.address, { signal: before })
    );
    assertStrictEquals(rejected, reason);

    const during = new AbortController();
    const connecting2 = connecting.connect(listener.address, { signal: during.signal });
    during.abort(reason);
    assertStrictEquals(await assertRejects(() => connecting2), reason);
    listener.close();
  });
}

function newNetwork(kind: string): { listening: Transport; connecting: Transport } {
  const make = NETWORKS[kind];
  if (make === undefined) throw new TypeError(`No network ${kind}`);
  return make();
}

async function pairOn(kind: string): Promise<Pair> {
  const { listening, connecting } = newNetwork(kind);
  const listener = await listening.listen({ hostname: "127.0.0.1" });
  const [server, client] = await Promise.all([
    listener.accept(),
    connecting.connect(listener.address),
  ]);
  listener.close();
  if (server === undefined) throw new Error("The listener closed");
  return {
    client,
    server,
    [Symbol.asyncDispose]: () => Promise.resolve(closeBoth(client, server)),
  };
}

async function webSocketPair(): Promise<Pair> {
  const accepted = Promise.withResolvers<Connection>();
  const server = await serveHttp((request, remote) => {
    const { socket, response } = upgradeWebSocket(request, remote);
    accepted.resolve(asConnection(socket, server.address));
    return response;
  }, { hostname: "127.0.0.1" });
  const socket = await connectWebSocket(`ws://127.0.0.1:${server.address.port}`);
  const client = asConnection(socket);
  const accept = await accepted.promise;
  return {
    client,
    server: accept,
    async [Symbol.asyncDispose]() {
      closeBoth(client, accept);
      await socket.closed;
      await server.close();
    },
  };
}

function closeBoth(client: Connection, server: Connection): void {
  client.close();
  server.close();
}
