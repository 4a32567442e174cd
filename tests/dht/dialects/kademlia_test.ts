import { assert, assertEquals, assertRejects } from "@std/assert";
import { contactOf } from "../../../src/dht/contact.ts";
import { REPLY_BYTES_PER_HOST } from "../../../src/dht/dialects/reply_rates.ts";
import { encodeRequest, encodeResponse, rpcIdOf } from "../../../src/dht/dialects/rpcudp.ts";
import { type NodeId, toKey } from "../../../src/dht/node_id.ts";
import type { Question } from "../../../src/dht/questions.ts";
import { immutableRecord } from "../../../src/dht/record.ts";
import {
  InvalidPacketError,
  NotFoundError,
  RemoteError,
  TimeoutError,
} from "../../../src/errors.ts";
import type { Address } from "../../../src/transport/mod.ts";
import { decode, encode } from "../../../src/wire/msgpack.ts";
import { Float64 } from "../../../src/wire/msgpack_types.ts";
import {
  bytesOf,
  feedGarbage,
  fromNotation,
  loadVectors,
  type Vector,
} from "../../testdata/vectors.ts";
import { BOB, callIn, idOf, kademliaScene, nodeAt, valueAt } from "./dialect_fixture.ts";

const SELF = Uint8Array.fromHex("a670619b746c9d2c530e54348c633774069d5dbc");
const ID = new Uint8Array(20).fill(0x42);
const CAROL = nodeAt(idOf(3), "192.0.2.3", 3_000);

interface Exchange {
  readonly request: {
    readonly method: string;
    readonly args: readonly unknown[];
    readonly from: readonly [string, number];
  };
  readonly result: unknown;
}

function exchangeOf({ value }: Vector): Exchange {
  return fromNotation(value, { float: (number) => new Float64(number) }) as Exchange;
}

function requestOf(method: string, ...args: unknown[]): Uint8Array {
  return encodeRequest(ID, method, args.map((arg) => encode(arg)));
}

/** What a scene answers to a call; `undefined` for nothing. */
function replyTo(scene: ReturnType<typeof kademliaScene>, packet: Uint8Array, from = BOB): unknown {
  assert(scene.port.bare(packet, from));
  const [reply] = scene.port.sent.splice(0);
  return reply && decode(reply.packet.subarray(21));
}

Deno.test("KademliaWire answers as the original does, byte for byte", () => {
  const scene = kademliaScene(SELF);
  const seen = new Map<string, ReturnType<typeof nodeAt>>();
  let answered = 0;
  for (const vector of loadVectors("rpcudp.response")) {
    const { request: { method, args, from: [hostname, port] }, result } = exchangeOf(vector);
    if (vector.name.includes("more than k")) {
      for (const [id, hostname, port] of result as [NodeId, string, number][]) {
        seen.set(toKey(id), nodeAt(id, hostname, port));
      }
      for (let far = 0; far < 5; far++) {
        seen.set(`${far}`, nodeAt(idOf(0xf0 + far), "127.0.1.1", far + 1));
      }
    }
    scene.node.contacts = [...seen.values()];
    const from = { hostname, port };
    scene.port.bare(encodeRequest(ID, method, args.map((arg) => encode(arg))), from);
    const [reply, ...more] = scene.port.sent.splice(0);
    assertEquals([reply?.packet.toHex(), more], [vector.hex, []], vector.name);
    if (reply === undefined) continue;
    answered++;
    assertEquals(reply.to, from, "replies go to the packet's source");
    const [id] = args;
    if (id instanceof Uint8Array) seen.set(toKey(id), contactOf(id, from));
  }
  assert(answered >= 15);
  assertEquals(scene.metrics.snapshot()["kademlia.unknown-method"], 1);
});

