import { assertEquals, assertThrows } from "@std/assert";
import { StaticAddresses } from "../../../src/discovery/sources/static_addresses.ts";

const { signal } = new AbortController();

Deno.test("StaticAddresses names all that it was given, names of hosts as they are", async () => {
  const given = ["192.0.2.7:3485", { hostname: "bob.example", port: 80 }, "[fe80::2%eth0]:3485"];
  const found = await Array.fromAsync(new StaticAddresses(given).find({ signal }));
  assertEquals(found.map(({ address }) => address), [
    { hostname: "192.0.2.7", port: 3485 },
    { hostname: "bob.example", port: 80 },
    { hostname: "fe80::2%eth0", port: 3485 },
  ]);
});

Deno.test("StaticAddresses refuses what cannot be connected to, and more than it may have", () => {
  for (const bad of ["", "bob", "bob:0", "bob:65536", "::1:80", `${"x".repeat(254)}:80`]) {
    assertThrows(() => new StaticAddresses([bad]), TypeError, "must be HOST:PORT");
  }
  assertThrows(
    () => new StaticAddresses([{ hostname: "b\u001bob", port: 0 }]),
    TypeError,
    "\\u{1b}",
  );
  const many = Array.from({ length: 1_025 }, (_, n) => `192.0.2.7:${n + 1}`);
  assertThrows(() => new StaticAddresses(many), RangeError, "at most 1024");
});
