import { assert, assertEquals } from "@std/assert";

const ROOT = new URL("../../", import.meta.url);

/** What the module may need besides the runtime. */
const PACKAGES = ["@std/assert", "@std/async", "@std/cli", "@std/log", "@std/msgpack"];

/** What only benchmarks need. */
const RIVALS = ["msgpackr"];

function* sources(folder: URL): Generator<URL> {
  for (const { name, isDirectory } of Deno.readDirSync(folder)) {
    const url = new URL(name + (isDirectory ? "/" : ""), folder);
    if (isDirectory) yield* sources(url);
    else if (name.endsWith(".ts")) yield url;
  }
}

Deno.test("T22 the module needs nothing but the runtime and packages of the standard library", () => {
  const needed = new Set<string>();
  for (const url of [...sources(new URL("src/", ROOT)), new URL("mod.ts", ROOT)]) {
    const source = Deno.readTextFileSync(url).replace(/^\s*\*.*$/gm, ""); // not those of examples
    for (
      const [, name = ""] of source.matchAll(/\bfrom "([^".][^"]*)"|\bimport\("([^".][^"]*)"\)/g)
    ) {
      if (!name.startsWith("node:") && name !== "") {
        needed.add(name.split("/").slice(0, 2).join("/"));
      }
    }
  }
  assert(needed.size > 0);
  for (const name of needed) assert(PACKAGES.includes(name), `${name} is not among the packages`);
});

Deno.test("T22 what is installed for development is pinned by hash, and the module itself installs nothing", () => {
  const read = (path: string) => JSON.parse(Deno.readTextFileSync(new URL(path, ROOT)));
  const { dependencies = {} } = read("package.json");
  assertEquals(dependencies, {});
  const packages = Object.entries<Record<string, unknown>>(read("package-lock.json").packages);
  assert(packages.length > 1);
  for (const [path, { integrity, link }] of packages) {
    if (path === "" || link === true) continue;
    assert(
      typeof integrity === "string" && integrity.startsWith("sha512-"),
      `${path} is not pinned`,
    );
  }
  for (const [name, target] of Object.entries<string>(read("deno.json").imports)) {
    assert(
      /^(jsr:@std\/|\.\/)/.test(target) || RIVALS.includes(name),
      `${target} is from elsewhere`,
    );
  }
});
