/**
 * Keys and other secrets: only their owner reads the files they are in, none is used twice in the same way, and none is
 * ever printed.
 */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import { acceptChannel, dialChannel } from "../../src/secure/channel_handshake.ts";
import { sealedBytes } from "../../src/secure/datagram_seal.ts";
import { Network } from "../../src/secure/network.ts";
import { DH_BYTES, DhKey } from "../../src/secure/noise.ts";
import { Sealer } from "../../src/secure/sealer.ts";
import type { Connection } from "../../src/transport/transport.ts";
import { encodeDatagram, SERVICE_CODE } from "../../src/wire/datagram.ts";
import { Kith, loopback, type Outcome, run, type StartOptions } from "../e2e/process.ts";
import { paths, Scratch } from "../e2e/scratch.ts";
import { Shell } from "../e2e/shell.ts";
import { connectionPair, through } from "../endpoint/fixture.ts";
import { concat } from "../fuzz/generate.ts";
import { Played, recordsOf, sender } from "../secure/channel_fixture.ts";

const onPosix = Deno.build.os !== "windows";
const PEER = "ab".repeat(20);

/** A shell that takes nothing away from the permissions that a program asks for. */
const OPEN_HANDED: StartOptions = { within: ["sh", "-c", 'umask 0; exec "$@"', "sh"] };

/** Bytes before the ciphertext: of a sealed packet, and of a record. */
const SEALED_HEADER_BYTES = 25;
const LENGTH_BYTES = 2;

/** Connections, the records that each side sends on one, and how often it changes its key between them. */
const CONNECTIONS = 30;
const RECORDS = 200;
const KEY_CHANGES = 4;

/** What is encrypted, always the same: where key and nonce are the same, so is what comes out. */
const ZEROS = new Uint8Array(32);

/** What was encrypted, as far as 16 bytes of it. */
class Keystreams {
  readonly #seen = new Set<string>();
  #added = 0;

  /** How many were seen that are different. */
  get count(): number {
    return this.#seen.size;
  }

  /** How many were seen before. */
  get twice(): number {
    return this.#added - this.#seen.size;
  }

  add(ciphertext: Uint8Array): void {
    this.#seen.add(ciphertext.subarray(0, 16).toHex());
    this.#added++;
  }
}

Deno.test({
  name: "T18 what kith keeps is for its owner alone, whatever the umask",
  ignore: !onPosix,
  async fn() {
    await using scratch = await Scratch.make();
    const home = scratch.path("not/there/yet");
    const lines = [
      ["id"],
      ["invite", "--scope", "call:echo"],
      ["invite", "--scope", "send", "--api-key"],
      ["trust", "add", PEER, "--name", "bob", "--deny"],
      ["trust", "rm", "bob"],
      ["trust", "add", PEER, "--allow"],
    ];
    for (const line of lines) {
      assertEquals((await run([...line, "--home", home], OPEN_HANDED)).code, 0, line.join(" "));
    }
    const mode = (path: string) => (Deno.statSync(path).mode ?? 0) & 0o777;
    const kept = paths(scratch.dir);
    for (const path of kept) {
      const wanted = path.endsWith("/") ? 0o700 : 0o600;
      assertEquals(
        mode(scratch.path(path)),
        wanted,
        `${path}: ${mode(scratch.path(path)).toString(8)}`,
      );
    }
    const names = ["identity.pem", "access.json", "trust.json"];
    for (const name of names) assert(kept.includes(`not/there/yet/${name}`), `${name} of ${kept}`);
  },
});

Deno.test({
  name:
    "T18 a file with a secret that others can read is refused, with what to do and without the secret",
  ignore: !onPosix,
  async fn() {
    await using scratch = await Scratch.make();
    await using shell = new Shell();
    const home = scratch.path("home");
    const { stdout } = await shell.run(["invite", "--scope", "send", "--home", home]);
    const files = {
      identity: scratch.path("home/identity.pem"),
      key: await scratch.write("key", `${"5a".repeat(32)}\n`),
      invite: await scratch.write("invite", stdout),
    };
    const nowhere = ["127.0.0.1:9", ...loopback()];
    const lines: readonly (readonly [file: string, line: readonly string[]])[] = [
      [files.identity, ["id", "--home", home]],
      [files.identity, ["ping", ...nowhere, "--home", home]],
      [files.identity, ["up", ...loopback(), "--home", home]],
      [files.identity, ["invite", "--scope", "send", "--home", home]],
      [files.key, ["ping", ...nowhere, "--ephemeral", "--key-file", files.key]],
      [files.key, ["discover", ...loopback(), "--key-file", files.key]],
      [files.invite, ["ping", ...nowhere, "--ephemeral", "--invite-file", files.invite]],
    ];
    for (const [at, [file, line]] of lines.entries()) {
      const bits = [0o640, 0o604, 0o644, 0o660, 0o666, 0o620, 0o601][at] ?? 0o644;
      await Deno.chmod(file, bits);
      const { code, stdout, stderr, events } = await shell.run([...line, "--json"]);
      await Deno.chmod(file, 0o600);
      assertEquals(
        [code, events[0]?.code],
        [4, "not-allowed"],
        `${line[0]} with ${bits.toString(8)}`,
      );
      assertStringIncludes(stderr, `run: chmod 600 ${file}`);
      assertNoneOf(secretsIn(await Deno.readTextFile(file)), `${stdout}${stderr}`, line.join(" "));
    }
    // As it should be, it is taken: nobody is there.
    const ping = ["ping", ...nowhere, "--home", home, "--key-file", files.key];
    assertEquals((await shell.run([...ping, "--invite-file", files.invite])).code, 5);
  },
});

