import { assert, assertEquals } from "@std/assert";
import { ManualClock, systemClock } from "../../src/clock.ts";
import { Endpoint } from "../../src/endpoint/endpoint.ts";
import { TimeoutError } from "../../src/errors.ts";
import { Broadcast } from "../../src/palmtree/broadcast.ts";
import { encodeInformResponse, parseInform } from "../../src/palmtree/session.ts";
import { SessionSocket } from "../../src/palmtree/session_socket.ts";
import { buildManifest } from "../../src/transfer/manifest.ts";
import { MemoryNetwork } from "../../src/transport/mod.ts";
import { idToDecimal } from "../../src/wire/remote_peer.ts";
import { identityOf, infoOf } from "../endpoint/fixture.ts";
import { noise } from "./town.ts";

const CHUNKS = 4;

/** Answers everything by packets, says that it has so many chunks, and never confirms. */
function takePart(
  endpoint: Endpoint,
  network: MemoryNetwork,
  chunks: number,
): AsyncDisposable {
  const parts = new AsyncDisposableStack();
  const self = idToDecimal(Uint8Array.fromHex(endpoint.self.peerId));
  const transport = network.host("receiver");
  endpoint.handle("palm.inform", async ({ inform, port, seal }) => {
    const session = inform instanceof Uint8Array ? parseInform(inform) : undefined;
    assert(session !== undefined && seal instanceof Uint8Array);
    const key = seal.slice();
    const root = session.originateId;
    const keyWith = (peerId: string) => peerId === root ? key : undefined;
    const clock = systemClock;
    const socket = parts.use(
      await SessionSocket.open({
        transport,
        hostname: "receiver",
        clock,
        session,
        self,
        keyWith,
      }),
    );
    const passive = { hostname: "sender", port: Number(port) };
    const sender = { peerId: root, passive, active: passive, isKith: true };
    socket.listen((message) => {
      if (message.type !== "gather") return;
      const report = { peerId: self, chunks, egressBytes: 0, blamed: [] };
      const answer = { type: "gather", root, level: 1, parent: null, replyAddr: passive } as const;
      socket.send({ ...answer, report }, sender);
    });
    const active = { hostname: "receiver", port: 3_485 };
    const { address } = socket;
    const answer = { peerId: self, passive: address, active, sessionKey: session.key };
    return { answer: encodeInformResponse(answer) };
  }, { access: "public" });
  endpoint.handle("palm.run", () => new Promise(() => {}), { access: "public" });
  endpoint.handle("palm.over", () => {}, { access: "public" });
  return parts;
}

for (const [what, chunks, seconds] of [["has all", CHUNKS, 30], ["has nothing", 0, 60]] as const) {
  Deno.test(`broadcast waits no longer than ${seconds} s for who says that it ${what} and no more`, async () => {
    const clock = new ManualClock();
    const network = new MemoryNetwork();
    await using parts = new AsyncDisposableStack();
    const dir = Deno.makeTempDirSync({ prefix: "kith-palm-" });
    parts.defer(() => Deno.remove(dir, { recursive: true }));
    parts.defer(() => network.close());
    const receiver = parts.use(
      await Endpoint.open({
        transport: network.host("receiver"),
        hostname: "receiver",
        identity: identityOf("receiver"),
        self: infoOf("receiver"),
        port: 3_485,
      }),
    );
    const sender = parts.use(
      await Endpoint.open({
        transport: network.host("sender"),
        hostname: "sender",
        identity: identityOf("sender"),
        self: infoOf("sender"),
        clientOnly: true,
        limits: { heartbeatMs: Infinity },
        clock,
      }),
    );
    parts.use(takePart(receiver, network, chunks));
    Deno.writeFileSync(`${dir}/f`, noise(100 * CHUNKS));
    const sending = new Broadcast(
      { endpoint: sender, transport: network.host("sender"), hostname: "sender" },
      await buildManifest([`${dir}/f`]),
      [{ name: "r", connect: () => sender.connect({ hostname: "receiver", port: 3_485 }) }],
      { chunkBytes: 100 },
    );
    parts.use(sending);
    const [accepted] = await Array.fromAsync(take(sending, 1));
    assertEquals(accepted?.type, "accepted");
    const beganMs = clock.now();
    let isOver = false;
    void sending.done.then(() => isOver = true);
    while (!isOver && clock.now() - beganMs < 120_000) await clock.advance(500);
    const waited = (clock.now() - beganMs) / 1_000;
    assert(waited >= seconds && waited < seconds + 5, `${waited}`);
    const [summary] = (await sending.done).receivers;
    assert(summary?.state === "failed" && summary.error instanceof TimeoutError);
    assertEquals(summary.error.message, '"r" says nothing any more');
  });
}

async function* take<T>(source: AsyncIterable<T>, count: number): AsyncGenerator<T> {
  for await (const one of source) {
    yield one;
    if (--count === 0) return;
  }
}
