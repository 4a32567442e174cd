import { assert, assertEquals, assertThrows } from "@std/assert";
import { InvalidPacketError } from "../../src/errors.ts";
import { ChunkList } from "../../src/palmtree/chunk_list.ts";
import { ChunkSet } from "../../src/palmtree/chunk_set.ts";
import type { ControlMessage, StateUpdate } from "../../src/palmtree/control.ts";
import type { LinkFrame } from "../../src/palmtree/link_frames.ts";
import type { Participant } from "../../src/palmtree/participant.ts";
import { Relay } from "../../src/palmtree/relay.ts";
import { RELAY_STATE, type RelayEvent } from "../../src/palmtree/relay_options.ts";

const ROOT = "1";

const CHUNKS = [0, 1, 2, 3, 4].map((index) => new Uint8Array(10).fill(index));
const CONTENT = ChunkList.of(50, 10, { read: (index) => CHUNKS[index] ?? new Uint8Array() });

function participant(peerId: string, isKith = true): Participant {
  const hostname = `10.0.0.${peerId}`;
  return { peerId, passive: { hostname, port: 50_000 }, active: { hostname, port: 3_485 }, isKith };
}

const chunk = (index: number): LinkFrame => {
  return { type: "chunk", index, data: CHUNKS[index] ?? new Uint8Array() };
};

/** One relay, and what it does to the world. */
class Glass {
  readonly relay: Relay;
  readonly events: RelayEvent[] = [];
  nowMs = 0;
  keepFails = false;
  readonly #did: string[] = [];

  constructor(
    readonly peerId = "9",
    { have, isRootKith = true }: { have?: ChunkSet; isRootKith?: boolean } = {},
  ) {
    const session = {
      originateId: ROOT,
      sessionId: "s",
      key: "k",
      fanout: 2,
      linkWaitMs: 3_000,
      adjacentPeers: [],
      chunkSize: 10,
      fileCount: 1,
    };
    const root = { hostname: "10.0.0.1", isKith: isRootKith };
    const given = have === undefined ? {} : { have };
    this.relay = new Relay(
      { self: participant(peerId), session, content: CONTENT, root, ...given },
      {
        send: (message, to) => void this.#did.push(`${message.type} to ${to.peerId}`),
        connect: (to) => void this.#did.push(`connect ${to.peerId}`),
        close: (to) => void this.#did.push(`close ${to}`),
        tell: (to, frame) => void this.#did.push(`${wordsOf(frame)} for ${to}`),
        give: (to, index) => void this.#did.push(`chunk ${index} for ${to}`),
        keep: (index) => {
          if (this.keepFails) throw new Error("disk full");
          this.#did.push(`keep ${index}`);
        },
        emit: (event) => void this.events.push(event),
      },
    );
    this.relay.ready();
  }

  /** What it did since the last time. */
  take(): string[] {
    return this.#did.splice(0);
  }

  receive(message: ControlMessage, sealedBy: string | undefined, hostname?: string): boolean {
    const address = { hostname: hostname ?? `10.0.0.${sealedBy}`, port: 50_000 };
    return this.relay.receive(message, { sealedBy, address }, this.nowMs);
  }

  /** Is told its neighbours. */
  learn(peerIds: readonly string[], change: Partial<StateUpdate> = {}): void {
    const neighbors = peerIds.map((peerId) => participant(peerId));
    assert(this.receive({ type: "state-update", neighbors, seq: 1, ...change }, ROOT));
    this.take();
  }

  check(from: string, sealedBy: string | undefined = from): boolean {
    return this.receive({ type: "tree-check", from, messageId: "m", sessionId: "s" }, sealedBy);
  }

  upgrade(from: string): boolean {
    const { active } = participant(from);
    return this.receive({ type: "upgrade", from, active }, from);
  }

  /** Is linked to by a parent that says where it is. */
  adopt(peerId: string, path: string[] = [ROOT, peerId]): void {
    assert(this.check(peerId));
    assert(this.relay.linkOffered(peerId, this.nowMs));
    this.frame(peerId, { type: "path", path, chunks: 5, isLagging: false });
    this.take();
  }

  frame(peerId: string, frame: LinkFrame): void {
    this.relay.frame(peerId, frame, this.nowMs);
  }

  /** Lets time pass, with a tick every 100 milliseconds. */
  pass(ms: number): string[] {
    for (const untilMs = this.nowMs + ms; this.nowMs < untilMs;) {
      this.nowMs += 100;
      this.relay.tick(this.nowMs);
    }
    return this.take();
  }

