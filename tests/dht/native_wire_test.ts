import { assert, assertEquals, assertRejects } from "@std/assert";
import { type Contact, contactOf } from "../../src/dht/contact.ts";
import { DHT_CAPABILITY, NativeWire } from "../../src/dht/native_wire.ts";
import { type Answer, type Asker, HEARD, type Question } from "../../src/dht/questions.ts";
import { immutableRecord } from "../../src/dht/record.ts";
import { Endpoint } from "../../src/endpoint/endpoint.ts";
import { UdpPort } from "../../src/endpoint/udp_port.ts";
import { AuthError, LimitError, RemoteError, UnsupportedError } from "../../src/errors.ts";
import { Identity } from "../../src/secure/identity.ts";
import { MemoryNetwork } from "../../src/transport/mod.ts";
import { encode } from "../../src/wire/msgpack.ts";
import { ann, signed } from "./record_fixture.ts";

const ID = new Uint8Array(20).fill(7);

/** These run on the clock of the machine. */
const RECORD = signed({ expiresS: Math.ceil(Date.now() / 1_000) + 3_600 });

const SELF = { name: "", agent: "test", capabilities: [] };

/** A wire on a host of a network in memory. */
interface Side extends AsyncDisposable {
  readonly wire: NativeWire;
  readonly contact: Contact;
  readonly endpoint: Endpoint;
  readonly udp: UdpPort;
  readonly asked: { readonly question: Question; readonly asker: Asker }[];
}

interface SideOptions {
  readonly identity?: Identity;
  readonly isServer?: boolean;
  readonly allowPlain?: boolean;
  readonly hosts?: readonly string[];
  readonly answer?: (question: Question, asker: Asker) => Answer;
}

async function open(
  network: MemoryNetwork,
  host: string,
  options: SideOptions = {},
): Promise<Side> {
  const { identity = Identity.generate(), isServer = true, allowPlain = false } = options;
  const { answer = () => HEARD, hosts = [host] } = options;
  await using stack = new AsyncDisposableStack();
  const transport = network.host(host);
  const endpoint = stack.use(
    await Endpoint.open({ transport, identity, self: SELF, port: 3485 }),
  );
  const udp = stack.use(await UdpPort.open(endpoint, { transport, port: 3486 }));
  const asked: Side["asked"] = [];
  const wire = stack.use(
    new NativeWire({
      ...{ endpoint, udp, identity, allowPlain },
      hosts: () => hosts,
      isServer: () => isServer,
      answer: (question, asker) => {
        asked.push({ question, asker });
        return answer(question, asker);
      },
    }),
  );
  if (isServer) wire.serve();
  const contact = contactOf(identity.id, { hostname: host, port: 3486 }, { tcpPort: 3485 });
  const parts = stack.move();
  const dispose = () => parts.disposeAsync();
  return { wire, contact, endpoint, udp, asked, [Symbol.asyncDispose]: dispose };
}

Deno.test("NativeWire asks and answers, and each knows who the other is", async () => {
  const network = new MemoryNetwork();
  const nodes = [contactOf(ID, { hostname: "carol", port: 1 }, { tcpPort: 2 })];
  await using bob = await open(network, "bob", { answer: () => ({ nodes, records: [] }) });
  await using alice = await open(network, "alice");
  assertEquals(await alice.wire.meet(bob.contact.address), bob.contact);
  const answer = await alice.wire.ask(bob.contact, { type: "find-node", target: ID });
  assertEquals(answer, { nodes, records: [] });
  // What others say of its port for connections does not count then.
  assertEquals(alice.wire.proven(bob.contact), bob.contact);
  assertEquals(alice.wire.proven({ ...alice.contact, key: bob.contact.key }), undefined);
  const { question, asker } = bob.asked.at(-1) ?? {};
  assertEquals(question, { type: "find-node", target: ID });
  assertEquals(asker?.contact, alice.contact);
  assertEquals(bob.endpoint.self.capabilities.includes(DHT_CAPABILITY), true);
});

Deno.test("NativeWire names nobody who only asks", async () => {
  const network = new MemoryNetwork();
  await using bob = await open(network, "bob");
  await using client = await open(network, "client", { isServer: false });
  await client.wire.ask(bob.contact, { type: "ping" });
  assertEquals(bob.asked.at(-1)?.asker.contact, undefined);
  await assertRejects(() => bob.wire.meet(client.contact.address), RemoteError, "dht.ping");
});

