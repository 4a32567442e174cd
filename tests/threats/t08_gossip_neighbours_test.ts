/**
 * Nobody takes a peer of a topic in: many identities get no more than their places, what one says of others is a hint, and
 * nobody is made to say what others would hold against it.
 */

import { assert, assertEquals } from "@std/assert";
import { signEnvelopes } from "../../src/gossip/envelope.ts";
import { encode } from "../../src/wire/msgpack.ts";
import { contactOf, Listener, manyContacts, signerOf, TOPIC } from "./gossip_listener.ts";

// What others make a peer say is held against it: whatever it takes it must be able to pass on.

Deno.test("T8 a topic's peer passes on a message that came by as many hops as are believed", () => {
  const bob = new Listener("bob");
  const mallory = bob.befriend("mallory");
  bob.befriend("carol", 2);
  bob.push("ann", mallory, { hops: 255 });
  assertEquals(bob.delivered.length, 1);
  assertEquals(bob.unreadable, []);
  assertEquals(bob.sentOf("push").map(({ packet }) => packet.hops), [255]);
});

Deno.test("T8 a topic's peer answers a full shuffle with no more contacts than may stand in a packet", () => {
  const bob = new Listener("bob");
  const mallory = bob.befriend("mallory");
  bob.topic.view.introduce(manyContacts(30));
  const [contact, contacts] = [contactOf("victim", 9), manyContacts(16, 100)];
  bob.hear({ kind: "shuffle", contact, contacts, left: 0, nonce: 1 }, mallory);
  assertEquals(bob.sentOf("shuffled").map(({ to }) => to), [contact.peerId]);
  assertEquals(bob.unreadable, []);
});

Deno.test("T8 a topic's peer tells nobody of addresses that are none, wherever they come from", () => {
  const bob = new Listener("bob");
  bob.befriend("carol");
  const mallory = { ...contactOf("mallory", 2), hosts: ["fe80::1%eth0"] };
  bob.hear(
    { kind: "neighbor", priority: "join", contact: contactOf("mallory", 2), wallMs: 0 },
    mallory,
  );
  assertEquals(bob.unreadable, []);
});

Deno.test("T8 a topic's peer blames nobody for a message that is longer than is taken here only", () => {
  const bob = new Listener("bob", { maxBytes: 1_000 });
  const carol = bob.befriend("carol");
  const draft = { seq: 1, createdMs: bob.clock.wallMs(), data: new Uint8Array(1_001) };
  const [envelope = new Uint8Array()] = signEnvelopes(signerOf("ann"), TOPIC, [draft]);
  bob.hear({ kind: "push", envelope, hops: 0 }, carol);
  assertEquals(bob.overlay.scores.score(carol.peerId, bob.clock.now()), 0);
});

Deno.test(
  "T8 a topic's peer offers what it keeps in ranges that can be read, however many there are",
  async () => {
    const bob = new Listener("bob");
    const mallory = bob.befriend("mallory");
    for (let nth = 0; nth < 4_096; nth++) {
      if (nth % 500 === 0) await bob.clock.advance(1_000);
      bob.push("mallory", mallory, { seq: 2 * nth });
    }
    await bob.clock.advance(1_000);
    bob.push("ann", mallory);
    await bob.clock.advance(1_000);
    assertEquals(bob.topic.history.size, 4_097);
    bob.sent = [];
    bob.hear({ kind: "compare", digest: [] }, contactOf("carol", 2));
    assertEquals(bob.unreadable, []);
    assertEquals(bob.sentOf("offer").length, 1);
  },
);

Deno.test("T8 a topic's peer answers a digest of other buckets with no more than fit", async () => {
  const bob = new Listener("bob");
  bob.topic.publish([{ seq: 0, createdMs: bob.clock.wallMs(), data: encode("x") }]);
  await bob.clock.advance(1_000);
  const digest = Array.from({ length: 512 }, (_, nth) => [nth, 1, 1] as const);
  bob.hear({ kind: "compare", digest }, contactOf("carol"));
  assertEquals(bob.unreadable, []);
  assertEquals(bob.sentOf("offer").length, 1);
});

// What one says may not decide for many.

Deno.test("T8 a topic's peer takes the time of neighbours only", () => {
  const bob = new Listener("bob");
  bob.befriend("carol");
  for (let nth = 0; nth < 16; nth++) {
    const wallMs = bob.clock.wallMs() + 86_400_000;
    bob.hear({ kind: "pong", wallMs, echoMs: bob.clock.wallMs() }, contactOf(`sybil ${nth}`, nth));
  }
  assertEquals(bob.overlay.nowMs, bob.clock.wallMs());
});

