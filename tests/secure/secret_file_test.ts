import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import {
  AuthError,
  InvalidPacketError,
  NotFoundError,
  UnsupportedError,
} from "../../src/errors.ts";
import {
  MAX_SECRET_FILE_BYTES,
  readEnv,
  readSecretFile,
  secretLines,
} from "../../src/secure/secret_file.ts";
import { onPosix, ScratchHome } from "./home_fixture.ts";

Deno.test("readSecretFile gives the text of a file of up to 64 KiB", () => {
  using scratch = new ScratchHome();
  for (const text of ["", "héllo\n", "x".repeat(MAX_SECRET_FILE_BYTES)]) {
    assertEquals(readSecretFile(scratch.write("f", text, 0o400)), text);
  }
});

Deno.test({
  name: "readSecretFile refuses a file that others may access, with its mode and what to do",
  ignore: !onPosix,
  fn() {
    using scratch = new ScratchHome();
    for (const mode of [0o644, 0o640, 0o604, 0o610, 0o601, 0o620, 0o602, 0o777]) {
      const path = scratch.write("f", "hunter2", mode);
      const error = assertThrows(() => readSecretFile(path, "invite file"), AuthError);
      assertEquals(error.code, "not-allowed");
      assertEquals(error.details, { path, mode: `0${mode.toString(8)}` });
      const bits = mode.toString(8);
      assertEquals(
        error.message,
        `Cannot use invite file ${path}: others may access it (mode 0${bits}); run: chmod 600 ${path}`,
      );
    }
  },
});

Deno.test("readSecretFile says why it cannot read, and never what it read", () => {
  using scratch = new ScratchHome();
  const missing = scratch.home.path("missing");
  assertEquals(assertThrows(() => readSecretFile(missing), NotFoundError).code, "no-path");
  const large = scratch.write("large", "hunter2".repeat(MAX_SECRET_FILE_BYTES / 7 + 1));
  const tooLarge = assertThrows(() => readSecretFile(large), InvalidPacketError);
  assertEquals(tooLarge.code, "too-large");
  assertStringIncludes(tooLarge.message, "its size exceeds maxSecretFileBytes 65536");
  const path = scratch.home.path("binary");
  scratch.home.writeAtomic("binary", Uint8Array.of(0x68, 0x75, 0xff));
  const binary = assertThrows(() => readSecretFile(path), InvalidPacketError);
  assertEquals(binary.message, `Cannot read key file ${path}: it is no text`);
  for (const error of [tooLarge, binary]) assert(!Deno.inspect(error).includes("hunter2"));
  assertThrows(() => readSecretFile(scratch.home.dir), UnsupportedError, "it is a folder");
});

Deno.test("secretLines leaves out comments and empty lines, and counts them", () => {
  assertEquals(secretLines("# a\r\n\r\n  one \r\n#\n\ttwo#2"), [
    { number: 3, text: "one" },
    { number: 5, text: "two#2" },
  ]);
  assertEquals(secretLines(""), []);
});

Deno.test("readEnv counts an empty variable as not set", () => {
  Deno.env.set("KITH_TEST_EMPTY", "");
  Deno.env.set("KITH_TEST_SET", "x");
  try {
    assertEquals(
      ["KITH_TEST_EMPTY", "KITH_TEST_SET", "KITH_TEST_MISSING"].map(readEnv),
      [undefined, "x", undefined],
    );
  } finally {
    Deno.env.delete("KITH_TEST_EMPTY");
    Deno.env.delete("KITH_TEST_SET");
  }
});

Deno.test({
  name: "readEnv counts a variable that may not be read as not set",
  permissions: { env: ["KITH_TEST_SET"] },
  fn: () => assertEquals([readEnv("KITH_TEST_SET"), readEnv("HOME")], [undefined, undefined]),
});
