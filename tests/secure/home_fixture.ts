/**
 * A home folder for one test, and processes that use it at the same time.
 *
 * @module
 */

import { Identity } from "../../src/secure/identity.ts";
import type { ProvenPeer } from "../../src/secure/trust.ts";
import { Home } from "../../src/state/home.ts";

/** Whether files have modes that say who may read them. */
export const onPosix = Deno.build.os !== "windows";

/** A home folder that is removed with everything in it. */
export class ScratchHome implements Disposable {
  /** The folder. */
  readonly home: Home = Home.open(Deno.makeTempDirSync({ prefix: "kith-home-" }));

  /** Writes a file in it. @returns its path. */
  write(name: string, text: string, mode = 0o600): string {
    this.home.writeAtomic(name, new TextEncoder().encode(text));
    const path = this.home.path(name);
    if (onPosix) Deno.chmodSync(path, mode);
    return path;
  }

  /** Reads a file in it. */
  text(name: string): string {
    return new TextDecoder().decode(this.home.read(name));
  }

  /** The permission bits of a file in it. */
  mode(name: string): number {
    return (Deno.statSync(this.home.path(name)).mode ?? 0) & 0o777;
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.home.dir, { recursive: true });
  }
}

/** A peer with a key of its own that calls itself so. */
export function stranger(name: string): ProvenPeer & { readonly fingerprint: string } {
  const { peerId, publicKey, fingerprint } = Identity.generate();
  return { peerId, publicKey: publicKey.toHex(), name, fingerprint };
}

/** Runs some source in several processes, which begin together. @throws {Error} when one fails. */
export async function inProcesses(count: number, source: string): Promise<void> {
  const script = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    const gate = `console.log("ready"); await Deno.stdin.read(new Uint8Array(1));`;
    await Deno.writeTextFile(script, source.replace("/* begin */", gate));
    const children = Array.from({ length: count }, (_, n) => spawn(script, n));
    const readers = children.map(({ stdout }) =>
      stdout.pipeThrough(new TextDecoderStream()).getReader()
    );
    for (const reader of readers) await reader.read();
    for (const { stdin } of children) await begin(stdin);
    const ends = await Promise.all(children.map(({ status }) => status));
    await Promise.all(readers.map((reader) => reader.cancel()));
    if (ends.some(({ success }) => !success)) throw new Error("A process failed");
  } finally {
    await Deno.remove(script);
  }
}

function spawn(script: string, n: number): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", "--no-config", "--allow-read", "--allow-write", script, `${n}`],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
}

async function begin(stdin: WritableStream<Uint8Array>): Promise<void> {
  const writer = stdin.getWriter();
  await writer.write(Uint8Array.of(33));
  await writer.close();
}
