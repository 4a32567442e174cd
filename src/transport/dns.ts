/**
 * Asking name servers.
 *
 * @module
 */

import { printable } from "../log.ts";
import { type PeerError, TransportError, UnsupportedError } from "../errors.ts";
import { reasonOf } from "./socket_error.ts";
import type { Address } from "./transport.ts";

/** Longest domain name (RFC 1035, 2.3.4). */
const MAX_NAME_CHARS = 253;

/** Labels of letters, digits, `-` and `_`, with dots between, or one behind. */
const NAME = /^(?:[A-Za-z0-9_-]{1,63}\.)*[A-Za-z0-9_-]{1,63}\.?$/;

/** How to ask. */
export interface ResolveOptions {
  /** Gives up when aborted. */
  signal?: AbortSignal;
  /** Whom to ask. @default those that the system is set up with */
  nameServer?: Address;
}

/**
 * The TXT records of a name, each as one text: its strings are put together (RFC 1035, 3.3.14). Empty where there is no
 * such name, where it has none, and where the name server refuses or fails: the runtime does not tell these apart.
 *
 * @example
 * ```ts
 * import { openDatagram, resolveTxt } from "@kith/kith/transport";
 * import { assertEquals } from "@std/assert";
 *
 * // A name server for one question: it says that again, and one record behind it.
 * const server = await openDatagram({ hostname: "127.0.0.1" });
 * const records = resolveTxt("peers.example.", { nameServer: server.address });
 * const query = await server.receive();
 * if (query === undefined) throw new Error("unreachable");
 * const question = query.data.subarray(12, query.data.indexOf(0, 12) + 5);
 * const head = [...query.data.subarray(0, 2), 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0];
 * const record = [0xc0, 12, 0, 16, 0, 1, 0, 0, 1, 44, 0, 4, 3, ...new TextEncoder().encode("bob")];
 * await server.send(Uint8Array.from([...head, ...question, ...record]), query.from);
 * assertEquals(await records, ["bob"]);
 * server.close();
 * ```
 *
 * @throws {TransportError} when no name server answers. @throws {UnsupportedError} when none may be asked.
 * @throws {TypeError} for what is no domain name.
 */
export async function resolveTxt(name: string, options: ResolveOptions = {}): Promise<string[]> {
  if (!isDomainName(name)) {
    throw new TypeError(`Domain name cannot be asked for: current value is "${printable(name)}"`);
  }
  const { signal, nameServer } = options;
  try {
    const records = await Deno.resolveDns(name, "TXT", {
      ...(signal === undefined ? {} : { signal }),
      ...(nameServer === undefined
        ? {}
        : { nameServer: { ipAddr: nameServer.hostname, port: nameServer.port } }),
    });
    return records.map((strings) => strings.join(""));
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof Deno.errors.NotFound) return [];
    throw dnsError(name, error);
  }
}

/**
 * Whether a text is a domain name: labels of at most 63 letters, digits, `-` or `_`, and 253 characters.
 *
 * @example
 * ```ts
 * import { isDomainName } from "@kith/kith/transport";
 * import { assertEquals } from "@std/assert";
 *
 * const texts = ["peers.example", "_kith._tcp.example.", "192.0.2.7:3485", "a..b"];
 * assertEquals(texts.map(isDomainName), [true, true, false, false]);
 * ```
 */
export function isDomainName(text: string): boolean {
  return text.length <= MAX_NAME_CHARS && NAME.test(text);
}

function dnsError(name: string, cause: unknown): PeerError {
  if (cause instanceof Deno.errors.NotCapable) {
    const text = `Cannot look up ${name}: not permitted, run again with --allow-net`;
    return new UnsupportedError(text, { cause, details: { permission: "--allow-net" } });
  }
  const text = `Cannot look up TXT records of ${name}: ${reasonOf(cause)}`;
  return new TransportError(text, { cause, details: { name } });
}
