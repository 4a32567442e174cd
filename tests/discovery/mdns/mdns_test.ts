import { assert, assertEquals, assertRejects } from "@std/assert";
import { homedir, hostname, userInfo } from "node:os";
import type { CandidateSource } from "../../../src/discovery/candidates.ts";
import { type LocalInterface, localInterfaces } from "../../../src/discovery/interfaces.ts";
import { Mdns } from "../../../src/discovery/mdns/mdns.ts";
import { ClosedError, UnsupportedError } from "../../../src/errors.ts";
import { netTransport, openDatagram } from "../../../src/transport/mod.ts";
import {
  ANNOUNCED_MS,
  GROUP,
  interfaceOf,
  Lan,
  Looking,
  recordsOf,
  SERVICE,
  typesOf,
} from "./mdns_fixture.ts";

const PEER_ID = "00112233445566778899aabbccddeeff00112233";

Deno.test("Mdns finds who announces, where it is and what it says", async () => {
  await using lan = new Lan();
  await lan.announce("10.0.0.1", "aa", {
    announce: { tcpPort: 1111, peerId: PEER_ID, name: "ann" },
  });
  await lan.announce("10.0.0.2", "bb", { announce: { tcpPort: 2222 } });
  const carol = await lan.open("10.0.0.3");
  assertEquals(await lan.find(carol), [
    {
      label: "aa",
      peerId: PEER_ID,
      name: "ann",
      address: { hostname: "10.0.0.1", port: 1111 },
    },
    { label: "bb", name: "", address: { hostname: "10.0.0.2", port: 2222 } },
  ]);
  assertEquals([carol.label, carol.links], [undefined, ["10.0.0.3 on eth0"]]);
});

Deno.test("Mdns is a source of candidates", async () => {
  await using lan = new Lan();
  const source: CandidateSource = await lan.open("10.0.0.1");
  assertEquals(source.method, "mdns");
});

Deno.test("Mdns does not find itself, but a second peer on the same host", async () => {
  await using lan = new Lan();
  const first = await lan.announce("10.0.0.1", "aa");
  await lan.announce("10.0.0.1", "bb");
  // What is answered to the host alone reaches only one of the two; the second question is to all.
  assertEquals((await lan.find(first, 2_200)).map(({ label }) => label), ["bb"]);
});

Deno.test("Mdns finds who starts while it looks, at once", async () => {
  await using lan = new Lan();
  using looking = new Looking(await lan.open("10.0.0.1"));
  await lan.clock.advance(40_000);
  await lan.announce("10.0.0.2", "bb");
  assertEquals((await looking.end()).map(({ label }) => label), ["bb"]);
});

Deno.test("Mdns gives a peer once, and again after it said goodbye and came back", async () => {
  await using lan = new Lan();
  using looking = new Looking(await lan.open("10.0.0.1"));
  const bob = await lan.announce("10.0.0.2", "bb");
  await lan.clock.advance(300_000);
  assertEquals(looking.found.length, 1);
  await bob.close();
  await lan.clock.advance(5_000);
  await lan.announce("10.0.0.2", "bb");
  assertEquals((await looking.end()).length, 2);
});

Deno.test("Mdns goes on to know who does not say goodbye until its time is over", async () => {
  await using lan = new Lan();
  const stranger = await lan.stranger("10.0.0.9");
  using looking = new Looking(await lan.open("10.0.0.1"));
  const { ptr, srv, txt, a } = recordsOf("zz");
  const say = () => stranger.say({ response: true, answers: [ptr], additionals: [srv, txt, a] });
  await say();
  await lan.clock.advance(119_000);
  await say();
  await lan.clock.advance(2_000);
  assertEquals(looking.found.length, 1);
  await lan.clock.advance(120_000);
  await say();
  await lan.clock.advance(1);
  assertEquals((await looking.end()).length, 2);
});

