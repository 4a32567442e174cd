import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { type Event, Kith, loopback, run, until } from "./process.ts";
import { listing, paths, Scratch, sha256Of } from "./scratch.ts";
import { Shell } from "./shell.ts";

/** What a field of a result must look like: its type, or a pattern of its text. */
type Shape = Readonly<Record<string, string | RegExp>>;

const PEER_ID = /^[0-9a-f]{40}$/;
const SHA256 = /^[0-9a-f]{64}$/;

const SHAPES: Readonly<Record<string, Shape>> = {
  ready: { event: "string", peerId: PEER_ID, name: "string", tcp: "number", udp: "number" },
  received: { event: "string", path: "string", bytes: "number", sha256: SHA256, from: PEER_ID },
  closed: { event: "string", counters: "object" },
  failed: { event: "string", code: "string", message: "string", from: PEER_ID },
  progress: { event: "string", bytes: "number", totalBytes: "number", paused: "boolean" },
  done: {
    event: "string",
    files: "number",
    bytes: "number",
    resentBytes: "number",
    sentBytes: "number",
    unchanged: "number",
    unwanted: "number",
    sha256: SHA256,
    seconds: "number",
  },
};

// deno-lint-ignore no-control-regex -- looking for control characters is the point
const ESCAPES = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/;

function assertShaped(events: readonly Event[]): void {
  for (const event of events) {
    const shape = SHAPES[String(event.event)];
    assert(shape !== undefined, `unknown event ${JSON.stringify(event)}`);
    assertEquals(Object.keys(event), Object.keys(shape));
    for (const [field, wanted] of Object.entries(shape)) {
      if (typeof wanted === "string") assertEquals(typeof event[field], wanted, field);
      else assertMatch(String(event[field]), wanted);
    }
  }
}

function addressOf(ready: Event): string {
  return `127.0.0.1:${ready.tcp}`;
}

/** A folder as people have them: nested, empty, in other scripts, with permissions and dates. */
async function makePhotos(scratch: Scratch): Promise<string> {
  const files = [
    "photos/a.txt",
    "photos/empty",
    "photos/2024/été/日本 ☃.txt",
    "photos/-rf",
    "photos/👩‍🚀",
  ];
  for (const [index, name] of files.entries()) {
    const path = await scratch.write(name, "x".repeat(index * 1000));
    // Bits that no umask takes away.
    await Deno.chmod(path, index % 2 === 0 ? 0o600 : 0o700);
    await Deno.utime(path, 1_600_000_000.25 + index, 1_600_000_000.25 + index);
  }
  await Deno.mkdir(scratch.path("photos/nothing here/at all"), { recursive: true });
  return scratch.path("photos");
}

