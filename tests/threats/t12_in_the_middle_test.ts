import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { Endpoint, type EndpointOptions } from "../../src/endpoint/endpoint.ts";
import type { Link } from "../../src/endpoint/link.ts";
import { ClosedError, HandshakeError, IntegrityError, PeerError } from "../../src/errors.ts";
import { Metrics } from "../../src/metrics.ts";
import { Identity } from "../../src/secure/identity.ts";
import { Network } from "../../src/secure/network.ts";
import { netTransport } from "../../src/transport/net.ts";
import { type Meddle, Relay, type Way } from "./relay.ts";

const NAME = "a-name-that-nobody-shall-learn";
const SECRET = "a-payload-that-nobody-shall-read";
const PATH = "an/endpoint/that-nobody-shall-see";

interface Scene extends AsyncDisposable {
  readonly bob: Endpoint;
  readonly alice: Endpoint;
  readonly relay: Relay;
  readonly metrics: Metrics;
}

/** Bob listens, Alice connects to him through a relay. */
async function scene(
  meddle?: Meddle,
  [ofBob, ofAlice]: Partial<EndpointOptions>[] = [],
): Promise<Scene> {
  const stack = new AsyncDisposableStack();
  const metrics = new Metrics();
  const about = (name: string) => ({
    transport: netTransport,
    identity: Identity.generate(),
    self: { name, capabilities: [`can-${name}`], agent: "test/0" },
    hostname: "127.0.0.1",
  });
  const bob = stack.use(
    await Endpoint.open({ ...about(`bob-${NAME}`), port: 0, metrics, ...ofBob }),
  );
  bob.handle(PATH, (body) => body.data);
  const alice = stack.use(
    await Endpoint.open({ ...about(`alice-${NAME}`), clientOnly: true, ...ofAlice }),
  );
  const relay = stack.use(Relay.to(bob.address?.port ?? 0, meddle));
  return { bob, alice, relay, metrics, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

Deno.test("T12 an eavesdropper finds no name, endpoint, payload, capability, version or key in what passes", async () => {
  for (const network of [new Network(), new Network(NAME, [new Uint8Array(32).fill(7)])]) {
    await using s = await scene(undefined, [{ network }, { network }]);
    await using link = await s.alice.connect(s.relay.address);
    const data = `${SECRET} `.repeat(1_000);
    assertEquals(await link.request(PATH, { data }), data);
    assertEquals(link.peer.name, `bob-${NAME}`);
    for (const text of [NAME, SECRET, PATH, "can-", "test/0", ":hello", ":accept", "caps"]) {
      assert(!s.relay.saw(text), `${text} passed in the clear`);
    }
    for (const { peerId, publicKey = "" } of [s.alice.self, s.bob.self]) {
      assert(!s.relay.saw(Uint8Array.fromHex(peerId)));
      assert(!s.relay.saw(Uint8Array.fromHex(publicKey)));
    }
    assert(s.relay.saw("KITH/1\n"), "the relay saw nothing at all");
  }
});

// Where in what each side sends: its key, its messages of the handshake, the first records.
for (const way of ["out", "back"] as const) {
  for (const at of [3, 8, 20, 45, 90, 150, 220, 300, 420, 700]) {
    Deno.test(`T12 a bit that a relay flips ${way} at byte ${at} is noticed`, async () => {
      let flipped = false;
      await using s = await scene((bytes, goes, offset) => {
        if (goes !== way || flipped || at < offset || at >= offset + bytes.length) return bytes;
        flipped = true;
        bytes[at - offset] = (bytes[at - offset] ?? 0) ^ 0x10;
        return bytes;
      });
      const talk = async () => {
        await using link = await s.alice.connect(s.relay.address);
        for (let i = 0; i < 20; i++) {
          assertEquals(await link.request(PATH, { data: `${i}` }, { timeoutMs: 500 }), `${i}`);
        }
      };
      const error = await assertRejects(talk, PeerError);
      assert(flipped);
      assert(
        ["bad-signature", "bad-channel", "closed", "timeout"].includes(error.code),
        `${error.code}: ${error.message}`,
      );
    });
  }
}

/** Talks until something is wrong. @returns the error of the caller and that which ended the link at the other side. */
async function talkThrough(meddle: (records: RecordMeddler) => Meddle): Promise<{
  error: PeerError;
  counters: Record<string, number>;
}> {
  const records = new RecordMeddler();
  await using s = await scene(meddle(records));
  const ended = Promise.withResolvers<void>();
  s.bob.onLink((link: Link) => void link.closed.then(() => ended.resolve()));
  await using link = await s.alice.connect(s.relay.address);
  records.begin();
  const error = await assertRejects(async () => {
    for (let i = 0; i < 40; i++) await link.request(PATH, { data: i }, { timeoutMs: 700 });
  }, PeerError);
  await link.close();
  await ended.promise;
  return { error, counters: s.metrics.snapshot() };
}

/** Takes what the dialer sends apart into records, once the handshake is over. */
class RecordMeddler {
  #active = false;
  count = 0;

  begin(): void {
    this.#active = true;
  }

  /** Each request is a write of its own, so a chunk is a whole record. */
  meddle(change: (record: Uint8Array, number: number) => Uint8Array): Meddle {
    return (bytes: Uint8Array, way: Way) => {
      if (!this.#active || way !== "out") return bytes;
      return change(bytes, this.count++);
    };
  }
}

Deno.test("T12 a record that a relay strips is noticed", async () => {
  const { error, counters } = await talkThrough((records) =>
    records.meddle((record, number) => number === 3 ? new Uint8Array() : record)
  );
  // What was stripped was never answered; what comes after it has the wrong number.
  assert(["timeout", "closed", "bad-signature"].includes(error.code), error.message);
  assertEquals(counters["link.bad-signature"], 1);
});

Deno.test("T12 a record that a relay repeats is noticed", async () => {
  const { counters } = await talkThrough((records) =>
    records.meddle((record, number) => {
      return number === 3 ? Uint8Array.from([...record, ...record]) : record;
    })
  );
  assertEquals(counters["link.bad-signature"], 1);
});

Deno.test("T12 records that a relay puts in another order are noticed", async () => {
  let kept: Uint8Array | undefined;
  const { counters } = await talkThrough((records) =>
    records.meddle((record, number) => {
      if (number === 3) {
        kept = record;
        return new Uint8Array();
      }
      if (number !== 4 || kept === undefined) return record;
      return Uint8Array.from([...record, ...kept]);
    })
  );
  assertEquals(counters["link.bad-signature"], 1);
});

Deno.test("T12 what a relay recorded of one connection is worth nothing on another", async () => {
  const out: Uint8Array[] = [];
  await using s = await scene((bytes, way) => {
    if (way === "out") out.push(bytes.slice());
    return bytes;
  });
  let calls = 0;
  s.bob.handle("count", () => ++calls);
  const link = await s.alice.connect(s.relay.address);
  await link.request("count", {});
  await link.close();
  assertEquals(calls, 1);

  const conn = await Deno.connect({ hostname: "127.0.0.1", port: s.bob.address?.port ?? 0 });
  for (const bytes of out) await conn.write(bytes).catch(() => 0); // it may have hung up by then
  const waste = new Uint8Array(4_096);
  while (await conn.read(waste).catch(() => null) !== null);
  conn.close();
  assertEquals(calls, 1);
  assertEquals(s.metrics.snapshot()["accept.refused.bad-channel"], 1);
});

Deno.test("T12 a connection that is cut is told from one that ends", async () => {
  let cut = false;
  await using s = await scene((bytes) => cut ? undefined : bytes);
  const ended = Promise.withResolvers<void>();
  s.bob.onLink((link) => void link.closed.then(() => ended.resolve()));
  const link = await s.alice.connect(s.relay.address);
  cut = true;
  await assertRejects(() => link.request(PATH, { data: 1 }), ClosedError);
  await ended.promise;
  assertEquals(s.metrics.snapshot()["link.cut"], 1);

  cut = false;
  const orderly = await s.alice.connect(s.relay.address);
  await orderly.close();
  assertEquals(s.metrics.snapshot()["link.cut"], 1);
});

Deno.test("T12 who answers in between with a key of his own is not taken for the peer that was meant", async () => {
  await using s = await scene();
  const mallory = await Endpoint.open({
    transport: netTransport,
    self: { name: `bob-${NAME}`, capabilities: [], agent: "" },
    hostname: "127.0.0.1",
    port: 0,
  });
  await using _ = mallory;
  const seen: string[] = [];
  mallory.guard(({ peerId }) => void seen.push(peerId));
  const { peerId } = s.bob.self;
  const expect = (peer: { peerId: string }) => {
    if (peer.peerId !== peerId) throw new HandshakeError("denied", "another peer is there");
  };
  const to = { hostname: "127.0.0.1", port: mallory.address?.port ?? 0 };
  await assertRejects(() => s.alice.connect(to, { expect }), HandshakeError, "another peer");
  assertEquals(seen, [], "Mallory learnt who asked");
  assertInstanceOf(await s.alice.connect(s.relay.address, { expect }), Object);
});

Deno.test("T12 nobody is talked into speaking in the clear", async () => {
  await using s = await scene();
  const plain = await Endpoint.open({
    transport: netTransport,
    self: { name: "", capabilities: [], agent: "" },
    clientOnly: true,
    plain: true,
    limits: { handshakeMs: 500 },
  });
  await using _ = plain;
  const to = { hostname: "127.0.0.1", port: s.bob.address?.port ?? 0 };
  await assertRejects(() => plain.connect(to), PeerError);
  assertEquals(s.bob.links.size, 0);

  await using open = await Endpoint.open({
    transport: netTransport,
    self: { name: "", capabilities: [], agent: "" },
    hostname: "127.0.0.1",
    port: 0,
    plain: true,
    limits: { handshakeMs: 500 },
  });
  const there = { hostname: "127.0.0.1", port: open.address?.port ?? 0 };
  const error = await assertRejects(() => s.alice.connect(there), PeerError);
  assert(!(error instanceof IntegrityError));
  assertEquals(open.links.size, 0);
});
