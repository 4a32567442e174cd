import { assertEquals } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import { contactOf } from "../../src/dht/contact.ts";
import { Newcomers } from "../../src/dht/newcomers.ts";

const at = (n: number) =>
  contactOf(new Uint8Array(20).fill(n), { hostname: `10.0.0.${n}`, port: 3486 });

function newcomers(clock = new ManualClock()) {
  const asked: string[] = [];
  const known = new Set<string>();
  const pending: (() => void)[] = [];
  const waiting = new Newcomers({
    clock,
    isWanted: ({ key }) => !known.has(key),
    ask: ({ address }) => {
      asked.push(address.hostname);
      return new Promise((resolve) => pending.push(resolve));
    },
  });
  const answerOne = async () => {
    pending.shift()?.();
    await clock.advance(0);
  };
  return { waiting, asked, known, clock, answerOne };
}

Deno.test("Newcomers asks each back once, eight at the same time", async () => {
  const { waiting, asked, answerOne } = newcomers();
  for (let n = 1; n <= 10; n++) waiting.add(at(n));
  waiting.add(at(1));
  waiting.add(at(10));
  assertEquals(asked.length, 8);
  await answerOne();
  await answerOne();
  assertEquals(asked, Array.from({ length: 10 }, (_, i) => `10.0.0.${i + 1}`));
  await answerOne();
  assertEquals(asked.length, 10);
});

Deno.test("Newcomers leaves out who became known meanwhile, and asks the next", async () => {
  const { waiting, asked, known, answerOne } = newcomers();
  for (let n = 1; n <= 10; n++) waiting.add(at(n));
  known.add(at(9).key);
  await answerOne();
  assertEquals(asked.at(-1), "10.0.0.10");
});

Deno.test("Newcomers lets 64 wait", async () => {
  const { waiting, asked, answerOne } = newcomers();
  for (let n = 1; n <= 100; n++) waiting.add(at(n));
  for (let n = 1; n <= 200; n++) await answerOne();
  assertEquals(asked.length, 72);
});

Deno.test("Newcomers asks at one address no more than its rate, whoever is said to be there", async () => {
  const { waiting, asked, clock, answerOne } = newcomers();
  const address = { hostname: "192.0.2.9", port: 53 };
  const add = (n: number) => waiting.add(contactOf(new Uint8Array(20).fill(n), address));
  for (let n = 1; n <= 50; n++) {
    add(n);
    await answerOne();
  }
  assertEquals(asked.length, 8);
  await clock.advance(1_000);
  for (let n = 51; n <= 60; n++) {
    add(n);
    await answerOne();
  }
  assertEquals(asked.length, 9);
});

Deno.test("Newcomers asks nobody once it is closed", async () => {
  const { waiting, asked, answerOne } = newcomers();
  for (let n = 1; n <= 20; n++) waiting.add(at(n));
  waiting.close();
  await answerOne();
  waiting.add(at(30));
  assertEquals(asked.length, 8);
});
