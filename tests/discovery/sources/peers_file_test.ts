import { assert, assertEquals } from "@std/assert";
import { ManualClock } from "../../../src/clock.ts";
import { parsePeersFile, PeersFile } from "../../../src/discovery/sources/peers_file.ts";
import { silentLogger } from "../../../src/log.ts";
import { formatAddress } from "../../../src/transport/mod.ts";
import { Generator } from "../../fuzz/generate.ts";

const ID = "0b".repeat(20);

/** A file that is followed, what it names and what is said of it. */
async function follow(path: string) {
  const [clock, end, said, named] = [
    new ManualClock(),
    new AbortController(),
    [] as string[],
    [] as string[],
  ];
  const warn = (_: string, fields: { why?: unknown } = {}) => void said.push(`${fields.why}`);
  const file = new PeersFile(path, { clock, log: { ...silentLogger, warn, error: warn } });
  const following = (async () => {
    for await (const { address } of file.find({ signal: end.signal })) {
      named.push(formatAddress(address));
    }
  })();
  await clock.advance(0);
  const taken = () => [named.splice(0), said.splice(0)];
  return {
    taken,
    /** Lets the file be looked at again. */
    later: async () => {
      await clock.advance(2_000);
      return taken();
    },
    [Symbol.asyncDispose]: () => {
      end.abort();
      return following;
    },
  };
}

Deno.test("parsePeersFile reads addresses and ids, and leaves comments and empty lines out", () => {
  const text = [
    "# machine room",
    "192.0.2.7:3485",
    "",
    "  [fe80::2%eth0]:3485\t# with a zone\r",
    `bob.example:80 ${ID.toUpperCase()} # nobody else`,
    "#10.0.0.1:1",
  ].join("\n");
  assertEquals(parsePeersFile(text), {
    candidates: [
      { address: { hostname: "192.0.2.7", port: 3485 } },
      { address: { hostname: "fe80::2%eth0", port: 3485 } },
      { address: { hostname: "bob.example", port: 80 }, peerId: ID },
    ],
    faults: [],
  });
});

Deno.test("parsePeersFile says which line is wrong, and goes on", () => {
  const lines = ["bob", "bob:0", "a:1 b", `a:1 ${ID} c`, "a:1", `\u001b[2J${"x".repeat(99)}`];
  assertEquals(parsePeersFile(lines.join("\n")), {
    candidates: [{ address: { hostname: "a", port: 1 } }],
    faults: [
      'line 1: "bob" is no HOST:PORT',
      'line 2: "bob:0" is no HOST:PORT',
      'line 3: "b" is no peer id',
      'line 4: "c" is too much',
      `line 6: "\\u{1b}[2J${"x".repeat(56)}…" is no HOST:PORT`,
    ],
  });
});

Deno.test("parsePeersFile reads at most 8,192 lines and 1,024 peers", () => {
  const peers = Array.from({ length: 1_030 }, (_, n) => `a:${n + 1}`);
  const { candidates, faults } = parsePeersFile(peers.join("\n"));
  assertEquals([candidates.length, faults.length], [1_024, 6]);
  assertEquals(faults[0], "line 1025: more than maxCandidates 1024");
  const comments = parsePeersFile(`${"#\n".repeat(8_192)}a:1`);
  assertEquals(comments, { candidates: [], faults: ["line 8193: more than maxLines 8192"] });
});

Deno.test("parsePeersFile takes any text", () => {
  const generator = new Generator(5);
  for (let n = 0; n < 300; n++) {
    const text = new TextDecoder().decode(generator.bytes(generator.below(400)));
    const { candidates, faults } = parsePeersFile(text);
    assert(candidates.length + faults.length <= text.split("\n").length);
  }
});

Deno.test("PeersFile names its peers, and again when it changes", async () => {
  const path = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(path, "a:1\nb:2\n");
    await using file = await follow(path);
    assertEquals(file.taken(), [["a:1", "b:2"], []]);
    assertEquals(await file.later(), [[], []]);
    await Deno.writeTextFile(path, "a:1\nbad\nccc:3\n");
    assertEquals(await file.later(), [["a:1", "ccc:3"], ['line 2: "bad" is no HOST:PORT']]);
    await Deno.remove(path);
    const [named, [why = ""]] = await file.later() as [string[], string[]];
    assert(named.length === 0 && /no such file/i.test(why), why);
    assertEquals(await file.later(), [[], []]); // it was said
    await Deno.writeTextFile(path, "d:4");
    assertEquals(await file.later(), [["d:4"], []]);
  } finally {
    await Deno.remove(path).catch(() => {});
  }
});

Deno.test("PeersFile reads neither what is too large nor what is no file", async () => {
  const dir = await Deno.makeTempDir();
  try {
    await using folder = await follow(dir);
    assertEquals(folder.taken(), [[], ["it is no file"]]);
    await Deno.writeTextFile(`${dir}/peers`, "#".repeat(262_145));
    await using large = await follow(`${dir}/peers`);
    assertEquals(large.taken(), [[], ["262145 bytes exceed maxFileBytes 262144"]]);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("PeersFile does not say more than sixteen things about a file", async () => {
  const path = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(path, "bad\n".repeat(1_000));
    await using file = await follow(path);
    const [, said = []] = file.taken();
    assertEquals([said.length, said.at(-1)], [17, "984 more lines that name nobody"]);
  } finally {
    await Deno.remove(path);
  }
});
