import { assert, assertEquals, assertRejects } from "@std/assert";
import { AuthError, NotFoundError } from "../../src/errors.ts";
import { SharedFolder } from "../../src/page/shared_folder.ts";

Deno.test("SharedFolder finds what is below it, and says of nothing else whether it exists", async () => {
  const dir = await Deno.realPath(await Deno.makeTempDir());
  try {
    await Deno.mkdir(`${dir}/shared/in`, { recursive: true });
    await Deno.mkdir(`${dir}/shared-too`);
    await Deno.writeTextFile(`${dir}/shared/in/a.txt`, "a");
    await Deno.writeTextFile(`${dir}/secret.txt`, "secret");
    await Deno.symlink(`${dir}/secret.txt`, `${dir}/shared/link`);
    await Deno.symlink(dir, `${dir}/shared/up`);
    await Deno.symlink("in", `${dir}/shared/alias`);
    const folder = new SharedFolder(`${dir}/shared`);
    const real = `${dir}/shared/in/a.txt`;
    for (const path of ["in/a.txt", real, "./in/../in/a.txt", "alias/a.txt"]) {
      assertEquals(await folder.find(path), real, path);
    }
    const outside = [
      "../secret.txt",
      `${dir}/secret.txt`,
      "link",
      "up/secret.txt",
      "up/shared/../secret.txt",
      "/etc/passwd",
      "/no/such/file",
      "../no such file",
      "../shared-too",
      ".",
      "..",
      "",
      "in\0/../../secret.txt",
    ];
    for (const path of outside) {
      const error = await assertRejects(() => folder.find(path), AuthError, "not below");
      assert(!error.message.includes("secret.txt") || path.includes("secret.txt"), error.message);
    }
    const missing = await assertRejects(() => folder.find("none"), NotFoundError);
    assertEquals(missing.message, 'Cannot send "none": it does not exist');
    await assertRejects(() => folder.find("in/a.txt/x"), NotFoundError);
    await assertRejects(() => new SharedFolder(`${dir}/none`).find("a"), NotFoundError);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
