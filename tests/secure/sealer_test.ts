import { assert, assertEquals, assertThrows } from "@std/assert";
import { InvalidPacketError } from "../../src/errors.ts";
import { sealedBytes } from "../../src/secure/datagram_seal.ts";
import { Network } from "../../src/secure/network.ts";
import { MAX_SEALABLE_BYTES, Sealer } from "../../src/secure/sealer.ts";
import { MAX_SENDERS } from "../../src/secure/senders.ts";
import { encodeDatagram } from "../../src/wire/datagram.ts";
import { concat } from "../fuzz/generate.ts";
import { DAY_MS, gossip, KEY, type Member, Wire } from "./seal_fixture.ts";

const OTHER_KEY = new Uint8Array(32).fill(8);

/** Clocks that a recording could profit from. */
const CLOCKS = [
  { name: "right clocks", alice: {}, bob: {} },
  { name: "the sender's clock a day ahead", alice: { skewMs: DAY_MS }, bob: {} },
  { name: "the sender's clock a day behind", alice: { skewMs: -DAY_MS }, bob: {} },
  { name: "the receiver's clock a day ahead", alice: {}, bob: { skewMs: DAY_MS } },
  { name: "the receiver's clock a day behind", alice: {}, bob: { skewMs: -DAY_MS } },
];

function meet(options: { alice?: object; bob?: object } = {}) {
  const wire = new Wire();
  const alice = wire.join(options.alice);
  const bob = wire.join(options.bob);
  return { wire, alice, bob };
}

function countOf(member: Member, counter: string): number {
  return member.metrics.snapshot()[`seal.${counter}`] ?? 0;
}

Deno.test("Sealer hands on the first packet between two peers after one round trip, then each at once", () => {
  const { wire, alice, bob } = meet();
  alice.send("one", bob);
  assertEquals(bob.inbox, ["one"]);
  assertEquals(wire.recorded.length, 3, "packet, challenge, response");
  alice.send("two", bob);
  bob.send("three", alice);
  assertEquals([bob.inbox, alice.inbox], [["one", "two"], ["three"]]);
  assertEquals(wire.recorded.length, 5, "the challenge proved bob to alice");
  assertEquals(bob.metrics.snapshot(), { "seal.challenged": 1 });
  assertEquals(alice.metrics.snapshot(), { "seal.answered": 1 });
});

for (const { name, ...clocks } of CLOCKS) {
  Deno.test(`Sealer takes what is sent and never what was recorded: ${name}`, async () => {
    const { wire, alice, bob } = meet(clocks);
    await wire.advance(10);
    for (const text of ["one", "two", "three"]) alice.send(text, bob);
    bob.send("hello", alice);
    await wire.advance(10);
    const recorded = [...wire.recorded];
    const stranger = { hostname: "10.0.0.66", port: 666 };
    const replay = (to: Member) => {
      const taken = to.inbox.length;
      for (const from of [alice.address, bob.address, stranger]) {
        for (const packet of recorded) wire.play({ ...packet, from, to: to.address });
      }
      assertEquals(to.inbox.length, taken, `at ${wire.nowMs} ms`);
    };
    const talk = (from: Member, to: Member) => {
      from.send(`now it is ${wire.nowMs}`, to);
      assertEquals(to.inbox.at(-1), `now it is ${wire.nowMs}`);
    };

    replay(bob); // at once
    replay(alice); // also to who sent it
    await wire.advance(60 * 60 * 1000);
    replay(bob); // after an hour
    replay(alice);
    talk(alice, bob);
    talk(bob, alice);

    let restarted = wire.restart(bob, clocks.bob);
    replay(restarted); // after a restart of the receiver
    talk(alice, restarted);
    talk(restarted, alice);
    replay(restarted);

    // The receiver starts with a clock that stands where it stood when the recording was made.
    restarted = wire.restart(bob, { skewMs: -wire.nowMs });
    replay(restarted);
    talk(alice, restarted);

    const again = wire.restart(alice, clocks.alice);
    replay(restarted); // after a restart of the sender
    replay(again);
    talk(again, restarted);
    talk(restarted, again);

    await wire.advance(DAY_MS - wire.nowMs + 15); // now a clock that was a day ahead would have been right
    restarted = wire.restart(bob, clocks.bob);
    wire.leave(alice);
    replay(restarted); // with nobody to ask
    assertEquals(restarted.inbox, []);
    assert(countOf(restarted, "challenged") > 0);
  });
}

