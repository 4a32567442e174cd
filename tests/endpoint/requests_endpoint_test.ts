import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { ManualClock, seededRandom } from "../../src/clock.ts";
import {
  type RequestEvent,
  RequestsDispatcher,
  UNCODED,
} from "../../src/endpoint/requests_dispatcher.ts";
import { RequestsEndPoint } from "../../src/endpoint/requests_endpoint.ts";
import { ClosedError, InvalidPacketError, TransportError } from "../../src/errors.ts";
import { Metrics } from "../../src/metrics.ts";
import { type Address, MemoryNetwork, netTransport } from "../../src/transport/mod.ts";
import { encodeDatagram, SERVICE_CODE } from "../../src/wire/datagram.ts";
import { decodeWireData, encodeWireData, wireData } from "../../src/wire/message.ts";
import { bytesOf, loadVectors } from "../testdata/vectors.ts";
import { ScriptedSocket } from "./datagram_fixture.ts";
import { Journal, settle } from "./fixture.ts";

const BOB: Address = { hostname: "192.0.2.7", port: 4000 };
const PAYLOAD = encodeWireData(wireData("rumor", { n: 1, data: Uint8Array.of(1, 2) }));
const PACKET = encodeDatagram(SERVICE_CODE.gossip, PAYLOAD);

/** An endpoint whose packets the test makes up. */
class Scripted implements AsyncDisposable {
  readonly events: RequestEvent[] = [];

  private constructor(
    readonly endpoint: RequestsEndPoint,
    readonly socket: ScriptedSocket,
    readonly clock: ManualClock,
    readonly metrics: Metrics,
    readonly log: Journal,
  ) {}

  static async open(): Promise<Scripted> {
    const [socket, clock] = [new ScriptedSocket("192.0.2.1"), new ManualClock()];
    const [metrics, log] = [new Metrics(), new Journal()];
    const dispatcher = new RequestsDispatcher({ metrics });
    const { transport } = socket;
    const endpoint = await RequestsEndPoint.open({ transport, dispatcher, clock, metrics, log });
    const scripted = new Scripted(endpoint, socket, clock, metrics, log);
    for (const code of [0, 1, 2, 0x10, 0x12, 0x14, 0x1f, UNCODED]) {
      dispatcher.register(code, (event) => void scripted.events.push(event));
    }
    return scripted;
  }

  /** Lets a packet come in and be handled. */
  async receive(data: Uint8Array): Promise<void> {
    this.socket.push({ data, from: BOB });
    await settle();
  }

  /** The events since the last call. */
  taken(): RequestEvent[] {
    return this.events.splice(0);
  }

  count(name: string): number {
    return this.metrics.counter(`requests.${name}`).value;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.endpoint.close();
  }
}

Deno.test("RequestsEndPoint makes an event of a native packet", async () => {
  await using scripted = await Scripted.open();
  await scripted.receive(PACKET);
  const [event] = scripted.taken();
  assertEquals(event?.rootCode, SERVICE_CODE.gossip);
  assertEquals(event?.fromAddr, BOB);
  assertEquals(event?.packetBytes, PACKET.length);
  assertEquals(event?.request.header, "rumor");
  assertEquals(event?.request.body, { n: 1, data: Uint8Array.of(1, 2) });
});

Deno.test("RequestsEndPoint gives events nothing that the next packet overwrites", async () => {
  await using scripted = await Scripted.open();
  const buffer = new Uint8Array(1000);
  for (const n of [1, 2]) {
    const payload = encodeWireData(wireData("rumor", { data: new Uint8Array(300).fill(n) }));
    const packet = encodeDatagram(SERVICE_CODE.gossip, payload);
    buffer.set(packet, 7);
    await scripted.receive(buffer.subarray(7, 7 + packet.length));
  }
  const [first, second] = scripted.taken();
  assertEquals(first?.request.body.data, new Uint8Array(300).fill(1));
  assertEquals(second?.request.body.data, new Uint8Array(300).fill(2));
});

