/**
 * The one socket that hears an IPv4 group on all interfaces: each of several would hear every group that any of them has
 * joined. Broadcasts come in there too.
 *
 * Groups cannot be joined later on, so where the interfaces change another socket takes its place, which is opened before
 * it is closed.
 *
 * @module
 */

import type { DatagramSocket } from "../transport/transport.ts";
import type { Attempts } from "./attempts.ts";
import type { LocalInterface } from "./interfaces.ts";
import type { Sockets, Take } from "./sockets.ts";

/** What a {@linkcode GroupSocket} needs. */
export interface GroupSocketOptions {
  /** Opens and closes it. */
  readonly sockets: Sockets;
  /** Told when it cannot be opened. */
  readonly attempts: Attempts;
  /** What it hears: the log says "could not hear {what}". */
  readonly what: string;
  /** The group. */
  readonly group: string;
  /** The shared port. */
  readonly port: number;
  /** Takes what comes in. */
  readonly take: Take;
}

/** Hears an IPv4 group; see the module. */
export class GroupSocket {
  readonly #options: GroupSocketOptions;
  #current: { readonly socket: DatagramSocket; readonly joined: string } | undefined;

  /** Is not open yet. */
  constructor(options: GroupSocketOptions) {
    this.#options = options;
  }

  /** Hears the group on those of these interfaces that are of IPv4; never rejects. */
  async update(interfaces: readonly LocalInterface[]): Promise<void> {
    const v4 = interfaces.filter(({ family }) => family === "IPv4");
    // A second address of the same interface must not join again.
    const addresses = [...new Map(v4.map(({ name, address }) => [name, address])).values()];
    const joined = addresses.join(" ");
    const before = this.#current;
    if (before?.joined === joined) return;
    const { sockets, attempts, what, group, port, take } = this.#options;
    const groups = addresses.map((interfaceAddress) => ({ group, interfaceAddress }));
    await attempts.tolerate(`hear ${what}`, async () => {
      const socket = await sockets.open({ hostname: "0.0.0.0", port, shared: true, groups });
      this.#current = { socket, joined };
      if (before !== undefined) sockets.close(before.socket);
      void sockets.serve(socket, `receive ${what}`, take).then(() => {
        if (this.#current?.socket === socket) this.#current = undefined;
      });
    });
  }
}