Deno.test("Mdns announces nothing that names the host, its user or the peer", async () => {
  await using lan = new Lan();
  const stranger = await lan.stranger("10.0.0.9");
  const alice = await lan.open("10.0.0.1", { announce: { tcpPort: 3485 } });
  await lan.clock.advance(5_000);
  await stranger.ask({});
  await lan.clock.advance(500);
  await alice.close();
  await lan.clock.advance(1);
  const all = stranger.heard.map(({ bytes }) => new TextDecoder("latin1").decode(bytes)).join();
  assert(all.includes(alice.label ?? "none"), "nothing was announced");
  for (const secret of [hostname(), userInfo().username, homedir(), PEER_ID]) {
    assert(secret.length < 3 || !all.includes(secret), `${secret} was announced`);
  }
  assert(/^[0-9a-f]{16}$/.test(alice.label ?? ""));
});

Deno.test("Mdns takes another label every ten minutes, and takes the one before back", async () => {
  await using lan = new Lan();
  let labels = 0;
  const alice = await lan.announce("10.0.0.1", "", { newLabel: () => `label-${labels++}` });
  assertEquals(alice.label, "label-0");
  using looking = new Looking(await lan.open("10.0.0.2"));
  const stranger = await lan.stranger("10.0.0.9");
  await lan.clock.advance(600_000);
  assertEquals(alice.label, "label-1");
  const goodbyes = stranger.answers().flatMap(({ answers }) => answers)
    .filter(({ ttlS }) => ttlS === 0);
  assertEquals(typesOf(goodbyes), ["PTR", "SRV", "TXT", "A"]);
  assertEquals((await looking.end()).map(({ label }) => label), ["label-0", "label-1"]);
});

Deno.test("Mdns takes another label when somebody else has its own, and not for ever", async () => {
  await using lan = new Lan();
  let labels = 0;
  const alice = await lan.announce("10.0.0.1", "", { newLabel: () => `label-${labels++}` });
  const mallory = await lan.stranger("10.0.0.9");
  const claim = async () => {
    const { srv } = recordsOf(alice.label ?? "");
    await mallory.say({ response: true, answers: [srv] });
    await lan.clock.advance(1);
  };
  await claim();
  assertEquals(alice.label, "label-1");
  for (let i = 0; i < 30; i++) await claim();
  assertEquals(alice.label, "label-15");
  assertEquals(lan.counted("mdns.conflicts") >= 15, true);
  await lan.clock.advance(6_000);
  using looking = new Looking(await lan.open("10.0.0.2"));
  await lan.clock.advance(1_000);
  assertEquals((await looking.end()).map(({ label }) => label), ["label-16"]);
});

Deno.test("Mdns does not take what it hears of itself on another link for a conflict", async () => {
  await using lan = new Lan();
  const alice = await lan.open("10.0.0.1", {
    announce: { tcpPort: 3485 },
    interfaces: () => [interfaceOf("10.0.0.1"), interfaceOf("127.0.0.1", { name: "lo" })],
  });
  const { label } = alice;
  await lan.clock.advance(5_000);
  assertEquals([alice.label, lan.counted("mdns.conflicts")], [label, 0]);
});

Deno.test("Mdns answers no packet from another network, and believes none", async () => {
  await using lan = new Lan();
  const alice = await lan.announce("10.0.0.1", "aa");
  using looking = new Looking(alice);
  const far = await lan.stranger("192.0.2.9");
  await far.ask({ unicast: true });
  await far.ask({});
  const { ptr, srv, txt, a } = recordsOf("zz");
  await far.say({ response: true, answers: [ptr, srv, txt, a] });
  await lan.clock.advance(500);
  assertEquals(far.heard.filter(({ from }) => from.hostname === "10.0.0.1"), []);
  assertEquals(lan.counted("mdns.off-link"), 3);
  assertEquals(await looking.end(), []);
});

