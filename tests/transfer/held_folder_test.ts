import { assert, assertEquals, assertThrows } from "@std/assert";
import { AuthError } from "../../src/errors.ts";
import { HeldFolder } from "../../src/transfer/held_folder.ts";
import { listing } from "./root_fixture.ts";

const isLinux = Deno.build.os === "linux";

async function inScratch(work: (dir: string) => Promise<void> | void): Promise<void> {
  const dir = await Deno.realPath(await Deno.makeTempDir());
  try {
    await Deno.mkdir(`${dir}/a`);
    await Deno.mkdir(`${dir}/outside`);
    await work(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/** Puts a link to another folder in the place of one. */
function swap(dir: string): void {
  Deno.renameSync(`${dir}/a`, `${dir}/away`);
  Deno.symlinkSync(`${dir}/outside`, `${dir}/a`);
}

Deno.test("HeldFolder stays the folder that was opened, whatever its path leads to", {
  ignore: !isLinux,
}, async () => {
  await inScratch((dir) => {
    using folder = HeldFolder.open(`${dir}/a`);
    swap(dir);
    assert(folder.isHeld);
    Deno.writeTextFileSync(folder.join("x"), "hello");
    using inner = folder.enter("b", "b", 0o700);
    Deno.writeTextFileSync(inner?.join("y") ?? "", "hello");
    assertEquals(inner?.path, `${dir}/a/b`);
    assertEquals(listing(dir), ["a", "away/", "away/b/", "away/b/y", "away/x", "outside/"]);
  });
});

Deno.test("HeldFolder that is not held is its path", async () => {
  await inScratch((dir) => {
    using folder = HeldFolder.open(`${dir}/a`, { hold: false });
    assertEquals([folder.isHeld, folder.join("x")], [false, `${dir}/a/x`]);
    swap(dir);
    Deno.writeTextFileSync(folder.join("x"), "");
    assertEquals(listing(dir), ["a", "away/", "outside/", "outside/x"]);
  });
});

Deno.test("HeldFolder.enter makes what is missing, and refuses links and files", async () => {
  for (const hold of [true, false]) {
    await inScratch((dir) => {
      Deno.symlinkSync(`${dir}/outside`, `${dir}/a/link`);
      Deno.writeTextFileSync(`${dir}/a/file`, "");
      using folder = HeldFolder.open(`${dir}/a`, { hold });
      assertEquals(folder.enter("none", "way"), undefined);
      for (const mode of [undefined, 0o700]) {
        assertThrows(() => folder.enter("link", "way", mode), AuthError, '"way": is a link');
        assertThrows(() => folder.enter("file", "way", mode), AuthError, '"way": is not a folder');
      }
      folder.enter("made", "way", 0o700)?.[Symbol.dispose]();
      using again = folder.enter("made", "way", 0o755);
      assertEquals((Deno.statSync(again?.path ?? "").mode ?? 0) & 0o777, 0o700);
      assertEquals(listing(`${dir}/outside`), []);
    });
  }
});

Deno.test("HeldFolder shows and removes the very file that is meant, and no other of its name", async () => {
  for (const hold of [true, false]) {
    await inScratch((dir) => {
      using folder = HeldFolder.open(`${dir}/a`, { hold });
      using file = Deno.openSync(folder.join("x"), { createNew: true, write: true });
      using _other = Deno.openSync(folder.join("y"), { createNew: true, write: true });
      assertEquals([folder.shows(file, "x", dir), folder.shows(file, "y", dir)], [true, false]);
      assertEquals([folder.shows(file, "x", `${dir}/outside`), folder.shows(file, "z", dir)], [
        false,
        false,
      ]);
      assertEquals([folder.isBelow(dir), folder.isBelow(`${dir}/a`)], [true, true]);
      assertEquals([folder.isBelow(`${dir}/outside`), folder.isBelow(dir.slice(0, -1))], [
        false,
        false,
      ]);
      assertEquals([folder.remove(file, "y"), folder.remove(file, "x")], [false, true]);
      assertEquals([folder.remove(file, "x"), listing(dir)], [false, ["a/", "a/y", "outside/"]]);
    });
  }
});

Deno.test("HeldFolder does not show what only its former place has", async () => {
  for (const hold of isLinux ? [true, false] : [false]) {
    await inScratch((dir) => {
      using folder = HeldFolder.open(`${dir}/a`, { hold });
      using file = Deno.openSync(folder.join("x"), { createNew: true, write: true });
      swap(dir);
      assertEquals([folder.shows(file, "x", dir), folder.isBelow(`${dir}/a`)], [false, false]);
      // Who holds the folder still finds the file; who has only the path does not know where it is.
      assertEquals(folder.remove(file, "x"), hold);
    });
  }
});

Deno.test(
  "HeldFolder.open refuses a link, and tells a missing folder apart",
  { ignore: !isLinux },
  async () => {
    await inScratch((dir) => {
      swap(dir);
      const error = assertThrows(() => HeldFolder.open(`${dir}/a`), AuthError);
      assert(!error.message.includes(dir), error.message);
      Deno.removeSync(`${dir}/a`);
      assertThrows(() => HeldFolder.open(`${dir}/a`), Deno.errors.NotFound);
    });
  },
);

Deno.test(
  "HeldFolder lets go of its folder once, and of no other",
  { ignore: !isLinux },
  async () => {
    await inScratch((dir) => {
      const open = () => [...Deno.readDirSync("/proc/self/fd")].length;
      const before = open();
      const folder = HeldFolder.open(`${dir}/a`);
      assertEquals(open(), before + 1);
      folder[Symbol.dispose]();
      using other = HeldFolder.open(`${dir}/outside`); // has the number that is free now
      folder[Symbol.dispose]();
      assertEquals(open(), before + 1);
      Deno.writeTextFileSync(other.join("x"), "");
    });
  },
);

Deno.test("HeldFolder is held with all permissions, and asks nobody for those that are missing", async () => {
  await inScratch(async (dir) => {
    const module = new URL("../../src/transfer/held_folder.ts", import.meta.url).href;
    const script = `
      import { HeldFolder } from ${JSON.stringify(module)};
      using folder = HeldFolder.open(${JSON.stringify(`${dir}/a`)});
      using inner = folder.enter("b", "b", 0o700);
      Deno.writeTextFileSync(inner.join("x"), "");
      console.log(folder.isHeld);
    `;
    await Deno.writeTextFile(`${dir}/script.ts`, script);
    const paths = [`--allow-read=${dir}`, `--allow-write=${dir}`];
    const cases: readonly (readonly [permissions: readonly string[], held: boolean])[] = [
      [["-A"], isLinux],
      [["--allow-read", "--allow-write"], false],
      [paths, false],
    ];
    for (const [permissions, held] of cases) {
      const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "--no-check", "--no-config", ...permissions, `${dir}/script.ts`],
        env: { NO_COLOR: "1" },
      }).output();
      const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
      assertEquals([code, out, err], [0, `${held}\n`, ""], permissions.join(" "));
    }
    assertEquals(listing(`${dir}/a`), ["b/", "b/x"]);
  });
});
