import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Cables, type Host, whyNoNamespaces } from "./netns.ts";
import { type Event, Kith, type Outcome, PROJECT, run } from "./process.ts";
import { paths, Scratch, sha256Of } from "./scratch.ts";
import { allOf, Up } from "./up.ts";

/** How long a peer may take to be found. */
const FOUND_WITHIN_S = 1;

/** How long a peer may take to be found on an interface that was just added. */
const JOINED_WITHIN_S = 5;

const noNamespaces = await whyNoNamespaces();
// deno-lint-ignore no-console -- who reads the results shall know
if (noNamespaces !== undefined) console.log(`skipped, no network namespaces: ${noNamespaces}`);

/** Hosts on cables, with receivers on two of them. */
class Scene implements AsyncDisposable {
  readonly cables: Cables;
  readonly #scratch: Scratch;
  readonly #parts: AsyncDisposableStack;

  private constructor(cables: Cables, scratch: Scratch, parts: AsyncDisposableStack) {
    this.cables = cables;
    this.#scratch = scratch;
    this.#parts = parts;
  }

  static async open(prepare: (cables: Cables) => Promise<void> = async () => {}): Promise<Scene> {
    await using parts = new AsyncDisposableStack();
    const scratch = parts.use(await Scratch.make());
    const cables = parts.use(await Cables.lay());
    await prepare(cables);
    return new Scene(cables, scratch, parts.move());
  }

  /** Starts a receiver. @returns what it says of itself. */
  async recv(host: Host): Promise<Event> {
    const kith = this.#parts.use(Kith.start(
      ["recv", "--dir", this.inbox(host), "--yes", "--json", "--ephemeral", "--name", host],
      { within: this.cables.within(host) },
    ));
    return await kith.event("ready");
  }

  async discover(host: Host): Promise<readonly Event[]> {
    const { code, stderr, events } = await run(
      ["discover", "--json", "--timeout", `${FOUND_WITHIN_S}`],
      { within: this.cables.within(host) },
    );
    assertEquals(code, 0, stderr);
    return events;
  }

  /** Sends a file from `ann`. */
  async send(to: string, ...more: string[]): Promise<Outcome> {
    const file = await this.#scratch.write("notes.txt", "across the cable");
    return await run(["send", file, "--to", to, "--json", "--ephemeral", ...more], {
      within: this.cables.within("ann"),
    });
  }

  async assertSent(to: "bob" | "carol"): Promise<void> {
    const { code, stderr, events } = await this.send(to);
    assertEquals(code, 0, stderr);
    assertEquals(events.at(-1)?.sha256, sha256Of("across the cable"));
    assertEquals(paths(this.inbox(to)).filter((path) => !path.startsWith(".")), ["notes.txt"]);
    const arrived = await Deno.readTextFile(`${this.inbox(to)}/notes.txt`);
    assertEquals(arrived, "across the cable");
  }

  /** What a program of its own finds from `ann` first, with candidates. */
  async find(candidates: { readonly addresses?: readonly string[]; readonly file?: string }) {
    const [program = "", ...within] = this.cables.within("ann");
    const map = Deno.env.get("KITH_IMPORT_MAP");
    const importMap = map === undefined ? [] : [`--import-map=${map}`];
    const script = [...importMap, "tests/e2e/finder.ts", JSON.stringify(candidates)];
    const { stdout, stderr } = await new Deno.Command(program, {
      args: [...within, Deno.execPath(), "run", "-A", ...script],
      cwd: PROJECT,
    }).output();
    const [said, fault] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
    assert(said, fault);
    return JSON.parse(said);
  }

  /** Starts a member of the group. */
  async up(host: Host, ...args: readonly string[]): Promise<Up> {
    const within = this.cables.within(host);
    return this.#parts.use(await Up.start(["--name", host, ...args], { network: [], within }));
  }

  /** Who is in the group, as one of them sees it. */
  async peers(host: Host, of: Up): Promise<readonly Event[]> {
    const line = ["peers", of.address, "--json", "--ephemeral"];
    const { code, stderr, events } = await run(line, { within: this.cables.within(host) });
    assertEquals(code, 0, stderr);
    return events;
  }

  async plug(host: "bob" | "carol"): Promise<void> {
    await this.cables.plug(host);
  }

  write(name: string, text: string): Promise<string> {
    return this.#scratch.write(name, text);
  }

  inbox(host: Host): string {
    return this.#scratch.path(`inbox of ${host}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync();
  }
}

