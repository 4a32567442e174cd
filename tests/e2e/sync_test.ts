import { assert, assertEquals, assertLess, assertMatch } from "@std/assert";
import { CountingProxy } from "./counting_proxy.ts";
import type { Event, Outcome } from "./process.ts";
import { Shell } from "./shell.ts";
import { type Served, SyncScene, treeOf, untilAlike } from "./sync_folders.ts";
import { paths } from "./scratch.ts";

/** Files of which a second sync says nothing. */
const UNCHANGED = Number(Deno.env.get("KITH_SYNC_FILES") ?? 500);

/** An edit is seen on the other side within the time in which a save settles and some that a busy machine takes. */
const MAX_VISIBLE_MS = 3_000;

Deno.test("sync keeps the folders of a hub and two clients alike, also when the hub begins anew", async () => {
  await using scene = await SyncScene.make();
  await scene.write("docs/one", "1");
  await scene.write("docs/old/two", "2");
  await scene.write("ann/three", "3");
  const hub = await scene.serve("docs", "--name", "hub");
  const [ann, bob] = [
    scene.join("ann", hub.address, "--name", "ann"),
    scene.join("bob", `ws://${hub.address}/sync`, "--name", "bob"),
  ];
  const dirs = ["docs", "ann", "bob"].map((name) => scene.path(name));
  const { clientId, ...ready } = await ann.event("ready");
  assertEquals(ready, {
    event: "ready",
    role: "join",
    folder: scene.path("ann"),
    room: "docs",
    urls: [`ws://${hub.address}/sync`],
    scope: "write",
  });
  assertMatch(String(clientId), /^ann_\d+_[0-9a-f]{16}$/);
  await hub.kith.event("connected", ({ peer }) => peer === clientId);
  await bob.event("synced");
  assertEquals(pathsIn(await untilAlike(dirs)), ["old/", "old/two", "one", "three"]);

  // Each edits what the others have not touched.
  await scene.write("docs/new/from hub", "4");
  Deno.renameSync(scene.path("ann/one"), scene.path("ann/ONE"));
  await scene.write("ann/three", "3, by ann");
  Deno.removeSync(scene.path("bob/old/two"));
  Deno.renameSync(scene.path("bob/old"), scene.path("bob/moved"));
  await untilFound(dirs, ["ONE", "moved/", "new/", "new/from hub", "three"]);
  await ann.event("changed", ({ path, by }) => path === "new/from hub" && by === "there");
  const renamed = await hub.kith.event("changed", ({ oldPath }) => oldPath === "one");
  assertEquals(renamed, {
    event: "changed",
    path: "ONE",
    operation: "rename",
    by: "there",
    oldPath: "one",
  });
  assertEquals(Deno.readTextFileSync(scene.path("bob/three")), "3, by ann");

  const savedMs = performance.now();
  await scene.write("ann/seen", "5");
  await bob.event("changed", ({ path }) => path === "seen");
  assertLess(performance.now() - savedMs, MAX_VISIBLE_MS);

  // The hub ends; what is done meanwhile comes later.
  const ended = await hub.kith.interrupt();
  assertEquals([ended.code, ended.stderr, doneOf(ended).failed], [130, "", 0]);
  await ann.event("disconnected", ({ peer }) => peer === "server");
  await scene.write("ann/meanwhile", "6");
  await scene.write("docs/meanwhile too", "7");
  const again = await scene.serve("docs", "--http-port", `${hub.port}`);
  await untilFound(
    dirs,
    ["ONE", "meanwhile", "meanwhile too", "moved/", "new/", "new/from hub"].concat("seen", "three"),
  );
  for (const client of [ann, bob]) {
    assertEquals(client.events.filter(({ event }) => event === "connected").length, 2);
    const { code, stderr, events } = await client.interrupt();
    assertEquals([code, stderr], [130, ""]);
    assertEquals(events.at(-1)?.event, "done");
    assertEquals(events.filter(({ event }) => event === "conflict"), []);
  }
  await again.kith.event("disconnected");
});

Deno.test("sync passes on through hubs of hubs, and ends with --once when the first client has gone", async () => {
  await using scene = await SyncScene.make();
  const top = await scene.serve("top", "--once");
  const middle = await scene.serve("middle", "--join", top.address, "--read-only");
  const bottom = scene.join("bottom", middle.address);
  await scene.write("bottom/from below", "b");
  await scene.write("middle/from here", "m");
  await scene.write("top/from above", "t");
  const [above, here] = ["top", "middle"].map((name) => scene.path(name));
  // Nobody changes the one in the middle, which is read-only.
  await bottom.event("changed", ({ path, by }) => path === "from here" && by === "there");
  await top.kith.event("changed", ({ path, by }) => path === "from here" && by === "there");
  assertEquals(pathsIn(treeOf(here ?? "")), ["from here"]);
  assertEquals(pathsIn(treeOf(above ?? "")), ["from above", "from here"]);
  assertEquals((await bottom.interrupt()).code, 130);
  await middle.kith.interrupt();
  assertEquals((await top.kith.ended()).code, 0);
});