Deno.test("KademliaWire asks as the original does, byte for byte but for the call's id", async () => {
  const scene = kademliaScene(SELF);
  const there = contactOf(idOf(9), BOB);
  let asked = 0;
  for (const vector of loadVectors("rpcudp.request")) {
    if (vector.hex === undefined) continue;
    const { method, args } = exchangeOf(vector) as unknown as Exchange["request"];
    const [caller, key, value] = args;
    if (method === "custom" || caller instanceof Uint8Array && toKey(caller) !== toKey(SELF)) {
      continue;
    }
    const target = key instanceof Uint8Array ? key : SELF;
    const ask = () => {
      if (method === "stun") return scene.wire.whereAmI(BOB);
      if (method === "ping") return scene.wire.meet(BOB);
      const question = {
        store: { type: "store", record: valueAt(target, value), ttlS: 1 },
        find_node: { type: "find-node", target },
        find_value: { type: "find-value", target },
      }[method];
      return scene.wire.ask(there, question as Question);
    };
    const waiting = assertRejects(ask, TimeoutError);
    const { packet, to } = scene.port.only();
    assertEquals(to, BOB);
    assertEquals(packet.with(0, 0).subarray(21).toHex(), bytesOf(vector).subarray(21).toHex());
    assert(packet[0] === 0 && packet[1] !== 0);
    asked++;
    await scene.clock.advance(5_000);
    await waiting;
  }
  assert(asked >= 10);
});

Deno.test("KademliaWire reads the original's answers", async () => {
  const scene = kademliaScene(SELF);
  const target = idOf(1);
  for (const vector of loadVectors("rpcudp.response")) {
    const { request: { method }, result } = exchangeOf(vector);
    if (vector.hex === undefined || method === "stun" || method === "ping") continue;
    const question = {
      store: { type: "store", record: valueAt(target, 1), ttlS: 1 },
      find_node: { type: "find-node", target },
      find_value: { type: "find-value", target },
    }[method] as Question;
    const by = nodeAt(idOf(9), "127.0.0.1", 9_009);
    const asked = scene.wire.ask(by, question);
    const reply = bytesOf(vector);
    reply.set(rpcIdOf(scene.port.only().packet), 1);
    assert(scene.port.bare(reply, by.address));
    const { nodes, records } = await asked;
    if (Array.isArray(result)) {
      assertEquals(nodes.map(({ id, address }) => [id, address.hostname, address.port]), result);
    } else if (method === "find_value") {
      assertEquals(records, [valueAt(target, (result as { value: unknown }).value)]);
    } else {
      assertEquals([nodes, records], [[], []], vector.name);
    }
  }
});

Deno.test("KademliaWire tells where somebody's packets come from, and is told", async () => {
  const scene = kademliaScene(SELF);
  const asked = scene.wire.whereAmI(BOB);
  const { packet } = scene.port.only();
  assertEquals(callIn(packet).args, []);
  scene.port.bare(encodeResponse(rpcIdOf(packet), encode(["198.51.100.7", 4_242])));
  assertEquals(await asked, { hostname: "198.51.100.7", port: 4_242 });
  for (const nonsense of [[], ["x"], [1, 2], ["x", "y"], null, "x"]) {
    const asked = scene.wire.whereAmI(BOB);
    const { packet } = scene.port.only();
    scene.port.bare(encodeResponse(rpcIdOf(packet), encode(nonsense)));
    await assertRejects(() => asked, InvalidPacketError, "[ip, port]");
  }
});

Deno.test("KademliaWire: whoever asks is where its packet came from, under the id it says", () => {
  const scene = kademliaScene(SELF);
  assertEquals(replyTo(scene, requestOf("ping", idOf(5))), SELF);
  assertEquals(scene.node.askers, [{ address: BOB, contact: contactOf(idOf(5), BOB) }]);
  replyTo(scene, requestOf("ping", SELF));
  assertEquals(scene.node.askers[1], { address: BOB, contact: undefined }, "nobody else is us");
});

