import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { ManualClock } from "../../../src/clock.ts";
import { ClosedError, InvalidPacketError } from "../../../src/errors.ts";
import { sendPeerConnectText } from "../../../src/transfer/dialects/peerconnect_chat_client.ts";
import type { PeerConnectText } from "../../../src/transfer/dialects/peerconnect_chat_server.ts";
import { Shelf } from "../../../src/transfer/dialects/peerconnect_driver_shelf.ts";
import type { Connection } from "../../../src/transport/mod.ts";
import { until } from "../../e2e/process.ts";
import { StrangeServer } from "../../e2e/stranger.ts";
import {
  bytes,
  connectTo,
  frame,
  NODE,
  Scene,
  str,
  uint,
  unsigned,
} from "./peerconnect_driver_fixture.ts";

const { decimal: id, hex: peerId } = NODE;
const HELLO = frame("basic connection", { id });
const LEAVE = frame("close connection", { id });

function say(message: string, by: string = id): Uint8Array {
  return frame("this is message ", { id: by }, { message });
}

/** Collects the texts of a scene. */
function collect(scene: Scene, signal?: AbortSignal): { texts: string[]; over: Promise<void> } {
  const texts: string[] = [];
  const said = scene.port.texts(signal === undefined ? {} : { signal });
  return { texts, over: each(said, ({ text }) => texts.push(text)) };
}

async function each(
  said: AsyncIterable<PeerConnectText>,
  take: (text: PeerConnectText) => void,
): Promise<void> {
  for await (const text of said) take(text);
}

Deno.test("sendPeerConnectText says a text to another endpoint", async () => {
  await using scene = await Scene.open();
  const iterator = scene.port.texts()[Symbol.asyncIterator]();
  assertThrows(() => scene.port.texts(), TypeError, "somebody does already");
  await sendPeerConnectText(scene.connect, "héllo ☃", { peerId });
  const { value } = await iterator.next();
  assertEquals([value?.from, value?.text], [peerId, "héllo ☃"]);
  assertEquals(value?.address.hostname, "127.0.0.1");
  await iterator.return?.();
  await assertRejects(
    () => sendPeerConnectText(scene.connect, "anybody?", { peerId }),
    ClosedError,
  );
  assertEquals(scene.counters["accept.refused.unsupported"], 1);
});

Deno.test("sendPeerConnectText notices an original, which hangs up on the handshake", async () => {
  await using server = new StrangeServer(async (stranger) => void await stranger.read(10));
  const connect = () => connectTo(Number(server.address.split(":")[1]));
  await assertRejects(() => sendPeerConnectText(connect, "hello", { peerId }), ClosedError);
  const never = () => Promise.reject<Connection>(new Error("It connected"));
  await assertRejects(
    () => sendPeerConnectText(never, "x".repeat(70_000), { peerId }),
    InvalidPacketError,
    "maxChatBytes",
  );
});

Deno.test("sendPeerConnectText writes what a node expects, each frame in one piece", async () => {
  const read = Promise.withResolvers<Uint8Array>();
  const text = bytes(HELLO, say("hello"), LEAVE);
  await using server = new StrangeServer(async (stranger) => {
    read.resolve(await stranger.read(ours.length));
    await stranger.rest();
  });
  // MessagePack in its shortest form.
  const short = (value: string) =>
    bytes(
      value.length < 32 ? 0xa0 | value.length : 0xd9,
      ...(value.length < 32 ? [] : [value.length]),
      value,
    );
  const message = (header: string, ...body: Uint8Array[]) => {
    const payload = bytes(
      0x95,
      0xc4,
      header.length,
      header,
      short(id),
      0xcb,
      0x3f,
      0xf0,
      0,
      0,
      0,
      0,
      0,
      0,
      0x80 | body.length / 2,
      ...body,
      0xc0,
    );
    return bytes(unsigned(payload.length, 4), payload);
  };
  const ours = bytes(
    message("basic connection"),
    message("this is message ", short("message"), short("hello")),
    message("close connection"),
  );
  assert(ours.length < text.length);
  const connect = () => connectTo(Number(server.address.split(":")[1]));
  await sendPeerConnectText(connect, "hello", { peerId });
  assertEquals(await read.promise, ours);
});

