import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { type Clock, systemClock } from "../../src/clock.ts";
import { WebPort } from "../../src/endpoint/web.ts";
import { Page, PAGE_PATH } from "../../src/page/page.ts";
import type { PageOptions } from "../../src/page/options.ts";
import { Peer } from "../../src/peer.ts";
import { pageParts } from "../../src/peer_page.ts";
import { PageClient, type Shown } from "../page/fixture.ts";

const HOSTNAME = "127.0.0.1";

/** Pages look around ten times as often, so that nobody has to wait for it. */
const HASTY: Clock = {
  ...systemClock,
  after: (delayMs, callback) => systemClock.after(delayMs / 10, callback),
};

/** A peer with its page, and what a browser has open there. */
class Desk implements AsyncDisposable {
  readonly peer: Peer;
  readonly page: Page;
  readonly data: PageClient;
  readonly signal: PageClient;
  readonly #stack: AsyncDisposableStack;

  private constructor(
    peer: Peer,
    page: Page,
    clients: readonly [PageClient, PageClient],
    stack: AsyncDisposableStack,
  ) {
    this.peer = peer;
    this.page = page;
    [this.data, this.signal] = clients;
    this.#stack = stack;
  }

  static async open(
    name: string,
    options: PageOptions,
    seeds: readonly string[] = [],
  ): Promise<Desk> {
    await using stack = new AsyncDisposableStack();
    const common = { hostname: HOSTNAME, port: 0, announce: false, seeds };
    const peer = stack.use(await Peer.open({ name, ...common }));
    const web = stack.use(await WebPort.open(peer.endpoint, { hostname: HOSTNAME, port: 0 }));
    const page = stack.use(new Page({ ...pageParts(peer, web), clock: HASTY }, options));
    const open = async (mark: string) => {
      const client = await PageClient.open(`ws://${HOSTNAME}:${web.address.port}${PAGE_PATH}`);
      stack.defer(() => client.closed.then(() => {}));
      stack.defer(() => client.close());
      client.send({ header: `${mark}hello` });
      await client.settled();
      return client;
    };
    const clients = await Promise.all([open("0"), open("1")]);
    return new Desk(peer, page, clients, stack.move());
  }

