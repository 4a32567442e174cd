import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Peer } from "../../src/peer.ts";
import { EVIL, isRaw, serveOddly } from "./odd_server.ts";
import { Kith, loopback, type Outcome, until } from "./process.ts";
import { Scratch } from "./scratch.ts";
import { Shell } from "./shell.ts";
import { StrangeServer } from "./stranger.ts";
import { eachOf, Up } from "./up.ts";

/** A command line, its exit status, and what it says on stderr. */
type Row = readonly [line: readonly string[], code: number, says: RegExp];

/** Runs a table. */
async function assertRows(
  rows: readonly Row[],
  runLine: (line: readonly string[]) => Promise<Outcome>,
): Promise<void> {
  const outcomes = await eachOf(rows, ([line]) => runLine(line));
  for (const [index, { code, stdout, stderr }] of outcomes.entries()) {
    const [line, wanted, says] = rows[index] as Row;
    assertEquals([code, stdout], [wanted, ""], `${line.join(" ")}: ${stderr}`);
    assertMatch(stderr, says, line.join(" "));
    assert(!isRaw(stderr), JSON.stringify(stderr));
  }
}

/** A port of this machine that nobody listens on. */
function closedPort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

Deno.test("call and ping reach a peer by address, name, id and WebSocket", async (t) => {
  await using bob = await Up.start(["--name", "bob"]);
  const ways = [bob.address, "bob", bob.peerId.slice(0, 8), `ws://127.0.0.1:${bob.http}`];

  await t.step(
    "call gives what was sent, of every kind that JSON and its notation have",
    async () => {
      const data = {
        kinds: [null, true, -0.5, 1e300, "h\u00e9 \u2603 \u{1f600}", [], {}, { "": [[]] }],
        notation: [{ $bytes: "00ff" }, { $int: "18446744073709551615" }, { $float: "NaN" }],
        more: [{ $time: "2026-01-02T03:04:05.678Z" }, { $map: [[1, { $bytes: "" }]] }],
      };
      const call = (way: string) => bob.run(["call", way, "echo", JSON.stringify(data), "--json"]);
      for (const { code, stderr, events } of await Promise.all(ways.map(call))) {
        assertEquals([code, stderr, events], [0, "", [{ result: data }]]);
      }
      const proto = await bob.run(["call", "bob", "echo", '{"__proto__": {"a": 1}}', "--json"]);
      assertEquals(proto.stdout, '{"result":{"__proto__":{"a":1}}}\n');
      const none = await bob.run(["call", bob.address, "echo", "--json"]);
      assertEquals(none.events, [{ result: null }]);
    },
  );

  await t.step("call takes a megabyte from stdin, and says where the limit is", async () => {
    const text = "\u2603\u00e9x".repeat(200_000);
    const echo = (input: string, more: readonly string[]) =>
      bob.run(["call", bob.address, "echo", "-", ...more], { input });
    const { events } = await echo(JSON.stringify({ text }), ["--json"]);
    assert((events[0]?.result as { text: string }).text === text);
    assertEquals((await echo(JSON.stringify(text), [])).stdout, `${text}\n`);
    const large = await echo(JSON.stringify("x".repeat(17_000_000)), ["--json"]);
    assertEquals([large.code, large.events[0]?.code], [1, "too-large"]);
    assertStringIncludes(large.stderr, "exceeds maxFrameBytes 16777216");
  });

  await t.step("call prints status, info, peers, ping and describe", async () => {
    const names = ["status", "info", "peers", "peer_list", "ping", "describe"];
    const outcomes = await Promise.all(
      names.map((name) => bob.run(["call", "bob", name, "--json", "--name", "ann"])),
    );
    assertEquals(outcomes.map(({ code, stderr }) => `${code}${stderr}`).join(""), "000000");
    const [status, info, peers, list, ping, describe] = outcomes.map(({ events }) =>
      events[0]?.result as Record<string, unknown>
    );
    assertEquals([status?.server_name, status?.max_connections], ["bob", 256]);
    assertEquals([info?.port, info?.project_id, info?.protocols], [bob.tcp, "default", ["v1"]]);
    for (const entries of [peers, list]) {
      assert(Object.values(entries ?? {}).some((entry) => Object(entry).name === "ann"));
    }
    assertEquals(ping?.pong, true);
    assertEquals(describe?.middleware, ["log", "metrics"]);
    const endpoints = describe?.endpoints as { name: string }[];
    assertEquals(endpoints.map(({ name }) => name).sort(), [...names, "echo"].sort());
  });

  await t.step("call prints for people: text as it is, anything else as JSON", async () => {
    const rows = [
      ['"two\\n\\tlines"', "two\n\tlines\n"],
      ['{"a":[1,{}]}', '{\n  "a": [\n    1,\n    {}\n  ]\n}\n'],
      ["5", "5\n"],
      ["null", "null\n"],
    ];
    for (const [data = "", wanted] of rows) {
      assertEquals((await bob.run(["call", bob.address, "echo", data])).stdout, wanted);
    }
  });

  await t.step("ping measures a round trip, as often as asked", async () => {
    const pings = await Promise.all(ways.map((way) => bob.run(["ping", way])));
    for (const { code, stdout } of pings) {
      assertEquals(code, 0);
      assertMatch(stdout, /^bob \(127\.0\.0\.1:\d+\) answered in \d+\.\d\d ms\n$/);
    }
    const { code, events } = await bob.run(["ping", "bob", "--count", "2", "--json"]);
    assertEquals([code, events.length], [0, 2]);
    for (const { rttMs } of events) assert(Number(rttMs) > 0, `${rttMs}`);
  });

  await t.step("^C ends a ping between two, and a call that reads stdin, with 130", async () => {
    await using ping = bob.start(["ping", bob.address, "--count", "1000"]);
    await ping.says(/answered/);
    assertEquals((await ping.interrupt()).code, 130);

    await using scratch = await Scratch.make();
    const path = scratch.path("fifo");
    await new Deno.Command("mkfifo", { args: [path] }).output();
    using fifo = await Deno.open(path, { read: true, write: true });
    const within = ["sh", "-c", 'exec "$@" <"$0"', path];
    await using call = bob.start(["call", bob.address, "echo", "-"], { within });
    // More than a pipe holds: once it has left, somebody reads, and goes on waiting for the rest.
    const blanks = new Uint8Array(256 * 1024).fill(0x20);
    for (let at = 0; at < blanks.length;) at += await fifo.write(blanks.subarray(at));
    const { code, stdout } = await call.interrupt();
    assertEquals([code, stdout], [130, ""]);
  });

  await t.step("what cannot be done ends with the status of why", async () => {
    const nobody = `127.0.0.1:${closedPort()}`;
    const [echo, quick] = [["call", bob.address, "echo"], ["--timeout", "1.5"]];
    await assertRows([
      [
        ["call", bob.address, "nope"],
        5,
        /^kith call: No endpoint "nope" here\nThat is .* describe lists/,
      ],
      [["call", bob.address, "v9/echo"], 5, /No endpoint "echo" here \(v9\)/],
      [["call", bob.address, `\u001b[2J${"x".repeat(500)}`], 5, /"\\u\{1b\}\[2Jx{50,70}…" here\n/],
      [["call", nobody, "echo"], 5, /^kith call: Cannot reach peer "127.*refused/],
      [["ping", nobody], 5, /^kith ping: Cannot reach peer/],
      [["msg", nobody, "hi"], 5, /^kith msg: Cannot reach peer/],
      [["call", nobody, "echo", "--dialect", "witch"], 5, /Cannot reach "127.*refused/],
      [["msg", nobody, "hi", "--dialect", "peerpy"], 5, /Cannot reach peer "127.*refused/],
      [["call", "ws://127.0.0.1:1", "echo"], 5, /Cannot reach peer "ws:/],
      [["call", `ws://127.0.0.1:${bob.http}/other`, "echo"], 5, /404/],
      [
        ["call", "carol", "echo", ...quick],
        5,
        /"carol": nobody called that answered, these did: bob; tried /,
      ],
      [["ping", "carol", ...quick], 5, /these did: bob; tried /],
      [["msg", "carol", "hi", ...quick], 5, /these did: bob; tried /],
      [["call", `127.0.0.1:${bob.http}`, "echo"], 4, /is no kith peer/],
      [[...echo, "{a"], 2, /^kith call: Cannot decode data as JSON: .*\n"kith call --help"/],
      [[...echo, "hello"], 2, /Cannot decode data as JSON: .*"hello" is not valid JSON/],
      [[...echo, "\u001b[2J{"], 2, /Cannot decode data as JSON: .*\\u\{1b\}/],
      [[...echo, ""], 2, /Cannot decode data as JSON: Unexpected end/],
      [[...echo, '{"$bytes": "0"}'], 2, /Cannot read \{"\$bytes": \.\.\.\}/],
      [[...echo, "[".repeat(65) + "]".repeat(65)], 2, /its nesting exceeds MAX_JSON_DEPTH 64/],
      [
        [...echo, "1", "2"],
        2,
        /PEER and ENDPOINT are wanted, and perhaps JSON\n"kith call --help"/,
      ],
      [["call", bob.address], 2, /PEER and ENDPOINT/],
      [["call"], 2, /PEER and ENDPOINT/],
      [["call", "", "echo"], 2, /PEER and ENDPOINT/],
      [["call", bob.address, ":drain"], 2, /No endpoint begins with ":"/],
      [["call", "ws://", "echo"], 2, /Invalid URL/],
      [["ping"], 2, /One PEER is wanted/],
      [["ping", "bob", "bob"], 2, /One PEER is wanted/],
      [["ping", "bob", "--count", "0"], 2, /--count must be a whole number from 1: it is 0/],
      [["msg", "bob"], 2, /PEER and TEXT are wanted/],
      [
        ["call", "bob", "echo", "--dialect", "x"],
        2,
        /must be one of native, witch, peerconnect: it is x/,
      ],
      [
        ["ping", "bob", "--dialect", "peerpy"],
        2,
        /must be one of native, witch, peerconnect: it is peerpy/,
      ],
      [
        ["msg", "bob", "hi", "--dialect", "witch"],
        2,
        /one of native, peerpy, peerconnect: it is witch/,
      ],
      [["call", "bob", "echo", "--dialect", "witch"], 2, /must be HOST:PORT: it is bob/],
      [["msg", "bob", "hi", "--dialect", "peerpy"], 2, /must be HOST:PORT: it is bob/],
      [["call", "bob", "echo", "--timeout", "soon"], 2, /--timeout must be seconds/],
      [["call", "bob", "echo", "--peer", "bob"], 2, /--peer must be HOST:PORT/],
    ], (line) => bob.run(line));
  });
});

Deno.test("call copes with endpoints that are silent, stream, refuse, fail or lie", async (t) => {
  const network = loopback();
  const { server, address, givenUp } = await serveOddly(network);
  await using _ = server;
  await using shell = new Shell();
  const kith = (verb: string, ...line: string[]) =>
    shell.run([verb, "--ephemeral", ...network, ...line]);

  await t.step("each with its own exit status", async () => {
    await assertRows([
      [
        ["call", address, "silent", "--timeout", "1"],
        3,
        /^kith call: Cannot call "silent" of odd \(127.*: no answer in time\n$/,
      ],
      [["call", address, "deny"], 4, /^kith call: Not on a Sunday\n$/],
      [["call", address, "crash"], 1, /^kith call: (?!.*secret)/],
      [["call", address, "evilError"], 5, /^kith call: a\\u\{1b\}\[2J/],
    ], ([verb = "", ...rest]) => kith(verb, ...rest));
    await until("the handler to be told", () => givenUp() === 1);
  });

  await t.step("^C ends a call that waits, and the handler is told", async () => {
    await using call = Kith.start(["call", address, "silent", "--ephemeral", ...network]);
    await until(
      "the call",
      () =>
        server.clients().length === 1 &&
        server.describe().endpoints.some(({ name, calls }) => name === "silent" && calls === 2),
    );
    assertEquals((await call.interrupt()).code, 130);
    await until("the handler to be told", () => givenUp() === 2);
  });

  await t.step("--stream prints parts as they come, until they end or ^C", async () => {
    const counted = await kith("call", "odd", "count", '{"to": 3}', "--stream", "--json");
    assertEquals(counted.events, [1, 2, 3].map((result) => ({ event: "item", result })));
    assertEquals(
      (await kith("call", address, "count", '{"to": 3}', "--stream")).stdout,
      "1\n2\n3\n",
    );
    const single = await kith("call", address, "evilText", "--stream", "--json");
    assertEquals(single.events.length, 1);
    await using endless = Kith.start(
      ["call", address, "count", "--stream", "--ephemeral", ...network],
    );
    await endless.says(/^3$/m);
    assertEquals((await endless.interrupt()).code, 130);
  });

  await t.step("an answer in parts needs --stream, and the error says so", async () => {
    const { code, stdout, stderr } = await kith("call", address, "count", '{"to": 3}');
    assertEquals([code, stdout], [1, ""]);
    assertStringIncludes(stderr, "it answers in parts, ask with stream");
  });

  await t.step("what it answers reaches no terminal raw", async () => {
    for (const name of ["evil", "evilText", "evilError"]) {
      for (const more of [[], ["--json"]]) {
        const { stdout, stderr } = await kith("call", address, name, ...more);
        assert(!isRaw(stdout) && !isRaw(stderr), JSON.stringify({ stdout, stderr }));
        assertMatch(stdout + stderr, /\\u(\{1b\}|001b)\[2J/);
      }
    }
    const { events } = await kith("call", address, "evil", "--json");
    assertEquals(events, [{ result: { [EVIL]: [EVIL] } }]);
    const text = await kith("call", address, "evilText");
    assertEquals(text.stdout.split("\n").slice(1), ["\tsecond line", ""]);
  });

  await t.step("an answer nested too deeply for JSON is no mistake of the caller", async () => {
    const { code, events, stderr } = await kith("call", address, "deep", "--json");
    assertEquals([code, events[0]?.code], [1, "too-large"]);
    assertStringIncludes(stderr, "Cannot print the answer: ");
    assertEquals((await kith("call", address, "deep")).code, 0);
  });
});

Deno.test("msg is delivered, denied, not wanted or not acknowledged", async (t) => {
  await using parts = new AsyncDisposableStack();
  const network = loopback();
  const discoveryPort = Number(network.at(-1));
  const open = async (name: string) =>
    parts.use(await Peer.open({ name, hostname: "127.0.0.1", port: 0, discoveryPort }));
  const [bob, shy] = [await open("bob\u001b[2J"), await open("shy")];
  await using sessions = bob.sessions({ accept: () => true });
  shy.sessions({ accept: () => `I am shy ${EVIL}` });
  await using shell = new Shell();
  const kith = (verb: string, ...line: string[]) =>
    shell.run([verb, "--ephemeral", ...network, ...line]);

  await t.step("delivered: all words, by name or address", async () => {
    const sent = await Promise.all([
      kith("msg", `127.0.0.1:${bob.address?.port}`, "hello", "there", "--", "--name"),
      kith("msg", bob.peerId, "h\u00e9 \u2603\nnext", "--json"),
    ]);
    assertEquals(sent.map(({ code, stderr }) => [code, stderr]), [[0, ""], [0, ""]]);
    assertEquals(sent[0]?.stdout, "delivered to bob\\u{1b}[2J\n");
    assertEquals(sent[1]?.events, [{ delivered: true, acknowledged: true }]);
    const got: unknown[] = [];
    for await (const session of sessions) {
      for await (const data of session) got.push(data);
      if (got.length === 2) break;
    }
    assertEquals(got.sort(), ["hello there --name", "h\u00e9 \u2603\nnext"]);
  });

  await t.step("denied with a reason, and by who takes no messages", async () => {
    const quiet = await open("quiet");
    const late = await open("late");
    late.sessions({ accept: () => new Promise(() => {}), timeoutMs: 300 });
    await assertRows([
      [["msg", "shy", "hi"], 4, /^kith msg: shy \(127.*\) denied the session: I am shy a\\u\{1b\}/],
      [["msg", "quiet", "hi"], 4, /takes no sessions/],
      [["msg", "late", "hi"], 4, /denied the session: There was no decision in 300 ms/],
    ], ([verb = "", ...rest]) => kith(verb, ...rest));
    assertEquals(quiet.endpoint.links.size, 0);
  });

  await t.step("not acknowledged: it waits as long as --timeout says, or until ^C", async () => {
    const numb = await open("numb");
    numb.handle("session.open", () => ({}));
    numb.handle("session.close", () => {});
    let got = 0;
    numb.handle("session.data", () => void got++);
    const at = `127.0.0.1:${numb.address?.port}`;
    const startMs = performance.now();
    const late = await kith("msg", at, "hi", "--timeout", "1", "--json");
    assertEquals([late.code, late.events.at(-1)?.code], [3, "timeout"], late.stderr);
    assert(performance.now() - startMs < 15_000, "it took too long");
    await using waits = Kith.start(["msg", at, "hi", "--ephemeral", ...network]);
    await until("the message", () => got === 2);
    const { code, stdout } = await waits.interrupt();
    assertEquals([code, stdout], [130, ""]);
  });
});

Deno.test("^C ends whoever waits for a server that says nothing, with 130", async () => {
  const network = loopback();
  const lines = ["ping AT", "call AT echo", "msg AT hi"]
    .concat(["call AT echo --dialect witch", "msg AT hi --dialect peerpy"]);
  await eachOf(lines, async (line) => {
    const asked = Promise.withResolvers<void>();
    await using mute = new StrangeServer(async (stranger) => {
      await stranger.read(1);
      asked.resolve();
      await stranger.rest();
    });
    const args = line.split(" ").map((word) => word === "AT" ? mute.address : word);
    await using kith = Kith.start([...args, "--ephemeral", ...network]);
    await asked.promise;
    const { code, stdout } = await kith.interrupt();
    assertEquals([code, stdout], [130, ""], line);
  });
});

Deno.test("up, ping, call and msg show their help", async () => {
  await using shell = new Shell();
  for (const verb of ["up", "ping", "call", "msg"]) {
    const { code, stdout, stderr } = await shell.run([verb, "--help"]);
    assertEquals([code, stderr], [0, ""]);
    for (const part of [`kith ${verb} `, "--dialect", "--json prints", "example "]) {
      assertStringIncludes(stdout, part);
    }
  }
});