Deno.test("RequestsEndPoint drops and counts native packets that are not exact", async () => {
  await using scripted = await Scripted.open();
  let malformed = 0;
  for (let length = 0; length < PACKET.length; length++) {
    await scripted.receive(PACKET.subarray(0, length));
    assertEquals(scripted.count("malformed"), ++malformed, `${length} bytes`);
  }
  const trailing = new Uint8Array([...PACKET, 0]);
  const liars = [1, 2, 3, 4].map((at) =>
    PACKET.map((byte, index) => index === at ? byte ^ 1 : byte)
  );
  const bombs = [
    [0x12, 0xff, 0xff, 0xff, 0xff], // a length of 4 GiB
    [0x12, 0, 0, 0, 0], // no message
    [0x12, 0, 0, 0, 5, 0xdd, 0xff, 0xff, 0xff, 0xff], // an array of 4 G elements
    [0x12, 0, 0, 0, 1, 0x90], // an array of none
  ];
  for (const packet of [trailing, ...liars, ...bombs.map((bytes) => new Uint8Array(bytes))]) {
    await scripted.receive(packet);
    assertEquals(scripted.count("malformed"), ++malformed, packet.toHex());
  }
  assertEquals(scripted.taken(), []);
  const [line] = scripted.log.lines.slice(-1);
  assertEquals([line?.level, line?.fields.from], ["debug", "192.0.2.7:4000"]);
  await scripted.receive(PACKET);
  assertEquals(scripted.taken().length, 1);
});

Deno.test("RequestsEndPoint meets random garbage with a counter", async () => {
  await using scripted = await Scripted.open();
  const random = seededRandom(5);
  const codes = [0, 1, 2, 0x10, 0x12, 0x14, 0x1f];
  for (let i = 0; i < 3000; i++) {
    const garbage = Uint8Array.from({ length: Math.floor(random() * 60) }, () => random() * 256);
    // A third has a code that is taken, and a third the right length too.
    if (i % 3 > 0 && garbage.length > 0) garbage[0] = codes[i % codes.length] ?? 0;
    if (i % 3 > 1 && garbage.length > 4) garbage.set([0, 0, 0, garbage.length - 5], 1);
    scripted.socket.push({ data: garbage, from: BOB });
  }
  await scripted.receive(PACKET);
  while (!scripted.events.some(({ request }) => request.header === "rumor")) await settle();
  const known = scripted.events.length - 1;
  assertEquals(scripted.count("malformed") + scripted.count("unknown-code") + known, 3000);
  assert(scripted.count("malformed") > 1500, `${scripted.count("malformed")} malformed`);
  assertEquals(scripted.count("receive-errors"), 0);
});

Deno.test("RequestsEndPoint reads the packets of PeerConnect, with and without a service code", async () => {
  await using scripted = await Scripted.open();
  const vectors = loadVectors("peerconnect.requests_datagram");
  for (const vector of vectors) {
    const packet = bytesOf(vector);
    await scripted.receive(packet);
    const [event, ...more] = scripted.taken();
    const wanted = vector.name.includes("NO service code") ? UNCODED : packet[0];
    assertEquals([event?.rootCode, more], [wanted, []], vector.name);
    const payload = packet.subarray(wanted === UNCODED ? 4 : 5);
    assertEquals(event?.request, decodeWireData(payload, { dialect: "peerconnect" }));
    assertEquals(event?.packetBytes, packet.length);
  }
  assertEquals(scripted.count("malformed"), 0);
  assert(vectors.length > 2);
});

Deno.test("RequestsEndPoint takes nothing for PeerConnect's that is not as long as it says, or no message", async () => {
  await using scripted = await Scripted.open();
  let malformed = 0;
  for (const vector of loadVectors("peerconnect.requests_datagram")) {
    const packet = bytesOf(vector);
    const lengthAt = vector.name.includes("NO service code") ? 0 : 1;
    const liars = [1, 2, 3].map((at) => packet.map((b, n) => n === lengthAt + at ? b ^ 1 : b));
    const noArray = packet.map((b, n) => n === lengthAt + 4 ? 0x94 : b);
    const wrong = [packet.subarray(0, -1), new Uint8Array([...packet, 0]), ...liars, noArray];
    for (const bytes of wrong) {
      await scripted.receive(bytes);
      assertEquals(scripted.count("malformed"), ++malformed, `${vector.name}: ${bytes.toHex()}`);
    }
  }
  for (let length = 0; length <= 6; length++) {
    await scripted.receive(new Uint8Array(length));
    assertEquals(scripted.count("malformed"), ++malformed);
  }
  assertEquals(scripted.taken(), []);
});

