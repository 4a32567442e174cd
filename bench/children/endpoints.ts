/**
 * Endpoints as programs open them.
 *
 * @module
 */

import { Endpoint } from "../../src/endpoint/endpoint.ts";
import type { Link } from "../../src/endpoint/link.ts";
import { netTransport } from "../../src/transport/net.ts";
import { hostname } from "./served_pair.ts";

/** An endpoint that listens on some port. */
export async function openEndpoint(): Promise<{ endpoint: Endpoint; port: number }> {
  const endpoint = await Endpoint.open({
    transport: netTransport,
    self: { peerId: "5e".repeat(20), name: "server", capabilities: [], agent: "bench" },
    hostname,
    port: 0,
  });
  const { port } = endpoint.address ?? {};
  if (port === undefined) throw new Error("Cannot measure: the endpoint does not listen");
  return { endpoint, port };
}

/** A link to the endpoint on that port. */
export async function openLink(port: number): Promise<Link> {
  const endpoint = await Endpoint.open({
    transport: netTransport,
    self: { peerId: "c1".repeat(20), name: "client", capabilities: [], agent: "bench" },
    clientOnly: true,
  });
  return await endpoint.connect({ hostname, port });
}
