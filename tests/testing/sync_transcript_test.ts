import { assertEquals } from "@std/assert";
import { SyncSession } from "../../src/sync/session.ts";
import { syncMessages } from "../../src/testing/sync_messages.ts";
import { checkTranscript, type TranscriptLine } from "../../src/testing/sync_transcript.ts";

const make = syncMessages(1);
const CUT = { from: "network", cut: true } as const;
const SESSION = "5e55104a";

function client(...args: Parameters<typeof make.client>): TranscriptLine {
  return { from: "client", message: make.client(...args) };
}

function server(...args: Parameters<typeof make.server>): TranscriptLine {
  return { from: "server", message: make.server(...args) };
}

function welcome(session?: string, received = 0): TranscriptLine {
  const resume = { session: session ?? "", received };
  return server("client_connect", session === undefined ? {} : { resume });
}

function problems(...lines: readonly TranscriptLine[]): string[] {
  return checkTranscript(lines).map(({ index, from, problem }) => `${index} ${from}: ${problem}`);
}

Deno.test("checkTranscript finds nothing wrong with the seed's flows", () => {
  const flows = [
    [client("client_connect"), welcome(), client("file_changed"), server("file_changed")],
    [client("client_connect"), welcome(), client("heartbeat"), server("heartbeat")],
    [client("client_connect"), welcome(), client("sync_request"), server("sync_response")],
    [client("client_connect"), server("client_connect", { success: false }), server("error")],
    [server("client_joined"), client("client_connect"), welcome(), client("client_disconnect")],
  ];
  for (const flow of flows) assertEquals(problems(...flow, CUT, ...flow), []);
});

Deno.test("checkTranscript names what breaks the rules of its type, and where", () => {
  const lines = [
    client("client_connect"),
    welcome(),
    { from: "client", message: { type: "heartbeat", data: {} } } as const,
    { from: "server", message: "no message" } as const,
  ];
  assertEquals(problems(...lines), [
    "2 client: client_id is missing; timestamp is missing; data.client_id is missing; " +
    "data.timestamp is missing",
    "3 server: it is not a JSON object",
  ]);
});

Deno.test("checkTranscript names what comes out of order", () => {
  const other = syncMessages(2).client("heartbeat");
  const cases: [TranscriptLine[], string[]][] = [
    [[client("heartbeat")], ["0 client: heartbeat comes before client_connect"]],
    [[client("client_connect"), welcome(), client("client_connect")], [
      "2 client: client_connect has come already",
    ]],
    [[client("client_connect"), server("heartbeat"), welcome()], [
      "1 server: heartbeat comes before the answer to client_connect",
    ]],
    [[client("client_connect"), welcome(), welcome()], [
      "2 server: client_connect answers nothing",
    ]],
    [
      [
        client("client_connect"),
        server("client_connect", { success: false }),
        server("file_changed"),
      ],
      ["2 server: file_changed comes after a refusal"],
    ],
    [[client("client_connect"), welcome(), { from: "client", message: other }], [
      `2 client: client_id is not ${make.clientId}, which has connected`,
    ]],
    [[client("client_connect"), welcome(), client("client_disconnect"), client("heartbeat")], [
      "3 client: heartbeat comes after client_disconnect",
    ]],
    [[client("client_connect"), welcome(), server("sync_response")], [
      "2 server: data.round 1 is of no sync_request",
    ]],
  ];
  for (const [lines, expected] of cases) assertEquals(problems(...lines), expected);
});

/** A message with the numbers that a session gives it. */
function numbered(line: TranscriptLine, numbers: { seq?: number; ack?: number }): TranscriptLine {
  return line.from === "network"
    ? line
    : { ...line, message: { ...line.message as object, ...numbers } };
}

Deno.test("checkTranscript follows the numbers of a session across cuts", () => {
  const [a, b] = [client("file_changed"), client("file_changed")];
  const begin = [client("client_connect"), welcome(SESSION)];
  const goesOn = [CUT, client("client_connect"), welcome(SESSION, 1)];
  const one = numbered(a, { seq: 1, ack: 0 });
  const two = numbered(b, { seq: 2, ack: 0 });
  assertEquals(problems(...begin, one, two, ...goesOn, two), []);
  assertEquals(problems(...begin, one, numbered(b, { seq: 3 })), ["3 client: seq 3 is not 2"]);
  assertEquals(problems(...begin, one, two, ...goesOn, numbered(a, { seq: 2 })), [
    "7 client: seq 2 was another message before",
  ]);
  assertEquals(problems(...begin, numbered(a, { seq: 1, ack: 1 })), [
    "2 client: ack 1 is of nothing that was said",
  ]);
  const ofServer = numbered(server("heartbeat"), { seq: 1 });
  const acknowledged = numbered(a, { seq: 1, ack: 1 });
  assertEquals(problems(...begin, ofServer, acknowledged, numbered(b, { seq: 2, ack: 0 })), [
    "4 client: ack 0 was 1 before",
  ]);
  assertEquals(problems(client("client_connect"), welcome(), one), [
    "2 client: it has a number, and there is no session",
  ]);
  assertEquals(
    problems(...begin, one, two, CUT, client("client_connect"), welcome("another"), one),
    [],
  );
});

Deno.test("checkTranscript agrees with what SyncSession does", () => {
  const [ours, theirs] = [
    new SyncSession({ name: SESSION }),
    new SyncSession({ name: SESSION, ackEvery: 1 }),
  ];
  const lines: TranscriptLine[] = [client("client_connect"), welcome(SESSION)];
  for (let n = 0; n < 20; n++) {
    const said = JSON.parse(ours.send(JSON.stringify(make.client("file_changed"))));
    lines.push({ from: "client", message: said });
    const isLost = n % 3 === 2;
    if (!isLost) theirs.take(said);
    const answer = JSON.parse(theirs.send(JSON.stringify(make.server("heartbeat"))));
    lines.push({ from: "server", message: answer });
    ours.take(answer);
    if (!isLost) continue;
    lines.push(CUT, client("client_connect"), welcome(SESSION, theirs.point.received));
    for (const text of ours.resume(theirs.point.received) ?? []) {
      lines.push({ from: "client", message: JSON.parse(text) });
      theirs.take(JSON.parse(text));
    }
  }
  assertEquals(problems(...lines), []);
});
