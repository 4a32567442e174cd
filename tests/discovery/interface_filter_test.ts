import { assertEquals, assertThrows } from "@std/assert";
import { interfaceFilter } from "../../src/discovery/interface_filter.ts";

const NAMES = ["lo", "eth0", "eth1", "wlan0", "docker0", "veth12ab", "vEthernet (WSL)"];

Deno.test("interfaceFilter lets pass what is named, not what is denied, and all others of denials alone", () => {
  const cases: readonly (readonly [patterns: readonly string[], passing: readonly string[]])[] = [
    [[], NAMES],
    [["eth0"], ["eth0"]],
    [["eth*", "wl*"], ["eth0", "eth1", "wlan0"]],
    [["!docker*", "!v*"], ["lo", "eth0", "eth1", "wlan0"]],
    [["eth*", "!eth1"], ["eth0"]],
    [["!eth1", "*"], NAMES.filter((name) => name !== "eth1")],
    [["*th*"], ["eth0", "eth1", "veth12ab", "vEthernet (WSL)"]],
    [["vEthernet (WSL)"], ["vEthernet (WSL)"]],
    [["eth"], []],
    [["e.h0", "Eth0"], []], // nothing but * stands for anything
    [["!*"], []],
    [["eth**0", "*lan*"], ["eth0", "wlan0"]],
    [["eth0*eth0", "*eth0eth0"], []], // parts do not overlap
  ];
  for (const [patterns, passing] of cases) {
    assertEquals(NAMES.filter(interfaceFilter(patterns)), passing, patterns.join());
  }
});

Deno.test("interfaceFilter refuses what is no pattern", () => {
  const bad = [
    "",
    " ",
    "!",
    "!!eth0",
    "eth0,eth1",
    "eth0 ",
    " eth0",
    "a\nb",
    "\u202e0",
    "x".repeat(65),
  ];
  for (const pattern of bad) {
    assertThrows(() => interfaceFilter(["eth0", pattern]), TypeError, JSON.stringify(pattern));
  }
});

Deno.test("interfaceFilter does not try for long", () => {
  const isWanted = interfaceFilter([`${"*a".repeat(31)}*b`]);
  const startMs = performance.now();
  assertEquals(isWanted("a".repeat(64)), false);
  const tookMs = performance.now() - startMs;
  assertEquals(tookMs < 1_000, true, `${tookMs} ms`);
});