  get address(): string {
    return `${HOSTNAME}:${this.peer.address?.port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

/** The messages with a header, until one fits. */
async function shownUntil(
  client: PageClient,
  header: string,
  isLast: (content: Record<string, unknown>) => boolean,
): Promise<Shown[]> {
  const seen: Shown[] = [];
  for (;;) {
    const shown = await client.next();
    if (shown.header !== header) continue;
    seen.push(shown);
    if (isLast(shown.content as Record<string, unknown>)) return seen;
  }
}

Deno.test("Two peers' pages: a connection, a text, a file and a folder, each shown at both ends", async () => {
  const dir = await Deno.makeTempDir();
  await using _dir = { [Symbol.asyncDispose]: () => Deno.remove(dir, { recursive: true }) };
  await Deno.mkdir(`${dir}/shared/album`, { recursive: true });
  await Deno.writeTextFile(`${dir}/shared/note.txt`, "a note");
  await Deno.writeFile(`${dir}/shared/album/1.jpg`, new Uint8Array(3_000_000).fill(7));
  await using bob = await Desk.open("bob", {});
  await using alice = await Desk.open("alice", { shareFrom: `${dir}/shared` }, [bob.address]);
  const [{ peerId: bobId }, { peerId: aliceId }] = [bob.peer, alice.peer];

  // They meet.
  alice.signal.send({ header: "1connect_peer", peerId: bobId, msgId: "c" });
  const [met] = await shownUntil(alice.signal, "1new peer", () => true);
  assertEquals([met?.content, met?.peerId], [{ name: "bob", ip: HOSTNAME }, bobId]);
  const [came] = await shownUntil(bob.signal, "1new peer", () => true);
  assertEquals([came?.content, came?.peerId], [{ name: "alice", ip: HOSTNAME }, aliceId]);
  assertEquals((await alice.signal.ask({ header: "1connect_peer", peerId: bobId })).peerId, bobId);
  assertEquals(alice.peer.endpoint.links.size, 1);

  // A text.
  const sessions = bob.peer.sessions({ accept: () => true });
  const showing = (async () => {
    for await (const session of sessions) {
      for await (const text of session) bob.page.showText(session.from, String(text));
    }
  })();
  const sent = await alice.data.ask({ header: "0send_text", content: "hällo", peerId: bobId });
  assertEquals(sent.header, "0textsent");
  const [text] = await shownUntil(bob.data, "0received text", () => true);
  assertEquals([text?.content, text?.peerId], ["hällo", aliceId]);

  // Files, which bob's page is asked about.
  const receiver = bob.peer.receive({
    dir: `${dir}/inbox`,
    accept: (offer) => bob.page.decide(offer),
  });
  const receiving = (async () => {
    for await (const event of receiver) bob.page.showTransfer(event);
  })();
  const decide = async (accept: boolean) => {
    const [question] = await shownUntil(
      bob.data,
      "0a file recv request has been arrived",
      () => true,
    );
    bob.data.send({ header: "0answer", content: { accept }, msgId: question?.msgId });
    return question?.content as { paths: string[] };
  };
  const isOver = ({ confirmation, cancelled }: Record<string, unknown>) => {
    return confirmation !== undefined || cancelled !== undefined;
  };
  const send = async (header: string, path: string, accept: boolean) => {
    alice.data.send({ header, content: { path, peerList: [bobId] }, peerId: bobId, msgId: path });
    assert((await decide(accept)).paths[0]?.startsWith(path));
    return await shownUntil(alice.signal, "1transfer update", isOver);
  };
  const told = await send("0send_file_to_peer", "note.txt", true);
  assertEquals(told.map(({ content, msgId }) => [content, msgId]), [
    [{ item_path: "note.txt", received: 0, transfer_id: "0" }, "note.txt"],
    [{ item_path: "note.txt", received: 6, transfer_id: "0" }, null],
    [{ confirmation: true, transferId: "0" }, null],
  ]);
  const shown = await shownUntil(bob.signal, "1transfer update", isOver);
  assertEquals(shown.map(({ content }) => content), [
    { item_path: "note.txt", received: 6, transfer_id: "0" },
    { confirmation: true, transferId: "0" },
  ]);
  const album = await send("0send_dir_to_multiple_peers", "album", true);
  const { received } = album.at(-2)?.content as { received: number };
  assertEquals(received, 3_000_000);
  assertEquals((await Deno.stat(`${dir}/inbox/album/1.jpg`)).size, 3_000_000);
  assertEquals(await Deno.readTextFile(`${dir}/inbox/note.txt`), "a note");

  // And one that bob does not want.
  const [last] = (await send("0send_a_directory", "album", false)).slice(-1);
  const { error } = last?.content as { error: string };
  assertStringIncludes(error, "refused");
  receiver.close();
  await sessions.close();
  await Promise.all([showing, receiving]);

  // They part.
  await bob.peer.endpoint.close();
  const [gone] = await shownUntil(alice.signal, "1remove peer", () => true);
  assertEquals(gone?.peerId, bobId);
});

Deno.test("A page sees the members of the group, finds them by name, and what it connected ends with it", async () => {
  await using bob = await Desk.open("bob", {});
  await using alice = await Desk.open("alice", { style: "peerconnect" }, [bob.address]);
  bob.peer.join();
  // By then he is a member: a mere connection is shown, too, and may end before it is asked for.
  await alice.peer.join({ seeds: [bob.peer.address ?? { hostname: HOSTNAME, port: 0 }] }).ready;
  const [came] = await shownUntil(alice.signal, "1new peer", () => true);
  assertEquals(BigInt(String(came?.peerId)).toString(16).padStart(40, "0"), bob.peer.peerId);
  alice.signal.send({ header: "1send peer list", msgId: 1 });
  const [list] = await shownUntil(alice.data, "0result for send peer list", () => true);
  assertEquals(list?.content, [{ name: "bob", ip: HOSTNAME, peerId: came?.peerId }]);
  alice.signal.send({ header: "1search name", content: "BO", msgId: 2 });
  const [found] = await shownUntil(alice.data, "0result for search name", () => true);
  assertEquals(found?.content, list?.content);

  await alice.signal.ask({ header: "1connect_peer", peerId: came?.peerId });
  const kept = [...alice.peer.endpoint.links].filter(({ direction, shared }) =>
    direction === "out" && !shared
  );
  assert(kept.length > 0);
  await alice.page.close();
  await Promise.all(kept.map(({ closed }) => closed));
});

Deno.test("pageParts needs a web port, and keeps a bounded number of connections", async () => {
  await using peer = await Peer.open({ hostname: HOSTNAME, clientOnly: true });
  assertThrows(() => pageParts(peer, undefined), TypeError, "web");
  const never = () => new Promise<never>(() => {});
  const { endpoint, discovery } = peer;
  const host = { endpoint, discovery, membership: undefined, link: never, send: never };
  const parts = pageParts(host, { take: () => ({ [Symbol.dispose]() {} }) });
  const { signal } = new AbortController();
  for (let n = 0; n < 64; n++) void parts.connect(String(n), { signal });
  void parts.connect("0", { signal });
  await assertRejects(() => parts.connect("64", { signal }), Error, "maxKeptLinks");
});

Deno.test("pageParts closes a connection that comes when pages are served no more", async () => {
  await using bob = await Peer.open({ hostname: HOSTNAME, port: 0, announce: false });
  await using alice = await Peer.open({ hostname: HOSTNAME, clientOnly: true });
  const link = await alice.link(`${HOSTNAME}:${bob.address?.port}`);
  const { endpoint, discovery } = alice;
  const opening = Promise.withResolvers<typeof link>();
  const host = { endpoint, discovery, membership: undefined, link: () => opening.promise };
  const parts = pageParts({ ...host, send: () => Promise.resolve() }, {
    take: () => ({ [Symbol.dispose]() {} }),
  });
  const controller = new AbortController();
  const connecting = parts.connect(bob.peerId, { signal: controller.signal });
  controller.abort();
  opening.resolve(link);
  assertEquals((await connecting).peerId, bob.peerId);
  assertEquals(await link.closed, undefined);
});
