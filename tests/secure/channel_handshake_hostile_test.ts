import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { systemClock } from "../../src/clock.ts";
import { PREFACE } from "../../src/endpoint/handshake.ts";
import { ClosedError, HandshakeError } from "../../src/errors.ts";
import { dialChannel, MAX_HANDSHAKE_BYTES } from "../../src/secure/channel_handshake.ts";
import { DhKey, NoiseHandshake, type NoiseOptions } from "../../src/secure/noise.ts";
import type { Connection } from "../../src/transport/transport.ts";
import { connectionPair, through } from "../endpoint/fixture.ts";
import { concat } from "../fuzz/generate.ts";
import { flipped, Played, readAll } from "./channel_fixture.ts";
import {
  accept,
  close,
  dial,
  DIALER_SAYS,
  firstMessage,
  PSK,
  type Scene,
  shake,
  text,
  u16,
} from "./handshake_fixture.ts";

/** Points of X25519 with which every key agrees on zero: those of small order, and other spellings of them. */
const LOW_ORDER = [
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000000",
  "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
  "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "0000000000000000000000000000000000000000000000000000000000000080",
].map((hex) => Uint8Array.fromHex(hex));

// Where a relay can change something: messages 1 and 3 go out, message 2 comes back.
const MESSAGES = [["out", 0], ["back", 0], ["out", 1]] as const;

for (const psks of [[], [PSK]]) {
  const pattern = psks.length > 0 ? "XXpsk3" : "XX";
  for (const [way, number] of MESSAGES) {
    const name = `Message ${way === "back" ? 2 : 2 * number + 1} of ${pattern}`;
    Deno.test(`${name} has no byte that can be changed unnoticed`, async () => {
      const keys = { staticKey: DhKey.generate(), psks };
      const clean = await shake({ dial: keys, accept: keys });
      close(clean);
      const length = clean[way][number]?.length ?? 0;
      assert(length > 40);
      // The preface is looked at before: see the acceptor's tests.
      const begin = way === "out" && number === 0 ? PREFACE.length : 0;
      for (let at = begin; at < length; at++) {
        for (const bit of at === begin + 33 ? [0, 7] : [(at * 3) % 8]) {
          const change = (bytes: Uint8Array, n: number) =>
            n === number ? flipped(bytes, 8 * at + bit) : bytes;
          const result = await shake({ dial: keys, accept: keys, [way]: change });
          const { dialed, accepted, heard } = result;
          assert(accepted instanceof Error, `byte ${at}`);
          assert(isOrderly(accepted), `byte ${at}: ${accepted}`);
          if (number === 1) {
            // The dialer has done its part, and finds that the acceptor has hung up without a word.
            assert(!(dialed instanceof Error));
            assertInstanceOf((await readAll(dialed)).error, ClosedError);
            dialed.close();
          } else {
            assert(dialed instanceof Error && isOrderly(dialed), `byte ${at}: ${dialed}`);
            assertEquals(heard, undefined, `byte ${at}: the dialer spoke to nobody it could know`);
          }
        }
      }
    });
  }
}

Deno.test("A handshake with messages that are left out, repeated, exchanged or sent back fails", async () => {
  const changes: Record<string, Scene> = {
    "without the first": { out: (bytes, n) => n === 0 ? bytes.subarray(0, 7) : bytes },
    "without the second": { back: () => undefined },
    "without the third": { out: (bytes, n) => n === 0 ? bytes : undefined },
    "the first again as the third": { out: again(0, 7) },
    "the second twice": { back: (bytes, n) => n === 0 ? concat(bytes, bytes) : bytes },
    "the third twice": { out: (bytes, n) => n === 1 ? concat(bytes, bytes) : bytes },
  };
  for (const [what, scene] of Object.entries(changes)) {
    const result = await shake(scene);
    const { dialed, accepted } = result;
    if (dialed instanceof Error || accepted instanceof Error) continue;
    // What is left over is no record.
    const reader = what === "the second twice" ? dialed : accepted.channel;
    const { error } = await readAll(reader);
    assertEquals((error as { code?: string }).code, "bad-signature", what);
    close(result);
  }
  const mirror = await connectionPair();
  const [client, server] = mirror;
  const reflecting = through(client, (bytes) => server.write(bytes.subarray(PREFACE.length)));
  const dialing = dialChannel(reflecting, {
    preface: PREFACE,
    prologue: PREFACE,
    staticKey: DhKey.generate(),
    clock: systemClock,
    answer: () => DIALER_SAYS,
  });
  await assertRejects(() => dialing, HandshakeError);
  client.close();
  server.close();
});

Deno.test("A handshake that was recorded opens nothing when it is played again", async () => {
  const keys = { staticKey: DhKey.generate() };
  const recorded = await shake({ accept: keys });
  close(recorded);
  const wire = concat(...recorded.out).subarray(PREFACE.length);
  const replayed = new Played(wire);
  const error = await assertRejects(() => accept(replayed, keys), HandshakeError, "not authentic");
  assertEquals([error.code, replayed.written.length], ["bad-channel", 1]);
});

Deno.test("A handshake that is cut after any byte ends both sides with that", async () => {
  const clean = await shake();
  close(clean);
  const cases = MESSAGES.flatMap(([way, number]) => {
    const length = clean[way][number]?.length ?? 0;
    const begin = way === "out" && number === 0 ? PREFACE.length : 0;
    return Array.from({ length: length - begin }, (_, at) => [way, number, begin + at] as const);
  });
  for (const [way, number, length] of cases) {
    const cut = (bytes: Uint8Array, n: number) => n === number ? bytes.subarray(0, length) : bytes;
    const result = await shake({ [way]: cut });
    const { dialed, accepted } = result;
    assertInstanceOf(accepted, ClosedError, `${way} ${number} ${length}`);
    if (number === 0) assertInstanceOf(dialed, ClosedError, `${way} ${number} ${length}`);
    close(result);
  }
});

