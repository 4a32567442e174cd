import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { seededRandom } from "../../src/clock.ts";
import type { Link } from "../../src/endpoint/link.ts";
import { InvalidPacketError, RemoteError } from "../../src/errors.ts";
import { parseManifest } from "../../src/transfer/manifest_codec.ts";
import { ReceiveRoot } from "../../src/transfer/receive_root.ts";
import corpus from "../testdata/hostile_names.json" with { type: "json" };
import { Exchange, freshToken, run, Steps } from "../transfer/fixture.ts";
import { contentsOf, Surroundings } from "./surroundings.ts";

const CONTENTS = "from a stranger";

/** What is hostile, as far as UTF-8 can carry it to us: a lone surrogate it cannot. */
const HOSTILE = Object.values(corpus.hostile).flat().filter((name) => name.isWellFormed());

type Row = readonly [path: string, isFolder: boolean, size: number, mode: number, mtimeMs: number];

function row(path: string, isFolder = false): Row {
  return [path, isFolder, isFolder ? 0 : CONTENTS.length, 0o644, 0];
}

/** Offers these entries, and sends whatever contents they have. */
async function send(link: Link, entries: readonly Row[]): Promise<void> {
  const body = { manifest: { entries }, token: freshToken() };
  const offered = await link.request("transfer.offer", body);
  const { id } = offered as { id: number };
  const running = run(link, id);
  const data = new TextEncoder().encode(CONTENTS);
  const steps = new Steps(link, id);
  for (const [index, [, isFolder]] of entries.entries()) if (!isFolder) steps.data(index, data);
  await running;
}

/** Runs with a receiver that accepts everything, and fails when anything happens outside of its folder. */
async function receiving(work: (exchange: Exchange, link: Link) => Promise<void>): Promise<void> {
  await using exchange = await Exchange.open();
  const surroundings = new Surroundings(exchange.dir);
  const link = await exchange.link("mallory");
  await work(exchange, link);
  exchange.receiver.close();
  const outside = surroundings.changes().filter((line) => !line.startsWith("+in/"));
  assertEquals(outside, []);
}

Deno.test("T13 no hostile name makes anything, inside the folder or outside, as a file or a folder", async () => {
  assert(HOSTILE.length >= 300, `${HOSTILE.length}`);
  await receiving(async ({ inbox }, link) => {
    for (const name of HOSTILE) {
      for (const isFolder of [false, true]) {
        const error = await assertRejects(() => send(link, [row(name, isFolder)]), RemoteError);
        assert(
          ["bad-message", "too-large"].includes(error.code),
          JSON.stringify([name, `${error}`]),
        );
      }
    }
    assertEquals(contentsOf(inbox), []);
    await send(link, [row("good.txt")]);
    assertEquals(contentsOf(inbox), [".kith-partial/", `good.txt: ${CONTENTS}`]);
  });
});

Deno.test("T13 one hostile name spoils the whole offer, wherever it is hidden in it", async () => {
  const good = Array.from({ length: 40 }, (_, at) => row(`album/${at}.jpg`));
  await receiving(async ({ inbox }, link) => {
    for (const [at, name] of HOSTILE.entries()) {
      const entries = good.toSpliced(at % good.length, 0, row(name));
      await assertRejects(() => send(link, entries), RemoteError);
    }
    assertEquals(contentsOf(inbox), []);
  });
});

Deno.test("T13 names that only look hostile, and names of many scripts, are stored as what they are", async () => {
  for (const names of [corpus.harmless, corpus.good]) {
    await receiving(async ({ inbox }, link) => {
      await send(link, names.map((name) => row(name)));
      const files = contentsOf(inbox).filter((line) => !line.endsWith("/"));
      const expected = names.map((name) => `${name.normalize("NFC")}: ${CONTENTS}`);
      assertEquals(files, expected.sort());
    });
  }
});

Deno.test("T13 names that not every system tells apart are refused together", async () => {
  await receiving(async ({ inbox }, link) => {
    for (const pair of corpus.colliding) {
      const entries = pair.map((name) => row(name));
      const error = await assertRejects(() => send(link, entries), RemoteError, "store both");
      assertEquals(error.code, "bad-message");
      assertThrows(() => parseManifest({ entries: entries.toReversed() }), InvalidPacketError);
    }
    assertEquals(contentsOf(inbox), []);
  });
});

Deno.test("T13 what one sender has stored the next cannot reach, overwrite or add to", async () => {
  await receiving(async ({ inbox }, link) => {
    await send(link, [row("f/a"), row("g")]);
    const before = contentsOf(inbox);
    for (
      const entries of [[row("f/a")], [row("f/b")], [row("f", true)], [row("f")], [row("g/a")]]
    ) {
      await send(link, entries);
    }
    const after = contentsOf(inbox);
    assertEquals(before.filter((line) => !after.includes(line)), []);
    const added = after.filter((line) => !before.includes(line));
    assert(added.every((line) => /^[fg] \(\d\)/.test(line)), added.join());
    assertEquals(added.length, 8);
  });
});

Deno.test("T13 paths put together at random from dangerous pieces stay within the folder", () => {
  const pieces = [
    "a",
    "..",
    ".",
    "/",
    "//",
    "\\",
    "canary",
    "\0",
    " ",
    "C:",
    "%2e",
    "\u202e",
    "~",
    "é",
  ];
  const random = seededRandom(13);
  const pick = () => pieces[Math.floor(random() * pieces.length)] ?? "";
  const top = Deno.realPathSync(Deno.makeTempDirSync());
  try {
    const surroundings = new Surroundings(top);
    const root = ReceiveRoot.open(`${top}/inbox`);
    let accepted = 0;
    for (let round = 0; round < 5_000; round++) {
      const path = Array.from({ length: 1 + Math.floor(random() * 9) }, pick).join("");
      try {
        root.createFolder(path);
        accepted++;
      } catch (error) {
        assert(error instanceof InvalidPacketError, `${JSON.stringify(path)}: ${error}`);
      }
    }
    assert(accepted > 200, `${accepted}`);
    const outside = surroundings.changes().filter((line) => !line.startsWith("+inbox/"));
    assertEquals(outside, []);
  } finally {
    Deno.removeSync(top, { recursive: true });
  }
});
