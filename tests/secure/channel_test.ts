import { assert, assertEquals, assertRejects } from "@std/assert";
import { createCipheriv } from "node:crypto";
import { ManualClock, seededRandom } from "../../src/clock.ts";
import { ClosedError, InvalidPacketError } from "../../src/errors.ts";
import { MAX_RECORD_BYTES } from "../../src/secure/channel.ts";
import { netTransport } from "../../src/transport/net.ts";
import { connectionPair } from "../endpoint/fixture.ts";
import { concat } from "../fuzz/generate.ts";
import { testConnection } from "../transport/connection_contract.ts";
import {
  cipherPair,
  EMPTY_RECORD_BYTES,
  opened,
  pattern,
  Played,
  readAll,
  receiver,
  recordsOf,
  sealed,
  sender,
} from "./channel_fixture.ts";

const text = (value: string) => new TextEncoder().encode(value);

/** A record as the specification has it, by other means. */
function recordByHand(key: Uint8Array, number: number, plaintext: Uint8Array): Uint8Array {
  const nonce = new Uint8Array(12);
  new DataView(nonce.buffer).setBigUint64(4, BigInt(number), true);
  const cipher = createCipheriv("chacha20-poly1305", key, nonce, { authTagLength: 16 });
  const ciphertext = concat(cipher.update(plaintext), cipher.final(), cipher.getAuthTag());
  return concat(Uint8Array.of(ciphertext.length >> 8, ciphertext.length & 0xff), ciphertext);
}

/** REKEY of the specification, by other means: what the largest nonce makes of 32 zeros. */
function rekeyed(key: Uint8Array): Uint8Array {
  const nonce = Uint8Array.of(0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255);
  const cipher = createCipheriv("chacha20-poly1305", key, nonce, { authTagLength: 16 });
  const next = concat(cipher.update(new Uint8Array(32)));
  cipher.final();
  return next;
}

Deno.test("SecureConnection writes records, and an end, as documented", async () => {
  const [one, two] = [text("one"), text("number two")];
  const key = new Uint8Array(32).fill(2);
  const nothing = new Uint8Array(0);
  assertEquals(
    await sealed([one, two]),
    concat(
      recordByHand(key, 0, one),
      recordByHand(key, 1, two),
      recordByHand(key, 2, nothing),
      recordByHand(rekeyed(key), 3, nothing),
    ),
  );
});

Deno.test("SecureConnection carries writes of any size, in as few records as there can be", async () => {
  const sizes: readonly (readonly [size: number, records: number])[] = [
    [0, 0],
    [1, 1],
    [MAX_RECORD_BYTES, 1],
    [MAX_RECORD_BYTES + 1, 2],
    [4 * MAX_RECORD_BYTES, 4],
    [300_000, 5],
  ];
  for (const [size, records] of sizes) {
    const wire = await sealed([pattern(size)]);
    assertEquals(recordsOf(wire).length, records + 2, `${size}`);
    const { bytes, error } = await opened(wire);
    assertEquals([bytes.length, error], [size, undefined]);
    assertEquals(bytes, pattern(size));
  }
});

Deno.test("SecureConnection reads what arrives in pieces of any size, into buffers of any size", async () => {
  const plaintext = concat(pattern(3_000), pattern(1), pattern(70_000));
  const wire = await sealed([pattern(3_000), pattern(1), new Uint8Array(0), pattern(70_000)]);
  for (const [pieceBytes, intoBytes] of [[1, 65_536], [Infinity, 1], [17, 5], [4_096, 70_000]]) {
    const inner = new Played(wire, pieceBytes);
    const { bytes, error } = await readAll(receiver(inner), intoBytes);
    assertEquals([bytes.length, error], [plaintext.length, undefined]);
    assertEquals(bytes, plaintext);
  }
});

Deno.test("SecureConnection reads what came with the handshake first", async () => {
  const wire = await sealed([pattern(70_000), text("last")]);
  for (const at of [0, 1, 2, 30, 70_000, wire.length]) {
    const inner = new Played(wire.subarray(at));
    const { bytes, error } = await readAll(receiver(inner, { rest: wire.subarray(0, at) }));
    assertEquals([bytes.length, error], [70_004, undefined]);
  }
});