Deno.test("PeerConnectPort reads the texts of a node, however they are cut", async () => {
  await using scene = await Scene.open();
  const { texts, over } = collect(scene);
  using node = await scene.node(new Uint8Array(0));
  await node.dribble(bytes(HELLO, say("one"), frame("something else ", { id }), say("two")));
  await node.write(bytes(say("three"), say(""), LEAVE));
  assertEquals(await node.rest(), "");
  assertEquals(texts, ["one", "two", "three", ""]);
  assertEquals(scene.counters["peerconnect.texts"], 4);
  scene.port[Symbol.dispose]();
  await over;
});

Deno.test("PeerConnectPort hangs up on who talks nonsense, and on all when it is told to", async () => {
  await using scene = await Scene.open();
  const stop = new AbortController();
  const { texts, over } = collect(scene, stop.signal);
  const nonsense = [
    say("in another's name", "12345"),
    bytes(unsigned(70_000, 4)),
    bytes(unsigned(3, 4), "abc"),
    frame("this is message ", { id }),
    bytes(unsigned(12, 4), 0x92, str("a"), uint(1)),
  ];
  for (const sent of nonsense) {
    using node = await scene.node(bytes(HELLO, say("good"), sent));
    assertEquals(await node.rest(), "");
  }
  assertEquals(texts, Array(nonsense.length).fill("good"));
  using node = await scene.node(HELLO);
  const { length } = nonsense;
  await until("the chat", () => scene.counters["accept.established"] === length + 1);
  stop.abort();
  assertEquals(await node.rest(), "");
  await over;
});

Deno.test("PeerConnectPort gives links of palm trees to who takes them, with all that was read", async () => {
  await using scene = await Scene.open();
  const body = bytes(0x82, str("session_id"), str("s"), str("peer_addr"), 0x92, str("10.0.0.1"), 7);
  const header = str("otm_add_stream_link");
  const version = [0xcb, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0];
  const payload = bytes(0x95, header, str(id), ...version, body, 0xc0);
  const link = bytes(unsigned(payload.length, 4), payload);
  {
    using node = await scene.node(link);
    assertEquals(await node.rest(), "");
  }
  await until("the count", () => scene.counters["accept.refused.unsupported"] === 1);
  const seen: unknown[] = [];
  using _taking = scene.port.linkWith(async (handshake, connection) => {
    seen.push(handshake);
    const into = new Uint8Array(2);
    for (let got = 0; got < 6;) {
      const count = await connection.read(into);
      seen.push(...into.subarray(0, count ?? 0));
      got += count ?? 6;
    }
    await connection.write(bytes("OK"));
  });
  assertThrows(() => scene.port.linkWith(() => Promise.resolve()), TypeError, "already");
  using node = await scene.node(bytes(link, "abc"));
  await node.write("def");
  assertEquals(await node.rest(), "OK");
  assertEquals(seen, [{ type: "link", payload }, ...bytes("abcdef")]);
});

Deno.test("Shelf keeps few things, and not for long", async () => {
  const clock = new ManualClock();
  const dropped: string[] = [];
  const onDrop = (thing: string, why: Error) => dropped.push(`${thing}: ${why.message}`);
  const shelf = new Shelf<string>({ max: 2, clock, onDrop });
  for (const name of ["a", "b", "c"]) shelf.put(name, name, 1000);
  assertEquals(dropped, ["a: 2 newer transfers wait for their senders"]);
  assertEquals([shelf.take("a"), shelf.take("b"), shelf.take("b")], [undefined, "b", undefined]);
  await clock.advance(999);
  shelf.put("d", "d", 1000);
  await clock.advance(1);
  assertEquals(dropped.slice(1), ["c: The sender did not come back in time"]);
  shelf.clear(new ClosedError("over"));
  await clock.advance(2000);
  assertEquals(dropped.slice(2), ["d: over"]);
});
