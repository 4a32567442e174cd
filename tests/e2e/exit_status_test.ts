import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { listenTcp } from "../../src/transport/tcp.ts";
import { openDatagram } from "../../src/transport/udp.ts";
import { Kith, loopback, type Outcome, run, until } from "./process.ts";
import { paths, Scratch } from "./scratch.ts";
import { Shell } from "./shell.ts";

interface Row {
  /** The command line after `kith`, split at spaces. */
  readonly line: string;
  /** Exit status. */
  readonly code: number;
  /** What people are told. */
  readonly says: RegExp;
}

const BAD_USAGE: readonly Row[] = [
  { line: "", code: 2, says: /^kith: find peers .*\n[^]*kith send PATH/ },
  { line: "frob", code: 2, says: /^Unknown verb frob; "kith help" lists them\n$/ },
  { line: "sned x --to bob", code: 2, says: /^Unknown verb sned; did you mean kith send\?\n$/ },
  { line: "id --jsno", code: 2, says: /^kith id: Unknown option --jsno; did you mean --json\?\n/ },
  { line: "id --ephemeral=maybe", code: 2, says: /Option --ephemeral is a switch/ },
  { line: "toString", code: 2, says: /^Unknown verb toString/ },
  { line: "id --frob", code: 2, says: /^kith id: Unknown option --frob\n"kith id --help"/ },
  { line: "id -x", code: 2, says: /Unknown option -x/ },
  { line: "id extra", code: 2, says: /takes options only: extra is none/ },
  { line: "version extra", code: 2, says: /takes options only/ },
  { line: "recv inbox", code: 2, says: /takes options only: inbox is none/ },
  { line: "discover bob", code: 2, says: /takes options only/ },
  { line: "id --home", code: 2, says: /Option --home needs DIR/ },
  { line: "recv --dir --yes", code: 2, says: /Option --dir needs DIR/ },
  {
    line: "id --log loud",
    code: 2,
    says: /--log has no level "loud", only debug, info, warn, error/,
  },
  {
    line: "recv --ephemeral --port 65536",
    code: 2,
    says: /--port must be a whole number, 0\.\.65535: it is 65536/,
  },
  {
    line: "recv --ephemeral --udp-port x",
    code: 2,
    says: /--udp-port must be a whole number, 0\.\.65535: it is x/,
  },
  { line: "discover --timeout soon", code: 2, says: /--timeout must be seconds, .*: it is soon/ },
  { line: "discover --timeout -1", code: 2, says: /needs SECONDS|Unknown option -1/ },
  { line: "send --to bob", code: 2, says: /A PATH is missing/ },
  { line: "send x", code: 2, says: /Option --to is missing/ },
  { line: "send x --to", code: 2, says: /Option --to needs PEER/ },
  { line: "send x --to y --peer bob", code: 2, says: /Option --peer must be HOST:PORT/ },
  { line: "send x --to y --port 1", code: 2, says: /Unknown option --port/ },
  { line: `recv --ephemeral --name ${"x".repeat(65)}`, code: 2, says: /at most 64 characters/ },
  { line: "wire", code: 2, says: /One of decode, encode and vectors is missing/ },
  { line: "wire frob", code: 2, says: /One of decode, encode and vectors is missing/ },
  { line: "wire decode file", code: 2, says: /reads from stdin/ },
  { line: "wire decode --bare --datagram", code: 2, says: /exclude each other/ },
];

const LOOPBACK = loopback();

function split({ line }: Row): string[] {
  const args = line.split(" ").filter((arg) => arg !== "");
  const isNetworked = ["recv", "send", "discover"].includes(args[0] ?? "");
  return isNetworked ? [...args.slice(0, 1), ...LOOPBACK, ...args.slice(1)] : args;
}

/** Runs a table: one row of three in a process of its own, whose status it is. */
async function runRows(rows: readonly Row[]): Promise<Outcome[]> {
  await using shell = new Shell();
  return await Promise.all(rows.map((row, at) => {
    return at % 3 === 0 ? run(split(row)) : shell.run(split(row));
  }));
}