Deno.test("RequestsEndPoint tells packets without a code from those of code 0, whatever their length", async () => {
  await using scripted = await Scripted.open();
  const lengths = new Set<number>();
  for (const count of [0, 1, ...Array(50).keys().map((n) => n + 100), 0x95_00, 60_000]) {
    const body = { data: new Uint8Array(count) };
    const message = wireData("x", body, { msgId: "id", dialect: "peerconnect" });
    const payload = encodeWireData(message, { dialect: "peerconnect" });
    lengths.add(payload.length);
    scripted.socket.push({ data: encodeDatagram(undefined, payload), from: BOB });
    await scripted.receive(encodeDatagram(0, payload));
    assertEquals(scripted.taken().map(({ rootCode }) => rootCode), [UNCODED, 0], `${count} bytes`);
  }
  assert(lengths.has(0x95), "no length looks like the beginning of a message");
});

Deno.test("RequestsEndPoint takes a packet that begins with its length and no message for one of code 0", async () => {
  const [socket, metrics] = [new ScriptedSocket("192.0.2.1"), new Metrics()];
  const dispatcher = new RequestsDispatcher({ metrics });
  const { transport } = socket;
  await using _endpoint = await RequestsEndPoint.open({ transport, dispatcher, metrics });
  dispatcher.register(UNCODED, () => {});
  for (const bytes of [[0, 0, 0, 1, 0x94], [0, 0, 0, 1, 0x95]]) {
    socket.push({ data: Uint8Array.from(bytes), from: BOB });
  }
  await settle();
  assertEquals(metrics.snapshot(), { "requests.unknown-code": 1, "requests.malformed": 1 });
});

Deno.test("RequestsEndPoint counts packets of codes that nobody takes", async () => {
  await using scripted = await Scripted.open();
  for (const code of [3, 0x0f, 0x11, 0x20, 0xff]) {
    await scripted.receive(encodeDatagram(code, PAYLOAD));
  }
  assertEquals(scripted.count("unknown-code"), 5);
  assertEquals(scripted.taken(), []);
});

Deno.test("RequestsEndPoint gives only what may be no message to the handler of bare packets", async () => {
  await using scripted = await Scripted.open();
  const offered: Uint8Array[] = [];
  using _taking = scripted.endpoint.takeBare(({ data, from }) => {
    assertEquals(from, BOB);
    return offered.push(data) > 0;
  });
  const peerConnects = loadVectors("peerconnect.requests_datagram").map(bytesOf);
  const coded = peerConnects.filter((packet) => packet[5] === 0x95);
  assert(coded.length >= 2);
  for (const packet of [PACKET, ...coded]) {
    await scripted.receive(packet);
    assertEquals([offered.length, scripted.taken().length], [0, 1]);
  }
  for (const code of [0x10, 0x13, 0x1f]) {
    await scripted.receive(PACKET.with(0, code).subarray(0, -1)); // native, though malformed
  }
  assertEquals(offered, []);

  const longer = coded.map((packet) => new Uint8Array([...packet, 0]));
  const noArray = coded.map((packet) => packet.with(5, 0x94));
  const uncoded = peerConnects.filter((packet) => packet[4] === 0x95);
  const bare = [new Uint8Array(0), new Uint8Array(40), PACKET.with(0, 3), PACKET.with(0, 0x20)];
  for (const packet of [...longer, ...noArray, ...uncoded, ...bare]) {
    await scripted.receive(packet);
    assertEquals([offered.splice(0), scripted.taken()], [[packet], []]);
  }
  // The longer forms of an array are PeerConnect's, too.
  for (const byte of [0xdc, 0xdd]) await scripted.receive(PACKET.with(0, 0).with(5, byte));
  assertEquals(offered, []);
});

