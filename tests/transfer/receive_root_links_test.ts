import { basename, dirname } from "node:path";
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { AuthError, InvalidPacketError } from "../../src/errors.ts";
import { ReceiveRoot, type ReceiveRootOptions } from "../../src/transfer/receive_root.ts";
import { fill, inScene, listing } from "./root_fixture.ts";

/** Whether folders can be held open here, with the permissions that tests run with. */
const canHold = Deno.build.os === "linux";

Deno.test("ReceiveRoot follows no link that is in the way", async () => {
  await inScene(async ({ top, root, outside }) => {
    await Deno.mkdir(`${root.dir}/real`);
    await Deno.symlink(outside, `${root.dir}/link`);
    await Deno.symlink("../../outside", `${root.dir}/real/link`);
    await Deno.symlink(`${top}/nowhere`, `${root.dir}/dangling`);
    await Deno.writeTextFile(`${root.dir}/file`, "");
    const before = listing(top);
    for (const folder of ["link", "real/link", "dangling"]) {
      assertThrows(() => root.createPart(`${folder}/x`), AuthError, `"${folder}": is a link`);
      assertThrows(() => root.createFolder(`${folder}/x`), AuthError, "is a link");
      assertThrows(() => root.createFolder(folder), AuthError, "is a link");
    }
    assertThrows(() => root.createPart("file/x"), AuthError, '"file": is not a folder');
    assertEquals(listing(top), before);
    const part = root.createPart("x");
    await assertRejects(() => root.commit(part, "link/x"), AuthError, "is a link");
    // A link in the place of the file itself is a name that is taken, wherever it leads.
    await assertRejects(() => root.commit(part, "dangling"), AuthError, "exists");
    assertEquals(await root.commit(part, "dangling", { rename: true }), "dangling (1)");
    assertEquals(listing(outside), ["canary"]);
  });
});

Deno.test("ReceiveRoot refuses a link in the place of its partial folder", async () => {
  await inScene(async ({ root, outside }) => {
    await Deno.symlink(outside, `${root.dir}/.kith-partial`);
    assertThrows(() => root.createPart("x"), AuthError, "is a link");
    assertThrows(() => root.reopenPart(`${root.dir}/.kith-partial/canary`), AuthError, "is a link");
    assertEquals(listing(outside), ["canary"]);
  });
});

Deno.test("ReceiveRoot may itself be reached through a link", async () => {
  await inScene(async ({ top, root }) => {
    await Deno.symlink(root.dir, `${top}/alias`);
    const alias = ReceiveRoot.open(`${top}/alias`);
    assertEquals(alias.dir, root.dir);
    assertEquals(await alias.commit(alias.createPart("x"), "x"), "x");
  });
});

/** Replaces the folder by a link to `outside` when the root has checked it: the swap that cannot be prevented. */
function swapper(
  name: string,
  hold: boolean,
): { options: ReceiveRootOptions; swaps: () => number } {
  let swaps = 0;
  const afterCheck = (folder: string) => {
    if (!folder.endsWith(`/${name}`)) return;
    swaps++;
    Deno.renameSync(folder, `${folder}.away`);
    Deno.symlinkSync(`${folder.slice(0, folder.indexOf("/root/"))}/outside`, folder);
  };
  return { options: { afterCheck, hold }, swaps: () => swaps };
}

for (const hold of canHold ? [true, false] : [false]) {
  const how = hold ? "held" : "not held";

  Deno.test(`ReceiveRoot.createPart leaves nothing outside when its folder is swapped, ${how}`, async () => {
    const { options, swaps } = swapper(".kith-partial", hold);
    await inScene(({ root, outside }) => {
      assertThrows(() => root.createPart("x"), AuthError, "replaced by a link");
      assertEquals(swaps(), 1);
      assertEquals(listing(outside), ["canary"]);
      assertEquals(listing(root.dir), [".kith-partial", ".kith-partial.away/"]);
    }, options);
  });

  Deno.test(`ReceiveRoot.reopenPart opens nothing outside when its folder is swapped, ${how}`, async () => {
    const { options, swaps } = swapper(".kith-partial", hold);
    await inScene(async ({ top, root, outside }) => {
      const before = ReceiveRoot.open(`${top}/root`).createPart("x");
      before.file.close();
      const decoy = `${outside}/${basename(before.partPath)}`;
      await Deno.writeTextFile(decoy, "not a part");
      assertThrows(() => root.reopenPart(before.partPath), AuthError, "replaced by a link");
      assertEquals(swaps(), 1);
      assertEquals(await Deno.readTextFile(decoy), "not a part");
    }, options);
  });

  Deno.test(`ReceiveRoot.commit takes a file back that a swapped folder let out, ${how}`, async () => {
    const { options, swaps } = swapper("inbox", hold);
    await inScene(async ({ root, outside }) => {
      const part = await fill(root.createPart("x"), "secret");
      await assertRejects(() => root.commit(part, "inbox/x"), AuthError, "replaced by a link");
      root.discard(part);
      assertEquals(swaps(), 1);
      assertEquals(listing(outside), ["canary"]);
      assertEquals(listing(root.dir), [".kith-partial/", "inbox", "inbox.away/"]);
    }, options);
  });

  Deno.test(`ReceiveRoot.commit overwrites and removes nothing through a swapped folder, ${how}`, async () => {
    const { options, swaps } = swapper("inbox", hold);
    await inScene(async ({ root, outside }) => {
      const part = await fill(root.createPart("canary"), "dead");
      const why = hold ? "replaced by a link" : "exists";
      await assertRejects(() => root.commit(part, "inbox/canary"), AuthError, why);
      root.discard(part);
      assertEquals(swaps(), 1);
      assertEquals(listing(outside), ["canary"]);
    }, options);
  });

  Deno.test(`ReceiveRoot.createFolder notices that its folder was swapped, ${how}`, async () => {
    const { options, swaps } = swapper("b", hold);
    await inScene(({ root, outside }) => {
      assertThrows(() => root.createFolder("a/b"), AuthError, "replaced by a link");
      assertEquals(swaps(), 1);
      assertEquals(listing(outside), ["canary"]);
    }, options);
  });
}