Deno.test("Mdns believes no address outside the network that an answer came from", async () => {
  await using lan = new Lan();
  const stranger = await lan.stranger("10.0.0.9");
  using looking = new Looking(await lan.open("10.0.0.1"));
  for (const [i, address] of ["192.0.2.1", "10.0.1.1", "127.0.0.1", "10.0.0.77"].entries()) {
    const { ptr, srv, txt, a } = recordsOf(`z${i}`, { address });
    await stranger.say({ response: true, answers: [ptr, srv, txt, a] });
  }
  await lan.clock.advance(1);
  assertEquals((await looking.end()).map(({ address }) => address.hostname), ["10.0.0.77"]);
});

Deno.test("Mdns finds nobody who says something of another version, or nothing of the kind", async () => {
  await using lan = new Lan();
  const stranger = await lan.stranger("10.0.0.9");
  using looking = new Looking(await lan.open("10.0.0.1"));
  const texts = [["v=2"], [], ["V=1", "v=2", "ID=nobody", `name=${"n".repeat(200)}`, "=x", "flag"]];
  for (const [i, strings] of texts.entries()) {
    const { ptr, srv, txt, a } = recordsOf(`z${i}`);
    await stranger.say({ response: true, answers: [ptr, srv, { ...txt, strings }, a] });
  }
  await lan.clock.advance(1);
  assertEquals(await looking.end(), [{
    label: "z2",
    name: "n".repeat(192),
    address: { hostname: "10.0.0.9", port: 4444 },
  }]);
});

Deno.test("Mdns believes no answer that comes from another port", async () => {
  await using lan = new Lan();
  const stranger = await lan.stranger("10.0.0.9", 5354);
  using looking = new Looking(await lan.open("10.0.0.1"));
  const { ptr, srv, txt, a } = recordsOf("zz");
  await stranger.say({ response: true, answers: [ptr, srv, txt, a] });
  await lan.clock.advance(1);
  assertEquals(await looking.end(), []);
});

Deno.test("Mdns asks for what was not said along, and finds whose answer comes in parts", async () => {
  await using lan = new Lan();
  const stranger = await lan.stranger("10.0.0.9");
  using looking = new Looking(await lan.open("10.0.0.1"));
  await lan.clock.advance(1);
  const { ptr, srv, txt, a } = recordsOf("zz");
  stranger.queries();
  await stranger.say({ response: true, answers: [ptr] });
  await lan.clock.advance(200);
  assertEquals(stranger.queries()[0]?.questions, [
    { name: txt.name, type: "TXT", unicast: false },
    { name: srv.name, type: "SRV", unicast: false },
  ]);
  await stranger.say({ response: true, answers: [srv] });
  await stranger.say({ response: true, answers: [a] });
  await stranger.say({ response: true, answers: [txt] });
  await lan.clock.advance(1);
  assertEquals((await looking.end()).length, 1);
});

Deno.test("Mdns asks seldom, and less when it knows who is there", async () => {
  await using lan = new Lan();
  const stranger = await lan.stranger("10.0.0.9");
  using looking = new Looking(await lan.open("10.0.0.1"));
  await lan.clock.advance(130_000);
  const asked = stranger.queries();
  assertEquals(asked.map(({ atMs }) => atMs / 1_000), [0, 1, 3, 7, 15, 31, 63, 123]);
  assertEquals(asked[0]?.questions, [{ name: SERVICE, type: "PTR", unicast: true }]);
  assertEquals(asked[1]?.questions, [{ name: SERVICE, type: "PTR", unicast: false }]);
  for (let i = 0; i < 20; i++) {
    const { ptr, srv, txt, a } = recordsOf(`z${i}`);
    await stranger.say({ response: true, answers: [ptr, srv, txt, a] });
  }
  await lan.clock.advance(54_000);
  const [first, second] = stranger.queries();
  assertEquals([first?.truncated, first?.answers.length], [true, 14]);
  assertEquals([second?.truncated, second?.answers.length], [false, 6]);
  assertEquals(second?.questions, []);
  assert((first?.answers[0]?.ttlS ?? 0) > 60);
  assertEquals((await looking.end()).length, 20);
});

