import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { contactOf } from "../../../src/dht/contact.ts";
import { LIST_KEYS, listKeyFor } from "../../../src/dht/dialects/list_keys.ts";
import {
  MAX_FOUND_PEERS,
  MAX_PEERCONNECT_VALUE_BYTES,
  wrap,
} from "../../../src/dht/dialects/peerconnect_kademlia.ts";
import {
  decodeRpc,
  encodeRequest,
  encodeResponse,
  rpcIdOf,
} from "../../../src/dht/dialects/rpcudp.ts";
import { type NodeId, toKey } from "../../../src/dht/node_id.ts";
import type { Question } from "../../../src/dht/questions.ts";
import { InvalidPacketError, TimeoutError } from "../../../src/errors.ts";
import type { Address } from "../../../src/transport/mod.ts";
import { encodeDatagram } from "../../../src/wire/datagram.ts";
import { encodeWireData, wireData } from "../../../src/wire/message.ts";
import { decode, encode } from "../../../src/wire/msgpack.ts";
import { idToHex, parseRemotePeer, type RemotePeer } from "../../../src/wire/remote_peer.ts";
import { remotePeerToRecord } from "../../../src/wire/remote_peer.ts";
import {
  bytesOf,
  feedGarbage,
  fromNotation,
  loadVectors,
  type Vector,
} from "../../testdata/vectors.ts";
import { BOB, idOf, nodeAt, peerConnectScene, unwrap } from "./dialect_fixture.ts";

const ID = new Uint8Array(20).fill(0x42);

interface Call {
  readonly method: string;
  readonly args: readonly unknown[];
  readonly msg_id?: Uint8Array;
  readonly result?: unknown;
}

type Scene = ReturnType<typeof peerConnectScene>;

function vectorsOf(kind: "request" | "response"): (Vector & { rpc_hex: string })[] {
  const vectors = loadVectors("peerconnect.kademlia_rpc") as (Vector & { rpc_hex: string })[];
  return vectors.filter(({ name }) => name.startsWith(kind));
}

function callIn({ value }: Vector): Call {
  return fromNotation(value) as Call;
}

function peerIn(bin: unknown): RemotePeer {
  return parseRemotePeer(decode(bin as Uint8Array));
}

function packed(peer: RemotePeer): Uint8Array {
  return encode(remotePeerToRecord(peer));
}

/** Alice, who the requests of the vectors are from, and Bob, whom her answers are for. */
const [ALICE, BOBS] = [vectorsOf("request"), vectorsOf("response")].map(([first]) => {
  assert(first !== undefined);
  return peerIn(callIn(first).args[0]);
}) as [RemotePeer, RemotePeer];

function peer(nth: number, username = `peer ${nth}`): RemotePeer {
  const id = idOf(1, nth >> 8, nth & 0xff);
  return { id, username, ip: "192.0.2.99", tcpPort: 1, udpPort: 99, status: 1 };
}

function requestOf(method: string, ...args: unknown[]): Uint8Array {
  return wrap(encodeRequest(ID, method, args.map((arg) => encode(arg))));
}

/** What is answered to a call; `undefined` for nothing. */
function replyTo({ port }: Scene, packet: Uint8Array, from: Address = BOB): unknown {
  port.wrapped(packet, from);
  const [reply] = port.sent.splice(0);
  return reply && decode(unwrap(reply.packet).subarray(21));
}

/** Answers the only call that was sent. */
function answerCall({ port }: Scene, result: unknown, from: Address = BOB): void {
  const id = rpcIdOf(unwrap(port.only().packet));
  port.wrapped(wrap(encodeResponse(id, encode(result))), from);
}

Deno.test("PeerConnect's packets of Kademlia: the original's, both ways", () => {
  const vectors = loadVectors("peerconnect.kademlia_rpc") as (Vector & { rpc_hex: string })[];
  assert(vectors.length >= 15);
  for (const vector of vectors) {
    const inner = Uint8Array.fromHex(vector.rpc_hex);
    assertEquals(unwrap(bytesOf(vector)), inner);
    assertEquals(wrap(inner).toHex(), vector.hex, vector.name);
    const { method, args, msg_id: id = inner.slice(1, 21), result } = callIn(vector);
    const encoded = vector.name.startsWith("request")
      ? encodeRequest(id, method, args.map((arg) => encode(arg)))
      : encodeResponse(id, encode(result));
    assertEquals(encoded.toHex(), vector.rpc_hex);
    const read = decodeRpc(inner);
    assertEquals(
      read.type === "request" ? read.args.map((arg) => decode(arg)) : decode(read.result),
      read.type === "request" ? args : result,
    );
  }
});

