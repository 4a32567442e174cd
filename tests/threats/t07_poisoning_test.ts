/**
 * Nobody can talk others out of a group or into one: what outsiders say changes nothing, what members say of others is
 * refuted and remembered against them, and whoever is named by others is asked a few times at most.
 */

import { assert, assertEquals } from "@std/assert";
import type { LogFields } from "../../src/log.ts";
import { silentLogger } from "../../src/log.ts";
import { MAX_INCARNATION } from "../../src/membership/claims.ts";
import { encodePacket } from "../../src/membership/packets.ts";
import { type SimHost, type SimNode, Simulation } from "../../src/testing/mod.ts";
import { SIM_PROJECT, simSigner, SwimNode } from "../../src/testing/swim_node.ts";
import type { Address } from "../../src/transport/transport.ts";
import { FIRST, Glass, Other, PROJECT } from "../membership/fixture.ts";

const VICTIM = "10.99.0.1";

/** All incarnations that matter to somebody who is at `now`. */
function incarnationsAround(now: number): number[] {
  return [0, now - 1, now, now + 1, now + 2 ** 20, MAX_INCARNATION - 1, MAX_INCARNATION];
}

/** What somebody without their keys can say of members, and of itself as if it were one. */
function lies(liar: Other, about: readonly Other[], now: number): Uint8Array[] {
  return incarnationsAround(now).flatMap((incarnation) => {
    return about.flatMap((member) => {
      // Another's name over our own signature.
      const signer = { ...liar.signer, peerId: member.peerId, publicKey: member.signer.publicKey };
      const impostor = new Other("", member.address.hostname, signer);
      return [
        impostor.left({ incarnation }),
        impostor.alive({ incarnation, hosts: [liar.address.hostname] }),
        liar.suspects(member.peerId, { incarnation }),
        ...about.map(({ peerId }) => impostor.suspects(peerId, { incarnation })),
      ];
    });
  });
}

/** What a member believes, without what changes by itself. */
function beliefs(glass: Glass): unknown {
  return glass.swim.members().map(
    ({ peerId, state, incarnation, addresses, tags, confirmedBy }) => {
      return { peerId, state, incarnation, addresses, tags, confirmedBy };
    },
  );
}

for (const from of ["its own address", "a member's address"]) {
  Deno.test(`T7 what an outsider says of members changes nothing, from ${from}`, async () => {
    const glass = new Glass();
    const members = await glass.join("ann", "bob", "eve");
    const outsider = glass.add("outsider");
    const [ann] = members;
    assert(ann !== undefined);
    glass.events.length = glass.asked.length = 0;
    const [before, incarnation] = [beliefs(glass), glass.swim.incarnation];
    for (const claim of lies(outsider, members, FIRST)) {
      if (from === "its own address") glass.news(outsider, claim);
      else glass.news(ann, claim);
      await glass.time.advance(20);
    }
    await glass.time.advance(60_000);
    assertEquals([glass.events, beliefs(glass)], [[], before]);
    assertEquals(glass.swim.incarnation, incarnation);
    assertEquals(glass.clock.waiting, 0);
  });
}

Deno.test("T7 what is forged in a member's own name is refused by it, and it is no larger for it", () => {
  const glass = new Glass();
  const outsider = glass.add("outsider");
  const forger = {
    ...outsider.signer,
    peerId: glass.me.peerId,
    publicKey: glass.me.signer.publicKey,
  };
  const impostor = new Other("", "10.0.0.1", forger);
  for (const incarnation of incarnationsAround(FIRST)) {
    glass.news(outsider, impostor.alive({ incarnation }), impostor.left({ incarnation }));
  }
  assertEquals(glass.swim.incarnation, FIRST);
});

Deno.test("T7 a stranger makes a member refute a few times, and not as often as it likes", async () => {
  const glass = new Glass();
  await glass.join("ann");
  const stranger = glass.add("stranger");
  for (let second = 0; second < 10; second++) {
    for (let round = 0; round < 20; round++) {
      const { incarnation } = glass.swim;
      glass.news(stranger, stranger.suspects(glass.me.peerId, { incarnation }));
    }
    await glass.time.advance(1_000);
  }
  assert(glass.count("refutations") <= 5 + 10);
});