Deno.test("Sealer refuses a recording of seconds ago after a restart, though its sender is there to ask", async () => {
  const { wire, alice, bob } = meet();
  await wire.advance(1_000);
  alice.send("pay", bob);
  const recorded = [...wire.recorded];
  await wire.advance(1);
  const restarted = wire.restart(bob);
  await wire.advance(1);
  for (const packet of recorded) wire.play(packet);
  assertEquals(restarted.inbox, []);
  assertEquals(
    countOf(alice, "answered"),
    2,
    "alice says that it is hers, and from before the restart",
  );
  alice.send("talk", restarted);
  assertEquals(restarted.inbox, ["talk"]);
});

Deno.test("Sealer refuses a packet that was held back for an hour, by a sender that is known or not", async () => {
  const { wire, alice, bob } = meet();
  for (const isKnown of [false, true]) {
    if (isKnown) alice.send("hello", bob);
    wire.delivers = false;
    alice.send("held back", bob);
    wire.delivers = true;
    const withheld = wire.recorded.at(-1);
    assert(withheld);
    await wire.advance(60 * 60 * 1000);
    wire.play(withheld);
    assertEquals(bob.inbox, isKnown ? ["hello"] : []);
    assertEquals(countOf(alice, "unsolicited"), isKnown ? 2 : 1, "alice does not stand for it");
  }
  alice.send("now", bob);
  assertEquals(bob.inbox, ["hello", "now"]);
});

Deno.test("Sealer takes a packet that lost its way for a minute, once", async () => {
  const { wire, alice, bob } = meet();
  alice.send("hello", bob);
  wire.delivers = false;
  alice.send("slow", bob);
  wire.delivers = true;
  await wire.advance(60_000);
  alice.send("fast", bob);
  const slow = wire.recorded.at(-2);
  assert(slow);
  wire.play(slow);
  wire.play(slow);
  assertEquals(bob.inbox, ["hello", "fast", "slow"]);
});

Deno.test("Sealer keeps up with clocks that drift, jump and are set back", async () => {
  const { wire, alice, bob } = meet();
  alice.send("0", bob);
  for (let i = 1; i <= 20; i++) {
    await bob.clock.advance(15_000); // bob's time runs, alice's stands still: 300 s in all
    alice.send(`${i}`, bob);
    assertEquals(bob.inbox.length, i + 1, `${i}`);
  }
  assertEquals(countOf(bob, "challenged"), 1 + 2, "once for each two minutes of drift");
  await alice.clock.advance(DAY_MS);
  alice.send("ahead", bob);
  await wire.advance(1);
  alice.send("still", bob);
  assertEquals(bob.inbox.slice(-2), ["ahead", "still"]);
});

Deno.test("Sealer does not let a late challenge or response open a window", async () => {
  const { wire, alice, bob } = meet();
  wire.delivers = false;
  alice.send("one", bob);
  const [packet] = wire.recorded;
  assert(packet);
  wire.play(packet);
  const challenge = wire.recorded.at(-1);
  assert(challenge);
  wire.play(challenge);
  const response = wire.recorded.at(-1);
  assert(response);

  await wire.advance(21_000);
  wire.play(challenge);
  assertEquals(countOf(alice, "replayed"), 1);
  wire.play(response);
  assertEquals(countOf(bob, "unsolicited"), 1);
  assertEquals(bob.inbox, []);

  const restarted = wire.restart(alice);
  wire.play(challenge); // for a packet of another run
  assertEquals(countOf(restarted, "unsolicited"), 1);
  wire.play({ ...response, from: { hostname: "10.0.0.9", port: 9 } });
  assertEquals(countOf(bob, "unsolicited"), 2);
});

Deno.test("Sealer takes a response only from the address that it asked", () => {
  const { wire, alice, bob } = meet();
  wire.delivers = false;
  alice.send("one", bob);
  for (const at of [0, 1]) wire.play(wire.recorded[at] ?? assertNever());
  const response = wire.recorded[2] ?? assertNever();
  wire.play({ ...response, from: { hostname: "10.0.0.66", port: 3486 } });
  wire.play({ ...response, from: { ...alice.address, port: 3487 } });
  assertEquals([bob.inbox, countOf(bob, "unsolicited")], [[], 2]);
  wire.play(response);
  wire.play(response);
  assertEquals(bob.inbox, ["one"]);
});

Deno.test("Sealer hands one packet on once, however many of its sockets it reaches", () => {
  const { wire, alice, bob } = meet();
  wire.delivers = false;
  alice.send("before", bob);
  const [before] = wire.recorded;
  assert(before);
  wire.play(before);
  wire.play(before); // while it is held
  assertEquals(wire.recorded.length, 2, "one challenge");
  wire.delivers = true;
  wire.play(wire.recorded[1] ?? assertNever());
  wire.play(before);
  assertEquals([bob.inbox, countOf(bob, "replayed")], [["before"], 2]);
});

