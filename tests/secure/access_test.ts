import {
  assert,
  assertEquals,
  assertMatch,
  assertNotEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import { InvalidPacketError, LimitError, NotFoundError } from "../../src/errors.ts";
import { type Logger, silentLogger } from "../../src/log.ts";
import { Access } from "../../src/secure/access.ts";
import { MAX_RECORDS } from "../../src/secure/record_file.ts";
import { Identity } from "../../src/secure/identity.ts";
import type { Scope } from "../../src/secure/scope.ts";
import { signInvite } from "../../src/secure/credential.ts";
import { inProcesses, onPosix, ScratchHome, stranger } from "./home_fixture.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

const identity = Identity.generate();
const [bob, eve] = [stranger("bob"), stranger("eve")];

/** Two ways to keep it: both must do the same. */
async function each(test: (access: Access, clock: ManualClock) => void | Promise<void>) {
  using scratch = new ScratchHome();
  for (const home of [undefined, scratch.home]) {
    const clock = new ManualClock();
    await test(new Access({ identity, clock, home }), clock);
  }
}

/** An invite whose signature does not fit. */
function bent(token: string): string {
  return token.slice(0, -10) + (token.at(-10) === "A" ? "B" : "A") + token.slice(-9);
}

/** Why a token grants nothing; its scopes where it does. */
function verdict(access: Access, token: string, caller = bob): string {
  const { scopes, refused } = access.check([token], caller);
  assertEquals(scopes.length === 0, refused.length === 1);
  return refused[0]?.reason ?? scopes.join(" ");
}

Deno.test("Access grants what an invite and an API key say, and nothing else", async () => {
  await each((access) => {
    const invite = access.createInvite({ scopes: ["call:echo", "send"], expiresMs: HOUR });
    const key = access.createApiKey({ scopes: ["topic:*", "send"] });
    assertMatch(invite.token, /^kith1\.[A-Za-z0-9_-]+$/);
    assertMatch(key.token, /^kithkey1\.[0-9a-f]{40}\.[0-9a-f]{32}\.[A-Za-z0-9_-]{43}$/);
    assert(key.token.startsWith(`kithkey1.${identity.peerId}.${key.id}.`));
    const tokens = [invite.token, key.token];
    assertEquals(access.check(tokens, bob), {
      scopes: ["call:echo", "send", "topic:*"],
      refused: [],
    });
    const wanted: readonly (readonly [Scope, boolean])[] = [
      ["call:echo", true],
      ["call:ping", false],
      ["send", true],
      ["msg", false],
      ["topic:news", true],
      ["folder:x", false],
    ];
    for (const [scope, allowed] of wanted) {
      assertEquals(access.granted(tokens, bob, scope), allowed, scope);
      assert(!access.granted([], bob, scope));
    }
    assertEquals(access.check([], bob), { scopes: [], refused: [] });
  });
});

Deno.test("Access stops granting at the moment a credential expires, on a list that is in use", async () => {
  await each(async (access, clock) => {
    const scopes: Scope[] = ["call:echo"];
    const tokens = [
      access.createInvite({ scopes, expiresMs: HOUR }).token,
      access.createApiKey({ scopes, expiresMs: 2 * HOUR }).token,
    ];
    await clock.advance(HOUR - 1);
    assertEquals(access.check(tokens, bob).refused, []);
    await clock.advance(1);
    assertEquals(access.check(tokens, bob).refused, [{ index: 0, reason: "expired" }]);
    assert(access.granted(tokens, bob, "call:echo"));
    await clock.advance(HOUR);
    assert(!access.granted(tokens, bob, "call:echo"));
    // The note is gone after a day; an invite still says itself that it is over.
    await clock.advance(2 * DAY);
    assertEquals(access.list(), []);
    access.createApiKey({ scopes });
    assertEquals(access.check(tokens, bob).refused, [
      { index: 0, reason: "expired" },
      { index: 1, reason: "unknown" },
    ]);
  });
});

Deno.test("Access stops granting at once what is revoked, and for ever", async () => {
  await each(async (access, clock) => {
    const invite = access.createInvite({ scopes: ["send"], expiresMs: 30 * DAY });
    const key = access.createApiKey({ scopes: ["send"] });
    const tokens = [invite.token, key.token];
    assert(access.granted(tokens, bob, "send"));
    assertEquals(access.revoke(invite.id).id, invite.id);
    assertEquals(verdict(access, invite.token), "revoked");
    assert(access.granted(tokens, bob, "send"));
    const { revoked } = access.revoke(key.id.slice(0, 8).toUpperCase());
    assertEquals(revoked, clock.wallMs());
    assert(!access.granted(tokens, bob, "send"));
    await clock.advance(HOUR);
    assertEquals(access.revoke(key.id).revoked, revoked);
    await clock.advance(3 * DAY);
    access.createApiKey({ scopes: ["send"] });
    assertEquals(access.list().length, 1);
    assertEquals([verdict(access, invite.token), verdict(access, key.token)], [
      "unknown",
      "unknown",
    ]);
  });
});

Deno.test("Access tells those who can prove that they were invited that this is over, and nobody else", async () => {
  await each(async (access, clock) => {
    const made = () => access.createInvite({ scopes: ["send"], expiresMs: HOUR });
    const [one, two] = [made(), made()];
    assertEquals(access.lapsed([one.token, two.token], bob), undefined);
    access.revoke(one.id);
    assertEquals(access.lapsed([two.token, one.token], bob), "revoked");
    await clock.advance(HOUR);
    assertEquals(access.lapsed([two.token], bob), "expired");
    // Its signature does not fit any more.
    for (const token of [one.token, two.token]) {
      assertEquals(access.lapsed([bent(token)], bob), undefined);
    }
    await clock.advance(3 * DAY);
    access.createApiKey({ scopes: ["send"] });
    assertEquals(access.lapsed([two.token], bob), "expired");
    assertEquals(access.lapsed([bent(two.token)], bob), undefined);
  });
});

Deno.test("Access sees within a second what another process revokes, and at once what it makes", async () => {
  using scratch = new ScratchHome();
  const clock = new ManualClock();
  const running = new Access({ identity, clock, home: scratch.home });
  const typed = new Access({ identity, clock, home: scratch.home });
  const { id, token } = typed.createInvite({ scopes: ["send"], expiresMs: HOUR });
  const tokens = [token];
  assert(running.granted(tokens, bob, "send"));
  typed.revoke(id);
  await clock.advance(1_000);
  assert(!running.granted(tokens, bob, "send"));
  const key = typed.createApiKey({ scopes: ["send"] });
  const others = [key.token];
  assertEquals(verdict(running, key.token), "send");
  assert(running.granted(others, bob, "send"));
});

Deno.test("Access grants nothing to a holder of somebody else's credential", async () => {
  await each((access) => {
    const scopes: Scope[] = ["send"];
    for (
      const { token } of [
        access.createInvite({ scopes, expiresMs: HOUR, to: bob.peerId }),
        access.createApiKey({ scopes, to: bob.peerId }),
      ]
    ) {
      assertEquals([verdict(access, token, bob), verdict(access, token, eve)], [
        "send",
        "not-yours",
      ]);
      assert(!access.granted([token], eve, "send"));
    }
  });
});

Deno.test("Access grants nothing for an invite with any byte changed", async () => {
  await each((access) => {
    const { token } = access.createInvite({ scopes: ["call:echo"], expiresMs: HOUR });
    const bytes = Uint8Array.fromBase64(token.slice(6), { alphabet: "base64url" });
    for (let at = 0; at < bytes.length; at++) {
      const changed = bytes.slice();
      changed[at] = (changed[at] ?? 0) ^ 0x01;
      const text = changed.toBase64({ alphabet: "base64url", omitPadding: true });
      assertMatch(verdict(access, `kith1.${text}`), /^(malformed|unknown)$/);
    }
  });
});

Deno.test("Access grants nothing for an invite of another issuer, also one that copies an id", async () => {
  await each((access, clock) => {
    const mallory = Identity.generate();
    const { id, token: _, ...terms } = access.createInvite({ scopes: ["send"], expiresMs: HOUR });
    const expires = clock.wallMs() + HOUR;
    const forged = signInvite(mallory, { ...terms, id, expires, scopes: ["call:*"] });
    assertEquals(verdict(access, forged), "unknown");
    const elsewhere = new Access({ identity: mallory, clock });
    const theirs = elsewhere.createInvite({ scopes: ["call:*"], expiresMs: HOUR });
    assertEquals(verdict(access, theirs.token), "unknown");
    // Signed by us, but not noted: the notes are lost, or it was revoked long ago.
    const unnoted = signInvite(identity, { id: "0".repeat(32), scopes: ["send"], expires });
    assertEquals(verdict(access, unnoted), "unknown");
  });
});

Deno.test("Access grants nothing for an API key with the right id and another secret", async () => {
  await each((access) => {
    const { id, token } = access.createApiKey({ scopes: ["send"] });
    const other = access.createApiKey({ scopes: ["send"] });
    const keyOf = (id: string, secret = "") => `kithkey1.${identity.peerId}.${id}.${secret}`;
    const mixed = keyOf(id, other.token.split(".").at(-1));
    assertEquals(verdict(access, mixed), "unknown");
    assert(!access.granted([mixed], bob, "send"));
    // Whoever does not have it does not learn what became of it.
    access.revoke(id);
    assertEquals([verdict(access, mixed), verdict(access, token)], ["unknown", "revoked"]);
    const invite = access.createInvite({ scopes: ["send"], expiresMs: HOUR });
    assertEquals(verdict(access, keyOf(invite.id, "A".repeat(43))), "unknown");
    // Not even with our signature: what is noted under that id is no invite.
    const expires = Date.UTC(2030, 0);
    const odd = signInvite(identity, { id: other.id, scopes: ["send"], expires });
    assertEquals(verdict(access, odd), "unknown");
  });
});

Deno.test("Access looks at eight tokens of at most 1,024 characters", async () => {
  await each((access) => {
    const { token } = access.createApiKey({ scopes: ["send"] });
    const junk = Array.from({ length: 7 }, (_, n) => `junk ${n}`);
    assertEquals(access.check([...junk, token, "more"], bob), {
      scopes: ["send"],
      refused: junk.map((_, index) => ({ index, reason: "malformed" as const })),
    });
    assert(access.granted([...junk, token], bob, "send"));
    assert(!access.granted([...junk, "", token], bob, "send"));
    assertEquals(verdict(access, token + "A".repeat(1_024)), "malformed");
  });
});

Deno.test("Access.list tells what was given away without anything secret", async () => {
  await each((access, clock) => {
    const invite = access.createInvite({ scopes: ["send"], expiresMs: HOUR, to: bob.peerId });
    const key = access.createApiKey({ scopes: ["call:*"], expiresMs: DAY });
    const created = clock.wallMs();
    assertEquals(access.list(), [
      {
        id: invite.id,
        kind: "invite",
        scopes: ["send"],
        created,
        expires: created + HOUR,
        to: bob.peerId,
      },
      { id: key.id, kind: "api-key", scopes: ["call:*"], created, expires: created + DAY },
    ]);
  });
});

Deno.test("Access keeps no secret in its file, which is for its owner alone", () => {
  using scratch = new ScratchHome();
  const access = new Access({ identity, home: scratch.home });
  const invite = access.createInvite({ scopes: ["send"], expiresMs: HOUR });
  const key = access.createApiKey({ scopes: ["send"] });
  const text = scratch.text("access.json");
  for (const token of [invite.token, key.token]) {
    const secret = token.split(".").at(-1) ?? "";
    assert(!text.includes(secret.slice(-30)));
    const hex = Uint8Array.fromBase64(secret, { alphabet: "base64url" }).toHex();
    assert(!text.includes(hex.slice(-30)));
    assert(!Deno.inspect(access, { depth: 9, showHidden: true }).includes(secret));
  }
  assertStringIncludes(text, key.id);
  if (onPosix) assertEquals(scratch.mode("access.json"), 0o600);
});

Deno.test("Access.revoke refuses what names none or several, without naming others", async () => {
  await each((access) => {
    for (let n = 0; n < 3; n++) access.createApiKey({ scopes: ["send"] });
    const [first] = access.list();
    const id = first?.id ?? "";
    for (
      const wanted of ["", "a", id.slice(0, 3), `${id}0`, "zzzz", "\u001b[2J" + "x".repeat(99)]
    ) {
      const error = assertThrows(() => access.revoke(wanted), NotFoundError);
      assertEquals(error.code, "no-key");
      assert(error.message.length < 200 && !error.message.includes("\u001b"));
    }
    assert(access.list().every(({ revoked }) => revoked === undefined));
  });
  using scratch = new ScratchHome();
  const rows = ["0", "1"].map((last) => {
    return { id: "ab".repeat(15) + "0" + last, kind: "api-key", scopes: ["send"], created: 1 };
  });
  scratch.write("access.json", JSON.stringify({ version: 1, records: rows }));
  const access = new Access({ identity, home: scratch.home });
  assertThrows(() => access.revoke("abab"), NotFoundError, "2 ids begin so");
  access.revoke("ab".repeat(15) + "01");
  assertEquals(access.list().map(({ revoked }) => revoked !== undefined), [false, true]);
});

Deno.test("Access refuses to make what could not be used, or used too long", async () => {
  await each((access) => {
    const scopes: Scope[] = ["send"];
    for (const expiresMs of [0, -1, NaN, Infinity, 0.5, 3_650 * DAY + 1]) {
      assertThrows(() => access.createInvite({ scopes, expiresMs }), RangeError);
      assertThrows(() => access.createApiKey({ scopes, expiresMs }), RangeError);
    }
    assertThrows(() => access.createApiKey({ scopes: [] }), TypeError, "needs a scope");
    assertThrows(() => access.createApiKey({ scopes: ["x" as Scope] }), TypeError, "A scope is");
    for (const to of ["bob", bob.peerId.toUpperCase(), ""]) {
      assertThrows(() => access.createApiKey({ scopes, to }), TypeError, "peer id");
    }
    const many = Array.from({ length: 9 }, (_, n) => `call:${n}${"x".repeat(99)}` as const);
    assertThrows(() => access.createInvite({ scopes: many, expiresMs: 1 }), RangeError);
    assertEquals(access.list(), []);
    assertEquals(access.createApiKey({ scopes: many.concat(many) }).scopes.length, 9);
  });
});

Deno.test("Access refuses the credential after 4096, until some are forgotten", async () => {
  using scratch = new ScratchHome();
  const clock = new ManualClock();
  const created = clock.wallMs();
  const records = Array.from({ length: MAX_RECORDS }, (_, n) => {
    const id = n.toString(16).padStart(32, "0");
    return { id, kind: "invite", scopes: ["send"], created, expires: created + 1 };
  });
  scratch.write("access.json", JSON.stringify({ version: 1, records }));
  const access = new Access({ identity, home: scratch.home, clock });
  assertThrows(() => access.createApiKey({ scopes: ["send"] }), LimitError, "maxRecords 4096");
  await clock.advance(DAY + 1);
  access.createApiKey({ scopes: ["send"] });
  assertEquals(access.list().length, 1);
});

Deno.test("Access grants nothing while its file is corrupt, leaves it there, and logs why once", async () => {
  using scratch = new ScratchHome();
  const clock = new ManualClock();
  const said: string[] = [];
  const log: Logger = {
    ...silentLogger,
    error: (text, fields = {}) => void said.push(`${text}: ${fields.why}`),
  };
  const access = new Access({ identity, home: scratch.home, clock, log });
  const { token, id } = access.createApiKey({ scopes: ["send"] });
  const tokens = [token];
  assert(access.granted(tokens, bob, "send"));
  const good = scratch.text("access.json");
  const row = JSON.parse(good).records[0];
  const corrupt: readonly (readonly [row: Record<string, unknown>, why: string])[] = [
    [{ ...row, id: "x" }, "id is no id"],
    [{ ...row, kind: "key" }, "kind is neither invite nor api-key"],
    [{ ...row, scopes: ["everything"] }, "scopes are none"],
    [{ ...row, scopes: "send" }, "scopes are none"],
    [{ ...row, created: null }, "created is no time"],
    [{ ...row, expires: "never" }, "expires is no time"],
    [{ ...row, revoked: false }, "revoked is no time"],
    [{ ...row, to: "bob" }, "to is no peer id"],
    [{ ...row, hash: "" }, "hash is no hash"],
  ];
  for (const [wrong, why] of corrupt) {
    const text = JSON.stringify({ version: 1, records: [wrong] });
    const path = scratch.write("access.json", text);
    await clock.advance(1_000);
    for (let n = 0; n < 3; n++) assert(!access.granted(tokens, bob, "send"), why);
    assertEquals(verdict(access, token), "unknown");
    assertEquals(said.length, 1);
    assertStringIncludes(
      said.splice(0)[0] ?? "",
      `Cannot use access file ${path}: record 0: ${why}`,
    );
    for (const act of [() => access.list(), () => access.revoke(id)]) {
      assertStringIncludes(assertThrows(act, InvalidPacketError).message, "move it away");
    }
    assertThrows(() => access.createApiKey({ scopes: ["send"] }), InvalidPacketError);
    assertEquals(scratch.text("access.json"), text);
  }
  scratch.write("access.json", good);
  await clock.advance(1_000);
  assert(access.granted(tokens, bob, "send"));
  Deno.removeSync(scratch.home.path("access.json"));
  await clock.advance(1_000);
  assert(!access.granted(tokens, bob, "send"));
});

Deno.test("Access of another run with the same key and folder knows what was given away", () => {
  using scratch = new ScratchHome();
  const own = Identity.load(scratch.home);
  const made = new Access({ identity: own, home: scratch.home });
  const { token } = made.createInvite({ scopes: ["msg"], expiresMs: HOUR });
  const again = new Access({ identity: Identity.load(scratch.home), home: scratch.home });
  assertEquals(verdict(again, token), "msg");
  assertNotEquals(verdict(new Access({ identity: own }), token), "msg");
});

Deno.test("Access loses nothing of what processes make at the same time", async () => {
  using scratch = new ScratchHome();
  Identity.load(scratch.home);
  const from = (path: string) => JSON.stringify(import.meta.resolve(path));
  await inProcesses(
    3,
    `
    import { Home } from ${from("../../src/state/home.ts")};
    import { Identity } from ${from("../../src/secure/identity.ts")};
    import { Access } from ${from("../../src/secure/access.ts")};
    const home = Home.open(${JSON.stringify(scratch.home.dir)});
    const access = new Access({ identity: Identity.load(home), home });
    /* begin */
    for (let n = 0; n < 10; n++) access.createInvite({ scopes: ["send"], expiresMs: 1e6 });
    for (const { id } of access.list().slice(0, 3)) access.revoke(id);
    `,
  );
  const access = new Access({ identity: Identity.load(scratch.home), home: scratch.home });
  assertEquals(access.list().length, 30);
  assert(access.list().filter(({ revoked }) => revoked !== undefined).length >= 3);
});
