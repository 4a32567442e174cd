import { assert, assertEquals, assertThrows } from "@std/assert";
import { InvalidPacketError } from "../../src/errors.ts";
import {
  believable,
  type Contact,
  isReachable,
  MAX_CONTACT_HOSTS,
  MAX_CONTACTS,
  readContact,
  readContacts,
  writeContact,
} from "../../src/gossip/contact.ts";
import { decode, encode } from "../../src/wire/msgpack.ts";
import { Generator } from "../fuzz/generate.ts";

const ID = "0a".repeat(20);
const ID_BYTES = Uint8Array.fromHex(ID);
const BOB: Contact = { peerId: ID, hosts: ["10.0.0.1", "fd00::1"], port: 3_485 };

function assertRefused(value: unknown, why: RegExp): void {
  const error = assertThrows(() => readContact(value), InvalidPacketError);
  assertEquals(error.code, "bad-message");
  assertEquals(error.details, { element: "contact" });
  assert(why.test(error.message), error.message);
}

Deno.test("writeContact writes a contact in known bytes", () => {
  const hex = `93c414${ID}92a831302e302e302e31a7666430303a3a31cd0d9d`;
  assertEquals(encode(writeContact(BOB)).toHex(), hex);
  assertEquals(readContact(decode(Uint8Array.fromHex(hex))), BOB);
});

Deno.test("writeContact leaves out addresses beyond the fourth, which are the worst", () => {
  const hosts = [1, 2, 3, 4, 5].map((nth) => `10.0.0.${nth}`);
  assertEquals(readContact(writeContact({ ...BOB, hosts })).hosts, hosts.slice(0, 4));
});

Deno.test("readContact gives back any contact that was written", () => {
  const generator = new Generator(7);
  for (let round = 0; round < 300; round++) {
    const hosts = Array.from({ length: generator.below(MAX_CONTACT_HOSTS + 1) }, () => {
      const [a, b] = [generator.below(256), generator.below(256)];
      return generator.pick([`${1 + a % 223}.${b}.0.255`, `fd00::${(b + 1).toString(16)}`]);
    });
    const contact = { peerId: generator.bytes(20).toHex(), hosts, port: generator.below(65_536) };
    assertEquals(readContact(decode(encode(writeContact(contact)))), contact);
  }
});

Deno.test("readContact refuses what is no array of three", () => {
  for (const value of [undefined, null, 3, "bob", {}, [], [ID_BYTES, []], ID_BYTES]) {
    assertRefused(value, /it is no array of 3$/);
  }
  assertRefused([ID_BYTES, [], 1, 1], /it is no array of 3$/);
});

Deno.test("readContact refuses an id that is not 20 bytes", () => {
  for (const id of [ID, null, [], 20, new Uint8Array(19), new Uint8Array(21), new Date(0)]) {
    assertRefused([id, ["10.0.0.1"], 1], /the id is not 20 bytes$/);
  }
});

Deno.test("readContact refuses hosts that are not at most four addresses", () => {
  const five = Array.from({ length: 5 }, () => "10.0.0.1");
  const sparse = new Array<string>(1e6);
  for (const hosts of [undefined, null, "10.0.0.1", { length: 0 }, five, sparse, [1], [null]]) {
    assertRefused([ID_BYTES, hosts, 1], /its hosts are not at most 4 IP addresses$/);
  }
});

Deno.test("readContact refuses a host that is no address of one host, so that nobody is sent to many", () => {
  const groups = ["224.0.0.1", "239.1.11.11", "ff02::1", "255.255.255.255", "240.0.0.1"];
  const nowhere = ["0.0.0.0", "0.1.2.3", "::", "0:0::0"];
  const disguised = ["::ffff:127.0.0.1", "::ffff:7f00:1", "fe80::1%eth0", "fd00:0::1", "010.0.0.1"];
  const names = [
    "localhost",
    "bob.example",
    "",
    "10.0.0.1:80",
    "[fd00::1]",
    "10.0.0.1\0",
    "1",
    "0x7f.1",
  ];
  for (const host of [...groups, ...nowhere, ...disguised, ...names]) {
    assertRefused([ID_BYTES, ["10.0.0.1", host], 1], /its hosts are not/);
  }
});

Deno.test("readContact takes addresses of this machine and of its networks, which tests and offices have", () => {
  for (const host of ["127.0.0.1", "::1", "10.1.2.3", "192.168.0.1", "169.254.0.1", "fe80::1"]) {
    assertEquals(readContact([ID_BYTES, [host], 1]).hosts, [host]);
  }
});

Deno.test("readContact refuses a port that is none", () => {
  for (const port of [-1, 65_536, 1.5, NaN, Infinity, 2 ** 53, 1n, "80", null, undefined, [80]]) {
    assertRefused([ID_BYTES, [], port], /its port is none$/);
  }
  assertEquals([0, 65_535].map((port) => readContact([ID_BYTES, [], port]).port), [0, 65_535]);
});

Deno.test("readContact says nothing of what it was given", () => {
  const error = assertThrows(() => readContact([ID_BYTES, ["\x1b[2J"], 1]), InvalidPacketError);
  assertEquals(
    error.message,
    "Cannot decode gossip contact: its hosts are not at most 4 IP addresses",
  );
});

Deno.test("readContacts takes 16 contacts and refuses 17", () => {
  const full = Array.from({ length: MAX_CONTACTS }, () => writeContact(BOB));
  assertEquals(readContacts(full).length, MAX_CONTACTS);
  assertEquals(readContacts([]), []);
  for (const value of [[...full, writeContact(BOB)], null, {}, "", new Array(1e6)]) {
    assertThrows(() => readContacts(value), InvalidPacketError, "not at most 16 in a list");
  }
  assertThrows(() => readContacts([writeContact(BOB), null]), InvalidPacketError, "no array of 3");
});

Deno.test("believable leaves addresses of a machine itself to who is on it", () => {
  const hosts = ["10.0.0.1", "127.0.0.1", "127.8.9.1", "::1", "fd00::1"];
  assertEquals(believable({ ...BOB, hosts }, false).hosts, ["10.0.0.1", "fd00::1"]);
  assertEquals(believable({ ...BOB, hosts }, true).hosts, hosts);
});

Deno.test("believable leaves out what is no address of one host for everybody", () => {
  const hosts = ["fe80::1", "FEBF::1", "fe80::1%eth0", "::ffff:10.0.0.1", "bob.example", "ff02::1"];
  for (const isLocal of [true, false]) {
    const { hosts: left, ...rest } = believable({ ...BOB, hosts: [...hosts, "fec0::1"] }, isLocal);
    assertEquals([left, rest], [["fec0::1"], { peerId: BOB.peerId, port: BOB.port }]);
  }
});

Deno.test("isReachable wants an address and a port", () => {
  assert(isReachable(BOB));
  assert(!isReachable({ ...BOB, hosts: [] }));
  assert(!isReachable({ ...BOB, port: 0 }));
});
