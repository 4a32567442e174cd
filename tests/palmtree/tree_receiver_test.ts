import { assert, assertEquals, assertRejects } from "@std/assert";
import type { Link } from "../../src/endpoint/link.ts";
import { Endpoint } from "../../src/endpoint/endpoint.ts";
import { ManualClock } from "../../src/clock.ts";
import { RemoteError, TimeoutError } from "../../src/errors.ts";
import { ChunkList } from "../../src/palmtree/chunk_list.ts";
import {
  type ControlMessage,
  encodeControl,
  encodeStreamLink,
} from "../../src/palmtree/control.ts";
import {
  encodeInform,
  type PalmTreeSession,
  parseInformResponse,
} from "../../src/palmtree/session.ts";
import { SessionSeal } from "../../src/palmtree/session_seal.ts";
import { decimalOf } from "../../src/palmtree/stream_links.ts";
import { TreeReceiver } from "../../src/palmtree/tree_receiver.ts";
import { encodeManifest } from "../../src/transfer/manifest_codec.ts";
import { type ReceiveEvent, Receiver, type ReceiverOptions } from "../../src/transfer/receive.ts";
import { MemoryNetwork } from "../../src/transport/mod.ts";
import { encodeDatagram } from "../../src/wire/datagram.ts";
import type { MessageBody } from "../../src/wire/message.ts";
import { idToDecimal } from "../../src/wire/remote_peer.ts";
import { identityOf, infoOf } from "../endpoint/fixture.ts";
import { noise } from "./town.ts";

const BYTES = 1_000;
const chunks = ChunkList.of(BYTES, 100, { read: (index) => noise(100, index) });
const entry = { path: "f", kind: "file", size: BYTES, mode: 0o644, mtimeMs: 0 } as const;
const manifest = encodeManifest({ entries: [entry], files: 1, totalBytes: BYTES });
const seal = new Uint8Array(32).fill(7);
/** The name of Ann's session. */
const name = `${decimal("ann")}/s`;

/** A receiver, and strangers that speak to it by hand. */
class Scene implements AsyncDisposable {
  readonly #network = new MemoryNetwork();
  readonly #parts = new AsyncDisposableStack();
  readonly #dir = Deno.makeTempDirSync({ prefix: "kith-palm-" });
  readonly clock = new ManualClock();
  trees: TreeReceiver | undefined;
  readonly events: ReceiveEvent[] = [];

  static async open(accept: ReceiverOptions["accept"] = () => true): Promise<Scene> {
    const scene = new Scene();
    const endpoint = await scene.#open("receiver", 3_485);
    const receiver = scene.#parts.use(Receiver.open(endpoint, { dir: scene.#dir, accept }));
    const transport = scene.#network.host("receiver");
    const tuning = { giveUpMs: Infinity };
    const options = { endpoint, transport, hostname: "receiver", desk: receiver, tuning };
    void (async () => {
      for await (const event of receiver) scene.events.push(event);
    })();
    scene.trees = scene.#parts.use(TreeReceiver.open(options));
    return scene;
  }

  /** Sends a packet as the sender does. */
  async packet(message: ControlMessage, answer: unknown): Promise<void> {
    const socket = await this.#network.host("ann").datagram();
    const { answer: bytes } = answer as { answer: Uint8Array };
    const { passive } = parseInformResponse(bytes);
    const options = { sessionId: "s", key: "k".repeat(64), self: decimal("ann") };
    const payload = new SessionSeal({ ...options, keyWith: () => seal })
      .seal(encodeControl(message), decimal("receiver"));
    await socket.send(encodeDatagram(undefined, payload), passive);
    socket.close();
  }

