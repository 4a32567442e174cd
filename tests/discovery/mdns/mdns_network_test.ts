import { assertEquals } from "@std/assert";
import { isInNetwork, networkBits } from "../../../src/discovery/mdns/mdns_network.ts";
import { interfaceOf } from "./mdns_fixture.ts";

Deno.test("isInNetwork tells an interface's neighbours from everybody else", () => {
  const cases: [
    address: string,
    broadcast: string | undefined,
    bits: number,
    near: string[],
    far: string[],
  ][] = [
    ["192.168.0.7", "192.168.0.255", 24, ["192.168.0.1", "192.168.0.7"], [
      "192.168.1.1",
      "8.8.8.8",
    ]],
    ["10.1.2.3", "10.255.255.255", 8, ["10.9.9.9"], ["11.0.0.1", "9.255.255.255"]],
    ["127.0.0.1", "127.255.255.255", 8, ["127.0.0.1"], ["10.0.0.1", "126.0.0.1"]],
    ["10.0.0.1", undefined, 32, ["10.0.0.1"], ["10.0.0.2", "fe80::1", "10.0.0.1%eth0"]],
  ];
  for (const [address, broadcast, bits, near, far] of cases) {
    const local = interfaceOf(address, { broadcast });
    assertEquals(networkBits(local), bits, address);
    for (const hostname of near) assertEquals(isInNetwork(hostname, local), true, hostname);
    for (const hostname of far) assertEquals(isInNetwork(hostname, local), false, hostname);
  }
});

Deno.test("isInNetwork takes link-local IPv6 addresses only", () => {
  const local = interfaceOf("fe80::1", { family: "IPv6", broadcast: undefined, index: 2 });
  assertEquals(isInNetwork("fe80::2%eth0", local), true);
  assertEquals(isInNetwork("FEBF::2", local), true);
  for (const far of ["fec0::1", "2001:db8::1", "::1", "10.0.0.1", "fe80.example"]) {
    assertEquals(isInNetwork(far, local), false, far);
  }
});
