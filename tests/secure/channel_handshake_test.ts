import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { systemClock } from "../../src/clock.ts";
import { PREFACE } from "../../src/endpoint/handshake.ts";
import { ClosedError, HandshakeError, LimitError } from "../../src/errors.ts";
import {
  acceptChannel,
  dialChannel,
  MAX_HANDSHAKE_BYTES,
  refusal,
} from "../../src/secure/channel_handshake.ts";
import { DhKey } from "../../src/secure/noise.ts";
import type { Connection } from "../../src/transport/transport.ts";
import { connectionPair, settle, through } from "../endpoint/fixture.ts";
import { concat } from "../fuzz/generate.ts";
import { Played, readAll } from "./channel_fixture.ts";
import {
  accept,
  ACCEPTOR_SAYS,
  channels,
  close,
  dial,
  DIALER_SAYS,
  firstMessage,
  OTHER_PSK,
  PSK,
  shake,
  text,
  u16,
} from "./handshake_fixture.ts";

Deno.test("dialChannel and acceptChannel learn each other's key and words, and make a channel", async () => {
  const [ofDialer, ofAcceptor] = [DhKey.generate(), DhKey.generate()];
  let seen: Uint8Array | undefined;
  const answer = (remoteStatic: Uint8Array) => {
    seen = remoteStatic.slice();
    return DIALER_SAYS;
  };
  for (const psks of [[], [PSK]]) {
    const [dialed, { channel, remoteStatic, payload }, { heard, out, back }] = await channels({
      dial: { psks, staticKey: ofDialer, answer },
      accept: { psks, staticKey: ofAcceptor },
    });
    assertEquals([seen, remoteStatic], [ofAcceptor.publicKey, ofDialer.publicKey]);
    assertEquals([heard, payload], [undefined, DIALER_SAYS]);
    for (const [from, to] of [[dialed, channel], [channel, dialed]] as const) {
      await from.write(text("hello"));
      const into = new Uint8Array(9);
      assertEquals([await to.read(into), into.subarray(0, 5)], [5, text("hello")]);
    }
    const tag = 16;
    assertEquals(out.slice(0, 2).map(({ length }) => length), [
      7 + 2 + 32 + (psks.length > 0 ? tag : 0),
      2 + 32 + tag + DIALER_SAYS.length + tag,
    ]);
    assertEquals(back[0]?.length, 2 + 32 + 32 + tag + ACCEPTOR_SAYS.length + tag);
    dialed.close();
    channel.close();
  }
});

Deno.test("dialChannel hears what the acceptor says before it says anything", async () => {
  const result = await shake();
  assertEquals(result.heard, ACCEPTOR_SAYS);
  close(result);
  const reason = new Error("not the one that was meant");
  const answer = () => {
    throw reason;
  };
  const { dialed, accepted, out } = await shake({ dial: { answer } });
  assertEquals([dialed, out.length], [reason, 1]);
  assertInstanceOf(accepted, ClosedError);
});

Deno.test("A handshake shows nobody what is said, nor the keys that stay", async () => {
  const [ofDialer, ofAcceptor] = [DhKey.generate(), DhKey.generate()];
  const result = await shake({
    dial: { staticKey: ofDialer },
    accept: { staticKey: ofAcceptor },
  });
  close(result);
  const wire = concat(...result.out, ...result.back).toHex();
  for (const secret of [DIALER_SAYS, ACCEPTOR_SAYS, ofDialer.publicKey, ofAcceptor.publicKey]) {
    assert(!wire.includes(secret.toHex()));
  }
  assert(wire.includes(PREFACE.toHex()));
});

Deno.test("A handshake may come one byte at a time, and all that follows it right behind", async () => {
  const [client, server] = await connectionPair();
  const common = { prologue: PREFACE, clock: systemClock };
  const trickling = (connection: Connection) =>
    through(connection, async (bytes) => {
      for (const byte of bytes) await connection.write(Uint8Array.of(byte));
    });
  const dialing = (async () => {
    const channel = await dialChannel(trickling(client), {
      ...common,
      preface: new Uint8Array(0),
      staticKey: DhKey.generate(),
      answer: () => DIALER_SAYS,
    });
    await channel.write(text("right behind"));
    await channel.closeWrite();
  })();
  const { channel, payload } = await acceptChannel(trickling(server), {
    ...common,
    staticKey: DhKey.generate(),
    rest: new Uint8Array(0),
    payload: () => ACCEPTOR_SAYS,
  });
  await dialing;
  assertEquals([payload, await readAll(channel)], [DIALER_SAYS, { bytes: text("right behind") }]);
  client.close();
  server.close();
});

