import { assertEquals, assertThrows } from "@std/assert";
import { InvalidPacketError } from "../../src/errors.ts";
import { encodeControl, parseControl } from "../../src/palmtree/control.ts";
import { SEAL_BYTES, SessionSeal } from "../../src/palmtree/session_seal.ts";
import { bytesOf, loadVector } from "../testdata/vectors.ts";

const session = { sessionId: "s", key: "k" };
const message = bytesOf(loadVector("peerconnect.palm.control", "tree check from root"));
const sealOf = (self: string, change: Partial<typeof session> & { firstCounter?: number } = {}) =>
  new SessionSeal({ ...session, ...change, self });

Deno.test("SessionSeal says who sealed a packet, and gives the message back", () => {
  const packet = sealOf("1").seal(message, "2");
  assertEquals(packet.length, message.length + SEAL_BYTES);
  assertEquals(sealOf("2").open(packet), { payload: message, sealedBy: "1" });
  assertEquals(parseControl(packet), parseControl(message), "originals do not see it");
});

Deno.test("SessionSeal takes packets without a seal for what they are", () => {
  const empty = new Uint8Array(0);
  for (const packet of [message, empty, encodeControl({ type: "downgrade", from: "1" })]) {
    assertEquals(sealOf("2").open(packet), { payload: packet, sealedBy: undefined });
  }
});

Deno.test("SessionSeal does not believe a packet of another key, session or receiver, or with any bit changed", () => {
  const packet = sealOf("1").seal(message, "2");
  for (const other of [sealOf("2", { key: "x" }), sealOf("2", { sessionId: "x" }), sealOf("3")]) {
    assertEquals(other.open(packet).sealedBy, undefined);
  }
  const seal = sealOf("2");
  for (let bit = 0; bit < 8 * packet.length; bit++) {
    const changed = packet.slice();
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    assertEquals(seal.open(changed).sealedBy, undefined, `bit ${bit}`);
  }
  assertEquals(seal.open(packet).sealedBy, "1");
});

Deno.test("SessionSeal refuses copies, and packets that were overtaken", () => {
  const [sender, receiver] = [sealOf("1"), sealOf("2")];
  const [first, second] = [sender.seal(message, "2"), sender.seal(message, "2")];
  assertEquals(receiver.open(second).sealedBy, "1");
  for (const packet of [second, first]) {
    assertThrows(() => receiver.open(packet), InvalidPacketError, "not newer");
  }
  assertEquals(
    receiver.open(sealOf("3").seal(message, "2")).sealedBy,
    "3",
    "of others they count apart",
  );
  assertEquals(receiver.open(sealOf("1", { firstCounter: 100 }).seal(message, "2")).sealedBy, "1");
});

Deno.test("SessionSeal gives every packet another seal", () => {
  const sender = sealOf("1");
  const seals = [1, 2, 3].map(() => sender.seal(message, "2").toHex());
  assertEquals(new Set(seals).size, 3);
});

Deno.test("SessionSeal believes who has a key of its own with us only by that key", () => {
  const own = new Uint8Array(32).fill(1);
  const keyed = (self: string, other: string) => {
    return new SessionSeal({ ...session, self, keyWith: (id) => id === other ? own : undefined });
  };
  const receiver = keyed("2", "1");
  assertEquals(receiver.open(sealOf("1").seal(message, "2")).sealedBy, undefined, "all have that");
  const forged = sealOf("1", { firstCounter: 1_000 }).seal(message, "2");
  assertEquals(receiver.open(forged).sealedBy, undefined);
  const packet = keyed("1", "2").seal(message, "2");
  assertEquals(sealOf("2").open(packet).sealedBy, undefined);
  assertEquals(receiver.open(packet, () => false).sealedBy, "1", "wherever it is");
  assertEquals(receiver.open(sealOf("3").seal(message, "2")).sealedBy, "3", "others as before");
});

Deno.test("SessionSeal forgets the counter of who is not to be believed", () => {
  const receiver = sealOf("2");
  const forged = sealOf("3", { firstCounter: 1_000 }).seal(message, "2");
  assertEquals(receiver.open(forged, (by) => by !== "3").sealedBy, undefined);
  assertEquals(receiver.open(sealOf("3").seal(message, "2")).sealedBy, "3");
});
