/**
 * Where a peer listens when it is not told exactly where.
 *
 * @module
 */

import { TransportError } from "../errors.ts";
import type { Listener, Transport } from "../transport/transport.ts";

/** The port a peer listens on unless told otherwise; a busy one means the next free one. */
export const DEFAULT_TCP_PORT = 3485;

/** Ports tried after the default one before any free one is taken. */
const PORTS_TRIED = 32;

/** Listens where asked; without a port on the default one or the next that is free, without a host on v6 and v4. */
export async function listen(
  transport: Transport,
  hostname: string | undefined,
  port: number | undefined,
): Promise<Listener> {
  if (port !== undefined) return await listenOnAny(transport, hostname, port);
  for (let tried = DEFAULT_TCP_PORT; tried < DEFAULT_TCP_PORT + PORTS_TRIED; tried++) {
    try {
      return await listenOnAny(transport, hostname, tried);
    } catch (error) {
      if (!(error instanceof TransportError && error.details.inUse === true)) throw error;
    }
  }
  return await listenOnAny(transport, hostname, 0);
}

async function listenOnAny(
  transport: Transport,
  hostname: string | undefined,
  port: number,
): Promise<Listener> {
  if (hostname !== undefined) return await transport.listen({ hostname, port });
  try {
    return await transport.listen({ hostname: "::", port });
  } catch (error) {
    if (error instanceof TransportError && error.details.inUse === true) throw error;
    return await transport.listen({ hostname: "0.0.0.0", port }); // a machine without IPv6
  }
}
