/**
 * Nobody can send a group to somebody else's address: whoever is named there is asked a few times, in small packets, and
 * hears nothing that it has not asked for.
 */

import { assert, assertEquals } from "@std/assert";
import { concat } from "../../src/wire/concat.ts";
import { encode } from "../../src/wire/msgpack.ts";
import { comparison, FIRST, Glass, Other, type Sent } from "../membership/fixture.ts";

const VICTIM = "10.99.0.1";

/** Those who are said to be at a host of somebody else. */
function ghosts(count: number, name = "ghost"): Other[] {
  return Array.from({ length: count }, (_, at) => new Other(`${name} ${at}`, VICTIM));
}

/** What was sent to any of those hosts. */
function sentTo(glass: Glass, ...hosts: string[]): Sent[] {
  return glass.sent.filter(({ address }) => hosts.includes(address.hostname));
}

function bytesOf(packets: readonly Sent[]): number {
  return packets.reduce((sum, { bytes }) => sum + bytes, 0);
}

/** A member among others, of whom there is much to tell. */
async function busy(): Promise<{ glass: Glass; members: Other[] }> {
  const glass = new Glass();
  const members = await glass.join(...Array.from({ length: 20 }, (_, at) => `n${at}`));
  for (const member of members) glass.news(member, member.alive({ incarnation: FIRST + 1 }));
  glass.sent.length = glass.asked.length = 0;
  return { glass, members };
}

Deno.test("T7 whom a member invents is asked a few times by whoever was told, and by nobody else", async () => {
  const glass = new Glass();
  const [eve, bob] = await glass.join("eve", "bob");
  assert(eve !== undefined && bob !== undefined);
  await glass.time.advance(5_000);
  glass.sent.length = glass.asked.length = 0;
  const invented = ghosts(40);
  // Said again and again it changes nothing while they are left alone.
  for (let second = 0; second <= 10; second++) {
    for (const ghost of invented) glass.news(eve, ghost.alive());
    await glass.time.advance(1_000);
  }
  const packets = sentTo(glass, VICTIM);
  const streams = glass.asked.filter(({ to }) => to.hostname === VICTIM);
  assert(packets.length <= 2 * (24 + 10), `${packets.length} packets`);
  assert(streams.length <= 24 + 10, `${streams.length} streams`);
  assertEquals(glass.swim.members().length, 2);
  const others = glass.sent.filter(({ address }) => address.hostname !== VICTIM);
  const passedOn = others.flatMap(({ claims }) => claims.map((claim) => claim.toHex()));
  const told = invented.map((ghost) => ghost.alive().toHex());
  assert(!passedOn.some((claim) => told.includes(claim)));
});

Deno.test("T7 one who signs a new incarnation each time is not asked without end at a victim's", async () => {
  const glass = new Glass();
  const [eve] = await glass.join("eve");
  assert(eve !== undefined);
  const ghost = new Other("ghost", VICTIM);
  for (let at = 0; at < 600; at++) {
    glass.news(eve, ghost.alive({ incarnation: FIRST + at }));
    await glass.time.advance(100);
  }
  const { length } = sentTo(glass, VICTIM);
  assert(length > 0 && length <= 10, `${length} packets in a minute`);
});

Deno.test("T7 a member that says a ghost answers it makes no member of it, without the ghost's proof", async () => {
  const glass = new Glass();
  const [eve] = await glass.join("eve");
  assert(eve !== undefined);
  const ghost = new Other("ghost", VICTIM);
  glass.news(eve, ghost.alive());
  let asked = 0;
  for (let ms = 0; ms < 3_000; ms += 10) {
    for (const { kind, nonce } of glass.sent.splice(0)) {
      if (kind !== ":relay") continue;
      asked++;
      glass.packet(eve, { kind: ":ack", nonce, project: "", proof: eve.proof(nonce) });
    }
    await glass.time.advance(10);
  }
  assertEquals([asked, glass.member(ghost)], [1, undefined]);
});

Deno.test("T4 an outsider's word about others sends nobody anything", async () => {
  const { glass } = await busy();
  const outsider = new Other("outsider", "10.8.8.8");
  for (const ghost of ghosts(5)) glass.news(outsider, ghost.alive());
  await glass.time.advance(10_000);
  assertEquals(sentTo(glass, VICTIM), []);
});

Deno.test("T4 who writes in a victim's name has it hear no more bytes than came, and no news", async () => {
  const { glass } = await busy();
  const hosts = ["10.99.0.2", "10.99.0.3", "10.99.0.4", "10.99.0.5"];
  let bytesIn = 0;
  for (const ghost of ghosts(60)) {
    bytesIn += glass.packet(ghost, { kind: ":news", claims: [ghost.alive({ hosts })] });
    await glass.time.advance(500);
  }
  await glass.time.advance(10_000);
  const out = sentTo(glass, VICTIM);
  const bytes = bytesOf(out);
  assert(bytes > 0 && bytes <= bytesIn, `${bytes} bytes in ${out.length} packets for ${bytesIn}`);
  assert(out.every(({ claims }) => claims.length === 0));
  assert(glass.asked.length <= 60);
  assertEquals(sentTo(glass, ...hosts), []);
});

