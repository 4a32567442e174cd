import { assert, assertEquals } from "@std/assert";
import type { DnsQuestion, DnsRecord } from "../../../src/discovery/mdns/dns_record.ts";
import type { Address } from "../../../src/transport/mod.ts";
import { ANNOUNCED_MS, type Heard, Lan, recordsOf, SERVICE, typesOf } from "./mdns_fixture.ts";

const ALICE: Address = { hostname: "10.0.0.1", port: 5353 };
const INSTANCE = ["aa", ...SERVICE];
const OWN_PTR: DnsRecord = {
  type: "PTR",
  name: SERVICE,
  target: INSTANCE,
  ttlS: 600,
  flush: false,
};

const ASKED: DnsQuestion[] = [
  { name: INSTANCE, type: "ANY", unicast: false },
  { name: ["aa", "local"], type: "ANY", unicast: false },
];

/** A peer that announced itself a while ago, and somebody on its network. */
async function scene(lan: Lan, port?: number) {
  await lan.announce(ALICE.hostname, "aa");
  await lan.clock.advance(10_000);
  return await lan.stranger("10.0.0.9", port);
}

Deno.test("MdnsResponder asks three times whether its names are free, then announces twice", async () => {
  await using lan = new Lan();
  const stranger = await lan.stranger("10.0.0.9");
  await lan.announce(ALICE.hostname, "aa");
  await lan.clock.advance(5_000);
  const probes = stranger.heard.filter(({ response }) => !response);
  const announcements = stranger.heard.filter(({ response }) => response);
  assertEquals(
    probes.map(({ questions }) => questions),
    [ASKED, ASKED, ASKED],
  );
  assertEquals(typesOf(probes[0]?.authorities), ["SRV", "TXT", "A"]);
  assertEquals(announcements.map(({ answers }) => typesOf(answers)), [
    ["PTR", "PTR", "SRV", "TXT", "A"],
    ["PTR", "PTR", "SRV", "TXT", "A"],
  ]);
  const [first, second, third, ...said] = stranger.heard.map(({ atMs }) => Math.round(atMs));
  const start = first ?? -1;
  assert(start >= 0 && start <= 250);
  assertEquals([second, third, ...said].map((atMs) => (atMs ?? 0) - start), [
    250,
    500,
    750,
    1_750,
  ]);
});

Deno.test("MdnsResponder says nothing before its names are known to be free", async () => {
  await using lan = new Lan();
  const stranger = await lan.stranger("10.0.0.9");
  await lan.open(ALICE.hostname, { announce: { tcpPort: 1 }, newLabel: () => "aa" });
  await stranger.ask({ unicast: true });
  await stranger.ask({});
  await lan.clock.advance(600);
  assertEquals(stranger.answers(), []);
});

Deno.test("MdnsResponder takes another name where somebody claims it at the same time", async () => {
  await using lan = new Lan();
  const stranger = await lan.stranger("10.0.0.9");
  let labels = 0;
  const alice = await lan.open(ALICE.hostname, {
    announce: { tcpPort: 1 },
    newLabel: () => `label-${labels++}`,
  });
  await lan.clock.advance(300);
  const { srv } = recordsOf("label-0");
  await stranger.say({
    questions: [{ name: srv.name, type: "ANY", unicast: true }],
    authorities: [srv],
  });
  await lan.clock.advance(1);
  assertEquals(alice.label, "label-1");
  // Once it is announced, it defends its name instead.
  await lan.clock.advance(5_000);
  stranger.answers();
  const rival = recordsOf("label-1").srv;
  await stranger.say({
    questions: [{ name: rival.name, type: "ANY", unicast: true }],
    authorities: [rival],
  });
  assertEquals(alice.label, "label-1");
  await lan.clock.advance(1);
  assertEquals(typesOf(stranger.answers()[0]?.answers), ["SRV", "TXT"]);
});