Deno.test("ReceiveRoot makes folders where they belong while one above them is swapped", {
  ignore: !canHold,
}, async () => {
  const { options, swaps } = swapper("a", true);
  await inScene(async ({ root, outside }) => {
    root.createFolder("x");
    root.createFolder("a/b/c");
    // The swap comes after the folder above was opened: what follows is made in that, wherever it is by now.
    assertThrows(() => root.createFolder("a"), AuthError, "replaced by a link");
    assertThrows(() => root.createFolder("a/b/d"), AuthError, "is a link");
    await Deno.remove(`${root.dir}/a`);
    await Deno.rename(`${root.dir}/a.away`, `${root.dir}/a`);
    root.createFolder("a/b/d");
    assertEquals(swaps(), 1);
    assertEquals(listing(outside), ["canary"]);
    assertEquals(listing(root.dir), ["a/", "a/b/", "a/b/c/", "a/b/d/", "x/"]);
  }, options);
});

Deno.test(
  "ReceiveRoot works nowhere else when its own folder becomes a link",
  { ignore: !canHold },
  async () => {
    await inScene(async ({ top, root, outside }) => {
      const part = await fill(root.createPart("x"), "secret");
      await Deno.rename(root.dir, `${top}/away`);
      await Deno.symlink(outside, root.dir);
      assertThrows(() => root.createPart("y"), AuthError, '"."');
      assertThrows(() => root.createFolder("y"), AuthError, '"."');
      const error = await assertRejects(() => root.commit(part, "y"), AuthError, '"."');
      assert(!error.message.includes(top), error.message);
      root.discard(part);
      assertEquals(listing(outside), ["canary"]);
    });
  },
);

Deno.test("ReceiveRoot works nowhere else when a folder above its own becomes a link", {
  ignore: !canHold,
}, async () => {
  await inScene(async ({ top, outside }) => {
    const root = ReceiveRoot.open(`${top}/mine/root`);
    await Deno.mkdir(`${outside}/root`);
    await Deno.rename(`${top}/mine`, `${top}/away`);
    await Deno.symlink(outside, `${top}/mine`);
    assertThrows(() => root.createPart("y"), AuthError, "replaced by a link");
    assertThrows(() => root.createFolder("y"), AuthError, "replaced by a link");
    assertEquals(listing(outside), ["canary", "root/"]);
  });
});

Deno.test("ReceiveRoot.commit empties a file that a folder swapped twice lets out, not held", async () => {
  const { options, swaps } = swapper("inbox", false);
  const { linkSync } = Deno;
  Deno.linkSync = (from, to) => {
    linkSync(from, to);
    Deno.removeSync(dirname(to));
    Deno.renameSync(`${dirname(to)}.away`, dirname(to));
  };
  try {
    await inScene(async ({ root, outside }) => {
      const part = await fill(root.createPart("x"), "secret");
      await assertRejects(() => root.commit(part, "inbox/x"), AuthError, "replaced by a link");
      root.discard(part);
      assertEquals(swaps(), 1);
      assertEquals(await Deno.readTextFile(`${outside}/x`), "");
    }, options);
  } finally {
    Deno.linkSync = linkSync;
  }
});

Deno.test("ReceiveRoot.commit empties a file that it let out and cannot look for any more, not held", async () => {
  const { options } = swapper("inbox", false);
  const { linkSync } = Deno;
  Deno.linkSync = (from, to) => {
    linkSync(from, to);
    Deno.removeSync(dirname(to)); // now the path leads nowhere
  };
  try {
    await inScene(async ({ root, outside }) => {
      const part = await fill(root.createPart("x"), "secret");
      await assertRejects(() => root.commit(part, "inbox/x"), AuthError, "replaced by a link");
      root.discard(part);
      assertEquals(await Deno.readTextFile(`${outside}/x`), "");
    }, options);
  } finally {
    Deno.linkSync = linkSync;
  }
});

Deno.test("ReceiveRoot leaves no folder open, whatever happens", { ignore: !canHold }, async () => {
  const open = () => [...Deno.readDirSync("/proc/self/fd")].length;
  await inScene(async ({ root, outside }) => {
    await Deno.symlink(outside, `${root.dir}/link`);
    root.createFolder("a/b/c");
    const before = open();
    for (let round = 0; round < 20; round++) {
      root.createFolder("a/b/c");
      assertThrows(() => root.createFolder("a/b/c/../d"), InvalidPacketError);
      assertThrows(() => root.createFolder("link/x"), AuthError);
      assertThrows(() => root.createPart("link/x"), AuthError);
      assertThrows(() => root.reopenPart(`${root.dir}/.kith-partial/none`), AuthError);
      const part = root.createPart("a/b/x");
      await assertRejects(() => root.commit(part, "link/x"), AuthError);
      await root.commit(part, "a/b/x", { rename: true });
      root.discard(root.createPart("missing/x"));
    }
    assertEquals(open(), before);
  });
});
