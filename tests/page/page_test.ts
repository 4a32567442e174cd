import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { ClosedError, RemoteError, TimeoutError } from "../../src/errors.ts";
import { ANSWER_MS, LOOK_MS, PAGE_PATH, PAGE_RATE } from "../../src/page/page.ts";
import { CHOICE_MS } from "../../src/page/page_channel.ts";
import { MAX_JSON_BYTES } from "../../src/wire/json.ts";
import { until } from "../endpoint/web_fixture.ts";
import { settle } from "../endpoint/fixture.ts";
import { loadVectors } from "../testdata/vectors.ts";
import { peerOf, Scene } from "./fixture.ts";

Deno.test("Page gives each socket the messages of the channel that its first message chooses", async () => {
  await using scene = await Scene.open();
  const [data, signal] = await Promise.all([scene.client("0"), scene.client("1")]);
  scene.page.tell("1a", 1);
  scene.page.tell("0b", 2);
  scene.page.tell("1c", 3);
  assertEquals([await signal.next(), await signal.next()].map(({ header }) => header), [
    "1a",
    "1c",
  ]);
  assertEquals(await data.next(), {
    header: "0b",
    content: 2,
    peerId: null,
    msgId: null,
    type: "data",
  });
  assertThrows(() => scene.page.tell("x", 1), TypeError, "0 or 1");
  assertThrows(() => scene.page.tell("0x", undefined), TypeError);
});

Deno.test("Page answers the socket that asked alone, where that is on the answer's channel", async () => {
  await using scene = await Scene.open();
  const [asker, other] = await Promise.all([scene.client("0"), scene.client("0")]);
  await asker.ask({ header: "0send_text", content: "a", peerId: "1" });
  scene.page.tell("0end", null);
  assertEquals((await other.next()).header, "0end");
  // A list is data, whoever asks for it: all pages get it, and its id tells whose it is.
  const signal = await scene.client("1");
  signal.send({ header: "1send peer list", msgId: "mine" });
  assertEquals((await other.next()).msgId, "mine");
});

Deno.test("Page takes sockets at / as well, and at no other path", async () => {
  await using scene = await Scene.open();
  const client = await scene.client("0", "/");
  scene.page.tell("0a", 1);
  assertEquals((await client.next()).header, "0a");
  for (const path of ["/page/", "/pages", "/%70age"]) {
    await assertRejects(() => scene.client("0", path), ClosedError);
  }
});

Deno.test("Page writes as the original does where it is told to, and reads both", async () => {
  await using scene = await Scene.open({ page: { style: "peerconnect" } });
  const vector = (name: string) => {
    return loadVectors("peerconnect.dataweaver").find((vector) => vector.name === name)?.json;
  };
  scene.peers = [{
    peerId: "522b276a356bdf39013dfabea2cd43e141ecc9e8",
    name: "alice",
    ip: "192.0.2.10",
  }];
  scene.around = [{
    peerId: "4818229e1d7dc08f8c7c0ed2ab5f5a2d5ae4b38a",
    name: "bob",
    ip: "192.0.2.11",
  }];
  const [data, signal] = await Promise.all([scene.client("0"), scene.client("1")]);
  await scene.clock.advance(LOOK_MS);
  assertEquals(await signal.text(), vector("signal"));
  signal.raw(
    '{"header": "1search name", "content": "bob", "peerId": null, "msgId": "7", "type": 1}',
  );
  await scene.settled();
  await scene.clock.advance(1_000);
  const response = JSON.parse(await data.text());
  assertEquals(Object.keys(response), ["header", "content", "peerId", "msgId", "type"]);
  assertEquals([response.msgId, response.type, response.content[0].name], ["7", 1, "bob"]);
  assert(/^\d+$/.test(response.content[0].peerId));
  data.raw(vector("text") ?? "");
  await data.next();
  assertEquals(scene.done, [["text", "7b".padStart(40, "0"), "hello"]]);
});

Deno.test("Page closes sockets that choose no channel, and says why", async () => {
  await using scene = await Scene.open();
  const bad = ["{}", "[]", "hello", '{"header":"2x"}', '{"header":null}', Uint8Array.of(0xff)];
  for (const first of bad) {
    const client = await scene.stranger();
    client.raw(first);
    const { code, reason } = await client.closed;
    assertEquals([code, reason.includes("begins with 0 or 1")], [4400, true], String(first));
  }
  const silent = await scene.stranger();
  await settle();
  await scene.clock.advance(CHOICE_MS - 1);
  assertEquals(scene.page.sockets, 1);
  await scene.clock.advance(1);
  assertEquals(await silent.closed, { code: 4408, reason: "no channel was chosen in 6 s" });
  const { "page.cut.badChoice": badChoices, "page.cut.lateChoice": late } = scene.counters;
  assertEquals([badChoices, late], [bad.length, 1]);
  await until(() => scene.page.sockets === 0);
});