Deno.test("NativeWire takes no answer from somebody else than was asked", async () => {
  const network = new MemoryNetwork();
  await using bob = await open(network, "bob");
  await using alice = await open(network, "alice");
  const other = contactOf(ID, bob.contact.address);
  const error = await assertRejects(() => alice.wire.ask(other, { type: "ping" }), AuthError);
  assertEquals(error.code, "not-authenticated");
  assert(error.message.includes("somebody else is there"));
});

Deno.test("NativeWire is not deceived by who passes its questions on to whom it asks for", async () => {
  const network = new MemoryNetwork();
  await using bob = await open(network, "bob");
  await using alice = await open(network, "alice");
  // Mallory stands at an address of her own and gives bob's answers for hers.
  const mallory = Identity.generate();
  const endpoint = await Endpoint.open({
    transport: network.host("mallory"),
    identity: mallory,
    self: SELF,
    port: 3485,
  });
  await using _endpoint = endpoint;
  await using udp = await UdpPort.open(endpoint, {
    transport: network.host("mallory"),
    port: 3486,
  });
  endpoint.handle("dht.ping", async (body) => {
    return await udp.request(bob.contact.address, "dht.ping", withoutTerms(body));
  });
  const claimed = contactOf(bob.contact.id, { hostname: "mallory", port: 3486 });
  await assertRejects(() => alice.wire.ask(claimed, { type: "ping" }), AuthError, "proves nothing");
  await assertRejects(() => alice.wire.meet(claimed.address), AuthError, "proves nothing");
});

function withoutTerms(body: Record<string, unknown>) {
  return Object.fromEntries(Object.entries(body).filter(([name]) => name.length === 1));
}

Deno.test("NativeWire takes nobody who only refuses for who he was said to be", async () => {
  const network = new MemoryNetwork();
  await using alice = await open(network, "alice");
  const transport = network.host("mallory");
  await using endpoint = await Endpoint.open({ transport, self: SELF, port: 3485 });
  await using _udp = await UdpPort.open(endpoint, { transport, port: 3486 });
  const claimed = contactOf(ID, { hostname: "mallory", port: 3486 }, { tcpPort: 1 });
  await assertRejects(() => alice.wire.ask(claimed, { type: "ping" }), RemoteError, "dht.ping");
  assertEquals(alice.wire.proven(claimed), undefined);
});

Deno.test("NativeWire leaves out what has ended by its clock, and takes the rest", async () => {
  const network = new MemoryNetwork();
  const past = signed({ seq: 2, expiresS: Math.floor(Date.now() / 1_000) - 60 });
  const answer = () => ({ nodes: [], records: [past, RECORD] });
  await using bob = await open(network, "bob", { answer });
  await using alice = await open(network, "alice");
  const { records } = await alice.wire.ask(bob.contact, {
    type: "find-value",
    target: RECORD.key,
  });
  assertEquals(records, [RECORD]);
});

Deno.test("NativeWire reads no more for a packet than fits it", async () => {
  const network = new MemoryNetwork();
  const rooms: unknown[] = [];
  const answer = (_: Question, { maxValueBytes }: Asker): Answer => {
    rooms.push(maxValueBytes);
    return maxValueBytes === undefined
      ? { nodes: [], records: [RECORD] }
      : { nodes: [], records: [], isMore: true };
  };
  await using bob = await open(network, "bob", { answer });
  await using alice = await open(network, "alice");
  const question = { type: "find-value", target: RECORD.key } as const;
  assertEquals((await alice.wire.ask(bob.contact, question)).records, [RECORD]);
  assertEquals(rooms, [1_280, undefined]);
});

Deno.test("NativeWire looks no further at copies of who sends a forged one", async () => {
  const network = new MemoryNetwork();
  await using bob = await open(network, "bob");
  await using alice = await open(network, "alice");
  for (const seq of [5, 6, 7]) {
    await alice.wire.give(bob.contact, { record: { ...RECORD, seq }, ttlS: 60 });
  }
  await alice.wire.give(bob.contact, { record: RECORD, ttlS: 60 });
  await alice.wire.flush();
  await alice.wire.ask(bob.contact, { type: "ping" });
  assertEquals(bob.endpoint.metrics.snapshot()["dht.copies-refused"], 1);
  assertEquals(bob.asked.map(({ question }) => question.type), ["ping"]);
});

