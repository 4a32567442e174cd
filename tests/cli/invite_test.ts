import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Access } from "../../src/secure/access.ts";
import { Identity } from "../../src/secure/identity.ts";
import { ScratchHome, stranger } from "../secure/home_fixture.ts";
import { type Ran, runVerb } from "./verb_fixture.ts";

const HOUR = 3_600_000;
const bob = stranger("bob");

class InviteVerb extends ScratchHome {
  run(line: string): Promise<Ran> {
    return runVerb("invite", this.home.dir, ...line.split(" ").filter((word) => word !== ""));
  }

  /** What the peer of this home makes of a token. */
  scopesOf(token: unknown, caller = bob): readonly string[] {
    const access = new Access({ identity: Identity.load(this.home), home: this.home });
    return access.check([String(token)], caller).scopes;
  }
}

function lifeOf({ facts }: Ran): number {
  return Number(facts[0]?.expires) - Date.now();
}

Deno.test("kith invite prints the token alone, and what it is good for beside it", async () => {
  using verb = new InviteVerb();
  const ran = await verb.run("--scope call:echo --scope folder:* --expires 1h");
  const [{ id, token, scopes } = {}] = ran.facts;
  assertEquals(ran.code, 0);
  assertEquals([ran.lines, scopes], [[String(token)], ["call:echo", "folder:*"]]);
  assertMatch(String(token), /^kith1\.[A-Za-z0-9_-]+$/);
  assert(Math.abs(lifeOf(ran) - HOUR) < 60_000);
  assertEquals(verb.scopesOf(token), ["call:echo", "folder:*"]);
  assertEquals(ran.notes.length, 1);
  assertStringIncludes(
    ran.notes[0] ?? "",
    "This invite grants call:echo, folder:* to whoever has it, until 20",
  );
  assertStringIncludes(ran.notes[0] ?? "", `kith invite revoke ${String(id).slice(0, 8)}`);
  assert(!ran.notes.join().includes(String(token)));
});

Deno.test("kith invite lasts a day unless told otherwise, an API key for ever", async () => {
  using verb = new InviteVerb();
  assert(Math.abs(lifeOf(await verb.run("--scope send")) - 24 * HOUR) < 60_000);
  const key = await verb.run("--scope send --api-key");
  const [facts = {}] = key.facts;
  assertMatch(String(facts.token), /^kithkey1\./);
  assert(!("expires" in facts) && key.lines[0] === facts.token);
  assertStringIncludes(key.notes[0] ?? "", "until it is revoked; show it to nobody else");
  assertEquals(verb.scopesOf(facts.token), ["send"]);
  assert(
    Math.abs(lifeOf(await verb.run("--scope send --api-key --expires 10m")) - HOUR / 6) < 60_000,
  );
});

Deno.test("kith invite --to makes it good for one peer", async () => {
  using verb = new InviteVerb();
  for (const kind of ["", "--api-key"]) {
    const { facts } = await verb.run(`--scope msg --to ${bob.peerId.toUpperCase()} ${kind}`);
    assertEquals(facts[0]?.to, bob.peerId);
    assertEquals(verb.scopesOf(facts[0]?.token), ["msg"]);
    assertEquals(verb.scopesOf(facts[0]?.token, stranger("eve")), []);
  }
});

Deno.test("kith invite ls and revoke show what was given away, without the tokens", async () => {
  using verb = new InviteVerb();
  assertEquals((await verb.run("ls")).notes, ["There are no invites and no API keys"]);
  const invite = (await verb.run("--scope call:echo --expires 2h")).facts[0] ?? {};
  const key = (await verb.run(`--scope send --api-key --to ${bob.peerId}`)).facts[0] ?? {};
  const { code, facts, lines } = await verb.run("ls");
  assertEquals([code, facts.map(({ id, kind }) => [id, kind])], [
    0,
    [[invite.id, "invite"], [key.id, "api-key"]],
  ]);
  assertMatch(lines[0] ?? "", /^[0-9a-f]{32} +invite +until 20\S+ \d\d:\d\dZ +call:echo$/);
  assertMatch(lines[1] ?? "", /^[0-9a-f]{32} +api-key +for ever +send +for [0-9a-f]{40}$/);
  for (const token of [invite.token, key.token]) {
    assert(!(lines.join() + JSON.stringify(facts)).includes(String(token).slice(-30)));
  }
  const revoked = await verb.run(`revoke ${String(invite.id).slice(0, 6)}`);
  assertEquals([revoked.code, revoked.facts[0]?.id], [0, invite.id]);
  assertStringIncludes(revoked.lines[0] ?? "", "revoked");
  assertEquals(verb.scopesOf(invite.token), []);
  assertEquals(verb.scopesOf(key.token), ["send"]);
  assertEquals((await verb.run("revoke abcdef")).code, 5);
});

Deno.test("kith invite ends with 2 and says what is wrong with the command line", async () => {
  using verb = new InviteVerb();
  const cases: readonly (readonly [line: string, says: string])[] = [
    ["", "Option --scope is missing"],
    ["--expires 1h", "Option --scope is missing"],
    ["--scope call", "A scope is one of send, msg, mesh, call:NAME"],
    ["--scope send --scope frob", 'current value is "frob"'],
    ["--scope send --expires 5", "must be a time such as 30s, 10m, 1h or 7d: it is 5"],
    ["--scope send --expires 1y", "must be a time"],
    ["--scope send --expires 0s", "must be a time"],
    ["--scope send --expires=-1h", "must be a time"],
    ["--scope send --expires 1.5h", "must be a time"],
    ["--scope send --expires 3651d", "1..315360000000 ms: current value is"],
    ["--scope send --to bob", "Option --to must be a peer id"],
    ["frob", "Besides options it takes ls, or revoke ID"],
    ["ls x", "Besides options"],
    ["revoke", "Besides options"],
    ["revoke a b", "Besides options"],
    ["ls --scope send", "Option --scope is for making"],
    ["revoke abcd --api-key", "Option --api-key is for making"],
  ];
  for (const [line, says] of cases) {
    const { code, notes, facts } = await verb.run(line);
    assertEquals([code, facts], [2, []], line);
    assertStringIncludes(notes[0] ?? "", says, line);
  }
  const many = Array.from({ length: 9 }, (_, n) => `--scope ${`call:${n}`.padEnd(110, "x")}`);
  const { code, notes } = await verb.run(many.join(" "));
  assertEquals(code, 2);
  assertStringIncludes(notes[0] ?? "", "An invite has at most 1024 characters");
  assertEquals((await verb.run("ls")).facts, []);
});
