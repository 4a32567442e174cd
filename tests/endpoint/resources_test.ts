import { assert, assertEquals, assertThrows } from "@std/assert";
import { ManualClock, seededRandom } from "../../src/clock.ts";
import { MAX_BUCKETS } from "../../src/endpoint/limits.ts";
import { LIMIT_NAMES, type LimitName } from "../../src/endpoint/limits_table.ts";
import {
  countRefusal,
  LinkShare,
  Resources,
  type ResourcesOptions,
  StoredBytes,
} from "../../src/endpoint/resources.ts";
import { LimitError } from "../../src/errors.ts";
import { Metrics } from "../../src/metrics.ts";
import type { Address } from "../../src/transport/transport.ts";

const at = (hostname: string): Address => ({ hostname, port: 50_000 });

/** Resources, and what they counted. */
function resources(limits: ResourcesOptions["limits"] = {}): [Resources, Metrics] {
  const metrics = new Metrics();
  return [new Resources({ limits, metrics, clock: new ManualClock() }), metrics];
}

/** What is in use of each limit of which something is. */
function usedOf(resources: Resources): Partial<Record<LimitName, number>> {
  const rows = resources.describe().flatMap(({ name, used = 0 }) =>
    used === 0 ? [] : [[name, used]]
  );
  return Object.fromEntries(rows);
}

/** The limit that refuses one more connection. */
function refusal(resources: Resources, from?: Address): unknown {
  try {
    resources.checkLink(from);
    return undefined;
  } catch (error) {
    assert(error instanceof LimitError);
    return error.details;
  }
}

Deno.test("Resources counts connections in all, whoever opens them", () => {
  const [all, metrics] = resources({ maxLinks: 3 });
  const held = [undefined, at("127.0.0.1"), at("192.0.2.7")].map((from) => all.holdLink(from));
  const error = assertThrows(() => all.holdLink(), LimitError);
  assertEquals(error.message, "There are 3 links already (maxLinks)");
  assertEquals([error.code, error.details], ["limit", { limit: "maxLinks", max: 3 }]);
  assertEquals(metrics.snapshot(), { "limits.maxLinks": 1 });
  held[1]?.[Symbol.dispose]();
  assertEquals(usedOf(all), { maxLinks: 2, maxLinksPerAddress: 1, maxLinksPerSubnet: 1 });
  assertEquals(refusal(all), undefined);
});

Deno.test("Resources counts connections of one address, and of one subnet, that others open", () => {
  const [all, metrics] = resources({ maxLinksPerAddress: 2, maxLinksPerSubnet: 3 });
  for (const hostname of ["192.0.2.7", "::ffff:192.0.2.7"]) all.holdLink(at(hostname));
  assertEquals(refusal(all, at("192.0.2.7")), { limit: "maxLinksPerAddress", max: 2 });
  all.holdLink(at("192.0.2.8"));
  assertEquals(refusal(all, at("192.0.2.9")), { limit: "maxLinksPerSubnet", max: 3 });
  assertEquals(refusal(all, at("192.0.3.7")), undefined);
  for (const n of [1, 2, 3]) all.holdLink(at(`2001:db8::${n}`));
  assertEquals(refusal(all, at("2001:db8::ffff")), { limit: "maxLinksPerSubnet", max: 3 });
  assertEquals(refusal(all, at("2001:db8:0:1::1")), undefined);
  assertEquals(metrics.snapshot(), {
    "limits.maxLinksPerAddress": 1,
    "limits.maxLinksPerSubnet": 2,
  });
  assertEquals(usedOf(all), { maxLinks: 6, maxLinksPerAddress: 2, maxLinksPerSubnet: 3 });
});