Deno.test("PeerConnectKademlia asks as the original does, byte for byte but for the call's id", async () => {
  for (const vector of vectorsOf("request")) {
    const scene = peerConnectScene(ALICE);
    const { method, args: [, key, value] } = callIn(vector);
    const there = contactOf(idOf(9), BOB);
    const target = key as NodeId;
    const store = { type: "store", ttlS: 1 } as const;
    const ask: Record<string, () => Promise<unknown>> = {
      ping: () => scene.wire.meet(BOB),
      find_node: () => scene.wire.ask(there, { type: "find-node", target }),
      find_value: () => scene.wire.ask(there, { type: "find-value", target }),
      store: () => {
        const record = { kind: "plain", key: target, slot: "", value: encode(value) } as const;
        return scene.wire.ask(there, { ...store, record });
      },
      store_peers_in_list: () => scene.wire.register(BOB, target),
      find_list_of_peers: () => scene.wire.findList(BOB, target),
      search_peers: () => scene.wire.searchAt(BOB, String(key)),
    };
    const waiting = assertRejects(() => Promise.resolve(ask[method]?.()), TimeoutError, method);
    const { packet, to } = scene.port.only();
    assertEquals(to, BOB);
    assertEquals(unwrap(packet).subarray(21).toHex(), vector.rpc_hex.slice(42), vector.name);
    await scene.clock.advance(5_000);
    await waiting;
  }
});

Deno.test("PeerConnectKademlia answers as the original does, byte for byte", () => {
  const scene = peerConnectScene(ALICE);
  let answered = 0;
  for (const vector of vectorsOf("response")) {
    const { method, args, result } = callIn(vector);
    const { ip: hostname, udpPort: port } = peerIn(args[0]);
    const nodes = Array.isArray(result) && method.startsWith("find_") ? result : [];
    const peers = nodes.map((node: unknown) => parseRemotePeer(node));
    if (peers.some(({ status }) => status === 0)) continue; // ours knows none that are offline
    scene.node.contacts = peers.map(({ id, ip, udpPort, tcpPort, username }) => {
      return contactOf(id, { hostname: ip, port: udpPort }, { tcpPort, name: username });
    });
    const call = encodeRequest(
      new Uint8Array(20).fill(0x77),
      method,
      args.map((arg) => encode(arg)),
    );
    assert(scene.port.wrapped(wrap(call), { hostname, port }));
    const { packet, to } = scene.port.only();
    assertEquals([packet.toHex(), to], [vector.hex, { hostname, port }], vector.name);
    answered++;
  }
  assert(answered >= 8);
});

