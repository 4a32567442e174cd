import { assert, assertEquals } from "@std/assert";
import { ManualClock, seededRandom } from "../../../src/clock.ts";
import { KademliaWire } from "../../../src/dht/dialects/kademlia.ts";
import { PeerConnectKademlia } from "../../../src/dht/dialects/peerconnect_kademlia.ts";
import { encodeRequest, isRpcRequest, rpcIdOf } from "../../../src/dht/dialects/rpcudp.ts";
import { RequestsDispatcher, UNCODED } from "../../../src/endpoint/requests_dispatcher.ts";
import { RequestsEndPoint } from "../../../src/endpoint/requests_endpoint.ts";
import { Metrics } from "../../../src/metrics.ts";
import { encodeDatagram, SERVICE_CODE } from "../../../src/wire/datagram.ts";
import { encodeWireData, wireData } from "../../../src/wire/message.ts";
import { decode, encode } from "../../../src/wire/msgpack.ts";
import { ScriptedSocket } from "../../endpoint/datagram_fixture.ts";
import { Journal, settle } from "../../endpoint/fixture.ts";
import { bytesOf, loadVectors } from "../../testdata/vectors.ts";
import { BOB, FakeNode, idOf, unwrap } from "./dialect_fixture.ts";

const SELF = idOf(0x77);

/** A port with both dialects, and everybody else who takes packets there. */
class FullPort implements AsyncDisposable {
  readonly socket = new ScriptedSocket("192.0.2.1");
  readonly metrics = new Metrics();
  readonly plain = new FakeNode();
  readonly peers = new FakeNode();
  readonly taken: number[] = [];
  readonly #parts = new AsyncDisposableStack();

  static async open({ withPlain = true } = {}): Promise<FullPort> {
    const full = new FullPort();
    const { socket: { transport }, metrics } = full;
    const clock = new ManualClock();
    const log = new Journal();
    const requests = new RequestsDispatcher({ metrics });
    const endpoint = full.#parts.use(
      await RequestsEndPoint.open({ transport, dispatcher: requests, clock, metrics }),
    );
    const udp = {
      requests,
      takeBare: endpoint.takeBare.bind(endpoint),
      send: endpoint.sendPacket.bind(endpoint),
    };
    const parts = { udp, self: SELF, clock, log, metrics };
    const record = () => {
      return {
        id: SELF,
        username: "me",
        ip: "192.0.2.1",
        tcpPort: 1,
        udpPort: 1,
        status: 1,
      } as const;
    };
    if (withPlain) full.#parts.use(new KademliaWire({ ...parts, answer: full.plain.answer }));
    full.#parts.use(new PeerConnectKademlia({ ...parts, record, answer: full.peers.answer }));
    const { peerconnectDiscovery, peerconnectGossip } = SERVICE_CODE;
    for (const code of [peerconnectDiscovery, peerconnectGossip, 0x14, UNCODED]) {
      requests.register(code, ({ rootCode }) => void full.taken.push(rootCode));
    }
    return full;
  }

  async receive(data: Uint8Array): Promise<void> {
    this.socket.push({ data, from: BOB });
    await settle();
  }

  /** Who got something since the last call, and what was answered. */
  outcome() {
    const [plain, peers] = [this.plain, this.peers].map((node) => node.questions.splice(0).length);
    return { plain, peers, taken: this.taken.splice(0), sent: this.socket.sent.splice(0) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync();
  }
}

Deno.test("one port: packets of plain Kademlia, of PeerConnect and native ones each go where they belong", async () => {
  await using port = await FullPort.open();
  const probes = loadVectors("peerconnect.requests_datagram").map(bytesOf);
  for (const packet of probes) {
    await port.receive(packet);
    const code = packet[5] === 0x95 ? packet[0] : UNCODED;
    const { plain, peers, taken } = port.outcome();
    // What is left of code 00 is the Kademlia dialect's, and no call there.
    assertEquals([plain, peers, taken], [0, 0, code === 0 ? [] : [code]]);
  }
  for (const vector of loadVectors("rpcudp.request")) {
    if (vector.hex === undefined || vector.name === "custom") continue;
    await port.receive(bytesOf(vector));
    const { plain = 0, peers, taken, sent: [reply] } = port.outcome();
    assert(vector.name === "stun" || plain > 0, vector.name);
    assertEquals([peers, taken, reply?.data[0]], [0, [], 1]);
  }
  for (const vector of loadVectors("peerconnect.kademlia_rpc")) {
    await port.receive(bytesOf(vector));
    const { plain, peers = 0, taken, sent: [reply] } = port.outcome();
    const isRequest = vector.name.startsWith("request");
    assertEquals([plain, peers > 0, taken], [0, isRequest, []], vector.name);
    assertEquals(
      reply === undefined ? undefined : unwrap(reply.data)[0],
      isRequest ? 1 : undefined,
    );
  }
  for (const vector of loadVectors("rpcudp.response")) {
    if (vector.hex !== undefined) await port.receive(bytesOf(vector));
  }
  await port.receive(encodeDatagram(0x14, encodeWireData(wireData("x", {}))));
  const { plain, peers, taken, sent } = port.outcome();
  assertEquals([plain, peers, taken, sent], [0, 0, [0x14], []]);
  const answers = loadVectors("rpcudp.response").filter(({ hex }) => hex !== undefined).length;
  assertEquals(port.metrics.counter("kademlia.stray").value, answers);
});

Deno.test("one port: without the dialect packets of plain Kademlia are dropped and counted", async () => {
  await using port = await FullPort.open({ withPlain: false });
  const packets = loadVectors("rpcudp.request").filter(({ hex }) => hex !== undefined).map(bytesOf);
  for (const packet of packets) await port.receive(packet);
  assertEquals(port.outcome(), { plain: 0, peers: 0, taken: [], sent: [] });
  assertEquals(port.metrics.snapshot(), { "requests.malformed": packets.length });
});

Deno.test("one port: whatever id somebody's call has, it is answered, unless it is as long as a message says", async () => {
  await using port = await FullPort.open();
  const random = seededRandom(8);
  const args = [encode(idOf(5))];
  const length = encodeRequest(SELF, "ping", args).length;
  const ids = Array.from({ length: 300 }, () => {
    return Uint8Array.from({ length: 20 }, () => Math.floor(random() * 256));
  });
  // Those that look like the length of a packet without a code, of a message behind it.
  for (const first of [0, 1]) {
    ids.push(Uint8Array.from([0, 0, length - 4 + first, 0x95, ...SELF.subarray(4)]));
  }
  for (const id of ids) {
    const packet = encodeRequest(id, "ping", args);
    assert(isRpcRequest(packet));
    port.socket.push({ data: packet, from: BOB });
  }
  while (port.socket.unread > 0) await settle();
  const replies = port.outcome().sent.map(({ data }) => [rpcIdOf(data), decode(data.subarray(21))]);
  assertEquals(replies, ids.map((id) => [id, SELF]));
  const unlucky = Uint8Array.from([0, 0, 0, length - 5, 0x95, ...SELF.subarray(5)]);
  await port.receive(encodeRequest(unlucky, "ping", args));
  assertEquals(port.outcome().sent, []);
});
