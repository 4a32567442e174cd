import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { seededRandom } from "../../src/clock.ts";
import { levelOf, parseLogLevels } from "../../src/cli/log_levels.ts";
import { HIDDEN, redacted, shownField } from "../../src/cli/redact.ts";
import { UsageError } from "../../src/cli/options.ts";
import { type LogOptions, structuredLog } from "../../src/cli/structured_log.ts";
import { withTrace } from "../../src/endpoint/tracing.ts";
import { isChatty, layerLog, LOG_LAYERS, LOG_LEVELS, type Logger } from "../../src/log.ts";
import { Access } from "../../src/secure/access.ts";
import { Identity } from "../../src/secure/identity.ts";
import { newTrace } from "../../src/trace.ts";

/** A logger, and the lines it writes. */
function logger(options: Partial<LogOptions> = {}): { log: Logger; lines: string[] } {
  const lines: string[] = [];
  const write = (line: string) => void lines.push(line);
  return { log: structuredLog({ levels: "debug", json: false, write, ...options }), lines };
}

Deno.test("parseLogLevels takes a level, layers with levels, commas and repetitions; the last wins", () => {
  const cases: readonly (readonly [values: string[], all: string, layers: [string, string][]])[] = [
    [[], "error", []],
    [["info"], "info", []],
    [["gossip=debug"], "error", [["gossip", "debug"]]],
    [["info,gossip=debug,dht=warn"], "info", [["gossip", "debug"], ["dht", "warn"]]],
    [["info", "gossip=debug", "debug"], "debug", [["gossip", "debug"]]],
    [["gossip=debug", "gossip=info, dht=error"], "error", [["gossip", "info"], ["dht", "error"]]],
  ];
  for (const [values, all, layers] of cases) {
    const levels = parseLogLevels(values);
    assertEquals([levels.all, [...levels.layers]], [all, layers], values.join(" "));
  }
  const levels = parseLogLevels(["info,gossip=debug"]);
  assertEquals([levelOf(levels, "gossip"), levelOf(levels, "dht")], ["debug", "info"]);
  assertEquals(levelOf("warn", "dht"), "warn");
});

Deno.test("parseLogLevels names the layers and levels that there are where one is wrong", () => {
  const wrong: readonly (readonly [text: string, said: RegExp])[] = [
    ["loud", /no level "loud", only debug, info, warn, error$/],
    ["debgu", /no level "debgu", .*; did you mean debug\?$/],
    ["", /no level ""/],
    ["info,", /no level ""/],
    ["gossip=", /no level ""/],
    ["gossip=DEBUG", /no level "DEBUG"/],
    ["gosip=debug", /no layer "gosip", only transport, .* cli; did you mean gossip\?$/],
    ["=debug", /no layer ""/],
    ["a=b=debug", /no level "b=debug"/],
    ["\u001b[2J=debug", /no layer "\\u\{1b\}\[2J"/],
    ["x".repeat(10_000), /no level "x{20}…"/],
  ];
  for (const [text, said] of wrong) {
    const { message } = assertThrows(() => parseLogLevels([text]), UsageError);
    assertMatch(message, said, text.slice(0, 40));
  }
});

Deno.test("structuredLog says of each layer what its level asks for", () => {
  const { log, lines } = logger({ levels: parseLogLevels(["warn", "gossip=debug"]) });
  for (const layer of LOG_LAYERS) {
    for (const level of LOG_LEVELS) layerLog(log, layer)[level]("x");
  }
  const expected = LOG_LAYERS.flatMap((layer) =>
    LOG_LEVELS.slice(layer === "gossip" ? 0 : 2).map((level) => `${level}: ${layer}: x`)
  );
  assertEquals(lines, expected);
  assertEquals(LOG_LAYERS.filter((layer) => isChatty(layerLog(log, layer))), ["gossip"]);
  const gossip = layerLog(log, "gossip");
  layerLog(gossip, "dht").info("nothing");
  assertEquals(lines.length, expected.length);
});

Deno.test("structuredLog writes JSON with time, level, layer, message and fields, and the trace at work", () => {
  const { log, lines } = logger({ json: true, now: () => Date.UTC(2026, 0, 31) });
  const trace = newTrace();
  withTrace(trace, () => layerLog(log, "dht").info("looked", { count: 3, ok: true, none: null }));
  log.warn("plain");
  log.warn("said", { trace: "its own" });
  assertEquals(lines.map((line) => JSON.parse(line)), [
    {
      ...{ time: "2026-01-31T00:00:00.000Z", level: "info", layer: "dht", message: "looked" },
      fields: { count: 3, ok: true, none: null, trace: trace.traceId },
    },
    {
      ...{ time: "2026-01-31T00:00:00.000Z", level: "warn", layer: "cli", message: "plain" },
      fields: {},
    },
    {
      ...{ time: "2026-01-31T00:00:00.000Z", level: "warn", layer: "cli", message: "said" },
      fields: { trace: "its own" },
    },
  ]);
});

