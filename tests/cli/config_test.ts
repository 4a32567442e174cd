import { assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import { MAX_CONFIG_BYTES, parseConfig } from "../../src/cli/config_file.ts";
import { settingsOf, variableOf } from "../../src/cli/config_settings.ts";
import { Options, UsageError } from "../../src/cli/options.ts";
import { VERBS } from "../../src/cli/verbs.ts";
import { AuthError } from "../../src/errors.ts";
import { Scratch } from "../e2e/scratch.ts";
import { runVerb } from "./verb_fixture.ts";

function parse(data: unknown): unknown[] {
  return parseConfig(JSON.stringify(data, null, 1), "c.json", VERBS);
}

/** What a verb is told when its file, environment and command line say so. */
async function told(
  verb: string,
  { file, env = {}, line = [] }: {
    file?: unknown;
    env?: Record<string, string>;
    line?: readonly string[];
  },
): Promise<Options> {
  await using home = await Scratch.make();
  if (file !== undefined) await home.write("config.json", JSON.stringify(file, null, 2));
  const specs = VERBS[verb]?.options ?? {};
  const all = [...line, "--home", home.dir];
  const read = (name: string) => env[name];
  return new Options(all, specs, settingsOf(verb, VERBS, new Options(all, specs), { env: read }));
}

Deno.test("parseConfig reads settings of all verbs and of one, with their lines", () => {
  assertEquals(parse({ network: "home", mdns: true, up: { topic: ["a", "b"], port: 1 } }), [
    { name: "network", value: "home", line: 2 },
    { name: "mdns", value: true, line: 3 },
    { verb: "up", name: "topic", value: ["a", "b"], line: 5 },
    { verb: "up", name: "port", value: "1", line: 9 },
  ]);
  assertEquals(parse({}), []);
  assertEquals(parse({ log: "info,gossip=debug", up: { dialect: "witch,peerpy" } }), [
    { name: "log", value: ["info,gossip=debug"], line: 2 },
    { verb: "up", name: "dialect", value: "witch,peerpy", line: 4 },
  ]);
  assertEquals(parse({ peer: "h:1" }), [{ name: "peer", value: ["h:1"], line: 2 }]);
});

Deno.test("parseConfig names the line and what is wrong in it", () => {
  const cases: readonly (readonly [text: string, says: string])[] = [
    ['{\n"prot": 1}', 'line 2: Unknown setting "prot"; did you mean port?'],
    ['{\n\n"dir": "/x"}', 'line 3: Unknown setting "dir"; it is of single verbs: up.dir'],
    ['{"up": {\n"dri": "/x"}}', 'line 2: Unknown setting "dri" of up; did you mean dir?'],
    [
      '{"up":\n{"port": 1,\n"port": 70000}}',
      'line 3: "port" must be a whole number, 0..65535: it is 70000',
    ],
    ['{"up": {"dir": "x"}}', 'line 1: "dir" must be a whole path: it is x'],
    ['{"up": 5}', 'line 1: "up" is a verb: its settings are an object'],
    ['{"port": "x"}', '"port" must be a whole number, 0..65535: it is x'],
    ['{"timeout": "soon"}', '"timeout" must be seconds'],
    ['{"up": {"limit": "fast"}}', '"limit" must be bytes'],
    ['{"access": "all"}', '"access" must be one of public, private, invited: it is all'],
    ['{"log": ["info", "loud"]}', '"log" has no level "loud", only debug, info, warn, error'],
    ['{"log": "gossp=debug"}', '"log" has no layer "gossp"'],
    ['{"up": {"status": "bogus"}}', '"status" must be one of local, all, off: it is bogus'],
    ['{"up": {"dialect": "witch,bogus"}}', '"dialect" must be one of native, peerconnect'],
    ['{"up": {"dialect": "witch,"}}', '"dialect" needs LIST'],
    ['{"msg": {"dialect": "witch"}}', '"dialect" must be one of native, peerpy, peerconnect'],
    ['{"mdns": "yes"}', '"mdns" must be true or false'],
    ['{"name": ["a"]}', '"name" has one value, not a list'],
    ['{"name": null}', '"name" must be NAME, as text or a number'],
    ['{"name": ""}', '"name" must be NAME, as text or a number'],
    ['{"home": "/x"}', '"home" is no setting: it is for one run'],
    ['{"network-key": "s3cret"}', "No secret is kept here"],
    ['{"api-token": "s3cret"}', "No secret is kept here"],
    ['{"name": "a",\n}', "line 2: it is no JSON"],
    ['{"name": "a"', "line 1: it is no JSON"],
    ["[]", "it is no JSON object"],
    ["", "it is no JSON"],
  ];
  for (const [text, says] of cases) {
    const { message } = assertThrows(() => parseConfig(text, "c.json", VERBS), UsageError);
    assertMatch(message, /^Cannot use c\.json: /);
    assertStringIncludes(message, says);
    assertEquals(message.includes("s3cret"), false, message);
  }
  const inherited = assertThrows(() => parseConfig('{"toString": 1}', "c.json", VERBS), UsageError);
  assertEquals(inherited.message, 'Cannot use c.json: line 1: Unknown setting "toString"');
});

Deno.test("parseConfig survives any text", () => {
  const text = '{"up": {"name": "a", "topic": ["x\\"y", "{"]}, "port": 5}';
  for (let at = 0; at < text.length; at++) {
    for (const changed of [text.slice(0, at), text.slice(0, at) + "\n\\" + text.slice(at)]) {
      try {
        parseConfig(changed, "c.json", VERBS);
      } catch (error) {
        assertEquals(error instanceof UsageError, true, `${changed}: ${error}`);
      }
    }
  }
});

Deno.test("settings: the command line wins over the environment, and that over the file", async () => {
  const file = { port: 1, up: { port: 2, yes: true, topic: ["a"] }, network: "file" };
  const port = async (given: Parameters<typeof told>[1]) => (await told("up", given)).port("port");
  assertEquals(await port({}), undefined);
  assertEquals(await port({ file: { port: 1 } }), 1);
  assertEquals(await port({ file }), 2);
  assertEquals(await port({ file, env: { KITH_PORT: "3" } }), 3);
  assertEquals(await port({ file, env: { KITH_PORT: "3", KITH_UP_PORT: "4" } }), 4);
  assertEquals(await port({ file, env: { KITH_UP_PORT: "4" }, line: ["--port", "5"] }), 5);

  const off = await told("up", { file, line: ["--yes=false", "--topic", "b"] });
  assertEquals([off.has("yes"), off.texts("topic")], [false, ["b"]]);
  const on = await told("up", { file, env: { KITH_UP_TOPIC: "c,d", KITH_MDNS: "1" } });
  assertEquals([on.has("yes"), on.has("mdns"), on.texts("topic")], [true, true, ["c", "d"]]);
  assertEquals([on.from("yes"), on.from("topic"), on.from("port"), on.from("name")], [
    "line 5 of config.json",
    "KITH_UP_TOPIC",
    "line 4 of config.json",
    undefined,
  ]);
});

Deno.test("settings: a name of all verbs is for those that mean the same by it", async () => {
  const file = { name: "bob" };
  assertEquals((await told("up", { file })).text("name"), "bob");
  assertEquals((await told("trust", { file })).text("name"), undefined);
  assertEquals((await told("trust", { env: { KITH_NAME: "x" } })).text("name"), undefined);
});

Deno.test("settings: what is secret in the environment wins over the file that a setting names", async () => {
  const file = { "key-file": "/k", "invite-file": "/i", network: "n" };
  const names = ["key-file", "invite-file", "network"];
  const plain = await told("call", { file });
  assertEquals(names.map((name) => plain.text(name)), ["/k", "/i", "n"]);
  const env = { KITH_NETWORK_KEY: "x", KITH_INVITE: "y", KITH_NETWORK: "z" };
  const secret = await told("call", { file, env });
  assertEquals(names.map((name) => secret.text(name)), [undefined, undefined, undefined]);
});

Deno.test("settings: a variable that its option does not take is named", async () => {
  const cases = [["KITH_MDNS", "maybe"], ["KITH_PORT", "x"], ["KITH_UP_ACCESS", "all"], [
    "KITH_LOG",
    "loud",
  ]] as const;
  for (const [name, value] of cases) {
    const error = await told("up", { env: { [name]: value } }).catch((error: unknown) => error);
    assertEquals(error instanceof UsageError, true, name);
    assertStringIncludes((error as UsageError).message, name);
  }
  assertEquals([variableOf("udp-port"), variableOf("dir", "up")], ["KITH_UDP_PORT", "KITH_UP_DIR"]);
});

Deno.test({
  name: "settings: a file that others may change, or that is too large, is refused",
  ignore: Deno.build.os === "windows",
  async fn() {
    await using home = await Scratch.make();
    const path = await home.write("config.json", "{}");
    const options = new Options(["--home", home.dir], VERBS.up?.options ?? {});
    const env = () => undefined;
    Deno.chmodSync(path, 0o622);
    assertThrows(() => settingsOf("up", VERBS, options, { env }), AuthError, "chmod go-w");
    Deno.chmodSync(path, 0o600);
    Deno.writeTextFileSync(path, " ".repeat(MAX_CONFIG_BYTES + 1));
    assertThrows(() => settingsOf("up", VERBS, options, { env }), UsageError, "exceed 65536");
  },
});

Deno.test("config sets, shows and takes away settings, and says where they are", async () => {
  await using home = await Scratch.make();
  const config = (...line: string[]) => runVerb("config", home.dir, ...line);
  const path = home.path("config.json");
  assertEquals((await config("path")).lines, [path]);
  assertEquals((await config("list")).notes.length, 1);

  assertEquals((await config("set", "up.topic", "a", "b")).lines, [`up.topic is set in ${path}`]);
  assertEquals((await config("set", "up.yes", "true")).code, 0);
  assertEquals((await config("set", "port", "3500")).code, 0);
  const yes = { name: "up.yes", value: true, from: "line 7 of config.json" };
  const listed = [
    { name: "port", value: "3500", from: "line 9 of config.json" },
    yes,
    { name: "up.topic", value: ["a", "b"], from: "line 3 of config.json" },
  ];
  assertEquals((await config("list")).facts, listed);
  assertEquals((await config("get", "up.yes")).facts, [yes]);

  assertEquals((await config("unset", "up.yes")).facts, [{ name: "up.yes", value: null, path }]);
  assertEquals((await config("get", "up.yes")).code, 5);
  assertEquals((await config("unset", "up.yes")).code, 5);
  assertEquals(JSON.parse(await Deno.readTextFile(path)), {
    up: { topic: ["a", "b"] },
    port: "3500",
  });
});

Deno.test("config refuses what is wrong, keeps the file, and runs where the file is wrong", async () => {
  await using home = await Scratch.make();
  const config = (...line: string[]) => runVerb("config", home.dir, ...line);
  for (
    const line of [
      ["set", "port", "x"],
      ["set", "up.port", "x"],
      ["set", "up.status", "bogus"],
      ["set", "log", "loud"],
      ["set", "frob", "x"],
      ["set", "frob.port", "1"],
      ["set", "up.dir", "inbox"],
      ["set", "network-key", "s3cret"],
      ["set", "name", "a", "b"],
      ["set", "port"],
      ["get"],
      ["frob"],
      [],
    ]
  ) {
    const { code, notes } = await config(...line);
    assertEquals(code, 2, line.join(" "));
    assertEquals(notes.join().includes("s3cret"), false);
  }
  const path = await home.write("config.json", '{"prot": 1}');
  assertEquals([(await config("path")).code, (await config("list")).code], [0, 2]);
  assertEquals((await config("set", "port", "1")).code, 2);
  assertEquals(await Deno.readTextFile(path), '{"prot": 1}');
});
