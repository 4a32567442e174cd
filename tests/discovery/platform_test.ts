import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { MULTICAST_V4, MULTICAST_V6 } from "../../src/discovery/groups.ts";
import { addressOn, bindForGroup, type BindTo, platformOf } from "../../src/discovery/platform.ts";

const WIFI4: BindTo = { family: "IPv4", name: "Wi-Fi", address: "192.168.1.7", index: undefined };
const WIFI6: BindTo = { family: "IPv6", name: "Wi-Fi", address: "fe80::7", index: 12 };
const PORTS = { tcp: 3485, udp: 3486 };

Deno.test("platformOf knows every system that the runtime names", () => {
  const names = {
    linux: "linux",
    android: "linux",
    darwin: "darwin",
    windows: "windows",
    freebsd: "bsd",
    netbsd: "bsd",
    solaris: "bsd",
  } as const;
  for (const [os, name] of Object.entries(names)) {
    assertEquals(platformOf(os as keyof typeof names).name, name);
  }
  assertEquals(platformOf(), platformOf(Deno.build.os));
});

Deno.test("bindForGroup hears all IPv4 interfaces with one socket, on every system", () => {
  for (const os of ["linux", "darwin", "windows", "freebsd"] as const) {
    assertEquals(bindForGroup(platformOf(os), MULTICAST_V4, WIFI4), "0.0.0.0");
  }
});

Deno.test("bindForGroup binds to the IPv6 group on the interface, on Windows to the interface itself", () => {
  for (const os of ["linux", "darwin", "freebsd"] as const) {
    assertEquals(bindForGroup(platformOf(os), MULTICAST_V6, WIFI6), `${MULTICAST_V6}%Wi-Fi`);
  }
  assertEquals(bindForGroup(platformOf("windows"), MULTICAST_V6, WIFI6), "fe80::7%12");
});

Deno.test("addressOn gives IPv6 addresses their zone, as an index on Windows", () => {
  assertEquals(addressOn(platformOf("linux"), MULTICAST_V4, WIFI4), MULTICAST_V4);
  assertEquals(addressOn(platformOf("linux"), "fe80::7", WIFI6), "fe80::7%Wi-Fi");
  assertEquals(addressOn(platformOf("windows"), MULTICAST_V6, WIFI6), `${MULTICAST_V6}%12`);
  const unnumbered = { ...WIFI6, index: undefined };
  assertEquals(addressOn(platformOf("windows"), "fe80::7", unnumbered), "fe80::7%Wi-Fi");
});

Deno.test("every system's firewalls come with commands that name both ports, or the program", () => {
  for (const os of ["linux", "darwin", "windows", "freebsd"] as const) {
    const { firewalls, multicastRoute, sourceChoosesInterface, title } = platformOf(os);
    assert(firewalls.length > 0, title);
    for (const { name, beFound } of firewalls) {
      const command = beFound(PORTS);
      const isWhole = command.includes("deno") ||
        (command.includes("3485") && command.includes("3486"));
      assert(isWhole, `${title}, ${name}: ${command}`);
    }
    // Where the address does not choose the interface, a route has to.
    assertEquals(multicastRoute("en0") === undefined, sourceChoosesInterface, title);
  }
  const [ufw] = platformOf("linux").firewalls;
  assertStringIncludes(ufw?.find("eth0") ?? "", "in on eth0");
  assertStringIncludes(platformOf("darwin").multicastRoute("en0") ?? "", "-interface en0");
});
