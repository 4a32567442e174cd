import { assertEquals, assertThrows } from "@std/assert";
import { Diversity, publicNetworkOf } from "../../src/dht/diversity.ts";

const NETWORK = "192.0.2.0/24";
const OTHER = "198.51.100.0/24";

function settled(...networks: (string | undefined)[]) {
  return networks.map((network) => ({ network }));
}

Deno.test("publicNetworkOf is /24 of IPv4 and /48 of IPv6, however written, and of nothing private", () => {
  const table: [string, string | undefined][] = [
    ["192.0.2.7", "192.0.2.0/24"],
    ["192.0.02.7", "192.0.2.0/24"],
    ["250.199.100.255", "250.199.100.0/24"],
    ["::ffff:192.0.2.7", "192.0.2.0/24"],
    ["2001:db8:1:2::7", "2001:db8:1::/48"],
    ["2001:0DB8:0001:ffff:1:2:3:4", "2001:db8:1::/48"],
    ["172.15.0.1", "172.15.0.0/24"],
    ["172.32.0.1", "172.32.0.0/24"],
    ["100.63.0.1", "100.63.0.0/24"],
    ["100.128.0.1", "100.128.0.0/24"],
    ["fec0::1", "fec0:0:0::/48"],
    ["fc:1::1", "fc:1:0::/48"],
  ];
  for (const [hostname, network] of table) assertEquals(publicNetworkOf(hostname), network);
  const exempt = "10.0.0.1 172.16.0.1 172.31.9.9 192.168.0.1 169.254.1.1 100.64.0.1 100.127.0.1 " +
    "127.8.0.1 ::ffff:10.0.0.1 010.0.0.1 8.8.8.256 ::1 fe80::1%eth0 febf::1 fc00::1 fdff::1 " +
    "localhost bob x:y";
  for (const hostname of exempt.split(" ")) {
    assertEquals(publicNetworkOf(hostname), undefined, hostname);
  }
});

Deno.test("Diversity has room for 2 of a network in a bucket and 10 in the table", () => {
  const diversity = new Diversity();
  const refusal = (...inBucket: string[]) => diversity.refusal(NETWORK, settled(...inBucket));
  assertEquals(refusal(OTHER, NETWORK, OTHER), undefined);
  assertEquals(refusal(NETWORK, OTHER, NETWORK), "network-in-bucket");
  for (let i = 0; i < 9; i++) diversity.joined(NETWORK);
  assertEquals(refusal(), undefined);
  diversity.joined(NETWORK);
  assertEquals(refusal(), "network-in-table");
  assertEquals(diversity.refusal(OTHER, []), undefined);
  diversity.left(NETWORK);
  assertEquals(refusal(), undefined);
});

Deno.test("Diversity counts whoever leaves for a newcomer no more, if it is of the same network", () => {
  const diversity = new Diversity({ perBucket: 1, perTable: 1 });
  const [leaving, stranger] = [{ network: NETWORK }, { network: OTHER }];
  diversity.joined(NETWORK);
  assertEquals(diversity.refusal(NETWORK, [leaving, stranger], leaving), undefined);
  assertEquals(diversity.refusal(NETWORK, [leaving, stranger], stranger), "network-in-table");
});

Deno.test("Diversity counts nobody of a private network, and forgets networks that are gone", () => {
  const diversity = new Diversity({ perBucket: 1, perTable: 1 });
  diversity.joined(undefined);
  assertEquals(diversity.refusal(undefined, settled(undefined, undefined)), undefined);
  assertEquals(diversity.hasAny, false);
  diversity.joined(NETWORK);
  assertEquals(diversity.hasAny, true);
  for (let i = 0; i < 3; i++) diversity.left(NETWORK);
  diversity.left(undefined);
  assertEquals(diversity.hasAny, false);
  assertEquals(diversity.refusal(NETWORK, []), undefined, "never below nothing");
});

Deno.test("Diversity refuses limits below 1, and may have none", () => {
  for (const value of [0, -1, NaN]) {
    assertThrows(() => new Diversity({ perBucket: value }), RangeError, "perBucket must be 1");
    assertThrows(() => new Diversity({ perTable: value }), RangeError, "perTable must be 1");
  }
  const open = new Diversity({ perBucket: Infinity, perTable: Infinity });
  assertEquals(open.refusal(NETWORK, settled(...Array(99).fill(NETWORK))), undefined);
});
