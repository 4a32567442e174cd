import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { seededRandom } from "../../src/clock.ts";
import { Endpoint } from "../../src/endpoint/endpoint.ts";
import type { Link } from "../../src/endpoint/link.ts";
import { NotFoundError, RemoteError } from "../../src/errors.ts";
import { Peer } from "../../src/peer.ts";
import { netTransport } from "../../src/transport/net.ts";
import corpus from "../testdata/hostile_names.json" with { type: "json" };
import { Kith, loopback } from "./process.ts";
import { paths, Scratch, sha256Of } from "./scratch.ts";
import { Shell } from "./shell.ts";
import { freshToken, parts, run as runTransfer, Steps, wholes } from "../transfer/fixture.ts";

/** How many hostile names are offered; every name is tried on the parser elsewhere. */
const SAMPLE = 40;

/** A name that clears the screen, rings, sets the title and reorders the line, in at most 64 characters. */
const EVIL = "a\u001b[2J\u0007\u001b]0;x\u0007\u009b31m\u202egnp.\u2028";

/** What must never reach a terminal from outside: every control but the line feed, and what reorders text. */
// deno-lint-ignore no-control-regex -- looking for control characters is the point
const RAW = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/;

/** At least one name of every kind, then any, up to the sample's size. */
function sampleOfNames(): string[] {
  const random = seededRandom(11);
  // UTF-8 cannot carry a lone surrogate, so no sender can either.
  const carried = (names: readonly string[]) => names.filter((name) => name.isWellFormed());
  const kinds = Object.values(corpus.hostile).map(carried).filter((names) => names.length > 0);
  const pick = (names: readonly string[]) => names[Math.floor(random() * names.length)] as string;
  const sample = new Set(kinds.map(pick));
  while (sample.size < SAMPLE) sample.add(pick(kinds.flat()));
  return [...sample];
}

/** A receiver that accepts everything, with canaries around its folder, and a link to it from somebody evil. */
class Scene implements AsyncDisposable {
  readonly bob: Kith;
  readonly link: Link;
  readonly dir: string;
  readonly #scratch: Scratch;
  readonly #parts: AsyncDisposableStack;

  private constructor(
    scratch: Scratch,
    bob: Kith,
    link: Link,
    parts: AsyncDisposableStack,
  ) {
    this.dir = scratch.path("top/inbox");
    this.bob = bob;
    this.link = link;
    this.#scratch = scratch;
    this.#parts = parts;
  }

  static async open(...args: string[]): Promise<Scene> {
    await using parts = new AsyncDisposableStack();
    const scratch = parts.use(await Scratch.make());
    for (const name of ["canary", "top/canary", "top/other/canary"]) {
      await scratch.write(name, "alive");
    }
    const bob = parts.use(Kith.start(
      ["recv", "--dir", scratch.path("top/inbox"), "--yes", "--ephemeral", "--port", "0", ...args]
        .concat("--log", "debug", loopback()),
    ));
    const port = Number((await bob.says(/tcp\D{1,3}\d+/)).match(/\d+/)?.[0]);
    const self = { name: EVIL, capabilities: [], agent: EVIL };
    const endpoint = parts.use(
      await Endpoint.open({ transport: netTransport, self, clientOnly: true }),
    );
    const link = await endpoint.connect({ hostname: "127.0.0.1", port });
    return new Scene(scratch, bob, link, parts.move());
  }

  /** Offers one entry as it is and, if the offer should be taken, sends its bytes. */
  async offer(
    path: string,
    contents = "",
    more: { folder?: boolean; mode?: number } = {},
  ): Promise<unknown> {
    const { link } = this;
    const data = new TextEncoder().encode(contents);
    const entry = [
      path,
      more.folder ?? false,
      more.folder ? 0 : data.length,
      more.mode ?? 0o644,
      0,
    ];
    const body = { manifest: { entries: [entry] }, token: freshToken() };
    const { id } = await link.request("transfer.offer", body) as { id: number };
    const done = runTransfer(link, id);
    done.catch(() => {}); // awaited below
    if (!more.folder) new Steps(link, id).data(0, data);
    return await done;
  }

