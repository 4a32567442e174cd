import { assert, assertEquals, assertThrows } from "@std/assert";
import { AuthError, LimitError, NotFoundError, UnsupportedError } from "../../src/errors.ts";
import type { LogFields } from "../../src/log.ts";
import { silentLogger } from "../../src/log.ts";
import { Home, moveNew, resolveHome } from "../../src/state/home.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

function inFolder(run: (dir: string) => void): void {
  const dir = Deno.makeTempDirSync();
  try {
    run(dir);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
}

function names(dir: string): string[] {
  return [...Deno.readDirSync(dir)].map(({ name }) => name).sort();
}

function permissions(path: string): number {
  return (Deno.statSync(path).mode ?? 0) & 0o777;
}

/** Makes one function of `Deno` fail while `run` runs. */
function withBroken(name: "renameSync" | "linkSync", error: Error, run: () => void): void {
  const original = { [name]: Deno[name] };
  const broken = () => {
    throw error;
  };
  Object.assign(Deno, { [name]: broken });
  try {
    run();
  } finally {
    Object.assign(Deno, original);
  }
}

Deno.test("resolveHome takes the first place that is set", () => {
  type Case = [os: typeof Deno.build.os, env: Record<string, string>, home: string];
  const cases: Case[] = [
    ["linux", { KITH_HOME: "/k", XDG_STATE_HOME: "/x", HOME: "/h" }, "/k"],
    ["linux", { KITH_HOME: "relative", HOME: "/h" }, "relative"],
    ["linux", { XDG_STATE_HOME: "/x", HOME: "/h" }, "/x/kith"],
    ["linux", { KITH_HOME: "", XDG_STATE_HOME: "", HOME: "/h" }, "/h/.local/state/kith"],
    ["linux", { XDG_STATE_HOME: "relative", HOME: "/h" }, "/h/.local/state/kith"],
    ["freebsd", { HOME: "/h" }, "/h/.local/state/kith"],
    ["darwin", { HOME: "/Users/ann" }, "/Users/ann/Library/Application Support/kith"],
    ["darwin", { XDG_STATE_HOME: "/x", HOME: "/h" }, "/x/kith"],
    ["windows", { LOCALAPPDATA: "C:\\L", HOME: "/h" }, "C:\\L\\kith"],
    ["windows", { XDG_STATE_HOME: "D:\\x", LOCALAPPDATA: "C:\\L" }, "D:\\x\\kith"],
  ];
  for (const [os, env, home] of cases) {
    assertEquals(resolveHome({ env: (name) => env[name], os }), home);
  }
});

Deno.test("resolveHome says what to set when nothing is", () => {
  const empty = { env: () => undefined, os: "linux" } as const;
  assertThrows(() => resolveHome(empty), UnsupportedError, "set KITH_HOME");
});

Deno.test({
  name: "resolveHome names --allow-env when the environment may not be read",
  permissions: { env: false },
  fn: () => {
    assertThrows(() => resolveHome(), UnsupportedError, "--allow-env=KITH_HOME,");
  },
});

Deno.test("resolveHome passes on what is not about permissions", () => {
  const env = () => {
    throw new TypeError("broken");
  };
  assertThrows(() => resolveHome({ env }), TypeError, "broken");
});

Deno.test("Home.open makes the folder and its parents for the owner alone", () => {
  inFolder((dir) => {
    const home = Home.open(`${dir}/a/b`);
    assertEquals(home.dir, `${dir}/a/b`);
    assertEquals([permissions(`${dir}/a`), permissions(`${dir}/a/b`)], [0o700, 0o700]);
    assertEquals(names(`${dir}/a/b`), []);
    Home.open(`${dir}/a/b`);
  });
});

Deno.test("Home.open says what to do with a folder that cannot be one", () => {
  inFolder((dir) => {
    Deno.writeTextFileSync(`${dir}/file`, "");
    for (const path of [`${dir}/file`, `${dir}/file/below`]) {
      const error = assertThrows(() => Home.open(path), UnsupportedError, path);
      assert(
        error.message.endsWith("make it writable or name another folder with KITH_HOME or --home"),
      );
    }
  });
});

Deno.test({
  name: "Home.open names the permissions that Deno lacks",
  permissions: { read: true, write: false },
  fn: () => {
    assertThrows(() => Home.open("/tmp/never"), UnsupportedError, "--allow-write");
  },
});

Deno.test("Home.writeAtomic replaces a file and keeps it to the owner", () => {
  inFolder((dir) => {
    const home = Home.open(dir);
    assertEquals(home.read("config.json"), undefined);
    home.writeAtomic("config.json", bytes("old and longer"));
    home.writeAtomic("config.json", bytes("new"));
    assertEquals(home.read("config.json"), bytes("new"));
    assertEquals(permissions(home.path("config.json")), 0o600);
    home.writeAtomic("public.txt", bytes(""), { mode: 0o640 });
    assertEquals(home.read("public.txt"), new Uint8Array());
    assertEquals(permissions(home.path("public.txt")), 0o640);
    assertEquals(names(dir), ["config.json", "public.txt"]);
  });
});

Deno.test("Home.writeAtomic leaves the old file and no other when it fails", () => {
  inFolder((dir) => {
    const home = Home.open(dir);
    home.writeAtomic("a", bytes("old"));
    withBroken("renameSync", new Error("disk on fire"), () => {
      assertThrows(() => home.writeAtomic("a", bytes("new")), UnsupportedError, "disk on fire");
    });
    assertEquals(home.read("a"), bytes("old"));
    assertEquals(names(dir), ["a"]);
  });
});

Deno.test("Home.writeNew writes once", () => {
  inFolder((dir) => {
    const home = Home.open(dir);
    assertEquals(home.writeNew("key", bytes("first")), true);
    assertEquals(home.writeNew("key", bytes("second")), false);
    assertEquals(home.read("key"), bytes("first"));
    assertEquals(permissions(home.path("key")), 0o600);
    assertEquals(names(dir), ["key"]);
  });
});

Deno.test("Home.writeNew writes once where there are no hard links", () => {
  inFolder((dir) => {
    const home = Home.open(dir);
    withBroken("linkSync", new Deno.errors.NotSupported("no links"), () => {
      assertEquals(home.writeNew("key", bytes("first")), true);
      assertEquals(home.writeNew("key", bytes("second")), false);
    });
    assertEquals(home.read("key"), bytes("first"));
    assertEquals(permissions(home.path("key")), 0o600);
    assertEquals(names(dir), ["key"]);
  });
});

Deno.test("moveNew gives its claim on a name up when the move fails", () => {
  inFolder((dir) => {
    withBroken("linkSync", new Deno.errors.NotSupported("no links"), () => {
      assertThrows(() => moveNew(`${dir}/missing`, `${dir}/new`), Deno.errors.NotFound);
    });
    assertEquals(names(dir), []);
  });
});

Deno.test("Home refuses names that are not plain", () => {
  inFolder((dir) => {
    const home = Home.open(dir);
    for (const name of ["", ".", "..", "a/b", "a\\b", "../a", ".hidden", "a\0", "x".repeat(101)]) {
      assertThrows(() => home.path(name), TypeError, "must be plain");
      assertThrows(() => home.read(name), TypeError);
      assertThrows(() => home.writeAtomic(name, bytes("")), TypeError);
      assertThrows(() => home.setAside(name, ""), TypeError);
    }
    assertEquals(names(dir), []);
  });
});

Deno.test("Home.read says so when a file is there and cannot be read", () => {
  inFolder((dir) => {
    Deno.mkdirSync(`${dir}/folder`);
    assertThrows(() => Home.open(dir).read("folder"), UnsupportedError, `${dir}/folder`);
  });
});

Deno.test("Home.setAside keeps every corrupt file and says why", () => {
  inFolder((dir) => {
    const warnings: (LogFields | undefined)[] = [];
    const log = {
      ...silentLogger,
      error: (_: string, fields?: LogFields) => warnings.push(fields),
    };
    const home = Home.open(dir, { log });
    for (const n of [1, 2]) {
      home.writeAtomic("peers.json", bytes(`bad ${n}`));
      assertEquals(home.setAside("peers.json", "not\nJSON"), `${dir}/peers.json.corrupt-${n}`);
      assertEquals(home.read("peers.json"), undefined);
      assertEquals(home.read(`peers.json.corrupt-${n}`), bytes(`bad ${n}`));
    }
    const path = `${dir}/peers.json`;
    assertEquals(warnings[1], { path, kept: `${path}.corrupt-2`, why: "not\\u{a}JSON" });
  });
});

Deno.test("Home.setAside fails without a file, and when too many are aside", () => {
  inFolder((dir) => {
    const home = Home.open(dir);
    const error = assertThrows(() => home.setAside("a", "bad"), NotFoundError);
    assertEquals(error.code, "no-path");
    assertEquals(names(dir), []);
    for (let n = 1; n <= 100; n++) home.writeAtomic(`a.corrupt-${n}`, bytes(""));
    home.writeAtomic("a", bytes("kept"));
    assertThrows(() => home.setAside("a", "bad"), LimitError, "100");
    assertEquals(home.read("a"), bytes("kept"));
  });
});

Deno.test({
  name: "Home.open refuses a folder that others may change, and says what to do",
  ignore: Deno.build.os === "windows",
  async fn() {
    const dir = await Deno.makeTempDir();
    for (const mode of [0o777, 0o770, 0o722, 0o1777]) {
      await Deno.chmod(dir, mode);
      const error = assertThrows(() => Home.open(dir), AuthError, "chmod go-w");
      assertEquals(error.code, "not-allowed");
      assertEquals(error.details, { path: dir, mode: mode.toString(8).padStart(4, "0") });
    }
    for (const mode of [0o700, 0o755]) {
      await Deno.chmod(dir, mode);
      assertEquals(Home.open(dir).dir, dir);
    }
    await Deno.remove(dir, { recursive: true });
  },
});
