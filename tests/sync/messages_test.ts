import { assert, assertEquals, assertMatch } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import { InvalidPacketError, LimitError } from "../../src/errors.ts";
import { clockOffsetMs, folderLabel, isClientId, makeClientId } from "../../src/sync/client_id.ts";
import { ERROR_CODES, errorData, errorFromData, factsOf } from "../../src/sync/error_codes.ts";
import { MessageType, type WebSocketMessage } from "../../src/sync/message_types.ts";
import {
  changeMessage,
  connectMessage,
  disconnectMessage,
  errorMessage,
  heartbeatMessage,
  refusalMessage,
  syncRequestMessage,
  syncResponseMessage,
  welcomeMessage,
} from "../../src/sync/messages.ts";
import { decodeMessage, encodeMessage, isKnown } from "../../src/sync/protocol.ts";

const WALL_MS = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
const WHEN = "2026-01-02T03:04:05.678Z";
const desk = { clientId: "desk_1767323045_00ff", wallMs: WALL_MS };
const server = { wallMs: WALL_MS };

function passed(message: WebSocketMessage, from: "client" | "server"): WebSocketMessage {
  const decoded = decodeMessage(encodeMessage(message), { from });
  assert(isKnown(decoded, from));
  return decoded;
}

Deno.test("the seed's connection flow", () => {
  const asked = connectMessage(desk, { name: "desk", folder: "/home/ann/photos", apiKey: "k" });
  assertEquals(passed(asked, "client") as unknown, {
    type: "client_connect",
    data: {
      client_id: "desk_1767323045_00ff",
      client_name: "desk",
      sync_root: "photos",
      api_key: "k",
      versions: [1, 1],
      capabilities: ["index", "resume", "batch", "deflate"],
    },
    client_id: "desk_1767323045_00ff",
    timestamp: WHEN,
  });
  assertEquals(passed(welcomeMessage(server), "server") as unknown, {
    type: "client_connect",
    data: { success: true, message: "Connected successfully", server_time: WHEN },
    client_id: "server",
    timestamp: WHEN,
  });
  const refused = passed(refusalMessage(server, "This id is taken"), "server");
  assertEquals([refused.data.success, refused.data.message], [false, "This id is taken"]);
  // As the seed's flow shows it, without the time.
  const bare = {
    type: "client_connect",
    data: { success: true, message: "Connected successfully" },
  };
  passed({ ...bare, client_id: "server", timestamp: WHEN }, "server");
});

Deno.test("the seed's notification of a changed file", () => {
  const change = {
    operation: "update",
    file_path: "document.txt",
    client_id: desk.clientId,
  } as const;
  const sent = passed(changeMessage(desk, change), "client");
  const told = passed(changeMessage(server, change), "server");
  assertEquals(sent as unknown, {
    type: "file_changed",
    data: change,
    client_id: desk.clientId,
    timestamp: WHEN,
  });
  assertEquals(told, { ...sent, client_id: "server" });
});

Deno.test("the seed's exchange of heartbeats", () => {
  assertEquals(passed(heartbeatMessage(desk), "client") as unknown, {
    type: "heartbeat",
    data: { client_id: desk.clientId, timestamp: WHEN },
    client_id: desk.clientId,
    timestamp: WHEN,
  });
  assertEquals(passed(heartbeatMessage(server), "server") as unknown, {
    type: "heartbeat",
    data: { timestamp: WHEN },
    client_id: "server",
    timestamp: WHEN,
  });
});

Deno.test("a client's goodbye, a request, its response and an error", () => {
  assertEquals(passed(disconnectMessage(desk), "client") as unknown, {
    type: "client_disconnect",
    data: {},
    client_id: desk.clientId,
    timestamp: WHEN,
  });
  assertEquals(passed(syncRequestMessage(desk, {}), "client").data, {});
  assertEquals(passed(syncResponseMessage(server, { instructions: [] }), "server").data, {
    instructions: [],
  });
  const data = errorData(new InvalidPacketError("bad-message", "Cannot decode: x is missing"));
  assertEquals(passed(errorMessage(server, data), "server").data, {
    error_code: "INVALID_MESSAGE",
    message: "Cannot decode: x is missing",
    details: "",
  });
});

