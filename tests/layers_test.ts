import { assert, assertEquals } from "@std/assert";
import { VERSION } from "../src/version.ts";

const ROOT = new URL("..", import.meta.url);

/** Folders and files of `src`, lowest layer first. What stands in the same row may not import each other. */
const LAYERS: readonly (readonly string[])[] = [
  ["errors.ts", "log.ts", "metrics.ts", "clock.ts", "channel.ts", "version.ts", "watchers.ts"],
  ["states.ts", "trace.ts"],
  ["telemetry.ts"],
  ["wire"],
  ["transport"],
  ["state"],
  ["secure"],
  ["endpoint"],
  ["session", "rpc", "discovery", "membership", "gossip", "dht", "transfer", "page"],
  ["palmtree", "sync"],
  ["status"],
  ["reach_search.ts"],
  ["reach.ts"],
  ["peer_options.ts"],
  ["peer_discovery.ts"],
  ["peer_parts.ts", "peer_lookout.ts"],
  [
    "peer_membership.ts",
    "peer_gossip.ts",
    "peer_dht.ts",
    "peer_files.ts",
    "peer_whereabouts.ts",
    "peer_page.ts",
    "peer_neighbors.ts",
    "peer_sync.ts",
  ],
  ["peer_broadcast.ts"],
  ["peer_status_work.ts"],
  ["peer_status.ts", "peer_record.ts"],
  ["peer_rumors.ts", "peer_kademlia.ts", "peer_peerconnect.ts"],
  ["peer.ts"],
  ["serve.ts"],
  ["testing"],
  ["cli"],
];

/** Text that runs in browsers. */
const BROWSER_TEXT = "status/page_script.ts";

/** What opens sockets, and the only folder that may. */
const SOCKETS =
  /\bDeno\.(listen|listenDatagram|listenTls|connect|connectTls|serve|upgradeWebSocket)\b|new WebSocket\b/;

function* sources(folder: URL): Generator<URL> {
  for (const { name, isDirectory } of Deno.readDirSync(folder)) {
    const url = new URL(name + (isDirectory ? "/" : ""), folder);
    if (isDirectory) yield* sources(url);
    else if (name.endsWith(".ts")) yield url;
  }
}

function partOf(url: URL): string {
  return url.href.slice(new URL("src/", ROOT).href.length).split("/", 1)[0] ?? "";
}

function layerOf(part: string): number {
  return LAYERS.findIndex((parts) => parts.includes(part));
}

function importsOf(url: URL): string[] {
  const source = Deno.readTextFileSync(url).replace(/^\s*\*.*$/gm, ""); // not those of examples in docs
  const found = source.matchAll(
    /^(?:import\b[^;"]*|export\s+(?:type\s+)?(?:\{[^}]*\}|\*[^;"]*)\s*from\s*)"([^"]+)"|\bimport\("([^"]+)"\)/gm,
  );
  return [...found].map(([, name, lazy]) => name ?? lazy ?? "");
}

Deno.test("every part of src has a layer", () => {
  const parts = new Set([...sources(new URL("src/", ROOT))].map(partOf));
  for (const part of parts) assert(layerOf(part) >= 0, `${part} is in no layer`);
});

Deno.test("imports go down the layers, never up or across", () => {
  const wrong: string[] = [];
  let seen = 0;
  for (const url of sources(new URL("src/", ROOT))) {
    const part = partOf(url);
    for (const name of importsOf(url).filter((name) => name.startsWith("."))) {
      seen++;
      const target = partOf(new URL(name, url));
      const allowed = target === part || layerOf(target) < layerOf(part);
      if (!allowed) wrong.push(`${url.pathname.slice(ROOT.pathname.length)} imports ${name}`);
    }
  }
  assertEquals(wrong, []);
  assert(seen > 100, `only ${seen} imports were found`);
});

Deno.test("only the transport opens sockets", () => {
  const wrong = [...sources(new URL("src/", ROOT))].filter((url) => {
    const code = Deno.readTextFileSync(url).replace(/^\s*(\*|\/\/|\/\*\*).*$/gm, "");
    const isOurs = partOf(url) !== "transport" && !url.href.endsWith(BROWSER_TEXT);
    return isOurs && SOCKETS.test(code);
  });
  assertEquals(wrong.map(String), []);
});

Deno.test("the wire imports nothing that touches a network or a disk", () => {
  const outside = [...sources(new URL("src/wire/", ROOT))].flatMap(importsOf).filter((name) => {
    return !name.startsWith("./") && !name.startsWith("../errors") && !name.startsWith("../log");
  });
  assertEquals([...new Set(outside)], ["node:buffer"]);
});

Deno.test("nothing outside the command line imports packages", () => {
  const packages = [...sources(new URL("src/", ROOT))].filter((url) => partOf(url) !== "cli")
    .flatMap(importsOf)
    .filter((name) => !name.startsWith(".") && !name.startsWith("node:"));
  assertEquals(packages, []);
});

Deno.test("the version is the same wherever it is written", () => {
  for (const name of ["deno.json", "package.json"]) {
    const { version } = JSON.parse(Deno.readTextFileSync(new URL(name, ROOT)));
    assertEquals(version, VERSION, name);
  }
});
