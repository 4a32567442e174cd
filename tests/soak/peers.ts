/**
 * A process of the soak run: some peers that call, publish, store and send as they are told, and a folder that is kept
 * alike with those of the other processes. Told line by line, answers line by line; killed, it is started again.
 *
 * ```
 * in   {"id": 7, "peer": 2, "do": "call", "to": "127.0.0.1:26205", "text": "..."}
 * out  {"event": "ready"}
 *      {"id": 7, "result": ...} or {"id": 7, "error": "connect", "message": "..."}
 * ```
 *
 * @module
 */

import { existsSync } from "node:fs";
import { Cursor, type FolderSync, Home, Identity, Peer, PeerError } from "../../mod.ts";

/** What a process is told at its start. */
export interface PeersOptions {
  /** Where all that lasts is. */
  readonly dir: string;
  /** Its peers, with the port of each. */
  readonly peers: readonly { readonly name: string; readonly port: number }[];
  /** Addresses of some of all peers. */
  readonly seeds: readonly string[];
  /** The name of a network that is only for this run. */
  readonly network: string;
  /** A port where nobody else asks. */
  readonly discoveryPort: number;
  /** The folder. */
  readonly folder: string;
  /** Where the folder's hub is. */
  readonly hubPort: number;
  /** Whether this process is the hub. */
  readonly isHub: boolean;
}

/** What a peer is told to do. */
export type Command =
  | { readonly do: "call"; readonly to: string; readonly text: string }
  | { readonly do: "publish"; readonly text: string }
  | { readonly do: "put"; readonly name: string; readonly value: string }
  | { readonly do: "get"; readonly name: string; readonly author: string }
  | { readonly do: "send"; readonly to: string; readonly path: string }
  | { readonly do: "cut" };

/** The topic that all take part in. */
const TOPIC = "soak";

/** Patience with what may be hit by a fault. */
const TIMEOUT_MS = 20_000;

const encoder = new TextEncoder();

function say(facts: Record<string, unknown>): void {
  const bytes = encoder.encode(JSON.stringify(facts) + "\n");
  for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
}

/** A peer that takes part in everything. */
async function openPeer(
  { name, port }: { name: string; port: number },
  options: PeersOptions,
  hasWeb: boolean,
): Promise<Peer> {
  const { dir, seeds, network, discoveryPort, hubPort } = options;
  const home = Home.open(`${dir}/${name}`);
  const peer = await Peer.open({
    ...{ home, identity: Identity.load(home), name, network, discoveryPort, port },
    ...{ hostname: "127.0.0.1", udpPort: port, announce: false },
    ...{ web: hasWeb, httpPort: hubPort },
    seeds: seeds.filter((seed) => seed !== `127.0.0.1:${port}`),
  });
  peer.join();
  peer.serve({ maxClients: 1_000 });
  peer.receive({ dir: `${dir}/${name}.inbox`, accept: () => true, update: true });
  void read(peer, `${dir}/${name}.given`);
  void peer.dht.join();
  return peer;
}

/** Notes what is published, and after a restart goes on where it was. */
async function read(peer: Peer, path: string): Promise<void> {
  const since = new Cursor();
  const before = existsSync(path) ? Deno.readTextFileSync(path).split("\n") : [];
  for (const line of before.slice(0, -1)) since.add(JSON.parse(line));
  using file = Deno.openSync(path, { create: true, append: true });
  for await (const { from, seq, data } of peer.gossip.subscribe(TOPIC, { since })) {
    file.writeSync(encoder.encode(JSON.stringify({ from, seq, data }) + "\n"));
  }
}

/** Stays joined with the hub, however often that is killed. */
async function stayJoined(folder: FolderSync, port: number): Promise<void> {
  for (;;) {
    try {
      const hub = await folder.join(`ws://127.0.0.1:${port}`);
      await hub.closed;
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

async function carryOut(peer: Peer, command: Command): Promise<unknown> {
  const timeoutMs = TIMEOUT_MS;
  switch (command.do) {
    case "call":
      return await peer.call(command.to, "echo", command.text, { timeoutMs });
    case "publish": {
      const { from, seq } = await peer.gossip.publish(TOPIC, command.text, {
        confirm: 1,
        timeoutMs,
      });
      return { from, seq };
    }
    case "put":
      return (await peer.dht.put(command.name, command.value, { own: true })).holders;
    case "get":
      return (await peer.dht.get(command.name, { author: command.author }))?.value;
    case "send": {
      const how = { to: command.to, update: true, retryMs: TIMEOUT_MS, timeoutMs };
      return (await peer.send([command.path], how)).files;
    }
    case "cut":
      for (const link of peer.endpoint.links) void link.close();
      return undefined;
  }
}

async function main(options: PeersOptions): Promise<void> {
  const peers: Peer[] = [];
  for (const [index, one] of options.peers.entries()) {
    peers.push(await openPeer(one, options, options.isHub && index === 0));
  }
  const [first] = peers;
  if (first === undefined) throw new TypeError("A process needs a peer");
  const folder = await first.folder(options.folder);
  if (options.isHub) folder.serve();
  else void stayJoined(folder, options.hubPort);
  say({ event: "ready", peerIds: peers.map(({ peerId }) => peerId) });
  let rest = "";
  for await (const text of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const { id, peer, ...command }: Command & { id: number; peer: number } = JSON.parse(line);
      const doing = peers[peer] ?? first;
      carryOut(doing, command).then(
        (result) => say({ id, result }),
        (error) => say({ id, error: error?.code ?? "internal", message: String(error?.message) }),
      );
    }
  }
  await folder.close();
  await Promise.all(peers.map((peer) => peer.close()));
  Deno.exit();
}

if (import.meta.main) await main(JSON.parse(Deno.args[0] ?? ""));
