import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import {
  ClosedError,
  HandshakeError,
  InvalidPacketError,
  LimitError,
  RemoteError,
  TimeoutError,
} from "../../src/errors.ts";
import { connectWitch, type WitchClient } from "../../src/rpc/witch_client.ts";
import { MAX_WITCH_QUEUE } from "../../src/rpc/witch_exchange.ts";
import type { WitchMessage } from "../../src/rpc/witch_message.ts";
import { connectionPair, CountingClock, isSettled, settle } from "../endpoint/fixture.ts";
import {
  bytesOf,
  fromNotation,
  loadVector,
  loadVectors,
  type Vector,
} from "../testdata/vectors.ts";
import { LineEnd, VECTOR_MS, WitchWorld } from "./witch_fixture.ts";

const TIMESTAMP = "2026-01-02T03:04:05.678901";
const RECEIVED = textOf(loadVector("witch.response", "no handler"));

function textOf(vector: Vector): string {
  return new TextDecoder().decode(bytesOf(vector));
}

function requestText(name: string): string {
  return textOf(loadVector("witch.request", name));
}

function responseText(name: string): string {
  return textOf(loadVector("witch.response", name));
}

/** A client, and a server that is spoken by hand. */
class Pair implements AsyncDisposable {
  readonly clock: CountingClock;
  readonly client: WitchClient;
  readonly server: LineEnd;

  private constructor(clock: CountingClock, client: WitchClient, server: LineEnd) {
    this.clock = clock;
    this.client = client;
    this.server = server;
  }

  static async open(options: { maxLineBytes?: number; timeoutMs?: number } = {}): Promise<Pair> {
    const clock = new CountingClock({ epochMs: VECTOR_MS });
    const [ours, theirs] = await connectionPair();
    return new Pair(clock, connectWitch(ours, { clock, ...options }), new LineEnd(theirs));
  }

  /** Answers what is asked, and makes sure what it is. */
  async expect(request: string, answer: string): Promise<void> {
    assertEquals(await this.server.receive(), request);
    await this.server.send(answer);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.close();
    this.server.connection.close();
    assertEquals(this.clock.timers, 0, "timers are left");
  }
}

Deno.test("WitchClient sends every message as the original does", async () => {
  for (const vector of loadVectors("witch.request")) {
    await using pair = await Pair.open();
    const { value } = vector;
    const message = isBytes(value)
      ? new TextEncoder().encode(value.$bytes_sent.replace("\\n", "\n"))
      : typeof value === "object"
      ? fromNotation(value) as WitchMessage
      : String(value);
    const answer = pair.client.sendAndReceive(message);
    await pair.expect(textOf(vector), RECEIVED);
    assertEquals((await answer).status, "received", vector.name);
  }
});

function isBytes(value: unknown): value is { readonly $bytes_sent: string } {
  return typeof value === "object" && value !== null && "$bytes_sent" in value;
}

/** What is asked by name: the vector of the request, the call, and what comes of the original's answer. */
const CALLS: readonly (readonly [
  vector: string,
  ask: (client: WitchClient) => Promise<unknown>,
  outcome: unknown,
])[] = [
  ["ping", (client) => client.request("ping"), valueOf("ping")],
  ["ping", (client) => client.call("ping"), valueOf("ping")],
  ["status", (client) => client.request("status"), dataOf("status")],
  ["status", (client) => client.call("status"), dataOf("status")],
  ["info", (client) => client.request("info"), dataOf("info")],
  ["echo", (client) => client.request("echo", { a: 1 }), { a: 1 }],
  ["echo unicode", (client) => client.call("echo", "hé ☃"), "hé ☃"],
  ["endpoint failing", (client) => client.call("boom"), "internal"],
  ["endpoint unknown", (client) => client.call("zzz"), "no-endpoint"],
];

function valueOf(name: string): unknown {
  return fromNotation(loadVector("witch.response", name).value);
}

function dataOf(name: string): unknown {
  return (valueOf(name) as WitchMessage).data;
}

Deno.test("WitchClient calls as the original does, and understands the original's answers", async () => {
  for (const [name, ask, outcome] of CALLS) {
    await using pair = await Pair.open();
    const asked = ask(pair.client);
    const settled = asked.catch((error) => {
      assert(error instanceof RemoteError, String(error));
      return error.code;
    });
    await pair.expect(requestText(name), responseText(name));
    assertEquals(await settled, outcome, name);
  }
});

