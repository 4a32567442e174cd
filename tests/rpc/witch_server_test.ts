import { assert, assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import { seededRandom } from "../../src/clock.ts";
import { ClosedError, PeerError, TimeoutError } from "../../src/errors.ts";
import { serveWitch } from "../../src/rpc/witch_server.ts";
import type { MediaEvent } from "../../src/rpc/witch_media.ts";
import { CountingClock, isSettled, settle } from "../endpoint/fixture.ts";
import { bytesOf, loadVector, loadVectors, type Vector } from "../testdata/vectors.ts";
import { type LineEnd, VectorHost, WitchWorld } from "./witch_fixture.ts";

const RESPONSES = loadVectors("witch.response");
const TIMESTAMP = "2026-01-02T03:04:05.678901";

/** What is answered instead of what the original answers, and why. */
const OTHERWISE: Readonly<Record<string, (answer: string) => readonly string[]>> = {
  // The document promises an answer to the handshake.
  "peer handshake": () => [acknowledgement("error")],
  // Every line is a message.
  "two requests in one write: taken as one bad message": () => [
    responseTo("ping"),
    responseTo("status"),
  ],
  "empty line": () => [],
  // The original's texts show what it is made of.
  "number": () => [responseTo("plain text")],
  "null": () => [responseTo("plain text")],
  "string": () => [responseTo("plain text")],
  "invalid utf-8": () => [responseTo("plain text")],
  "no LF: no answer": () => [],
  // The vector was taken without a socket, as its name says.
  "protocol message (client address unknown; over a socket data also gains client_address ip:port)":
    (answer) => [answer.replace('{"x": 1}', '{"x": 1, "client_address": "stranger:49152"}')],
};

function responseTo(name: string): string {
  return new TextDecoder().decode(bytesOf(loadVector("witch.response", name)));
}

function requestOf({ request_hex = "" }: Vector): Uint8Array {
  return Uint8Array.fromHex(request_hex);
}

function acknowledgement(status: string): string {
  const message = status === "error"
    ? ', "message": "This server is of another project or source"'
    : "";
  return '{"type": "peer_handshake_ack", "node_id": "11111111-2222-3333-4444-555555555555", ' +
    '"name": "VectorServer", "project_id": "proj", "hash": "1608ea132b3bebbb", ' +
    `"timestamp": "${TIMESTAMP}", "status": "${status}"${message}}\n`;
}

function introduction(projectId: string, hash: string): string {
  return JSON.stringify({
    type: "peer_handshake",
    node_id: "aaaaaaaa",
    name: "A",
    project_id: projectId,
    hash,
    timestamp: TIMESTAMP,
  });
}

/** Sends a vector's request, after a ping where no connection may begin so, and ends; gives all answers. */
async function answersTo(vector: Vector, pieceBytes: number): Promise<string[]> {
  await using world = await WitchWorld.open();
  using end = await world.dial();
  const request = requestOf(vector);
  const begins = request[0] === "{".charCodeAt(0);
  if (!begins) {
    await end.send('{"request": "ping"}\n');
    assertEquals(await end.receive(), responseTo("ping"));
  }
  await end.send(request, pieceBytes);
  await end.connection.closeWrite();
  const answers: string[] = [];
  for (let line = await end.receive(); line !== undefined; line = await end.receive()) {
    answers.push(line);
  }
  return answers;
}

for (const [how, pieceBytes] of [["in one write", Infinity], ["byte by byte", 1]] as const) {
  Deno.test(`serveWitch answers as the original does, asked ${how}`, async () => {
    let otherwise = 0;
    for (const vector of RESPONSES) {
      const answer = new TextDecoder().decode(bytesOf(vector));
      const instead = OTHERWISE[vector.name];
      if (instead !== undefined) otherwise++;
      const wanted = instead === undefined ? [answer] : instead(answer);
      assertEquals(await answersTo(vector, pieceBytes), wanted, vector.name);
    }
    assertEquals(otherwise, Object.keys(OTHERWISE).length);
  });
}

Deno.test("serveWitch answers a media stream as the original does", async () => {
  await using world = await WitchWorld.open();
  using end = await world.dial();
  for (const vector of loadVectors("witch.media_stream")) {
    await end.send(requestOf(vector));
    assertEquals(await end.receive(), new TextDecoder().decode(bytesOf(vector)), vector.name);
  }
});

Deno.test("serveWitch gives an endpoint its data, or the fields beside its name, and the whole message", async () => {
  await using world = await WitchWorld.open();
  const seen: unknown[] = [];
  world.host.endpoints.set("see", (data, { message, clientId, address, signal }) => {
    const [client] = world.host.clients;
    assertEquals([clientId, address], [client?.clientId, client?.address]);
    assert(!signal.aborted);
    seen.push(data, Object.keys(message).length);
  });
  using end = await world.dial();
  const messages = [
    '{"endpoint": "see", "data": {"a": 1}, "more": 2}',
    '{"endpoint": "see", "data": null}',
    '{"endpoint": "see", "a": 1, "b": 2}',
    '{"endpoint": "see"}',
    '{"protocol_name":"see"}',
    '{"protocol_name":"see","data":{},"stream_id":"s","endpoint":"boom"}',
  ];
  for (const message of messages) assertEquals((await end.ask(message)).status, "success");
  const addressed = { client_address: "stranger:49152" };
  assertEquals(seen, [{ a: 1 }, 3, null, 2, { a: 1, b: 2 }, 3, {}, 1, addressed, 2, addressed, 4]);
});

Deno.test("serveWitch tells nothing of an error that is not ours, nor of an answer without a form", async () => {
  await using world = await WitchWorld.open();
  world.host.endpoints.set("private", () => {
    throw new Error("the password is 1234");
  });
  world.host.endpoints.set("shapeless", () => new Map([["secret", 1]]));
  using end = await world.dial();
  const failing = await end.ask('{"endpoint": "private"}');
  assertEquals(failing.message, "Error processing endpoint: The handler failed");
  const shapeless = await end.ask('{"endpoint": "shapeless"}');
  assertEquals(shapeless.status, "error");
  assertEquals(shapeless.message, "Internal server error: The handler failed");
  assertEquals(shapeless.error, "internal");
  assertEquals((await end.ask('{"request": "ping"}')).pong, true);
  const why = world.log.lines.map(({ fields }) => String(fields.why));
  assertStringIncludes(why.join(), "the password is 1234");
});

Deno.test("serveWitch answers what the original's documents promise: peer_list and the handshake", async () => {
  await using world = await WitchWorld.open();
  using end = await world.dial();
  assertEquals(await end.ask('{"request": "peer_list"}'), {
    status: "success",
    data: [{ id: "other" }],
    timestamp: TIMESTAMP,
  });
  const cases = [["proj", "1608ea132b3bebbb", "success"], ["proj", "0011223344556677", "error"], [
    "other",
    "1608ea132b3bebbb",
    "error",
  ]] as const;
  for (const [projectId, hash, status] of cases) {
    await end.send(introduction(projectId, hash) + "\n");
    assertEquals(await end.receive(), acknowledgement(status), `${projectId} ${hash}`);
  }
  assertEquals((await end.ask('{"request": "ping"}')).pong, true);
});

Deno.test("serveWitch compares no hash where the server has none", async () => {
  await using world = await WitchWorld.open();
  Object.assign(world.host, { sourceHash: "" });
  using end = await world.dial();
  assertEquals((await end.ask(introduction("proj", "0011223344556677"))).status, "success");
  assertEquals((await end.ask(introduction("other", "0011223344556677"))).status, "error");
});

Deno.test("serveWitch refuses names of any kind, and bounds what it repeats", async () => {
  await using world = await WitchWorld.open();
  using end = await world.dial();
  const cases: [line: string, message: string][] = [
    ['{"endpoint": 5}', "Unknown endpoint: 5"],
    ['{"endpoint": null}', "Unknown endpoint: null"],
    ['{"endpoint": ["echo"]}', 'Unknown endpoint: ["echo"]'],
    ['{"endpoint": "toString"}', "Unknown endpoint: toString"],
    [`{"endpoint": "${"x".repeat(5000)}"}`, `Unknown endpoint: ${"x".repeat(200)}…`],
    ['{"request": {}}', "Unknown request type: {}"],
    ['{"protocol_name":7}', "Unknown protocol: 7"],
    ['{"protocol_name":"echo","data":[1]}', "Cannot call echo: data must be an object"],
  ];
  for (const [line, message] of cases) {
    const answer = await end.ask(line);
    assertEquals([answer.status, answer.message], ["error", message], line);
  }
});

Deno.test("serveWitch answers requests in order that come in one write, one at a time", async () => {
  await using world = await WitchWorld.open();
  let atWork = 0;
  world.host.endpoints.set("slow", async (data) => {
    assertEquals(++atWork, 1);
    await settle();
    atWork--;
    return data;
  });
  using end = await world.dial();
  const numbers = [0, 1, 2, 3, 4];
  const lines = numbers.map((n) => `{"endpoint": "slow", "data": ${n}}\r\n \t\n\r\n\n`);
  await end.send(lines.join(""));
  for (const n of numbers) {
    assertStringIncludes(await end.receive() ?? "", `"data": ${n},`);
  }
  assertEquals(world.metrics.snapshot()["witch.requests"], 5);
});

Deno.test("serveWitch answers a line that is no JSON, counts it, and stays", async () => {
  await using world = await WitchWorld.open();
  using end = await world.dial();
  for (const line of ['{"request": ping}', "{", '{"protocol_name":"echo"', "\u00e9"]) {
    await end.send(line + "\n");
    assertEquals(await end.receive(), responseTo("plain text"), line);
  }
  const deep = await end.ask('{"a":'.repeat(65));
  assertEquals(deep.error, "too-large");
  assertMatch(String(deep.message), /nesting exceeds MAX_JSON_DEPTH 64$/);
  assertEquals((await end.ask('{"request": "ping"}')).pong, true);
  assertEquals(world.metrics.snapshot(), { "witch.malformed": 5, "witch.requests": 1 });
});

Deno.test("serveWitch names the limit to who sends a line too long, and closes", async () => {
  for (const greeting of ["", '{"request": "ping"}\n']) {
    await using world = await WitchWorld.open({ maxLineBytes: 1000 });
    using end = await world.dial();
    await end.send(greeting);
    if (greeting !== "") await end.receive();
    await end.send("{" + "x".repeat(500_000));
    const answer = JSON.parse(await end.receive() ?? "null");
    assertEquals([answer.status, answer.error], ["error", "too-large"]);
    assertMatch(answer.message, /exceeds maxLineBytes 1000$/);
    assertEquals(await end.receive(), undefined);
    await world.clock.advance(1_000);
    assertEquals(world.metrics.snapshot()["witch.too-large"], 1);
    const refused = world.endpoint.metrics.snapshot()["accept.refused.too-large"];
    assertEquals(refused, greeting === "" ? 1 : undefined);
    using other = await world.dial();
    assertEquals((await other.ask('{"request": "ping"}')).pong, true);
  }
});

Deno.test("serveWitch gives a connection the acceptor's time for its first whole line", async () => {
  const beginnings = ["{", '{"request": "ping"}', "{bad\n", "{bad\n{bad\n"];
  for (const beginning of beginnings) {
    await using world = await WitchWorld.open();
    using silent = await world.dial();
    using client = await world.dial();
    await silent.send(beginning);
    assertEquals((await client.ask('{"request": "ping"}')).pong, true);
    await world.clock.advance(6_001);
    for (let line = await silent.receive(); line !== undefined; line = await silent.receive()) {
      assertEquals(line, responseTo("plain text"));
    }
    assertEquals((await client.ask('{"request": "status"}')).status, "success");
    const { "accept.refused.timeout": late, "accept.established": established } = world.endpoint
      .metrics.snapshot();
    assertEquals([late, established, world.host.clients.size], [1, 1, 1], beginning);
  }
});

Deno.test("serveWitch counts who ends without a whole line as refused", async () => {
  await using world = await WitchWorld.open();
  using end = await world.dial();
  await end.send('{"request": "ping"}');
  await end.connection.closeWrite();
  assertEquals(await end.receive(), undefined);
  await settle();
  assertEquals(world.endpoint.metrics.snapshot(), { "accept.refused.closed": 1 });
});

Deno.test("serveWitch refuses the client that is one too many, with the limit", async () => {
  await using world = await WitchWorld.open();
  const ends = await Promise.all(Array.from({ length: 10 }, () => world.dial()));
  for (const end of ends) assertEquals((await end.ask('{"request": "ping"}')).pong, true);
  using eleventh = await world.dial();
  const answer = await eleventh.ask('{"request": "ping"}');
  assertEquals([answer.status, answer.error], ["error", "limit"]);
  assertEquals(answer.message, "There are 10 clients (maxClients)");
  assertEquals(await eleventh.receive(), undefined);
  eleventh.connection.close();
  await settle();
  assertEquals(world.endpoint.metrics.snapshot()["accept.refused.limit"], 1);
  ends.pop()?.connection.close();
  await settle();
  using next = await world.dial();
  assertEquals((await next.ask('{"request": "ping"}')).pong, true);
  for (const end of ends) end.connection.close();
});

Deno.test("serveWitch takes no more requests while an answer waits for its reader", async () => {
  await using world = await WitchWorld.open({ network: { bufferBytes: 4096 } });
  using reader = await world.dial();
  using other = await world.dial();
  const request = `{"request": "echo", "data": "${"x".repeat(1000)}"}\n`;
  const sending = reader.send(request.repeat(200), request.length);
  await settle();
  const taken = world.metrics.snapshot()["witch.requests"] ?? 0;
  assert(taken > 0 && taken < 30, `${taken} requests were taken`);
  assert(!await isSettled(sending));
  assertEquals((await other.ask('{"request": "ping"}')).pong, true);
  for (let n = 0; n < 200; n++) assertMatch(await reader.receive() ?? "", /^{"status": "success"/);
  await sending;
});

Deno.test("serveWitch closes who sends nothing or reads nothing for idleMs", async () => {
  for (const reads of [true, false]) {
    await using world = await WitchWorld.open({ idleMs: 60_000, network: { bufferBytes: 1024 } });
    using end = await world.dial();
    assertEquals((await end.ask('{"request": "ping"}')).pong, true);
    await world.clock.advance(59_999);
    if (!reads) {
      await end.send(`{"request": "echo", "data": "${"x".repeat(900)}"}\n`.repeat(2));
    }
    assertEquals(world.host.clients.size, 1);
    await world.clock.advance(reads ? 1 : 60_000);
    await settle();
    assertEquals(world.host.clients.size, 0);
  }
});

/** A world in which somebody calls an endpoint that never ends; `fired` is what its signal fires with. */
async function neverEnding(): Promise<
  { world: WitchWorld; end: LineEnd; fired: Promise<unknown> }
> {
  const world = await WitchWorld.open();
  const started = Promise.withResolvers<void>();
  const { promise: fired, resolve } = Promise.withResolvers<unknown>();
  world.host.endpoints.set("never", (_data, { signal }) => {
    signal.addEventListener("abort", () => resolve(signal.reason));
    started.resolve();
    return new Promise(() => {}); // and it does not mind the signal
  });
  const end = await world.dial();
  await end.send('{"endpoint": "never"}\n');
  await started.promise;
  assertEquals(world.host.clients.size, 1);
  return { world, end, fired };
}

Deno.test("serveWitch fires a handler's signal at once when the connection breaks", async () => {
  const { world, fired } = await neverEnding();
  await using _ = world;
  world.killStranger();
  const reason = await fired;
  assert(reason instanceof ClosedError, String(reason));
  assertStringIncludes(reason.message, "broke");
  await settle();
  assertEquals(world.host.clients.size, 0);
});

Deno.test("serveWitch fires a handler's signal when who has closed its side has waited long enough", async () => {
  const { world, end, fired } = await neverEnding();
  await using _ = world;
  using _end = end;
  await end.connection.closeWrite();
  await world.clock.advance(4_999);
  assertEquals(world.host.clients.size, 1);
  await world.clock.advance(1);
  const reason = await fired;
  assert(reason instanceof TimeoutError, String(reason));
  assertEquals(reason.message, "The client hung up");
  assertEquals(world.host.clients.size, 0);
});

Deno.test("serveWitch answers who has closed its side and waits", async () => {
  await using world = await WitchWorld.open();
  const { promise, resolve } = Promise.withResolvers<string>();
  world.host.endpoints.set("wait", () => promise);
  using end = await world.dial();
  await end.send('{"endpoint": "wait"}\n{"request": "ping"}\n');
  await end.connection.closeWrite();
  await world.clock.advance(4_000);
  resolve("worth it");
  assertStringIncludes(await end.receive() ?? "", '"data": "worth it"');
  assertStringIncludes(await end.receive() ?? "", '"pong": true');
  assertEquals(await end.receive(), undefined);
});

Deno.test("serveWitch leaves no timer of a connection that has ended", async () => {
  const clock = new CountingClock();
  await using world = await WitchWorld.open({ clock });
  using end = await world.dial();
  assertEquals((await end.ask('{"request": "ping"}')).pong, true);
  await settle();
  assertEquals(clock.timers, 1); // until it is idle too long
  await end.connection.closeWrite();
  assertEquals(await end.receive(), undefined);
  await settle();
  assertEquals(clock.timers, 0);
});

Deno.test("serveWitch ends its connections when it is disposed of, or the endpoint closes", async () => {
  for (const how of ["dispose", "close"]) {
    const { world, end: busy, fired } = await neverEnding();
    await using _ = world;
    using idle = await world.dial();
    assertEquals((await idle.ask('{"request": "ping"}')).pong, true);
    if (how === "dispose") world.serving[Symbol.dispose]();
    else await world.endpoint.close();
    assert(await fired instanceof ClosedError);
    assertEquals([await idle.receive(), await busy.receive()], [undefined, undefined]);
    await settle();
    assertEquals(world.host.clients.size, 0);
  }
});

Deno.test("serveWitch hands media to its sink before it answers, with whose it is", async () => {
  const events: MediaEvent[] = [];
  const ids = new Set<string>();
  const taken = Promise.withResolvers<void>();
  await using world = await WitchWorld.open({
    onMedia: async (event, { clientId }) => {
      events.push(event);
      ids.add(clientId);
      await taken.promise;
    },
  });
  using end = await world.dial();
  await end.send(requestOf(loadVector("witch.response", "image")));
  const answer = end.receive();
  assert(!await isSettled(answer));
  taken.resolve();
  assertEquals(await answer, responseTo("image"));
  const content = Uint8Array.of(0, 1, 2);
  const metadata = undefined;
  assertEquals(events, [{ type: "object", mediaType: "image", content, metadata }]);
  assertEquals([...ids], [...world.host.clients].map(({ clientId }) => clientId));
});

Deno.test("serveWitch survives a sink that fails", async () => {
  await using world = await WitchWorld.open({
    onMedia: () => {
      throw new PeerError("limit", "The disk is full");
    },
  });
  using end = await world.dial();
  const answer = await end.ask('{"media_type": "image", "content": "AAEC"}');
  assertEquals([answer.error, answer.message], [
    "limit",
    "Internal server error: The disk is full",
  ]);
  assertEquals((await end.ask('{"request": "ping"}')).pong, true);
});

Deno.test("serveWitch meets garbage with answers, and the next line with its own", async () => {
  const random = seededRandom(77);
  await using world = await WitchWorld.open();
  using end = await world.dial();
  assertEquals((await end.ask('{"request": "ping"}')).pong, true);
  for (let n = 0; n < 300; n++) {
    const sample = requestOf(RESPONSES[Math.floor(random() * RESPONSES.length)] as Vector);
    const line = sample.map((byte) => random() < 0.1 ? Math.floor(random() * 256) : byte);
    await end.send(line);
    await end.send('\n{"request": "echo", "data": "still here"}\n');
    for (;;) {
      const answer = JSON.parse(await end.receive() ?? "null");
      assert(["success", "error", "received"].includes(answer.status ?? answer.type));
      if (answer.echo === "still here") break;
    }
  }
});

Deno.test("serveWitch refuses limits that are none", async () => {
  await using world = await WitchWorld.open();
  world.serving[Symbol.dispose]();
  for (const options of [{ maxLineBytes: 0 }, { maxLineBytes: 1.5 }, { idleMs: 0 }]) {
    assertThrows(() => serveWitch(world.endpoint, new VectorHost(), options), RangeError);
  }
  using _again = serveWitch(world.endpoint, new VectorHost());
  assertThrows(() => serveWitch(world.endpoint, new VectorHost()), TypeError, "taken");
});
