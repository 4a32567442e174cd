/**
 * T15: relays that change what they pass on.
 */

import { assert, assertEquals } from "@std/assert";
import { CHUNK_BYTES, eventsOf, noise, Town } from "../palmtree/town.ts";

for (const shape of ["chain", 2] as const) {
  Deno.test(`T15 relays that flip a bit are named, nobody else is, and everybody has the right bytes: ${shape}`, async () => {
    await using town = await Town.open();
    let given = 0;
    // Now and then, so that a good part of what they give is right.
    const flip = (chunk: Uint8Array) => {
      if (++given % 3 === 0) chunk[given % chunk.length] = (chunk[given % chunk.length] ?? 0) ^ 1;
    };
    const liars = await town.add(2, { beforeGive: flip });
    const honest = await town.add(4);
    const data = noise(30 * CHUNK_BYTES, 15);
    const path = await town.write("song.ogg", data);
    const sending = await town.send([path], [...liars, ...honest], { shape });
    const events = await eventsOf(sending);
    const { receivers, egressBytes } = await sending.done;

    assertEquals(receivers.map(({ state }) => state), receivers.map(() => "done"));
    for (const { dir } of [...liars, ...honest]) {
      assertEquals(await Deno.readFile(`${dir}/song.ogg`), data);
    }
    const named = new Set(events.flatMap((one) => one.type === "corrupt" ? [one.peerId] : []));
    const ids = new Set(liars.map(({ endpoint }) => endpoint.self.peerId));
    assert(named.size > 0, "nobody was named");
    assertEquals([...named].filter((peerId) => !ids.has(peerId)), []);
    // Whoever was lied to is served by others, most of whom are not the sender.
    assert(egressBytes <= 5 * data.length, `the sender gave ${egressBytes} bytes`);
  });
}

Deno.test("T15 a relay that lies about everything gets nothing wrong past its own children", async () => {
  await using town = await Town.open();
  const [liar] = await town.add(1, { beforeGive: (chunk) => void chunk.fill(0x66) });
  assert(liar !== undefined);
  const honest = await town.add(3);
  const data = noise(12 * CHUNK_BYTES, 16);
  const path = await town.write("song.ogg", data);
  const sending = await town.send([path], [liar, ...honest], { shape: "chain" });
  const events = await eventsOf(sending);
  await sending.done;
  const corrupt = events.flatMap((one) => one.type === "corrupt" ? [[one.peerId, one.by]] : []);
  assertEquals(corrupt.map(([who]) => who), corrupt.map(() => liar.endpoint.self.peerId));
  assert(corrupt.length > 0);
  for (const { dir } of honest) assertEquals(await Deno.readFile(`${dir}/song.ogg`), data);
});
