import { assertEquals } from "@std/assert";
import { isHostAddress } from "../../src/transport/ip_address.ts";

const HOSTS = [
  "192.168.1.20",
  "1.0.0.0",
  "223.255.255.255",
  "127.0.0.1",
  "169.254.1.1",
  "::1",
  "fd00::20",
  "FD00::20",
  "fe80::1",
  "2001:db8::1:0:0:1",
  "2001:db8:1:2:3:4:5:6",
];

const OTHERS: Readonly<Record<string, readonly string[]>> = {
  "no address": ["", " ", "bob.example", "localhost", "cafe.de", "bad.cafe.ee", "10.0.0.1:80"],
  "a name that looks like one": ["1.2.3", "1.2.3.4.5", "1.2.3.256", "..", ":", ":::", "g::1"],
  "IPv4 in another form": ["127.1", "2130706433", "0x7f.0.0.1", "010.0.0.1", "1.2.3.04"],
  "with something around it": [" 10.0.0.1", "10.0.0.1 ", "10.0.0.1\n", "10.0.0.1/8", "[::1]"],
  "a broadcast, a group or a reserved one": [
    "255.255.255.255",
    "224.0.0.1",
    "239.1.11.11",
    "240.0.0.1",
  ],
  "a wildcard or this network": ["0.0.0.0", "0.1.2.3", "::", "0::0"],
  "a group of IPv6": ["ff02::1", "FF02::1", "ff00::", "ffff::1"],
  "with a zone": ["fe80::1%eth0", "fe80::1%", "::1%lo"],
  "IPv6 in another form": ["0::1", "::0001", "fd00:0:0:0:0:0:0:20", "2001:db8:0:0:1::1", "0:0::1"],
  "IPv4 in IPv6": [
    "::ffff:10.0.0.1",
    "::ffff:a00:1",
    "::FFFF:a00:1",
    "::10.0.0.1",
    "0::ffff:a00:1",
  ],
};

Deno.test("isHostAddress takes the addresses of single hosts", () => {
  assertEquals(HOSTS.filter((text) => !isHostAddress(text)), []);
});

for (const [what, texts] of Object.entries(OTHERS)) {
  Deno.test(`isHostAddress refuses ${what}`, () => {
    assertEquals(texts.filter(isHostAddress), []);
  });
}

Deno.test("isHostAddress answers for any text, however long", () => {
  const texts = [
    "1".repeat(1e5),
    ":".repeat(1e5),
    `${"0:".repeat(1e4)}1`,
    "\0",
    "\ud800",
    "::1#",
    "::1]@x",
  ];
  assertEquals(texts.filter(isHostAddress), []);
});
