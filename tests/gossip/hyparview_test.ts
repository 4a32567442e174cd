import { assert, assertEquals } from "@std/assert";
import type { Contact } from "../../src/gossip/contact.ts";
import { Simulation } from "../../src/testing/mod.ts";
import { GossipSwarm } from "../../src/testing/gossip_swarm.ts";
import { at, idOf, names, ViewGlass } from "./fixture.ts";

const FIVE = ["a", "b", "c", "d", "e"];

/** A view that is full: of neighbours that it chose itself. */
function chosen(tuning: ConstructorParameters<typeof ViewGlass>[0] = {}): ViewGlass {
  const glass = new ViewGlass(tuning);
  glass.choose(...FIVE);
  assertEquals(glass.neighbors, FIVE);
  return glass;
}

/** How long it takes until somebody is asked to be a neighbour, in milliseconds. */
function untilAsked(glass: ViewGlass, name: string, mostMs = 60_000): number {
  glass.mail.clear();
  for (let ms = 0; ms <= mostMs; ms += 100) {
    if (glass.mail.of("neighbor", name).length > 0) return ms;
    glass.tick(100);
  }
  return Infinity;
}

Deno.test("HyParView asks those it is introduced to, and has no neighbour before one agrees", () => {
  const glass = new ViewGlass();
  glass.know("a", "b");
  glass.tick(0);
  const asked = glass.mail.of("neighbor");
  assertEquals(asked.map(({ to, priority }) => [to, priority]).toSorted(), [
    ["a", "join"],
    ["b", "join"],
  ]);
  assertEquals([asked[0]?.contact, asked[0]?.wallMs], [at("me"), 1_000_000]);
  assertEquals([glass.view.size, glass.changes], [0, []]);
  glass.welcome("b");
  assertEquals([glass.neighbors, glass.changes], [["b"], ["asked b"]]);
  assert(glass.view.has(idOf("b")) && !glass.view.has(idOf("a")));
});

Deno.test("HyParView asks urgently with few neighbours, and three at a time at most", () => {
  const priorities = [0, 1, 2, 3, 4, 5].map((count) => {
    const glass = new ViewGlass();
    glass.choose(...FIVE.slice(0, count));
    glass.know("one more");
    glass.tick(2_000);
    return glass.mail.of("neighbor", "one more")[0]?.priority;
  });
  assertEquals(priorities, ["join", "high", "high", "low", "low", undefined]);
  const crowd = new ViewGlass();
  crowd.know(...names("n", 30));
  for (let round = 0; round < 10; round++) crowd.tick(50);
  const asked = crowd.mail.of("neighbor").map(({ to }) => to);
  assertEquals([asked.length, new Set(asked).size], [3, 3]);
  const few = new ViewGlass({ activeSize: 9 });
  few.know(...names("n", 30));
  assert(few.mail.of("neighbor").length <= 3);
});

Deno.test("HyParView lets in whoever asks while there is room, and tells it of others", () => {
  const glass = new ViewGlass();
  for (const name of FIVE) assertEquals(glass.ask(name), undefined);
  assertEquals([glass.neighbors, glass.changes[4]], [FIVE, "let in e"]);
  const { contact, wallMs, echoMs, contacts } = glass.mail.one("welcome", "e");
  assertEquals([contact, wallMs, echoMs], [at("me"), 1_000_000, 77]);
  assert(contacts.length > 0 && contacts.length <= 8);
  assert(contacts.every(({ peerId }) => FIVE.slice(0, 4).map(idOf).includes(peerId)));
  assertEquals([glass.ask("f"), glass.neighbors], ["full", FIVE]);
  assertEquals(glass.view.contactOf(idOf("f")), at("f"), "it is known of from now on");
});

Deno.test("HyParView says yes again to a neighbour whose answer was lost, also when it is full", () => {
  const glass = chosen();
  const before = [...glass.changes];
  assertEquals([glass.ask("a"), glass.ask("b", "high")], [undefined, undefined]);
  assertEquals([glass.neighbors, glass.changes], [FIVE, before]);
});

