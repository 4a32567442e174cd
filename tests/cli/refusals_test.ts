import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { Options } from "../../src/cli/options.ts";
import { Output } from "../../src/cli/output.ts";
import { runLoaded } from "../../src/cli/refusals.ts";
import type { Invocation, Run, Verb } from "../../src/cli/verb.ts";
import { NotFoundError, TimeoutError } from "../../src/errors.ts";
import { Peer } from "../../src/peer.ts";

const BOB = { peerId: "0b".repeat(20), publicKey: "", name: "bob" };
const OTHER = { ...BOB, peerId: "0c".repeat(20) };

async function failureOf(run: Run): Promise<Error> {
  const verb: Verb = {
    ...{ usage: "", summary: "", example: "", permissions: "", prints: {}, options: {} },
    load: () => Promise.resolve({ run }),
  };
  const invocation: Invocation = {
    options: new Options([], {}),
    output: new Output({ json: false, level: "error" }),
    signal: new AbortController().signal,
  };
  return await assertRejects(() => runLoaded(verb, invocation), Error);
}

Deno.test("a verb that ends with nobody says who was refused by the peer that was opened for it", async () => {
  await using peer = await Peer.open({ hostname: "127.0.0.1", clientOnly: true });
  const nobody = new NotFoundError("no-peer", "Nobody is here", { details: { tried: ["dns"] } });
  const fail = (error: Error): Run => ({ onOpened }) => {
    onOpened?.(peer);
    return Promise.reject(error);
  };
  peer.trust.meet(BOB);
  assertEquals(await failureOf(fail(nobody)), nobody);

  await assertRejects(() => Promise.try(() => peer.trust.check(OTHER)));
  const told = await failureOf(fail(nobody));
  assertStringIncludes(told.message, 'Nobody is here; "bob" was refused: that name belongs to');
  assertStringIncludes(told.message, "run: kith trust rm bob");
  assertEquals(told instanceof NotFoundError && [told.code, told.details], [
    "no-peer",
    { tried: ["dns"] },
  ]);

  const late = new TimeoutError("It took too long");
  assertEquals(await failureOf(fail(late)), late);
  assertEquals(await failureOf(() => Promise.reject(nobody)), nobody);
});
