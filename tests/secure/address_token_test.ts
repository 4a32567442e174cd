import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import { ADDRESS_TOKEN_BYTES, AddressTokens } from "../../src/secure/address_token.ts";

const bob = { hostname: "192.168.1.7", port: 40_000 };

Deno.test("AddressTokens verifies what it issued, and nothing else", () => {
  const clock = new ManualClock();
  const tokens = new AddressTokens(clock);
  const token = tokens.issue(bob);
  assertEquals(token.length, ADDRESS_TOKEN_BYTES);
  for (let times = 0; times < 3; times++) assert(tokens.verify(bob, token)); // the first fills the cache
  for (let bit = 0; bit < token.length * 8; bit++) {
    const flipped = token.slice();
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    assert(!tokens.verify(bob, flipped), `bit ${bit}`);
  }
  for (let length = 0; length < token.length; length++) {
    assert(!tokens.verify(bob, token.subarray(0, length)));
  }
  assert(!tokens.verify(bob, new Uint8Array([...token, 0])));
  assert(!tokens.verify(bob, new Uint8Array(ADDRESS_TOKEN_BYTES)));
  assert(tokens.verify(bob, token));
});

Deno.test("AddressTokens ties a token to an address, a port and a process", () => {
  const clock = new ManualClock();
  const tokens = new AddressTokens(clock);
  const token = tokens.issue(bob);
  assert(tokens.verify(bob, token));
  for (
    const other of [
      { ...bob, port: 40_001 },
      { ...bob, hostname: "192.168.1.8" },
      { hostname: "192.168.1.74", port: 0 },
      { hostname: "fe80::1%eth0", port: 40_000 },
    ]
  ) {
    assert(!tokens.verify(other, token));
    assertNotEquals(tokens.issue(other), token);
  }
  assert(!new AddressTokens(clock).verify(bob, token));
});

Deno.test("AddressTokens takes a token for 60 to 120 seconds, used or not", async () => {
  for (const issuedAtMs of [0, 59_999]) {
    for (const isUsed of [true, false]) {
      const clock = new ManualClock();
      await clock.advance(issuedAtMs);
      const tokens = new AddressTokens(clock);
      const token = tokens.issue(bob);
      for (let ageMs = 0; ageMs < 60_000; ageMs += 10_000) {
        assert(!isUsed || tokens.verify(bob, token));
        await clock.advance(10_000);
      }
      assert(tokens.verify(bob, token), `issued at ${issuedAtMs}, 60 s old`);
      await clock.advance(60_001);
      assert(!tokens.verify(bob, token), `issued at ${issuedAtMs}, 120 s old`);
    }
  }
});

Deno.test("AddressTokens forgets both secrets when nobody asked for long", async () => {
  const clock = new ManualClock();
  const tokens = new AddressTokens(clock);
  const token = tokens.issue(bob);
  await clock.advance(3_600_000);
  assert(!tokens.verify(bob, token));
  assert(tokens.verify(bob, tokens.issue(bob)));
});

Deno.test("AddressTokens remembers its own copy, and works beyond what it remembers", () => {
  const tokens = new AddressTokens(new ManualClock());
  const packet = tokens.issue(bob);
  assert(tokens.verify(bob, packet));
  packet.fill(0); // the buffer that it was read from is used again
  assert(!tokens.verify(bob, packet));

  const many = Array.from({ length: 5_000 }, (_, port) => ({ hostname: "10.0.0.1", port }));
  const issued = many.map((address) => tokens.issue(address));
  for (let round = 0; round < 2; round++) {
    many.forEach((address, at) => assert(tokens.verify(address, issued[at] ?? new Uint8Array())));
  }
});
