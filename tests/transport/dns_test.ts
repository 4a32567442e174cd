import { assert, assertEquals, assertRejects } from "@std/assert";
import { TransportError, UnsupportedError } from "../../src/errors.ts";
import { isDomainName, resolveTxt } from "../../src/transport/dns.ts";
import { openDatagram } from "../../src/transport/mod.ts";

/** What a name server says: TXT records, each of several strings, or a response code; nothing at all. */
type Reply = readonly (readonly string[])[] | number | undefined;

/** A name server on this machine that says the same to everybody. */
async function nameServer(reply: Reply) {
  const socket = await openDatagram({ hostname: "127.0.0.1" });
  const asked: string[] = [];
  const serving = (async () => {
    for (let got = await socket.receive(); got !== undefined; got = await socket.receive()) {
      asked.push(nameIn(got.data));
      if (reply !== undefined) await socket.send(answerTo(got.data, reply), got.from);
    }
  })();
  return {
    address: socket.address,
    asked,
    [Symbol.asyncDispose]: () => {
      socket.close();
      return serving;
    },
  };
}

const HEADER_BYTES = 12;

/** The name in the question of a query (RFC 1035, 4.1.2). */
function nameIn(query: Uint8Array): string {
  const labels: string[] = [];
  for (let at = HEADER_BYTES; query[at]; at += 1 + (query[at] ?? 0)) {
    labels.push(new TextDecoder().decode(query.subarray(at + 1, at + 1 + (query[at] ?? 0))));
  }
  return labels.join(".");
}

/** A response (RFC 1035, 4.1): the query's id and question, and TXT records for its name. */
function answerTo(query: Uint8Array, reply: Exclude<Reply, undefined>): Uint8Array {
  const records = typeof reply === "number" ? [] : reply;
  const question = query.subarray(HEADER_BYTES, query.indexOf(0, HEADER_BYTES) + 5);
  const code = typeof reply === "number" ? reply : 0;
  const header = [
    query[0] ?? 0,
    query[1] ?? 0,
    0x81,
    0x80 | code,
    0,
    1,
    0,
    records.length,
    0,
    0,
    0,
    0,
  ];
  const answers = records.flatMap((strings) => {
    const data = strings.flatMap((text) => [text.length, ...new TextEncoder().encode(text)]);
    // A pointer to the question's name, TXT, IN, a TTL of five minutes.
    return [
      0xc0,
      HEADER_BYTES,
      0,
      16,
      0,
      1,
      0,
      0,
      1,
      44,
      data.length >> 8,
      data.length & 255,
      ...data,
    ];
  });
  return Uint8Array.from([...header, ...question, ...answers]);
}

Deno.test("resolveTxt gives each record as one text", async () => {
  const long = "x".repeat(255);
  await using server = await nameServer([["kith=bob:80"], ["kith=", "carol:", "80"], [long, "y"], [
    "",
  ]]);
  const records = await resolveTxt("peers.example.", { nameServer: server.address });
  assertEquals(records.sort(), ["", "kith=bob:80", "kith=carol:80", `${long}y`]);
  assertEquals(server.asked, ["peers.example"]);
});

Deno.test("resolveTxt gives nothing where there is no such name, no record, or no answer but a failure", async () => {
  for (const reply of [3, [], 2, 5] as const) {
    await using server = await nameServer(reply);
    assertEquals(await resolveTxt("peers.example.", { nameServer: server.address }), []);
  }
});

Deno.test("resolveTxt stops waiting when it is aborted", async () => {
  await using server = await nameServer(undefined);
  const reason = new Error("enough");
  const end = new AbortController();
  const options = { nameServer: server.address, signal: end.signal };
  const waiting = assertRejects(() => resolveTxt("peers.example.", options));
  while (server.asked.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  end.abort(reason);
  assertEquals(await waiting, reason);
  assertEquals(await assertRejects(() => resolveTxt("peers.example.", options)), reason);
});

Deno.test({
  name: "resolveTxt names the permission that is missing",
  permissions: { net: false },
  fn: async () => {
    const error = await assertRejects(() => resolveTxt("peers.example"), UnsupportedError);
    assertEquals(error.details, { permission: "--allow-net" });
    assert(error.message.includes("--allow-net"));
  },
});

Deno.test("resolveTxt refuses what is no domain name, and says so of a name server that is none", async () => {
  for (const name of ["", ".", "a b", "a..b", "\u001b", "x".repeat(64), "a.".repeat(127)]) {
    await assertRejects(() => resolveTxt(name), TypeError, "cannot be asked for");
  }
  const nowhere = { nameServer: { hostname: "no address", port: 53 } };
  await assertRejects(() => resolveTxt("peers.example", nowhere), TransportError, "peers.example");
});

Deno.test("isDomainName takes names with and without a final dot, and underscores", () => {
  for (
    const name of [
      "example",
      "a.example.",
      "_kith._tcp.example",
      "x".repeat(63),
      "xn--bcher-kva.example",
    ]
  ) {
    assert(isDomainName(name), name);
  }
});
