/**
 * Questions to members over connections, which prove who answers.
 *
 * @module
 */

import { ClosedError } from "../errors.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";
import { layerLog, printable } from "../log.ts";
import { type Address, formatAddress } from "../transport/transport.ts";
import type { MessageBody } from "../wire/message.ts";
import type { AskOptions } from "./options.ts";

/** Asks; see the module. */
export class StreamQuestions {
  readonly #endpoint: Endpoint;
  readonly #closing = new AbortController();
  readonly #asking = new Set<Promise<void>>();

  /** Has asked nobody. */
  constructor(endpoint: Endpoint) {
    this.#endpoint = endpoint;
  }

  /** Asks on a connection of its own; calls back once, with nothing where no answer came, unless closed meanwhile. */
  ask(
    question: MessageBody,
    to: Address,
    how: AskOptions,
    done: (answer: MessageBody | undefined) => void,
  ): void {
    const asking = this.#ask(question, to, how).then((answer) => {
      if (!this.#closing.signal.aborted) done(answer);
    }).catch((error) => {
      const text = printable(String(error));
      layerLog(this.#endpoint.log, "membership").error("could not take what a member answered", {
        error: text,
      });
    });
    this.#asking.add(asking);
    void asking.finally(() => this.#asking.delete(asking));
  }

  /** Waits for what is being asked, but no longer than that. */
  async settled(limitMs = Infinity): Promise<void> {
    if (this.#asking.size === 0) return;
    const enough = Promise.withResolvers<void>();
    const timer = this.#endpoint.clock.after(limitMs, enough.resolve);
    await Promise.race([enough.promise, Promise.all(this.#asking)]);
    timer.cancel();
  }

  /** Gives up what is being asked. */
  close(): void {
    this.#closing.abort(new ClosedError("The membership is closed"));
  }

  async #ask(
    question: MessageBody,
    to: Address,
    { peerId, timeoutMs }: AskOptions,
  ): Promise<MessageBody | undefined> {
    const { clock, metrics, self } = this.#endpoint;
    const log = layerLog(this.#endpoint.log, "membership");
    const late = new AbortController();
    const timer = clock.after(timeoutMs, () => late.abort(LATE));
    const signal = AbortSignal.any([late.signal, this.#closing.signal]);
    const expect = (peer: { readonly peerId: string }) => {
      if (peerId !== undefined && peer.peerId !== peerId) throw ANOTHER;
    };
    try {
      await using link = await this.#endpoint.connect(to, { signal, expect });
      if (link.peer.peerId === self.peerId) return undefined;
      const answer = await link.request("members.ask", question, { signal, timeoutMs });
      if (typeof answer !== "object" || answer === null) return undefined;
      // Who tells is whoever the connection has proven it to be.
      return { ...answer, from: Uint8Array.fromHex(link.peer.peerId) };
    } catch (error) {
      metrics.counter("membership.unanswered").add();
      log.debug("a member did not answer", { address: formatAddress(to), why: String(error) });
      return undefined;
    } finally {
      timer.cancel();
    }
  }
}

/** Why a question is given up. */
const LATE = new Error("no answer in time");

/** Why a connection is given up that leads to somebody else. */
const ANOTHER = new Error("another peer is there");
