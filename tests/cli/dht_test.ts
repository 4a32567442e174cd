import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { toKey } from "../../src/dht/node_id.ts";
import { immutableKey, plainKey, signedKey } from "../../src/dht/record.ts";
import { Identity } from "../../src/secure/identity.ts";
import { Network } from "../../src/secure/network.ts";
import { Home } from "../../src/state/home.ts";
import { encode } from "../../src/wire/msgpack.ts";
import { Town } from "./dht_fixture.ts";
import { runVerb } from "./verb_fixture.ts";

/** The id of somebody who has run `kith dht`. */
function idOf(town: Town, who: string): string {
  return Identity.load(Home.open(`${town.dir}/${who}`)).peerId;
}

Deno.test("dht put puts text, JSON and bytes, says who keeps them, and dht get prints them", async () => {
  await using town = await Town.open(3);
  const cases: readonly (readonly [line: readonly string[], value: unknown, text: string])[] = [
    [["the", "kettle", "is on"], "the kettle is on", "the kettle is on"],
    [["5"], "5", "5"],
    [['{"on": [1, {"$bytes": "00ff"}]}', "--as", "json"], { on: [1, { $bytes: "00ff" }] }, ""],
    [["null", "--as", "json"], null, "null"],
    [["hé", "--as", "bytes"], { $bytes: "68c3a9" }, '{\n  "$bytes": "68c3a9"\n}'],
    [["a\u001b[2J\nb\u202e"], "a\u001b[2J\nb\u202e", "a\\u{1b}[2J\nb\\u{202e}"],
  ];
  const key = toKey(signedKey("shared", "news", ""));
  let last = 0;
  for (const [line, value, text] of cases) {
    const put = await town.run("ann", "put", "news", ...line, "--ttl", "10m");
    assertEquals([put.code, put.notes], [0, []]);
    const [{ seq, ...facts } = {}] = put.facts;
    assert(Number(seq) > last, `version ${seq} after ${last}`);
    last = Number(seq);
    const counts = { holders: 3, unconfirmed: 0, refused: 0, silent: 0, hops: 1 };
    assertEquals(facts, { key, ...counts });
    assertEquals(put.lines, [`put news  3 nodes confirm  key ${key}  version ${seq}`]);

    const got = await town.run("bob", "get", "news");
    assertEquals([got.code, got.notes], [0, []]);
    const [{ rttMs, asked, ...found } = {}] = got.facts;
    assert(Number(rttMs) > 0 && Number(asked) > 0);
    assertEquals(found, { value, author: idOf(town, "ann"), seq, key, hops: 1, others: 0 });
    if (text !== "") assertEquals(got.lines, [text]);
  }
});

Deno.test("dht get prefers what we put, and lists what everybody did with --all", async () => {
  await using town = await Town.open(2);
  for (const who of ["ann", "bob"]) await town.run(who, "put", "greeting", `by ${who}`);
  const [ann, bob] = [idOf(town, "ann"), idOf(town, "bob")];
  for (const [who, id] of [["ann", ann], ["bob", bob]] as const) {
    const { lines, notes, facts: [fact] } = await town.run(who, "get", "greeting");
    assertEquals([lines, fact?.author, fact?.others], [[`by ${who}`], id, 1]);
    const why = "1 other has put something, too (--all shows it)";
    assertEquals(notes, [`this is what ${id.slice(0, 8)} put; ${why}`]);
  }
  const all = await town.run("ann", "get", "greeting", "--all");
  assertEquals(all.lines, [`${ann}  by ann`, `${bob}  by bob`]);
  assertEquals(all.facts.map(({ value, author }) => [value, author]), [
    ["by ann", ann],
    ["by bob", bob],
  ]);
  const key = String(all.facts[0]?.key);
  assertEquals((await town.run("ann", "get", key)).lines, ["by ann"]);
  await town.run("eve", "put", "greeting", "x\n\u001b[2J");
  const listed = await town.run("ann", "get", "greeting", "--all");
  assert(listed.lines.includes(`${idOf(town, "eve")}  x\\u{a}\\u{1b}[2J`), listed.lines.join());
});