Deno.test("HyParView lets nobody in who did wrong, and asks nobody who did", () => {
  const glass = new ViewGlass();
  glass.unwelcome.add("eve");
  assertEquals([glass.ask("eve", "join"), glass.view.size], ["full", 0]);
  assertEquals(glass.view.known, 0, "nor is it told of to others");
  glass.know("eve");
  for (let round = 0; round < 20; round++) glass.tick(500);
  assertEquals(glass.mail.of("neighbor"), []);
  glass.know("mallory");
  glass.unwelcome.add("mallory");
  glass.mail.clear();
  glass.welcome("mallory");
  assertEquals([glass.view.size, glass.mail.one("leave", "mallory").isGone], [0, false]);
});

Deno.test("HyParView has neighbours tell of who joins, by walks, and of nobody else", () => {
  const glass = new ViewGlass();
  glass.choose("a", "b", "c");
  glass.ask("low", "low");
  assertEquals(glass.mail.of("walk"), []);
  glass.ask("new", "join");
  const walks = glass.mail.of("walk");
  assertEquals(walks.map(({ to }) => to).toSorted(), ["a", "b", "c", "low"]);
  assert(walks.every(({ contact, left }) => contact.peerId === idOf("new") && left === 6));
});

Deno.test("HyParView tells of who joins once, and answers one peer so often and no more", () => {
  const glass = new ViewGlass();
  glass.choose("a", "b");
  const ask = (priority: "join" | "low") => {
    glass.from("eve", { kind: "neighbor", priority, contact: glass.at("eve"), wallMs: 0 });
  };
  for (let nth = 0; nth < 100; nth++) ask("join");
  assertEquals([glass.mail.of("walk").length, glass.mail.of("welcome").length], [2, 8]);
  glass.mail.clear();
  glass.nowMs += 3_000;
  for (let nth = 0; nth < 100; nth++) ask("low");
  assertEquals(glass.mail.of("welcome").length, 3);
  assertEquals(glass.ask("bob"), undefined, "others are answered all the same");
});

Deno.test("HyParView passes on so many walks and exchanges of one neighbour, and none for too long", () => {
  const glass = new ViewGlass();
  glass.choose("a", "b", "c");
  const contact = at("x");
  const flood = (name: string) => {
    glass.mail.clear();
    for (let nth = 0; nth < 100; nth++) {
      glass.from(name, { kind: "walk", contact, left: 16 });
      glass.from(name, { kind: "shuffle", contact, contacts: [], left: 16, nonce: nth });
    }
    const [walks, shuffles] = [glass.mail.of("walk"), glass.mail.of("shuffle")];
    assert([...walks, ...shuffles].every(({ left }) => left === 5), "as if they had just begun");
    return [walks.length, shuffles.length];
  };
  assertEquals([flood("a"), flood("b")], [[64, 8], [64, 8]]);
  glass.nowMs += 2_000;
  assertEquals(flood("a"), [16, 2]);
});

Deno.test("HyParView passes walks on to others, and takes note of the walker three steps before the end", () => {
  const glass = new ViewGlass();
  glass.choose("a", "b", "c");
  for (const left of [6, 5, 4, 3, 2, 1]) {
    glass.mail.clear();
    const name = `walker ${left}`;
    glass.from("a", { kind: "walk", contact: glass.at(name), left });
    const walk = glass.mail.one("walk");
    assertEquals([walk.contact, walk.left], [at(name), left - 1]);
    assert(["b", "c"].includes(walk.to));
    assertEquals(glass.view.contactOf(idOf(name)) !== undefined, left === 3, name);
  }
  for (let round = 0; round < 8; round++) {
    glass.mail.clear();
    glass.from("a", { kind: "walk", contact: glass.at("b"), left: 6 });
    assertEquals(glass.mail.one("walk").to, "c", "neither back nor to whom it is about");
  }
});

