import { assertEquals, assertMatch } from "@std/assert";
import { PageClient, type Shown } from "../page/fixture.ts";
import { EVIL } from "./odd_server.ts";
import { Scratch } from "./scratch.ts";
import { Up } from "./up.ts";

/** The next message that fits. */
async function until(page: PageClient, fits: (message: Shown) => boolean): Promise<Shown> {
  for (;;) {
    const message = await page.next();
    if (fits(message)) return message;
  }
}

/** What opens both sockets of a page. */
async function openPage(url: string): Promise<[data: PageClient, signal: PageClient]> {
  const open = async (mark: string) => {
    const client = await PageClient.open(url);
    client.send({ header: `${mark}hello` });
    await client.settled();
    return client;
  };
  return await Promise.all([open("0"), open("1")]);
}

Deno.test("up prints rumors of both kinds, shows a page what comes, and lets it decide and send what is shared", async () => {
  await using scratch = await Scratch.make();
  const file = await scratch.write("notes.txt", "hello");
  await scratch.write("share/notes.txt", "shared");
  const page = ["--page", "--share-from", scratch.path("share"), "--dir", scratch.path("inbox")];
  await using bob = await Up.start(["--name", "bob", "--dialect", "peerconnect", ...page]);
  const { page: url } = await bob.kith.event("ready");
  assertEquals(url, `ws://127.0.0.1:${bob.http}/page`);
  const [data, signal] = await openPage(String(url));
  const running = [
    ["rumor", EVIL, "--json"],
    ["rumor", "hé", "there", "--dialect", "peerconnect", "--json"],
    ["send", file, "--to", bob.address, "--json"],
    ["msg", bob.address, "hi", "--json"],
  ].map((line) => bob.run(line));

  let isOffered = false;
  let isTextShown = false;
  await until(data, ({ header, content, msgId }) => {
    if (header === "0a file recv request has been arrived") {
      isOffered = true;
      data.send({ header: "0answer", content: { accept: true }, msgId });
    }
    isTextShown ||= header === "0received text" && content === "hi";
    return isOffered && isTextShown;
  });
  await until(signal, ({ header, content }) => {
    return header === "1transfer update" && "confirmation" in Object(content);
  });
  const [told] = await Promise.all(running.map(async (run) => {
    const { code, events, stderr } = await run;
    assertEquals(code, 0, stderr);
    return events;
  }));
  assertEquals(told?.[0]?.dialect, "native");
  const native = await bob.kith.event("rumor", ({ dialect }) => dialect === "native");
  assertEquals([Object.keys(native), native.data], [["event", "dialect", "from", "data"], EVIL]);
  assertMatch(String(native.from), /^[0-9a-f]{40}$/);
  const foreign = await bob.kith.event("rumor", ({ dialect }) => dialect === "peerconnect");
  assertEquals(foreign.data, "hé there");
  assertMatch(String(foreign.from), /^127\.0\.0\.1:\d+$/);

  const ask = { header: "0send_file_to_peer", content: file, peerId: bob.peerId };
  const refused = await data.ask(ask);
  assertEquals([refused.header, Object(refused.content).code], ["0error", "not-allowed"]);
  for (const client of [data, signal]) client.close();
  await Promise.all([data.closed, signal.closed]);
  assertEquals((await bob.kith.interrupt()).code, 130);
});
