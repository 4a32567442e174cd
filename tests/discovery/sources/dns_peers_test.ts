import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { DnsPeers, parsePeerRecord } from "../../../src/discovery/sources/dns_peers.ts";
import { TransportError, UnsupportedError } from "../../../src/errors.ts";
import { silentLogger } from "../../../src/log.ts";
import { formatAddress } from "../../../src/transport/mod.ts";
import { CountingClock } from "../../endpoint/fixture.ts";
import { Generator } from "../../fuzz/generate.ts";

const ID = "0b".repeat(20);

/** A domain that is asked, what it is found to name and what is said of it. */
class Scene implements AsyncDisposable {
  readonly clock = new CountingClock();
  readonly said: string[] = [];
  asked = 0;
  /** What the name server does. */
  answer: () => Promise<readonly string[]> = () => Promise.resolve([]);
  readonly peers = new DnsPeers({
    name: "peers.example",
    resolveTxt: () => {
      this.asked++;
      return this.answer();
    },
    clock: this.clock,
    log: { ...silentLogger, warn: (_, fields) => void this.said.push(`${fields?.why}`) },
  });
  readonly #end = new AbortController();
  readonly #following: Promise<void>[] = [];

  /** Looks for peers. @returns what is found, as it comes. */
  async look(): Promise<string[]> {
    const named: string[] = [];
    this.#following.push((async () => {
      for await (const { address } of this.peers.find({ signal: this.#end.signal })) {
        named.push(formatAddress(address));
      }
    })());
    await this.clock.advance(0);
    return named;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort();
    await Promise.all(this.#following);
    assertEquals(this.clock.timers, 0);
  }
}

Deno.test("parsePeerRecord reads an address, with an id or without, and nothing else", () => {
  assertEquals(parsePeerRecord("kith=bob.example:80"), {
    address: { hostname: "bob.example", port: 80 },
  });
  assertEquals(parsePeerRecord(`kith=${ID.toUpperCase()}@[2001:db8::1]:80`), {
    address: { hostname: "2001:db8::1", port: 80 },
    peerId: ID,
  });
  for (
    const text of [
      "",
      "kith=",
      "kith=bob",
      "kith=bob:0",
      "kith=@bob:80",
      "kith=0b@bob:80",
      "v=spf1",
      "Kith=bob:80",
      `kith=${ID}@a@b:80`,
    ]
  ) assertEquals(parsePeerRecord(text), undefined, text);
  const generator = new Generator(7);
  for (let n = 0; n < 300; n++) {
    const text = new TextDecoder().decode(generator.bytes(generator.below(60)));
    assertEquals(parsePeerRecord(text), undefined);
  }
});

Deno.test("DnsPeers names what the records hold, and asks again after a minute", async () => {
  await using scene = new Scene();
  scene.answer = () => Promise.resolve(["v=spf1 -all", "kith=a:1", "kith=nothing", "kith=b:2"]);
  const named = await scene.look();
  assertEquals(named.splice(0), ["a:1", "b:2"]);
  scene.answer = () => Promise.resolve(["kith=c:3"]);
  await scene.clock.advance(59_999);
  assertEquals([named.length, scene.asked], [0, 1]);
  await scene.clock.advance(1);
  assertEquals([named.splice(0), scene.asked], [["c:3"], 2]);
});

Deno.test("DnsPeers asks once a minute however many look, and all of them hear the answer", async () => {
  await using scene = new Scene();
  const slow = Promise.withResolvers<readonly string[]>();
  scene.answer = () => slow.promise;
  const [one, two] = [await scene.look(), await scene.look()];
  slow.resolve(["kith=a:1"]);
  await scene.clock.advance(30_000);
  const three = await scene.look();
  assertEquals([one, two, three, scene.asked], [["a:1"], ["a:1"], ["a:1"], 1]);
});

Deno.test("DnsPeers looks at 64 records of ours at most", async () => {
  await using scene = new Scene();
  const records = Array.from({ length: 70 }, (_, n) => [`kith=a:${n + 1}`, "v=other"]).flat();
  scene.answer = () => Promise.resolve(records);
  assertEquals((await scene.look()).length, 64);
  assertEquals(scene.said, ["70 records exceed maxRecords 64"]);
});

Deno.test("DnsPeers says so when no name server answers, and keeps to what it knows", async () => {
  await using scene = new Scene();
  scene.answer = () => Promise.resolve(["kith=a:1"]);
  await scene.look();
  scene.answer = () => Promise.reject(new TransportError("timed out"));
  await scene.clock.advance(60_000);
  assertEquals([await scene.look(), scene.said], [["a:1"], ["timed out"]]);
});

Deno.test("DnsPeers asks again at once when who asked did not wait for the answer", async () => {
  await using scene = new Scene();
  const end = new AbortController();
  scene.answer = () =>
    new Promise((_, reject) =>
      end.signal.addEventListener("abort", () => reject(end.signal.reason))
    );
  const leaving = Array.fromAsync(scene.peers.find({ signal: end.signal }));
  await scene.clock.advance(0);
  end.abort();
  assertEquals(await leaving, []);
  scene.answer = () => Promise.resolve(["kith=a:1"]);
  assertEquals([await scene.look(), scene.said], [["a:1"], []]);
});

Deno.test("DnsPeers passes on which permission is missing, and refuses what is no domain", async () => {
  const scene = new Scene();
  scene.answer = () => Promise.reject(new UnsupportedError("run with --allow-net"));
  const { signal } = new AbortController();
  await assertRejects(() => scene.peers.find({ signal }).next(), UnsupportedError);
  for (
    const name of ["", ".", "a..b", "a b", "b\u00fccher.example", "x".repeat(64), "a.".repeat(127)]
  ) {
    assertThrows(() => new DnsPeers({ name }), TypeError, "must be a domain name");
  }
});
