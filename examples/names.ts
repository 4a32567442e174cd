// deno-lint-ignore-file no-console -- a program that talks to people

/**
 * A name service without a server: names are kept in the DHT of those who run `keep`, signed by who registered them, and
 * gone when their time is over. Nobody can change or forge what another has registered; of one name there may be several,
 * so whoever wants to be sure says whose is meant, by the id of a key.
 */

import {
  exitStatus,
  Home,
  Identity,
  NotFoundError,
  Peer,
  printable,
  resolveHome,
  schema,
} from "@kith/kith";
import { parseAddress } from "@kith/kith/transport";
import { parseArgs } from "node:util";

const HELP = `A name service without a server.

  deno run -A examples/names.ts keep                             keeps names for all, until ^C; the more do, the better
  deno run -A examples/names.ts register printer 10.0.0.7:631    says where something is; once more to say it anew
  deno run -A examples/names.ts resolve printer                  all that goes by that name: where, until when, by whom
  deno run -A examples/names.ts resolve printer --by PEERID      only what that peer has registered

The key that signs, and what a keeper keeps, are in KITH_HOME.

  --ttl SECONDS          how long it is registered, at most a week (default: 3600)
  --peer HOST:PORT       a keeper, where looking around finds none; may be repeated
  --host ADDRESS         the only address to use (default: all that this machine has)
  --discovery-port PORT  where keepers are looked for (default: 3486)`;

/** What is kept under a name. */
const registration = schema.object({
  address: schema.string({ maxChars: 300 }),
  untilMs: schema.integer({ min: 0, max: 8.64e15 }), // what a Date can be
});

const stop = new AbortController();
const { signal } = stop;
const stopped = new Promise((resolve) => signal.addEventListener("abort", resolve));

async function keep(peer: Peer) {
  const others = await peer.dht.join();
  console.log(`keeps names, and knows ${others} who do (port ${peer.address?.port})`);
  await stopped;
}

async function register({ dht, peerId }: Peer, name: string, address: string, ttlS: number) {
  if (parseAddress(address) === undefined) throw new TypeError(`${address} is no HOST:PORT`);
  const value = { address, untilMs: Date.now() + ttlS * 1_000 };
  const { holders } = await dht.put(name, value, { ttlS, signal });
  console.log(`${name} is ${address} for ${ttlS} s, says ${peerId}; kept by ${holders}`);
}

async function resolve({ dht }: Peer, name: string, by?: string) {
  const whose = by === undefined ? {} : { author: by, own: false };
  const found = await dht.get(name, { ...whose, signal });
  const all = found === undefined ? [] : by === undefined ? [found, ...found.others] : [found];
  const valid = all.flatMap(({ value, author }) => {
    try {
      return { ...registration.check(value), author };
    } catch {
      return []; // somebody has put something else there
    }
  }).filter(({ untilMs }) => untilMs > Date.now());
  if (valid.length === 0) throw new NotFoundError("no-key", `Nobody has registered ${name}`);
  for (const { address, untilMs, author } of valid) {
    console.log(`${printable(address)}  until ${new Date(untilMs).toISOString()}  by ${author}`);
  }
}

async function main() {
  const { values, positionals: [verb, name, address, ...more] } = parseArgs({
    allowPositionals: true,
    options: {
      help: { type: "boolean" },
      ttl: { type: "string", default: "3600" },
      by: { type: "string" },
      peer: { type: "string", multiple: true, default: [] },
      host: { type: "string" },
      "discovery-port": { type: "string", default: "3486" },
    },
  });
  if (values.help) return console.log(HELP);
  const { host: hostname, peer: seeds, by } = values;
  const net = { hostname, seeds, discoveryPort: Number(values["discovery-port"]) };
  if (verb === "keep" && name === undefined) {
    const home = Home.open(`${resolveHome()}/names`); // one who keeps is another peer than one who registers
    await using peer = await Peer.open({ ...net, home, identity: Identity.load(home) });
    return await keep(peer);
  }
  const isRegister = verb === "register" && name && address && more.length === 0;
  const isResolve = verb === "resolve" && name && address === undefined;
  if (!isRegister && !isResolve) {
    throw new TypeError("Say keep, register NAME HOST:PORT or resolve NAME; see --help");
  }
  const identity = Identity.load(Home.open(resolveHome()));
  await using peer = await Peer.open({ ...net, identity, clientOnly: true });
  if (await peer.dht.join() === 0) {
    throw new NotFoundError("no-peer", "Nobody was found who keeps names; see --help");
  }
  if (isRegister) await register(peer, name, address, Number(values.ttl));
  if (isResolve) await resolve(peer, name, by);
}

for (const name of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(name, () => stop.abort());
try {
  await main();
} catch (error) {
  if (signal.aborted) Deno.exit(0);
  console.error(`names: ${error instanceof Error ? error.message : error}`);
  Deno.exit(exitStatus(error));
}