Deno.test("Page answers what it cannot read with an error under the same id, and goes on", async () => {
  await using scene = await Scene.open();
  for (const kind of ["0", "1"] as const) {
    const client = await scene.client(kind);
    const table: readonly (readonly [string | Uint8Array<ArrayBuffer>, unknown, string])[] = [
      ['{"msgId":"a"}', "a", "missing header, content, peerId"],
      ['{"msgId":7,"content":1,"header":"0x"}', 7, "missing peerId"],
      ['{"msgId":"a","content":1,"header":5,"peerId":{}}', "a", "wrong type of header, peerId"],
      ["{", null, "Cannot decode page message"],
      ["[]", null, "not a JSON object"],
      [Uint8Array.of(1), null, "not text"],
      [
        `{"msgId":"${"x".repeat(200)}","content":1,"header":"0x","peerId":""}`,
        null,
        "msgId is longer",
      ],
      [`{"header":"0x","content":"${"x".repeat(300_000)}"}`, null, "exceeds maxBytes"],
      [`{"content":${"[".repeat(99)}${"]".repeat(99)}}`, null, "nesting exceeds"],
    ];
    for (const [input, msgId, text] of table) {
      client.raw(input);
      const { header, content, msgId: id } = await client.next();
      const { code, message } = content as { code: string; message: string };
      assertEquals([header, id], [`${kind}error`, msgId], text);
      assert(message.includes(text), message);
      assert(["bad-message", "too-large"].includes(code), code);
    }
    const unknown = await client.ask({ header: "1no\u001bsuch" + "x".repeat(999) });
    assertEquals(unknown.header, `${kind}error`);
    const { code, message } = unknown.content as { code: string; message: string };
    assertEquals(code, "no-endpoint");
    assert(message.includes('"1no\\u{1b}such') && message.length < 120, message);
    assertEquals((await client.ask({ header: null })).header, `${kind}error`);
  }
});

Deno.test("Page answers with nothing but a code what fails for reasons of its own", async () => {
  const sendText = () => Promise.reject(new Error("/home/ann/secret"));
  await using scene = await Scene.open({ parts: { sendText } });
  const client = await scene.client("0");
  const answer = await client.ask({ header: "0send_text", content: "a", peerId: "1" });
  assertEquals(answer.content, { code: "internal", message: "It failed" });
  assertEquals(scene.journal.lines.filter(({ level }) => level === "error").length, 1);
});

Deno.test("Page keeps messages while no page is there, and tells the next one how many it dropped", async () => {
  await using scene = await Scene.open({ page: { maxWaiting: 3 } });
  for (let n = 0; n < 5; n++) scene.page.tell("0n", n);
  scene.page.tell("1n", "signal");
  assertEquals([scene.page.waiting, scene.counters["page.dropped"]], [4, 2]);
  const data = await scene.client("0");
  const shown = [await data.next(), await data.next(), await data.next(), await data.next()];
  assertEquals(shown.map(({ header, content }) => [header, content]), [
    ["0messages dropped", { count: 2 }],
    ["0n", 2],
    ["0n", 3],
    ["0n", 4],
  ]);
  assertEquals(scene.page.waiting, 1);
  data.close();
  await until(() => scene.page.sockets === 0);
  scene.page.tell("0later", null);
  assertEquals((await (await scene.client("0")).next()).header, "0later");
});

Deno.test("Page keeps 1,000 messages on a channel", async () => {
  await using scene = await Scene.open();
  for (let n = 0; n < 1_001; n++) scene.page.tell("1n", n);
  const client = await scene.client("1");
  const { content } = await client.next();
  assertEquals(content, { count: 1 });
  for (let n = 1; n < 1_001; n++) assertEquals((await client.next()).content, n);
});

Deno.test("Page tells who comes, changes and goes, at the next look", async () => {
  await using scene = await Scene.open();
  const client = await scene.client("1");
  const [one, two] = [peerOf("1", "one"), peerOf("2", "two")];
  const seen = async () => {
    await scene.clock.advance(LOOK_MS);
    const { header, content, peerId, type } = await client.next();
    assertEquals(type, "signal");
    return [header, content, peerId];
  };
  scene.peers = [one];
  assertEquals(await seen(), ["1new peer", { name: "one", ip: "192.0.2.1" }, one.peerId]);
  scene.peers = [{ ...one, name: "uno" }];
  assertEquals(await seen(), ["1new peer", { name: "uno", ip: "192.0.2.1" }, one.peerId]);
  scene.peers = [two];
  assertEquals(await seen(), ["1remove peer", { name: "uno", ip: "192.0.2.1" }, one.peerId]);
  assertEquals((await client.next()).peerId, two.peerId);
  await scene.clock.advance(10 * LOOK_MS);
  await scene.settled();
  scene.page.tell("1end", null);
  assertEquals((await client.next()).header, "1end");
});

