import { assertEquals } from "@std/assert";
import { Endpoint } from "../../src/endpoint/endpoint.ts";
import { type MeshEvent, ServerPeer } from "../../src/rpc/mesh.ts";
import { type Address, netTransport } from "../../src/transport/mod.ts";
import { identityOf, infoOf } from "../endpoint/fixture.ts";
import { describe, idOf, read } from "./mesh_fixture.ts";

/** A server on this machine, and what it is waiting to see. */
class Server implements AsyncDisposable {
  readonly name: string;
  readonly endpoint: Endpoint;
  readonly mesh: ServerPeer;
  readonly seen: string[] = [];
  readonly data: unknown[] = [];
  readonly #reading: Promise<void>;
  #change = Promise.withResolvers<void>();

  constructor(name: string, endpoint: Endpoint, addresses: readonly Address[]) {
    this.name = name;
    this.endpoint = endpoint;
    this.mesh = new ServerPeer(endpoint, { serverName: name, addresses });
    this.#reading = read(this.mesh, (event) => this.#take(event));
  }

  /** Waits until so much has happened. @returns it, in alphabetical order. */
  async saw(count: number): Promise<string[]> {
    while (this.seen.length < count) await this.#change.promise;
    return this.seen.toSorted();
  }

  /** Waits until duplicates are gone. */
  async hasLinks(count: number): Promise<void> {
    const { links } = this.endpoint;
    while (links.size > count) await Promise.race([...links].map(({ closed }) => closed));
    assertEquals(links.size, count);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.mesh.close();
    await this.endpoint.close();
    await this.#reading;
  }

  #take(event: MeshEvent): void {
    const isMessage = event.type === "message";
    if (isMessage) this.data.push(event.data);
    this.seen.push(isMessage ? `message of ${event.peer.name}` : describe(event));
    this.#change.resolve();
    this.#change = Promise.withResolvers();
  }
}

async function openEndpoint(name: string): Promise<Endpoint> {
  const who = { identity: identityOf(name), self: infoOf(name) };
  return await Endpoint.open({ transport: netTransport, ...who, hostname: "127.0.0.1", port: 0 });
}

for (const names of [["a", "b"], ["a", "b", "c", "d", "e"]]) {
  Deno.test(`ServerPeer on real sockets: ${names.length} servers meet, talk and part`, async () => {
    const endpoints = await Promise.all(names.map(openEndpoint));
    const addresses = endpoints.flatMap(({ address }) => address ?? []);
    const servers = endpoints.map((endpoint, i) => {
      return new Server(names[i] ?? "", endpoint, addresses);
    });
    await using parts = new AsyncDisposableStack();
    for (const server of servers) parts.use(server);
    for (const server of servers) {
      const others = names.filter((name) => name !== server.name);
      assertEquals(await server.saw(others.length), others.map((name) => `joined ${name}`));
    }
    await Promise.all(servers.map((server) => server.hasLinks(names.length - 1)));

    const [first, ...rest] = servers as [Server, ...Server[]];
    const data = { map: new Map([[1, "one"]]), bytes: new Uint8Array(1024 * 1024).fill(7) };
    assertEquals(await first.mesh.broadcast(data), rest.length);
    await Promise.all(rest.map((server) => server.saw(names.length)));
    for (const server of rest) assertEquals(server.data, [data]);
    await Promise.all(rest.map((server) => server.mesh.send(idOf("a"), server.name)));
    await first.saw(2 * rest.length);
    assertEquals(first.data.toSorted(), names.slice(1));

    await first[Symbol.asyncDispose]();
    for (const server of rest) {
      await server.saw(names.length + 1);
      assertEquals(server.seen.slice(-2), ["message of a", "left a"]);
      assertEquals(server.mesh.peers().length, rest.length - 1);
    }
  });
}
