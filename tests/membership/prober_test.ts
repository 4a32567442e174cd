import { assert, assertEquals } from "@std/assert";
import { Simulation } from "../../src/testing/mod.ts";
import { forged, Glass, Other, single, spawnGroup } from "./fixture.ts";

/** One that asks others from now on. */
async function started(...names: string[]): Promise<{ glass: Glass; others: Other[] }> {
  const glass = new Glass({ repairMs: 1e9, syncMs: 1e9 });
  const others = await glass.join(...names);
  await glass.time.advance(5_000); // what is new has left
  glass.sent.length = glass.asked.length = glass.events.length = 0;
  glass.swim.start();
  return { glass, others };
}

function isOf(kind: string, { peerId }: Other) {
  return (sent: { readonly kind: string; readonly to: string }) => {
    return sent.kind === kind && sent.to === peerId;
  };
}

Deno.test("Prober asks one member a second, nobody twice while others wait, where it answered from", async () => {
  const { glass, others } = await started("a", "b", "c", "d");
  await glass.time.advance(1_000);
  glass.sent.length = 0;
  for (let round = 0; round < 5; round++) {
    await glass.time.advance(8_000);
    const pings = glass.sent.splice(0);
    assert(pings.length <= 8 && pings.every(({ kind }) => kind === ":ping"));
    for (const { peerId, address } of others) {
      const own = pings.filter(({ to }) => to === peerId);
      assert(own.length >= 1 && own.length <= 3, `${own.length} times in two rounds`);
      assert(own.every((ping) => ping.address.hostname === address.hostname));
    }
  }
  assertEquals(others.map((other) => glass.member(other)?.rttMs), [1, 1, 1, 1]);
  assertEquals(glass.events, []);
  glass.swim.stop();
});

Deno.test("Prober asks three others and a stream when a member is late, and accuses it when all are silent", async () => {
  const { glass, others } = await started("a", "b", "c", "d", "e");
  const [silent] = others;
  assert(silent !== undefined);
  silent.answers = false;
  while (!glass.sent.some(isOf(":ping", silent))) await glass.time.advance(10);
  await glass.time.advance(480);
  assertEquals([glass.sent.some(isOf(":relay", silent)), glass.asked], [false, []]);
  await glass.time.advance(20);
  const relays = glass.sent.filter(isOf(":relay", silent));
  assertEquals(new Set(relays.map(({ address }) => address.hostname)).size, 3);
  assert(relays.every(({ address }) => address.hostname !== silent.address.hostname));
  const { question, options } = single(glass.asked);
  assertEquals([question.t, options.peerId], ["ping", silent.peerId]);
  assertEquals(glass.happened, []);
  await glass.time.advance(500);
  assertEquals(glass.happened, ["suspect"]);
  assertEquals(glass.member(silent)?.confirmedBy, [glass.me.peerId]);
  glass.swim.stop();
});

Deno.test("Prober takes no other packet for an answer than :ack", async () => {
  const { glass, others: [silent, other] } = await started("a", "b");
  assert(silent !== undefined && other !== undefined);
  silent.answers = false;
  for (let ms = 0; ms < 3_000; ms += 10) {
    for (const { nonce } of glass.sent.splice(0).filter(isOf(":ping", silent))) {
      for (const kind of [":nack", ":news", ":ping"] as const) {
        glass.packet(silent, { kind, nonce });
      }
      glass.packet(other, { kind: ":ack", nonce, project: "" });
    }
    await glass.time.advance(10);
  }
  assertEquals(glass.happened[0], "suspect");
  glass.swim.stop();
});