Deno.test("T4 each newcomer is asked in packets with nothing in them, wherever it may be", async () => {
  const { glass, members: [eve] } = await busy();
  assert(eve !== undefined);
  const hosts = ["10.99.0.2", "10.99.0.3", "10.99.0.4", "10.99.0.5"];
  const bytesIn = glass.packet(eve, {
    kind: ":news",
    claims: [ghosts(1)[0]?.alive({ hosts }) ?? eve.alive()],
  });
  await glass.time.advance(3_000);
  const out = sentTo(glass, ...hosts);
  assertEquals([out.length, out.every(({ claims }) => claims.length === 0)], [2 * 4, true]);
  for (const host of hosts) assert(bytesOf(sentTo(glass, host)) <= bytesIn);
});

Deno.test("T4 a victim is asked once a second at most, whatever ways its address is spelled", async () => {
  const glass = new Glass();
  const [eve] = await glass.join("eve");
  assert(eve !== undefined);
  for (
    const host of ["::ffff:10.99.0.1", "::ffff:a63:1", "0::ffff:a63:1", "10.99.1", "010.99.0.1"]
  ) {
    const { peerId, publicKey } = eve.signer;
    const id = Uint8Array.fromHex(peerId);
    const fields = [0, id, FIRST + 1, publicKey, "", [host], 1, 2, {}];
    glass.news(eve, concat(encode(fields), new Uint8Array(64)));
  }
  assertEquals(glass.count("refused-claims"), 5);
  await glass.time.advance(5_000);
  glass.sent.length = 0;
  for (let second = 0; second < 60; second++) {
    for (const ghost of ghosts(5, `${second}`)) glass.news(eve, ghost.alive());
    await glass.time.advance(1_000);
  }
  const { length } = sentTo(glass, VICTIM);
  assert(length <= 2 * (24 + 60), `${length} packets in a minute`);
});

Deno.test("T3 no answer to a ping is longer than it, and to a proven address not three times as long", async () => {
  const { glass, members } = await busy();
  const [ann] = members;
  assert(ann !== undefined);
  const stranger = glass.add("stranger");
  const padding = [[], [ann.alive()], [ann.suspects(glass.me.peerId, { incarnation: 0 })]];
  for (const asker of [stranger, ann]) {
    for (const claims of [...padding, Array.from({ length: 4 }, () => ann.alive())]) {
      for (const relayed of [0, 2 ** 40]) {
        for (const member of members) {
          member.incarnation++;
          glass.news(member, member.alive()); // there is much to tell
        }
        glass.sent.length = 0;
        const ping = { kind: ":ping", nonce: 1, to: glass.me.peerId, claims, relayed } as const;
        const bytes = glass.packet(asker, ping);
        const out = bytesOf(glass.sentTo(asker));
        assert(out > 0 && out <= (asker === ann ? 3 : 1) * bytes, `${out} for ${bytes}`);
      }
    }
  }
});

Deno.test("T7 many claims over a stream cost a bounded number of signature checks", () => {
  const glass = new Glass();
  const pusher = glass.add("pusher");
  let checks = 0;
  const { verify } = glass.me.signer;
  Object.assign(glass.me.signer, {
    verify: (...parts: Parameters<typeof verify>) => (checks++, verify(...parts)),
  });
  const claims = Array.from({ length: 12_000 }, (_, at) => new Other(`g${at}`, VICTIM).alive());
  glass.swim.answer({ ...comparison(pusher), t: "push", c: claims }, pusher.peerId);
  glass.swim.stop();
  assert(checks > 0 && checks <= 2_000, `${checks} checks`);
});

Deno.test("T7 a stranger's claims cost few signature checks, and none of those that members tell of", async () => {
  const { glass, members: [ann] } = await busy();
  assert(ann !== undefined);
  let checks = 0;
  const { verify } = glass.me.signer;
  Object.assign(glass.me.signer, {
    verify: (...parts: Parameters<typeof verify>) => (checks++, verify(...parts)),
  });
  for (const ghost of ghosts(1_000)) glass.news(ghost, ghost.alive());
  assert(checks > 0 && checks <= 256, `${checks} checks`);
  const dan = glass.add("dan");
  glass.news(ann, dan.alive());
  await glass.time.advance(5);
  assertEquals(glass.member(dan)?.state, "alive");
});
