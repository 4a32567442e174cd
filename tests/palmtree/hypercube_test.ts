import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  forwardWindow,
  hypercube,
  MAX_PARTICIPANTS,
  neighborsOf,
} from "../../src/palmtree/hypercube.ts";
import { loadVectors } from "../testdata/vectors.ts";

interface WindowCase {
  readonly neighbours: string[];
  readonly fanout: number;
  readonly window_start: number;
  readonly already_active_outgoing: string[];
  readonly sender: string;
  readonly sent_to_sorted: string[];
  readonly new_window_index: number;
}

Deno.test("hypercube gives the neighbours that the originals do", () => {
  const vectors = loadVectors("peerconnect.palm.hypercube");
  for (const { name, value } of vectors) {
    const { adjacency } = value as { adjacency: number[][] };
    assertEquals(hypercube(adjacency.length), adjacency, name);
  }
  assertEquals(vectors.length, 14);
});

Deno.test("forwardWindow asks whom the originals do", () => {
  const vectors = loadVectors("peerconnect.palm.forward_window");
  for (const { name, value } of vectors) {
    const { neighbours, sender, ...rest } = value as WindowCase;
    const active = rest.already_active_outgoing;
    const state = { fanout: rest.fanout, start: rest.window_start, online: active.length };
    const { candidates, next } = forwardWindow(neighbours, state, (peerId) => {
      return peerId === sender || active.includes(peerId);
    });
    assertEquals(candidates.toSorted(), rest.sent_to_sorted, name);
    assertEquals(next, rest.new_window_index, name);
  }
  assertEquals(vectors.length, 12);
});

Deno.test("hypercube links everybody, each to the others alike, by few steps", () => {
  for (const count of [1, 2, 3, 5, 31, 33, 100]) {
    const neighbors = hypercube(count);
    neighbors.forEach((places, place) => {
      for (const other of places) assert(neighbors[other]?.includes(place));
      assert(places.length <= Math.ceil(Math.log2(count)));
    });
    const steps = new Map([[0, 0]]);
    for (const [place, far] of steps) {
      for (const other of neighbors[place] ?? []) {
        if (!steps.has(other)) steps.set(other, far + 1);
      }
    }
    assertEquals(steps.size, count);
    assert(Math.max(...steps.values()) <= Math.ceil(Math.log2(count)));
  }
});

Deno.test("neighborsOf refuses places that are not in the list", () => {
  for (const [index, count] of [[0, 0], [1, 1], [-1, 4], [0.5, 4], [0, MAX_PARTICIPANTS + 1]]) {
    assertThrows(() => neighborsOf(index ?? 0, count ?? 0), RangeError);
  }
});

Deno.test("forwardWindow stands still for who has children enough, and never runs backwards out of the list", () => {
  const state = { fanout: 1, start: 0, online: 5 };
  assertEquals(forwardWindow(["a", "b"], state, () => false), { candidates: ["a"], next: 0 });
});
