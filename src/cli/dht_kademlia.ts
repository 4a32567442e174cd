/**
 * `kith dht put|get|trace|stat --dialect kademlia`: the same in a network of plain Kademlia nodes.
 *
 * There everybody who asks is taken for a node that can be asked. Whoever is gone a moment later answers nothing from the
 * start, so that nobody comes to rely on it, or finds out soon.
 *
 * @module
 */

import { systemClock } from "../clock.ts";
import { KademliaWire, MAX_KADEMLIA_VALUE_BYTES } from "../dht/dialects/kademlia.ts";
import { KademliaNetwork, type WireParts } from "../dht/dialects/network.ts";
import { digestOf, encodeKademliaValue, type KademliaValue } from "../dht/dialects/values.ts";
import { toKey } from "../dht/node_id.ts";
import { RequestsDispatcher } from "../endpoint/requests_dispatcher.ts";
import { RequestsEndPoint } from "../endpoint/requests_endpoint.ts";
import { NotFoundError } from "../errors.ts";
import { printable } from "../log.ts";
import { Metrics } from "../metrics.ts";
import { isHostAddress } from "../transport/ip_address.ts";
import { netTransport } from "../transport/net.ts";
import { type Address, parseAddress } from "../transport/transport.ts";
import { knownNodes, LOOK_MS, noNode, patience } from "./dht_client.ts";
import { show } from "./dht_get.ts";
import { readValue, showPut } from "./dht_put.ts";
import { showStat } from "./dht_stat.ts";
import { showTrace } from "./dht_trace.ts";
import { openIdentity } from "./open_peer.ts";
import { type Options, UsageError } from "./options.ts";
import { roundMs } from "./output.ts";
import type { Invocation } from "./verbs.ts";

/** Longest key: what is hashed may have any length, and what people type has not. */
const MAX_KEY_CHARS = 8_192;

/** How a value is written there. */
const VALUE_FORM = { maxBytes: MAX_KADEMLIA_VALUE_BYTES, encode: encodeKademliaValue } as const;

/** Sets a value under a key. */
export async function runKademliaPut(invocation: Invocation): Promise<void> {
  const { options, output } = invocation;
  const [, key, ...words] = options.args;
  if (!key || words.length === 0) throw new UsageError("KEY and VALUE are wanted");
  checkedKey(key);
  const addresses = seedsOf(options);
  const value = await readValue(words, invocation, VALUE_FORM) as KademliaValue; // it was encoded as one
  await using node = await join(addresses, invocation);
  using limit = patience(invocation);
  const placed = await node.network.set(key, value, limit);
  const label = `put ${printable(key, 64)}`;
  showPut({ ...placed, seq: undefined, unconfirmed: 0 }, label, output);
}

/** Prints the value of a key. */
export async function runKademliaGet(invocation: Invocation): Promise<void> {
  const { options, output } = invocation;
  const key = onlyKey(options);
  await using node = await join(seedsOf(options), invocation);
  using limit = patience(invocation);
  const found = await node.network.get(key, limit);
  if (found === undefined) {
    const { nodes } = node.network.stat();
    const label = printable(key, 64);
    const why = `Nobody has a value for "${label}": ${knownNodes(nodes)}`;
    throw new NotFoundError("no-key", why, { details: { key: label, nodes } });
  }
  const { value, hops, rttMs, asked } = found;
  show(value, { key: toKey(digestOf(key)), hops, rttMs: roundMs(rttMs), asked }, output);
}

/** Shows whom a lookup asks there, who named them, and what they answer. */
export async function runKademliaTrace(invocation: Invocation): Promise<void> {
  const { options, output } = invocation;
  const key = onlyKey(options);
  await using node = await join(seedsOf(options), invocation);
  using limit = patience(invocation);
  const quest = { key: digestOf(key), label: printable(key, 64) };
  await showTrace(node.network.trace(key, limit), quest, output);
}

/** Shows what a node comes to know of the network. */
export async function runKademliaStat(invocation: Invocation): Promise<void> {
  const { options, output } = invocation;
  if (options.args.length > 1) throw new UsageError("dht stat takes options only");
  await using node = await join(seedsOf(options), invocation);
  showStat({ ...node.network.stat(), mode: "client" }, output);
}

/** A node of the network, with a port of its own. */
interface KademliaClient extends AsyncDisposable {
  readonly network: KademliaNetwork;
}

/** Asks the network as a node with an id for this once. @throws {NotFoundError} `no-peer` where nobody answers. */
async function join(
  addresses: readonly Address[],
  invocation: Invocation,
): Promise<KademliaClient> {
  const { options, output: { log } } = invocation;
  await using stack = new AsyncDisposableStack();
  const [metrics, clock] = [new Metrics(), systemClock];
  const isV6 = addresses.some(({ hostname }) => hostname.includes(":"));
  const dispatcher = stack.use(new RequestsDispatcher({ log, metrics }));
  const port = stack.use(
    await RequestsEndPoint.open({
      ...{ transport: netTransport, clock, log, metrics, dispatcher },
      hostname: options.text("host") ?? (isV6 ? "::" : undefined),
    }),
  );
  const udp = {
    takeBare: port.takeBare.bind(port),
    send: (packet: Uint8Array, to: Address) => port.sendPacket(packet, to),
  };
  // The same at each time, so that nodes of former times do not stand in the way, and not that of the peer itself.
  const self = digestOf(`kith dht client\n${openIdentity(invocation).identity.peerId}`);
  const wire = (parts: WireParts) => new KademliaWire({ ...parts, udp, answer: refuse });
  const network = stack.use(new KademliaNetwork({ self, wire, clock, log, metrics }));
  using looking = patience(invocation, LOOK_MS);
  try {
    await network.join(addresses, looking);
  } catch (error) {
    invocation.signal.throwIfAborted();
    if (!looking.signal.aborted) throw error;
  }
  if (network.stat().nodes === 0) throw noNode(options.texts("peer"), "");
  const parts = stack.move();
  return { network, [Symbol.asyncDispose]: () => parts.disposeAsync() };
}

function refuse(): never {
  throw new NotFoundError("no-endpoint", "It only asks");
}

/** Where the network is. @throws {UsageError} where that is not said, or by a name. */
function seedsOf(options: Options): Address[] {
  const texts = options.texts("peer");
  if (texts.length === 0) {
    throw new UsageError("With --dialect kademlia --peer HOST:PORT says where a node is");
  }
  return texts.map((text) => {
    const address = parseAddress(text);
    if (address !== undefined && address.port > 0 && isHostAddress(address.hostname)) {
      return address;
    }
    throw new UsageError(
      `With --dialect kademlia --peer must be IP:PORT, its UDP port: it is ${printable(text, 60)}`,
    );
  });
}

function onlyKey({ args: [, key, ...more] }: Options): string {
  if (!key || more.length > 0) throw new UsageError("One KEY is wanted");
  return checkedKey(key);
}

/** A key of that library's programs: any text. @throws {UsageError} for a very long one, and for control characters. */
function checkedKey(key: string): string {
  if (key.length > MAX_KEY_CHARS) {
    throw new UsageError(`KEY must have at most ${MAX_KEY_CHARS} characters: it has ${key.length}`);
  }
  if (/\p{Cc}/u.test(key)) throw new UsageError("KEY must be text without control characters");
  return key;
}
