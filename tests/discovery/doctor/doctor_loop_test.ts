import { assertEquals, assertRejects } from "@std/assert";
import { ManualClock } from "../../../src/clock.ts";
import { Discovery } from "../../../src/discovery/discovery.ts";
import { type LoopTestOptions, testLoops } from "../../../src/discovery/doctor/doctor_loop.ts";
import { DISCOVERY_PORT, MULTICAST_V4 } from "../../../src/discovery/groups.ts";
import { encodeQuestion } from "../../../src/discovery/packets.ts";
import { platformOf } from "../../../src/discovery/platform.ts";
import { Metrics } from "../../../src/metrics.ts";
import { Identity } from "../../../src/secure/identity.ts";
import { Network } from "../../../src/secure/network.ts";
import { sealTransport } from "../../../src/secure/sealed_socket.ts";
import { Sealer } from "../../../src/secure/sealer.ts";
import { type DatagramSocket, MemoryNetwork, type Transport } from "../../../src/transport/mod.ts";
import { atOnce, broken, type Defects, interfaceOf } from "./doctor_fixture.ts";

const EVERYONE = "255.255.255.255";

/** A host `home` that asks itself. */
class Home {
  readonly network = new MemoryNetwork();
  readonly clock = new ManualClock();
  readonly metrics = new Metrics();

  options(ask: Transport = this.network.host("home"), hear = ask): LoopTestOptions {
    const { clock, metrics } = this;
    const [platform, signal] = [platformOf("linux"), new AbortController().signal];
    const interfaces = [interfaceOf("home")];
    const port = DISCOVERY_PORT;
    return { ask, hear, interfaces, port, platform, clock, metrics, waitMs: 1_000, signal };
  }

  broken(defects: Defects): LoopTestOptions {
    return this.options(broken(this.network.host("home"), defects));
  }

  /** Ways by method and destination, with how long a packet took, or why it did not come. */
  async test(options: LoopTestOptions): Promise<Record<string, number | string>> {
    const results = await atOnce(this.clock, testLoops(options));
    return Object.fromEntries(results.map(({ method, to, seenMs, error, answers }) => {
      return [`${method} ${to}`, `${seenMs ?? error ?? "lost"}, ${answers.size}`];
    }));
  }

  async announce(host: string, transport = this.network.host(host)): Promise<Discovery> {
    const { clock } = this;
    const announce = { identity: Identity.generate(), name: "", tcpPort: 1 };
    return await Discovery.open({
      transport,
      clock,
      announce,
      interfaces: () => [interfaceOf(host)],
    });
  }
}

Deno.test("testLoops hears its own questions by every method, and counts who answers", async () => {
  const home = new Home();
  assertEquals(await home.test(home.options()), {
    [`multicast4 ${MULTICAST_V4}`]: "0, 0",
    [`broadcast ${EVERYONE}`]: "0, 0",
  });
  await using _bob = await home.announce("bob");
  await using _carol = await home.announce("carol");
  assertEquals(await home.test(home.options()), {
    [`multicast4 ${MULTICAST_V4}`]: "0, 2",
    [`broadcast ${EVERYONE}`]: "0, 2",
  });
  assertEquals(home.metrics.snapshot()["doctor.questions"], 12);
});

Deno.test("testLoops names the way that packets get lost on, and the one that cannot be sent on", async () => {
  const home = new Home();
  assertEquals(await home.test(home.broken({ lost: [MULTICAST_V4], unreachable: [EVERYONE] })), {
    [`multicast4 ${MULTICAST_V4}`]: "lost, 0",
    [`broadcast ${EVERYONE}`]: `Cannot send to ${EVERYONE}, 0`,
  });
});

Deno.test("testLoops says that a group could not be joined, whatever is heard by another way", async () => {
  const home = new Home();
  assertEquals(await home.test(home.broken({ noGroups: true })), {
    [`multicast4 ${MULTICAST_V4}`]: "Cannot join, 0",
    [`broadcast ${EVERYONE}`]: "0, 0",
  });
});

Deno.test("testLoops goes on where a socket cannot be opened", async () => {
  const home = new Home();
  const first = interfaceOf("10.0.0.1", { name: "bad0" });
  const options = home.broken({ unbindable: ["10.0.0.1"] });
  const results = await atOnce(
    home.clock,
    testLoops({ ...options, interfaces: [first, interfaceOf("home")] }),
  );
  assertEquals(results.map(({ on, seenMs, error }) => [on.name, seenMs ?? error]), [
    ["bad0", "Cannot bind 10.0.0.1"],
    ["bad0", "Cannot bind 10.0.0.1"],
    ["eth0", 0],
    ["eth0", 0],
  ]);
});

Deno.test("testLoops says why nothing can be heard", async () => {
  const home = new Home();
  const taken = await home.network.host("home").datagram({ port: DISCOVERY_PORT });
  const why = `Cannot open datagram socket on 0.0.0.0:${DISCOVERY_PORT}: address already in use`;
  assertEquals(await home.test(home.options()), {
    [`multicast4 ${MULTICAST_V4}`]: `${why}, 0`,
    [`broadcast ${EVERYONE}`]: `${why}, 0`,
  });
  taken.close();
});

Deno.test("testLoops takes neither garbage nor other questions for its own", async () => {
  const home = new Home();
  const noise = await home.network.host("mallory").datagram();
  const options = home.broken({ lost: [MULTICAST_V4, EVERYONE] });
  const testing = testLoops(options);
  await home.clock.advance(10);
  const other = encodeQuestion({ id: 7, from: new Uint8Array(8), via: "broadcast" });
  const garbage = [new Uint8Array(0), new Uint8Array(400), new Uint8Array(60_000).fill(10)];
  for (const bytes of [other, ...garbage, other]) {
    await noise.send(bytes, { hostname: EVERYONE, port: DISCOVERY_PORT });
  }
  const results = await atOnce(home.clock, testing);
  assertEquals(results.map(({ seenMs, error }) => seenMs ?? error), [undefined, undefined]);
  noise.close();
});

Deno.test("testLoops hears itself in a closed network, and who is in it", async () => {
  const home = new Home();
  const network = new Network("home", [new Uint8Array(32).fill(7)]);
  const member = (transport: Transport) =>
    sealTransport(transport, new Sealer({ network, clock: home.clock }));
  await using _bob = await home.announce("bob", member(home.network.host("bob")));
  await using _stranger = await home.announce("stranger");
  const host = home.network.host("home");
  const others: DatagramSocket[] = [];
  // What is for a shared port alone goes to another program of the machine.
  const crowded: Transport = {
    listen: (options) => host.listen(options),
    connect: (to, options) => host.connect(to, options),
    async datagram(options = {}) {
      const socket = await host.datagram(options);
      if (options.shared) others.push(await host.datagram(options));
      return socket;
    },
  };
  assertEquals(await home.test(home.options(member(host), member(crowded))), {
    [`multicast4 ${MULTICAST_V4}`]: "0, 1",
    [`broadcast ${EVERYONE}`]: "0, 1",
  });
  assertEquals(others.length, 1);
  others.forEach((socket) => socket.close());
});

Deno.test("testLoops closes its sockets when it is aborted", async () => {
  const home = new Home();
  const abort = new AbortController();
  const testing = testLoops({ ...home.options(), signal: abort.signal });
  abort.abort(new DOMException("Interrupted", "AbortError"));
  await assertRejects(() => testing, DOMException, "Interrupted");
  const again = await home.network.host("home").datagram({ port: DISCOVERY_PORT });
  again.close();
});
