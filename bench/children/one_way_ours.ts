/**
 * One-way messages as kith sends them: encoded into the outgoing batch, many to a write, decoded in the read buffer.
 *
 * @module
 */

import type { FramedConnection } from "../../src/transport/framed.ts";
import { Decoder } from "../../src/wire/decoder.ts";
import {
  type MessageBody,
  type NativeMessage,
  readMessage,
  writeMessage,
} from "../../src/wire/message.ts";
import { bodyOf } from "../bodies.ts";
import { framedLinks, runPair } from "./pair.ts";

const decoder = new Decoder({ borrow: true });

await runPair(framedLinks, { send, receive });

async function send(framed: FramedConnection, count: number): Promise<void> {
  const body = bodyOf(Deno.args[2]);
  for (let i = 0; i < count; i++) {
    add(framed, "note", body);
    if (framed.congested) await framed.flush();
  }
  add(framed, "end", {});
  await framed.flush();
  while (!framed.reader.advance()) await framed.fill();
  const { received } = currentMessage(framed).body;
  if (received !== count) throw new Error(`Cannot measure: ${received} of ${count} arrived`);
}

async function receive(framed: FramedConnection): Promise<void> {
  let received = 0;
  while (await framed.fill()) {
    while (framed.reader.advance()) {
      const { header } = currentMessage(framed);
      if (header === "note") {
        received++;
      } else {
        add(framed, "got", { received });
        await framed.flush();
        received = 0;
      }
    }
  }
}

function add(framed: FramedConnection, header: string, body: MessageBody): void {
  const { writer } = framed;
  writer.begin();
  writeMessage(writer.encoder, header, 0, body);
  writer.end();
}

function currentMessage({ reader }: FramedConnection): NativeMessage {
  decoder.reset(reader.buffer, reader.start, reader.stop);
  return readMessage(decoder);
}
