import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Kith, loopback, run, type StartOptions } from "./process.ts";
import { paths, Scratch } from "./scratch.ts";

/** What a verb's help says it needs, with the folders filled in. */
async function needsOf(verb: string, folders: Record<string, string> = {}): Promise<string[]> {
  const { stdout } = await run([verb, "--help"], { permissions: [] });
  const needs = /^needs +(.+)$/m.exec(stdout)?.[1] ?? "";
  assert(needs !== "", stdout);
  if (needs === "none") return [];
  return needs.split(" ").map((flag) =>
    flag.replace(/=([A-Z]+)$/, (whole, name) => {
      return name in folders ? `=${folders[name]}` : whole;
    })
  );
}

Deno.test("version and wire run without any permission", async () => {
  for (const line of ["version", "wire vectors", "help", "send --help"]) {
    const args = line.split(" ");
    if (args.length === 2) assertEquals(await needsOf("wire"), []);
    const { code, stderr } = await run(args, { permissions: [] });
    assertEquals([code, stderr], [0, ""], line);
  }
});

Deno.test("id, recv, send and discover run with the permissions that their help states", async () => {
  await using scratch = await Scratch.make();
  const network = loopback();
  const [home, dir, path] = [scratch.path("home"), scratch.path("inbox"), scratch.path("photos")];
  await scratch.write("photos/2024/a.txt", "hello");
  const folders = { HOME: home, DIR: dir, PATH: path };
  const started = async (verb: string): Promise<StartOptions> => {
    return { permissions: await needsOf(verb, folders), env: { KITH_HOME: home } };
  };

  const id = await run(["id", "--json"], await started("id"));
  assertEquals([id.code, id.stderr], [0, ""]);

  const recv = ["recv", "--dir", dir, "--yes", "--json", "--name", "bob", "--port", "0"];
  await using bob = Kith.start([...recv, ...network], await started("recv"));
  const { peerId } = await bob.event("ready");
  assertEquals(peerId, id.events[0]?.peerId);

  const look = ["discover", "--timeout", "0.4", "--json", ...network];
  const [sent, found] = await Promise.all([
    run(["send", path, "--to", "bob", ...network], await started("send")),
    run(look, await started("discover")),
  ]);
  assertEquals([sent.code, sent.stderr], [0, ""]);
  assertEquals(found.events.map(({ name }) => name), ["bob"], found.stderr);
  const { code, stderr } = await bob.interrupt();
  assertEquals(code, 130, stderr);
  assertEquals(paths(dir), ["photos/", "photos/2024/", "photos/2024/a.txt"]);
});

Deno.test("trust and invite run with the permissions that their help states", async () => {
  await using scratch = await Scratch.make();
  const home = scratch.path("home");
  const peer = "ab".repeat(20);
  const lines = [
    ["trust", "add", peer, "--name", "bob"],
    ["trust", "ls"],
    ["trust", "rm", "bob"],
    ["invite", "--scope", "call:echo"],
    ["invite", "ls"],
  ];
  for (const line of lines) {
    const permissions = await needsOf(line[0] ?? "", { HOME: home });
    const { code, stdout, stderr } = await run(line, { permissions, env: { KITH_HOME: home } });
    assertEquals(code, 0, stderr);
    assertEquals(stdout.split("\n").length, 2, line.join(" "));
  }
});

Deno.test("up, ping, peers, call and msg run with the permissions that their help states", async () => {
  await using scratch = await Scratch.make();
  const network = loopback();
  const [home, dir] = [scratch.path("home"), scratch.path("inbox")];
  const started = async (verb: string): Promise<StartOptions> => {
    const permissions = await needsOf(verb, { HOME: home, DIR: dir });
    return { permissions, env: { KITH_HOME: home } };
  };
  const up = ["up", "--dir", dir, "--yes", "--dialect", "all", "--json", "--name", "bob"];
  const ports = ["--port", "0", "--http-port", "0"];
  await using bob = Kith.start([...up, ...ports, ...network], await started("up"));
  const { tcp, udp, http } = await bob.event("ready");
  const calls = [
    ["ping", "bob"],
    ["peers", "--timeout", "5", "--json"],
    ["call", `127.0.0.1:${tcp}`, "echo", "1"],
    ["call", `ws://127.0.0.1:${http}`, "echo", "1"],
    ["call", `udp://127.0.0.1:${udp}`, "echo", "1"],
    ["call", `127.0.0.1:${tcp}`, "echo", "1", "--dialect", "witch"],
    ["msg", "bob", "hello"],
    ["msg", `127.0.0.1:${tcp}`, "hello", "--dialect", "peerpy"],
  ];
  for (const line of calls) {
    const { code, stderr } = await run([...line, ...network], await started(line[0] ?? ""));
    assertEquals([code, stderr], [0, ""], line.join(" "));
  }
  assertEquals((await bob.interrupt()).code, 130);
});

Deno.test("a permission that is missing is named", async () => {
  await using scratch = await Scratch.make();
  const network = loopback();
  const home = scratch.path("home");
  const file = await scratch.write("f");
  const recv = ["recv", "--dir", scratch.path("in"), "--ephemeral", "--port", "0", ...network];
  const send = ["send", file, "--to", "127.0.0.1:9", "--ephemeral", ...network];
  const rows: readonly (readonly [args: readonly string[], permissions: string, names: string])[] =
    [
      [["id"], "", "--allow-env=KITH_HOME"],
      [["id", "--home", home], "", "--allow-read and --allow-write"],
      [["discover", ...network], "", "--allow-sys=networkInterfaces"],
      [
        ["discover", "--timeout", "0.3", ...network],
        "--allow-sys=networkInterfaces",
        "--allow-net",
      ],
      [recv, "", "--allow-net"],
      [send, "--allow-net", `--allow-read=${file}`],
      [send, `--allow-read=${file} --allow-sys=networkInterfaces`, "--allow-net"],
    ];
  const outcomes = await Promise.all(rows.map(([args, permissions]) => {
    return run(args, { permissions: permissions.split(" ").filter((flag) => flag !== "") });
  }));
  for (const [index, { code, stderr }] of outcomes.entries()) {
    const [args, , names] = rows[index] as typeof rows[number];
    assertEquals(code, 1, args.join(" "));
    assertStringIncludes(stderr, names);
  }
});
