/**
 * Messages, large messages and handshakes of two endpoints, as many as each command says; encrypted unless the last
 * argument is `plain`. Prints `{ seconds }`, until handlers have taken all, and each connection is closed at both ends.
 *
 * | command        | does                                                          |
 * |----------------|---------------------------------------------------------------|
 * | `messages N`   | sends N messages with 1 KiB each                              |
 * | `bulk N`       | sends N messages with 1 MiB each                              |
 * | `handshakes N` | connects, shakes hands and closes, N times one after another  |
 *
 * @module
 */

import type { Endpoint } from "../../src/endpoint/endpoint.ts";
import type { Link } from "../../src/endpoint/link.ts";
import type { MessageBody } from "../../src/wire/message.ts";
import { blobBody, BULK_BYTES } from "../bodies.ts";
import { openClient, openEndpoint } from "./endpoints.ts";
import { Counter } from "./notify.ts";
import { hostname, runServedPair } from "./served_pair.ts";

interface Client {
  readonly endpoint: Endpoint;
  readonly link: Link;
  readonly port: number;
}

const bodies = { messages: blobBody(1024), bulk: blobBody(BULK_BYTES) };

await runServedPair<Client>({ serve, connect }, async (client, command) => {
  const [what, times] = command.split(" ");
  const count = Number(times);
  const startedAt = performance.now();
  if (what === "handshakes") await shakeHands(client, count);
  else await send(client, what === "bulk" ? bodies.bulk : bodies.messages, count);
  return { seconds: (performance.now() - startedAt) / 1000 };
});

async function serve(): Promise<number> {
  const { endpoint, port } = await openEndpoint();
  const counter = new Counter();
  endpoint.handle("note", counter.add, { inline: true });
  endpoint.handle("taken", () => counter.take(), { inline: true });
  return port;
}

async function connect(port: number): Promise<Client> {
  const endpoint = await openClient();
  return { endpoint, link: await endpoint.connect({ hostname, port }), port };
}

async function send({ link }: Client, body: MessageBody, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const busy = link.post("note", body);
    if (busy !== undefined) await busy;
  }
  const taken = await link.request("taken", {});
  if (taken !== count) throw new Error(`Cannot measure: ${taken} of ${count} arrived`);
}

async function shakeHands({ endpoint, port }: Client, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const link = await endpoint.connect({ hostname, port });
    await link.close();
  }
}
