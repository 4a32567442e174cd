/**
 * What every byte connection promises, whatever carries it.
 *
 * @module
 */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { ClosedError } from "../../src/errors.ts";
import type { Connection } from "../../src/transport/transport.ts";

/** Both ends of a connection; disposing closes them. */
export interface Pair extends AsyncDisposable {
  readonly client: Connection;
  readonly server: Connection;
}

/** What a kind of connection does differently. */
export interface Differences {
  /** Closing without having said that nothing more comes is no end in order. @default {false} */
  closingIsCutting?: boolean;
}

/** Registers a test for each promise. @param kind What it is called. @param open Makes a connection. */
export function testConnection(
  kind: string,
  open: () => Promise<Pair>,
  { closingIsCutting = false }: Differences = {},
): void {
  Deno.test(`Connection (${kind}) carries bytes both ways`, async () => {
    await using pair = await open();
    await pair.client.write(bytes(1, 2, 3));
    assertEquals(await readExactly(pair.server, 3), bytes(1, 2, 3));
    await pair.server.write(bytes(4));
    assertEquals(await readExactly(pair.client, 1), bytes(4));
  });

  Deno.test(`Connection (${kind}) writes all of 64 MiB, in order`, async () => {
    await using pair = await open();
    const sent = pattern(64 * 1024 * 1024);
    const [received] = await Promise.all([
      readToEnd(pair.server, sent.length),
      pair.client.write(sent).then(() => pair.client.closeWrite()),
    ]);
    assert(equalBytes(received, sent));
  });

  Deno.test(`Connection (${kind}) ends after what was written when the other side closes`, async () => {
    await using pair = await open();
    await pair.client.write(bytes(1, 2, 3));
    pair.client.close();
    if (closingIsCutting) {
      assertEquals(await readExactly(pair.server, 3), bytes(1, 2, 3));
      await assertRejects(() => pair.server.read(new Uint8Array(1)), ClosedError, "was cut");
      return;
    }
    assertEquals(await readToEnd(pair.server, 100), bytes(1, 2, 3));
    assertEquals(await pair.server.read(new Uint8Array(1)), null);
  });

  Deno.test(`Connection (${kind}) closes one direction and goes on in the other`, async () => {
    await using pair = await open();
    await pair.client.write(bytes(1));
    await pair.client.closeWrite();
    await pair.client.closeWrite();
    assertEquals(await readToEnd(pair.server, 100), bytes(1));
    await pair.server.write(bytes(2));
    assertEquals(await readExactly(pair.client, 1), bytes(2));
    await assertRejects(() => pair.client.write(bytes(3)), ClosedError);
  });

  Deno.test(`Connection (${kind}) rejects a waiting read when it is closed`, async () => {
    await using pair = await open();
    const reading = assertRejects(() => pair.client.read(new Uint8Array(1)), ClosedError);
    pair.client.close();
    await reading;
  });

  Deno.test(`Connection (${kind}) rejects a waiting write when it is closed`, async () => {
    await using pair = await open();
    const writing = assertRejects(
      () => pair.client.write(new Uint8Array(64 * 1024 * 1024)),
      ClosedError,
    );
    pair.client.close();
    await writing;
  });

  Deno.test(`Connection (${kind}) closes twice, and rejects everything afterwards`, async () => {
    await using pair = await open();
    pair.client.close();
    pair.client.close();
    await assertRejects(() => pair.client.read(new Uint8Array(1)), ClosedError, "was closed");
    await assertRejects(() => pair.client.write(bytes(1)), ClosedError, "was closed");
    await assertRejects(() => pair.client.closeWrite(), ClosedError, "was closed");
  });

  Deno.test(`Connection (${kind}) refuses a second write that would be mixed in`, async () => {
    await using pair = await open();
    const writing = pair.client.write(new Uint8Array(4 * 1024 * 1024));
    await assertRejects(() => pair.client.write(bytes(1)), TypeError, "another write");
    await Promise.all([writing, readExactly(pair.server, 4 * 1024 * 1024)]);
    await pair.client.write(bytes(9));
    assertEquals(await readExactly(pair.server, 1), bytes(9));
  });

  Deno.test(`Connection (${kind}) breaks for a writer whose reader is gone`, async () => {
    await using pair = await open();
    pair.server.close();
    await assertRejects(async () => {
      for (;;) await pair.client.write(new Uint8Array(64 * 1024));
    }, ClosedError);
  });

  Deno.test(`Connection (${kind}) takes an empty write and an empty buffer`, async () => {
    await using pair = await open();
    await pair.client.write(new Uint8Array(0));
    assertEquals(await pair.server.read(new Uint8Array(0)), 0);
    await pair.client.write(bytes(5));
    assertEquals(await readExactly(pair.server, 1), bytes(5));
  });
}

/** So many bytes. */
export async function readExactly(connection: Connection, length: number): Promise<Uint8Array> {
  const into = new Uint8Array(length);
  for (let at = 0; at < length;) {
    const read = await connection.read(into.subarray(at));
    if (read === null) throw new Error(`The stream ended after ${at} of ${length} bytes`);
    at += read;
  }
  return into;
}

async function readToEnd(connection: Connection, most: number): Promise<Uint8Array> {
  const into = new Uint8Array(most + 1);
  for (let at = 0;;) {
    const read = await connection.read(into.subarray(at));
    if (read === null) return into.slice(0, at);
    at += read;
    assert(at <= most, "More came than was sent");
  }
}

/** These bytes. */
export function bytes(...values: number[]): Uint8Array {
  return Uint8Array.from(values);
}

// Not periodic in a power of two, so that a piece out of place shows.
function pattern(length: number): Uint8Array {
  const made = new Uint8Array(length);
  for (let at = 0; at < length; at++) made[at] = (at * 7 + (at >> 10)) % 251;
  return made;
}

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  for (let at = 0; at < b.length; at++) if (a[at] !== b[at]) return false;
  return a.length === b.length;
}
