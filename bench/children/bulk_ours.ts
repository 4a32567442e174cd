/**
 * Large frames as kith sends them.
 *
 * @module
 */

import type { FramedConnection } from "../../src/transport/framed.ts";
import { BULK_BYTES } from "../bodies.ts";
import { framedLinks, runPair } from "./pair.ts";

const payload = new Uint8Array(BULK_BYTES).fill(7);
const END = new Uint8Array(0);

await runPair(framedLinks, { send, receive });

async function send(framed: FramedConnection, count: number): Promise<void> {
  for (let i = 0; i < count; i++) await framed.send(payload);
  await framed.send(END);
  await framed.receive();
}

async function receive(framed: FramedConnection): Promise<void> {
  for await (const frame of framed) {
    if (frame.length === 0) await framed.send(END);
  }
}
