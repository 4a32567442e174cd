import { assert, assertEquals, assertMatch } from "@std/assert";
import type { LiveTable } from "../../src/cli/live_table.ts";
import { runningFrames } from "../../src/cli/running_frames.ts";
import { Peer } from "../../src/peer.ts";
import { KeptOutput, RunningPeer } from "./control_fixture.ts";
import { runVerb } from "./verb_fixture.ts";

const never = new AbortController().signal;

/** A running peer that was asked for something. */
async function asked(): Promise<RunningPeer> {
  const running = await RunningPeer.start();
  const { peer } = running;
  peer.handle("gr\u001beet", () => "a secret");
  await using client = await Peer.open({ hostname: "127.0.0.1", clientOnly: true });
  await client.request(`127.0.0.1:${peer.address?.port}`, "gr\u001beet", { word: "secret" });
  return running;
}

Deno.test("status --frames shows the last messages of the running peer, safe to print", async () => {
  await using running = await asked();
  const { status, printed } = await running.run(["status", "--frames", "--json"]);
  assertEquals(status, 0);
  const frames = printed.map((line) => JSON.parse(line)).filter(({ link }) => link === 1);
  assertEquals(frames.slice(0, 2).map(({ event, direction, kind }) => [event, direction, kind]), [
    ["frame", "in", "gr\\u{1b}eet"],
    ["frame", "out", ":ok"],
  ]);
  assert(Math.abs(frames[0].atMs - Date.now()) < 60_000 && frames[0].bytes > 10);
  assert(!printed.join().includes("secret"));
  const people = await running.run(["status", "--frames"]);
  assertMatch(people.printed.join("\n"), /^20\d\d-.*Z {2}in {3}link 1 +\d+ {2}gr\\u\{1b\}eet$/m);
});

Deno.test("doctor --dump has the last messages of the running peer, and none where none runs", async () => {
  await using running = await asked();
  const local = ["--host", "127.0.0.1", "--discovery-port", "31999", "--timeout", "0.1"];
  const { dir } = running.home;
  const { facts, lines } = await runVerb(
    "doctor",
    dir,
    "--dump",
    "--interface",
    "none-*",
    ...local,
  );
  const { dump } = facts.at(-1) as { dump: { frames: Record<string, unknown>[] } };
  assertEquals(dump.frames.filter(({ link }) => link === 1)[0]?.kind, "gr\\u{1b}eet");
  assertMatch(lines.at(-1) ?? "", /^frames +\d+, the oldest first\n {2}\{"atMs":/m);

  assertEquals(await runningFrames("/nowhere/at/all", never), undefined);
});

Deno.test("Peer.flightRecorder has what its links carried", async () => {
  await using running = await asked();
  const { flightRecorder } = running.peer;
  assert(flightRecorder.count >= 2);
  assertEquals(flightRecorder.frames().find(({ link }) => link === 1)?.direction, "in");
});

/** A terminal that results go to. */
class LiveOutput extends KeptOutput {
  override readonly live = true;
  readonly first = Promise.withResolvers<LiveTable>();

  override table(table: LiveTable): void {
    this.first.resolve(table);
  }
}

Deno.test("peers --watch in the running peer draws its table on the terminal of the command line", async () => {
  await using running = await RunningPeer.start();
  running.peer.join();
  const output = new LiveOutput({ json: false, level: "error" });
  const over = new AbortController();
  const done = running.runWith(["peers", "--watch"], output, over.signal);
  const table = await output.first.promise;
  assertMatch(table.title, /^as [0-9a-f]{8} sees it {2}\| {2}1 alive/);
  assertEquals(table.rows.map(({ cells: [state, id], paint }) => [state, id, paint]), [
    ["alive", running.peer.peerId.slice(0, 12), "good"],
  ]);
  assertEquals(output.printed, []);
  over.abort();
  await done.catch(() => {});
});
