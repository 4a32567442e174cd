/**
 * Runs the examples of the docs in one isolate: `deno test -A tests/doc_examples.ts`.
 *
 * `deno test --doc` starts an isolate for each, which takes longer than nearly all of them. Their types are checked by
 * `npm run check`.
 *
 * @module
 */

import { pathToFileURL } from "node:url";

const ROOT = new URL("../", import.meta.url);

/** An example, and where it stands. */
interface Example {
  readonly place: string;
  readonly source: string;
}

/** The sources below a folder, in an order that is the same everywhere. */
function sourcesIn(folder: string): string[] {
  return [...Deno.readDirSync(new URL(folder, ROOT))].flatMap(({ name, isDirectory }) => {
    const path = `${folder}/${name}`;
    if (isDirectory) return sourcesIn(path);
    return name.endsWith(".ts") ? [path] : [];
  }).sort();
}

/** The examples of a file: blocks that are called `ts` and nothing else, in a docstring or in Markdown. */
function examplesOf(path: string): Example[] {
  const text = Deno.readTextFileSync(new URL(path, ROOT));
  const margin = path.endsWith(".md") ? "" : " *\\* ?";
  const block = new RegExp(`^${margin}\`\`\`ts\\n((?:${margin}.*\\n)*?)${margin}\`\`\`$`, "gm");
  return [...text.matchAll(block)].map(({ index, 1: lines = "" }) => ({
    place: `${path}:${text.slice(0, index).split("\n").length}`,
    source: lines.replaceAll(new RegExp(`^${margin}`, "gm"), ""),
  }));
}

const folder = Deno.makeTempDirSync({ prefix: "kith-examples-" });
globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));

for (const path of ["README.md", "mod.ts", "cli.ts", ...sourcesIn("src")]) {
  for (const { place, source } of examplesOf(path)) {
    Deno.test(place, async () => {
      const file = `${folder}/${place.replaceAll(/[/:]/g, "_")}.ts`;
      await Deno.writeTextFile(file, source);
      await import(pathToFileURL(file).href);
    });
  }
}
