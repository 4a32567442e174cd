import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { ManualClock } from "../../src/clock.ts";
import { AuthError, InvalidPacketError, LimitError, NotFoundError } from "../../src/errors.ts";
import { type Logger, silentLogger } from "../../src/log.ts";
import { MAX_RECORDS } from "../../src/secure/record_file.ts";
import { type ProvenPeer, Trust } from "../../src/secure/trust.ts";
import { inProcesses, onPosix, ScratchHome, stranger } from "./home_fixture.ts";

const [ann, bob, eve] = [stranger("ann"), stranger("bob"), stranger("bob")];

const clock = new ManualClock({ epochMs: 1_000_000 });

/** Two ways to keep it: both must do the same. */
function each(test: (trust: Trust) => void): void {
  test(new Trust({ clock }));
  using scratch = new ScratchHome();
  test(new Trust({ home: scratch.home, clock }));
}

function refusal(trust: Trust, peer: ProvenPeer): AuthError {
  return assertThrows(() => trust.check(peer), AuthError);
}

function rows(trust: Trust): string[] {
  return trust.list().map(({ peerId, name, policy }) => {
    const who = { [ann.peerId]: "ann", [bob.peerId]: "bob", [eve.peerId]: "eve" }[peerId];
    return `${who} "${name}" ${policy}`;
  });
}

Deno.test("Trust lets everybody pass when nothing is said, and remembers nobody by that", () => {
  each((trust) => {
    for (const peer of [ann, bob, eve, { ...bob, name: "" }]) trust.check(peer);
    assertEquals(trust.list(), []);
    assertEquals(trust.policyOf(bob.peerId), undefined);
  });
});

Deno.test("Trust.meet gives a name to the first peer that was chosen by it", () => {
  each((trust) => {
    trust.meet(bob);
    trust.meet(bob);
    trust.check(bob);
    const { peerId, name, publicKey: key } = bob;
    assertEquals(trust.list(), [{ peerId, name, policy: "seen", since: 1_000_000, key }]);
    assertEquals(trust.policyOf(peerId), "seen");
  });
});

Deno.test("Trust does not remember a peer without a name, nor one that takes an id for a name", () => {
  each((trust) => {
    for (const name of ["", ann.peerId, ann.peerId.toUpperCase(), "x".repeat(65)]) {
      trust.meet({ ...eve, name });
    }
    assertEquals(trust.list(), []);
  });
});

Deno.test("Trust.refusedNames tells of a name that belongs to another once in ten minutes", async () => {
  const clock = new ManualClock();
  const trust = new Trust({ clock });
  const refused = trust.refusedNames();
  const pass = () => assertThrows(() => trust.check(eve), AuthError, "that name belongs to");
  trust.meet(bob);
  for (const waitMs of [0, 599_999, 1, 0]) {
    await clock.advance(waitMs);
    pass();
  }
  const other = { ...stranger("zoe"), name: "ann" };
  trust.meet(ann);
  assertThrows(() => trust.check(other), AuthError);
  for (const name of ["bob", "bob", "ann"]) {
    const told = (await refused.next()).value;
    assertEquals(told?.name, name);
    assertStringIncludes(told?.why ?? "", `run: kith trust rm ${name}`);
  }
  await refused.return();
});

Deno.test("Trust.refused has those of the last ten minutes whose names still belong to others", async () => {
  const clock = new ManualClock();
  const trust = new Trust({ clock });
  trust.meet(bob);
  assertEquals([trust.refused, trust.refusalOf(bob)], [[], undefined]);
  assertThrows(() => trust.check(eve), AuthError);
  const [refused, ...more] = trust.refused;
  assertEquals([refused, more], [trust.refusalOf(eve), []]);
  assertStringIncludes(refused?.why ?? "", `that name belongs to ${bob.fingerprint}`);
  await clock.advance(599_999);
  assertEquals(trust.refused.length, 1);
  trust.remove("bob");
  assertEquals(trust.refused, []);
  trust.meet(bob);
  await clock.advance(1);
  assertEquals(trust.refused, []);
});

