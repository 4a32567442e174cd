import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  decodeRpc,
  encodeRequest,
  encodeResponse,
  isRpcRequest,
  isRpcResponse,
  MAX_RPC_BYTES,
  newRpcId,
  rpcIdOf,
} from "../../../src/dht/dialects/rpcudp.ts";
import { InvalidPacketError } from "../../../src/errors.ts";
import { decode, encode } from "../../../src/wire/msgpack.ts";
import { Float64 } from "../../../src/wire/msgpack_types.ts";
import {
  bytesOf,
  feedGarbage,
  fromNotation,
  loadVectors,
  type Vector,
} from "../../testdata/vectors.ts";

const ID = new Uint8Array(20).fill(0x42);

interface Call {
  readonly method: string;
  readonly args: readonly unknown[];
  readonly msg_id: Uint8Array;
}

function callOf({ value }: Vector): Call {
  return fromNotation(value, { float: (number) => new Float64(number) }) as Call;
}

function requests(): Vector[] {
  return loadVectors("rpcudp.request").filter(({ hex }) => hex !== undefined);
}

/** A request with these bytes as its content. */
function requestOf(...content: number[]): Uint8Array {
  return Uint8Array.from([0, ...ID, ...content]);
}

Deno.test("encodeRequest and decodeRpc: the original's requests, both ways", () => {
  assert(requests().length >= 12);
  for (const vector of requests()) {
    const { method, args, msg_id: id } = callOf(vector);
    const packed = args.map((arg) => encode(arg));
    assertEquals(encodeRequest(id, method, packed).toHex(), vector.hex, vector.name);
    assertEquals(decodeRpc(bytesOf(vector)), { type: "request", id, method, args: packed });
    assert(isRpcRequest(bytesOf(vector)) && !isRpcResponse(bytesOf(vector)));
  }
});

Deno.test("encodeResponse and decodeRpc: the original's answers, both ways", () => {
  const vectors = loadVectors("rpcudp.response").filter(({ hex }) => hex !== undefined);
  assert(vectors.length >= 14);
  for (const vector of vectors) {
    const { result } = fromNotation(vector.value) as { result: unknown };
    const packed = encode(result);
    assertEquals(encodeResponse(ID, packed).toHex(), vector.hex, vector.name);
    assertEquals(decodeRpc(bytesOf(vector)), { type: "response", id: ID, result: packed });
    assert(isRpcResponse(bytesOf(vector)) && !isRpcRequest(bytesOf(vector)));
    assertEquals(rpcIdOf(bytesOf(vector)), ID);
  }
});

Deno.test("encodeRequest sends exactly what the original does: up to 8,192 bytes", () => {
  const vector = loadVectors("rpcudp.request").find(({ name }) => name.includes("exactly")) as
    | Vector & { datagram_len: number; prefix_hex: string }
    | undefined;
  assert(vector !== undefined);
  const head = Uint8Array.fromHex(vector.prefix_hex);
  // type 1, id 20, [ 1, "store" 6, [ 1, bin 2 of the caller 20, bin 2 of the key 20, ...
  const [id, self, key] = [head.slice(1, 21), head.slice(31, 51), head.slice(53, 73)];
  const bytes = (count: number) => encode(new Uint8Array(count).fill(0x78));
  const withKey = (value: Uint8Array) => {
    return encodeRequest(id, "store", [encode(self), encode(key), value]);
  };
  const sent = withKey(bytes(8_136));
  assertEquals(sent.length, vector.datagram_len);
  assertEquals(sent.subarray(0, head.length).toHex(), vector.prefix_hex);
  assertEquals(withKey(bytes(8_137)).length, 21 + MAX_RPC_BYTES);
  const error = assertThrows(() => withKey(bytes(8_138)), InvalidPacketError);
  assertEquals([error.code, error.details.limit], ["too-large", "MAX_RPC_BYTES"]);
});

Deno.test("encodeRequest and encodeResponse refuse wrong arguments", () => {
  assertThrows(() => encodeRequest(ID.subarray(1), "ping", []), RangeError, "20");
  assertThrows(() => encodeResponse(new Uint8Array(21), encode(1)), RangeError, "20");
  assertThrows(() => encodeRequest(ID, "ping", Array(16).fill(encode(1))), RangeError, "15");
});

Deno.test("decodeRpc refuses what the original leaves unanswered", () => {
  for (const vector of loadVectors("rpcudp.malformed")) {
    if (vector.name === "response to an unknown id") continue; // it is sound, and nobody waits for it
    assertThrows(() => decodeRpc(bytesOf(vector)), InvalidPacketError, undefined, vector.name);
  }
});

