import { assertEquals, assertThrows } from "@std/assert";
import { seededRandom } from "../../src/clock.ts";
import { writeMetrics } from "../../src/status/metrics_text.ts";
import type { Figure } from "../../src/status/source.ts";
import { readMetrics } from "./prometheus.ts";

function gauge(name: string, value: Figure["value"], help = "Help"): Figure {
  return { name, help, type: "gauge", value };
}

Deno.test("writeMetrics writes counters and figures, sorted, each with help and type", () => {
  const figures = [gauge("members", { label: "state", values: { alive: 2, dead: 0 } }, "Members")];
  assertEquals(
    writeMetrics({ "link.stale": 3, "accept.refused.too-large": 1 }, figures),
    `# HELP kith_accept_refused_too_large_total Counter accept.refused.too-large of kith
# TYPE kith_accept_refused_too_large_total counter
kith_accept_refused_too_large_total 1
# HELP kith_link_stale_total Counter link.stale of kith
# TYPE kith_link_stale_total counter
kith_link_stale_total 3
# HELP kith_members Members
# TYPE kith_members gauge
kith_members{state="alive"} 2
kith_members{state="dead"} 0
`,
  );
  assertEquals(writeMetrics({}), "");
});

Deno.test("writeMetrics adds counters up whose names become one, and has no name twice", () => {
  const text = writeMetrics({ "a.b-c": 1, "a.b.c": 2, "9.X": 4 }, [
    gauge("g", 1),
    gauge("g", 7),
    gauge("none", { label: "l", values: {} }),
  ]);
  const read = readMetrics(text);
  assertEquals([...read].map(([name, { samples }]) => [name, samples.get("")]), [
    ["kith_a_b_c_total", 3],
    ["kith_g", 7],
    ["kith_x9_x_total", 4],
  ]);
});

Deno.test("writeMetrics keeps whatever stands in names, labels and help from becoming lines of its own", () => {
  const evil = 'x"} 1\n# TYPE y gauge\ny 2\r\n\\';
  const figures = [gauge(evil, { label: evil, values: { [evil]: 5 } }, evil)];
  const [[name, metric] = ["", undefined], ...more] = readMetrics(
    writeMetrics({ [evil]: 1 }, figures),
  );
  assertEquals([name, metric?.type, metric?.samples.size, more.length], [
    "kith_x_1_type_y_gauge_y_2_",
    "gauge",
    1,
    1,
  ]);
  const random = seededRandom(7);
  for (let round = 0; round < 300; round++) {
    const text = Array.from({ length: 12 }, () => {
      return String.fromCharCode(Math.floor(random() * (random() < 0.7 ? 128 : 0x3000)));
    }).join("");
    // Control characters of help and labels that are not line ends come from nobody but us.
    // deno-lint-ignore no-control-regex -- see above
    const clean = text.replaceAll(/[\u0000-\u0009\u000b\u000c\u000e-\u001f\u007f-\u009f]/g, "");
    const values = {
      [clean]: random() * 10 ** Math.floor(random() * 40 - 20),
      b: Infinity,
      c: NaN,
    };
    const written = writeMetrics({ [clean]: 1 }, [
      gauge(clean, { label: clean, values }, clean),
      gauge(`${clean}x`, -Infinity),
    ]);
    readMetrics(written);
  }
});

Deno.test("readMetrics refuses what a scraper might", () => {
  const head = "# HELP kith_a h\n# TYPE kith_a gauge\n";
  readMetrics(`${head}kith_a 1\n`);
  for (
    const wrong of [
      "kith_a 1\n",
      `${head}kith_a 1`,
      head,
      `${head}kith_a 1\nkith_a 1\n`,
      `${head}kith_a{b="c} 1\n`,
      `${head}kith_a{b="\\q"} 1\n`,
      `${head}kith_a 1 \n`,
      `${head}kith_a 1\n${head}kith_a 2\n`,
      "# HELP kith_a h\n# TYPE kith_a counter\nkith_a 1\n",
      `${head}kith_a 1\n\n`,
    ]
  ) assertThrows(() => readMetrics(wrong), Error, undefined, wrong);
});