Deno.test("MdnsResponder answers the group, a moment later, with all that will be asked next", async () => {
  await using lan = new Lan();
  const stranger = await scene(lan);
  const askedMs = lan.clock.now();
  await stranger.ask({});
  await lan.clock.advance(1_000);
  const [answer, ...more] = stranger.answers();
  assertEquals(more, []);
  assertEquals(answer?.answers, [OWN_PTR]);
  assertEquals(typesOf(answer?.additionals), ["SRV", "TXT", "A"]);
  assertEquals([answer?.id, answer?.questions], [0, []]);
  const waitedMs = (answer?.atMs ?? 0) - askedMs;
  assert(waitedMs >= 20 && waitedMs <= 120, `${waitedMs} ms`);
});

Deno.test("MdnsResponder answers each question it can, whatever the case of its name", async () => {
  await using lan = new Lan();
  const stranger = await scene(lan);
  const cases: [
    name: string[],
    type: "PTR" | "SRV" | "TXT" | "A" | "AAAA" | "ANY",
    types: string[],
  ][] = [
    [["_KITH", "_tcp", "LOCAL"], "PTR", ["PTR"]],
    [["_services", "_dns-sd", "_udp", "local"], "PTR", ["PTR"]],
    [INSTANCE, "SRV", ["SRV"]],
    [INSTANCE, "TXT", ["TXT"]],
    [INSTANCE, "ANY", ["SRV", "TXT"]],
    [["AA", "local"], "A", ["A"]],
    [["aa", "local"], "AAAA", []],
    [["aa", "local"], "SRV", []],
    [["bb", "local"], "A", []],
    [["_http", "_tcp", "local"], "PTR", []],
  ];
  for (const [name, type, types] of cases) {
    await lan.clock.advance(2_000);
    stranger.answers();
    await stranger.ask({ name, type });
    await lan.clock.advance(200);
    assertEquals(stranger.answers().flatMap(({ answers }) => typesOf(answers)), types, name.join());
  }
});

Deno.test("MdnsResponder sends each record to the group once a second at most, and then to all who wait", async () => {
  await using lan = new Lan();
  const stranger = await scene(lan);
  const startMs = lan.clock.now();
  for (let i = 0; i < 300; i++) {
    await stranger.ask({});
    await lan.clock.advance(10);
  }
  await lan.clock.advance(1_000);
  const said = stranger.answers();
  for (const type of ["PTR", "SRV", "TXT", "A"]) {
    const times = timesOf(said, type);
    assert(times.length >= 3, `${type} was said ${times.length} times`);
    const gaps = times.slice(1).map((atMs, i) => atMs - (times[i] ?? 0));
    assert(Math.min(...gaps) >= 1_000, `${type}: ${gaps}`);
  }
  assert((said.at(-1)?.atMs ?? 0) - startMs > 3_000, "the last who asked was not answered");
});

Deno.test("MdnsResponder does not repeat what the asker knows well", async () => {
  await using lan = new Lan();
  const stranger = await scene(lan);
  await stranger.ask({}, { answers: [{ ...OWN_PTR, ttlS: 300 }] });
  await stranger.ask({ unicast: true }, { answers: [{ ...OWN_PTR, ttlS: 300 }] });
  await lan.clock.advance(500);
  assertEquals(stranger.answers(), []);
  await stranger.ask({}, { answers: [{ ...OWN_PTR, ttlS: 299 }] });
  await lan.clock.advance(500);
  assertEquals(stranger.answers().length, 1, "it is about to be forgotten");
});

Deno.test("MdnsResponder waits for known answers that follow, unless somebody else asks too", async () => {
  await using lan = new Lan();
  const stranger = await scene(lan);
  await stranger.ask({}, { truncated: true });
  await lan.clock.advance(300);
  await stranger.say({ answers: [OWN_PTR] });
  await lan.clock.advance(500);
  assertEquals(stranger.answers(), []);
  const other = await lan.stranger("10.0.0.8");
  await stranger.ask({}, { truncated: true });
  await other.ask({});
  await stranger.say({ answers: [OWN_PTR] });
  await lan.clock.advance(130);
  assertEquals(stranger.answers().length, 1);
});

