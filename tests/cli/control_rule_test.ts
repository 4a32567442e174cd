import { assertEquals, assertThrows } from "@std/assert";
import { OwnPeerWanted } from "../../src/cli/control/host.ts";
import { hostedLine, networkIds, refuseOthers } from "../../src/cli/control/own_or_hosted.ts";
import { Options } from "../../src/cli/options.ts";
import { Network } from "../../src/secure/network.ts";
import { type Verb, VERBS } from "../../src/cli/verbs.ts";

const UP = [
  "--name",
  "alice",
  "--host",
  "127.0.0.1",
  "--peer",
  "10.0.0.1:1",
  "--peer",
  "10.0.0.2:2",
];

function verbOf(name: string): Verb {
  const verb = VERBS[name];
  if (verb === undefined) throw new TypeError(`There is no verb ${name}`);
  return verb;
}

function upWith(...line: string[]): Options {
  return new Options(line, verbOf("up").options);
}

/** Why a command line means another peer than the one that was started so; empty where it means that. */
function why(line: readonly string[], own: Options, network?: readonly string[]): string {
  const [name = "", ...rest] = line;
  const verb = verbOf(name);
  try {
    const peer = { network: new Network(own.text("network")) };
    refuseOthers(new Options(rest, verb.options), { verb, own, network, peer });
    return "";
  } catch (error) {
    if (error instanceof OwnPeerWanted) return error.message;
    throw error;
  }
}

Deno.test("options of the verb are the command line's, those of the peer have to be as it was started", () => {
  const own = upWith(...UP, "--mdns");
  const rows = [
    ["call bob echo --timeout 3 --stream --json --log debug", ""],
    ["call bob echo --peer 10.9.9.9:9", ""],
    ["call bob echo --name alice --host 127.0.0.1 --mdns", ""],
    ["call bob echo --name eve", "--name is not as the running peer has it"],
    ["call bob echo --discovery-port 4000", "--discovery-port is not as the running peer has it"],
    ["pub news x --peer 10.0.0.2:2", ""],
    ["pub news x --peer 10.0.0.2:2 --peer 10.0.0.3:3", "--peer is not as the running peer has it"],
    ["pub news x --access invited", "--access is not as the running peer has it"],
    ["call bob echo --invite-file f", "--invite-file is not as the running peer has it"],
    ["call bob echo --dialect native", ""],
    ["call bob echo --dialect witch", "--dialect witch wants a peer of its own"],
  ] as const;
  for (const [line, expected] of rows) assertEquals(why(line.split(" "), own), expected, line);
});

Deno.test("a network that is named has to be the running peer's, whatever it is called by", () => {
  const [lab, open] = [upWith("--network", "lab"), upWith()];
  const ids = networkIds(lab);
  assertEquals(ids.length, 1);
  const line = ["ping", "bob"];
  assertEquals(why(line, lab), "");
  assertEquals(why(line, lab, ids), "");
  assertEquals(why(line, lab, ["00000000", ...ids]), "", "keys that change");
  assertEquals(why(line, open, []), "");
  for (const [own, network] of [[lab, []], [open, ids], [lab, networkIds(upWith("--network=x"))]]) {
    assertEquals(
      why(line, own as Options, network as string[]),
      "the running peer is in another network",
    );
  }
});

Deno.test("hostedLine is what was asked, with what the running peer has for the rest", () => {
  const verb = verbOf("sub");
  const own = upWith(...UP, "--network", "lab", "--topic", "news", "--dialect", "all", "--yes");
  const asked = new Options(
    ["news", "--since", "--network=other", "--home=/x", "--count=3"],
    verb.options,
  );
  const options = new Options(hostedLine(asked, { verb, own }), verb.options);
  assertEquals(options.args, ["news"]);
  assertEquals(options.given(), {
    ...{ since: "last", count: "3", name: "alice", host: "127.0.0.1", network: "lab" },
    peer: ["10.0.0.1:1", "10.0.0.2:2"],
  });
  const plain = new Options(["-", "--", "--name"], verb.options);
  assertEquals(new Options(hostedLine(plain, { verb, own: upWith() }), verb.options).args, [
    "-",
    "--name",
  ]);
  assertThrows(() => new Options(["--hosted"], verb.options), TypeError);
});

Deno.test("every hosted option is one that its verb has", () => {
  for (const [name, { hosted = [], options }] of Object.entries(VERBS)) {
    for (const option of hosted) assertEquals(option in options, true, `${name} --${option}`);
    // What shows the running peer has none of its own.
    if (hosted.length > 0 && name !== "status") assertEquals("no-daemon" in options, true, name);
  }
});

Deno.test("a command line for a running peer loads no peer", () => {
  const seen = new Set<string>();
  const walk = (url: URL) => {
    if (seen.has(url.href)) return;
    seen.add(url.href);
    const source = Deno.readTextFileSync(url);
    for (const [, path = ""] of source.matchAll(/^(?:im|ex)port (?!type)[^;"]*"(\.[^"]+)"/gm)) {
      walk(new URL(path, url));
    }
  };
  walk(new URL("../../src/cli/control/control_client.ts", import.meta.url));
  const folders = new Set([...seen].map((href) => /src\/(\w+)\//.exec(href)?.[1] ?? ""));
  assertEquals([...folders].sort(), ["", "cli", "secure", "state", "transport", "wire"]);
  assertEquals([...seen].filter((href) => /src\/.*(peer|endpoint|tcp)/.test(href)), []);
});
