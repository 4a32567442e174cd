import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import {
  DEFAULT_LIMITS,
  describeLimits,
  type EndpointLimits,
  type Limit,
  LIMIT_NAMES,
  LIMITS,
  limitsManual,
} from "../../src/endpoint/limits_table.ts";
import { encodeJson } from "../../src/wire/json.ts";

Deno.test("LIMITS says of every limit what it is, within its own range", () => {
  const reasons = new Set<string>();
  for (const name of LIMIT_NAMES) {
    const { default: value, least, most, unit, reason }: Limit = LIMITS[name];
    assertMatch(name, /^[a-z]+[A-Za-z]+$/);
    assert(least >= 0 && least < most, name);
    if (typeof value === "number") assert(value >= least && value <= most, name);
    else assertEquals([value, unit], [{}, "calls/s"], name);
    assert(/^[A-Z][^|]{19,}[^.]$/.test(reason) && reason.length < 100, `${name}: ${reason}`);
    reasons.add(reason);
  }
  assertEquals(reasons.size, LIMIT_NAMES.length);
});

Deno.test("DEFAULT_LIMITS are those that people know by name", () => {
  assertEquals(DEFAULT_LIMITS, {
    maxLinks: 512,
    maxLinksPerAddress: 64,
    maxLinksPerSubnet: 128,
    maxPendingHandshakes: 256,
    handshakeMs: 6_000,
    failuresPerAddress: 32,
    failuresPerSubnet: 256,
    maxFrameBytes: 16_777_216,
    maxHandlers: 4_096,
    maxActiveRequests: 1_024,
    maxActiveBytes: 67_108_864,
    maxStreams: 256,
    maxUnreadBytes: 67_108_864,
    heartbeatMs: 10_000,
    maxStoredBytes: Infinity,
    requestsPerSecond: {},
  });
});

Deno.test("EndpointLimits has the type of each limit", () => {
  const limits: EndpointLimits = { maxLinks: 1, requestsPerSecond: { default: 5 } };
  // @ts-expect-error: there is no such limit
  const unknown: EndpointLimits = { maxLink: 1 };
  // @ts-expect-error: it is a number
  const text: EndpointLimits = { maxLinks: "1" };
  // @ts-expect-error: it has a number for each endpoint
  const rate: EndpointLimits = { requestsPerSecond: 5 };
  assertNotEquals([limits, unknown], [text, rate]);
});

Deno.test("describeLimits tells value, default, and what is known of use, in the table's order", () => {
  const limits = { ...DEFAULT_LIMITS, maxLinks: 2, requestsPerSecond: { echo: 9 } };
  const rows = describeLimits(limits, {
    used: (name) => name === "maxLinks" ? 0 : undefined,
    refused: (name) => name === "maxStoredBytes" ? 3 : 0,
  });
  assertEquals(rows.map(({ name }) => name), LIMIT_NAMES);
  const byName = Object.fromEntries(rows.map((row) => [row.name, row]));
  assertEquals(byName.maxLinks, { name: "maxLinks", value: 2, default: 512, used: 0 });
  assertEquals(byName.requestsPerSecond?.value, { echo: 9 });
  assertEquals(byName.maxStoredBytes, {
    name: "maxStoredBytes",
    value: null,
    default: null,
    refused: 3,
  });
});

Deno.test("describeLimits is plain data for JSON, whatever the limits", () => {
  const endless = { ...DEFAULT_LIMITS, heartbeatMs: Infinity };
  assertEquals(JSON.parse(encodeJson(describeLimits(endless))), describeLimits(endless));
});

Deno.test("limitsManual has a row with name, default and reason for every limit", () => {
  const [, , ...rows] = limitsManual().split("\n");
  assertEquals(rows.length, LIMIT_NAMES.length);
  for (const [at, name] of LIMIT_NAMES.entries()) {
    const { reason }: Limit = LIMITS[name];
    assertMatch(rows[at] ?? "", /^\| `\w+` \| (none|[\d,]+ [a-z]+) \| .+ \|$/);
    assert(rows[at]?.startsWith(`| \`${name}\` | `) && rows[at].endsWith(`| ${reason} |`), name);
  }
  assert(rows.some((row) => row.includes("| 16,777,216 bytes |")));
});