Deno.test("KademliaWire leaves unanswered who claims an impossible id", () => {
  const scene = kademliaScene(SELF);
  const ids = [new Uint8Array(19), new Uint8Array(21), "x".repeat(20), 5, null, [idOf(1)]];
  for (const id of ids) {
    assertEquals(replyTo(scene, requestOf("ping", id)), undefined);
    assertEquals(replyTo(scene, requestOf("find_node", id, idOf(1))), undefined);
  }
  for (const key of ids) {
    for (const method of ["find_node", "find_value"]) {
      assertEquals(replyTo(scene, requestOf(method, idOf(1), key)), undefined);
    }
    assertEquals(replyTo(scene, requestOf("store", idOf(1), key, 1)), undefined);
  }
  assertEquals(scene.metrics.snapshot(), { "kademlia.malformed": 5 * ids.length });
  assertEquals(scene.node.questions, []);
});

Deno.test("KademliaWire gives a stored value back byte for byte, whatever MessagePack has", () => {
  const scene = kademliaScene(SELF);
  const values = [[0xca, 63, 128, 0, 0], [0xd4, 5, 7], [0xcd, 0, 1], [0x91, 0xc0], [0x81, 1, 2]];
  for (const bytes of values) {
    const value = Uint8Array.from(bytes);
    const args = [encode(idOf(5)), encode(idOf(7)), value];
    assertEquals(replyTo(scene, encodeRequest(ID, "store", args)), true);
    scene.port.bare(requestOf("find_value", idOf(5), idOf(7)));
    const { packet } = scene.port.only();
    assertEquals(packet.subarray(21), Uint8Array.from([0x81, 0xa5, ...utf8("value"), ...value]));
  }
  assertEquals(scene.node.questions.filter(({ type }) => type === "store").length, values.length);
});

Deno.test("KademliaWire keeps no nil, which would wipe out somebody's value", () => {
  const scene = kademliaScene(SELF);
  replyTo(scene, requestOf("store", idOf(5), idOf(7), "here"));
  assertEquals(replyTo(scene, requestOf("store", idOf(5), idOf(7), null)), true);
  assertEquals(replyTo(scene, requestOf("find_value", idOf(5), idOf(7))), { value: "here" });
});

Deno.test("KademliaWire says that it keeps no value, and leaves other questions unanswered, when refused", async () => {
  const scene = kademliaScene(SELF);
  scene.node.refuses = true;
  assertEquals(replyTo(scene, requestOf("store", idOf(5), idOf(7), 1)), false);
  assertEquals(replyTo(scene, requestOf("find_value", idOf(5), idOf(7))), undefined);
  assertEquals(scene.metrics.snapshot(), { "kademlia.refused": 2 });

  const asked = scene.wire.ask(CAROL, { type: "store", record: valueAt(idOf(7), 1), ttlS: 1 });
  const { packet } = scene.port.only();
  scene.port.bare(encodeResponse(rpcIdOf(packet), encode(false)), CAROL.address);
  await assertRejects(() => asked, RemoteError, "does not keep");
});

Deno.test("KademliaWire keeps and gives nothing that it could not pass on", async () => {
  const scene = kademliaScene(SELF);
  const question = { type: "find-value", target: idOf(7) } as const;
  const asked = scene.wire.ask(CAROL, question);
  const { packet } = scene.port.only();
  const tooLong = new Uint8Array(8_138);
  const reply = encodeResponse(rpcIdOf(packet), encode({ value: tooLong }));
  scene.port.bare(reply, CAROL.address);
  const error = await assertRejects(() => asked, InvalidPacketError, "8141");
  assertEquals(error.details.limit, "MAX_VALUE_BYTES");

  const longest = new Uint8Array(8_137);
  assertEquals(replyTo(scene, requestOf("store", idOf(5), idOf(7), longest)), true);
  const again = scene.wire.ask(CAROL, question);
  const { packet: call } = scene.port.only();
  scene.port.bare(encodeResponse(rpcIdOf(call), encode({ value: longest })), CAROL.address);
  const { records: [record] } = await again;
  assert(record !== undefined);
  const passedOn = scene.wire.ask(CAROL, { type: "store", record, ttlS: 1 });
  const { packet: store } = scene.port.only();
  assertEquals(store.length, 21 + 8_192);
  scene.port.bare(encodeResponse(rpcIdOf(store), encode(true)), CAROL.address);
  await passedOn;
});

