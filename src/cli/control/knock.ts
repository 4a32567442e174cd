/**
 * How a command line finds the running peer of a home, loading no more than it takes.
 *
 * @module
 */

import { TransportError } from "../../errors.ts";
import { connectUnix } from "../../transport/unix.ts";
import { ControlLine } from "./control_line.ts";
import { MAX_ANSWER_BYTES } from "./messages.ts";
import { checkFolder, controlPlace } from "./place.ts";

/** Over what a command line and the running peer speak. */
export type DoorKind = "unix" | "loopback";

/** What this system has: on Windows the runtime has no unix sockets. */
export const DOOR_KIND: DoorKind = Deno.build.os === "windows" ? "loopback" : "unix";

/**
 * Connects to the running peer of a home.
 *
 * @returns `undefined` when none runs. @throws {AuthError} when whoever is there may be somebody else.
 */
export async function knock(
  home: string,
  kind: DoorKind = DOOR_KIND,
): Promise<ControlLine | undefined> {
  try {
    if (kind === "unix") return await knockAtPlace(home);
    const { knockOnLoopback } = await import("./loopback.ts");
    return await knockOnLoopback(home);
  } catch (error) {
    const isNobody = error instanceof TransportError || error instanceof Deno.errors.NotFound ||
      error instanceof Deno.errors.NotADirectory; // no home, so nobody in it
    if (isNobody) return undefined;
    throw error;
  }
}

async function knockAtPlace(home: string): Promise<ControlLine> {
  const place = await controlPlace(home);
  checkFolder(place);
  return new ControlLine(await connectUnix(place.path), MAX_ANSWER_BYTES);
}
