/**
 * Every way by which a peer finds others and is found, put together.
 *
 * @module
 */

import { Discovery, type DiscoveryOptions } from "./discovery/discovery.ts";
import type { CandidateSource } from "./discovery/candidates.ts";
import { DnsPeers } from "./discovery/sources/dns_peers.ts";
import type { ForeignDiscovery } from "./discovery/foreign.ts";
import { interfaceFilter } from "./discovery/interface_filter.ts";
import { interfacesAt, type LocalInterface, localInterfaces } from "./discovery/interfaces.ts";
import { Mdns } from "./discovery/mdns/mdns.ts";
import { PeerConnectDiscovery } from "./discovery/dialects/peerconnect.ts";
import { PeerpyDiscovery } from "./discovery/dialects/peerpy_discovery.ts";
import { PeersFile } from "./discovery/sources/peers_file.ts";
import { RememberedPeers } from "./discovery/sources/remembered_peers.ts";
import { StaticAddresses } from "./discovery/sources/static_addresses.ts";
import { WitchDiscovery } from "./discovery/dialects/witch_discovery.ts";
import { askWitchStatus } from "./discovery/dialects/witch_status.ts";
import type { Endpoint } from "./endpoint/endpoint.ts";
import { UdpPort } from "./endpoint/udp_port.ts";
import { TransportError, UnsupportedError } from "./errors.ts";
import { layerLog } from "./log.ts";
import type { Dialect, PeerOptions } from "./peer_options.ts";
import type { Identity } from "./secure/identity.ts";
import { type Address, isWildcard, type Transport } from "./transport/transport.ts";

/** What finding is made of. */
export interface FindingParts {
  /** What the peer was asked for. */
  readonly options: PeerOptions;
  /** Who it is. */
  readonly identity: Identity;
  /** Its connections, clock, log and counters. */
  readonly endpoint: Endpoint;
  /** Its UDP port. */
  readonly udp: UdpPort | undefined;
  /** What carries its packets, sealed in a closed network. */
  readonly transport: Transport;
  /** What carries those of other programs, and of the network's own tools. */
  readonly plain: Transport;
  /** Whether anybody may find it. */
  readonly isOpen: boolean;
}

/** Opens discovery with every source that the options name. Closing the stack closes what it needs. */
export async function openDiscovery(
  parts: FindingParts,
  stack: AsyncDisposableStack,
): Promise<{ discovery: Discovery; memory: RememberedPeers | undefined }> {
  const { options, endpoint, udp, transport } = parts;
  const { clock, metrics } = endpoint;
  const log = layerLog(endpoint.log, "discovery");
  const { home, hostname, interfaces, onlyInterfaces = [], discoveryPort: port } = options;
  const memory = home && stack.use(new RememberedPeers({ home, clock, log }));
  const sources = await openSources(parts, stack);
  const announced = announcedPort(parts);
  const announce = announced === undefined
    ? {}
    : { announce: { identity: parts.identity, name: endpoint.self.name, tcpPort: announced } };
  const discovery = await Discovery.open(
    {
      ...{ transport, clock, log, metrics, hostname, port, sources, only: onlyInterfaces },
      ownId: parts.identity.peerId,
      ...announce,
      ...(interfaces === undefined ? {} : { interfaces }),
      ...(udp === undefined ? {} : { answerFrom: udp }),
      ...(memory === undefined ? {} : { memory }),
      probe: async (address, { signal }) => {
        await using link = await endpoint.connect(address, { signal });
        const { peerId, name } = link.peer;
        return { peerId, name };
      },
    } satisfies DiscoveryOptions,
  );
  return { discovery: stack.use(discovery), memory };
}

/** Opens the discovery of the other programs whose dialects are spoken. */
export async function openForeign(
  parts: FindingParts,
  stack: AsyncDisposableStack,
): Promise<ForeignDiscovery[]> {
  const { dialects = [] } = parts.options;
  const opened: ForeignDiscovery[] = [];
  for (const dialect of dialects) {
    if (dialect === "kademlia") continue; // its nodes are found by asking nodes
    try {
      opened.push(stack.use(await OPENERS[dialect](parts, stack)));
    } catch (error) {
      // Another program may have the port: everything else goes on.
      if (!(error instanceof TransportError)) throw error;
      layerLog(parts.endpoint.log, "discovery").warn(`${dialect} is not spoken over UDP`, {
        why: error.message,
      });
    }
  }
  return opened;
}

/** The addresses by which this machine may be reached, without ports: those of networks before that of the machine. */
export function hostsOf(
  { hostname, interfaces = localInterfaces, onlyInterfaces = [] }: PeerOptions,
): string[] {
  if (hostname !== undefined && !isWildcard(hostname)) {
    return [hostname === "localhost" ? "127.0.0.1" : hostname];
  }
  const isWanted = interfaceFilter(onlyInterfaces);
  const usable = interfaces().filter(({ family, name }) => family === "IPv4" && isWanted(name));
  const far = usable.filter(({ loopback }) => !loopback);
  return (far.length > 0 ? far : usable).map(({ address }) => address);
}

