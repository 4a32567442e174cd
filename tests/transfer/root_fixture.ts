/**
 * A folder to receive into, and what must stay as it is around it.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import {
  type Part,
  ReceiveRoot,
  type ReceiveRootOptions,
} from "../../src/transfer/receive_root.ts";

/** A scratch folder with the root to receive into, and beside it what must stay as it is. */
export interface Scene {
  readonly top: string;
  readonly root: ReceiveRoot;
  readonly outside: string;
}

/** Runs in a scene of its own, and looks afterwards whether the canaries are alive. */
export async function inScene(
  run: (scene: Scene) => Promise<void> | void,
  options: ReceiveRootOptions = {},
): Promise<void> {
  const top = await Deno.realPath(await Deno.makeTempDir());
  try {
    const outside = `${top}/outside`;
    await Deno.mkdir(outside);
    await Deno.writeTextFile(`${outside}/canary`, "alive");
    await Deno.writeTextFile(`${top}/canary`, "alive");
    await run({ top, outside, root: ReceiveRoot.open(`${top}/root`, options) });
    assertEquals(await Deno.readTextFile(`${outside}/canary`), "alive");
    assertEquals(await Deno.readTextFile(`${top}/canary`), "alive");
  } finally {
    await Deno.remove(top, { recursive: true });
  }
}

/** Everything below a folder, as `path` or `path/`, sorted; links are listed and not followed. */
export function listing(dir: string, prefix = ""): string[] {
  return [...Deno.readDirSync(dir)].flatMap(({ name, isDirectory }) =>
    isDirectory
      ? [`${prefix}${name}/`, ...listing(`${dir}/${name}`, `${prefix}${name}/`)]
      : [`${prefix}${name}`]
  ).sort();
}

/** Writes text to a part. */
export async function fill(part: Part, text: string): Promise<Part> {
  await part.file.write(new TextEncoder().encode(text));
  return part;
}
