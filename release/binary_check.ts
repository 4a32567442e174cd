/**
 * Tests the single binary as users would use it: made, checked against its checksum, and run without Deno. Skipped, with
 * the reason, where no base binary can be had.
 *
 * @module
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { createHash } from "node:crypto";

const map = Deno.env.get("KITH_IMPORT_MAP");
const dir = Deno.makeTempDirSync();
const kith = `${dir}/kith-${Deno.build.target}${Deno.build.os === "windows" ? ".exe" : ""}`;
const made = run(Deno.execPath(), [
  ...["run", "-A", ...(map === undefined ? [] : [`--import-map=${map}`])],
  ...["release/compile.ts", `--out=${dir}`, ...(map === undefined ? [] : [`--import-map=${map}`])],
]);
const ignore = !made.success;
// deno-lint-ignore no-console -- why it is skipped has to be seen
if (ignore) console.log(`The binary cannot be made here, so it is not tested:\n${made.errors}`);

globalThis.addEventListener("unload", () => {
  Deno.mkdirSync(dir, { recursive: true }); // it is gone where nothing was made
  Deno.removeSync(dir, { recursive: true });
});

Deno.test({ name: "the binary is the one that its checksum is of", ignore }, () => {
  const hash = createHash("sha256").update(Deno.readFileSync(kith)).digest("hex");
  const sums = Deno.readTextFileSync(`${dir}/SHA256SUMS`);
  assertEquals(sums, `${hash}  ${kith.slice(dir.length + 1)}\n`);
});

Deno.test({ name: "the binary says its version, helps, and names what is wrong", ignore }, () => {
  assertStringIncludes(run(kith, ["version"]).text, "kith ");
  assertStringIncludes(run(kith, ["send", "--help"]).text, "--to PEER");
  const wrong = run(kith, ["sedn"]);
  assertEquals(wrong.code, 2);
  assertStringIncludes(wrong.errors, "sedn");
});

Deno.test({ name: "the binary sends to the binary", ignore }, async () => {
  const bytes = crypto.getRandomValues(new Uint8Array(60_000));
  Deno.writeFileSync(`${dir}/photo.jpg`, bytes);
  const here = ["--ephemeral", "--host", "127.0.0.1", "--json"];
  const receiver = new Deno.Command(kith, {
    args: ["recv", "--dir", `${dir}/inbox`, "--yes", "--once", "--port", "0", ...here],
    ...{ stdout: "piped", stderr: "null" },
  }).spawn();
  const lines = receiver.stdout.pipeThrough(new TextDecoderStream()).values();
  const ready = (await lines.next()).value ?? "{}";
  const { tcp } = JSON.parse(ready);
  assert(tcp !== undefined, ready);
  const peer = `127.0.0.1:${tcp}`;
  const sent = run(kith, ["send", `${dir}/photo.jpg`, "--to", peer, "--peer", peer, ...here]);
  assertEquals(sent.code, 0, sent.errors);
  for await (const _ of lines); // what it says of it
  assert((await receiver.status).success);
  assertEquals(Deno.readFileSync(`${dir}/inbox/photo.jpg`), bytes);
});

function run(
  program: string,
  args: readonly string[],
): { success: boolean; code: number; text: string; errors: string } {
  const { success, code, stdout, stderr } = new Deno.Command(program, { args: [...args] })
    .outputSync();
  const decoder = new TextDecoder();
  return { success, code, text: decoder.decode(stdout), errors: decoder.decode(stderr) };
}
