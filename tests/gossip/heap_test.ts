import { assert, assertEquals } from "@std/assert";
import { seededRandom } from "../../src/clock.ts";
import { Heap, type Placed } from "../../src/gossip/heap.ts";

interface Item extends Placed {
  worth: number;
}

Deno.test("Heap knows the first of all, whatever is put in, changed and taken out", () => {
  const random = seededRandom(17);
  const heap = new Heap<Item>((a, b) => a.worth > b.worth);
  const items: Item[] = Array.from({ length: 60 }, () => ({ worth: 0, place: -1 }));
  let empty = 0;
  for (let i = 0; i < 6_000; i++) {
    const item = items[Math.floor(random() * (i % 600 < 300 ? 60 : 3))];
    if (item === undefined) break;
    if (item.place >= 0 && random() < 0.5) {
      heap.remove(item);
      assertEquals(item.place, -1);
    } else {
      item.worth = random();
      heap.put(item);
    }
    const within = items.filter(({ place }) => place >= 0);
    assertEquals(within.map(({ place }) => place).sort((a, b) => a - b), [...within.keys()]);
    assertEquals(heap.first?.worth, within.length === 0 ? undefined : worthiest(within));
    if (i % 1_000 !== 999) continue;
    for (const one of within) heap.remove(one);
    assertEquals(heap.first, undefined);
    empty++;
  }
  assert(empty === 6);
});

function worthiest(items: readonly Item[]): number {
  return Math.max(...items.map(({ worth }) => worth));
}
