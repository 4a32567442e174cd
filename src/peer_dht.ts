/**
 * What the DHT is made of in a peer.
 *
 * @module
 */

import { Dht } from "./dht/dht.ts";
import type { DhtPort } from "./dht/native_wire.ts";
import { SqliteStorage } from "./dht/sqlite_storage.ts";
import { type DhtStorage, MemoryStorage } from "./dht/storage.ts";
import { UnsupportedError } from "./errors.ts";
import { layerLog, printable } from "./log.ts";
import type { Membership } from "./membership/membership.ts";
import { hostsIfAllowed } from "./peer_discovery.ts";
import type { PeerOptions } from "./peer_options.ts";
import type { PeerParts } from "./peer_parts.ts";
import { type Address, parseAddress } from "./transport/transport.ts";

/** Where the DHT keeps what it is given, in the home folder. */
const FILE = "dht.sqlite";

/** What {@linkcode openDht} needs. */
export interface DhtNeeds extends PeerParts {
  /** How the peer was opened. */
  readonly options: PeerOptions;
  /** Who is in its group, once it has joined one. */
  readonly membership: () => Membership | undefined;
}

/** Opens the DHT of a peer: it takes part once it has joined. */
export function openDht(needs: DhtNeeds): Dht {
  const { options, identity, endpoint, discovery, membership, udp, network } = needs;
  const { dht = {}, seeds = [], access = "public" } = options;
  const canServe = udp !== undefined && endpoint.address !== undefined && access === "public";
  return new Dht({
    endpoint,
    identity,
    udp: udp ?? lazyPort(needs),
    hosts: () => hostsIfAllowed(options),
    storage: canServe && dht.mode !== "client" ? openStorage(needs, FILE) : new MemoryStorage(),
    allowPlain: network.isSecret,
    canServe: () => canServe,
    seeds: seeds.flatMap(addressOf),
    directory: { find: ({ signal }) => discovery.find({ signal }) },
    known: () => nodesOf(membership()),
  }, dht);
}

/** A client has no port before it asks. */
function lazyPort({ reach }: PeerParts): DhtPort {
  return {
    address: { hostname: "0.0.0.0", port: 0 },
    request: async (...asked) => await (await reach.openUdp()).request(...asked),
    notify: async (...told) => await (await reach.openUdp()).notify(...told),
  };
}

/** What a peer without a home keeps ends with it, and so does what a second one under the same home keeps. */
export function openStorage(
  { options: { home }, endpoint }: Pick<DhtNeeds, "options" | "endpoint">,
  file: string,
): DhtStorage {
  const log = layerLog(endpoint.log, "dht");
  if (home === undefined) return new MemoryStorage();
  try {
    return SqliteStorage.open(home, file, { log });
  } catch (error) {
    if (!(error instanceof UnsupportedError)) throw error;
    log.warn("values of the DHT are kept in memory only", { why: printable(error.message) });
    return new MemoryStorage();
  }
}

/** Members may have nodes where they take packets. */
function nodesOf(membership: Membership | undefined): Address[] {
  const [, ...others] = membership?.members() ?? [];
  return others.flatMap(({ state, addresses: [address] }) => {
    return state === "alive" && address !== undefined ? [address] : [];
  });
}

function addressOf(seed: string | Address): Address[] {
  const address = typeof seed === "string" ? parseAddress(seed) : seed;
  return address === undefined ? [] : [address];
}