Deno.test("send reaches a receiver by name, by address and by the beginning of its id", async () => {
  await using scratch = await Scratch.make();
  const network = loopback();
  const photos = await makePhotos(scratch);
  const noise = crypto.getRandomValues(new Uint8Array(60_000));
  const song = await scratch.write("song.ogg", noise);
  const dir = scratch.path("inbox");
  await using shell = new Shell();
  const send = (...args: string[]) => {
    return shell.run(["send", ...args, "--home", scratch.path("ann"), ...network]);
  };
  await using bob = Kith.start(
    ["recv", "--dir", dir, "--yes", "--json", "--name", "bob", "--port", "0"]
      .concat("--home", scratch.path("bob"), network),
  );
  const ready = await bob.event("ready");
  assertEquals(ready.name, "bob");

  // By name; a folder and a file, the results as JSON.
  const byName = await send(photos, song, "--to", "bob", "--json");
  assertEquals([byName.code, byName.stderr], [0, ""]);
  assertShaped(byName.events);
  const done = byName.events.at(-1);
  assertEquals([done?.event, done?.files, done?.resentBytes], ["done", 6, 0]);
  assertEquals(done?.bytes, 60_000 + 1000 + 2000 + 3000 + 4000);
  assertEquals(listing(`${dir}/photos`), listing(photos));
  assertEquals(await Deno.readFile(`${dir}/song.ogg`), noise);

  // By address; a taken name is kept, the results are for people.
  const byAddress = await send(song, "--to", addressOf(ready));
  assertEquals([byAddress.code, byAddress.stderr], [0, ""]);
  assertMatch(
    byAddress.stdout,
    /^sent 1 file, 60\.0 kB, in \d+\.\d\d s \(\S+ .?B\/s\), verified: /,
  );
  assert(byAddress.stdout.endsWith(`sha256 ${sha256Of(noise)}\n`), byAddress.stdout);
  assert(!ESCAPES.test(byAddress.stdout), byAddress.stdout);

  // By the beginning of the id, asking at one address instead of looking around.
  const elsewhere = loopback();
  const byPrefix = await shell.run(
    ["send", song, photos, "--to", String(ready.peerId).slice(0, 6), "--ephemeral", "--json"]
      .concat("--peer", addressOf(ready), elsewhere),
  );
  assertEquals(byPrefix.code, 0, byPrefix.stderr);
  assertEquals(await Deno.readFile(`${dir}/song (2).ogg`), noise);
  assertEquals(listing(`${dir}/photos (1)`), listing(photos));

  const { code, events } = await bob.interrupt();
  assertEquals(code, 130);
  assertShaped(events);
  const { peerId: ann } =
    (await shell.run(["id", "--json", "--home", scratch.path("ann")])).events[0] ??
      {};
  const received = events.filter(({ event }) => event === "received");
  assertEquals(received.length, 6 + 1 + 6);
  assertEquals(new Set(received.slice(0, 7).map(({ from }) => from)), new Set([ann]));
  for (const { path, bytes, sha256 } of received) {
    const contents = await Deno.readFile(`${dir}/${path}`);
    assertEquals([bytes, sha256], [contents.length, sha256Of(contents)]);
  }
  assertEquals(paths(dir).filter((path) => !path.startsWith("photos")), [
    "song (1).ogg",
    "song (2).ogg",
    "song.ogg",
  ]);
});

Deno.test("recv and send speak plain text to people who have no terminal", async () => {
  await using scratch = await Scratch.make();
  const network = loopback();
  const dir = scratch.path("inbox");
  await using bob = Kith.start(
    ["recv", "--dir", dir, "--yes", "--once", "--name", "bob", "--port", "0", "--ephemeral"]
      .concat(network),
  );
  await bob.says(/ready/);
  const notes = await scratch.write("notes.txt", "hello");
  const sent = await run([
    "send",
    notes,
    "--to",
    "bob",
    "--name",
    "ann",
    "--ephemeral",
    ...network,
  ]);
  const got = await bob.ended();
  assertEquals([sent.code, got.code], [0, 0]);
  assertMatch(got.stdout, /^bob is ready for files into \S+ \(tcp \d+, udp \d+\), \^C ends\n/);
  assertStringIncludes(got.stdout, "\nnotes.txt  5 B  from ann\n");
  assertMatch(got.stderr, /^received 1 file, 5 B, from ann \(\S+ .?B\/s\), verified\n$/);
  for (const text of [sent.stdout, sent.stderr, got.stdout, got.stderr]) {
    assert(!ESCAPES.test(text), JSON.stringify(text));
  }
});

