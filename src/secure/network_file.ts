/**
 * Which network a peer belongs to: its name from an option or the environment, its keys from a file that can change
 * while the peer runs, or from the environment. A key is never the value of an option.
 *
 * ```
 * # the key in use; the one on its way in or out stands below it
 * 5f1d8c...
 * a2077e...
 * ```
 *
 * @module
 */

import { type Clock, systemClock, type Timer } from "../clock.ts";
import { InvalidPacketError, PeerError, UnsupportedError } from "../errors.ts";
import { layerLog, type Logger, printable, silentLogger } from "../log.ts";
import { fileStamp } from "./file_stamp.ts";
import { MAX_NETWORK_KEYS, Network } from "./network.ts";
import { type ReadEnv, readEnv, readSecretFile, secretLines } from "./secret_file.ts";

/** Least characters of a key in text: 128 bits, were they hexadecimal digits. */
export const MIN_KEY_CHARS = 32;

/** Most characters of a key in text. */
export const MAX_KEY_CHARS = 1_024;

/** How often a key file is looked at, in milliseconds. */
const POLL_MS = 5_000;

/** What {@linkcode loadNetwork} goes by; what is given wins over the environment. */
export interface LoadNetworkOptions {
  /** The network's name. @default `$KITH_NETWORK`, or none */
  name?: string | undefined;
  /** The file with its keys. @default `$KITH_KEY_FILE`, or none */
  keyFile?: string | undefined;
  /** Reads an environment variable. @default the process's, as far as it may be read */
  env?: ReadEnv;
}

/** A network and where its keys are. */
export interface LoadedNetwork {
  /** The network. */
  readonly network: Network;
  /** The file to watch; absent when the keys are from the environment, or there are none. */
  readonly keyFile?: string;
}

/** How to watch a key file. */
export interface WatchNetworkOptions {
  /** Where time comes from. @default {systemClock} */
  clock?: Clock;
  /** Told when the keys change, and when they cannot. @default {silentLogger} */
  log?: Logger;
}

/**
 * The network that options and environment name: `KITH_NETWORK` (its name), `KITH_KEY_FILE` (the file with its keys),
 * `KITH_NETWORK_KEY` (what would be in that file, for containers).
 *
 * @example
 * ```ts
 * import { loadNetwork } from "@kith/kith";
 * import { assertEquals } from "@std/assert";
 *
 * const env: Record<string, string> = { KITH_NETWORK: "home", KITH_NETWORK_KEY: "5f1d".repeat(16) };
 * const { network, keyFile } = loadNetwork({ env: (name) => env[name] });
 * assertEquals([network.name, network.isSecret, keyFile], ["home", true, undefined]);
 * ```
 *
 * @throws {TypeError} when the environment has both a file and a key.
 * @throws {AuthError} `not-allowed` when others can read the file.
 * @throws {InvalidPacketError} `bad-message` when it does not hold one or two keys of 32 to 1024 characters.
 * @throws {NotFoundError} `no-path` when there is no such file.
 */
export function loadNetwork(options: LoadNetworkOptions = {}): LoadedNetwork {
  const { env = readEnv } = options;
  const name = options.name ?? env("KITH_NETWORK") ?? "";
  if (options.keyFile !== undefined) return fromFile(name, options.keyFile);
  const [path, text] = [env("KITH_KEY_FILE") || undefined, env("KITH_NETWORK_KEY") || undefined];
  if (path !== undefined && text !== undefined) {
    throw new TypeError("Both KITH_KEY_FILE and KITH_NETWORK_KEY are set: unset one of them");
  }
  if (path !== undefined) return fromFile(name, path);
  const keys = text === undefined ? [] : parseKeys(text, "KITH_NETWORK_KEY", "");
  return { network: new Network(name, keys) };
}

/**
 * Keeps a network's keys those of its file, which is read now and, from then on, whenever it has changed; it is looked at
 * every five seconds. While the file cannot be used the network keeps its keys, and a warning says why.
 *
 * @example
 * ```ts
 * import { loadNetwork, ManualClock, watchNetworkFile } from "@kith/kith";
 * import { assertEquals } from "@std/assert";
 *
 * const keyFile = await Deno.makeTempFile(); // that nobody else can read
 * const [oldKey, newKey] = ["5f1d".repeat(16), "a207".repeat(16)];
 * await Deno.writeTextFile(keyFile, oldKey);
 * const { network } = loadNetwork({ name: "home", keyFile });
 *
 * const clock = new ManualClock();
 * using watching = watchNetworkFile(network, keyFile, { clock });
 * await Deno.writeTextFile(keyFile, `${oldKey}\n${newKey}\n`);
 * await clock.advance(5_000);
 * assertEquals(network.keys.length, 2);
 * await Deno.remove(keyFile);
 * ```
 *
 * @returns what ends the watching.
 */
export function watchNetworkFile(
  network: Network,
  path: string,
  options: WatchNetworkOptions = {},
): Disposable {
  const { clock = systemClock, log = silentLogger } = options;
  let seen = "";
  const look = () => {
    // Looked at before it is read: what changes in between is seen the next time.
    const stamp = fileStamp(path) ?? "missing";
    if (stamp !== seen && reload(network, path, log)) seen = stamp;
    timer = clock.after(POLL_MS, look);
  };
  let timer: Timer | undefined;
  look();
  return { [Symbol.dispose]: () => timer?.cancel() };
}

/** @returns whether what the file holds is known now; else, as when there are no descriptors, it is to be tried again. */
function reload(network: Network, path: string, root: Logger): boolean {
  const log = layerLog(root, "secure");
  const before = keyIds(network);
  try {
    network.setKeys(readKeys(path));
  } catch (error) {
    const why = printable(error instanceof Error ? error.message : String(error), 400);
    log.error("network keys stay as they are", { path: printable(path, 400), why });
    return error instanceof PeerError && !(error instanceof UnsupportedError);
  }
  if (keyIds(network) !== before) log.info("network keys changed", { count: network.keys.length });
  return true;
}

function keyIds(network: Network): string {
  return network.keys.map(({ id }) => id.toHex()).join(" ");
}

function fromFile(name: string, keyFile: string): LoadedNetwork {
  return { network: new Network(name, readKeys(keyFile)), keyFile };
}

function readKeys(path: string): Uint8Array[] {
  const shown = printable(path, 400);
  const target = ` > ${shown} && chmod 600 ${shown}`;
  return parseKeys(readSecretFile(path), `key file ${shown}`, target);
}

/** The keys of a text. @param target Where a key shall go that somebody makes because of the error. */
function parseKeys(text: string, what: string, target: string): Uint8Array[] {
  const make = `make a key with: openssl rand -hex 32${target}`;
  const refuse = (why: string, remedy = make) => {
    return new InvalidPacketError("bad-message", `Cannot use ${what}: ${why}; ${remedy}`);
  };
  const lines = secretLines(text);
  if (lines.length === 0) throw refuse("it holds no key");
  if (lines.length > MAX_NETWORK_KEYS) {
    const why = `it holds ${lines.length} keys, and a network has at most ${MAX_NETWORK_KEYS}`;
    throw refuse(why, "delete the old ones");
  }
  return lines.map(({ number, text }) => {
    const { length } = text;
    if (length >= MIN_KEY_CHARS && length <= MAX_KEY_CHARS) return new TextEncoder().encode(text);
    const wanted = `${MIN_KEY_CHARS} to ${MAX_KEY_CHARS} are wanted`;
    throw refuse(`the key on line ${number} has ${length} characters, ${wanted}`);
  });
}
