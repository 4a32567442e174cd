import { assert, assertEquals, assertThrows } from "@std/assert";
import { InvalidPacketError } from "../../src/errors.ts";
import { Exchange } from "../../src/sync/exchange.ts";
import type { JsonObject, Sender } from "../../src/sync/message_types.ts";
import { heartbeatMessage } from "../../src/sync/messages.ts";
import { decodeMessage } from "../../src/sync/protocol.ts";
import { syncMessages } from "../../src/testing/sync_messages.ts";
import { until } from "../endpoint/web_fixture.ts";
import { Scratch, write } from "../sync/folder_fixture.ts";
import { hello, Hub } from "../sync/hub_fixture.ts";
import corpus from "../testdata/hostile_names.json" with { type: "json" };
import { contentsOf, Surroundings } from "./surroundings.ts";

const make = syncMessages(13);
const HOSTILE = Object.values(corpus.hostile).flat();

/** Every place of a message at which a path may stand, with that path. */
function messagesWith(path: string, from: Sender): { message: JsonObject; field: string }[] {
  const entry = { ...make.entry(), path };
  const change = make.client("file_changed", { operation: "create" });
  const rename = make.client("file_changed", { operation: "rename" });
  const instruction = { action: "receive", file_path: "a", entry: make.entry({ path: "a" }) };
  const request = { entries: [make.entry(), entry] };
  const places: [string, JsonObject, string][] = [
    ["file_changed", { ...change.data, file_path: path }, "data.file_path"],
    ["file_changed", { ...change.data, entry }, "data.entry.path"],
    ["file_changed", { ...rename.data, old_path: path }, "data.old_path"],
    ["file_changed", { ...rename.data, old_entry: entry }, "data.old_entry.path"],
    ["sync_request", request, "data.entries[1].path"],
    ["sync_response", { instructions: [{ ...instruction, file_path: path }] }, "[0].file_path"],
    ["sync_response", { instructions: [{ ...instruction, entry }] }, "[0].entry.path"],
    ["sync_response", { instructions: [{ ...instruction, copy_path: path }] }, "[0].copy_path"],
  ];
  return places.map(([type, data, field]) => {
    const { client_id: _id, ...common } = data as { client_id?: unknown };
    const id = from === "client" ? make.clientId : "server";
    return { message: { ...change, client_id: id, type, data: common }, field };
  });
}

Deno.test("T13 no message of live-sync carries a hostile path, wherever it stands in it", () => {
  assert(HOSTILE.length >= 300);
  for (const from of ["client", "server"] as const) {
    for (const path of HOSTILE) {
      for (const { message, field } of messagesWith(path, from)) {
        const text = JSON.stringify(message);
        assertThrows(() => decodeMessage(text, { from }), InvalidPacketError, field, text);
      }
    }
  }
});

Deno.test("T13 hostile paths make nothing around a hub's folder, and end only the connection they came on", async () => {
  await using scratch = new Scratch();
  Deno.mkdirSync(`${scratch.dir}/hub`);
  const surroundings = new Surroundings(scratch.dir);
  const folder = await scratch.folder("hub");
  await using hub = await Hub.open({
    limits: { maxFaults: 100 },
    onPort: (port) => void Exchange.open(folder, port, { role: "hub" }),
  });
  const honest = await hub.plain("honest");
  const messages = HOSTILE.flatMap((path) => messagesWith(path, "client").slice(0, 5));
  let connections = 0;
  for (let at = 0; at < messages.length; connections++) {
    const eve = await hub.stranger();
    await eve.send(hello(make.clientId, { capabilities: ["index", "batch"] }));
    await eve.next();
    // In batches, as more than are borne with.
    const batch = messages.slice(at, at += 200).map(({ message }) => message);
    await eve.send(JSON.stringify(batch));
    if (batch.length === 200) assertEquals(await eve.ending(), 4400);
    eve.socket.close();
    await until(() => hub.hub.status.clients.length === 1);
  }
  assert(connections > 5);
  await honest.send(heartbeatMessage({ clientId: "honest", wallMs: 0 }));
  assertEquals((await honest.next()).type, "heartbeat");
  const outside = surroundings.changes().filter((line) => !line.startsWith("+hub/.kith"));
  assertEquals(outside, []);
});

Deno.test("T13 a folder that is a link is neither followed nor replaced by what others tell", async () => {
  await using scratch = new Scratch();
  write(scratch.dir, "secret/a", "secret");
  const folder = await scratch.folder("hub");
  Deno.symlinkSync("../secret", `${folder.dir}/link`);
  Deno.symlinkSync("../secret/a", `${folder.dir}/file`);
  await folder.scan();
  write(folder.dir, "b", "b");
  await folder.scan();
  const sha256 = folder.index.get("b")?.sha256 ?? "";
  const facts = { size: 1, mode: 0o644, mtimeMs: 0, sha256, deleted: false, kind: "file" } as const;
  const version = new Map([[make.replica, 1]]);
  for (const path of ["link/a", "link/new", "file", "link"]) {
    await folder.takeIn([{ ...facts, path, version }], make.replica);
  }
  const gone = {
    ...facts,
    deleted: true,
    sha256: "",
    size: 0,
    version: new Map([[make.replica, 9]]),
  };
  await folder.takeIn([{ ...gone, path: "link/a" }, { ...gone, path: "link" }], make.replica);
  assertEquals(contentsOf(`${scratch.dir}/secret`), ["a: secret"]);
  assert(Deno.lstatSync(`${folder.dir}/link`).isSymlink);
  assert(Deno.lstatSync(`${folder.dir}/file`).isSymlink);
});