Deno.test("Resources counts hosts that have only a name by that, and this machine's only for all", () => {
  const [all] = resources({ maxLinksPerAddress: 1, maxLinksPerSubnet: 0 });
  all.holdLink(at("bob"));
  assertEquals(refusal(all, at("BOB")), { limit: "maxLinksPerAddress", max: 1 });
  for (const hostname of ["127.0.0.1", "::1", "localhost"]) {
    for (let n = 0; n < 9; n++) all.holdLink(at(hostname));
  }
  assertEquals(usedOf(all), { maxLinks: 28, maxLinksPerAddress: 1 });
  assertEquals(refusal(all, at("192.0.2.1")), { limit: "maxLinksPerSubnet", max: 0 });
});

Deno.test("Resources gives back once what is disposed of twice, and ends at zero whatever the order", () => {
  const [all] = resources();
  const random = seededRandom(70);
  const held: Disposable[] = [];
  for (let step = 0; step < 5_000; step++) {
    if (random() < 0.5 && held.length < 100) {
      const from = at(`192.0.${Math.floor(random() * 4)}.${Math.floor(random() * 4)}`);
      held.push(random() < 0.5 ? all.holdLink(from) : all.share(from));
    } else {
      const [one] = held.splice(Math.floor(random() * held.length), 1);
      one?.[Symbol.dispose]();
      one?.[Symbol.dispose]();
    }
    assertEquals(usedOf(all).maxLinks ?? 0, held.length);
  }
  for (const one of held) one[Symbol.dispose]();
  assertEquals([usedOf(all), all.remembered], [{}, 0]);
});

Deno.test("Resources remembers a bounded number of 100,000 addresses, and none that left in order", () => {
  const clock = new ManualClock();
  const all = new Resources({ clock, limits: { requestsPerSecond: { default: 5 } } });
  const middleware = all.middleware();
  const startedMs = performance.now();
  for (let n = 0; n < 100_000; n++) {
    const from = at(`10.${n >> 16}.${n >> 8 & 255}.${n & 255}`);
    all.holdLink(from)[Symbol.dispose]();
    all.failures.failed(from);
    middleware?.run({}, contextOf(from), () => {});
  }
  assert(all.remembered <= 3 * MAX_BUCKETS, String(all.remembered));
  assertEquals(usedOf(all), {});
  assert(performance.now() - startedMs < 10_000, "it takes constant time for each");
});

Deno.test("Resources tells of what is counted per link what the greediest has", () => {
  const [all] = resources();
  const [one, two] = [all.share(), all.share(at("192.0.2.7"))];
  one.requests = 3;
  one.bytes = 10;
  two.requests = 2;
  two.bytes = 20;
  two.streams = 1;
  two.unreadBytes = () => 7;
  all.gauge("maxHandlers", () => 5);
  const perLink = { maxActiveRequests: 3, maxActiveBytes: 20, maxStreams: 1, maxUnreadBytes: 7 };
  const links = { maxLinks: 2, maxLinksPerAddress: 1, maxLinksPerSubnet: 1 };
  assertEquals(usedOf(all), { ...links, ...perLink, maxHandlers: 5 });
  two[Symbol.dispose]();
  assertEquals(usedOf(all), {
    maxLinks: 1,
    maxActiveRequests: 3,
    maxActiveBytes: 10,
    maxHandlers: 5,
  });
});

Deno.test("Resources describes every limit, with how often it refused something", () => {
  const [all, metrics] = resources({ maxLinks: 0, heartbeatMs: Infinity });
  for (const _ of [1, 2]) refusal(all);
  countRefusal(metrics, new LimitError("limit", "Full", { details: { limit: "maxStreams" } }));
  const rows = all.describe();
  assertEquals(rows.map(({ name }) => name), LIMIT_NAMES);
  assertEquals(rows.filter(({ refused }) => refused !== undefined), [
    { name: "maxLinks", value: 0, default: 512, used: 0, refused: 2 },
    { name: "maxStreams", value: 256, default: 256, used: 0, refused: 1 },
  ]);
  assertEquals(rows.find(({ name }) => name === "heartbeatMs"), {
    name: "heartbeatMs",
    value: null,
    default: 10_000,
  });
});