Deno.test("T8 a topic's peer forgets nothing though its only neighbour lies about the time", async () => {
  for (const told of [0, Number.MAX_SAFE_INTEGER]) {
    const bob = new Listener("bob");
    const ann = { seq: 1, createdMs: bob.clock.wallMs(), data: encode("x") };
    bob.topic.publish([ann]);
    const contact = contactOf("mallory");
    bob.hear({ kind: "neighbor", priority: "join", contact, wallMs: told }, contact);
    const between = Math.round((told - bob.clock.wallMs()) / 2);
    for (let second = 0; second < 15; second++) {
      bob.hear({ kind: "prune" }, contact); // or it would be given up
      await bob.clock.advance(1_000);
    }
    // Of two clocks nobody can say which is right.
    assertEquals(bob.overlay.nowMs - bob.clock.wallMs(), between);
    assertEquals(bob.topic.history.size, 1);
    // Of three one can.
    bob.befriend("carol", 2);
    assertEquals(bob.overlay.nowMs, bob.clock.wallMs());
  }
});

Deno.test("T4 a topic's peer connects to this machine for nobody who is elsewhere", () => {
  const bob = new Listener("bob");
  const mallory = bob.befriend("mallory");
  const here = (nth: number) => ({ ...contactOf(`here ${nth}`), hosts: ["127.0.0.1"] });
  bob.hear({ kind: "walk", contact: here(1), left: 0 }, mallory);
  bob.hear({ kind: "shuffle", contact: here(2), contacts: [here(3)], left: 0, nonce: 1 }, mallory);
  assertEquals(bob.reached.filter(({ hosts }) => hosts.includes("127.0.0.1")), []);
  assertEquals(bob.topic.view.others(9), []);
});

Deno.test("T8 a topic's peer takes contacts of nobody whom it has not asked for some", async () => {
  const bob = new Listener("bob");
  const carol = bob.befriend("carol");
  const mallory = contactOf("mallory", 3);
  const exchange = (nonce: number, contacts = manyContacts(16)) => {
    bob.hear({ kind: "shuffled", contacts, nonce }, mallory);
  };
  const told = { contact: mallory, wallMs: bob.clock.wallMs(), echoMs: 0 };
  const contacts = manyContacts(16);
  bob.hear({ kind: "welcome", refusal: undefined, ...told, contacts }, mallory);
  bob.hear({ kind: "welcome", refusal: "full", ...told, contacts }, mallory);
  exchange(0);
  for (let second = 0; second < 30 && bob.sentOf("shuffle").length === 0; second++) {
    bob.hear({ kind: "prune" }, carol);
    await bob.clock.advance(1_000);
  }
  // Its neighbour knows the number of the exchange, and so does whom that passes it on to.
  const [asked] = bob.sentOf("shuffle");
  assert(asked !== undefined);
  const { nonce } = asked.packet;
  for (const guess of [0, 1, nonce - 1, nonce + 1, Number.MAX_SAFE_INTEGER]) exchange(guess);
  assertEquals(bob.topic.view.known, 0);
  exchange(nonce);
  assertEquals(bob.topic.view.known, 8);
  exchange(nonce, manyContacts(16, 100));
  assertEquals(bob.topic.view.known, 8);
});

Deno.test("T8 a topic's peer keeps what a peer says of itself, whatever others say of it", () => {
  const bob = new Listener("bob");
  const mallory = bob.befriend("mallory");
  const carol = contactOf("carol", 2);
  bob.topic.view.introduce([carol]);
  bob.hear({ kind: "walk", contact: { ...carol, hosts: ["192.0.2.66"] }, left: 3 }, mallory);
  const contacts = [{ ...carol, port: 22 }];
  bob.hear({ kind: "shuffle", contact: mallory, contacts, left: 0, nonce: 1 }, mallory);
  assertEquals(bob.topic.view.contactOf(carol.peerId), carol);
});

Deno.test("T4 a topic's peer takes all who are said to be at one address for one", () => {
  const bob = new Listener("bob");
  const mallory = bob.befriend("mallory");
  const victims = manyContacts(8).map((one) => ({ ...one, hosts: ["192.0.2.66"], port: 22 }));
  for (const contact of victims) bob.hear({ kind: "walk", contact, left: 0 }, mallory);
  const contacts = victims.slice(1);
  bob.hear({ kind: "shuffle", contact: mallory, contacts, left: 0, nonce: 1 }, mallory);
  assertEquals(bob.topic.view.others(9), victims.slice(0, 1));
  assertEquals(bob.reached.filter(({ port }) => port === 22).length, 1);
});