Deno.test("HyParView asks whoever's walk ends here, if there is room", () => {
  const glass = new ViewGlass();
  glass.choose("a", "b", "c");
  glass.from("a", { kind: "walk", contact: glass.at("new"), left: 0 });
  assertEquals(glass.mail.all.map(({ kind, to }) => [kind, to]), [["neighbor", "new"]]);
  assertEquals(glass.mail.one("neighbor").priority, "low");
  const lonely = new ViewGlass();
  lonely.choose("a");
  lonely.from("a", { kind: "walk", contact: lonely.at("new"), left: 6 });
  assertEquals(lonely.mail.take(), ["neighbor new"], "there is nobody to pass it on to");
  const full = chosen();
  full.from("a", { kind: "walk", contact: full.at("new"), left: 0 });
  assertEquals([full.mail.all, full.view.known], [[], 1]);
});

Deno.test("HyParView asks three at a time because of walks, and nobody who did wrong", () => {
  const glass = new ViewGlass({ activeSize: 20 });
  glass.choose("a");
  glass.unwelcome.add("eve");
  for (const name of ["eve", ...names("new", 10)]) {
    glass.from("a", { kind: "walk", contact: glass.at(name), left: 0 });
  }
  assertEquals(glass.mail.of("neighbor").map(({ to }) => to), ["new0", "new1", "new2"]);
});

Deno.test("HyParView ignores walks and shuffles of strangers, and walks about itself", () => {
  const glass = new ViewGlass();
  glass.choose("a", "b");
  const [me, x] = [at("me"), at("x")];
  glass.from("stranger", { kind: "walk", contact: x, left: 0 });
  glass.from("stranger", { kind: "shuffle", contact: x, contacts: [at("y")], left: 0, nonce: 5 });
  glass.from("a", { kind: "walk", contact: me, left: 6 });
  glass.from("a", { kind: "walk", contact: me, left: 0 });
  glass.from("a", { kind: "shuffle", contact: me, contacts: [at("y")], left: 6, nonce: 5 });
  assertEquals([glass.mail.all, glass.view.known], [[], 0]);
});

Deno.test("HyParView grants urgent requests in place of others, eight at once and two a second", () => {
  const glass = chosen();
  const ask = (count: number, prefix: string) => {
    return names(prefix, count).filter((name) => glass.ask(name, "high") === undefined).length;
  };
  const before = glass.changes.length;
  assertEquals(ask(20, "n"), 8);
  assertEquals([glass.view.size, glass.changes.length - before], [5, 16], "one goes for each");
  assertEquals(ask(20, "m"), 0);
  glass.nowMs += 1_000;
  assertEquals(ask(20, "k"), 2);
  glass.nowMs += 3_600_000;
  assertEquals(ask(20, "j"), 8, "what was not used does not add up");
});

Deno.test("HyParView tells who has to go for somebody urgent, and goes on knowing it", () => {
  const glass = chosen();
  assertEquals(glass.ask("new", "join"), undefined);
  const { to, isGone } = glass.mail.one("leave");
  assertEquals([isGone, glass.changes.slice(-2)], [false, [`lost ${to}`, "let in new"]]);
  assert(!glass.neighbors.includes(to));
  assertEquals(glass.view.contactOf(idOf(to)), at(to));
});

Deno.test("HyParView keeps the two oldest neighbours, however urgently others ask", () => {
  const glass = new ViewGlass();
  glass.choose("a");
  for (const name of ["b", "c", "d", "e"]) glass.ask(name);
  for (let round = 0; round < 50; round++) {
    glass.nowMs += 1_000;
    glass.ask(`eve${round}`, round % 2 === 0 ? "high" : "join");
  }
  const [a, b, ...others] = glass.neighbors;
  assertEquals([a, b], ["a", "b"]);
  assert(others.length === 3 && others.every((name) => name.startsWith("eve")));
});

Deno.test("HyParView gives a place for a change only of somebody who is not needed", () => {
  const glass = chosen();
  for (const name of FIVE) glass.needed.add(name);
  assertEquals([glass.ask("new", "swap"), glass.neighbors], ["full", FIVE]);
  glass.needed.delete("d");
  assertEquals(glass.ask("new", "swap"), undefined);
  assertEquals(glass.neighbors, ["a", "b", "c", "e", "new"]);
  for (const name of ["e", "new"]) glass.needed.add(name);
  assertEquals(glass.ask("urgent", "high"), undefined, "who has too few gets in all the same");
});