Deno.test("SecureConnection gives many small records with one read, and nothing for no room", async () => {
  const wire = await sealed(Array.from({ length: 10 }, () => pattern(100)));
  const channel = receiver(new Played(wire));
  assertEquals(await channel.read(new Uint8Array(0)), 0);
  assertEquals(await channel.read(new Uint8Array(65_536)), 1_000);
  assertEquals([await channel.read(new Uint8Array(1)), await channel.read(new Uint8Array(1))], [
    null,
    null,
  ]);
});

Deno.test("SecureConnection says that it ends, then that nothing more will be written", async () => {
  const wire = new Played(new Uint8Array(0));
  await sender(wire).closeWrite();
  assertEquals(wire.written.map(({ length }) => length), [EMPTY_RECORD_BYTES, EMPTY_RECORD_BYTES]);
  assertEquals([wire.writeClosed, wire.closed], [true, false]);
});

Deno.test("SecureConnection holds two of the longest records at most", async () => {
  const inner = new Played(await sealed([pattern(2_000_000)]));
  const { bytes } = await readAll(receiver(inner), 1_000_000);
  assertEquals([bytes.length, inner.largestRead <= 2 * 65_537], [2_000_000, true]);
});

Deno.test("SecureConnection goes on with a new key after so many bytes, in both directions", async () => {
  const [left, right] = await connectionPair();
  const [ofLeft, ofRight] = cipherPair();
  const [a, b] = [
    sender(left, { ciphers: ofLeft, rekeyBytes: 1_000 }),
    sender(right, { ciphers: ofRight, rekeyBytes: 2_500 }),
  ];
  for (let round = 0; round < 20; round++) {
    for (const [from, to] of [[a, b], [b, a]] as const) {
      const written = from.write(pattern(700 + round));
      assertEquals(await readSome(to, 700 + round), pattern(700 + round));
      await written;
    }
  }
  // A record each for the data; then how often it was too much for the old key.
  assertEquals(ofLeft.send.count - 20, 9);
  assertEquals(ofRight.send.count - 20, 4);
  assertEquals([ofLeft.receive.count, ofRight.receive.count], [
    ofRight.send.count,
    ofLeft.send.count,
  ]);
  a.close();
  b.close();
});

Deno.test("SecureConnection goes on with a new key after two minutes, in both directions", async () => {
  const clock = new ManualClock();
  const [left, right] = await connectionPair();
  const [ofLeft, ofRight] = cipherPair();
  const [a, b] = [
    sender(left, { ciphers: ofLeft, clock }),
    sender(right, { ciphers: ofRight, clock }),
  ];
  const exchange = async () => {
    for (const [from, to] of [[a, b], [b, a]] as const) {
      await from.write(text("still here"));
      assertEquals(await readSome(to, 10), text("still here"));
    }
  };
  await exchange();
  await clock.advance(119_999);
  await exchange();
  assertEquals([ofLeft.send.count, ofRight.send.count], [2, 2]);
  await clock.advance(1);
  await exchange();
  assertEquals([ofLeft.send.count, ofRight.send.count], [4, 4]);
  await exchange();
  assertEquals([ofLeft.send.count, ofRight.send.count], [5, 5]);
  a.close();
  b.close();
});

Deno.test("SecureConnection leaves nothing to decrypt with the key that it had before", async () => {
  const wire = await sealed([text("old"), text("new")], { rekeyBytes: 1 });
  const [, announcement, fresh] = recordsOf(wire) as [Uint8Array, Uint8Array, Uint8Array];
  assertEquals(announcement.length, EMPTY_RECORD_BYTES);
  const key = new Uint8Array(32).fill(2);
  assertEquals(fresh, recordByHand(rekeyed(key), 2, text("new")));
  const [, { receive }] = cipherPair();
  for (const record of recordsOf(wire).slice(0, 2)) {
    assert(receive.decrypt(record.subarray(2)) !== undefined);
  }
  assertEquals(receive.decrypt(fresh.subarray(2)), undefined);
  receive.rekey();
  assertEquals(receive.decrypt(fresh.subarray(2)), text("new"));
});

