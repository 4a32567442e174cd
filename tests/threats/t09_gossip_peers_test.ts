/**
 * Nobody makes a peer of a topic work, keep or wait for more than it asked for itself, and nobody keeps it from what others
 * have for it.
 */

import { assert, assertEquals } from "@std/assert";
import type { Contact } from "../../src/gossip/contact.ts";
import { signEnvelopes } from "../../src/gossip/envelope.ts";
import type { GossipPacket } from "../../src/gossip/packets.ts";
import { encode } from "../../src/wire/msgpack.ts";
import { Generator } from "../fuzz/generate.ts";
import { contactOf, Listener, signerOf, TOPIC } from "./gossip_listener.ts";

Deno.test("T9 a topic's peer gives a peer what it wants, but not again and again", () => {
  const bob = new Listener("bob");
  const mallory = bob.befriend("mallory");
  const drafts = [1, 2].map((seq) => {
    return { seq, createdMs: bob.clock.wallMs(), data: new Uint8Array(1_048_576) };
  });
  bob.topic.publish(drafts);
  bob.sent = [];
  const ids = drafts.map(({ seq }) => ({ author: bob.contact.peerId, seq }));
  for (let nth = 0; nth < 100; nth++) bob.hear({ kind: "want", ids }, mallory);
  const pushes = bob.sentOf("push").length;
  assert(pushes >= 2 && pushes <= 64, `${pushes} MiB for 100 packets`);
});

Deno.test("T9 a topic's peer gives a message once for a want that names it often", () => {
  const bob = new Listener("bob");
  const mallory = bob.befriend("mallory");
  bob.topic.publish([{ seq: 7, createdMs: bob.clock.wallMs(), data: new Uint8Array(1_000) }]);
  bob.sent = [];
  const ids = Array.from({ length: 1_024 }, () => ({ author: bob.contact.peerId, seq: 7 }));
  bob.hear({ kind: "want", ids }, mallory);
  assertEquals(bob.sentOf("push").length, 1);
});

Deno.test("T9 a topic's peer gives nothing for a graft: who wants messages says which", () => {
  const bob = new Listener("bob");
  const mallory = bob.befriend("mallory");
  bob.topic.publish([{ seq: 7, createdMs: bob.clock.wallMs(), data: new Uint8Array(1_000) }]);
  bob.sent = [];
  for (let nth = 0; nth < 100; nth++) bob.hear({ kind: "graft" }, mallory);
  assertEquals(bob.sent, []);
});

/** Somebody compares and then offers messages of an author. */
function offer(
  bob: Listener,
  from: Contact,
  author: string,
  bounds: readonly number[],
): void {
  bob.hear({ kind: "compare", digest: [] }, from);
  const ranges = [[author, bounds]] as const;
  bob.hear({ kind: "offer", ranges, buckets: undefined, isAll: true }, from);
}

Deno.test("T9 a topic's peer asks somebody else for what one offered and does not give", async () => {
  const bob = new Listener("bob");
  const mallory = bob.befriend("mallory");
  const carol = bob.befriend("carol", 2);
  const ann = signerOf("ann").peerId;
  for (let turn = 0; turn < 100; turn++) {
    offer(bob, mallory, ann, [7, 7]);
    if (turn % 20 === 10) offer(bob, carol, ann, [7, 7]);
    await bob.clock.advance(250);
  }
  assert(bob.sentOf("want").some(({ to }) => to === carol.peerId), "carol was never asked");
});

Deno.test("T9 a topic's peer asks somebody else for what one gives a drop at a time", async () => {
  const bob = new Listener("bob");
  const mallory = bob.befriend("mallory");
  const carol = bob.befriend("carol", 2);
  const ann = signerOf("ann").peerId;
  offer(bob, mallory, ann, [1, 1_000]);
  for (let turn = 1; turn <= 30; turn++) {
    bob.push("ann", mallory, { seq: turn });
    offer(bob, carol, ann, [900, 1_000]);
    await bob.clock.advance(2_000);
  }
  assert(bob.sentOf("want").some(({ to }) => to === carol.peerId), "carol was never asked");
});

Deno.test("T9 a topic's peer asks on where it was given a part", async () => {
  const bob = new Listener("bob");
  const carol = bob.befriend("carol");
  const ann = signerOf("ann").peerId;
  offer(bob, carol, ann, [1, 10]);
  for (let seq = 1; seq <= 5; seq++) bob.push("ann", carol, { seq });
  bob.sent = [];
  for (let second = 0; second < 10; second++) {
    await bob.clock.advance(1_000);
    offer(bob, carol, ann, [1, 10]);
  }
  const asked = bob.sentOf("want").flatMap(({ packet }) => packet.ids.map(({ seq }) => seq));
  assert(asked.includes(10), "carol was not asked again for 10 s");
});

