import { assert, assertEquals, assertMatch } from "@std/assert";
import { Peer } from "../../src/peer.ts";
import { EVIL, isRaw } from "../e2e/odd_server.ts";
import { loopback } from "../e2e/process.ts";
import { runVerb } from "./verb_fixture.ts";

/** Runs `kith rumor` on a network of its own. */
function rumor(...line: string[]) {
  return runVerb("rumor", "/dev/null/no-home", ...line, "--ephemeral", ...loopback());
}

Deno.test("rumor ends with 5 when nobody was told or found, and with 2 for what is no rumor", async () => {
  const rows: readonly (readonly [line: readonly string[], code: number, says: RegExp])[] = [
    [["hello", "--timeout", "0.2"], 5, /^Nobody was told: tried .*127\.0\.0\.1/],
    [
      ["hello", "--timeout", "0.2", "--dialect", "peerconnect"],
      5,
      /^Nobody was told: tried PeerConnect's finds$/,
    ],
    [
      ["--search", `x${EVIL}`, "--timeout", "0.1"],
      5,
      /^Nobody whose name contains "xa.*" answered in 0\.1 s: tried/,
    ],
    [[], 2, /TEXT is wanted, or --search NAME/],
    [["hello", "--search", "bob"], 2, /TEXT is wanted, or --search NAME/],
    [["--search", ""], 2, /--search needs NAME/],
    [["hello", "--dialect", "witch"], 2, /--dialect must be one of native, peerconnect/],
    [["x".repeat(2_000), "--dialect", "peerconnect", "--timeout", "0.1"], 1, /SOFT_DATAGRAM_BYTES/],
  ];
  const outcomes = await Promise.all(rows.map(([line]) => rumor(...line)));
  for (const [index, { code, lines, notes }] of outcomes.entries()) {
    const [line, wanted, says] = rows[index] as typeof rows[number];
    assertEquals([code, lines], [wanted, []], `${line.join(" ")}: ${notes}`);
    assertMatch(notes.at(-1) ?? "", says);
    assert(!isRaw(notes.join("")), notes.join());
  }
});

Deno.test("rumor tells people to how many a text went, and who has a name, with nothing raw", async () => {
  const network = loopback();
  const discoveryPort = Number(network.at(-1));
  const local = { hostname: "127.0.0.1", port: 0, discoveryPort } as const;
  await using bob = await Peer.open({ name: EVIL, dialects: ["peerconnect"], ...local });
  const heard = bob.rumors().watch();
  const line = ["--ephemeral", ...network];
  const told = await runVerb("rumor", "/dev/null/no-home", "hello", "there", ...line);
  assertEquals([told.code, told.lines], [0, ["told 1 peer, which tells others"]], `${told.notes}`);
  assertEquals((await heard.next()).value?.message, "hello there");
  const search = ["--search", "a", "--timeout", "0.7"];
  const [found, foreign] = await Promise.all([[], ["--dialect", "peerconnect"]].map((more) => {
    return runVerb("rumor", "/dev/null/no-home", ...search, ...more, ...line);
  }));
  for (const ran of [found, foreign]) {
    assertEquals([ran?.code, ran?.lines.length], [0, 1], `${ran?.notes}`);
    assert(!isRaw(ran?.lines.join() ?? ""), ran?.lines.join());
  }
  const addresses = [`127.0.0.1:${bob.address?.port}`];
  assertEquals(found?.facts, [{ peerId: bob.peerId, name: EVIL, addresses }]);
  const id = BigInt(`0x${bob.peerId}`).toString();
  assertEquals(foreign?.facts, [{ dialect: "peerconnect", id, name: EVIL, addresses }]);
});

Deno.test("up shares a folder with pages alone", async () => {
  const { code, notes } = await runVerb("up", "/dev/null/no-home", "--share-from", ".");
  assertEquals([code, notes], [2, ["Option --share-from is for --page"]]);
});
