import { assertEquals } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import { Copies } from "../../src/dht/copies.ts";
import { MAX_COPIES } from "../../src/dht/node_packets.ts";

const TO = (n: number) => ({ hostname: `10.0.0.${n}`, port: 3486 });

function copies() {
  const clock = new ManualClock();
  const sent: string[] = [];
  const sending: (() => void)[] = [];
  const on = new Copies({
    clock,
    send: ({ hostname }, some) => {
      sent.push(`${hostname}: ${some.map(({ record }) => record.length).join(" ")}`);
      return new Promise((resolve) => sending.push(resolve));
    },
  });
  const add = (n: number, size: number) =>
    on.add(TO(n), { record: new Uint8Array(size), ttlS: 60 });
  return { on, add, clock, sent, sending };
}

Deno.test("Copies for one node travel together, a tenth of a second later", async () => {
  const { add, clock, sent } = copies();
  add(1, 10);
  add(2, 20);
  add(1, 30);
  await clock.advance(99);
  assertEquals(sent, []);
  await clock.advance(1);
  assertEquals(sent, ["10.0.0.1: 10 30", "10.0.0.2: 20"]);
  add(1, 40);
  await clock.advance(100);
  assertEquals(sent.at(-1), "10.0.0.1: 40");
});

Deno.test("Copies that fit no packet together leave at once, and the next wait", async () => {
  const { add, clock, sent } = copies();
  add(1, 1_000);
  add(1, 25);
  assertEquals(sent, ["10.0.0.1: 1000"]);
  for (let n = 0; n < MAX_COPIES; n++) add(2, 1);
  assertEquals(sent.length, 1);
  add(2, 2);
  assertEquals(sent.length, 2);
  await clock.advance(100);
  assertEquals(sent.slice(2), ["10.0.0.1: 25", "10.0.0.2: 2"]);
});

Deno.test("Copies.flush sends what waits, and waits until all has left", async () => {
  const { on, add, sent, sending } = copies();
  add(1, 10);
  let isOver = false;
  const flushing = on.flush().then(() => isOver = true);
  assertEquals(sent, ["10.0.0.1: 10"]);
  await Promise.resolve();
  assertEquals(isOver, false);
  for (const resolve of sending) resolve();
  await flushing;
});
