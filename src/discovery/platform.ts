/**
 * What differs from one operating system to the next when packets go to groups: in one place, for who opens the sockets
 * and for who has to tell people what to do.
 *
 * | | Linux, Android | macOS | Windows | FreeBSD and others |
 * |---|---|---|---|---|
 * | a port is shared by | `SO_REUSEADDR` | `SO_REUSEPORT` | `SO_REUSEADDR` | `SO_REUSEPORT` |
 * | a socket may be bound to the group | yes | yes | no | yes |
 * | one bound to an interface's address hears the group | no | no | yes | no |
 * | a zone is written as | name or index | name or index | index | name or index |
 * | the source address chooses the interface for IPv4 multicast | yes | no: the route does | yes | no: the route does |
 * | descriptors a program may have | 1,024 | 256 | no such limit | thousands |
 *
 * The column of Linux was measured (Linux 6, Deno 2.9), the others are from documentation: RFC 3493 and RFC 3678 for the
 * options, RFC 4007 for zones, the `bind` and multicast pages of Winsock, `ip(4)`, `ip6(4)` and `setsockopt(2)` of the
 * BSDs. Which option shares a port is the runtime's choice (`reuseAddress` of `Deno.listenDatagram`), and right on each.
 *
 * Linux, besides: a socket bound to `0.0.0.0` can send neither to 239.0.0.0/8 nor to 255.255.255.255 where there is no
 * default route; bound to an interface's address it needs no route at all, not even where one forbids it. Packets to a
 * group come back to members on the same machine also without a cable; none does on an interface that is down, and
 * nothing says so. An interface without the flag `MULTICAST` makes no difference. A socket joins at most 20 groups, each
 * interface counted.
 *
 * @module
 */

import type { LocalInterface } from "./interfaces.ts";

/** The systems that differ. */
export type PlatformName = "linux" | "darwin" | "windows" | "bsd";

/** The ports that a firewall has to let in. */
export interface OpenPorts {
  /** Where the peer accepts connections. */
  readonly tcp: number;
  /** Where questions come in. */
  readonly udp: number;
}

/** A firewall, and what makes it let peers find each other. */
export interface Firewall {
  /** What people know it as. */
  readonly name: string;
  /** The command by which others can find and reach this machine. */
  readonly beFound: (ports: OpenPorts) => string;
  /**
   * The command by which answers come in, which arrive at a port that is another one each time; `undefined` where the
   * firewall lets answers in by itself.
   */
  readonly find: (interfaceName: string) => string | undefined;
}

/** One system; see the module. */
export interface Platform {
  /** Which it is. */
  readonly name: PlatformName;
  /** What people know it as. */
  readonly title: string;
  /** Whether a socket can be bound to a group's address. Where not, one bound to the interface's hears the group. */
  readonly bindsToGroups: boolean;
  /** How the zone of a link-local address is written. */
  readonly zone: "name" | "index";
  /** Whether the address that a socket is bound to chooses the interface that IPv4 multicast leaves by. */
  readonly sourceChoosesInterface: boolean;
  /** The command that sends IPv4 multicast out by an interface, where a route decides that. */
  readonly multicastRoute: (interfaceName: string) => string | undefined;
  /** The command that lets a socket join more groups, where there is a small limit (Linux: 20); empty where there is none. */
  readonly moreGroups: string;
  /** The firewalls it comes with, most common first. */
  readonly firewalls: readonly Firewall[];
  /** What else keeps packets back, in a sentence; empty for nothing. */
  readonly otherObstacle: string;
  /** Sockets and files that a program may have open unless told otherwise, and how that is changed. */
  readonly descriptors: { readonly most: number; readonly raise: string };
}

const LINUX: Platform = {
  name: "linux",
  title: "Linux",
  bindsToGroups: true,
  zone: "name",
  sourceChoosesInterface: true,
  multicastRoute: () => undefined,
  moreGroups: "sudo sysctl net.ipv4.igmp_max_memberships=100",
  firewalls: [
    {
      name: "ufw",
      beFound: ({ tcp, udp }) => `sudo ufw allow ${tcp}/tcp && sudo ufw allow ${udp}/udp`,
      find: (on) => `sudo ufw allow in on ${on} to any proto udp`,
    },
    {
      name: "firewalld",
      beFound: ({ tcp, udp }) => `sudo firewall-cmd --add-port=${tcp}/tcp --add-port=${udp}/udp`,
      find: () => "sudo firewall-cmd --add-port=1024-65535/udp",
    },
    {
      name: "nftables",
      beFound: ({ tcp, udp }) =>
        `sudo nft add rule inet filter input tcp dport ${tcp} accept && ` +
        `sudo nft add rule inet filter input udp dport ${udp} accept`,
      find: (on) => `sudo nft add rule inet filter input iifname ${on} udp dport 1024-65535 accept`,
    },
  ],
  otherObstacle: "",
  descriptors: { most: 1_024, raise: "ulimit -n 4096" },
};

