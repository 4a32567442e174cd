import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { hostname } from "node:os";
import { type Ran, runVerb } from "./verb_fixture.ts";

/** Looks at this machine alone, by its loopback address. */
async function runDoctor(...line: string[]): Promise<Ran> {
  const dir = await Deno.makeTempDir({ prefix: "kith-doctor-" });
  try {
    const port = `${20_000 + Math.floor(Math.random() * 12_000)}`; // apart from every other test
    const local = ["--host", "127.0.0.1", "--discovery-port", port, "--timeout", "0.1"];
    return await runVerb("doctor", `${dir}/home`, ...local, ...line);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("doctor prints a line per check, for programs and for people", async () => {
  const { code, facts, lines } = await runDoctor();
  assertEquals(code, 0);
  for (const { check, ok, why } of facts) {
    assert(typeof check === "string" && typeof why === "string" && why !== "");
    assert(ok === null || typeof ok === "boolean");
  }
  const multicast = facts.findIndex(({ check }) =>
    check === "multicast4 to 239.1.11.11 on lo 127.0.0.1"
  );
  assertEquals(facts[multicast]?.ok, true, lines[multicast] ?? "it is not there");
  assertMatch(
    lines[multicast] ?? "",
    /^ok {7}multicast4 to 239\.1\.11\.11 on lo 127\.0\.0\.1 {2,}what/,
  );
  const last = facts.slice(-2).map(({ check, ok }) => [check, ok]);
  assertEquals(last, [["discovery", true], ["others", null]]);
  assertMatch(lines.at(-1) ?? "", /^skipped {2}others .*\n {9}-> if somebody should be/);
});

Deno.test("doctor finds that no way works where there is no interface, and says so with status 1", async () => {
  const { code, notes, facts } = await runDoctor("--interface", "none-*");
  assertEquals(code, 1);
  assertMatch(notes.join(), /^Cannot find peers here: no way works/);
  assertEquals(facts.find(({ check }) => check === "discovery")?.ok, false);
});

Deno.test("doctor ends with status 1 where anything failed", async () => {
  const { code, notes, facts } = await runDoctor("--peer", "127.0.0.1:9");
  assertEquals([code, facts.find(({ check }) => check === "discovery")?.ok], [1, true]);
  assertMatch(notes.join(), /^Not as it should be: peer 127\.0\.0\.1:9 and others$/);
});

Deno.test("doctor hears itself in a network of its own", async () => {
  const { facts } = await runDoctor("--network", "hush");
  const loops = facts.filter(({ check }) => /^(multicast4|broadcast) /.test(`${check}`));
  assertEquals(loops.map(({ ok }) => ok), [true, true, true]);
});

Deno.test("doctor dumps facts without names, keys and hardware addresses", async () => {
  const { code, facts, lines } = await runDoctor("--dump");
  assertEquals(code, 0);
  const { dump } = facts.at(-1) as { dump: Record<string, unknown> };
  const names = ["kith", "wire", "deno", "os", "arch", "permissions", "interfaces", "counters"];
  for (const name of names) assert(name in dump, name);
  assertEquals((dump.counters as Record<string, number>)["doctor.questions"], 3);
  const all = JSON.stringify(facts) + lines.join("\n");
  assert(!all.includes("kith-doctor-"), "the home folder");
  const host = hostname();
  assert(!new RegExp(`\\b${RegExp.escape(host)}\\b`, "i").test(all), "this machine");
  assertEquals(/(?:[0-9a-f]{2}:){5}[0-9a-f]{2}|[0-9a-f]{32}/i.exec(all), null);
  assertStringIncludes(all, "lo 127.0.0.1");
});

Deno.test("doctor refuses patterns and addresses that are none", async () => {
  for (const line of [["--interface", "eth0,,"], ["--peer", "bob"], ["--timeout", "soon"]]) {
    const { code, facts } = await runDoctor(...line);
    assertEquals([code, facts], [2, []], line.join(" "));
  }
});
