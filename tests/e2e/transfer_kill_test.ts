/**
 * Transfers whose sender or receiver is killed again and again. With `KITH_SOAK` each side is killed 20 times in a transfer
 * of 256 MiB; without it twice, in a smaller one.
 *
 * @module
 */

import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import { seededRandom } from "../../src/clock.ts";
import { CHUNK_BYTES } from "../../src/transfer/steps.ts";
import { parts, wholes } from "../transfer/fixture.ts";
import { CountingProxy } from "./counting_proxy.ts";
import { Kith, loopback } from "./process.ts";
import { Scratch, sha256Of } from "./scratch.ts";

const MIB = 1024 * 1024;
const isSoak = Deno.env.has("KITH_SOAK");
const KILLS = isSoak ? 20 : 2;
const FILE_BYTES = (isSoak ? 256 : 48) * MIB;

/** How long a transfer may make no progress: far longer than it takes, on a machine that is busy. */
const PATIENCE_MS = 20_000;

/** What every attempt needs beside the file: handshakes, the offer, checkpoints. */
const ATTEMPT_BYTES = 64 * 1024;

/** What encryption and messages add to a file's bytes: measured at less than a tenth of that. */
const OVERHEAD = 0.002;

const seed = Number(Deno.env.get("KITH_SEED") ?? Math.floor(Math.random() * 2 ** 31));

/** Who is killed, and over how many connections they transfer. */
const CASES = [["receiver", 1], ["receiver", 4], ["sender", 1], ["sender", 4]] as const;

for (const [side, streams] of isSoak ? CASES : [CASES[0], CASES[3]]) {
  const way = `over ${streams} link${
    streams === 1 ? "" : "s"
  } when the ${side} is killed ${KILLS} times`;
  Deno.test(`send and recv lose nothing ${way} (seed ${seed})`, async () => {
    await using scene = await Scene.make(streams);
    const { proxy } = scene;
    const moments = momentsOf(side === "sender" ? seed : seed + 1);
    const all = moments.length;
    await using kills = new AsyncDisposableStack();
    let receiver = kills.use(await scene.receive());
    let sender = kills.use(scene.send());
    let killed = 0;
    for (const moment of moments) {
      const victim = side === "sender" ? sender : receiver;
      const isReached = await crossing(proxy, moment, () => victim.signal("SIGKILL"));
      if (!isReached) throw new Error(`It went no further: ${(await sender.ended()).stderr}`);
      killed++;
      if (side === "sender") {
        await sender.ended();
        sender = kills.use(scene.send());
      } else {
        proxy.leadTo(undefined);
        await receiver.ended();
        receiver = kills.use(await scene.receive());
      }
    }
    const { code, events, stderr } = await sender.ended();
    assertEquals(code, 0, stderr);
    const done = events.at(-1) ?? {};
    const received = await receiver.event("received");
    assertEquals([done.event, done.sha256, received.sha256], ["done", scene.sha256, scene.sha256]);
    const contents = await Deno.readFile(`${scene.inbox}/film`);
    assertEquals([sha256Of(contents), wholes(scene.inbox)], [scene.sha256, ["film"]]);
    assertEquals([killed, parts(scene.inbox)], [all, {}]);

    const extra = proxy.crossed - FILE_BYTES;
    const again = all * streams * CHUNK_BYTES;
    const allowed = again + FILE_BYTES * OVERHEAD + (all + 1) * streams * ATTEMPT_BYTES;
    if (isSoak) report(way, { seed, extra, allowed, resent: done.resentBytes });
    assertLessOrEqual(extra, allowed);
    assertLessOrEqual(Number(done.resentBytes), again);
    assert(side === "receiver" || done.resentBytes === 0, `${done.resentBytes}`);
  });
}

/** Numbers of bytes between the first and the last, ascending. */
function momentsOf(seed: number): number[] {
  const random = seededRandom(seed);
  const moments = Array.from({ length: KILLS }, () => MIB + random() * (FILE_BYTES - 2 * MIB));
  return moments.sort((a, b) => a - b);
}

/** Does something once so many bytes have crossed. @returns whether they have. */
async function crossing(proxy: CountingProxy, bytes: number, act: () => void): Promise<boolean> {
  const reached = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => reached.resolve(false), PATIENCE_MS);
  proxy.onBytes = () => {
    if (proxy.crossed < bytes) return;
    proxy.onBytes = () => {};
    act(); // at once: a turn later much more may have crossed
    reached.resolve(true);
  };
  proxy.onBytes();
  try {
    return await reached.promise;
  } finally {
    clearTimeout(timer);
  }
}

function report(what: string, figures: Record<string, unknown>): void {
  Deno.stderr.writeSync(new TextEncoder().encode(`${what}: ${JSON.stringify(figures)}\n`));
}

/** A file, who sends it, who receives it, and a way between them. */
class Scene implements AsyncDisposable {
  readonly proxy = new CountingProxy();
  readonly sha256: string;
  readonly #streams: number;
  readonly #scratch: Scratch;
  readonly #network = loopback();

  private constructor(scratch: Scratch, sha256: string, streams: number) {
    this.#streams = streams;
    this.#scratch = scratch;
    this.sha256 = sha256;
  }

  static async make(streams: number): Promise<Scene> {
    const scratch = await Scratch.make();
    const film = new Uint8Array(FILE_BYTES);
    for (let at = 0; at < film.length; at += 65_536) {
      crypto.getRandomValues(film.subarray(at, at + 65_536));
    }
    await scratch.write("film", film);
    return new Scene(scratch, sha256Of(film), streams);
  }

  get inbox(): string {
    return this.#scratch.path("inbox");
  }

  /** Starts the receiver that everybody is led to. */
  async receive(): Promise<Kith> {
    const home = ["--home", this.#scratch.path("bob")];
    const kith = Kith.start(
      ["recv", "--dir", this.inbox, "--yes", "--json", "--port", "0", ...home, ...this.#network],
    );
    const { tcp } = await kith.event("ready");
    this.proxy.leadTo(Number(tcp));
    return kith;
  }

  /** Starts to send. */
  send(): Kith {
    const options = ["--home", this.#scratch.path("ann"), "--retry", "20", "--json"];
    const streams = ["--streams", `${this.#streams}`];
    const way = ["--to", this.proxy.address, ...streams, ...options, ...this.#network];
    return Kith.start(["send", this.#scratch.path("film"), ...way]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.proxy[Symbol.asyncDispose]();
    await this.#scratch[Symbol.asyncDispose]();
  }
}