Deno.test("Resources refuses limits that are none", () => {
  assertThrows(() => resources({ maxLinks: -1 }), RangeError, "maxLinks");
  assertThrows(() => resources({ handshakeMs: NaN }), RangeError, "handshakeMs");
  const unknown = { maxLinks: 1, maxLink: 1 };
  assertThrows(() => resources(unknown), TypeError, "did you mean maxLinks?");
});

Deno.test("Resources takes how many handshakes may fail from the limits", () => {
  const [all] = resources({ failuresPerAddress: 2, failuresPerSubnet: 3 });
  for (const hostname of ["192.0.2.7", "192.0.2.7", "192.0.2.8"]) all.failures.failed(at(hostname));
  assertEquals(
    ["192.0.2.7", "192.0.2.9", "192.0.3.9"].map((host) => all.failures.admit(at(host))?.details),
    [
      { limit: "failuresPerAddress", max: 2 },
      { limit: "failuresPerSubnet", max: 3 },
      undefined,
    ],
  );
});

Deno.test("Resources.middleware lets paced data through, counts who is refused, and is not there for nothing", () => {
  const [all, metrics] = resources({ requestsPerSecond: { default: 1 } });
  const middleware = all.middleware((header) => header === "transfer.data");
  const call = (endpoint: string) =>
    middleware?.run({}, { ...contextOf(at("192.0.2.7")), endpoint, header: endpoint }, () => "ok");
  assertEquals([1, 2, 3].map(() => call("transfer.data")), ["ok", "ok", "ok"]);
  assertEquals([call("a"), call("b")], ["ok", "ok"]);
  assertThrows(() => call("a"), LimitError, 'Cannot call "a"');
  assertEquals(metrics.snapshot(), { "limits.requestsPerSecond": 1 });
  assertEquals(resources()[0].middleware(), undefined);
});

Deno.test("LinkShare refuses a call by the first limit that it would break, and always takes one message", () => {
  const limits = {
    ...resources()[0].limits,
    maxActiveRequests: 2,
    maxActiveBytes: 100,
    maxStreams: 1,
  };
  const share = new LinkShare(limits);
  assertEquals(share.refusal(1_000, true), undefined);
  share.bytes = 60;
  assertEquals(share.refusal(40, false), undefined);
  assertEquals(share.refusal(41, false)?.details, { limit: "maxActiveBytes", max: 100 });
  share.streams = 1;
  assertEquals(share.refusal(1, false), undefined);
  assertEquals(
    share.refusal(1, true)?.message,
    "Cannot call: 1 answers in parts are at work (maxStreams)",
  );
  share.requests = 2;
  assertEquals(share.refusal(41, true)?.details, { limit: "maxActiveRequests", max: 2 });
});

Deno.test("StoredBytes sets aside what is promised, keeps what has come, and frees what will not", () => {
  const metrics = new Metrics();
  const stored = new StoredBytes(100, metrics);
  const [first, second] = [stored.reserve(60), stored.reserve(40)];
  const error = assertThrows(() => stored.reserve(1), LimitError);
  assertEquals(error.message, "Cannot store 1 bytes: 100 of 100 are taken (maxStoredBytes)");
  assertEquals([error.code, error.details], ["limit", { limit: "maxStoredBytes", max: 100 }]);
  stored.reserve(0);
  first.keep(60);
  second.keep(10);
  second.release();
  second.release();
  assertEquals(stored.used, 70);
  stored.check(30);
  assertThrows(() => stored.check(31), LimitError);
  assertEquals(metrics.snapshot(), { "limits.maxStoredBytes": 2 });
});

Deno.test("StoredBytes counts what comes to stay although nobody waited for it any more", () => {
  const stored = new StoredBytes(100);
  const reserved = stored.reserve(50);
  reserved.release();
  assertEquals(stored.used, 0);
  reserved.keep(50);
  assertEquals(stored.used, 50);
});

function contextOf(remote: Address) {
  const [deadlineMs, signal] = [Infinity, new AbortController().signal];
  const who = { remote, via: "udp" as const, peer: undefined, link: undefined };
  return { header: "echo", endpoint: "echo", ...who, deadlineMs, signal };
}
