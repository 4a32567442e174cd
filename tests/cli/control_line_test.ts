import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { ControlLine } from "../../src/cli/control/control_line.ts";
import { describeError, encodeFacts, readError, readRun } from "../../src/cli/control/messages.ts";
import { InvalidPacketError, LimitError, PeerError } from "../../src/errors.ts";
import { MemoryNetwork } from "../../src/transport/memory.ts";
import type { Connection } from "../../src/transport/transport.ts";

async function pair(): Promise<[Connection, Connection]> {
  const network = new MemoryNetwork();
  const listener = await network.host("a").listen({ hostname: "a", port: 1 });
  const [one, two] = await Promise.all([
    network.host("b").connect(listener.address),
    listener.accept(),
  ]);
  listener.close();
  if (two === undefined) throw new TypeError("Nobody came");
  return [one, two];
}

Deno.test("ControlLine gives messages in their order, and then the end", async () => {
  const [near, far] = await pair();
  using ours = new ControlLine(near, 1_000);
  using theirs = new ControlLine(far, 1_000);
  ours.send({ type: "a", text: "ü\n" });
  ours.send({ type: "b" });
  await ours.flushed();
  assertEquals(await theirs.receive(), { type: "a", text: "ü\n" });
  assertEquals(await theirs.receive(), { type: "b" });
  await near.closeWrite();
  assertEquals(await theirs.receive(), undefined);
});

Deno.test("ControlLine refuses what is no message, and what is too long", async () => {
  for (const text of ["{}\n", "null\n", '{"type":1}\n', "[]\n", "{\n", `"${"x".repeat(99)}"\n`]) {
    const [near, far] = await pair();
    using line = new ControlLine(far, 50);
    await near.write(new TextEncoder().encode(text));
    await assertRejects(() => line.receive(), InvalidPacketError, "", text);
    near.close();
  }
});

Deno.test("ControlLine takes one message of any length, and no more than waits for a reader", async () => {
  const [near, far] = await pair();
  using line = new ControlLine(near, 1_000);
  line.send({ type: "long", text: "x".repeat(17 * 1024 * 1024) });
  assertThrows(() => line.send({ type: "more" }), LimitError, "nobody reads");
  far.close();
  await line.flushed();
});

Deno.test("readRun accepts what a command line sends, and names the field that is wrong", () => {
  const right = {
    ...{ type: "run", version: "1", verb: "ping", line: ["--", "bob"], json: true },
    ...{ interactive: false, cwd: "/", network: ["0a0b0c0d"] },
  };
  assertEquals(readRun(right), right as ReturnType<typeof readRun>);
  for (const field of Object.keys(right)) {
    assertThrows(() => readRun({ ...right, [field]: 7 as never }), InvalidPacketError, field);
  }
  const { network: _, ...without } = right;
  readRun(without);
});

Deno.test("readError makes of any message an error", () => {
  const odd = { type: "error", kind: "peer", code: 7, message: "x", details: "3" };
  const error = readError(odd);
  assertEquals([error instanceof PeerError, error.message], [true, "x"]);
  assertThrows(() => readError({ type: "error" }), InvalidPacketError);
  assertEquals(describeError("thrown text"), {
    type: "error",
    kind: "fault",
    message: "thrown text",
  });
});

Deno.test("encodeFacts keeps what JSON can carry, and drops what is too much", () => {
  const fields = { big: 1n, error: new Error("why"), odd: NaN, none: undefined, list: [1, "a"] };
  assertEquals(encodeFacts(fields), '{"big":"1","error":"why","odd":null,"list":[1,"a"]}');
  let deep: unknown = 1;
  for (let level = 0; level < 99; level++) deep = [deep];
  assertEquals(encodeFacts({ deep }), "{}");
});

Deno.test("describeError takes details of any depth, which may be a stranger's", () => {
  let deep: unknown = 1;
  for (let level = 0; level < 62; level++) deep = [deep];
  const error = new PeerError("odd", "Odd", { details: { deep } });
  assertEquals((readError(describeError(error)) as PeerError).details, { deep });
});
