/**
 * Members of a group that all publish to all others; the same loop for every way to do so.
 *
 * @module
 */

import { blobBody } from "../bodies.ts";

/** Bytes of each message. */
const PAYLOAD_BYTES = 64;

/** Messages that a member publishes at once. */
const AT_ONCE = 64;

/** One member. */
export interface Member {
  /** Sends to all others. @returns when more may be sent. */
  publish(payload: Uint8Array): Promise<void>;
  /** Waits until so many have come from others. */
  read(count: number): Promise<void>;
}

/** Publishes `count` messages with each member. @returns how long it took until all others had read them. */
export async function publishToAll(
  members: readonly Member[],
  count: number,
): Promise<{ seconds: number }> {
  const { data } = blobBody(PAYLOAD_BYTES) as { data: Uint8Array };
  const startedAt = performance.now();
  const all = members.map((member) => member.read(count * (members.length - 1)));
  await Promise.all(members.map(async (member) => {
    for (let sent = 0; sent < count; sent += AT_ONCE) {
      const batch = Array.from({ length: Math.min(AT_ONCE, count - sent) }, () => {
        return member.publish(data);
      });
      await Promise.all(batch);
    }
  }));
  await Promise.all(all);
  return { seconds: (performance.now() - startedAt) / 1000 };
}
