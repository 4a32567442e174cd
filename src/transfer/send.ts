/**
 * The sending side of file transfer; the messages are described in `receive.ts`.
 *
 * @module
 */

import { systemClock } from "../clock.ts";
import type { Link } from "../endpoint/link.ts";
import { HandshakeError, IntegrityError, RemoteError } from "../errors.ts";
import type { MessageBody } from "../wire/message.ts";
import { Lanes } from "./lanes.ts";
import { type BuiltManifest, manifestOf, summarize } from "./manifest.ts";
import { type OfferAnswer, offerBody, parseAnswer } from "./offer.ts";
import { checkPath } from "./safe_path.ts";
import { type SendEvent, type SendOptions, type SendPlan, SentBefore } from "./send_options.ts";
import { Sending } from "./sending.ts";

/** How long a person may think about an offer. */
const ACCEPT_TIMEOUT_MS = 120_000;

/**
 * Offers files over a link and sends them once accepted. The last event is `done`, after the receiver has verified
 * everything. Leaving the loop before cancels the transfer; what has arrived is kept, and is not sent again when the same is
 * sent the next time.
 *
 * @example
 * ```ts
 * import { Peer } from "@kith/kith";
 * import { buildManifest, sendFiles } from "@kith/kith/transfer";
 * import { assertEquals } from "@std/assert";
 *
 * const dir = await Deno.makeTempDir();
 * await Deno.writeTextFile(`${dir}/cat.txt`, "meow");
 * await using bob = await Peer.open({ hostname: "127.0.0.1", port: 0, announce: false });
 * bob.receive({ dir: `${dir}/inbox`, accept: () => true });
 *
 * await using alice = await Peer.open({ hostname: "127.0.0.1", clientOnly: true });
 * await using link = await alice.link(`127.0.0.1:${bob.address?.port}`);
 * const events = await Array.fromAsync(sendFiles(link, await buildManifest([`${dir}/cat.txt`])));
 * assertEquals([events[0]?.type, events.at(-1)?.type], ["accepted", "done"]);
 * assertEquals(await Deno.readTextFile(`${dir}/inbox/cat.txt`), "meow");
 * await Deno.remove(dir, { recursive: true });
 * ```
 *
 * @throws {RemoteError} with the receiver's code: `not-allowed` when it refuses, `limit` when it has no room.
 * @throws {TimeoutError} when it does not answer the offer in time, or takes nothing for a minute.
 * @throws {IntegrityError} when a file changes while it is being read. @throws {NotFoundError} when one has gone.
 * @throws {ClosedError} when the link breaks.
 */
export function sendFiles(
  link: Link,
  built: BuiltManifest,
  options: SendOptions = {},
): AsyncGenerator<SendEvent, void, void> {
  const { update = false, dryRun = false } = options;
  return send(
    link,
    built,
    { update, dryRun, openEnded: false },
    options,
    (sending) => sending.run(),
  );
}

/**
 * Sends what comes from somewhere, until that ends, as one file; it cannot be gone on with later. As {@linkcode sendFiles}.
 *
 * @example
 * ```ts
 * import { Peer } from "@kith/kith";
 * import { sendStream } from "@kith/kith/transfer";
 * import { assertEquals } from "@std/assert";
 *
 * const dir = await Deno.makeTempDir();
 * await using bob = await Peer.open({ hostname: "127.0.0.1", port: 0, announce: false });
 * bob.receive({ dir, accept: () => true });
 *
 * await using alice = await Peer.open({ hostname: "127.0.0.1", clientOnly: true });
 * await using link = await alice.link(`127.0.0.1:${bob.address?.port}`);
 * const source = new Blob(["meow"]).stream();
 * const events = await Array.fromAsync(sendStream(link, source, "cat.txt"));
 * assertEquals(events.at(-1)?.type, "done");
 * assertEquals(await Deno.readTextFile(`${dir}/cat.txt`), "meow");
 * await Deno.remove(dir, { recursive: true });
 * ```
 *
 * @param name What the file is called. @throws {InvalidPacketError} when that is no portable name.
 */
export function sendStream(
  link: Link,
  source: AsyncIterable<Uint8Array>,
  name: string,
  options: Omit<SendOptions, "update" | "dryRun" | "before"> = {},
): AsyncGenerator<SendEvent, void, void> {
  const path = checkPath(name);
  const mtimeMs = Date.now();
  const manifest = manifestOf([{ path, kind: "file", size: 0, mode: 0o644, mtimeMs }]);
  const built: BuiltManifest = { manifest, skipped: [], source: () => path };
  const terms = { update: false, dryRun: false, openEnded: true };
  return send(link, built, terms, options, (sending) => sending.runStream(source));
}