Deno.test("HyParView does not count urgent requests that it refuses", () => {
  const glass = chosen();
  for (const name of FIVE) glass.needed.add(name);
  for (const name of names("s", 10)) assertEquals(glass.ask(name, "swap"), "full");
  assertEquals(glass.ask("urgent", "high"), undefined);
});

Deno.test("HyParView asks some strangers a few times to take a place, though there are enough", () => {
  const glass = chosen();
  const strangers = names("s", 10);
  for (const name of strangers) glass.view.mix(glass.at(name));
  for (let ms = 0; ms < 60_000; ms += 250) {
    glass.tick(250);
    for (const { to, priority } of glass.mail.of("neighbor").slice(-1)) {
      assertEquals(priority, "high");
      glass.welcome(to, "full");
    }
  }
  const asked = glass.mail.of("neighbor").map(({ to }) => to);
  assertEquals([...new Set(asked)].toSorted(), ["s0", "s1", "s2", "s3"]);
  assert(asked.length >= 4 && asked.length <= 20, `${asked.length}`);
  assertEquals(glass.neighbors, FIVE);
});

Deno.test("HyParView takes nobody as a neighbour who answers what was not asked, or too late", () => {
  const glass = new ViewGlass();
  glass.welcome("eve");
  assertEquals(glass.view.size, 0);
  glass.know("slow");
  glass.tick(1_100);
  glass.mail.clear();
  glass.welcome("slow");
  assertEquals([glass.view.size, glass.changes], [0, []]);
  assertEquals(glass.mail.take(), ["leave slow"], "or it would take us for a neighbour");
});

Deno.test("HyParView takes note of the others that an answer tells of, also of a refusal", () => {
  const glass = new ViewGlass();
  glass.know("a");
  glass.tick(0);
  glass.welcome("a", "full", [at("x"), at("me"), { ...at("y"), port: 0 }]);
  assertEquals(["x", "me", "y"].map((name) => glass.view.contactOf(idOf(name)) !== undefined), [
    true,
    false,
    false,
  ]);
});

Deno.test("HyParView says no to who agrees when the last place was taken", () => {
  const glass = new ViewGlass();
  glass.choose("a", "b", "c", "d");
  glass.know("late");
  assert(untilAsked(glass, "late") < 2_000);
  glass.ask("quick");
  glass.mail.clear();
  glass.welcome("late");
  assertEquals([glass.neighbors.includes("late"), glass.view.size], [false, 5]);
  assertEquals(glass.mail.one("leave", "late").isGone, false);
  assert(glass.view.contactOf(idOf("late")) !== undefined);
});

Deno.test("HyParView leaves alone who has enough neighbours: each time longer, to a limit", () => {
  const glass = new ViewGlass({}, 5);
  glass.choose("a", "b", "c");
  glass.know("bob");
  assert(untilAsked(glass, "bob") < 2_000);
  const rests: number[] = [];
  for (let round = 0; round < 8; round++) {
    glass.welcome("bob", "full");
    rests.push(untilAsked(glass, "bob"));
  }
  rests.forEach((restMs, nth) => {
    const meantMs = Math.min(1_000 * 2 ** nth, 30_000);
    const isMeant = restMs >= 0.5 * meantMs && restMs <= 1.5 * meantMs + 1_700;
    assert(isMeant, `${nth}: ${restMs} ms`);
  });
});

Deno.test("HyParView forgets who is silent three times in a row", () => {
  const glass = new ViewGlass();
  glass.know("bob");
  for (let ms = 0; ms < 20_000; ms += 100) glass.tick(100);
  assertEquals([glass.mail.of("neighbor", "bob").length, glass.view.known], [3, 0]);
  const other = new ViewGlass();
  other.know("bob");
  for (const answers of [false, false, true, false, false, true]) {
    if (answers) other.welcome("bob", "full");
    else other.tick(1_000);
    assert(untilAsked(other, "bob") < Infinity, "an answer begins the count anew");
  }
});

