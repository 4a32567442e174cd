/**
 * What an endpoint's function learns of a call.
 *
 * @module
 */

import type { RequestContext, Via } from "../endpoint/dispatcher.ts";
import type { PeerInfo } from "../endpoint/handshake.ts";
import type { Address } from "../transport/transport.ts";
import type { EndpointContext } from "./endpoints.ts";
import type { Server } from "./server.ts";

/** What is known of a call that did not come as a message; what is left out is made up. */
export type CallOrigin = Partial<
  Pick<
    EndpointContext,
    "clientId" | "address" | "connectedAt" | "via" | "peer" | "signal" | "deadlineMs"
  >
>;

/** Who calls. */
export type Caller = Pick<EndpointContext, "clientId" | "connectedAt">;

/** A call at work; its signal is made only when the function asks for it. */
export class ServedCall implements EndpointContext {
  readonly #request: RequestContext;
  readonly #caller: Caller;
  readonly protocol: string | undefined;
  readonly server: Server;

  constructor(
    request: RequestContext,
    caller: Caller,
    protocol: string | undefined,
    server: Server,
  ) {
    this.#request = request;
    this.#caller = caller;
    this.protocol = protocol;
    this.server = server;
  }

  get clientId(): string {
    return this.#caller.clientId;
  }
  get address(): Address {
    return this.#request.remote;
  }
  get connectedAt(): number {
    return this.#caller.connectedAt;
  }
  get via(): Via {
    return this.#request.via;
  }
  get peer(): PeerInfo | undefined {
    return this.#request.peer;
  }
  get signal(): AbortSignal {
    return this.#request.signal;
  }
  get deadlineMs(): number {
    return this.#request.deadlineMs;
  }
}
