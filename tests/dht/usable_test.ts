import { assert } from "@std/assert";
import { isUsable } from "../../src/dht/usable.ts";

const FAR = { hostname: "192.0.2.1", port: 1 };
const HERE = { hostname: "127.0.0.1", port: 1 };

Deno.test("isUsable wants the address of one host, and a port", () => {
  for (const hostname of ["192.0.2.9", "2001:db8::1"]) {
    assert(isUsable({ hostname, port: 65_535 }, FAR), hostname);
    for (const port of [0, -1, 65_536, 1.5, NaN]) assert(!isUsable({ hostname, port }, FAR));
  }
  const nobody = ["", "bob.example", "0.0.0.0", "224.0.0.1", "255.255.255.255", "::", "ff02::1"];
  for (const hostname of [...nobody, "fe80::1%eth0", "192.0.2.9 ", "1", "0x7f.1"]) {
    assert(!isUsable({ hostname, port: 1 }, FAR), hostname);
  }
});

Deno.test("isUsable lets only who is on this machine name what else is there", () => {
  for (const hostname of ["127.0.0.1", "127.9.9.9", "::1"]) {
    assert(!isUsable({ hostname, port: 53 }, FAR), hostname);
    assert(isUsable({ hostname, port: 53 }, HERE), hostname);
  }
  assert(isUsable({ hostname: "192.0.2.9", port: 1 }, HERE));
});

Deno.test("isUsable lets nobody from the internet name what is in private networks", () => {
  for (const hostname of ["10.0.0.1", "192.168.1.1", "169.254.169.254", "fd00::1"]) {
    assert(!isUsable({ hostname, port: 80 }, FAR), hostname);
    assert(isUsable({ hostname, port: 80 }, { hostname: "192.168.1.20", port: 1 }), hostname);
  }
});

Deno.test("isUsable takes names in networks where hosts have some", () => {
  assert(isUsable({ hostname: "carol", port: 1 }, { hostname: "bob", port: 1 }));
  assert(!isUsable({ hostname: "", port: 1 }, { hostname: "bob", port: 1 }));
});
