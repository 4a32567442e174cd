/**
 * Ways to copy that more than one question asks about.
 *
 * @module
 */

import type { Way } from "./copy_race.ts";
import { Pair } from "./pair.ts";
import { RsyncDaemon } from "./rsync_daemon.ts";

/** Between two peers that are connected, see `children/files.ts`. */
export function betweenPeers(security: "plain" | "encrypted"): Way {
  return async (source, target) => {
    const pair = await Pair.start("bench/children/files.ts", {
      receive: [target, security],
      send: [security],
    });
    return {
      copy: async () => {
        const { seconds } = await pair.ask(source) as { seconds: number };
        return seconds;
      },
      [Symbol.asyncDispose]: () => pair[Symbol.asyncDispose](),
    };
  };
}

/** By rsync's client to rsync's daemon. */
export async function byRsync(source: string, target: string): ReturnType<Way> {
  const daemon = await RsyncDaemon.start(target);
  return {
    copy: () => daemon.push(source),
    note: () => daemon.version,
    [Symbol.asyncDispose]: () => daemon[Symbol.asyncDispose](),
  };
}
