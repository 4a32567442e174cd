import { assert, assertEquals, assertMatch } from "@std/assert";
import { createHash } from "node:crypto";
import { STATUS_DOCUMENT } from "../../src/status/document.ts";

const { html, policy } = STATUS_DOCUMENT;

function assertNone(text: string, pattern: RegExp): void {
  assertEquals(pattern.exec(text)?.[0], undefined);
}

function between(tag: string): string[] {
  return [...html.matchAll(new RegExp(`<${tag}>(.*?)</${tag}>`, "gs"))].map(([, text = ""]) =>
    text
  );
}

Deno.test("STATUS_DOCUMENT allows its own style and script by what they are, and nothing else", () => {
  for (const tag of ["style", "script"]) {
    const [text = "", ...more] = between(tag);
    const hash = createHash("sha256").update(text).digest("base64");
    assertEquals([policy.includes(`${tag}-src 'sha256-${hash}'`), more], [true, []], tag);
  }
  assertMatch(policy, /^default-src 'none';/);
  assertNone(policy, /unsafe|\*|https?:/);
});

Deno.test("STATUS_DOCUMENT loads nothing, and its markup has no script or style in attributes", () => {
  const loads = [...html.matchAll(/https?:\/\/[^"%\s]+/g)].map(([url]) => url);
  assertEquals([...new Set(loads)], ["http://www.w3.org/2000/svg"]); // a name, not a place
  const markup = html.replace(/<script>.*<\/script>|<style>.*?<\/style>/gs, "");
  assertNone(markup, /\s(on\w+|style|src)=/);
  assertNone(between("style").join(), /@import|url\(/);
});

Deno.test("STATUS_DOCUMENT never makes markup of text, and its script is one that browsers take", () => {
  const [script = ""] = between("script");
  assertNone(
    script,
    /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|Function\(/,
  );
  assertEquals(typeof new Function(script), "function");
});

Deno.test("STATUS_DOCUMENT has every place that the script looks for, and every label what it names", () => {
  const [script = ""] = between("script");
  const ids = [...html.matchAll(/\sid="([^"]+)"/g)].map(([, id = ""]) => id);
  assertEquals(new Set(ids).size, ids.length);
  const wanted = [...script.matchAll(/byId\("([^"]+)"\)/g)].map(([, id = ""]) => id);
  const named = [...html.matchAll(/aria-labelledby="([^"]+)"/g)].map(([, id = ""]) => id);
  assert(wanted.length > 20 && named.length > 5);
  for (const id of [...wanted, ...named]) assert(ids.includes(id), id);
});
