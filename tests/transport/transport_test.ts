import { assertEquals } from "@std/assert";
import { formatAddress, parseAddress } from "../../src/transport/mod.ts";

Deno.test("parseAddress reads what formatAddress writes", () => {
  for (
    const [text, hostname, port] of [
      ["127.0.0.1:0", "127.0.0.1", 0],
      ["bob.example:65535", "bob.example", 65535],
      ["[::1]:80", "::1", 80],
      ["[fe80::1%eth0]:3485", "fe80::1%eth0", 3485],
      ["[::ffff:127.0.0.1]:1", "::ffff:127.0.0.1", 1],
    ] as const
  ) {
    assertEquals(parseAddress(text), { hostname, port });
    assertEquals(formatAddress({ hostname, port }), text);
  }
});

Deno.test("parseAddress yields undefined for what is no address", () => {
  for (
    const text of [
      "",
      "bob",
      ":80",
      "bob:",
      "bob:65536",
      "bob:-1",
      "bob:8o",
      "::1:80",
      "[::1]",
      "[::1:80",
      "[bob]:80",
      "a b:80",
      "a/b:80",
      "bob:80\n",
    ]
  ) {
    assertEquals(parseAddress(text), undefined, JSON.stringify(text));
  }
});
