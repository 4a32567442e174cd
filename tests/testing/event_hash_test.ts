import { assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { EventHash } from "../../src/testing/event_hash.ts";

function hashOf(fill: (hash: EventHash) => void): string {
  const hash = new EventHash();
  fill(hash);
  return hash.hex;
}

Deno.test("EventHash is 16 digits, the same on every machine", () => {
  const hex = hashOf((hash) => {
    hash.event(1, 1234.5, 3, 4, 100);
    hash.bytes(Uint8Array.of(1, 2, 3, 4, 5));
    hash.text("kill");
  });
  assertMatch(hex, /^[0-9a-f]{16}$/);
  assertEquals(hex, "dce44fca9db512b6");
});

Deno.test("EventHash tells every part of an event", () => {
  const events: [number, number, number, number, number][] = [
    [1, 10, 2, 3, 40],
    [2, 10, 2, 3, 40],
    [1, 10 + 1 / 1024, 2, 3, 40],
    [1, 10 + 2 ** 22, 2, 3, 40],
    [1, 10, 3, 2, 40],
    [1, 10, 2, -1, 40],
    [1, 10, 2, 3, 41],
  ];
  const hashes = events.map((event) => hashOf((hash) => hash.event(...event)));
  assertEquals(new Set(hashes).size, events.length);
});

Deno.test("EventHash tells the order of events", () => {
  const orders = [[1, 2], [2, 1]].map((kinds) =>
    hashOf((hash) => kinds.forEach((kind) => hash.event(kind, 10, 2, 3, 40)))
  );
  assertNotEquals(orders[0], orders[1]);
});

Deno.test("EventHash tells every bit of a message", () => {
  const packet = Uint8Array.from({ length: 23 }, (_, index) => index);
  const seen = new Set([hashOf((hash) => hash.bytes(packet))]);
  for (let bit = 0; bit < packet.length * 8; bit++) {
    const flipped = packet.slice();
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ 1 << (bit & 7);
    seen.add(hashOf((hash) => hash.bytes(flipped)));
  }
  assertEquals(seen.size, 1 + packet.length * 8);
});
