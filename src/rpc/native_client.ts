/**
 * A client's connection between kith peers: calls are requests on a link.
 *
 * @module
 */

import type { Endpoint } from "../endpoint/endpoint.ts";
import type { Link } from "../endpoint/link.ts";
import type { RequestOptions, StreamOptions } from "../endpoint/outgoing.ts";
import { ClosedError, RemoteError, TimeoutError } from "../errors.ts";
import type { MessageBody } from "../wire/message.ts";
import type {
  AnswerMessage,
  ClientConnection,
  Connector,
  RequestMessage,
} from "./client_connection.ts";
import { chooseProtocol } from "./protocols.ts";

/**
 * Connects through an endpoint.
 *
 * @param protocols Tags that the client speaks, the preferred first. @default whatever the server prefers
 */
export function nativeConnector(
  endpoint: Endpoint,
  protocols: readonly string[] | undefined,
): Connector {
  return async (to, { signal }) => {
    const link = await endpoint.connect(to, { signal });
    try {
      const protocol = chooseProtocol(protocols, link.peer.capabilities);
      return new NativeConnection(link, protocol, () => timestamp(endpoint));
    } catch (error) {
      await link.close();
      throw error;
    }
  };
}

class NativeConnection implements ClientConnection {
  readonly protocol: string | undefined;
  readonly #link: Link;
  readonly #timestamp: () => string;

  constructor(link: Link, protocol: string | undefined, timestamp: () => string) {
    this.protocol = protocol;
    this.#link = link;
    this.#timestamp = timestamp;
  }

  get label(): string {
    return this.#link.label;
  }

  get closed(): Promise<unknown> {
    return this.#link.closed;
  }

  call(name: string, data: unknown, options: RequestOptions): Promise<unknown> {
    return this.#link.request(this.#header(name), bodyOf(data), options).catch(rethrow);
  }

  notify(name: string, data: unknown): Promise<void> | undefined {
    return this.#link.post(this.#header(name), bodyOf(data));
  }

  async *stream(
    name: string,
    data: unknown,
    options: StreamOptions,
  ): AsyncGenerator<unknown, void, void> {
    try {
      yield* this.#link.stream(this.#header(name), bodyOf(data), options);
    } catch (error) {
      rethrow(error);
    }
  }

  async ask(message: RequestMessage, options: RequestOptions): Promise<AnswerMessage> {
    const { endpoint, request, data } = message;
    const name = endpoint ?? request;
    if (name === undefined) {
      throw new TypeError("Cannot send a message: it has neither endpoint nor request");
    }
    const timestamp = () => this.#timestamp();
    try {
      const result = await this.call(name, data, options);
      const shown = endpoint === undefined ? answerTo(name, result) : { data: result };
      return { status: "success", ...shown, timestamp: timestamp() };
    } catch (error) {
      if (!(error instanceof RemoteError)) throw error;
      const { code, message } = error;
      return { status: "error", error: code, message, timestamp: timestamp() };
    }
  }

  close(): Promise<void> {
    return this.#link.close();
  }

  #header(name: string): string {
    return this.protocol === undefined ? name : `${this.protocol}/${name}`;
  }
}

function bodyOf(data: unknown): MessageBody {
  return data === undefined ? {} : { data };
}

/** Where the fields of a built-in's answer go: as the witch-core network module has them. */
function answerTo(request: string, result: unknown): MessageBody {
  if (request === "echo") return { echo: result };
  return request === "ping" ? { ...(result as MessageBody) } : { data: result };
}

/** Who was called fell silent: to the caller the connection has ended, and whether the call ran is not known. */
function rethrow(error: unknown): never {
  if (error instanceof TimeoutError && error.details.limit === "heartbeatMs") {
    throw new ClosedError(`The connection has ended: ${error.message}`, { cause: error });
  }
  throw error;
}

function timestamp({ clock }: Endpoint): string {
  return new Date(clock.wallMs()).toISOString();
}