Deno.test("PeerConnectKademlia reads the original's answers", async () => {
  const scene = peerConnectScene(BOBS);
  // It names nodes of private networks, and so is in one.
  const bob = { hostname: "10.1.2.9", port: 3_486 };
  for (const vector of vectorsOf("response")) {
    const { method, args: [, key], result } = callIn(vector);
    const target = key as NodeId;
    const there = contactOf(ALICE.id, bob);
    const questions: Record<string, Question> = {
      find_node: { type: "find-node", target },
      find_value: { type: "find-value", target },
      store: {
        type: "store",
        ttlS: 1,
        record: { kind: "plain", key: target, slot: "", value: encode("v") },
      },
    };
    const question = questions[method];
    const asks: Record<string, () => Promise<unknown>> = {
      ping: () => scene.wire.meet(bob),
      store_peers_in_list: () => scene.wire.register(bob, target),
      find_list_of_peers: () => scene.wire.findList(bob, target),
      search_peers: () => scene.wire.searchAt(bob, "bo"),
    };
    const asked = question === undefined ? asks[method]?.() : scene.wire.ask(there, question);
    const reply = Uint8Array.fromHex(vector.rpc_hex);
    reply.set(rpcIdOf(unwrap(scene.port.only().packet)), 1);
    scene.port.wrapped(wrap(reply), bob);
    const answer = await asked;
    const nodes = (list: unknown[][]) => {
      return list.map(([id, name, hostname, tcpPort, port]) => {
        const address = { hostname: String(hostname), port: Number(port) };
        return contactOf(id as NodeId, address, {
          tcpPort: Number(tcpPort),
          name: name as string | null,
        });
      });
    };
    const { value } = Object(result) as { value?: unknown };
    const wanted: Record<string, () => unknown> = {
      ping: () => contactOf(ALICE.id, bob, { tcpPort: ALICE.tcpPort, name: ALICE.username }),
      find_node: () => ({ nodes: nodes(result as unknown[][]), records: [] }),
      find_value: () =>
        value === undefined ? { nodes: nodes(result as unknown[][]), records: [] } : {
          nodes: [],
          records: [{ kind: "plain", key: target, slot: "", value: encode(value) }],
        },
      store: () => ({ nodes: [], records: [] }),
      store_peers_in_list: () => result,
      find_list_of_peers: () => ({ peers: (value as unknown[]).map(peerIn), nodes: [] }),
      search_peers: () => (result as unknown[]).map(peerIn),
    };
    assertEquals(answer, wanted[method]?.(), vector.name);
  }
});

Deno.test("PeerConnectKademlia: a caller is where its packets come from, whatever it declares", () => {
  const scene = peerConnectScene(ALICE);
  const victim = { ...BOBS, ip: "198.51.100.1", udpPort: 53 };
  const from = { hostname: "203.0.113.5", port: 7_000 };
  assert(replyTo(scene, requestOf("ping", packed(victim)), from) !== undefined);
  const contact = contactOf(BOBS.id, from, { tcpPort: BOBS.tcpPort, name: "bob" });
  assertEquals(scene.node.askers, [{ address: from, contact }]);

  const [key = idOf()] = LIST_KEYS;
  const other = peer(7);
  const records = [packed(victim), packed(other)];
  scene.port.wrapped(requestOf("store_peers_in_list", packed(victim), key, records), from);
  const { to } = scene.port.only();
  assertEquals(to, from);
  const listed = replyTo(scene, requestOf("find_list_of_peers", packed(peer(1)), key));
  const peers = (listed as { value: unknown[] }).value.map(peerIn);
  assertEquals(peers, [other, { ...victim, ip: from.hostname, udpPort: from.port }]);
});

Deno.test("PeerConnectKademlia leaves unanswered who has no record of 20 bytes' id", () => {
  const scene = peerConnectScene(ALICE);
  const record = remotePeerToRecord(BOBS);
  const wrong = [
    BOBS.id,
    record,
    "bob",
    null,
    encode(record.with(0, Uint8Array.of(0))),
    encode(record.with(0, new Uint8Array(21))),
    encode(record.slice(1)),
    encode(record.with(4, 65_536)),
    encode(record.with(1, "x".repeat(257))),
    new Uint8Array(0),
  ];
  for (const caller of wrong) {
    for (const args of [["ping"], ["find_node", idOf(1)], ["search_peers", ""]] as const) {
      const [method, ...rest] = args;
      assertEquals(replyTo(scene, requestOf(method, caller, ...rest)), undefined);
    }
  }
  assertEquals(replyTo(scene, requestOf("ping")), undefined);
  assertEquals(scene.metrics.snapshot()["peerconnect-dht.malformed"], 3 * wrong.length + 1);
});

Deno.test("PeerConnectKademlia leaves wrong arguments of its own methods unanswered", () => {
  const scene = peerConnectScene(ALICE);
  const [me, key] = [packed(BOBS), LIST_KEYS[0]];
  const wrong = [
    ["store_peers_in_list", me, key],
    ["store_peers_in_list", me, "key", []],
    ["store_peers_in_list", me, key, "peers"],
    ["store_peers_in_list", me, key, [], 1],
    ["find_list_of_peers", me],
    ["find_list_of_peers", me, idOf(1).subarray(1)],
    ["find_list_of_peers", me, key, 1],
    ["search_peers", me],
    ["search_peers", me, 5],
    ["search_peers", me, "x".repeat(257)],
    ["search_peers", me, "x", 1],
  ] as const;
  for (const [method, ...args] of wrong) {
    assertEquals(replyTo(scene, requestOf(method, ...args)), undefined, method);
  }
  assertEquals(replyTo(scene, requestOf("stun")), undefined);
  assertEquals(replyTo(scene, requestOf("store_peers_in_list", me, key, [])), false);
  assertEquals(
    replyTo(scene, requestOf("store_peers_in_list", me, key, [5, "x", [], null])),
    false,
  );
  assertEquals(replyTo(scene, requestOf("store_peers_in_list", me, key, [[me]])), true);
});

