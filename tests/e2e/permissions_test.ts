import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { usageOf } from "../../src/cli/help.ts";
import { VERBS } from "../../src/cli/verbs.ts";
import { Kith, loopback, run, type StartOptions } from "./process.ts";
import { paths, Scratch } from "./scratch.ts";

/** What a verb's help says it needs, with the folders filled in. */
function needsOf(name: string, folders: Record<string, string> = {}): string[] {
  const verb = VERBS[name];
  assert(verb !== undefined, name);
  const help = usageOf(name, verb);
  const needs = /^needs +(.+)$/m.exec(help)?.[1] ?? "";
  assert(needs !== "", help);
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
    if (args.length === 2) assertEquals(needsOf("wire"), []);
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
  const started = (verb: string): StartOptions => {
    return { permissions: needsOf(verb, folders), env: { KITH_HOME: home } };
  };

  const id = await run(["id", "--json"], started("id"));
  assertEquals([id.code, id.stderr], [0, ""]);

  const recv = ["recv", "--dir", dir, "--yes", "--json", "--name", "bob", "--port", "0"];
  await using bob = Kith.start([...recv, ...network], started("recv"));
  const { peerId } = await bob.event("ready");
  assertEquals(peerId, id.events[0]?.peerId);

  const look = ["discover", "--timeout", "0.4", "--json", ...network];
  const [sent, found] = await Promise.all([
    run(["send", path, "--to", "bob", ...network], started("send")),
    run(look, started("discover")),
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
    const permissions = needsOf(line[0] ?? "", { HOME: home });
    const { code, stdout, stderr } = await run(line, { permissions, env: { KITH_HOME: home } });
    assertEquals(code, 0, stderr);
    assertEquals(stdout.split("\n").length, 2, line.join(" "));
  }
});

Deno.test("up, ping, peers, call and msg run with the permissions that their help states", async () => {
  await using scratch = await Scratch.make();
  const network = loopback();
  const [home, dir] = [scratch.path("home"), scratch.path("inbox")];
  const started = (verb: string): StartOptions => {
    const permissions = needsOf(verb, { HOME: home, DIR: dir });
    return { permissions, env: { KITH_HOME: home } };
  };
  const up = ["up", "--dir", dir, "--yes", "--dialect", "all", "--json", "--name", "bob"];
  const ports = ["--port", "0", "--http-port", "0"];
  await using bob = Kith.start([...up, ...ports, ...network], started("up"));
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
    const { code, stderr } = await run([...line, ...network], started(line[0] ?? ""));
    assertEquals([code, stderr], [0, ""], line.join(" "));
  }
  assertEquals((await bob.interrupt()).code, 130);
});

Deno.test("sync runs with the permissions that its help states", async () => {
  await using scratch = await Scratch.make();
  await scratch.write("docs/2024/a.txt", "hello");
  await scratch.write("copy/b.txt", "there");
  const started = (dir: string): StartOptions => {
    const home = scratch.path(`home of ${dir}`);
    const permissions = needsOf("sync", { HOME: home, DIR: scratch.path(dir) });
    return { permissions, env: { KITH_HOME: home } };
  };
  const serve = ["sync", "serve", scratch.path("docs"), "--host", "127.0.0.1", "--http-port", "0"];
  await using hub = Kith.start([...serve, "--json"], started("docs"));
  const { http } = await hub.event("ready");
  const join = ["sync", "join", scratch.path("copy"), `127.0.0.1:${http}`, "--once"];
  const { code, stderr } = await run(join, started("copy"));
  assertEquals([code, stderr], [0, ""]);
  for (const dir of ["docs", "copy"]) {
    const found = paths(scratch.path(dir)).filter((path) => path.endsWith(".txt"));
    assertEquals(found, ["2024/a.txt", "b.txt"]);
  }
  const ended = await hub.interrupt();
  assertEquals([ended.code, ended.stderr], [130, ""]);
});

Deno.test("all other verbs run with the permissions that their help states", async () => {
  await using scratch = await Scratch.make();
  const network = loopback();
  const [home, dir, path] = [scratch.path("home"), scratch.path("inbox"), scratch.path("photos")];
  await scratch.write("photos/a.txt", "hello");
  const up = ["up", "--dir", dir, "--yes", "--topic", "news", "--json", "--name", "bob"];
  await using bob = Kith.start([
    ...up,
    "--port",
    "0",
    "--http-port",
    "0",
    "--ephemeral",
    ...network,
  ]);
  const { tcp } = await bob.event("ready");
  const there = ["--peer", `127.0.0.1:${tcp}`, ...network];
  const lines = [
    ["pub", "news", "tea", ...there],
    // What this home has published itself it is not given.
    ["sub", "news", "--since=all", "--count", "1", "--ephemeral", ...there],
    ["dht", "put", "greeting", "hello", ...there],
    ["rumor", "hello", ...there],
    ["broadcast", path, "--to", "bob", ...there],
    ["doctor", "--timeout", "0.2", ...there],
    ["config", "set", "name", "alice"],
    ["completions", "bash"],
    ["sim", "gossip", "--nodes", "10"],
  ];
  for (const line of lines) {
    const permissions = needsOf(line[0] ?? "", { HOME: home, DIR: dir, PATH: path });
    const { code, stderr } = await run(line, { permissions, env: { KITH_HOME: home } });
    assertEquals([code, stderr.includes("--allow-")], [0, false], `${line.join(" ")}: ${stderr}`);
  }
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