Deno.test("MdnsResponder leaves out what somebody else has just said", async () => {
  await using lan = new Lan();
  const stranger = await scene(lan);
  const services = ["_services", "_dns-sd", "_udp", "local"];
  await stranger.ask({ name: services });
  await stranger.say({
    response: true,
    answers: [{ type: "PTR", name: services, target: SERVICE, ttlS: 600, flush: false }],
  });
  await lan.clock.advance(500);
  assertEquals(stranger.answers().filter(({ from }) => from.hostname === ALICE.hostname), []);
});

Deno.test("MdnsResponder answers who wants it by unicast there and nowhere else", async () => {
  await using lan = new Lan();
  const stranger = await scene(lan);
  const bystander = await lan.stranger("10.0.0.8");
  await stranger.ask({ unicast: true });
  await lan.clock.advance(500);
  const [answer] = stranger.answers();
  assertEquals([answer?.from, answer?.answers], [ALICE, [OWN_PTR]]);
  assertEquals(bystander.answers(), []);
});

Deno.test("MdnsResponder answers an ordinary resolver with its id and question, for ten seconds", async () => {
  await using lan = new Lan();
  const resolver = await scene(lan, 40_000);
  const bystander = await lan.stranger("10.0.0.8");
  await resolver.ask({}, { id: 7 });
  await lan.clock.advance(500);
  const [answer] = resolver.answers();
  assertEquals([answer?.id, answer?.questions], [7, [{
    name: SERVICE,
    type: "PTR",
    unicast: false,
  }]]);
  const records = [...answer?.answers ?? [], ...answer?.additionals ?? []];
  assertEquals(records.map(({ type, ttlS, flush }) => [type, ttlS, flush]), [
    ["PTR", 10, false],
    ["SRV", 10, false],
    ["TXT", 10, false],
    ["A", 10, false],
  ]);
  assertEquals(bystander.answers(), []);
});

Deno.test("MdnsResponder sends no address more than a ration of answers, larger than the questions as they are", async () => {
  await using lan = new Lan();
  const resolver = await scene(lan, 40_000);
  for (let i = 0; i < 500; i++) {
    await resolver.ask({});
    await lan.clock.advance(2);
  }
  const answers = resolver.answers();
  assertEquals(answers.length, 24, "20 at once, and 5 a second");
  assertEquals(lan.counted("mdns.rate"), 476);
  assert(Math.max(...answers.map(({ bytes }) => bytes.length)) <= 200);
  const another = await lan.stranger("10.0.0.8", 40_000);
  await another.ask({});
  await lan.clock.advance(1);
  assertEquals(another.answers().length, 1, "others have their own");
});

Deno.test("MdnsResponder rations answers to all addresses together, which can be forged", async () => {
  await using lan = new Lan();
  await scene(lan);
  for (let i = 0; i < 250; i++) {
    const forged = await lan.stranger(`10.0.0.${i % 50 + 100}`, 20_000 + i);
    await forged.ask({});
  }
  await lan.clock.advance(1);
  assertEquals(lan.counted("mdns.rate"), 50);
});

Deno.test("MdnsResponder takes back on closing what is only its own", async () => {
  await using lan = new Lan();
  const alice = await lan.announce(ALICE.hostname, "aa");
  const stranger = await lan.stranger("10.0.0.9");
  await alice.close();
  await lan.clock.advance(1);
  const [goodbye, ...more] = stranger.answers();
  assertEquals(more, []);
  assertEquals(goodbye?.answers.map(({ type, ttlS }) => [type, ttlS]), [
    ["PTR", 0],
    ["SRV", 0],
    ["TXT", 0],
    ["A", 0],
  ]);
  assertEquals(goodbye?.answers[0]?.name, SERVICE);
  const early = await lan.open("10.0.0.2", { announce: { tcpPort: 1 } });
  await lan.clock.advance(ANNOUNCED_MS - 900);
  await early.close();
  await lan.clock.advance(1);
  assertEquals(stranger.answers(), [], "it had said nothing");
});

function timesOf(said: readonly Heard[], wanted: string): number[] {
  return said.filter(({ answers, additionals }) =>
    [...answers, ...additionals].some(({ type, name }) =>
      type === wanted && (type !== "PTR" || name[0] === "_kith")
    )
  ).map(({ atMs }) => atMs);
}
