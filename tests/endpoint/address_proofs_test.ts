import { assert, assertEquals } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import {
  AddressProofs,
  NO_TOKEN,
  ProofDemand,
  retryTokenOf,
} from "../../src/endpoint/address_proofs.ts";
import type { RequestEvent } from "../../src/endpoint/requests_dispatcher.ts";
import { Metrics } from "../../src/metrics.ts";
import type { Address } from "../../src/transport/mod.ts";
import { type MessageBody, wireData } from "../../src/wire/message.ts";

const BOB: Address = { hostname: "192.0.2.7", port: 4000 };

function tokenOf(n: number): Uint8Array {
  return new Uint8Array(16).fill(n);
}

function eventOf(body: MessageBody, packetBytes?: number, fromAddr = BOB): RequestEvent {
  const event = { rootCode: 0x14, request: wireData("greet", body, { msgId: 7 }), fromAddr };
  return packetBytes === undefined ? event : { ...event, packetBytes };
}

function openDemand() {
  const [clock, metrics] = [new ManualClock(), new Metrics()];
  const sent: { packet: Uint8Array; to: Address }[] = [];
  const send = (packet: Uint8Array, to: Address) => void sent.push({ packet, to });
  return { demand: new ProofDemand({ clock, metrics, send }), clock, metrics, sent };
}

Deno.test("AddressProofs give zeros where there is no token, and else the last", () => {
  const proofs = new AddressProofs(new ManualClock());
  assertEquals([proofs.tokenFor(BOB), NO_TOKEN], [tokenOf(0), tokenOf(0)]);
  proofs.keep(BOB, tokenOf(1));
  proofs.keep({ ...BOB, port: 4001 }, tokenOf(2));
  assertEquals(proofs.tokenFor({ ...BOB }), tokenOf(1));
  assertEquals(proofs.tokenFor({ ...BOB, port: 4001 }), tokenOf(2));
  assertEquals(proofs.tokenFor({ ...BOB, hostname: "192.0.2.8" }), NO_TOKEN);
  proofs.keep(BOB, tokenOf(3));
  assertEquals([proofs.tokenFor(BOB), proofs.size], [tokenOf(3), 2]);
});

Deno.test("AddressProofs know how old a token is", async () => {
  const clock = new ManualClock();
  const proofs = new AddressProofs(clock);
  assertEquals(proofs.isFresh(BOB), false);
  proofs.keep(BOB, tokenOf(1));
  await clock.advance(44_999);
  assertEquals(proofs.isFresh(BOB), true);
  await clock.advance(1);
  assertEquals(proofs.isFresh(BOB), false);
  assertEquals(proofs.tokenFor(BOB), tokenOf(1)); // it may still be good
  proofs.keep(BOB, tokenOf(2));
  assertEquals(proofs.isFresh(BOB), true);
});

Deno.test("AddressProofs forget the oldest when there are too many", () => {
  for (
    const [proofs, max] of [
      [new AddressProofs(new ManualClock(), 3), 3],
      [new AddressProofs(new ManualClock()), 4096],
    ] as const
  ) {
    for (let port = 1; port <= max; port++) proofs.keep({ ...BOB, port }, tokenOf(1));
    proofs.keep({ ...BOB, port: 2 }, tokenOf(2)); // no longer among the oldest
    for (const port of [9998, 9999]) proofs.keep({ ...BOB, port }, tokenOf(3));
    assertEquals(proofs.size, max);
    const kept = [1, 2, 3, 9998, 9999].map((port) => proofs.tokenFor({ ...BOB, port })[0]);
    assertEquals(kept, [0, 2, 0, 3, 3]);
  }
});

Deno.test("ProofDemand writes these bytes, and is met by the token in them", () => {
  const { demand, sent, metrics } = openDemand();
  const event = eventOf({ ":": { token: NO_TOKEN } }, 100);
  assertEquals(demand.isMet(event), false);
  demand.make(event, 7);
  const [{ packet, to } = { packet: new Uint8Array(), to: undefined }] = sent;
  assertEquals(to, BOB);
  // Service code 1e, length, WireData [":retry", 7, 1, { t: 16 bytes }, nil].
  assertEquals(packet.subarray(0, 20).toHex(), "1e0000002095a63a7265747279070181a174c410");
  assertEquals([packet.length, packet.at(-1)], [36 + 1, 0xc0]);
  const token = packet.slice(-17, -1);
  assertEquals(demand.isMet(eventOf({ ":": { token } })), true);
  assertEquals(demand.isMet(eventOf({ ":": { token } }, 9, { ...BOB, port: 4001 })), false);
  assertEquals(demand.isMet(eventOf({ ":": { token } }, 9, { ...BOB, hostname: "x" })), false);
  for (let bit = 0; bit < 128; bit++) {
    const forged = token.slice();
    forged[bit >> 3] = (forged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    assertEquals(demand.isMet(eventOf({ ":": { token: forged } })), false);
  }
  for (const terms of [undefined, null, 7, [], {}, { token: 7 }, { token: token.subarray(1) }]) {
    assertEquals(demand.isMet(eventOf({ ":": terms })), false);
  }
  assertEquals(metrics.snapshot(), { "requests.unproven": 1 });
});

Deno.test("ProofDemand sends no more than came, and nothing where no answer is wanted", () => {
  const { demand, sent, metrics } = openDemand();
  demand.make(eventOf({}, 36), 7);
  demand.make(eventOf({}, 200), 0);
  assertEquals(sent, []);
  demand.make(eventOf({}, 37), 7);
  demand.make(eventOf({}), 7); // it came in no packet
  assertEquals(sent.map(({ packet }) => packet.length), [37, 37]);
  assertEquals(metrics.snapshot(), { "requests.unproven": 4 });
});

Deno.test("ProofDemand is met by a token for a minute at least, and not for ever", async () => {
  const { demand, clock, sent } = openDemand();
  const other = { ...BOB, port: 1 };
  demand.make(eventOf({}), 7);
  const token = sent[0]?.packet.slice(-17, -1);
  // What was verified just before is not looked at again: another address in between.
  const isMet = () => {
    demand.make(eventOf({}, undefined, other), 7);
    const { packet } = sent.at(-1) ?? { packet: new Uint8Array() };
    const isOtherMet = demand.isMet(
      eventOf({ ":": { token: packet.slice(-17, -1) } }, undefined, other),
    );
    assert(isOtherMet);
    return demand.isMet(eventOf({ ":": { token } }));
  };
  assertEquals(isMet(), true);
  await clock.advance(60_000);
  assertEquals(isMet(), true);
  await clock.advance(60_000);
  assertEquals(isMet(), false);
});

Deno.test("retryTokenOf takes 16 bytes and nothing else", () => {
  assertEquals(retryTokenOf({ t: tokenOf(1) }), tokenOf(1));
  for (const t of [undefined, null, 7, "0123456789abcdef", new Uint8Array(15), [], {}]) {
    assertEquals(retryTokenOf({ t }), undefined);
  }
});
