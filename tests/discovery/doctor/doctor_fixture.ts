/**
 * Networks that are broken in one way, and what a doctor needs to look at them.
 *
 * @module
 */

import type { ManualClock } from "../../../src/clock.ts";
import type { LocalInterface } from "../../../src/discovery/interfaces.ts";
import { TransportError } from "../../../src/errors.ts";
import type { DatagramOptions, DatagramSocket, Transport } from "../../../src/transport/mod.ts";

/** What does not work. */
export interface Defects {
  /** Packets to these addresses get lost. */
  readonly lost?: readonly string[];
  /** Sending there fails. */
  readonly unreachable?: readonly string[];
  /** Sockets cannot be bound there. */
  readonly unbindable?: readonly string[];
  /** Groups cannot be joined, although another program has joined them, so that packets arrive. */
  readonly noGroups?: boolean;
}

/** A network with defects. */
export function broken(transport: Transport, defects: Defects): Transport {
  const { lost = [], unreachable = [], unbindable = [], noGroups = false } = defects;
  return {
    listen: (options) => transport.listen(options),
    connect: (to, options) => transport.connect(to, options),
    async datagram(options: DatagramOptions = {}): Promise<DatagramSocket> {
      const { hostname = "", groups = [] } = options;
      if (unbindable.includes(hostname)) throw new TransportError(`Cannot bind ${hostname}`);
      const socket = await transport.datagram(options);
      const joinErrors = noGroups
        ? groups.map((details) => new TransportError("Cannot join", { details: { ...details } }))
        : socket.joinErrors;
      return {
        address: socket.address,
        joinErrors,
        dropped: 0,
        send(data, to) {
          if (unreachable.includes(to.hostname)) {
            return Promise.reject(new TransportError(`Cannot send to ${to.hostname}`));
          }
          return lost.includes(to.hostname) ? Promise.resolve() : socket.send(data, to);
        },
        receive: () => socket.receive(),
        close: () => socket.close(),
      };
    },
  };
}

/** The interface of a host of the memory network, which has the host's name for an address. */
export function interfaceOf(host: string, more: Partial<LocalInterface> = {}): LocalInterface {
  const common = { family: "IPv4", broadcast: undefined, index: undefined } as const;
  return { name: "eth0", address: host, loopback: false, ...common, ...more };
}

/** Does something that waits, on a clock that is moved until it is done. */
export async function atOnce<T>(clock: ManualClock, work: Promise<T>): Promise<T> {
  let over = false;
  const done = work.finally(() => over = true);
  done.catch(() => {}); // looked at below
  while (!over) await clock.advance(100);
  return await done;
}
