import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { createCipheriv } from "node:crypto";
import { InvalidPacketError } from "../../src/errors.ts";
import {
  DatagramSeal,
  encodeFreshnessCheck,
  type FreshnessCheck,
  MIN_INNER_BYTES,
  parseFreshnessCheck,
  readInnerPacket,
  readSealedHeader,
  SEAL_BYTES,
  sealedBytes,
  senderKey,
} from "../../src/secure/datagram_seal.ts";
import { Network, type NetworkKey } from "../../src/secure/network.ts";
import { encodeDatagram, SERVICE_CODE } from "../../src/wire/datagram.ts";
import { Generator } from "../fuzz/generate.ts";
import { KEY } from "./seal_fixture.ts";

const NETWORK_KEY: NetworkKey = {
  id: new Uint8Array([0xa1, 0xa2, 0xa3, 0xa4]),
  datagram: Uint8Array.from({ length: 32 }, (_, at) => at),
  psk: new Uint8Array(32),
};
const SENDER = 0x1122_3344_5566_7788n;
const COUNTER = 0x0102_0304_0506_0708n;
const HEADER = { keyId: NETWORK_KEY.id, sender: SENDER, counter: COUNTER };
const PACKET = encodeDatagram(
  SERVICE_CODE.gossip,
  new TextEncoder().encode("meet me at the bridge at nine, and alone"),
);

/** The packet above in the network "home", sealed by another implementation (Python, cryptography). */
const GOLDEN = "1f00000051a1a2a3a4112233445566778801020304050607086cf56f8a01bb1a7b8849c11c0335b2" +
  "438a1a9c24ad2f11786316cc9c1ab8e23398c10bc4ae1baa004708ab97d1ea859a44fe84725b8291" +
  "9e96bc15664f";

function sealed(packet = PACKET, network = "home", header = HEADER): Uint8Array {
  const into = new Uint8Array(sealedBytes(packet.length));
  const key = senderKey(NETWORK_KEY, header.sender);
  return new DatagramSeal(network).seal(into, header, key, packet);
}

function open(packet: Uint8Array, network = "home"): Uint8Array | undefined {
  const { sender } = readSealedHeader(packet);
  const plaintext = new DatagramSeal(network).open(packet, senderKey(NETWORK_KEY, sender));
  return plaintext === undefined ? undefined : readInnerPacket(plaintext);
}

Deno.test("DatagramSeal writes the golden bytes, and WebCrypto's key gives the same", async () => {
  assertEquals(sealed().toHex(), GOLDEN);

  const info = new TextEncoder().encode("kith sealed datagrams of 1122334455667788");
  const secret = await crypto.subtle.importKey("raw", NETWORK_KEY.datagram.slice(), "HKDF", false, [
    "deriveBits",
  ]);
  const algorithm = { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(), info };
  const key = new Uint8Array(await crypto.subtle.deriveBits(algorithm, secret, 256));
  const head = Uint8Array.fromHex("1f00000051a1a2a3a411223344556677880102030405060708");
  const nonce = Uint8Array.fromHex("000000000102030405060708");
  const cipher = createCipheriv("chacha20-poly1305", key, nonce, { authTagLength: 16 });
  const name = new TextEncoder().encode("home");
  cipher.setAAD(new Uint8Array([...head, ...name]), { plaintextLength: PACKET.length });
  const ciphertext = cipher.update(PACKET);
  cipher.final();
  assertEquals(sealed(), new Uint8Array([...head, ...ciphertext, ...cipher.getAuthTag()]));
  assertEquals(open(Uint8Array.fromHex(GOLDEN)), PACKET);
});

Deno.test("DatagramSeal opens what it sealed, of every size, and fills up short packets", () => {
  for (const size of [0, 1, 32, 33, 34, 1_000, 65_507 - SEAL_BYTES - 5]) {
    const packet = encodeDatagram(SERVICE_CODE.dht, new Uint8Array(size).fill(9), {
      maxPayloadBytes: 65_507,
    });
    const bytes = sealed(packet);
    assertEquals(bytes.length, Math.max(packet.length, MIN_INNER_BYTES) + SEAL_BYTES);
    assertEquals(open(bytes), packet);
    const opened = open(bytes);
    assertEquals(opened?.constructor, Uint8Array, "slice must copy");
  }
});

Deno.test("DatagramSeal refuses a packet with any single bit flipped", () => {
  const bytes = sealed();
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const flipped = bytes.slice();
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    try {
      assertEquals(open(flipped), undefined, `bit ${bit}`);
    } catch (error) {
      // Code and length are looked at first. No other error may come.
      if (!(error instanceof InvalidPacketError) || bit >= 40) throw error;
    }
  }
});