Deno.test({
  name:
    "peers on two networks are found by every way there is, with dead interfaces among the live ones",
  ignore: noNamespaces !== undefined,
  async fn() {
    await using scene = await Scene.open(async (cables) => {
      for (const host of ["ann", "bob"] as const) await cables.addDeadEnds(host);
    });
    const [bob, carol] = [await scene.recv("bob"), await scene.recv("carol")];
    assertEquals([bob.tcp, carol.tcp], [3485, 3485]);
    const via = ["broadcast", "multicast4", "multicast6"];
    assertEquals(await scene.discover("ann"), [
      {
        peerId: bob.peerId,
        name: "bob",
        addresses: ["10.77.1.2:3485", "[fe80::2%to-bob]:3485"],
        via,
      },
      {
        peerId: carol.peerId,
        name: "carol",
        addresses: ["10.77.2.2:3485", "[fe80::2%to-carol]:3485"],
        via,
      },
    ]);
    await scene.assertSent("bob");
    await scene.assertSent("carol");
    // Bob sees himself, and Carol only if somebody carried his packets on.
    assertEquals((await scene.discover("bob")).map(({ name }) => name), ["bob"]);
  },
});

Deno.test({
  name: "a peer is found by broadcast alone where multicast is dropped",
  ignore: noNamespaces !== undefined,
  async fn() {
    await using scene = await Scene.open((cables) => cables.drop("multicast"));
    const { peerId } = await scene.recv("bob");
    assertEquals(await scene.discover("ann"), [
      { peerId, name: "bob", addresses: ["10.77.1.2:3485"], via: ["broadcast"] },
    ]);
    await scene.assertSent("bob");
  },
});

Deno.test({
  name: "a peer is found by multicast alone where broadcast is dropped",
  ignore: noNamespaces !== undefined,
  async fn() {
    await using scene = await Scene.open((cables) => cables.drop("broadcast"));
    const { peerId } = await scene.recv("carol");
    assertEquals(await scene.discover("ann"), [{
      peerId,
      name: "carol",
      addresses: ["10.77.2.2:3485", "[fe80::2%to-carol]:3485"],
      via: ["multicast4", "multicast6"],
    }]);
    await scene.assertSent("carol");
  },
});

Deno.test({
  name: "a peer is found and reached by IPv6 alone where there is no IPv4 address",
  ignore: noNamespaces !== undefined,
  async fn() {
    await using scene = await Scene.open((cables) => cables.dropIpv4());
    const { peerId } = await scene.recv("bob");
    assertEquals(await scene.discover("ann"), [
      { peerId, name: "bob", addresses: ["[fe80::2%to-bob]:3485"], via: ["multicast6"] },
    ]);
    await scene.assertSent("bob");
    const direct = await scene.send("[fe80::2%to-bob]:3485");
    assertEquals(direct.code, 0, direct.stderr);
  },
});

Deno.test({
  name: "nobody is found over cables that are pulled, and send says what it tried",
  ignore: noNamespaces !== undefined,
  async fn() {
    await using scene = await Scene.open((cables) => cables.pull());
    await scene.recv("bob");
    const startMs = performance.now();
    const [found, { code, stderr }] = await Promise.all([
      scene.discover("ann"),
      scene.send("bob", "--timeout", "1"),
    ]);
    assertEquals([found, code], [[], 5]);
    assert(performance.now() - startMs < 4_000, "it took too long");
    assertStringIncludes(stderr, 'Cannot reach peer "bob": tried ');
  },
});

Deno.test({
  name: "a peer is found by address and by peers file where multicast and broadcast are dropped",
  ignore: noNamespaces !== undefined,
  async fn() {
    await using scene = await Scene.open(async (cables) => {
      await cables.drop("multicast");
      await cables.drop("broadcast");
    });
    const { peerId } = await scene.recv("bob");
    const where = "10.77.1.2:3485";
    const file = await scene.write("peers", `# nobody here\n10.77.1.9:3485\n${where} ${peerId}\n`);
    const found = { peerId, name: "bob", addresses: [where] };
    const [nobody, ...both] = await Promise.all([
      scene.discover("ann"),
      scene.find({ addresses: [where] }),
      scene.find({ file }),
    ]);
    assertEquals(nobody, []);
    assertEquals(both, [{ ...found, via: ["static"] }, { ...found, via: ["file"] }]);
  },
});

