/**
 * What a doctor makes of what it saw: what works, what probably does not, and what to do.
 *
 * @module
 */

import { isLoopback } from "../../endpoint/limits.ts";
import { type Check, counted, failed, listed, passed, skipped } from "./doctor_check.ts";
import { LOOP_MS, type LoopResult } from "./doctor_loop.ts";
import { isOwnOnly, type KnownPeer, nameOf, type Reached } from "./doctor_network.ts";
import type { OpenPorts, Platform } from "../platform.ts";

/** What is known when everything was tried. */
export interface Evidence {
  /** What became of the questions, way by way. */
  readonly loops: readonly LoopResult[];
  /** The address that everything was held to, if any. */
  readonly hostname: string | undefined;
  /** The machine's own addresses: peers that answer from there are on it. */
  readonly ownAddresses: ReadonlySet<string>;
  /** The peer of this home, which may be up and then answers, too. @default nobody is told apart */
  readonly self?: string | undefined;
  /** What became of connecting to peers that are known. */
  readonly known: readonly KnownPeer[];
  /** The system. */
  readonly platform: Platform;
  /** The ports that others need. */
  readonly ports: OpenPorts;
}

/** One line for what became of the questions that went one way. */
export function checkLoop(
  result: LoopResult,
  { platform, self }: Pick<Evidence, "platform" | "self">,
): Check {
  const { on, method, to, seenMs, error, answers } = result;
  const check = `${method} to ${to} on ${nameOf(on)}`;
  const others = [...answers.keys()].filter((peerId) => peerId !== self).length;
  const facts = {
    interface: on.name,
    family: on.family,
    address: on.address,
    method,
    to,
    seenMs: seenMs === undefined ? null : Math.round(seenMs * 10) / 10,
    peers: others,
  };
  const answered = others > 0
    ? `, ${counted(others, "peer")} answered`
    : answers.size > 0
    ? ", this home's peer answered"
    : "";
  if (seenMs !== undefined) {
    return passed(check, `what is sent there is heard here${answered}`, { facts });
  }
  const why = error ?? `what is sent there is not heard here within ${LOOP_MS} ms${answered}`;
  return failed(check, why, { facts, fix: fixFor(result, platform) });
}

/** Whether any way of finding peers works. */
export function concludeDiscovery(evidence: Evidence): Check {
  const { known } = evidence;
  const loops = relevant(evidence);
  const [working, broken] = [loops.filter(works), loops.filter((loop) => !works(loop))];
  const byAddress = known.some(did("answers"));
  const good = pathsOf(working);
  const bad = pathsOf(broken).filter((path) => !good.includes(path));
  const facts = { working: good, broken: bad, byAddress };
  if (working.length > 0) {
    const but = bad.length === 0 ? "" : `; what does not: ${listed(bad)}`;
    return passed("discovery", `what works: ${listed(good)}${but}`, { facts });
  }
  if (byAddress) {
    return passed("discovery", "only peers whose address is known can be reached", {
      facts,
      fix: "name them with --peer HOST:PORT until one of the other ways works",
    });
  }
  if (evidence.loops.length === 0) {
    return failed("discovery", "no way works: there is no interface that can be used", { facts });
  }
  if (loops.length === 0) {
    return failed("discovery", "no way works: this machine is on no network", {
      facts,
      fix: "connect it to one, or try --host 127.0.0.1 for peers on this machine",
    });
  }
  return failed("discovery", `no way works, neither ${bad.join(" nor ")}`, {
    facts,
    fix: "do what the lines above say, or name peers with --peer HOST:PORT",
  });
}

/** Who answered and, where nobody did, why that may be. */
export function concludeOthers(evidence: Evidence): Check {
  const { loops, ownAddresses, self } = evidence;
  const answered = new Map(loops.flatMap(({ answers }) => [...answers]));
  const isUp = self !== undefined && answered.delete(self);
  const others = [...answered.values()].filter((from) => !ownAddresses.has(withoutZone(from)));
  const facts = { peers: answered.size, onOtherMachines: others.length };
  if (others.length === 0) {
    if (answered.size > 0) {
      const seen = `${counted(answered.size, "peer")} answered, all on this machine`;
      return { ...guess(seen, evidence), facts };
    }
    const seen = isUp ? "nobody else is here (this home's peer answers)" : "nobody answered";
    return { ...guess(seen, evidence), facts };
  }
  const asked = relevant(evidence).filter(works);
  const heard = pathsOf(asked.filter(({ answers }) => answers.size > 0));
  const silent = pathsOf(asked).filter((path) => !heard.includes(path));
  const but = silent.length === 0 ? "" : `; nobody by ${listed(silent)}`;
  const here = answered.size - others.length;
  const beside = here === 0 ? "" : ` and ${here} on this one`;
  const why = `${counted(others.length, "peer")} on other machines${beside} answered${but}`;
  return passed("others", why, { facts });
}

