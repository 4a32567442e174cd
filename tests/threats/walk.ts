/**
 * The files of the project, for tests that read its sources.
 *
 * @module
 */

/** Every file below a folder whose name ends so, in no particular order. */
export function walkSync(folder: URL, ending: string): URL[] {
  return [...Deno.readDirSync(folder)].flatMap(({ name, isDirectory }) => {
    if (isDirectory) return walkSync(new URL(`${name}/`, folder), ending);
    return name.endsWith(ending) ? [new URL(name, folder)] : [];
  });
}