Deno.test("RequestsEndPoint goes on as ever with what the handler of bare packets leaves, and once that ends", async () => {
  await using scripted = await Scripted.open();
  let isAsked = false;
  const taking = scripted.endpoint.takeBare(() => !(isAsked = true));
  assertThrows(() => scripted.endpoint.takeBare(() => true), TypeError, "already");
  const uncoded = loadVectors("peerconnect.requests_datagram").map(bytesOf)
    .find((packet) => packet[4] === 0x95);
  assert(uncoded !== undefined);
  await scripted.receive(uncoded);
  assertEquals([isAsked, scripted.taken()[0]?.rootCode], [true, UNCODED]);
  await scripted.receive(new Uint8Array(40));
  assertEquals(scripted.count("malformed"), 1);
  taking[Symbol.dispose]();
  isAsked = false;
  await scripted.receive(uncoded);
  assertEquals([isAsked, scripted.taken().length], [false, 1]);
  using _other = scripted.endpoint.takeBare(() => true);
  taking[Symbol.dispose](); // which is not its own any more
  await scripted.receive(uncoded);
  assertEquals(scripted.taken(), []);
});

Deno.test("RequestsEndPoint survives errors of its socket", async () => {
  await using scripted = await Scripted.open();
  for (const text of ["no buffers\u0007", "again"]) scripted.socket.push(new TransportError(text));
  await scripted.receive(PACKET);
  assertEquals(scripted.taken().length, 0);
  await scripted.clock.advance(1000);
  assertEquals(scripted.taken().length, 1);
  assertEquals(scripted.count("receive-errors"), 2);
  assertEquals(scripted.log.lines.map(({ level, fields }) => `${level}: ${fields.error}`), [
    "error: TransportError: no buffers\\u{7}",
    "error: TransportError: again",
  ]);
});

Deno.test("RequestsEndPoint closes while it waits out an error of its socket", async () => {
  const scripted = await Scripted.open();
  scripted.socket.push(new TransportError("no buffers"));
  await settle();
  await scripted[Symbol.asyncDispose]();
  await scripted[Symbol.asyncDispose]();
});

Deno.test("RequestsEndPoint lets timers fire however many packets there are", async () => {
  await using scripted = await Scripted.open();
  for (let n = 0; n < 1000; n++) scripted.socket.push({ data: PACKET, from: BOB });
  await new Promise((resolve) => setImmediate(resolve));
  assert(scripted.socket.unread > 0, "all packets were received before anything else happened");
  while (scripted.socket.unread > 0) await settle();
});

Deno.test("RequestsEndPoint sends, and counts what may be fragmented", async () => {
  await using scripted = await Scripted.open();
  const { socket: { sent }, endpoint } = scripted;
  await endpoint.send(SERVICE_CODE.gossip, PAYLOAD, BOB);
  await endpoint.send(0x13, new Uint8Array(1195), BOB);
  assertEquals(scripted.count("large"), 0);
  await endpoint.send(0x13, new Uint8Array(1196), BOB);
  await endpoint.send(0x13, new Uint8Array(64_512), BOB);
  assertEquals(scripted.count("large"), 2);
  assertEquals(sent.map(({ data }) => data.length), [PACKET.length, 1200, 1201, 64_517]);
  assertEquals(sent[0], { data: PACKET, to: BOB });
  const error = await assertRejects(
    () => endpoint.send(0x13, new Uint8Array(64_513), BOB),
    InvalidPacketError,
    "64512",
  );
  assertEquals(error.code, "too-large");
  await assertRejects(() => endpoint.send(256, PAYLOAD, BOB), RangeError);
});

for (
  const [kind, transport, hostname] of [
    ["UDP", netTransport, "127.0.0.1"],
    ["memory", new MemoryNetwork().host("here"), undefined],
  ] as const
) {
  Deno.test(`RequestsEndPoint receives on a port (${kind}), and no more once closed`, async () => {
    const heard = Promise.withResolvers<RequestEvent>();
    const dispatcher = new RequestsDispatcher();
    dispatcher.register(SERVICE_CODE.gossip, heard.resolve);
    const alice = await RequestsEndPoint.open({ transport, dispatcher, hostname });
    const bob = await RequestsEndPoint.open({ transport, dispatcher, hostname, port: 0 });
    await bob.send(SERVICE_CODE.gossip, PAYLOAD, alice.address);
    assertEquals((await heard.promise).fromAddr, bob.address);
    const taken = { transport, dispatcher, hostname, port: bob.address.port };
    await assertRejects(() => RequestsEndPoint.open(taken), TransportError);
    await Promise.all([alice.close(), alice.close(), bob.close()]);
    await assertRejects(() => bob.send(SERVICE_CODE.gossip, PAYLOAD, alice.address), ClosedError);
    await bob[Symbol.asyncDispose]();
  });
}
