/**
 * Whether a command line means the peer that runs with its home.
 *
 * The rule: options that say what to do are the verb's own and are gone by. Those that say who and where one is (`--name`,
 * `--network`, `--host` ...) have to be as the running peer was started; what is not given is as that has it. Where one
 * differs, another peer is meant.
 *
 * @module
 */

import type { Network } from "../../secure/network.ts";
import { loadNetwork } from "../../secure/network_file.ts";
import type { Options } from "../options.ts";
import type { Verb } from "../verb.ts";
import { OwnPeerWanted } from "./host.ts";
import { lineOf } from "./line_of.ts";

/** Options that say how a command line is run and printed, or that were looked at there. */
const OF_THE_COMMAND_LINE: readonly string[] = [
  "dialect",
  "help",
  "home",
  "json",
  "key-file",
  "log",
  "network",
  "no-daemon",
];

/** What a verb runs with. */
export interface Hosted {
  /** The verb. */
  readonly verb: Pick<Verb, "options" | "hosted">;
  /** How the running peer was started. */
  readonly own: Options;
}

/** What is looked at besides. */
export interface Asked extends Hosted {
  /** Ids of the keys of the network that is meant; absent where that is the running peer's. */
  readonly network?: readonly string[] | undefined;
  /** The running peer. */
  readonly peer: { readonly network: Network };
}

/** Refuses a command line that means another peer. @throws {OwnPeerWanted} saying by what. */
export function refuseOthers(asked: Options, { verb, own, network, peer }: Asked): void {
  const theirs = own.given();
  for (const [name, value] of Object.entries(asked.given())) {
    if (isOfVerb(name, verb)) continue;
    const had = theirs[name];
    const isSame = Array.isArray(value) && Array.isArray(had)
      ? value.every((item) => had.includes(item))
      : value === had;
    if (!isSame) throw new OwnPeerWanted(`--${name} is not as the running peer has it`);
  }
  const dialect = asked.text("dialect") ?? "native";
  if (dialect !== "native") throw new OwnPeerWanted(`--dialect ${dialect} wants a peer of its own`);
  if (network !== undefined && !isSameNetwork(network, idsOf(peer.network))) {
    throw new OwnPeerWanted("the running peer is in another network");
  }
}

/** The command line as the running peer goes by it: what it does not say of the peer is as that was started. */
export function hostedLine(asked: Options, { verb, own }: Hosted): string[] {
  const given = asked.given();
  const rest = Object.entries(own.given()).filter(([name]) => {
    const isOfNetwork = name === "network" || name === "key-file";
    return Object.hasOwn(verb.options, name) && (isOfNetwork || !isOfVerb(name, verb));
  });
  const ofPeer = Object.fromEntries(rest);
  const { network: _, "key-file": __, home: ___, ...ofVerb } = given;
  return lineOf({ ...ofVerb, ...ofPeer }, asked.args);
}

/** Ids of a network's keys, which tell strangers nothing. */
export function networkIds(options: Options): string[] {
  const { network } = loadNetwork({
    name: options.text("network"),
    keyFile: options.text("key-file"),
  });
  return idsOf(network);
}

function idsOf({ keys }: Network): string[] {
  return keys.map(({ id }) => id.toHex());
}

function isOfVerb(name: string, { hosted = [] }: Hosted["verb"]): boolean {
  return hosted.includes(name) || OF_THE_COMMAND_LINE.includes(name);
}

/** While keys change there are two of them, and one in common is enough. */
function isSameNetwork(asked: readonly string[], ids: readonly string[]): boolean {
  return asked.length === 0 ? ids.length === 0 : asked.some((id) => ids.includes(id));
}
