import { assert, assertEquals } from "@std/assert";
import { AuthError, NotFoundError, RemoteError } from "../../src/errors.ts";
import { MAX_FOUND, PAGE_SERVICES, SEARCH_MS } from "../../src/page/page_headers.ts";
import { PROGRESS_MS } from "../../src/page/page_transfers.ts";
import { until } from "../endpoint/web_fixture.ts";
import { peerOf, Scene } from "./fixture.ts";

const BOB = peerOf("1", "Bob");
const CAROL = peerOf("2", "Carol");

/** A folder with a file to send. */
class Folder implements AsyncDisposable {
  readonly path: string;

  constructor() {
    this.path = Deno.realPathSync(Deno.makeTempDirSync());
    Deno.mkdirSync(`${this.path}/in`);
    for (const name of ["a.txt", "in/b.txt"]) Deno.writeTextFileSync(`${this.path}/${name}`, name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}

Deno.test("PAGE_SERVICES has every header that the original's pages send, and no other", () => {
  assertEquals([...PAGE_SERVICES.keys()].sort(), [
    "0send_a_directory",
    "0send_dir_to_multiple_peers",
    "0send_file_to_multiple_peers",
    "0send_file_to_peer",
    "0send_text",
    "1connect_peer",
    "1search name",
    "1send peer list",
    "1send profiles",
    "1set selected profile",
    "1sync users",
  ]);
});

Deno.test("1search name finds members at once and others within a second, on the data channel", async () => {
  await using scene = await Scene.open();
  scene.peers = [BOB];
  scene.around = [CAROL, peerOf("3", "robot"), peerOf("4", "")];
  const [data, signal] = await Promise.all([scene.client("0"), scene.client("1")]);
  const search = async (content: unknown) => {
    signal.send({ header: "1search name", content, msgId: 9 });
    await scene.settled();
    await scene.clock.advance(SEARCH_MS);
    const { header, content: found, msgId } = await data.next();
    assertEquals([header, msgId], ["0result for search name", 9]);
    return (found as { name: string }[]).map(({ name }) => name);
  };
  assertEquals(await search("OB"), ["Bob", "robot"]);
  assertEquals(await search("carol"), ["Carol"]);
  assertEquals(await search("nobody"), []);
  scene.around = Array.from({ length: 100 }, (_, n) => {
    return { peerId: n.toString(16).padStart(40, "0"), name: `many ${n}`, ip: "" };
  });
  assertEquals((await search("many")).length, MAX_FOUND);
  for (const content of [null, "", 7, {}, "x".repeat(65)]) {
    const { header, content: said } = await signal.ask({ header: "1search name", content });
    assertEquals([header, (said as { code: string }).code], ["1error", "bad-message"]);
  }
});

Deno.test("1search name is served four times at once", async () => {
  await using scene = await Scene.open();
  const client = await scene.client("1");
  for (let n = 0; n < 5; n++) client.send({ header: "1search name", content: "x", msgId: n });
  const { header, content, msgId } = await client.next();
  assertEquals([header, (content as { code: string }).code, msgId], ["1error", "limit", 4]);
  await scene.clock.advance(SEARCH_MS);
  await until(() => scene.page.waiting === 4);
});

Deno.test("1sync users tells everybody again, and 1send peer list gives one list", async () => {
  await using scene = await Scene.open();
  scene.peers = [BOB, CAROL];
  const [data, signal] = await Promise.all([scene.client("0"), scene.client("1")]);
  signal.send({ header: "1sync users", msgId: "a" });
  for (const peer of [BOB, CAROL]) {
    const { header, content, peerId, msgId } = await signal.next();
    assertEquals([header, peerId, msgId], ["1new peer", peer.peerId, "a"]);
    assertEquals(content, { name: peer.name, ip: peer.ip });
  }
  signal.send({ header: "1send peer list", msgId: "b" });
  const { header, content, msgId } = await data.next();
  assertEquals([header, msgId], ["0result for send peer list", "b"]);
  assertEquals(content, [BOB, CAROL].map(({ name, ip, peerId }) => ({ name, ip, peerId })));
});

Deno.test("1connect_peer answers with the peer, or that it was not reached", async () => {
  const connect = (peerId: string) => {
    return peerId === BOB.peerId
      ? Promise.resolve(BOB)
      : Promise.reject(new NotFoundError("no-peer", "Cannot reach peer"));
  };
  await using scene = await Scene.open({ parts: { connect } });
  const client = await scene.client("1");
  const reached = await client.ask({ header: "1connect_peer", peerId: BOB.peerId });
  assertEquals([reached.header, reached.peerId], ["1new peer", BOB.peerId]);
  const failed = await client.ask({ header: "1connect_peer", peerId: CAROL.peerId });
  assertEquals([failed.header, failed.peerId], ["1failed to reach", CAROL.peerId]);
  assertEquals(failed.content, { code: "no-peer", message: "Cannot reach peer" });
  for (const peerId of [null, "bob", "127.0.0.1:3485", "ws://127.0.0.1"]) {
    const { header, content } = await client.ask({ header: "1connect_peer", peerId });
    assertEquals([header, (content as { code: string }).code], ["1error", "bad-message"]);
  }
});

Deno.test("0send_text is confirmed when the peer has taken it", async () => {
  const refused = new RemoteError("denied", "not \u001b[2J today".repeat(99));
  await using scene = await Scene.open();
  const client = await scene.client("0");
  const sent = await client.ask({ header: "0send_text", content: "hé", peerId: BOB.peerId });
  assertEquals([sent.header, sent.peerId], ["0textsent", BOB.peerId]);
  assertEquals(scene.done, [["text", BOB.peerId, "hé"]]);
  for (const content of ["", null, 5, { text: "x" }]) {
    const { header } = await client.ask({ header: "0send_text", content, peerId: BOB.peerId });
    assertEquals(header, "0error");
  }
  assertEquals(scene.done.length, 1);
  await using other = await Scene.open({ parts: { sendText: () => Promise.reject(refused) } });
  const page = await other.client("0");
  const { content } = await page.ask({ header: "0send_text", content: "x", peerId: "1" });
  const { code, message } = content as { code: string; message: string };
  assertEquals(code, "denied");
  assert(!message.includes("\u001b") && message.length < 1_000, message);
});

Deno.test("0send_file_to_peer and 0send_a_directory send from the shared folder, and say how it goes", async () => {
  await using folder = new Folder();
  await using scene = await Scene.open({ page: { shareFrom: folder.path } });
  const [data, signal] = await Promise.all([scene.client("0"), scene.client("1")]);
  const table = [
    ["0send_file_to_peer", "a.txt", ["a.txt"]],
    ["0send_file_to_peer", { paths: ["a.txt", "in/b.txt"] }, ["a.txt", "in/b.txt"]],
    ["0send_a_directory", { path: "in" }, ["in"]],
    ["0send_a_directory", { path: `${folder.path}/in` }, ["in"]],
  ] as const;
  for (const [at, [header, content, paths]] of table.entries()) {
    const [item_path, transfer_id] = [
      content === table[3][1] ? `${folder.path}/in` : paths[0],
      `${at}`,
    ];
    data.send({ header, content, peerId: BOB.peerId, msgId: `send ${at}` });
    const updates = [await signal.next(), await signal.next(), await signal.next()];
    assertEquals(updates.map((update) => [update.header, update.peerId]), [
      ...Array(3).fill(["1transfer update", BOB.peerId]),
    ]);
    assertEquals(updates.map(({ msgId }) => msgId), [`send ${at}`, null, null]);
    assertEquals(updates.map(({ content }) => content), [
      { item_path, received: 0, transfer_id },
      { item_path, received: 7, transfer_id },
      { confirmation: true, transferId: transfer_id },
    ]);
    assertEquals(scene.done.at(-1), [
      "paths",
      BOB.peerId,
      paths.map((path) => `${folder.path}/${path}`),
    ]);
  }
});

Deno.test("Files are not sent without a shared folder, from outside it, or for a message that lacks something", async () => {
  await using folder = new Folder();
  await Deno.mkdir(`${folder.path}/shared`);
  const headers = [...PAGE_SERVICES.keys()].filter((header) =>
    /send_(file|a_dir|dir)/.test(header)
  );
  assertEquals(headers.length, 4);
  for (const shareFrom of [undefined, `${folder.path}/shared`]) {
    await using scene = await Scene.open({ page: shareFrom === undefined ? {} : { shareFrom } });
    const client = await scene.client("0");
    const code = shareFrom === undefined ? "unsupported" : "not-allowed";
    for (const header of headers) {
      for (const path of ["../a.txt", `${folder.path}/a.txt`, "/etc/passwd"]) {
        const content = { path, peerList: [BOB.peerId] };
        const answer = await client.ask({ header, content, peerId: BOB.peerId });
        const said = answer.content as { code: string; message: string };
        assertEquals([answer.header, said.code], ["0error", code]);
        assertEquals(said.message.includes("shareFrom"), shareFrom === undefined);
        assert(path.startsWith("/") || !said.message.includes(folder.path), said.message);
      }
      for (
        const content of [null, 1, [], {}, { paths: [] }, { paths: "a" }, { paths: [1] }, {
          path: "",
        }]
      ) {
        const answer = await client.ask({ header, content, peerId: BOB.peerId });
        assertEquals((answer.content as { code: string }).code, "bad-message");
      }
    }
    assertEquals(scene.done, []);
  }
});

Deno.test("0send_file_to_multiple_peers and 0send_dir_to_multiple_peers go on when one peer fails", async () => {
  await using folder = new Folder();
  const sendPaths = (peerId: string) => {
    if (peerId === BOB.peerId) {
      return Promise.reject(new RemoteError("not-allowed", "The offer was refused"));
    }
    return Promise.resolve();
  };
  const page = { shareFrom: folder.path };
  await using scene = await Scene.open({ page, parts: { sendPaths } });
  const [data, signal] = await Promise.all([scene.client("0"), scene.client("1")]);
  const headers = ["0send_file_to_multiple_peers", "0send_dir_to_multiple_peers"];
  for (const [at, header] of headers.entries()) {
    const peerList = [BOB.peerId, CAROL.peerId, BOB.peerId];
    data.send({ header, content: { path: "in", peerList }, msgId: "x" });
    const [first, second] = [`${2 * at}`, `${2 * at + 1}`];
    const state = { item_path: "in", received: 0 };
    const seen = [];
    for (let n = 0; n < 5; n++) seen.push(await signal.next());
    assertEquals(seen.map(({ peerId, content }) => [peerId, content]), [
      [BOB.peerId, { ...state, transfer_id: first }],
      [BOB.peerId, {
        ...state,
        transfer_id: first,
        cancelled: true,
        error: "The offer was refused",
      }],
      [CAROL.peerId, { ...state, transfer_id: second }],
      [CAROL.peerId, { ...state, transfer_id: second }],
      [CAROL.peerId, { confirmation: true, transferId: second }],
    ]);
    const many = Array.from({ length: 65 }, (_, n) => n);
    for (const peerList of [undefined, [], "x", many, [BOB.peerId, "bob"], [null]]) {
      const answer = await data.ask({ header, content: { path: "in", peerList } });
      assertEquals((answer.content as { code: string }).code, "bad-message");
    }
  }
});

Deno.test("A transfer's updates come a few times a second, and say nothing of where files are", async () => {
  await using folder = new Folder();
  const scene = await Scene.open({
    page: { shareFrom: folder.path },
    parts: {
      async sendPaths(_peerId, _paths, { onProgress }) {
        for (let bytes = 1; bytes <= 100; bytes++) {
          onProgress(bytes);
          await scene.clock.advance(PROGRESS_MS / 10);
        }
        const { path } = folder;
        throw new AuthError("not-allowed", `Cannot read "${path}/a.txt"`, { details: { path } });
      },
    },
  });
  await using _scene = scene;
  const [data, signal] = await Promise.all([scene.client("0"), scene.client("1")]);
  data.send({ header: "0send_file_to_peer", content: "a.txt", peerId: BOB.peerId });
  const received: number[] = [];
  for (;;) {
    const text = await signal.text();
    assert(!text.includes(folder.path), text);
    const { content } = JSON.parse(text);
    received.push(content.received);
    if (!content.cancelled) continue;
    assertEquals(content.error, 'Cannot send "a.txt": it is not allowed');
    break;
  }
  assertEquals(received, [0, 11, 21, 31, 41, 51, 61, 71, 81, 91, 100]);
});

Deno.test("1send profiles and 1set selected profile are refused by name", async () => {
  await using scene = await Scene.open();
  const client = await scene.client("1");
  for (const header of ["1send profiles", "1set selected profile"]) {
    const answer = await client.ask({ header, content: "bob.ini" });
    assertEquals(answer.header, "1error");
    assertEquals(answer.content, {
      code: "unsupported",
      message: `Cannot serve "${header}": a kith peer has one identity and no profiles`,
    });
  }
});