Deno.test("KademliaWire names neither who asks nor who is looked for, and 20 nodes at most", () => {
  const scene = kademliaScene(SELF);
  const others = Array.from({ length: 30 }, (_, at) => nodeAt(idOf(1, at), "192.0.2.50", at + 1));
  scene.node.contacts = [nodeAt(idOf(1), BOB.hostname, BOB.port), ...others];
  const named = replyTo(scene, requestOf("find_node", idOf(5), idOf(1, 4))) as unknown[][];
  assertEquals(named.length, 20);
  assert(named.every(([, , port]) => port !== BOB.port && port !== 5));
});

Deno.test("KademliaWire takes 20 of the nodes that somebody names, and only those that can be asked", async () => {
  const scene = kademliaScene(SELF);
  const good = Array.from({ length: 30 }, (_, at) => [idOf(2, at), "192.0.2.9", at + 1]);
  const bad = [
    [idOf(1).subarray(1), "192.0.2.9", 1],
    [idOf(1), "127.0.0.1", 1],
    [idOf(1), "bob.example", 1],
    [idOf(1), "192.0.2.9", 0],
    [idOf(1), "192.0.2.9"],
    [idOf(1), 5, 5],
    "node",
    null,
  ];
  const asked = scene.wire.ask(CAROL, { type: "find-node", target: idOf(1) });
  const { packet } = scene.port.only();
  scene.port.bare(encodeResponse(rpcIdOf(packet), encode([...bad, ...good])), CAROL.address);
  const { nodes } = await asked;
  assertEquals(
    nodes.map(({ id, address }) => [id, address.hostname, address.port]),
    good.slice(0, 20),
  );
  for (const nonsense of [5, "x", { nodes: [] }, { value: 1, more: 2 }, null]) {
    const asked = scene.wire.ask(CAROL, { type: "find-value", target: idOf(1) });
    const { packet } = scene.port.only();
    scene.port.bare(encodeResponse(rpcIdOf(packet), encode(nonsense)), CAROL.address);
    await assertRejects(() => asked, InvalidPacketError, "not an array");
  }
});

Deno.test("KademliaWire.ask: a ping is answered by the node that was asked and no other", async () => {
  const scene = kademliaScene(SELF);
  for (const [id, isRight] of [[CAROL.id, true], [idOf(4), false]] as const) {
    const asked = scene.wire.ask(CAROL, { type: "ping" });
    const { packet } = scene.port.only();
    scene.port.bare(encodeResponse(rpcIdOf(packet), encode(id)), CAROL.address);
    if (isRight) assertEquals(await asked, { nodes: [], records: [] });
    else await assertRejects(() => asked, NotFoundError, "another one");
  }
  const met = scene.wire.meet(CAROL.address);
  const { packet } = scene.port.only();
  scene.port.bare(encodeResponse(rpcIdOf(packet), encode("x".repeat(20))), CAROL.address);
  await assertRejects(() => met, InvalidPacketError, "20 bytes");
});

Deno.test("KademliaWire.ask refuses records that nobody there could check", async () => {
  const scene = kademliaScene(SELF);
  const record = immutableRecord(encode(1));
  await assertRejects(() => scene.wire.ask(CAROL, { type: "store", record, ttlS: 1 }), TypeError);
});

Deno.test("KademliaWire counts answers from elsewhere, late, twice, too long, too deep; the right one still counts", async () => {
  const scene = kademliaScene(SELF);
  const asked = scene.wire.meet(BOB);
  const id = rpcIdOf(scene.port.only().packet);
  const answer = encodeResponse(id, encode(idOf(9)));
  const deep = Uint8Array.from([1, ...id, ...Array(8_000).fill(0x91), 0xc0]);
  scene.port.bare(answer, CAROL.address);
  scene.port.bare(answer.with(20, 1), BOB);
  scene.port.bare(deep, BOB);
  scene.port.bare(encodeResponse(id, encode(new Uint8Array(8_190))), BOB);
  scene.port.bare(answer, BOB);
  assertEquals((await asked).id, idOf(9));
  scene.port.bare(answer, BOB);
  const late = assertRejects(() => scene.wire.meet(BOB), TimeoutError);
  const lateId = rpcIdOf(scene.port.only().packet);
  await scene.clock.advance(5_000);
  await late;
  scene.port.bare(encodeResponse(lateId, encode(idOf(9))), BOB);
  assertEquals(scene.metrics.snapshot(), {
    "kademlia.misplaced": 1,
    "kademlia.malformed": 1,
    "kademlia.oversized": 1,
    "kademlia.stray": 3,
  });
});

