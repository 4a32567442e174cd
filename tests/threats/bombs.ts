/**
 * Inputs that are small, or claim to be, and would have a careless reader allocate, nest or loop without end: one or
 * more for every decoder that a stranger reaches.
 *
 * @module
 */

import { parseQuestion } from "../../src/discovery/packets.ts";
import { parseHello } from "../../src/endpoint/handshake.ts";
import { parseShown } from "../../src/endpoint/shown_tokens.ts";
import { WitchLineReader } from "../../src/rpc/witch_lines.ts";
import { systemClock } from "../../src/clock.ts";
import { acceptChannel } from "../../src/secure/channel_handshake.ts";
import { parseCredential } from "../../src/secure/credential.ts";
import { readSealedHeader } from "../../src/secure/datagram_seal.ts";
import { DhKey } from "../../src/secure/noise.ts";
import { decodeData } from "../../src/session/data_type.ts";
import { checkPath } from "../../src/transfer/safe_path.ts";
import { parseManifest } from "../../src/transfer/manifest_codec.ts";
import { decodeDatagram } from "../../src/wire/datagram.ts";
import { FrameReader } from "../../src/wire/frame.ts";
import { decodeJson } from "../../src/wire/json.ts";
import { LineReader } from "../../src/wire/line.ts";
import { decodeWireData } from "../../src/wire/message.ts";
import { decode, encode } from "../../src/wire/msgpack.ts";
import { decodeTextHeader, parseData } from "../../src/wire/text_header.ts";
import { decodeWeaver } from "../../src/wire/weaver.ts";
import { decodeWitchAnnouncement } from "../../src/wire/witch_announcement.ts";
import { concat } from "../fuzz/generate.ts";
import { Played, receiver } from "../secure/channel_fixture.ts";

const MIB = 1024 * 1024;

/** One bomb. */
export interface Bomb {
  /** For whom it is, and what it claims or has. */
  readonly name: string;
  /** What the error must name; without it the input is within every limit, and only what it costs counts. */
  readonly names?: RegExp;
  /** What it may cost where that is more than nothing, in bytes. @default for those that are refused: nothing to speak of */
  readonly most?: number;
  /** Sets it off. The input is made before, so that what it takes is not counted. */
  readonly arm: () => () => unknown;
}

/** Lengths that no input of a few bytes has: of 16, 32 and 64 bits, and those that turn negative. */
const LENGTHS = ["7fffffff", "80000000", "fffffffe", "ffffffff"];

/** Forms of MessagePack with a length of 32 bits, and what is left when that many bytes follow: nothing. */
const FORMS = { bin32: "c6", str32: "db", ext32: "c9", array32: "dd", map32: "df" } as const;

/** What is said of a container with less in it than it claims. */
const ENDS = /the input ends inside a value, at byte \d+/;

/** All of them. */
export const BOMBS: readonly Bomb[] = [
  ...frameBombs(),
  ...handshakeBombs(),
  ...packedBombs(),
  ...textBombs(),
  ...datagramBombs(),
  ...nestedFieldBombs(),
];

function frameBombs(): Bomb[] {
  const claims = LENGTHS.map((length): Bomb => ({
    name: `frame that claims 0x${length} bytes`,
    names: /maxFrameBytes 16777216/,
    arm: () => () => readFrames(new FrameReader(), hex(length)),
  }));
  return [
    ...claims,
    {
      name: "200 connections that claim the largest frame, and send a byte of it",
      arm: () => () => {
        const readers = Array.from({ length: 200 }, () => new FrameReader());
        for (const reader of readers) readFrames(reader, hex("0100000000"));
        return readers;
      },
    },
    {
      name: "a million empty frames",
      arm: () => {
        const input = new Uint8Array(4 * MIB);
        return () => readFrames(new FrameReader(), input);
      },
    },
  ];
}

function handshakeBombs(): Bomb[] {
  const shake = (bytes: Uint8Array) =>
    acceptChannel(new Played(bytes), {
      prologue: new Uint8Array(0),
      staticKey: DhKey.generate(),
      clock: systemClock,
      rest: new Uint8Array(0),
      payload: () => new Uint8Array(0),
    });
  const first = concat(hex("0020"), DhKey.generate().publicKey);
  return [
    {
      name: "first record of a handshake that claims 65,535 bytes",
      names: /length 65535 exceeds maxHandshakeBytes 32/,
      arm: () => () => shake(hex("ffff")),
    },
    {
      name: "third record of a handshake that claims 65,535 bytes",
      names: /length 65535 exceeds maxHandshakeBytes 16384/,
      arm: () => () => shake(concat(first, hex("ffff"))),
    },
    {
      name: "200 channels whose record claims the most there is, and has none of it",
      arm: () => async () => {
        const channels = Array.from({ length: 200 }, () => receiver(new Played(hex("ffff00"))));
        for (const channel of channels) await channel.read(new Uint8Array(16)).catch(() => {});
        return channels;
      },
    },
  ];
}

