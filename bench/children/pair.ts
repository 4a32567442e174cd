/**
 * Two processes and a TCP connection on loopback between them: one sends, the other receives and says when it has
 * everything.
 *
 * ```
 * SCRIPT receive      prints {"port"}, takes one connection, receives until it ends
 * SCRIPT send PORT    sends as many messages as each line of stdin says, prints {"seconds"}
 * ```
 *
 * @module
 */

import { FramedConnection } from "../../src/transport/framed.ts";
import { connectTcp, listenTcp } from "../../src/transport/tcp.ts";
import { answer, answerCommands } from "./command_loop.ts";

const hostname = "127.0.0.1";

/** How a kind of connection is made. */
export interface Links<Link extends { close(): void }> {
  /** Listens, says on which port, and gives the first connection. */
  accept(onPort: (port: number) => void): Promise<Link>;
  /** Connects. */
  connect(port: number): Promise<Link>;
}

/** What each process does with its end of the connection. */
export interface Ends<Link> {
  /** Sends `count` messages and waits until the other end says that it has them. */
  send(link: Link, count: number): Promise<void>;
  /** Receives, and answers each round, until the connection ends. */
  receive(link: Link): Promise<void>;
}

/** Bare connections of Deno, without the delay of small writes: with it they are slower at times, never faster. */
export const rawLinks: Links<Deno.TcpConn> = {
  async accept(onPort) {
    using listener = Deno.listen({ hostname, port: 0 });
    onPort(listener.addr.port);
    return undelayed(await listener.accept());
  },
  connect: async (port) => undelayed(await Deno.connect({ hostname, port })),
};

/** Connections as kith has them. */
export const framedLinks: Links<FramedConnection> = {
  async accept(onPort) {
    const listener = await listenTcp({ hostname, port: 0 });
    onPort(listener.address.port);
    const connection = await listener.accept();
    listener.close();
    if (connection === undefined) throw new Error("Cannot measure: nobody connected");
    return new FramedConnection(connection);
  },
  async connect(port) {
    return new FramedConnection(await connectTcp({ hostname, port }));
  },
};

/** Is one of the two processes, as the arguments say. */
export async function runPair<Link extends { close(): void }>(
  links: Links<Link>,
  ends: Ends<Link>,
): Promise<void> {
  const [role, port] = Deno.args;
  if (role === "receive") {
    const link = await links.accept((port) => answer({ port }));
    await ends.receive(link);
    link.close();
  } else {
    const link = await links.connect(Number(port));
    await answerCommands(async (count) => {
      const startedAt = performance.now();
      await ends.send(link, Number(count));
      return { seconds: (performance.now() - startedAt) / 1000 };
    });
    link.close();
  }
}

function undelayed(conn: Deno.TcpConn): Deno.TcpConn {
  conn.setNoDelay(true);
  return conn;
}
