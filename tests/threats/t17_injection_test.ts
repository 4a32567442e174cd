import { assert, assertEquals, assertRejects } from "@std/assert";
import { seededRandom } from "../../src/clock.ts";
import type { Link } from "../../src/endpoint/link.ts";
import { NotFoundError, PeerError, RemoteError } from "../../src/errors.ts";
import { Metrics } from "../../src/metrics.ts";
import { Peer } from "../../src/peer.ts";
import { countCalls, logCalls } from "../../src/rpc/middleware.ts";
import { connectSession } from "../../src/session/native.ts";
import { MemoryNetwork } from "../../src/transport/mod.ts";
import { encode } from "../../src/wire/msgpack.ts";
import { encodeTextHeader } from "../../src/wire/text_header.ts";
import { Journal, settle } from "../endpoint/fixture.ts";
import { EVIL_PIECES, rawIn } from "./raw_text.ts";
import { freshToken } from "../transfer/fixture.ts";

/** Longest text of a log field: what is said of a peer in one line. */
const MAX_FIELD_CHARS = 1_000;

const SERVER = "server";

/** Strings of a stranger's making, each of them new. */
class Nasty {
  readonly #random: () => number;
  #made = 0;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
  }

  text(pieces = 4): string {
    const pick = () => EVIL_PIECES[Math.floor(this.#random() * EVIL_PIECES.length)] ?? "";
    return `n${this.#made++}${Array.from({ length: pieces }, pick).join("")}`;
  }

  name(): string {
    return this.text(3).slice(0, 60).toWellFormed();
  }

  value(): unknown {
    return { [this.text()]: [this.text(), { [this.text()]: this.text() }], "\n": "\r\n" };
  }
}

/** A peer that does everything a peer can, writes down what it is told, and counts. */
class Scene implements AsyncDisposable {
  readonly journal = new Journal();
  readonly metrics = new Metrics();
  readonly network = new MemoryNetwork();
  readonly #parts = new AsyncDisposableStack();
  #victim: Peer | undefined;

  static async open(dir: string): Promise<Scene> {
    const scene = new Scene();
    const { journal: log, metrics } = scene;
    const victim = await scene.peer(SERVER, {
      port: 3485,
      log,
      metrics,
      dialects: ["witch", "peerpy"],
    });
    scene.#victim = victim;
    victim.serve({ projectId: "p" });
    victim.mesh({ projectId: "p" });
    victim.endpoint.use(logCalls(log));
    victim.endpoint.use(countCalls(metrics));
    const sessions = victim.sessions({ accept: () => true });
    const receiver = victim.receive({ dir, accept: () => true });
    void drain(sessions, (session) => void drain(session, () => {}));
    void drain(receiver, () => {});
    return scene;
  }

  get victim(): Peer {
    if (this.#victim === undefined) throw new Error("It is not open");
    return this.#victim;
  }

  async peer(host: string, options: Parameters<typeof Peer.open>[0] = {}): Promise<Peer> {
    const transport = this.network.host(host);
    return this.#parts.use(
      await Peer.open({ transport, hostname: host, interfaces: () => [], ...options }),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync();
    this.network.close();
  }
}

async function drain<T>(source: AsyncIterable<T>, take: (item: T) => void): Promise<void> {
  try {
    for await (const item of source) take(item);
  } catch (error) {
    if (!(error instanceof PeerError)) throw error; // how a session of somebody evil ends
  }
}

/** Lets something fail as it may, but only with an error of the tree. */
async function tolerate(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!(error instanceof PeerError)) throw error;
  }
}

/** Somebody comes, says what it likes in every way there is, and goes. */
async function visit(scene: Scene, nasty: Nasty, round: number): Promise<void> {
  const name = nasty.name();
  const evil = await scene.peer(`evil${round}`, { name, port: 1, clientOnly: false });
  evil.handle("bait", () => {
    throw new NotFoundError("no-path", nasty.text(), {
      details: { [nasty.text()]: nasty.value(), list: [nasty.text()] },
    });
  });
  const link = await evil.link(`${SERVER}:3485`);
  await tolerate(link.request(nasty.text(), { data: nasty.value() }, { timeoutMs: 1_000 }));
  await tolerate(link.request("describe", { data: nasty.value() }));
  await tolerate(link.request("bind", { data: { name: nasty.text(), [nasty.text()]: 1 } }));
  await tolerate(link.request("mesh.introduce", nasty.value() as Record<string, unknown>));
  await link.post(nasty.text(), { data: nasty.value() });
  await transfers(link, nasty);
  await link.close();
  await session(evil, nasty);
  await baits(scene.victim, `evil${round}:1`);
  await strangers(scene, nasty, round);
  await evil.close();
  await settle();
}