function packedBombs(): Bomb[] {
  const claims = Object.entries(FORMS).flatMap(([form, code]) =>
    LENGTHS.map((length): Bomb => ({
      name: `MessagePack of form ${form} that claims 0x${length}`,
      names: form.endsWith("y32") || form === "map32" ? ENDS : /max(Bin|String)Bytes 16777216/,
      arm: () => () => decode(hex(`${code}${length}00`)),
    }))
  );
  const deep = (code: string, key = "") => () => {
    const input = hex((code + key).repeat(100_000));
    return () => decode(input);
  };
  const filled = (bytes: number, byte: number) => () => {
    const input = new Uint8Array(bytes).fill(byte);
    input.set(hex("dd"));
    new DataView(input.buffer).setUint32(1, bytes - 5);
    return () => decode(input);
  };
  return [
    ...claims,
    { name: "100,000 nested arrays", names: /maxDepth 64/, arm: deep("91") },
    { name: "100,000 nested maps", names: /maxDepth 64/, arm: deep("81", "a161") },
    { name: "100,000 nested arrays of 32 bits", names: /maxDepth 64/, arm: deep("dd00000001") },
    { name: "sixteen million nils", names: /maxElements 1048576/, arm: filled(16 * MIB, 0xc0) },
    {
      name: "sixteen million empty maps",
      names: /maxElements 1048576/,
      arm: filled(16 * MIB, 0x80),
    },
    {
      name: "arrays of arrays that claim more elements than are allowed",
      names: /maxElements 1048576/,
      most: 32 * MIB, // up to the limit they are real
      arm: () => {
        const rows = Array.from({ length: 64 }, () => new Array(65_535).fill(null));
        const input = encode(rows);
        return () => decode(input);
      },
    },
    {
      name: "a string of 16 MiB and one byte",
      names: /maxStringBytes 16777216/,
      arm: () => {
        const input = new Uint8Array(16 * MIB + 6).fill(0x61);
        input.set(hex("db01000001"));
        return () => decode(input);
      },
    },
    {
      name: "message whose body claims 2^32 - 1 entries",
      names: ENDS,
      arm: () => () => decodeWireData(hex("95a1610701dfffffffffc0")),
    },
    {
      name: "message whose header claims 2^32 - 1 bytes",
      names: /4294967295 exceeds maxStringBytes 16777216/,
      arm: () => () => decodeWireData(hex("95dbffffffff61")),
    },
  ];
}

function textBombs(): Bomb[] {
  const text = (value: string) => new TextEncoder().encode(value);
  const bracketsOf = (json: string) => () => {
    const input = text(json.repeat(200_000));
    return () => decodeJson(input);
  };
  const endless = (reader: () => { push(bytes: Uint8Array): unknown; next(): unknown }) => () => {
    const piece = new Uint8Array(64 * 1024).fill(0x22);
    return () => {
      const lines = reader();
      for (let pushed = 0; pushed < 256 * MIB; pushed += piece.length) {
        lines.push(piece);
        lines.next();
      }
    };
  };
  return [
    { name: "JSON with 200,000 open arrays", names: /MAX_JSON_DEPTH 64/, arm: bracketsOf("[") },
    {
      name: "JSON with 200,000 open objects",
      names: /MAX_JSON_DEPTH 64/,
      arm: bracketsOf('{"a":'),
    },
    ...[decodeJson, decodeWeaver].map((read): Bomb => ({
      name: `64 MiB for ${read.name}`,
      names: /maxBytes 1048576/,
      arm: () => {
        const input = new Uint8Array(64 * MIB).fill(0x30);
        return () => read(input);
      },
    })),
    {
      name: "a line that does not end",
      names: /maxLineBytes 1048576/,
      arm: endless(() => new LineReader()),
    },
    {
      name: "a line of witch-core that does not end",
      names: /maxLineBytes 1048576/,
      arm: endless(() => {
        const reader = new WitchLineReader(MIB);
        return { push: (bytes) => [...reader.push(bytes)], next: () => {} };
      }),
    },
    {
      name: "an announcement of witch-core of 64 KiB of brackets",
      names: /maxBytes 8192/,
      arm: () => {
        const input = text("[".repeat(65_000));
        return () => decodeWitchAnnouncement(input);
      },
    },
    ...["4294967296", "99999999999999999999", "9".repeat(90)].map((size): Bomb => ({
      name: `peerpy data that claims ${size.slice(0, 20)} bytes`,
      names: /maxDataBytes 16777216/,
      arm: () => () => {
        const header = text(`DATA|data_size=${size}&data_type=json`.padEnd(128, "|"));
        return parseData(decodeTextHeader(header), 16 * MIB);
      },
    })),
    {
      name: "a text header of a megabyte",
      names: /TEXT_HEADER_BYTES 128/,
      arm: () => {
        const input = text("HELLO|" + "a=b&".repeat(250_000));
        return () => decodeTextHeader(input);
      },
    },
    {
      name: "data of a session of 17 MiB",
      names: /maxDataBytes 16777216/,
      arm: () => {
        const input = new Uint8Array(17 * MIB).fill(0x5b);
        return () => decodeData("json", input, { dialect: "peerpy", maxDataBytes: 16 * MIB });
      },
    },
  ];
}

