/**
 * Inputs that claim, nest or repeat more than anybody can mean: refused by a limit that the error names, before memory is
 * spent on them. In processes of their own, because memory is a process's.
 */

import { assert, assertEquals } from "@std/assert";
import { fileURLToPath } from "node:url";
import { Endpoint } from "../../src/endpoint/endpoint.ts";
import { PREFACE } from "../../src/endpoint/handshake.ts";
import type { Link } from "../../src/endpoint/link.ts";
import { connectWebSocket } from "../../src/transport/websocket.ts";
import { asConnection } from "../../src/transport/message_connection.ts";
import { netTransport } from "../../src/transport/net.ts";
import type { Address, Connection } from "../../src/transport/transport.ts";
import { openDatagram } from "../../src/transport/udp.ts";
import { PROJECT } from "../e2e/process.ts";
import { shakeHands, type Stranger } from "../endpoint/fixture.ts";
import { concat } from "../fuzz/generate.ts";
import type { Damage } from "./bomb_child.ts";
import { BOMBS } from "./bombs.ts";
import type { BombServerState } from "./bomb_server.ts";
import { LOOPBACK } from "./tapped_peer.ts";

const MIB = 1024 * 1024;

/** What one that is refused may cost, most of it the code that is loaded and compiled for it. */
const REFUSED_BYTES = 8 * MIB;

/** What hundreds that are within every limit may cost together. */
const HARMLESS_BYTES = 32 * MIB;

/** Connections that each kind of bomb comes on at the same time, all of which are kept open. */
const AT_ONCE = 40;

/** What the server's memory may grow by for all of them, who claim gigabytes and have sent seventy megabytes. */
const MOST_GROWTH = { rssBytes: 256 * MIB, externalBytes: 128 * MIB } as const;

Deno.test("T1 every decoder refuses bombs by a limit that it names, and allocates nothing for them", async () => {
  const script = fileURLToPath(new URL("bomb_child.ts", import.meta.url));
  const { stdout, success } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--allow-read", "--v8-flags=--expose-gc", ...importMap(), script],
    cwd: PROJECT,
    stderr: "inherit",
  }).output();
  const lines = new TextDecoder().decode(stdout).trimEnd().split("\n");
  const damages = lines.map((line): Damage => JSON.parse(line));
  assert(success);
  assertEquals(damages.map(({ name }) => name), BOMBS.map(({ name }) => name));
  for (const [at, { name, error, isOurs, rssBytes, externalBytes, ms }] of damages.entries()) {
    const { names, most = names === undefined ? HARMLESS_BYTES : REFUSED_BYTES } = BOMBS[at] ?? {};
    if (names === undefined) assertEquals(error, undefined, name);
    else assert(isOurs && names.test(error ?? ""), `${name}: ${error}`);
    assert(rssBytes < most && externalBytes < most, `${name}: ${rssBytes}, ${externalBytes} bytes`);
    assert(ms < 2_000, `${name}: ${ms} ms`);
  }
});

/** What comes on a connection of a dialect, or before anybody has proven anything. */
const OPENINGS: readonly (readonly [name: string, bytes: Uint8Array, refusedAs?: string])[] = [
  ["handshakes whose record claims 64 KiB", concat(PREFACE, hex("ffff")), "bad-channel"],
  ["handshakes whose record does not come", concat(PREFACE, hex("0020"), hex("00"))],
  ["frames of PeerConnect that claim 16 MiB", hex("00ffffff"), "too-large"],
  ["lines of witch-core that do not end", text(`{"a":"${"x".repeat(200_000)}`)],
  ["lines of witch-core of 200,000 brackets", text(`{"a":${"[".repeat(200_000)}\n`)],
  [
    "peerpy data that claims 16 MiB",
    concat(peerpy("HELLO|peer_name=a:1&data_type=json"), peerpyData(16 * MIB)),
  ],
  [
    "peerpy data that claims more",
    concat(peerpy("HELLO|peer_name=a:1&data_type=json"), peerpyData(1e15)),
  ],
];

/** How a request begins, up to the first value in its body. */
const REQUEST = "95a161cd01000181a161";

/** What a peer that has proven who it is sends in place of a frame, and what it is told, if anything. */
const FRAMES: readonly (readonly [name: string, bytes: Uint8Array, told?: RegExp])[] = [
  ["frames that claim 16 MiB", hex("0100000001")],
  ["frames that claim 4 GiB", hex("ffffffff00"), /4294967295 exceeds maxFrameBytes 16777216/],
  ["frames of nested arrays", framed(hex(REQUEST + "91".repeat(50_000))), /maxDepth 64/],
  [
    "frames whose body claims 2^32 - 1 entries",
    framed(hex(`${REQUEST}dfffffffff`)),
    /ends inside/,
  ],
  ["frames of a million entries too many", framed(million()), /maxElements 1048576/],
];