Deno.test("bad usage ends with 2, says what is wrong, and prints no result", async () => {
  for (const [index, outcome] of (await runRows(BAD_USAGE)).entries()) {
    const { line, code, says } = BAD_USAGE[index] as Row;
    assertEquals([outcome.code, outcome.stdout], [code, ""], line);
    assertMatch(outcome.stderr, says, line);
  }
});

Deno.test("help and --help end with 0 and print the usage on stdout", async () => {
  const rows = ["help", "--help", "id -h", "send --help", "recv --dir x --help"]
    .map((line) => ({ line, code: 0, says: /^$/ }));
  for (const [index, outcome] of (await runRows(rows)).entries()) {
    const { line } = rows[index] as Row;
    assertEquals([outcome.code, outcome.stderr], [0, ""], line);
    assertStringIncludes(outcome.stdout, "kith");
  }
});

Deno.test("a path that is not there ends with 5, before anybody is looked for", async () => {
  await using scratch = await Scratch.make();
  const missing = scratch.path("missing");
  const { code, stderr, events } = await run(
    ["send", missing, "--to", "bob", "--ephemeral", "--json", ...loopback()],
  );
  assertEquals(code, 5);
  assertStringIncludes(stderr, `kith send: Cannot find "${missing}"`);
  assertEquals(events.map(({ event, code }) => [event, code]), [["error", "no-path"]]);
  assertEquals(events[0]?.details, { path: missing });
});

Deno.test("a peer that is not there ends with 5, in the time given, and says what was tried", async () => {
  await using scratch = await Scratch.make();
  const file = await scratch.write("f");
  const network = loopback();
  const startMs = performance.now();
  const { code, stderr, events } = await run(
    ["send", file, "--to", "bob", "--timeout", "1", "--ephemeral", "--json", ...network],
  );
  const seconds = (performance.now() - startMs) / 1000;
  assert(seconds > 0.9 && seconds < 4, `${seconds} s`);
  const tried = [
    "broadcast to 127.255.255.255 from 127.0.0.1",
    "broadcast to 255.255.255.255 from 127.0.0.1",
    "multicast4 to 239.1.11.11 from 127.0.0.1",
  ];
  assertEquals(code, 5);
  const { tried: told, found } = events[0]?.details as { tried: string[]; found: string[] };
  assertEquals(
    stderr,
    `kith send: Cannot reach peer "bob": tried ${told.join("; ")}\n` +
      "kith doctor says what may be in the way\n",
  );
  assertEquals([events[0]?.code, [...told].sort(), found], ["no-peer", tried, []]);

  const nobody = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = nobody.addr;
  nobody.close();
  const refused = await run(
    ["send", file, "--to", `127.0.0.1:${port}`, "--timeout", "1", "--ephemeral", ...network],
  );
  assertEquals(refused.code, 5);
  assertStringIncludes(refused.stderr, `127.0.0.1:${port}: Cannot connect`);
});

Deno.test("discover ends with 0 when nobody is there", async () => {
  const { code, stdout, stderr } = await run(["discover", "--timeout", "0.2", ...loopback()]);
  assertEquals([code, stdout], [0, ""]);
  assertStringIncludes(stderr, "Nobody answered in 0.2 s; kith doctor says");
});

Deno.test("recv without --yes and without a terminal refuses, and send ends with 4", async () => {
  await using scratch = await Scratch.make();
  const network = loopback();
  const dir = scratch.path("inbox");
  const file = await scratch.write("f", "x");
  await using bob = Kith.start(
    ["recv", "--dir", dir, "--json", "--port", "0", "--ephemeral", ...network],
  );
  const { tcp } = await bob.event("ready");
  const sent = await run(
    ["send", file, "--to", `127.0.0.1:${tcp}`, "--json", "--ephemeral", ...network],
  );
  assertEquals([sent.code, sent.events.at(-1)?.code], [4, "not-allowed"]);
  assertEquals(sent.stderr, "kith send: The offer was refused\n");
  const { code, stderr } = await bob.interrupt();
  assertEquals(code, 130);
  assertMatch(stderr, /^refused f \(1 file, 1 B\) from .*: no terminal to ask at, and no --yes\n$/);
  assertEquals(paths(dir), []);
});

