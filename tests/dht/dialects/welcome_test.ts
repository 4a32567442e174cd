import { assert, assertEquals } from "@std/assert";
import { seededRandom } from "../../../src/clock.ts";
import { isToGive, itemsFor } from "../../../src/dht/dialects/welcome.ts";
import { compareDistance, type NodeId } from "../../../src/dht/node_id.ts";
import { idOf } from "./dialect_fixture.ts";

const KEY = idOf(0);

Deno.test("isToGive gives an item to a newcomer that is one of the k nearest", () => {
  const nearest = [idOf(3), idOf(4), idOf(6)];
  const at = (newcomer: number) => {
    return isToGive({ self: idOf(2), newcomer: idOf(newcomer) }, KEY, nearest, 3);
  };
  assert(at(1) && at(5));
  assert(!at(7), "there are k who are nearer");
});

Deno.test("isToGive leaves it to a node that is nearer than we are", () => {
  const encounter = { self: idOf(5), newcomer: idOf(1) };
  assert(!isToGive(encounter, KEY, [idOf(4), idOf(6)], 3));
  assert(isToGive(encounter, KEY, [idOf(6)], 3));
});

Deno.test("isToGive gives to everybody as long as there are fewer than k", () => {
  assert(isToGive({ self: idOf(2), newcomer: idOf(200) }, KEY, [idOf(3)], 3));
  assert(isToGive({ self: idOf(2), newcomer: idOf(200) }, KEY, []));
});

Deno.test("itemsFor: a newcomer gets each item once, of all that keep it, if it should have it", () => {
  const random = seededRandom(3);
  const randomId = () => Uint8Array.from({ length: 20 }, () => Math.floor(random() * 256));
  const nodes = Array.from({ length: 40 }, randomId);
  const keys = Array.from({ length: 200 }, randomId);
  const newcomer = randomId();
  const sorted = (key: NodeId, ids: readonly NodeId[]) => {
    return ids.toSorted((a, b) => compareDistance(key, a, b));
  };
  const given = new Map<string, number>();
  for (const self of nodes) {
    const others = nodes.filter((id) => id !== self);
    const nearestTo = (key: NodeId) => sorted(key, others).slice(0, 20);
    const mine = keys.filter((key) => sorted(key, nodes).slice(0, 20).includes(self));
    for (const key of itemsFor({ self, newcomer }, mine, nearestTo)) {
      given.set(key.toHex(), (given.get(key.toHex()) ?? 0) + 1);
    }
  }
  const due = keys.filter((key) =>
    sorted(key, [...nodes, newcomer]).slice(0, 20).includes(newcomer)
  );
  assertEquals([...given.keys()].toSorted(), due.map((key) => key.toHex()).toSorted());
  assertEquals([...new Set(given.values())], [1]);
  assert(due.length > 0 && due.length < keys.length);
});