Deno.test("sync once, for a look, and in vain", async (test) => {
  await using scene = await SyncScene.make();
  await using shell = new Shell();
  const hub = await scene.serve("docs");
  await scene.write("docs/one", "1");
  const join = async (name: string, ...more: readonly string[]): Promise<Outcome> => {
    const [url = hub.address, ...options] = more;
    return await shell.run([...["sync", "join"], scene.path(name), url, ...options, "--json"]
      .concat(options.includes("--home") ? [] : scene.homeOf(name)));
  };
  const url = hub.address;

  await test.step("a dry run changes nothing anywhere", async () => {
    await scene.write("ann/mine", "m");
    await hub.kith.event("changed", ({ path }) => path === "one");
    const { code, events } = await join("ann", url, "--dry-run");
    assertEquals(code, 0);
    const plan = events.filter(({ event }) => event === "plan");
    assertEquals(plan.map(({ action, path }) => [action, path]), [["receive", "one"], [
      "send",
      "mine",
    ]]);
    assertEquals(events.at(-1)?.planned, 2);
    assertEquals([paths(scene.path("ann")), pathsIn(treeOf(scene.path("docs")))], [["mine"], [
      "one",
    ]]);
    const kept = paths(scene.path("home of ann")).filter((path) => path.startsWith("sync-"));
    assertEquals(kept, []);
    assertEquals((await join("nobody", url, "--dry-run")).code, 5);
    assertEquals(paths(scene.path("nobody")), []);
  });

  await test.step("once, then there is nothing to do; then a look again", async () => {
    const first = await join("ann", url, "--once");
    assertEquals([first.code, first.stderr, doneOf(first).changed], [0, "", 1]);
    assertEquals(pathsIn(await untilAlike([scene.path("docs"), scene.path("ann")])), [
      "mine",
      "one",
    ]);
    const second = await join("ann", url, "--once");
    const { taken, told } = eventOf(second, "synced");
    assertEquals([second.code, taken, told], [0, 0, 0]);
    Deno.removeSync(scene.path("ann/one"));
    const look = await join("ann", url, "--dry-run");
    assertEquals(eventOf(look, "plan"), { event: "plan", action: "delete-there", path: "one" });
    assertEquals(pathsIn(treeOf(scene.path("docs"))), ["mine", "one"]);
  });

  await test.step("read-only gives, and takes nothing", async () => {
    await scene.write("ro/given", "g");
    assertEquals((await join("ro", url, "--once", "--read-only")).code, 0);
    assertEquals(pathsIn(treeOf(scene.path("ro"))), ["given"]);
    assertEquals(pathsIn(treeOf(scene.path("docs"))), ["given", "mine", "one"]);
  });

  await test.step("folders of any name, however the path is written", async () => {
    const odd = "name\nof två lines";
    assertEquals((await join(odd, url, "--once")).code, 0);
    Deno.symlinkSync(scene.path(odd), scene.path("link"));
    const again = await join("link/", url, "--once", ...scene.homeOf(odd));
    assertEquals([again.code, doneOf(again).changed], [0, 0]);
    assertEquals(eventOf(again, "ready").folder, scene.path(odd));
  });

  await test.step("what cannot be says why", async () => {
    await scene.write("plain file", "");
    const rows: readonly (readonly [code: number, why: RegExp, args: readonly string[]])[] = [
      [5, /it is no folder/, ["plain file", url, "--once"]],
      [4, /no room "letters"/, ["ann", url, "--once", "--room", "letters"]],
      [5, /Cannot reach a hub at ws:\/\/127\.0\.0\.1:1\/sync\nNobody listens there/, [
        "ann",
        "127.0.0.1:1",
        "--once",
      ]],
      [2, /A URL must be such as/, ["ann", `http://${url}/sync`]],
      [2, /--http-port is not for sync join/, ["ann", url, "--http-port", "1"]],
      [1, /another process keeps this folder alike/, ["docs", url, "--once"]],
    ];
    for (const [code, why, args] of rows) {
      const outcome = await join(...args as [string, string]);
      assertEquals(outcome.code, code, args.join(" "));
      assertMatch(outcome.stderr, why);
    }
    const serve = [
      "sync",
      "serve",
      scene.path("ann"),
      "--host",
      "127.0.0.1",
      ...scene.homeOf("ann"),
    ];
    for (const stray of [["--dry-run"], ["--room", "a"]]) {
      assertEquals((await shell.run([...serve, ...stray])).code, 2);
    }
    const gone = ["sync", "serve", scene.path("gone"), "--host", "127.0.0.1", "--http-port", "0"];
    assertEquals((await shell.run([...gone, ...scene.homeOf("ann")])).code, 5);
  });

  await test.step(`a second sync of ${UNCHANGED} files sends less than a hundredth of the bytes`, async () => {
    for (let nth = 0; nth < UNCHANGED; nth++) {
      await scene.write(`many/${nth % 10}/${nth}`, crypto.getRandomValues(new Uint8Array(512)));
    }
    await using proxy = new CountingProxy();
    proxy.leadTo(hub.port);
    const bytes: number[] = [];
    for (const changed of [UNCHANGED, 0]) {
      const before = proxy.crossed + proxy.returned;
      const outcome = await join("many", proxy.address, "--once");
      assertEquals(outcome.code, 0);
      assert(Number(eventOf(outcome, "synced").told) >= changed);
      bytes.push(proxy.crossed + proxy.returned - before);
    }
    const [first = 0, second = 0] = bytes;
    if (Deno.env.has("KITH_SYNC_FILES")) {
      Deno.stderr.writeSync(new TextEncoder().encode(`${bytes}\n`));
    }
    assertLess(second, first / 100);
  });
});