Deno.test("WitchClient gives errors a code: the server's own, or the one that the text stands for", async () => {
  const cases: [answer: WitchMessage, code: string, text: string][] = [
    [{ message: "Unknown endpoint: x" }, "no-endpoint", "Unknown endpoint: x"],
    [{ message: "Unknown protocol: x" }, "no-endpoint", "Unknown protocol: x"],
    [{ message: "Unknown request type: x" }, "no-endpoint", "Unknown request type: x"],
    [{ message: "Unknown data format" }, "bad-message", "Unknown data format"],
    [{ error: "unknown_stream", message: "No" }, "unknown-stream", "No"],
    [{ error: "limit", message: "No\u001b[2J" }, "limit", "No\\u{1b}[2J"],
    [{ error: "Not A Code", message: "x".repeat(9999) }, "internal", "x".repeat(500) + "…"],
    [{ message: 5 }, "internal", "no message"],
  ];
  for (const [answer, code, text] of cases) {
    await using pair = await Pair.open();
    const asked = pair.client.call("x", 1);
    const settled = assertRejects(() => asked, RemoteError);
    await pair.expect(
      '{"endpoint": "x", "data": 1}\n',
      JSON.stringify({ status: "error", ...answer }) + "\n",
    );
    const error = await settled;
    assertEquals([error.code, error.message], [code, text]);
  }
});

Deno.test("WitchClient takes nothing but success for an answer to a call", async () => {
  for (const status of ['"received"', "5", '"\u0085"']) {
    await using pair = await Pair.open();
    const settled = assertRejects(() => pair.client.call("x"), InvalidPacketError, "its status is");
    await pair.expect('{"endpoint": "x"}\n', `{"status": ${status}}\n`);
    assertEquals((await settled).code, "bad-message");
  }
});

Deno.test("WitchClient asks one thing at a time, in the order of the calls", async () => {
  await using pair = await Pair.open();
  const answers = [0, 1, 2].map((n) => pair.client.call("x", n));
  for (const n of [0, 1, 2]) {
    await pair.expect(
      `{"endpoint": "x", "data": ${n}}\n`,
      `{"status": "success", "data": ${n * 10}}\n`,
    );
    assert(n === 2 || !await isSettled(Promise.all(answers)));
  }
  assertEquals(await Promise.all(answers), [0, 10, 20]);
});

Deno.test("WitchClient writes the next request when the last is written, even if it is answered", async () => {
  await using pair = await Pair.open();
  const long = "x".repeat(600_000); // more than fits on the way
  const [first, second] = [pair.client.call("long", long), pair.client.call("next")];
  await settle();
  await pair.server.send('{"status": "success", "data": "early"}\n');
  assertEquals(await first, "early");
  assertEquals(await pair.server.receive(), `{"endpoint": "long", "data": "${long}"}\n`);
  await pair.expect('{"endpoint": "next"}\n', '{"status": "success", "data": "next"}\n');
  assertEquals(await second, "next");
});

Deno.test("WitchClient reads answers however they are cut", async () => {
  await using pair = await Pair.open();
  const answer = pair.client.request("info");
  assertEquals(await pair.server.receive(), requestText("info"));
  await pair.server.send(responseText("info").replace("\n", "\r\n"), 1);
  assertEquals(await answer, dataOf("info"));
});

Deno.test("WitchClient closes when an answer is late: it would be taken for the next one's", async () => {
  await using pair = await Pair.open();
  const [first, second] = [
    pair.client.call("slow"),
    pair.client.call("next", 1, { timeoutMs: 1e6 }),
  ];
  const late = assertRejects(() => first, TimeoutError, "within timeoutMs 5000");
  const next = assertRejects(() => second, ClosedError);
  assertEquals(await pair.server.receive(), '{"endpoint": "slow"}\n');
  await pair.clock.advance(4_999);
  assert(!await isSettled(first));
  await pair.clock.advance(1);
  const error = await late;
  assertEquals(error.details, { limit: "timeoutMs", max: 5000 });
  assertStrictEquals((await next).cause, error);
  assertStrictEquals(await pair.client.closed, error);
  assertEquals(await pair.server.receive(), undefined);
  await assertRejects(() => pair.client.call("more"), ClosedError);
});

Deno.test("WitchClient forgets a request whose time ends in the queue, and stays", async () => {
  await using pair = await Pair.open();
  const first = pair.client.call("slow");
  const queued = assertRejects(() => pair.client.call("x", 1, { timeoutMs: 100 }), TimeoutError);
  await pair.clock.advance(100);
  await queued;
  await pair.expect('{"endpoint": "slow"}\n', '{"status": "success", "data": "done"}\n');
  assertEquals(await first, "done");
  const ping = pair.client.request("ping");
  await pair.expect(requestText("ping"), responseText("ping"));
  assertEquals(await ping, valueOf("ping"));
});

