/**
 * The NATS client, which is installed on demand.
 *
 * @module
 */

import { createRequire } from "node:module";
import { hostname } from "./served_pair.ts";

/** What is used of a message. */
export interface NatsMessage {
  /** The payload. */
  readonly data: Uint8Array;
  /** Answers a request. */
  respond(data: Uint8Array): void;
}

/** What is used of a connection to the server. */
export interface NatsConnection {
  /** Sends to all who subscribe. */
  publish(subject: string, data: Uint8Array): void;
  /** Waits for the answer of one who subscribes. */
  request(subject: string, data?: Uint8Array): Promise<NatsMessage>;
  /** Takes messages; the callback is the quickest way. */
  subscribe(
    subject: string,
    options: { callback: (error: unknown, message: NatsMessage) => void },
  ): void;
  /** Waits until the server has everything sent so far. */
  flush(): Promise<void>;
}

/** Connects to the server on that port. */
export async function connectNats(port: number): Promise<NatsConnection> {
  const require = createRequire(new URL("../rivals/package.json", import.meta.url));
  const { connect } = require("nats") as {
    connect(options: { servers: string }): Promise<NatsConnection>;
  };
  return await connect({ servers: `${hostname}:${port}` });
}
