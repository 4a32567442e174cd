/**
 * Runs many test files in one isolate: `deno test -A tests/together.ts -- wire dht/record_test.ts`, paths below `tests/`.
 *
 * `deno test` starts an isolate for each file and loads into it all that the file imports. That costs more than most files
 * take. `deno task test`, and `npm test -- tests/wire`, run each file by itself.
 *
 * @module
 */

const TESTS = new URL("./", import.meta.url);

/** The test files of a folder, or a single one, in an order that is the same everywhere. */
function filesOf(path: string): string[] {
  if (path.endsWith(".ts")) return [path];
  const entries = [...Deno.readDirSync(new URL(path, TESTS))];
  return entries.flatMap(({ name, isDirectory }) => {
    if (isDirectory) return filesOf(`${path}/${name}`);
    return name.endsWith("_test.ts") ? [`${path}/${name}`] : [];
  }).sort();
}

for (const file of Deno.args.flatMap(filesOf)) {
  try {
    await import(new URL(file, TESTS).href);
  } catch (error) {
    // The others shall run all the same.
    Deno.test(`${file} can be loaded`, () => {
      throw error;
    });
  }
}