Deno.test("Mdns has those answer again whom it will soon have forgotten", async () => {
  await using lan = new Lan();
  const stranger = await lan.stranger("10.0.0.9");
  using _looking = new Looking(await lan.open("10.0.0.1"));
  await lan.clock.advance(10_000);
  await stranger.say({ response: true, answers: [{ ...recordsOf("zz").ptr, ttlS: 100 }] });
  await lan.clock.advance(1_000);
  stranger.queries();
  await lan.clock.advance(60_000);
  const asked = stranger.queries();
  assertEquals(asked.map(({ atMs }) => atMs / 1_000), [15, 31, 63]);
  assertEquals(asked.map(({ answers }) => answers.map(({ ttlS }) => ttlS)), [[95], [79], []]);
});

Deno.test("Mdns keeps nothing that is not about peers", async () => {
  await using lan = new Lan();
  const stranger = await lan.stranger("10.0.0.9");
  using looking = new Looking(await lan.open("10.0.0.1"));
  for (let i = 0; i < 20; i++) {
    const answers = Array.from({ length: 50 }, (_, at) => recordsOf(`other ${i} ${at}`).a);
    await stranger.say({ response: true, answers });
  }
  const { ptr, srv, txt, a } = recordsOf("zz");
  await stranger.say({ response: true, answers: [a, txt, srv, ptr] });
  await lan.clock.advance(1);
  assertEquals((await looking.end()).length, 1);
  assertEquals(lan.counted("mdns.full"), 0);
});

Deno.test("Mdns keeps a bounded number of records, whoever says them", async () => {
  await using lan = new Lan();
  const mallory = await lan.stranger("10.0.0.9");
  using looking = new Looking(await lan.open("10.0.0.1"));
  for (let i = 0; i < 60; i++) {
    const answers = Array.from({ length: 10 }, (_, at) => recordsOf(`m${i}-${at}`)).flatMap(
      ({ ptr, srv, txt, a }) => [ptr, srv, txt, a],
    );
    await mallory.say({ response: true, answers });
  }
  await lan.announce("10.0.0.2", "bb");
  const found = await looking.end();
  assert(found.length <= 129, `${found.length} were found`);
  assertEquals(found.at(-1)?.label, "bb", "others still are");
  assert(lan.counted("mdns.full") > 0);
});

Deno.test("Mdns drops and counts what is no message, and goes on", async () => {
  await using lan = new Lan();
  await lan.announce("10.0.0.2", "bb");
  const alice = await lan.open("10.0.0.1");
  const stranger = await lan.stranger("10.0.0.9");
  await stranger.sayBytes(new Uint8Array([1, 2, 3]));
  await lan.clock.advance(1);
  assertEquals(lan.counted("discovery.malformed"), 2, "by both");
  assertEquals((await lan.find(alice)).length, 1);
});

Deno.test("Mdns speaks on an interface that appears, and no longer on one that goes", async () => {
  await using lan = new Lan();
  let interfaces: LocalInterface[] = [];
  const alice = await lan.open("10.0.0.1", {
    announce: { tcpPort: 3485 },
    newLabel: () => "aa",
    interfaces: () => interfaces,
  });
  assertEquals(alice.links, []);
  using looking = new Looking(await lan.open("10.0.0.2"));
  await lan.clock.advance(10_000);
  interfaces = [interfaceOf("10.0.0.1")];
  await lan.clock.advance(2_000 + ANNOUNCED_MS);
  assertEquals(alice.links, ["10.0.0.1 on eth0"]);
  assertEquals(looking.found.length, 1);
  await lan.clock.advance(1_000);
  const stranger = await lan.stranger("10.0.0.9");
  await lan.clock.advance(10_000);
  assertEquals(stranger.answers(), [], "nothing has changed");
  interfaces = [interfaceOf("10.0.0.1"), interfaceOf("127.0.0.1", { name: "lo" })];
  await lan.clock.advance(10_000);
  const announced = stranger.answers().map(({ answers }) => answers)
    .filter((answers) => answers.some(({ type }) => type === "PTR"))
    .map((answers) => answers.flatMap((record) => "address" in record ? [record.address] : []));
  assertEquals(announced, [["127.0.0.1"], ["127.0.0.1"]], "nothing has changed on the other");
  interfaces = [];
  await lan.clock.advance(2_000);
  assertEquals(alice.links, []);
  await stranger.ask({});
  await lan.clock.advance(500);
  assertEquals(stranger.answers(), []);
});

