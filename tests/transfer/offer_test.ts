import { assertEquals, assertThrows } from "@std/assert";
import { InvalidPacketError, LimitError } from "../../src/errors.ts";
import { manifestOf } from "../../src/transfer/manifest.ts";
import { encodeManifest } from "../../src/transfer/manifest_codec.ts";
import { answerValue, offerBody, parseAnswer, parseOffer } from "../../src/transfer/offer.ts";
import { decode, encode } from "../../src/wire/msgpack.ts";
import { entryOf, freshToken } from "./fixture.ts";

const manifest = manifestOf([entryOf("a", 1), entryOf("b", 2)]);

Deno.test("offers are read as they are written", () => {
  for (let bits = 0; bits < 4; bits++) {
    const terms = {
      ...{ manifest, token: freshToken(), openEnded: false },
      ...{ update: (bits & 1) > 0, dryRun: (bits & 2) > 0 },
    };
    assertEquals(parseOffer(offerBody(terms), {}), terms);
  }
  const plain = { manifest, token: freshToken(), update: false, openEnded: false, dryRun: false };
  assertEquals(Object.keys(offerBody(plain)), ["manifest", "token"]);
});

Deno.test("an offer of what nobody knows the size of is one empty file", () => {
  const terms = { token: freshToken(), update: false, openEnded: true, dryRun: false };
  const one = manifestOf([entryOf("log", 0)]);
  assertEquals(parseOffer(offerBody({ ...terms, manifest: one }), {}).openEnded, true);
  const folder = { ...entryOf("d", 0), kind: "directory" as const };
  const lists = [[], [entryOf("log", 1)], [entryOf("a", 0), entryOf("b", 0)], [folder]];
  for (const entries of lists) {
    const body = offerBody({ ...terms, manifest: manifestOf(entries) });
    assertThrows(() => parseOffer(body, {}), InvalidPacketError, "bad openEnded");
  }
});

Deno.test("an offer says yes by true alone, and is held to limits", () => {
  const body = { manifest: encodeManifest(manifest), token: freshToken() };
  for (const value of [1, "true", {}, [], null]) {
    const { update, dryRun, openEnded } = parseOffer(
      { ...body, update: value, dryRun: value, openEnded: value },
      {},
    );
    assertEquals([update, dryRun, openEnded], [false, false, false]);
  }
  assertThrows(() => parseOffer(body, { maxTotalBytes: 2 }), LimitError, "maxTotalBytes 2");
});

Deno.test("answers are read as they are written", () => {
  const answers = [
    { id: 1, wanted: [0, 1, 2], held: new Set<number>(), unchanged: 0 },
    { id: 9, wanted: [1], held: new Set([1]), unchanged: 2 },
    { id: undefined, wanted: [], held: new Set<number>(), unchanged: 3 },
    { id: 2, wanted: [0, 1, 2], held: new Set<number>(), unchanged: 0, kept: false },
  ];
  for (const answer of answers) {
    const value = decode(encode(answerValue(answer, 3)));
    assertEquals(parseAnswer(value, 3, answer.id === undefined), answer);
  }
  assertEquals(answerValue({ id: 1, wanted: [0], held: new Set(), unchanged: 0 }, 1), { id: 1 });
});

Deno.test("an answer that is none is refused, naming the field", () => {
  const wrong: readonly (readonly [unknown, string])[] = [
    ...[null, 1, "x", undefined].map((value) => [value, "answer"] as const),
    ...[undefined, null, -1, 0.5, "1"].map((id) => [{ id }, "id"] as const),
    [{ id: 1, wanted: [0, 4] }, "wanted"],
    [{ id: 1, held: [0, 4] }, "held"],
    [{ id: 1, held: 1 }, "held"],
    [{ id: 1, unchanged: "all" }, "unchanged"],
  ];
  for (const [value, field] of wrong) {
    const error = assertThrows(() => parseAnswer(value, 3, false), InvalidPacketError);
    assertEquals(error.details, { field });
  }
  assertThrows(() => parseAnswer({ id: "1" }, 3, true), InvalidPacketError);
});