  types(): string[] {
    return this.events.map(({ type }) => type);
  }
}

function wordsOf(frame: LinkFrame): string {
  if (frame.type === "end") return `end (${frame.why})`;
  if (frame.type === "path") return frame.isLagging ? "path (lagging)" : "path";
  return frame.type;
}

Deno.test("Relay goes through its states: sockets, neighbours, parent", () => {
  const glass = new Glass();
  assertEquals(glass.relay.state, RELAY_STATE.ready);
  glass.check("2");
  assertEquals(glass.take(), [], "from nobody who is known");
  glass.learn(["2", "3"]);
  assertEquals(glass.relay.state, RELAY_STATE.linksKnown);
  assert(glass.check("2"));
  assertEquals(glass.take(), ["upgrade to 2"]);
  assert(glass.relay.linkOffered("2", 0));
  assertEquals([glass.relay.state, glass.relay.parent], [RELAY_STATE.treeChecked, "2"]);
  assertEquals(glass.take(), ["have for 2", "tree-check to 3"]);
});

Deno.test("Relay understands no packet before its sockets are bound", () => {
  const self = participant("9");
  const ports = { send: () => {}, connect: () => {}, close: () => {}, tell: () => {} };
  const rest = { give: () => {}, keep: () => {}, emit: () => {} };
  const session = { originateId: ROOT, sessionId: "s", key: "k", fanout: 2, linkWaitMs: 3_000 };
  const more = { adjacentPeers: [], chunkSize: 10, fileCount: 1 };
  const relay = new Relay(
    { self, session: { ...session, ...more }, content: CONTENT },
    { ...ports, ...rest },
  );
  const envelope = { sealedBy: ROOT, address: participant(ROOT).passive };
  assert(!relay.receive({ type: "state-update", neighbors: [], seq: 1 }, envelope, 0));
  assertEquals(relay.state, RELAY_STATE.initial);
});

Deno.test("Relay acknowledges every state update, and takes over newer ones only", () => {
  const glass = new Glass();
  for (const seq of [1, 1, 0, 2]) {
    glass.receive({ type: "state-update", neighbors: [participant(String(2 + seq))], seq }, ROOT);
    assertEquals(glass.take(), [`state-ack to ${ROOT}`]);
  }
  assert(glass.check("3") && glass.check("4"), "of the first and the last");
  assertEquals(glass.take(), ["upgrade to 3", "upgrade to 4"]);
  glass.check("2");
  assertEquals(glass.take(), [], "the one in between came late");
});

Deno.test("Relay answers a check that comes again as the first, and the first who links wins", () => {
  const glass = new Glass();
  glass.learn(["2", "3", "4"]);
  assert(glass.check("2") && glass.check("2") && glass.check("3"));
  assertEquals(glass.take(), ["upgrade to 2", "upgrade to 2", "upgrade to 3"]);
  assert(!glass.relay.linkOffered("4", 0), "was not asked");
  assert(glass.relay.linkOffered("3", 0));
  assert(!glass.relay.linkOffered("2", 0), "comes second");
  glass.take();
  assert(glass.check("2") && glass.check("3"));
  assertEquals(glass.take(), ["tree-reject to 2"], "its parent has its answer");
  assert(glass.relay.linkOffered("3", 0), "the same parent links again");
});

Deno.test("Relay repeats an upgrade three times, and a check until it is answered", () => {
  const glass = new Glass();
  glass.learn(["2", "3"]);
  glass.check("2");
  assertEquals(glass.pass(700).concat(glass.take()), new Array(3).fill("upgrade to 2"));
  glass.relay.linkOffered("2", glass.nowMs);
  glass.frame("2", { type: "path", path: [ROOT, "2"], chunks: 0, isLagging: false });
  const checks = glass.pass(2_900).filter((did) => did === "tree-check to 3");
  assertEquals(checks.length, 4);
  assert(glass.upgrade("3"));
  assertEquals(glass.take(), ["connect 3"]);
  assert(glass.upgrade("3"));
  assertEquals(glass.take(), [], "it is about to");
});

