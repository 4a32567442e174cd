import { assertEquals } from "@std/assert";
import { Scratch } from "./scratch.ts";

const ROOT = new URL("../../", import.meta.url);

/** Where a program imports each part of the module from. */
const PARTS: Record<string, string> =
  JSON.parse(Deno.readTextFileSync(new URL("deno.json", ROOT))).exports;

/** Runs a program that may do nothing but compute. */
async function runWithoutPermissions(
  source: string,
): Promise<{ code: number; text: string; errors: string }> {
  await using scratch = await Scratch.make();
  const file = scratch.path("program.ts");
  await scratch.write("program.ts", source);
  const map = Deno.env.get("KITH_IMPORT_MAP");
  const given = map === undefined
    ? [`--config=${new URL("deno.json", ROOT).pathname}`]
    : [`--import-map=${new URL(map, ROOT).pathname}`];
  const flags = ["--no-prompt", "--no-check", "--cached-only", ...given];
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", ...flags, file],
    cwd: ROOT.pathname,
    env: { NO_COLOR: "1" },
  }).output();
  const decoder = new TextDecoder();
  return { code, text: decoder.decode(stdout).trim(), errors: decoder.decode(stderr) };
}

Deno.test("the wire is imported and used without any permission", async () => {
  const { code, text, errors } = await runWithoutPermissions(`
    import { decode, encode } from ${JSON.stringify(new URL("src/wire/mod.ts", ROOT).href)};
    console.log(JSON.stringify(decode(encode({ hello: ["wire", 1] }))));
  `);
  assertEquals([code, text], [0, '{"hello":["wire",1]}'], errors);
});

Deno.test("every part of the module is imported without any permission", async () => {
  const urls = Object.values(PARTS).map((path) => new URL(path, ROOT).href);
  const imports = urls.map((url) => `await import(${JSON.stringify(url)});`);
  const { code, text, errors } = await runWithoutPermissions(
    `${imports.join("\n")} console.log("imported ${urls.length}");`,
  );
  assertEquals([code, text], [0, `imported ${urls.length}`], errors);
});