  /** Everything but what is in the folder itself. @throws {AssertionError} unless it is as it was. */
  assertNothingOutside(): void {
    const outside = paths(this.#scratch.dir).filter((path) => !path.startsWith("top/inbox"));
    assertEquals(outside, ["canary", "top/", "top/canary", "top/other/", "top/other/canary"]);
    for (const name of ["canary", "top/canary", "top/other/canary"]) {
      assertEquals(Deno.readTextFileSync(this.#scratch.path(name)), "alive");
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync();
  }
}

function assertNothingRaw(...texts: string[]): void {
  for (const text of texts) assert(!RAW.test(text), JSON.stringify(text));
}

Deno.test("recv refuses hostile names and writes nothing, inside its folder or out of it", async () => {
  await using scene = await Scene.open("--json");
  const names = sampleOfNames();
  for (const name of names) {
    for (const folder of [false, true]) {
      const error = await assertRejects(
        () => scene.offer(name, "owned", { folder }),
        RemoteError,
        "",
        JSON.stringify([name, folder]),
      );
      assert(
        ["bad-message", "too-large"].includes(error.code),
        `${JSON.stringify(name)}: ${error}`,
      );
    }
  }
  assertEquals(names.length, SAMPLE);
  assertEquals(paths(scene.dir), []);
  assertEquals(await scene.offer("good.txt", "fine", { mode: 0o7777 }), {
    files: 1,
    bytes: 4,
    sha256: sha256Of("fine"),
  });
  scene.assertNothingOutside();
  const { code, stdout, stderr, events } = await scene.bob.interrupt();
  assertEquals([code, paths(scene.dir)], [130, ["good.txt"]]);
  assertEquals(events.map(({ event }) => event), ["ready", "received", "closed"]);
  assertEquals((Deno.statSync(`${scene.dir}/good.txt`).mode ?? 0) & 0o7000, 0);
  assertNothingRaw(stdout, stderr);
});

Deno.test("recv shows a hostile sender's name and file names harmless", async () => {
  await using scene = await Scene.open();
  // What a path may have and a line of text is still not to show as it is: joiners and the soft kind.
  await scene.offer("👩‍🚀/می‌خواهم.txt", "fine");
  await scene.bob.says(/received 1 file/);
  await assertRejects(() => scene.offer(EVIL, "x"), RemoteError, "control character");
  const { stdout, stderr } = await scene.bob.interrupt();
  assertStringIncludes(stdout, "from a\\u{1b}[2J\\u{7}");
  assertNothingRaw(stdout, stderr);
});

Deno.test("recv gives up on a sender that lies about its file, and keeps no lie", async () => {
  await using scene = await Scene.open("--json");
  const { link, dir } = scene;
  const offer = async () => {
    const manifest = { entries: [["f", false, 4, 0o644, 0]] };
    const body = { manifest, token: freshToken() };
    const { id } = await link.request("transfer.offer", body) as { id: number };
    return { steps: new Steps(link, id), done: runTransfer(link, id) };
  };
  const data = new TextEncoder().encode("liar");
  const lies: readonly (readonly [string, (steps: Steps) => void])[] = [
    ["SHA-256 differ", (steps) => void steps.data(0, data, { digest: new Uint8Array(32) })],
    ["more than the 4 bytes announced", (steps) => {
      steps.data(0, data.subarray(1));
      steps.data(0, data);
    }],
    ["out of turn", (steps) => void steps.data(1, data)],
    ["bad index", (steps) => void steps.data(-1, data)],
    ["bad data", (steps) => void steps.data(0, data, { data: "text" })],
  ];
  for (const [why, lie] of lies) {
    const { steps, done } = await offer();
    const failed = assertRejects(() => done, RemoteError, why);
    lie(steps);
    await failed;
    assertEquals(paths(dir).filter((path) => !path.startsWith(".kith-partial")), [], why);
  }
  assertEquals(Object.values(parts(dir)), [3]); // what was right is kept for another time
  scene.assertNothingOutside();
  const { code } = await scene.bob.interrupt();
  assertEquals([code, wholes(dir)], [130, []]);
});

Deno.test("discover and send show the names of hostile peers harmless", async () => {
  await using scratch = await Scratch.make();
  const network = loopback();
  const discoveryPort = Number(network.at(-1));
  await using evil = await Peer.open({
    name: EVIL,
    hostname: "127.0.0.1",
    port: 0,
    discoveryPort,
  });
  const file = await scratch.write("f");
  await using shell = new Shell();
  const look = ["discover", "--timeout", "0.4", ...network];
  const send = ["send", file, "--ephemeral", "--timeout", "0.4", ...network];
  const outcomes = await Promise.all([
    shell.run(look),
    shell.run([...look, "--json"]),
    shell.run([...send, "--to", "bob", "--json"]),
  ]);
  for (const { stdout, stderr } of outcomes) assertNothingRaw(stdout, stderr);
  // For people, and in a message: shown. In a field for programs: the name itself, escaped as JSON escapes.
  for (const at of [0, 2]) assertStringIncludes(outcomes[at]?.stdout ?? "", "\\u{1b}[2J");
  assertStringIncludes(outcomes[1]?.stdout ?? "", "\\u001b[2J");
  assertEquals(outcomes.map(({ code }) => code), [0, 0, 5]);
  assertEquals(outcomes[1]?.events[0]?.peerId, evil.peerId);
});

Deno.test("send shows a hostile receiver's error harmless, its details too", async () => {
  await using scratch = await Scratch.make();
  await using evil = await Peer.open({ name: EVIL, hostname: "127.0.0.1", port: 0 });
  evil.handle("transfer.offer", () => {
    throw new NotFoundError("no-path", EVIL, {
      details: { [EVIL]: EVIL, list: [EVIL, 2n ** 60n] },
    });
  });
  const file = await scratch.write("f");
  await using shell = new Shell();
  const send = ["send", file, "--to", `127.0.0.1:${evil.address?.port}`, "--ephemeral"];
  for (const more of [[], ["--json"]]) {
    const { code, stdout, stderr, events } = await shell.run([...send, ...more, ...loopback()]);
    assertEquals(code, 5);
    assertNothingRaw(stdout, stderr);
    assertStringIncludes(stderr, "a\\u{1b}[2J");
    if (more.length > 0) assertEquals(events[0]?.code, "no-path");
  }
});