Deno.test("dht put --own is got by PEERID/KEY and --author, and with --own by who put it", async () => {
  await using town = await Town.open(2);
  const put = await town.run("ann", "put", "card", "me", "--own");
  const ann = idOf(town, "ann");
  assertMatch(put.lines[0] ?? "", new RegExp(`^put ${ann.slice(0, 8)}/card  2 nodes confirm`));
  assertEquals(put.facts[0]?.key, toKey(signedKey("own", "card", ann)));
  const ways = [
    ["bob", `${ann}/card`],
    ["bob", `${ann.toUpperCase()}/card`],
    ["bob", "card", "--author", ann],
    ["ann", "card", "--own"],
  ] as const;
  for (const [who, ...line] of ways) {
    assertEquals((await town.run(who, "get", ...line)).lines, ["me"], line.join(" "));
  }
  const { code, lines, notes: [why = ""] } = await town.run("bob", "get", "card");
  assertEquals([code, lines], [5, []]);
  assertEquals(
    why,
    'Nobody has a value for "card": 2 nodes are known; what was put with --own is at PEERID/KEY',
  );
  const other = await town.run("bob", "get", `${"AB".repeat(20)}/card`);
  assertEquals(other.notes, ['Nobody has a value for "abababab/card": 2 nodes are known']);
});

Deno.test("dht put --immutable prints the key by which the value is got", async () => {
  await using town = await Town.open(1);
  const { facts: [fact], lines } = await town.run("ann", "put", "--immutable", "for", "ever");
  const key = toKey(immutableKey(encode("for ever")));
  assertEquals([fact?.key, fact?.seq], [key, null]);
  assertEquals(lines, [`stored  1 node confirms  key ${key}`]);
  const got = await town.run("bob", "get", key);
  const { value, author, seq } = got.facts[0] ?? {};
  assertEquals([got.lines, value, author, seq], [["for ever"], "for ever", null, null]);
});

Deno.test("dht put --cas takes the place of the version that is there alone", async () => {
  await using town = await Town.open(2);
  const put = (...line: string[]) => town.run("ann", "put", "count", ...line);
  const first = await put("one", "--cas", "0");
  const seq = String(first.facts[0]?.seq);
  assertEquals([first.code, (await put("two", "--cas", seq)).code], [0, 0]);
  for (const old of ["0", seq]) assertEquals((await put("three", "--cas", old)).code, 4);
  assertEquals((await town.run("bob", "get", "count")).lines, ["two"]);
});

Deno.test("dht put --plain is for networks with a key, where anybody changes it", async () => {
  const secret = new TextEncoder().encode("k".repeat(40));
  await using town = await Town.open(2, { network: new Network("home", [secret]) });
  const file = `${town.dir}/key`;
  Deno.writeTextFileSync(file, "k".repeat(40), { mode: 0o600 });
  const closed = ["--network", "home", "--key-file", file];
  for (const who of ["ann", "bob"]) {
    const put = await town.run(who, "put", "lamp", who, "--plain", ...closed);
    assertEquals([put.code, put.notes], [0, []]);
    assertEquals([put.facts[0]?.key, put.facts[0]?.seq], [toKey(plainKey("lamp")), null]);
  }
  const got = await town.run("ann", "get", "lamp", "--plain", ...closed);
  assertEquals([got.lines, got.facts[0]?.author], [["bob"], null]);
  assertEquals((await town.run("ann", "get", "lamp", ...closed)).code, 5);
  const open = await town.run("ann", "put", "lamp", "x", "--plain");
  assertEquals(open.code, 2);
  assertStringIncludes(open.notes[0] ?? "", "--plain is for networks with a key");
});