Deno.test("HyParView forgets who does not know the topic, and says who does not let it in", () => {
  const glass = new ViewGlass();
  glass.know("a", "b");
  glass.tick(0);
  glass.welcome("a", "unknown");
  glass.welcome("b", "not-allowed");
  assertEquals([glass.view.known, glass.changes], [0, ["refused by b"]]);
});

Deno.test("HyParView asks others at once, and those it left alone, when too few neighbours are left", () => {
  const glass = new ViewGlass();
  glass.choose("a", "b", "c");
  glass.know("spare");
  assert(untilAsked(glass, "spare") < 2_000);
  for (let nth = 0; nth < 6; nth++) {
    glass.welcome("spare", "full");
    if (nth < 5) untilAsked(glass, "spare");
  }
  glass.mail.clear();
  glass.from("a", { kind: "leave", isGone: true });
  glass.tick(0);
  assertEquals(glass.mail.take(), ["neighbor spare"]);
});

Deno.test("HyParView forgets a neighbour that leaves for good, and goes on knowing one that only lets go", () => {
  const glass = new ViewGlass();
  glass.choose("a", "b");
  glass.from("a", { kind: "leave", isGone: true });
  glass.from("b", { kind: "leave", isGone: false });
  assertEquals(glass.changes.slice(-2), ["lost a", "lost b"]);
  assertEquals(["a", "b"].map((name) => glass.view.contactOf(idOf(name))), [undefined, at("b")]);
  glass.from("stranger", { kind: "leave", isGone: false });
  assertEquals([glass.view.known, glass.changes.length], [1, 4]);
});

Deno.test("HyParView drops who is not wanted: it says so, and forgets it", () => {
  const glass = new ViewGlass();
  glass.choose("a", "b", "c");
  glass.view.drop(idOf("a"));
  assertEquals([glass.mail.take(), glass.neighbors], [["leave a"], ["b", "c"]]);
  assertEquals([glass.changes.at(-1), glass.view.contactOf(idOf("a"))], ["lost a", undefined]);
  glass.know("asked");
  glass.view.drop(idOf("asked"));
  glass.view.drop(idOf("nobody"));
  glass.welcome("asked");
  assertEquals([glass.neighbors, glass.changes.length], [["b", "c"], 4]);
});

Deno.test("HyParView forgets a neighbour that cannot be reached, and who is asked after the third time", () => {
  const glass = new ViewGlass();
  glass.choose("a", "b", "c");
  glass.view.lost(idOf("a"));
  assertEquals([glass.mail.all, glass.changes.at(-1)], [[], "lost a"]);
  assertEquals(glass.view.contactOf(idOf("a")), undefined);
  glass.know("p");
  const known: boolean[] = [];
  for (let round = 0; round < 3; round++) {
    glass.view.lost(idOf("p"));
    known.push(glass.view.contactOf(idOf("p")) !== undefined);
    if (round < 2) assert(untilAsked(glass, "p") < Infinity);
  }
  assertEquals(known, [true, true, false]);
});

Deno.test("HyParView asks three others when all neighbours are silent, who take places as they agree", () => {
  const glass = chosen();
  glass.know("x", "y", "z", "w");
  glass.view.alarm();
  const asked = glass.mail.of("neighbor");
  assertEquals(asked.map(({ priority }) => priority), ["high", "high", "high"]);
  assertEquals(glass.neighbors, FIVE, "nobody goes before somebody agrees");
  const [first = "", second = ""] = asked.map(({ to }) => to);
  glass.mail.clear();
  glass.welcome(first);
  const { to, isGone } = glass.mail.one("leave");
  assert(FIVE.includes(to) && !isGone && !glass.neighbors.includes(to));
  assert(glass.neighbors.includes(first) && glass.view.size === 5);
  glass.from("e", { kind: "leave", isGone: true });
  glass.mail.clear();
  glass.welcome(second);
  assertEquals([glass.mail.of("leave"), glass.view.size], [[], 5], "there was room");
});

