/**
 * Endpoints as programs open them.
 *
 * @module
 */

import { Endpoint } from "../../src/endpoint/endpoint.ts";
import type { Link } from "../../src/endpoint/link.ts";
import { netTransport } from "../../src/transport/net.ts";
import { hostname } from "./served_pair.ts";

/** Connections are encrypted unless the last argument of both processes is this. */
const PLAIN = "plain";

/** What both kinds of endpoint are opened with. */
const common = { transport: netTransport, plain: Deno.args.at(-1) === PLAIN };

/** An endpoint that listens on some port. */
export async function openEndpoint(): Promise<{ endpoint: Endpoint; port: number }> {
  const endpoint = await Endpoint.open({
    ...common,
    self: { name: "server", capabilities: [], agent: "bench" },
    hostname,
    port: 0,
  });
  const { port } = endpoint.address ?? {};
  if (port === undefined) throw new Error("Cannot measure: the endpoint does not listen");
  return { endpoint, port };
}

/** An endpoint that only connects. */
export function openClient(): Promise<Endpoint> {
  return Endpoint.open({
    ...common,
    self: { name: "client", capabilities: [], agent: "bench" },
    clientOnly: true,
  });
}

/** A link to the endpoint on that port. */
export async function openLink(port: number): Promise<Link> {
  const endpoint = await openClient();
  return await endpoint.connect({ hostname, port });
}
