/**
 * Senders and receivers of files, and what the originals wrote.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import {
  FileReceiver,
  type FileReceiverOptions,
} from "../../../src/transfer/dialects/peerconnect_file_receiver.ts";
import {
  FileSender,
  type OutgoingFile,
  type SendStep,
} from "../../../src/transfer/dialects/peerconnect_file_sender.ts";
import {
  encodeFileRecord,
  withLength,
} from "../../../src/transfer/dialects/peerconnect_records.ts";
import { concat } from "../../fuzz/generate.ts";
import { fromNotation, loadVector } from "../../testdata/vectors.ts";
import { written } from "./peerconnect_fixture.ts";

/** That a transfer is accepted. */
export const YES = Uint8Array.of(1);
/** That it is refused; also that there are no more files. */
export const NO = Uint8Array.of(0);

/** A file with what is in it. */
export interface Sent extends OutgoingFile {
  readonly content: Uint8Array;
}

/** What an original wrote. */
export interface Transcript {
  readonly files: readonly Sent[];
  readonly sends: readonly string[];
  readonly resume?: Uint8Array;
  readonly seeked: number;
}

/** A transcript of the vectors. */
export function transcript(name: string): Transcript {
  const vector = loadVector("peerconnect.file_transcript", name) as unknown as {
    value: unknown;
    sends: string[];
    receiver_resume_hex?: string;
  };
  const value = fromNotation(vector.value) as (Omit<Sent, "size"> & { seeked?: number })[];
  const files = value.map(({ name, content }) => ({ name, content, size: content.length }));
  const { sends, receiver_resume_hex: resume } = vector;
  const seeked = value[0]?.seeked ?? 0;
  return { files, sends, seeked, ...resume && { resume: Uint8Array.fromHex(resume) } };
}

/** What is in files. */
export function contentsOf(files: readonly Sent[]): Uint8Array[] {
  return files.map(({ content }) => content);
}

/** A sender that was accepted. */
export function accepted(files: readonly OutgoingFile[]): FileSender {
  const sender = new FileSender(files);
  sender.connected();
  assertEquals(sender.next(), undefined);
  sender.push(YES);
  return sender;
}

/** A receiver that is connected. */
export function connected(options?: FileReceiverOptions): FileReceiver {
  const receiver = new FileReceiver(options);
  assertEquals(receiver.connected(), YES);
  return receiver;
}

/** What announces a file. */
export function record(name: string, size: number, seeked = 0): Uint8Array {
  return concat(YES, withLength(encodeFileRecord({ name, size, seeked })));
}

/** The writes of an original that marks a file by a write of its own; ours has mark and record in one. */
export function joined(sends: readonly string[]): string[] {
  return sends.join(",").replace(/\b01,/g, "01").split(",");
}

/** What steps write, in hex. */
export function writes(steps: Iterable<SendStep>, files: readonly Sent[]): string[] {
  return Array.from(steps, (step) => written(step, contentsOf(files)).toHex());
}
