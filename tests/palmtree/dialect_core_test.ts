import { assert, assertEquals, assertThrows } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import { InvalidPacketError } from "../../src/errors.ts";
import { ChunkList } from "../../src/palmtree/chunk_list.ts";
import { ChunkSet } from "../../src/palmtree/chunk_set.ts";
import type { ControlMessage } from "../../src/palmtree/control.ts";
import { Recipients } from "../../src/palmtree/dialects/peerconnect_recipients.ts";
import { Informer } from "../../src/palmtree/informer.ts";
import { encodeMetadata, RawReader } from "../../src/palmtree/raw_stream.ts";
import { Relay } from "../../src/palmtree/relay.ts";
import type { RelayEvent } from "../../src/palmtree/relay_options.ts";
import { ownHost } from "../../src/peer_peerconnect.ts";
import { concat } from "../../src/wire/concat.ts";

const at = (port: number) => ({ hostname: "192.0.2.1", port });
const participant = (id: number) => {
  return { peerId: String(id), passive: at(id), active: at(1_000 + id), isKith: false };
};

Deno.test("ChunkSet of nobody knows how many chunks is empty and not full, until that is said", () => {
  const set = new ChunkSet();
  assertEquals([set.size, set.isFull, set.has(0), set.toBytes().length], [
    Infinity,
    false,
    false,
    0,
  ]);
  assertEquals(set.firstWithout(new ChunkSet(3)), -1);
  set.bound(3);
  set.add(2);
  assertEquals([set.size, set.count, set.has(2)], [3, 1, true]);
  assertThrows(() => set.bound(4), TypeError, "of 3 chunks already");
});

Deno.test("RawReader gives what is whole before it refuses what was not announced", () => {
  const stream = concat(
    encodeMetadata([{ name: "a", size: 3, seeked: 0 }]),
    Uint8Array.of(1, 2, 3),
  );
  const reader = new RawReader(2);
  const events = reader.push(concat(stream, Uint8Array.of(4, 5)));
  assertEquals(events.map(({ type }) => type), ["metadata", "chunk", "chunk"]);
  assertThrows(() => reader.push(new Uint8Array(0)), InvalidPacketError, "3 bytes announced");
  const slow = new RawReader(2);
  const found = [...stream].flatMap((byte) => slow.push(Uint8Array.of(byte)));
  assertEquals(found.slice(1), events.slice(1));
  assertEquals(found[0]?.type, "metadata");
});

Deno.test("Relay that does not know what comes takes links, and gives it once it does", () => {
  const given: (readonly [string, number])[] = [];
  const emitted: RelayEvent["type"][] = [];
  const sent: ControlMessage["type"][] = [];
  const session = {
    ...{ originateId: "1", sessionId: "s", key: "k", fanout: 5, linkWaitMs: 3_000 },
    ...{ adjacentPeers: [], chunkSize: 2, fileCount: 1 },
  };
  const relay = new Relay({
    ...{ self: participant(2), session, root: { hostname: "192.0.2.1", isKith: false } },
  }, {
    send: ({ type }) => void sent.push(type),
    connect: () => {},
    close: () => {},
    tell: () => assert(false),
    give: (peerId, index) => void given.push([peerId, index]),
    keep: () => {},
    emit: ({ type }) => void emitted.push(type),
  });
  relay.ready();
  const envelope = { address: at(1), sealedBy: undefined };
  const neighbors = [participant(1), participant(3)];
  assert(relay.receive({ type: "state-update", neighbors }, envelope, 0));
  const check = { type: "tree-check", from: "1", messageId: "m", sessionId: "s" } as const;
  assert(relay.receive(check, envelope, 0));
  assert(relay.linkOffered("1", 1));
  const asked = { address: at(3), sealedBy: undefined };
  assert(relay.receive({ type: "upgrade", from: "3" }, asked, 2));
  relay.linkUp("3", 3);
  assertEquals([given, relay.have.isFull], [[], false]);
  relay.announce(new ChunkList(3, 2), 4);
  relay.frame("1", { type: "chunk", index: 0, data: Uint8Array.of(1, 2) }, 5);
  relay.frame("1", { type: "chunk", index: 1, data: Uint8Array.of(3) }, 6);
  assertEquals(given, [["3", 0], ["3", 1]]);
  assertEquals(emitted, ["parent", "child", "complete"]);
  assertThrows(() => relay.announce(new ChunkList(3, 2), 7), TypeError);
  // The sender may ask from another port than the one that anybody knows.
  const question = { type: "gather", root: "1", level: 0, parent: null, replyAddr: at(9) } as const;
  assert(relay.receive(question, { address: at(77), sealedBy: undefined }, 8));
  assertEquals(sent.filter((type) => type === "gather"), ["gather", "gather"]);
});

Deno.test("Informer takes whoever answers with the key, where nobody knows who is there", () => {
  const joined: string[] = [];
  const informer = new Informer({ key: "k", linkWaitMs: 1_000 }, {
    inform: () => {},
    isMeant: () => true,
    joined: ({ peerId }, asked) => void joined.push(`${asked} is ${peerId}`),
    done: () => {},
  });
  informer.invite(["a"], 0);
  const response = { peerId: "7", passive: at(1), active: at(2) };
  assert(!informer.answered({ ...response, sessionKey: "x" }, "a", 1));
  assert(informer.answered({ ...response, sessionKey: "k" }, "a", 2));
  assert(!informer.answered({ ...response, sessionKey: "k" }, "a", 3));
  assertEquals(joined, ["a is 7"]);
});

Deno.test("Recipients believe who says whose child it is, and give up who never does", () => {
  const told: string[] = [];
  const recipients = new Recipients(["a", "b", "c"], "1", ({ type }) => void told.push(type));
  const clock = new ManualClock();
  for (const [place, id] of ["2", "3", "4"].entries()) assert(recipients.joined(place, id));
  recipients.begin(100, clock.now());
  recipients.placed("2", "1");
  recipients.placed("3", "2");
  assertEquals([recipients.children, recipients.others], [["2"], ["3", "4"]]);
  recipients.delivered("2", 50);
  recipients.lost("2", 60); // it has hung up
  recipients.tick(7_999);
  assertEquals(recipients.isComplete, false);
  recipients.lost("3", 7_999);
  recipients.tick(8_000);
  assertEquals(recipients.isComplete, false);
  recipients.placed("3", "2");
  assertEquals(recipients.isComplete, true);
  recipients.finish(9_000);
  const found = recipients.summaries.map(({ name, state, bytes }) => [name, state, bytes]);
  assertEquals(found, [["a", "done", 100], ["b", "done", 100], ["c", "failed", 0]]);
  assertEquals(told.slice(-5), ["done", "parent", "failed", "parent", "done"]);
});

Deno.test("ownHost is the address that begins most like that of who is to reach us", () => {
  const hosts = ["10.0.0.5", "192.168.1.7"];
  assertEquals(ownHost(at(1), hosts), "192.168.1.7");
  assertEquals(ownHost({ hostname: "10.9.9.9", port: 1 }, hosts), "10.0.0.5");
  assertEquals(ownHost({ hostname: "127.0.0.1", port: 1 }, hosts), "127.0.0.1");
  assertEquals(ownHost(at(1), []), "127.0.0.1");
});
