import { assertEquals, assertStrictEquals } from "@std/assert";
import { Metrics } from "../src/metrics.ts";

Deno.test("Metrics counts by name, and shows what is not zero in order", () => {
  const metrics = new Metrics();
  metrics.counter("link.too-large").add();
  metrics.counter("accept.linked").add(3);
  metrics.counter("accept.linked").add();
  assertEquals(metrics.counter("never").value, 0);
  const snapshot = metrics.snapshot();
  assertEquals(Object.entries(snapshot), [["accept.linked", 4], ["link.too-large", 1]]);
  metrics.counter("accept.linked").add();
  assertEquals(snapshot["accept.linked"], 4);
});

Deno.test("Metrics gives the same counter for the same name, whatever the name", () => {
  const metrics = new Metrics();
  for (const name of ["a", "", "__proto__", "constructor"]) {
    assertStrictEquals(metrics.counter(name), metrics.counter(name));
    metrics.counter(name).add();
  }
  assertEquals(Object.keys(metrics.snapshot()), ["", "__proto__", "a", "constructor"]);
  assertEquals(new Metrics().snapshot(), {});
});
