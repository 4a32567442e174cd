import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { ControlLine } from "../../src/cli/control/control_line.ts";
import { type Door, openDoor } from "../../src/cli/control/door.ts";
import { type DoorKind, knock } from "../../src/cli/control/knock.ts";
import { knockOnLoopback } from "../../src/cli/control/loopback.ts";
import { MAX_ANSWER_BYTES } from "../../src/cli/control/messages.ts";
import { controlPlace } from "../../src/cli/control/place.ts";
import { AuthError, LimitError } from "../../src/errors.ts";
import { Home } from "../../src/state/home.ts";
import { listenTcp } from "../../src/transport/tcp.ts";
import { MAX_UNIX_PATH_BYTES } from "../../src/transport/unix.ts";

const windows = Deno.build.os === "windows";
const KINDS: readonly DoorKind[] = windows ? ["loopback"] : ["unix", "loopback"];

/** A home, and what goes with it. */
class Scene implements AsyncDisposable {
  readonly home: Home;
  readonly #dir: string;

  private constructor(dir: string, below: string) {
    this.#dir = dir;
    this.home = Home.open(dir + below);
  }

  static async make(below = "/home"): Promise<Scene> {
    return new Scene(await Deno.makeTempDir(), below);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.#dir, { recursive: true });
  }
}

/** Lets the next one in that can prove itself, and echoes what it says. */
async function echoOnce(door: Door): Promise<void> {
  const connection = await door.accept();
  if (connection === undefined) return;
  using line = new ControlLine(connection, MAX_ANSWER_BYTES);
  await door.greet(line);
  const message = await line.receive();
  if (message !== undefined) line.send(message);
  await line.flushed();
}

async function talk(home: Home, kind: DoorKind): Promise<unknown> {
  using line = await knock(home.dir, kind);
  line?.send({ type: "hello there" });
  return await line?.receive();
}

for (const kind of KINDS) {
  Deno.test(`a ${kind} door lets a command line of the same home in, and is gone when closed`, async () => {
    await using scene = await Scene.make();
    assertEquals(await knock(scene.home.dir, kind), undefined);
    {
      using door = await openDoor(scene.home, { kind });
      const [said] = await Promise.all([talk(scene.home, kind), echoOnce(door)]);
      assertEquals(said, { type: "hello there" });
    }
    assertEquals(await knock(scene.home.dir, kind), undefined);
    using _again = await openDoor(scene.home, { kind });
  });

  Deno.test(`a home has one ${kind} door`, async () => {
    await using scene = await Scene.make();
    using _door = await openDoor(scene.home, { kind });
    await assertRejects(() => openDoor(scene.home, { kind }), LimitError, "Another kith");
  });
}

Deno.test("controlPlace is in the home, or where its name is short enough for a socket", {
  ignore: windows,
}, async () => {
  await using scene = await Scene.make();
  const real = Deno.realPathSync(scene.home.dir);
  const { folder, path } = await controlPlace(scene.home.dir);
  assertEquals([folder, path], [`${real}/control`, `${real}/control/up.sock`]);
  await using deep = await Scene.make(`/${"deep".repeat(30)}`);
  const short = await controlPlace(deep.home.dir);
  assertStringIncludes(short.path, `/tmp/kith-${Deno.uid()}/`);
  assert(short.path.length <= MAX_UNIX_PATH_BYTES);
  using door = await openDoor(deep.home);
  assertEquals((Deno.statSync(short.folder).mode ?? 0) & 0o777, 0o700);
  const [said] = await Promise.all([talk(deep.home, "unix"), echoOnce(door)]);
  assertEquals(said, { type: "hello there" });
});

Deno.test("a socket that its peer left behind is replaced, one that answers is not", {
  ignore: windows,
}, async () => {
  await using scene = await Scene.make();
  const { folder, path } = await controlPlace(scene.home.dir);
  Deno.mkdirSync(folder, { mode: 0o700 });
  const left = Deno.listen({ transport: "unix", path });
  await assertRejects(() => openDoor(scene.home), LimitError);
  Deno.renameSync(path, `${path}.kept`); // closing removes the file: a peer that is killed does not
  left.close();
  Deno.renameSync(`${path}.kept`, path);
  assertEquals(await knock(scene.home.dir), undefined);
  using door = await openDoor(scene.home);
  const [said] = await Promise.all([talk(scene.home, "unix"), echoOnce(door)]);
  assertEquals(said, { type: "hello there" });
});

