/**
 * Handshakes over a connection in memory, whose every message a test may see and change.
 *
 * @module
 */

import { systemClock } from "../../src/clock.ts";
import { PREFACE } from "../../src/endpoint/handshake.ts";
import {
  acceptChannel,
  type AcceptedChannel,
  type AcceptOptions,
  dialChannel,
  type DialOptions,
} from "../../src/secure/channel_handshake.ts";
import type { SecureConnection } from "../../src/secure/channel.ts";
import { DhKey } from "../../src/secure/noise.ts";
import type { Connection } from "../../src/transport/transport.ts";
import { connectionPair, settle, through } from "../endpoint/fixture.ts";
import { concat } from "../fuzz/generate.ts";

/** Text as bytes. */
export const text = (value: string) => new TextEncoder().encode(value);

/** What the dialer says, unless told otherwise. */
export const DIALER_SAYS = text("the dialer is a secret agent");

/** What the acceptor says. */
export const ACCEPTOR_SAYS = text("the acceptor is a spy");

/** A key of a network. */
export const PSK = new Uint8Array(32).fill(9);

/** Another. */
export const OTHER_PSK = new Uint8Array(32).fill(10);

/** How two shake hands, and what becomes of what they write: `undefined` for what never arrives. */
export interface Scene {
  dial?: Partial<DialOptions>;
  accept?: Partial<AcceptOptions>;
  out?: (bytes: Uint8Array, number: number) => Uint8Array | undefined;
  back?: (bytes: Uint8Array, number: number) => Uint8Array | undefined;
}

/** What became of it: what each side has in the end, and all that was written. */
export interface Result {
  readonly dialed: SecureConnection | Error;
  readonly accepted: AcceptedChannel | Error;
  readonly out: Uint8Array[];
  readonly back: Uint8Array[];
  /** What the dialer has heard, if anything, before it said who it is. */
  readonly heard: Uint8Array | undefined;
}

/** Shakes hands. Whoever fails hangs up; who waits in vain is cut off. */
export async function shake(scene: Scene = {}): Promise<Result> {
  const [client, server] = await connectionPair();
  const out: Uint8Array[] = [];
  const back: Uint8Array[] = [];
  const common = { prologue: PREFACE, clock: systemClock };
  let heard: Uint8Array | undefined;
  const dialing = outcome(
    client,
    dialChannel(altered(client, out, scene.out), {
      ...common,
      preface: PREFACE,
      staticKey: DhKey.generate(),
      answer: (_, payload) => {
        heard = payload;
        return DIALER_SAYS;
      },
      ...scene.dial,
    }),
  );
  const accepting = outcome(
    server,
    (async () => {
      await server.read(new Uint8Array(PREFACE.length));
      return await acceptChannel(altered(server, back, scene.back), {
        ...common,
        staticKey: DhKey.generate(),
        rest: new Uint8Array(0),
        payload: () => ACCEPTOR_SAYS,
        ...scene.accept,
      });
    })(),
  );
  const both = Promise.all([dialing, accepting]);
  let done = false;
  void both.then(() => done = true);
  // Once everything that is ready has happened, nobody who still waits has anything to come.
  for (let turn = 0; turn < 3 && !done; turn++) await settle();
  if (!done) {
    client.close();
    server.close();
  }
  const [dialed, accepted] = await both;
  return { dialed, accepted, out, back, heard };
}

/** Both ends of a channel. @throws {AssertionError} when there is none. */
export async function channels(
  scene: Scene = {},
): Promise<[SecureConnection, AcceptedChannel, Result]> {
  const result = await shake(scene);
  const { dialed, accepted } = result;
  if (dialed instanceof Error) throw dialed;
  if (accepted instanceof Error) throw accepted;
  return [dialed, accepted, result];
}

/** Closes what there is. */
export function close({ dialed, accepted }: Result): void {
  if (!(dialed instanceof Error)) dialed.close();
  if (!(accepted instanceof Error)) accepted.channel.close();
}

/** The acceptor's side, on its own. */
export function accept(
  connection: Connection,
  options: Partial<AcceptOptions>,
): Promise<AcceptedChannel> {
  return acceptChannel(connection, {
    prologue: PREFACE,
    staticKey: DhKey.generate(),
    clock: systemClock,
    rest: new Uint8Array(0),
    payload: () => ACCEPTOR_SAYS,
    ...options,
  });
}

/** The dialer's side, on its own. */
export function dial(
  connection: Connection,
  options: Partial<DialOptions>,
): Promise<SecureConnection> {
  return dialChannel(connection, {
    preface: PREFACE,
    prologue: PREFACE,
    staticKey: DhKey.generate(),
    clock: systemClock,
    answer: () => DIALER_SAYS,
    ...options,
  });
}

/** What a dialer sends first, without the preface. */
export function firstMessage(): Uint8Array<ArrayBuffer> {
  return concat(u16(32), DhKey.generate().publicKey);
}

/** A length as it stands before a record. */
export function u16(value: number): Uint8Array {
  return Uint8Array.of(value >> 8, value & 0xff);
}

/** A connection whose writes are kept and changed. */
function altered(connection: Connection, kept: Uint8Array[], change: Scene["out"]): Connection {
  return through(connection, async (bytes) => {
    const number = kept.push(bytes.slice()) - 1;
    const sent = change === undefined ? bytes : change(bytes.slice(), number);
    if (sent !== undefined) await connection.write(sent);
  });
}

async function outcome<T>(connection: Connection, work: Promise<T>): Promise<T | Error> {
  try {
    return await work;
  } catch (error) {
    connection.close();
    return error as Error;
  }
}
