import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { HandshakeError } from "../../src/errors.ts";
import { type LogFields, type Logger, type LogLayer, silentLogger } from "../../src/log.ts";
import { logCalls } from "../../src/rpc/middleware.ts";
import { traceOfMessage } from "../../src/gossip/message_trace.ts";
import type { Peer } from "../../src/peer.ts";
import { newTrace, type Trace } from "../../src/trace.ts";
import { currentTrace, withTrace } from "../../src/endpoint/tracing.ts";
import { NEWS, readAll, Village } from "../gossip/gossip_fixture.ts";

/** A line of a log that tells layers apart. */
interface Line extends LogFields {
  readonly layer: LogLayer;
  readonly message: string;
}

/** One peer's log, of which it wants all. */
class Book {
  readonly lines: Line[] = [];
  readonly log: Logger = this.#of("peer");

  #of(layer: LogLayer): Logger {
    const debug = (message: string, fields: LogFields = {}) => {
      this.lines.push({ ...fields, layer, message });
    };
    return { ...silentLogger, debug, enabled: () => true, layer: (other) => this.#of(other) };
  }

  /** What it says of a trace. */
  of(trace: string): string[] {
    return this.lines.filter((line) => line.trace === trace)
      .map(({ layer, message, header, topic }) => `${layer}: ${message} ${header ?? topic}`);
  }
}

/** Three peers, each with a log of its own, of which each knows the one before. */
async function three(village: Village): Promise<[Peer[], Book[]]> {
  const books = [new Book(), new Book(), new Book()];
  const peers: Peer[] = [];
  for (const { log } of books) {
    const address = peers.at(-1)?.address;
    peers.push(await village.open({ log, seeds: address === undefined ? [] : [address] }));
  }
  return [peers, books];
}

function at({ address }: Peer): string {
  return `${address?.hostname}:${address?.port}`;
}

Deno.test("a request has one trace on every peer that it leads to, over TCP and UDP, in the logs of all layers", async () => {
  await using village = new Village();
  const [[ann, bob, cat], [anns, bobs, cats]] = await three(village);
  assert(ann && bob && cat && anns && bobs && cats);
  for (const { endpoint } of [bob, cat]) endpoint.use(logCalls(endpoint.log));
  const traces: (Trace | undefined)[] = [];
  bob.handle("relay", async ({ whom }, { trace }) => {
    traces.push(trace);
    await Promise.resolve();
    return await bob.request(String(whom), "echo", { text: "hello" });
  });
  cat.handle("echo", ({ text }, { trace }) => (traces.push(trace), text));

  for (const whom of [at(cat), `udp://${cat.udpAddress?.hostname}:${cat.udpAddress?.port}`]) {
    assertEquals(await ann.request(at(bob), "relay", { whom }), "hello");
    const [first, second] = traces.splice(0);
    assert(first && second);
    assertEquals(first.traceId, second.traceId);
    assertNotEquals(first.spanId, second.spanId);
    assertEquals(anns.of(first.traceId), ["endpoint: asked relay"]);
    assertEquals(bobs.of(first.traceId), [
      "endpoint: asked echo",
      "rpc: called relay",
      "endpoint: answered relay",
    ]);
    assertEquals(cats.of(first.traceId).toSorted(), [
      "endpoint: answered echo",
      "rpc: called echo",
    ]);
  }
});

Deno.test("a request that its program traces keeps that trace where nobody logs, and others have none", async () => {
  await using village = new Village();
  const [ann, bob, cat] = await village.openMany(3);
  assert(ann && bob && cat);
  const seen: (string | undefined)[] = [];
  bob.handle("relay", () => bob.request(at(cat), "echo"));
  cat.handle("echo", (_, { trace }) => void seen.push(trace?.traceId, currentTrace()?.traceId));
  const trace = newTrace();
  await ann.request(at(bob), "relay", {}, { trace });
  await withTrace(trace, () => ann.request(at(bob), "relay"));
  await ann.request(at(bob), "relay");
  const { traceId } = trace;
  assertEquals(seen, [traceId, traceId, traceId, traceId, undefined, undefined]);
});

Deno.test("a published message has one trace on every peer that it is passed on to, which nobody sends along", async () => {
  await using village = new Village();
  const [peers, books] = await three(village);
  const [ann, bob, cat] = peers;
  assert(ann && bob && cat);
  // Only Bob is between the two.
  const apart = (one: Peer, other: Peer) =>
    one.endpoint.guard(({ peerId }) => {
      if (peerId === other.peerId) throw new HandshakeError("denied", "not you");
    });
  apart(ann, cat);
  apart(cat, ann);
  const [, bobs, cats] = readAll(peers);
  await village.meet(peers);
  const cause = newTrace();
  const { seq } = await withTrace(cause, () => ann.gossip.publish(NEWS, "hello"));
  await village.until("it", () => bobs?.data.length === 1 && cats?.data.length === 1);
  assertEquals([bobs?.messages[0]?.hops, cats?.messages[0]?.hops], [1, 2]);

  const { traceId } = traceOfMessage({ topic: NEWS, from: ann.peerId, seq });
  assertEquals(books.map((book) => book.of(traceId)), [
    [`gossip: published ${NEWS}`],
    [`gossip: message came ${NEWS}`],
    [`gossip: message came ${NEWS}`],
  ]);
  const published = books[0]?.lines.find(({ message }) => message === "published");
  assertEquals(published?.cause, cause.traceId);
});
