import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { presentedTokens } from "../../src/cli/credentials.ts";
import { REACH_OPTIONS } from "../../src/cli/option_groups.ts";
import { Options } from "../../src/cli/options.ts";
import { AuthError, InvalidPacketError, NotFoundError } from "../../src/errors.ts";
import { Access } from "../../src/secure/access.ts";
import { Identity } from "../../src/secure/identity.ts";
import { onPosix, ScratchHome } from "../secure/home_fixture.ts";

const access = new Access({ identity: Identity.generate() });
const invite = access.createInvite({ scopes: ["send"], expiresMs: 1_000 }).token;
const key = access.createApiKey({ scopes: ["send"] }).token;

const nothing = () => undefined;

function withFile(path: string): Options {
  return new Options(["--invite-file", path], REACH_OPTIONS);
}

Deno.test("presentedTokens reads the file, else the environment, else nothing", () => {
  using scratch = new ScratchHome();
  const path = scratch.write("invite", `# from ann\n${invite}\n\n  ${key}\r\n`);
  const env = (name: string) => name === "KITH_INVITE" ? `${key}\n` : undefined;
  assertEquals(presentedTokens(withFile(path), env), [invite, key]);
  const none = new Options([], REACH_OPTIONS);
  assertEquals(presentedTokens(none, env), [key]);
  assertEquals(presentedTokens(none, nothing), []);
});

Deno.test("presentedTokens refuses what is no invite without showing it", () => {
  using scratch = new ScratchHome();
  const cases: readonly (readonly [text: string, why: string])[] = [
    ["", "it holds no invite"],
    [`${invite}\nhunter2`, "line 2 is neither an invite nor an API key"],
    [invite.slice(0, -1), "line 1 is neither an invite nor an API key"],
    [`${key}\n`.repeat(9), "it holds 9 lines, at most 8 can be shown"],
  ];
  for (const [text, why] of cases) {
    const path = scratch.write("invite", text);
    const error = assertThrows(() => presentedTokens(withFile(path), nothing), InvalidPacketError);
    assertStringIncludes(error.message, `Cannot use invite file ${path}: ${why}`);
    for (const secret of ["hunter2", invite.slice(6, 40), key.slice(-40)]) {
      assert(!Deno.inspect(error).includes(secret));
    }
  }
  const none = new Options([], REACH_OPTIONS);
  assertThrows(() => presentedTokens(none, () => "hunter2"), InvalidPacketError, "KITH_INVITE");
  const eight = scratch.write("invite", `${key}\n`.repeat(8));
  assertEquals(presentedTokens(withFile(eight), nothing).length, 8);
});

Deno.test("presentedTokens refuses a file that is missing, or that others can read", () => {
  using scratch = new ScratchHome();
  const missing = scratch.home.path("missing");
  assertThrows(() => presentedTokens(withFile(missing), nothing), NotFoundError, missing);
  if (!onPosix) return;
  const path = scratch.write("invite", invite, 0o644);
  assertThrows(
    () => presentedTokens(withFile(path), nothing),
    AuthError,
    `Cannot use invite file ${path}: others may access it (mode 0644); run: chmod 600 ${path}`,
  );
});