Deno.test("Trust.check refuses a changed key with both fingerprints and what to do", () => {
  each((trust) => {
    trust.meet(bob);
    const error = refusal(trust, eve);
    assertEquals(error.code, "key-changed");
    assertEquals(
      error.message,
      `Cannot trust "bob": that name belongs to ${bob.fingerprint}, and this is ` +
        `${eve.fingerprint}; if you know why, run: kith trust rm bob`,
    );
    assertEquals(error.details, {
      name: "bob",
      known: { peerId: bob.peerId, fingerprint: bob.fingerprint },
      got: { peerId: eve.peerId, fingerprint: eve.fingerprint },
    });
    assertEquals(assertThrows(() => trust.meet(eve), AuthError).message, error.message);
    trust.check({ ...eve, name: "eve" });
    trust.check({ ...eve, name: "" });
    trust.remove("bob");
    trust.check(eve);
  });
});

Deno.test("Trust.check names a peer whose key is not known by its id", () => {
  each((trust) => {
    trust.add(bob.peerId, { name: "bob" });
    assertStringIncludes(
      refusal(trust, eve).message,
      `that name belongs to peer ${bob.peerId}, and this is ${eve.fingerprint}`,
    );
    const unproven = { ...eve, publicKey: "" };
    assertStringIncludes(refusal(trust, unproven).message, `and this is peer ${eve.peerId}`);
  });
});

Deno.test("Trust shows a remedy that is safe to paste, whatever a name is", () => {
  each((trust) => {
    for (const name of ["$(reboot)", "a b", "-rf", "\u001b[2J", "x;y", "bob\n"]) {
      trust.add(bob.peerId, { name });
      const { message } = refusal(trust, { ...eve, name });
      assert(message.endsWith(`run: kith trust rm ${bob.peerId}`), message);
      assert(!message.includes("\u001b") && !message.includes("\n"), message);
      trust.remove(bob.peerId);
    }
  });
});

Deno.test("Trust.check holds names for seen, pin and allow, and not for deny", () => {
  for (const policy of ["seen", "pin", "allow"] as const) {
    each((trust) => {
      trust.add(bob.peerId, { name: "bob", policy });
      trust.check(bob);
      trust.add(eve.peerId, { policy });
      assertEquals(refusal(trust, eve).code, "key-changed", policy);
    });
  }
  each((trust) => {
    trust.add(bob.peerId, { name: "bob", policy: "deny" });
    trust.check(eve);
    trust.meet(eve);
    trust.check(eve);
    // Not back under that name, which is somebody else's now.
    const error = assertThrows(
      () => trust.add(bob.peerId, { policy: "pin" }),
      AuthError,
    );
    assertEquals(error.code, "key-changed");
    assertEquals(rows(trust), ['bob "bob" deny', 'eve "bob" seen']);
  });
});

Deno.test("Trust.check refuses who is denied, under every name", () => {
  each((trust) => {
    trust.meet(bob);
    trust.meet({ ...bob, name: "bobby" });
    trust.add("bobby", { policy: "deny" });
    for (const name of ["bob", "bobby", "", "somebody"]) {
      const error = refusal(trust, { ...bob, name });
      assertEquals([error.code, error.details], ["not-allowed", { peerId: bob.peerId }]);
      assertStringIncludes(error.message, `kith trust rm ${bob.peerId}`);
    }
    trust.check(ann);
    assertEquals(trust.policyOf(bob.peerId), "deny");
    trust.add(bob.peerId, { policy: "pin" });
    trust.check(bob);
  });
});

Deno.test("Trust.check lets in nobody else once somebody is on the allow list", () => {
  each((trust) => {
    trust.meet(bob);
    trust.add(ann.peerId, { policy: "allow" });
    trust.check(ann);
    trust.check({ ...ann, name: "" });
    const error = refusal(trust, bob);
    assertEquals(error.code, "not-allowed");
    assertStringIncludes(error.message, `kith trust add ${bob.peerId} --allow`);
    // A stranger does not learn that the name is known: it is refused as one under any name is.
    const [asBob, asNobody] = [refusal(trust, eve), refusal(trust, { ...eve, name: "" })];
    assertEquals([asBob.code, asBob.message], ["not-allowed", asNobody.message]);
    // Even on the list nobody takes another one's name.
    trust.add(eve.peerId, { policy: "allow" });
    assertEquals(refusal(trust, eve).code, "key-changed");
    trust.remove(ann.peerId);
    trust.remove(eve.peerId);
    trust.check(bob);
  });
});

