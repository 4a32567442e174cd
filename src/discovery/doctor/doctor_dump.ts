/**
 * What a program and its machine are, for whoever looks for a fault from afar: nothing in it names a user, a machine or
 * a key once it went through {@linkcode redactAll}.
 *
 * @module
 */

import { VERSION } from "../../version.ts";
import { WIRE_VERSION } from "../../wire/message.ts";
import type { LocalInterface } from "../interfaces.ts";

/** What goes into a dump besides what the runtime tells. */
export interface DumpOptions {
  /** Lists the interfaces. @throws {UnsupportedError} when they may not be listed. */
  interfaces: () => readonly LocalInterface[];
  /** Tells whether a permission is granted. */
  permissions: (descriptor: Deno.PermissionDescriptor) => Deno.PermissionState;
  /** What was counted meanwhile. */
  counters: Readonly<Record<string, number>>;
}

/** The permissions of a dump, each without what it may be limited to. */
const PERMISSIONS = ["net", "sys", "env", "read", "write"] as const;

/** The facts of a dump, not yet redacted. */
export function dumpFacts(options: DumpOptions): Record<string, unknown> {
  const { interfaces, permissions, counters } = options;
  const { os, arch, standalone } = Deno.build;
  const { deno, typescript } = Deno.version; // and not V8's, which looks like an address
  return {
    kith: VERSION,
    wire: WIRE_VERSION,
    deno,
    typescript,
    os,
    arch,
    standalone,
    osRelease: ifGranted(permissions, "osRelease", () => Deno.osRelease()),
    nativeUdp: "listenDatagram" in Deno,
    permissions: Object.fromEntries(PERMISSIONS.map((name) => [name, permissions({ name })])),
    interfaces: ifGranted(permissions, "networkInterfaces", () => interfaces().map(shown)),
    counters,
  };
}

/** The machine's and the user's name, as far as they may be known: for taking them out. */
export function ownNames(
  permissions: DumpOptions["permissions"],
): { host: string | undefined; user: string | undefined } {
  const variable = ["USER", "LOGNAME", "USERNAME"].find((variable) => {
    return permissions({ name: "env", variable }) === "granted" && Deno.env.get(variable);
  });
  return {
    host: ifGranted(permissions, "hostname", () => Deno.hostname()),
    user: variable === undefined ? undefined : Deno.env.get(variable),
  };
}

function shown({ name, family, address, broadcast, index, loopback }: LocalInterface) {
  return { name, family, address, broadcast, index, loopback };
}

/** What takes a permission, where there is one: nobody is asked for it. */
function ifGranted<T>(
  permissions: DumpOptions["permissions"],
  kind: "osRelease" | "networkInterfaces" | "hostname",
  read: () => T,
): T | undefined {
  return permissions({ name: "sys", kind }) === "granted" ? read() : undefined;
}