Deno.test("Page.ask gives what a page answers under the question's id", async () => {
  await using scene = await Scene.open();
  const client = await scene.client("1");
  const { peerId } = peerOf("1");
  const asked = scene.page.ask("1get a peer name for discovery", { n: 1 }, { peerId });
  const question = await client.next();
  assertEquals([question.header, question.content, question.peerId], [
    "1get a peer name for discovery",
    { n: 1 },
    peerId,
  ]);
  client.send({ header: "1other", content: "no", msgId: "1" });
  client.send({ header: "1answer", content: "bob", msgId: question.msgId });
  assertEquals(await asked, "bob");

  const refused = assertRejects(() => scene.page.ask("1again", null), RemoteError);
  client.send({
    header: "1error",
    content: { code: "busy" },
    msgId: await nextOf(client, "1again"),
  });
  assertEquals((await refused).code, "busy");
  const never = () => scene.page.ask("1never", null, { timeoutMs: 30 });
  const late = assertRejects(never, TimeoutError, "No page has answered in 30 ms");
  await scene.clock.advance(30);
  await late;
});

async function nextOf(client: Awaited<ReturnType<Scene["client"]>>, header: string) {
  for (;;) {
    const shown = await client.next();
    if (shown.header === header) return shown.msgId;
  }
}

Deno.test("Page.decide asks a page whether files may come, and takes nothing else for a yes", async () => {
  await using scene = await Scene.open();
  const { peerId } = peerOf("1");
  const entries = Array.from({ length: 20 }, (_, n) => ({ path: `${n}.txt` }));
  const offer = { from: { peerId, name: "one" }, manifest: { files: 20, totalBytes: 7, entries } };
  assertEquals(await scene.page.decide(offer), false); // nobody is there
  const client = await scene.client("0");
  const decide = async (answer: Record<string, unknown>) => {
    const deciding = scene.page.decide(offer);
    const { header, content, msgId, peerId: from } = await client.next();
    const paths = entries.slice(0, 16).map(({ path }) => path);
    assertEquals([header, from], ["0a file recv request has been arrived", peerId]);
    assertEquals(content, { name: "one", files: 20, bytes: 7, paths });
    client.send({ header: "0answer", ...answer, msgId });
    return await deciding;
  };
  assertEquals(await decide({ content: { accept: true } }), true);
  for (const content of [{ accept: false }, { accept: "true" }, true, null, [], {}]) {
    assertEquals(await decide({ content }), false, JSON.stringify(content));
  }
  assertEquals(await decide({ header: "0error", content: { accept: true } }), false);
  const late = scene.page.decide(offer);
  await client.next();
  await scene.clock.advance(ANSWER_MS);
  assertEquals(await late, false);
});

Deno.test("Page shows texts and files that come", async () => {
  await using scene = await Scene.open();
  const [data, signal] = await Promise.all([scene.client("0"), scene.client("1")]);
  const from = peerOf("1");
  scene.page.showText(from, "hello");
  scene.page.showText({}, "from nobody");
  const [text, other] = [await data.next(), await data.next()];
  assertEquals([text.header, text.content, text.peerId], ["0received text", "hello", from.peerId]);
  assertEquals([other.content, other.peerId], ["from nobody", null]);
  scene.page.showTransfer({ type: "received", from, path: "a.txt", bytes: 5 });
  scene.page.showTransfer({ type: "done", from });
  const [state, done] = [await signal.next(), await signal.next()];
  assertEquals([state.header, state.peerId], ["1transfer update", from.peerId]);
  assertEquals(state.content, { item_path: "a.txt", received: 5, transfer_id: "0" });
  assertEquals(done.content, { confirmation: true, transferId: "0" });
});

Deno.test("Page shows that a text is too long instead of it", async () => {
  await using scene = await Scene.open();
  const client = await scene.client("0");
  const from = peerOf("1");
  scene.page.showText(from, "é".repeat(MAX_JSON_BYTES / 2));
  const { header, content, peerId } = await client.next();
  assertEquals([header, peerId], ["0error", from.peerId]);
  assertEquals((content as { code: string }).code, "too-large");
  scene.page.showText(from, "a".repeat(MAX_JSON_BYTES - 200));
  assertEquals((await client.next()).header, "0received text");
});

