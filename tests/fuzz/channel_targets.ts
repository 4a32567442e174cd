/**
 * What a secure connection reads from strangers: the messages of its handshake, the records around them, and those that
 * follow.
 *
 * @module
 */

import { systemClock } from "../../src/clock.ts";
import { helloBody, parseAccept, parseDeny, parseHello } from "../../src/endpoint/handshake.ts";
import { ClosedError, LimitError } from "../../src/errors.ts";
import { acceptChannel, dialChannel, refusal } from "../../src/secure/channel_handshake.ts";
import { DhKey, NoiseHandshake, type NoisePattern } from "../../src/secure/noise.ts";
import { decode, encode } from "../../src/wire/msgpack.ts";
import { Played, readAll, receiver, sealed } from "../secure/channel_fixture.ts";
import type { FuzzTarget } from "./decoders.ts";
import { concat } from "./generate.ts";

const NOTHING = new Uint8Array(0);
const PAYLOAD = new Uint8Array(40).fill(7);
const PSK = new Uint8Array(32).fill(9);

// The same in every run, so that what was recorded fits.
const [DIALERS, DIALERS_OWN, ACCEPTORS, ACCEPTORS_OWN] = [1, 2, 3, 4].map((n) => {
  return DhKey.from(new Uint8Array(32).fill(n));
}) as [DhKey, DhKey, DhKey, DhKey];

const HELLO = {
  peerId: "ab".repeat(20),
  publicKey: "cd".repeat(32),
  name: "bob",
  capabilities: ["x"],
  agent: "kith/0.1.0",
};

const signature = new Uint8Array(64);

const common = { prologue: NOTHING, staticKey: ACCEPTORS_OWN, clock: systemClock };

const MESSAGES: Readonly<Record<NoisePattern, readonly Uint8Array[]>> = {
  XX: messagesOf("XX"),
  XXpsk3: messagesOf("XXpsk3"),
};

/** What gives values at once. */
export const HANDSHAKE_TARGETS: readonly FuzzTarget[] = [
  {
    name: "handshake",
    corpus: [
      encode(helloBody(HELLO, { signature })),
      encode(helloBody({ ...HELLO, instance: "ab".repeat(8) }, { signature, shared: true })),
      encode({ version: 1 }),
      encode({ code: "x" }),
    ],
    decode: (input) => {
      const body = decode(input) as Record<string, unknown>;
      if (typeof body !== "object" || body === null) return body;
      parseDeny(body);
      return "version" in body ? parseAccept(body) : parseHello(body);
    },
  },
  ...(["XX", "XXpsk3"] as const).flatMap((pattern) =>
    [1, 2, 3].map((number): FuzzTarget => ({
      name: `noise ${pattern}, message ${number}`,
      corpus: MESSAGES[pattern].slice(number - 1, number),
      decode: (input) => readerOf(pattern, number).read(input),
    }))
  ),
];

/** What reads a connection, and gives nothing but the end of it. */
export const STREAM_TARGETS: readonly FuzzTarget[] = [
  {
    name: "records of a handshake, as the acceptor",
    corpus: [record(DIALERS.publicKey), concat(record(DIALERS.publicKey), record(PAYLOAD))],
    decode: async (input) => {
      const connection = new Played(input, 64);
      const accepting = acceptChannel(connection, {
        ...common,
        rest: NOTHING,
        payload: () => NOTHING,
      });
      await takingAsFar(accepting, () => connection.written.length > 0);
    },
  },
  {
    name: "records of a handshake, as the dialer",
    corpus: [
      refusal(new LimitError("rate", "", { details: { limit: "failuresPerAddress" } })),
      record(MESSAGES.XX[1] ?? NOTHING),
    ],
    decode: async (input) => {
      const connection = new Played(input, 64);
      const dialing = dialChannel(connection, {
        ...common,
        preface: NOTHING,
        answer: () => NOTHING,
      });
      await takingAsFar(dialing, (error) => error instanceof LimitError);
    },
  },
  {
    name: "records of a connection",
    corpus: [
      await sealed([PAYLOAD, new Uint8Array(300), PAYLOAD]),
      await sealed([PAYLOAD, PAYLOAD, PAYLOAD], { rekeyBytes: 1 }),
    ],
    decode: async (input) => {
      const { error } = await readAll(receiver(new Played(input, 64)));
      if (error !== undefined) throw error;
    },
  },
];

/** Nobody who plays back a recording gets to the end: how far it must come to count as taken. */
async function takingAsFar(work: Promise<unknown>, isFar: (error: unknown) => boolean) {
  await work.catch((error) => {
    if (!isFar(error) || !(error instanceof ClosedError || error instanceof LimitError)) {
      throw error;
    }
  });
}

/** The messages of a handshake with those keys. */
function messagesOf(pattern: NoisePattern): Uint8Array[] {
  const [dialer, acceptor] = sidesOf(pattern);
  const first = dialer.write(NOTHING);
  acceptor.read(first);
  const second = acceptor.write(PAYLOAD);
  dialer.read(second);
  return [first, second, dialer.write(PAYLOAD)];
}

/** The side that is to read the message of that number next. */
function readerOf(pattern: NoisePattern, number: number): NoiseHandshake {
  const [dialer, acceptor] = sidesOf(pattern);
  if (number === 2) dialer.write(NOTHING);
  if (number === 3) {
    acceptor.read(MESSAGES[pattern][0] ?? NOTHING);
    acceptor.write(PAYLOAD);
  }
  return number === 2 ? dialer : acceptor;
}

function sidesOf(pattern: NoisePattern): [NoiseHandshake, NoiseHandshake] {
  const psks = pattern === "XXpsk3" ? [PSK] : [];
  const all = { pattern, prologue: NOTHING, psks };
  return [
    new NoiseHandshake({
      ...all,
      initiator: true,
      staticKey: DIALERS_OWN,
      ephemeralKey: DIALERS,
    }),
    new NoiseHandshake({
      ...all,
      initiator: false,
      staticKey: ACCEPTORS_OWN,
      ephemeralKey: ACCEPTORS,
    }),
  ];
}

function record(message: Uint8Array): Uint8Array {
  return concat(Uint8Array.of(message.length >> 8, message.length & 0xff), message);
}
