import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { digestOf, empty, makeFile, MemoryFolder } from "../../bench/memory_folder.ts";
import { Unavailable } from "../../bench/question.ts";

const small = { files: 2, bytes: 10 };
const ignore = Deno.build.os !== "linux"; // memory as a folder is Linux's

Deno.test("MemoryFolder goes with all that is in it", { ignore }, () => {
  let path: string;
  {
    using folder = MemoryFolder.make(small);
    path = folder.path;
    makeFile(`${path}/a`, 10);
  }
  assertThrows(() => Deno.statSync(path), Deno.errors.NotFound);
});

Deno.test("MemoryFolder says when there is no room", { ignore }, () => {
  const make = (amount: typeof small) => () => MemoryFolder.make(amount);
  assertThrows(make({ files: 1, bytes: 2 ** 50 }), Unavailable, "bytes needed");
  assertThrows(make({ files: 2 ** 40, bytes: 1 }), Unavailable, "needed");
});

Deno.test("makeFile makes as many bytes as asked for, and others each time", () => {
  using folder = temporaryFolder();
  const [a, b] = [`${folder.path}/a`, `${folder.path}/b`];
  for (const bytes of [0, 1, 1024 * 1024 + 7]) {
    makeFile(`${a}${bytes}`, bytes);
    assertEquals(Deno.statSync(`${a}${bytes}`).size, bytes);
  }
  makeFile(a, 64);
  makeFile(b, 64);
  assertNotEquals(Deno.readFileSync(a), Deno.readFileSync(b));
});

Deno.test("digestOf tells folders apart by names and contents", () => {
  using folder = temporaryFolder();
  const tree = (name: string, files: Record<string, string>) => {
    const path = `${folder.path}/${name}`;
    for (const [file, text] of Object.entries(files)) {
      Deno.mkdirSync(`${path}/below`, { recursive: true });
      Deno.writeTextFileSync(`${path}/${file}`, text);
    }
    return digestOf(path);
  };
  const digest = tree("first", { "x": "1", "below/y": "2" });
  assertEquals(tree("same", { "below/y": "2", "x": "1" }), digest);
  const others = [
    tree("another name", { "x": "1", "below/z": "2" }),
    tree("other contents", { "x": "1", "below/y": "3" }),
    tree("one less", { "x": "1" }),
    tree("one more", { "x": "1", "below/y": "2", "z": "" }),
  ];
  assertEquals(new Set([digest, ...others]).size, 5);
});

Deno.test("empty leaves the folder itself", () => {
  using folder = temporaryFolder();
  Deno.mkdirSync(`${folder.path}/a/b`, { recursive: true });
  Deno.writeTextFileSync(`${folder.path}/c`, "");
  empty(folder.path);
  assert(Deno.statSync(folder.path).isDirectory);
  assertEquals([...Deno.readDirSync(folder.path)], []);
});

function temporaryFolder(): { path: string } & Disposable {
  const path = Deno.makeTempDirSync();
  return { path, [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }) };
}
