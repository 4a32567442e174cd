import { assertEquals } from "@std/assert";
import { sourceOf, subnetOf } from "../../src/endpoint/source.ts";

Deno.test("sourceOf is the same for all forms of an address", () => {
  const forms = ["192.0.2.7", "::ffff:192.0.2.7", "::FFFF:c000:207", "0:0:0:0:0:ffff:192.0.2.7"];
  for (const form of forms) assertEquals(sourceOf(form), sourceOf("192.0.2.7"), form);
  for (const form of ["2001:db8:0:0::7", "2001:0DB8::7", "2001:db8::7%eth0"]) {
    assertEquals(sourceOf(form), sourceOf("2001:db8::7"), form);
  }
  assertEquals(sourceOf("Bob").address, "bob");
});

Deno.test("sourceOf takes an address of IPv4 for one host, and all of an IPv6 network, and a name", () => {
  const [a, b] = [sourceOf("192.0.2.7"), sourceOf("192.0.2.8")];
  assertEquals([a.subnet === b.subnet, a.host === b.host], [true, false]);
  const [c, d, e] = [sourceOf("2001:db8::7"), sourceOf("2001:db8::8"), sourceOf("2001:db8:1::7")];
  assertEquals([c.address === d.address, c.host === d.host, c.host === e.host], [
    false,
    true,
    false,
  ]);
  assertEquals(c.host, subnetOf("2001:db8::7"));
  assertEquals(sourceOf("bob"), { address: "bob", subnet: undefined, host: "bob", own: false });
});

Deno.test("sourceOf knows what is this machine's own", () => {
  const own = ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "localhost", "LOCALHOST"];
  for (const hostname of own) assertEquals(sourceOf(hostname).own, true, hostname);
  for (const hostname of ["10.0.0.1", "::2", "localhost.example", "127.example"]) {
    assertEquals(sourceOf(hostname).own, false, hostname);
  }
});
