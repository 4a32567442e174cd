import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { EVIL, isRaw } from "./odd_server.ts";
import { loopback } from "./process.ts";
import { Shell } from "./shell.ts";
import { padded, Stranger, StrangeServer } from "./stranger.ts";
import { eachOf, Up } from "./up.ts";

const HELLO = padded("HELLO|peer_name=127.0.0.1:51515&data_type=json&strict=True");

/** Data of peerpy's: header and body, back to back. */
function dataOf(body: string, type = "json"): string {
  return padded(`DATA|data_size=${new TextEncoder().encode(body).length}&data_type=${type}`) + body;
}

Deno.test("call and ping speak with up --dialect witch", async () => {
  await using bob = await Up.start(["--name", "bob", "--dialect", "witch"]);
  const ask = (verb: string, ...line: string[]) =>
    bob.run([verb, bob.address, ...line, "--dialect", "witch", "--json"]);
  const data = { "h\u00e9 \u2603": [1, 2.5, null, "\u{1f600}"] };
  const [echo, ping, status, info, peers, describe, none, pinged] = await Promise.all([
    ask("call", "echo", JSON.stringify(data)),
    ask("call", "ping"),
    ask("call", "status"),
    ask("call", "info"),
    ask("call", "peers"),
    ask("call", "describe"),
    ask("call", `no${EVIL}`),
    ask("ping", "--count", "1"),
  ]);
  const results = [echo, ping, status, info, peers, describe].map(({ code, events }) => {
    assertEquals(code, 0);
    return Object(events[0]?.result);
  });
  assertEquals(results[0], data);
  assertEquals(results[1].pong, true);
  assertMatch(results[1].server_time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$/);
  assertEquals([results[2].server_name, results[2].status], ["bob", "running"]);
  assertEquals([results[3].port, results[4]], [bob.tcp, []]);
  assert(results[5].endpoints.length >= 7);
  assertEquals([none.code, none.events[0]?.code], [5, "no-endpoint"]);
  assert(!isRaw(none.stderr), none.stderr);
  assert(Number(pinged.events[0]?.rttMs) > 0);
  const bytes = await ask("call", "echo", '{"$bytes": "00"}');
  assertEquals(bytes.code, 2);
  assertStringIncludes(bytes.stderr, "Cannot encode as JSON: an instance of Uint8Array");
  const parts = await ask("call", "echo", "1", "--stream");
  assertStringIncludes(parts.stderr, "dialect witch has no answers in parts");
});

