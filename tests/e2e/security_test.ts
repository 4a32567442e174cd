import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { Relay } from "../threats/relay.ts";
import { Kith, loopback, run } from "./process.ts";
import { Scratch } from "./scratch.ts";
import { Shell } from "./shell.ts";
import { Up, upLine } from "./up.ts";

/** A peer with a home that it keeps. */
async function upAt(
  home: string,
  network: readonly string[],
  args: readonly string[],
): Promise<Kith> {
  const line = upLine(network).filter((arg) => arg !== "--ephemeral");
  const kith = Kith.start([...line, "--json", "--home", home, ...args]);
  await kith.event("ready");
  return kith;
}

async function addressOf(kith: Kith): Promise<string> {
  return `127.0.0.1:${(await kith.event("ready")).tcp}`;
}

const NAME = "name-nobody-shall-see";
const TEXT = "text-nobody-shall-read";

Deno.test("T12 kith call, msg and send: an eavesdropper finds no name, path, text or content in what passes", async () => {
  await using scratch = await Scratch.make();
  const dir = scratch.path("inbox");
  await using bob = await Up.start(["--name", NAME, "--dir", dir, "--yes"]);
  await using relay = Relay.to(bob.tcp);
  const to = `127.0.0.1:${relay.address.port}`;
  const content = `${TEXT} `.repeat(20_000);
  const file = await scratch.write("path-nobody-shall-see/secret.txt", content);

  assertEquals((await bob.run(["call", to, "echo", JSON.stringify(TEXT)])).code, 0);
  assertEquals((await bob.run(["msg", to, TEXT, "--name", NAME])).code, 0);
  assertEquals((await bob.run(["send", file, "--to", to])).code, 0);
  assertEquals(await Deno.readTextFile(`${dir}/secret.txt`), content);

  const passed = relay.seen.reduce((sum, { length }) => sum + length, 0);
  assert(passed > content.length, "the file did not pass the relay");
  for (const text of [NAME, TEXT, "secret.txt", "path-nobody", "echo", "transfer", bob.peerId]) {
    assert(!relay.saw(text), `"${text}" passed in the clear`);
  }
  assert(!relay.saw(Uint8Array.fromHex(bob.peerId)), "the peer id passed in the clear");
});

Deno.test("kith trust: a name whose key has changed is refused with both fingerprints, until it is forgotten", async () => {
  await using scratch = await Scratch.make();
  await using shell = new Shell();
  const network = loopback();
  const alice = ["--home", scratch.path("alice"), ...network];
  const fingerprint = async (home: string) => {
    return String((await shell.run(["id", "--json", "--home", home])).events[0]?.fingerprint);
  };
  const homes = [scratch.path("bob1"), scratch.path("bob2")];
  {
    await using _bob = await upAt(homes[0] ?? "", network, ["--name", "bob"]);
    assertEquals((await shell.run(["ping", "bob", ...alice])).code, 0);
  }
  await using other = await upAt(homes[1] ?? "", network, ["--name", "bob"]);
  const refused = await shell.run(["ping", "bob", ...alice]);
  assertEquals(refused.code, 4);
  for (const home of homes) assert(refused.stderr.includes(await fingerprint(home)));
  assertMatch(refused.stderr, /kith trust rm bob/);

  assertEquals((await shell.run(["trust", "rm", "bob", ...alice.slice(0, 2)])).code, 0);
  assertEquals((await shell.run(["ping", "bob", ...alice])).code, 0);

  assertEquals((await shell.run(["trust", "add", "bob", "--deny", ...alice.slice(0, 2)])).code, 0);
  assertEquals((await shell.run(["ping", await addressOf(other), ...alice])).code, 4);
});

