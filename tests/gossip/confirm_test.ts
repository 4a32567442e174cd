import { assertEquals, assertRejects } from "@std/assert";
import { systemClock } from "../../src/clock.ts";
import { PeerError, TimeoutError } from "../../src/errors.ts";
import { confirmed } from "../../src/gossip/confirm.ts";

const ID = { author: "ab".repeat(20), seq: 7 };

type Options = Parameters<typeof confirmed>[0];

/** Neighbours that answer as told, each time they are asked; the last answer stays. */
function asking(
  answers: Readonly<Record<string, readonly ((signal: AbortSignal) => Promise<unknown>)[]>>,
  options: Partial<Options> = {},
) {
  const asked: string[] = [];
  const bodies: unknown[] = [];
  const linkTo = (peerId: string) => ({
    request: (header: string, body: unknown, { signal }: { signal: AbortSignal }) => {
      const count = asked.filter((one) => one === peerId).length;
      asked.push(peerId);
      bodies.push([header, body]);
      const all = answers[peerId] ?? [];
      return (all[count] ?? all.at(-1) ?? (() => Promise.resolve({})))(signal);
    },
  });
  const neighbors = Object.keys(answers).map((peerId) => ({ peerId }));
  const topic = { key: new Uint8Array(16), view: { neighbors } };
  const given = {
    topic,
    id: ID,
    count: 1,
    timeoutMs: 1_000,
    signal: new AbortController().signal,
    clock: systemClock,
    linkTo,
    ...options,
  } as unknown as Options; // the parts that it uses
  return { asked, bodies, confirming: confirmed(given) };
}

const yes = () => Promise.resolve({ has: [true] });
const no = () => Promise.resolve({ has: [false] });
const fault = () => Promise.reject(new TimeoutError("too slow"));

Deno.test("confirmed asks every neighbour once, and those who have it no more", async () => {
  const { asked, bodies, confirming } = asking({ ann: [yes], bob: [no, yes] }, { count: 2 });
  assertEquals(await confirming, ["ann", "bob"]);
  assertEquals(asked, ["ann", "bob", "bob"]);
  const [header, body] = bodies[0] as [string, { t: unknown; i: unknown[] }];
  assertEquals([header, body.t], ["gossip.has", new Uint8Array(16)]);
});

Deno.test("confirmed waits for nobody where enough have it, and takes its question back", async () => {
  const signals: AbortSignal[] = [];
  const never = (signal: AbortSignal) => {
    signals.push(signal);
    return new Promise((_, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    });
  };
  assertEquals(await asking({ slow: [never], ann: [yes] }, { timeoutMs: 60_000 }).confirming, [
    "ann",
  ]);
  assertEquals(signals.map(({ aborted }) => aborted), [true]);
});

Deno.test("confirmed takes no answer, an odd one and an error for no", async () => {
  const odd = [null, 1, "yes", {}, { has: true }, { has: [] }, { has: [1] }, {
    has: [false, true],
  }];
  const answers = Object.fromEntries(
    odd.map((answer, at) => [`${at}`, [() => Promise.resolve(answer)]]),
  );
  const { confirming } = asking({ ...answers, slow: [fault], ann: [yes] }, {
    count: 2,
    timeoutMs: 120,
  });
  assertEquals(await confirming, ["ann"]);
});

Deno.test("confirmed ends with what it has when the time is over, and throws what is no fault of others", async () => {
  assertEquals(await asking({}, { timeoutMs: 0 }).confirming, []);
  assertEquals(await asking({ ann: [no] }, { timeoutMs: 60 }).confirming, []);
  const bug = () => Promise.reject(new TypeError("a bug"));
  await assertRejects(() => asking({ ann: [bug] }).confirming, TypeError, "a bug");
});

Deno.test("confirmed throws the reason of its signal, also while it waits", async () => {
  const giving = new AbortController();
  const { confirming } = asking({ ann: [no] }, { signal: giving.signal, timeoutMs: 60_000 });
  setTimeout(() => giving.abort(new PeerError("closed", "enough")), 20);
  await assertRejects(() => confirming, PeerError, "enough");
  const signal = AbortSignal.abort(new Error("before"));
  await assertRejects(() => asking({ ann: [yes] }, { signal }).confirming, Error, "before");
});
