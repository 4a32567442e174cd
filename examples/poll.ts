// deno-lint-ignore-file no-console -- a program that talks to people

/**
 * A poll as a service: one asks a question, others vote, and watch the votes come in. The client's types are those of the
 * server's own functions: what is misspelt does not compile, and nothing is generated.
 *
 * Nobody signs up: a voter is the key in its home folder, which every connection proves.
 */

import {
  Client,
  type EndpointContext,
  exitStatus,
  Home,
  Identity,
  Peer,
  type PeerOptions,
  printable,
  resolveHome,
  schema,
  serve,
  Watchers,
} from "@kith/kith";
import { parseArgs } from "node:util";

const HELP = `A poll: one asks, others vote, all can watch.

  deno run -A examples/poll.ts ask "Tea or coffee?" tea coffee      asks until ^C
  deno run -A examples/poll.ts vote tea                             here or on another host of the network
  deno run -A examples/poll.ts watch                                shows the votes as they come, until ^C

Who votes again changes their mind. A voter is a key, kept in KITH_HOME.

  --poll NAME            what the poll is called, or its HOST:PORT where looking around finds nobody (default: poll)
  --host ADDRESS         the only address to use (default: all that this machine has)
  --discovery-port PORT  where polls are looked for (default: 3486)`;

/** The service: plain functions of what a caller sends, and of who it is. */
function endpointsOf(question: string, choices: readonly string[]) {
  const ballots = new Map<string, string>(); // by peer id
  const changes = new Watchers<ReturnType<typeof result>>();
  const count = (choice: string) => [...ballots.values()].filter((one) => one === choice).length;
  const result = () => ({ question, votes: choices.map((name) => ({ name, count: count(name) })) });
  return {
    vote({ choice }: { choice: string }, { peer }: EndpointContext) {
      if (peer !== undefined) ballots.set(peer.peerId, choice); // there is one: see "private" below
      changes.push(result());
      return result();
    },
    async *watch(_: unknown, { signal }: EndpointContext) {
      const later = changes.watch({ signal });
      yield result();
      yield* later;
    },
  };
}

/** What a client has to know of it. */
type Poll = ReturnType<typeof endpointsOf>;

/** What it uses of the network. */
type Net = Pick<PeerOptions, "hostname" | "discoveryPort">;

const stop = new AbortController();
const { signal } = stop;
const stopped = new Promise((resolve) => signal.addEventListener("abort", resolve));

async function ask(name: string, net: Net, question: string, choices: string[]) {
  await using server = await serve({ ...net, serverName: name, maxClients: 1_000 });
  const vote = schema.object({ choice: schema.literal(...choices) });
  server.registerAll(endpointsOf(question, choices), { inputs: { vote }, access: "private" });
  console.log(`${name} asks (port ${server.peer.address?.port}): ${question}`);
  await stopped;
}

async function answer(name: string, net: Net, choice?: string) {
  const identity = Identity.load(Home.open(resolveHome()));
  await using peer = await Peer.open({ ...net, identity, clientOnly: true });
  await using link = await peer.link(name, { signal }); // finds it
  const { hostname: host, port } = link.remote;
  await using poll = await Client.open<Poll>({ endpoint: peer.endpoint, host, port, signal });
  if (choice !== undefined) return show(await poll.call("vote", { choice }, { signal }));
  const forever = { signal, timeoutMs: Infinity };
  for await (const result of poll.stream("watch", {}, forever)) show(result);
}

function show({ question, votes }: ReturnType<Poll["vote"]>) {
  const counted = votes.map(({ name, count }) => `${printable(name)} ${count}`);
  console.log(`${printable(question)}  ${counted.join(", ")}`);
}

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      help: { type: "boolean" },
      poll: { type: "string", default: "poll" },
      host: { type: "string" },
      "discovery-port": { type: "string", default: "3486" },
    },
  });
  const { poll, help = false, host: hostname } = values;
  const net = { hostname, discoveryPort: Number(values["discovery-port"]) };
  const [verb, what, ...more] = positionals;
  if (help) console.log(HELP);
  else if (verb === "ask" && what && more.length > 1) await ask(poll, net, what, more);
  else if (verb === "vote" && what && more.length === 0) await answer(poll, net, what);
  else if (verb === "watch" && what === undefined) await answer(poll, net);
  else throw new TypeError("Say ask QUESTION CHOICE CHOICE, vote CHOICE or watch; see --help");
}

for (const name of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(name, () => stop.abort());
try {
  await main();
} catch (error) {
  if (signal.aborted) Deno.exit(0);
  console.error(`poll: ${error instanceof Error ? error.message : error}`);
  Deno.exit(exitStatus(error));
}