/** Why nobody on another machine answers: as far as connecting to peers that are known tells. */
function guess(seen: string, evidence: Evidence): Check {
  const { platform, ports } = evidence;
  const known = evidence.known.filter((peer) => isTelling(peer, evidence));
  const [asking] = relevant(evidence).filter(works);
  if (asking === undefined) return skipped("others", `${seen}, as no way of asking works`);
  if (known.length === 0) {
    return skipped("others", seen, {
      fix: "if somebody should be: kith doctor --peer HOST:PORT tells what is between you",
    });
  }
  const open = openingOf(platform, ports, asking.on.name);
  if (known.some(did("answers"))) {
    const why =
      `${seen}, although a known peer accepts connections: it may be of another network, ` +
      "or the network between you drops multicast and broadcast (a Wi-Fi that filters them, a " +
      "switch with IGMP snooping, a router), or a firewall here or there drops UDP";
    const fix = `reach it with --peer HOST:PORT, or let UDP in on both machines:\n${open}`;
    return failed("others", why, { fix });
  }
  // Who was found some time ago need not be there now.
  const missing = known.some(({ given }) => given) ? failed : skipped;
  if (known.some(did("refuses"))) {
    const why = `${seen}; a known peer's machine is there, but nobody listens at that port`;
    return missing("others", why, { fix: "start the peer, or look which port it prints" });
  }
  const why =
    `${seen}, and known peers cannot be reached either: they are off, or a firewall or a ` +
    "Wi-Fi that isolates its clients keeps you apart";
  const fix = "see that they are on, on the same network and on no guest Wi-Fi; " +
    `then let kith in there:\n${open}`;
  return missing("others", why, { fix });
}

/** Whether a known peer tells something of the way to others: who can be reached on this machine does not. */
function isTelling({ address, given, reached }: KnownPeer, { ownAddresses }: Evidence): boolean {
  const hostname = withoutZone(address.hostname);
  const isHere = isLoopback(hostname) || ownAddresses.has(hostname);
  return !isHere || (given && reached !== "answers");
}

/** The ways that lead to other machines; those of this machine alone where nothing else is asked for. */
function relevant({ loops, hostname }: Evidence): LoopResult[] {
  if (hostname !== undefined && isLoopback(hostname)) return [...loops];
  return loops.filter(({ on }) => !isOwnOnly(on));
}

function did(what: Reached): (peer: KnownPeer) => boolean {
  return ({ reached }) => reached === what;
}

function works({ seenMs, answers }: LoopResult): boolean {
  return seenMs !== undefined || answers.size > 0;
}

function pathsOf(loops: readonly LoopResult[]): string[] {
  return [...new Set(loops.map(({ on, method }) => `${method} on ${nameOf(on)}`))];
}

function withoutZone(hostname: string): string {
  return hostname.replace(/%.*/, "");
}

/** What to do about a way that does not work. */
function fixFor({ on, method, error }: LoopResult, platform: Platform): string {
  const { firewalls, moreGroups, multicastRoute } = platform;
  if (error === undefined) {
    const names = firewalls.map(({ name }) => name).join(", ");
    return `see that ${on.name} is up; if it is, a firewall of this machine drops it (${names}?)`;
  }
  // Linux says so when a socket has joined as many groups as it may.
  if (moreGroups !== "" && /buffer space/i.test(error)) return moreGroups;
  if (method === "multicast6") {
    return `see that IPv6 is on for ${on.name} and has a route for ff00::/8`;
  }
  const route = method === "multicast4" ? multicastRoute(on.name) : undefined;
  return route === undefined
    ? `see that ${on.name} is up, and what the error says`
    : `if nothing routes multicast there: ${route}`;
}

/** What makes this system's firewalls let questions in that others ask, and answers to those asked here: a line each. */
function openingOf(
  { firewalls, otherObstacle }: Platform,
  ports: OpenPorts,
  interfaceName: string,
): string {
  const ways = firewalls.map(({ name, beFound, find }) => {
    const commands = [beFound(ports), find(interfaceName)].filter((one) => one !== undefined);
    return `${name}: ${commands.join(" && ")}`;
  });
  return [...ways, ...(otherObstacle === "" ? [] : [otherObstacle])].join("\n");
}