Deno.test("T7 claims of another project are nobody's, whoever signed them", async () => {
  const glass = new Glass();
  const [ann, bob] = await glass.join("ann", "bob");
  assert(ann !== undefined && bob !== undefined);
  glass.events.length = 0;
  const before = beliefs(glass);
  const project = `${PROJECT.slice(0, -1)}0`;
  const said = { project, incarnation: FIRST + 1 };
  glass.news(ann, ann.alive(said), ann.left(said), bob.suspects(ann.peerId, { project }));
  glass.news(ann, glass.me.alive(said), ann.left({ project }));
  await glass.time.advance(5_000);
  assertEquals([beliefs(glass), glass.events, glass.swim.incarnation], [before, [], FIRST]);
});

Deno.test("T7 an incarnation that a member jumps to is its own affair; others' do not move", async () => {
  const glass = new Glass();
  const [ann, bob] = await glass.join("ann", "bob");
  assert(ann !== undefined && bob !== undefined);
  glass.news(ann, ann.alive({ incarnation: MAX_INCARNATION }));
  glass.news(ann, ann.suspects(bob.peerId, { incarnation: MAX_INCARNATION }));
  glass.news(ann, ann.suspects(glass.me.peerId, { incarnation: MAX_INCARNATION }));
  assertEquals(glass.member(ann)?.incarnation, MAX_INCARNATION);
  assertEquals([glass.member(bob)?.state, glass.member(bob)?.incarnation], ["alive", FIRST]);
  assertEquals(glass.swim.incarnation, FIRST);
  assertEquals(glass.warnings.map(({ from }) => from), [ann.peerId]);
});

Deno.test("T7 all that was ever said of a member, played again after its restart, changes nothing", async () => {
  const glass = new Glass();
  const [ann, bob] = await glass.join("ann", "bob");
  assert(ann !== undefined && bob !== undefined);
  const recorded = [
    ann.alive(),
    bob.suspects(ann.peerId),
    ann.alive({ incarnation: FIRST + 1, hosts: ["10.0.3.3"] }),
    bob.suspects(ann.peerId, { incarnation: FIRST + 1 }),
    ann.left({ incarnation: FIRST + 1 }),
  ];
  glass.news(ann, ann.alive({ incarnation: FIRST + 2 ** 24 }));
  glass.events.length = glass.sent.length = 0;
  const before = beliefs(glass);
  for (const claim of [...recorded, ...recorded.reverse()]) glass.news(bob, claim);
  await glass.time.advance(60_000);
  assertEquals([beliefs(glass), glass.events], [before, []]);
  assertEquals(glass.sent.filter(({ address }) => address.hostname === "10.0.3.3"), []);
});

Deno.test("T7 whom a member invents is asked a few times by whoever was told, and by nobody else", async () => {
  const glass = new Glass();
  const [eve, bob] = await glass.join("eve", "bob");
  assert(eve !== undefined && bob !== undefined);
  await glass.time.advance(5_000);
  glass.sent.length = glass.asked.length = 0;
  const ghosts = Array.from({ length: 40 }, (_, at) => new Other(`ghost ${at}`, VICTIM));
  for (const ghost of ghosts) glass.news(eve, ghost.alive());
  // Said again and again, and over streams, it changes nothing while they are left alone.
  for (let second = 0; second < 10; second++) {
    for (const ghost of ghosts) glass.news(eve, ghost.alive());
    await glass.time.advance(1_000);
  }
  const packets = glass.sent.filter(({ address }) => address.hostname === VICTIM);
  const streams = glass.asked.filter(({ to }) => to.hostname === VICTIM);
  assert(packets.length <= 2 * ghosts.length, `${packets.length} packets`);
  assert(streams.length <= ghosts.length, `${streams.length} streams`);
  assertEquals(glass.swim.members().length, 2);
  const others = glass.sent.filter(({ address }) => address.hostname !== VICTIM);
  const passedOn = others.flatMap(({ claims }) => claims.map((claim) => claim.toHex()));
  const told = ghosts.map((ghost) => ghost.alive().toHex());
  assert(!passedOn.some((claim) => told.includes(claim)));
});

