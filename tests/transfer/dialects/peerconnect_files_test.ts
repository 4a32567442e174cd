import { assert, assertEquals, assertThrows } from "@std/assert";
import { ClosedError, InvalidPacketError, PeerError } from "../../../src/errors.ts";
import { FileReceiver } from "../../../src/transfer/dialects/peerconnect_file_receiver.ts";
import { FileSender } from "../../../src/transfer/dialects/peerconnect_file_sender.ts";
import { concat, Generator } from "../../fuzz/generate.ts";
import {
  accepted,
  connected,
  contentsOf,
  joined,
  NO,
  record,
  type Sent,
  transcript,
  writes,
} from "./peerconnect_files_fixture.ts";
import { bytewise, drain, feed, split, Store, written } from "./peerconnect_fixture.ts";

Deno.test("a transfer resumes as the originals' do", () => {
  const { files, sends, resume, seeked } = transcript("resumed at 6 (receiver first sent u64 6)");
  const [{ name, size, content }] = files as [Sent];

  const sender = accepted(files);
  for (const _ of drain(sender));
  sender.connected(); // the bytes were on their way when the connection broke
  for (const piece of [resume?.slice(0, 3) ?? NO, resume?.slice(3) ?? NO]) {
    sender.push(piece);
    piece.fill(0xee); // it was copied
  }
  const steps = [...drain(sender)];
  assertEquals(writes(steps, files), joined(sends));

  const receiver = connected();
  const store = new Store();
  const before = concat(record(name, size), content.subarray(0, seeked));
  for (const event of feed(receiver, [before])) store.take(event);
  assertThrows(() => receiver.ended(), ClosedError, 'within "t1.txt" at 6 of 11 bytes');
  assertEquals(receiver.partial, { name, size, got: seeked });
  const again = new FileReceiver({ partial: { name, size, got: seeked } });
  for (const one of [receiver, again]) assertEquals(one.connected(), resume);
  for (const event of feed(receiver, bytewise(Uint8Array.fromHex(sends.join(""))))) {
    store.take(event);
  }
  assertEquals(store.files, [[name, content]]);
  assertEquals(receiver.partial, undefined);
  receiver.ended();
});

Deno.test("files arrive whole, whatever the pieces are and wherever connections break", () => {
  const generator = new Generator(2024);
  let [connections, guesses, resumed, restored] = [0, 0, 0, 0];
  for (let round = 0; round < 150; round++) {
    const files = Array.from({ length: 1 + generator.below(6) }, (_, index): Sent => {
      const size = generator.pick([0, 0, 1, 5, 5, 100, 1500]);
      return { name: `${index} é.bin`, size, content: generator.bytes(size) };
    });
    const store = new Store();
    const sender = new FileSender(files);
    let receiver = new FileReceiver();
    let breaks = generator.below(8);
    for (let tries = 0; !receiver.over; tries++) {
      assert(tries < 60, `round ${round} comes to no end`);
      connections++;
      if (breaks > 0 && receiver.partial !== undefined && generator.below(3) === 0) {
        restored++;
        receiver = new FileReceiver({ partial: receiver.partial });
      }
      const answer = receiver.connected();
      if (answer.length > 1) resumed++;
      const isCut = breaks-- > 0;
      const bytes = send(
        sender,
        files,
        isCut ? cut(answer, generator) : answer,
        isCut && generator,
      );
      const arrives = isCut ? bytes.subarray(0, generator.below(bytes.length + 1)) : bytes;
      try {
        for (const event of feed(receiver, split(arrives, generator))) store.take(event);
      } catch (error) {
        // The sender went on with a file that the receiver was not at: it is asked again.
        if (!(error instanceof InvalidPacketError)) throw error;
        assert(error.message.startsWith("Cannot resume"), error.message);
        guesses++;
      }
    }
    assertEquals(store.files, files.map(({ name, content }) => [name, content]), `round ${round}`);
    assert(store.done);
    receiver.ended();
  }
  for (const count of [connections - 400, guesses, resumed - 100, restored]) assert(count > 10);
});

/** Everything that a sender writes, or what it comes to before the connection breaks. */
function send(
  sender: FileSender,
  files: readonly Sent[],
  answer: Uint8Array,
  cutBy: Generator | false,
): Uint8Array {
  sender.connected();
  sender.push(answer);
  const pieces: Uint8Array[] = [];
  for (const step of drain(sender)) {
    pieces.push(written(step, contentsOf(files)));
    if (cutBy && cutBy.below(6) === 0) break;
  }
  return concat(...pieces);
}

function cut(answer: Uint8Array, generator: Generator): Uint8Array {
  return generator.below(5) === 0 ? answer.subarray(0, generator.below(answer.length)) : answer;
}

Deno.test("FileReceiver and FileSender meet garbage with errors of ours", () => {
  const generator = new Generator(33);
  const good = Uint8Array.fromHex(transcript("two files").sends.join(""));
  let [taken, refused] = [0, 0];
  for (let i = 0; i < 3000; i++) {
    const bytes = i % 4 === 0 ? generator.bytes(generator.below(60)) : generator.mutate(good);
    const receiver = connected();
    const sender = accepted([{ name: "a", size: 3 }]);
    sender.next();
    sender.connected();
    for (const [machine, input] of [[receiver, bytes], [sender, bytes.subarray(0, 9)]] as const) {
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
  assert(taken > 100 && refused > 100, `${taken} ${refused}`);
});