Deno.test("NativeWire passes refusals on with their code and details", async () => {
  const network = new MemoryNetwork();
  const answer = (): never => {
    throw new LimitError("limit", "No room", { details: { limit: "maxRecords", max: 3 } });
  };
  await using bob = await open(network, "bob", { answer });
  await using alice = await open(network, "alice");
  const question = { type: "store", record: immutableRecord(encode(1)), ttlS: 60 } as const;
  const error = await assertRejects(() => alice.wire.ask(bob.contact, question), RemoteError);
  assertEquals([error.code, error.details.max], ["limit", 3]);
});

Deno.test("NativeWire puts and gets large records over a connection", async () => {
  const network = new MemoryNetwork();
  const record = immutableRecord(encode(new Uint8Array(60_000).fill(1)));
  const records = [record];
  await using bob = await open(network, "bob", {
    answer: ({ type }) => type === "find-value" ? { nodes: [], records } : HEARD,
  });
  await using alice = await open(network, "alice");
  await alice.wire.ask(bob.contact, { type: "store", record, ttlS: 60 });
  assertEquals(bob.asked.at(-1)?.question, { type: "store", record, ttlS: 60, cas: undefined });
  const { records: got } = await alice.wire.ask(bob.contact, {
    type: "find-value",
    target: record.key,
  });
  assertEquals(got, records);
  const misnamed = { ...bob.contact, tcpPort: 9 };
  await alice.wire.ask(misnamed, { type: "store", record, ttlS: 60 });
  await using carol = await open(network, "carol");
  const mute = { ...bob.contact, tcpPort: 0 };
  await assertRejects(
    () => carol.wire.ask(mute, { type: "store", record, ttlS: 60 }),
    UnsupportedError,
    "no connections",
  );
});

Deno.test("NativeWire gives records without an answer, and takes of them what is right", async () => {
  const network = new MemoryNetwork();
  await using bob = await open(network, "bob");
  await using alice = await open(network, "alice");
  await alice.wire.give(bob.contact, { record: RECORD, ttlS: 60 });
  await alice.wire.give(bob.contact, { record: immutableRecord(encode(1)), ttlS: 61 });
  const forged = { ...RECORD, seq: RECORD.seq + 1 };
  await alice.wire.give(bob.contact, { record: forged, ttlS: 60 });
  await alice.wire.flush();
  // They are taken in order, and so is what follows.
  await alice.wire.ask(bob.contact, { type: "ping" });
  const given = bob.asked.map(({ question }) => question.type === "store" ? question.ttlS : 0);
  assertEquals(given, [60, 61, 0]);
  assertEquals(bob.asked[0]?.asker.contact, alice.contact);
  assertEquals(bob.endpoint.metrics.snapshot()["dht.copies-refused"], 1);
});

Deno.test("NativeWire takes plain records only where they are let in", async () => {
  const network = new MemoryNetwork();
  await using strict = await open(network, "strict");
  await using lenient = await open(network, "lenient", { allowPlain: true });
  await using alice = await open(network, "alice", { allowPlain: true });
  const record = { kind: "plain", key: ID, slot: "", value: encode(1) } as const;
  const question = { type: "store", record, ttlS: 60 } as const;
  await alice.wire.ask(lenient.contact, question);
  const error = await assertRejects(() => alice.wire.ask(strict.contact, question), RemoteError);
  assertEquals(error.code, "bad-message");
});

Deno.test("NativeWire refuses forged records, kept by whom it asks or put to it", async () => {
  const network = new MemoryNetwork();
  const forged = { ...RECORD, seq: 99 };
  await using bob = await open(network, "bob", {
    answer: () => ({ nodes: [], records: [forged] }),
  });
  await using alice = await open(network, "alice");
  const error = await assertRejects(
    () => alice.wire.ask(bob.contact, { type: "store", record: forged, ttlS: 60 }),
    RemoteError,
  );
  assertEquals(error.code, "bad-signature");
  await assertRejects(
    () => alice.wire.ask(bob.contact, { type: "find-value", target: forged.key }),
    Error,
    "signature",
  );
  assertEquals(ann.peerId, forged.slot);
});
