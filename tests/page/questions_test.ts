import { assert, assertEquals, assertRejects } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import { ClosedError, LimitError, RemoteError, TimeoutError } from "../../src/errors.ts";
import { MAX_QUESTIONS, Questions } from "../../src/page/questions.ts";
import type { DataWeaver } from "../../src/wire/weaver.ts";

function answerTo(msgId: string, content: unknown, header = "0answer"): DataWeaver {
  return { header, content, peerId: null, msgId, type: "data" };
}

Deno.test("Questions gives the first answer with the id, and no other message", async () => {
  const questions = new Questions(new ManualClock());
  const ids: string[] = [];
  const first = questions.ask((id) => ids.push(id), { timeoutMs: 10 });
  const second = questions.ask((id) => ids.push(id), { timeoutMs: 10 });
  const [one = "", two = ""] = ids;
  assert(!questions.settle(answerTo("1", "other")));
  assert(questions.settle(answerTo(two, "two")));
  assert(questions.settle(answerTo(one, "one")));
  assertEquals([await first, await second], ["one", "two"]);
  assert(!questions.settle(answerTo(one, "late")));
  assertEquals(questions.size, 0);
});

Deno.test("Questions rejects with the page's error, its text made safe", async () => {
  const questions = new Questions(new ManualClock());
  let msgId = "";
  const asked = questions.ask((id) => void (msgId = id), { timeoutMs: 10 });
  questions.settle(answerTo(msgId, { code: "busy", message: "\u001b[2Jno" }, "1error"));
  const error = await assertRejects(() => asked, RemoteError, "\\u{1b}[2Jno");
  assertEquals(error.code, "busy");
});

Deno.test("Questions is bounded in time and number, and ends when it is closed or given up", async () => {
  const clock = new ManualClock();
  const questions = new Questions(clock);
  const ask = (signal?: AbortSignal) => questions.ask(() => {}, { timeoutMs: 50, signal });
  const all = Array.from({ length: MAX_QUESTIONS }, () => assertRejects(() => ask(), TimeoutError));
  await assertRejects(() => ask(), LimitError, "maxQuestions");
  await clock.advance(50);
  await Promise.all(all);
  const controller = new AbortController();
  const given = assertRejects(() => ask(controller.signal), Error, "enough");
  controller.abort(new Error("enough"));
  await given;
  await assertRejects(() => ask(controller.signal), Error, "enough");
  const closed = assertRejects(() => ask(), ClosedError);
  questions.close();
  await closed;
  await assertRejects(() => ask(), ClosedError);
  assertEquals(questions.size, 0);
});