Deno.test("Relay asks the next window when somebody refuses, cannot be reached or is silent", () => {
  const glass = new Glass(ROOT);
  glass.relay.begin(["2", "3", "4", "5", "6", "7"].map((id) => participant(id)), "m", 0);
  assertEquals(glass.take(), ["tree-check to 2", "tree-check to 3", "tree-check to 4"]);
  for (const from of ["2", "3"]) glass.receive({ type: "tree-reject", from }, from);
  assertEquals(glass.take(), ["tree-check to 5", "tree-check to 6"], "one more than wanted");
  glass.upgrade("4");
  glass.relay.linkFailed("4", 0);
  glass.upgrade("5");
  glass.relay.linkUp("5", 0);
  assertEquals(glass.take(), ["connect 4", "connect 5", "path for 5"]);
  assert(glass.pass(4_000).includes("tree-check to 7"), "6 has not answered");
  assert(glass.upgrade("7"));
  assertEquals(glass.take(), ["connect 7"]);
});

Deno.test("Relay takes in no more children than its fan-out, and one more for who lost its parent", () => {
  const glass = new Glass();
  glass.learn(["2", "3", "4", "5", "6"]);
  glass.adopt("2");
  for (const child of ["3", "4", "5", "6"]) {
    glass.upgrade(child);
    glass.relay.linkUp(child, 0);
    glass.take();
  }
  assertEquals(glass.relay.children, ["3", "4", "5"]);
  const root = new Glass(ROOT);
  root.relay.begin([], "m", 0);
  for (const child of ["3", "4", "5"]) root.upgrade(child);
  assertEquals(root.take(), ["connect 3", "connect 4", "tree-reject to 5"]);
  root.nowMs = 1_500;
  root.upgrade("5");
  assertEquals(root.take(), ["connect 5"], "who has found nobody else");
});

Deno.test("Relay links anew to a child that asks again, unless that is a late copy", () => {
  const glass = new Glass(ROOT);
  glass.relay.begin([participant("2")], "m", 0);
  glass.upgrade("2");
  glass.relay.linkUp("2", 0);
  glass.take();
  glass.nowMs = 900;
  glass.upgrade("2");
  assertEquals(glass.take(), []);
  glass.nowMs = 1_000;
  glass.upgrade("2");
  assertEquals(glass.take(), ["end (leaving) for 2", "close 2", "connect 2"]);
});

Deno.test("Relay without a way to the sender takes nobody in, nor anybody who is above it", () => {
  const glass = new Glass();
  glass.learn(["2", "3", "4"]);
  glass.upgrade("3");
  assertEquals(glass.take(), ["tree-reject to 3"]);
  glass.adopt("2", [ROOT, "4", "2"]);
  for (const above of ["2", "4"]) glass.upgrade(above);
  assertEquals(glass.take(), ["tree-reject to 2", "tree-reject to 4"]);
  glass.frame("2", { type: "path", path: [ROOT, "9", "2"], chunks: 0, isLagging: false });
  assertEquals(glass.relay.parent, undefined, "its own descendant is no parent");
  assert(glass.take().includes("end (loop) for 2"));
});

Deno.test("Relay verifies a chunk, keeps it, and only then passes it on", () => {
  const glass = new Glass();
  glass.learn(["2", "3"]);
  glass.adopt("2");
  glass.upgrade("3");
  glass.relay.linkUp("3", 0);
  glass.frame("3", { type: "have", bits: new ChunkSet(5).toBytes() });
  glass.take();
  glass.frame("2", chunk(3));
  assertEquals(glass.take(), ["keep 3", "chunk 3 for 3"]);
  glass.frame("2", chunk(3));
  glass.frame("3", chunk(1));
  assertEquals(glass.take(), [], "known, and not from its parent");
  assertEquals(glass.relay.receivedFrom, new Map([["2", 20]]));
  for (const index of [0, 1, 2, 4]) glass.frame("2", chunk(index));
  assertEquals(glass.types().filter((type) => type === "complete").length, 1);
  assert(glass.take().includes("beat for 2"));
});

Deno.test("Relay names and cuts off a parent that gives a wrong chunk, and never asks it again", () => {
  for (const wrong of [chunk(9), { ...chunk(1), data: new Uint8Array(10) } as LinkFrame]) {
    const glass = new Glass();
    glass.learn(["2", "3"]);
    glass.adopt("2");
    glass.frame("2", wrong);
    assertEquals(glass.types(), ["parent", "corrupt", "lost-parent"]);
    assertEquals(glass.take(), ["end (bad-chunk) for 2", "close 2", "upgrade to 3"]);
    assertEquals(glass.relay.report.blamed, ["2"]);
    assert(glass.check("2"));
    assertEquals(glass.take(), ["tree-reject to 2"]);
    assert(!glass.pass(20_000).includes("upgrade to 2"));
  }
});

