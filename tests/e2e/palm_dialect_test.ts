/**
 * Broadcasts in PeerConnect's dialect between processes.
 */

import { assert, assertEquals } from "@std/assert";
import { pattern } from "../transfer/dialects/peerconnect_driver_fixture.ts";
import { Kith, loopback, run } from "./process.ts";
import { paths, Scratch, sha256Of } from "./scratch.ts";
import { allOf } from "./up.ts";

const DIALECT = ["--dialect", "peerconnect"];

Deno.test("broadcast --dialect peerconnect reaches who says yes, and nobody else", async () => {
  await using scratch = await Scratch.make();
  const network = loopback();
  const start = (name: string, verb: string, ...more: string[]) => {
    const line = [verb, "--dir", scratch.path(name), "--port", "0", "--udp-port", "0"];
    const up = verb === "up" ? ["--http-port", "0"] : [];
    return Kith.start([...line, ...up, "--json", "--ephemeral", ...DIALECT, ...network, ...more]);
  };
  await using ann = start("ann", "up", "--yes");
  await using bob = start("bob", "recv", "--yes");
  await using eve = start("eve", "recv");
  const wrong = ["broadcast", "/dev/null", "--to", "bob", ...DIALECT, "--ephemeral", ...network];
  const [usage, ...ready] = await allOf([
    run(wrong),
    ann.event("ready"),
    bob.event("ready"),
    eve.event("ready"),
  ]);
  assertEquals(usage.code, 2, usage.stderr);
  const data = pattern(5_000_000);
  const file = await scratch.write("out/song.ogg", data);
  await scratch.write("out/photos/snow ☃.txt", pattern(5));
  await scratch.write("out/photos/nothing");
  const to = ready.flatMap(({ udp }) => ["--to", `127.0.0.1:${udp}`]);
  const line = ["broadcast", file, scratch.path("out/photos"), ...DIALECT, "--json", "--ephemeral"];
  const sent = await run([...line, "--timeout", "1", ...to, ...network]);
  assertEquals(sent.code, 1, sent.stderr);
  const peers = sent.events.filter(({ event }) => event === "peer");
  assertEquals(
    peers.map(({ name, state, code }) => [name, state, code]).sort(),
    [
      [`127.0.0.1:${ready[0].udp}`, "done", null],
      [`127.0.0.1:${ready[1].udp}`, "done", null],
      [`127.0.0.1:${ready[2].udp}`, "failed", "no-peer"],
    ].sort(),
  );
  const done = sent.events.at(-1);
  assertEquals([done?.event, done?.files, done?.bytes], ["done", 3, 5_000_005]);
  assertEquals([done?.done, done?.failed, "verified" in (done ?? {})], [2, 1, false]);
  assert(Number(done?.egressBytes) <= 10_000_010);
  assertEquals(sent.events.find(({ event }) => event === "skipped")?.path, "photos");
  for (const [node, name] of [[ann, "ann"], [bob, "bob"]] as const) {
    const received = await node.event("received", ({ path }) => path === "song.ogg");
    assertEquals([received.bytes, received.sha256], [5_000_000, sha256Of(data)]);
    await node.event("received", ({ path }) => path === "snow ☃.txt");
    const found = paths(scratch.path(name)).filter((path) => !path.startsWith(".kith-partial"));
    assertEquals(found, ["nothing", "snow ☃.txt", "song.ogg"]);
  }
});