Deno.test("MessageType has the seed's names", () => {
  assertEquals({ ...MessageType }, {
    CLIENT_CONNECT: "client_connect",
    CLIENT_DISCONNECT: "client_disconnect",
    FILE_CHANGED: "file_changed",
    SYNC_REQUEST: "sync_request",
    SYNC_RESPONSE: "sync_response",
    HEARTBEAT: "heartbeat",
    ERROR: "error",
  });
});

Deno.test("makeClientId is name, time and chance, and fits whatever the name", () => {
  assertMatch(makeClientId("desk", WALL_MS), /^desk_1767323045_[0-9a-f]{16}$/);
  assert(makeClientId("desk", WALL_MS) !== makeClientId("desk", WALL_MS));
  for (const name of ["", "Ann's büro", "日本", "x".repeat(500), "\u001b[2J", "a_b.c-d"]) {
    assert(isClientId(makeClientId(name, WALL_MS)), name);
  }
  assert(!isClientId("") && !isClientId("a b") && !isClientId("x".repeat(129)));
});

Deno.test("folderLabel never says where a folder is", () => {
  const labels = {
    "/home/ann/photos/": "photos",
    "C:\\Users\\ann\\docs": "docs",
    "C:\\": "C",
    "/": "folder",
    "": "folder",
    "..": "folder",
    "été\u202e\u0000": "été",
    [`/x/${"y".repeat(500)}`]: "y".repeat(64),
  };
  for (const [path, label] of Object.entries(labels)) assertEquals(folderLabel(path), label);
});

Deno.test("clockOffsetMs is what the server's clock is ahead, and nothing where it cannot be read", () => {
  const clock = new ManualClock();
  const sentMs = clock.wallMs();
  const serverTime = new Date(sentMs + 5_000).toISOString();
  assertEquals(clockOffsetMs(serverTime, sentMs, sentMs + 200), 4_900);
  assertEquals(clockOffsetMs("2026-01-01T00:00:00.678901+00:00", sentMs, sentMs), 678);
  assertEquals(clockOffsetMs("soon", 0, 0), undefined);
  assertEquals(clockOffsetMs(undefined, 0, 0), undefined);
});

Deno.test("errorData tells of our errors their text and limit, and of others nothing", () => {
  const limit = new LimitError("limit", "Too many files", {
    details: { limit: "maxFiles", max: 3 },
  });
  assertEquals(errorData(limit), {
    error_code: "LIMIT_REACHED",
    message: "Too many files",
    details: "limit maxFiles is 3",
  });
  const secret = new Error("ENOENT: /home/ann/secret");
  assertEquals(errorData(secret), {
    error_code: "INTERNAL_ERROR",
    message: "The server failed",
    details: "",
  });
  const json = new InvalidPacketError("bad-message", "x", {
    details: { errorCode: "INVALID_JSON" },
  });
  assertEquals(errorData(json).error_code, "INVALID_JSON");
  assertEquals(errorData(json, "UNKNOWN_TYPE").error_code, "UNKNOWN_TYPE");
  const large = new InvalidPacketError("too-large", "x", {
    details: { errorCode: "INVALID_JSON" },
  });
  assertEquals(errorData(large).error_code, "MESSAGE_TOO_LARGE");
});

Deno.test("errorFromData reads the seed's form and the published server's, made safe to print", () => {
  const ours = errorFromData({ error_code: "NOT_ALLOWED", message: "no\u001b[2J", details: "d" });
  assertEquals([ours.code, ours.message], ["not-allowed", "no\\u{1b}[2J"]);
  assertEquals(ours.details, { errorCode: "NOT_ALLOWED", category: "operation", details: "d" });
  const plain = errorFromData({ error: "text of the exception" });
  assertEquals([plain.code, plain.message], ["internal", "text of the exception"]);
  const odd = errorFromData({ error_code: "constructor", message: "x".repeat(9_999) });
  assertEquals([odd.code, odd.details], ["internal", { errorCode: "constructor" }]);
  assert(odd.message.length < 600);
  assertEquals(errorFromData({}).message, "The other side has met with an error");
});

Deno.test("ERROR_CODES are of the seed's four categories, each with some", () => {
  const categories = Object.values(ERROR_CODES).map(({ category }) => category);
  assertEquals([...new Set(categories)], ["connection", "protocol", "operation", "system"]);
  assertEquals(factsOf("INVALID_JSON")?.category, "protocol");
  assertEquals(factsOf("toString"), undefined);
});