Deno.test("WitchClient throws the answer away that is not wanted any more", async () => {
  await using pair = await Pair.open();
  const giveUp = new AbortController();
  const { signal } = giveUp;
  const calls = ["asked", "queued"].map((name) => pair.client.call(name, undefined, { signal }));
  const rejected = Promise.allSettled(calls);
  const last = pair.client.call("last");
  assertEquals(await pair.server.receive(), '{"endpoint": "asked"}\n');
  const reason = new Error("enough");
  giveUp.abort(reason);
  assertEquals(await rejected, calls.map(() => ({ status: "rejected", reason })));
  assert(!await isSettled(last));
  await pair.server.send('{"status": "success", "data": "for nobody"}\n');
  await pair.expect('{"endpoint": "last"}\n', '{"status": "success", "data": "last"}\n');
  assertEquals(await last, "last");
  await assertRejects(() => pair.client.call("x", 1, { signal }), Error, "enough");
});

Deno.test("WitchClient closes when the answer that is not wanted does not come either", async () => {
  await using pair = await Pair.open({ timeoutMs: 300 });
  const giveUp = new AbortController();
  const { signal } = giveUp;
  const rejected = assertRejects(() => pair.client.call("x", 1, { signal }), Error, "enough");
  giveUp.abort(new Error("enough"));
  await rejected;
  await pair.clock.advance(300);
  assert(await pair.client.closed instanceof TimeoutError);
});

Deno.test("WitchClient bounds its queue, and says so", async () => {
  await using pair = await Pair.open();
  const calls = Array.from({ length: MAX_WITCH_QUEUE + 1 }, (_, n) => pair.client.call("x", n));
  const error = await assertRejects(() => pair.client.call("one too many"), LimitError);
  assertEquals(error.details, { limit: "MAX_WITCH_QUEUE", max: 1024 });
  const settled = Promise.allSettled(calls);
  await pair.client.close();
  for (const outcome of await settled) assertEquals(outcome.status, "rejected");
});

Deno.test("WitchClient closes on what cannot be an answer, and says what was wrong", async () => {
  const cases: [answer: string, code: string, why: RegExp][] = [
    ["not json\n", "bad-message", /line 1 at offset 0/],
    ["[1]\n", "bad-message", /it is no object/],
    ["null\n", "bad-message", /it is no object/],
    ["x".repeat(101), "too-large", /exceeds maxLineBytes 100/],
  ];
  for (const [answer, code, why] of cases) {
    await using pair = await Pair.open({ maxLineBytes: 100 });
    const asked = assertRejects(() => pair.client.call("x"), InvalidPacketError);
    const queued = assertRejects(() => pair.client.call("y"), ClosedError);
    await pair.expect('{"endpoint": "x"}\n', answer);
    const error = await asked;
    assertEquals(error.code, code);
    assert(why.test(error.message), error.message);
    assertStrictEquals((await queued).cause, error);
    assertStrictEquals(await pair.client.closed, error);
  }
});

Deno.test("WitchClient closes on an answer that nobody asked for, alone or behind another", async () => {
  const answer = '{"status": "success", "data": 1}\n';
  await using alone = await Pair.open();
  await alone.server.send(answer);
  const error = await alone.client.closed;
  assert(error instanceof InvalidPacketError && error.message.endsWith("nobody asked for it"));

  await using behind = await Pair.open();
  const [first, second] = [behind.client.call("x"), behind.client.call("y")];
  const refused = assertRejects(() => second, ClosedError);
  await behind.expect('{"endpoint": "x"}\n', answer + answer);
  assertEquals(await first, 1);
  await refused;
});

Deno.test("WitchClient hears why it was refused before the connection was closed", async () => {
  await using pair = await Pair.open();
  const asked = pair.client.call("x", "y".repeat(600_000)); // more than fits on the way
  const refused = assertRejects(() => asked, RemoteError, "There are 10 clients");
  await settle();
  const answer = '{"status": "error", "error": "limit", "message": "There are 10 clients"}\n';
  const sent = pair.server.send(answer);
  pair.server.connection.close(); // both are there before the client looks
  await sent;
  assertEquals((await refused).code, "limit");
  assertEquals(await pair.client.closed, undefined);
});

Deno.test("WitchClient ends with the connection, and when it is closed, twice and while busy", async () => {
  await using ended = await Pair.open();
  const asked = assertRejects(() => ended.client.call("x"), ClosedError, "by the other side");
  await settle();
  ended.server.connection.close();
  await asked;
  assertEquals(await ended.client.closed, undefined);

  await using cut = await Pair.open();
  const half = assertRejects(() => cut.client.call("x"), InvalidPacketError, "before its LF");
  await cut.server.send('{"status": "succ');
  cut.server.connection.close();
  await half;

  await using closed = await Pair.open();
  const busy = assertRejects(() => closed.client.call("x"), ClosedError, "was closed");
  await closed.client.close();
  await closed.client.close();
  await busy;
  assertEquals(await closed.client.closed, undefined);
});

