/**
 * A client's connection to a server of witch-core: calls are lines of JSON, one at a time.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import type { RequestOptions } from "../endpoint/outgoing.ts";
import { ClosedError, UnsupportedError } from "../errors.ts";
import { printable } from "../log.ts";
import { type Connection, formatAddress, type Transport } from "../transport/transport.ts";
import type {
  AnswerMessage,
  ClientConnection,
  Connector,
  RequestMessage,
} from "./client_connection.ts";
import { connectWitch, type WitchClient } from "./witch_client.ts";

/** Connects to servers of witch-core; there is no handshake, and no protocol tags. */
export function witchConnector(transport: Transport, clock: Clock): Connector {
  return async (to, { signal }) => {
    return new WitchConnection(await transport.connect(to, { signal }), clock);
  };
}

class WitchConnection implements ClientConnection {
  readonly label: string;
  readonly protocol: undefined;
  readonly #client: WitchClient;
  #over = false;

  constructor(connection: Connection, clock: Clock) {
    this.label = formatAddress(connection.remote);
    this.#client = connectWitch(connection, { clock });
    void this.#client.closed.then(() => this.#over = true);
  }

  get closed(): Promise<unknown> {
    return this.#client.closed;
  }

  call(name: string, data: unknown, options: RequestOptions): Promise<unknown> {
    return this.#client.call(name, data, options);
  }

  notify(name: string, data: unknown): undefined {
    if (this.#over) throw new ClosedError(`The connection to ${this.label} has ended`);
    this.#client.call(name, data).catch(() => {}); // nobody asked what came of it
  }

  // deno-lint-ignore require-yield
  async *stream(name: string): AsyncGenerator<never, void, void> {
    const shown = printable(name, 64);
    throw new UnsupportedError(`Cannot stream "${shown}": dialect witch has no answers in parts`);
  }

  ask(message: RequestMessage, options: RequestOptions): Promise<AnswerMessage> {
    return this.#client.sendAndReceive({ ...message }, options);
  }

  close(): Promise<void> {
    return this.#client.close();
  }
}