function datagramBombs(): Bomb[] {
  const claims = [true, false].flatMap((exact) =>
    LENGTHS.map((length): Bomb => ({
      name: `datagram that claims 0x${length} bytes${exact ? "" : ", as the originals read it"}`,
      ...(exact ? { names: new RegExp(`${parseInt(length, 16)}`) } : {}),
      arm: () => () => decodeDatagram(hex(`14${length}00`), { code: true, exact }),
    }))
  );
  const large = new Uint8Array(MIB).fill(0x14);
  return [
    ...claims,
    {
      name: "datagram of a megabyte",
      names: /MAX_DATAGRAM_IN_BYTES 65507/,
      arm: () => () => decodeDatagram(large, { code: true, exact: true }),
    },
    {
      name: "sealed packet that claims 2^32 - 1 bytes",
      names: /4294967295/,
      arm: () => () => readSealedHeader(concat(hex("1fffffffff"), new Uint8Array(100))),
    },
    {
      name: "question whose body claims 2^32 - 1 entries",
      names: ENDS,
      arm: () => () => {
        const message = concat(hex("95a53a66696e64" + "0701" + "dfffffffff"), new Uint8Array(500));
        const length = message.length.toString(16).padStart(8, "0");
        return parseQuestion(concat(hex(`10${length}`), message));
      },
    },
  ];
}

function nestedFieldBombs(): Bomb[] {
  const hello = { key: new Uint8Array(32), sig: new Uint8Array(64), min: 1, max: 1 };
  const entries = (count: number, name: (n: number) => string) =>
    Array.from({ length: count }, (_, n) => [name(n), false, 1, 0o644, 0]);
  return [
    {
      name: "hello with 100,000 capabilities",
      names: /caps: more than 64/,
      arm: () => () => parseHello({ ...hello, caps: new Array(100_000).fill("x") }),
    },
    {
      name: "100,000 invites that are shown",
      names: /at most 8 texts of 1024/,
      arm: () => () => parseShown({ tokens: new Array(100_000).fill("x") }),
    },
    {
      name: "hello with a name of a megabyte",
      names: /name: it is longer than 64/,
      arm: () => () => parseHello({ ...hello, name: "x".repeat(MIB) }),
    },
    {
      name: "manifest of 250,001 files",
      names: /maxEntries 250000/,
      arm: () => {
        const manifest = { entries: entries(250_001, (n) => `${n}`) };
        return () => parseManifest(manifest);
      },
    },
    {
      name: "manifest of a path of 100,000 folders",
      names: /maxPathBytes 4096/,
      arm: () => () => parseManifest({ entries: entries(1, () => "a/".repeat(100_000)) }),
    },
    {
      name: "path of a megabyte",
      names: /maxPathBytes 4096/,
      arm: () => () => checkPath("a".repeat(MIB)),
    },
    {
      name: "invite of a megabyte",
      arm: () => () => parseCredential(`kith1.${"A".repeat(MIB)}`),
    },
  ];
}

function readFrames(reader: FrameReader, bytes: Uint8Array): void {
  reader.push(bytes);
  while (reader.next() !== undefined);
}

function hex(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.fromHex(text);
}
