import { assertEquals } from "@std/assert";
import { type ConnectionStatus, StatusBoard } from "../../src/rpc/connection_status.ts";

const connecting = (attempt: number): ConnectionStatus => ({ state: "connecting", attempt });

Deno.test("StatusBoard gives what is, what comes and an end", async () => {
  const board = new StatusBoard();
  board.set(connecting(0));
  const [one, two] = [board.watch(), board.watch()];
  assertEquals((await one.next()).value, connecting(0));
  assertEquals((await two.next()).value, connecting(0));
  const next = two.next();
  board.set(connecting(1));
  board.set(connecting(2));
  board.close();
  assertEquals((await next).value, connecting(1));
  assertEquals(await Array.fromAsync(one), [connecting(1), connecting(2)]);
  assertEquals(await Array.fromAsync(two), [connecting(2)]);
  assertEquals(board.current, connecting(2));
});

Deno.test("StatusBoard drops the oldest for who does not look", async () => {
  const board = new StatusBoard();
  const states = board.watch();
  await states.next();
  for (let attempt = 1; attempt <= 1_000; attempt++) board.set(connecting(attempt));
  board.close();
  const seen = await Array.fromAsync(states);
  assertEquals([seen.length, seen[0], seen.at(-1)], [64, connecting(937), connecting(1_000)]);
});
