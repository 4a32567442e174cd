import {
  assert,
  assertEquals,
  assertMatch,
  assertNotEquals,
  assertStringIncludes,
} from "@std/assert";
import { run } from "./process.ts";
import { paths, Scratch } from "./scratch.ts";
import { Shell } from "./shell.ts";

const onPosix = Deno.build.os !== "windows";

/** Root may write everywhere, so that a folder without write permission stops it only where the system does. */
const isRoot = Deno.uid() === 0;
// deno-lint-ignore no-console -- who reads the results shall know
if (isRoot) console.log("skipped as root, who may write anywhere: a folder that is read-only");

Deno.test("id is the same in every run, and its key is for the owner alone", async () => {
  await using scratch = await Scratch.make();
  const home = scratch.path("not/there/yet");
  const id = ["id", "--json", "--home", home];
  const first = await run(id);
  const second = await run(id);
  assertEquals([first.code, first.stderr], [0, ""]);
  assertEquals(second.stdout, first.stdout);
  const { peerId, fingerprint, ...rest } = first.events[0] ?? {};
  assertMatch(String(peerId), /^[0-9a-f]{40}$/);
  assertMatch(String(fingerprint), /^([a-z]{5}-){4}[a-z]{5}$/);
  assertEquals(rest, { home });
  assertEquals(paths(home), ["identity.pem"]);
  if (onPosix) {
    assertEquals((Deno.statSync(`${home}/identity.pem`).mode ?? 0) & 0o777, 0o600);
    assertEquals((Deno.statSync(home).mode ?? 0) & 0o777, 0o700);
  }
  const text = await run(["id"], { env: { KITH_HOME: home } });
  assertEquals(
    text.stdout,
    `peer id      ${peerId}\nfingerprint  ${fingerprint}\nkept in      ${home}\n`,
  );
  const pem = await Deno.readTextFile(`${home}/identity.pem`);
  const secret = pem.split("\n")[1] ?? "";
  assert(secret.length > 40 && !first.stdout.includes(secret), "the key is not for showing");
});

Deno.test("id --ephemeral is another one each time and is kept nowhere", async () => {
  await using scratch = await Scratch.make();
  const options = { env: { KITH_HOME: scratch.path("home") } };
  const [one, two] = await Promise.all([
    run(["id", "--ephemeral", "--json"], options),
    run(["id", "--ephemeral", "--json"], options),
  ]);
  assertEquals([one.code, two.code], [0, 0]);
  assertNotEquals(one.events[0]?.peerId, two.events[0]?.peerId);
  assertEquals(one.events[0]?.home, "");
  assertEquals(paths(scratch.dir), []);
});

Deno.test("processes that start at once on a new home agree on one identity", async () => {
  await using scratch = await Scratch.make();
  for (const round of ["a", "b"]) {
    const home = scratch.path(round);
    const id = ["id", "--json", "--home", home];
    const outcomes = await Promise.all([run(id), run(id), run(id), run(id)]);
    assertEquals(outcomes.map(({ code }) => code), [0, 0, 0, 0], outcomes[0].stderr);
    assertEquals(new Set(outcomes.map(({ stdout }) => stdout)).size, 1);
    assertEquals(paths(home), ["identity.pem"]);
  }
});

Deno.test({
  name: "id ends with 4 and says chmod when others can read the key file",
  ignore: !onPosix,
  async fn() {
    await using scratch = await Scratch.make();
    await using shell = new Shell();
    const home = scratch.path("home");
    const id = ["id", "--json", "--home", home];
    await shell.run(id);
    const key = `${home}/identity.pem`;
    for (const mode of [0o640, 0o604]) {
      await Deno.chmod(key, mode);
      const { code, stderr, events } = await shell.run(id);
      assertEquals([code, events[0]?.code], [4, "not-allowed"]);
      assertStringIncludes(stderr, `run: chmod 600 ${key}`);
    }
    await Deno.chmod(key, 0o600);
    assertEquals((await shell.run(id)).code, 0);
  },
});

Deno.test("id ends with 1 and leaves the file as it is when it holds no key", async () => {
  await using scratch = await Scratch.make();
  await using shell = new Shell();
  const home = scratch.path("home");
  const id = ["id", "--json", "--home", home];
  await shell.run(id);
  const key = `${home}/identity.pem`;
  const pem = await Deno.readTextFile(key);
  for (const junk of ["", "junk\n", pem.slice(0, 60), pem.replace(/[A-Za-z]{8}/, "????????")]) {
    await Deno.writeTextFile(key, junk);
    const { code, stderr, events } = await shell.run(id);
    assertEquals([code, events[0]?.code], [1, "bad-message"]);
    assertStringIncludes(stderr, `Cannot read key file ${key}: it holds no Ed25519 private key`);
    assertEquals(await Deno.readTextFile(key), junk);
  }
});

Deno.test("id ends with 1 and says what to do when the home cannot be a folder", async () => {
  await using scratch = await Scratch.make();
  await using shell = new Shell();
  const home = await scratch.write("file");
  const { code, stderr, events } = await shell.run(["id", "--json", "--home", home]);
  assertEquals([code, events[0]?.code], [1, "unsupported"]);
  assertStringIncludes(stderr, `Cannot use home folder ${home}`);
  assertStringIncludes(stderr, "name another folder with KITH_HOME or --home");
});

Deno.test({
  name: "id ends with 1 and says what to do when the home is read-only",
  ignore: !onPosix || isRoot,
  async fn() {
    await using scratch = await Scratch.make();
    await using shell = new Shell();
    const home = scratch.path("home");
    await Deno.mkdir(home, { mode: 0o500 });
    const { code, stderr } = await shell.run(["id", "--home", home]);
    assertEquals(code, 1);
    assertStringIncludes(stderr, "name another folder with KITH_HOME or --home");
  },
});
