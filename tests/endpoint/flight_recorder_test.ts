import { assert, assertEquals } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import { FlightRecorder, RECORDED_FRAMES } from "../../src/endpoint/flight_recorder.ts";
import { MemoryNetwork } from "../../src/transport/mod.ts";
import { Endpoint } from "../../src/endpoint/endpoint.ts";

Deno.test("FlightRecorder keeps the last messages, the oldest first, with their times", async () => {
  const clock = new ManualClock({ epochMs: 1_000_000 });
  const recorder = new FlightRecorder(clock);
  assertEquals(recorder.frames(), []);
  recorder.came("greet", 12, 3);
  await clock.advance(5);
  recorder.went(":ok", 7, 3);
  recorder.now();
  recorder.went("later", 8, 0);
  assertEquals(recorder.frames(), [
    { atMs: 1_000_000, direction: "in", kind: "greet", bytes: 12, link: 3 },
    { atMs: 1_000_000, direction: "out", kind: ":ok", bytes: 7, link: 3 },
    { atMs: 1_000_005, direction: "out", kind: "later", bytes: 8, link: 0 },
  ]);
  for (let n = 0; n < 1_000; n++) recorder.came(`m${n}`, n, 1);
  const frames = recorder.frames();
  assertEquals([frames.length, recorder.count], [RECORDED_FRAMES, 1_003]);
  assertEquals([frames[0]?.kind, frames.at(-1)?.kind], [`m${1_000 - RECORDED_FRAMES}`, "m999"]);
});

Deno.test("FlightRecorder holds no long headers, and shows none that a terminal obeys", () => {
  const recorder = new FlightRecorder(new ManualClock());
  recorder.came("x".repeat(1 << 20), 1, 1);
  recorder.came("x".repeat(64), 1, 1);
  recorder.came("\u001b[2J\u202e", 2 ** 31, 1);
  assertEquals(
    recorder.frames().map(({ kind, bytes }) => [kind, bytes]),
    [["(1048576 characters)", 1], ["x".repeat(64), 1], ["\\u{1b}[2J\\u{202e}", 2 ** 31]],
  );
});

Deno.test("Endpoint notes what goes over its links, both ways and with their numbers, and nothing of what it says", async () => {
  const network = new MemoryNetwork();
  const self = { name: "", capabilities: [], agent: "" };
  await using server = await Endpoint.open({ transport: network.host("b"), self });
  server.handle("greet", () => "a secret answer");
  await using client = await Endpoint.open({
    ...{ transport: network.host("a"), self, clientOnly: true },
  });
  assert(server.address);
  const [one, other] = [
    await client.connect(server.address),
    await client.connect(server.address),
  ];
  await one.request("greet", { secret: "word" });
  await other.request("greet", {});
  const shown = ({ recorder }: Endpoint) =>
    recorder.frames().map(({ direction, kind, link }) => `${link} ${direction} ${kind}`);
  assertEquals(shown(client), ["1 out greet", "1 in :ok", "2 out greet", "2 in :ok"]);
  assertEquals(shown(server), ["1 in greet", "1 out :ok", "2 in greet", "2 out :ok"]);
  assertEquals([one.number, other.number], [1, 2]);
  const [asked, answered] = server.recorder.frames();
  assert(asked && answered && asked.bytes > 15 && answered.bytes > 15);
  assert(!/secret|word/.test(JSON.stringify([server.recorder.frames(), client.recorder.frames()])));
  network.close();
});
