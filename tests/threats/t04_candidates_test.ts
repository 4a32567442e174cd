/**
 * Whom a peer connects to because strangers on the network name addresses: nobody is scanned or flooded for a forger, and
 * nobody whom the user named has to wait for it.
 */

import { assert, assertEquals } from "@std/assert";
import type { CandidateSource } from "../../src/discovery/candidates.ts";
import { Discovery, type DiscoveryOptions } from "../../src/discovery/discovery.ts";
import type { DnsRecord } from "../../src/discovery/mdns/dns_record.ts";
import { TransportError } from "../../src/errors.ts";
import { type Address, formatAddress } from "../../src/transport/mod.ts";
import { interfaceOf, Lan, recordsOf } from "../discovery/mdns/mdns_fixture.ts";
import { identityOf } from "../discovery/lan.ts";

const OWN = "10.0.0.1";
const VICTIM = "10.0.0.9";
const FRIEND = "10.0.0.2";

/** Looks for peers by what strangers say on the network, and keeps whom it connects to. */
class Looker implements AsyncDisposable {
  readonly lan = new Lan();
  /** Who was connected to, and when. */
  readonly connected: [address: string, atMs: number][] = [];
  #discovery: Discovery | undefined;

  /** @param takesMs How long it takes until nobody answers. */
  async open(takesMs: number, options: Partial<DiscoveryOptions> = {}): Promise<Discovery> {
    const { clock } = this.lan;
    const mdns = await this.lan.open(OWN);
    const probe = (address: Address, { signal }: { signal: AbortSignal }) => {
      this.connected.push([formatAddress(address), clock.now()]);
      if (address.hostname === FRIEND) {
        return Promise.resolve({ peerId: identityOf("friend").peerId, name: "friend" });
      }
      return new Promise<never>((_, reject) => {
        const timer = clock.after(takesMs, () => reject(new TransportError("refused")));
        signal.addEventListener("abort", () => {
          timer.cancel();
          reject(signal.reason);
        });
      });
    };
    const { sources = [] } = options;
    return this.#discovery = await Discovery.open({
      transport: this.lan.host(OWN),
      interfaces: () => [interfaceOf(OWN)],
      clock,
      probe,
      ...options,
      sources: [mdns, ...sources],
    });
  }

  /** Looks for so long, while a stranger says something every now and then. */
  async look(forMs: number, says: readonly DnsRecord[][], everyMs = forMs): Promise<void> {
    const stranger = await this.lan.stranger("10.0.0.66");
    const looking = Array.fromAsync(this.#discovery?.find({ timeoutMs: forMs }) ?? []);
    await this.lan.clock.advance(10);
    for (let saidMs = 0; saidMs < forMs; saidMs += everyMs) {
      for (const answers of says) await stranger.say({ response: true, answers });
      await this.lan.clock.advance(everyMs);
    }
    await looking;
  }

  /** How often a host was connected to. */
  countOf(host: string): number {
    return this.connected.filter(([address]) => address.startsWith(`${host}:`)).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#discovery?.close();
    await this.lan[Symbol.asyncDispose]();
  }
}

/** A service that says of itself to be at many ports of one host. */
function manyPorts(label: string, count: number): DnsRecord[] {
  const { ptr, srv, txt, a } = recordsOf(label, { address: VICTIM });
  const ports = Array.from({ length: count }, (_, n) => ({ ...srv, flush: false, port: 1 + n }));
  return [ptr, txt, ...ports, a] as DnsRecord[];
}

/** Services without number, each at some ports of a host where nobody answers. */
function deadHosts(count: number): DnsRecord[][] {
  return Array.from({ length: count }, (_, n) => {
    const address = `10.0.0.${20 + n}`;
    return manyPorts(`evil${n}`, 3).map((record) =>
      record.type === "A" ? { ...record, address } : record
    );
  });
}

Deno.test("T4 who names many ports of somebody else by mDNS has few of them connected to, at first and later on", async () => {
  await using looker = new Looker();
  await looker.open(1);
  await looker.look(600_000, [manyPorts("evil", 250)], 120_000);
  // Some at once, one in two seconds, and none of them for long: else it were 250 every 30 seconds.
  const firstMs = looker.connected.filter(([, atMs]) => atMs < 1_000).length;
  assert(firstMs > 0 && firstMs <= 17, `${firstMs}`);
  assert(looker.countOf(VICTIM) < 150, `${looker.countOf(VICTIM)}`);
  const lately = looker.connected.filter(([, atMs]) => atMs > 540_000).length;
  assert(lately <= 16, `${lately}`);
});

Deno.test("T4 an address where nobody is, named by mDNS, is given up, and asked again when it is named anew", async () => {
  await using looker = new Looker();
  await looker.open(1);
  await looker.look(600_000, [manyPorts("evil", 1)]);
  const times = looker.connected.map(([, atMs]) => Math.floor(atMs / 1_000));
  assertEquals(times, [0, 30, 90, 210]);
  await looker.look(1_000, [manyPorts("other", 1)]);
  assertEquals(looker.connected.length, 5);
});

Deno.test("T4 whom the user named is connected to at its turn, however many strangers name by mDNS", async () => {
  await using looker = new Looker();
  const told = Promise.withResolvers<void>();
  const file: CandidateSource = {
    method: "file",
    async *find() {
      await told.promise;
      yield { address: { hostname: FRIEND, port: 1 } };
    },
  };
  await looker.open(10_000, { sources: [file] });
  const toldMs = 3_500;
  looker.lan.clock.after(toldMs, () => told.resolve());
  await looker.look(30_000, deadHosts(60));
  const [, atMs = Infinity] = looker.connected.find(([to]) => to === `${FRIEND}:1`) ?? [];
  assert(looker.connected.length > 100, `${looker.connected.length}`);
  assert(atMs - toldMs <= 3_000, `${atMs - toldMs} ms`); // those at work have their time
});