for (const [index, point] of LOW_ORDER.entries()) {
  Deno.test(`A key of small order is refused in every place: number ${index}`, async () => {
    // Nobody who knows it agrees on anything but zero.
    const weak = { publicKey: point, agree: () => new Uint8Array(32) } as unknown as DhKey;
    const good = DhKey.generate();
    for (const keys of [{ ephemeralKey: weak }, { ephemeralKey: good, staticKey: weak }]) {
      const asDialer = playingDialer({ staticKey: good, ...keys });
      const dialed = await assertRejects(
        () => accept(asDialer, {}),
        HandshakeError,
        "small order",
      );
      assertEquals(dialed.code, "bad-channel");
      const asAcceptor = playingAcceptor({ staticKey: good, ...keys });
      await assertRejects(() => dial(asAcceptor, {}), HandshakeError, "small order");
      assertEquals(asAcceptor.heard, 1, "the dialer said who it is");
    }
  });
}

Deno.test("A stranger makes us hold 16 KiB before the handshake is done, and no more", async () => {
  const limits: readonly (readonly [before: Uint8Array, length: number, max: number])[] = [
    [new Uint8Array(0), 33, 32],
    [new Uint8Array(0), 65_535, 32],
    [firstMessage(), MAX_HANDSHAKE_BYTES + 1, MAX_HANDSHAKE_BYTES],
    [firstMessage(), 65_535, MAX_HANDSHAKE_BYTES],
  ];
  for (const [before, length, max] of limits) {
    const flood = new Played(concat(before, u16(length), new Uint8Array(200_000)), 1_000);
    const text = `length ${length} exceeds maxHandshakeBytes ${max}`;
    const error = await assertRejects(() => accept(flood, {}), HandshakeError, text);
    assertEquals(error.details, { limit: "maxHandshakeBytes", max, got: length });
    assert(flood.taken <= before.length + 2_000, `${flood.taken} bytes were taken`);
  }
  const members = new Played(concat(u16(49), new Uint8Array(200_000)));
  const psks = [PSK];
  await assertRejects(() => accept(members, { psks }), HandshakeError, "maxHandshakeBytes 48");
  const longest = concat(firstMessage(), u16(MAX_HANDSHAKE_BYTES), new Uint8Array(200_000));
  for (const pieceBytes of [1, 700, Infinity]) {
    const flood = new Played(longest, pieceBytes);
    await assertRejects(() => accept(flood, {}), HandshakeError, "not authentic");
    const { taken, largestRead } = flood;
    assert(Math.max(taken, largestRead) <= MAX_HANDSHAKE_BYTES + 1_024, `${taken} ${largestRead}`);
  }
  const answer = new Played(concat(u16(MAX_HANDSHAKE_BYTES + 1), new Uint8Array(200_000)));
  await assertRejects(() => dial(answer, {}), HandshakeError, "maxHandshakeBytes 16384");
  assert(answer.taken <= 1_024);
});

/** Sends the first message again in place of a later one. */
function again(number: number, from: number): NonNullable<Scene["out"]> {
  let first: Uint8Array | undefined;
  return (bytes, n) => {
    if (n === number) first = bytes.slice(from);
    return n === number ? bytes : first;
  };
}

function isOrderly(error: Error): boolean {
  return (error instanceof HandshakeError && error.code === "bad-channel") ||
    error instanceof ClosedError;
}

/** The other end of a connection, spoken by whoever has such keys. */
class Speaker implements Connection {
  readonly local = { hostname: "", port: 0 };
  readonly remote = { hostname: "", port: 0 };
  /** Messages that have come. */
  heard = 0;
  readonly #noise: NoiseHandshake;
  #preface: number;
  #waiting: Uint8Array = new Uint8Array(0);

  /** @param preface Bytes before the first message that comes. */
  constructor(noise: NoiseHandshake, preface: number) {
    this.#noise = noise;
    this.#preface = preface;
  }

  say(what: string): void {
    const message = this.#noise.write(text(what));
    this.#waiting = concat(this.#waiting, u16(message.length), message);
  }

  read(into: Uint8Array): Promise<number | null> {
    const count = Math.min(into.length, this.#waiting.length);
    into.set(this.#waiting.subarray(0, count));
    this.#waiting = this.#waiting.subarray(count);
    return Promise.resolve(count === 0 ? null : count);
  }

  write(bytes: Uint8Array): Promise<void> {
    this.heard++;
    this.#noise.read(bytes.subarray(this.#preface + 2));
    this.#preface = 0;
    this.say("anything");
    return Promise.resolve();
  }

  closeWrite(): Promise<void> {
    return Promise.resolve();
  }

  close(): void {}
}

function playingDialer(keys: Pick<NoiseOptions, "staticKey" | "ephemeralKey">): Speaker {
  const noise = { pattern: "XX", initiator: true, prologue: PREFACE, ...keys } as const;
  const speaker = new Speaker(new NoiseHandshake(noise), 0);
  speaker.say("");
  return speaker;
}

function playingAcceptor(keys: Pick<NoiseOptions, "staticKey" | "ephemeralKey">): Speaker {
  const noise = { pattern: "XX", initiator: false, prologue: PREFACE, ...keys } as const;
  return new Speaker(new NoiseHandshake(noise), PREFACE.length);
}
