import { assert, assertEquals } from "@std/assert";
import { Dispatcher } from "../../src/endpoint/dispatcher.ts";
import { Link } from "../../src/endpoint/link.ts";
import { MESSAGES_A_TURN, Turns } from "../../src/endpoint/turns.ts";
import { FramedConnection } from "../../src/transport/mod.ts";
import { connectionPair, infoOf, Served, SERVER, settle } from "./fixture.ts";

const HEADERS = ["note", "ask", "ask later"];

/** Links of several peers to one endpoint, which notes in which order it handles what they send. */
async function linksTo(
  served: Served,
  ...names: readonly string[]
): Promise<{ links: Link[]; order: (string | undefined)[] }> {
  const order: (string | undefined)[] = [];
  const { endpoint } = served;
  endpoint.handle("note", (_, { peer }) => void order.push(peer?.name));
  endpoint.handle("ask", (_, { peer }) => order.push(peer?.name));
  endpoint.handle(
    "ask later",
    async (_, { peer }) => await Promise.resolve(order.push(peer?.name)),
  );
  const links = await Promise.all(names.map(async (name) => {
    return await (await served.client(name)).connect(SERVER);
  }));
  return { links, order };
}

function send(link: Link, header: string): void {
  if (header === "note") link.post(header, {});
  else link.request(header, {}).catch(() => {}); // the test is over
}

Deno.test("A peer's message is handled after no more than a turn of those that were there before it", async () => {
  for (const header of HEADERS) {
    await using served = await Served.open();
    const { links, order } = await linksTo(served, "alice", "bob");
    const [alice, bob] = links as [Link, Link];
    for (let n = 0; n < 1_000; n++) send(alice, header);
    send(bob, header);
    while (order.length < 1_001) await settle();
    const before = order.indexOf("bob");
    assert(before <= MESSAGES_A_TURN, `${header}: ${before} of alice's came first`);
  }
});

Deno.test("A peer that floods an endpoint has one turn while each of the others has one", async () => {
  await using served = await Served.open();
  const { links, order } = await linksTo(served, "alice", "bob", "carol", "dave");
  for (const link of links) {
    for (let n = 0; n < 500; n++) send(link, "note");
  }
  while (order.length < 2_000) await settle();
  for (let turn = 0; turn < 7; turn++) {
    const round = order.slice(turn * 4 * MESSAGES_A_TURN, (turn + 1) * 4 * MESSAGES_A_TURN);
    const counts = ["alice", "bob", "carol", "dave"].map((name) => {
      return round.filter((other) => other === name).length;
    });
    assertEquals(counts, Array(4).fill(MESSAGES_A_TURN), `turn ${turn}`);
  }
});

Deno.test("A peer's requests, one after another, each wait for at most two turns of a flood that does not end", async () => {
  for (const header of HEADERS) {
    await using served = await Served.open();
    const { links, order } = await linksTo(served, "alice", "bob");
    const [alice, bob] = links as [Link, Link];
    for (let n = 0; n < 50; n++) {
      for (let more = 0; more < 300; more++) send(alice, header);
      const asked = order.length;
      await bob.request("ask", {});
      const waited = order.lastIndexOf("bob") - asked;
      assert(waited <= 2 * MESSAGES_A_TURN, `${header}: ${waited} of alice's came first`);
    }
    assert(order.length < 10_000, "alice's messages did not pile up");
  }
});

Deno.test("Link gives turns away only to others, and by what it has read", async () => {
  const cases = [
    { others: 0, messages: 1_000, bytes: 0, atLeast: 0, atMost: 0 },
    { others: 1, messages: 1_000, bytes: 0, atLeast: 15, atMost: 16 },
    // Large messages take longer: one of 1 KiB is as much as two small ones.
    { others: 1, messages: 1_000, bytes: 1_024, atLeast: 31, atMost: 45 },
    // Still more so where they come in pieces: a read that completes none is as much as eight.
    { others: 1, messages: 100, bytes: 65_536, atLeast: 400, atMost: 700 },
  ];
  for (const { others, messages, bytes, atLeast, atMost } of cases) {
    const turns = new CountedTurns();
    for (let n = 0; n < others; n++) turns.join();
    await using pair = await linkWith(turns);
    const data = new Uint8Array(bytes);
    for (let n = 0; n < messages; n++) await pair.sender.post("note", { data });
    while (pair.handled() < messages) await settle();
    const { taken } = turns;
    assert(taken >= atLeast && taken <= atMost, `${taken} turns for ${messages} of ${bytes} bytes`);
  }
});

Deno.test("Link takes no part in turns any more when it has ended", async () => {
  const turns = new CountedTurns();
  const first = await linkWith(turns);
  const second = await linkWith(turns);
  assertEquals(turns.contended, true);
  await second[Symbol.asyncDispose]();
  assertEquals(turns.contended, false);
  await first[Symbol.asyncDispose]();
  turns.join();
  assertEquals(turns.contended, false);
});

/** Turns that are counted. */
class CountedTurns extends Turns {
  taken = 0;

  override async next(): Promise<void> {
    this.taken++;
    await super.next();
  }
}

/** A link that shares its turns, and one at the other end that sends to it. */
async function linkWith(
  turns: Turns,
): Promise<{ sender: Link; handled: () => number } & AsyncDisposable> {
  const [left, right] = await connectionPair();
  const dispatcher = new Dispatcher();
  let handled = 0;
  dispatcher.handle("note", () => void handled++);
  const peer = infoOf("peer");
  const link = new Link({ framed: new FramedConnection(right), peer, dispatcher, turns });
  const sender = new Link({ framed: new FramedConnection(left), peer, dispatcher });
  return {
    sender,
    handled: () => handled,
    [Symbol.asyncDispose]: async () => {
      await Promise.all([link.close(), sender.close()]);
    },
  };
}
