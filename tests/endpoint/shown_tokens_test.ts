/**
 * Invites and API keys on their way: to the peer that made them, before anything else, and to nobody else.
 */

import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { Introduction } from "../../src/endpoint/introduction.ts";
import { RemoteError } from "../../src/errors.ts";
import { newApiKey, signInvite } from "../../src/secure/credential.ts";
import { Network } from "../../src/secure/network.ts";
import { decodeWireData } from "../../src/wire/message.ts";
import {
  identityOf,
  infoOf,
  linkAndStranger,
  Served,
  SERVER,
  settle,
  Stranger,
} from "./fixture.ts";
import { acceptAs, Scene } from "./greeter_fixture.ts";

const NETWORKS: Record<string, () => Network> = {
  "the open network": () => new Network(),
  "a network with a name": () => new Network("home"),
  "a network with a key": () => new Network("home", [new Uint8Array(32).fill(1)]),
};

/** An invite and an API key that a peer of that name made. */
function tokensOf(name: string): string[] {
  const identity = identityOf(name);
  const terms = { id: "ab".repeat(16), scopes: ["call:echo"], expires: 1e13 } as const;
  return [signInvite(identity, terms), newApiKey(identity.peerId).token];
}

const [OURS, OTHERS] = [tokensOf("server"), tokensOf("other")];
const ALL = ["junk", ...OTHERS, ...OURS, "kith1.", `kithkey1.${"ab".repeat(20)}`];

for (const [where, make] of Object.entries(NETWORKS)) {
  Deno.test(`Endpoint shows each token to the peer that made it, and to no other, in ${where}`, async () => {
    await using scene = await Scene.open({ network: make() }, { network: make(), tokens: ALL });
    const link = await scene.connect();
    assertEquals([(await scene.back()).tokens, link.tokens], [OURS, []]);
    assert(ALL.every((token) => !scene.saw(token)), "a token passed in the clear");
    for (const [name, shown] of [["other", OTHERS], ["third", []]] as const) {
      const at = { hostname: name, port: 1 };
      const endpoint = await scene.served.open(name, { ...at, network: make() });
      await scene.client.connect(at);
      await settle();
      assertEquals([...endpoint.links].map(({ tokens }) => tokens), [shown], name);
    }
  });

  Deno.test(`Endpoint shows tokens before anything else is said, in ${where}`, async () => {
    await using scene = await Scene.open({ network: make() }, { network: make(), tokens: ALL });
    const shown: unknown[] = [];
    scene.server.handle("early", (_, { link }) => shown.push(link?.tokens), { inline: true });
    scene.client.onLink((link) => void link.post("early", {}));
    await using _link = await scene.connect();
    await settle();
    assertEquals(shown, [OURS]);
  });
}

Deno.test("Endpoint says nothing of tokens in its hello, nor at all to who made none of them", async () => {
  for (const [tokens, wanted] of [[ALL, [":show", "early"]], [OTHERS, ["early"]]] as const) {
    await using served = new Served();
    const listener = await served.network.host("server").listen({ port: SERVER.port });
    const client = await served.client("client", { tokens });
    client.onLink((link) => void link.post("early", {}));
    const connecting = client.connect(SERVER);
    const connection = await listener.accept();
    assert(connection !== undefined);
    const server = new Introduction(identityOf("server"), () => infoOf("server"));
    const { channel, payload } = await acceptAs(connection, server, () => server.hello());
    assert(!("tokens" in decodeWireData(payload).body));
    const stranger = new Stranger(channel);
    await stranger.send(":accept", { version: 1 });
    await connecting;
    const said: unknown[] = [];
    while (said.length < wanted.length) said.push((await stranger.receive())?.header);
    assertEquals(said, [...wanted]);
    stranger.close();
    listener.close();
  }
});

Deno.test("Endpoint shows nothing to who connects to it, whoever made its tokens", async () => {
  await using scene = await Scene.open({ tokens: tokensOf("client") }, { tokens: OTHERS });
  await using link = await scene.connect();
  await using again = await scene.client.connect(SERVER, { shared: true });
  await settle();
  assertEquals([link, again, await scene.back()].map(({ tokens }) => tokens), [[], [], []]);
});

Deno.test("Endpoint shows eight tokens of one peer at most, and connects all the same", async () => {
  const many = Array.from({ length: 9 }, () => newApiKey(identityOf("server").peerId).token);
  await using scene = await Scene.open({}, { tokens: [...OTHERS, ...many] });
  await using link = await scene.connect();
  assertEquals((await scene.back()).tokens, many.slice(0, 8));
  assert(link.open);
});