/** The same, or none where that may not be asked: others have to see where what we send comes from. */
export function hostsIfAllowed(options: PeerOptions): readonly string[] {
  try {
    return hostsOf(options);
  } catch (error) {
    if (error instanceof UnsupportedError) return [];
    throw error;
  }
}

async function openSources(
  parts: FindingParts,
  stack: AsyncDisposableStack,
): Promise<CandidateSource[]> {
  const { options: { seeds = [], peersFile, dnsName, mdns = false }, endpoint, isOpen } = parts;
  const { clock } = endpoint;
  const log = layerLog(endpoint.log, "discovery");
  const sources: CandidateSource[] = [];
  if (seeds.length > 0) sources.push(new StaticAddresses(seeds));
  if (peersFile !== undefined) sources.push(new PeersFile(peersFile, { clock, log }));
  if (dnsName !== undefined) sources.push(new DnsPeers({ name: dnsName, clock, log }));
  if (mdns && isOpen) sources.push(stack.use(await openMdns(parts)));
  return sources;
}

async function openMdns(parts: FindingParts): Promise<Mdns> {
  const { endpoint: { clock, metrics, self }, plain } = parts;
  const log = layerLog(parts.endpoint.log, "discovery");
  const tcpPort = announcedPort(parts);
  const interfaces = () => usableInterfaces(parts.options);
  // No id: whoever connects has it proven, and whoever only listens cannot tell who is there again.
  const announce = tcpPort === undefined ? {} : { announce: { tcpPort, name: self.name } };
  return await Mdns.open({ transport: plain, clock, log, metrics, interfaces, ...announce });
}

/** Dialects whose programs look for each other. */
type FoundDialect = Exclude<Dialect, "kademlia">;

/** How to open each. */
const OPENERS: Readonly<
  Record<
    FoundDialect,
    (parts: FindingParts, stack: AsyncDisposableStack) => Promise<ForeignDiscovery>
  >
> = { peerconnect: openPeerConnect, witch: openWitch, peerpy: openPeerpy };

async function openPeerConnect(
  parts: FindingParts,
  stack: AsyncDisposableStack,
): Promise<ForeignDiscovery> {
  const { endpoint, identity, transport, options: { hostname, discoveryPort } } = parts;
  const udp = parts.udp ??
    stack.use(await UdpPort.open(endpoint, { transport, hostname, clientOnly: true }));
  const peerId = Uint8Array.fromHex(identity.peerId);
  return await PeerConnectDiscovery.open({ ...common(parts), udp, peerId, port: discoveryPort });
}

function openWitch(parts: FindingParts): Promise<ForeignDiscovery> {
  const { plain, endpoint: { self: { name } } } = parts;
  const { project: projectId = "default", sourceHash: hash } = parts.options;
  const port = announcedPort(parts);
  const ask = (address: Address, { signal }: { signal: AbortSignal }) => {
    return askWitchStatus(plain, address, { signal });
  };
  const server = { nodeId: crypto.randomUUID(), name, port: port ?? 0, projectId };
  const announce = port === undefined
    ? {}
    : { announce: { ...server, ...(hash === undefined ? {} : { hash }) } };
  return WitchDiscovery.open({ ...common(parts), ask, ...announce });
}

/** Where another program has the port, which peerpy does not share, we still look. */
async function openPeerpy(parts: FindingParts): Promise<ForeignDiscovery> {
  const port = announcedPort(parts);
  if (port === undefined) return await PeerpyDiscovery.open(common(parts));
  try {
    return await PeerpyDiscovery.open({ ...common(parts), announce: { port } });
  } catch (error) {
    if (!(error instanceof TransportError)) throw error;
    layerLog(parts.endpoint.log, "discovery").warn("peerpy peers will not find us", {
      why: error.message,
    });
    return await PeerpyDiscovery.open(common(parts));
  }
}

function common(parts: FindingParts) {
  const { plain: transport, endpoint: { clock, metrics } } = parts;
  const log = layerLog(parts.endpoint.log, "discovery");
  const { hostname, interfaces, onlyInterfaces: only = [] } = parts.options;
  const listed = interfaces === undefined ? {} : { interfaces };
  return { transport, clock, log, metrics, hostname, only, ...listed };
}

function usableInterfaces(options: PeerOptions): LocalInterface[] {
  const { hostname, interfaces = localInterfaces, onlyInterfaces = [] } = options;
  const isWanted = interfaceFilter(onlyInterfaces);
  return interfacesAt(interfaces(), hostname).filter(({ name }) => isWanted(name));
}

/** The port that others are told of; `undefined` for a peer that is not to be found. */
function announcedPort({ options, endpoint }: FindingParts): number | undefined {
  return options.announce ?? true ? endpoint.address?.port : undefined;
}