Deno.test("KademliaWire sends a host no more than its ration, for questions of whoever", async () => {
  const scene = kademliaScene(SELF);
  scene.node.contacts = Array.from({ length: 20 }, (_, at) => {
    return nodeAt(idOf(1, at), "192.0.2.50", at + 1);
  });
  const question = requestOf("find_node", idOf(5), idOf(1));
  const flood = (from: Address, count = 1_000) => {
    for (let nth = 0; nth < count; nth++) {
      scene.port.bare(question, { ...from, port: from.port + nth % 100 });
    }
    return scene.port.sent.splice(0).reduce((sum, { packet }) => sum + packet.length, 0);
  };
  const { burst, perSecond } = REPLY_BYTES_PER_HOST;
  const sent = flood(BOB);
  assert(sent <= burst && sent > 0.9 * burst, `${sent} bytes`);
  assert((scene.metrics.snapshot()["kademlia.rate"] ?? 0) > 0);
  assert(flood(CAROL.address, 1) > 0, "others are served");
  assertEquals(replyTo(scene, requestOf("ping", idOf(5))), SELF, "what is no larger costs nothing");
  await scene.clock.advance(1_000);
  assert(flood(BOB) <= perSecond);
  const here = flood({ hostname: "127.0.0.1", port: 1 });
  assert(here > 2 * burst, "this machine's programs are left alone");
});

Deno.test("KademliaWire takes what is its own, and nothing else", () => {
  const scene = kademliaScene(SELF);
  assert(!scene.port.bare(Uint8Array.from([2, ...ID, 0x92])));
  for (const vector of loadVectors("rpcudp.malformed")) {
    scene.port.bare(bytesOf(vector));
    assertEquals(scene.port.sent, [], vector.name);
  }
});

Deno.test("KademliaWire meets damaged packets with an answer or a counter", () => {
  const scene = kademliaScene(SELF);
  scene.node.contacts = [CAROL];
  const vectors = [...loadVectors("rpcudp.request"), ...loadVectors("rpcudp.malformed")];
  const samples = vectors.filter(({ hex }) => hex !== undefined).map(bytesOf);
  const take = (bytes: Uint8Array) => {
    if (!scene.port.bare(bytes)) throw new InvalidPacketError("bad-frame", "It is not ours");
  };
  const { decoded } = feedGarbage(take, samples, { seed: 9, cases: 4_000 });
  const counted = Object.entries(scene.metrics.snapshot());
  const dropped = counted.reduce((sum, [, count]) => sum + count, 0);
  assertEquals(scene.metrics.snapshot()["kademlia.failed"], undefined);
  assertEquals(scene.port.sent.length + dropped, decoded);
  assert(scene.port.sent.length > 100 && dropped > 100);
});

Deno.test("KademliaWire survives a port that throws, and says so", () => {
  const scene = kademliaScene(SELF);
  scene.port.send = () => {
    throw new Error("out of order\u0007");
  };
  scene.port.bare(requestOf("ping", idOf(5)));
  assertEquals(scene.metrics.snapshot(), { "kademlia.failed": 1 });
  const [line] = scene.log.lines;
  assertEquals([line?.level, line?.fields.detail], ["error", "Error: out of order\\u{7}"]);
});

Deno.test("KademliaWire takes no packets once closed", async () => {
  const scene = kademliaScene(SELF);
  const asked = scene.wire.meet(BOB);
  scene.wire[Symbol.dispose]();
  scene.wire[Symbol.dispose]();
  await assertRejects(() => asked, Error, "closed");
  assert(!scene.port.bare(requestOf("ping", idOf(5))));
});

function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
