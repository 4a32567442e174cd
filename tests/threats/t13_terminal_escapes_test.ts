import { assert, assertEquals, assertMatch } from "@std/assert";
import { NotFoundError, PeerError } from "../../src/errors.ts";
import { Peer } from "../../src/peer.ts";
import { connectSession } from "../../src/session/native.ts";
import { Kith, loopback, type Outcome } from "../e2e/process.ts";
import { Scratch } from "../e2e/scratch.ts";
import { Shell } from "../e2e/shell.ts";
import { eachOf } from "../e2e/up.ts";
import { EVIL_NAME, EVIL_PIECES, rawIn } from "./raw_text.ts";
import { freshToken, run as runTransfer, sha256 } from "../transfer/fixture.ts";

/** Everything that a terminal obeys, in one text without a line feed. */
const EVIL_TEXT = EVIL_PIECES.join("evil");

/** The same in every place that a value has. */
const EVIL_DATA = {
  [EVIL_TEXT]: [EVIL_TEXT, { [`${EVIL_TEXT}\n`]: `\nFAKE: ${EVIL_TEXT}` }],
  n: 2n ** 60n,
};

/** With `--json` or without, and with everything logged that is. */
const MODES: readonly (readonly string[])[] = [[], ["--json"], ["--log", "debug"]];

/** Looks at everything that a process has printed. */
function assertHarmless(
  { stdout, stderr }: Pick<Outcome, "stdout" | "stderr">,
  what: string,
): void {
  for (const text of [stdout, stderr]) {
    assertEquals(rawIn(text), undefined, what);
    const lines = text.split("\n");
    assert(!lines.some((line) => line.startsWith("FAKE")), `${what}: ${text}`);
  }
}

/** Somebody who answers everything with what terminals obey. */
async function openEvil(network: readonly string[]): Promise<Peer> {
  const discoveryPort = Number(network.at(-1));
  const evil = await Peer.open({
    name: EVIL_NAME,
    hostname: "127.0.0.1",
    port: 0,
    discoveryPort,
    web: true,
    httpPort: 0,
  });
  evil.handle("text", () => ({ data: EVIL_TEXT }));
  evil.handle("only text", () => EVIL_TEXT);
  evil.handle("data", () => EVIL_DATA);
  evil.handle("error", () => {
    throw new NotFoundError("no-path", `${EVIL_TEXT}\nFAKE: error`, {
      details: { [EVIL_TEXT]: EVIL_DATA, list: [EVIL_TEXT] },
    });
  });
  evil.handle("code", () => {
    throw new PeerError(`${EVIL_TEXT}\nFAKE`, EVIL_TEXT);
  });
  evil.handle("items", async function* () {
    yield EVIL_TEXT;
    yield EVIL_DATA;
    await Promise.resolve();
    throw new NotFoundError("no-key", EVIL_TEXT);
  });
  return evil;
}

Deno.test("T13 call, ping, discover and msg print nothing of a hostile peer that a terminal obeys", async () => {
  const network = loopback();
  await using evil = await openEvil(network);
  evil.sessions({ accept: () => true });
  const address = `127.0.0.1:${evil.address?.port}`;
  const [web, udp] = [evil.httpAddress, evil.udpAddress].map((at) => `127.0.0.1:${at?.port}`);
  const lines = [
    ["call", address, "text"],
    ["call", address, "only text"],
    ["call", address, "data"],
    ["call", address, "error"],
    ["call", address, "code"],
    ["call", address, "items", "--stream"],
    ["call", `ws://${web}`, "data"],
    ["call", `udp://${udp}`, "data"],
    ["call", `udp://${udp}`, "error"],
    ["ping", address],
    ["discover", "--timeout", "0.4"],
    ["msg", address, "hello"],
    ["msg", "nobody", "hello", "--timeout", "0.4"],
  ];
  const all = lines.flatMap((line) => MODES.map((mode) => [...line, ...mode]));
  await using shell = new Shell();
  const outcomes = await eachOf(all, (line) => shell.run([...line, "--ephemeral", ...network]));
  let shown = 0;
  for (const [at, outcome] of outcomes.entries()) {
    const what = all[at]?.join(" ") ?? "";
    assertHarmless(outcome, what);
    // Not printed raw, and printed: or this would be easy.
    if (/\\u\{?(001)?b\}?/.test(outcome.stdout + outcome.stderr)) shown++;
  }
  assert(shown > all.length / 2, `${shown} of ${all.length}`);
});

