import { assert, assertEquals } from "@std/assert";
import { Informer } from "../../src/palmtree/informer.ts";

/** An informer, and what it did. */
function glass() {
  const done: (readonly string[])[] = [];
  const did: string[] = [];
  const informer = new Informer({ key: "k", linkWaitMs: 3_000 }, {
    inform: (peerId) => void did.push(`inform ${peerId}`),
    joined: ({ peerId }) => void did.push(`joined ${peerId}`),
    done: (silent) => void done.push(silent),
  });
  return { informer, done, take: () => did.splice(0) };
}

const response = (peerId: string, sessionKey = "k") => {
  const address = { hostname: "192.0.2.1", port: 1 };
  return { peerId, passive: address, active: address, sessionKey };
};

Deno.test("Informer informs everybody, again while they are silent, and is done when the time is over", () => {
  const { informer, done, take } = glass();
  informer.invite(["1", "2", "1"], 0);
  assertEquals(take(), ["inform 1", "inform 2"]);
  assert(informer.answered(response("1"), "1", 10));
  assertEquals(take(), ["joined 1"]);
  for (let nowMs = 100; nowMs < 3_000; nowMs += 100) informer.tick(nowMs);
  assertEquals([take(), done], [["inform 2", "inform 2", "inform 2"], []]);
  informer.tick(3_000);
  informer.tick(3_100);
  assertEquals([take(), done], [[], [["2"]]]);
});

Deno.test("Informer is done as soon as everybody has answered", () => {
  const { informer, done } = glass();
  informer.invite(["1", "2"], 0);
  assert(informer.answered(response("1"), "1", 1));
  assert(informer.answered(response("2"), "2", 2));
  assertEquals([done, [...informer.joined]], [[[]], ["1", "2"]]);
});

Deno.test("Informer counts an answer once, with the session's key, from who was asked", () => {
  const { informer, take } = glass();
  informer.invite(["1", "2"], 0);
  take();
  assert(!informer.answered(response("1"), "2", 1));
  assert(!informer.answered(response("1", "x"), "1", 1));
  assert(informer.answered(response("1"), "1", 1));
  assert(!informer.answered(response("1"), "1", 2));
  assertEquals(take(), ["joined 1"]);
});

Deno.test("Informer takes who answers late, or is invited later, as a late joiner", () => {
  const { informer, done, take } = glass();
  informer.invite(["1"], 0);
  informer.tick(3_000);
  assertEquals(done, [["1"]]);
  assert(informer.answered(response("1"), "1", 4_000));
  informer.invite(["3"], 5_000);
  assert(informer.answered(response("3"), "3", 5_010));
  assertEquals(take(), ["inform 1", "joined 1", "inform 3", "joined 3"]);
  assertEquals(done.length, 1);
});
