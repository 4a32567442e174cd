/**
 * The running peer's end: runs the verbs of command lines of the same home.
 *
 * What comes in by the door may do all that the peer may, so it is trusted; it is bounded and checked all the same, so that
 * a fault in one command line is its own, and ends neither the peer nor another's verb.
 *
 * @module
 */

import { sleep, systemClock } from "../../clock.ts";
import { ClosedError, LimitError, NotFoundError, PeerError } from "../../errors.ts";
import { printable } from "../../log.ts";
import { VERSION } from "../../version.ts";
import { Options } from "../options.ts";
import { runLoaded } from "../refusals.ts";
import type { Verb, Verbs } from "../verb.ts";
import { ControlLine, MAX_REQUEST_BYTES } from "./control_line.ts";
import { type Door, type DoorOptions, openDoor } from "./door.ts";
import { type HostPeer, OwnPeerWanted } from "./host.ts";
import { HostedOutput } from "./hosted_output.ts";
import { describeError, readRun, type RunMessage } from "./messages.ts";
import { hostedLine, refuseOthers } from "./own_or_hosted.ts";
import { Remote } from "./remote.ts";

/** Command lines at the same time: more than anybody types, and few enough for their buffers. */
export const MAX_COMMANDS = 64;

/** How long a command line may take to say what it wants, in milliseconds: it does so at once. */
const FIRST_MS = 5_000;

/** How long a verb may take to end when the peer goes, in milliseconds. */
const END_MS = 1_000;

/** What a {@linkcode ControlServer} needs. */
export interface ControlParts extends HostPeer {
  /** The verbs that there are. */
  readonly verbs: Verbs;
}

/** See the module. */
export class ControlServer implements AsyncDisposable {
  readonly #parts: ControlParts;
  readonly #door: Door;
  readonly #closing = new AbortController();
  readonly #commands = new Map<ControlLine, Promise<void>>();
  readonly #accepting: Promise<void>;

  private constructor(parts: ControlParts, door: Door) {
    this.#parts = parts;
    this.#door = door;
    this.#accepting = this.#acceptAll();
  }

  /** Opens the door of the peer's home. @throws as {@linkcode openDoor}. */
  static async open(parts: ControlParts, options: DoorOptions = {}): Promise<ControlServer> {
    return new ControlServer(parts, await openDoor(parts.home, options));
  }

  /** Lets nobody in any more, and ends the verbs that run. Harmless when closed. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(new ClosedError("The running peer was ended"));
    this.#door[Symbol.dispose]();
    await this.#accepting;
    // Who does not listen to its signal does not hold up the peer.
    const late = new AbortController();
    await Promise.race([
      Promise.all(this.#commands.values()),
      sleep(systemClock, END_MS, { signal: late.signal }).catch(() => {}), // all have ended
    ]);
    late.abort();
    for (const line of this.#commands.keys()) line[Symbol.dispose]();
  }

  async #acceptAll(): Promise<void> {
    for (
      let connection = await this.#door.accept();
      connection !== undefined;
      connection = await this.#door.accept()
    ) {
      const line = new ControlLine(connection, MAX_REQUEST_BYTES);
      const hasRoom = this.#commands.size < MAX_COMMANDS;
      const served = hasRoom ? this.#serve(line) : this.#end(line, tooMany());
      this.#commands.set(line, served.finally(() => this.#commands.delete(line)));
    }
  }

  /** Serves one command line, and closes it. Never rejects. */
  async #serve(line: ControlLine): Promise<void> {
    try {
      const message = await this.#first(line);
      if (message !== undefined) await this.#run(readRun(message), line);
      await this.#end(line);
    } catch (error) {
      await this.#end(line, error);
    }
  }

  /** Says why a command line failed, if it did, and closes it. Never rejects. */
  async #end(line: ControlLine, error?: unknown): Promise<void> {
    using _closing = line;
    if (error !== undefined) {
      const why = error instanceof Error ? error.message : String(error);
      this.#parts.peer.endpoint.log.debug("command failed", { why: printable(why, 400) });
      line.finish(error instanceof OwnPeerWanted ? { type: "own", why } : describeError(error));
    }
    await line.flushed().catch(() => {}); // it is gone
  }

  /** The first message, from who may say something. */
  async #first(line: ControlLine): ReturnType<ControlLine["receive"]> {
    const timer = systemClock.after(FIRST_MS, () => line[Symbol.dispose]());
    try {
      await this.#door.greet(line);
      return await line.receive();
    } finally {
      timer.cancel();
    }
  }

  async #run(message: RunMessage, line: ControlLine): Promise<void> {
    const { verbs, ...host } = this.#parts;
    if (message.version !== VERSION) {
      throw new OwnPeerWanted(`the running peer is kith ${VERSION}`);
    }
    const verb = hostedVerb(verbs, message.verb);
    const asked = new Options(message.line, verb.options);
    refuseOthers(asked, { verb, own: host.options, peer: host.peer, network: message.network });
    line.send({ type: "taken" });
    const options = new Options(hostedLine(asked, { verb, own: host.options }), verb.options);
    await using remote = new Remote(line, this.#closing.signal);
    const { signal } = remote;
    const output = new HostedOutput(line, message);
    try {
      const status = await runLoaded(verb, {
        ...{ options, output, signal },
        host: {
          ...host,
          cwd: message.cwd,
          stdin: remote.stdin,
          onToggle: (toggle) => remote.onToggle(toggle),
        },
      });
      // Also of one that ends in silence when it is interrupted: that the peer was ended is no success.
      if (signal.reason instanceof PeerError) throw signal.reason;
      line.finish({ type: "end", status: status ?? 0 });
    } catch (error) {
      // What a verb throws when it is interrupted says less than why it was.
      throw signal.reason instanceof PeerError ? signal.reason : error;
    }
  }
}

function hostedVerb(verbs: Verbs, name: string): Verb & { readonly hosted: readonly string[] } {
  const verb = Object.hasOwn(verbs, name) ? verbs[name] : undefined;
  if (verb?.hosted !== undefined) return { ...verb, hosted: verb.hosted };
  throw new NotFoundError(
    "no-endpoint",
    `The running peer runs no verb "${printable(name, 40)}" for others`,
  );
}

function tooMany(): LimitError {
  return new LimitError("limit", `The running peer runs ${MAX_COMMANDS} commands already`, {
    details: { limit: "maxCommands", max: MAX_COMMANDS },
  });
}