Deno.test("PeerConnectKademlia counts packets of code 00 that hold nothing of its own", () => {
  const scene = peerConnectScene(ALICE);
  for (const body of [{}, { data: "text" }, { data: 5 }, { data: new Uint8Array(3) }]) {
    const message = wireData("x", body, { msgId: "id", dialect: "peerconnect" });
    scene.port.wrapped(encodeDatagram(0, encodeWireData(message, { dialect: "peerconnect" })));
  }
  assertEquals(scene.metrics.snapshot(), { "peerconnect-dht.malformed": 4 });
  assertEquals(scene.port.sent, []);
});

Deno.test("PeerConnectKademlia has itself in its own list, once it takes part in the lists", () => {
  const scene = peerConnectScene(ALICE);
  const key = listKeyFor(ALICE.id);
  const ask = (key: Uint8Array) => {
    return replyTo(scene, requestOf("find_list_of_peers", packed(BOBS), key));
  };
  assertEquals(ask(key), []);
  scene.wire.listSelf();
  assertEquals(ask(key), { value: [packed(ALICE)] });
  assertEquals(ask(LIST_KEYS[1] ?? key), []);
});

Deno.test("PeerConnectKademlia answers with as many of a long list as fit, others the next time", () => {
  const scene = peerConnectScene(ALICE);
  const [key = idOf()] = LIST_KEYS;
  for (let nth = 0; nth < 900; nth++) {
    scene.wire.lists.store(key, peer(nth), { hostname: `10.0.${nth >> 8}.${nth & 255}`, port: 1 });
  }
  const seen = new Set<string>();
  for (let nth = 0; nth < 40; nth++) {
    const here = { hostname: "127.0.0.1", port: 1 }; // whose answers are not rationed
    scene.port.wrapped(requestOf("find_list_of_peers", packed(BOBS), key), here);
    const { packet } = scene.port.only();
    assert(packet.length < 9_000);
    const { value } = decode(unwrap(packet).subarray(21)) as { value: unknown[] };
    assert(value.length > 100);
    for (const one of value) seen.add(idToHex(peerIn(one).id));
  }
  assert(seen.size > 850, `${seen.size} of 900 were seen`);
  const found = replyTo(scene, requestOf("search_peers", packed(BOBS), "peer")) as unknown[];
  assertEquals(found.length, MAX_FOUND_PEERS);
});

Deno.test("PeerConnectKademlia.search_peers answers with itself too, where its name fits", () => {
  const scene = peerConnectScene(ALICE);
  const [key = idOf()] = LIST_KEYS;
  for (const nth of [1, 2]) scene.wire.lists.store(key, peer(nth, `ali ${nth}`), BOB);
  const search = (text: string) => {
    const found = replyTo(scene, requestOf("search_peers", packed(BOBS), text)) as unknown[];
    return found.map((one) => peerIn(one).username);
  };
  assertEquals(search("ali"), ["alice", "ali 1", "ali 2"]);
  assertEquals(search("ali 2"), ["ali 2"]);
  assertEquals(search("Ali"), []);
});

Deno.test("PeerConnectKademlia reads no more peers than it asked for, and drops the unsound", async () => {
  const scene = peerConnectScene(ALICE);
  const many = Array.from({ length: 300 }, (_, nth) => packed(peer(nth)));
  const found = scene.wire.searchAt(BOB, "peer");
  answerCall(scene, ["junk", null, encode([1, 2]), ...many]);
  assertEquals((await found).length, MAX_FOUND_PEERS - 3);
  for (const nonsense of [5, "x", {}, { value: 5 }]) {
    const list = scene.wire.findList(BOB, idOf(1));
    answerCall(scene, nonsense);
    await assertRejects(() => list, InvalidPacketError, "not an array");
  }
  const refused = scene.wire.register(BOB, idOf(1));
  answerCall(scene, "yes");
  assertEquals(await refused, false);
});