async function* send(
  link: Link,
  built: BuiltManifest,
  terms: { update: boolean; dryRun: boolean; openEnded: boolean },
  options: SendOptions,
  steps: (sending: Sending) => AsyncGenerator<void, void, void>,
): AsyncGenerator<SendEvent, void, void> {
  const { acceptTimeoutMs = ACCEPT_TIMEOUT_MS, signal, clock = systemClock } = options;
  const { pause, before = new SentBefore() } = options;
  const { manifest } = built;
  const body = offerBody({ manifest, ...terms, token: before.token });
  const offered = await offer(link, body, acceptTimeoutMs, signal);
  const answer = parseAnswer(offered, manifest.entries.length, terms.dryRun);
  const { id, unchanged } = answer;
  if (id === undefined) return yield { type: "plan", ...planOf(built, answer) };
  const startedMs = clock.now();
  const entries = answer.wanted.flatMap((index) => manifest.entries[index] ?? []);
  const { files, totalBytes } = manifestOf(entries);
  const unwanted = unwantedOf(manifest.files - files - unchanged);
  const kept = answer.kept === undefined ? {} : { kept: answer.kept };
  yield { type: "accepted", files, unchanged, ...unwanted, ...kept };

  using lanes = new Lanes(clock);
  lanes.add(link, "transfer.run", id);
  for (const more of options.lanes ?? []) lanes.add(more, "transfer.lane", id);
  const giveUp = () => lanes.fail(signal?.reason);
  signal?.addEventListener("abort", giveUp, { once: true });
  using _pausing = pause?.listen((paused) => lanes.pause(paused, id));
  if (pause?.paused) lanes.pause(true, id);
  try {
    if (signal?.aborted) giveUp();
    const all = { ...options, clock, before };
    const sending = new Sending(link, lanes, built, { ...answer, id }, all);
    let shown = 0;
    const progress = (): SendEvent => {
      shown = sending.spared + lanes.taken;
      const paused = lanes.isPausedThere || (pause?.paused ?? false);
      return { type: "progress", bytes: shown, totalBytes, paused };
    };
    for await (const _ of steps(sending)) {
      if (sending.spared + lanes.taken !== shown) yield progress();
    }
    const theirs = await lanes.done();
    const summary = summarize(sending.hashed);
    if (theirs.sha256 !== summary.sha256) throw different();
    if (summary.bytes > shown) yield { ...progress(), bytes: summary.bytes } as SendEvent;
    const seconds = (clock.now() - startedMs) / 1000;
    const { sentBytes } = sending;
    const { resentBytes } = before;
    yield { type: "done", resentBytes, sentBytes, unchanged, ...unwanted, seconds, ...summary };
  } finally {
    signal?.removeEventListener("abort", giveUp);
  }
}

async function offer(
  link: Link,
  body: MessageBody,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<unknown> {
  const options = signal === undefined ? { timeoutMs } : { timeoutMs, signal };
  return await link.request("transfer.offer", body, options).catch((error) => {
    if (!(error instanceof RemoteError && error.code === "no-endpoint")) throw error;
    throw new HandshakeError("denied", `Cannot send: ${link.label} takes no files`);
  });
}

function planOf(built: BuiltManifest, { wanted, held, unchanged }: OfferAnswer): SendPlan {
  const files = wanted.flatMap((index) => {
    const entry = built.manifest.entries[index];
    return entry?.kind === "file" ? [{ entry, isHeld: held.has(index) }] : [];
  });
  return {
    unchanged,
    ...unwantedOf(built.manifest.files - files.length - unchanged),
    changed: files.filter(({ isHeld }) => isHeld).map(({ entry }) => entry.path),
    added: files.filter(({ isHeld }) => !isHeld).map(({ entry }) => entry.path),
    bytes: files.reduce((sum, { entry }) => sum + entry.size, 0),
  };
}

/** Never less than none, whatever the other side says that it has. */
function unwantedOf(files: number): { unwanted?: number } {
  return files > 0 ? { unwanted: files } : {};
}

function different(): IntegrityError {
  return new IntegrityError("bad-hash", "Cannot send: what the receiver has is not what was sent");
}
