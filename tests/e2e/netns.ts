/**
 * Networks of the test's own: network namespaces joined by virtual cables and switches, which no packet leaves.
 *
 * ```
 *          10.77.1.0/24                 10.77.2.0/24
 *   bob .2 --- switch --- .1 ann .1 --- switch --- .2 carol
 *   fe80::2          fe80::1     fe80::1          fe80::2
 * ```
 *
 * @module
 */

/** What a switch throws away. */
export type Dropped = "multicast" | "broadcast";

/** The three hosts. */
export type Host = "ann" | "bob" | "carol";

const NETWORKS = [{ other: "bob", net: 1 }, { other: "carol", net: 2 }] as const;

/** Why there can be no such networks here, or `undefined`. */
export async function whyNoNamespaces(): Promise<string | undefined> {
  if (Deno.build.os !== "linux") return "network namespaces are Linux's";
  if (Deno.uid() !== 0) return "network namespaces need root";
  try {
    await using cables = await Cables.lay();
    await cables.drop("multicast");
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** One end of a cable. */
interface End {
  readonly host: Host;
  readonly device: string;
  /** The end at the switch. */
  readonly port: string;
  readonly net: 1 | 2;
  /** Last part of its addresses. */
  readonly last: 1 | 2;
}

const ENDS: readonly End[] = NETWORKS.flatMap(({ other, net }) => [
  { host: "ann", device: `to-${other}`, port: `ann-${other}`, net, last: 1 },
  { host: other, device: "to-ann", port: other, net, last: 2 },
]);

/** The hosts, cables and switches; disposing removes them. */
export class Cables implements AsyncDisposable {
  readonly #suffix = crypto.randomUUID().slice(0, 8);
  readonly #made: string[] = [];
  readonly #dropped = new Set<Dropped>();

  private constructor() {}

  /** Makes the hosts and joins them. @throws {Error} when the machine cannot. */
  static async lay(): Promise<Cables> {
    const cables = new Cables();
    try {
      for (const host of ["ann", "bob", "carol", "switch"]) await cables.#add(host);
      for (const { net } of NETWORKS) {
        const bridge = [`br${net}`, "type", "bridge", "mcast_snooping", "0"];
        await cables.#ip("switch", "link", "add", ...bridge);
        await cables.#ip("switch", "link", "set", `br${net}`, "up");
      }
      for (const end of ENDS) await cables.#plug(end);
      return cables;
    } catch (error) {
      await cables[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The command that runs another one on a host. */
  within(host: Host): string[] {
    return ["ip", "netns", "exec", this.#nameOf(host)];
  }

  /** Has the switches throw packets away. */
  async drop(dropped: Dropped): Promise<void> {
    this.#dropped.add(dropped);
    for (const end of ENDS) await this.#drop(end, dropped);
  }

  /** Takes the IPv4 addresses away. */
  async dropIpv4(): Promise<void> {
    for (const { host, device } of ENDS) await this.#ip(host, "-4", "addr", "flush", "dev", device);
  }

  /**
   * Gives a host interfaces that lead nowhere: one that is switched off, one without a carrier, and one with nobody at the
   * other end.
   */
  async addDeadEnds(host: Host): Promise<void> {
    const states = [["off", "down", "up"], ["unplugged", "up", "down"], ["alone", "up", "up"]];
    for (const [at, [device = "", state = "", otherState = ""]] of states.entries()) {
      const port = `${host}-${device}`;
      const atSwitch = ["peer", "name", port, "netns", this.#nameOf("switch")];
      await this.#ip(host, "link", "add", device, "type", "veth", ...atSwitch);
      await this.#ip(host, "addr", "add", `10.77.${90 + at}.1/24`, "dev", device);
      await this.#ip(host, "link", "set", device, "addrgenmode", "none", state);
      await this.#ip(host, "addr", "add", `fe80::1/64`, "dev", device, "nodad");
      await this.#ip("switch", "link", "set", port, otherState);
    }
  }

  /** Takes a host's only interface away. */
  async unplug(host: Exclude<Host, "ann">): Promise<void> {
    await this.#ip(host, "link", "del", "to-ann");
  }

  /** Gives it back. */
  async plug(host: Exclude<Host, "ann">): Promise<void> {
    for (const end of ENDS.filter((end) => end.host === host)) {
      await this.#plug(end);
      for (const dropped of this.#dropped) await this.#drop(end, dropped);
    }
  }

  /** Pulls every cable. */
  async pull(): Promise<void> {
    for (const { port } of ENDS) await this.#ip("switch", "link", "set", port, "down");
  }

  /** Puts every cable back that was pulled. */
  async putBack(): Promise<void> {
    for (const { port } of ENDS) await this.#ip("switch", "link", "set", port, "up");
  }

  /** Has no UDP packet leave any host; connections go on. */
  async blockUdp(): Promise<void> {
    for (const { host } of ENDS) {
      for (const family of ["-4", "-6"]) {
        await this.#ip(host, family, "rule", "add", "ipproto", "udp", "blackhole");
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Only what this very object has made.
    for (const host of this.#made.splice(0)) {
      await command(["ip", "netns", "del", this.#nameOf(host)]);
    }
  }

  #nameOf(host: string): string {
    return `kith-${this.#suffix}-${host}`;
  }

  #ip(host: string, ...args: readonly string[]): Promise<void> {
    return command(["ip", "-n", this.#nameOf(host), ...args]);
  }

  async #add(host: string): Promise<void> {
    await command(["ip", "netns", "add", this.#nameOf(host)]);
    this.#made.push(host);
    await this.#ip(host, "link", "set", "lo", "up");
  }

  async #drop({ host, device, port, net, last }: End, dropped: Dropped): Promise<void> {
    const flood = dropped === "multicast" ? "mcast_flood" : "bcast_flood";
    await this.#ip("switch", "link", "set", port, "type", "bridge_slave", flood, "off");
    if (dropped === "multicast") return;
    // IPv4 asks for its neighbours by broadcast: they are told instead.
    const other = last === 1 ? 2 : 1;
    const neighbour = [`10.77.${net}.${other}`, "lladdr", macOf(net, other)];
    await this.#ip(host, "neigh", "add", ...neighbour, "dev", device, "nud", "permanent");
  }

  async #plug({ host, device, port, net, last }: End): Promise<void> {
    const atSwitch = ["peer", "name", port, "netns", this.#nameOf("switch")];
    const mac = ["address", macOf(net, last)];
    await this.#ip(host, "link", "add", device, ...mac, "type", "veth", ...atSwitch);
    await this.#ip("switch", "link", "set", port, "master", `br${net}`, "up");
    // Addresses that are known and usable at once, instead of made up and checked for a second.
    await this.#ip(host, "link", "set", device, "addrgenmode", "none", "up");
    await this.#ip(host, "addr", "add", `10.77.${net}.${last}/24`, "dev", device);
    await this.#ip(host, "addr", "add", `fe80::${last}/64`, "dev", device, "nodad");
  }
}

function macOf(net: number, last: number): string {
  return `02:00:00:00:0${net}:0${last}`;
}

async function command([program = "", ...args]: readonly string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(program, { args }).output();
  if (success) return;
  throw new Error(`${program} ${args.join(" ")}: ${new TextDecoder().decode(stderr).trim()}`);
}