Deno.test("HyParView exchanges contacts with a neighbour from time to time", () => {
  const glass = chosen({ shuffleMs: 20_000 });
  const others = names("p", 10);
  glass.know(...others);
  const begunMs = glass.nowMs;
  while (glass.mail.of("shuffle").length < 4 && glass.nowMs < begunMs + 200_000) glass.tick(250);
  const shuffles = glass.mail.of("shuffle");
  const eachMs = (glass.nowMs - begunMs) / 4;
  assert(eachMs >= 10_000 && eachMs <= 30_500, `${eachMs} ms`);
  for (const { to, contact, contacts, left } of shuffles) {
    const told = contacts.map(({ peerId }) => glass.nameOf(peerId));
    assertEquals([contact, left, told.length, new Set(told).size], [at("me"), 6, 7, 7]);
    assert(FIVE.includes(to) && !told.includes(to));
    assertEquals(told.filter((name) => others.includes(name)).length, 4);
  }
});

Deno.test("HyParView answers an exchange where it ends, to whom it is about, with one more", () => {
  const glass = new ViewGlass();
  glass.choose("a", "b", "c");
  glass.know(...names("p", 8));
  const contacts = [at("y")];
  glass.from("a", { kind: "shuffle", contact: glass.at("x"), contacts, left: 3, nonce: 5 });
  const { to, ...passed } = glass.mail.one("shuffle");
  assert(["b", "c"].includes(to));
  assertEquals([passed.contact, passed.contacts, passed.left, passed.nonce], [
    at("x"),
    contacts,
    2,
    5,
  ]);
  assertEquals([glass.mail.of("shuffled"), glass.view.known], [[], 8]);
  glass.mail.clear();
  glass.from("a", { kind: "shuffle", contact: glass.at("x"), contacts, left: 1, nonce: 5 });
  const answer = glass.mail.one("shuffled", "x").contacts.map(({ peerId }) => peerId);
  assertEquals([answer.length, answer.includes(idOf("x"))], [2, false]);
  assertEquals(glass.mail.one("shuffled").nonce, 5);
  assertEquals([glass.mail.all.length, glass.view.known], [1, 10]);
});

Deno.test("HyParView sends no more contacts than can be read, however many it is sent", () => {
  const glass = chosen();
  glass.know(...names("p", 30));
  for (let round = 0; round < 5; round++) {
    const contacts = names(`${round} of `, 16).map(at);
    glass.from("a", { kind: "shuffle", contact: glass.at("victim"), contacts, left: 0, nonce: 5 });
    glass.ask(`new ${round}`);
  }
  // Reading them is what the fixture does with all that is sent.
  assert(glass.view.known <= 30);
});

Deno.test("HyParView takes note of what it gets in exchange: of one answer, and soon", () => {
  const glass = chosen({ shuffleMs: 20_000 });
  const told = [at("x"), at("y"), at("a"), at("me")];
  const answer = (contacts: Contact[], nonce: number) => {
    glass.from("z", { kind: "shuffled", contacts, nonce });
  };
  const shuffle = () => {
    glass.mail.clear();
    while (glass.mail.of("shuffle").length === 0) glass.tick(250);
    return glass.mail.one("shuffle").nonce;
  };
  answer(told, 0);
  assertEquals(glass.view.known, 0, "nobody asked for it");
  const first = shuffle();
  answer(names("guess", 4).map(at), first + 1);
  answer(told, first);
  answer(names("more", 4).map(at), first);
  assertEquals([glass.view.known, glass.view.contactOf(idOf("x"))], [2, at("x")]);
  const second = shuffle();
  glass.nowMs += 5_000;
  answer(names("late", 4).map(at), second);
  assertEquals(glass.view.known, 2);
});