Deno.test("garbage on the port closes its own connection and no other", async () => {
  await using scratch = await Scratch.make();
  const network = loopback();
  const dir = scratch.path("inbox");
  const film = await scratch.writeZeros("film", 64_000_000);
  await using bob = Kith.start(
    ["recv", "--dir", dir, "--yes", "--once", "--json", "--port", "0", "--ephemeral", ...network],
  );
  const ready = await bob.event("ready");
  await using ann = Kith.start(
    ["send", film, "--to", addressOf(ready), "--streams", "1", "--json", "--ephemeral"]
      .concat(network),
  );
  await until("the first bytes", () => paths(dir).some((path) => path.endsWith(".part")));
  ann.signal("SIGSTOP");
  const stopped = Promise.withResolvers<void>();
  // The transfer stands still until somebody who waits for progress would get a line of it.
  const timer = setTimeout(stopped.resolve, 1_000);
  try {
    using stranger = await Deno.connect({ hostname: "127.0.0.1", port: Number(ready.tcp) });
    await stranger.write(new Uint8Array([0xff, 0xff, 0xff, 0xff]));
    assertEquals(await endOf(stranger), "closed");
    assertEquals(bob.events.map(({ event }) => event), ["ready"], "the transfer was too quick");
    await stopped.promise;
  } finally {
    clearTimeout(timer);
    ann.signal("SIGCONT");
  }
  const [sent, got] = await Promise.all([ann.ended(), bob.ended()]);
  assertEquals([sent.code, got.code], [0, 0], sent.stderr + got.stderr);
  assertShaped([...sent.events, ...got.events]);
  assertEquals(got.events.at(-1)?.counters, {
    "accept.established": 1,
    "accept.refused.bad-frame": 1,
  });
  assertEquals(sent.events.at(-1)?.sha256, sha256Of(await Deno.readFile(film)));
  assertEquals(listing(dir).map(({ path, sha256 }) => [path, sha256]), [
    ["film", String(sent.events.at(-1)?.sha256)],
  ]);
  const progress = sent.events.filter(({ event }) => event === "progress");
  assertGreaterOrEqual(progress.length, 1);
  for (const { bytes, totalBytes } of progress) {
    assert(Number(bytes) > 0 && Number(bytes) <= 64_000_000);
    assertEquals(totalBytes, 64_000_000);
  }
});

Deno.test("discover lists who answers, and peers of another network do not", async () => {
  await using scratch = await Scratch.make();
  const network = loopback();
  const recv = (name: string, ...more: string[]) =>
    Kith.start(
      ["recv", "--dir", scratch.path(name), "--name", name, "--json", "--port", "0", "--ephemeral"]
        .concat(more, network),
    );
  await using bob = recv("bob");
  await using eve = recv("eve", "--network", "other");
  await using carol = recv("carol");
  const [{ peerId, tcp }, , third] = await Promise.all(
    [bob, eve, carol].map((peer) => peer.event("ready")),
  ) as [Event, Event, Event];
  const look = ["discover", "--timeout", "0.5", ...network];
  const [json, text, other] = await Promise.all([
    run([...look, "--json"]),
    run(look),
    run([...look, "--json", "--network", "other"]),
  ]);
  assertEquals([json.code, json.stderr], [0, ""]);
  assertEquals(json.events, [
    { peerId, name: "bob", addresses: [`127.0.0.1:${tcp}`], via: ["broadcast", "multicast4"] },
    {
      peerId: third.peerId,
      name: "carol",
      addresses: [addressOf(third)],
      via: ["broadcast", "multicast4"],
    },
  ]);
  assertEquals(
    text.stdout.split("\n")[0],
    `${peerId}  bob               127.0.0.1:${tcp}  via broadcast, multicast4`,
  );
  assertEquals(other.events.map(({ name }) => name), ["eve"]);
});

Deno.test("send names the candidates when a name is ambiguous", async () => {
  await using scratch = await Scratch.make();
  const network = loopback();
  const recv = () =>
    Kith.start(
      ["recv", "--dir", scratch.path("in"), "--name", "bob", "--json", "--port", "0"]
        .concat("--ephemeral", network),
    );
  await using first = recv();
  await using second = recv();
  const ids = await Promise.all([first, second].map((bob) => bob.event("ready")));
  const file = await scratch.write("f");
  const { code, stderr } = await run(["send", file, "--to", "bob", "--ephemeral", ...network]);
  assertEquals(code, 5);
  for (const { peerId } of ids) assertStringIncludes(stderr, String(peerId));
  assertEquals(paths(scratch.path("in")), []);
});

/** How a connection ends: with the other side's close, or with bytes. */
async function endOf(connection: Deno.Conn): Promise<string> {
  const buffer = new Uint8Array(16);
  try {
    const count = await connection.read(buffer);
    return count === null ? "closed" : buffer.subarray(0, count).toHex();
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionReset) return "closed";
    throw error;
  }
}