Deno.test("Relay asks its neighbours one after the other when its parent is gone, the sender and that one last", () => {
  const glass = new Glass();
  glass.learn(["2", "3", "4", ROOT]);
  glass.adopt("2");
  glass.relay.linkDown("2", 0);
  const asked = [...glass.take(), ...glass.pass(3_000)].filter((did) => did.startsWith("upgrade"));
  const order = asked.filter((did, at) => asked.indexOf(did) === at);
  assertEquals(order, ["3", "4", ROOT, "2"].map((peerId) => `upgrade to ${peerId}`));
  for (const from of ["3", "4", ROOT, "2"]) glass.receive({ type: "tree-reject", from }, from);
  assert(glass.pass(10_000).includes("upgrade to 3"), "and again");
});

Deno.test("Relay asks by itself when nobody invites it", () => {
  const glass = new Glass();
  glass.learn(["2", "3"]);
  assertEquals(glass.pass(900), []);
  assertEquals(glass.pass(100), ["upgrade to 2"]);
});

Deno.test("Relay leaves a parent that is silent, gives nothing, or has no way to the sender", () => {
  const cases: [string, (glass: Glass) => void][] = [
    ["silent", () => {}],
    [
      "gives nothing",
      (glass) => glass.frame("2", { type: "path", path: [ROOT, "2"], chunks: 0, isLagging: false }),
    ],
    [
      "no way to the sender",
      (glass) => glass.frame("2", { type: "path", path: undefined, chunks: 0, isLagging: false }),
    ],
  ];
  for (const [why, live] of cases) {
    const glass = new Glass();
    glass.learn(["2", "3"]);
    glass.adopt("2");
    for (let nth = 0; nth < 130 && glass.relay.parent !== undefined; nth++) {
      live(glass);
      glass.pass(100);
    }
    const lost = glass.events.find(({ type }) => type === "lost-parent");
    assertEquals(lost, { type: "lost-parent", peerId: "2", why });
  }
});

Deno.test("Relay gives up its children when it lags itself, and takes none in", () => {
  const glass = new Glass();
  glass.learn(["2", "3", "4"]);
  glass.adopt("2");
  glass.upgrade("3");
  glass.relay.linkUp("3", 0);
  glass.take();
  glass.frame("2", { type: "path", path: [ROOT, "2"], chunks: 5, isLagging: true });
  assertEquals(glass.take(), ["downgrade to 3", "end (demoted) for 3", "close 3"]);
  glass.upgrade("4");
  assertEquals(glass.take(), ["tree-reject to 4"]);
  glass.frame("2", { type: "path", path: [ROOT, "2"], chunks: 5, isLagging: false });
  glass.upgrade("4");
  assertEquals(glass.take(), ["connect 4"]);
});

Deno.test("Relay ends a link that it is downgraded on", () => {
  const glass = new Glass();
  glass.learn(["2", "3"]);
  glass.adopt("2");
  glass.upgrade("3");
  glass.relay.linkUp("3", 0);
  for (const from of ["3", "2", "2"]) glass.receive({ type: "downgrade", from }, from);
  assertEquals([glass.relay.parent, glass.relay.children], [undefined, []]);
  assertEquals(glass.types().slice(-2), ["lost-child", "lost-parent"]);
});

Deno.test("Relay believes seals, originals at their addresses, and nobody else", () => {
  const glass = new Glass("9", { isRootKith: false });
  const neighbors = [participant("2", false), participant("3")];
  assert(!glass.receive({ type: "state-update", neighbors }, undefined, "10.0.0.66"));
  assert(glass.receive({ type: "state-update", neighbors }, undefined, "10.0.0.1"));
  const check = (from: string) =>
    ({ type: "tree-check", from, messageId: "m", sessionId: "s" }) as const;
  assert(!glass.receive(check("2"), undefined, "10.0.0.66"), "another address");
  assert(!glass.receive(check("3"), undefined, "10.0.0.3"), "ours seal what they send");
  assert(!glass.receive(check("2"), "3"), "sealed by another");
  assert(!glass.receive({ ...check("2"), sessionId: "x" }, undefined, "10.0.0.2"));
  assert(!glass.receive({ type: "state-update", neighbors, seq: 9 }, "3"), "only the sender may");
  assertEquals(glass.take(), []);
  assert(glass.receive(check("2"), undefined, "10.0.0.2"));
  assert(glass.relay.linkOffered("2", 0));
  assertEquals(glass.take(), ["upgrade to 2", "tree-check to 3"], "an original is told nothing");
  assertEquals(glass.relay.path, [...["2", "9"]]);
});