Deno.test("Sealer keeps a burst to somebody new in order, in spite of loss", () => {
  const { wire, alice, bob } = meet();
  wire.delivers = false;
  for (let i = 0; i < 20; i++) alice.send(`${i}`, bob);
  const burst = wire.recorded.splice(0);
  wire.delivers = true;
  burst.forEach((packet, at) => at % 5 !== 0 && wire.play(packet));
  const arrived = burst.flatMap((_, at) => at % 5 === 0 ? [] : [`${at}`]);
  assertEquals(bob.inbox, arrived);
});

Deno.test("Sealer takes packets to somebody new whatever order they come in", () => {
  const { wire, alice, bob } = meet();
  wire.delivers = false;
  for (const text of ["one", "two", "three"]) alice.send(text, bob);
  const packets = wire.recorded.splice(0);
  wire.delivers = true;
  for (const packet of packets.reverse()) wire.play(packet);
  assertEquals(bob.inbox, ["three", "two", "one"]);
});

Deno.test("Sealer asks again when the way of its question was longer than it is running, three times at most", async () => {
  for (const slowRounds of [1, 2, 3]) {
    const { wire, alice, bob } = meet();
    wire.delivers = false;
    await wire.advance(5);
    alice.send("hello", bob);
    wire.play(wire.recorded[0] ?? assertNever());
    for (let round = 1; round < 6; round++) {
      const challenge = wire.recorded[2 * round - 1];
      if (challenge === undefined) break;
      if (round <= slowRounds) await wire.advance(20);
      wire.play(challenge);
      wire.play(wire.recorded[2 * round] ?? assertNever());
    }
    assertEquals(bob.inbox, slowRounds < 3 ? ["hello"] : []);
    assertEquals(countOf(alice, "answered"), Math.min(slowRounds + 1, 3));
    wire.delivers = true;
    alice.send("again", bob);
    assertEquals(bob.inbox.at(-1), "again");
    assertEquals(countOf(bob, "challenged"), 1, "alice is known by now");
  }
});

Deno.test("Sealer never sends more than came to an address that proved nothing", async () => {
  const { wire, alice, bob } = meet();
  const victim = { hostname: "10.0.0.200", port: 53 };
  for (const bytes of [0, 1, 32, 33, 34, 500, 1_400]) {
    const packet = encodeDatagram(0x14, new Uint8Array(bytes));
    alice.transmit(alice.sealer.seal(packet), bob.address);
  }
  for (let run = 0; run < 2; run++) {
    for (const { packet } of [...wire.recorded]) {
      for (const member of [alice, bob]) {
        const before = wire.recorded.length;
        wire.play({ packet, from: victim, to: member.address });
        const out = wire.recorded.slice(before).filter(({ to }) => to.hostname === victim.hostname);
        const bytesOut = out.reduce((sum, { packet }) => sum + packet.length, 0);
        assert(bytesOut <= packet.length, `${bytesOut} bytes for ${packet.length}`);
      }
    }
    await wire.advance(60_000);
    wire.restart(bob);
  }
});

Deno.test("Sealer never loops, whatever is played to whom", () => {
  const { wire, alice, bob } = meet();
  alice.send("one", bob);
  bob.send("two", alice);
  wire.restart(bob);
  for (let round = 0; round < 3; round++) {
    const packets = wire.recorded.slice(0, 200);
    const before = wire.recorded.length;
    for (const packet of packets) {
      wire.play(packet);
      wire.play({ ...packet, to: packet.from, from: packet.to });
    }
    assert(wire.recorded.length - before <= packets.length * 4);
  }
});

