import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { openDoor } from "../../src/cli/control/door.ts";
import { Options } from "../../src/cli/options.ts";
import { VERBS } from "../../src/cli/verbs.ts";
import { HandshakeError } from "../../src/errors.ts";
import { Peer } from "../../src/peer.ts";
import { Identity } from "../../src/secure/identity.ts";
import { Trust } from "../../src/secure/trust.ts";
import { Home } from "../../src/state/home.ts";
import { loopback } from "../e2e/process.ts";
import { KeptOutput } from "./control_fixture.ts";

/** Keeps what is printed, and tells when. */
class WatchedOutput extends KeptOutput {
  #changed = Promise.withResolvers<void>();

  override result(facts: Record<string, unknown>, text: string): void {
    super.result(facts, text);
    this.#tell();
  }

  override note(text: string): void {
    super.note(text);
    this.#tell();
  }

  /** The first line that is like that. */
  async line(wanted: RegExp): Promise<string> {
    for (;;) {
      const line = this.printed.find((printed) => wanted.test(printed));
      if (line !== undefined) return line;
      await this.#changed.promise;
    }
  }

  #tell(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}

/** A peer that connects to an address and nothing else. */
function client(name: string, identity = Identity.generate()): Promise<Peer> {
  return Peer.open({ name, identity, clientOnly: true, hostname: "127.0.0.1" });
}

Deno.test("up says what a person can do something about, once, and nothing of its own commands", async () => {
  const dir = await Deno.makeTempDir({ prefix: "kith-up-" });
  const interrupt = new AbortController();
  try {
    const home = Home.open(dir);
    const { up } = VERBS;
    assert(up !== undefined);
    using lock = Deno.openSync(home.path("up.lock"), { create: true, write: true });
    assert(lock.tryLockSync(true));
    using _door = await openDoor(home);
    const line = ["--home", dir, "--name", "bob", "--interface", "nosuch0", ...loopback()];
    const ports = ["--port", "0", "--udp-port", "0", "--http-port", "0"];
    const output = new WatchedOutput({ json: false, level: "error" });
    const { run } = await up.load();
    const options = new Options([...line, ...ports], up.options);
    const running = run({ options, output, signal: interrupt.signal });
    const [, port] = /tcp (\d+)/.exec(await output.line(/ is up /)) ?? [];
    const at = `127.0.0.1:${port}`;

    await using own = await client("", Identity.load(home));
    await (await own.link(at)).close();
    await using first = await client("erin");
    new Trust({ home }).add(first.peerId, { name: "erin" });
    await using second = await client("erin");
    for (let nth = 0; nth < 2; nth++) {
      await assertRejects(() => second.link(at), HandshakeError, "does not let this peer in");
    }
    await using carol = await client("carol");
    await (await carol.link(at)).close();
    await output.line(/^carol .* disconnected/);
    interrupt.abort();
    await running;

    const who = `carol (${carol.peerId.slice(0, 8)})`;
    const [another, fits, ready, refused, ...rest] = output.printed;
    assertMatch(another ?? "", /^! Another kith runs with this home, as the same peer/);
    assertMatch(fits ?? "", /^! No interface fits --interface nosuch0: there are .*\blo\b/);
    assertMatch(ready ?? "", /^bob is up /);
    assertMatch(refused ?? "", /^! refused erin: that name belongs to .*: kith trust rm erin$/);
    assertEquals(rest, [`${who} connected`, `${who} disconnected`]);
  } finally {
    interrupt.abort();
    await Deno.remove(dir, { recursive: true });
  }
});
