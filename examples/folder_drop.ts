// deno-lint-ignore-file no-console -- a program that talks to people

/**
 * A folder that others drop files into, and that files leave from: what is put into `outbox/bob` is sent to whoever is called
 * bob, and moved to `sent` once bob has said that every hash is right. Into `inbox` comes only what is from somebody who
 * shows an invite of this folder, or whose key is pinned.
 */

import {
  Access,
  buildManifest,
  exitStatus,
  Home,
  Identity,
  Peer,
  printable,
  Trust,
} from "@kith/kith";
import { parseArgs } from "node:util";

const HELP = `A folder that others drop files into, and that files leave from.

  deno run -A examples/folder_drop.ts DIR --name ann     runs until ^C
  deno run -A examples/folder_drop.ts DIR --invite       prints an invite: who has it may drop for a week
  deno run -A examples/folder_drop.ts DIR --pin PEERID   lets in whoever has that key, which is said at the start

  DIR/inbox          what others have dropped
  DIR/outbox/BOB     what is put here goes to the folder called bob, or at that HOST:PORT, as soon as it is there
  DIR/sent/BOB       what has arrived there
  DIR/invites        the invites that others gave us, each in a file; they are read at the start

  --host ADDRESS         the only address to use (default: all that this machine has)
  --discovery-port PORT  where folders look for each other (default: 3486)`;

/** What nobody has touched for so long is complete. */
const SETTLED_MS = 1_000;

const stop = new AbortController();
const { signal } = stop;

async function main() {
  const { values, positionals: [dir, ...more] } = parseArgs({
    allowPositionals: true,
    options: {
      help: { type: "boolean" },
      name: { type: "string", default: "" },
      invite: { type: "boolean" },
      pin: { type: "string" },
      host: { type: "string" },
      "discovery-port": { type: "string", default: "3486" },
    },
  });
  if (values.help) return console.log(HELP);
  if (dir === undefined || more.length > 0) throw new TypeError("One DIR is wanted; see --help");
  const home = Home.open(`${dir}/.kith`); // the key, whom it lets in, and whom it knows by which name
  const identity = Identity.load(home);
  if (values.pin !== undefined) return void new Trust({ home }).add(values.pin);
  if (values.invite) {
    const access = new Access({ home, identity });
    const weekMs = 7 * 86_400_000;
    return console.log(access.createInvite({ scopes: ["send"], expiresMs: weekMs }).token);
  }
  for (const name of ["outbox", "invites"]) await Deno.mkdir(`${dir}/${name}`, { recursive: true });
  const invites = (await namesIn(`${dir}/invites`)).map((name) => `${dir}/invites/${name}`);
  await using peer = await Peer.open({
    ...{ home, identity, name: values.name, hostname: values.host },
    discoveryPort: Number(values["discovery-port"]),
    access: "invited",
    tokens: invites.map((path) => Deno.readTextFileSync(path).trim()),
  });
  const receiver = peer.receive({ dir: `${dir}/inbox`, accept: () => true }); // who may ask is let in
  console.log(`${values.name || dir} is open (port ${peer.address?.port}, peer ${peer.peerId})`);
  const showArrivals = async () => {
    for await (const event of receiver) {
      const from = printable(event.from.name || event.from.peerId);
      if (event.type === "received") console.log(`${printable(event.path)} has come from ${from}`);
      if (event.type === "failed") console.log(`what came from ${from} broke off: ${event.error}`);
    }
  };
  await Promise.race([showArrivals(), emptyOutbox(peer, dir)]);
}

/** Sends what is there, until the signal; what cannot be sent stays and is tried again, which is said once. */
async function emptyOutbox(peer: Peer, dir: string) {
  const said = new Map<string, string>();
  for (; !signal.aborted; await new Promise((resolve) => setTimeout(resolve, 500))) {
    for (const to of await namesIn(`${dir}/outbox`)) {
      try {
        for (const name of await namesIn(`${dir}/outbox/${to}`)) await send(peer, dir, to, name);
        said.delete(to);
      } catch (error) {
        signal.throwIfAborted();
        const why = error instanceof Error ? error.message : String(error);
        if (said.get(to) !== why) console.log(`what is for ${to} waits: ${why}`);
        said.set(to, why);
      }
    }
  }
}

async function send(peer: Peer, dir: string, to: string, name: string) {
  const path = `${dir}/outbox/${to}/${name}`;
  const { manifest } = await buildManifest([path]);
  if (manifest.entries.some(({ mtimeMs }) => Date.now() - mtimeMs < SETTLED_MS)) return;
  const { files } = await peer.send([path], { to, signal, timeoutMs: 3_000 });
  await Deno.mkdir(`${dir}/sent/${to}`, { recursive: true });
  const time = new Date().toISOString().replaceAll(":", "-"); // of one name there may be several
  await Deno.rename(path, `${dir}/sent/${to}/${time} ${name}`);
  console.log(`${name} has arrived at ${to}, ${files} verified`);
}

async function namesIn(dir: string) {
  const names = (await Array.fromAsync(Deno.readDir(dir))).map(({ name }) => name);
  return names.filter((name) => !name.startsWith(".")); // not those that a desktop leaves everywhere
}

for (const name of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(name, () => stop.abort());
try {
  await main();
} catch (error) {
  if (signal.aborted) Deno.exit(0);
  console.error(`folder_drop: ${error instanceof Error ? error.message : error}`);
  Deno.exit(exitStatus(error));
}