Deno.test("SecureConnection ends by nothing that is written, be it empty and the key old", async () => {
  const clock = new ManualClock();
  const wire = new Played(new Uint8Array(0));
  const channel = sender(wire, { clock, rekeyBytes: 0 });
  for (let round = 0; round < 3; round++) {
    await channel.write(new Uint8Array(0));
    await channel.write(new Uint8Array(0));
    await channel.write(text("x"));
    await clock.advance(120_000);
  }
  await channel.closeWrite();
  const { bytes, error } = await opened(concat(...wire.written));
  assertEquals([bytes, error], [text("xxx"), undefined]);
});

Deno.test("SecureConnection passes on what goes wrong underneath, and leaves closing to its owner", async () => {
  const inner = new Played(new Uint8Array(0));
  const failure = new InvalidPacketError("bad-message", "A text message came");
  // A broken connection may tell only once, and then look as if it had ended.
  inner.read = () => {
    inner.read = () => Promise.resolve(null);
    return Promise.reject(failure);
  };
  inner.write = () => Promise.reject(failure);
  const channel = receiver(inner);
  for (const _ of [1, 2]) {
    await assertRejects(() => channel.read(new Uint8Array(9)), InvalidPacketError, "text message");
  }
  await assertRejects(() => channel.write(text("x")), InvalidPacketError, "text message");
  assertEquals(inner.closed, false);
});

Deno.test("SecureConnection.close ends both directions at once, and that is no end in order for the other", async () => {
  const [left, right] = await connectionPair();
  const [ofLeft, ofRight] = cipherPair();
  const [a, b] = [sender(left, { ciphers: ofLeft }), sender(right, { ciphers: ofRight })];
  assertEquals([a.remote, b.remote], [left.remote, right.remote]);
  assertEquals([a.local, b.local], [left.local, right.local]);
  a.close();
  a.close();
  await assertRejects(() => a.read(new Uint8Array(1)), ClosedError, "was closed");
  await assertRejects(() => a.write(text("x")), ClosedError);
  await assertRejects(() => b.read(new Uint8Array(1)), ClosedError, "was cut");
  b.close();
});

Deno.test("SecureConnection carries any writes to any reads unchanged", async () => {
  for (let seed = 1; seed <= 60; seed++) {
    const random = seededRandom(seed);
    const below = (limit: number) => Math.floor(random() * limit);
    const scale = [10, 1_000, 70_000, 300_000][seed % 4] as number;
    const clock = new ManualClock();
    const rekeyBytes = 1 + below(2 * scale);
    const wire = new Played(new Uint8Array(0));
    const from = sender(wire, { clock, rekeyBytes });
    const plaintexts: Uint8Array[] = [];
    for (let writes = 1 + below(12); writes > 0; writes--) {
      const plaintext = pattern(below(scale)).map((byte) => byte ^ seed);
      plaintexts.push(plaintext);
      await from.write(plaintext);
      if (below(4) === 0) await clock.advance(below(200_000));
    }
    await from.closeWrite();
    const bytes = concat(...wire.written);
    const at = below(bytes.length);
    const inner = new Played(bytes.subarray(at), () => 1 + below(scale));
    const to = receiver(inner, { rest: bytes.subarray(0, at) });
    const outcome = await readAll(to, () => 1 + below(2 * scale));
    assertEquals(outcome.error, undefined, `seed ${seed}`);
    assert(same(outcome.bytes, concat(...plaintexts)), `seed ${seed}`);
  }
});

testConnection("secure", async () => {
  const listener = await netTransport.listen({ hostname: "127.0.0.1" });
  const [outer, inner] = await Promise.all([
    netTransport.connect(listener.address),
    listener.accept(),
  ]);
  listener.close();
  assert(inner !== undefined);
  const [ofClient, ofServer] = cipherPair();
  const [client, server] = [
    sender(outer, { ciphers: ofClient }),
    sender(inner, { ciphers: ofServer }),
  ];
  return {
    client,
    server,
    [Symbol.asyncDispose]() {
      client.close();
      server.close();
      return Promise.resolve();
    },
  };
}, { closingIsCutting: true });

async function readSome(
  channel: { read(into: Uint8Array): Promise<number | null> },
  count: number,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(count);
  for (let at = 0; at < count;) at += await channel.read(bytes.subarray(at)) ?? Infinity;
  return bytes;
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}
