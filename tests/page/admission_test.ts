import { assertEquals, assertThrows } from "@std/assert";
import { parseOrigins, type Refusal, refusalOf } from "../../src/page/admission.ts";

const HOST = "127.0.0.1:3488";
const OWN = `http://${HOST}`;
const LISTED = "http://localhost:3000";

Deno.test("refusalOf lets in this machine's programs and pages, and nobody else's", () => {
  const rules = { origins: parseOrigins([LISTED]), allowRemote: false };
  const table: readonly (readonly [string, string | null, string | null, Refusal | undefined])[] = [
    ["127.0.0.1", HOST, null, undefined],
    ["127.0.0.1", HOST, OWN, undefined],
    ["127.0.0.1", HOST, LISTED, undefined],
    ["127.9.9.9", "localhost:3488", "http://localhost:3488", undefined],
    ["::1", "[::1]:3488", "http://[::1]:3488", undefined],
    ["::ffff:127.0.0.1", "LOCALHOST", null, undefined],
    // Pages of others.
    ["127.0.0.1", HOST, "http://evil.example", "origin"],
    ["127.0.0.1", HOST, "https://127.0.0.1.evil.example", "origin"],
    ["127.0.0.1", HOST, "http://127.0.0.1:1", "origin"],
    ["127.0.0.1", HOST, "http://localhost:3488", "origin"],
    ["127.0.0.1", HOST, `${LISTED}.evil.example`, "origin"],
    ["127.0.0.1", HOST, "null", "origin"],
    ["127.0.0.1", HOST, "", "origin"],
    ["127.0.0.1", HOST, `${LISTED}, http://evil.example`, "origin"],
    // Names that lead here.
    ["127.0.0.1", "evil.example:3488", "http://evil.example:3488", "host"],
    ["127.0.0.1", "evil.example:3488", null, "host"],
    ["127.0.0.1", "127.0.0.1.evil.example", null, "host"],
    ["127.0.0.1", "localhost.evil.example:3488", LISTED, "host"],
    ["127.0.0.1", "evil@127.0.0.1:3488", null, "host"],
    ["127.0.0.1", "192.0.2.7:3488", null, "host"],
    ["127.0.0.1", "[2001:db8::7]:3488", null, "host"],
    ["127.0.0.1", "999.0.0.1", null, "host"],
    ["127.0.0.1", "[:::]", null, "host"],
    ["127.0.0.1", "", null, "host"],
    ["127.0.0.1", null, null, "host"],
    // Other machines, whatever they say.
    ["192.0.2.7", HOST, null, "remote"],
    ["192.0.2.7", HOST, OWN, "remote"],
    ["2001:db8::7", HOST, LISTED, "remote"],
  ];
  for (const [hostname, host, origin, refusal] of table) {
    const caller = { remote: { hostname, port: 9 }, host, origin };
    assertEquals(refusalOf(caller, rules), refusal, JSON.stringify(caller));
  }
});

Deno.test("refusalOf lets in other machines where it is told to, by address and from the listed sites", () => {
  const rules = { origins: parseOrigins([LISTED]), allowRemote: true };
  const table: readonly (readonly [string, string | null, Refusal | undefined])[] = [
    ["192.0.2.1:3488", null, undefined],
    ["192.0.2.1:3488", "http://192.0.2.1:3488", undefined],
    ["192.0.2.1:3488", LISTED, undefined],
    ["192.0.2.1:3488", "http://evil.example", "origin"],
    ["evil.example:3488", "http://evil.example:3488", "host"],
  ];
  for (const [host, origin, refusal] of table) {
    const caller = { remote: { hostname: "192.0.2.7", port: 9 }, host, origin };
    assertEquals(refusalOf(caller, rules), refusal, JSON.stringify(caller));
  }
});

Deno.test("parseOrigins takes sites, and nothing that many of them are", () => {
  assertEquals([...parseOrigins(["http://localhost:3000/", "https://a.example"])], [
    "http://localhost:3000",
    "https://a.example",
  ]);
  for (
    const text of ["null", "*", "", "localhost:3000", "http://a.example/x", "file:///a", "ws://a"]
  ) {
    assertThrows(() => parseOrigins([text]), TypeError, "Page origin must be");
  }
});