Deno.test("Trust.add pins unless told otherwise, and does not take back what was said before", () => {
  each((trust) => {
    trust.add(ann.peerId.toUpperCase(), { name: "ann" });
    trust.meet(bob);
    trust.add("bob");
    assertEquals(rows(trust), ['ann "ann" pin', 'bob "bob" pin']);
    for (const policy of ["allow", "deny", "pin"] as const) {
      trust.add("ann", { policy });
      assertEquals(trust.add("ann", { name: "anna" }).map((entry) => entry.policy), [
        policy,
        policy,
      ]);
      trust.remove("anna");
    }
  });
});

Deno.test("Trust.add tells since when, and keeps it as long as it says the same", async () => {
  const clock = new ManualClock({ epochMs: 5 });
  const trust = new Trust({ clock });
  trust.add(ann.peerId, { name: "ann" });
  await clock.advance(10.5);
  trust.add("ann", { name: "anna" });
  assertEquals(trust.list().map(({ name, since }) => [name, since]), [["ann", 5], ["anna", 15]]);
  trust.add("ann", { policy: "deny" });
  assertEquals(trust.list().map(({ since }) => since), [15, 15]);
});

Deno.test("Trust.add refuses unknown names, names that cannot be, and names of others", () => {
  each((trust) => {
    trust.meet(bob);
    for (const target of ["carol", "", "ab", bob.peerId.slice(1), `${bob.peerId}0`]) {
      const error = assertThrows(() => trust.add(target), NotFoundError);
      assertEquals(error.code, "no-peer");
    }
    for (const name of ["", "x".repeat(65), ann.peerId]) {
      assertThrows(() => trust.add(ann.peerId, { name }), RangeError, "current value is");
    }
    const error = assertThrows(() => trust.add(ann.peerId, { name: "bob" }), AuthError);
    assertEquals(error.code, "key-changed");
    assertEquals(rows(trust), ['bob "bob" seen']);
  });
});

Deno.test("Trust takes eight hexadecimal digits or more for an id, never for a name", () => {
  each((trust) => {
    for (const digits of [8, 16, 39, 40]) {
      const name = ann.peerId.slice(0, digits);
      for (const text of [name, name.toUpperCase()]) {
        trust.meet({ ...eve, name: text });
        assertThrows(() => trust.add(eve.peerId, { name: text }), RangeError, "no peer id");
      }
    }
    assertEquals(trust.list(), []);
    for (const name of ["deadbee", `${ann.peerId}0`, "deadbeef!", "facade"]) {
      trust.meet({ ...bob, name });
      assertEquals(trust.holderOf(name), bob.peerId, name);
    }
  });
});

Deno.test("Trust.holderOf tells whose a name is, and a denied peer holds none", () => {
  each((trust) => {
    trust.add(eve.peerId, { name: "bob", policy: "deny" });
    assertEquals([trust.holderOf("bob"), trust.holderOf(""), trust.holderOf("ann")], [
      undefined,
      undefined,
      undefined,
    ]);
    trust.add(bob.peerId, { name: "bob" });
    trust.add(ann.peerId);
    assertEquals([trust.holderOf("bob"), trust.holderOf("")], [bob.peerId, undefined]);
    trust.add(bob.peerId, { policy: "deny" });
    assertEquals(trust.holderOf("bob"), undefined);
  });
});

Deno.test("Trust.isExclusive is true while somebody is on the allow list", () => {
  each((trust) => {
    trust.meet(bob);
    trust.add(ann.peerId);
    trust.add(eve.peerId, { policy: "deny" });
    assertEquals(trust.isExclusive, false);
    trust.add(ann.peerId, { policy: "allow" });
    assertEquals(trust.isExclusive, true);
    trust.remove(ann.peerId);
    assertEquals(trust.isExclusive, false);
  });
});