/** Secrets as they look in practice. */
function secrets(): string[] {
  const access = new Access({ identity: Identity.generate() });
  const { token: invite } = access.createInvite({
    scopes: ["call:*"],
    expiresMs: 60_000,
  });
  const { token } = access.createApiKey({ scopes: ["call:*"] });
  const hex = crypto.getRandomValues(new Uint8Array(32)).toHex();
  const pem = `-----BEGIN PRIVATE KEY-----\n${btoa(hex)}\n-----END PRIVATE KEY-----\n`;
  return [invite, token, pem];
}

Deno.test("redacted takes invites, API keys and private keys out of any text, also when they are cut off", () => {
  for (const secret of secrets()) {
    const core = secret.replace(/^-----BEGIN PRIVATE KEY-----\n|^kith1\.|^kithkey1\./, "").slice(
      0,
      40,
    );
    for (const text of [secret, `a "${secret}" b`, secret.slice(0, 60), `x=${secret},y`]) {
      const shown = redacted(text);
      assert(shown.includes(HIDDEN) && !shown.includes(core.slice(0, 16)), shown);
    }
  }
  const harmless = "kith 1.2.3 runs, kith1 too; see https://kith.example/kith1";
  assertEquals(redacted(harmless), harmless);
});

Deno.test("shownField hides what its name says is secret, bytes wherever they are, and never throws", () => {
  const names = ["key", "keys", "networkKey", "network_key", "token", "tokens", "apiKey", "psk"];
  names.push("secret", "password", "passphrase", "Authorization", "cookie", "credential", "invite");
  for (const name of names) assertEquals(shownField(name, "abc"), HIDDEN, name);
  for (const name of ["peerId", "count", "keyword", "why", "monkey", "invited"]) {
    assertEquals(shownField(name, "abc"), "abc", name);
  }
  assertEquals(shownField("bytes", Uint8Array.of(1, 2, 250)), '"3 bytes"');
  assertEquals(
    shownField("at", { deep: [{ token: "abc", data: new Uint8Array(4) }] }),
    `{ deep: [ { token: "${HIDDEN}", data: "4 bytes" } ] }`,
  );
  const hostile = [
    new Proxy({}, { ownKeys: () => raise() }),
    {
      get x() {
        return raise();
      },
    },
    Object.assign(new Error("x"), { toString: () => raise() }),
    Object.create(null),
    Symbol("s"),
    () => "secret code",
    10n,
    new Map([["token", "abc"]]),
    cyclic(),
  ];
  for (const value of hostile) assert(!String(shownField("f", value)).includes("abc"));
});

function raise(): never {
  throw new Error("never mind");
}

function cyclic(): unknown {
  const value: Record<string, unknown> = {};
  value.self = value;
  return value;
}

Deno.test("structuredLog shows no secret and stays one harmless line, whatever is in the fields", () => {
  const random = seededRandom(23);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  const known = secrets();
  const cores = known.map((secret) =>
    secret.split(/[.\n]/).at(secret.startsWith("-") ? 1 : -1) ?? ""
  );
  const noise = ["\u001b[2J", "\nerror: fake", '" x=1', "\u202e", "a".repeat(150), "葛", "=", ""];
  const value = (depth: number): unknown => {
    const text = pick(noise) + pick(known) + pick(noise);
    const wrapped: unknown[] = [
      text,
      new Error(text),
      { token: text, [text]: 1 },
      [text],
      new Map([[text, text]]),
    ];
    wrapped.push(new TextEncoder().encode(text));
    return depth > 2 || random() < 0.5 ? pick(wrapped) : { more: value(depth + 1) };
  };
  for (let n = 0; n < 400; n++) {
    const json = n % 2 === 0;
    const { log, lines } = logger({ json });
    const name = pick(["why", "path", pick(noise) || "x", "error", "from"]);
    layerLog(log, pick(LOG_LAYERS))[pick(LOG_LEVELS)](pick(noise) + pick(known), {
      [name]: value(0),
    });
    const [line = "", ...more] = lines;
    assertEquals(more, []);
    for (const core of cores) {
      for (const part of [core.slice(0, 24), core.slice(-24)]) assert(!line.includes(part), line);
    }
    assert(line.length < 4_000, `${line.length}`);
    if (json) assertEquals(Object.keys(JSON.parse(line)).length, 5);
    // deno-lint-ignore no-control-regex -- that is what must not be there
    else assert(!/[\u0000-\u001f\u202e]/.test(line), line);
  }
});
