import { assert, assertEquals } from "@std/assert";
import type { Contact } from "../../src/dht/contact.ts";
import { LookupPath, type LookupPathOptions, type Named } from "../../src/dht/lookup_path.ts";
import { nodeAt, ZERO } from "./lookup_fixture.ts";

function pathOf(options: Partial<LookupPathOptions> = {}): LookupPath {
  const { settle = 3, maxKnown = 100, perNetwork = 2, rttOf = () => undefined } = options;
  return new LookupPath(ZERO, { settle, maxKnown, perNetwork, rttOf });
}

function named(contact: Contact, network?: string): Named {
  return { contact, by: undefined, depth: 1, network };
}

function addAll(path: LookupPath, ...contacts: Contact[]): void {
  for (const contact of contacts) path.add(named(contact));
}

/** Asks the next one. */
function ask(path: LookupPath): string | undefined {
  const next = path.next();
  if (next !== undefined) path.asked(next.contact.key);
  return next?.contact.key;
}

const [A, B, C, D] = [nodeAt(1), nodeAt(2), nodeAt(4), nodeAt(8)];

Deno.test("LookupPath gives the nearest that was not asked, whatever order they were named in", () => {
  const path = pathOf();
  addAll(path, C, A, D, B);
  assertEquals([ask(path), ask(path), ask(path)], [A.key, B.key, C.key]);
  assertEquals(ask(path), undefined, "more than the nearest three are not needed");
  assertEquals(
    path.known.map(({ named }) => named.contact.key),
    [A, B, C, D].map(({ key }) => key),
  );
});

Deno.test("LookupPath is over when the nearest have answered", () => {
  const path = pathOf();
  addAll(path, A, B, C, D);
  for (const { key } of [A, B, C]) path.asked(key);
  path.answered(A.key);
  path.answered(C.key);
  assert(!path.isOver);
  path.answered(B.key);
  assert(path.isOver);
  path.add(named(nodeAt([0, 1])));
  assert(!path.isOver, "somebody nearer was named");
});

Deno.test("LookupPath is over when there is nobody left to ask", () => {
  const path = pathOf();
  assert(path.isOver);
  addAll(path, A, B);
  assert(!path.isOver);
  assertEquals([ask(path), ask(path)], [A.key, B.key]);
  path.answered(A.key);
  path.failed(B.key);
  assert(path.isOver);
  assertEquals(path.known.map(({ state }) => state), ["answered"]);
});

Deno.test("LookupPath asks the next one where somebody failed or stalled, and waits for who stalled", () => {
  const path = pathOf({ settle: 1 });
  addAll(path, A, B, C);
  assertEquals([ask(path), ask(path)], [A.key, undefined]);
  path.stalled(A.key);
  assertEquals([path.pending, path.inFlight], [0, 1]);
  assertEquals([ask(path), ask(path)], [B.key, undefined]);
  path.failed(B.key);
  assertEquals(ask(path), C.key);
  path.answered(C.key);
  assert(!path.isOver, "the nearest one may still answer");
  path.failed(A.key);
  assert(path.isOver);
  assertEquals([path.pending, path.inFlight], [0, 0]);
});

Deno.test("LookupPath prefers the faster of those that are about as near", () => {
  const rtts = new Map([[C.key, 50], [nodeAt(5).key, 30], [nodeAt(6).key, 40], [D.key, 1]]);
  const path = pathOf({ settle: 9, rttOf: ({ key }) => rtts.get(key) });
  addAll(path, C, nodeAt(5), nodeAt(6), nodeAt(7), D);
  assertEquals(ask(path), nodeAt(5).key);
  assertEquals(ask(path), nodeAt(6).key);
  assertEquals(ask(path), C.key);
  assertEquals(ask(path), nodeAt(7).key, "who is unknown comes after those that answered before");
  addAll(path, B);
  assertEquals([ask(path), ask(path)], [B.key, D.key], "distance comes first");
});

Deno.test("LookupPath gives a node up to another path", () => {
  const path = pathOf();
  addAll(path, A, B);
  assertEquals(path.giveUp(A.key).map(({ contact }) => contact), [A]);
  assertEquals(path.giveUp(C.key), []);
  assertEquals([ask(path), ask(path)], [B.key, undefined]);
});

Deno.test("LookupPath tries a node at the other addresses it is said to have", () => {
  const path = pathOf();
  const at = (port: number) => nodeAt(1, "10.0.0.1", port);
  assert(path.add(named(at(1))));
  assert(!path.add(named(at(2))), "it was known before");
  assert(!path.isNews(at(1)) && !path.isNews(at(2)) && path.isNews(at(3)));
  assertEquals(path.next()?.contact.address.port, 1);
  path.asked(A.key);
  path.failed(A.key);
  assertEquals(path.next()?.contact.address.port, 2);
  path.asked(A.key);
  path.failed(A.key);
  assert(path.isOver);
  assertEquals(path.known, []);
  path.add(named(at(3)));
  assertEquals(path.next()?.contact.address.port, 3, "named again after it failed");
  assert(!path.isNews(at(4)), "three are enough");
  path.asked(A.key);
  path.failed(A.key);
  assertEquals(path.next(), undefined);
});

Deno.test("LookupPath asks nobody anywhere else once it answered", () => {
  const path = pathOf();
  path.add(named(A));
  path.asked(A.key);
  path.answered(A.key);
  assert(!path.isNews(nodeAt(1, "10.0.0.1", 2)));
});

Deno.test("LookupPath counts two nodes of a network, the nearest", () => {
  const path = pathOf({ settle: 4 });
  for (const first of [1, 2, 3, 4]) path.add(named(nodeAt(first), "8.8.8.0/24"));
  for (const first of [9, 10]) path.add(named(nodeAt(first)));
  const asked = [ask(path), ask(path), ask(path), ask(path)];
  assertEquals(asked, [1, 2, 9, 10].map((first) => nodeAt(first).key));
  assertEquals(ask(path), undefined);
  path.failed(A.key);
  assertEquals(ask(path), nodeAt(3).key, "in place of the one that failed");
});

Deno.test("LookupPath lets silent nodes keep nobody of their network out", () => {
  const path = pathOf();
  for (const first of [1, 2, 3]) path.add(named(nodeAt(first), "8.8.8.0/24"));
  assertEquals([ask(path), ask(path), ask(path)], [A.key, B.key, undefined]);
  path.stalled(A.key);
  assertEquals(ask(path), nodeAt(3).key);
});

Deno.test("LookupPath knows so many and no more: the farthest that was not asked goes first", () => {
  const path = pathOf({ maxKnown: 3, settle: 9 });
  addAll(path, B, C, D);
  assert(!path.add(named(nodeAt(9))), "it is farther than all of them");
  assert(path.add(named(A)));
  assertEquals(path.known.map(({ named }) => named.contact.key), [A.key, B.key, C.key]);
  assert(path.isNews(D), "it may be named again");
  for (const { key } of [A, B, C]) path.asked(key);
  assert(!path.add(named(nodeAt([0, 1]))), "all of them were asked");
  path.failed(C.key);
  assert(!path.add(named(nodeAt([0, 1]))), "who failed is remembered, or it would never end");
});
