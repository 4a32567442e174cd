import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { ManualClock } from "../../../src/clock.ts";
import { Discovery } from "../../../src/discovery/discovery.ts";
import { type DoctorOptions, examine } from "../../../src/discovery/doctor/doctor.ts";
import type { Check } from "../../../src/discovery/doctor/doctor_check.ts";
import { DISCOVERY_PORT, MULTICAST_V4 } from "../../../src/discovery/groups.ts";
import { Metrics } from "../../../src/metrics.ts";
import { UnsupportedError } from "../../../src/errors.ts";
import { Identity } from "../../../src/secure/identity.ts";
import { Trust } from "../../../src/secure/trust.ts";
import { Home } from "../../../src/state/home.ts";
import { MemoryNetwork, type Transport } from "../../../src/transport/mod.ts";
import { atOnce, broken, interfaceOf } from "./doctor_fixture.ts";

const EVERYONE = "255.255.255.255";
const BOB = { hostname: "bob", port: 3485 };

/** A host `home` with a doctor. */
class Practice implements AsyncDisposable {
  readonly network = new MemoryNetwork();
  readonly clock = new ManualClock();
  readonly host = this.network.host("home");
  readonly #parts = new AsyncDisposableStack();

  /** What is found, by the name of the check. */
  async examine(options: DoctorOptions = {}): Promise<Map<string, Check>> {
    const { clock, host: transport } = this;
    const interfaces = () => [interfaceOf("home")];
    const common = { transport, clock, interfaces, addresses: interfaces, nativeUdp: true };
    const permissions = () => "granted" as const;
    const checks = examine({ ...common, permissions, os: "linux", ...options });
    return await atOnce(clock, byName(checks));
  }

  /** A peer on a host, found by discovery and accepting connections. */
  async peer(
    host: string,
    transport = this.network.host(host),
    identity = Identity.generate(),
    name = "",
  ): Promise<void> {
    const { clock } = this;
    const announce = { identity, name, tcpPort: 3485 };
    const interfaces = () => [interfaceOf(host)];
    this.#parts.use(await Discovery.open({ transport, clock, announce, interfaces }));
    await this.listen(host, 3485);
  }

  async listen(host: string, port: number): Promise<void> {
    const listener = await this.network.host(host).listen({ port });
    this.#parts.defer(() => listener.close());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync();
    this.network.close();
  }
}

async function byName(checks: AsyncIterable<Check>): Promise<Map<string, Check>> {
  const all = new Map<string, Check>();
  for await (const check of checks) {
    assert(!all.has(check.check), `${check.check} is there twice`);
    assert(check.ok === true || check.why !== "", check.check);
    all.set(check.check, check);
  }
  return all;
}

function keyOf({ peerId }: Identity): { peerId: string; publicKey: string } {
  return { peerId, publicKey: "" };
}

function failures(checks: ReadonlyMap<string, Check>): string[] {
  return [...checks.values()].filter(({ ok }) => ok === false).map(({ check }) => check);
}

Deno.test("examine finds nothing wrong where nothing is, and nobody where nobody is", async () => {
  await using practice = new Practice();
  const metrics = new Metrics();
  const checks = await practice.examine({ metrics });
  assertEquals([...checks.values()].map(({ check, ok }) => [check, ok]), [
    ["permission net", true],
    ["permission sys", true],
    ["permission env", true],
    ["permission home", null],
    ["udp sockets", true],
    ["clock", true],
    ["home", null],
    ["interface eth0 home", true],
    ["tcp port 3485", true],
    ["udp port 3486", true],
    ["tcp port 3488", true],
    ["tcp on eth0 home", true],
    ["udp on eth0 home", true],
    [`multicast4 to ${MULTICAST_V4} on eth0 home`, true],
    [`broadcast to ${EVERYONE} on eth0 home`, true],
    ["discovery", true],
    ["others", null],
  ]);
  assertStringIncludes(checks.get("others")?.fix ?? "", "kith doctor --peer");
  assertEquals(metrics.snapshot(), { "doctor.questions": 6, "doctor.heard": 6 });
});

Deno.test("examine counts who answers, on other machines and on this one", async () => {
  await using practice = new Practice();
  await practice.peer("home");
  const alone = await practice.examine();
  assertEquals(alone.get("others")?.ok, null);
  assertStringIncludes(alone.get("others")?.why ?? "", "1 peer answered, all on this machine");
  assertEquals(alone.get("udp port 3486")?.why.includes("share it"), true);
  await practice.peer("bob");
  const { ok, why } = (await practice.examine()).get("others") ?? {};
  assertEquals([ok, why], [true, "1 peer on other machines and 1 on this one answered"]);
});

