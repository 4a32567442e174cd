import { assertEquals } from "@std/assert";
import { OwnAddresses } from "../../src/dht/own_addresses.ts";

const BY = (network: number) => ({ hostname: `198.51.${network}.1`, port: 1 });

Deno.test("OwnAddresses has what the machine has, at the port of the node", () => {
  const own = new OwnAddresses(() => ["192.0.2.7", "2001:db8::7"], () => 3486);
  const texts = {
    "192.0.2.7:3486": true,
    "[2001:db8::7]:3486": true,
    "127.0.0.1:3486": true,
    "192.0.2.7:3487": false,
    "192.0.2.8:3486": false,
    "": false,
    "nonsense": false,
  };
  for (const [text, isOurs] of Object.entries(texts)) assertEquals(own.has(text), isOurs, text);
});

Deno.test("OwnAddresses takes any host for its own where those of the machine may not be asked", () => {
  const own = new OwnAddresses(() => [], () => 3486);
  assertEquals([own.has("192.0.2.7:3486"), own.has("192.0.2.7:1")], [true, false]);
});

Deno.test("OwnAddresses has an address that three networks have seen it at, not one network three times", () => {
  const own = new OwnAddresses(() => ["10.0.0.7"], () => 3486);
  const outside = "203.0.113.9:40000";
  for (let host = 1; host <= 9; host++) {
    own.seen(outside, { hostname: `198.51.1.${host}`, port: 1 });
  }
  own.seen(outside, BY(2));
  assertEquals(own.has(outside), false);
  own.seen(outside, BY(3));
  assertEquals(own.has(outside), true);
  own.seen("nonsense", BY(4));
  assertEquals(own.has("203.0.113.9:40001"), false);
});

Deno.test("OwnAddresses remembers 64 addresses, those named last", () => {
  const own = new OwnAddresses(() => ["10.0.0.7"], () => 3486);
  const all = Array.from({ length: 65 }, (_, i) => `203.0.113.9:${40_000 + i}`);
  for (const network of [1, 2, 3]) own.seen("203.0.113.9:40000", BY(network));
  for (const text of all.slice(1)) own.seen(text, BY(1));
  assertEquals(own.has("203.0.113.9:40000"), false);
});

Deno.test("OwnAddresses counts one word of each network, and needs more than half of them", () => {
  const own = new OwnAddresses(() => ["10.0.0.7"], () => 3486);
  const [ours, theirs] = ["203.0.113.9:40000", "198.18.0.1:53"];
  for (const network of [1, 2, 3]) own.seen(theirs, BY(network));
  assertEquals(own.has(theirs), true);
  for (const network of [4, 5, 6]) own.seen(ours, BY(network));
  assertEquals([own.has(theirs), own.has(ours)], [false, false]);
  own.seen(ours, BY(7));
  assertEquals([own.has(theirs), own.has(ours)], [false, true]);
  // Of IPv6 a customer has a /48.
  const many = new OwnAddresses(() => ["10.0.0.7"], () => 3486);
  for (let n = 1; n <= 9; n++) many.seen(theirs, { hostname: `2001:db8:1:${n}::1`, port: 1 });
  assertEquals(many.has(theirs), false);
});

Deno.test("OwnAddresses is told nothing where the machine has an address of the internet", () => {
  const own = new OwnAddresses(() => ["192.0.2.7", "10.0.0.7"], () => 3486);
  for (const network of [1, 2, 3, 4]) own.seen("198.18.0.1:53", BY(network));
  assertEquals(own.has("198.18.0.1:53"), false);
});
