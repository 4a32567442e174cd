import { assertEquals, assertThrows } from "@std/assert";
import { ManualClock } from "../../../src/clock.ts";
import { BroadcastLan } from "../../../src/discovery/dialects/broadcasts_lan.ts";
import {
  WITCH_NODE_PORT,
  WITCH_PRESENCE_PORT,
  WitchAnnouncer,
  type WitchServerAnnouncement,
} from "../../../src/discovery/dialects/witch_announcer.ts";
import { InvalidPacketError, UnsupportedError } from "../../../src/errors.ts";
import { CountingClock } from "../../endpoint/fixture.ts";
import { bytesOf, loadVector } from "../../testdata/vectors.ts";
import { BroadcastTown, interfaceOf, text } from "./broadcasts_fixture.ts";

const PORTS = { presence: WITCH_PRESENCE_PORT, node: WITCH_NODE_PORT };
const SERVER: WitchServerAnnouncement = {
  nodeId: "x",
  name: "X",
  port: 9,
  hash: "1608ea132b3bebbb",
  protocols: ["DEFAULT"],
  projectId: "proj",
};

Deno.test("WitchAnnouncer sends presence as the original does, with the tag of its project", async () => {
  await using town = new BroadcastTown();
  const ear = await town.ear("ear", WITCH_PRESENCE_PORT);
  const moment = new Date(2026, 0, 2, 3, 4, 5, 678).getTime() + 0.901;
  const options = { ...town.on("192.0.2.1"), clock: new ManualClock({ epochMs: moment }) };
  const announce = { nodeId: "n2", name: "hé", port: 8888, protocols: ["v1", "v2"] };
  await using _announcer = announcer(options, { ...announce, projectId: "p" });
  await town.clock.advance(0);
  const golden = text(bytesOf(loadVector("witch.discovery", "n2")));
  const tagged = golden.replace('"v2"]', '"v2", "PROJECT:p"]');
  assertEquals(ear.heard.map(({ data }) => text(data)), [tagged]);
});

Deno.test("WitchAnnouncer sends the form that the original's listener takes, where there is a hash", async () => {
  await using town = new BroadcastTown();
  const ear = await town.ear("ear", WITCH_NODE_PORT);
  await using _announcer = announcer(town.on("home"), SERVER);
  const { hash: _, ...unhashed } = SERVER;
  await using _other = announcer(town.on("away"), unhashed);
  await town.clock.advance(0);
  const name = "node_discovery accepted by the 8890 listener (never emitted by the original)";
  const golden = text(bytesOf(loadVector("witch.broadcast", name)));
  const withoutIp = golden.replace(/"ip": "[^"]*", /, "");
  assertEquals(ear.heard.map(({ data }) => text(data)), [withoutIp]);
});

Deno.test("WitchAnnouncer announces every 5 s, by every interface there is by then", async () => {
  await using town = new BroadcastTown();
  const ear = await town.ear("ear", WITCH_PRESENCE_PORT);
  const all = [interfaceOf("home")];
  await using _announcer = announcer({ ...town.on("home"), interfaces: () => all }, SERVER);
  await town.clock.advance(4_999);
  assertEquals(ear.heard.length, 1);
  all.unshift(interfaceOf("10.9.9.9")); // not to be had
  all.push(interfaceOf("127.0.0.1", "ear")); // its limited broadcast adds nothing
  await town.clock.advance(1);
  assertEquals(ear.heard.length, 3);
  assertEquals(town.count("failures"), 1);
});

Deno.test("WitchAnnouncer stops after as many times as it is told, and is done", async () => {
  await using town = new BroadcastTown();
  const clock = new CountingClock();
  const ear = await town.ear("ear", WITCH_PRESENCE_PORT);
  await using counted = announcer({ ...town.on("home"), clock }, SERVER, 2);
  await clock.advance(60_000);
  await counted.done;
  assertEquals([ear.heard.length, clock.timers], [2, 0]);
});

Deno.test("WitchAnnouncer.close stops, is harmless twice, and leaves nothing", async () => {
  await using town = new BroadcastTown();
  const clock = new CountingClock();
  const ear = await town.ear("ear", WITCH_PRESENCE_PORT);
  const closing = announcer({ ...town.on("home"), clock }, SERVER);
  await clock.advance(5_000);
  await Promise.all([closing.close(), closing.close()]);
  await closing.done;
  await clock.advance(60_000);
  assertEquals([ear.heard.length, clock.timers], [2, 0]);
});

Deno.test("WitchAnnouncer.open refuses what nobody could read, and says what is missing", async () => {
  await using town = new BroadcastTown();
  const open = (changes: Partial<WitchServerAnnouncement>, repeat?: number) => () =>
    announcer(town.on("home"), { ...SERVER, ...changes }, repeat);
  assertThrows(open({ port: 0 }), RangeError, "port must be 1..65535");
  assertThrows(open({ nodeId: "" }), RangeError, "nodeId must have 1 to 128 characters");
  assertThrows(open({ nodeId: "n".repeat(129) }), RangeError, "it has 129");
  assertThrows(open({ hash: "ABCDEF" }), TypeError, "lower-case hex");
  assertThrows(open({}, 0), RangeError, "repeat must be an integer above 0");
  assertThrows(open({}, 1.5), RangeError);
  const big = assertThrows(open({ name: "n".repeat(1_000) }), InvalidPacketError);
  assertEquals(big.details.limit, "MAX_WITCH_PRESENCE_BYTES");
  const interfaces = () => {
    throw new UnsupportedError("Cannot list network interfaces");
  };
  assertThrows(() => announcer({ ...town.on("home"), interfaces }, SERVER), UnsupportedError);
});

function announcer(
  options: ConstructorParameters<typeof BroadcastLan>[1],
  announce: WitchServerAnnouncement,
  repeat = Infinity,
): WitchAnnouncer {
  return WitchAnnouncer.open(new BroadcastLan("witch", options), {
    announce,
    ports: PORTS,
    repeat,
  });
}
