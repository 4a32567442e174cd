/**
 * A server of its own: a peer that does nothing but serve.
 *
 * @module
 */

import { Peer, type PeerOptions } from "./peer.ts";
import type { ServerPeer } from "./rpc/mesh.ts";
import { Server } from "./rpc/server.ts";
import type { ServerOptions } from "./rpc/server_options.ts";
import { hashSources } from "./rpc/source_hash.ts";
import { serveWitch } from "./rpc/witch_server.ts";

/** How to serve: the options of the witch-core network module's server, and those of the peer underneath. */
export interface ServeOptions
  extends ServerOptions, Omit<PeerOptions, "name" | "clientOnly" | "sourceHash" | "project"> {
  /** Let others find the server on the network. @default {true} */
  enableDiscovery?: boolean;
  /** Connect to the other servers of the project: see {@linkcode StandaloneServer.mesh}. @default {false} */
  enablePeer?: boolean;
  /** Folder whose sources make the `sourceHash`. @default none */
  sourceDir?: string | URL;
}

/**
 * A server with a peer of its own, which closes with it.
 *
 * @example
 * ```ts
 * import { Client, serve } from "@kith/kith";
 * import { assertEquals, assertRejects } from "@std/assert";
 *
 * await using server = await serve({ hostname: "127.0.0.1", port: 0, serverName: "sums" });
 * server.register("add", ({ a, b }: { a: number; b: number }) => a + b);
 *
 * const port = server.peer.address?.port ?? 0;
 * await using client = await Client.open({ port });
 * assertEquals(await client.call("add", { a: 1, b: 2 }), 3);
 * await server.drain(); // the peer closes, too
 * await assertRejects(() => Client.open({ port }), Error, "Cannot connect");
 * ```
 */
export class StandaloneServer extends Server {
  /** The peer. */
  readonly peer: Peer;
  /** The other servers of the project; `undefined` without `enablePeer`. */
  readonly mesh: ServerPeer | undefined;
  readonly #parts = new AsyncDisposableStack();

  /** Serves on a peer that it owns from now on. */
  constructor(peer: Peer, options: ServeOptions) {
    const { projectId = "default", sourceHash = "", serverName = "" } = options;
    const project = { projectId, sourceHash, serverName };
    const mesh = options.enablePeer ? peer.mesh(project) : undefined;
    super(peer.endpoint, options);
    this.peer = peer;
    this.mesh = mesh;
    this.#parts.use(peer);
    if (options.dialects?.includes("witch")) {
      this.#parts.use(serveWitch(peer.endpoint, this));
    }
  }

  /** Takes no new calls, lets those at work finish, and closes. */
  async drain(limitMs?: number): Promise<void> {
    await this.peer.endpoint.drain(limitMs);
    await this.close();
  }

  /** Closes the server and its peer. Harmless when closed. */
  override async close(): Promise<void> {
    await super.close();
    await this.#parts.disposeAsync();
  }
}

/**
 * Opens a server.
 *
 * @example
 * ```ts
 * import { Client, serve } from "@kith/kith";
 * import { assertEquals } from "@std/assert";
 *
 * await using server = await serve({ hostname: "127.0.0.1", port: 0, serverName: "sums" });
 * server.register("add", ({ a, b }: { a: number; b: number }) => a + b);
 *
 * await using client = await Client.open({ port: server.peer.address?.port ?? 0 });
 * assertEquals(await client.call("add", { a: 1, b: 2 }), 3);
 * ```
 *
 * @throws {TransportError} when a port asked for is taken. @throws {TypeError | RangeError} as `Server` and `Peer.open`.
 * @throws {NotFoundError} `no-path` when there is no `sourceDir`.
 */
export async function serve(options: ServeOptions = {}): Promise<StandaloneServer> {
  const { enableDiscovery = true, serverName = "", sourceDir, ...rest } = options;
  const sourceHash = sourceDir === undefined ? options.sourceHash : await hashSources(sourceDir);
  const peer = await Peer.open({
    ...rest,
    name: serverName,
    announce: enableDiscovery,
    project: options.projectId,
    sourceHash: sourceHash || undefined,
  });
  try {
    const hashed = sourceHash === undefined ? {} : { sourceHash };
    return new StandaloneServer(peer, { ...rest, serverName, ...hashed });
  } catch (error) {
    await peer.close();
    throw error;
  }
}