Deno.test({
  name: "a peer is found on an interface that was added while it runs",
  ignore: noNamespaces !== undefined,
  async fn() {
    await using scene = await Scene.open(async (cables) => {
      await cables.drop("broadcast"); // which is heard everywhere, also where no group is joined
      await cables.unplug("carol");
    });
    await scene.recv("carol");
    await scene.plug("carol");
    const { code, stderr } = await scene.send("carol", "--timeout", `${JOINED_WITHIN_S}`);
    assertEquals(code, 0, stderr);
  },
});

/** Somebody sees that another one is in the group; or, told so, something else of it. */
async function sees(one: Up, other: Up, change = "joined"): Promise<Event> {
  return await one.kith.event(`member-${change}`, ({ peerId }) => peerId === other.peerId);
}

/** Two who do not reach each other are in one group through a third, and agree on who is dead. */
async function meetThroughAnn(): Promise<void> {
  await using scene = await Scene.open();
  const [ann, bob, carol] = await allOf([
    scene.up("ann"),
    scene.up("bob"),
    scene.up("carol"),
  ]);
  await Promise.all([sees(bob, carol), sees(carol, bob), sees(ann, bob)]);
  await sees(ann, carol);
  const members = await scene.peers("bob", bob);
  assertEquals(members.map(({ name }) => name).sort(), ["ann", "bob", "carol"]);
  const paths = new Map(members.map(({ name, path }) => [name, path]));
  assertEquals([paths.get("ann"), paths.get("carol")], ["direct", "relay"]);
  bob.kith.signal("SIGKILL");
  await Promise.all([sees(ann, bob, "dead"), sees(carol, bob, "dead")]);
  for (const { kith } of [ann, carol]) {
    const dead = kith.events.filter(({ event }) => event === "member-dead");
    assertEquals(dead.map(({ name }) => name), ["bob"]);
  }
}

/** Two whose cables are pulled for longer than they wait give each other up, and find each other again. */
async function comeTogetherAgain(): Promise<void> {
  await using scene = await Scene.open();
  const [ann, bob] = await allOf([scene.up("ann"), scene.up("bob")]);
  await Promise.all([sees(ann, bob), sees(bob, ann)]);
  await scene.cables.pull();
  await Promise.all([sees(ann, bob, "dead"), sees(bob, ann, "dead")]);
  await scene.cables.putBack();
  const startMs = performance.now();
  await Promise.all([sees(ann, bob, "alive"), sees(bob, ann, "alive")]);
  assert(performance.now() - startMs < 30_000, "it took too long");
  for (const [host, up] of [["ann", ann], ["bob", bob]] as const) {
    const members = await scene.peers(host, up);
    assertEquals(members.map(({ name, state }) => `${name} ${state}`).sort(), [
      "ann alive",
      "bob alive",
    ]);
  }
}

/** Where no packet passes a group lives on connections, says so, and still tells who is dead. */
async function liveOnConnections(): Promise<void> {
  await using scene = await Scene.open((cables) => cables.blockUdp());
  const bob = await scene.up("bob");
  const ann = await scene.up("ann", "--peer", `10.77.1.2:${bob.tcp}`);
  await Promise.all([sees(ann, bob), sees(bob, ann)]);
  await ann.kith.event("member-degraded");
  const members = await scene.peers("ann", ann);
  assertEquals(members.find(({ name }) => name === "bob")?.path, "stream");
  bob.kith.signal("SIGKILL");
  await sees(ann, bob, "dead");
}

Deno.test({
  name: "members in networks apart are one group, which survives pulled cables and blocked packets",
  ignore: noNamespaces !== undefined,
  async fn() {
    // Most of it is waiting.
    await allOf([meetThroughAnn(), comeTogetherAgain(), liveOnConnections()]);
  },
});
