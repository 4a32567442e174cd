import { assertEquals } from "@std/assert";
import { isInNetwork, networkBits, sharedBits } from "../../src/discovery/interface_network.ts";
import { interfaceOf } from "./mdns/mdns_fixture.ts";

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

Deno.test("networkBits believes the prefix before the broadcast address, which may say too little", () => {
  // 10.0.0.127 is the last address of 10.0.0.64/26 and, as far as it tells, of 10.0.0.0/25.
  const local = interfaceOf("10.0.0.70", { broadcast: "10.0.0.127" });
  const exact = { ...local, prefixBits: 26 };
  assertEquals([networkBits(local), networkBits(exact)], [25, 26]);
  assertEquals([isInNetwork("10.0.0.1", local), isInNetwork("10.0.0.1", exact)], [true, false]);
  assertEquals(isInNetwork("10.0.0.65", exact), true);
  const tunnel = interfaceOf("10.9.0.1", { broadcast: undefined, prefixBits: 31 });
  assertEquals([isInNetwork("10.9.0.0", tunnel), isInNetwork("10.9.0.2", tunnel)], [true, false]);
  const everything = interfaceOf("10.9.0.1", { broadcast: undefined, prefixBits: 0 });
  assertEquals([isInNetwork("200.0.0.1", everything), isInNetwork("bob", everything)], [
    true,
    false,
  ]);
  const alias = interfaceOf("127.0.0.2", { prefixBits: 32, loopback: true });
  assertEquals(isInNetwork("127.0.0.1", alias), true);
});

Deno.test("sharedBits counts what two IPv4 addresses begin with alike", () => {
  const cases: [a: string, b: string, bits: number][] = [
    ["10.0.0.1", "10.0.0.1", 32],
    ["10.0.0.1", "10.0.0.0", 31],
    ["10.0.0.1", "10.0.1.1", 23],
    ["127.0.0.1", "128.0.0.1", 0],
    ["255.255.255.255", "255.255.255.254", 31],
    ["10.0.0.1", "bob", -1],
    ["fe80::1", "10.0.0.1", -1],
    ["10.0.0", "10.0.0.256", -1],
  ];
  for (const [a, b, bits] of cases) assertEquals(sharedBits(a, b), bits, `${a} ${b}`);
});

Deno.test("isInNetwork takes link-local IPv6 addresses only", () => {
  const local = interfaceOf("fe80::1", { family: "IPv6", broadcast: undefined, index: 2 });
  assertEquals(isInNetwork("fe80::2%eth0", local), true);
  assertEquals(isInNetwork("FEBF::2", local), true);
  for (const far of ["fec0::1", "2001:db8::1", "::1", "10.0.0.1", "fe80.example"]) {
    assertEquals(isInNetwork(far, local), false, far);
  }
});
