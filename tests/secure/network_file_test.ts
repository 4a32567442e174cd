import {
  assert,
  assertEquals,
  assertNotEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import { AuthError, InvalidPacketError, NotFoundError } from "../../src/errors.ts";
import type { Logger } from "../../src/log.ts";
import { Network } from "../../src/secure/network.ts";
import { loadNetwork, watchNetworkFile } from "../../src/secure/network_file.ts";
import { onPosix, ScratchHome } from "./home_fixture.ts";

const KEY = "0123456789abcdef".repeat(4);
const OTHER = "fedcba9876543210".repeat(4);

const nothing = () => undefined;

function env(values: Readonly<Record<string, string>>): (name: string) => string | undefined {
  return (name) => values[name];
}

/** What tells the keys of a network apart. */
function ids(network: Network): string[] {
  return network.keys.map(({ id }) => id.toHex());
}

function expected(name: string, ...keys: string[]): string[] {
  return ids(new Network(name, keys.map((key) => new TextEncoder().encode(key))));
}

/** A logger that keeps what it is told. */
function notes(): { log: Logger; said: string[] } {
  const said: string[] = [];
  const note = (level: string) => (message: string, fields = {}) => {
    said.push([level, message, JSON.stringify(fields)].join(" "));
  };
  const log = {
    debug: note("debug"),
    info: note("info"),
    warn: note("warn"),
    error: note("error"),
  };
  return { log, said };
}

Deno.test("loadNetwork is the open network when nothing is said", () => {
  const { network, keyFile } = loadNetwork({ env: nothing });
  assert(network.isOpen);
  assertEquals(keyFile, undefined);
});

Deno.test("loadNetwork reads name and key from options, which win over the environment", () => {
  using scratch = new ScratchHome();
  const path = scratch.write("key", `# ours\n\n  ${KEY}\t\r\n`);
  const other = scratch.write("other", `${OTHER}\n${KEY}\n`);
  const both = env({ KITH_NETWORK: "work", KITH_KEY_FILE: other });

  const given = loadNetwork({ name: "home", keyFile: path, env: both });
  assertEquals([given.network.name, given.keyFile], ["home", path]);
  assertEquals(ids(given.network), expected("home", KEY));

  const fromEnv = loadNetwork({ env: both });
  assertEquals([fromEnv.network.name, fromEnv.keyFile], ["work", other]);
  assertEquals(ids(fromEnv.network), expected("work", OTHER, KEY));

  const direct = loadNetwork({ env: env({ KITH_NETWORK_KEY: `${OTHER}\n` }) });
  assertEquals([direct.network.name, direct.keyFile], ["", undefined]);
  assertEquals(ids(direct.network), expected("", OTHER));
  assert(direct.network.isSecret);

  const mixed = loadNetwork({ keyFile: path, env: env({ KITH_NETWORK_KEY: OTHER }) });
  assertEquals(ids(mixed.network), expected("", KEY));

  const empty = env({ KITH_NETWORK: "", KITH_KEY_FILE: "", KITH_NETWORK_KEY: "" });
  assert(loadNetwork({ env: empty }).network.isOpen);
});

Deno.test("loadNetwork refuses an environment with two sources of the key", () => {
  const error = assertThrows(
    () => loadNetwork({ env: env({ KITH_KEY_FILE: "/x", KITH_NETWORK_KEY: KEY }) }),
    TypeError,
    "Both KITH_KEY_FILE and KITH_NETWORK_KEY are set",
  );
  assert(!error.message.includes(KEY));
});

Deno.test("loadNetwork takes keys of 32 to 1024 characters, one or two, and says how to make one", () => {
  using scratch = new ScratchHome();
  const cases: readonly (readonly [text: string, why: string])[] = [
    ["", "it holds no key"],
    ["\n# nothing\n", "it holds no key"],
    ["x".repeat(31), "the key on line 1 has 31 characters, 32 to 1024 are wanted"],
    [`${KEY}\n\nhunter2\n`, "the key on line 3 has 7 characters"],
    ["x".repeat(1025), "the key on line 1 has 1025 characters"],
    [`${KEY}\n${OTHER}\n${KEY}`, "it holds 3 keys, and a network has at most 2"],
  ];
  for (const [text, why] of cases) {
    const path = scratch.write("key", text);
    const error = assertThrows(
      () => loadNetwork({ keyFile: path, env: nothing }),
      InvalidPacketError,
    );
    assertEquals(error.code, "bad-message");
    assertStringIncludes(error.message, `Cannot use key file ${path}: ${why}`);
    // Whoever has too many keys is not told to write another over them.
    const remedy = why.includes("3 keys")
      ? "delete the old ones"
      : `make a key with: openssl rand -hex 32 > ${path} && chmod 600 ${path}`;
    assertStringIncludes(error.message, remedy);
    for (const secret of [KEY, "hunter2", "xxxx"]) assert(!Deno.inspect(error).includes(secret));
  }
  for (const text of ["x".repeat(32), "é".repeat(1024)]) {
    const { network } = loadNetwork({ keyFile: scratch.write("key", text), env: nothing });
    assertEquals(ids(network), expected("", text));
  }
  const error = assertThrows(
    () => loadNetwork({ env: env({ KITH_NETWORK_KEY: "hunter2" }) }),
    InvalidPacketError,
    "Cannot use KITH_NETWORK_KEY: the key on line 1 has 7 characters",
  );
  assert(error.message.endsWith("openssl rand -hex 32"));
});

Deno.test("loadNetwork refuses a key file that is missing, or that others can read", () => {
  using scratch = new ScratchHome();
  const missing = scratch.home.path("missing");
  assertThrows(() => loadNetwork({ keyFile: missing, env: nothing }), NotFoundError, missing);
  if (!onPosix) return;
  const path = scratch.write("key", KEY, 0o644);
  const error = assertThrows(() => loadNetwork({ keyFile: path, env: nothing }), AuthError);
  assertStringIncludes(error.message, `(mode 0644); run: chmod 600 ${path}`);
});

Deno.test("watchNetworkFile takes changed keys over, and ends when it is disposed of", async () => {
  using scratch = new ScratchHome();
  const clock = new ManualClock();
  const { log, said } = notes();
  const path = scratch.write("key", KEY);
  const { network } = loadNetwork({ name: "home", keyFile: path, env: nothing });
  {
    using _watching = watchNetworkFile(network, path, { clock, log });
    await clock.advance(20_000);
    assertEquals([ids(network), said], [expected("home", KEY), []]);

    scratch.write("key", `${KEY}\n${OTHER}`);
    await clock.advance(5_000);
    assertEquals(ids(network), expected("home", KEY, OTHER));
    assertEquals(said.splice(0), ['info network keys changed {"count":2}']);

    // In its place, of the same size: not the same file.
    scratch.write("key", `${OTHER}\n${KEY}`);
    await clock.advance(5_000);
    assertEquals(ids(network), expected("home", OTHER, KEY));
    assertEquals(said.splice(0).length, 1);
  }
  scratch.write("key", KEY);
  await clock.advance(60_000);
  assertEquals([ids(network), said], [expected("home", OTHER, KEY), []]);
});

Deno.test("watchNetworkFile takes over what changed before it began", () => {
  using scratch = new ScratchHome();
  const path = scratch.write("key", KEY);
  const { network } = loadNetwork({ keyFile: path, env: nothing });
  scratch.write("key", OTHER);
  using _watching = watchNetworkFile(network, path, { clock: new ManualClock() });
  assertEquals(ids(network), expected("", OTHER));
});

Deno.test("watchNetworkFile keeps the keys of a file that breaks, and warns once for each change", async () => {
  using scratch = new ScratchHome();
  const clock = new ManualClock();
  const { log, said } = notes();
  const path = scratch.write("key", KEY);
  const { network } = loadNetwork({ keyFile: path, env: nothing });
  using _watching = watchNetworkFile(network, path, { clock, log });
  const breaks: (() => void)[] = [
    () => void scratch.write("key", "hunter2"),
    () => void scratch.write("key", ""),
    () => Deno.removeSync(path),
    ...(onPosix ? [() => void scratch.write("key", OTHER, 0o644)] : []),
  ];
  for (const breakIt of breaks) {
    breakIt();
    await clock.advance(30_000);
    assertEquals(ids(network), expected("", KEY));
    assertEquals(said.length, 1);
    assertStringIncludes(said[0] ?? "", "error network keys stay as they are");
    assert(!said.splice(0).join().includes("hunter2"));
  }
  // What is mended by its mode alone has neither another time nor another size.
  if (onPosix) Deno.chmodSync(path, 0o600);
  else scratch.write("key", OTHER);
  await clock.advance(5_000);
  assertNotEquals(ids(network), expected("", KEY));
  assertEquals(ids(network), expected("", OTHER));
});

Deno.test("watchNetworkFile tries again what may pass by itself, though the file stays as it is", async () => {
  using scratch = new ScratchHome();
  const clock = new ManualClock();
  const { log, said } = notes();
  const path = scratch.write("key", KEY);
  const { network } = loadNetwork({ keyFile: path, env: nothing });
  using _watching = watchNetworkFile(network, path, { clock, log });
  scratch.write("key", OTHER);
  {
    using _full = withoutDescriptors();
    await clock.advance(10_000);
  }
  assertEquals(ids(network), expected("", KEY));
  assertEquals(said.length, 2);
  for (const line of said.splice(0)) assertStringIncludes(line, "Too many open files");
  await clock.advance(5_000);
  assertEquals(ids(network), expected("", OTHER));
  assertEquals(said.splice(0), ['info network keys changed {"count":1}']);
  await clock.advance(60_000);
  assertEquals(said, []);
});

Deno.test("watchNetworkFile warns of a file that is not there, once, and reads it when it comes", async () => {
  using scratch = new ScratchHome();
  const clock = new ManualClock();
  const { log, said } = notes();
  const path = scratch.home.path("key");
  const network = new Network("home", [new TextEncoder().encode(KEY)]);
  using _watching = watchNetworkFile(network, path, { clock, log });
  await clock.advance(30_000);
  assertEquals(said.length, 1);
  assertStringIncludes(said.splice(0)[0] ?? "", "not found");
  scratch.write("key", OTHER);
  await clock.advance(5_000);
  assertEquals(ids(network), expected("home", OTHER));
});

/** Lets no file be opened, as when a process has too many, until it is disposed of. */
function withoutDescriptors(): Disposable {
  const { openSync } = Deno;
  Deno.openSync = () => {
    throw new Error("Too many open files (os error 24)");
  };
  return { [Symbol.dispose]: () => void (Deno.openSync = openSync) };
}
