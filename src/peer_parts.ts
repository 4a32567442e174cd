/**
 * The parts of a peer, opened in order.
 *
 * @module
 */

import { type Clock, systemClock } from "./clock.ts";
import type { Discovery } from "./discovery/discovery.ts";
import type { ForeignDiscovery } from "./discovery/foreign.ts";
import type { RememberedPeers } from "./discovery/sources/remembered_peers.ts";
import type { RequestContext } from "./endpoint/dispatcher.ts";
import { Endpoint, type SelfInfo } from "./endpoint/endpoint.ts";
import { MAX_NAME_CHARS } from "./endpoint/handshake.ts";
import { UdpPort } from "./endpoint/udp_port.ts";
import { WebPort } from "./endpoint/web.ts";
import { type Logger, silentLogger } from "./log.ts";
import { Metrics } from "./metrics.ts";
import { openDiscovery, openForeign } from "./peer_discovery.ts";
import { AGENT, CAPABILITIES, type PeerOptions } from "./peer_options.ts";
import { EPHEMERAL_CAPABILITY, provenOf, Reach } from "./reach.ts";
import { Access } from "./secure/access.ts";
import { requireCipher } from "./secure/aead.ts";
import { Identity } from "./secure/identity.ts";
import { Network } from "./secure/network.ts";
import { isScope } from "./secure/scope.ts";
import { sealTransport } from "./secure/sealed_socket.ts";
import { Sealer } from "./secure/sealer.ts";
import { Trust } from "./secure/trust.ts";
import { States } from "./states.ts";
import { netTransport } from "./transport/net.ts";
import type { Transport } from "./transport/transport.ts";

/** How old what is known of the allow list may be, in milliseconds. */
const LOOKUP_MS = 1_000;

/** What a peer is made of. */
export interface PeerParts {
  /** Who it is. */
  readonly identity: Identity;
  /** Whom it wants nothing to do with. */
  readonly trust: Trust;
  /** The invites and keys that it gives away. */
  readonly access: Access;
  /** Its links and handlers. */
  readonly endpoint: Endpoint;
  /** Where peers are found. */
  readonly discovery: Discovery;
  /** Where those of other programs are. */
  readonly foreign: readonly ForeignDiscovery[];
  /** Who was found before. */
  readonly memory: RememberedPeers | undefined;
  /** What it went through. */
  readonly states: States;
  /** Its web port. */
  readonly web: WebPort | undefined;
  /** Its UDP port. */
  readonly udp: UdpPort | undefined;
  /** From names to connections. */
  readonly reach: Reach;
  /** The network that it is in. */
  readonly network: Network;
  /** Whether somebody was named by hand or shows an invite for what a scope says. */
  readonly isInvited: (scope: string, caller: Pick<RequestContext, "peer" | "link">) => boolean;
  /** Whether a peer is not kept out, as far as its id tells: it is not denied, and on the allow list if there is one. */
  readonly admits: (peerId: string) => boolean;
}

