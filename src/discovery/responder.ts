/**
 * Who can be found: hears the questions on every interface, and answers each to where it came from.
 *
 * @module
 */

import {
  type Address,
  type Datagram,
  type DatagramSocket,
  isWildcard,
} from "../transport/transport.ts";
import type { Announcer } from "./announcer.ts";
import type { Attempts } from "./attempts.ts";
import { GroupSocket } from "./group_socket.ts";
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
  /** The address to answer from. */
  hostname: string | undefined;
  /** Whether somebody is not to be heard. */
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
  readonly #shared4: GroupSocket;
  readonly #shared6: InterfaceSockets;
  #own4: AnswerSocket | undefined;
  #own6: AnswerSocket | undefined;

  private constructor(options: ResponderOptions) {
    const { sockets, attempts, port } = options;
    this.#options = options;
    const take: Take = (datagram) => this.#answer(datagram);
    this.#shared4 = new GroupSocket({
      sockets,
      attempts,
      what: "IPv4 questions",
      group: MULTICAST_V4,
      port,
      take,
    });
    // A socket per interface: bound to the group on that link, it knows the zone that answers need.
    this.#shared6 = new InterfaceSockets({
      sockets,
      attempts,
      what: "listen for IPv6 questions",
      open: (local) => this.#listen6(local),
      take,
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
    await this.#shared4.update(interfaces);
    const v6 = interfaces.filter(({ family, index }) => family === "IPv6" && index !== undefined);
    await this.#shared6.update(v6);
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
    const { announcer, attempts, isLeftOut } = this.#options;
    if (own === undefined || isLeftOut(from)) return undefined;
    const answer = announcer.answer(parseQuestion(data), from);
    return answer && attempts.tolerate("answer", () => own.send(answer, from));
  }
}