Deno.test("Sealer refuses a packet with any single bit flipped, and then still takes the packet", () => {
  const { wire, alice, bob } = meet();
  alice.send("hello", bob);
  wire.delivers = false;
  alice.send("the real one", bob);
  const real = wire.recorded.at(-1);
  assert(real);
  for (let bit = 0; bit < real.packet.length * 8; bit++) {
    const packet = real.packet.slice();
    packet[bit >> 3] = (packet[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    // Flipped into a dialect's code it is no sealed packet any more, and whoever speaks dialects refuses it.
    if ((packet[0] ?? 0) >> 4 === 1) wire.play({ ...real, packet });
  }
  assertEquals(bob.inbox, ["hello"]);
  wire.play(real);
  assertEquals(bob.inbox, ["hello", "the real one"]);
  const { "seal.challenged": _, ...counted } = bob.metrics.snapshot();
  assertEquals(
    Object.values(counted).reduce((sum, count) => sum + count),
    real.packet.length * 8 - 4,
  );
});

Deno.test("Sealer counts what it drops, by its reason", () => {
  const { wire, alice, bob } = meet();
  alice.send("hello", bob);
  const to = bob.address;
  const from = alice.address;
  wire.play({ packet: gossip("plain"), from, to });
  assertEquals(countOf(bob, "plain"), 1);
  wire.play({ packet: encodeDatagram(0x1f, new Uint8Array(3)), from, to });
  wire.play({ packet: new Uint8Array([0x1f]), from, to });
  assertEquals(countOf(bob, "malformed"), 2);
  wire.play({ packet: alice.sealer.seal(encodeDatagram(0x1d, new Uint8Array(3))), from, to });
  wire.play({ packet: alice.sealer.seal(new Uint8Array([0x02, 1, 2])), from, to });
  assertEquals(countOf(bob, "malformed"), 4, "what a member sealed wrongly");
  const stranger = wire.join({ network: new Network("home", [OTHER_KEY]) });
  stranger.send("hello", bob);
  assertEquals(countOf(bob, "unknown-key"), 1);
  assertEquals(bob.inbox, ["hello"]);
});

Deno.test("Sealer passes what is not native as it came", () => {
  const { bob } = meet();
  for (const bytes of [[], [0x00, 1], [0x02, 0, 0, 0, 0], [0x20], [0xff]]) {
    const datagram = { data: new Uint8Array(bytes), from: bob.address };
    assert(bob.sealer.open(datagram, bob) === datagram);
  }
});

Deno.test("Sealer refuses to seal what no packet can carry, and for the open network", () => {
  const { alice } = meet();
  assertEquals(alice.sealer.seal(new Uint8Array(MAX_SEALABLE_BYTES).fill(0x12)).length, 65_507);
  assertThrows(
    () => alice.sealer.seal(new Uint8Array(MAX_SEALABLE_BYTES + 1)),
    InvalidPacketError,
    "Cannot seal datagram: 65467 bytes exceed MAX_SEALABLE_BYTES 65466",
  );
  assertThrows(() => new Sealer({ network: new Network() }), TypeError, "open network");
});

Deno.test("networks of one key and two names do not understand each other, nor do two keys of one name", () => {
  const wire = new Wire();
  const members = [
    new Network("home", [KEY]),
    new Network("work", [KEY]),
    new Network("home", [OTHER_KEY]),
    new Network("home"),
    new Network("", [KEY]),
  ].map((network) => wire.join({ network }));
  for (const from of members) for (const to of members) if (from !== to) from.send("hello", to);
  assertEquals(members.flatMap(({ inbox }) => inbox), []);
  assertEquals(members.map((member) => countOf(member, "unknown-key")), [4, 4, 4, 4, 4]);
});

Deno.test("keys change without a gap: at every moment every pair of peers talks", () => {
  const wire = new Wire();
  const members = [1, 2, 3].map(() => wire.join({ network: new Network("home", [KEY]) }));
  const steps = [[KEY, OTHER_KEY], [OTHER_KEY, KEY], [OTHER_KEY]];
  let said = 0;
  const everybodyTalks = () => {
    for (const from of members) {
      for (const to of members) {
        if (from === to) continue;
        from.send(`${++said}`, to);
        assertEquals(to.inbox.at(-1), `${said}`);
      }
    }
  };
  everybodyTalks();
  for (const keys of steps) {
    for (const { network } of members) {
      network.setKeys(keys);
      everybodyTalks();
    }
  }
  assertEquals(members.map((member) => countOf(member, "unknown-key")), [0, 0, 0]);

  const [first, second] = members;
  assert(first && second);
  const left = wire.join({ network: new Network("home", [KEY]) });
  left.send("let me in", first);
  assertEquals(countOf(first, "unknown-key"), 1);
  wire.delivers = false;
  first.send("secret", second);
  wire.play({ ...(wire.recorded.at(-1) ?? assertNever()), to: left.address });
  assertEquals([left.inbox, countOf(left, "unknown-key")], [[], 1]);
});

Deno.test("an outsider's capture holds neither the network's name nor its key nor what is said", () => {
  const wire = new Wire();
  const name = "the-quiet-network";
  const key = new TextEncoder().encode("thirty-two bytes that nobody has");
  const [alice, bob] = [0, 1].map(() => wire.join({ network: new Network(name, [key]) }));
  assert(alice && bob);
  for (const text of ["meet me at the bridge", "x", "dir/plan.txt", "y".repeat(1_000)]) {
    alice.send(text, bob);
    bob.send(text, alice);
  }
  assertEquals(bob.inbox.length, 4);
  const capture = concat(...wire.recorded.map(({ packet }) => packet)).toHex();
  for (const secret of [name, "quiet", "bridge", "plan.txt", "yyyy", "thirty-two"]) {
    assert(!capture.includes(new TextEncoder().encode(secret).toHex()), secret);
  }
  const { keys: [derived] } = alice.network;
  assert(derived && !capture.includes(derived.datagram.toHex()));
  const lengths = wire.recorded.slice(0, 6).map(({ packet }) => packet.length);
  assertEquals(new Set(lengths), new Set([sealedBytes(0)]), "short packets have one length");
});

for (const first of ["who is challenged", "who challenges"]) {
  Deno.test(`Sealer takes no recording of senders it forgot, nor of ${first} first`, async () => {
    const { wire, alice, bob } = meet();
    await wire.advance(5);
    if (first === "who is challenged") alice.send("one", bob);
    else bob.send("one", alice); // alice challenges him, which proves her to him
    await alice.clock.advance(60_000); // her clock is set forward
    alice.send("two", bob);
    assertEquals(bob.inbox.at(-1), "two");
    const recorded = wire.recorded.filter(({ to }) => to === bob.address);
    fillWithStrangers(wire, bob);
    assertEquals(countOf(bob, "forgotten"), MAX_SENDERS / 2);
    const taken = bob.inbox.length;
    await wire.advance(5);
    for (const isReachable of [false, true]) {
      wire.delivers = isReachable;
      for (const packet of recorded) wire.play(packet);
      assertEquals(bob.inbox.length, taken);
    }
    alice.send("three", bob);
    assertEquals(bob.inbox.at(-1), "three");
  });
}

Deno.test("Sealer knows an address with or without its zone", () => {
  const { wire, alice, bob } = meet();
  wire.delivers = false;
  alice.send("one", bob);
  // A socket that is bound in the zone knows it, the one that the response comes to does not.
  wire.play({
    ...(wire.recorded[0] ?? assertNever()),
    from: { hostname: "fe80::1%eth0", port: 1 },
  });
  wire.play({ ...(wire.recorded[1] ?? assertNever()), to: alice.address });
  wire.play({ ...(wire.recorded[2] ?? assertNever()), from: { hostname: "fe80::1", port: 1 } });
  assertEquals(bob.inbox, ["one"]);
});

Deno.test("Sealer holds a bounded number of packets, and hears who could not be held the next time", async () => {
  const { wire, alice, bob } = meet();
  alice.send("old", bob);
  const old = wire.recorded.splice(0)[0] ?? assertNever();
  await wire.advance(5);
  const restarted = wire.restart(bob);
  await wire.advance(5);

  wire.delivers = false;
  alice.send("pushed out", bob);
  wire.play(wire.recorded[0] ?? assertNever());
  wire.play(wire.recorded[1] ?? assertNever());
  const response = wire.recorded[2] ?? assertNever();
  for (let i = 0; i < 512; i++) {
    const other = wire.join({ network: bob.network });
    other.send("x", bob);
    wire.play(wire.recorded.at(-1) ?? assertNever());
    wire.leave(other);
  }
  assertEquals(countOf(restarted, "held-dropped"), 1);
  await wire.advance(9_000);
  wire.play(response); // nobody knows when it was asked for
  wire.play(old);
  assertEquals(restarted.inbox, []);
  alice.send("next", bob);
  wire.play(wire.recorded.at(-1) ?? assertNever());
  assertEquals(restarted.inbox, ["next"]);
});

Deno.test("Sealer answers a challenge only when it is meant", () => {
  const wire = new Wire();
  const [alice, bob, carol] = [wire.join(), wire.join(), wire.join()];
  wire.delivers = false;
  for (const from of [alice, carol, alice]) from.send("hello", bob); // their counters lie side by side
  wire.play(wire.recorded[1] ?? assertNever());
  const challenge = wire.recorded.at(-1) ?? assertNever();
  wire.play({ ...challenge, to: alice.address });
  assertEquals([countOf(alice, "unsolicited"), countOf(alice, "answered")], [1, 0]);
  wire.play(challenge);
  assertEquals(countOf(carol, "answered"), 1);
});

/** Lets so many others talk to a member that it forgets the first. */
function fillWithStrangers(wire: Wire, member: Member): void {
  for (let i = 0; i <= MAX_SENDERS; i++) {
    const stranger = wire.join({ network: member.network });
    stranger.send("hi", member);
    wire.leave(stranger);
  }
}

function assertNever(): never {
  throw new Error("there is no such packet");
}
