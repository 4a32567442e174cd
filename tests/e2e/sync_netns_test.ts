import { assertEquals, assertMatch } from "@std/assert";
import { Access } from "../../src/secure/access.ts";
import { Identity } from "../../src/secure/identity.ts";
import { Home } from "../../src/state/home.ts";
import { Cables, whyNoNamespaces } from "./netns.ts";
import { Kith } from "./process.ts";
import { SyncScene, untilAlike } from "./sync_folders.ts";

const whyNot = await whyNoNamespaces();
// deno-lint-ignore no-console -- who reads the results shall know
if (whyNot !== undefined) console.log(`skipped, no network namespaces for folders: ${whyNot}`);

Deno.test({
  name: "sync keeps folders on two hosts alike with an invite, and without one refuses",
  ignore: whyNot !== undefined,
  async fn() {
    await using parts = new AsyncDisposableStack();
    const scene = parts.use(await SyncScene.make());
    const cables = parts.use(await Cables.lay());
    await scene.write("docs/from ann", "a");
    await scene.write("bob/from bob", "b");
    const home = Home.open(scene.path("home of docs"));
    const access = new Access({ identity: Identity.load(home), home });
    const { token } = access.createInvite({ scopes: ["folder:docs"], expiresMs: 60_000 });
    const invite = await scene.write("invite", token);
    Deno.chmodSync(invite, 0o600);
    const start = (host: "ann" | "bob", name: string, ...args: readonly string[]) => {
      const line = ["sync", ...args, "--json", ...scene.homeOf(name)];
      return parts.use(Kith.start(line, { within: cables.within(host) }));
    };
    const hub = start("ann", "docs", "serve", scene.path("docs"), "--http-port", "3488");
    const { urls } = await hub.event("ready");
    const url = (urls as string[]).find((url) => url.includes("10.77.1.1")) ?? "";
    assertEquals(url, "ws://10.77.1.1:3488/sync");

    const stranger = start("bob", "stranger", "join", scene.path("stranger"), url, "--once");
    const { code, stderr } = await stranger.ended();
    assertEquals(code, 4);
    assertMatch(stderr, /A key is needed/);

    const bob = start("bob", "bob", "join", scene.path("bob"), url, "--invite-file", invite);
    await bob.event("synced");
    const dirs = [scene.path("docs"), scene.path("bob")];
    assertEquals((await untilAlike(dirs)).length, 2);
    await cables.pull();
    await scene.write("bob/while the cable was out", "c");
    await bob.event("changed", ({ by }) => by === "here");
    await cables.putBack();
    await hub.event("changed", ({ path }) => path === "while the cable was out");
    assertEquals((await untilAlike(dirs)).length, 3);
    assertEquals((await bob.interrupt()).code, 130);
  },
});
