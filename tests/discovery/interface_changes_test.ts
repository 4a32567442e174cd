import { assert, assertEquals, assertRejects } from "@std/assert";
import { Discovery } from "../../src/discovery/discovery.ts";
import type { LocalInterface } from "../../src/discovery/interfaces.ts";
import { TransportError } from "../../src/errors.ts";
import { silentLogger } from "../../src/log.ts";
import { Metrics } from "../../src/metrics.ts";
import type {
  Address,
  DatagramOptions,
  DatagramSocket,
  Transport,
} from "../../src/transport/mod.ts";
import { CountingClock } from "../endpoint/fixture.ts";
import { announcementOf, interfaceOf } from "./lan.ts";

/** A machine whose interfaces come and go, and which sockets are open there for what. */
class Machine implements AsyncDisposable {
  readonly clock = new CountingClock();
  readonly metrics = new Metrics();
  readonly said: string[] = [];
  readonly open = new Set<string>();
  readonly sent: string[] = [];
  interfaces: LocalInterface[] = [];
  /** Addresses that cannot be bound. */
  readonly dead = new Set<string>();
  readonly #parts = new AsyncDisposableStack();
  readonly #transport: Transport = {
    listen: () => Promise.reject(new TransportError("no")),
    connect: () => Promise.reject(new TransportError("no")),
    datagram: (options) => Promise.try(() => this.#datagram(options)),
  };

  async discovery(options: { only?: readonly string[]; found?: boolean } = {}): Promise<Discovery> {
    const { only = [], found = false } = options;
    const warn = (text: string) => void this.said.push(text);
    return this.#parts.use(
      await Discovery.open({
        transport: this.#transport,
        clock: this.clock,
        metrics: this.metrics,
        log: { ...silentLogger, warn },
        interfaces: () => this.interfaces,
        only,
        ...(found ? { announce: announcementOf("bob", 1) } : {}),
      }),
    );
  }

  #datagram(options: DatagramOptions = {}): DatagramSocket {
    const { hostname = "0.0.0.0", port = 0, groups = [] } = options;
    if (this.dead.has(hostname)) throw new TransportError(`Cannot bind ${hostname}`);
    const joined = groups.map((group) =>
      "interfaceIndex" in group ? group.interfaceIndex : group.interfaceAddress
    );
    const what = [hostname, port, ...joined].join(" ");
    const { promise, resolve } = Promise.withResolvers<undefined>();
    this.open.add(what);
    return {
      address: { hostname, port },
      joinErrors: [],
      dropped: 0,
      send: (_, to: Address) =>
        Promise.resolve(void this.sent.push(`${hostname} > ${to.hostname}`)),
      receive: () => promise,
      close: () => {
        this.open.delete(what);
        resolve(undefined);
      },
    };
  }

  get opened(): string[] {
    return [...this.open].sort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync();
    assertEquals([this.opened, this.clock.timers], [[], 0]);
  }
}

function v4(name: string, address: string): LocalInterface {
  return { ...interfaceOf(address), name };
}

function v6(name: string, address: string, index: number): LocalInterface {
  return { ...interfaceOf(address), name, family: "IPv6", index };
}

Deno.test("Discovery hears questions on interfaces that appear, and no more on those that go", async () => {
  await using machine = new Machine();
  machine.interfaces = [v4("eth0", "10.0.0.1"), v6("eth0", "fe80::1", 2)];
  await machine.discovery({ found: true });
  assertEquals(machine.opened, [
    "0.0.0.0 0",
    "0.0.0.0 3486 10.0.0.1",
    ":: 0",
    "ff02::1:6%eth0 3486 2",
  ]);
  machine.interfaces = [
    v4("wlan0", "10.0.1.1"),
    v4("wlan0", "10.0.1.2"),
    v6("wlan0", "fe80::1", 3),
  ];
  await machine.clock.advance(2_000);
  // One membership per interface, or the kernel refuses the second.
  assertEquals(machine.opened, [
    "0.0.0.0 0",
    "0.0.0.0 3486 10.0.1.2",
    ":: 0",
    "ff02::1:6%wlan0 3486 3",
  ]);
  machine.interfaces = [];
  await machine.clock.advance(2_000);
  assertEquals(machine.opened, ["0.0.0.0 0", "0.0.0.0 3486", ":: 0"]);
});

Deno.test("Discovery asks at once on an interface that appears while it looks", async () => {
  await using machine = new Machine();
  machine.interfaces = [v4("eth0", "10.0.0.1")];
  const discovery = await machine.discovery();
  const looking = Array.fromAsync(discovery.find({ timeoutMs: 10_000 }));
  await machine.clock.advance(2_900);
  const broadcast = "10.0.1.255";
  machine.interfaces = [{ ...v4("wlan0", "10.0.1.1"), broadcast }, v6("wlan0", "fe80::1", 3)];
  machine.sent.length = 0;
  await machine.clock.advance(1_100);
  assertEquals(machine.sent.slice(-4), [
    "10.0.1.1 > 239.1.11.11",
    "fe80::1%wlan0 > ff02::1:6%wlan0",
    "10.0.1.1 > 255.255.255.255",
    "10.0.1.1 > 10.0.1.255",
  ]);
  assertEquals(machine.opened, ["10.0.1.1 0", "fe80::1%wlan0 0"]);
  await machine.clock.advance(6_000);
  await looking;
});

Deno.test("Discovery tries again on an interface that cannot be used, and says so once", async () => {
  await using machine = new Machine();
  machine.interfaces = [v4("eth0", "10.0.0.1"), v4("eth1", "10.0.1.1"), v6("eth1", "fe80::1", 3)];
  for (const address of ["10.0.1.1", "fe80::1%eth1", "ff02::1:6%eth1"]) machine.dead.add(address);
  const discovery = await machine.discovery({ found: true });
  const looking = Array.fromAsync(discovery.find({ timeoutMs: 60_000 }));
  await machine.clock.advance(9_999);
  assertEquals(machine.said, [
    "could not listen for IPv6 questions on eth1 (fe80::1)",
    "could not ask on eth1 (10.0.1.1)",
    "could not ask on eth1 (fe80::1)",
  ]);
  assert(machine.sent.length > 5 && machine.sent.every((sent) => sent.startsWith("10.0.0.1")));
  assertEquals(machine.metrics.snapshot()["discovery.failures"], 15);
  machine.dead.clear();
  await machine.clock.advance(1);
  assert(machine.sent.some((sent) => sent.startsWith("fe80::1%eth1")));
  assertEquals(machine.opened.length, 7);
  await machine.clock.advance(50_000);
  await looking;
});

Deno.test("Discovery uses only interfaces that it is told to", async () => {
  await using machine = new Machine();
  machine.interfaces = [v4("eth0", "10.0.0.1"), v4("docker0", "172.17.0.1"), v4("lo", "127.0.0.1")];
  const discovery = await machine.discovery({ found: true, only: ["eth*", "docker0", "!d*"] });
  assertEquals(machine.opened, ["0.0.0.0 0", "0.0.0.0 3486 10.0.0.1"]);
  const looking = Array.fromAsync(discovery.find({ timeoutMs: 100 }));
  await machine.clock.advance(50);
  assert(machine.opened.includes("10.0.0.1 0") && machine.open.size === 3);
  await machine.clock.advance(50);
  await looking;
  await assertRejects(() => machine.discovery({ only: ["!"] }), TypeError, "Interface pattern");
});