const DARWIN: Platform = {
  name: "darwin",
  title: "macOS",
  bindsToGroups: true,
  zone: "name",
  sourceChoosesInterface: false,
  multicastRoute: (on) => `sudo route -n add -net 239.0.0.0/8 -interface ${on}`,
  moreGroups: "",
  firewalls: [{
    name: "the macOS application firewall",
    // It knows programs, not ports.
    beFound: () =>
      'sudo /usr/libexec/ApplicationFirewall/socketfilterfw --add "$(which deno)" --unblockapp "$(which deno)"',
    find: () => undefined,
  }],
  otherObstacle: "since macOS 15 a terminal other than Apple's also needs to be allowed under " +
    "System Settings, Privacy & Security, Local Network",
  descriptors: { most: 256, raise: "ulimit -n 4096" },
};

const WINDOWS: Platform = {
  name: "windows",
  title: "Windows",
  bindsToGroups: false,
  zone: "index",
  sourceChoosesInterface: true,
  multicastRoute: () => undefined,
  moreGroups: "",
  firewalls: [{
    name: "Windows Defender Firewall",
    beFound: ({ tcp, udp }) =>
      `netsh advfirewall firewall add rule name=kith dir=in action=allow protocol=TCP localport=${tcp} && ` +
      `netsh advfirewall firewall add rule name=kith dir=in action=allow protocol=UDP localport=${udp}`,
    // It lets unicast answers to multicast and broadcast in for three seconds, unless told not to.
    find: () => undefined,
  }],
  otherObstacle: "a network that Windows calls public lets nothing in: make it a private one",
  descriptors: { most: Infinity, raise: "" },
};

const BSD: Platform = {
  name: "bsd",
  title: "BSD",
  bindsToGroups: true,
  zone: "name",
  sourceChoosesInterface: false,
  multicastRoute: (on) => `sudo route add -net 239.0.0.0/8 -iface ${on}`,
  moreGroups: "",
  firewalls: [{
    name: "pf",
    beFound: ({ tcp, udp }) =>
      `pass in proto tcp to port ${tcp} and pass in proto udp to port ${udp} in /etc/pf.conf, then pfctl -f /etc/pf.conf`,
    find: (on) => `pass in on ${on} proto udp to port > 1023 in /etc/pf.conf`,
  }],
  otherObstacle: "",
  descriptors: { most: 10_000, raise: "sysctl kern.maxfilesperproc=65536" },
};

/** The table's row for an operating system; those that are not in it are taken for a BSD. */
export function platformOf(os: typeof Deno.build.os = Deno.build.os): Platform {
  switch (os) {
    case "linux":
    case "android":
      return LINUX;
    case "darwin":
      return DARWIN;
    case "windows":
      return WINDOWS;
    default:
      return BSD;
  }
}

/** An address on an interface, as far as binding needs it. */
export type BindTo = Pick<LocalInterface, "family" | "name" | "address" | "index">;

/**
 * What a shared socket is bound to that hears a group, and is joined to it, on an interface.
 *
 * For IPv4 that is every address: one socket hears all interfaces, and broadcasts. For IPv6 it is the group on that
 * interface, so that the socket knows the zone that answers need; on Windows the interface's own address does that.
 */
export function bindForGroup(platform: Platform, group: string, on: BindTo): string {
  if (on.family === "IPv4") return "0.0.0.0";
  return zoned(platform, platform.bindsToGroups ? group : on.address, on);
}

/**
 * A group's address, or the interface's own, with the zone that IPv6 needs: where to send to, and what a socket is bound
 * to that sends by this interface.
 */
export function addressOn(platform: Platform, address: string, on: BindTo): string {
  return on.family === "IPv4" ? address : zoned(platform, address, on);
}

function zoned({ zone }: Platform, address: string, { name, index }: BindTo): string {
  return `${address}%${zone === "index" && index !== undefined ? index : name}`;
}