Deno.test("Trust.remove forgets a peer by its id, or one name", () => {
  each((trust) => {
    trust.meet(bob);
    trust.meet({ ...bob, name: "bobby" });
    trust.meet(ann);
    assertEquals(trust.remove("bobby").map(({ name }) => name), ["bobby"]);
    assertEquals(rows(trust), ['bob "bob" seen', 'ann "ann" seen']);
    trust.meet({ ...bob, name: "bobby" });
    assertEquals(trust.remove(bob.peerId.toUpperCase()).length, 2);
    assertEquals(rows(trust), ['ann "ann" seen']);
    for (const target of ["bob", bob.peerId, ""]) {
      assertEquals(assertThrows(() => trust.remove(target), NotFoundError).code, "no-peer");
    }
  });
});

Deno.test("Trust takes four digits of an id or more that only one known peer has", () => {
  each((trust) => {
    const [one, two] = ["cafe0".padEnd(40, "1"), "cafe1".padEnd(40, "1")];
    for (const name of ["un", "uno"]) trust.add(one, { name });
    assertEquals(trust.add("CAFE", { policy: "allow" }).map(({ policy }) => policy), [
      "allow",
      "allow",
    ]);
    trust.add(two);
    for (const target of ["caf", "cafe2", "cafe", `${one}1`]) {
      assertThrows(() => trust.remove(target), NotFoundError, "Cannot find");
    }
    assertThrows(() => trust.remove("cafe"), NotFoundError, "2 peers are called that, or have an");
    // Nobody gets what is meant for another by calling itself so.
    trust.meet({ ...bob, name: "cafe1" });
    assertThrows(() => trust.add("cafe1"), NotFoundError, "2 peers are called that");
    assertEquals(trust.remove("cafe0").length, 2);
    assertEquals(trust.remove("cafe11").map(({ peerId }) => peerId), [two]);
    assertEquals(trust.remove("cafe1").map(({ peerId }) => peerId), [bob.peerId]);
  });
});

Deno.test("Trust asks for the id where several denied peers have the same name", () => {
  each((trust) => {
    for (const { peerId } of [bob, eve]) trust.add(peerId, { name: "bob", policy: "deny" });
    assertThrows(() => trust.remove("bob"), NotFoundError, "2 denied peers have that name");
    trust.remove(eve.peerId);
    assertEquals(trust.remove("bob").length, 1);
  });
});

Deno.test("Trust fills in the key, and then the name, of a peer that was entered by hand", () => {
  each((trust) => {
    trust.add(bob.peerId);
    trust.check({ ...bob, publicKey: "" });
    trust.check({ ...bob, publicKey: ann.publicKey });
    assertEquals(trust.list()[0]?.key, undefined);
    trust.check(bob);
    const { peerId, publicKey: key } = bob;
    const entry = { peerId, policy: "pin", since: 1_000_000, key } as const;
    assertEquals(trust.list(), [{ ...entry, name: "" }]);
    trust.meet(bob);
    assertEquals(trust.list(), [{ ...entry, name: "bob" }]);
    trust.add(bob.peerId, { name: "bobby" });
    assertEquals(trust.list().map(({ key }) => key), [key, key]);
  });
});

Deno.test("Trust sees at the next question what another process has said", () => {
  using scratch = new ScratchHome();
  const running = new Trust({ home: scratch.home, clock });
  const typed = new Trust({ home: scratch.home, clock });
  running.check(bob);
  typed.add(bob.peerId, { policy: "deny" });
  refusal(running, bob);
  typed.remove(bob.peerId);
  running.check(bob);
  if (onPosix) assertEquals(scratch.mode("trust.json"), 0o600);
});