Deno.test("^C of recv ends with 130, keeps what came apart and tells both", async () => {
  await using scratch = await Scratch.make();
  const network = loopback();
  const dir = scratch.path("inbox");
  const film = await scratch.writeZeros("film", 400_000_000);
  await using bob = Kith.start(
    ["recv", "--dir", dir, "--yes", "--json", "--port", "0", "--ephemeral", ...network],
  );
  const { tcp } = await bob.event("ready");
  await using ann = Kith.start(
    ["send", film, "--to", `127.0.0.1:${tcp}`, "--json", "--ephemeral", ...network],
  );
  await until("the first bytes", () => paths(dir).some((path) => path.endsWith(".part")));
  const got = await bob.interrupt();
  assertEquals(got.code, 130, got.stderr);
  assertEquals(got.events.map(({ event }) => event), ["ready", "failed", "closed"]);
  assertStringIncludes(got.stderr, "The transfer was given up by the receiver");
  assertEquals(paths(dir).filter((path) => !path.startsWith(".kith-partial/")), []);
  const sent = await ann.ended();
  assertEquals([sent.code, sent.events.at(-1)?.code], [1, "closed"]);
  // A connection that is closed while bytes still come in may lose its last words.
  assertMatch(
    sent.stderr,
    /The transfer was given up by the receiver|Connection to 127\.0\.0\.1:\d+ broke/,
  );
});

Deno.test("^C ends discover, and send that looks for a peer, with 130 at once", async () => {
  await using scratch = await Scratch.make();
  const file = await scratch.write("f");
  const send = ["send", file, "--to", "bob", "--timeout", "60", "--ephemeral", "--log", "debug"];
  const look = ["discover", "--timeout", "60", "--log", "debug"];
  // A packet that is no answer shows in the log: whoever says so is at work.
  for (const args of [send, look]) {
    const network = loopback();
    await using parts = new AsyncDisposableStack();
    const noise = await openDatagram({ port: Number(network.at(-1)) });
    parts.defer(() => noise.close());
    const kith = parts.use(Kith.start([...args, ...network]));
    let asker = await noise.receive();
    while (asker?.from.hostname !== "127.0.0.1") asker = await noise.receive();
    await noise.send(new Uint8Array([0]), asker.from);
    await kith.says(/dropped a packet/);
    const { code, stdout, stderr } = await kith.interrupt();
    assertEquals([code, stdout], [130, ""]);
    assert(!stderr.includes("Nobody"), stderr);
  }
});

Deno.test("a port that is taken ends with 1 and is named", async () => {
  await using scratch = await Scratch.make();
  await using parts = new AsyncDisposableStack();
  const tcp = await listenTcp({ hostname: "127.0.0.1" });
  parts.defer(() => tcp.close());
  const udp = await openDatagram({ hostname: "127.0.0.1" });
  parts.defer(() => udp.close());
  const recv = ["recv", "--dir", scratch.path("in"), "--json", "--ephemeral", ...loopback()];
  const taken = [
    { port: tcp.address.port, options: ["--port", `${tcp.address.port}`] },
    { port: udp.address.port, options: ["--port", "0", "--udp-port", `${udp.address.port}`] },
  ];
  for (const { port, options } of taken) {
    const { code, stderr, events } = await run([...recv, ...options]);
    assertEquals(code, 1);
    assertStringIncludes(stderr, `127.0.0.1:${port}: Address already in use`);
    assertStringIncludes(stderr, "Another program has that port: choose another one");
    assert(!/^ +at /m.test(stderr), stderr);
    assertEquals(events.map(({ event, code }) => [event, code]), [["error", "connect"]]);
  }
});

Deno.test("SIGTERM ends recv as ^C does", async () => {
  await using scratch = await Scratch.make();
  await using bob = Kith.start(
    ["recv", "--dir", scratch.path("in"), "--json", "--port", "0", "--ephemeral", ...loopback()],
  );
  await bob.event("ready");
  bob.signal("SIGTERM");
  const { code, events } = await bob.ended();
  assertEquals([code, events.at(-1)?.event], [130, "closed"]);
});
