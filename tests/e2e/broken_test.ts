import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { type Event, Kith, loopback, until } from "./process.ts";
import { paths, Scratch } from "./scratch.ts";

/** How quickly the one side must see that the other is gone. */
const SEEN_WITHIN_MS = 3_000;

/** A transfer that has begun and is far from its end. */
async function underWay(
  parts: AsyncDisposableStack,
  recvOptions: readonly string[],
): Promise<{ ann: Kith; bob: Kith; dir: string; ready: Event }> {
  const scratch = parts.use(await Scratch.make());
  const network = loopback();
  const dir = scratch.path("inbox");
  const film = await scratch.writeZeros("film", 1_000_000_000);
  const bob = parts.use(Kith.start(
    ["recv", "--dir", dir, "--yes", "--json", "--port", "0", "--ephemeral"]
      .concat(recvOptions, network),
  ));
  const ready = await bob.event("ready");
  const ann = parts.use(Kith.start(
    ["send", film, "--to", `127.0.0.1:${ready.tcp}`, "--json", "--ephemeral", ...network],
  ));
  await until("the first bytes", () => paths(dir).some((path) => path.endsWith(".part")));
  return { ann, bob, dir, ready };
}

/** What is there besides parts. */
function wholes(dir: string): string[] {
  return paths(dir).filter((path) => !path.startsWith(".kith-partial/"));
}

Deno.test("send ends with 1 and says so when the receiver is killed", async () => {
  await using parts = new AsyncDisposableStack();
  const { ann, bob, ready } = await underWay(parts, []);
  const killedMs = performance.now();
  bob.signal("SIGKILL");
  const { code, stderr, events } = await ann.ended();
  assert(performance.now() - killedMs < SEEN_WITHIN_MS, "it took too long");
  assertEquals([code, events.at(-1)?.event, events.at(-1)?.code], [1, "error", "closed"]);
  assertMatch(stderr, /^kith send: .*127\.0\.0\.1:\d+.* (broke: .*|has ended)\n$/);
  assertStringIncludes(stderr, `127.0.0.1:${ready.tcp}`);
});

Deno.test("recv --once ends with 1 and keeps what came apart when the sender is killed", async () => {
  await using parts = new AsyncDisposableStack();
  const { ann, bob, dir } = await underWay(parts, ["--once"]);
  const killedMs = performance.now();
  ann.signal("SIGKILL");
  const { code, stderr, events } = await bob.ended();
  assert(performance.now() - killedMs < SEEN_WITHIN_MS, "it took too long");
  assertEquals([code, wholes(dir)], [1, []]);
  assertEquals(events.map(({ event }) => event), ["ready", "failed", "closed", "error"]);
  assertEquals(events.at(-1)?.code, "closed");
  assertMatch(
    stderr,
    /transfer from [0-9a-f]{40} failed: (The (connection|transfer)|Connection to)/,
  );
});

Deno.test("recv without --once goes on when a sender is interrupted", async () => {
  await using parts = new AsyncDisposableStack();
  const { ann, bob, dir } = await underWay(parts, []);
  assertEquals((await ann.interrupt()).code, 130);
  await bob.says(/transfer from [0-9a-f]{40} failed/);
  const { code, events } = await bob.interrupt();
  assertEquals([code, wholes(dir)], [130, []]);
  assertEquals(events.map(({ event }) => event), ["ready", "failed", "closed"]);
});