Deno.test("T4 a topic's peer makes few connections for the walks that a neighbour brings", () => {
  const bob = new Listener("bob");
  const mallory = bob.befriend("mallory");
  manyContacts(200).forEach((contact) => bob.hear({ kind: "walk", contact, left: 0 }, mallory));
  const connections = new Set(bob.sent.map(({ to }) => to)).size;
  assert(connections > 0 && connections <= 16, `${connections} connections for 200 walks`);
});

Deno.test("T4 a topic's peer passes on few of the walks and exchanges that a neighbour begins", () => {
  const bob = new Listener("bob");
  const mallory = bob.befriend("mallory");
  bob.befriend("carol", 2);
  manyContacts(200).forEach((contact, nonce) => {
    bob.hear({ kind: "walk", contact, left: 6 }, mallory);
    bob.hear({ kind: "shuffle", contact, contacts: [], left: 6, nonce }, mallory);
  });
  const [walks, exchanges] = [bob.sentOf("walk").length, bob.sentOf("shuffle").length];
  assert(walks > 0 && walks <= 64, `${walks} of 200 walks`);
  assert(exchanges > 0 && exchanges <= 8, `${exchanges} of 200 exchanges`);
});

Deno.test("T4 a topic's peer makes few connections for the exchanges that a neighbour brings", () => {
  const bob = new Listener("bob");
  const mallory = bob.befriend("mallory");
  manyContacts(200).forEach((contact) => {
    bob.hear({ kind: "shuffle", contact, contacts: [], left: 0, nonce: 1 }, mallory);
  });
  const connections = new Set(bob.sent.map(({ to }) => to)).size;
  assert(connections > 0 && connections <= 16, `${connections} connections for 200 exchanges`);
});

Deno.test("T8 a topic's peer looks for neighbours whatever walks come by", async () => {
  const bob = new Listener("bob");
  const mallory = bob.befriend("mallory");
  const honest = manyContacts(10);
  for (let turn = 0; turn < 40; turn++) {
    manyContacts(5, 100 + 5 * turn).forEach((contact) => {
      bob.hear({ kind: "walk", contact, left: 0 }, mallory);
    });
    bob.topic.view.introduce(honest);
    await bob.clock.advance(250);
  }
  const asked = bob.sentOf("neighbor").map(({ to }) => to);
  assert(honest.some(({ peerId }) => asked.includes(peerId)), "nobody else was asked in 10 s");
});

Deno.test(
  "T8 a topic's peer answers a neighbour that joins again and again without waking the others",
  () => {
    const bob = new Listener("bob");
    for (let nth = 1; nth <= 4; nth++) bob.befriend(`friend ${nth}`, nth);
    const mallory = bob.befriend("mallory", 5);
    for (let nth = 0; nth < 100; nth++) {
      bob.hear({ kind: "neighbor", priority: "join", contact: mallory, wallMs: 0 }, mallory);
    }
    const walks = bob.sentOf("walk").length;
    assert(walks <= 16, `${walks} walks for 100 packets`);
  },
);

Deno.test("T8 a topic's peer keeps the two neighbours that it has had for longest, whoever presses", async () => {
  const bob = new Listener("bob");
  const friends = [1, 2, 3, 4, 5].map((nth) => bob.befriend(`friend ${nth}`, nth));
  for (let nth = 0; nth < 8; nth++) {
    const contact = contactOf(`sybil ${nth}`, 10 + nth);
    const wallMs = bob.clock.wallMs();
    bob.hear({ kind: "neighbor", priority: "high", contact, wallMs }, contact);
    bob.push(`author ${nth}`, contact); // of more use than all before it
    await bob.clock.advance(100);
  }
  const kept = friends.filter(({ peerId }) => bob.topic.view.has(peerId));
  assertEquals(kept, friends.slice(0, 2));
  assertEquals([bob.topic.view.size, bob.delivered.length], [5, 8]);
});

Deno.test("T8 a topic's peer lets new authors of one neighbour leave room for those of another", () => {
  const bob = new Listener("bob");
  const mallory = bob.befriend("mallory");
  const carol = bob.befriend("carol", 2);
  for (let nth = 0; nth < 2_100; nth++) bob.push(`invented ${nth}`, mallory);
  bob.push("ann", carol);
  assert(bob.delivered.includes(signerOf("ann").peerId));
});
