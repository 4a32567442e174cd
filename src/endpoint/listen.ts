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

/** Where to listen, as far as that is said. */
export interface Place {
  /** The address. @default every address of the machine, IPv6 and IPv4 */
  hostname: string | undefined;
  /** The port. @default {defaultPort or the next free one} */
  port: number | undefined;
  /** The port to begin with. */
  defaultPort: number;
}

/** Opens something that listens, at an address and a port. */
export type Opener<T> = (hostname: string, port: number) => Promise<T>;

/** Listens where asked; without a port on the default one or the next that is free, without a host on v6 and v4. */
export async function listenAt<T>(place: Place, open: Opener<T>): Promise<T> {
  const { hostname, port, defaultPort } = place;
  if (port !== undefined) return await listenOnAny(hostname, port, open);
  for (let tried = defaultPort; tried < defaultPort + PORTS_TRIED; tried++) {
    try {
      return await listenOnAny(hostname, tried, open);
    } catch (error) {
      if (!isInUse(error)) throw error;
    }
  }
  return await listenOnAny(hostname, 0, open);
}

/** Listens for connections, on the peer's TCP port unless told otherwise. */
export function listen(
  transport: Transport,
  hostname: string | undefined,
  port: number | undefined,
): Promise<Listener> {
  const place = { hostname, port, defaultPort: DEFAULT_TCP_PORT };
  return listenAt(place, (hostname, port) => transport.listen({ hostname, port }));
}

async function listenOnAny<T>(
  hostname: string | undefined,
  port: number,
  open: Opener<T>,
): Promise<T> {
  if (hostname !== undefined) return await open(hostname, port);
  try {
    return await open("::", port);
  } catch (error) {
    if (isInUse(error)) throw error;
    return await open("0.0.0.0", port); // a machine without IPv6
  }
}

function isInUse(error: unknown): boolean {
  return error instanceof TransportError && error.details.inUse === true;
}
