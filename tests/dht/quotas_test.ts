import { assertEquals, assertThrows } from "@std/assert";
import { seededRandom } from "../../src/clock.ts";
import { DEFAULT_QUOTAS, type QuotaOptions, Quotas } from "../../src/dht/quotas.ts";
import type { Host, Usage } from "../../src/dht/storage.ts";
import { LimitError } from "../../src/errors.ts";

function host(network: number | undefined, number: number): Host {
  const subnet = network === undefined ? undefined : `192.0.${network}.0/24`;
  return { source: `192.0.${network ?? "x"}.${number}`, subnet };
}

/** Quotas in which hosts have brought so many records, of 100 bytes each. */
function quotasOf(brought: readonly (readonly [Host, number])[], options: QuotaOptions = {}) {
  const quotas = new Quotas(options);
  for (const [who, records] of brought) quotas.count(who, { records, bytes: 100 * records });
  return quotas;
}

const [a1, a2, b1, c1] = [host(1, 1), host(1, 2), host(2, 1), host(undefined, 1)];

Deno.test("Quotas counts what hosts and their networks brought", () => {
  const quotas = quotasOf([[a1, 3], [a2, 2], [c1, 1]]);
  assertEquals(quotas.usage, { records: 6, bytes: 600 });
  assertEquals(quotas.usageOf(a1), { records: 3, bytes: 300 });
  assertEquals(quotas.usageOfNetwork(a1), { records: 5, bytes: 500 });
  assertEquals(quotas.usageOfNetwork(c1), { records: 1, bytes: 100 });
  quotas.count(a2, { records: -2, bytes: -200 });
  assertEquals(quotas.usageOf(a2), { records: 0, bytes: 0 });
  assertEquals(quotas.usageOfNetwork(a1), { records: 3, bytes: 300 });
  quotas.forget(a1);
  assertEquals(quotas.usageOfNetwork(a1), { records: 0, bytes: 0 });
  assertEquals(quotas.usage, { records: 1, bytes: 100 });
});

Deno.test("Quotas names the quota that a record would break", () => {
  const cases: readonly (readonly [QuotaOptions, Host, number])[] = [
    [{ maxBytes: 99 }, a1, 100],
    [{ maxRecordsPerSource: 3 }, a1, 0],
    [{ maxBytesPerSource: 399 }, a1, 100],
    [{ maxRecordsPerSubnet: 5 }, a1, 0],
    [{ maxBytesPerSubnet: 599 }, a1, 100],
  ];
  for (const [options, who, bytes] of cases) {
    const [[limit, max] = []] = Object.entries(options);
    const brought = [[a1, 3], [a2, 2], [c1, 3]] as const;
    const error = assertThrows(
      () => quotasOf(brought, options).assertMayBring(who, bytes),
      LimitError,
      `more than ${limit} ${max}`,
    );
    assertEquals([error.code, error.details], ["limit", { limit, max }]);
    quotasOf(brought, { [`${limit}`]: Number(max) + 1 }).assertMayBring(who, bytes);
  }
  // A host that stands for itself has no network that is full.
  quotasOf([[c1, 3]], { maxRecordsPerSubnet: 3 }).assertMayBring(c1, 0);
});

Deno.test("Quotas has the newcomer's network lose to nobody but itself while another has more", () => {
  const brought = [[a1, 4], [a2, 2], [b1, 5], [c1, 1]] as const;
  const quotas = quotasOf(brought);
  assertEquals(quotas.greatest(), a1);
  assertEquals(quotas.whoMakesRoom(c1, 100), a1);
  assertEquals(quotas.whoMakesRoom(b1, 0), undefined); // it would have as many as the greatest
  assertEquals(quotas.whoMakesRoom(a2, 100), a1); // within its own network a1 has more
  assertEquals(quotas.whoMakesRoom(a1, 100), undefined);
  assertEquals(new Quotas().whoMakesRoom(a1, 100), undefined);
  assertEquals(new Quotas().greatest(), undefined);
});

Deno.test("Quotas measures a share in records and bytes at once", () => {
  const quotas = new Quotas({ maxRecords: 100, maxBytes: 100_000 });
  quotas.count(a1, { records: 1, bytes: 9_000 }); // a share of 10
  quotas.count(b1, { records: 8, bytes: 900 }); // of 8
  assertEquals(quotas.greatest(), a1);
  assertEquals(quotas.whoMakesRoom(c1, 7_999), a1);
  assertEquals(quotas.whoMakesRoom(c1, 9_000), undefined);
});

Deno.test("Quotas has room until records or bytes are full", () => {
  const quotas = quotasOf([[a1, 9]], { maxRecords: 10, maxBytes: 1_000 });
  assertEquals([100, 101].map((bytes) => quotas.hasRoomFor(bytes)), [true, false]);
  quotas.count(a1, { records: 1, bytes: 0 });
  assertEquals(quotas.hasRoomFor(0), false);
});

Deno.test("Quotas knows who has most, whatever comes and goes", () => {
  const random = seededRandom(49);
  const below = (most: number) => Math.floor(random() * most);
  const quotas = new Quotas({ maxRecords: 1_000, maxBytes: 100_000 });
  const brought = new Map<Host, Usage>();
  const hosts = Array.from({ length: 24 }, (_, n) => host(n < 20 ? n % 5 : undefined, n));
  const shareOf = (of: readonly Host[]) => {
    const total = (field: "records" | "bytes") =>
      of.reduce((sum, one) => sum + (brought.get(one)?.[field] ?? 0), 0);
    return total("records") + Math.floor(total("bytes") / 100);
  };
  const neighbours = (one: Host) =>
    hosts.filter((other) =>
      other === one || one.subnet !== undefined && other.subnet === one.subnet
    );
  for (let step = 0; step < 2_000; step++) {
    const one = hosts[below(hosts.length)] ?? a1;
    const { records, bytes } = brought.get(one) ?? { records: 0, bytes: 0 };
    const isLess = records > 0 && below(2) === 0;
    const change = isLess
      ? { records: -records, bytes: -bytes }
      : { records: 1 + below(3), bytes: below(400) };
    quotas.count(one, change);
    brought.set(one, { records: records + change.records, bytes: bytes + change.bytes });
    const greatest = quotas.greatest();
    const most = Math.max(...hosts.map((other) => shareOf(neighbours(other))));
    assertEquals(greatest === undefined, most === 0);
    if (greatest === undefined) continue;
    const found = hosts.find(({ source }) => source === greatest.source) ?? a1;
    assertEquals(shareOf(neighbours(found)), most);
    assertEquals(shareOf([found]), Math.max(...neighbours(found).map((other) => shareOf([other]))));
  }
});

Deno.test("Quotas refuses limits that are none", () => {
  for (const value of [0, -1, 1.5, NaN, Infinity]) {
    assertThrows(() => new Quotas({ maxPerKey: value }), RangeError, "maxPerKey must be");
  }
  assertEquals(new Quotas({ maxPerKey: 7 }).limits, { ...DEFAULT_QUOTAS, maxPerKey: 7 });
});
