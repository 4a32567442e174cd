import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import type { MemberDescription } from "../../src/membership/description.ts";
import { MEMBERSHIP_CAPABILITY } from "../../src/membership/membership.ts";
import { TransportError } from "../../src/errors.ts";
import type { Address, Transport } from "../../src/transport/transport.ts";
import { isSettled } from "../endpoint/fixture.ts";
import { ScratchHome } from "../secure/home_fixture.ts";
import { at, Group, type Node, UDP_PORT } from "./group_fixture.ts";

const [A, B, C, D, E] = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"] as const;

/** What a member is told of the others: events that mean that somebody seems to be gone. */
function alarms(nodes: readonly Node[]): string[] {
  return nodes.flatMap(({ events }) => {
    return events.map(({ type }) => type).filter((type) => type === "suspect" || type === "dead");
  });
}

/** A host whose packets are lost, both ways, as long as that is wished. */
function withoutUdp(transport: Transport, isBlocked: () => boolean): Transport {
  return {
    connect: (address, options) => transport.connect(address, options),
    listen: (options) => transport.listen(options),
    datagram: async (options) => {
      const socket = await transport.datagram(options);
      const send = socket.send.bind(socket);
      socket.send = (data, to) => isBlocked() ? Promise.resolve() : send(data, to);
      return socket;
    },
  };
}

Deno.test("Membership of those who join one of them makes all of them known to each other", async () => {
  await using group = new Group();
  const nodes = await group.joined([A, B, C, D, E], { tags: { room: "kitchen" } });
  for (const node of nodes) {
    await node.membership.ready;
    const [self, ...others] = node.membership.members();
    assertEquals(self, node.membership.self);
    assertEquals([self?.peerId, self?.rttMs, self?.path], [node.peerId, 0, "direct"]);
    assertEquals(others.length, nodes.length - 1);
    for (const other of nodes.filter((other) => other !== node)) {
      const seen = node.membership.get(other.peerId);
      assertEquals([seen?.name, seen?.state, seen?.tags], [other.host, "alive", {
        room: "kitchen",
      }]);
      assertEquals(seen?.addresses, [{ hostname: other.host, port: UDP_PORT }]);
      assertEquals(seen?.streamAddresses, [at(other.host)]);
      assertEquals(seen?.incarnation, other.membership.self.incarnation);
      assertEquals(node.happenedTo(other), ["joined"]);
      assertEquals(node.endpoint.peers.statusOf(other.peerId)?.state, "alive");
    }
    assertEquals([node.membership.degraded, node.membership.get("00".repeat(20))], [
      false,
      undefined,
    ]);
  }
});

Deno.test("Membership finds members where the directory finds them, and asks no seed that is not there", async () => {
  await using group = new Group();
  const bob = await group.open(B);
  const found = { peerId: bob.peerId, addresses: [{ hostname: "10.9.9.9", port: 1 }, at(B)] };
  const directory = {
    find: () =>
      (async function* () {
        yield await Promise.resolve(found);
      })(),
  };
  const ann = await group.open(A, { directory, seeds: [at("10.9.9.8")] });
  await group.run(ann.membership.ready);
  await group.until(() => ann.stateOf(bob) === "alive" && bob.stateOf(ann) === "alive");
});

Deno.test("Membership.join says whether somebody took us in", async () => {
  await using group = new Group();
  const [ann, bob] = [await group.open(A), await group.open(B)];
  assertEquals(await group.run(ann.membership.join(at("10.9.9.9"))), false);
  assertEquals(await group.run(ann.membership.join(at(A))), false); // that is itself
  assertEquals(await group.run(ann.membership.join(at(B))), true);
  await group.until(() => bob.stateOf(ann) === "alive");
});

Deno.test("Membership.setTags tells the others, and changes nothing where the tags are too long", async () => {
  await using group = new Group();
  const [ann, bob, carol] = await group.joined([A, B, C]) as [Node, Node, Node];
  ann.membership.setTags({ role: "printer" });
  await group.until(() => [bob, carol].every((node) => node.happenedTo(ann).includes("updated")));
  for (const node of [bob, carol]) {
    assertEquals(node.membership.get(ann.peerId)?.tags, { role: "printer" });
    assertEquals(node.happenedTo(ann), ["joined", "updated"]);
  }
  assertThrows(() => ann.membership.setTags({ role: "x".repeat(25) }), RangeError);
  assertEquals(ann.membership.self.tags, { role: "printer" });
  assertEquals(alarms([ann, bob, carol]), []);
});

