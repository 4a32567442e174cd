import {
  assert,
  assertEquals,
  assertNotEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import {
  broadcastOf,
  interfacesAt,
  keyOf,
  localInterfaces,
} from "../../src/discovery/interfaces.ts";
import { UnsupportedError } from "../../src/errors.ts";
import { interfaceOf } from "./lan.ts";

Deno.test("broadcastOf sets the bits that the network leaves to hosts", () => {
  const cases: Record<string, string | undefined> = {
    "10.1.2.3/8": "10.255.255.255",
    "172.16.5.4/12": "172.31.255.255",
    "192.168.1.7/24": "192.168.1.255",
    "192.168.1.7/25": "192.168.1.127",
    "192.168.1.200/25": "192.168.1.255",
    "255.0.0.1/9": "255.127.255.255",
    "10.0.0.1/30": "10.0.0.3",
    "10.0.0.1/31": undefined,
    "10.0.0.1/32": undefined,
    "127.0.0.1/8": "127.255.255.255",
    "1.2.3.4/0": "255.255.255.255",
    "fe80::1/64": undefined,
    "10.0.0.1": undefined,
    "": undefined,
  };
  for (const [cidr, broadcast] of Object.entries(cases)) {
    assertEquals(broadcastOf(cidr), broadcast, cidr);
  }
});

Deno.test("interfacesAt gives the one that an address names, and all for none and for wildcards", () => {
  const addresses = ["127.0.0.1", "10.0.0.1", "fe80::1"];
  const all = addresses.map((address) => interfaceOf(address));
  const at = (hostname?: string) => interfacesAt(all, hostname).map(({ address }) => address);
  for (const any of [undefined, "0.0.0.0", "::"]) assertEquals(at(any), addresses, any);
  assertEquals(at("10.0.0.1"), ["10.0.0.1"]);
  assertEquals(at("fe80::1%eth0"), ["fe80::1"]);
  assertEquals(at("localhost"), ["127.0.0.1"]);
  assertEquals(at("nonsense"), []);
});

Deno.test("localInterfaces lists IPv4 addresses and link-local IPv6 ones only", () => {
  const found = localInterfaces();
  const loopback = found.find(({ address }) => address === "127.0.0.1");
  assertEquals([loopback?.family, loopback?.loopback], ["IPv4", true]);
  assertEquals(loopback?.prefixBits, 8);
  for (const { family, address, index, broadcast, prefixBits = -1 } of found) {
    assert(prefixBits >= 0 && prefixBits <= (family === "IPv4" ? 32 : 128), `${prefixBits}`);
    if (family === "IPv4") {
      assert(/^\d+(\.\d+){3}$/.test(address), address);
      assertEquals(index, undefined);
    } else {
      assert(/^fe[89ab]/.test(address), address);
      assert(index !== undefined && index > 0);
      assertEquals(broadcast, undefined);
    }
  }
});

Deno.test({
  name: "localInterfaces names the permission that is missing",
  permissions: { sys: false },
  fn: () => {
    const error = assertThrows(() => localInterfaces(), UnsupportedError);
    assertStringIncludes(error.message, "--allow-sys=networkInterfaces");
    assertEquals(error.details, { permission: "--allow-sys=networkInterfaces" });
  },
});

Deno.test("localInterfaces blames no permission for what the system refuses", () => {
  const list = Deno.networkInterfaces;
  const cause = new Error("Permission denied (os error 13)");
  Deno.networkInterfaces = () => {
    throw cause;
  };
  try {
    const error = assertThrows(() => localInterfaces(), UnsupportedError);
    assertEquals(error.message, `Cannot list network interfaces: ${cause.message}`);
    assertEquals([error.cause, error.details], [cause, {}]);
  } finally {
    Deno.networkInterfaces = list;
  }
});

Deno.test("keyOf tells an address of a network from the same one of another network", () => {
  const one = { ...interfaceOf("10.0.0.70"), broadcast: "10.0.0.127", prefixBits: 25 };
  assertEquals(keyOf(one), keyOf({ ...one }));
  for (const change of [{ prefixBits: 26 }, { broadcast: "10.0.0.255" }, { name: "wlan0" }]) {
    assertNotEquals(keyOf(one), keyOf({ ...one, ...change }));
  }
});
