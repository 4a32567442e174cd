/**
 * A text for a PeerConnect node.
 *
 * @module
 */

import { type Clock, sleep, systemClock } from "../../clock.ts";
import { ClosedError, TimeoutError } from "../../errors.ts";
import { formatAddress } from "../../transport/transport.ts";
import { idFromHex, idToDecimal } from "../../wire/remote_peer.ts";
import { Chat } from "./peerconnect_chat.ts";
import type { PeerConnectConnect } from "./peerconnect_driver_send.ts";
import { PatientStream } from "./peerconnect_driver_stream.ts";
import { encodeHandshake } from "./peerconnect_handshake.ts";

/** Bytes read at a time: nothing is expected. */
const READ_BYTES = 256;

/**
 * How long to wait whether the other side hangs up on the handshake, in milliseconds: the original does, through a mistake of
 * its own, and has read nothing then.
 */
const HANG_UP_MS = 100;

/** How long the other side may take to hang up when we have left, in milliseconds. */
const LEAVE_MS = 1_000;

/** How to send a text. */
export interface PeerConnectTextOptions {
  /** Who we say we are, 40 hexadecimal digits. */
  peerId: string;
  /** Gives up when aborted. */
  signal?: AbortSignal;
  /** Where time comes from. @default {systemClock} */
  clock?: Clock;
}

/**
 * Connects, says one text and leaves. Nothing confirms it: that it was read is not known.
 *
 * @throws {ClosedError} when the other side hangs up before it can have read the text, as who takes none does.
 * @throws {InvalidPacketError} `too-large` for a long text, before anything is sent.
 * @throws what `connect` throws, and the signal's reason.
 */
export async function sendPeerConnectText(
  connect: PeerConnectConnect,
  text: string,
  options: PeerConnectTextOptions,
): Promise<void> {
  const { clock = systemClock, signal } = options;
  const self = idToDecimal(idFromHex(options.peerId));
  const chat = new Chat({ self });
  const said = chat.say(text);
  const handshake = encodeHandshake({ type: "chat", peerId: self });
  const connection = await connect(signal);
  using stream = new PatientStream(connection, { clock, signal, readBytes: READ_BYTES });
  await stream.write(handshake);
  stream.readAhead();
  await sleep(clock, HANG_UP_MS, signal === undefined ? {} : { signal });
  if (stream.hasArrived && await stream.read() === undefined) {
    const where = formatAddress(stream.remote);
    throw new ClosedError(`Cannot send the text: ${where} hung up, it takes none`);
  }
  await stream.write(said);
  await stream.write(chat.leave());
  await stream.closeWrite();
  await untilLeft(stream);
}

/** Waits until the other side hangs up, too. @throws {ClosedError} when it does so without having read everything. */
async function untilLeft(stream: PatientStream): Promise<void> {
  try {
    await stream.read({ limitMs: LEAVE_MS });
  } catch (error) {
    if (!(error instanceof TimeoutError)) throw error;
  }
}