Deno.test("A token that was shown lets its holder in from the first request on", async () => {
  await using scene = await Scene.open({
    access: "invited",
    isInvited: (_, { link }) => link?.tokens.includes(OURS[0] ?? "") ?? false,
  }, { tokens: ALL });
  scene.server.handle("echo", ({ value }) => value);
  await using link = await scene.connect();
  assertEquals(await link.request("echo", { value: 7 }), 7);
  await using guest = await (await scene.served.client("guest")).connect(SERVER);
  await assertRejects(() => guest.request("echo", {}), RemoteError, "needs an invite");
});

Deno.test("Link.show replaces what was shown before, which stays the same list until then", async () => {
  await using pair = await linkAndStranger();
  const { end: { link }, stranger } = pair;
  assertEquals(link.tokens, []);
  await stranger.send(":show", { tokens: ["a", "b"] });
  await settle();
  const first = link.tokens;
  assertEquals(first, ["a", "b"]);
  await stranger.send(":ping", {}, 1);
  await stranger.receive();
  assertStrictEquals(link.tokens, first);
  await stranger.send(":show", { tokens: ["c"] });
  await settle();
  assertEquals([link.tokens, first], [["c"], ["a", "b"]]);
  await stranger.send(":show", { tokens: [] });
  await settle();
  assertEquals(link.tokens, []);
});

Deno.test("Link takes eight tokens of 1,024 characters, and ends for more, longer ones and what is none", async () => {
  const most = Array.from({ length: 8 }, (_, n) => `${n}`.padEnd(1_024, "é"));
  await using kept = await linkAndStranger();
  await kept.stranger.send(":show", { tokens: most });
  await settle();
  assertEquals([kept.end.link.tokens, kept.end.link.open], [most, true]);

  const secret = "a-secret-that-nobody-shall-read";
  const malformed: readonly unknown[] = [
    [...most, secret],
    [secret, secret.padEnd(1_025, "x")],
    [secret, 7],
    [secret, null],
    [secret, new Uint8Array(3)],
    [[secret]],
    secret,
    { 0: secret, length: 1 },
    null,
    undefined,
  ];
  for (const tokens of malformed) {
    await using pair = await linkAndStranger();
    const { end: { link, log, metrics }, stranger } = pair;
    await stranger.send(":show", tokens === undefined ? {} : { tokens });
    const told = await stranger.receive();
    assertEquals([told?.header, told?.body.code], [":error", "bad-message"]);
    stranger.close();
    const why = await link.closed;
    assertEquals([link.tokens, metrics.snapshot()["link.bad-message"]], [[], 1]);
    const said = [Deno.inspect(told?.body), Deno.inspect(why), Deno.inspect(log.lines)];
    for (const text of said) {
      assert(text.includes('":show": tokens must be at most 8 texts of 1024 characters'), text);
      assert(!text.includes(secret), text);
    }
  }
});

Deno.test("A link that is printed shows no tokens, at either end", async () => {
  await using scene = await Scene.open({}, { tokens: ALL });
  const link = await scene.connect();
  const back = await scene.back();
  assertEquals(back.tokens, OURS);
  for (const value of [link, back, scene.client, scene.server]) {
    const printed = Deno.inspect(value, { depth: 9, iterableLimit: 1_000, strAbbreviateSize: 1e5 });
    const text = [printed, JSON.stringify({ ...value }), String(value)].join();
    for (const token of ALL.slice(1)) {
      assert(!text.includes(token.slice(0, 60)), "a token is shown");
    }
  }
});

Deno.test("Endpoint shows its tokens on a shared link, whoever opened that", async () => {
  await using served = await Served.open();
  const { endpoint } = served;
  const alice = await served.open("alice", { hostname: "alice", port: 1, tokens: ALL });
  const theirs = await endpoint.connect({ hostname: "alice", port: 1 }, { shared: true });
  await settle();
  assertEquals(theirs.tokens, []);
  for (const _ of ["the first time", "and not again"]) {
    await alice.connect(SERVER, { shared: true });
    await settle();
    const shown = [...endpoint.links].filter(({ open }) => open).map(({ tokens }) => tokens);
    assert(shown.length > 0 && shown.every((tokens) => `${tokens}` === `${OURS}`), `${shown}`);
  }
});

Deno.test("Link keeps a token that is shown many times once: each costs a signature to check", async () => {
  await using pair = await linkAndStranger();
  await pair.stranger.send(":show", { tokens: ["a", "b", "a", "a"] });
  await settle();
  assertEquals(pair.end.link.tokens, ["a", "b"]);
});
