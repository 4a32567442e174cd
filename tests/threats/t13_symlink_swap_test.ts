import { assert, assertEquals, assertGreater } from "@std/assert";
import { type Part, ReceiveRoot } from "../../src/transfer/receive_root.ts";
import { listing } from "../transfer/root_fixture.ts";
import { Secret, Swapper } from "./swap.ts";

/** Swaps that each folder has to stand: where folders can be held, and where not. */
const SWAPS = 2_000;
const FEWER_SWAPS = 1_000;

/** More than it takes, on a machine that is busy. */
const PATIENCE_MS = 20_000;

const CONTENTS = new TextEncoder().encode("not for others");

/** What became of so many attempts. */
interface Tally {
  done: number;
  refused: number;
}

/** Receives a file and makes a folder, over and over, until the swapper has had its swaps. */
async function receiveUnderAttack(
  root: ReceiveRoot,
  swapper: Swapper,
  swaps: number,
): Promise<Tally> {
  const tally = { done: 0, refused: 0 };
  const endMs = performance.now() + PATIENCE_MS;
  for (let round = 0; swapper.swaps < swaps && performance.now() < endMs; round++) {
    let part: Part | undefined;
    try {
      part = root.createPart(`inbox/deep/f${round}`);
      part.file.writeSync(CONTENTS);
      await root.commit(part, `inbox/deep/f${round}`);
      root.createFolder(`inbox/deep/d${round}/e`);
      tally.done++;
    } catch {
      tally.refused++; // which of many errors it is depends on the moment
      if (part !== undefined) root.discard(part);
    }
  }
  return tally;
}

async function attack(
  target: string,
  options: { hold: boolean },
  look: (secret: Secret, tally: Tally) => Promise<void> | void,
): Promise<void> {
  const top = Deno.realPathSync(Deno.makeTempDirSync());
  try {
    using secret = new Secret(`${top}/secret`);
    for (const folder of ["inbox/deep", ".kith-partial"]) {
      Deno.mkdirSync(`${top}/root/${folder}`, { recursive: true });
    }
    const root = ReceiveRoot.open(`${top}/root`, options);
    const swaps = options.hold ? SWAPS : FEWER_SWAPS;
    let tally: Tally;
    {
      await using swapper = await Swapper.start(`${top}/${target}`, secret.dir);
      tally = await receiveUnderAttack(root, swapper, swaps);
      assert(swapper.swaps >= swaps, `only ${swapper.swaps} swaps`);
    }
    await look(secret, tally);
    assertEquals(Deno.readTextFileSync(`${secret.dir}/canary`), "alive");
  } finally {
    Deno.removeSync(top, { recursive: true });
  }
}

const TARGETS = ["root", "root/inbox", "root/inbox/deep", "root/.kith-partial"];

for (const target of TARGETS) {
  Deno.test(
    `T13 nothing ever gets out through ${target}, swapped for a link ${SWAPS} times`,
    { ignore: Deno.build.os !== "linux" },
    async () => {
      await attack(target, { hold: true }, async (secret, { done, refused }) => {
        assertEquals(await secret.touched(), []);
        assertEquals(listing(secret.dir), ["canary", "mark"]);
        // It was attacked, and where the folder was in its place it worked.
        assertGreater(refused, 0);
        assertGreater(done, 0);
      });
    },
  );

  Deno.test(`T13 no contents stay outside through ${target} where folders cannot be held`, async () => {
    await attack(target, { hold: false }, (secret) => {
      const files = listing(secret.dir).filter((path) => !path.endsWith("/") && path !== "canary");
      const sizes = files.map((path) => Deno.lstatSync(`${secret.dir}/${path}`).size);
      assertEquals(sizes.filter((size) => size > 0), [], files.join());
    });
  });
}