Deno.test("T18 no key of a channel encrypts two records alike, over many connections and changes of key", async () => {
  const seen = new Keystreams();
  const keys = [DhKey.generate(), DhKey.generate()] as const;
  const psks = [new Uint8Array(32).fill(7)];
  for (let number = 0; number < CONNECTIONS; number++) {
    const clock = new ManualClock();
    const [dialled, accepted] = await conversation(keys, number % 2 === 0 ? psks : [], clock);
    // The first message is a key in the clear; the second has one before what it encrypts, the third has none.
    for (const record of recordsOf(dialled).slice(1)) seen.add(record.subarray(LENGTH_BYTES));
    const [answer = ZEROS, ...records] = recordsOf(accepted);
    seen.add(answer.subarray(LENGTH_BYTES + DH_BYTES));
    for (const record of records) seen.add(record.subarray(LENGTH_BYTES));
  }
  assertEquals(seen.count, CONNECTIONS * 2 * (1 + RECORDS + KEY_CHANGES));

  const long = new Played(new Uint8Array(0));
  const channel = sender(long, { rekeyBytes: 3_200 });
  for (let n = 0; n < 20_000; n++) await channel.write(ZEROS);
  const records = recordsOf(concat(...long.written));
  assert(records.length >= 20_199, `the key was changed ${records.length - 20_000} times`);
  for (const record of records) seen.add(record.subarray(LENGTH_BYTES));
  assertEquals(seen.twice, 0);
});

Deno.test("T18 no key of datagrams seals two packets alike, whatever restarts and clocks do", () => {
  const seen = new Keystreams();
  const [old, fresh] = [new Uint8Array(32).fill(7), new Uint8Array(32).fill(8)];
  const packet = encodeDatagram(SERVICE_CODE.gossip, new Uint8Array(100));
  const into = new Uint8Array(sealedBytes(packet.length));
  for (let start = 0; start < 200; start++) {
    // Frozen, set back, and the same as in the run before.
    const clock = new ManualClock({ epochMs: Date.UTC(2026, 0, 1) - 1_000 * (start % 3) });
    const network = new Network("home", [old, fresh]);
    const sealer = new Sealer({ network, clock });
    for (let n = 0; n < 100; n++) {
      if (n === 50) network.setKeys([fresh, old]);
      seen.add(sealer.seal(packet, into).subarray(SEALED_HEADER_BYTES));
    }
  }
  assertEquals([seen.count, seen.twice], [20_000, 0]);
});