Deno.test("kith invite: lets its holder do what it says, until it is revoked, also on a peer that is up", async () => {
  await using scratch = await Scratch.make();
  await using shell = new Shell();
  const home = scratch.path("bob");
  const network = loopback();
  await using bob = await upAt(home, network, ["--access", "invited"]);
  const invite = await shell.run([
    "invite",
    "--home",
    home,
    "--scope",
    "call:echo",
    "--expires",
    "1h",
  ]);
  assertEquals(invite.code, 0);
  const token = invite.stdout.trim();
  const env = { KITH_INVITE: token };
  const address = await addressOf(bob);
  const echo = ["call", address, "echo", "1", "--ephemeral", ...network];

  assertEquals((await shell.run(echo)).code, 4);
  assertEquals((await run(echo, { env })).stdout.trim(), "1");
  const info = await run(["call", address, "info", "--ephemeral", ...network], { env });
  assertEquals(info.code, 4);
  assertMatch(info.stderr, /call:info/);

  const path = await scratch.write("invite", token);
  await Deno.chmod(path, 0o644);
  const shared = await shell.run([...echo, "--invite-file", path]);
  assertEquals(shared.code, 4);
  assertMatch(shared.stderr, /chmod 600/);
  await Deno.chmod(path, 0o600);
  assertEquals((await shell.run([...echo, "--invite-file", path])).code, 0);

  const [id] = (await shell.run(["invite", "ls", "--json", "--home", home])).events.map((e) =>
    e.id
  );
  assertEquals((await shell.run(["invite", "revoke", String(id), "--home", home])).code, 0);
  let [code, tries] = [0, 0];
  // The peer looks for changes once a second.
  while (code === 0 && tries++ < 50) {
    ({ code } = await shell.run([...echo, "--invite-file", path]));
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assertEquals(code, 4);
  const { stdout, stderr } = await bob.interrupt();
  assert(!`${stdout}${stderr}`.includes(token), "the peer printed the invite");
});

Deno.test("kith --network --key-file: members meet, others find nobody and get nowhere", async () => {
  await using scratch = await Scratch.make();
  const key = await scratch.write("key", `${"5a".repeat(32)}\n`);
  const wrong = await scratch.write("wrong", `${"a5".repeat(32)}\n`);
  for (const path of [key, wrong]) await Deno.chmod(path, 0o600);
  const network = loopback();
  const member = ["--network", "home", "--key-file", key];
  await using bob = await Up.start(["--name", "bob", ...member], { network });
  const as = (...args: string[]) => bob.run(["ping", "bob", "--timeout", "1.5", ...args]);
  const outsiders = [[], ["--network", "home"], ["--network", "home", "--key-file", wrong], [
    "--network",
    "work",
    "--key-file",
    key,
  ]];
  const [inside, ...outside] = await Promise.all([
    as(...member),
    ...outsiders.map((o) => as(...o)),
  ]);
  assertEquals(inside?.code, 0);
  assertEquals(outside.map(({ code }) => code), [5, 5, 5, 5]);
  const direct = await bob.run(["ping", bob.address, "--network", "work", "--key-file", key]);
  assertEquals(direct.code, 4);
  assertMatch(direct.stderr, /another network/);
  assertNotEquals(direct.stderr.includes("home"), true);
});

Deno.test("T18 no secret is in the arguments of a process, and none can be", async () => {
  const secret = "6b".repeat(32);
  const env = { KITH_NETWORK: "home", KITH_NETWORK_KEY: secret };
  await using kith = Kith.start(["up", "--json", "--ephemeral", "--port", "0", ...loopback()], {
    env,
  });
  await kith.event("ready");
  await using shell = new Shell();
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const line = await Deno.readTextFile(`/proc/${name}/cmdline`).catch(() => ""); // it has ended
    assert(!line.includes(secret));
  }
  for (const option of ["--key", "--network-key", "--invite", "--token", "--password"]) {
    const refused = await shell.run(["id", `${option}=${secret}`]);
    assertEquals(refused.code, 2);
    assert(!refused.stderr.includes(secret));
  }
});