Deno.test("call --dialect witch speaks with a server that reads lines as witch-core does", async () => {
  const asked: string[] = [];
  const now = "2026-01-02T03:04:05.678901";
  const answers: Readonly<Record<string, string>> = {
    '{"request": "echo", "data": {"a": 1}}':
      `{"status": "success", "echo": {"a": 1}, "timestamp": "${now}"}`,
    '{"request": "ping"}':
      `{"status": "success", "pong": true, "server_time": "${now}", "timestamp": "${now}"}`,
    '{"request": "status"}': '{"status": "success", "data": {"status": "running", "uptime": 0}}',
    '{"endpoint": "greet", "data": "h\\u00e9"}':
      `{"status": "success", "data": "h\\u00e9llo", "timestamp": "${now}"}`,
    '{"endpoint": "none"}': `{"status": "success", "data": null, "timestamp": "${now}"}`,
    '{"endpoint": "zzz"}': '{"status": "error", "message": "Unknown endpoint: zzz"}',
    '{"endpoint": "boom"}':
      '{"status": "error", "message": "Error processing endpoint: division by zero"}',
    '{"endpoint": "evil"}': JSON.stringify({ status: "error", message: EVIL }),
    '{"endpoint": "odd"}': '{"status": "sleepy"}',
    '{"endpoint": "garbage"}': "<html>",
  };
  await using server = new StrangeServer(async (stranger) => {
    const line = await stranger.line();
    asked.push(line);
    if (line === '{"endpoint": "gone"}') return;
    if (line in answers) await stranger.write(`${answers[line]}\n`);
    // It hangs up when the client does, and not before.
    assertEquals(await stranger.rest(), "");
  });
  const network = loopback();
  const rows: readonly (readonly [line: readonly string[], code: number, says: RegExp])[] = [
    [["call", "echo", '{"a":1}'], 0, /^\{\n {2}"a": 1\n\}\n$/],
    [["call", "ping"], 0, /"server_time": "2026-01-02T03:04:05\.678901"/],
    [["ping"], 0, /^127\.0\.0\.1:\d+ answered in \d+\.\d\d ms\n$/],
    [["call", "status"], 0, /"status": "running"/],
    [["call", "greet", '"h\u00e9"'], 0, /^h\u00e9llo\n$/],
    [["call", "none"], 0, /^null\n$/],
    [["call", "zzz"], 5, /^kith call: Unknown endpoint: zzz\n$/],
    [["call", "boom"], 1, /division by zero/],
    [["call", "evil"], 1, /^kith call: a\\u\{1b\}\[2J/],
    [["call", "odd"], 1, /Cannot read an answer of 127.*: its status is "sleepy"/],
    [["call", "garbage"], 1, /Cannot decode line 1 at offset 0/],
    [["call", "gone"], 1, /Connection to 127\.0\.0\.1:\d+ was closed by the other side/],
    [["call", "silent", "--timeout", "1"], 3, /No answer of 127.* came within timeoutMs 1000/],
  ];
  await using shell = new Shell();
  const outcomes = await eachOf(rows, ([[verb = "", ...rest]]) => {
    const options = ["--dialect", "witch", "--ephemeral", ...network];
    return shell.run([verb, server.address, ...rest, ...options]);
  });
  for (const [index, { code, stdout, stderr }] of outcomes.entries()) {
    const [line, wanted, says] = rows[index] as typeof rows[number];
    assertEquals(code, wanted, `${line.join(" ")}: ${stderr}`);
    assertMatch(stdout + stderr, says, line.join(" "));
    assert(!isRaw(stdout + stderr), line.join(" "));
  }
  const others = ['{"request": "ping"}', '{"endpoint": "gone"}', '{"endpoint": "silent"}'];
  assertEquals(asked.sort(), [...Object.keys(answers), ...others].sort());
});

Deno.test("up --dialect witch answers clients that write as witch-core's do", async () => {
  await using bob = await Up.start(["--name", "bob", "--dialect", "witch", "--project", "garden"]);
  using client = await Stranger.connect(bob.tcp);
  const ask = async (line: string) => {
    await client.write(`${line}\n`);
    return await client.line();
  };
  const stamp = String.raw`"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}"`;
  const rows: readonly (readonly [line: string, answer: string])[] = [
    [
      '{"request": "ping"}',
      String
        .raw`\{"status": "success", "pong": true, "server_time": ${stamp}, "timestamp": ${stamp}\}`,
    ],
    [
      '{"request": "echo", "data": "h\\u00e9 \\u2603"}',
      String.raw`\{"status": "success", "echo": "h\\u00e9 \\u2603", "timestamp": ${stamp}\}`,
    ],
    [
      '{"request": "status"}',
      String
        .raw`\{"status": "success", "data": \{"status": "running", "server_id": "[-0-9a-f]{36}", ` +
      String.raw`"server_name": "bob", .*"client_count": 1, .*"timestamp": ${stamp}\}\}`,
    ],
    ['{"request": "info"}', String.raw`.*"project_id": "garden".*`],
    ['{"request": "nope"}', '.*"message": "Unknown request type: nope".*'],
    ['{"endpoint": "echo", "data": "Hello"}', '.*"status": "success", "data": "Hello".*'],
    ['{"endpoint": "zzz"}', '.*"status": "error", "message": "Unknown endpoint: zzz".*'],
    [
      '{"protocol_name": "echo", "data": {"a": 1}}',
      String.raw`.*"data": \{"a": 1, "client_address": "127\.0\.0\.1:\d+"\}.*`,
    ],
    [
      '{"type": "peer_handshake", "node_id": "n", "name": "m", "project_id": "garden", "hash": ""}',
      '.*"type": "peer_handshake_ack", .*"status": "success".*',
    ],
    ['{"type": "status_update"}', '.*"status": "received", .*'],
    ["not json", '.*"status": "error", .*"message": "Unknown data format".*'],
  ];
  for (const [line, answer] of rows) {
    // A connection is told by its first byte: what is no object may only come later.
    assertMatch(await ask(line), new RegExp(`^${answer}$`), line);
  }
  await client.write('{"request": "ping"}\r\n{"request": "echo", "data": 2}\n');
  assertEquals([(await client.json()).pong, (await client.json()).echo], [true, 2]);
  const { code, events } = await bob.kith.interrupt();
  assertEquals([code, await client.rest()], [130, ""]);
  const { counters } = events.at(-1) as { counters: Record<string, number> };
  assertEquals([counters["witch.requests"], counters["witch.malformed"]], [12, 1]);
});

Deno.test("up --dialect peerpy takes the connections of peerpy peers", async () => {
  await using bob = await Up.start(["--name", "bob", "--dialect", "peerpy"]);
  using peer = await Stranger.connect(bob.tcp);
  await peer.write(HELLO);
  assertEquals(new TextDecoder().decode(await peer.read(128)), padded("ACCEPT"));
  await peer.write(dataOf('{"data": "hello"}'));
  await peer.write(padded("PING"));
  await peer.write(dataOf(JSON.stringify({ data: { text: EVIL } })));
  const large = "x".repeat(100_000);
  const bytes = new TextEncoder().encode(dataOf(`{"data": "${large}"}`));
  for (let at = 0; at < bytes.length; at += 10_000) {
    await peer.write(bytes.subarray(at, at + 10_000));
  }
  await bob.kith.event("message", ({ data }) => data === large);
  peer[Symbol.dispose]();

  using pickle = await Stranger.connect(bob.tcp);
  await pickle.write(padded("HELLO|peer_name=127.0.0.1:1&data_type=raw&strict=True"));
  assertEquals(await pickle.rest(), padded("DENY"));
  using bytesOnly = await Stranger.connect(bob.tcp);
  await bytesOnly.write(padded("HELLO|peer_name=127.0.0.1:1&data_type=bytes&strict=True"));
  assertEquals(await bytesOnly.rest(), padded("DENY"));

  const sent = await bob.run(["msg", bob.address, "from", "kith", "--dialect", "peerpy", "--json"]);
  assertEquals([sent.code, sent.events], [0, [{ delivered: true, acknowledged: false }]]);
  const { dialect } = await bob.kith.event("message", ({ data }) => data === "from kith");
  assertEquals(dialect, "peerpy");

  const { code, stdout, events } = await bob.kith.interrupt();
  assertEquals([code, isRaw(stdout)], [130, false]);
  const messages = events.filter(({ from }) => from === "127.0.0.1:51515");
  const facts = { event: "message", from: "127.0.0.1:51515", dialect: "peerpy" };
  const data = ["hello", { text: EVIL }, large];
  assertEquals(messages, data.map((data) => ({ ...facts, data })));
});

Deno.test("msg --dialect peerpy writes what a peerpy peer reads, and says what came of it", async () => {
  const [network, heard] = [loopback(), [] as string[]];
  const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  await using server = new StrangeServer(async (stranger) => {
    const hello = decode(await stranger.read(128));
    assertMatch(hello, /^HELLO\|peer_name=127\.0\.0\.1:\d+&data_type=json&strict=False\|+$/);
    await stranger.write(padded("ACCEPT"));
    const header = decode(await stranger.read(128));
    const size = Number(/^DATA\|data_size=(\d+)&data_type=json\|+$/.exec(header)?.[1]);
    heard.push(decode(await stranger.read(size)));
    assertEquals(await stranger.rest(), "");
  });
  const others: Readonly<Record<string, (stranger: Stranger) => Promise<void>>> = {
    denies: (stranger) => stranger.write(padded("DENY")),
    mutters: (stranger) => stranger.write(padded(`NO${EVIL}`)),
    leaves: () => Promise.resolve(),
    sleeps: async (stranger) => void await stranger.rest(),
  };
  await using parts = new AsyncDisposableStack();
  const shell = parts.use(new Shell());
  const options = ["--dialect", "peerpy", "--timeout", "2.5", "--ephemeral", ...network];
  const msg = (address: string) => shell.run(["msg", address, "h\u00e9 there", ...options]);
  const [sent, ...failed] = await Promise.all([
    msg(server.address),
    ...Object.values(others).map((talk) => {
      const server = parts.use(
        new StrangeServer(async (stranger) => {
          await stranger.read(128);
          await talk(stranger);
        }),
      );
      return msg(server.address);
    }),
  ]);
  assertEquals([sent.code, sent.stdout], [0, `sent to ${server.address}\n`], sent.stderr);
  assertEquals(heard, ['{"data": "h\\u00e9 there"}']);
  const says = [
    /127\.0\.0\.1:\d+ denied the session/,
    /Cannot decode text header: it has a control character/,
    /The connection ended after 0 bytes of a header/,
    /gave no answer in 2500 ms/,
  ];
  assertEquals(failed.map(({ code }) => code), [4, 1, 1, 3]);
  for (const [index, { stdout, stderr }] of failed.entries()) {
    assertEquals([stdout, isRaw(stderr)], ["", false]);
    assertMatch(stderr, says[index] as RegExp);
  }
});

Deno.test("up without dialects closes their connections and counts them", async () => {
  await using bob = await Up.start();
  for (const first of ['{"request": "ping"}\n', HELLO]) {
    using stranger = await Stranger.connect(bob.tcp);
    await stranger.write(first);
    assertEquals(await stranger.rest(), "");
  }
  const witch = await bob.run(["call", bob.address, "echo", "--dialect", "witch"]);
  const peerpy = await bob.run(["msg", bob.address, "hi", "--dialect", "peerpy"]);
  assertEquals([witch.code, peerpy.code], [1, 1]);
  const { events } = await bob.kith.interrupt();
  const counters = events.at(-1)?.counters as Record<string, number>;
  assertEquals(counters["accept.refused.unsupported"], 4);
});
