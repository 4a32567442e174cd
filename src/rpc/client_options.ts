/**
 * What a client is made of.
 *
 * @module
 */

import { type Clock, systemClock } from "../clock.ts";
import { Endpoint, type EndpointLimits } from "../endpoint/endpoint.ts";
import { MAX_NAME_CHARS } from "../endpoint/handshake.ts";
import { type Logger, silentLogger } from "../log.ts";
import { Identity } from "../secure/identity.ts";
import { Network } from "../secure/network.ts";
import { netTransport } from "../transport/net.ts";
import type { Transport } from "../transport/transport.ts";
import { VERSION } from "../version.ts";
import type { Connector } from "./client_connection.ts";
import { nativeConnector } from "./native_client.ts";
import { checkProtocols } from "./protocols.ts";
import { witchConnector } from "./witch_connection.ts";

/** How to open a {@linkcode Client}; every field has a default. */
export interface ClientOptions {
  /** Where the server is. @default {"127.0.0.1"} */
  host?: string;
  /** The server's port. @default {3485} */
  port?: number;
  /** Time for connecting, each time, and for each call unless it says otherwise, in milliseconds. @default {5000} */
  timeoutMs?: number;
  /** Whether to connect again when the connection breaks. @default {true} */
  autoReconnect?: boolean;
  /** Attempts after one break before giving up; `Infinity` never does. @default {3} */
  maxReconnectAttempts?: number;
  /** The first attempt is made within this many milliseconds, the others ever later. @default {1000} */
  reconnectDelayMs?: number;
  /** Tags of the protocols that it speaks, the preferred first. @default whatever the server prefers */
  protocols?: readonly string[];
  /** What it calls itself to the server: a label of at most 64 characters. @default {""} */
  name?: string;
  /** What to speak: kith's own wire, or the JSON lines of witch-core. @default {"native"} */
  dialect?: "native" | "witch";
  /** The endpoint to connect through, which stays open; it decides what follows. @default one of its own */
  endpoint?: Endpoint;
  /** Who it is to the server. @default a new identity */
  identity?: Identity;
  /** The network that it shares with the server. @default {new Network()} */
  network?: Network;
  /** Invites and API keys, of which those that the server made are shown to it. @default {[]} */
  tokens?: readonly string[];
  /** What carries it. @default {netTransport} */
  transport?: Transport;
  /** Limits, the pace of the heartbeat among them. */
  limits?: EndpointLimits;
  /** Where time comes from. @default {systemClock} */
  clock?: Clock;
  /** Where to say what happens. @default {silentLogger} */
  log?: Logger;
  /** Gives up opening when aborted. */
  signal?: AbortSignal;
}

/** What makes a client's connections, and what is to be closed with the client. */
export async function openConnector(
  options: ClientOptions,
): Promise<{ connector: Connector; owned?: AsyncDisposable }> {
  const { endpoint, protocols, dialect = "native" } = options;
  const { transport = netTransport, clock = systemClock, log = silentLogger } = options;
  if (dialect === "witch") return { connector: witchConnector(transport, clock) };
  if (endpoint !== undefined) return { connector: nativeConnector(endpoint, protocols) };
  const { limits = {}, name = "", tokens = [] } = options;
  const { identity = Identity.generate(), network = new Network() } = options;
  const who = { identity, network, tokens };
  const self = { name, capabilities: [], agent: `kith/${VERSION}` };
  const own = await Endpoint.open({
    transport,
    ...who,
    self,
    clientOnly: true,
    limits,
    clock,
    log,
  });
  return { connector: nativeConnector(own, protocols), owned: own };
}

/** Checks what a client was given. @throws {TypeError | RangeError} naming what is wrong. */
export function checkClientOptions(options: ClientOptions): void {
  const { timeoutMs = 1, maxReconnectAttempts = 0, reconnectDelayMs = 1 } = options;
  const { protocols, name = "" } = options;
  for (const [field, value] of Object.entries({ timeoutMs, reconnectDelayMs })) {
    if (value > 0) continue;
    throw new RangeError(`${field} must be above 0: current value is ${value}`);
  }
  if (!(maxReconnectAttempts >= 0)) {
    throw new RangeError(
      `maxReconnectAttempts must be 0 or more: current value is ${maxReconnectAttempts}`,
    );
  }
  if (name.length > MAX_NAME_CHARS) {
    throw new RangeError(
      `name must have at most ${MAX_NAME_CHARS} characters: it has ${name.length}`,
    );
  }
  if (protocols !== undefined) checkProtocols(protocols);
}
