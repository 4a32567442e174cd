/**
 * Who can be found: hears the questions on every interface, and answers each to where it came from.
 *
 * @module
 */

import { isLoopback } from "../endpoint/limits.ts";
import {
  type Address,
  type Datagram,
  type DatagramSocket,
  isWildcard,
} from "../transport/transport.ts";
import type { Announcer } from "./announcer.ts";
import type { Attempts } from "./attempts.ts";
import { MULTICAST_V4, MULTICAST_V6 } from "./groups.ts";
import type { LocalInterface } from "./interfaces.ts";
import { parseQuestion } from "./packets.ts";
import { bindForGroup, platformOf } from "./platform.ts";
import { InterfaceSockets, type Sockets, type Take } from "./sockets.ts";

/** A socket that answers leave from; discovery does not close it. */
export interface AnswerSocket {
  /** Where it is bound. */
  readonly address: Address;
  /** Sends one packet. */
  send(packet: Uint8Array, to: Address): Promise<void>;
}

/** What a {@linkcode Responder} needs. */
export interface ResponderOptions {
  /** Makes the answers. */
  announcer: Announcer;
  /** The address to answer from, and whom to answer: those on this machine where it is a loopback address. */
  hostname: string | undefined;
  /** Whether somebody is on a network that shall not be used. */
  isLeftOut: (asker: Address) => boolean;
  /** The port for questions. */
  port: number;
  /** The socket that answers leave from. @default one of its own */
  answerFrom: AnswerSocket | undefined;
  /** Opens sockets. */
  sockets: Sockets;
  /** Told what failed. */
  attempts: Attempts;
}

/** Answers questions; see the module. */
export class Responder {
  readonly #options: ResponderOptions;
  readonly #take: Take;
  readonly #shared6: InterfaceSockets;
  #shared4: { readonly socket: DatagramSocket; readonly groups: string } | undefined;
  #own4: AnswerSocket | undefined;
  #own6: AnswerSocket | undefined;

  private constructor(options: ResponderOptions) {
    const { sockets, attempts } = options;
    this.#options = options;
    this.#take = (datagram) => this.#answer(datagram);
    // A socket per interface: bound to the group on that link, it knows the zone that answers need.
    this.#shared6 = new InterfaceSockets({
      sockets,
      attempts,
      what: "listen for IPv6 questions",
      open: (local) => this.#listen6(local),
      take: this.#take,
    });
  }

  /** Opens the socket that answers leave from. @throws {TransportError | UnsupportedError} when there is none. */
  static async open(options: ResponderOptions): Promise<Responder> {
    const { hostname = "0.0.0.0", answerFrom, sockets } = options;
    const responder = new Responder(options);
    const own = answerFrom ??
      await sockets.open({ hostname: isWildcard(hostname) ? "0.0.0.0" : hostname, port: 0 });
    if (own.address.hostname.includes(":")) responder.#own6 = own;
    else responder.#own4 = own;
    return responder;
  }

  /** The socket that answers leave from. */
  get address(): Address | undefined {
    return this.#own4?.address ?? this.#own6?.address;
  }

  /** Listens on these interfaces from now on. */
  async update(interfaces: readonly LocalInterface[]): Promise<void> {
    await this.#listen4(interfaces.filter(({ family }) => family === "IPv4"));
    const v6 = interfaces.filter(({ family, index }) => family === "IPv6" && index !== undefined);
    await this.#shared6.update(v6);
  }

  /**
   * One socket for all interfaces: each of several would hear every group that any of them has joined. Groups cannot be
   * joined later on, so another socket takes its place, opened before it is closed.
   */
  async #listen4(interfaces: readonly LocalInterface[]): Promise<void> {
    // A second address of the same interface must not join again.
    const addresses = [...new Map(interfaces.map(({ name, address }) => [name, address])).values()];
    const groups = addresses.join(" ");
    const before = this.#shared4;
    if (before?.groups === groups) return;
    const { attempts, sockets, port } = this.#options;
    await attempts.tolerate("listen for IPv4 questions", async () => {
      const socket = await sockets.open({
        hostname: "0.0.0.0",
        port,
        shared: true,
        groups: addresses.map((address) => ({ group: MULTICAST_V4, interfaceAddress: address })),
      });
      this.#shared4 = { socket, groups };
      if (before !== undefined) sockets.close(before.socket);
      void sockets.serve(socket, "receive IPv4 questions", this.#take).then(() => {
        if (this.#shared4?.socket === socket) this.#shared4 = undefined;
      });
    });
  }

  async #listen6(local: LocalInterface): Promise<DatagramSocket> {
    const { sockets, port } = this.#options;
    this.#own6 ??= await sockets.open({ hostname: "::", port: 0 });
    const groups = [{ group: MULTICAST_V6, interfaceIndex: local.index ?? 0 }];
    const hostname = bindForGroup(platformOf(), MULTICAST_V6, local);
    return await sockets.open({ hostname, port, shared: true, groups });
  }

  #answer({ data, from }: Datagram): Promise<void> | undefined {
    const own = from.hostname.includes(":") ? this.#own6 : this.#own4;
    if (own === undefined || this.#isForeign(from)) return undefined;
    const answer = this.#options.announcer.answer(parseQuestion(data), from);
    if (answer === undefined) return undefined;
    return this.#options.attempts.tolerate("answer", () => own.send(answer, from));
  }

  /** Whether a question came from elsewhere although only this machine is served, or from a network that is not. */
  #isForeign(from: Address): boolean {
    const { hostname, isLeftOut } = this.#options;
    const isOwnOnly = hostname !== undefined && isLoopback(hostname);
    return (isOwnOnly && !isLoopback(from.hostname)) || isLeftOut(from);
  }
}