Deno.test("a control folder that others could enter, or chose, is used by neither side", {
  ignore: windows,
}, async () => {
  const spoil: readonly (readonly [(folder: string) => void, string])[] = [
    [(folder) => {
      Deno.mkdirSync(folder);
      Deno.chmodSync(folder, 0o755);
    }, "mode 755"],
    [(folder) => {
      Deno.mkdirSync(`${folder}-elsewhere`, { mode: 0o700 });
      Deno.symlinkSync(`${folder}-elsewhere`, folder);
    }, "no folder"],
    [(folder) => Deno.writeTextFileSync(folder, ""), "no folder"],
    ...(Deno.uid() === 0
      ? [
        [(folder: string) => {
          Deno.mkdirSync(folder, { mode: 0o700 });
          Deno.chownSync(folder, 12_345, null);
        }, "belongs to user 12345"] as const,
      ]
      : []),
  ];
  for (const [make, why] of spoil) {
    await using scene = await Scene.make();
    make(`${scene.home.dir}/control`);
    await assertRejects(() => openDoor(scene.home), AuthError, why);
    await assertRejects(() => knock(scene.home.dir), AuthError, why);
  }
});

Deno.test("a loopback door is opened by its file alone, which is for the user alone", async () => {
  await using scene = await Scene.make();
  using door = await openDoor(scene.home, { kind: "loopback" });
  const file = scene.home.path("control.json");
  if (!windows) assertEquals((Deno.statSync(file).mode ?? 0) & 0o777, 0o600);
  const right = Deno.readTextFileSync(file);
  Deno.writeTextFileSync(file, right.replace(/"token":"../, '"token":"zz'));
  const refused = assertRejects(() => echoOnce(door), AuthError);
  await assertRejects(() => knock(scene.home.dir, "loopback"), AuthError, "does not know");
  await refused;
  Deno.writeTextFileSync(file, right);
  const [said] = await Promise.all([talk(scene.home, "loopback"), echoOnce(door)]);
  assertEquals(said, { type: "hello there" });
  if (windows) return;
  Deno.chmodSync(file, 0o644);
  await assertRejects(() => knock(scene.home.dir, "loopback"), AuthError);
});

Deno.test("a command line says nothing to who listens on the port of a peer that is gone", async () => {
  await using scene = await Scene.make();
  const impostor = await listenTcp({ hostname: "127.0.0.1" });
  const token = "ab".repeat(32);
  const { port } = impostor.address;
  const text = JSON.stringify({ port, token });
  scene.home.writeAtomic("control.json", new TextEncoder().encode(text));
  const knocking = assertRejects(() => knock(scene.home.dir, "loopback"), AuthError);
  const connection = await impostor.accept();
  assert(connection !== undefined);
  using line = new ControlLine(connection, MAX_ANSWER_BYTES);
  const hello = await line.receive();
  assertEquals(Object.keys(hello ?? {}).sort(), ["nonce", "type"]);
  // It gives back what it was given, which is no proof either.
  line.send({ type: "hello", nonce: hello?.nonce, proof: hello?.nonce });
  await knocking;
  assertEquals(await line.receive(), undefined);
  impostor.close();
});

Deno.test("a loopback door that another program has by now is no door", async () => {
  await using scene = await Scene.make();
  const listener = await listenTcp({ hostname: "127.0.0.1" });
  const { port } = listener.address;
  const text = JSON.stringify({ port, token: "0".repeat(64) });
  scene.home.writeAtomic("control.json", new TextEncoder().encode(text));
  const silent = listener.accept();
  assertEquals(await knockOnLoopback(scene.home.dir, 20), undefined);
  (await silent)?.close();
  listener.close();
});