Deno.test("T13 msg and send print nothing of a hostile refusal that a terminal obeys", async () => {
  await using scratch = await Scratch.make();
  await using shell = new Shell();
  const file = await scratch.write("f.txt", "hello");
  const refusals: Record<string, (peer: Peer) => void> = {
    "a denial": (peer) => void peer.sessions({ accept: () => `${EVIL_TEXT}\nFAKE: denied` }),
    "an error": (peer) => {
      for (const header of ["session.open", "transfer.offer"]) {
        peer.handle(header, () => {
          throw new NotFoundError("no-path", `${EVIL_TEXT}\nFAKE`, {
            details: { [EVIL_TEXT]: EVIL_DATA },
          });
        });
      }
    },
    "an answer that is none": (peer) => {
      for (const header of ["session.open", "transfer.offer"]) peer.handle(header, () => EVIL_DATA);
    },
    "a summary that is none": (peer) => {
      peer.handle("transfer.offer", () => ({ id: 1, [EVIL_TEXT]: EVIL_TEXT }));
      for (const step of ["data", "files"]) peer.handle(`transfer.${step}`, () => {});
      const done = { files: 1, bytes: 1, sha256: EVIL_TEXT, [EVIL_TEXT]: 1 };
      peer.handle("transfer.run", () => ({ done }));
    },
  };
  for (const [what, refuse] of Object.entries(refusals)) {
    const network = loopback();
    await using evil = await openEvil(network);
    refuse(evil);
    const address = `127.0.0.1:${evil.address?.port}`;
    const lines = [["msg", address, "hello", "--timeout", "2"], ["send", file, "--to", address]];
    const all = lines.flatMap((line) => MODES.map((mode) => [...line, ...mode]));
    const outcomes = await eachOf(all, (line) => shell.run([...line, "--ephemeral", ...network]));
    for (const [at, outcome] of outcomes.entries()) {
      assertHarmless(outcome, `${what}: ${all[at]?.join(" ")}`);
      assert(outcome.code !== 0 || all[at]?.[0] === "msg", `${what}: ${all[at]?.join(" ")}`);
    }
  }
});

/** Comes to a peer that is up, and does and says what it likes. */
async function visit(
  address: string,
  network: readonly string[],
  takesSessions: boolean,
): Promise<void> {
  await using evil = await openEvil(network);
  const tolerated = (work: Promise<unknown>) =>
    work.catch((error) => assert(error instanceof PeerError, String(error)));
  const link = await evil.link(address);
  await tolerated(link.request(EVIL_TEXT, { data: EVIL_DATA }));
  await tolerated(link.request("describe", { data: EVIL_DATA }));
  await link.post(EVIL_TEXT, { data: EVIL_DATA });
  for (const path of [EVIL_TEXT, "می\u200cخواهم/👩\u200d🚀.txt", "plain.txt"]) {
    const manifest = { entries: [[path, false, 1, 0o644, 0]] };
    const body = { manifest, token: freshToken() };
    const offered = await link.request("transfer.offer", body).catch(() => undefined);
    const id = (offered as { id?: number } | undefined)?.id ?? EVIL_TEXT;
    const digest = path === "plain.txt" ? EVIL_TEXT : sha256(Uint8Array.of(7));
    const step = { id, seq: 0, index: 0, offset: 0, data: Uint8Array.of(7), digest };
    link.post("transfer.data", step);
    await tolerated(runTransfer(link, id));
  }
  await tolerated(link.request("session.open", { type: EVIL_TEXT }));
  if (!takesSessions) return await link.close();
  const session = await connectSession(evil.endpoint, link);
  for (const data of [EVIL_TEXT, EVIL_DATA, [`\nFAKE: ${EVIL_TEXT}`]]) {
    await session.send(
      JSON.parse(JSON.stringify(data, (_, item) => typeof item === "bigint" ? 1 : item)),
    );
  }
  await session.close(EVIL_TEXT);
  await link.close();
}

/** Starts a command line that others can connect to. */
async function host(
  args: readonly string[],
  network: readonly string[],
): Promise<{ kith: Kith; address: string }> {
  const kith = Kith.start([...args, "--yes", "--port", "0", "--ephemeral", ...network]);
  const [, tcp] = /tcp\D{1,3}(\d+)/.exec(await kith.says(/tcp\D{1,3}\d+/)) ?? [];
  return { kith, address: `127.0.0.1:${tcp}` };
}

const HOSTS: Readonly<Record<string, readonly string[]>> = {
  up: ["--http-port", "0", "--project", "p"],
  recv: [],
};

for (const [verb, options] of Object.entries(HOSTS)) {
  Deno.test(`T13 ${verb} prints nothing of a hostile visitor that a terminal obeys, nor logs it`, async () => {
    for (const mode of [...MODES, ["--json", "--log", "debug"]]) {
      await using scratch = await Scratch.make();
      const network = loopback();
      const args = [verb, "--dir", scratch.path("inbox"), ...options, ...mode];
      const { kith, address } = await host(args, network);
      await using _kith = kith;
      await visit(address, network, verb === "up");
      const outcome = await kith.interrupt();
      assertEquals(outcome.code, 130, outcome.stderr);
      assertHarmless(outcome, args.join(" "));
      assertMatch(outcome.stdout + outcome.stderr, /\\u(\{1b\}|001b)\[2J/);
    }
  });
}
