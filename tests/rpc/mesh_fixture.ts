/**
 * Servers of a mesh on a network in memory, and where they find each other.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { Endpoint, type EndpointLimits } from "../../src/endpoint/endpoint.ts";
import type { Link } from "../../src/endpoint/link.ts";
import { type MeshEvent, ServerPeer, type ServerPeerOptions } from "../../src/rpc/mesh.ts";
import type { ServerDirectory } from "../../src/rpc/mesh_finder.ts";
import { type Address, MemoryNetwork } from "../../src/transport/mod.ts";
import { CountingClock, identityOf, infoOf } from "../endpoint/fixture.ts";

/** What every server listens on. */
export const PORT = 1;

/** Where the server of that name is. */
export function addressOf(name: string): Address {
  return { hostname: name, port: PORT };
}

/** The id of the server of that name. */
export function idOf(name: string): string {
  return infoOf(name).peerId;
}

/** A name whose id comes before that of another name. */
export function nameBefore(name: string): string {
  for (let n = 0;; n++) if (idOf(`${n}`) < idOf(name)) return `${n}`;
}

/** A directory that tells at once who is there, and who comes as long as somebody looks. */
export class Directory implements ServerDirectory {
  readonly #entries = new Map<string, Address[]>();
  readonly #changes = new Set<() => void>();
  /** Searches so far, and at the moment. */
  searches = { begun: 0, open: 0 };

  add(name: string, addresses: Address[] = [addressOf(name)]): void {
    this.#entries.set(name, addresses);
    for (const change of this.#changes) change();
  }

  async *find({ signal }: { signal: AbortSignal }): ReturnType<typeof this.entries> {
    this.searches.begun++;
    this.searches.open++;
    let changed = Promise.withResolvers<void>();
    const change = () => changed.resolve();
    this.#changes.add(change);
    signal.addEventListener("abort", change, { once: true });
    try {
      while (!signal.aborted) {
        changed = Promise.withResolvers();
        yield* this.entries();
        if (!signal.aborted) await changed.promise;
      }
    } finally {
      signal.removeEventListener("abort", change);
      this.#changes.delete(change);
      this.searches.open--;
    }
  }

  async *entries(): AsyncGenerator<{ peerId: string; addresses: Address[] }, void, void> {
    for (const [name, addresses] of this.#entries) yield { peerId: idOf(name), addresses };
  }
}

/** A server: its endpoint, its place in the mesh, and what it has seen of it. */
export interface Node {
  readonly name: string;
  readonly endpoint: Endpoint;
  readonly mesh: ServerPeer;
  /** `joined bob`, `left bob`, `bob: "hello"`. */
  readonly seen: string[];
}

/** How to open an endpoint. */
export interface EndpointSettings {
  /** Whose identity and name it has. @default those of its host */
  as?: string | undefined;
  /** Port to listen on. @default {1} */
  port?: number | undefined;
  /** Its limits. @default no heartbeat */
  limits?: EndpointLimits | undefined;
}

/** How to open a {@linkcode Node}. */
export interface NodeOptions extends ServerPeerOptions, EndpointSettings {
  /** Told of every event. */
  onEvent?: (event: MeshEvent, mesh: ServerPeer) => unknown;
}

/** A network with latency, all of whose servers close with it. */
export class MeshWorld implements AsyncDisposable {
  readonly clock: CountingClock;
  readonly network: MemoryNetwork;
  readonly directory = new Directory();
  readonly #nodes: Node[] = [];
  readonly #endpoints: Endpoint[] = [];
  readonly #readers: Promise<void>[] = [];

  constructor(seed = 1, latencyMs: readonly [number, number] = [1, 40]) {
    this.clock = new CountingClock({ seed });
    this.network = new MemoryNetwork({ clock: this.clock, latencyMs, seed });
  }

  /** A server that is not in the directory. */
  async open(name: string, options: NodeOptions = {}): Promise<Node> {
    const { as, port, limits, onEvent, ...rest } = options;
    const endpoint = await this.endpoint(name, { as, port, limits });
    const mesh = new ServerPeer(endpoint, { serverName: name, ...rest });
    const seen: string[] = [];
    this.#readers.push(read(mesh, (event) => {
      seen.push(describe(event));
      return onEvent?.(event, mesh);
    }));
    const node = { name, endpoint, mesh, seen };
    this.#nodes.push(node);
    return node;
  }

  /** An endpoint that takes part in no mesh, or in one that a test makes. */
  async endpoint(name: string, options: EndpointSettings = {}): Promise<Endpoint> {
    const { as = name, port = PORT, limits } = options;
    const endpoint = await Endpoint.open({
      transport: this.network.host(name),
      identity: identityOf(as),
      self: infoOf(as),
      hostname: name,
      port,
      clock: this.clock,
      limits: { heartbeatMs: Infinity, ...limits },
    });
    this.#endpoints.push(endpoint);
    return endpoint;
  }

  /** A server that is in the directory, and looks there. */
  async join(name: string, options: NodeOptions = {}): Promise<Node> {
    this.directory.add(name);
    return await this.open(name, { directory: this.directory, ...options });
  }

  /** Closes a server in order. */
  async close({ mesh, endpoint }: Node): Promise<void> {
    await this.run(mesh.close().then(() => endpoint.close()));
  }

  /** A server's program dies, and the network tells. */
  async kill({ name, mesh, endpoint }: Node): Promise<void> {
    this.network.kill(name);
    await this.run(Promise.all([mesh.close(), endpoint.close()]));
  }

  /** Lets time pass until something is done. */
  async run<T>(work: Promise<T>): Promise<T> {
    let done = false;
    const over = () => done = true;
    work.then(over, over);
    for (let steps = 0; !done && steps < 1000; steps++) await this.clock.advance(20);
    return await work;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.run(Promise.all(this.#nodes.map(({ mesh }) => mesh.close())));
    await this.run(Promise.all(this.#endpoints.map((endpoint) => endpoint.close())));
    await Promise.all(this.#readers);
    this.network.close();
  }
}

/** Servers that have joined each other. */
export async function joined(
  world: MeshWorld,
  names: readonly string[],
  optionsOf: (name: string) => NodeOptions = () => ({}),
): Promise<Node[]> {
  const nodes: Node[] = [];
  for (const name of names) nodes.push(await world.join(name, optionsOf(name)));
  await world.clock.advance(1_000);
  for (const { mesh } of nodes) assertEquals(mesh.peers().length, names.length - 1);
  return nodes;
}

/** A link to a server from somebody who takes part in no mesh. */
export async function fakeLink(world: MeshWorld, to: Node, shared = true): Promise<Link> {
  const fake = await world.endpoint("fake");
  return await world.run(fake.connect(addressOf(to.name), { shared }));
}

/** Reads events until there are no more. */
export async function read(
  mesh: ServerPeer,
  onEvent: (event: MeshEvent) => unknown,
): Promise<void> {
  for await (const event of mesh) await onEvent(event);
}

/** An event in a word or two. */
export function describe(event: MeshEvent): string {
  const { type, peer } = event;
  return type === "message" ? `${peer.name}: ${Deno.inspect(event.data)}` : `${type} ${peer.name}`;
}

/** How often something was counted. */
export function countOf({ metrics }: Endpoint, name: string): number {
  return metrics.snapshot()[name] ?? 0;
}

/** Who takes part in whose mesh: a row for each server. */
export function rosterOf(nodes: readonly Node[]): string[] {
  return nodes.map(({ name, mesh }) => {
    return `${name}: ${mesh.peers().map((peer) => peer.name).sort().join(" ")}`;
  });
}