Deno.test("Whoever has another key of the network, or none, gets nowhere and is told nothing", async () => {
  const cases: readonly (readonly [dialer: Uint8Array[], acceptor: Uint8Array[]])[] = [
    [[PSK], [OTHER_PSK]],
    [[PSK], []],
    [[], [PSK]],
    [[OTHER_PSK], [PSK, new Uint8Array(32)]],
  ];
  for (const [ofDialer, ofAcceptor] of cases) {
    const result = await shake({ dial: { psks: ofDialer }, accept: { psks: ofAcceptor } });
    const { dialed, accepted } = result;
    assertInstanceOf(accepted, HandshakeError);
    assertEquals(accepted.code, "bad-channel");
    const error = dialed instanceof Error ? dialed : (await readAll(dialed)).error;
    assert(error instanceof HandshakeError || error instanceof ClosedError);
    close(result);
  }
});

Deno.test("Keys change without a gap: the acceptor takes both, the dialer uses the first", async () => {
  for (const mine of [[PSK], [OTHER_PSK], [PSK, OTHER_PSK], [OTHER_PSK, PSK]]) {
    const [dialed, { channel, payload }] = await channels({
      dial: { psks: mine },
      accept: { psks: [PSK, OTHER_PSK] },
    });
    assertEquals(payload, DIALER_SAYS);
    await channel.write(text("welcome"));
    assertEquals(await dialed.read(new Uint8Array(9)), 7);
    dialed.close();
    channel.close();
  }
  const { accepted } = await shake({
    dial: { psks: [OTHER_PSK, PSK] },
    accept: { psks: [PSK] },
  });
  assertInstanceOf(accepted, HandshakeError);
});

Deno.test("Both sides must have seen the same before", async () => {
  for (const prologue of [text("KITH/2\n"), new Uint8Array(0), text("KITH/1\n\n")]) {
    const { dialed, accepted, heard } = await shake({ accept: { prologue } });
    assertInstanceOf(dialed, HandshakeError);
    assertEquals([dialed.code, heard], ["bad-channel", undefined]);
    assertInstanceOf(accepted, ClosedError);
  }
});

Deno.test("What is said may be as long as a message allows, on both sides", async () => {
  const most = MAX_HANDSHAKE_BYTES - 2 * 16 - 32;
  const [dialed, { channel, payload }] = await channels({
    dial: { answer: () => new Uint8Array(most) },
    accept: { payload: () => new Uint8Array(most - 32) },
  });
  assertEquals(payload.length, most);
  dialed.close();
  channel.close();
  const { accepted } = await shake({ dial: { answer: () => new Uint8Array(most + 1) } });
  assertInstanceOf(accepted, HandshakeError);
  const { dialed: other } = await shake({ accept: { payload: () => new Uint8Array(most - 31) } });
  assertInstanceOf(other, HandshakeError);
});

Deno.test("acceptChannel computes nothing before its turn, and nothing for who has said too little", async () => {
  const gate = Promise.withResolvers<void>();
  let asked = 0;
  const turn = () => {
    asked++;
    return gate.promise;
  };
  const half = new Played(firstMessage().subarray(0, 20));
  await assertRejects(() => accept(half, { turn }), ClosedError, "during the handshake");
  assertEquals(asked, 0);
  const whole = new Played(firstMessage());
  const accepting = accept(whole, { turn });
  await settle();
  assertEquals([asked, whole.written.length], [1, 0]);
  gate.resolve();
  await assertRejects(() => accepting, ClosedError);
  assertEquals(whole.written.length, 1);
});

Deno.test("dialChannel says which limit it was turned away for, and shows nothing raw", async () => {
  for (const code of ["limit", "rate"] as const) {
    const why = new LimitError(code, "Enough", { details: { limit: "maxThings", max: 7 } });
    const error = await assertRejects(() => dial(new Played(refusal(why)), {}), LimitError);
    assertEquals([error.code, error.details], [code, { reason: code }]);
    assert(error.message.startsWith("Cannot connect: the peer refused: "), error.message);
    assert(error.message.endsWith("(maxThings)"), error.message);
  }
  const long = new LimitError("rate", "Enough", { details: { limit: "x".repeat(500) } });
  await assertRejects(() => dial(new Played(refusal(long)), {}), LimitError, "(xxxx");
  for (const letters of ["", "no", "limits", "rate\u0000", "\u001b[2J", "x".repeat(64)]) {
    const said = text(letters);
    const error = await assertRejects(
      () => dial(new Played(concat(u16(said.length), said)), {}),
      HandshakeError,
      `${said.length} bytes came`,
    );
    assertEquals(error.code, "bad-channel");
  }
  const evil = text("rate \u001b[2J\u202e");
  const shown = await assertRejects(
    () => dial(new Played(concat(u16(evil.length), evil)), {}),
    LimitError,
  );
  assert(shown.message.includes("\\u{1b}[2J\\u{202e}"), shown.message);
});