Deno.test("Trust lets nobody pass while its file is corrupt, leaves it there, and logs why once", () => {
  using scratch = new ScratchHome();
  const said: string[] = [];
  const log: Logger = {
    ...silentLogger,
    error: (text, fields = {}) => void said.push(`${text} ${fields.why}`),
  };
  const trust = new Trust({ home: scratch.home, clock, log });
  trust.add(eve.peerId, { policy: "deny" });
  const good = scratch.text("trust.json");
  const row = { peerId: bob.peerId, name: "bob", policy: "pin", since: 1, key: bob.publicKey };
  const corrupt: readonly (readonly [row: Record<string, unknown>, why: string])[] = [
    [{ ...row, peerId: bob.peerId.toUpperCase() }, "peerId is no peer id"],
    [{ ...row, peerId: 1 }, "peerId is no peer id"],
    [{ ...row, name: null }, "name is no name"],
    [{ ...row, name: "x".repeat(65) }, "name is no name"],
    [{ ...row, policy: "Deny" }, "policy is none of seen, pin, allow, deny"],
    [{ ...row, policy: undefined }, "policy is none of"],
    [{ ...row, since: "now" }, "since is no time"],
    [{ ...row, key: ann.publicKey }, "key is not the peer's"],
    [{ ...row, key: "" }, "key is not the peer's"],
    [{ ...row, key: 5 }, "key is not the peer's"],
  ];
  for (const [wrong, why] of corrupt) {
    const text = JSON.stringify({ version: 1, records: [wrong] });
    const path = scratch.write("trust.json", text);
    for (const peer of [ann, eve]) {
      const error = refusal(trust, peer);
      assertEquals(error.code, "not-allowed");
      // Others may get to read this text: it says nothing about our files.
      assert(!error.message.includes(path), error.message);
    }
    for (
      const ask of [
        () => trust.policyOf(ann.peerId),
        () => trust.holderOf("ann"),
        () => trust.isExclusive,
      ]
    ) {
      assertThrows(ask, AuthError);
    }
    assertEquals(said.length, 1);
    assertStringIncludes(
      said.splice(0)[0] ?? "",
      `Cannot use trust file ${path}: record 0: ${why}`,
    );
    for (const act of [() => trust.list(), () => trust.add(ann.peerId), () => trust.meet(ann)]) {
      assertStringIncludes(assertThrows(act, InvalidPacketError).message, "move it away");
    }
    assertEquals(scratch.text("trust.json"), text);
  }
  scratch.write("trust.json", good);
  trust.check(ann);
  refusal(trust, eve);
});

Deno.test("Trust takes the strictest of what somebody wrote into the file", () => {
  using scratch = new ScratchHome();
  const row = { peerId: bob.peerId, since: 1 };
  const text = (...policies: string[]) => {
    const records = policies.map((policy, n) => ({ ...row, name: `n${n}`, policy }));
    return JSON.stringify({ version: 1, records });
  };
  const trust = new Trust({ home: scratch.home });
  scratch.write("trust.json", text("allow", "deny", "pin"));
  assertEquals(trust.policyOf(bob.peerId), "deny");
  scratch.write("trust.json", text("allow", "pin"));
  assertEquals(trust.policyOf(bob.peerId), "allow");
});

Deno.test("Trust refuses the entry after 4096, and goes on without", () => {
  using scratch = new ScratchHome();
  const records = Array.from({ length: MAX_RECORDS }, (_, n) => {
    const peerId = n.toString(16).padStart(40, "0");
    return { peerId, name: `n${n}`, policy: "seen", since: 1 };
  });
  scratch.write("trust.json", JSON.stringify({ version: 1, records }));
  const trust = new Trust({ home: scratch.home });
  assertThrows(() => trust.meet(bob), LimitError, "maxRecords 4096");
  assertThrows(() => trust.add(bob.peerId, { policy: "deny" }), LimitError);
  trust.check(bob);
  trust.add("n7", { policy: "deny" });
  assertEquals(trust.list().length, MAX_RECORDS);
});

Deno.test("Trust loses nothing of what processes say at the same time", async () => {
  using scratch = new ScratchHome();
  const from = (path: string) => JSON.stringify(import.meta.resolve(path));
  await inProcesses(
    3,
    `
    import { Home } from ${from("../../src/state/home.ts")};
    import { Trust } from ${from("../../src/secure/trust.ts")};
    const trust = new Trust({ home: Home.open(${JSON.stringify(scratch.home.dir)}) });
    /* begin */
    for (let n = 0; n < 20; n++) {
      trust.add((Deno.args[0] + "f" + n).padStart(40, "0"), { policy: "deny" });
    }
    `,
  );
  assertEquals(new Trust({ home: scratch.home }).list().length, 60);
});
