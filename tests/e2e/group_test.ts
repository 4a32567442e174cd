import { assert, assertEquals, assertMatch } from "@std/assert";
import { Peer } from "../../src/peer.ts";
import { EVIL, isRaw } from "./odd_server.ts";
import { type Event, Kith, loopback, until } from "./process.ts";
import { Scratch } from "./scratch.ts";
import { Shell } from "./shell.ts";
import { allOf, eachOf, Up, upLine } from "./up.ts";

/** Whether an event is about somebody. */
function about({ peerId }: { readonly peerId: string }): (event: Event) => boolean {
  return (event) => event.peerId === peerId;
}

/** Members as `kith peers --json` lists them: `name state`. */
function statesOf(events: readonly Event[]): string[] {
  return events.map(({ name, state }) => `${name} ${state}`).sort();
}

/** Peers that are up and know each other. */
async function groupOf(
  parts: AsyncDisposableStack,
  names: readonly string[],
  args: readonly string[] = [],
): Promise<Up[]> {
  const network = loopback();
  const ups = await allOf(names.map(async (name) => {
    return parts.use(await Up.start(["--name", name, ...args], { network }));
  }));
  await Promise.all(ups.map(async (up) => {
    for (const other of ups) if (other !== up) await up.kith.event("member-joined", about(other));
  }));
  return ups;
}

/** Who is there, who was killed and who went, why, and who says so. */
async function seeAllFates(): Promise<void> {
  await using parts = new AsyncDisposableStack();
  const names = ["ann", "bob", "carol"];
  const [ann, bob, carol] = await groupOf(parts, names, ["--tag", "room=lab"]) as [Up, Up, Up];
  const [listed, people, asked] = await Promise.all([
    ann.run(["peers", "--json"]),
    ann.run(["peers", bob.address]),
    ann.run(["peers", "bob", "--json", "--timeout", "5"]),
  ]);
  assertEquals([listed.code, listed.stderr], [0, ""]);
  assertEquals(statesOf(listed.events), names.map((name) => `${name} alive`));
  const keys = ["peerId", "name", "state", "why", "rttMs", "path", "tags", "confirmedBy", "seenBy"];
  for (const event of listed.events) {
    assert(keys.every((key) => key in event), JSON.stringify(event));
    assertEquals(event.tags, { room: "lab" });
  }
  assertEquals(asked.events.map(({ seenBy }) => seenBy), names.map(() => bob.peerId));
  const [first] = people.stdout.split("\n");
  const pattern = `^alive +${bob.peerId} +bob +${bob.address} +0\\.0 ms +it says so itself$`;
  assertMatch(first ?? "", new RegExp(pattern));

  await using watch = ann.start(["peers", ann.address, "--watch", "--json"]);
  for (const up of [ann, bob, carol]) await watch.event("member", about(up));
  assertEquals(watch.events.map(({ event }) => event), ["member", "member", "member"]);
  assertEquals((await carol.kith.interrupt()).code, 130);
  const left = await watch.event("left", about(carol));
  assertEquals([left.state, left.why], ["gone", "it said that it goes"]);
  bob.kith.signal("SIGKILL");
  const suspect = await watch.event("suspect", about(bob));
  assertEquals([suspect.state, suspect.seenBy], ["suspect", ann.peerId]);
  const dead = await watch.event("dead", about(bob));
  assertEquals([dead.state, dead.confirmedBy], ["dead", [ann.peerId]]);
  assertMatch(String(dead.why), /^no answer and no refutation for \d+(\.\d)? s$/);

  const after = await ann.run(["peers", "--json"]);
  assertEquals(statesOf(after.events), ["ann alive", "bob dead", "carol gone"]);
  const { code, stderr } = await watch.interrupt();
  assertEquals(code, 130, stderr);
  const { events } = await ann.kith.interrupt();
  const told = events.filter(({ event }) => String(event).startsWith("member-"));
  const ofBob = told.filter(about(bob)).map(({ event }) => event);
  assertEquals(ofBob, ["member-joined", "member-suspect", "member-dead"]);
  assertEquals(told.filter(about(carol)).map(({ event }) => event), [
    "member-joined",
    "member-left",
  ]);
}

/** Another member is asked when the one that tells goes. */
async function watchOn(): Promise<void> {
  await using parts = new AsyncDisposableStack();
  const [ann, bob] = await groupOf(parts, ["ann", "bob"]) as [Up, Up];
  await using watch = ann.start(["peers", "--watch", "--json"]);
  const { seenBy } = await watch.event("member");
  const [asked, other] = seenBy === ann.peerId ? [ann, bob] : [bob, ann];
  assertEquals((await asked.kith.interrupt()).code, 130);
  await watch.event("member", ({ seenBy }) => seenBy === other.peerId);
  const { code, stderr } = await watch.interrupt();
  assertEquals(code, 130);
  assertMatch(stderr, /tells no more: /);
}

Deno.test("peers tells who is there, who was killed and who went, and goes on telling when one that it asked goes", async () => {
  await allOf([seeAllFates(), watchOn()]); // most of it is waiting
});

