import { assertEquals } from "@std/assert";
import type { DnsRecord } from "../../../src/discovery/mdns/dns_record.ts";
import {
  MAX_CACHED,
  MAX_CACHED_PER_SOURCE,
  MdnsCache,
} from "../../../src/discovery/mdns/mdns_cache.ts";

const NAME = ["a", "local"];
const SAID = { on: "eth0", source: "10.0.0.9", nowMs: 0 };

function a(address: string, rest: { ttlS?: number; flush?: boolean } = {}): DnsRecord {
  return { type: "A", name: NAME, address, ttlS: 120, flush: true, ...rest };
}

function addresses(cache: MdnsCache, on = "eth0"): string[] {
  return cache.get(on, "A", ["A", "LOCAL"]).map(({ record }) => record.address);
}

Deno.test("MdnsCache forgets a record when its time is over, and not when it was said again", () => {
  const cache = new MdnsCache();
  assertEquals(cache.put(a("1.1.1.1"), SAID), "new");
  cache.purge(119_999);
  assertEquals(cache.put(a("1.1.1.1"), { ...SAID, nowMs: 119_999 }), "known");
  cache.purge(239_998);
  assertEquals(addresses(cache), ["1.1.1.1"]);
  cache.purge(239_999);
  assertEquals([addresses(cache), cache.size], [[], 0]);
});

Deno.test("MdnsCache forgets what is taken back a second later, unless it is said again", () => {
  const cache = new MdnsCache();
  cache.put(a("1.1.1.1"), SAID);
  assertEquals(cache.put(a("1.1.1.1", { ttlS: 0 }), SAID), "known");
  assertEquals(cache.put(a("2.2.2.2", { ttlS: 0 }), SAID), "known", "it was never there");
  cache.purge(999);
  assertEquals(addresses(cache), ["1.1.1.1"]);
  cache.put(a("1.1.1.1"), { ...SAID, nowMs: 999 });
  cache.purge(1_000);
  assertEquals(addresses(cache), ["1.1.1.1"]);
});

Deno.test("MdnsCache replaces what was said before, on that interface, and not what was said just now", () => {
  const cache = new MdnsCache();
  cache.put(a("1.1.1.1"), SAID);
  cache.put(a("9.9.9.9"), { ...SAID, on: "lo" });
  cache.put(a("2.2.2.2"), { ...SAID, nowMs: 1_001 });
  cache.put(a("3.3.3.3"), { ...SAID, nowMs: 1_002 });
  cache.purge(2_003);
  assertEquals(addresses(cache), ["2.2.2.2", "3.3.3.3"]);
  assertEquals(addresses(cache, "lo"), ["9.9.9.9"]);
});

Deno.test("MdnsCache believes nobody for more than 75 minutes", () => {
  const cache = new MdnsCache();
  cache.put(a("1.1.1.1", { ttlS: 2 ** 31 }), SAID);
  cache.purge(75 * 60_000 - 1);
  assertEquals(cache.size, 1);
  cache.purge(75 * 60_000);
  assertEquals(cache.size, 0);
});

Deno.test("MdnsCache keeps so many records from a source, and so many in all", () => {
  const cache = new MdnsCache();
  const outcomes = (source: string) =>
    Array.from({ length: 600 }, (_, i) => {
      const name = [`${source} ${i}`, "local"];
      return cache.put({ ...a("1.1.1.1"), name }, { ...SAID, source });
    }).filter((outcome) => outcome === "new").length;
  assertEquals(outcomes("mallory"), MAX_CACHED_PER_SOURCE);
  assertEquals(outcomes("malvin"), MAX_CACHED - MAX_CACHED_PER_SOURCE);
  assertEquals(cache.put(a("1.1.1.1"), SAID), "full");
  cache.purge(120_000);
  assertEquals([cache.size, cache.put(a("1.1.1.1"), SAID)], [0, "new"]);
});

Deno.test("MdnsCache knows which hosts services are at, as long as one is", () => {
  const cache = new MdnsCache();
  const srv = (label: string, ttlS: number): DnsRecord => ({
    type: "SRV",
    name: [label, "_kith", "_tcp", "local"],
    priority: 0,
    weight: 0,
    port: 1,
    target: NAME,
    ttlS,
    flush: true,
  });
  assertEquals(cache.isTarget("eth0", NAME), false);
  cache.put(srv("x", 10), SAID);
  cache.put(srv("y", 20), SAID);
  cache.purge(10_000);
  assertEquals([cache.isTarget("eth0", ["A", "local"]), cache.isTarget("lo", NAME)], [true, false]);
  cache.purge(20_000);
  assertEquals(cache.isTarget("eth0", NAME), false);
});