Deno.test("T3 no answer to a ping is longer than it, and to a proven address not three times as long", async () => {
  const glass = new Glass();
  const members = await glass.join(...Array.from({ length: 20 }, (_, at) => `n${at}`));
  const [ann] = members;
  assert(ann !== undefined);
  const stranger = glass.add("stranger");
  const padding = [[], [ann.alive()], [ann.suspects(glass.me.peerId, { incarnation: 0 })]];
  for (const asker of [stranger, ann]) {
    for (const claims of [...padding, Array.from({ length: 4 }, () => ann.alive())]) {
      for (const member of members) {
        member.incarnation++;
        glass.news(member, member.alive()); // there is much to tell
      }
      glass.sent.length = 0;
      const bytes = glass.packet(asker, { kind: ":ping", nonce: 1, to: glass.me.peerId, claims });
      const out = glass.sentTo(asker).reduce((sum, sent) => sum + sent.bytes, 0);
      assert(out > 0 && out <= (asker === ann ? 3 : 1) * bytes, `${out} for ${bytes}`);
    }
  }
});

/** A member that also says what it is told to say. */
class Insider implements SimNode {
  readonly host: SimHost;
  readonly node: SwimNode;
  readonly word: Other;

  constructor(host: SimHost) {
    this.host = host;
    this.node = new SwimNode(host);
    this.word = new Other(host.name, host.address.hostname, simSigner(host.name));
  }

  /** Accuses everybody, at everybody. */
  accuseAll(): void {
    const members = this.node.swim.members();
    const claims = members.map(({ peerId, incarnation }) => {
      return this.word.suspects(peerId, { incarnation, project: SIM_PROJECT });
    });
    const from = this.node.peerId;
    const news = { kind: ":news", nonce: 0, project: SIM_PROJECT, from, to: "" } as const;
    for (const { addresses: [address] } of members) {
      if (address !== undefined) this.host.send(encodePacket({ ...news, claims }), address);
    }
  }

  receive(packet: Uint8Array, from: Address): void {
    this.node.receive(packet, from);
  }

  answer(body: Uint8Array): Uint8Array | undefined {
    return this.node.answer(body);
  }
}

Deno.test("T7 a member that accuses all others again and again kills nobody, and is named", () => {
  using simulation = new Simulation({ seed: 9, link: { delayMs: [1, 20], loss: 0.01 } });
  const happened = new Map<string, number>();
  const named: unknown[] = [];
  const warn = (_: string, { peerId }: LogFields = {}) => void named.push(peerId);
  const insider = simulation.spawn("eve", (host) => new Insider(host));
  const nodes = ["a", "b", "c", "d", "e", "f"].map((name) => {
    return simulation.spawn(name, (host) => {
      const onEvent = ({ type }: { readonly type: string }) => {
        happened.set(type, (happened.get(type) ?? 0) + 1);
      };
      const node = new SwimNode(host, { onEvent, log: { ...silentLogger, warn } });
      node.swim.join(insider.host.address);
      return node;
    });
  });
  assert(simulation.runUntil(() => nodes.every(({ swim }) => swim.present === 7), 60_000));
  for (let round = 0; round < 60; round++) {
    insider.accuseAll();
    simulation.run(1_000);
  }
  assert((happened.get("suspect") ?? 0) > 100, "it was heard");
  assertEquals(happened.get("dead"), undefined);
  assert(nodes.every(({ swim }) => swim.present === 7));
  assert(named.length > 0 && named.every((peerId) => peerId === insider.node.peerId));
  // And its word is worth nothing now.
  simulation.run(5_000);
  happened.clear();
  insider.accuseAll();
  simulation.run(5_000);
  assertEquals(happened.get("suspect"), undefined);
});