Deno.test("T9 a topic's peer remembers a bounded number of messages that it has asked for", () => {
  const bob = new Listener("bob");
  for (let nth = 0; nth < 32; nth++) {
    const contact = contactOf(`sybil ${nth}`, nth);
    for (let turn = 0; turn < 4; turn++) {
      const from = turn * 1_024;
      offer(bob, contact, signerOf(`ann ${nth}`).peerId, [from, from + 1_023]);
    }
  }
  const wanted = bob.sentOf("want").reduce((sum, { packet }) => sum + packet.ids.length, 0);
  assert(wanted > 0 && wanted <= 16_384, `${wanted} messages are waited for`);
});

Deno.test("T9 a topic's peer asks a neighbour though strangers have much to give", () => {
  const bob = new Listener("bob");
  const carol = bob.befriend("carol", 2);
  for (let nth = 0; nth < 32; nth++) {
    offer(bob, contactOf(`sybil ${nth}`, nth), signerOf(`ann ${nth}`).peerId, [1, 1_000]);
  }
  offer(bob, carol, signerOf("ann").peerId, [7, 7]);
  assert(bob.sentOf("want").some(({ to }) => to === carol.peerId), "carol was never asked");
});

Deno.test("T9 a topic's peer hears of messages from a neighbour though another invents many", async () => {
  const bob = new Listener("bob");
  const mallory = bob.befriend("mallory");
  const carol = bob.befriend("carol", 2);
  const author = signerOf("nobody").peerId;
  for (let at = 0; at < 16; at++) {
    const ids = Array.from({ length: 1_024 }, (_, nth) => ({ author, seq: at * 1_024 + nth }));
    bob.hear({ kind: "have", ids }, mallory);
  }
  assert(bob.topic.tree.missing <= 8_192, `${bob.topic.tree.missing} are waited for`);
  const id = { author: signerOf("ann").peerId, seq: 7 };
  bob.hear({ kind: "have", ids: [id] }, carol);
  await bob.clock.advance(2_000);
  const asked = bob.sentOf("want").filter(({ to }) => to === carol.peerId);
  assert(asked.some(({ packet }) => packet.ids.some(({ author }) => author === id.author)));
  assert(bob.sent.length < 64, `${bob.sent.length} packets for 17`);
});

Deno.test("T9 a topic's peer says that all is equal only after it has asked", () => {
  const bob = new Listener("bob");
  const mallory = contactOf("mallory");
  bob.hear({ kind: "offer", ranges: [], buckets: [], isAll: true }, mallory);
  offer(bob, mallory, signerOf("ann").peerId, [7, 7]);
  bob.hear({ kind: "compare", digest: [] }, mallory);
  bob.hear({ kind: "offer", ranges: [], buckets: [], isAll: true }, mallory);
  assertEquals(bob.compared, []);
});

Deno.test("T6 a topic's peer delivers a message once though many authors come between", async () => {
  const bob = new Listener("bob");
  const mallory = bob.befriend("mallory");
  const createdMs = bob.clock.wallMs();
  const draft = { seq: 7, createdMs, data: encode("x") };
  const [envelope = new Uint8Array()] = signEnvelopes(signerOf("ann"), TOPIC, [draft]);
  bob.hear({ kind: "push", envelope, hops: 0 }, mallory);
  for (let nth = 0; nth < 4_200; nth++) {
    if (nth % 100 === 0) await bob.clock.advance(1_000);
    bob.push(`invented ${nth}`, mallory);
  }
  bob.hear({ kind: "push", envelope, hops: 0 }, mallory);
  assertEquals(bob.delivered.filter((author) => author === signerOf("ann").peerId).length, 1);
});

Deno.test("T9 a topic's peer keeps the ways that messages come by when one claims shorter ones", () => {
  for (const isBefore of [true, false]) {
    const bob = new Listener("bob");
    const friends = [1, 2, 3, 4].map((nth) => bob.befriend(`friend ${nth}`, nth));
    const mallory = bob.befriend("mallory", 5);
    const ids = friends.map((_, nth) => {
      return { author: signerOf(`ann ${nth}`).peerId, seq: 7, hops: 0 };
    });
    const claim = () => bob.hear({ kind: "have", ids }, mallory);
    if (isBefore) claim();
    friends.forEach((friend, nth) => bob.push(`ann ${nth}`, friend, { hops: 14, seq: 7 }));
    assertEquals(bob.delivered.length, 4);
    if (!isBefore) claim();
    assertEquals(bob.sentOf("prune"), []);
  }
});

Deno.test("T9 a topic's peer tries a far shorter way, if it was told of it before the message came", () => {
  const cases = [[0, true, 1], [2, true, 1], [3, true, 0], [0, false, 0]] as const;
  for (const [hops, isBefore, grafts] of cases) {
    const bob = new Listener("bob");
    const carol = bob.befriend("carol");
    bob.push("ann", carol, { hops: 14, seq: 7 });
    const mallory = bob.befriend("mallory", 2); // whom it asks for ids only
    const claim = (seq: number) => {
      bob.hear({ kind: "have", ids: [{ author: signerOf("ann").peerId, seq, hops }] }, mallory);
    };
    if (isBefore) claim(8);
    bob.push("ann", carol, { hops: 14, seq: 8 });
    if (!isBefore) claim(8);
    claim(7);
    assertEquals(bob.sentOf("graft").length, grafts, `${hops} hops, before: ${isBefore}`);
  }
});

