/**
 * Nobody can talk others out of a group or into one: what outsiders say changes nothing, what members say of others is
 * refuted and remembered against them. Who is said to be at somebody else's address is in `t07_ghosts_test.ts`.
 */

import { assert, assertEquals } from "@std/assert";
import type { LogFields } from "../../src/log.ts";
import { silentLogger } from "../../src/log.ts";
import { MAX_INCARNATION } from "../../src/membership/claims.ts";
import { encodePacket } from "../../src/membership/packets.ts";
import { type SimHost, type SimNode, Simulation } from "../../src/testing/mod.ts";
import { SIM_PROJECT, simSigner, SwimNode } from "../../src/testing/swim_node.ts";
import type { Address } from "../../src/transport/transport.ts";
import { comparison, FIRST, forged, Glass, Other, PROJECT } from "../membership/fixture.ts";

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

Deno.test("T7 a stranger makes nobody refute, or doubt itself", async () => {
  const glass = new Glass();
  const [ann] = await glass.join("ann");
  assert(ann !== undefined);
  const stranger = glass.add("stranger");
  for (let second = 0; second < 20; second++) {
    const accusation = stranger.suspects(glass.me.peerId);
    glass.news(stranger, accusation);
    glass.news(ann, accusation);
    glass.swim.answer({ ...comparison(ann), t: "push", c: [accusation] }, ann.peerId);
    await glass.time.advance(1_000);
  }
  const { incarnation, awareness } = glass.swim;
  assertEquals([glass.count("refutations"), incarnation, awareness], [0, FIRST, 0]);
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

Deno.test("T7 a member that accuses another without end is capped and named", async () => {
  const glass = new Glass();
  const [eve] = await glass.join("eve");
  assert(eve !== undefined);
  for (let round = 0; round < 5_000; round++) {
    glass.news(eve, eve.suspects(glass.me.peerId, { incarnation: glass.swim.incarnation }));
  }
  assert(glass.swim.incarnation - FIRST <= 61, `${glass.swim.incarnation - FIRST} refutations`);
  assertEquals(glass.warnings.map(({ peerId }) => peerId), [eve.peerId]);
});

Deno.test("T7 an outsider writes few lines into the log, and blames nobody else", async () => {
  const glass = new Glass();
  const [ann, bob] = await glass.join("ann", "bob");
  assert(ann !== undefined && bob !== undefined);
  const host = "10.7.7.7";
  const lies = [
    forged(ann.suspects(bob.peerId, { incarnation: MAX_INCARNATION })),
    forged(bob.left()),
  ];
  for (const lie of lies) {
    for (let at = 0; at < 100; at++) glass.news(new Other(`liar ${at}`, host), lie);
    // Nor does a member's name help, from somewhere else.
    for (let at = 0; at < 100; at++) {
      glass.packet(ann, { kind: ":news", claims: [lie] }, { hostname: host, port: 1 });
    }
  }
  assertEquals(glass.warnings.map(({ from }) => from), [`somebody at ${host}`]);
  for (let at = 0; at < 200; at++) {
    glass.news(
      new Other("liar", `10.7.8.${at}`),
      bob.alive({ incarnation: FIRST + 1 + at }).fill(0, -64),
    );
  }
  assert(glass.warnings.length <= 10, `${glass.warnings.length} lines`);
  assert(glass.warnings.every(({ from }) => from !== ann.peerId && from !== bob.peerId));
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
