/**
 * How the running peer of a home lets command lines in: over a unix socket, or where there is none over a loopback port.
 *
 * One peer of a home has a door, whoever holds the lock `control.lock`. The system frees it when that process ends, however
 * that happens; what it leaves is then replaced.
 *
 * @module
 */

import { LimitError, TransportError } from "../../errors.ts";
import { type Logger, silentLogger } from "../../log.ts";
import { type Home, removeIfThere } from "../../state/home.ts";
import type { Connection, Listener } from "../../transport/transport.ts";
import { connectUnix, listenUnix } from "../../transport/unix.ts";
import type { ControlLine } from "./control_line.ts";
import { DOOR_KIND, type DoorKind } from "./knock.ts";
import { listenOnLoopback } from "./loopback.ts";
import { controlPlace, makeFolder } from "./place.ts";

/** The file of the home that who has the door locks. */
const LOCK_FILE = "control.lock";

/** How to open a {@linkcode Door}. */
export interface DoorOptions {
  /** Over what. @default {DOOR_KIND} */
  kind?: DoorKind;
  /** Told of what goes wrong with single connections. @default {silentLogger} */
  log?: Logger;
}

/** What command lines come in by. */
export interface Door extends Disposable {
  /** The next that connects; `undefined` once the door is closed. */
  accept(): Promise<Connection | undefined>;
  /** Makes sure that it may come in. @throws {AuthError} when it may not. */
  greet(line: ControlLine): Promise<void>;
}

/**
 * Opens the door of a home.
 *
 * @throws {LimitError} `limit` when another peer has it. @throws {AuthError} `not-allowed` when others could come in.
 * @throws {TransportError} when it cannot listen.
 */
export async function openDoor(home: Home, options: DoorOptions = {}): Promise<Door> {
  const { kind = DOOR_KIND, log = silentLogger } = options;
  using stack = new DisposableStack();
  stack.use(lock(home));
  const [listener, greet] = kind === "unix"
    ? [stack.use(await listenAtPlace(home, log)), () => Promise.resolve()]
    : await listenOnLoopback(home, log, stack);
  const opened = stack.move();
  return { accept: () => listener.accept(), greet, [Symbol.dispose]: () => opened.dispose() };
}

async function listenAtPlace(home: Home, log: Logger): Promise<Listener & Disposable> {
  const place = await controlPlace(home.dir);
  makeFolder(place);
  if (await answers(place.path)) throw taken();
  removeIfThere(place.path); // whoever left it is gone
  const listener = listenUnix(place.path, { logger: log });
  return Object.assign(listener, { [Symbol.dispose]: () => listener.close() });
}

async function answers(path: string): Promise<boolean> {
  try {
    const connection = await connectUnix(path);
    connection.close();
    return true;
  } catch (error) {
    if (error instanceof TransportError) return false;
    throw error;
  }
}

/** Locks what one peer of the home may have. @throws {LimitError} `limit` when another has it. */
function lock(home: Home): Disposable {
  const file = Deno.openSync(home.path(LOCK_FILE), { create: true, write: true, mode: 0o600 });
  if (file.tryLockSync(true)) return file;
  file.close();
  throw taken();
}

function taken(): LimitError {
  return new LimitError("limit", "Another kith that runs with this home takes the commands", {
    details: { limit: "peers of a home", max: 1 },
  });
}