Deno.test("DatagramSeal refuses truncated packets, longer ones, and other names, keys and senders", () => {
  const bytes = sealed();
  for (let length = 0; length < bytes.length; length++) {
    assertThrows(() => open(bytes.subarray(0, length)), InvalidPacketError);
    const consistent = bytes.slice(0, length);
    if (length >= 5) new DataView(consistent.buffer).setUint32(1, length - 5);
    if (length < sealedBytes(0)) assertThrows(() => open(consistent), InvalidPacketError);
    else assertEquals(open(consistent), undefined);
  }
  assertThrows(() => open(new Uint8Array([...bytes, 0])), InvalidPacketError, "not the");
  assertThrows(() => readSealedHeader(new Uint8Array(65_508)), InvalidPacketError, "65507");
  assertEquals(open(bytes, "work"), undefined);
  assertEquals(open(bytes, ""), undefined);
  assertEquals(open(sealed(PACKET, "home", { ...HEADER, sender: 1n })), PACKET);
  const other = new DatagramSeal("home").open(bytes, senderKey(NETWORK_KEY, SENDER + 1n));
  assertEquals(other, undefined);
});

Deno.test("senderKey differs by sender and by key", () => {
  const [first, second] = [new Network("home", [KEY]), new Network("work", [KEY])]
    .map(({ keys }) => keys[0] as NetworkKey) as [NetworkKey, NetworkKey];
  assertNotEquals(senderKey(first, 1n), senderKey(first, 2n));
  assertNotEquals(senderKey(first, 1n), senderKey(second, 1n));
  assertEquals(senderKey(first, 1n).length, 32);
});

Deno.test("readInnerPacket refuses what no member seals", () => {
  const whole = (code: number, declared: number, length: number) => {
    const packet = new Uint8Array(length);
    packet[0] = code;
    new DataView(packet.buffer).setUint32(1, declared);
    return packet;
  };
  assertEquals(readInnerPacket(whole(0x12, 0, 38)).length, 5);
  assertEquals(readInnerPacket(whole(0x12, 33, 38)).length, 38);
  for (
    const bad of [
      whole(0x12, 34, 38), // longer than it is
      whole(0x12, 33, 39), // filled up beyond need
      whole(0x12, 0, 38).subarray(0, 4),
      whole(0x02, 33, 38), // a dialect
      whole(0x1f, 33, 38), // sealed twice
      new Uint8Array(0),
    ]
  ) assertThrows(() => readInnerPacket(bad), InvalidPacketError, undefined, bad.toHex());
  const noise = whole(0x12, 3, 38);
  noise[37] = 1;
  assertThrows(() => readInnerPacket(noise), InvalidPacketError, "inner length 3");
});

Deno.test("FreshnessCheck survives the wire, and is the shortest packet there is", () => {
  const code = Uint8Array.from({ length: 16 }, (_, at) => at);
  for (const kind of ["challenge", "response"] as const) {
    const check: FreshnessCheck = { kind, to: SENDER, counter: COUNTER, code };
    const packet = encodeFreshnessCheck(check);
    assertEquals(packet.length, MIN_INNER_BYTES);
    assertEquals(parseFreshnessCheck(packet), check);
    for (let length = 0; length < packet.length; length++) {
      assertThrows(() => parseFreshnessCheck(packet.subarray(0, length)), InvalidPacketError);
    }
  }
  assertEquals(
    encodeFreshnessCheck({ kind: "response", to: 1n, counter: 2n, code }).toHex(),
    "1d00000021" + "01" + "0000000000000001" + "0000000000000002" +
      "000102030405060708090a0b0c0d0e0f",
  );
  assertThrows(() => parseFreshnessCheck(encodeDatagram(0x1d, new Uint8Array(33).fill(2))));
  assertThrows(() => parseFreshnessCheck(encodeDatagram(0x1d, new Uint8Array(34))));
  assertThrows(() => parseFreshnessCheck(encodeDatagram(0x12, new Uint8Array(33))));
});

Deno.test("the decoders of sealed packets throw nothing but their own errors on random bytes", () => {
  const generator = new Generator(17);
  for (let i = 0; i < 5_000; i++) {
    const bytes = generator.below(2) === 0
      ? generator.bytes(generator.below(120))
      : generator.mutate(sealed());
    if (bytes.toHex() === GOLDEN) continue; // a mutation may change nothing
    for (const decode of [open, readInnerPacket, parseFreshnessCheck]) {
      try {
        assert(decode(bytes) === undefined || decode !== open, "a forged packet was opened");
      } catch (error) {
        if (!(error instanceof InvalidPacketError)) throw error;
      }
    }
  }
});
