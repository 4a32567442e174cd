/**
 * js-libp2p on Node, with TCP, Noise and yamux: the same as `children/encrypted.ts` does, in the way that suited it best
 * when it was tried.
 *
 * ```
 * SCRIPT receive     prints {"port"}, serves until stdin ends
 * SCRIPT send PORT   does what each line of stdin says, prints {"seconds"}
 * ```
 *
 * | command        | does                                                                                    |
 * |----------------|-----------------------------------------------------------------------------------------|
 * | `single N`     | sends N messages of 1 KiB, each with its length in front and a write of its own         |
 * | `batched N`    | the same, 64 at a time by the library's own `writeV`                                    |
 * | `messages N`   | the same, 64 at a time joined into one array, which its layers take in one piece        |
 * | `bulk N`       | sends N MiB, a MiB in one write, without any messages in it                             |
 * | `handshakes N` | dials and closes, N times one after another                                             |
 *
 * @module
 */

import { createInterface } from "node:readline";

// What libp2p takes for granted came with Node 22; this is all of it that Node 20 lacks.
Promise.withResolvers ??= function () {
  const made = {};
  made.promise = new this((resolve, reject) => Object.assign(made, { resolve, reject }));
  return made;
};

const { multiaddr } = await import("@multiformats/multiaddr");
const { createLibp2p } = await import("libp2p");
const { noise } = await import("@libp2p/noise");
const { tcp } = await import("@libp2p/tcp");
const { lpStream } = await import("@libp2p/utils");
const { yamux } = await import("@libp2p/yamux");
const { decode, encode } = await import("it-length-prefixed");

const HOST = "/ip4/127.0.0.1/tcp";
const MESSAGES = "/bench/messages/1";
const BULK = "/bench/bulk/1";
const MESSAGE_BYTES = 1024;
const BATCH = 64;
const BULK_BYTES = 1024 * 1024;
/** A message of one byte, and the last byte of a bulk: the round ends. */
const END = Uint8Array.of(255);

const [role, port] = process.argv.slice(2);
if (role === "receive") await serve();
else await runCommands(`${HOST}/${port}`);
process.exit();

async function serve() {
  const node = await open([`${HOST}/0`]);
  await node.handle(MESSAGES, countMessages);
  await node.handle(BULK, countBytes);
  const [address] = node.getMultiaddrs();
  print({ port: Number(/tcp\/(\d+)/.exec(String(address))?.[1]) });
  for await (const _ of process.stdin);
}

async function runCommands(address) {
  const node = await open([]);
  const to = multiaddr(address);
  const message = crypto.getRandomValues(new Uint8Array(MESSAGE_BYTES));
  const bulk = new Uint8Array(BULK_BYTES).fill(7);
  const messages = await openStream(node, to, MESSAGES);
  const batches = lpStream(await node.dialProtocol(to, MESSAGES));
  const bulks = await openStream(node, to, BULK);

  const commands = {
    single: (count) => sendMessages(messages, message, count, 1),
    batched: (count) => sendBatches(batches, message, count),
    messages: (count) => sendMessages(messages, message, count, BATCH),
    bulk: (count) => sendBulk(bulks, bulk, count),
    handshakes: (count) => shakeHands(node, to, count),
  };
  for await (const line of createInterface({ input: process.stdin })) {
    const [command, count] = line.split(" ");
    const startedAt = performance.now();
    await commands[command](Number(count));
    print({ seconds: (performance.now() - startedAt) / 1000 });
  }
}

/** A node with what is needed and no more: nothing identifies or pings in the background. */
function open(listen) {
  return createLibp2p({
    addresses: { listen },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionMonitor: { enabled: false },
    connectionManager: { inboundConnectionThreshold: Infinity },
  });
}

async function openStream(node, to, protocol) {
  const stream = await node.dialProtocol(to, protocol);
  return { stream, answers: decode(stream) };
}

async function countMessages(stream) {
  let count = 0;
  for await (const piece of decode(stream)) {
    const message = piece.subarray();
    if (message.length === MESSAGE_BYTES) {
      count++;
    } else {
      answer(stream, count);
      count = 0;
    }
  }
}

async function countBytes(stream) {
  let count = 0;
  for await (const piece of stream) {
    const { byteLength } = piece;
    count += byteLength;
    if (piece.subarray(byteLength - 1)[0] === END[0]) {
      answer(stream, count - END.length);
      count = 0;
    }
  }
}

function answer(stream, count) {
  stream.send(encode.single(new TextEncoder().encode(String(count))));
}

async function sendMessages({ stream, answers }, message, count, perWrite) {
  for (let left = count; left > 0; left -= perWrite) {
    const batch = encode.single(message);
    for (let i = Math.min(left, perWrite); i > 1; i--) batch.append(encode.single(message));
    await write(stream, batch.subarray());
  }
  await write(stream, encode.single(END));
  await expect(answers, count);
}

async function sendBatches(batches, message, count) {
  for (let left = count; left > 0; left -= BATCH) {
    await batches.writeV(Array(Math.min(left, BATCH)).fill(message));
  }
  await batches.write(END);
  check(await batches.read(), count);
}

async function sendBulk({ stream, answers }, bulk, count) {
  for (let i = 0; i < count; i++) await write(stream, bulk);
  await write(stream, END);
  await expect(answers, count * BULK_BYTES);
}

async function shakeHands(node, to, count) {
  for (let i = 0; i < count; i++) {
    const connection = await node.dial(to, { force: true });
    await connection.close();
  }
}

/** Writes, and waits where the stream wants that. Its own `onDrain` waits only once. */
function write(stream, bytes) {
  if (stream.send(bytes)) return;
  return new Promise((resolve) => stream.addEventListener("drain", resolve, { once: true }));
}

async function expect(answers, count) {
  const { value } = await answers.next();
  check(value, count);
}

function check(answer, count) {
  const got = Number(new TextDecoder().decode(answer.subarray()));
  if (got !== count) throw new Error(`Cannot measure: ${got} of ${count} arrived`);
}

function print(value) {
  process.stdout.write(JSON.stringify(value) + "\n");
}