Deno.test("dht providers lists who says that it has something", async () => {
  await using town = await Town.open(3);
  const [ann, bob] = town.peers;
  await ann?.dht.provide("kettle");
  await bob?.dht.provide("kettle", { cups: 3, "\u001b": "\u202e" });
  const { code, facts, lines } = await town.run("carol", "providers", "kettle");
  assertEquals(code, 0);
  const rows = [ann, bob].map((peer) => {
    const data = peer === ann ? null : { cups: 3, "\u001b": "\u202e" };
    return { peerId: peer?.peerId ?? "", address: `127.0.0.1:${peer?.address?.port}`, data };
  }).sort((a, b) => a.peerId < b.peerId ? -1 : 1);
  assertEquals(
    facts,
    rows.map(({ peerId, address, data }) => ({ peerId, addresses: [address], data })),
  );
  assertEquals(
    lines,
    rows.map(({ peerId, address, data }) => {
      const said = data === null ? "" : '  {"cups":3,"\\u001b":"\\u{202e}"}';
      return `${peerId}  ${address}${said}`;
    }),
  );
  const nobody = await town.run("carol", "providers", "tea");
  assertEquals([nobody.code, nobody.lines, nobody.notes], [5, [], ['Nobody provides "tea"']]);
});

Deno.test("dht stat shows what a node comes to know, and that it only asks", async () => {
  await using town = await Town.open(3);
  const { facts: [fact], lines: [text = ""] } = await town.run("ann", "stat");
  const { buckets, ...rest } = fact ?? {};
  const known = { nodes: 3, failing: 0, estimatedNodes: 3, records: 0, bytes: 0, health: 1 };
  assertEquals(rest, { id: idOf(town, "ann"), mode: "client", ...known });
  const [low, high] = ["0".repeat(40), "f".repeat(40)];
  assertEquals(buckets, [{ bits: 0, low, high, size: 3, failing: 0, replacements: 0 }]);
  assertMatch(text, /^id {18}[0-9a-f]{40}\nmode {16}client\nnodes known {9}3, 0 failing\n/);
  assertMatch(
    text,
    /\n\nbucket +common bits +nodes +failing +waiting\n00000000\.\.\. +0 +3 +0 +0$/,
  );
});

Deno.test("dht leaves nothing with those whom it asks but what it put, and no node behind", async () => {
  await using town = await Town.open(2);
  await town.run("ann", "put", "x", "y");
  await town.run("ann", "get", "x");
  for (const peer of town.peers) {
    const { nodes, records } = peer.dht.stat();
    assertEquals([nodes, records], [1, 1]);
  }
  const names = [...Deno.readDirSync(`${town.dir}/ann`)].map(({ name }) => name);
  assertEquals(names.filter((name) => name.includes("dht")), []);
});

Deno.test("dht ends with what was tried where there is no node", async () => {
  await using town = await Town.open(1);
  const alone = ["--host", "127.0.0.1", "--discovery-port", "19", "--peer", "127.0.0.1:19"];
  for (
    const line of [["get", "x"], ["put", "x", "y"], ["trace", "x"], ["providers", "x"], ["stat"]]
  ) {
    const home = `${town.dir}/ann`;
    const ran = await runVerb("dht", home, ...line, "--timeout", "0.1", ...alone);
    assertEquals([ran.code, ran.lines], [5, []], line.join(" "));
    assertStringIncludes(ran.notes[0] ?? "", "No node of the DHT was found: tried 127.0.0.1:19");
    assertStringIncludes(ran.notes[0] ?? "", "; kith up runs one, and --peer HOST:PORT says where");
  }
  using lock = Deno.openSync(`${town.dir}/ann/up.lock`, { create: true, write: true });
  assertEquals(lock.tryLockSync(true), true);
  const same = await runVerb("dht", `${town.dir}/ann`, "stat", "--timeout", "0", ...alone);
  assertStringIncludes(same.notes[0] ?? "", "a kith that runs with this home is the same peer");
});

