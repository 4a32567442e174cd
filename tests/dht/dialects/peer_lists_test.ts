import { assert, assertEquals } from "@std/assert";
import { ManualClock } from "../../../src/clock.ts";
import { LIST_KEYS, listKeyFor } from "../../../src/dht/dialects/list_keys.ts";
import {
  LIST_ENTRY_MS,
  LIST_ENTRY_STALE_MS,
  MAX_ENTRIES_PER_HOST,
  MAX_LIST_ENTRIES,
  PeerLists,
} from "../../../src/dht/dialects/peer_lists.ts";
import { decode, encode } from "../../../src/wire/msgpack.ts";
import { type RemotePeer, remotePeerToRecord } from "../../../src/wire/remote_peer.ts";
import { fromNotation, loadVectors } from "../../testdata/vectors.ts";
import { idOf } from "./dialect_fixture.ts";

const [FIRST = idOf(), SECOND = idOf()] = LIST_KEYS;

function peer(nth: number, username = `peer ${nth}`): RemotePeer {
  const id = idOf(1, nth >> 8, nth & 0xff);
  return { id, username, ip: "192.0.2.1", tcpPort: 3485, udpPort: 3486, status: 1 };
}

function from(host: number, port = 3_486) {
  return { hostname: `10.0.${host >> 8}.${host & 0xff}`, port };
}

function namesIn(entries: readonly Uint8Array[]): unknown[] {
  return entries.map((bytes) => (decode(bytes) as unknown[])[1]);
}

Deno.test("LIST_KEYS are the original's", () => {
  const keys = loadVectors("peerconnect.list_ids").map(({ value }) => fromNotation(value));
  assertEquals<unknown[]>([...LIST_KEYS], keys);
});

Deno.test("listKeyFor gives the list of the nearest key", () => {
  for (const key of LIST_KEYS) assertEquals(listKeyFor(key), key);
  assertEquals(listKeyFor(idOf(0x0c)).toHex(), LIST_KEYS[1]?.toHex());
  assertEquals(listKeyFor(new Uint8Array(20).fill(0xff)).toHex(), LIST_KEYS[19]?.toHex());
});

Deno.test("PeerLists keeps peers in the twenty lists, the last given first", () => {
  const lists = new PeerLists(new ManualClock());
  assert(lists.store(FIRST, peer(1), from(1)) && lists.store(FIRST, peer(2), from(2)));
  assert(lists.store(SECOND, peer(1), from(1)));
  assert(!lists.store(idOf(9), peer(1), from(1)), "no such list");
  assertEquals(
    lists.entries(FIRST),
    [peer(2), peer(1)].map((one) => encode(remotePeerToRecord(one))),
  );
  assertEquals(lists.entries(idOf(9)), []);
  assertEquals(lists.size, 3);
  assert(lists.store(FIRST, peer(1), from(1)));
  assertEquals(namesIn(lists.entries(FIRST)), ["peer 1", "peer 2"]);
  assertEquals(lists.size, 3);
});

Deno.test("PeerLists forgets an entry that is not given again", async () => {
  const clock = new ManualClock();
  const lists = new PeerLists(clock);
  lists.store(FIRST, peer(1), from(1));
  lists.store(FIRST, peer(2), from(2));
  await clock.advance(LIST_ENTRY_MS - 1);
  lists.store(FIRST, peer(1), from(1));
  await clock.advance(1);
  assertEquals(namesIn(lists.entries(FIRST)), ["peer 1"]);
  await clock.advance(LIST_ENTRY_MS);
  assertEquals([lists.size, lists.search("peer")], [0, []]);
});

Deno.test("PeerLists lets nobody change an entry that its host keeps giving", async () => {
  const clock = new ManualClock();
  const lists = new PeerLists(clock);
  lists.store(FIRST, peer(1, "bob"), from(1));
  assert(lists.store(FIRST, peer(1, "mallory"), from(2)), "it is told nothing of that");
  assertEquals(namesIn(lists.entries(FIRST)), ["bob"]);
  lists.store(FIRST, peer(1, "robert"), from(1));
  assertEquals(namesIn(lists.entries(FIRST)), ["robert"]);
  await clock.advance(LIST_ENTRY_STALE_MS);
  lists.store(FIRST, peer(1, "moved"), from(2));
  assertEquals(namesIn(lists.entries(FIRST)), ["moved"]);
});

Deno.test("PeerLists: a host fills no list alone, nor takes room from others", () => {
  const lists = new PeerLists(new ManualClock());
  lists.store(FIRST, peer(9_999), from(1));
  const stored = Array.from({ length: MAX_ENTRIES_PER_HOST + 5 }, (_, nth) => {
    return lists.store(nth % 2 === 0 ? FIRST : SECOND, peer(nth), from(2, nth + 1));
  });
  assertEquals(stored.filter(Boolean).length, MAX_ENTRIES_PER_HOST);
  assertEquals(lists.size, MAX_ENTRIES_PER_HOST + 1);
  const here = { hostname: "127.0.0.1", port: 1 };
  assert(lists.store(FIRST, peer(8_888), here), "another host has room");
});

Deno.test("PeerLists: a full list drops only what was not given again for a while", async () => {
  const clock = new ManualClock();
  const lists = new PeerLists(clock);
  for (let nth = 0; nth < MAX_LIST_ENTRIES; nth++) assert(lists.store(FIRST, peer(nth), from(nth)));
  assert(!lists.store(FIRST, peer(5_000), from(5_000)));
  await clock.advance(LIST_ENTRY_STALE_MS);
  for (let nth = 1; nth < MAX_LIST_ENTRIES; nth++) lists.store(FIRST, peer(nth), from(nth));
  assert(lists.store(FIRST, peer(5_000), from(5_000)));
  assert(!lists.store(FIRST, peer(5_001), from(5_001)));
  assertEquals(lists.size, MAX_LIST_ENTRIES);
  assert(!namesIn(lists.entries(FIRST)).includes("peer 0"));
});

Deno.test("PeerLists: who may put in no more makes nobody go", async () => {
  const clock = new ManualClock();
  const lists = new PeerLists(clock);
  for (let nth = 0; nth < MAX_ENTRIES_PER_HOST; nth++) lists.store(SECOND, peer(nth), from(7));
  for (let nth = 0; nth < MAX_LIST_ENTRIES; nth++) lists.store(FIRST, peer(nth), from(100 + nth));
  await clock.advance(LIST_ENTRY_STALE_MS);
  assert(!lists.store(FIRST, peer(5_000), from(7)));
  assertEquals(lists.entries(FIRST).length, MAX_LIST_ENTRIES);
});

Deno.test("PeerLists keeps nothing that is longer than an entry may be", () => {
  const lists = new PeerLists(new ManualClock());
  assert(!lists.store(FIRST, peer(1, "x".repeat(250)), from(1)));
  assert(lists.store(FIRST, peer(1, "x".repeat(190)), from(1)));
});

Deno.test("PeerLists.search gives each peer once whose name contains a text", () => {
  const lists = new PeerLists(new ManualClock());
  lists.store(FIRST, peer(1, "bob"), from(1));
  lists.store(SECOND, peer(1, "bob"), from(1));
  lists.store(SECOND, peer(2, "Bobby"), from(2));
  lists.store(SECOND, { ...peer(3), username: null }, from(3));
  assertEquals(namesIn(lists.search("bob")), ["bob"]);
  assertEquals(namesIn(lists.search("ob")), ["bob", "Bobby"]);
  assertEquals(namesIn(lists.search("")), ["bob", "Bobby"]);
});