Deno.test("Membership.close says goodbye: the member is gone at once and everywhere, and nobody suspects it", async () => {
  await using group = new Group();
  const [ann, ...others] = await group.joined([A, B, C, D]) as [Node, ...Node[]];
  await group.close(ann);
  await group.until(() => others.every((node) => node.stateOf(ann) === "gone"), 1_000);
  await group.clock.advance(5_000);
  for (const node of others) {
    assertEquals(node.happenedTo(ann), ["joined", "left"]);
    assertEquals(node.membership.get(ann.peerId)?.why, "it said that it goes");
    assertEquals(node.endpoint.peers.statusOf(ann.peerId)?.state, "gone");
  }
  assertEquals(alarms(others), []);
});

Deno.test("Membership of one who is killed is suspected, then dead, with why and who confirmed it", async () => {
  await using group = new Group();
  const [ann, ...others] = await group.joined([A, B, C, D, E]) as [Node, ...Node[]];
  await group.kill(ann);
  await group.until(() => others.some((node) => node.stateOf(ann) === "suspect"));
  const [first] = others.filter((node) => node.stateOf(ann) === "suspect");
  assertEquals(first?.membership.get(ann.peerId)?.confirmedBy, [first?.peerId ?? ""]);
  const suspected = first?.endpoint.peers.statusOf(ann.peerId);
  assertEquals([suspected?.state, suspected?.why], ["suspect", "it does not answer us"]);
  await group.until(() => others.every((node) => node.stateOf(ann) === "dead"));
  for (const node of others) {
    const { why = "", confirmedBy = [] } = node.membership.get(ann.peerId) ?? {};
    assertStringIncludes(why, "no answer and no refutation for ");
    assert(
      confirmedBy.length > 0 && confirmedBy.every((peerId) => {
        return others.some((other) => other.peerId === peerId);
      }),
    );
    assertEquals(node.happenedTo(ann), ["joined", "suspect", "dead"]);
    assertEquals(node.endpoint.peers.statusOf(ann.peerId)?.state, "dead");
  }
});

Deno.test("Membership of one who is back is the same member in a newer life, also where its clock was set back", async () => {
  await using group = new Group();
  using scratch = new ScratchHome();
  const [bob, carol] = await group.joined([B, C]) as [Node, Node];
  const as = { home: scratch.home, seeds: [at(B)] };
  const before = await group.open(A, as);
  await group.until(() => carol.stateOf(before) === "alive");
  const { incarnation } = before.membership.self;
  // As if the clock had run far ahead in that life.
  scratch.write(
    "membership.json",
    JSON.stringify({ version: 1, incarnation: incarnation + 2 ** 30 }),
  );
  await group.kill(before);
  await group.until(() => [bob, carol].every((node) => node.stateOf(before) === "dead"));
  const again = await group.open(A, as);
  assertEquals(again.membership.self.incarnation, incarnation + 2 ** 30 + 1);
  await group.until(() => [bob, carol].every((node) => node.stateOf(again) === "alive"));
  for (const node of [bob, carol]) {
    assertEquals(node.happenedTo(again), ["joined", "suspect", "dead", "alive"]);
    assertEquals([node.membership.members().length, node.present.length], [3, 3]); // and no ghost
  }
});

Deno.test("Membership of two projects never meets, whoever asks whom", async () => {
  await using group = new Group();
  const red = await group.joined([A, B], { project: "red" });
  const blue = await group.joined([C, D], { project: "blue", seeds: [at(C), at(A)] });
  const [ann] = red as [Node];
  const [carol] = blue as [Node];
  assertEquals(await group.run(ann.membership.join(at(C))), false);
  assertEquals(await group.run(carol.membership.join(at(B))), false);
  await group.clock.advance(10_000);
  assertEquals(red.map(({ present }) => present), [[A, B], [A, B]]);
  assertEquals(blue.map(({ present }) => present), [[C, D], [C, D]]);
});

Deno.test("Membership takes in nobody who is not wanted, by whatever way it comes", async () => {
  await using group = new Group();
  const evil = await group.open(E);
  const admits = (peerId: string) => peerId !== evil.peerId;
  const [ann, bob] = await group.joined([A, B], { admits }) as [Node, Node];
  await group.run(evil.membership.join(at(A)));
  await group.run(ann.membership.join(at(E)));
  await group.clock.advance(5_000);
  assertEquals([ann.present, bob.present], [[A, B], [A, B]]);
  assert((ann.endpoint.metrics.snapshot()["membership.unwanted"] ?? 0) > 0);
});

