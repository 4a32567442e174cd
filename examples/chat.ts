// deno-lint-ignore-file no-console -- a program that talks to people

/**
 * A chat without a server: what somebody writes in a room is passed on by those who are in it until all have it. A room is
 * a topic: what is written there is signed by its author, and who comes later is told by others what was said before.
 */

import {
  exitStatus,
  type GossipMessage,
  Peer,
  printable,
  schema,
  type TopicVerdict,
} from "@kith/kith";
import process from "node:process";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";

const HELP = `A chat without a server: whoever is in a room reads what the others write there.

  deno run -A examples/chat.ts --name ann         in one shell
  deno run -A examples/chat.ts --name bob         in another, here or on another host of the network

What is typed is said line by line; ^C or ^D leaves.

  --name NAME            what stands before what you say, at most 64 characters (default: somebody)
  --room ROOM            where to go (default: lounge)
  --peer HOST:PORT       somebody who is there, where looking around finds nobody; may be repeated
  --host ADDRESS         the only address to use (default: all that this machine has)
  --discovery-port PORT  where those who are there look for each other (default: 3486)`;

/** Who comes is told what was said in so many milliseconds before. */
const RECALL_MS = 10 * 60_000;

/** Longest line, in UTF-16 units. */
const MAX_CHARS = 2_000;

/** What is said: all else is kept out of the room by everybody who is in it. */
const saying = schema.object({
  name: schema.string({ maxChars: 64 }),
  text: schema.string({ maxChars: MAX_CHARS }),
});

const stop = new AbortController();
const { signal } = stop;

async function main() {
  const { values } = parseArgs({
    options: {
      help: { type: "boolean" },
      name: { type: "string", default: "somebody" },
      room: { type: "string", default: "lounge" },
      peer: { type: "string", multiple: true, default: [] },
      host: { type: "string" },
      "discovery-port": { type: "string", default: "3486" },
    },
  });
  if (values.help) return console.log(HELP);
  const { name, room, host: hostname, peer: seeds } = values;
  const discoveryPort = Number(values["discovery-port"]);

  await using peer = await Peer.open({ name, hostname, discoveryPort, seeds });
  peer.gossip.configure(room, { validate });
  const heard = peer.gossip.subscribe(room, { since: Date.now() - RECALL_MS, signal });
  await heard.ready;
  const neighbors = peer.gossip.topics()[0]?.neighbors.length ?? 0;
  const company = neighbors === 0 ? "nobody else yet" : `next to ${neighbors}`;
  console.log(`${name} is in ${room}, ${company} (port ${peer.address?.port})`);

  const hear = async () => {
    for await (const message of heard) show(message);
  };
  const speak = async () => {
    for await (const line of createInterface({ input: process.stdin, signal })) {
      const text = line.trim().slice(0, MAX_CHARS);
      if (text !== "") await peer.gossip.publish(room, { name, text });
    }
  };
  await Promise.race([hear(), speak()]); // whichever ends, the peer says goodbye to its neighbours
}

function validate({ data }: GossipMessage): TopicVerdict {
  try {
    saying.check(data);
    return "accept";
  } catch {
    return "reject";
  }
}

/** A name is only what its author says; the digits of the peer id, which nobody can forge, tell two of one name apart. */
function show({ from, createdMs, data }: GossipMessage) {
  const { name, text } = saying.check(data);
  const time = new Date(createdMs).toTimeString().slice(0, 5);
  console.log(`${time} ${printable(name)} (${from.slice(0, 4)}): ${printable(text, MAX_CHARS)}`);
}

for (const name of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(name, () => stop.abort());
try {
  await main();
} catch (error) {
  if (signal.aborted) Deno.exit(0);
  console.error(`chat: ${error instanceof Error ? error.message : error}`);
  Deno.exit(exitStatus(error));
}
