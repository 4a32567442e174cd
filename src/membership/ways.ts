/**
 * By which ways members answer, and whether packets get through at all.
 *
 * @module
 */

import { type Member, preferHost } from "./member.ts";
import type { Arrival } from "./newcomers.ts";
import type { SwimPorts } from "./options.ts";

/** Members in a row that only answered over a stream, after which packets are taken to be blocked. */
const DEGRADED_AFTER = 3;

/** Ways; see the module. */
export class Ways {
  readonly #ports: Pick<SwimPorts, "clock" | "emit">;
  #streamOnly = 0;
  #degraded = false;

  /** Packets get through until they do not. */
  constructor(ports: Pick<SwimPorts, "clock" | "emit">) {
    this.#ports = ports;
  }

  /** Whether packets do not get through, so that streams are used. */
  get degraded(): boolean {
    return this.#degraded;
  }

  /** A member has answered. */
  answered(member: Member, { host, path, rttMs }: Arrival): void {
    if (host !== undefined) {
      preferHost(member, host);
      member.isReached = true;
    }
    if (rttMs !== undefined) member.rttMs = rttMs;
    [member.path, member.heardMs] = [path, this.#ports.clock.now()];
    this.#streamOnly = path === "stream" ? this.#streamOnly + 1 : 0;
    if (path !== "stream") this.#set(false);
    else if (this.#streamOnly >= DEGRADED_AFTER) this.#set(true);
  }

  #set(degraded: boolean): void {
    if (degraded === this.#degraded) return;
    this.#degraded = degraded;
    const why = degraded
      ? "UDP does not get through: members answer over TCP only, which costs more and takes longer"
      : "UDP gets through again";
    this.#ports.emit({ type: degraded ? "degraded" : "restored", why });
  }
}
