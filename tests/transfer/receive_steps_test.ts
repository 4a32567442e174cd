import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { RemoteError } from "../../src/errors.ts";
import { CHUNK_BYTES, PIECE_BYTES } from "../../src/transfer/steps.ts";
import { Events, Exchange, offer, parts, pattern, run, sha256, Steps, wholes } from "./fixture.ts";

/** Steps that are not what they have to be, of a transfer of files of 10 bytes, `a` and `b`, and a folder, `f`. */
const WRONG: Record<string, readonly [(steps: Steps) => void, code: string, text: string]> = {
  "another hash": [
    (steps) => steps.data(0, pattern(10), { digest: sha256(pattern(9)) }),
    ...["bad-hash", "SHA-256 differs at byte 0"] as const,
  ],
  "another hash later": [
    (steps) => {
      steps.data(0, pattern(4));
      steps.data(0, pattern(6), { digest: sha256(pattern(6)) });
    },
    ...["bad-hash", "SHA-256 differs at byte 4"] as const,
  ],
  "no hash": [
    (steps) => steps.data(0, pattern(10), { digest: null }),
    ...["bad-message", "bad digest"] as const,
  ],
  "no bytes": [(steps) => steps.data(0, new Uint8Array(0)), "bad-message", "file 0 is out of turn"],
  "more bytes": [(steps) => steps.data(0, pattern(11)), "too-large", "10 bytes announced"],
  "more bytes later": [
    (steps) => {
      steps.data(0, pattern(9));
      steps.data(0, pattern(2));
    },
    ...["too-large", "10 bytes announced"] as const,
  ],
  "more than a piece": [
    (steps) => steps.data(0, new Uint8Array(PIECE_BYTES + 1)),
    ...["bad-message", "bad data"] as const,
  ],
  "out of turn": [
    (steps) => {
      steps.data(0, pattern(9));
      steps.data(1, pattern(1));
    },
    ...["bad-message", "file 1 is out of turn"] as const,
  ],
  "the second first": [
    (steps) => steps.data(1, pattern(10)),
    "bad-message",
    "file 1 is out of turn",
  ],
  "a folder": [(steps) => steps.data(2, pattern(1)), "bad-message", "file 2 is out of turn"],
  "no such file": [(steps) => steps.data(99, pattern(1)), "bad-message", "file 99 is out of turn"],
  "no index": [
    (steps) => steps.data(0, pattern(1), { index: null }),
    ...["bad-message", "bad index"] as const,
  ],
  "a negative index": [(steps) => steps.data(-1, pattern(1)), "bad-message", "bad index"],
  "half an index": [(steps) => steps.data(0.5, pattern(1)), "bad-message", "bad index"],
  "a gap": [
    (steps) => steps.data(0, pattern(5), { offset: 5 }),
    ...["bad-message", "file 0 is out of turn"] as const,
  ],
  "a later gap": [
    (steps) => {
      steps.data(0, pattern(3));
      steps.data(0, pattern(3), { offset: 4 });
    },
    ...["bad-message", "file 0 is out of turn"] as const,
  ],
  "a checkpoint of what is not there": [
    (steps) => steps.data(0, pattern(1), { offset: CHUNK_BYTES }),
    ...["bad-message", "file 0 is out of turn"] as const,
  ],
  "bytes twice": [
    (steps) => {
      steps.data(0, pattern(3));
      steps.data(0, pattern(3), { offset: 0 });
    },
    ...["bad-message", "file 0 is out of turn"] as const,
  ],
  "text": [
    (steps) => steps.data(0, pattern(1), { data: "0123456789" }),
    ...["bad-message", "bad data"] as const,
  ],
  "no number": [
    (steps) => steps.data(0, pattern(1), { seq: -1 }),
    ...["bad-message", "bad seq"] as const,
  ],
  "a number twice": [
    (steps) => {
      steps.data(0, pattern(3));
      steps.data(0, pattern(1), { seq: 0 });
    },
    ...["bad-message", "step 0 came twice"] as const,
  ],
  "a number twice before its turn": [
    (steps) => {
      steps.data(0, pattern(3), { seq: 7 });
      steps.data(0, pattern(1), { seq: 7 });
    },
    ...["bad-message", "step 7 came twice"] as const,
  ],
  "a number far ahead": [
    (steps) => steps.data(0, pattern(1), { seq: 1_000_000 }),
    ...["limit", "maxEarlyBytes"] as const,
  ],
  "a small file of another size": [
    (steps) => steps.files([[0, pattern(9)]]),
    ...["too-large", "10 bytes announced"] as const,
  ],
  "small files out of turn": [
    (steps) => steps.files([[1, pattern(10)], [0, pattern(10)]]),
    ...["bad-message", "file 1 is out of turn"] as const,
  ],
  "a small file with another hash": [
    (steps) => steps.post("files", { files: [[0, pattern(10), sha256(pattern(9))]] }),
    ...["bad-hash", "SHA-256 differs at byte 0"] as const,
  ],
  "a small file within another": [
    (steps) => {
      steps.data(0, pattern(9));
      steps.files([[0, pattern(10)]]);
    },
    ...["bad-message", "file 0 is out of turn"] as const,
  ],
  "no small files": [(steps) => steps.files([]), "bad-message", "bad files"],
  "the whole of nothing": [
    (steps) => steps.post("whole", { index: 0, digest: sha256(new Uint8Array(0)) }),
    ...["bad-hash", "SHA-256 differs"] as const,
  ],
  "a copy of nothing": [
    (steps) => {
      const digest = sha256(pattern(10));
      steps.post("copy", { index: 0, offset: 0, from: 0, length: 10, digest });
    },
    ...["bad-hash", "older version changed"] as const,
  ],
};

for (const [what, [send, code, text]] of Object.entries(WRONG)) {
  Deno.test(`Receiver gives up on ${what}, keeps no byte of it and tells both`, async () => {
    await using exchange = await Exchange.open();
    const events = new Events(exchange.receiver);
    const link = await exchange.link();
    const id = await offer(link, { a: 10, b: 10 }, { folders: ["f"] });
    const failing = assertRejects(() => run(link, id), RemoteError, text);
    const steps = new Steps(link, id);
    send(steps);
    // What the sender had already sent when it learnt of it changes nothing.
    steps.data(0, pattern(10));
    assertEquals((await failing).code, code);
    const failed = await events.next("failed");
    assertStringIncludes(String(failed.error), text);
    assertEquals(events.types, ["failed"]);
    exchange.receiver.close();
    assertEquals(wholes(exchange.inbox), []);
    assert(Object.values(parts(exchange.inbox)).every((size) => size < 10));
    await events.over;
  });
}