async function transfers(link: Link, nasty: Nasty): Promise<void> {
  for (const path of [nasty.text(), `${nasty.text(0)}.txt`, "می\u200cخواهم"]) {
    const manifest = { entries: [[path, false, 1, 0o644, 0]] };
    const body = { manifest, token: freshToken() };
    const offered = await link.request("transfer.offer", body).catch(() => undefined);
    const id = (offered as { id?: number } | undefined)?.id ?? nasty.text();
    await link.post("transfer.data", { id, index: nasty.text(), data: nasty.text() });
    await tolerate(link.request("transfer.run", { id }, { timeoutMs: 1_000 }));
  }
}

async function session(evil: Peer, nasty: Nasty): Promise<void> {
  const link = await evil.link(`${SERVER}:3485`);
  await tolerate(
    link.request("session.open", { type: nasty.text(), [nasty.text()]: nasty.text() }),
  );
  await tolerate((async () => {
    const session = await connectSession(evil.endpoint, link);
    await session.send(nasty.value());
    await session.close(nasty.text());
  })());
  await link.close();
}

/** The victim asks for what it gets. */
async function baits(victim: Peer, address: string): Promise<void> {
  const link = await victim.link(address);
  const error = await assertRejects(() => link.request("bait", {}), RemoteError);
  const shown = [error.code, error.message, link.label, JSON.stringify(error.details)];
  for (const text of shown) assertEquals(rawIn(text), undefined);
  assert(error.message.length < 5_000);
  await link.close();
}

/** Programs that are none of ours, on the same port, and packets. */
async function strangers(scene: Scene, nasty: Nasty, round: number): Promise<void> {
  const host = scene.network.host(`stranger${round}`);
  const utf8 = new TextEncoder();
  const openings = [
    utf8.encode(`${JSON.stringify({ request: nasty.text(), [nasty.text()]: nasty.value() })}\n`),
    utf8.encode(`{"${nasty.text()}\n`),
    encodeTextHeader({ type: "HELLO", fields: { peer_name: `${round}:1`, data_type: "json" } }),
    utf8.encode(`HELLO|peer_name=${nasty.text()}&data_type=json`.padEnd(128, "|")),
    utf8.encode(`GET /${nasty.text()} HTTP/1.1\r\n\r\n`),
    utf8.encode(nasty.text()),
  ];
  for (const opening of openings) {
    const connection = await host.connect({ hostname: SERVER, port: 3485 });
    try {
      await connection.write(opening);
      await settle();
    } catch (error) {
      if (!(error instanceof PeerError)) throw error; // it had enough of us
    }
    connection.close();
  }
  const port = scene.victim.udpAddress?.port ?? 0;
  const socket = await host.datagram();
  for (const code of [0x10, 0x14, 0x1e, 0x1f, 0x77]) {
    const body = encode([nasty.text(), 1, 1, nasty.value(), null]);
    const packet = new Uint8Array(5 + body.length);
    packet[0] = code;
    new DataView(packet.buffer).setUint32(1, body.length);
    packet.set(body, 5);
    await socket.send(packet, { hostname: SERVER, port });
  }
  await settle();
  socket.close();
}

/** Names of counters, and what log lines are made of, of all that was said so far. */
function vocabulary({ journal, metrics }: Scene): { counters: string[]; said: string[] } {
  const said = journal.lines.map(({ level, message, fields }) =>
    `${level} ${message} ${Object.keys(fields).join()}`
  );
  return { counters: Object.keys(metrics.snapshot()), said: [...new Set(said)].sort() };
}

Deno.test("T17 nothing that peers say names a counter, forges a log line or gets into one raw or unbounded", async () => {
  const dir = await Deno.makeTempDir();
  try {
    await using scene = await Scene.open(dir);
    const nasty = new Nasty(17);
    for (let round = 0; round < 4; round++) await visit(scene, nasty, round);
    const before = vocabulary(scene);
    for (let round = 4; round < 24; round++) await visit(scene, nasty, round);
    const after = vocabulary(scene);

    // Whatever they say, the words are ours: twenty more visitors add none.
    assertEquals(after, before);
    assert(after.counters.length >= 5, after.counters.join());
    assert(after.said.length >= 4, after.said.join());
    for (const name of after.counters) assert(/^[a-z]+(\.[A-Za-z-]+)+$/.test(name), name);
    for (const { message, fields } of scene.journal.lines) {
      for (
        const text of [
          message,
          ...Object.entries(fields).map(([name, value]) => `${name}=${value}`),
        ]
      ) {
        assertEquals(rawIn(text), undefined, message);
        assert(!text.includes("\n"), JSON.stringify(text));
        assert(text.length <= MAX_FIELD_CHARS, `${message}: ${text.length}`);
      }
    }
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