Deno.test("PeerConnectKademlia keeps nothing that it could not pass on, whatever its own name", async () => {
  const long = { ...ALICE, username: "☃".repeat(256) };
  const scene = peerConnectScene(long);
  const value = new Uint8Array(MAX_PEERCONNECT_VALUE_BYTES - 3);
  const put = (bytes: Uint8Array) => {
    return replyTo(scene, requestOf("store", packed(BOBS), idOf(7), bytes));
  };
  assertEquals(put(new Uint8Array(value.length + 1)), false);
  assertEquals(put(value), true);
  const record = scene.node.kept.get(toKey(idOf(7)));
  assert(record !== undefined);
  const stored = scene.wire.ask(contactOf(BOBS.id, BOB), { type: "store", record, ttlS: 1 });
  answerCall(scene, true);
  await stored;
  const asked = scene.wire.ask(contactOf(BOBS.id, BOB), { type: "find-value", target: idOf(7) });
  answerCall(scene, { value: new Uint8Array(60_000) });
  await assertRejects(() => asked, InvalidPacketError, "MAX_VALUE_BYTES");
});

Deno.test("PeerConnectKademlia.welcome gives a newcomer the lists it should have, an entry at a time", async () => {
  const scene = peerConnectScene({ ...ALICE, id: idOf(0x01) });
  const [first = idOf(), second = idOf()] = LIST_KEYS;
  const newcomer = nodeAt(idOf(0x02), BOB.hostname, BOB.port);
  for (const [nth, key] of [first, first, second].entries()) {
    scene.wire.lists.store(key, peer(nth), BOB);
  }
  const given: unknown[] = [];
  scene.port.send = (packet) => {
    const call = decodeRpc(unwrap(packet));
    assert(call.type === "request" && call.method === "store_peers_in_list");
    const [, key, records] = call.args.map((arg) => decode(arg));
    given.push([key, (records as unknown[]).map((one) => peerIn(one).username)]);
    const isTaken = given.length !== 2;
    queueMicrotask(() => scene.port.wrapped(wrap(encodeResponse(call.id, encode(isTaken)))));
    return Promise.resolve();
  };
  // Somebody else is nearer to the second key than we are: that one gives it.
  await scene.wire.welcome(newcomer, () => [idOf(0x0c)]);
  assertEquals(given, [[first, ["peer 1"]], [first, ["peer 0"]]]);
  await scene.wire.welcome(newcomer, () => []);
  const again = [[first, ["peer 1"]], [first, ["peer 0"]], [second, ["peer 2"]]];
  assertEquals(given.slice(2), again);
});

Deno.test("PeerConnectKademlia meets damaged packets with an answer or a counter", () => {
  const scene = peerConnectScene(ALICE);
  const samples = vectorsOf("request").map(({ rpc_hex }) => Uint8Array.fromHex(rpc_hex));
  const { decoded } = feedGarbage((bytes) => scene.port.wrapped(wrap(bytes)), samples, {
    ...{ seed: 11, cases: 3_000 },
  });
  const counted = Object.entries(scene.metrics.snapshot());
  const dropped = counted.reduce((sum, [, count]) => sum + count, 0);
  assertEquals(scene.metrics.snapshot()["peerconnect-dht.failed"], undefined);
  assertEquals(scene.port.sent.length + dropped, decoded);
  assert(scene.port.sent.length > 100 && dropped > 100);
});

Deno.test("PeerConnectKademlia takes no packets once closed, and another may", async () => {
  const scene = peerConnectScene(ALICE);
  assertThrows(() => peerConnectScene(ALICE, { udp: scene.port }), TypeError);
  const asked = scene.wire.meet(BOB);
  scene.wire[Symbol.dispose]();
  scene.wire[Symbol.dispose]();
  await assertRejects(() => asked, Error, "closed");
  assertEquals(scene.port.wrapped(requestOf("ping", packed(BOBS))), false);
  using _other = peerConnectScene(ALICE, { udp: scene.port }).wire;
});
