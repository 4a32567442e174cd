/**
 * Peers of a topic that are sent everything and look at nothing: what reaches them is taken from the connection and thrown
 * away, so that whoever sends to them is what is measured.
 *
 * @module
 */

import { Endpoint } from "../../src/endpoint/endpoint.ts";
import type { Link } from "../../src/endpoint/link.ts";
import { topicKeyOf } from "../../src/gossip/envelope.ts";
import { encodePacket } from "../../src/gossip/packets.ts";
import type { Address, Connection, Transport } from "../../src/transport/transport.ts";

/** The topic that is measured. */
export const TOPIC = "bench";

/** Bytes that are thrown away in one read. */
const WASTE_BYTES = 256 * 1024;

/** Where leaves are, and whose they are. */
export interface LeafOptions {
  /** The network as each has it. */
  readonly transport: Transport;
  /** Whether nothing is encrypted. */
  readonly plain: boolean;
}

/** Connects as a peer of its own, becomes a neighbour that is sent messages, and goes deaf. */
export async function joinAsLeaf(to: Address, { transport, plain }: LeafOptions): Promise<void> {
  let isDeaf = false;
  const endpoint = await Endpoint.open({
    transport: {
      ...transport,
      connect: async (...where) => deafened(await transport.connect(...where), () => isDeaf),
    },
    plain,
    self: { name: "leaf", capabilities: [], agent: "bench" },
    clientOnly: true,
    limits: { heartbeatMs: Infinity },
  });
  const welcomed = Promise.withResolvers<void>();
  const answered = Promise.withResolvers<void>();
  endpoint.handle("gossip.welcome", ({ o }) => o === "" ? welcomed.resolve() : welcomed.reject(o));
  endpoint.handle("gossip.pong", () => answered.resolve());
  const link = await endpoint.connect(to);
  await ask(link, endpoint.self.peerId, welcomed.promise);
  await link.forward(encodePacket({ kind: "graft" }, topicKeyOf(TOPIC)));
  await link.forward(encodePacket({ kind: "ping", wallMs: 0 }));
  await answered.promise; // by now the other side has read everything
  isDeaf = true;
}

async function ask(link: Link, peerId: string, welcomed: Promise<void>): Promise<void> {
  const contact = { peerId, hosts: [], port: 0 };
  const packet = { kind: "neighbor", priority: "high", contact, wallMs: Date.now() } as const;
  await link.forward(encodePacket(packet, topicKeyOf(TOPIC)));
  await welcomed;
}

/** A connection whose reader hears nothing from when on it is deaf. */
function deafened(connection: Connection, isDeaf: () => boolean): Connection {
  const waste = new Uint8Array(WASTE_BYTES);
  return {
    local: connection.local,
    remote: connection.remote,
    read: async (into) => {
      let count = isDeaf() ? 0 : await connection.read(into);
      while (isDeaf() && count !== null) count = await connection.read(waste);
      return count;
    },
    write: (bytes) => connection.write(bytes),
    closeWrite: () => connection.closeWrite(),
    close: () => connection.close(),
  };
}