Deno.test("Prober takes a relay's word that a member answers, but only of those it asked", async () => {
  const { glass, others } = await started("a", "b", "c", "d", "e");
  const [silent] = others;
  assert(silent !== undefined);
  silent.answers = false;
  while (!glass.sent.some(isOf(":relay", silent))) await glass.time.advance(10);
  const relays = glass.sent.filter(isOf(":relay", silent));
  const [asked] = relays;
  const stranger = others.find((other) => {
    return other !== silent && !relays.some(({ address }) => address === other.address) &&
      other.address.hostname !== asked?.address.hostname;
  });
  assert(asked !== undefined && stranger !== undefined);
  const { nonce } = asked;
  glass.packet(stranger, { kind: ":ack", nonce, project: "", proof: silent.proof(nonce) });
  assertEquals(glass.member(silent)?.path, "direct");
  const relay = others.find(({ address }) => address.hostname === asked.address.hostname);
  assert(relay !== undefined);
  glass.packet(relay, { kind: ":ack", nonce, project: "", proof: silent.proof(nonce) });
  assertEquals(glass.member(silent)?.path, "relay");
  await glass.time.advance(500);
  assertEquals(glass.happened, []);
  glass.swim.stop();
});

Deno.test("Prober does not believe a relay without the member's proof for its own question", async () => {
  const { glass, others } = await started("a", "b", "c", "d", "e");
  const [silent] = others;
  assert(silent !== undefined);
  silent.answers = false;
  const proofs = (nonce: number, relay: Other) => [
    undefined,
    silent.proof(nonce + 1),
    silent.proof(nonce, "00".repeat(8)),
    relay.proof(nonce),
    forged(silent.proof(nonce)),
    silent.alive().slice(-64),
  ];
  const tried = new Set<number>();
  for (let ms = 0; ms < 40_000; ms += 10) {
    for (const { nonce, address } of glass.sent.splice(0).filter(isOf(":relay", silent))) {
      const relay = others.find(({ address: { hostname } }) => hostname === address.hostname);
      assert(relay !== undefined);
      const proof = proofs(nonce, relay)[tried.size % 6];
      tried.add(nonce);
      glass.packet(relay, { kind: ":ack", nonce, project: "", proof });
    }
    await glass.time.advance(10);
  }
  assert(tried.size >= 6, `${tried.size} relays`);
  assertEquals([glass.member(silent)?.path, glass.happened], ["direct", ["suspect", "dead"]]);
  glass.swim.stop();
});

Deno.test("Prober is content with an answer over a stream, and says so when that is all there is", async () => {
  const { glass, others } = await started("a", "b");
  for (const other of others) {
    other.answers = false;
    other.stream = () => ({ from: Uint8Array.fromHex(other.peerId) });
  }
  await glass.time.advance(10_000);
  assertEquals(others.map((other) => glass.member(other)?.path), ["stream", "stream"]);
  assertEquals([glass.swim.degraded, glass.happened], [true, ["degraded"]]);
  for (const other of others) other.answers = true;
  await glass.time.advance(3_000);
  assertEquals([glass.swim.degraded, glass.happened], [false, ["degraded", "restored"]]);
  glass.swim.stop();
});

Deno.test("Prober blames itself when relays are silent too, and slows down; nacks speak for it", async () => {
  for (const isNacked of [false, true]) {
    const { glass, others } = await started("a", "b", "c", "d", "e");
    for (const other of others) other.answers = false;
    for (let ms = 0; ms < 1_700; ms += 10) {
      const relays = glass.sent.splice(0).filter(({ kind }) => kind === ":relay");
      for (const { nonce, address } of isNacked ? relays : []) {
        const relay = others.find(({ address: { hostname } }) => hostname === address.hostname);
        if (relay !== undefined) glass.packet(relay, { kind: ":nack", nonce, project: "" });
      }
      await glass.time.advance(10);
    }
    assertEquals(glass.swim.awareness > 0, !isNacked);
    glass.swim.stop();
  }
});

Deno.test("Prober asks for a member whom a member asks for, and says what came of it", async () => {
  const relaying = new Glass();
  const [asker, asked] = await relaying.join("asker", "asked");
  assert(asker !== undefined && asked !== undefined);
  for (const answers of [true, false]) {
    asked.answers = answers;
    relaying.sent.length = 0;
    relaying.packet(asker, { kind: ":relay", nonce: 77, to: asked.peerId });
    await relaying.time.advance(399);
    assertEquals(relaying.sentTo(asker).some(({ kind }) => kind === ":nack"), false);
    await relaying.time.advance(1);
    const answer = relaying.sentTo(asker).find(({ nonce }) => nonce === 77);
    assertEquals([answer?.kind, answer?.claims], [answers ? ":ack" : ":nack", []]);
    assertEquals(answer?.proof, answers ? asked.proof(77) : undefined);
    const ping = single(relaying.sentTo(asked).filter(({ kind }) => kind === ":ping"));
    assertEquals([ping.relayed, ping.claims], [77, []]);
  }
});

