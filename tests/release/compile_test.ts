import { assertEquals, assertStringIncludes } from "@std/assert";
import { checksums, fileOf, refusalOf, TARGETS } from "../../release/compile.ts";

Deno.test("checksums are of every binary in the folder, and of nothing else", async () => {
  const dir = await Deno.makeTempDir();
  try {
    assertEquals(checksums(dir), "");
    const [linux, , , , windows] = TARGETS.map(fileOf);
    for (const name of [windows, linux, "SHA256SUMS"]) Deno.writeTextFileSync(`${dir}/${name}`, "");
    Deno.mkdirSync(`${dir}/kith-old`);
    const empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assertEquals(
      checksums(dir),
      `${empty}  kith-x86_64-pc-windows-msvc.exe\n${empty}  kith-x86_64-unknown-linux-gnu\n`,
    );
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("refusalOf lets a base that is there be used for this machine only", () => {
  assertEquals(refusalOf([Deno.build.target]), undefined);
  assertStringIncludes(refusalOf(["wasm32", Deno.build.target]) ?? "", "for wasm32: DENORT_BIN");
});
