/**
 * Peers that are nodes of one DHT, and the command lines of others who ask it.
 *
 * @module
 */

import { Peer, type PeerOptions } from "../../src/peer.ts";
import { formatAddress } from "../../src/transport/transport.ts";
import { type Ran, runVerb } from "./verb_fixture.ts";

/** See the module. */
export class Town implements AsyncDisposable {
  /** The peers, each a node. */
  readonly peers: readonly Peer[];
  /** Options of a verb that find the first of them, and nobody else. */
  readonly at: readonly string[];
  /** A folder for homes. */
  readonly dir: string;

  private constructor(peers: readonly Peer[], at: readonly string[], dir: string) {
    this.peers = peers;
    this.at = at;
    this.dir = dir;
  }

  /** Opens so many, which know each other. */
  static async open(count: number, options: PeerOptions = {}): Promise<Town> {
    await using stack = new AsyncDisposableStack();
    const discoveryPort = 20_000 + Math.floor(Math.random() * 12_000);
    const common = { hostname: "127.0.0.1", port: 0, announce: false, discoveryPort, ...options };
    const peers: Peer[] = [];
    for (let n = 0; n < count; n++) {
      const [first] = peers;
      const seeds = first?.address === undefined ? [] : [first.address];
      peers.push(stack.use(await Peer.open({ ...common, seeds })));
    }
    const [first] = peers;
    if (first?.address === undefined) throw new RangeError("A town needs a peer");
    const [, ...joining] = peers.map((peer) => peer.dht.join());
    await Promise.all(joining); // the first, who is asked, need not have looked around
    const dir = await Deno.makeTempDir();
    stack.move();
    const at = ["--peer", formatAddress(first.address), "--host", "127.0.0.1"];
    return new Town(peers, [...at, "--discovery-port", `${discoveryPort}`], dir);
  }

  /** Runs `kith dht` for somebody with a home of that name. */
  run(who: string, ...line: string[]): Promise<Ran> {
    return runVerb("dht", `${this.dir}/${who}`, ...line, ...this.at);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.peers.map((peer) => peer.close()));
    await Deno.remove(this.dir, { recursive: true });
  }
}
