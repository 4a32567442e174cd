import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  ClosedError,
  HandshakeError,
  InvalidPacketError,
  LimitError,
  PeerError,
} from "../../../src/errors.ts";
import {
  DirectoryReceiver,
} from "../../../src/transfer/dialects/peerconnect_directory_receiver.ts";
import {
  DirectorySender,
  type OutgoingItem,
} from "../../../src/transfer/dialects/peerconnect_directory_sender.ts";
import {
  encodeDirectoryItem,
  encodeSize,
  withLength,
} from "../../../src/transfer/dialects/peerconnect_records.ts";
import { concat, Generator } from "../../fuzz/generate.ts";
import { loadVector } from "../../testdata/vectors.ts";
import {
  bytewise,
  drain,
  feed,
  HOSTILE_NAMES,
  split,
  Store,
  written,
} from "./peerconnect_fixture.ts";

const NAME = "directory a.txt, sub/, sub/b.txt, zero";
const YES = Uint8Array.of(1);

const ITEMS: readonly OutgoingItem[] = [
  { path: "a.txt", kind: "file", size: 2 },
  { path: "sub", kind: "directory", size: 0 },
  { path: "sub/b.txt", kind: "file", size: 1 },
  { path: "zero", kind: "file", size: 0 },
];
const CONTENTS = [Uint8Array.of(0x41, 0x41), new Uint8Array(0), Uint8Array.of(0x42)];

/** What an original writes; where it waits for a confirmation, nothing. */
function sends(): string[] {
  const vector = loadVector("peerconnect.file_transcript", NAME) as unknown as { sends: string[] };
  return vector.sends.map((hex) => hex.startsWith("read") ? "" : hex);
}

function item(mark: number, path: string): Uint8Array {
  return concat(Uint8Array.of(mark), withLength(encodeDirectoryItem(path)));
}

function file(path: string, size: number): Uint8Array {
  return concat(item(1, path), encodeSize(size));
}

function begun(limits?: ConstructorParameters<typeof DirectoryReceiver>[0]): DirectoryReceiver {
  const receiver = new DirectoryReceiver(limits);
  assertEquals([...drain(receiver)], [{ type: "reply", bytes: YES }]);
  return receiver;
}

function accepted(items: readonly OutgoingItem[]): DirectorySender {
  const sender = new DirectorySender(items);
  assertEquals(sender.next(), undefined);
  sender.push(YES);
  return sender;
}

Deno.test("DirectorySender writes what the originals write, and waits where they do", () => {
  const sender = accepted(ITEMS);
  const turns: string[] = [];
  for (let confirmed = 0; !sender.over; confirmed++) {
    const steps = Array.from(drain(sender), (step) => written(step, CONTENTS).toHex());
    assertEquals(sender.confirmed, confirmed);
    turns.push(steps.join(""));
    if (!sender.over) sender.push(YES);
  }
  const original = sends().map((hex) => hex === "" ? "," : hex).join("").split(",");
  assertEquals(turns, original);
  sender.ended();
});

Deno.test("DirectorySender writes mark, item and size in one piece", () => {
  const sizes = (path: string, kind: OutgoingItem["kind"]) => {
    return Array.from(drain(accepted([{ path, kind, size: 70_000 }])), (step) => step.type);
  };
  assertEquals(sizes("x", "file"), ["bytes", "content", "content"]);
  assertEquals(sizes("x", "directory"), ["bytes", "bytes"]);
});

Deno.test("DirectoryReceiver reads what the originals write, however it is cut", () => {
  const bytes = Uint8Array.fromHex(sends().join(""));
  for (const pieces of [[bytes], bytewise(bytes)]) {
    const receiver = new DirectoryReceiver();
    const store = new Store();
    for (const event of feed(receiver, pieces)) store.take(event);
    assertEquals(store.files, [
      ["a.txt", Uint8Array.of(0x41, 0x41)],
      ["sub/b.txt", Uint8Array.of(0x42)],
      ["zero", new Uint8Array(0)],
    ]);
    assertEquals(store.folders, ["sub"]);
    assertEquals(store.replies, [1, 1, 1, 1]); // accepted, and three files
    assert(store.done && receiver.over);
    receiver.ended();
  }
});

Deno.test("DirectoryReceiver confirms a file only once its end was taken", () => {
  const receiver = begun();
  const events = feed(receiver, [concat(file("a", 1), Uint8Array.of(7))]);
  const types = ["file", "content", "end"].map(() => (events.next().value ?? { type: "" }).type);
  assertEquals(types, ["file", "content", "end"]);
  assertEquals(events.next().value, { type: "reply", bytes: YES });
});

Deno.test("directories arrive whole, whatever the pieces are", () => {
  const generator = new Generator(7);
  for (let round = 0; round < 60; round++) {
    const items: OutgoingItem[] = [];
    const contents: Uint8Array[] = [];
    const folders = [""];
    for (let i = generator.below(12); i > 0; i--) {
      const path = `${generator.pick(folders)}n${i} é`;
      const size = generator.pick([0, 1, 300, 2000]);
      const kind = generator.pick(["file", "file", "directory"] as const);
      if (kind === "directory") folders.push(`${path}/`);
      items.push({ path, kind, size });
      contents.push(generator.bytes(size));
    }
    const sender = new DirectorySender(items);
    const receiver = new DirectoryReceiver();
    const store = new Store();
    for (const event of drain(receiver)) store.take(event);
    while (!sender.over) {
      for (const reply of store.replies.splice(0)) sender.push(Uint8Array.of(reply));
      const bytes = concat(...Array.from(drain(sender), (step) => written(step, contents)));
      for (const event of feed(receiver, split(bytes, generator))) store.take(event);
    }
    const files = items.flatMap(({ path, kind }, index) => {
      return kind === "file" ? [[path, contents[index] ?? YES] as [string, Uint8Array]] : [];
    });
    assertEquals(store.files, files, `round ${round}`);
    assertEquals(store.folders.length, items.length - files.length);
    assertEquals(sender.confirmed, files.length);
    assert(store.done);
  }
});