Deno.test("peers says that nobody is there, and names what is wrong with its arguments", async () => {
  const network = loopback();
  await using scratch = await Scratch.make();
  await using shell = new Shell();
  await using recv = Kith.start([
    ...["recv", "--dir", scratch.path("in"), "--yes", "--json", "--ephemeral", "--port", "0"],
    ...network,
  ]);
  const { tcp } = await recv.event("ready");
  const nobody = /^Nobody was found who is in a group; run kith up to begin one\n$/;
  const rows: readonly (readonly [line: readonly string[], code: number, says: RegExp])[] = [
    [["--timeout", "0.3"], 0, nobody],
    [["--timeout", "0.3", "--peer", `127.0.0.1:${tcp}`], 0, nobody],
    [[`127.0.0.1:${tcp}`], 5, /members\.list/],
    [["nobody", "--timeout", "0.3"], 5, /Cannot reach peer "nobody": .*tried /],
    [["127.0.0.1:9"], 5, /Cannot reach peer "127\.0\.0\.1:9"/],
    [["ann", "bob"], 2, /At most one PEER is wanted/],
    [["--peer", "nowhere"], 2, /Option --peer must be HOST:PORT/],
    [["--interface", "!"], 2, /Interface pattern must be a name/],
    [["--tag", "a=b"], 2, /Unknown option --tag/],
  ];
  const outcomes = await eachOf(rows, ([line]) => {
    return shell.run(["peers", ...line, "--ephemeral", ...network]);
  });
  for (const [index, { code, stdout, stderr }] of outcomes.entries()) {
    const [line, wanted, says] = rows[index] as typeof rows[number];
    assertEquals([code, stdout], [wanted, ""], `${line.join(" ")}: ${stderr}`);
    assertMatch(stderr, says);
  }
  const bad = await eachOf([["room"], ["=x"], [`a=${"x".repeat(25)}`]], ([tag = ""]) => {
    return shell.run([...upLine(network), "--tag", tag]);
  });
  assertEquals(bad.map(({ code }) => code), [2, 2, 2], bad.map(({ stderr }) => stderr).join());
});

Deno.test("peers and up show members of any name, and nothing raw", async () => {
  const network = loopback();
  const common = ["up", "--port", "0", "--http-port", "0", "--ephemeral", ...network];
  await using bob = Kith.start([...common, "--name", "bob"]);
  const said = await bob.says(
    /bob is up \(tcp \d+, udp \d+, http \d+, status at http:\S+\), \^C ends\n/,
  );
  const address = `127.0.0.1:${/tcp (\d+)/.exec(said)?.[1]}`;
  const discoveryPort = Number(network.at(-1));
  await using evil = await Peer.open({
    name: EVIL,
    hostname: "127.0.0.1",
    port: 0,
    discoveryPort,
  });
  const membership = evil.join({ tags: { a: "\u001b[31m" } });
  const shown = await bob.says(/\n.*is in the group: .*\n/);
  const who = `a\\u{1b}[2J\\u{7}\\u{1b}]0;x\\u{7}\\u{9b}31m\\u{202e}gnp.\\u{2028}`;
  assert(shown.includes(`${who} (${evil.peerId.slice(0, 8)})`), shown);
  await using watch = Kith.start(["peers", address, "--watch", "--ephemeral", ...network]);
  await watch.says(/it says so itself/);
  await using shell = new Shell();
  const list = await shell.run(["peers", address, "--ephemeral", ...network]);
  assert(list.stdout.includes(who), list.stdout);
  membership.setTags({ b: "\u0007" });
  await watch.says(/it says something new of itself/);
  const { stdout, stderr } = await watch.interrupt();
  const all = [stdout, stderr, list.stdout, list.stderr, (await bob.interrupt()).stdout];
  assert(!all.some(isRaw), JSON.stringify(all));
});

Deno.test("up that was killed is the same member when it is back, and finds its group by what it remembers", async () => {
  await using scratch = await Scratch.make();
  const network = loopback();
  const home = ["--home", scratch.path("home"), "--name", "ann", "--json"];
  const apart = ["--port", "0", "--http-port", "0", ...loopback()]; // nobody is found there
  await using bob = await Up.start(["--name", "bob"], { network });
  const start = (...args: string[]) => Kith.start(["up", ...home, ...apart, ...args]);
  const seeds = ["--peer", bob.address];
  const lives: Event[] = [];
  {
    await using ann = start(...seeds);
    lives.push(await ann.event("ready"));
    await Promise.all([ann.event("member-joined"), bob.kith.event("member-joined")]);
    ann.signal("SIGKILL");
    await ann.ended();
  }
  {
    await using ann = start(...seeds); // it had no time to write down where the others are
    lives.push(await ann.event("ready"));
    await ann.event("member-joined", about(bob));
    assertEquals((await ann.interrupt()).code, 130);
  }
  await bob.kith.event("member-left");
  await using ann = start(); // only what it remembers says where bob is
  const ready = await ann.event("ready");
  lives.push(ready);
  await ann.event("member-joined", about(bob));
  assertEquals(new Set(lives.map(({ peerId }) => peerId)).size, 1);
  const here = `127.0.0.1:${ready.tcp}`;
  let list: readonly Event[] = [];
  const addresses = () =>
    list.find(({ name }) => name === "ann")?.addresses as string[] | undefined;
  for (let tries = 0; tries < 5 && addresses()?.[0] !== here; tries++) {
    list = (await bob.run(["peers", bob.address, "--json"])).events;
  }
  assertEquals([statesOf(list), addresses()], [["ann alive", "bob alive"], [here]]);
});

Deno.test("up --project makes a group of its own on the same network", async () => {
  const network = loopback();
  await using parts = new AsyncDisposableStack();
  const start = async (name: string, project: string) => {
    return parts.use(await Up.start(["--name", name, "--project", project], { network }));
  };
  const [ann, bob, zoe] = await allOf([
    start("ann", "red"),
    start("bob", "red"),
    start("zoe", "blue"),
  ]);
  await ann.kith.event("member-joined", about(bob));
  await until("zoe to have looked", () => zoe.kith.events.length > 0);
  const [red, blue] = await Promise.all([ann, zoe].map((up) => {
    return up.run(["peers", up.address, "--json"]);
  }));
  assertEquals(statesOf(red?.events ?? []), ["ann alive", "bob alive"]);
  assertEquals(statesOf(blue?.events ?? []), ["zoe alive"]);
});
