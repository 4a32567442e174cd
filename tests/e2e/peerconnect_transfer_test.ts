/**
 * PeerConnect's files, folders and texts between processes.
 */

import { assert, assertEquals, assertGreater } from "@std/assert";
import { CuttingProxy, pattern } from "../transfer/dialects/peerconnect_driver_fixture.ts";
import { allOf, Up } from "./up.ts";
import { Kith, loopback, run } from "./process.ts";
import { paths, Scratch, sha256Of } from "./scratch.ts";

const DIALECT = ["--dialect", "peerconnect"];

/** SHA-256 of the files of a folder by their paths; of folders nothing. */
function hashes(dir: string): [path: string, sha256: string][] {
  return paths(dir).filter((path) => !path.startsWith(".kith-partial/")).map((path) => {
    return [path, path.endsWith("/") ? "" : sha256Of(Deno.readFileSync(`${dir}/${path}`))];
  });
}

Deno.test("send and msg --dialect peerconnect reach up --dialect peerconnect", async () => {
  await using scratch = await Scratch.make();
  const inbox = scratch.path("inbox");
  await using bob = await Up.start(["--dir", inbox, "--yes", ...DIALECT]);
  const song = await scratch.write("out/song.ogg", pattern(700_000));
  const empty = await scratch.write("out/empty");
  await scratch.write("out/фото/été/日本 ☃.txt", "snow");
  await scratch.write("out/фото/👩‍🚀", pattern(70_000));
  await scratch.write("out/фото/nothing");
  await Deno.mkdir(scratch.path("out/фото/empty folder"));
  const [sent, said] = await allOf([
    bob.run([
      "send",
      song,
      empty,
      scratch.path("out/фото"),
      "--to",
      bob.address,
      ...DIALECT,
      "--json",
    ]),
    bob.run(["msg", bob.address, "héllo", "☃\u001b[2J", ...DIALECT, "--json"]),
  ]);
  assertEquals([sent.code, sent.stderr, said.code, said.stderr], [0, "", 0, ""]);
  const done = sent.events.at(-1);
  assertEquals([done?.event, done?.files, done?.bytes], ["done", 5, 770_004]);
  assertEquals(done?.resentBytes, 0);
  assertEquals(hashes(inbox), hashes(scratch.path("out")));
  assertEquals(said.events, [{ delivered: true, acknowledged: false }]);
  const message = await bob.kith.event("message");
  assertEquals([message.data, message.dialect], ["héllo ☃\u001b[2J", "peerconnect"]);
  assertEquals(String(message.from).length, 40);
  await bob.kith.event("received", ({ path }) => path === "фото/nothing");
  const received = bob.kith.events.filter(({ event }) => event === "received");
  const found = received.find(({ path }) => path === "song.ogg");
  assertEquals(found?.sha256, sha256Of(pattern(700_000)));
  assertEquals(received.length, 5);
  // What is not wanted there.
  const native = await bob.run(["send", song, "--to", bob.address, "--json"]);
  assertEquals(native.code, 0, native.stderr);
  const nowhere = await bob.run(["send", song, "--to", "bob", ...DIALECT]);
  assertEquals(nowhere.code, 2);
});

Deno.test("send --dialect peerconnect goes on when its connection was cut, and is told that it is refused", async () => {
  await using scratch = await Scratch.make();
  const network = loopback();
  const start = (...more: string[]) => {
    const line = ["recv", "--dir", scratch.path("inbox"), "--port", "0", "--json", "--ephemeral"];
    return Kith.start([...line, ...DIALECT, ...network, ...more]);
  };
  await using bob = start("--yes");
  await using eve = start();
  const [{ tcp }, { tcp: closed }] = await allOf([bob.event("ready"), eve.event("ready")]);
  const large = await scratch.write("large.bin", pattern(40_000_000));
  const small = await scratch.write("small.txt", "small");
  await using proxy = new CuttingProxy(Number(tcp), [13_000_000, 9_000_000]);
  const send = (port: unknown) => {
    const line = ["send", large, small, "--to", `127.0.0.1:${port}`, "--json", "--ephemeral"];
    return run([...line, ...DIALECT, ...network]);
  };
  const [sent, refused, nobody] = await allOf([send(proxy.port), send(closed), send(9)]);
  assertEquals(sent.code, 0, sent.stderr);
  const done = sent.events.at(-1);
  assertEquals([done?.event, done?.files, done?.bytes], ["done", 2, 40_000_005]);
  assertGreater(Number(done?.resentBytes), 0);
  assert(proxy.connections >= 3, `${proxy.connections} connections`);
  const received = await bob.event("received", ({ path }) => path === "small.txt");
  assertEquals(received.bytes, 5);
  assertEquals(
    sha256Of(Deno.readFileSync(scratch.path("inbox/large.bin"))),
    sha256Of(pattern(40_000_000)),
  );
  assertEquals([refused.code, refused.events.at(-1)?.code], [4, "denied"], refused.stderr);
  assertEquals([nobody.code, nobody.events.at(-1)?.code], [5, "no-peer"], nobody.stderr);
  const { events } = await bob.interrupt();
  const counters = Object(events.at(-1)?.counters);
  assertEquals(counters["peerconnect.resumed"], counters["peerconnect.interrupted"]);
});