/** Opens the parts. @returns them, and what closes them in reverse. @throws as `Peer.open`. */
export async function openParts(
  options: PeerOptions,
): Promise<{ parts: PeerParts; stack: AsyncDisposableStack }> {
  const { identity = Identity.generate(), name = "", clientOnly = false, tokens = [] } = options;
  const { clock = systemClock, log = silentLogger, metrics = new Metrics(), home } = options;
  const { limits = {}, hostname, port, udpPort, access: level = "public" } = options;
  if (name.length > MAX_NAME_CHARS) {
    throw new RangeError(
      `Name must have at most ${MAX_NAME_CHARS} characters: it has ${name.length}`,
    );
  }
  assertPorts(options);
  requireCipher();
  const network = networkOf(options.network);
  const trust = new Trust({ home, clock, log });
  const access = new Access({ identity, home, clock, log });
  const transport = transportOf(options, network, { clock, log, metrics });
  // Whoever can seal a packet belongs to the network, unless its name is all that it takes.
  const proveAddresses = !network.isSecret;
  const { ephemeral = options.identity === undefined } = options;
  const capabilities = ephemeral
    ? [...CAPABILITIES, EPHEMERAL_CAPABILITY, EPHEMERAL_CAPABILITY]
    : CAPABILITIES;
  const self: SelfInfo = { name, capabilities, agent: AGENT };
  const common = { transport, clock, log, metrics, hostname };
  const states = new States(clock);
  const invited: PeerParts["isInvited"] = (...asked) => isInvited(trust, access, ...asked);
  const isExclusive = lately(clock, () => trust.isExclusive);
  await using stack = new AsyncDisposableStack();
  stack.defer(() => states.end());
  const endpoint = await states.open(stack, "listening", () =>
    Endpoint.open({
      ...common,
      identity,
      self,
      network,
      tokens,
      port,
      clientOnly,
      limits,
      access: level,
      trust: (peer) => trust.check(provenOf(peer)),
      isInvited: invited,
      lapseOf: ({ peer, link }) => peer && access.lapsed(link?.tokens ?? [], peer),
      isExclusive,
    }));
  const web = options.web
    ? await states.open(
      stack,
      "web",
      () => WebPort.open(endpoint, { hostname, port: options.httpPort, tls: options.tls }),
    )
    : undefined;
  const udp = clientOnly ? undefined : await states.open(
    stack,
    "requests",
    () => UdpPort.open(endpoint, { transport, hostname, port: udpPort, proveAddresses }),
  );
  const { transport: plain = netTransport } = options;
  const isOpen = network.isOpen;
  const finding = { options, identity, endpoint, udp, transport, plain, isOpen };
  const { discovery, memory } = await states.group(
    stack,
    "discovery",
    (parts) => openDiscovery(finding, parts),
  );
  const foreign = (options.dialects ?? []).length === 0
    ? []
    : await states.group(stack, "dialects", (parts) => openForeign(finding, parts));
  const reach = stack.use(
    new Reach({ endpoint, discovery, transport, udp, hostname, proveAddresses, trust }),
  );
  const found = { discovery, foreign, memory };
  const parts = {
    identity,
    trust,
    access,
    endpoint,
    ...found,
    states,
    web,
    udp,
    reach,
    network,
    isInvited: invited,
    admits: (peerId: string) => {
      const policy = trust.policyOf(peerId);
      return isExclusive() ? policy === "allow" : policy !== "deny";
    },
  };
  return { parts, stack: stack.move() };
}

/** @throws {RangeError} for what is no port; 0, any, is none that questions could be sent to. */
function assertPorts(options: PeerOptions): void {
  const { port = 0, udpPort = 0, httpPort = 0, discoveryPort = 1 } = options;
  const least = { port: 0, udpPort: 0, httpPort: 0, discoveryPort: 1 };
  for (const [name, value] of Object.entries({ port, udpPort, httpPort, discoveryPort })) {
    const min = least[name as keyof typeof least];
    if (Number.isInteger(value) && value >= min && value <= 65_535) continue;
    throw new RangeError(
      `${name} must be a whole number, ${min}..65535: current value is ${value}`,
    );
  }
}

function networkOf(network: string | Network = ""): Network {
  return typeof network === "string" ? new Network(network) : network;
}

/** What carries packets: those of a closed network are sealed. */
function transportOf(
  { transport = netTransport }: PeerOptions,
  network: Network,
  about: { clock: Clock; log: Logger; metrics: Metrics },
): Transport {
  return network.isOpen ? transport : sealTransport(transport, new Sealer({ network, ...about }));
}

/** Whoever was named by hand is welcome to everything; others to what they show an invite for. */
function isInvited(
  trust: Trust,
  access: Access,
  scope: string,
  { peer, link }: Pick<RequestContext, "peer" | "link">,
): boolean {
  if (peer === undefined) return false;
  const policy = trust.policyOf(peer.peerId);
  if (policy === "pin" || policy === "allow") return true;
  return isScope(scope) && access.granted(link?.tokens ?? [], peer, scope);
}

/** What is asked for at every call, looked up once a second. */
function lately(clock: Clock, look: () => boolean): () => boolean {
  let [value, untilMs] = [false, -Infinity];
  return () => {
    const nowMs = clock.now();
    if (nowMs >= untilMs) [value, untilMs] = [look(), nowMs + LOOKUP_MS];
    return value;
  };
}