Deno.test("Membership of two programs with one identity: exactly one gives way, and says so", async () => {
  await using group = new Group();
  const [bob] = await group.joined([B, C]) as [Node];
  const one = await group.open(A, { as: A, seeds: [at(B)] });
  await group.until(() => bob.stateOf(one) === "alive");
  const two = await group.open(D, { as: A, seeds: [at(B)] });
  const gaveWay = () =>
    [one, two].filter(({ events }) => {
      return events.some(({ type }) => type === "usurped");
    });
  await group.until(() => gaveWay().length > 0);
  await group.clock.advance(60_000);
  assertEquals(gaveWay().length, 1);
  const [silent] = gaveWay();
  const said = silent?.events.find(({ type }) => type === "usurped");
  assertEquals(said, {
    type: "usurped",
    why: "another program with this identity is in the group; this one takes part no more",
  });
  const other = silent === one ? two : one;
  const seen = bob.membership.get(other.peerId);
  assertEquals([seen?.state, seen?.addresses[0]?.hostname], ["alive", other.host]);
});

Deno.test("Membership says that packets are blocked, keeps everybody over connections, and says when they pass again", async () => {
  await using group = new Group();
  let isBlocked = true;
  const through = (transport: Transport) => withoutUdp(transport, () => isBlocked);
  const nodes = await group.joined([A, B, C], { through });
  await group.until(() => nodes.every(({ membership }) => membership.degraded));
  await group.clock.advance(10_000);
  assertEquals([alarms(nodes), nodes.map(({ present }) => present.length)], [[], [3, 3, 3]]);
  const [ann, bob] = nodes as [Node, Node];
  assertEquals(ann.membership.get(bob.peerId)?.path, "stream");
  isBlocked = false;
  await group.until(() => nodes.every(({ membership }) => !membership.degraded));
  const said = ann.events.filter((event) => !("member" in event)).map(({ type }) => type);
  assertEquals(said, ["degraded", "restored"]);
  // A goodbye is heard also while they are blocked.
  isBlocked = true;
  await group.until(() => nodes.every(({ membership }) => membership.degraded));
  await group.close(ann);
  await group.until(() => bob.stateOf(ann) === "gone", 3_000);
});

Deno.test("Membership answers members.list and members.watch, and offers what it can do", async () => {
  await using group = new Group();
  const [ann, bob] = await group.joined([A, B]) as [Node, Node];
  const asker = await group.open(C, { project: "another" });
  const link = await group.run(asker.endpoint.connect(at(A)));
  assert(link.peer.capabilities.includes(MEMBERSHIP_CAPABILITY));
  const list = await group.run(link.request("members.list", {})) as MemberDescription[];
  assertEquals(list.map(({ name, state }) => [name, state]), [[A, "alive"], [B, "alive"]]);
  assertEquals(list[1]?.addresses, [`${B}:3485`]);

  const told = link.stream("members.watch", {}, { timeoutMs: Infinity });
  const next = async () => (await group.run(told.next())).value as Record<string, unknown>;
  assertEquals([await next(), await next()].map(({ event, name }) => [event, name]), [
    ["member", A],
    ["member", B],
  ]);
  bob.membership.setTags({ a: "1" });
  const { event, name, tags } = await next();
  assertEquals([event, name, tags], ["updated", B, { a: "1" }]);
  await group.close(ann);
  const over = await group.run(told.next().then(({ done }) => done, () => true));
  assertEquals(over, true);
});

Deno.test("Membership remembers who is alive, and looks for them after a restart, for ever", async () => {
  await using group = new Group();
  const kept = new Map<string, readonly Address[]>();
  const memory = {
    addresses: () => [...kept.values()].flatMap((addresses) => addresses.slice(0, 1)),
    remember: ({ peerId, addresses }: { peerId: string; addresses: readonly Address[] }) => {
      kept.set(peerId, addresses);
    },
  };
  const [bob] = await group.joined([B, C]) as [Node];
  const ann = await group.open(A, { memory, seeds: [at(B)] });
  await group.until(() => kept.size === 2);
  await group.kill(ann);
  await group.close(bob);
  const again = await group.open(A, { memory }); // it knows nothing else
  await group.until(() => again.present.includes(C));
  await group.clock.advance(20_000);
  const back = await group.open(B);
  await group.until(() => again.stateOf(back) === "alive");
});

