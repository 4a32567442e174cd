/**
 * Discovery on a network in memory.
 *
 * @module
 */

import { ManualClock } from "../../src/clock.ts";
import {
  Discovery,
  DISCOVERY_PORT,
  type DiscoveryOptions,
  MULTICAST_V4,
} from "../../src/discovery/discovery.ts";
import type { LocalInterface } from "../../src/discovery/interfaces.ts";
import { parseQuestion, type Question } from "../../src/discovery/packets.ts";
import type { FoundPeer } from "../../src/discovery/search.ts";
import { Identity } from "../../src/secure/identity.ts";
import {
  type Address,
  type DatagramSocket,
  MemoryNetwork,
  type Transport,
} from "../../src/transport/mod.ts";

/** Hosts that reach each other, and a clock that they share. */
export class Lan implements AsyncDisposable {
  readonly network = new MemoryNetwork();
  readonly clock = new ManualClock();
  readonly #parts = new AsyncDisposableStack();

  /** Opens a discovery that is not found itself, unless the options say so. */
  async open(host: string, options: Partial<DiscoveryOptions> = {}): Promise<Discovery> {
    const { clock, network } = this;
    const interfaces = () => [interfaceOf(host)];
    const common = { transport: network.host(host), clock, interfaces };
    return this.#parts.use(await Discovery.open({ ...common, ...options }));
  }

  announce(
    name: string,
    tcpPort: number,
    options: Partial<DiscoveryOptions> & { host?: string } = {},
  ): Promise<Discovery> {
    const { host = name, ...rest } = options;
    return this.open(host, { announce: announcementOf(name, tcpPort), ...rest });
  }

  /** What one second of looking finds, each peer as it was given last. */
  async search(discovery: Discovery): Promise<FoundPeer[]> {
    const looking = collect(discovery.find({ timeoutMs: 1_000 }));
    await this.clock.advance(1_000);
    return [...new Map((await looking).map((peer) => [peer.peerId, peer])).values()];
  }

  /** Somebody on a host of its own who answers whatever a test makes of a question. */
  async forger(
    answer: (question: Question, identity: Identity) => readonly Uint8Array[],
  ): Promise<AsyncDisposable> {
    const groups = [{ group: MULTICAST_V4, interfaceAddress: "forger" }];
    const socket = await this.network.host("forger").datagram({ port: DISCOVERY_PORT, groups });
    const identity = identityOf("forger");
    const answering = (async () => {
      for (let got = await socket.receive(); got !== undefined; got = await socket.receive()) {
        for (const packet of answer(parseQuestion(got.data), identity)) {
          await socket.send(packet, got.from);
        }
      }
    })();
    return {
      [Symbol.asyncDispose]: () => {
        socket.close();
        return answering;
      },
    };
  }

  /** Two sockets that hear the group, what they hear, and nothing else of a peer. */
  async listeners() {
    const groups = [{ group: MULTICAST_V4, interfaceAddress: "any" }];
    const asker = await this.network.host("asker").datagram();
    const bystander = await this.network.host("bystander").datagram({
      port: DISCOVERY_PORT,
      groups,
    });
    const heard = new Map<DatagramSocket, { data: Uint8Array; from: Address }[]>();
    for (const socket of [asker, bystander]) {
      const list: { data: Uint8Array; from: Address }[] = [];
      heard.set(socket, list);
      const listening = (async () => {
        for (let got = await socket.receive(); got !== undefined; got = await socket.receive()) {
          list.push({ data: got.data.slice(), from: got.from });
        }
      })();
      this.#parts.defer(() => {
        socket.close();
        return listening;
      });
    }
    return { asker, bystander, heard };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync();
    this.network.close();
  }
}

/** A network that knows which of its datagram sockets are open. */
export function counting(
  transport: Transport,
): { transport: Transport; open: Set<DatagramSocket> } {
  const open = new Set<DatagramSocket>();
  return {
    open,
    transport: {
      listen: (options) => transport.listen(options),
      connect: (to, options) => transport.connect(to, options),
      datagram: async (options) => {
        const socket = await transport.datagram(options);
        const close = socket.close.bind(socket);
        socket.close = () => {
          open.delete(socket);
          close();
        };
        open.add(socket);
        return socket;
      },
    },
  };
}

export function interfaceOf(address: string): LocalInterface {
  return {
    name: `to ${address}`,
    family: "IPv4",
    address,
    broadcast: undefined,
    index: undefined,
    loopback: false,
  };
}

export function announcementOf(name: string, tcpPort: number) {
  return { identity: identityOf(name), name, tcpPort };
}

/** Always the same for a name. */
export function identityOf(name: string): Identity {
  return Identity.fromSeed(new TextEncoder().encode(name.padEnd(32, "-")));
}

export function namesOf(found: readonly FoundPeer[]): string[] {
  return [...new Set(found.map(({ name }) => name))].sort();
}

export async function collect(finding: AsyncIterable<FoundPeer>): Promise<FoundPeer[]> {
  const found: FoundPeer[] = [];
  for await (const peer of finding) found.push(peer);
  return found;
}
