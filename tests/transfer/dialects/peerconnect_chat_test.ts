import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { ClosedError, InvalidPacketError } from "../../../src/errors.ts";
import { Chat, MAX_CHAT_BYTES } from "../../../src/transfer/dialects/peerconnect_chat.ts";
import { withLength } from "../../../src/transfer/dialects/peerconnect_records.ts";
import { encodeWireData, type MessageBody, wireData } from "../../../src/wire/message.ts";
import { concat, Generator } from "../../fuzz/generate.ts";
import { bytesOf, feedGarbage, loadVector } from "../../testdata/vectors.ts";
import { bytewise, drain, feed, split } from "./peerconnect_fixture.ts";

const FAMILY = "peerconnect.transfer_handshake";
const ALICE = "469099608771183077085495238363724627294301243880";
const BOB = "411584888107528619028472592356892422539712238090";

function message(header: string, body: MessageBody = {}, msgId: unknown = ALICE): Uint8Array {
  const dialect = "peerconnect";
  const said = wireData(new TextEncoder().encode(header), body, { msgId, dialect });
  return withLength(encodeWireData(said, { dialect }));
}

Deno.test("Chat says and leaves as the originals do, byte for byte", () => {
  const chat = new Chat({ self: ALICE });
  const frames = [chat.say("hello"), chat.leave()];
  const vectors = ["chat text message", "chat close"].map((name) => loadVector(FAMILY, name));
  assertEquals(frames.map((frame) => frame.subarray(4).toHex()), vectors.map(({ hex }) => hex));
  const frame = loadVector("peerconnect.stream_frame", "chat text");
  assertEquals(new Chat({ self: ALICE }).say("hello bob").toHex(), frame.hex);
});

Deno.test("Chat reads what the originals say, however it is cut", () => {
  const names = ["chat text message", "chat text message", "chat close"];
  const bytes = concat(...names.map((name) => withLength(bytesOf(loadVector(FAMILY, name)))));
  for (const pieces of [[bytes], bytewise(bytes), split(bytes, new Generator(1))]) {
    const chat = new Chat({ self: BOB, peer: ALICE });
    const text = { type: "text" as const, text: "hello" };
    assertEquals([...feed(chat, pieces)], [text, text, { type: "close" }]);
    assert(chat.over);
    chat.ended();
  }
});

Deno.test("Chat carries text of any script both ways", () => {
  const [alice, bob] = [new Chat({ self: ALICE, peer: BOB }), new Chat({ self: BOB, peer: ALICE })];
  for (const text of ["", "日本 é", "a\u001b[2J", "x".repeat(60_000)]) {
    assertEquals([...feed(bob, [alice.say(text)])], [{ type: "text", text }]);
    assertEquals([...feed(alice, [bob.say(text)])], [{ type: "text", text }]);
  }
});

Deno.test("Chat tells of messages that it does not know", () => {
  const chat = new Chat({ self: BOB });
  const frame = message("this is command \u001b".padEnd(300, "x"));
  const [event] = feed(chat, [frame]);
  assert(event?.type === "other");
  assertStringIncludes(event.header, "this is command \\u{1b}");
  assert(event.header.length < 80);
});

Deno.test("Chat refuses what breaks the format", () => {
  const cases: [Uint8Array, string][] = [
    [message("this is message ", { message: "x" }, BOB), "id: it is another one"],
    [message("this is message ", { message: "x" }, null), "neither bin nor text"],
    [message("this is message ", {}), "message: it is not text"],
    [message("this is message ", { message: new Uint8Array(1) }), "message: it is not text"],
    [Uint8Array.of(0, 1, 0, 1), "exceeds maxFrameBytes 65536"],
    [Uint8Array.of(0, 0, 0, 0), "Cannot decode"],
  ];
  for (const [bytes, text] of cases) {
    const chat = new Chat({ self: BOB, peer: ALICE });
    assertThrows(() => [...feed(chat, [bytes])], InvalidPacketError, text);
  }
});

Deno.test("Chat is over once one of both has left", () => {
  const left = new Chat({ self: ALICE });
  left.leave();
  for (const say of [() => left.say("x"), () => left.leave()]) {
    assertThrows(say, ClosedError, "the chat is over");
  }
  left.push(message("this is message ", { message: "late" }));
  assertEquals(left.next(), undefined);
  assertThrows(() => new Chat({ self: ALICE }).ended(), ClosedError);
});

Deno.test("Chat says nothing that is too long", () => {
  const chat = new Chat({ self: ALICE });
  const error = assertThrows(() => chat.say("x".repeat(MAX_CHAT_BYTES)), InvalidPacketError);
  assertEquals(error.details.limit, "maxChatBytes");
});

Deno.test("Chat meets garbage with errors of ours", () => {
  const samples = ["chat text message", "chat close"].map((name) =>
    bytesOf(loadVector(FAMILY, name))
  );
  const read = (bytes: Uint8Array) => {
    const chat = new Chat({ self: BOB });
    chat.push(withLength(bytes));
    return [...drain(chat)];
  };
  const { decoded, refused } = feedGarbage(read, samples, { seed: 35, cases: 2000 });
  assert(decoded > 100 && refused > 100, `${decoded} ${refused}`);
});