Deno.test("sync over TLS lets in who shows an invite, to read or to write", async () => {
  await using scene = await SyncScene.make();
  const certificate = await makeCertificate(scene);
  if (certificate === undefined) {
    // deno-lint-ignore no-console -- who reads the results shall know
    return console.log("skipped, no openssl to make a certificate with");
  }
  await using shell = new Shell();
  await scene.write("docs/secret", "s");
  const { cert, key } = certificate;
  const options = ["--access", "invited", "--tls-cert", cert, "--tls-key", key];
  const hub: Served = await scene.serve("docs", ...options);
  const url = `wss://127.0.0.1:${hub.port}/sync`;
  const invite = async (name: string, scope: string): Promise<string[]> => {
    const { stdout } = await shell.run(["invite", "--scope", scope, ...scene.homeOf("docs")]);
    const path = await scene.write(name, stdout);
    Deno.chmodSync(path, 0o600);
    return ["--invite-file", path];
  };
  const join = (name: string, ...more: readonly string[]) => {
    const args = ["sync", "join", scene.path(name), url, "--once", ...more, "--json"];
    return shell.run([...args, ...scene.homeOf(name)]);
  };
  const trusting = ["--ca", cert];
  const reader = await invite("reader's", "folder:docs:read");
  const writer = await invite("writer's", "folder:docs");
  const stranger = await invite("stranger's", "folder:letters");

  assertEquals((await join("ann", ...writer)).code, 1); // who trusts nobody gets no further
  for (const presented of [[], stranger]) {
    const { code, stderr } = await join("ann", ...trusting, ...presented);
    assertEquals([code, paths(scene.path("ann"))], [4, [".kith-partial/", ".kith-partial/index"]]);
    assertMatch(stderr, /key/i);
  }
  await scene.write("ann/from a reader", "r");
  const read = await join("ann", ...trusting, ...reader);
  assertEquals([read.code, eventOf(read, "ready").scope], [0, "read"]);
  assertEquals(pathsIn(treeOf(scene.path("ann"))), ["from a reader", "secret"]);
  assertEquals(pathsIn(treeOf(scene.path("docs"))), ["secret"]);
  await scene.write("bob/from a writer", "w");
  const write = await join("bob", ...trusting, ...writer);
  assertEquals([write.code, eventOf(write, "ready").scope], [0, "write"]);
  assertEquals(pathsIn(treeOf(scene.path("docs"))), ["from a writer", "secret"]);
});

/** A certificate of 127.0.0.1, which is its own authority; `undefined` where there is no `openssl`. */
async function makeCertificate(
  scene: SyncScene,
): Promise<{ cert: string; key: string } | undefined> {
  const [cert, key] = [scene.path("cert.pem"), scene.path("key.pem")];
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  const facts = ["-subj", "/CN=kith", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"];
  const leaf = ["-addext", "basicConstraints=critical,CA:FALSE"];
  const args = ["req", "-x509", ...curve, ...facts, ...leaf, "-keyout", key, "-out", cert];
  try {
    const { success, stderr } = await new Deno.Command("openssl", { args }).output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  Deno.chmodSync(key, 0o600);
  return { cert, key };
}

/** Waits until folders are alike, and these paths are in them. */
async function untilFound(dirs: readonly string[], expected: readonly string[]): Promise<void> {
  const wanted = expected.toSorted();
  for (let tries = 0; tries < 100; tries++) {
    const found = pathsIn(await untilAlike(dirs));
    if (found.join("\n") === wanted.join("\n")) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assertEquals(pathsIn(treeOf(dirs[0] ?? "")), wanted);
}

function pathsIn(tree: readonly string[]): string[] {
  return tree.map((line) => line.replace(/ [0-9a-f]{64}$/, "")).toSorted();
}

function eventOf({ events, stderr }: Outcome, name: string): Event {
  const found = events.find(({ event }) => event === name);
  assert(found !== undefined, `no ${name}: ${stderr}`);
  return found;
}

function doneOf(outcome: Outcome): Event {
  return eventOf(outcome, "done");
}