Deno.test("Prober asks for others only where a member has answered it itself, by packet", async () => {
  const { glass, others: [ann, bob] } = await started("ann", "bob");
  assert(ann !== undefined && bob !== undefined);
  const ghost = new Other("ghost", "10.9.9.9");
  glass.news(ann, ghost.alive());
  glass.packet(ann, { kind: ":relay", nonce: 7, to: ghost.peerId });
  bob.answers = false;
  bob.stream = () => ({ from: Uint8Array.fromHex(bob.peerId) });
  while (glass.member(bob)?.path !== "stream") await glass.time.advance(10);
  glass.packet(ann, { kind: ":relay", nonce: 7, to: bob.peerId });
  assertEquals(glass.sent.filter(({ relayed }) => relayed === 7), []);
  glass.packet(bob, { kind: ":relay", nonce: 8, to: ann.peerId });
  assertEquals(glass.sent.filter(({ relayed }) => relayed === 8), []);
  glass.swim.stop();
});

Deno.test("a member signs that it is there only for those who have answered it from where they ask", async () => {
  const glass = new Glass();
  const [ann] = await glass.join("ann");
  assert(ann !== undefined);
  const stranger = glass.add("stranger");
  const ping = { kind: ":ping", nonce: 5, to: glass.me.peerId, relayed: 77 } as const;
  const { hostname } = ann.address;
  const proofs = [
    glass.packet(stranger, ping),
    glass.packet(stranger, { ...ping, from: ann.peerId }),
    glass.packet(ann, ping, { hostname, port: 9 }),
    glass.packet(ann, { ...ping, relayed: 0 }),
    glass.packet(ann, ping),
  ].map((_, at) => glass.sent.filter(({ kind }) => kind === ":ack")[at]?.proof);
  const none = [undefined, undefined, undefined, undefined];
  assertEquals(proofs, [...none, glass.me.proof(77)]);
});

Deno.test("Prober asks the only other one each second", async () => {
  const { glass, others: [ann] } = await started("ann");
  await glass.time.advance(20_000);
  glass.swim.stop();
  assert(ann !== undefined && glass.sentTo(ann).length >= 19, `${glass.sent.length} in 20 s`);
});

Deno.test("Prober asks nobody for those who have not shown who they are, or whom nobody knows", async () => {
  const glass = new Glass();
  const [ann, bob] = await glass.join("ann", "bob");
  assert(ann !== undefined && bob !== undefined);
  const stranger = glass.add("stranger");
  await glass.time.advance(5_000);
  glass.sent.length = 0;
  glass.packet(stranger, { kind: ":relay", nonce: 5, to: bob.peerId });
  // Another's name does not help, nor does its host with another port.
  glass.packet(stranger, { kind: ":relay", nonce: 6, from: ann.peerId, to: bob.peerId });
  const { hostname } = ann.address;
  glass.packet(ann, { kind: ":relay", nonce: 7, to: bob.peerId }, { hostname, port: 9 });
  glass.packet(ann, { kind: ":relay", nonce: 8, to: stranger.peerId });
  await glass.time.advance(1_000);
  assertEquals(glass.sent, []);
});

Deno.test("Prober that was stopped for seconds accuses nobody when it goes on", () => {
  // Answers are on their way most of the time, and what comes meanwhile is lost.
  using simulation = new Simulation({ seed: 3, link: { delayMs: 200 }, inboxBytes: 0 });
  const happened: string[] = [];
  const names = ["a", "b", "c", "d"];
  spawnGroup(simulation, names, ({ type }, { name }) => void (name === "a" && happened.push(type)));
  simulation.run(10_000);
  assertEquals(happened.splice(0), ["joined", "joined", "joined"]);
  for (let stall = 0; stall < 5; stall++) {
    simulation.pause("a", 1_800);
    simulation.run(6_000);
  }
  assertEquals(happened, []);
});