Deno.test("examine says who answers and is not let in because of its name, and not by which where names are hidden", async () => {
  await using practice = new Practice();
  const dir = await Deno.makeTempDir({ prefix: "kith-doctor-" });
  try {
    const [bob, eve] = [Identity.generate(), Identity.generate()];
    new Trust({ home: Home.open(dir) }).meet({ ...keyOf(bob), name: "bob" });
    await practice.peer("here", practice.network.host("here"), bob, "bob");
    assertEquals(failures(await practice.examine({ home: () => dir })), []);
    await practice.peer("there", practice.network.host("there"), eve, "bob");
    const checks = await practice.examine({ home: () => dir });
    const check = `peer ${eve.peerId.slice(0, 8)} (bob) that answers`;
    assertEquals(failures(checks), [check]);
    assertStringIncludes(checks.get(check)?.why ?? "", "run: kith trust rm bob");
    const hidden = await practice.examine({ home: () => dir, showNames: false });
    assertEquals(hidden.get("peer 1 that answers")?.why.includes("bob"), false);
    Deno.writeTextFileSync(`${dir}/trust.json`, "{");
    assertEquals(failures(await practice.examine({ home: () => dir })), ["trust"]);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("examine counts neither the home's own peer nor who is on this machine for others", async () => {
  await using practice = new Practice();
  const dir = await Deno.makeTempDir({ prefix: "kith-doctor-" });
  try {
    const home = Home.open(dir);
    const identity = Identity.load(home);
    const records = [identity.peerId, "ab".repeat(20)].map((peerId, nth) => {
      return { peerId, name: "", addresses: [`home:${3485 + 10 * nth}`], lastSeen: 1 };
    });
    await practice.peer("home", practice.host, identity);
    await practice.listen("home", 3495);
    home.writeAtomic(
      "peers.json",
      new TextEncoder().encode(JSON.stringify({ version: 1, records })),
    );
    const checks = await practice.examine({ home: () => dir });
    assertEquals(checks.has("remembered peer home:3485"), false);
    assertEquals(checks.get("remembered peer home:3495")?.ok, true);
    const { ok, why, facts } = checks.get("others") ?? {};
    assertEquals([ok, why], [null, "nobody else is here (this home's peer answers)"]);
    assertEquals(facts, { peers: 0, onOtherMachines: 0 });
    const way = checks.get(`multicast4 to ${MULTICAST_V4} on eth0 home`);
    assertEquals(way?.why, "what is sent there is heard here, this home's peer answered");
    assertEquals(way?.facts?.peers, 0);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("examine names the way that is broken, and the one that works", async () => {
  await using practice = new Practice();
  const transport = broken(practice.host, { lost: [MULTICAST_V4] });
  const checks = await practice.examine({ transport });
  assertEquals(failures(checks), [`multicast4 to ${MULTICAST_V4} on eth0 home`]);
  const { ok, why } = checks.get("discovery") ?? {};
  const said = "what works: broadcast on eth0 home; what does not: multicast4 on eth0 home";
  assertEquals([ok, why], [true, said]);
});

Deno.test("examine says which way brings no answers although it works here", async () => {
  await using practice = new Practice();
  await practice.peer("bob", withoutGroups(practice.network.host("bob")));
  const checks = await practice.examine();
  assertEquals(failures(checks), []);
  const said = "1 peer on other machines answered; nobody by multicast4 on eth0 home";
  assertEquals(checks.get("others")?.why, said);
});

Deno.test("examine fails discovery only where no way works and no known peer is reached", async () => {
  await using practice = new Practice();
  const transport = broken(practice.host, { unreachable: [MULTICAST_V4, EVERYONE] });
  const none = await practice.examine({ transport });
  assertEquals(none.get("discovery")?.ok, false);
  assertStringIncludes(none.get("discovery")?.why ?? "", "neither multicast4 on eth0 home nor");
  await practice.listen("bob", 3485);
  const known = await practice.examine({ transport, peers: [BOB] });
  assertEquals(known.get("discovery")?.ok, true);
  assertStringIncludes(known.get("discovery")?.why ?? "", "only peers whose address is known");
});

Deno.test("examine guesses from a known peer why nobody answers", async () => {
  await using practice = new Practice();
  const guess = async (peers: DoctorOptions["peers"] = [BOB]) => {
    const { ok, why = "", fix = "" } = (await practice.examine({ peers })).get("others") ?? {};
    assertEquals(ok, false);
    return `${why} ${fix}`;
  };
  assertStringIncludes(await guess(), "they are off, or a firewall");
  await practice.listen("bob", 3485);
  assertStringIncludes(await guess(), "drops multicast and broadcast");
  assertStringIncludes(await guess(), "sudo ufw allow 3485/tcp && sudo ufw allow 3486/udp");
});

Deno.test("examine gives a peer that does not answer two seconds", async () => {
  await using practice = new Practice();
  practice.network.host("bob");
  practice.network.partition([["home"], ["bob"]]);
  const { ok, why } = (await practice.examine({ peers: [BOB] })).get("peer bob:3485") ?? {};
  assertEquals([ok, why], [false, "no answer in 2 s"]);
});

Deno.test("examine uses the interfaces that it shall, and says so of the others", async () => {
  await using practice = new Practice();
  const docker = interfaceOf("172.17.0.1", { name: "docker0" });
  const lo = interfaceOf("127.0.0.1", { name: "lo", loopback: true });
  const interfaces = () => [interfaceOf("home"), docker, lo];
  const global = { name: "eth0", family: "IPv6", address: "2001:db8::1" } as const;
  const addresses = () => [...interfaces(), global];
  const checks = await practice.examine({ interfaces, addresses, only: ["!docker*"] });
  const shown = [...checks].filter(([name]) => name.startsWith("interface "));
  assertEquals(shown.map(([name, { ok }]) => [name, ok]), [
    ["interface eth0 home", true],
    ["interface docker0 172.17.0.1", null],
    ["interface lo 127.0.0.1", true],
    ["interface eth0 2001:db8::1", null],
  ]);
  assertEquals([...checks.keys()].filter((name) => / on docker0/.test(name)), []);
  const lone = await practice.examine({ interfaces, addresses, hostname: "127.0.0.1" });
  assertEquals([...lone.keys()].filter((name) => / on eth0/.test(name)), []);
  assertEquals(lone.get("discovery")?.ok, true);
});

Deno.test("examine counts a way that leads to this machine only for nothing, unless asked to", async () => {
  await using practice = new Practice();
  const interfaces = () => [interfaceOf("127.0.0.1", { name: "lo", loopback: true })];
  const { ok, why } = (await practice.examine({ interfaces })).get("discovery") ?? {};
  assertEquals([ok, why], [false, "no way works: this machine is on no network"]);
  const none = (await practice.examine({ interfaces, only: ["nope"] })).get("discovery");
  assertEquals(none?.why, "no way works: there is no interface that can be used");
});

Deno.test("examine names missing permissions, and goes on", async () => {
  await using practice = new Practice();
  const checks = await practice.examine({
    permissions: () => "prompt",
    home: () => "/somewhere/that/is/not",
    interfaces: () => {
      throw new UnsupportedError("Cannot list network interfaces");
    },
    nativeUdp: false,
  });
  const flags = ["net", "sys", "env", "home"].map((name) => checks.get(`permission ${name}`)?.fix);
  assertStringIncludes(flags.join(), "--allow-net");
  assertStringIncludes(flags.join(), "--allow-sys=networkInterfaces");
  assertStringIncludes(flags.join(), "--allow-env=KITH_HOME");
  assertStringIncludes(flags.join(), "--allow-read=DIR --allow-write=DIR");
  assertStringIncludes(checks.get("udp sockets")?.why ?? "", "node:dgram");
  assertEquals(failures(checks).slice(-2), ["interfaces", "discovery"]);
});

Deno.test("examine tells who has the ports", async () => {
  await using practice = new Practice();
  const { host } = practice;
  const listener = await host.listen({ port: 3485 });
  const serving = (async () => {
    for (let one = await listener.accept(); one !== undefined; one = await listener.accept()) {
      await one.write(new TextEncoder().encode("HTTP/1.1 421 x\r\n\r\nThis port speaks kith's"));
      one.close();
    }
  })();
  const web = await host.listen({ port: 3488 });
  const showing = (async () => {
    for (let one = await web.accept(); one !== undefined; one = await web.accept()) {
      const asked = new Uint8Array(64);
      const isPage = new TextDecoder().decode(asked.subarray(0, await one.read(asked) ?? 0))
        .startsWith("GET / ");
      const said = isPage ? "403 x\r\n\r\nThe page" : "404 x\r\n\r\nHere something speaks kith";
      await one.write(new TextEncoder().encode(`HTTP/1.1 ${said}`));
      one.close();
    }
  })();
  const alone = await host.datagram({ port: DISCOVERY_PORT });
  const checks = await practice.examine();
  assertStringIncludes(checks.get("tcp port 3485")?.why ?? "", "a kith peer");
  assertStringIncludes(checks.get("tcp port 3488")?.why ?? "", "a kith peer");
  assertEquals(checks.get("udp port 3486")?.ok, false);
  assertStringIncludes(checks.get("udp port 3486")?.fix ?? "", "--discovery-port");
  alone.close();
  listener.close();
  web.close();
  await Promise.all([serving, showing]);
  await practice.listen("home", 3488);
  const { why } = (await practice.examine()).get("tcp port 3488") ?? {};
  assertStringIncludes(why ?? "", "another program");
});

Deno.test("examine says when the clock is wrong", async () => {
  await using practice = new Practice();
  const clock = new ManualClock({ epochMs: 0 });
  const { ok, why } = (await atOnce(
    clock,
    byName(examine({
      transport: practice.host,
      clock,
      interfaces: () => [],
      addresses: () => [],
      permissions: () => "granted",
    })),
  )).get("clock") ?? {};
  assertEquals([ok, why], [false, "the machine believes that the year is 1970"]);
});

Deno.test("examine makes no home, lists what was set aside there, and asks who is remembered", async () => {
  await using practice = new Practice();
  const dir = await Deno.makeTempDir({ prefix: "kith-doctor-" });
  try {
    const home = () => `${dir}/home`;
    assertEquals((await practice.examine({ home })).get("home")?.ok, true);
    assertEquals([...Deno.readDirSync(dir)], []);
    const peers = (addresses: string[], names = ["bob"]) =>
      JSON.stringify({
        version: 1,
        records: names.map((name, nth) => {
          return { peerId: `a${nth}`.repeat(20), name, addresses, lastSeen: 1 + nth };
        }),
      });
    const { writeAtomic } = bound(Home.open(home()));
    writeAtomic("peers.json", peers(["bob:3485"]));
    await practice.listen("bob", 3485);
    const known = await practice.examine({ home });
    assertStringIncludes(known.get("home")?.why ?? "", "1 peer remembered");
    assertEquals(known.get("remembered peer bob:3485 (bob)")?.ok, true);
    writeAtomic("peers.json", peers(["bob:3485"], ["bob", "rob", "robert"]));
    const sameHost = await practice.examine({ home, showNames: false });
    assertStringIncludes(sameHost.get("home")?.why ?? "", "3 peers remembered");
    const remembered = [...(await practice.examine({ home })).keys(), ...sameHost.keys()]
      .filter((name) => name.startsWith("remembered"));
    assertEquals(remembered, ["remembered peer bob:3485 (robert)", "remembered peer bob:3485"]);
    writeAtomic("peers.json", peers(["carol:3485"]));
    const gone = await practice.examine({ home });
    assertEquals(gone.get("remembered peer carol:3485 (bob)")?.ok, null);
    assertEquals(gone.get("others")?.ok, null);
    writeAtomic("peers.json", "no json");
    const { ok, why } = (await practice.examine({ home })).get("home") ?? {};
    assertEquals(ok, false);
    assertStringIncludes(why ?? "", "peers.json.corrupt-1");
    await Deno.remove(home(), { recursive: true });
    await Deno.writeTextFile(home(), "a file");
    assertEquals((await practice.examine({ home })).get("home")?.ok, false);
    await Deno.remove(home());
    const noFolder = (await practice.examine({ home: () => "/proc/kith/home" })).get("home");
    if (Deno.build.os === "linux") assertEquals(noFolder?.ok, false);
    assertEquals([...Deno.readDirSync(dir)], []);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

function bound(home: Home): { writeAtomic: (name: string, text: string) => void } {
  return { writeAtomic: (name, text) => home.writeAtomic(name, new TextEncoder().encode(text)) };
}

/** A network on which no group can be joined, as one that drops multicast. */
function withoutGroups(transport: Transport): Transport {
  return {
    listen: (options) => transport.listen(options),
    connect: (to, options) => transport.connect(to, options),
    datagram: (options = {}) => transport.datagram({ ...options, groups: [] }),
  };
}
