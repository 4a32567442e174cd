import { assert, assertEquals, assertThrows } from "@std/assert";
import { seededRandom } from "../../src/clock.ts";
import { providerOf, providerValue } from "../../src/dht/provider.ts";
import type { SignedRecord } from "../../src/dht/record.ts";
import { InvalidPacketError } from "../../src/errors.ts";
import { encode } from "../../src/wire/msgpack.ts";
import { ann, oneOfEach, signed } from "./record_fixture.ts";

const NOTHING = new Uint8Array();

/** What ann says of herself, well-formed or not. */
function said(value: Uint8Array): SignedRecord {
  return signed({ scope: "provider", value });
}

function read(...parts: unknown[]) {
  return providerOf(said(encode(parts)));
}

Deno.test("providerOf reads what providerValue writes", () => {
  const hosts = ["10.0.0.1", "fd00::1"];
  assertEquals(providerOf(said(providerValue({ hosts, tcpPort: 3485 }, { watts: 7 }))), {
    peerId: ann.peerId,
    addresses: hosts.map((hostname) => ({ hostname, port: 3485 })),
    data: { watts: 7 },
  });
});

Deno.test("providerValue has these bytes", () => {
  const value = providerValue({ hosts: ["10.0.0.1"], tcpPort: 3485 }, true);
  assertEquals(value.toHex(), "93" + "91a8" + "31302e302e302e31" + "cd0d9d" + "c401c3");
});

Deno.test("providerValue names four addresses at most, and nothing for no data", () => {
  const hosts = [1, 2, 3, 4, 5].map((n) => `10.0.0.${n}`);
  const value = providerValue({ hosts, tcpPort: 1 }, undefined);
  assertEquals(value, encode([hosts.slice(0, 4), 1, NOTHING]));
  assertEquals(providerOf(said(value))?.data, undefined);
  // That is something.
  const nil = providerOf(said(providerValue({ hosts, tcpPort: 1 }, null)));
  assertEquals([nil?.addresses.length, nil?.data], [4, null]);
});

Deno.test("providerValue takes 512 bytes of data, and says how many there are of more", () => {
  const place = { hosts: ["10.0.0.1"], tcpPort: 1 };
  const most = new Uint8Array(512 - 3).fill(7);
  assertEquals(encode(most).length, 512);
  assertEquals(providerOf(said(providerValue(place, most)))?.data, most);
  const error = assertThrows(
    () => providerValue(place, new Uint8Array(512 - 2)),
    InvalidPacketError,
    "the data has 513 bytes, more than 512",
  );
  assertEquals(error.code, "too-large");
  assertEquals(error.details, { limit: "MAX_DATA_BYTES", max: 512, got: 513 });
  assertThrows(() => providerValue(place, () => {}), TypeError);
});

Deno.test("providerOf has nothing for records that say something else", () => {
  for (const record of oneOfEach()) assertEquals(providerOf(record), undefined, record.kind);
  const value = providerValue({ hosts: ["10.0.0.1"], tcpPort: 1 }, undefined);
  assertEquals(providerOf(signed({ scope: "shared", value })), undefined);
});

Deno.test("providerOf leaves nonsense out", () => {
  const hosts = ["10.0.0.1"];
  const odd: readonly unknown[][] = [
    [],
    [hosts, 1],
    [hosts, 1, NOTHING, NOTHING],
    ["10.0.0.1", 1, NOTHING],
    [null, 1, NOTHING],
    [hosts, 1, "data"],
    [hosts, 1, null],
    [hosts, 1, new Uint8Array([0xc1])],
    [hosts, 1, new Uint8Array([1, 2])],
    ...[0, -1, 1.5, 65_536, 2 ** 40, 2n ** 63n, "80", null].map((port) => [hosts, port, NOTHING]),
  ];
  for (const parts of odd) assertEquals(read(...parts), undefined, `${parts}`);
  for (const value of [null, 7, "text", { hosts }]) {
    assertEquals(providerOf(said(encode(value))), undefined);
  }
  assert(read(hosts, 65_535, NOTHING) !== undefined);
});

Deno.test("providerOf leaves hosts out that nobody should be sent to, and looks at four only", () => {
  const odd = ["", "localhost", "example.org", "0.0.0.0", "224.0.0.1", "255.255.255.255", "::"];
  const strange = [...odd, "ff02::1", "10.0.0.1:80", "10.0.0", "127.1", 7, null, ["10.0.0.1"]];
  for (const host of strange.filter((host) => !Array.isArray(host))) {
    assertEquals(read([host, "10.0.0.9"], 1, NOTHING)?.addresses, [
      { hostname: "10.0.0.9", port: 1 },
    ], `${host}`);
  }
  assertEquals(read([], 1, NOTHING)?.addresses, []);
  const late = read(["", "", "", "", "10.0.0.9"], 1, NOTHING);
  assertEquals(late?.addresses, []);
  const many = Array.from({ length: 1_000 }, (_, n) => `10.0.${n >> 8}.${n & 255}`);
  assertEquals(read(many, 1, NOTHING)?.addresses.length, 4);
});

Deno.test("providerOf gives no data where there is more than may be said", () => {
  const found = read(["10.0.0.1"], 1, encode(new Uint8Array(600)));
  assertEquals([found?.addresses.length, found?.data], [1, undefined]);
});

Deno.test("providerOf survives whatever its author signs", () => {
  const random = seededRandom(7);
  const good = providerValue({ hosts: ["10.0.0.1", "fd00::1"], tcpPort: 3485 }, { watts: 7 });
  const byte = () => Math.floor(random() * 256);
  let read = 0;
  const base = said(good);
  for (let n = 0; n < 2_000; n++) {
    const bytes = n % 2 === 0
      ? Uint8Array.from({ length: byte() % 64 }, byte)
      : good.with(Math.floor(random() * good.length), byte()).subarray(0, good.length - n % 3);
    const found = providerOf({ ...base, value: bytes });
    if (found === undefined) continue;
    read++;
    assert(found.addresses.every(({ port }) => port >= 1 && port <= 65_535));
  }
  assert(read > 100, `${read} could be read`);
});
