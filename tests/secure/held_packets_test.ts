import { assertEquals } from "@std/assert";
import { HeldPackets } from "../../src/secure/held_packets.ts";

function packetOf(bytes: number) {
  const from = { hostname: "10.0.0.1", port: 1 };
  const header = { keyId: new Uint8Array(4), sender: 1n, counter: 1n };
  const arrival = { header, from, port: "a port", atMs: 0 };
  return { packet: new Uint8Array(bytes), arrival, asked: 1, askedMs: 0 };
}

Deno.test("HeldPackets gives each packet once", () => {
  const held = new HeldPackets<string>();
  assertEquals(held.put("a", packetOf(3)), 0);
  assertEquals([held.has("a"), held.has("b")], [true, false]);
  assertEquals(held.take("a")?.packet.length, 3);
  assertEquals([held.take("a"), held.has("a"), held.take("b")], [undefined, false, undefined]);
});

Deno.test("HeldPackets drops the oldest of more than 512 packets", () => {
  const held = new HeldPackets<string>();
  let dropped = 0;
  for (let i = 0; i < 520; i++) dropped += held.put(`${i}`, packetOf(10));
  assertEquals(dropped, 8);
  assertEquals([held.has("7"), held.has("8"), held.has("519")], [false, true, true]);
});

Deno.test("HeldPackets drops the oldest of more than 1 MiB, and counts what was taken no more", () => {
  const held = new HeldPackets<string>();
  let dropped = 0;
  for (let i = 0; i < 20; i++) dropped += held.put(`${i}`, packetOf(65_000));
  assertEquals([dropped, held.has("3"), held.has("4")], [4, false, true]);
  for (let i = 4; i < 20; i++) held.take(`${i}`);
  for (let i = 0; i < 16; i++) dropped += held.put(`${i}`, packetOf(65_000));
  assertEquals(dropped, 4);
});
