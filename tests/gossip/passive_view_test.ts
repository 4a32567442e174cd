import { assert, assertEquals } from "@std/assert";
import { seededRandom } from "../../src/clock.ts";
import type { Contact } from "../../src/gossip/contact.ts";
import { PassiveView } from "../../src/gossip/passive_view.ts";

const ALL = () => true;

function peer(nth: number, changes: Partial<Contact> = {}): Contact {
  const peerId = nth.toString(16).padStart(40, "0");
  return { peerId, hosts: [`10.0.0.${nth % 250 + 1}`], port: 1_000 + nth, ...changes };
}

function viewOf(count: number, size = 30): PassiveView {
  const view = new PassiveView(size, seededRandom(1));
  for (let nth = 0; nth < count; nth++) view.add(peer(nth));
  return view;
}

function idsOf(contacts: readonly Contact[]): string[] {
  return contacts.map(({ peerId }) => peerId).sort();
}

/** Whether somebody may be asked at a time. */
function mayBeAsked(view: PassiveView, { peerId }: Contact, nowMs: number): boolean {
  return view.candidates(Infinity, nowMs, ALL).some((one) => one.peerId === peerId);
}

Deno.test("PassiveView knows whom it was told of until it is to forget", () => {
  const view = viewOf(2);
  assertEquals([view.size, view.has(peer(0).peerId), view.has(peer(2).peerId)], [2, true, false]);
  assertEquals(view.get(peer(1).peerId), peer(1));
  view.remove(peer(1).peerId);
  view.remove(peer(1).peerId);
  assertEquals([view.size, view.get(peer(1).peerId)], [1, undefined]);
});

Deno.test("PassiveView takes nobody whom it could not ask", () => {
  const view = viewOf(0);
  view.add(peer(1, { hosts: [] }));
  view.add(peer(2, { port: 0 }));
  assertEquals(view.size, 0);
});

Deno.test("PassiveView stays as large as it may be, and whom a newcomer replaces is drawn by lot", () => {
  const dropped = new Map<string, number>();
  const random = seededRandom(3);
  for (let round = 0; round < 500; round++) {
    const view = new PassiveView(5, random);
    for (let nth = 0; nth < 6; nth++) view.add(peer(nth));
    assertEquals(view.size, 5);
    assert(view.has(peer(5).peerId));
    for (let nth = 0; nth < 5; nth++) {
      const { peerId } = peer(nth);
      if (!view.has(peerId)) dropped.set(peerId, (dropped.get(peerId) ?? 0) + 1);
    }
  }
  assertEquals(dropped.size, 5);
  for (const count of dropped.values()) assert(count > 60 && count < 140, `${count} of 500`);
});

Deno.test("PassiveView drops nobody for somebody it knows", () => {
  const view = viewOf(5, 5);
  view.add(peer(3));
  assertEquals(idsOf(view.sample(9)), idsOf([0, 1, 2, 3, 4].map((nth) => peer(nth))));
});

Deno.test("PassiveView leaves somebody alone who said no, longer each time, up to a bound", () => {
  const view = viewOf(1);
  let nowMs = 0;
  for (const restMs of [1_000, 2_000, 4_000, 8_000, 16_000, ...Array<number>(9).fill(30_000)]) {
    view.rest(peer(0).peerId, nowMs);
    assert(!mayBeAsked(view, peer(0), nowMs + 0.5 * restMs - 1), `${restMs}`);
    nowMs += 1.5 * restMs;
    assert(mayBeAsked(view, peer(0), nowMs), `${restMs}`);
  }
});

Deno.test("PassiveView does not let all come back at the same time", () => {
  const view = viewOf(20);
  for (let nth = 0; nth < 20; nth++) view.rest(peer(nth).peerId, 0);
  const back = [600, 1_000, 1_400].map((nowMs) => view.candidates(Infinity, nowMs, ALL).length);
  const [first = 0, half = 0, last = 0] = back;
  assert(first > 0 && first < half && half < last, `${back}`);
});

Deno.test("PassiveView wakes all, who then rest as shortly as at first", () => {
  const view = viewOf(2);
  for (let nth = 0; nth < 4; nth++) view.rest(peer(0).peerId, 0);
  view.wake();
  assert(mayBeAsked(view, peer(0), 0));
  view.rest(peer(0).peerId, 0);
  assert(mayBeAsked(view, peer(0), 1_500));
});

Deno.test("PassiveView forgets who is silent for the third time in a row", () => {
  const view = viewOf(1);
  const { peerId } = peer(0);
  view.silent(peerId, 0);
  assert(!mayBeAsked(view, peer(0), 499));
  view.silent(peerId, 0);
  view.heard(peerId);
  view.silent(peerId, 0);
  view.silent(peerId, 0);
  assert(view.has(peerId));
  view.silent(peerId, 0);
  assert(!view.has(peerId));
});

Deno.test("PassiveView takes no harm from news of somebody whom it does not know", () => {
  const view = viewOf(1);
  for (const peerId of ["__proto__", "constructor", peer(9).peerId]) {
    view.rest(peerId, 0);
    view.silent(peerId, 0);
    view.heard(peerId);
    view.remove(peerId);
    assertEquals([view.has(peerId), view.get(peerId)], [false, undefined]);
  }
  assertEquals(view.size, 1);
});

Deno.test("PassiveView names some who are meant and rested, each once", () => {
  const view = viewOf(10);
  view.rest(peer(4).peerId, 0);
  const isEven = (peerId: string) => parseInt(peerId, 16) % 2 === 0;
  const named = view.candidates(9, 0, isEven);
  assertEquals(idsOf(named), idsOf([0, 2, 6, 8].map((nth) => peer(nth))));
  assertEquals(view.candidates(2, 0, ALL).length, 2);
  assertEquals(idsOf(view.sample(9, isEven)), idsOf([0, 2, 4, 6, 8].map((nth) => peer(nth))));
  assertEquals(view.size, 10);
});

Deno.test("PassiveView keeps where somebody is though others say otherwise, unless it says so itself", () => {
  const view = viewOf(1);
  const moved = peer(0, { hosts: ["192.0.2.66"], port: 22 });
  view.hear(moved);
  assertEquals(view.get(peer(0).peerId), peer(0));
  view.add(moved);
  assertEquals(view.get(peer(0).peerId), moved);
  view.add({ ...moved, hosts: [] });
  assertEquals(view.get(peer(0).peerId), moved);
});

Deno.test("PassiveView takes hearsay of somebody new, if it can be reached", () => {
  const view = viewOf(0);
  view.hear(peer(1));
  view.hear(peer(2, { port: 0 }));
  view.hear(peer(3, { hosts: [] }));
  assertEquals(view.sample(9), [peer(1)]);
});

Deno.test("PassiveView takes one peer of an address, however many are said to be there", () => {
  const [view, place] = [viewOf(1), { hosts: ["192.0.2.66"], port: 22 }];
  for (let nth = 1; nth < 30; nth++) view.hear(peer(nth, place));
  assertEquals(idsOf(view.sample(9)), idsOf([peer(0), peer(1)]));
  view.hear(peer(30, { ...place, port: 23 }));
  view.add(peer(31, place));
  assertEquals(view.size, 4);
});
