import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { broadcastOf, interfacesAt, localInterfaces } from "../../src/discovery/interfaces.ts";
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
  for (const { family, address, index, broadcast } of found) {
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