Deno.test("WitchClient refuses what is no line before anything is sent", async () => {
  await using pair = await Pair.open();
  await assertRejects(() => pair.client.sendAndReceive("two\nlines"), TypeError, "offset 3");
  await assertRejects(() => pair.client.call("x", () => {}), TypeError, "function at $.data");
  const ping = pair.client.request("ping");
  await pair.expect(requestText("ping"), responseText("ping"));
  await ping;
});

const SELF = { nodeId: "aaaaaaaa", name: "A", projectId: "proj", hash: "0011223344556677" };

Deno.test("WitchClient.handshake introduces itself as the original does, and bears that nobody answers", async () => {
  await using pair = await Pair.open();
  const other = pair.client.handshake(SELF);
  await pair.expect(requestText("peer handshake"), responseText("peer handshake"));
  assertEquals(await other, undefined);
});

Deno.test("WitchClient.handshake tells who the other is, and refuses another project", async () => {
  const ack = {
    type: "peer_handshake_ack",
    node_id: "b",
    name: "B",
    project_id: "proj",
    hash: SELF.hash,
    timestamp: TIMESTAMP,
    status: "success",
  };
  const good = { nodeId: "b", name: "B", projectId: "proj", hash: SELF.hash };
  const cases: [answer: WitchMessage, outcome: unknown][] = [
    [ack, good],
    [{ ...ack, status: undefined }, good],
    [{ ...ack, status: "error", message: "No" }, "denied"],
    [{ ...ack, project_id: "other" }, "incompatible"],
    [{ ...ack, node_id: 7 }, "bad-message"],
    [{ status: "error", message: "Internal server error" }, "internal"],
    [{ status: "success" }, "bad-message"],
  ];
  for (const [answer, outcome] of cases) {
    await using pair = await Pair.open();
    const settled = pair.client.handshake(SELF).catch((error) => {
      const known = [HandshakeError, InvalidPacketError, RemoteError];
      assert(known.some((type) => error instanceof type), String(error));
      return error.code;
    });
    await pair.expect(requestText("peer handshake"), JSON.stringify(answer) + "\n");
    assertEquals(await settled, outcome, JSON.stringify(answer));
  }
});

Deno.test("WitchClient sends a media stream as the original does", async () => {
  await using pair = await Pair.open();
  const sent = pair.client.streamMedia(Uint8Array.of(0, 1, 2, 3), {
    mediaType: "audio",
    streamId: "s9",
    metadata: { rate: 8000 },
    chunkBytes: 3,
  });
  const [start, chunk] = loadVectors("witch.media_stream");
  const [startText, chunkText] = [start, chunk].map((vector) =>
    new TextDecoder().decode(Uint8Array.fromHex(vector?.request_hex ?? ""))
  );
  const answer = '{"status": "success"}\n';
  await pair.expect(startText ?? "", answer);
  const known = (chunkText ?? "").replace('"total_chunks": -1', '"total_chunks": 2');
  await pair.expect(known, answer);
  const last = JSON.parse(await pair.server.receive() ?? "null");
  assertEquals([last.content, last.chunk_index, last.is_last, last.size], ["Aw==", 1, true, 1]);
  await pair.server.send(answer);
  await sent;
});

Deno.test("WitchClient and serveWitch understand each other", async () => {
  await using world = await WitchWorld.open();
  await using client = connectWitch(await world.connect(), { clock: world.clock });
  world.host.endpoints.set("sum", (data) => (data as number[]).reduce((a, b) => a + b));
  assertEquals(await client.call("sum", [1, 2, 3.5]), 6.5);
  assertEquals(await client.call("none"), null);
  assertEquals(await client.call("echo", { "hé": ["☃", null, true] }), { "hé": ["☃", null, true] });
  assertEquals(await client.call("peer_list"), [{ id: "other" }]);
  assertEquals(await client.request("status"), dataOf("status"));
  assertEquals(
    (await assertRejects(() => client.call("absent"), RemoteError)).code,
    "no-endpoint",
  );
  const { hash: _, ...self } = SELF;
  const hash = world.host.sourceHash;
  assertEquals((await client.handshake({ ...self, hash }))?.name, "VectorServer");
  const denied = assertRejects(() => client.handshake(SELF), HandshakeError, "another project");
  assertEquals((await denied).code, "denied");
  await client.sendMedia(Uint8Array.of(1, 2, 3), { mediaType: "image" });
  await client.streamMedia(new Uint8Array(150_000), { mediaType: "video" });
  assertEquals(world.metrics.snapshot()["witch.requests"], 13);
});