Deno.test("Page has so many sockets, messages of one socket, and no more", async () => {
  await using scene = await Scene.open({ page: { maxSockets: 2 } });
  const [client, other] = await Promise.all([scene.client("1"), scene.client("1")]);
  const { connection, status } = await scene.web.upgrade([], PAGE_PATH);
  assertEquals([status, scene.counters["page.refused.limit"]], [503, 1]);
  connection.close();
  // Nobody is there to be told of, so that these have no answer.
  for (let n = 0; n < PAGE_RATE.burst; n++) client.send({ header: "1sync users" });
  client.send({ header: "1sync users" });
  const { header, content, msgId } = await client.next();
  const { code, message } = content as { code: string; message: string };
  assertEquals([header, msgId, code], ["1error", null, "rate"]);
  assert(message.includes("pageMessages 200"), message);
  assertEquals((await other.ask({ header: "1x" })).header, "1error"); // it has its own share
  await scene.clock.advance(1_000 / PAGE_RATE.perSecond);
  const again = await client.ask({ header: "1x" });
  assertEquals((again.content as { code: string }).code, "no-endpoint");
  other.close();
  await until(() => scene.page.sockets === 1);
  await scene.client("0");
});

Deno.test("Page cuts off a page that does not read, keeps what comes later, and the others get all", async () => {
  await using scene = await Scene.open();
  const { connection, status } = await scene.web.upgrade([], PAGE_PATH);
  assertEquals(status, 101);
  await connection.write(frameOf('{"header":"0x"}'));
  await settle();
  const text = "x".repeat(900_000);
  const reader = await scene.client("0");
  let told = 0;
  await until(() => {
    scene.page.tell("0x", text);
    return ++told > 1 && scene.counters["page.cut.slowConsumer"] === 1;
  });
  for (let n = 0; n < told; n++) assertEquals((await reader.next()).header, "0x");
  assert(told < 40, `${told} messages`);
  const [line] = scene.journal.lines.filter(({ message }) => message.startsWith("closed a page"));
  assert(String(line?.fields.why).includes("slow-consumer"));
  connection.close();
});

/** A text frame as clients send it, masked with zeros. */
function frameOf(text: string): Uint8Array {
  const bytes = new TextEncoder().encode(text);
  return Uint8Array.of(0x81, 0x80 | bytes.length, 0, 0, 0, 0, ...bytes);
}

Deno.test("Page turns away pages of others and names that lead here, and counts them", async () => {
  await using scene = await Scene.open({ page: { origins: ["http://localhost:3000"] } });
  const { port } = scene.web.web.address;
  const table = [
    [403, ["Origin: http://evil.example"]],
    [403, ["Origin: null"]],
    [403, [`Origin: http://127.0.0.1:${port + 1}`]],
    [101, [`Origin: http://127.0.0.1:${port}`]],
    [101, ["Origin: http://localhost:3000"]],
    [101, []],
  ] as const;
  for (const path of [PAGE_PATH, "/"]) {
    for (const [expected, headers] of table) {
      const { connection, status } = await scene.web.upgrade(headers, path);
      assertEquals(status, expected, `${path} ${headers}`);
      connection.close();
    }
  }
  const { hostname } = scene.web.web.address;
  const asked = await Deno.connect({ hostname, port });
  const lines = ["GET /page HTTP/1.1", `Host: evil.example:${port}`, "Upgrade: websocket"];
  await asked.write(new TextEncoder().encode(`${lines.join("\r\n")}\r\n\r\n`));
  const answer = new Uint8Array(1_024);
  const count = await asked.read(answer) ?? 0;
  assert(new TextDecoder().decode(answer.subarray(0, count)).startsWith("HTTP/1.1 403"));
  asked.close();
  const { "page.refused.origin": origin, "page.refused.host": host } = scene.counters;
  assertEquals([origin, host], [6, 1]);
});

Deno.test("Page.close gives up what is under way, closes the sockets, and gives the paths back", async () => {
  const stuck = Promise.withResolvers<void>();
  const sendText = (_id: string, _text: string, { signal }: { signal: AbortSignal }) => {
    const { promise, reject } = Promise.withResolvers<void>();
    signal.addEventListener("abort", () => reject(new ClosedError("given up")), { once: true });
    stuck.resolve();
    return promise;
  };
  await using scene = await Scene.open({ parts: { sendText } });
  const client = await scene.client("0");
  client.send({ header: "0send_text", content: "a", peerId: "1" });
  await stuck.promise;
  const asked = assertRejects(() => scene.page.ask("0question", null), ClosedError);
  await Promise.all([scene.page.close(), scene.page.close(), asked]);
  assertEquals(await client.closed, { code: 1000, reason: "the peer serves no pages any more" });
  scene.page.tell("0later", null);
  assertEquals(scene.page.waiting, 0);
  await assertRejects(() => scene.client("0"), ClosedError);
  scene.web.web.take(PAGE_PATH, () => new Response("free"))[Symbol.dispose]();
});