Deno.test("T1 a peer spends next to nothing on hundreds of strangers who send bombs, and serves the others", async () => {
  await using server = await Server.start();
  const before = await server.state();
  const open: Connection[] = [];
  for (const [name, bytes, refusedAs] of OPENINGS) {
    for (let n = 0; n < AT_ONCE; n++) {
      const connection = await netTransport.connect(server.tcp);
      open.push(connection);
      connection.write(bytes).catch(() => {}); // it may have been refused meanwhile
    }
    const { metrics } = await server.state();
    if (refusedAs !== undefined) assert(metrics[`accept.refused.${refusedAs}`], name);
  }
  for (const [name, bytes, told] of FRAMES) {
    const heard = new Set<string>();
    for (let n = 0; n < AT_ONCE; n++) {
      const way = n % 2 === 0 ? "tcp" : "web";
      const stranger = await server.stranger(way);
      open.push(stranger.framed.connection);
      await stranger.raw(bytes).catch(() => {}); // it may have been cut off meanwhile
      if (told === undefined) continue;
      // A busy machine may be too late to read it.
      const error = await stranger.receive().catch(() => undefined);
      if (error === undefined) continue;
      assertEquals(error.header, ":error", name);
      assert(told.test(String(error.body.message)), `${name}: ${error.body.message}`);
      heard.add(way);
      assertEquals(await stranger.receive().catch(() => undefined), undefined);
    }
    if (told !== undefined) assertEquals([...heard].sort(), ["tcp", "web"], name);
  }
  const socket = await openDatagram({ hostname: LOOPBACK });
  for (let n = 0; n < 200; n++) {
    for (const bomb of ["14ffffffff00", "1fffffffff", "14000000059591dfffffff"]) {
      await socket.send(hex(bomb), server.udp);
    }
    await socket.send(concat(hex("140000e000"), new Uint8Array(0xe000).fill(0x91)), server.udp);
  }
  const after = await server.state();
  for (const memory of ["rssBytes", "externalBytes"] as const) {
    const grown = after[memory] - before[memory];
    assert(grown < MOST_GROWTH[memory], `${memory} grew by ${grown / MIB} MiB`);
  }
  assert((after.metrics["requests.malformed"] ?? 0) > 0);
  socket.close();
  for (const connection of open) connection.close();
});

/** A peer in a process of its own, and somebody who uses it as it is meant. */
class Server implements AsyncDisposable {
  readonly tcp: Address;
  readonly udp: Address;
  readonly #web: number;
  readonly #child: Deno.ChildProcess;
  readonly #client: Endpoint;
  readonly #honest: Link;

  private constructor(
    child: Deno.ChildProcess,
    [tcp = 0, udp = 0, web = 0]: readonly number[],
    client: Endpoint,
    honest: Link,
  ) {
    this.#child = child;
    this.tcp = { hostname: LOOPBACK, port: tcp };
    this.udp = { hostname: LOOPBACK, port: udp };
    this.#web = web;
    this.#client = client;
    this.#honest = honest;
  }

  static async start(): Promise<Server> {
    const script = fileURLToPath(new URL("bomb_server.ts", import.meta.url));
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-prompt", "--v8-flags=--expose-gc", ...importMap(), script],
      cwd: PROJECT,
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    let said = "";
    for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
      said += text;
      if (said.includes("\n")) break;
    }
    const ports = said.split(" ").map(Number);
    const client = await Endpoint.open({
      transport: netTransport,
      self: { name: "honest", capabilities: [], agent: "test/0" },
      clientOnly: true,
    });
    const honest = await client.connect({ hostname: LOOPBACK, port: ports[0] ?? 0 });
    return new Server(child, ports, client, honest);
  }

  /** How it does, once it has done what it had to and collected its garbage. */
  async state(): Promise<BombServerState> {
    return await this.#honest.request("state", {}) as BombServerState;
  }

  /** Somebody who has proven who he is. */
  async stranger(way: "tcp" | "web"): Promise<Stranger> {
    const connection = way === "tcp"
      ? await netTransport.connect(this.tcp)
      : asConnection(await connectWebSocket(`ws://${LOOPBACK}:${this.#web}/kith`));
    const stranger = await shakeHands(connection);
    assertEquals((await stranger.receive())?.header, ":accept");
    return stranger;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.close();
    await this.#child.stdin.close();
    assert((await this.#child.status).success, "the server did not end in order");
  }
}

function importMap(): string[] {
  const path = Deno.env.get("KITH_IMPORT_MAP");
  return path === undefined ? [] : [`--import-map=${path}`];
}

function framed(payload: Uint8Array): Uint8Array {
  const header = new Uint8Array(4);
  new DataView(header.buffer).setUint32(0, payload.length);
  return concat(header, payload);
}

/** A message whose body has more elements than any may have, one byte each. */
function million(): Uint8Array {
  const body = new Uint8Array(1_100_000).fill(0xc0);
  return concat(hex(`${REQUEST}dd0010c8e0`), body, hex("c0"));
}

function peerpy(header: string): Uint8Array {
  return text(header.padEnd(128, "|"));
}

function peerpyData(bytes: number): Uint8Array {
  return concat(peerpy(`DATA|data_size=${bytes}&data_type=json`), text("["));
}

function text(value: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(value);
}

function hex(value: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.fromHex(value);
}
