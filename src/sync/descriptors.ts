/**
 * How many files and sockets this process may have open.
 *
 * A server that runs out of descriptors cannot accept and loses those it has, so a hub stays below.
 *
 * @module
 */

const LIMITS_FILE = "/proc/self/limits";

/** Descriptors that are left to everything else: listeners, files, databases, the runtime. */
export const SPARE_DESCRIPTORS = 96;

/** The limit of open descriptors, where the system tells it and the program may read it: Linux, with `--allow-read`. */
export function descriptorLimit(): number | undefined {
  const permission = { name: "read", path: LIMITS_FILE } as const;
  if (Deno.permissions.querySync(permission).state !== "granted") return undefined;
  try {
    return limitIn(Deno.readTextFileSync(LIMITS_FILE));
  } catch {
    return undefined; // another system
  }
}

/** The soft limit in the text of `/proc/self/limits`; `undefined` when there is none. */
export function limitIn(text: string): number | undefined {
  const [, soft] = /^Max open files\s+(\d+)\s/m.exec(text) ?? [];
  return soft === undefined ? undefined : Number(soft);
}
