import { assertEquals, assertRejects } from "@std/assert";
import { TransferBoard } from "../../src/status/transfer_board.ts";

async function* sending(fails = false) {
  yield { type: "accepted" as const };
  yield { type: "progress" as const, bytes: 5, totalBytes: 10, paused: false };
  if (fails) throw new Error("broke");
  yield { type: "done" as const, bytes: 10 };
}

Deno.test("TransferBoard shows what is sent while its events come, and passes them on", async () => {
  const board = new TransferBoard();
  const seen: unknown[] = [];
  for await (const event of board.follow({ peer: "bob", what: "a.txt" }, sending())) {
    seen.push([event.type, board.rows.map(({ bytes, totalBytes }) => [bytes, totalBytes])]);
  }
  assertEquals(seen, [["accepted", [[0, 0]]], ["progress", [[5, 10]]], ["done", [[5, 10]]]]);
  assertEquals(board.rows, []);
});

Deno.test("TransferBoard forgets what is left early, and what fails", async () => {
  const board = new TransferBoard();
  for await (const _ of board.follow({ peer: "bob", what: "" }, sending())) break;
  await assertRejects(
    async () => {
      for await (const _ of board.follow({ peer: "bob", what: "" }, sending(true)));
    },
    Error,
    "broke",
  );
  assertEquals(board.rows, []);
});

Deno.test("TransferBoard shows what comes in, by name or else by id", () => {
  const board = new TransferBoard();
  const from = { name: "", peerId: "7".repeat(40) };
  const watching = board.watch({ progress: [{ from, bytes: 1, totalBytes: 2, paused: true }] });
  const about = { direction: "in" as const, peer: from.peerId, what: "" };
  assertEquals(board.rows, [{ ...about, bytes: 1, totalBytes: 2, paused: true }]);
  watching[Symbol.dispose]();
  assertEquals(board.rows, []);
});
