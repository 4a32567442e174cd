import { assert, assertEquals, assertThrows } from "@std/assert";
import { seededRandom } from "../../src/clock.ts";
import { InvalidPacketError } from "../../src/errors.ts";
import { decodeMessage } from "../../src/sync/protocol.ts";
import { SyncSession, unnumbered } from "../../src/sync/session.ts";

const MESSAGES = 1_000;
const CUTS = 50;

function body(n: number): string {
  return JSON.stringify({ type: "file_changed", data: { n } });
}

function parse(text: string): { type: string; data: { n: number }; seq?: number; ack?: number } {
  return JSON.parse(text);
}

/** Two sides and what is on its way between them. */
class Conversation {
  readonly sides = [new SyncSession({ name: "s" }), new SyncSession({ name: "s" })] as const;
  readonly taken: [number[], number[]] = [[], []];
  readonly #onTheWay: [string[], string[]] = [[], []];

  send(from: 0 | 1, text: string): void {
    this.#onTheWay[from].push(text);
  }

  deliver(from: 0 | 1): void {
    const text = this.#onTheWay[from].shift();
    if (text === undefined) return;
    const to = from === 0 ? 1 : 0;
    const message = parse(text);
    if (this.sides[to].take(message) && message.seq !== undefined) {
      this.taken[to].push(message.data.n);
    }
    const heartbeat = JSON.stringify({ type: "heartbeat", data: {} });
    if (this.sides[to].ackDue) this.send(to, this.sides[to].acknowledge(heartbeat));
  }

  /** What is on its way is lost; then each says where it stands, and sends again what the other has not got. */
  cut(): boolean {
    this.#onTheWay[0] = [];
    this.#onTheWay[1] = [];
    const again = [0, 1].map((at) => {
      return this.sides[at === 0 ? 0 : 1].resume(this.sides[at === 0 ? 1 : 0].point.received);
    });
    for (const at of [0, 1] as const) this.#onTheWay[at].push(...again[at] ?? []);
    return again.every((texts) => texts !== undefined);
  }
}

Deno.test(`SyncSession brings ${MESSAGES} messages each way, each once and in order, through ${CUTS} cuts`, () => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = seededRandom(seed);
    const talk = new Conversation();
    const sent = [0, 0];
    let cuts = 0;
    for (let step = 0; sent.some((count) => count < MESSAGES) || cuts < CUTS; step++) {
      const from = random() < 0.5 ? 0 : 1;
      const count = sent[from] ?? 0;
      if (count < MESSAGES && random() < 0.5) {
        talk.send(from, talk.sides[from].send(body(count)));
        sent[from] = count + 1;
      } else talk.deliver(from);
      if (cuts < CUTS && random() < 0.02) {
        assert(talk.cut(), `seed ${seed}`);
        cuts++;
      }
    }
    for (let left = 3 * MESSAGES; left > 0; left--) {
      [0, 1].forEach((at) => talk.deliver(at as 0 | 1));
    }
    const all = Array.from({ length: MESSAGES }, (_, n) => n);
    assertEquals(talk.taken, [all, all], `seed ${seed}`);
    assert(talk.sides.every(({ kept }) => kept < 100), "what was acknowledged is kept no more");
  }
});

Deno.test("SyncSession numbers messages, acknowledges with each, and keeps the rest of the text", () => {
  const [ours, theirs] = [new SyncSession(), new SyncSession()];
  theirs.take(parse(ours.send(body(1))));
  assertEquals(parse(theirs.send(body(2))) as unknown, {
    type: "file_changed",
    data: { n: 2 },
    seq: 1,
    ack: 1,
  });
  assertEquals(parse(theirs.acknowledge(body(3))).ack, 1);
  assertEquals([ours.kept, ours.point.received, theirs.point.received], [1, 0, 1]);
  assert(ours.take(parse(theirs.acknowledge(body(3)))));
  assertEquals(ours.kept, 0);
  const decoded = decodeMessage(
    `{"type":"x","data":{},"client_id":"a","timestamp":"2026-01-02T03:04:05","seq":1,"ack":0}`,
    { from: "client" },
  );
  assertEquals(Object.keys(unnumbered(decoded)), ["type", "data", "client_id", "timestamp"]);
});

Deno.test("SyncSession takes a message once, and none after a gap", () => {
  const [ours, theirs] = [new SyncSession(), new SyncSession()];
  const [one, two, three] = [1, 2, 3].map((n) => parse(ours.send(body(n)))) as [
    ReturnType<typeof parse>,
    ReturnType<typeof parse>,
    ReturnType<typeof parse>,
  ];
  assertEquals([theirs.take(one), theirs.take(one), theirs.take(two)], [true, false, true]);
  assertEquals(theirs.take(two), false);
  const late = new SyncSession();
  const error = assertThrows(
    () => late.take(three),
    InvalidPacketError,
    "seq is not an integer of 1..1",
  );
  assertEquals(error.details.errorCode, "OUT_OF_SEQUENCE");
  assertEquals(late.point.received, 0);
  for (
    const bad of [{ seq: 0 }, { seq: 1.5 }, { seq: "1" }, { seq: null }, { ack: 4 }, { ack: -1 }]
  ) {
    const message = { type: "x", data: {}, ...bad };
    assertThrows(() => ours.take(message), InvalidPacketError, "Cannot go on with the session");
  }
});

Deno.test("SyncSession keeps a bounded number of messages, and says when it cannot go on", () => {
  const session = new SyncSession({ maxMessages: 3 });
  for (let n = 1; n <= 5; n++) session.send(body(n));
  assertEquals(session.kept, 3);
  assertEquals(session.resume(1), undefined);
  assertEquals(session.resume(2)?.map((text) => parse(text).data.n), [3, 4, 5]);
  assertEquals(session.resume(5), []);
  assertEquals(
    [session.resume(4), session.resume(6), session.resume(NaN)],
    Array(3).fill(undefined),
  );
  const small = new SyncSession({ maxChars: 100 });
  for (let n = 1; n <= 5; n++) small.send(body(n));
  assertEquals(small.kept, 2);
  small.send(body(6).padEnd(200));
  assertEquals([small.kept, small.resume(6)], [0, []]);
});

Deno.test("SyncSession says when an acknowledgement is due", () => {
  const [ours, theirs] = [new SyncSession(), new SyncSession({ ackEvery: 2 })];
  theirs.take(parse(ours.send(body(1))));
  assertEquals(theirs.ackDue, false);
  theirs.take(parse(ours.send(body(2))));
  assertEquals(theirs.ackDue, true);
  theirs.send(body(1));
  assertEquals(theirs.ackDue, false);
  assertThrows(() => new SyncSession({ ackEvery: 0 }), RangeError, "ackEvery");
  assert(new SyncSession().name !== new SyncSession().name);
});