Deno.test("Mdns says on each link the addresses of its interface only", async () => {
  await using lan = new Lan();
  const stranger = await lan.stranger("10.0.0.9");
  await lan.announce("10.0.0.1", "aa", {
    interfaces: () => [
      interfaceOf("10.0.0.1"),
      interfaceOf("127.0.0.1", { name: "lo" }),
      interfaceOf("fe80::1", { family: "IPv6", broadcast: undefined, index: 2 }),
    ],
  });
  await stranger.ask({ name: ["aa", "local"], type: "ANY" });
  await lan.clock.advance(1_200);
  const said = stranger.answers().filter(({ from }) => from.hostname === "10.0.0.1")
    .flatMap(({ answers }) => answers).filter(({ type }) => type === "A" || type === "AAAA")
    .map((record) => "address" in record ? record.address : "");
  assertEquals(new Set(said), new Set(["10.0.0.1", "fe80::1", "127.0.0.1"]));
  // In memory both links are one network; on each, only its own are said.
  const together = stranger.heard.filter(({ answers }) =>
    answers.some((record) => "address" in record && record.address === "127.0.0.1") &&
    answers.some((record) => "address" in record && record.address === "10.0.0.1")
  );
  assertEquals(together, []);
});

Deno.test("Mdns that is closed has no timers left, answers nobody and finds nobody", async () => {
  await using lan = new Lan();
  const alice = await lan.announce("10.0.0.1", "aa");
  const looking = new Looking(alice);
  const stranger = await lan.stranger("10.0.0.9");
  await stranger.ask({});
  await alice.close();
  await alice.close();
  assertEquals(lan.clock.timers, 0);
  await looking.end();
  await assertRejects(() => alice.find().next(), ClosedError);
});

Deno.test("Mdns that cannot list interfaces does not open", async () => {
  await using lan = new Lan();
  const interfaces = () => {
    throw new UnsupportedError("Cannot list network interfaces");
  };
  await assertRejects(() => lan.open("10.0.0.1", { interfaces }), UnsupportedError);
  await assertRejects(() => lan.open("10.0.0.1", { announce: { tcpPort: 0 } }), RangeError);
  await assertRejects(
    () => lan.open("10.0.0.1", { announce: { tcpPort: 1, name: "é".repeat(97) } }),
    RangeError,
  );
  await assertRejects(
    () => lan.open("10.0.0.1", { announce: { tcpPort: 1, peerId: "x" } }),
    RangeError,
  );
  assertEquals(lan.clock.timers, 0);
});

Deno.test("Mdns opens where a socket cannot be had, says so, and tries again", async () => {
  await using lan = new Lan();
  const taken = await lan.host("10.0.0.1").datagram({ port: GROUP.port });
  const alice = await lan.open("10.0.0.1");
  assertEquals(alice.links, []);
  assert(lan.counted("discovery.failures") > 0);
  taken.close();
  await lan.clock.advance(2_000);
  assertEquals(alice.links, ["10.0.0.1 on eth0"]);
});

Deno.test("Mdns finds and is found on the sockets of this machine", async () => {
  const probe = await openDatagram({ hostname: "127.0.0.1" });
  const { port } = probe.address;
  probe.close();
  const options = {
    transport: netTransport,
    port,
    interfaces: () => localInterfaces().filter(({ address }) => address === "127.0.0.1"),
  };
  await using looking = await Mdns.open(options);
  await using found = await Mdns.open({ ...options, announce: { tcpPort: 3485, name: "bob" } });
  const { value } = await looking.find({ signal: AbortSignal.timeout(5_000) }).next();
  assertEquals(value, {
    label: found.label ?? "",
    name: "bob",
    address: { hostname: "127.0.0.1", port: 3485 },
  });
});