  async link(name: string): Promise<Link> {
    const endpoint = await this.#open(name, undefined);
    return await endpoint.connect({ hostname: "receiver", port: 3_485 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync();
    this.#network.close();
    await Deno.remove(this.#dir, { recursive: true });
  }

  async #open(name: string, port: number | undefined): Promise<Endpoint> {
    return this.#parts.use(
      await Endpoint.open({
        transport: this.#network.host(name),
        hostname: name,
        identity: identityOf(name),
        self: infoOf(name),
        port,
        clientOnly: port === undefined,
        ...(port === undefined ? {} : { clock: this.clock, limits: { heartbeatMs: Infinity } }),
      }),
    );
  }
}

function decimal(name: string): string {
  return idToDecimal(Uint8Array.fromHex(identityOf(name).peerId));
}

function sessionOf(name: string, more: Partial<PalmTreeSession> = {}): PalmTreeSession {
  return {
    originateId: decimal(name),
    sessionId: "s",
    key: "k".repeat(64),
    fanout: 2,
    linkWaitMs: 1_000,
    adjacentPeers: [],
    chunkSize: 100,
    fileCount: 1,
    ...more,
  };
}

function informOf(name: string, more: Partial<PalmTreeSession> = {}): MessageBody {
  const inform = encodeInform(sessionOf(name, more));
  return { inform, manifest, chunks: chunks.toValue(), port: 5_000, seal };
}

async function assertRefused(asking: Promise<unknown>, code: string, text: string) {
  const error = await assertRejects(() => asking, RemoteError, text);
  assertEquals(error.code, code);
}

Deno.test("TreeReceiver names what is wrong with an inform", async () => {
  await using scene = await Scene.open();
  const link = await scene.link("ann");
  const good = informOf("ann");
  const cases: readonly [MessageBody, string, string][] = [
    [{ ...good, inform: "x" }, "bad-message", "inform"],
    [{ ...good, inform: new Uint8Array(3) }, "bad-message", ""],
    [informOf("bob"), "bad-message", "id: it is not that of who informs"],
    [{ ...good, port: 0 }, "bad-message", "port"],
    [{ ...good, seal: new Uint8Array(31) }, "bad-message", "seal"],
    [{ ...good, chunks: [BYTES - 1, 100, new Uint8Array(320)] }, "bad-message", "chunks"],
    [{ ...good, chunks: [BYTES, 100, new Uint8Array(31)] }, "bad-message", "hashes"],
    [informOf("ann", { chunkSize: 101 }), "bad-message", "chunks"],
    [{ ...good, manifest: { entries: [["../f", false, BYTES, 0, 0]] } }, "bad-message", ""],
    [{}, "bad-message", "inform"],
  ];
  for (const [body, code, text] of cases) {
    await assertRefused(link.request("palm.inform", body), code, text);
  }
  assert(await link.request("palm.inform", good));
  await assertRefused(link.request("palm.inform", good), "limit", "comes here already");
});

Deno.test("TreeReceiver takes nothing that was not accepted", async () => {
  await using scene = await Scene.open(() => false);
  const link = await scene.link("ann");
  await assertRefused(link.request("palm.inform", informOf("ann")), "not-allowed", "refused");
  await assertRefused(link.request("palm.run", { session: "s" }), "bad-message", "session");
  await assertRejects(() => link.request("palm.link", { session: name }), RemoteError);
});

Deno.test("TreeReceiver lets only the sender ask for the end, and only who was informed link", async () => {
  await using scene = await Scene.open();
  const ann = await scene.link("ann");
  await ann.request("palm.inform", informOf("ann"));
  const eve = await scene.link("eve");
  await assertRefused(eve.request("palm.run", { session: "s" }), "bad-message", "none of yours");
  eve.post("palm.over", { session: "s", code: "closed", message: "ha" });

  const passive = { hostname: "eve", port: 1 };
  const hello = (from: string, sessionId = "s") => {
    return encodeStreamLink({ kind: "file", from: decimal(from), sessionId, passive });
  };
  const receiver = decimal("receiver");
  const seal = (self: string, key: string, sessionId = "link s") => {
    return new SessionSeal({ sessionId, key, self: decimal(self) });
  };
  const right = "k".repeat(64);
  const greetings: readonly [Uint8Array, string][] = [
    [hello("eve"), "not-authenticated"], // no seal
    [seal("eve", "wrong").seal(hello("eve"), receiver), "not-authenticated"],
    [seal("ann", right).seal(hello("ann"), receiver), "not-authenticated"], // somebody else's
    [seal("eve", right).seal(hello("eve", "t"), receiver), "not-authenticated"],
    [seal("eve", right, "s").seal(hello("eve"), receiver), "not-authenticated"], // a packet's
    [seal("eve", right).seal(hello("eve"), decimal("bob")), "not-authenticated"],
  ];
  for (const [greeting, code] of greetings) {
    await assertRefused(eve.request("palm.link", { session: name, greeting }), code, "");
  }
  for (const greeting of [undefined, "x", 7]) {
    await assertRefused(eve.request("palm.link", { session: name, greeting }), "bad-message", "");
  }
  await assertRefused(eve.request("palm.link", { session: "no" }), "no-path", "palm tree");

  // What comes without a link is nothing.
  for (const index of [0, 1, 2]) eve.post("palm.chunk", { session: name, index, data: noise(100) });
  eve.post("palm.chunk", { session: name, index: -1, data: noise(100) });
  eve.post("palm.chunk", { session: name, index: 0, data: "text" });
  eve.post("palm.frame", { session: name, frame: new Uint8Array([1, 2, 3]) });
  eve.post("palm.taken", { session: name, index: 5 });
  await eve.ping();
  assertEquals(eve.open, true);
  assertEquals(decimalOf(ann), receiver);
});

Deno.test("TreeReceiver takes a greeting once, and only from who was asked", async () => {
  await using scene = await Scene.open();
  const ann = await scene.link("ann");
  await ann.request("palm.inform", informOf("ann"));
  const passive = { hostname: "ann", port: 1 };
  const hello = { kind: "file", from: decimal("ann"), sessionId: "s", passive } as const;
  const options = { sessionId: "link s", key: "k".repeat(64), self: decimal("ann") };
  const greeting = new SessionSeal(options).seal(encodeStreamLink(hello), decimal("receiver"));
  const ask = () => ann.request("palm.link", { session: name, greeting });
  await assertRefused(ask(), "not-allowed", "not wanted");
  await assertRefused(ask(), "bad-message", "not newer");
});

Deno.test("TreeReceiver that is closed takes nothing, and tells the sender", async () => {
  await using scene = await Scene.open();
  const ann = await scene.link("ann");
  await ann.request("palm.inform", informOf("ann"));
  const run = ann.request("palm.run", { session: "s" }, { timeoutMs: Infinity });
  await Promise.all([
    assertRefused(run, "closed", "given up"),
    ann.ping().then(() => scene.trees?.close()),
  ]);
  await assertRefused(ann.request("palm.inform", informOf("ann")), "no-endpoint", "palm.inform");
});

Deno.test("TreeReceiver of a person who takes a part refuses, because it passes everything on", async () => {
  await using scene = await Scene.open(() => [0] as unknown as boolean);
  const link = await scene.link("ann");
  await assertRefused(link.request("palm.inform", informOf("ann")), "not-allowed", "a part");
});

Deno.test("TreeReceiver keeps a session's name while a person thinks, and apart from that of another sender", async () => {
  const [asked, answer] = [Promise.withResolvers<void>(), Promise.withResolvers<boolean>()];
  await using scene = await Scene.open(() => (asked.resolve(), answer.promise));
  const [ann, bob] = [await scene.link("ann"), await scene.link("bob")];
  const first = ann.request("palm.inform", informOf("ann"));
  await asked.promise;
  await assertRefused(ann.request("palm.inform", informOf("ann")), "limit", "comes here already");
  const other = bob.request("palm.inform", informOf("bob"));
  answer.resolve(true);
  await Promise.all([first, other]);
  assertEquals(scene.trees?.progress.length, 2);
  const run = bob.request("palm.run", { session: "s" }, { timeoutMs: Infinity });
  bob.post("palm.over", { session: "s", code: "closed", message: "enough" });
  await assertRefused(run, "closed", "enough");
  assertEquals(scene.trees?.progress.map(({ from }) => from.name), ["ann"]);
});

Deno.test("TreeReceiver gives up a tree that does not begin, and one that gives nothing, whatever the link does", async () => {
  for (const [begins, seconds] of [[false, 150], [true, 300]] as const) {
    await using scene = await Scene.open();
    const link = await scene.link("ann");
    const answer = await link.request("palm.inform", informOf("ann"));
    if (begins) {
      await scene.packet({ type: "state-update", neighbors: [], seq: 1 }, answer);
      await link.ping();
    }
    await scene.clock.advance(1_000 * seconds - 1_000);
    assertEquals(scene.trees?.progress.length, 1);
    await scene.clock.advance(2_000);
    const run = link.request("palm.run", { session: "s" });
    await assertRefused(run, "bad-message", "none of yours");
    assertEquals([scene.trees?.progress.length, link.open], [0, true]);
    const [failed] = scene.events;
    assert(failed?.type === "failed" && failed.error instanceof TimeoutError);
    assertEquals(failed.error.message, `Cannot receive: nothing has come for ${seconds} s`);
  }
});
