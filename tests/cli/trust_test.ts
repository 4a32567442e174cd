import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Trust } from "../../src/secure/trust.ts";
import { ScratchHome, stranger } from "../secure/home_fixture.ts";
import { type Ran, runVerb } from "./verb_fixture.ts";

const [ann, bob] = [stranger("ann"), stranger("bob")];

class TrustVerb extends ScratchHome {
  run(line: string): Promise<Ran> {
    return runVerb("trust", this.home.dir, ...line.split(" ").filter((word) => word !== ""));
  }
}

Deno.test("kith trust add, ls and rm change and show who is trusted", async () => {
  using verb = new TrustVerb();
  assertEquals(await verb.run("ls"), {
    code: 0,
    facts: [],
    lines: [],
    notes: ["Nobody is trusted or denied"],
  });
  new Trust({ home: verb.home }).meet(bob);
  assertEquals((await verb.run(`add ${ann.peerId} --name ann`)).code, 0);
  const { code, facts, lines, notes } = await verb.run("ls");
  assertEquals([code, notes], [0, []]);
  const [first, second] = facts.map(({ since, ...rest }) => {
    assert(typeof since === "number" && Math.abs(since - Date.now()) < 60_000);
    return rest;
  });
  assertEquals(first, { peerId: ann.peerId, fingerprint: "", name: "ann", policy: "pin" });
  const { peerId, fingerprint } = bob;
  assertEquals(second, { peerId, fingerprint, name: "bob", policy: "seen" });
  assertMatch(lines[0] ?? "", /^[0-9a-f]{40} +ann +name is confirmed +\(not met yet\) +20\d\d-/);
  assertStringIncludes(lines[1] ?? "", `  name was used      ${fingerprint}  20`);

  const removed = await verb.run("rm bob");
  assertEquals([removed.code, removed.facts[0]?.peerId], [0, bob.peerId]);
  assertMatch(removed.lines[0] ?? "", /^forgot /);
  assertEquals((await verb.run("ls")).facts.length, 1);
});

Deno.test("kith trust add says what it was told, pins otherwise, and warns of the first one allowed", async () => {
  using verb = new TrustVerb();
  const cases: readonly (readonly [line: string, policy: string, notes: number])[] = [
    [ann.peerId, "pin", 0],
    [`${ann.peerId} --deny`, "deny", 0],
    [`${ann.peerId} --name ann`, "deny", 0],
    ["ann --allow", "allow", 1],
    ["ann --allow", "allow", 0],
    [`${bob.peerId} --allow`, "allow", 0],
    ["ann", "allow", 0],
    ["ann --pin", "pin", 0],
  ];
  for (const [line, policy, notes] of cases) {
    const ran = await verb.run(`add ${line}`);
    assertEquals([ran.code, ran.facts[0]?.policy, ran.notes.length], [0, policy, notes], line);
  }
});

Deno.test("kith trust ends with 5 for who is unknown, 4 for a name of another, 1 for a corrupt file", async () => {
  using verb = new TrustVerb();
  new Trust({ home: verb.home }).meet(bob);
  for (const line of ["add carol", "rm carol", `rm ${ann.peerId}`, "add 21fe"]) {
    const { code, notes } = await verb.run(line);
    assertEquals(code, 5, line);
    assertStringIncludes(notes[0] ?? "", "Cannot find");
  }
  const taken = await verb.run(`add ${ann.peerId} --name bob`);
  assertEquals(taken.code, 4);
  assertStringIncludes(taken.notes[0] ?? "", bob.fingerprint);
  const path = verb.write("trust.json", "{");
  for (const line of ["ls", "rm bob", `add ${ann.peerId} --deny`]) {
    const { code, notes } = await verb.run(line);
    assertEquals(code, 1, line);
    assertStringIncludes(notes[0] ?? "", `Cannot use trust file ${path}`);
  }
  assertEquals(verb.text("trust.json"), "{");
});

Deno.test("kith trust ends with 2 and says what is wrong with the command line", async () => {
  using verb = new TrustVerb();
  const cases: readonly (readonly [line: string, says: string])[] = [
    ["", "One of add PEER, rm PEER and ls is wanted"],
    ["add", "One of add PEER"],
    ["rm", "One of add PEER"],
    ["rm a b", "One of add PEER"],
    ["ls a", "One of add PEER"],
    ["frob a", "One of add PEER"],
    [`add ${ann.peerId} --allow --deny`, "exclude each other"],
    [`add ${ann.peerId} --allow --pin`, "exclude each other"],
    ["ls --deny", "belong to kith trust add"],
    ["rm bob --name ann", "belong to kith trust add"],
    [`add ${ann.peerId} --name ${"x".repeat(65)}`, "A name has 1 to 64 characters"],
    [`add ${ann.peerId} --name ${bob.peerId}`, "is no peer id"],
    ["add --name", "needs NAME"],
  ];
  for (const [line, says] of cases) {
    const { code, notes, facts } = await verb.run(line);
    assertEquals([code, facts], [2, []], line);
    assertStringIncludes(notes[0] ?? "", says);
  }
  assertEquals((await verb.run("ls")).facts, []);
});

Deno.test("kith trust shows names without what a terminal obeys", async () => {
  using verb = new TrustVerb();
  new Trust({ home: verb.home }).meet({ ...bob, name: "\u001b[2Jbob\u202e" });
  const { lines, facts } = await verb.run("ls");
  assertStringIncludes(lines.join(), "\\u{1b}[2Jbob\\u{202e}");
  assertEquals(facts[0]?.name, "\u001b[2Jbob\u202e");
});
