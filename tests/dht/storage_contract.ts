/**
 * What every storage does, as tests.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { seededRandom } from "../../src/clock.ts";
import { contactOf } from "../../src/dht/contact.ts";
import { type DhtRecord, plainKey } from "../../src/dht/record.ts";
import {
  type DhtStorage,
  type Host,
  type ItemFacts,
  MAX_CONTACTS,
  type StoredItem,
  type Usage,
} from "../../src/dht/storage.ts";
import { encode } from "../../src/wire/msgpack.ts";
import { ann, bob, itemOf, numbered, oneOfEach, signed } from "./record_fixture.ts";

/** A storage for one test, and what holds it. */
export interface StorageCase extends Disposable {
  /** Empty at first. */
  readonly storage: DhtStorage;
}

const HOSTS: readonly Host[] = [
  { source: "192.0.2.1", subnet: "192.0.2.0/24" },
  { source: "192.0.2.2", subnet: "192.0.2.0/24" },
  { source: "192.0.2.2", subnet: undefined },
  { source: "10.0.0.1", subnet: undefined },
];

/** Tests a storage. @param open Makes one. */
export function testStorage(name: string, open: () => StorageCase): void {
  Deno.test(`${name} gives back what was put, of every kind`, () => {
    using kept = open();
    const items = oneOfEach().map((record, at) =>
      itemOf(record, { own: at % 2 === 1, ...HOSTS[at] })
    );
    for (const item of items) kept.storage.put(item);
    for (const item of items) {
      assertEquals(kept.storage.find(item.key, item.slot), item);
      assertEquals(kept.storage.get(item.key), [item]);
      assertEquals(kept.storage.under(item.key).map(factsOf), [factsOf(item)]);
    }
    assertEquals(kept.storage.find(itemOf(numbered(1)).key, ""), undefined);
    assertEquals(kept.storage.totals().records, items.length);
  });

  Deno.test(`${name} keeps authors under a key apart, in the order of their slots`, () => {
    using kept = open();
    const [one, other] = [signed({ scope: "shared" }), signed({ scope: "shared" }, bob)].map((
      record,
    ) => itemOf(record));
    for (const item of [one, other]) if (item !== undefined) kept.storage.put(item);
    const slots = kept.storage.get(one?.key ?? "").map(({ slot }) => slot);
    assertEquals(slots, [ann.peerId, bob.peerId].sort());
    kept.storage.delete(one?.key ?? "", ann.peerId);
    assertEquals(kept.storage.get(one?.key ?? ""), [other]);
  });

  Deno.test(`${name} puts an item in the place of that in its slot`, () => {
    using kept = open();
    const older = itemOf(numbered(1, 10));
    const newer = { ...itemOf(numbered(1, 3)), source: "10.0.0.2", expiresMs: 9, dueMs: 8 };
    kept.storage.put(older);
    kept.storage.put(newer);
    assertEquals(kept.storage.get(older.key), [newer]);
    assertEquals(kept.storage.totals(), { records: 1, bytes: newer.bytes });
    assertEquals(kept.storage.oldestOf(older), undefined);
    assertEquals(kept.storage.expired(2_000, 9).map(factsOf), [factsOf(newer)]);
    assertEquals(kept.storage.due(2_000, 9), [newer]);
  });

  Deno.test(`${name} keeps contacts in the place of those before, up to a limit`, () => {
    using kept = open();
    const contacts = Array.from({ length: MAX_CONTACTS + 5 }, (_, at) => {
      const name = at % 2 === 0 ? null : `n${at}`;
      return contactOf(plainKey(`${at}`), { hostname: "::1", port: at }, { tcpPort: 7, name });
    });
    assertEquals(kept.storage.loadContacts(), []);
    kept.storage.saveContacts(contacts.toReversed());
    kept.storage.saveContacts(contacts);
    assertEquals(kept.storage.loadContacts(), contacts.slice(0, MAX_CONTACTS));
  });

  Deno.test(`${name} gives every key once, also of many`, () => {
    using kept = open();
    const expected = new Set<string>();
    for (let n = 0; n < 300; n++) {
      const item = itemOf(numbered(n));
      kept.storage.put(item);
      expected.add(item.key);
    }
    for (const { peerId: slot } of [ann, bob]) {
      const record: DhtRecord = signed({ scope: "shared" }, slot === ann.peerId ? ann : bob);
      kept.storage.put(itemOf(record));
      expected.add(record.key.toHex());
    }
    const sorted = [...expected].sort();
    assertEquals([...kept.storage.keys()], sorted);
    for (const from of ["8", sorted[3] ?? "", "z"]) {
      const inTurn = [
        ...sorted.filter((key) => key >= from),
        ...sorted.filter((key) => key < from),
      ];
      assertEquals([...kept.storage.keys(from)], inTurn);
    }
  });

  Deno.test(`${name} does as a plain list does, whatever is done in whatever order`, () => {
    using kept = open();
    const { storage } = kept;
    const random = seededRandom(48);
    const below = (most: number) => Math.floor(random() * most);
    let list: StoredItem[] = [];
    for (let step = 0; step < 400; step++) {
      const record = numbered(below(40), below(50));
      const [expiresMs, dueMs] = [below(500_000), below(500_000)];
      const host = HOSTS[below(HOSTS.length)];
      const item = itemOf(record, { ...host, expiresMs, dueMs, own: below(5) === 0 });
      list = list.filter(({ key }) => key !== item.key);
      if (below(3) === 0) storage.delete(item.key, item.slot);
      else {
        storage.put(item);
        list.push(item);
      }
      const nowMs = below(500_000);
      assertEquals(storage.totals(), usageOf(list));
      const ended = list.filter((one) => one.expiresMs <= nowMs).map((one) => one.expiresMs);
      const expired = storage.expired(nowMs, 5).map((one) => one.expiresMs);
      assertEquals(expired, ended.sort((a, b) => a - b).slice(0, 5));
      const toPut = list.filter((one) => one.dueMs <= nowMs).sort((a, b) => a.dueMs - b.dueMs);
      assertEquals(
        storage.due(nowMs, 5).map((one) => one.dueMs),
        toPut.slice(0, 5).map((one) => one.dueMs),
      );
      for (const other of HOSTS) {
        const oldest = list.find((one) => !one.own && isOf(one, other));
        assertEquals(storage.oldestOf(other)?.key, oldest?.key);
      }
      if (step % 50 !== 0) continue;
      const usage = [...storage.usage()].map((one) => JSON.stringify(one, ORDER)).sort();
      const expected = HOSTS.flatMap((host) => {
        const of = list.filter((one) => !one.own && isOf(one, host));
        return of.length === 0 ? [] : [JSON.stringify({ ...host, ...usageOf(of) }, ORDER)];
      });
      assertEquals(usage, expected.sort());
      assertEquals([...storage.keys()].sort(), list.map(({ key }) => key).sort());
    }
  });

  Deno.test(`${name} may change while its keys are gone through`, () => {
    using kept = open();
    for (let n = 0; n < 300; n++) kept.storage.put(itemOf(numbered(n)));
    let seen = 0;
    for (const key of kept.storage.keys()) {
      kept.storage.delete(key, "");
      kept.storage.put(itemOf(numbered(1_000 + seen, 1)));
      if (++seen === 300) break;
    }
    assertEquals(kept.storage.totals().records, 300);
  });

  Deno.test(`${name} keeps times and numbers as large as there are`, () => {
    using kept = open();
    const item = itemOf(signed({ value: encode(1) }), { expiresMs: 8.64e15, dueMs: 8.64e15 });
    kept.storage.put(item);
    assertEquals(kept.storage.due(8.64e15, 1), [item]);
    assertEquals(kept.storage.expired(8.64e15 - 1, 1), []);
  });
}

const ORDER = ["source", "subnet", "records", "bytes"];

function isOf(item: ItemFacts, { source, subnet }: Host): boolean {
  return item.source === source && item.subnet === subnet;
}

function usageOf(items: readonly ItemFacts[]): Usage {
  return { records: items.length, bytes: items.reduce((sum, { bytes }) => sum + bytes, 0) };
}

function factsOf(
  { key, slot, source, subnet, bytes, expiresMs, dueMs, own }: ItemFacts,
): ItemFacts {
  return { key, slot, source, subnet, bytes, expiresMs, dueMs, own };
}