Deno.test("decodeRpc refuses every truncated request, and ignores what follows one", () => {
  for (const vector of requests()) {
    const packet = bytesOf(vector);
    for (let length = 0; length < packet.length; length++) {
      assertThrows(() => decodeRpc(packet.subarray(0, length)), InvalidPacketError);
    }
    assertEquals(decodeRpc(Uint8Array.from([...packet, 1, 2])), decodeRpc(packet));
  }
});

Deno.test("decodeRpc refuses what is no [method, arguments], naming where", () => {
  const wrong: [string, Uint8Array][] = [
    ["not text", requestOf(0x92, 0x05, 0x90)],
    ["not an array", requestOf(0x92, 0xa1, 0x61, 0x80)],
    ["[method, arguments]", requestOf(0x91, 0xa1, 0x61)],
    ["exceed MAX_RPC_ARGUMENTS 15", requestOf(0x92, 0xa1, 0x61, 0xdc, 0, 16, ...Array(16).fill(1))],
    ["bytes that begin with 2", Uint8Array.from([2, ...ID, 0x92, 0xa0, 0x90])],
    ["bytes that begin with undefined", new Uint8Array(0)],
  ];
  for (const [why, packet] of wrong) {
    assertThrows(() => decodeRpc(packet), InvalidPacketError, why);
  }
});

Deno.test("decodeRpc takes nothing longer than it may, nested 100,000 deep, or of 4 G elements", () => {
  const deep = requestOf(0x92, 0xa1, 0x61, 0x91, ...Array(8_000).fill(0x91), 0xc0);
  assertThrows(() => decodeRpc(deep), InvalidPacketError);
  const deeper = Uint8Array.from([1, ...ID, ...Array(100_000).fill(0x91), 0xc0]);
  const error = assertThrows(() => decodeRpc(deeper), InvalidPacketError);
  assertEquals([error.code, error.details.limit], ["too-large", "MAX_RPC_BYTES"]);
  assertThrows(() => decodeRpc(deeper, { maxBytes: 200_000 }), InvalidPacketError, "maxDepth");
  for (const head of [[0xdd], [0xdf], [0xdb], [0xc6]]) {
    const bomb = requestOf(0x92, 0xa1, 0x61, 0x91, ...head, 0xff, 0xff, 0xff, 0xff);
    assertThrows(() => decodeRpc(bomb), InvalidPacketError);
  }
  const longest = encodeResponse(ID, encode(new Uint8Array(MAX_RPC_BYTES - 3)));
  assertEquals(decodeRpc(longest).type, "response");
  const longer = encodeResponse(ID, encode(new Uint8Array(MAX_RPC_BYTES - 2)));
  assertThrows(() => decodeRpc(longer), InvalidPacketError, "8193 bytes exceed");
  assertEquals(decodeRpc(longer, { maxBytes: 9_000 }).type, "response");
});

Deno.test("decodeRpc keeps whatever MessagePack has, byte for byte, and no view of the packet", () => {
  const values = [
    [0xca, 0x3f, 0x80, 0, 0], // a float of 32 bits
    [0xd4, 5, 7], // an extension
    [0xcd, 0, 1], // a number in more bytes than it needs
    [0x82, 1, 2, 0x91, 3, 4], // a map with keys of other types
    [0xdc, 0, 1, 0xc0],
  ];
  for (const value of values) {
    const packet = requestOf(0x92, 0xa1, 0x61, 0x91, ...value);
    const read = decodeRpc(packet);
    packet.fill(0xff);
    assert(read.type === "request");
    assertEquals([read.id, read.args], [ID, [Uint8Array.from(value)]]);
  }
});

Deno.test("decodeRpc meets damaged packets with a value or an error of ours", () => {
  const vectors = [...requests(), ...loadVectors("rpcudp.response")];
  const samples = vectors.filter(({ hex }) => hex !== undefined).map(bytesOf);
  const { decoded, refused } = feedGarbage((bytes) => decodeRpc(bytes), samples, {
    seed: 4,
    cases: 4_000,
  });
  assert(decoded > 400 && refused > 400, `${decoded} decoded, ${refused} refused`);
});

Deno.test("newRpcId makes ids that no packet of PeerConnect begins with", () => {
  const ids = Array.from({ length: 3_000 }, newRpcId);
  assert(ids.every(({ length, 0: first }) => length === 20 && first !== 0));
  assertEquals(new Set(ids.map((id) => id.toHex())).size, ids.length);
});

Deno.test("isRpcRequest wants a pair behind the id, and enough of it", () => {
  const packet = encodeRequest(ID, "", []);
  assertEquals([packet.length, decode(packet.subarray(21))], [24, ["", []]]);
  assert(isRpcRequest(packet) && !isRpcRequest(packet.subarray(0, 23)));
  assert(!isRpcRequest(packet.with(21, 0x93)) && !isRpcRequest(packet.with(0, 1)));
  assert(isRpcResponse(encodeResponse(ID, encode(1))));
  assert(!isRpcResponse(encodeResponse(ID, new Uint8Array(0))));
});
