import { assertEquals, assertThrows } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import type { LocalInterface } from "../../src/discovery/interfaces.ts";
import { UsedInterfaces, type UsedInterfacesOptions } from "../../src/discovery/used_interfaces.ts";
import { UnsupportedError } from "../../src/errors.ts";
import { interfaceOf } from "./lan.ts";

function net(name: string, address: string, prefixBits = 24): LocalInterface {
  return { ...interfaceOf(address), name, prefixBits };
}

const LO = { ...net("lo", "127.0.0.1", 8), loopback: true };
const HOME = net("eth0", "10.0.0.1");
const CAFE = net("wlan0", "10.0.1.1");
/** A network that the others lie in. */
const WIDE = net("tun0", "10.5.0.1", 8);
const V6 = { ...net("eth0", "fe80::1", 64), family: "IPv6", index: 2 } as const;

const clock = new ManualClock();

function used(options: UsedInterfacesOptions): UsedInterfaces {
  return new UsedInterfaces({ interfaces: () => [LO, HOME, CAFE, WIDE, V6], clock, ...options });
}

const STRANGERS = [
  "127.0.0.9",
  "10.0.0.7",
  "10.0.1.7",
  "10.7.7.7",
  "8.8.8.8",
  "fe80::2%eth0",
  "bob",
];

function leftOut(options: UsedInterfacesOptions): string[] {
  const interfaces = used(options);
  return STRANGERS.filter((hostname) => interfaces.isLeftOut({ hostname, port: 1 }));
}

Deno.test("UsedInterfaces lists those of an address and of names", () => {
  const names = (options: UsedInterfacesOptions) => used(options).list().map(({ name }) => name);
  assertEquals(names({}), ["lo", "eth0", "wlan0", "tun0", "eth0"]);
  assertEquals(names({ only: ["eth*", "!lo"] }), ["eth0", "eth0"]);
  assertEquals(names({ hostname: "10.0.1.1" }), ["wlan0"]);
  assertEquals(names({ hostname: "10.0.1.1", only: ["eth0"] }), []);
  assertThrows(() => used({ only: ["!"] }), TypeError);
});

Deno.test("UsedInterfaces leaves out who is nearer to an interface that is not used than to one that is", () => {
  assertEquals(leftOut({}), []);
  assertEquals(leftOut({ hostname: "0.0.0.0" }), []);
  assertEquals(leftOut({ only: ["!wlan0"] }), ["10.0.1.7"]);
  assertEquals(leftOut({ only: ["eth0"] }), ["10.0.1.7", "10.7.7.7"]);
  assertEquals(leftOut({ only: ["tun0"] }), ["10.0.0.7", "10.0.1.7"]);
  assertEquals(leftOut({ hostname: "10.0.1.1" }), ["10.0.0.7", "10.7.7.7"]);
});

Deno.test("UsedInterfaces of this machine alone leaves everybody else out, and lists nothing for it", () => {
  const interfaces = (): never => {
    throw new UnsupportedError("Cannot list network interfaces");
  };
  for (const hostname of ["127.0.0.1", "localhost", "::1"]) {
    assertEquals(leftOut({ hostname, interfaces }), STRANGERS.slice(1));
  }
  assertEquals(leftOut({ interfaces }), []); // nothing can be left out
  assertThrows(() => leftOut({ only: ["eth0"], interfaces }), UnsupportedError);
});

Deno.test("UsedInterfaces lists again what may have changed, once in two seconds however many ask", async () => {
  let [all, lists] = [[HOME], 0];
  const interfaces = () => {
    lists++;
    return all;
  };
  const some = used({ interfaces, only: ["eth0"] });
  const isLeftOut = () => some.isLeftOut({ hostname: "10.0.1.7", port: 1 });
  assertEquals([isLeftOut(), isLeftOut(), lists], [false, false, 1]);
  all = [HOME, CAFE];
  await clock.advance(1_999);
  assertEquals([isLeftOut(), lists], [false, 1]);
  await clock.advance(1);
  assertEquals([isLeftOut(), isLeftOut(), lists], [true, true, 2]);
});