Deno.test("T9 a topic's peer takes whatever is said, and says nothing that cannot be read", async () => {
  for (const seed of [1, 2]) {
    const generator = new Generator(seed);
    const bob = new Listener("bob", { validate: () => generator.pick(VERDICTS) });
    const names = Array.from({ length: 12 }, (_, nth) => `peer ${nth}`);
    for (let nth = 0; nth < 1_000; nth++) {
      const from = generator.pick(names);
      const nowMs = bob.clock.wallMs();
      bob.hear(anyPacket(generator, names, nowMs), contactOf(from, names.indexOf(from)));
      if (nth % 10 === 0) await bob.clock.advance(generator.below(300));
      if (nth % 50 === 0) bob.overlay.unreachable(contactOf(generator.pick(names)).peerId);
    }
    assertEquals(bob.unreadable, []);
    // Every kind was answered, or it was not much of a test.
    const kinds = new Set(bob.sent.map(({ packet }) => packet.kind));
    for (const kind of ["push", "have", "want", "welcome", "walk", "shuffled", "offer"] as const) {
      assert(kinds.has(kind), `${kind}, seed ${seed}`);
    }
    assert(bob.delivered.length > 0);
  }
});

const VERDICTS = ["accept", "accept", "accept", "ignore", "reject"] as const;

/** A packet that can be read, with anything in it that this allows. */
function anyPacket(generator: Generator, names: readonly string[], nowMs: number): GossipPacket {
  const name = () => generator.pick([...names, "bob", "__proto__"]);
  const contact = () => {
    const hosts = generator.pick([[], ["10.0.0.7"], ["127.0.0.1", "fe80::1"], ["fd00::1"]]);
    const port = generator.pick([0, 1, 65_535]);
    return { ...contactOf(name()), hosts, port };
  };
  const contacts = () => Array.from({ length: generator.below(17) }, contact);
  const seq = () => generator.pick([0, 1, 2, 3, generator.below(99), 2 ** 53 - 1]);
  const author = () => signerOf(name()).peerId;
  const ids = () => {
    const count = generator.pick([0, 1, 5, 100]);
    const one = author();
    return Array.from({ length: count }, () => ({ author: one, seq: seq(), hops: 0 }));
  };
  const time = () => generator.pick([0, nowMs, nowMs - 1_000, 2 ** 53 - 1]);
  const left = generator.below(17);
  const nonce = generator.pick([0, 1, generator.below(1e9), 2 ** 53 - 1]);
  const top = 2 ** 53 - 1;
  const bounds = generator.pick([[0, 3], [5, 9], [0, 7], [1, 1, 3, 3], [top, top]]);
  const buckets = Array.from({ length: generator.pick([0, 3, 512]) }, () => generator.below(1e9));
  const createdMs = generator.pick([nowMs, nowMs, nowMs, 0, 2 ** 53 - 1]);
  const data = new Uint8Array(generator.pick([0, 10, 2_000]));
  const signed = signEnvelopes(signerOf(name()), TOPIC, [{ seq: seq(), createdMs, data }]);
  const [envelope = data] = generator.below(50) === 0 ? [data] : signed;
  const priority = generator.pick(["join", "high", "swap", "low"] as const);
  const refusal = generator.pick([undefined, "full", "unknown", "not-allowed"] as const);
  const isAll = generator.below(2) === 0;
  return generator.pick<GossipPacket>([
    { kind: "push", envelope, hops: generator.below(256) },
    { kind: "push", envelope, hops: 255 },
    { kind: generator.pick(["have", "dont", "want"] as const), ids: ids() },
    { kind: generator.pick(["graft", "prune"] as const) },
    { kind: "neighbor", priority, contact: contact(), wallMs: nowMs },
    {
      kind: "welcome",
      refusal,
      contact: contact(),
      wallMs: nowMs,
      echoMs: time(),
      contacts: contacts(),
    },
    { kind: "walk", contact: contact(), left },
    { kind: "leave", isGone: isAll },
    { kind: "shuffle", contact: contact(), contacts: contacts(), left, nonce },
    { kind: "shuffled", contacts: contacts(), nonce },
    {
      kind: "compare",
      digest: isAll ? [] : [[0, 1, 1], [Math.floor(nowMs / 1e4), 1, 2 ** 48 - 1]],
    },
    { kind: "offer", ranges: [[author(), bounds]], buckets, isAll },
    { kind: "ping", wallMs: time() },
    { kind: "pong", wallMs: time(), echoMs: time() },
  ]);
}