Deno.test("T18 no secret is in what kith prints, logs at any level or gives programs, with right and wrong credentials", async () => {
  await using scratch = await Scratch.make();
  await using shell = new Shell();
  const [home, network] = [scratch.path("home"), loopback()];
  const secret = async (name: string, text: string) => {
    const path = await scratch.write(name, text);
    if (onPosix) await Deno.chmod(path, 0o600);
    return path;
  };
  const random = () => crypto.getRandomValues(new Uint8Array(32)).toHex();
  const key = await secret("key", `${random()}\n${random()}\n`);
  const wrongKey = await secret("wrong-key", random());
  const shortKey = await secret("short-key", random().slice(0, 20));
  const issue = async (name: string, ...args: string[]) => {
    const { stdout } = await shell.run(["invite", ...args, "--home", home]);
    return await secret(name, stdout);
  };
  const invite = await issue("invite", "--scope", "call:echo");
  const apiKey = await issue("api-key", "--scope", "call:echo", "--api-key");
  const text = (await Deno.readTextFile(invite)).trim();
  const forged = await secret("forged", `${text.slice(0, -6)}AAAAAA\n`);
  const garbled = await secret("garbled", `kith1.${text.slice(20, 60)}\n`);
  const others = await secret(
    "others",
    (await shell.run(["invite", "--scope", "call:*", "--home", scratch.path("other")])).stdout,
  );
  const member = ["--network", "home", "--key-file", key];

  const said: Outcome[] = [];
  const up = ["up", "--port", "0", "--http-port", "0", "--access", "invited", "--log", "debug"];
  await using bob = Kith.start([...up, "--json", "--home", home, ...member, ...network]);
  const { tcp, udp, http } = await bob.event("ready");
  const at = `127.0.0.1:${tcp}`;
  const loud = ["--ephemeral", "--log", "debug", "--timeout", "3", "--json", ...network];
  const call = async (target: string, credential: string, ...more: string[]) => {
    const args = ["call", target, "echo", "1", "--invite-file", credential, ...loud];
    said.push(await shell.run([...args, ...(more.length === 0 ? member : more)]));
    return said.at(-1)?.code;
  };
  assertEquals(await call(at, invite), 0);
  assertEquals(await call(at, apiKey), 0);
  assertEquals(await call(`ws://127.0.0.1:${http}`, apiKey), 0);
  for (const wrong of [forged, others]) assertEquals(await call(at, wrong), 4);
  assertEquals(await call(`udp://127.0.0.1:${udp}`, invite), 4);
  assertEquals(await call(at, garbled), 1);
  assertEquals(await call(at, invite, "--network", "home", "--key-file", wrongKey), 4);
  assertEquals(await call(at, invite, "--network", "home", "--key-file", shortKey), 1);
  const env = async (name: string, path: string) => ({
    env: { [name]: (await Deno.readTextFile(path)).trim() },
  });
  const ping = ["ping", at, ...loud];
  said.push(await run(ping, await env("KITH_INVITE", garbled)));
  said.push(await run(ping, await env("KITH_NETWORK_KEY", shortKey)));
  said.push(await run(ping, await env("KITH_NETWORK_KEY", wrongKey)));
  for (const endpoint of ["status", "info", "describe", "peers"]) {
    said.push(await shell.run(["call", at, endpoint, "--invite-file", invite, ...loud, ...member]));
  }
  said.push(await shell.run(["invite", "ls", "--json", "--log", "debug", "--home", home]));
  said.push(await shell.run(["id", "--json", "--log", "debug", "--home", home]));
  await bob.says(/not-allowed|refused/);
  const ended = await bob.interrupt();
  said.push(ended);
  const pem = `${home}/identity.pem`;
  const secrets = [key, wrongKey, shortKey, invite, apiKey, forged, garbled, others, pem]
    .flatMap((path) => secretsIn(Deno.readTextFileSync(path)));
  Deno.writeTextFileSync(pem, Deno.readTextFileSync(pem).slice(0, 70));
  said.push(await shell.run(["id", "--json", "--log", "debug", "--home", home]));

  const keys = Deno.readTextFileSync(key).trim().split("\n");
  const derived = new Network("home", keys.map((line) => new TextEncoder().encode(line))).keys;
  for (const { psk, datagram } of derived) secrets.push(psk.toHex(), datagram.toHex());
  assert(
    secrets.length > 12 && ended.stderr.length > 1_000,
    "there was little to find, or to search",
  );
  assertMatch(ended.stderr, /"level":"debug"/);
  for (const { stdout, stderr } of said) assertNoneOf(secrets, `${stdout}${stderr}`, "output");
});

/** A handshake and what follows, always the same. @returns what one side has written, and what the other has. */
async function conversation(
  [dialing, accepting]: readonly [DhKey, DhKey],
  psks: readonly Uint8Array[],
  clock: ManualClock,
): Promise<[dialled: Uint8Array, accepted: Uint8Array]> {
  const [client, server] = await connectionPair({ bufferBytes: 1 << 20 });
  const written: [Uint8Array[], Uint8Array[]] = [[], []];
  const recorded = (connection: Connection, into: Uint8Array[]) =>
    through(connection, (bytes) => {
      into.push(bytes.slice());
      return connection.write(bytes);
    });
  const common = { prologue: new Uint8Array(0), psks, clock };
  const nothing = new Uint8Array(0);
  const [dialled, { channel: accepted }] = await Promise.all([
    dialChannel(recorded(client, written[0]), {
      ...common,
      staticKey: dialing,
      preface: nothing,
      answer: () => nothing,
    }),
    acceptChannel(recorded(server, written[1]), {
      ...common,
      staticKey: accepting,
      rest: nothing,
      payload: () => nothing,
    }),
  ]);
  for (let n = 0; n < RECORDS; n++) {
    if (n % (RECORDS / KEY_CHANGES) === 0) await clock.advance(120_000);
    for (const channel of [dialled, accepted]) await channel.write(ZEROS);
  }
  for (const connection of [client, server]) connection.close();
  return [concat(...written[0]), concat(...written[1])];
}

/** What of a file must not be seen: its lines, but for what frames them and what everybody may know. */
function secretsIn(text: string): string[] {
  return text.split("\n")
    .map((line) => line.trim().replace(/^kith1\.|^kithkey1(\.[0-9a-f]+)+\.|^-----.*/, ""))
    .filter((line) => line !== "")
    .flatMap((line) => {
      const isPem = line.startsWith("MC4CAQ");
      return isPem ? [line, Uint8Array.fromBase64(line).slice(-32).toHex()] : [line];
    });
}

/** @throws {AssertionError} when any twelve characters in a row of a secret are in a text, whatever their case. */
function assertNoneOf(secrets: readonly string[], text: string, where: string): void {
  const lower = text.toLowerCase();
  for (const secret of secrets) {
    assert(secret.length >= 12, "too short to be told from chance");
    for (let at = 0; at + 12 <= secret.length; at++) {
      const piece = secret.slice(at, at + 12).toLowerCase();
      assert(
        !lower.includes(piece),
        `${where}: ${
          text.slice(Math.max(0, lower.indexOf(piece) - 200), lower.indexOf(piece) + 100)
        }`,
      );
    }
  }
}
