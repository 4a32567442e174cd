/**
 * Records with a byte in each cost a thousand times what their bytes are worth. Who floods with them has its turn and no
 * more: counted in turns of the event loop, which do not depend on how fast a machine is.
 */

import { assert, assertEquals } from "@std/assert";
import { Dispatcher } from "../../src/endpoint/dispatcher.ts";
import { Endpoint } from "../../src/endpoint/endpoint.ts";
import { Link } from "../../src/endpoint/link.ts";
import { MESSAGES_A_TURN, nextTurn, Turns } from "../../src/endpoint/turns.ts";
import { FramedConnection } from "../../src/transport/framed.ts";
import { netTransport } from "../../src/transport/net.ts";
import type { Address } from "../../src/transport/transport.ts";
import { encodeWireData, wireData } from "../../src/wire/message.ts";
import { identityOf, infoOf, shakeHands, through } from "../endpoint/fixture.ts";
import { concat } from "../fuzz/generate.ts";
import { cipherPair, Played, receiver, sealed } from "../secure/channel_fixture.ts";
import { LOOPBACK } from "./tapped_peer.ts";

/** Records that one read decrypts at most. */
const RECORDS_A_READ = 16;

/** Reads that complete no message, of which there are so many in a turn. */
const READS_A_TURN = 8;

/** A frame that never ends. */
const endless = (count: number) => Uint8Array.of(0, 0xff, 0xff, 0xff, ...new Uint8Array(count));

/** Messages as small as they can be, one after another. */
function smallMessages(): Uint8Array {
  const message = encodeWireData(wireData("x", {}));
  const frame = Uint8Array.of(0, 0, 0, message.length, ...message);
  return concat(...Array.from({ length: 300 }, () => frame));
}

const FLOODS = [
  { what: "of a frame that never ends", bytes: endless(5_000), reads: READS_A_TURN },
  // Each read brings a message, or nearly.
  { what: "of whole messages", bytes: smallMessages(), reads: MESSAGES_A_TURN },
];

for (const { what, bytes, reads } of FLOODS) {
  for (const [how, rekeyBytes, recordsAByte] of [["", Infinity, 1], [" under new keys", 1, 2]]) {
    Deno.test(`T10 single bytes ${what}${how} are read for a turn, and then others have theirs`, async () => {
      const pieces = Array.from(bytes, (byte) => Uint8Array.of(byte));
      const wire = await sealed(pieces, { rekeyBytes: Number(rekeyBytes), end: false });
      const [, ciphers] = cipherPair();
      const framed = new FramedConnection(receiver(new Played(wire), { ciphers }));
      const turns = new Turns();
      turns.join(); // somebody else is there
      const link = new Link({ framed, peer: infoOf("eve"), dispatcher: new Dispatcher(), turns });
      const { receive } = ciphers;
      let [before, most] = [0, 0];
      while (link.open) {
        await nextTurn();
        most = Math.max(most, receive.count - before);
        before = receive.count;
      }
      assert(before >= bytes.length, "not everything was read");
      const limit = reads * RECORDS_A_READ * Number(recordsAByte);
      assert(most <= limit, `${most} records in one turn, more than ${limit}`);
    });
  }
}

/** Somebody who has shaken hands and holds back what he then says: a byte in each record. */
async function flooder(to: Address, name: string, bytes: Uint8Array) {
  const raw = await netTransport.connect(to);
  const held: Uint8Array[] = [];
  let holds = false;
  const stranger = await shakeHands(
    through(raw, (bytes) => {
      if (!holds) return raw.write(bytes);
      held.push(bytes.slice());
      return Promise.resolve();
    }),
    name,
  );
  assertEquals((await stranger.receive())?.header, ":accept");
  holds = true;
  for (const byte of bytes) await stranger.raw(Uint8Array.of(byte));
  return {
    /** Says it, in one write. */
    flood: () => raw.write(concat(...held)),
    close: () => stranger.close(),
  };
}

Deno.test("T10 honest peers are answered while others flood an endpoint with single bytes", async () => {
  await using server = await Endpoint.open({
    transport: netTransport,
    identity: identityOf("server"),
    self: infoOf("server"),
    hostname: LOOPBACK,
    port: 0,
  });
  server.handle("echo", ({ n }) => n);
  await using honest = await Endpoint.open({
    transport: netTransport,
    self: infoOf("honest"),
    clientOnly: true,
  });
  const to = { hostname: LOOPBACK, port: server.address?.port ?? 0 };
  await using link = await honest.connect(to);
  const bytes = endless(20_000);
  const flooders = await Promise.all(["eve", "mallory"].map((name) => flooder(to, name, bytes)));
  const flooded = [...server.links].filter(({ peer }) => peer.name !== "honest");
  assertEquals(flooded.length, 2);
  let over = false;
  const ended = Promise.all(flooded.map(({ closed }) => closed)).then(() => over = true);
  const flooding = flooders.map(async ({ flood, close }) => {
    await flood();
    close();
  });
  let [turns, answers] = [0, 0];
  const counting = (async () => {
    for (; !over; turns++) await nextTurn();
  })();
  for (; !over; answers++) assertEquals(await link.request("echo", { n: answers }), answers);
  await Promise.all([...flooding, counting, ended]);
  const least = bytes.length / (READS_A_TURN * RECORDS_A_READ);
  assert(turns >= least, `${turns} turns of the event loop in all, fewer than ${least}`);
});