Deno.test("HyParView believes of an address what a peer says itself, and not what others say", () => {
  const glass = chosen();
  glass.know("p");
  const wrong = { ...at("p"), hosts: ["192.0.2.66"] };
  glass.from("a", { kind: "walk", contact: wrong, left: 0 });
  glass.from("a", { kind: "shuffle", contact: wrong, contacts: [wrong], left: 0, nonce: 5 });
  glass.view.introduce([wrong]);
  assertEquals(glass.view.contactOf(idOf("p")), at("p"));
  const moved = { ...at("p"), hosts: ["192.0.2.1"] };
  glass.view.receive({ kind: "neighbor", priority: "low", contact: moved, wallMs: 0 }, moved);
  assertEquals(glass.view.contactOf(idOf("p")), moved);
});

Deno.test("HyParView changes a neighbour that is not needed for somebody else, now and then", () => {
  const glass = chosen({ swapMs: 60_000 });
  for (const name of ["a", "b", "d", "e"]) glass.needed.add(name);
  glass.know("other");
  const begunMs = glass.nowMs;
  while (glass.mail.of("neighbor").length === 0 && glass.nowMs < 200_000) glass.tick(250);
  assertEquals(glass.mail.one("neighbor", "other").priority, "swap");
  assert(glass.nowMs - begunMs <= 90_500 && glass.nowMs >= 30_000, `${glass.nowMs} ms`);
  assertEquals(glass.neighbors, FIVE, "nobody goes before the other agrees");
  glass.welcome("other");
  assertEquals(glass.neighbors, ["a", "b", "d", "e", "other"]);
  assertEquals(glass.mail.one("leave", "c").isGone, false);
});

Deno.test("HyParView changes nobody who is needed", () => {
  const glass = chosen({ swapMs: 1_000 });
  for (const name of FIVE) glass.needed.add(name);
  glass.know("other");
  for (let ms = 0; ms < 5_000; ms += 250) glass.tick(250);
  assertEquals([glass.mail.of("neighbor"), glass.neighbors], [[], FIVE]);
});

Deno.test("HyParView says goodbye to all neighbours, and to those who may be about to agree", () => {
  const few = new ViewGlass();
  few.choose("a");
  few.know("asked");
  few.mail.clear();
  few.view.leave();
  assertEquals(few.mail.take(), ["leave a", "leave asked"]);
  few.welcome("asked");
  assertEquals(few.view.size, 0);
  const glass = chosen();
  glass.view.leave();
  const goodbyes = glass.mail.of("leave").map(({ to, isGone }) => [to, isGone]);
  assertEquals(goodbyes, FIVE.map((name) => [name, true]));
  assertEquals([glass.view.size, glass.changes.slice(-5)], [0, FIVE.map((name) => `lost ${name}`)]);
});

Deno.test("HyParView tells who takes it for a neighbour that it is none, unless it just asks it", () => {
  const glass = new ViewGlass();
  glass.choose("a");
  glass.know("asked");
  glass.mail.clear();
  for (const name of ["a", "asked", "stranger"]) glass.view.correct(glass.at(name));
  assertEquals(glass.mail.one("leave").to, "stranger");
  assertEquals(glass.mail.one("leave").isGone, false);
});

Deno.test("HyParView knows thirty others at most", () => {
  const glass = chosen();
  glass.know(...names("n", 100));
  assertEquals([glass.view.known, glass.view.others(100).length], [30, 30]);
  assertEquals(glass.view.others(4).length, 4);
});

Deno.test("HyParView ties a swarm together in one piece, whatever gets lost, with five neighbours at most", () => {
  for (const seed of [1, 2]) {
    const simulation = new Simulation({ seed, link: { delayMs: [1, 20], loss: 0.1 } });
    const swarm = new GossipSwarm(simulation, { nodes: 20 });
    simulation.run(15_000);
    const { running } = swarm;
    assert(running.every(({ topic }) => topic.view.size >= 1 && topic.view.size <= 5));
    const reached = new Set(running.slice(0, 1));
    for (const { topic, peerId } of reached) {
      for (const other of running) {
        if (topic.view.has(other.peerId) && other.topic.view.has(peerId)) reached.add(other);
      }
    }
    assertEquals(reached.size, running.length, `seed ${seed}`);
    simulation.close();
  }
});