Deno.test("dht refuses a bad command line before it asks anybody", async () => {
  const dir = await Deno.makeTempDir();
  const id = "ab".repeat(20);
  const cases: readonly (readonly [line: readonly string[], why: string])[] = [
    [[], "one of put, get, trace, providers, stat"],
    [["frob"], "one of put, get, trace, providers, stat"],
    [["__proto__"], "one of put, get, trace, providers, stat"],
    [["put"], "KEY and VALUE are wanted"],
    [["put", "x"], "KEY and VALUE are wanted"],
    [["put", "", "y"], "KEY and VALUE are wanted"],
    [["put", "a\nb", "y"], '"a\\u{a}b" is no name: it has control characters'],
    [["put", "é".repeat(128), "y"], "is no name: it has more than 255 bytes"],
    [["put", id, "y"], "must not begin like a key or a peer id"],
    [["put", `${id}/x`, "y"], "must not begin like a key or a peer id"],
    [["put", "x", "y".repeat(65_534)], "at most 65536 bytes in MessagePack: it has 65537"],
    [["put", "x", "{y", "--as", "json"], "Cannot decode data as JSON"],
    [["put", "x", "y", "--as", "xml"], "one of text, json, bytes: it is xml"],
    [["put", "x", "y", "--ttl", "soon"], "a time such as 30s, 10m, 1h or 7d: it is soon"],
    [["put", "x", "y", "--ttl", "0s"], "a time such as 30s, 10m, 1h or 7d: it is 0s"],
    [["put", "x", "y", "--ttl", "8d"], "Option --ttl must be at most"],
    [["put", "x", "y", "--cas=-1"], "Option --cas"],
    [["put", "x", "y", "--cas", "1.5"], "Option --cas must be a version, 0 for none: it is 1.5"],
    [["put", "x", "y", "--cas", "9007199254740991"], "Option --cas must be a version"],
    [["put", "x", "y", "--own", "--plain"], "Only one of --own and --plain"],
    [["put", "x", "y", "--plain"], "--plain is for networks with a key"],
    [["put", "--immutable"], "VALUE is wanted"],
    [["put", "--immutable", "y", "--own"], "--own is not for --immutable"],
    [["put", "--immutable", "y", "--cas", "0"], "--cas is not for --immutable"],
    [["put", "x", "y", "--all"], "Option --all is not for dht put"],
    [["put", "x", "y", "--author", id], "Option --author is not for dht put"],
    [["get"], "One KEY is wanted"],
    [["get", "x", "y"], "One KEY is wanted"],
    [["get", "a\u0000b"], "it has control characters"],
    [["get", `${id}/`], '"" is no name: it is empty'],
    [["get", id, "--own"], "says itself what it is of"],
    [
      ["get", "x", "--author", "bob"],
      "--author must be a peer id of 40 hexadecimal digits: it is bob",
    ],
    [["get", "x", "--ttl", "1h"], "Option --ttl is not for dht get"],
    [["get", "x", "--peer", "bob"], "must be HOST:PORT"],
    [["get", "x", "--timeout", "soon"], "must be seconds"],
    [["get", "x", "--dialect", "gnutella"], "one of native, kademlia: it is gnutella"],
    [["get", "x", "--port", "1"], "Unknown option --port"],
    [["trace"], "One KEY is wanted"],
    [["trace", "x", "--all"], "Option --all is not for dht trace"],
    [["providers"], "One NAME is wanted"],
    [["providers", "x", "--own"], "Option --own is not for dht providers"],
    [["providers", "a\tb"], "it has control characters"],
    [["stat", "x"], "dht stat takes options only"],
    [["providers", "x", "--dialect", "kademlia"], "one of put, get, trace, stat"],
    [["put", "x", "y", "--dialect", "kademlia"], "--peer HOST:PORT says where a node is"],
    [
      ["put", "x", "y", "--dialect", "kademlia", "--ttl", "1h"],
      "Option --ttl is not for dht put --dialect kademlia",
    ],
    [["get", "x", "--dialect", "kademlia", "--peer", "bob:1"], "--peer must be IP:PORT"],
    [["get", "a\nb", "--dialect", "kademlia"], "text without control characters"],
    [
      ["put", "x", "[1]", "--as", "json", "--dialect", "kademlia", "--peer", "127.0.0.1:19"],
      "A value must be a number, a truth value, a text or bytes",
    ],
    [
      ["put", "x", "y".repeat(8_138), "--dialect", "kademlia", "--peer", "127.0.0.1:19"],
      "at most 8140 bytes in MessagePack: it has 8141",
    ],
  ];
  try {
    for (const [line, why] of cases) {
      const alone = ["--host", "127.0.0.1", "--discovery-port", "19"];
      const { code, lines, notes } = await runVerb("dht", `${dir}/home`, ...line, ...alone);
      const shown = line.join(" ").slice(0, 60);
      assertEquals([code, lines, notes.length], [2, [], 1], `${shown}: ${notes[0]}`);
      assertStringIncludes(notes[0] ?? "", why, shown);
    }
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