Deno.test("Relay connects to nobody but who asks for it", () => {
  const glass = new Glass();
  glass.learn(["2"]);
  glass.adopt("2");
  const upgrade = {
    type: "upgrade",
    from: "7",
    active: { hostname: "10.0.0.66", port: 22 },
  } as const;
  assert(!glass.receive(upgrade, "7"));
  assert(!glass.receive({ ...upgrade, from: "8" }, "7"));
  assertEquals(glass.take(), []);
  assert(glass.upgrade("7"));
  assertEquals(glass.take(), ["connect 7"]);
});

Deno.test("Relay answers a gather to where the sender is, and passes it on", () => {
  const glass = new Glass();
  glass.learn(["2", "3"]);
  glass.adopt("2", [ROOT, "5", "2"]);
  glass.upgrade("3");
  glass.relay.linkUp("3", 0);
  glass.take();
  const gather = { type: "gather", root: ROOT, level: 0, parent: null } as const;
  const at = (hostname: string) => ({ ...gather, replyAddr: { hostname, port: 9 } });
  assert(glass.receive(at("10.0.0.66"), "2"));
  assertEquals(glass.take(), [], "nobody else is to be flooded");
  assert(glass.receive(at("10.0.0.1"), "2"));
  assertEquals(glass.take(), [`gather to ${ROOT}`, "gather to 3"]);
});

Deno.test("Relay fails with what kept a chunk from being kept, and tells its neighbours", () => {
  const glass = new Glass();
  glass.learn(["2", "3"]);
  glass.adopt("2");
  glass.keepFails = true;
  glass.frame("2", chunk(0));
  const failed = glass.events.find((event) => event.type === "failed");
  assert(failed?.type === "failed" && failed.error instanceof Error);
  assertEquals(failed.error.message, "disk full");
  assertEquals(glass.take(), ["end (failed) for 2", "close 2"]);
  assertEquals([glass.pass(5_000), glass.check("3"), glass.relay.have.count], [[], false, 0]);
});

Deno.test("Relay refuses a set of chunks of another size, at the start and over a link", () => {
  assertThrows(() => new Glass("9", { have: new ChunkSet(4) }), RangeError);
  const glass = new Glass();
  glass.learn(["2", "3"]);
  glass.adopt("2");
  glass.upgrade("3");
  glass.relay.linkUp("3", 0);
  const bits = new Uint8Array(9);
  assertThrows(() => glass.frame("3", { type: "have", bits }), InvalidPacketError);
});

Deno.test("Relay that has everything stands for the sender", () => {
  const glass = new Glass("9", { have: ChunkSet.full(5) });
  glass.learn(["2", "3"]);
  assertEquals([glass.types(), glass.relay.path], [["complete"], ["9"]]);
  glass.check("2");
  glass.upgrade("3");
  assertEquals(glass.take(), ["tree-reject to 2", "connect 3"]);
  assertEquals(glass.pass(5_000).filter((did) => did.startsWith("upgrade")), []);
});

Deno.test("Relay ends a link that came too late, and all of them when it stops, once", () => {
  const glass = new Glass(ROOT);
  glass.relay.begin([participant("2")], "m", 0);
  glass.upgrade("2");
  glass.relay.linkUp("2", 0);
  glass.take();
  glass.relay.linkUp("3", 0);
  assertEquals(glass.take(), ["close 3"]);
  glass.relay.stop();
  glass.relay.stop();
  assertEquals(glass.take(), ["end (over) for 2", "close 2"]);
  assertEquals([glass.upgrade("2"), glass.relay.linkOffered("2", 0)], [false, false]);
});

Deno.test("Relay believes a neighbour at the address that the sender told alone", () => {
  const glass = new Glass();
  glass.learn(["2"]);
  const at = (peerId: string, hostname: string, port = 50_000) => {
    return glass.relay.isAt(peerId, { hostname, port });
  };
  assertEquals([at("2", "10.0.0.2"), at("2", "10.0.0.3"), at("2", "10.0.0.2", 1)], [
    true,
    false,
    false,
  ]);
  assert(at("7", "10.0.0.3"), "who comes late says where it is");
  assert(glass.receive({ type: "upgrade", from: "7", active: participant("7").active }, "7"));
  assertEquals([at("7", "10.0.0.7"), at("7", "10.0.0.3")], [true, false], "and stays there");
  const gather = { type: "gather", root: ROOT, level: 0, parent: null } as const;
  const replyAddr = participant(ROOT).passive;
  assert(!glass.receive({ ...gather, replyAddr }, "6"), "from nobody who is known");
  assert(glass.receive({ ...gather, replyAddr }, ROOT));
});
