/**
 * A server with endpoints that a command line must cope with, in the test's own process.
 *
 * @module
 */

import { AuthError, NotFoundError } from "../../src/errors.ts";
import { serve, type StandaloneServer } from "../../src/serve.ts";

/** What no terminal may get: it clears the screen, rings, sets the title and reorders the line. */
export const EVIL = "a\u001b[2J\u0007\u001b]0;x\u0007\u009b31m\u202egnp.\u2028";

/** Every control but line feed and tab, and what reorders text: what must not reach a terminal from outside. */
// deno-lint-ignore no-control-regex -- looking for control characters is the point
const RAW = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/;

/** Whether a text would do something to a terminal. */
export function isRaw(text: string): boolean {
  return RAW.test(text);
}

/** A server named `odd` on that network, and when callers gave its endpoints up. */
export interface OddServer {
  readonly server: StandaloneServer;
  /** As others type it. */
  readonly address: string;
  /** How many calls of `silent` have been given up. */
  readonly givenUp: () => number;
}

/** Starts it. @param network The options of a command line on the same network. */
export async function serveOddly(network: readonly string[], name = "odd"): Promise<OddServer> {
  let givenUp = 0;
  const discoveryPort = Number(network.at(-1));
  const server = await serve({ hostname: "127.0.0.1", port: 0, discoveryPort, serverName: name });
  server.registerAll({
    /** Never answers. */
    silent: (_: unknown, { signal }: { signal: AbortSignal }) => {
      const { promise, reject } = Promise.withResolvers<never>();
      signal.addEventListener("abort", () => {
        givenUp++;
        reject(signal.reason);
      });
      return promise;
    },
    /** Counts to `to`; without it, for ever. */
    count: async function* ({ to = Infinity }: { to?: number } = {}) {
      for (let n = 1; n <= to; n++) yield n;
    },
    deny: () => {
      throw new AuthError("not-allowed", "Not on a Sunday");
    },
    crash: () => {
      throw new Error("a secret of the server");
    },
    evil: () => ({ [EVIL]: [EVIL] }),
    evilText: () => `${EVIL}\n\tsecond line`,
    evilError: () => {
      throw new NotFoundError("no-path", EVIL, { details: { [EVIL]: EVIL } });
    },
    /** Nested as deep as a message may be, which is deeper than JSON may be once its maps are spelled out. */
    deep: () => {
      let value: unknown = 1;
      for (let depth = 0; depth < 50; depth++) value = new Map([[1, value]]);
      return value;
    },
  });
  const address = `127.0.0.1:${server.peer.address?.port}`;
  return { server, address, givenUp: () => givenUp };
}