Deno.test("Membership that cannot recall or write says so, and takes part all the same", async () => {
  await using group = new Group();
  using scratch = new ScratchHome();
  const memory = {
    addresses: () => Promise.reject(new Error("no disk")),
    remember: () => {},
  };
  const [ann, bob] = await group.joined([A, B], { memory, home: scratch.home }) as [Node, Node];
  const { home } = scratch;
  const write = home.writeAtomic.bind(home);
  home.writeAtomic = () => {
    throw new TransportError("disk full");
  };
  ann.membership.setTags({ a: "1" });
  await group.clock.advance(31_000);
  home.writeAtomic = write;
  assertEquals(bob.stateOf(ann), "alive");
  const warnings = ann.log.lines.filter(({ level }) => level === "warn");
  assertEquals(warnings.map(({ message, fields }) => [message, fields.why]), [
    ["cannot recall who was here before", "Error: no disk"],
    ["cannot write what to begin with next time", "TransportError: disk full"],
  ]);
});

Deno.test("Membership writes an incarnation that has grown within half a minute, and when it closes", async () => {
  await using group = new Group();
  using scratch = new ScratchHome();
  const ann = await group.open(A, { home: scratch.home });
  const written = () => JSON.parse(scratch.text("membership.json")).incarnation;
  const first = written();
  assertEquals(first, ann.membership.self.incarnation);
  ann.membership.setTags({ a: "1" });
  assertEquals([ann.membership.self.incarnation, written()], [first + 1, first]);
  await group.clock.advance(30_000);
  assertEquals(written(), first + 1);
  ann.membership.setTags({ a: "2" });
  await group.close(ann);
  assertEquals(written(), first + 2);
});

Deno.test("Membership forgets those who are long dead, also in the peer table", async () => {
  await using group = new Group();
  const tuning = { rememberMs: 20_000 };
  const [ann, bob] = await group.joined([A, B], { tuning }) as [Node, Node];
  await group.kill(bob);
  await group.until(() => ann.stateOf(bob) === "dead");
  assertEquals(ann.endpoint.peers.statusOf(bob.peerId)?.state, "dead");
  await group.clock.advance(80_000);
  assertEquals([ann.stateOf(bob), ann.endpoint.peers.statusOf(bob.peerId)], [undefined, undefined]);
});

Deno.test("Membership takes part once for an endpoint, and again when it is closed", async () => {
  await using group = new Group();
  const [ann, bob] = await group.joined([A, B]) as [Node, Node];
  assertThrows(() => ann.takePart(), TypeError);
  const watching = ann.membership.watch();
  await group.run(ann.membership.close());
  await ann.membership.close(); // harmless
  assertEquals((await Array.fromAsync(watching)).length, 0);
  assertEquals(ann.endpoint.peers.statusOf(bob.peerId), undefined);
  assertEquals(ann.endpoint.self.capabilities.includes(MEMBERSHIP_CAPABILITY), false);
  await using again = ann.takePart({ seeds: [at(B)] });
  await group.until(() => again.get(bob.peerId)?.state === "alive");
  await group.run(again.close());
});

Deno.test("Membership.watch ends when aborted, and when it is closed", async () => {
  await using group = new Group();
  const ann = await group.open(A);
  const controller = new AbortController();
  const [aborted, closed] = [
    Array.fromAsync(ann.membership.watch({ signal: controller.signal })),
    Array.fromAsync(ann.membership.watch()),
  ];
  controller.abort();
  assertEquals([await aborted, await isSettled(closed)], [[], false]);
  await group.close(ann);
  assertEquals(await closed, []);
});

Deno.test("Membership.close while a seed is asked that says nothing gives it up, and joins that wait", async () => {
  await using group = new Group();
  await group.open(B);
  group.network.partition([[A], [B]]);
  const ann = await group.open(A, { seeds: [at(B)] });
  const joining = ann.membership.join(at(B));
  await group.clock.advance(100);
  assertEquals(await isSettled(ann.membership.ready), false);
  const startMs = group.clock.now();
  await group.close(ann);
  assert(group.clock.now() - startMs < 500, "it took too long");
  assertEquals([await joining, await ann.membership.join(at(B))], [false, false]);
});

Deno.test("Membership refuses tags and names that are too long, and leaves nothing behind", async () => {
  await using group = new Group();
  const tags = Object.fromEntries(Array.from({ length: 9 }, (_, n) => [`t${n}`, ""]));
  await assertRejects(() => group.open(A, { tags }), RangeError);
  await group.open(A); // its handlers and its port are free again
});

Deno.test("Membership tells the others of an address that it gets while it takes part", async () => {
  await using group = new Group();
  const hosts: string[] = [A];
  const ann = await group.open(A, { hosts: () => hosts });
  const bob = await group.open(B, { seeds: [at(A)] });
  await group.until(() => bob.present.length === 2);
  hosts.push(C);
  await group.until(() => bob.membership.get(ann.peerId)?.addresses.length === 2);
  const seen = bob.membership.get(ann.peerId)?.addresses.map(({ hostname }) => hostname);
  assertEquals(seen, [A, C]);
});