Deno.test("DirectoryReceiver refuses hostile names and parents, and says which", () => {
  for (const [name] of HOSTILE_NAMES) {
    const record = withLength(encodeDirectoryItem(`x/${name}`));
    for (const mark of [1, 2]) {
      const receiver = begun();
      const bytes = concat(item(2, "x"), Uint8Array.of(mark), record, new Uint8Array(8));
      assertThrows(() => [...feed(receiver, [bytes])], InvalidPacketError, "", name);
    }
  }
});

Deno.test("DirectoryReceiver refuses what breaks the format", () => {
  const cases: [Uint8Array, string][] = [
    [Uint8Array.of(3), "mark: 3 is neither"],
    [Uint8Array.of(2, 0, 1, 0, 0), "65536 bytes exceeds maxRecordBytes"],
    [item(2, "a/b"), 'parent: "a" was not listed'],
    [concat(item(2, "a"), file("A/b", 1)), 'parent: "A" was not listed'],
    [concat(item(1, "a"), new Uint8Array(8).fill(0xff)), "exceeds 9007199254740991"],
    [Uint8Array.of(0, 0), "after the end"],
  ];
  for (const [bytes, text] of cases) {
    assertThrows(() => [...feed(begun(), [bytes])], InvalidPacketError, text);
  }
});

Deno.test("DirectoryReceiver stops at its limits", () => {
  const files = feed(begun({ maxTotalBytes: 3 }), [concat(file("a", 2), YES, YES, file("b", 2))]);
  assertThrows(() => [...files], LimitError, "maxTotalBytes 3");
  const few = feed(begun({ maxEntries: 1 }), [concat(item(2, "a"), item(2, "b"))]);
  assertThrows(() => [...few], LimitError, "maxEntries 1");
});

Deno.test("DirectoryReceiver remembers no more than 16 MiB of folders", () => {
  const receiver = begun();
  const segments = Array.from({ length: 15 }, () => "n".repeat(250));
  const parents = segments.map((_, depth) => item(2, segments.slice(0, depth + 1).join("/")));
  for (const _ of feed(receiver, parents));
  const deep = segments.join("/");
  assertThrows(
    () => {
      for (let i = 0; i < 10_000; i++) for (const _ of feed(receiver, [item(2, `${deep}/${i}`)]));
    },
    LimitError,
    "maxFolderChars",
  );
});

Deno.test("DirectoryReceiver.ended tells where the connection ended", () => {
  const receiver = begun();
  for (const _ of feed(receiver, [concat(file("a\u0301", 5), YES)]));
  assertThrows(() => receiver.ended(), ClosedError, 'within "á" at 1 of 5 bytes');
  for (const _ of feed(receiver, [new Uint8Array(4)]));
  assertThrows(() => receiver.ended(), ClosedError, "between two items");
});

Deno.test("DirectorySender is refused, and refuses answers that are none", () => {
  const refused = new DirectorySender(ITEMS);
  refused.push(Uint8Array.of(0));
  assertEquals(assertThrows(() => refused.next(), HandshakeError).code, "denied");

  const unclear = new DirectorySender(ITEMS);
  unclear.push(Uint8Array.of(9));
  assertThrows(() => unclear.next(), InvalidPacketError, "answer: 9 is neither");

  const denied = accepted(ITEMS);
  for (const _ of drain(denied));
  denied.push(Uint8Array.of(0));
  assertThrows(() => denied.next(), InvalidPacketError, "confirmation: 0 instead of 1");
  assertEquals(denied.confirmed, 0);

  const early = accepted(ITEMS);
  early.next();
  early.push(YES);
  assertThrows(() => early.next(), InvalidPacketError, "1 bytes out of turn");
  assertThrows(() => early.push(YES), InvalidPacketError, "instead of at most 1");

  assertThrows(() => accepted(ITEMS).ended(), ClosedError);
});

Deno.test("DirectorySender refuses folders out of order, and sizes that are none", () => {
  const [a, sub, b] = ITEMS as [OutgoingItem, OutgoingItem, OutgoingItem];
  assertThrows(() => new DirectorySender([a, b, sub]), RangeError, "before what is in them");
  assertThrows(() => new DirectorySender([{ ...a, size: -1 }]), RangeError, "Sizes");
});

Deno.test("DirectoryReceiver and DirectorySender meet garbage with errors of ours", () => {
  const generator = new Generator(34);
  const good = Uint8Array.fromHex(sends().join(""));
  let [taken, refused] = [0, 0];
  for (let i = 0; i < 3000; i++) {
    const bytes = i % 4 === 0 ? generator.bytes(generator.below(60)) : generator.mutate(good);
    const machines = [[begun(), bytes], [new DirectorySender(ITEMS), bytes]] as const;
    for (const [machine, input] of machines) {
      try {
        for (const _ of feed<unknown>(machine, split(input, generator)));
        machine.ended();
        taken++;
      } catch (error) {
        if (!(error instanceof PeerError)) throw error;
        refused++;
      }
    }
  }
  assert(taken > 10 && refused > 100, `${taken} ${refused}`);
});
