/**
 * Who takes another one's name, or another one's id for a name, gets nothing that was meant for that one: on real
 * sockets, with everything that he can announce.
 */

import { assertEquals, assertRejects } from "@std/assert";
import { Discovery } from "../../src/discovery/discovery.ts";
import { AuthError, NotFoundError } from "../../src/errors.ts";
import { Peer, type PeerOptions } from "../../src/peer.ts";
import { Identity } from "../../src/secure/identity.ts";
import { netTransport } from "../../src/transport/net.ts";
import { freeUdpPort, LOOPBACK } from "./tapped_peer.ts";

/** How long to look for who is there, and for who is not. */
const [FOUND_MS, MISSED_MS] = [10_000, 1_000];

/** Peers on the loopback address that find each other. */
class Street implements AsyncDisposable {
  readonly #discoveryPort: number;
  readonly #stack = new AsyncDisposableStack();
  /** What Mallory's peers were asked. */
  readonly stolen: unknown[] = [];

  private constructor(discoveryPort: number) {
    this.#discoveryPort = discoveryPort;
  }

  static async open(): Promise<Street> {
    return new Street(await freeUdpPort());
  }

  async peer(options: PeerOptions = {}): Promise<Peer> {
    const own = { hostname: LOOPBACK, port: 0, discoveryPort: this.#discoveryPort };
    return this.#stack.use(await Peer.open({ ...own, ...options }));
  }

  /** A peer that calls itself so and answers what others are asked; it may be announced by another name. */
  async mallory(called: string, announced = called): Promise<Peer> {
    const identity = Identity.generate();
    const mallory = await this.peer({ identity, name: called, announce: announced === called });
    mallory.handle("secret", ({ text }) => this.stolen.push(text));
    if (announced === called) return mallory;
    const tcpPort = mallory.address?.port ?? 0;
    const options = { transport: netTransport, hostname: LOOPBACK, port: this.#discoveryPort };
    const announce = { identity, name: announced, tcpPort };
    this.#stack.use(await Discovery.open({ ...options, announce }));
    return mallory;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

function tell(
  alice: Peer,
  target: string,
  peers: readonly Peer[] = [],
  timeoutMs = FOUND_MS,
): Promise<unknown> {
  const addresses = peers.flatMap(({ address }) => address ?? []);
  return alice.request(target, "secret", { text: "for bob" }, {
    timeoutMs,
    ...(addresses.length > 0 ? { peers: addresses } : {}),
  });
}

Deno.test("T12 a name that belongs to a peer is nobody else's, whatever is announced and said", async () => {
  await using street = await Street.open();
  const bob = Identity.generate();
  const alice = await street.peer({ clientOnly: true });
  alice.trust.add(bob.peerId, { name: "bob", policy: "pin" });
  const liar = await street.mallory("", "bob");
  await assertRejects(() => tell(alice, "bob"), NotFoundError, "another peer is there");
  await assertRejects(() => tell(alice, "bob", [liar]), NotFoundError, "another peer is there");

  const namesake = await street.mallory("bob");
  await assertRejects(() => tell(alice, "bob"), NotFoundError, "not one peer but 2");
  const error = await assertRejects(() => tell(alice, "bob", [namesake]), AuthError);
  assertEquals(error.code, "key-changed");
  // With Bob there, it goes to Bob, as long as all three answer.
  const told: unknown[] = [];
  const peer = await street.peer({ identity: bob, name: "bob" });
  peer.handle("secret", ({ text }) => told.push(text));
  await tell(alice, "bob");
  assertEquals([told, street.stolen], [["for bob"], []]);
});

Deno.test("T12 a name that nobody had yet is not taken by who is merely announced by it", async () => {
  await using street = await Street.open();
  const alice = await street.peer({ clientOnly: true });
  await street.mallory("mallory", "bob");
  await assertRejects(() => tell(alice, "bob"), NotFoundError, "another peer is there");
  assertEquals([street.stolen, alice.trust.list()], [[], []]);
});

Deno.test("T12 an id is nobody's name: who is called by its beginning is not meant by it", async () => {
  await using street = await Street.open();
  const { peerId } = Identity.generate();
  const alice = await street.peer({ clientOnly: true });
  for (const digits of [8, 16, 40]) {
    const target = peerId.slice(0, digits);
    const mallory = await street.mallory(target);
    const looking = tell(alice, target, [], MISSED_MS);
    await assertRejects(() => looking, NotFoundError, "these did");
    await assertRejects(() => tell(alice, target, [mallory]), NotFoundError, "another peer");
    await mallory.close();
  }
  assertEquals([street.stolen, alice.trust.list()], [[], []]);
});

Deno.test("T12 a name is the first one's who was reached by it, also at an address that was given", async () => {
  await using street = await Street.open();
  const alice = await street.peer({ clientOnly: true });
  const bob = await street.peer({ name: "bob", identity: Identity.generate() });
  const told: unknown[] = [];
  bob.handle("secret", ({ text }) => told.push(text));
  await tell(alice, "bob", [bob]);
  await bob.close();
  const mallory = await street.mallory("bob");
  for (const peers of [[], [mallory]]) {
    const error = await assertRejects(() => tell(alice, "bob", peers), AuthError);
    assertEquals(error.code, "key-changed");
  }
  assertEquals([told, street.stolen], [["for bob"], []]);
});
