import { assert, assertEquals } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import type { MemberPacket } from "../../src/membership/packets.ts";
import { type Question, Questions } from "../../src/membership/questions.ts";
import { CountingClock } from "./counting_clock.ts";

const BOB = { hostname: "10.0.0.2", port: 3_486 };
const BOB_TOO = { hostname: "fe80::2", port: 3_486 };
const OTHERS = [
  { hostname: "10.0.0.3", port: 3_486 },
  { hostname: "10.0.0.2", port: 3_487 },
  { hostname: "10.0.0.2", port: 0 },
];

const ack = (nonce: number): MemberPacket => {
  return { kind: ":ack", nonce, project: "", from: "ab".repeat(20), to: "", claims: [] };
};

class Scene {
  readonly time = new ManualClock();
  readonly clock = new CountingClock(this.time);
  readonly answers: string[] = [];
  readonly silences: number[] = [];
  readonly questions: Questions;
  #nonce = 70;

  constructor() {
    this.questions = new Questions(this.clock, () => ++this.#nonce);
  }

  ask(question: Partial<Question> = {}): number | undefined {
    return this.questions.add({
      to: [BOB, BOB_TOO],
      timeoutMs: 500,
      answered: ({ kind }, { hostname }) => this.answers.push(`${kind} ${hostname}`) > 0,
      unanswered: () => void this.silences.push(this.time.now()),
      ...question,
    });
  }
}

Deno.test("Questions: only those who were asked may answer, with the nonce, once", async () => {
  const scene = new Scene();
  const { questions, answers, silences, time, clock } = scene;
  const nonce = scene.ask() ?? 0;
  for (const other of OTHERS) assert(!questions.answer(ack(nonce), other));
  for (const wrong of [0, nonce + 1, nonce - 1, -nonce]) assert(!questions.answer(ack(wrong), BOB));
  assert(questions.answer(ack(nonce), BOB_TOO));
  assert(!questions.answer(ack(nonce), BOB_TOO) && !questions.answer(ack(nonce), BOB));
  assertEquals([answers, clock.waiting], [[":ack fe80::2"], 0]);
  await time.advance(1_000);
  assertEquals(silences, []);
});

Deno.test("Questions wait on where an answer was not enough", async () => {
  const scene = new Scene();
  const nonce = scene.ask({ answered: ({ kind }) => kind === ":ack" }) ?? 0;
  assert(scene.questions.answer({ ...ack(nonce), kind: ":nack" }, BOB));
  assertEquals(scene.clock.waiting, 1);
  await scene.time.advance(499);
  assert(scene.questions.answer(ack(nonce), BOB));
  await scene.time.advance(1_000);
  assertEquals(scene.silences, []);
});

Deno.test("Questions end when their time is over, and what comes later is unasked", async () => {
  const scene = new Scene();
  const nonce = scene.ask() ?? 0;
  await scene.time.advance(500);
  assertEquals(scene.silences, [500]);
  assert(!scene.questions.answer(ack(nonce), BOB));
  assertEquals(scene.answers, []);
});

Deno.test("Questions that wait are bounded, and none is left when they are cleared", async () => {
  const scene = new Scene();
  for (let asked = 0; asked < 4_096; asked++) assert(scene.ask() !== undefined);
  assertEquals(scene.ask(), undefined);
  scene.questions.clear();
  assertEquals(scene.clock.waiting, 0);
  assert(scene.ask() !== undefined);
  scene.questions.clear();
  await scene.time.advance(1_000);
  assertEquals(scene.silences, []);
});
